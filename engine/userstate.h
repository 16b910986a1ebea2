/* User state of a keyed stage: cells by (state, window, key) or, for multimaps, (state, window, key, map key), and what a running bundle
 * has changed of them (beam_fn_api.proto: StateKey.BagUserState, MultimapUserState, OrderedListUserState; MODEL 7).
 *
 *      reads of a bundle see:   its own clear? nothing : committed bag    then its own appends
 *      commit:                  the overlay's mutations are applied; a failed bundle's overlay is dropped
 *
 * Belongs to the engine's thread. */
#ifndef ENGINE_USERSTATE_H
#define ENGINE_USERSTATE_H

#include "base/map.h"
#include "engine/chain.h"
#include "translate/plan.h"

/* Committed. Zero-initialise. */
struct user_state {
    struct map cells;     /* composite key -> struct chain */
    struct map multimaps; /* composite key without map key -> struct map: its map keys, value NULL */
};

/* What one bundle did to one cell. */
struct state_mutation {
    bool cleared;      /* what was committed before is gone */
    bool has_appended; /* even if what was appended takes no bytes: Java's sets are maps to Void */
    struct chain appended;
};

/* Zero-initialise. */
struct state_overlay {
    struct map mutations; /* composite key -> struct state_mutation */
    struct map multimaps; /* as in user_state: map keys that this bundle touched */
};

/* The composite key of a cell; `state` is the index of the plan_user_state. */
void state_cell_key(struct buf *out, unsigned state, struct slice window, struct slice key);
/* Makes it the cell of one map key. */
void state_cell_key_add_map_key(struct buf *out, struct slice map_key);

void state_overlay_append(struct state_overlay *overlay, struct slice cell, struct account *account, struct slice data);
void state_overlay_clear_cell(struct state_overlay *overlay, struct slice cell);
/* One page of the cell as the bundle sees it. *position is where to go on, 0 at first; *ret_more says whether to. Returns the number
 * of pieces. */
size_t state_read(const struct user_state *state, const struct state_overlay *overlay, struct slice cell,
                  uint64_t *position, size_t limit, struct slice *pieces, size_t max_pieces, bool *ret_more);
/* What `cell` holds for the bundle, all of it, end to end: for kinds that are worked on as a whole. */
void state_read_all(const struct user_state *state, const struct state_overlay *overlay, struct slice cell,
                    struct buf *out);
/* The next map key of a multimap as the bundle sees it, from *position on, which moves behind it; NULL: there is none. *ret_cell is the cell
 * of its values, in `scratch`. */
const struct map_entry *multimap_next_key(const struct user_state *state, const struct state_overlay *overlay,
                                          struct slice multimap, uint64_t *position, struct buf *scratch,
                                          struct slice *ret_cell);
/* The map keys of a multimap as the bundle sees them, one behind the other, from entry *position on until about `limit` bytes are there. */
void multimap_read_keys(const struct user_state *state, const struct state_overlay *overlay, struct slice cell,
                        uint64_t *position, size_t limit, struct buf *out, bool *ret_more);
/* Clears every map key of a multimap. */
void multimap_clear(const struct user_state *state, struct state_overlay *overlay, struct slice cell);
/* Drops a cell, or a multimap with all its cells, for good: its window has expired. */
void user_state_remove(struct user_state *state, struct slice cell);
void state_apply(struct user_state *state, struct account *account, struct slice cell,
                 const struct state_mutation *mutation);
void state_overlay_clear(struct state_overlay *overlay);
void user_state_clear(struct user_state *state);

#endif
