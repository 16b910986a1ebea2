/* What a plan asks for that this engine does not do yet, said at Prepare. */
#include "engine/engine.h"
#include "engine/view.h"

static int check_collection(const struct plan *plan, const struct plan_collection *collection, struct status *st) {
    const struct windowing *windowing = &plan->windowings[collection->windowing];
    const struct plan_stage *producer = &plan->stages[collection->producer];

    if (producer->kind != PLAN_GROUP_BY_KEY)
        return 0;
    windowing = &plan->windowings[plan->collections[producer->inputs[0]].windowing];
    if (windowing->needs_merge && windowing->fn != WINDOW_FN_SESSIONS)
        return status_set(st, STATUS_UNIMPLEMENTED, "%s: merging of custom windows (%s) is not supported yet",
                          collection->name, windowing->fn_urn);
    return 0;
}

static int check_stage(const struct plan *plan, const struct plan_stage *stage, struct status *st) {
    if (stage->kind == PLAN_TEST_STREAM)
        return status_set(st, STATUS_UNIMPLEMENTED, "%s: TestStream is not supported yet", stage->name);
    if (stage->requires_time_sorted_input)
        return status_set(st, STATUS_UNIMPLEMENTED, "%s: time-sorted input is not supported yet", stage->name);
    if (stage->is_keyed && stage->process_transform_id)
        return status_set(st, STATUS_UNIMPLEMENTED, "%s: splittable DoFns with state or timers are not supported yet",
                          stage->name);
    for (size_t i = 0; i < stage->side_input_count; i++) {
        const struct plan_side_input *side = &stage->side_inputs[i];

        if (!view_coder_fits(plan->collections[side->collection].coder, side->access))
            return status_set(st, STATUS_INVALID_ARGUMENT,
                              "%s: side input \"%s\" is read as a multimap, but its elements are no KVs", stage->name,
                              side->local_name);
    }
    return 0;
}

int engine_check_plan(const struct plan *plan, struct status *st) {
    int r = 0;

    for (size_t i = 0; r == 0 && i < plan->stage_count; i++)
        r = check_stage(plan, &plan->stages[i], st);
    for (size_t i = 0; r == 0 && i < plan->collection_count; i++)
        r = check_collection(plan, &plan->collections[i], st);
    return r;
}
