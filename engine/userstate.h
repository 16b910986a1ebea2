/* User state of a keyed stage: bags by (state, window, key), and what a running bundle has changed of them
 * (beam_fn_api.proto: StateKey.BagUserState; MODEL 7).
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

/* Committed: composite key -> struct chain. Zero-initialise. */
struct user_state {
    struct map cells;
};

/* What one bundle did to one cell. */
struct state_mutation {
    bool cleared; /* what was committed before is gone */
    struct chain appended;
};

/* Composite key -> struct state_mutation. Zero-initialise. */
struct state_overlay {
    struct map mutations;
};

/* The composite key of a cell; `state` is the index of the plan_user_state. */
void state_cell_key(struct buf *out, unsigned state, struct slice window, struct slice key);

void state_overlay_append(struct state_overlay *overlay, struct slice cell, struct account *account, struct slice data);
void state_overlay_clear_cell(struct state_overlay *overlay, struct slice cell);
/* One page of the cell as the bundle sees it. *position is where to go on, 0 at first; *ret_more says whether to. Returns the number
 * of pieces. */
size_t state_read(const struct user_state *state, const struct state_overlay *overlay, struct slice cell,
                  uint64_t *position, size_t limit, struct slice *pieces, size_t max_pieces, bool *ret_more);
void state_apply(struct user_state *state, struct account *account, struct slice cell,
                 const struct state_mutation *mutation);
void state_overlay_clear(struct state_overlay *overlay);
void user_state_clear(struct user_state *state);

#endif
