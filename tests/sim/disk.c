#include "disk.h"

#include <inttypes.h>
#include <stdlib.h>

#include "world.h"

struct disk_extent {
    struct slice bytes;
    bool is_written;
    event_time written_at;
};

void disk_choose(struct world *world) {
    static const unsigned pressures[] = {0, 0, 20, 60, 100};
    struct rng *rng = &world->rng;

    world->disk.pressure = pressures[rng_below(rng, ARRAY_COUNT(pressures))];
    world->disk.max_excess = (size_t)1 << rng_between(rng, 6, 18);
    world->disk.fail_permille = rng_chance(rng, 5) ? 10 : 0;
}

static void post(struct world *world, event_time at, struct engine_event event) {
    if (rng_permille(&world->rng, world->disk.fail_permille)) {
        slice_unref(&event.bytes);
        event =
            (struct engine_event){.type = ENGINE_EVENT_STORE_FAILED, .error = xstrdup("No space left on the device")};
    }
    world_post(world, at, event, false);
}

static void store(struct world *world, struct engine_action *action) {
    struct disk_extent *extent = xcalloc(1, sizeof(*extent));
    struct engine_event stored = {.type = ENGINE_EVENT_STORED, .extent = action->extent};
    struct buf bytes = {0};

    for (size_t i = 0; i < action->piece_count; i++)
        buf_add(&bytes, action->pieces[i].data, action->pieces[i].size);
    extent->bytes = buf_finish(&bytes);
    extent->written_at = world->now + world_delay(world);
    world->disk.stored++;
    if (map_set(&world->disk.extents, &action->extent, sizeof(action->extent), extent))
        world_violation(world, "extent %" PRIu64 " is stored twice", action->extent);
    post(world, extent->written_at, stored);
}

static void load(struct world *world, const struct engine_action *action) {
    const struct disk_extent *extent = map_get(&world->disk.extents, &action->extent, sizeof(action->extent));
    struct engine_event loaded = {.type = ENGINE_EVENT_LOADED, .token = action->token};

    if (!extent) {
        world_violation(world, "extent %" PRIu64 " is loaded but not there", action->extent);
        return;
    }
    world->disk.loaded++;
    loaded.bytes = slice_ref(extent->bytes);
    post(world, MAX(extent->written_at, world->now) + world_delay(world), loaded);
}

static void drop(struct world *world, const struct engine_action *action) {
    struct disk_extent *extent = map_remove(&world->disk.extents, &action->extent, sizeof(action->extent));

    if (!extent || !extent->is_written)
        world_violation(world, "extent %" PRIu64 " is dropped but not there, or not yet written", action->extent);
    if (extent)
        slice_unref(&extent->bytes);
    free(extent);
}

void disk_action(struct world *world, struct engine_action *action) {
    if (action->type == ENGINE_ACTION_STORE)
        store(world, action);
    else if (action->type == ENGINE_ACTION_LOAD)
        load(world, action);
    else
        drop(world, action);
}

void disk_note_event(struct world *world, struct engine_event *event) {
    struct disk_extent *extent;

    if (rng_chance(&world->rng, world->disk.pressure))
        event->excess_bytes = 1 + rng_below(&world->rng, world->disk.max_excess);
    if (event->type == ENGINE_EVENT_STORE_FAILED)
        world->disk.has_failed = true;
    if (event->type != ENGINE_EVENT_STORED)
        return;
    extent = map_get(&world->disk.extents, &event->extent, sizeof(event->extent));
    if (extent)
        extent->is_written = true;
}

void disk_check_end(struct world *world) {
    map_foreach (entry, &world->disk.extents)
        if (((struct disk_extent *)entry->value)->is_written)
            world_violation(world, "the job is done and an extent of %zu bytes was not dropped",
                            ((struct disk_extent *)entry->value)->bytes.size);
}

static void free_extent(void *value) {
    if (value)
        slice_unref(&((struct disk_extent *)value)->bytes);
    free(value);
}

void disk_clear(struct disk *disk) {
    map_clear(&disk->extents, free_extent);
}
