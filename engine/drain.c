/* Draining (MODEL 9.12, 14.2): sources stop, and everything that they have given is finished as if it were all there ever was.
 *
 * What a splittable DoFn has not yet done goes to the stage that truncates, if its SDK has one, and comes back finite; of an SDK that has none
 * unbounded restrictions are dropped. Restrictions that run are checkpointed at once; what comes back of them goes the same way, unless it
 * is said to be bounded. Each is truncated once: users' truncations may well give a restriction a piece at its end. TestStreams end. Then
 * watermarks run to the end, and no timer waits for processing time. */
#include "engine/internal.h"
#include "engine/teststream.h"

static struct stage *truncating_stage(struct engine *engine, const struct stage *stage) {
    return stage->plan->truncate_stage == PLAN_NONE ? NULL : &engine->stages[stage->plan->truncate_stage];
}

bool drain_truncates(const struct engine *engine, const struct stage *stage) {
    return engine->is_draining && stage->plan->truncate_stage != PLAN_NONE;
}

bool drain_takes(struct engine *engine, struct stage *stage, const struct claim *claim, struct input_item item,
                 bool is_unbounded) {
    if (!engine->is_draining || !is_unbounded || !stage_may_never_end(stage) || claim->is_truncated)
        return false;
    if (drain_truncates(engine, stage))
        input_queue_push(&truncating_stage(engine, stage)->queue, item);
    else
        input_item_clear(&item);
    engine->needs_schedule = true;
    return true;
}

struct input_queue *drain_queue(struct engine *engine, struct stage *stage, const struct claim *claim) {
    return drain_truncates(engine, stage) && !claim->is_truncated ? &truncating_stage(engine, stage)->queue
                                                                  : &stage->queue;
}

bool drain_admits(const struct engine *engine, const struct plan_collection *collection, const struct stage *consumer) {
    bool is_truncated = consumer->plan->is_for_drain;

    for (size_t i = 0; i < collection->consumer_count; i++)
        is_truncated |= engine->stages[collection->consumers[i]].plan->is_for_drain;
    return !is_truncated || consumer->plan->is_for_drain == engine->is_draining;
}

static void drain_stage(struct engine *engine, struct stage *stage) {
    struct stage *truncating = truncating_stage(engine, stage);
    struct input_item item;

    vec_foreach (delayed, &stage->delayed)
        input_queue_push(truncating ? &truncating->queue : &stage->queue, delayed->item);
    stage->delayed.count = 0;
    while (truncating && input_queue_pop(&stage->queue, &item))
        input_queue_push(&truncating->queue, item);
}

void engine_drain(struct engine *engine) {
    if (engine->is_draining)
        return;
    engine->is_draining = engine->needs_schedule = true;
    for (size_t i = 0; i < engine->stream_count; i++)
        test_stream_end(engine->streams[i]);
    for (size_t i = 0; i < engine->plan->stage_count; i++)
        if (engine->stages[i].plan->process_transform_id && stage_is_streaming(&engine->stages[i]))
            drain_stage(engine, &engine->stages[i]);
    vec_foreach (bundle, &engine->running)
        if (bundle_may_never_end(*bundle))
            (*bundle)->splits.due_ms = engine->now_ms;
}
