/* Which stage gets a free slot next, and how much of its input.
 *
 * A stage whose input is complete, or that has a full bundle waiting, comes before one that would get a crumb; among the former
 * the one nearest to the end of the graph (it frees memory), among the latter the one nearest to the start (it makes bundles
 * fuller). */
#include <stdlib.h>

#include "engine/internal.h"

/* A bounded stage reads its side inputs when they are complete. */
static bool side_inputs_are_ready(const struct engine *engine, const struct stage *stage) {
    for (size_t i = 0; i < stage->plan->side_input_count; i++) {
        unsigned producer = engine->plan->collections[stage->plan->side_inputs[i].collection].producer;

        if (!engine->stages[producer].is_done || !backlog_is_empty(stage->views[i]->backlog))
            return false;
    }
    return true;
}

static bool shard_has_work(const struct engine *engine, struct stage *stage, struct key_shard *shard) {
    return !shard->is_busy && (shard->queue.count || firing_is_due(engine, stage, shard));
}

static unsigned shards_with_work(const struct engine *engine, struct stage *stage) {
    unsigned count = 0;

    for (unsigned i = 0; stage->shards && i < engine->options.key_shards; i++)
        count += shard_has_work(engine, stage, &stage->shards[i]);
    return count;
}

static bool stage_has_work(const struct engine *engine, struct stage *stage) {
    return stage->plan->kind == PLAN_EXECUTABLE && !stage->is_done &&
           (stage->retries.count || stage->queue.count || shards_with_work(engine, stage)) &&
           side_inputs_are_ready(engine, stage);
}

/* The stage of this environment to run next, or NULL. */
static struct stage *pick_stage(struct engine *engine, unsigned environment) {
    struct stage *crumbs = NULL;

    for (size_t i = engine->plan->stage_count; i-- > 0;) {
        struct stage *stage = &engine->stages[i];

        if (stage->plan->environment != environment || !stage_has_work(engine, stage))
            continue;
        if (stage->retries.count || stage_inputs_are_done(engine, stage) ||
            stage->queue.bytes + stage->shard_bytes >= engine->options.bundle_bytes)
            return stage;
        crumbs = stage;
    }
    return crumbs;
}

static unsigned environment_slots(const struct engine *engine, unsigned environment) {
    unsigned slots = 0;

    vec_foreach (worker, &engine->workers)
        if (!worker->is_lost && worker->environment == environment)
            slots += worker->slots;
    if (environment < engine->plan->environment_count)
        slots = MAX(slots, engine->environment_slots[environment]);
    return MAX(slots, 1u);
}

/* Shards with timers to fire count as much as those with elements, so that each slot gets its share of both. */
static void claim_shards(struct engine *engine, struct stage *stage, struct claim *claim, size_t max_bytes,
                         unsigned slots) {
    const struct coder *coder = engine->plan->collections[stage->plan->source.collection].coder;
    unsigned max_shards = (shards_with_work(engine, stage) + slots - 1) / slots;

    for (unsigned i = 0; i < engine->options.key_shards && claim->bytes < max_bytes && claim->shards.count < max_shards;
         i++) {
        struct key_shard *shard = &stage->shards[i];
        size_t bytes = claim->bytes;
        uint64_t count = claim->count;

        /* A key has either elements or due timers in one bundle: the SDK's order between them is not defined (MODEL 7.7). */
        if (!shard_has_work(engine, stage, shard))
            continue;
        if (shard->queue.count)
            claim_take(claim, &shard->queue, coder, max_bytes, UINT64_MAX);
        else
            firing_take(engine, stage, shard, claim);
        shard->is_busy = true;
        vec_push(&claim->shards, i);
        stage->shard_bytes -= claim->bytes - bytes;
        stage->shard_count -= claim->count - count;
    }
}

/* The input of the next bundle: a share of what waits, so that every slot gets some, up to the target size. Neither the number of elements
 * nor their bytes say how much work they are, so it gets at most its share of either. Elements of a splittable DoFn's process transform
 * stand for work that has nothing to do with their bytes, so only their number is shared out. */
static struct claim *next_claim(struct engine *engine, struct stage *stage) {
    const struct coder *coder = engine->plan->collections[stage->plan->source.collection].coder;
    unsigned slots = environment_slots(engine, stage->plan->environment);
    uint64_t waiting_count = stage->queue.count + stage->shard_count;
    size_t waiting_bytes = stage->queue.bytes + stage->shard_bytes;
    size_t max_bytes = MIN(engine->options.bundle_bytes, waiting_bytes / slots + (waiting_bytes % slots != 0));
    uint64_t max_count = waiting_count / slots + (waiting_count % slots != 0);
    struct claim *claim;

    if (stage->retries.count) {
        claim = stage->retries.items[0];
        stage->retries.count--;
        memmove(stage->retries.items, stage->retries.items + 1, stage->retries.count * sizeof(claim));
        return claim;
    }
    claim = xcalloc(1, sizeof(*claim));
    if (stage->plan->process_transform_id && slots > 1)
        max_bytes = engine->options.bundle_bytes;
    if (stage->shards)
        claim_shards(engine, stage, claim, MAX(max_bytes, (size_t)1), slots);
    else
        claim_take(claim, &stage->queue, coder, max_bytes, max_count);
    return claim;
}

void engine_schedule(struct engine *engine) {
    /* By index: starting a bundle may not add workers, but makes no promise about the array's place. */
    for (size_t i = 0; i < engine->workers.count; i++) {
        while (!engine->is_over) {
            struct worker_slot *worker = &engine->workers.items[i];
            struct stage *stage;

            if (worker->is_lost || worker->busy >= worker->slots)
                break;
            stage = pick_stage(engine, worker->environment);
            if (!stage)
                break;
            bundle_start(engine, stage, next_claim(engine, stage), worker);
        }
    }
}
