/* Bundles of streams that are opened ahead of their input, so that the harness has everything ready when it comes.
 *
 * Two things are known a little before they happen, while a slot is idle:
 *
 *   a restriction's time comes      the bundle is opened open_ahead_ms before, and given its input on time
 *   a bundle is about to end        all of its output has ended and only the response is missing: where its commits have led to input for another
 *                                   stage before, that stage's next bundle is opened, and given what the commit leads to
 *
 * A bundle that was opened takes one of its worker's slots, which has to be free. The second kind begins without a claim's items; it takes
 * what waits once the bundle before it is gone, and where there is nothing it ends empty, and its kind is not opened again until a commit
 * has led to input once more. Nothing is visible before a commit in either case: what is ahead is the request to process, not the data.
 *
 * Not for keyed stages, whose claims are shards and may carry cache tokens, nor by the clock of TestStreams. */
#include "engine/internal.h"

static bool opens_ahead(const struct engine *engine) {
    return engine->options.open_ahead_ms > 0 && !engine->stream_count && !engine->is_draining;
}

/* ---- restrictions ---- */

event_time ahead_of_residual(const struct engine *engine, const struct stage *stage, event_time due_ms) {
    bool is_idle = stage->queue.count == 0 && stage->running == 0 && stage->retries.count == 0;

    return opens_ahead(engine) && stage_is_streaming(stage) && is_idle
               ? time_add(due_ms, -engine->options.open_ahead_ms)
               : due_ms;
}

/* ---- what follows ---- */

/* The stage that the bundle's output reaches first, or NULL. */
static struct stage *find_follower(const struct engine *engine, const struct stage *stage) {
    for (unsigned depth = 0; depth < engine->plan->stage_count; depth++) {
        const struct plan_stage *plan = stage->plan;
        unsigned collection;

        if (plan->kind == PLAN_EXECUTABLE ? plan->sink_count != 1 : plan->output_count != 1)
            return NULL;
        collection = plan->kind == PLAN_EXECUTABLE ? plan->sinks[0].collection : plan->outputs[0];
        if (engine->plan->collections[collection].consumer_count != 1)
            return NULL;
        stage = &engine->stages[engine->plan->collections[collection].consumers[0]];
        if (stage->plan->kind == PLAN_EXECUTABLE)
            return stage_is_streaming(stage) && !stage->shards && !stage->plan->process_transform_id
                       ? (struct stage *)stage
                       : NULL;
    }
    return NULL;
}

void ahead_open_follower(struct engine *engine, const struct bundle *bundle) {
    struct stage *follower;
    struct worker_slot *worker;

    if (!opens_ahead(engine) || !bundle->stage->leads_on || bundle->awaited)
        return;
    follower = find_follower(engine, bundle->stage);
    worker = engine_worker(engine, bundle->worker);
    if (!follower || !worker || worker->is_lost || follower->plan->environment != worker->environment ||
        worker->busy >= worker->slots || follower->running || follower->queue.count || follower->retries.count ||
        !stage_side_inputs_are_ready(engine, follower))
        return;
    bundle_start(engine, follower, claim_create(), worker, bundle->id);
}

void ahead_committed(struct stage *stage) {
    stage->has_committed = true;
}

void ahead_settle(struct engine *engine) {
    for (size_t i = 0; i < engine->plan->stage_count; i++) {
        struct stage *stage = &engine->stages[i];
        const struct stage *follower;

        if (!stage->has_committed)
            continue;
        stage->has_committed = false;
        follower = opens_ahead(engine) && stage_is_streaming(stage) ? find_follower(engine, stage) : NULL;
        stage->leads_on = follower && follower->queue.count;
    }
    for (size_t i = 0; i < engine->running.count && !engine->is_over; i++) {
        struct bundle *bundle = engine->running.items[i];

        if (!bundle->awaited || map_get(&engine->bundles, &bundle->awaited, sizeof(bundle->awaited)))
            continue;
        bundle->awaited = 0;
        engine_claim(engine, bundle->stage, bundle->claim);
        bundle_send(engine, bundle);
    }
}
