/* Which stage gets a free slot next, and how much of its input.
 *
 * Splittable DoFns of a stream, which may never run out of work, come behind all else that is worth a bundle, by turns.
 *
 * A stage of a stream, a stage whose input is complete, or one that has a full bundle waiting, comes before one that would get a crumb;
 * among the former the one nearest to the end of the graph (it frees memory), among the latter the one nearest to the start (it makes
 * bundles fuller). */
#include <stdlib.h>

#include "engine/internal.h"
#include "engine/shards.h"
#include "engine/sorted.h"

bool stage_side_inputs_are_ready(const struct engine *engine, const struct stage *stage) {
    for (size_t i = 0; i < stage->plan->side_input_count; i++) {
        unsigned producer = engine->plan->collections[stage->plan->side_inputs[i].collection].producer;

        if (stage->views[i]->live)
            continue; /* elements have waited at the stage's gate */
        if (!engine->stages[producer].is_done || !backlog_is_empty(stage->views[i]->backlog))
            return false;
    }
    return true;
}

static bool stage_has_work(const struct engine *engine, struct stage *stage, const struct worker_slot *worker) {
    return stage->plan->kind == PLAN_EXECUTABLE && !stage->is_done &&
           (stage->retries.count || stage->queue.count || shards_have_work(engine, stage, worker)) &&
           stage_side_inputs_are_ready(engine, stage);
}

/* The stage that this worker is to run next, or NULL. */
static struct stage *pick_stage(struct engine *engine, const struct worker_slot *worker) {
    struct stage *crumbs = NULL, *endless = NULL;

    for (size_t i = engine->plan->stage_count; i-- > 0;) {
        struct stage *stage = &engine->stages[i];

        if (stage->plan->environment != worker->environment || !stage_has_work(engine, stage, worker))
            continue;
        if (stage_may_never_end(stage)) {
            if (!endless || stage->last_bundle < endless->last_bundle)
                endless = stage;
            continue;
        }
        if (stage->retries.count || stage_is_streaming(stage) || stage_inputs_are_done(engine, stage) ||
            stage->queue.bytes + stage->shard_bytes >= engine->options.bundle_bytes)
            return stage;
        crumbs = stage;
    }
    return endless ? endless : crumbs;
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

/* How much one bundle may be given. */
struct share {
    size_t bytes;
    uint64_t count;
};

/* In a stream a few elements are not worth several bundles, and what a bundle puts out is seen only when it ends. */
enum { STREAM_MIN_ELEMENTS = 64, STREAM_MAX_RESTRICTIONS = 256 };

/* A share of what waits, so that every slot gets some, up to the target size. Neither the number of elements nor their bytes say how much work
 * they are, so it gets at most its share of either. Elements of a splittable DoFn's process transform stand for work that has nothing to do
 * with their bytes, so only their number is shared out. */
static struct share share_of_waiting(const struct engine *engine, const struct stage *stage, unsigned slots) {
    uint64_t waiting_count = stage->queue.count + stage->shard_count;
    size_t waiting_bytes = stage->queue.bytes + stage->shard_bytes;
    size_t most = stage_is_streaming(stage) ? engine->options.stream_bundle_bytes : engine->options.bundle_bytes;
    struct share share = {.bytes = MIN(most, waiting_bytes / slots + (waiting_bytes % slots != 0)),
                          .count = waiting_count / slots + (waiting_count % slots != 0)};

    if (stage->plan->process_transform_id && slots > 1)
        share.bytes = engine->options.bundle_bytes;
    if (!stage_is_streaming(stage))
        return share;
    if (stage->plan->process_transform_id) {
        share.count = MIN(share.count, (uint64_t)STREAM_MAX_RESTRICTIONS);
    } else if (waiting_count <= (uint64_t)STREAM_MIN_ELEMENTS * slots) {
        share.count = MAX(share.count, (uint64_t)STREAM_MIN_ELEMENTS);
        share.bytes = most;
    }
    return share;
}

void engine_claim(struct engine *engine, struct stage *stage, struct claim *claim) {
    struct share share = share_of_waiting(engine, stage, environment_slots(engine, stage->plan->environment));

    claim_take(claim, &stage->queue, stage_source_coder(engine, stage), share.bytes, share.count);
}

/* The input of the next bundle. */
static struct claim *next_claim(struct engine *engine, struct stage *stage, const struct worker_slot *worker) {
    unsigned slots = environment_slots(engine, stage->plan->environment);
    struct claim *claim;

    if (stage->retries.count) {
        claim = stage->retries.items[0];
        stage->retries.count--;
        memmove(stage->retries.items, stage->retries.items + 1, stage->retries.count * sizeof(claim));
        return claim;
    }
    claim = claim_create();
    claim->is_truncated = drain_truncates(engine, stage);
    if (stage->shards)
        shards_claim(engine, stage, worker, claim, MAX(share_of_waiting(engine, stage, slots).bytes, (size_t)1), slots);
    else
        engine_claim(engine, stage, claim);
    return claim;
}

/* Fills the worker's slots. Returns whether it got a bundle. */
static bool fill_worker(struct engine *engine, size_t i) {
    bool has_started = false;

    while (!engine->is_over) {
        /* By index: starting a bundle may not add workers, but makes no promise about the array's place. */
        struct worker_slot *worker = &engine->workers.items[i];
        struct stage *stage;

        if (worker->is_lost || worker->busy >= worker->slots)
            break;
        stage = pick_stage(engine, worker);
        if (!stage)
            break;
        bundle_start(engine, stage, next_claim(engine, stage, worker), worker, 0);
        has_started = true;
    }
    return has_started;
}

void engine_schedule(struct engine *engine) {
    bool has_started = true;

    ahead_settle(engine);
    for (size_t i = 0; i < engine->plan->stage_count; i++)
        sorted_prepare(engine, &engine->stages[i], environment_slots(engine, engine->plan->stages[i].environment) + 1);
    /* Once a worker's slots are full, what is at home there is free for those that were looked at before. */
    while (has_started) {
        has_started = false;
        for (size_t i = 0; i < engine->workers.count; i++)
            has_started |= fill_worker(engine, i);
    }
}
