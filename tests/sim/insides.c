#include "insides.h"

#include <inttypes.h>
#include <stdlib.h>

#include "engine/internal.h"

static void check_queue(struct world *world, const struct stage *stage, const struct input_queue *queue) {
    uint64_t count = 0;
    size_t bytes = 0;

    for (size_t i = queue->head; i < queue->items.count; i++) {
        const struct input_item *item = &queue->items.items[i];

        count += input_item_count(item);
        bytes += input_item_bytes(item);
        if (item->bucket ? item->partition != NULL : item->run.extent && item->run.bytes.size)
            world_violation(world, "stage %u: a stored item waits and is in memory", stage->plan->index);
    }
    if (count != queue->count || bytes != queue->bytes)
        world_violation(world, "stage %u: %" PRIu64 " elements of %zu bytes wait, said to be %" PRIu64 " of %zu",
                        stage->plan->index, count, bytes, queue->count, queue->bytes);
}

static void check_timers(struct world *world, const struct stage *stage, const struct timer_set *set) {
    size_t counts[2] = {0};

    map_foreach (entry, &set->by_key) {
        const struct timer_key *key = entry->value;

        for (int domain = 0; domain < 2; domain++)
            counts[domain] += key->by_domain[domain].timers.count;
    }
    if (counts[0] != set->counts[0] || counts[1] != set->counts[1] || set->by_identity.count != counts[0] + counts[1])
        world_violation(world, "stage %u: %zu and %zu timers, said to be %zu and %zu, or %zu", stage->plan->index,
                        counts[0], counts[1], set->counts[0], set->counts[1], set->by_identity.count);
}

/* A shard is busy as long as one claim, of a bundle or to be retried, has it. */
static void check_shards(struct world *world, const struct engine *engine, const struct stage *stage) {
    unsigned *claims = xcalloc(engine->options.key_shards, sizeof(*claims));
    bool is_sorting = false;
    uint64_t count = 0;
    size_t bytes = 0;

    vec_foreach (bundle, &engine->running)
        if ((*bundle)->stage == stage)
            vec_foreach (number, &(*bundle)->claim->shards)
                claims[*number]++;
    vec_foreach (claim, &stage->retries)
        vec_foreach (number, &(*claim)->shards)
            claims[*number]++;
    for (unsigned i = 0; i < engine->options.key_shards; i++) {
        const struct key_shard *shard = &stage->shards[i];

        if (claims[i] != (unsigned)shard->is_busy)
            world_violation(world, "stage %u: shard %u is in %u claims", stage->plan->index, i, claims[i]);
        check_queue(world, stage, &shard->queue);
        check_timers(world, stage, &shard->timers);
        count += shard->queue.count;
        bytes += shard->queue.bytes;
        is_sorting |= shard->sorted != NULL;
    }
    if (is_sorting ? count > stage->shard_count || bytes > stage->shard_bytes
                   : count != stage->shard_count || bytes != stage->shard_bytes)
        world_violation(world, "stage %u: %" PRIu64 " elements of %zu bytes in shards, said to be %" PRIu64 " of %zu",
                        stage->plan->index, count, bytes, stage->shard_count, stage->shard_bytes);
    free(claims);
}

static void check_running(struct world *world, const struct engine *engine) {
    for (size_t i = 0; i < engine->plan->stage_count; i++) {
        unsigned running = 0;

        vec_foreach (bundle, &engine->running)
            running += (*bundle)->stage == &engine->stages[i];
        if (running != engine->stages[i].running)
            world_violation(world, "stage %zu: %u bundles run, said to be %u", i, running, engine->stages[i].running);
    }
    vec_foreach (worker, &engine->workers) {
        unsigned busy = 0;

        vec_foreach (bundle, &engine->running)
            busy += (*bundle)->worker == worker->number;
        if (busy != worker->busy)
            world_violation(world, "worker %u: %u bundles run, said to be %u", worker->number, busy, worker->busy);
    }
}

/* Extents being written; and each fetch has somebody who waits for it. */
static void check_store(struct world *world, const struct engine *engine) {
    size_t storing = 0, owned = 0;

    map_foreach (entry, &engine->store.extents)
        storing += ((const struct extent *)entry->value)->is_stored ? 0 : ((const struct extent *)entry->value)->size;
    if (storing != engine->store.storing_bytes)
        world_violation(world, "%zu bytes are being stored, said to be %zu", storing, engine->store.storing_bytes);
    vec_foreach (bundle, &engine->running)
        owned += ((*bundle)->fetch != NULL) + (*bundle)->late_replies.count;
    for (size_t i = 0; i < engine->plan->stage_count; i++)
        owned += (engine->stages[i].arriving.fetch != NULL) + (engine->stages[i].leaving.fetch != NULL);
    vec_foreach (view, &engine->views)
        owned += (*view)->backlog->fetch != NULL;
    if (owned > engine->store.fetches.count)
        world_violation(world, "%zu wait for what is stored, and %zu reads are under way", owned,
                        engine->store.fetches.count);
}

void insides_check(struct world *world) {
    const struct engine *engine = world->engine;

    for (size_t i = 0; i < engine->plan->stage_count; i++) {
        check_queue(world, &engine->stages[i], &engine->stages[i].queue);
        if (engine->stages[i].shards && !engine->stages[i].is_done)
            check_shards(world, engine, &engine->stages[i]);
    }
    check_running(world, engine);
    check_store(world, engine);
}
