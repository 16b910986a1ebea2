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

void state_cell_key_add_map_key(struct buf *out, struct slice map_key) {
    buf_add_prefixed(out, map_key.data, map_key.size);
}

/* ---- multimaps: which map keys there are ---- */

static void index_free(void *index) {
    if (!index)
        return;
    map_clear(index, NULL);
    free(index);
}

/* The parts of a cell's composite key. False: it is no multimap's. */
static bool split_map_key(struct slice cell, struct slice *ret_multimap, struct cursor *ret_map_key) {
    struct cursor at = cursor_of(cell.data, cell.size);
    struct cursor part;
    uint64_t state;

    if (!cursor_varint(&at, &state) || !cursor_prefixed(&at, &part) || !cursor_prefixed(&at, &part))
        return false;
    *ret_multimap = slice_of_static(cell.data, (size_t)(at.at - cell.data));
    return cursor_left(&at) && cursor_prefixed(&at, ret_map_key);
}

static void index_add(struct map *multimaps, struct slice cell) {
    struct slice multimap;
    struct cursor map_key;
    void **slot;

    if (!split_map_key(cell, &multimap, &map_key))
        return;
    slot = map_slot(multimaps, multimap.data, multimap.size);
    if (!*slot)
        *slot = xcalloc(1, sizeof(struct map));
    map_slot(*slot, map_key.at, cursor_left(&map_key));
}

static void index_remove(struct map *multimaps, struct slice cell) {
    struct slice multimap;
    struct cursor map_key;
    struct map *index;

    if (!split_map_key(cell, &multimap, &map_key))
        return;
    index = map_get(multimaps, multimap.data, multimap.size);
    if (!index)
        return;
    map_remove(index, map_key.at, cursor_left(&map_key));
    if (index->count == 0)
        index_free(map_remove(multimaps, multimap.data, multimap.size));
}

static struct state_mutation *mutation_of(struct state_overlay *overlay, struct slice cell) {
    void **slot = map_slot(&overlay->mutations, cell.data, cell.size);

    if (!*slot) {
        *slot = xcalloc(1, sizeof(struct state_mutation));
        index_add(&overlay->multimaps, cell);
        slot = map_slot(&overlay->mutations, cell.data, cell.size);
    }
    return *slot;
}

void state_overlay_append(struct state_overlay *overlay, struct slice cell, struct account *account,
                          struct slice data) {
    struct state_mutation *mutation = mutation_of(overlay, cell);

    mutation->has_appended = true;
    chain_add(&mutation->appended, account, data.data, data.size);
}

void state_overlay_clear_cell(struct state_overlay *overlay, struct slice cell) {
    struct state_mutation *mutation = mutation_of(overlay, cell);

    mutation->cleared = true;
    mutation->has_appended = false;
    chain_clear(&mutation->appended);
}

/* Positions count pages: those of the committed chain first, then those of the overlay. */
size_t state_read(const struct user_state *state, const struct state_overlay *overlay, struct slice cell,
                  uint64_t *position, size_t limit, struct slice *pieces, size_t max_pieces, bool *ret_more) {
    const struct state_mutation *mutation = map_get(&overlay->mutations, cell.data, cell.size);
    const struct chain *committed = map_get(&state->cells, cell.data, cell.size);
    size_t committed_pages, at, count = 0;
    struct extent *extent; /* user state stays in memory */
    bool more = false;

    if (mutation && mutation->cleared)
        committed = NULL;
    committed_pages = committed ? committed->pages.count : 0;
    at = (size_t)*position;
    if (at < committed_pages) {
        count = chain_read(committed, &at, limit, pieces, max_pieces, &extent, &more);
        *position = at;
        *ret_more = more || (mutation && mutation->appended.pages.count);
        return count;
    }
    at -= committed_pages;
    if (mutation && at < mutation->appended.pages.count)
        count = chain_read(&mutation->appended, &at, limit, pieces, max_pieces, &extent, &more);
    *position = committed_pages + at;
    *ret_more = more;
    return count;
}

void state_apply(struct user_state *state, struct account *account, struct slice cell,
                 const struct state_mutation *mutation) {
    void **slot;

    if (mutation->cleared) {
        chain_free(map_remove(&state->cells, cell.data, cell.size));
        index_remove(&state->multimaps, cell);
    }
    if (!mutation->has_appended)
        return;
    index_add(&state->multimaps, cell);
    slot = map_slot(&state->cells, cell.data, cell.size);
    if (!*slot)
        *slot = xcalloc(1, sizeof(struct chain));
    vec_foreach (page, &mutation->appended.pages)
        chain_add(*slot, account, page->block->data, page->used);
}

void state_overlay_clear(struct state_overlay *overlay) {
    map_clear(&overlay->mutations, mutation_free);
    map_clear(&overlay->multimaps, index_free);
}

void user_state_clear(struct user_state *state) {
    map_clear(&state->cells, chain_free);
    map_clear(&state->multimaps, index_free);
}

void state_read_all(const struct user_state *state, const struct state_overlay *overlay, struct slice cell,
                    struct buf *out) {
    uint64_t position = 0;
    bool more = true;

    while (more) {
        struct slice pieces[16];
        size_t count = state_read(state, overlay, cell, &position, SIZE_MAX, pieces, ARRAY_COUNT(pieces), &more);

        for (size_t i = 0; i < count; i++) {
            buf_add(out, pieces[i].data, pieces[i].size);
            slice_unref(&pieces[i]);
        }
    }
}

/* The cell of one map key, in `scratch`. */
static struct slice cell_of_map_key(struct buf *scratch, struct slice multimap, const struct map_entry *map_key) {
    scratch->size = 0;
    buf_add(scratch, multimap.data, multimap.size);
    buf_add_prefixed(scratch, map_key->key, map_key->key_size);
    return slice_of_static(buf_data(scratch), scratch->size);
}

/* Entries of the committed index come first, then those of the overlay that are not committed; removed ones leave holes, so that positions
 * hold while the bundle runs. */
const struct map_entry *multimap_next_key(const struct user_state *state, const struct state_overlay *overlay,
                                          struct slice multimap, uint64_t *position, struct buf *scratch,
                                          struct slice *ret_cell) {
    const struct map *committed = map_get(&state->multimaps, multimap.data, multimap.size);
    const struct map *touched = map_get(&overlay->multimaps, multimap.data, multimap.size);
    size_t committed_count = committed ? committed->entry_count : 0;
    size_t total = committed_count + (touched ? touched->entry_count : 0);

    while (*position < total) {
        bool is_committed = *position < committed_count;
        const struct map_entry *entry =
            is_committed ? &committed->entries[*position] : &touched->entries[*position - committed_count];
        const struct state_mutation *mutation;

        ++*position;
        if (!entry->key)
            continue;
        *ret_cell = cell_of_map_key(scratch, multimap, entry);
        mutation = map_get(&overlay->mutations, ret_cell->data, ret_cell->size);
        if (is_committed ? !mutation || !mutation->cleared || mutation->has_appended
                         : mutation->has_appended && !map_get(&state->cells, ret_cell->data, ret_cell->size))
            return entry;
    }
    return NULL;
}

void multimap_read_keys(const struct user_state *state, const struct state_overlay *overlay, struct slice cell,
                        uint64_t *position, size_t limit, struct buf *out, bool *ret_more) {
    const struct map_entry *key;
    struct buf scratch = {0};
    struct slice one;

    *ret_more = false;
    while ((key = multimap_next_key(state, overlay, cell, position, &scratch, &one))) {
        if (out->size >= limit) {
            --*position;
            *ret_more = true;
            break;
        }
        buf_add(out, key->key, key->key_size);
    }
    buf_clear(&scratch);
}

void multimap_clear(const struct user_state *state, struct state_overlay *overlay, struct slice cell) {
    const struct map *indices[] = {map_get(&state->multimaps, cell.data, cell.size),
                                   map_get(&overlay->multimaps, cell.data, cell.size)};
    struct buf scratch = {0};

    for (size_t i = 0; i < ARRAY_COUNT(indices); i++)
        for (size_t j = 0; indices[i] && j < indices[i]->entry_count; j++)
            if (indices[i]->entries[j].key)
                state_overlay_clear_cell(overlay, cell_of_map_key(&scratch, cell, &indices[i]->entries[j]));
    buf_clear(&scratch);
}

void user_state_remove(struct user_state *state, struct slice cell) {
    struct map *index = map_remove(&state->multimaps, cell.data, cell.size);
    struct buf scratch = {0};

    chain_free(map_remove(&state->cells, cell.data, cell.size));
    for (size_t i = 0; index && i < index->entry_count; i++)
        if (index->entries[i].key) {
            struct slice one = cell_of_map_key(&scratch, cell, &index->entries[i]);

            chain_free(map_remove(&state->cells, one.data, one.size));
        }
    index_free(index);
    buf_clear(&scratch);
}
