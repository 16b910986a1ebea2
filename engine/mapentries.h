/* All entries of a multimap in one read: KV<map key, iterable<value>>, nested (StateKey.MultimapEntriesUserState, Java 2.73's
 * MultimapUserState). Belongs to the engine's thread. */
#ifndef ENGINE_MAPENTRIES_H
#define ENGINE_MAPENTRIES_H

#include "base/buf.h"
#include "engine/userstate.h"

/* Appends whole entries from *position on (0 at first) until about `limit` bytes are there; *ret_more says whether to go on. An iterable is
 * sent with its length, so values must be counted: by `value_coder`, or, where that is not known (NULL), with the word of the state's
 * kind that there is one value a key. -1: they can't be counted. */
int multimap_read_entries(const struct user_state *state, const struct state_overlay *overlay, struct slice multimap,
                          const struct plan_user_state *kind, uint64_t *position, size_t limit, struct buf *out,
                          bool *ret_more);

#endif
