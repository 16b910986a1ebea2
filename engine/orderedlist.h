/* The entries of an ordered list state: varint sort key, varint length, value (beam_fn_api.proto: OrderedListEntry; PROTOCOL G).
 *
 * A list is kept as it was appended. Read, it becomes a list of places in the state's own pages, which is put in order once and then gives page
 * after page: a snapshot, as what it points to never changes. Belongs to the engine's thread. */
#ifndef ENGINE_ORDEREDLIST_H
#define ENGINE_ORDEREDLIST_H

#include "base/buf.h"
#include "base/vec.h"

struct ordered_entry {
    int64_t sort_key;
    uint64_t place; /* of arrival */
    struct cursor bytes;
};

/* Zero-initialise. */
struct ordered_list {
    VEC(struct slice) pieces;
    VEC(struct ordered_entry) entries; /* in the pieces: as they came, then in order */
};

bool ordered_list_is_well_formed(struct slice entries);
/* Adds whole, well-formed entries; takes the slice's reference. */
void ordered_list_add(struct ordered_list *list, struct slice entries);
/* Writes the entries outside [start, end), as they came: before ordered_list_sort(). */
void ordered_list_without(const struct ordered_list *list, int64_t start, int64_t end, struct buf *out);
/* By key and, among equal ones, as they came. */
void ordered_list_sort(struct ordered_list *list);
/* Writes entries of a sorted list with start <= sort key < end, from the *position'th of them on, until about `limit` bytes are there. */
void ordered_list_read(const struct ordered_list *list, int64_t start, int64_t end, uint64_t *position, size_t limit,
                       struct buf *out, bool *ret_more);
void ordered_list_clear(struct ordered_list *list);

#endif
