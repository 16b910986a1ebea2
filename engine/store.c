#include "engine/store.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "engine/internal.h"

struct fetch {
    uint64_t first_load; /* the loads are numbered from here on, in the order of the extents */
    struct extent **extents;
    struct slice *bytes;
    bool *is_there;
    size_t count, missing;
    fetch_fn done;
    void *owner;
};

/* ---- extents ---- */

struct extent *extent_create(struct engine *engine, const struct slice *pieces, size_t count) {
    struct store *store = &engine->store;
    struct extent *extent = xcalloc(1, sizeof(*extent));
    struct engine_action *action;

    extent->engine = engine;
    extent->id = ++store->next_extent;
    extent->refs = 1;
    for (size_t i = 0; i < count; i++)
        extent->size += pieces[i].size;
    map_set(&store->extents, &extent->id, sizeof(extent->id), extent);
    store->storing_bytes += extent->size;
    action = engine_add_action(engine, ENGINE_ACTION_STORE);
    action->extent = extent->id;
    action->pieces = xcalloc(count, sizeof(*pieces));
    memcpy(action->pieces, pieces, count * sizeof(*pieces));
    action->piece_count = count;
    return extent;
}

struct extent *extent_ref(struct extent *extent) {
    if (extent)
        extent->refs++;
    return extent;
}

/* Not while it is being written: the host gets one order after the other. */
static void drop(struct extent *extent) {
    struct engine *engine = extent->engine;

    if (!engine->is_over)
        engine_add_action(engine, ENGINE_ACTION_DROP)->extent = extent->id;
    map_remove(&engine->store.extents, &extent->id, sizeof(extent->id));
    free(extent);
}

void extent_unref(struct extent *extent) {
    if (extent && --extent->refs == 0 && extent->is_stored)
        drop(extent);
}

struct extent *extent_by_id(const struct store *store, uint64_t id) {
    return map_get(&store->extents, &id, sizeof(id));
}

void store_stored(struct engine *engine, uint64_t id) {
    struct extent *extent = extent_by_id(&engine->store, id);

    if (!extent || extent->is_stored)
        return;
    extent->is_stored = true;
    engine->store.storing_bytes -= extent->size;
    if (extent->refs == 0)
        drop(extent);
}

/* ---- fetches ---- */

struct fetch *fetch_start(struct engine *engine, struct extent *const *extents, size_t count, fetch_fn done,
                          void *owner) {
    struct fetch *fetch = xcalloc(1, sizeof(*fetch));

    assert(count);
    fetch->first_load = engine->store.next_load;
    fetch->extents = xcalloc(count, sizeof(struct extent *));
    fetch->bytes = xcalloc(count, sizeof(*fetch->bytes));
    fetch->is_there = xcalloc(count, sizeof(*fetch->is_there));
    fetch->count = fetch->missing = count;
    fetch->done = done;
    fetch->owner = owner;
    engine->store.next_load += count;
    vec_push(&engine->store.fetches, fetch);
    for (size_t i = 0; i < count; i++) {
        struct engine_action *action = engine_add_action(engine, ENGINE_ACTION_LOAD);

        fetch->extents[i] = extent_ref(extents[i]);
        action->extent = extents[i]->id;
        action->token = fetch->first_load + i;
    }
    return fetch;
}

static void fetch_free(struct fetch *fetch) {
    for (size_t i = 0; i < fetch->count; i++) {
        extent_unref(fetch->extents[i]);
        slice_unref(&fetch->bytes[i]);
    }
    free(fetch->extents);
    free(fetch->bytes);
    free(fetch->is_there);
    free(fetch);
}

static void fetch_remove(struct store *store, struct fetch *fetch) {
    for (size_t i = 0; i < store->fetches.count; i++)
        if (store->fetches.items[i] == fetch) {
            store->fetches.items[i] = *vec_last(&store->fetches);
            store->fetches.count--;
            return;
        }
}

void fetch_cancel(struct engine *engine, struct fetch *fetch) {
    if (!fetch)
        return;
    fetch_remove(&engine->store, fetch);
    fetch_free(fetch);
}

void store_loaded(struct engine *engine, uint64_t load, struct slice bytes) {
    CLEANUP_SLICE struct slice owned = bytes;

    vec_foreach (entry, &engine->store.fetches) {
        struct fetch *fetch = *entry;
        size_t i = (size_t)(load - fetch->first_load);

        if (load < fetch->first_load || i >= fetch->count || fetch->is_there[i])
            continue;
        assert(bytes.size == fetch->extents[i]->size);
        fetch->bytes[i] = slice_ref(bytes);
        fetch->is_there[i] = true;
        if (--fetch->missing == 0) {
            fetch_remove(&engine->store, fetch);
            fetch->done(engine, fetch->owner, fetch->bytes, fetch->count);
            fetch_free(fetch);
        }
        return;
    }
}

void store_clear(struct engine *engine) {
    while (engine->store.fetches.count)
        fetch_cancel(engine, engine->store.fetches.items[0]);
    vec_free(&engine->store.fetches);
    map_clear(&engine->store.extents, free);
}
