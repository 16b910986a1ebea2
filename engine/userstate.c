#include "engine/userstate.h"

#include <stdlib.h>

#include "base/buf.h"

static void mutation_free(void *mutation) {
    struct state_mutation *m = mutation;

    if (!m)
        return;
    chain_clear(&m->appended);
    free(m);
}

void state_cell_key(struct buf *out, unsigned state, struct slice window, struct slice key) {
    buf_add_varint(out, state);
    buf_add_prefixed(out, window.data, window.size);
    buf_add_prefixed(out, key.data, key.size);
}

static struct state_mutation *mutation_of(struct state_overlay *overlay, struct slice cell) {
    void **slot = map_slot(&overlay->mutations, cell.data, cell.size);

    if (!*slot)
        *slot = xcalloc(1, sizeof(struct state_mutation));
    return *slot;
}

void state_overlay_append(struct state_overlay *overlay, struct slice cell, struct account *account,
                          struct slice data) {
    chain_add(&mutation_of(overlay, cell)->appended, account, data.data, data.size);
}

void state_overlay_clear_cell(struct state_overlay *overlay, struct slice cell) {
    struct state_mutation *mutation = mutation_of(overlay, cell);

    mutation->cleared = true;
    chain_clear(&mutation->appended);
}

/* Positions count pages: those of the committed chain first, then those of the overlay. */
size_t state_read(const struct user_state *state, const struct state_overlay *overlay, struct slice cell,
                  uint64_t *position, size_t limit, struct slice *pieces, size_t max_pieces, bool *ret_more) {
    const struct state_mutation *mutation = map_get(&overlay->mutations, cell.data, cell.size);
    const struct chain *committed = map_get(&state->cells, cell.data, cell.size);
    size_t committed_pages, at, count = 0;
    bool more = false;

    if (mutation && mutation->cleared)
        committed = NULL;
    committed_pages = committed ? committed->pages.count : 0;
    at = (size_t)*position;
    if (at < committed_pages) {
        count = chain_read(committed, &at, limit, pieces, max_pieces, &more);
        *position = at;
        *ret_more = more || (mutation && mutation->appended.pages.count);
        return count;
    }
    at -= committed_pages;
    if (mutation && at < mutation->appended.pages.count)
        count = chain_read(&mutation->appended, &at, limit, pieces, max_pieces, &more);
    *position = committed_pages + at;
    *ret_more = more;
    return count;
}

void state_apply(struct user_state *state, struct account *account, struct slice cell,
                 const struct state_mutation *mutation) {
    void **slot;

    if (mutation->cleared)
        chain_free(map_remove(&state->cells, cell.data, cell.size));
    if (mutation->appended.bytes == 0)
        return;
    slot = map_slot(&state->cells, cell.data, cell.size);
    if (!*slot)
        *slot = xcalloc(1, sizeof(struct chain));
    vec_foreach (page, &mutation->appended.pages)
        chain_add(*slot, account, page->block->data, page->used);
}

void state_overlay_clear(struct state_overlay *overlay) {
    map_clear(&overlay->mutations, mutation_free);
}

void user_state_clear(struct user_state *state) {
    map_clear(&state->cells, chain_free);
}
