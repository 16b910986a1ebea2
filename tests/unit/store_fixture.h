/* An engine of which only the store is used, and a disk beside it that the test works by hand: what STORE hands out is kept, and given back
 * when the test says so. */
#ifndef TESTS_UNIT_STORE_FIXTURE_H
#define TESTS_UNIT_STORE_FIXTURE_H

#include "engine/internal.h"
#include "tests/unit/fixtures.h"

/* Asked for and not answered. */
struct load {
    uint64_t extent;
    uint64_t token;
};

struct disk {
    struct engine engine;
    struct map extents; /* id -> struct slice *, what was stored and not dropped */
    VEC(struct load) loads;
    VEC(uint64_t) stored; /* handed out, the engine does not yet know that they are written */
    size_t stores, drops;
};

static inline void disk_keep(struct disk *disk, const struct engine_action *action) {
    struct slice *bytes = xmalloc(sizeof(*bytes));
    struct buf all = {0};

    for (size_t i = 0; i < action->piece_count; i++)
        buf_add(&all, action->pieces[i].data, action->pieces[i].size);
    *bytes = buf_finish(&all);
    ck_assert_ptr_null(map_set(&disk->extents, &action->extent, sizeof(action->extent), bytes));
    vec_push(&disk->stored, action->extent);
    disk->stores++;
}

static inline void disk_forget(struct disk *disk, uint64_t extent) {
    struct slice *bytes = map_remove(&disk->extents, &extent, sizeof(extent));

    if (!bytes)
        ck_abort_msg("extent %llu is dropped twice, or was never stored", (unsigned long long)extent);
    vec_foreach (entry, &disk->stored)
        if (*entry == extent)
            ck_abort_msg("extent %llu is dropped before it is written", (unsigned long long)extent);
    slice_unref(bytes);
    free(bytes);
    disk->drops++;
}

/* Takes the engine's actions: only those of the store may come. */
static inline void disk_work(struct disk *disk) {
    struct engine_action action;

    while (engine_next_action(&disk->engine, &action)) {
        struct load load = {action.extent, action.token};

        switch (action.type) {
        case ENGINE_ACTION_STORE:
            disk_keep(disk, &action);
            break;
        case ENGINE_ACTION_LOAD:
            vec_push(&disk->loads, load);
            break;
        case ENGINE_ACTION_DROP:
            disk_forget(disk, action.extent);
            break;
        default:
            ck_abort_msg("action %d", (int)action.type);
        }
        engine_action_clear(&action);
    }
}

/* Everything that was handed out is written. */
static inline void disk_write_all(struct disk *disk) {
    disk_work(disk);
    while (disk->stored.count) {
        uint64_t extent = disk->stored.items[--disk->stored.count];

        store_stored(&disk->engine, extent);
        disk_work(disk);
    }
}

/* Borrowed. */
static inline struct slice disk_bytes(const struct disk *disk, uint64_t extent) {
    const struct slice *bytes = map_get(&disk->extents, &extent, sizeof(extent));

    ck_assert_msg(bytes != NULL, "extent %llu is not there", (unsigned long long)extent);
    return *bytes;
}

/* Answers load `i` of those under way. */
static inline void disk_answer(struct disk *disk, size_t i) {
    struct load load = disk->loads.items[i];
    struct slice bytes = slice_ref(disk_bytes(disk, load.extent));

    disk->loads.items[i] = *vec_last(&disk->loads);
    disk->loads.count--;
    store_loaded(&disk->engine, load.token, bytes);
    disk_work(disk);
}

static inline void disk_close(struct disk *disk) {
    disk_work(disk);
    disk->engine.is_over = true;
    store_clear(&disk->engine);
    vec_free(&disk->engine.actions);
    map_foreach (entry, &disk->extents)
        slice_unref(entry->value);
    map_clear(&disk->extents, free);
    vec_free(&disk->loads);
    vec_free(&disk->stored);
}

#endif
