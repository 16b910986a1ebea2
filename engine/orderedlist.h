/* The entries of an ordered list state: varint sort key, varint length, value (beam_fn_api.proto: OrderedListEntry; PROTOCOL G). Pure functions
 * on encoded entries. */
#ifndef ENGINE_ORDEREDLIST_H
#define ENGINE_ORDEREDLIST_H

#include "base/buf.h"

bool ordered_list_is_well_formed(struct slice entries);
/* Writes the entries with start <= sort key < end, in order of their keys and, among equal ones, of their places: from the *position'th on, until
 * about `limit` bytes are written. */
void ordered_list_select(struct slice entries, int64_t start, int64_t end, uint64_t *position, size_t limit,
                         struct buf *out, bool *ret_more);
/* Writes the entries outside [start, end), as they stand. */
void ordered_list_without(struct slice entries, int64_t start, int64_t end, struct buf *out);

#endif
