/* Commits put into effect. */
#include "engine/internal.h"

void claim_release(struct stage *stage, struct claim *claim) {
    vec_foreach (shard, &claim->shards)
        stage->shards[*shard].is_busy = false;
    claim_free(claim);
}

void stage_add_residual(struct engine *engine, struct stage *stage, const struct claim *claim, struct slice element,
                        int64_t delay_ms, event_time hold, bool is_unbounded) {
    struct input_item item = {.run = {.bytes = element, .count = 1}, .least_ms = hold};
    struct delayed_residual delayed = {.due_ms = time_add(engine_clock(engine), delay_ms), .item = item};

    if (drain_takes(engine, stage, claim, item, is_unbounded))
        return;
    if (delay_ms == 0) {
        input_queue_push(&stage->queue, item);
        return;
    }
    vec_push(&stage->delayed, delayed);
    engine->needs_wake = true;
}

/* Each run is let go before the next: a grouping copies what it gets, and both together need not be there at once. */
static void deliver_output(struct engine *engine, unsigned collection, struct run_list *output) {
    vec_foreach (run, &output->runs) {
        engine_deliver(engine, collection, run);
        run_clear(run);
    }
    run_list_clear(output);
}

void engine_apply_commit(struct engine *engine, struct bundle_commit *commit, const struct claim *claim) {
    struct stage *stage = &engine->stages[commit->stage];

    tally_commit(&engine->tally, commit);
    ahead_committed(stage);
    for (size_t i = 0; i < commit->output_count; i++) {
        unsigned collection = stage->plan->sinks[i].collection;

        deliver_output(engine, collection, &commit->outputs[i]);
        if (commit->groups && commit->groups[i])
            group_join(engine->stages[engine->plan->collections[collection].consumers[0]].group, commit->groups[i]);
    }
    map_foreach (entry, &commit->state.mutations)
        state_apply(&stage->state, engine->options.account, slice_of_static(entry->key, entry->key_size), entry->value);
    firing_apply_timers(engine, stage, commit, claim);
    vec_foreach (residual, &commit->residuals)
        stage_add_residual(engine, stage, claim, slice_ref(residual->element), residual->delay_ms, residual->hold,
                           residual->is_unbounded);
    engine->needs_schedule = true;
}
