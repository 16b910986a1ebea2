/* What a plan asks for that makes no sense, or that this engine does not do; said at Prepare. */
#include <stdlib.h>

#include "engine/engine.h"
#include "engine/trigger.h"
#include "engine/view.h"

/* Whether two coders read the same bytes the same way. */
static bool same_coder(const struct coder *a, const struct coder *b) {
    if (a == b)
        return true;
    if (a->kind != b->kind)
        return false;
    /* What is inside a length prefix does not matter to the runner. */
    for (unsigned i = 0; a->kind != CODER_LENGTH_PREFIX && i < a->component_count; i++)
        if (!same_coder(a->components[i], b->components[i]))
            return false;
    return true;
}

static const struct coder *window_coder_of(const struct plan *plan, unsigned collection) {
    return plan->collections[collection].coder->components[1];
}

/* A runner's step passes windows on as they are: its inputs and its output must agree on how they are written. */
static int check_windows(const struct plan *plan, const struct plan_stage *stage, struct status *st) {
    const struct plan_stage *inputs = stage;
    const struct windowing *windowing;

    /* Questions and answers are in the global window; what was asked about comes out of the stage behind them. */
    if (stage->asks_for_merges)
        return 0;
    if (stage->kind == PLAN_MERGE_GROUPS)
        inputs = &plan->stages[stage->grouping];
    for (size_t i = 0; i < inputs->input_count; i++)
        for (size_t j = 0; j < stage->output_count; j++)
            if (!same_coder(window_coder_of(plan, inputs->inputs[i]), window_coder_of(plan, stage->outputs[j])))
                return status_set(st, STATUS_INVALID_ARGUMENT,
                                  "%s: \"%s\" has another kind of windows than \"%s\"; window them the same way first",
                                  stage->name, plan->collections[inputs->inputs[i]].name,
                                  plan->collections[stage->outputs[j]].name);
    if (stage->kind == PLAN_IMPULSE && window_coder_of(plan, stage->outputs[0])->kind != CODER_GLOBAL_WINDOW)
        return status_set(st, STATUS_INVALID_ARGUMENT, "%s: an impulse is in the global window", stage->name);
    if (stage->kind != PLAN_GROUP_BY_KEY)
        return 0;
    windowing = &plan->windowings[plan->collections[stage->inputs[0]].windowing];
    if (windowing->needs_merge && windowing->fn != WINDOW_FN_SESSIONS)
        return status_set(st, STATUS_INVALID_ARGUMENT, "%s: its windows have to be merged, which \"%s\" never does",
                          stage->name, windowing->fn_urn);
    if (windowing->needs_merge && window_coder_of(plan, stage->inputs[0])->kind != CODER_INTERVAL_WINDOW)
        return status_set(st, STATUS_INVALID_ARGUMENT, "%s: session windows must have the coder %s", stage->name,
                          coder_urn(CODER_INTERVAL_WINDOW));
    return 0;
}

/* How often an element is handed on inside one step through flattens: flattens that read each other twice double it each time. */
enum { MAX_DELIVERIES = 100000, MAX_FLATTEN_DEPTH = 1000 };

struct fan_out {
    uint64_t deliveries;
    unsigned depth;
};

/* Stages are in topological order, so one pass from the end sees every consumer before its producer. */
static int check_fan_out(const struct plan *plan, struct status *st) {
    struct fan_out *fan_outs = xcalloc(plan->collection_count, sizeof(*fan_outs));
    int r = 0;

    for (size_t i = plan->stage_count; r == 0 && i-- > 0;) {
        const struct plan_stage *stage = &plan->stages[i];

        for (size_t j = 0; r == 0 && j < stage->output_count; j++) {
            const struct plan_collection *collection = &plan->collections[stage->outputs[j]];
            struct fan_out *fan_out = &fan_outs[stage->outputs[j]];

            for (size_t k = 0; k < collection->consumer_count; k++) {
                const struct plan_stage *consumer = &plan->stages[collection->consumers[k]];
                bool passes_on = consumer->kind == PLAN_FLATTEN;

                fan_out->deliveries += passes_on ? fan_outs[consumer->outputs[0]].deliveries : 1;
                if (passes_on)
                    fan_out->depth = MAX(fan_out->depth, fan_outs[consumer->outputs[0]].depth + 1);
            }
            if (fan_out->deliveries > MAX_DELIVERIES || fan_out->depth > MAX_FLATTEN_DEPTH)
                r = status_set(
                    st, STATUS_INVALID_ARGUMENT,
                    "%s: its flattens would hand each element on %llu times through %u steps; the limits are %d and %d",
                    stage->name, (unsigned long long)fan_out->deliveries, fan_out->depth, MAX_DELIVERIES,
                    MAX_FLATTEN_DEPTH);
        }
    }
    free(fan_outs);
    return r;
}

/* Triggers matter where windows of a stream are grouped, or read as side inputs. */
static int check_trigger(const struct plan *plan, unsigned collection, struct status *st) {
    const struct plan_collection *grouped = &plan->collections[collection];

    if (grouped->is_bounded || trigger_check(plan->windowings[grouped->windowing].trigger, st) == 0)
        return 0;
    return status_prefix(st, "the trigger of \"%s\"", grouped->name);
}

static int check_stage(const struct plan *plan, const struct plan_stage *stage, struct status *st) {
    int r = 0;

    if (stage->requires_time_sorted_input && !stage->is_keyed)
        return status_set(st, STATUS_UNIMPLEMENTED,
                          "%s: time-sorted input is sorted by key, so it needs a DoFn with state or timers",
                          stage->name);
    if (stage->is_keyed && stage->process_transform_id)
        return status_set(st, STATUS_UNIMPLEMENTED, "%s: splittable DoFns with state or timers are not supported yet",
                          stage->name);
    if (stage->kind == PLAN_GROUP_BY_KEY)
        r = check_trigger(plan, stage->inputs[0], st);
    for (size_t i = 0; i < stage->side_input_count && r == 0; i++) {
        const struct plan_side_input *side = &stage->side_inputs[i];

        r = check_trigger(plan, side->collection, st);
        if (r == 0 && !view_coder_fits(plan->collections[side->collection].coder, side->access))
            return status_set(st, STATUS_INVALID_ARGUMENT,
                              "%s: side input \"%s\" is read as a multimap, but its elements are no KVs", stage->name,
                              side->local_name);
    }
    return r < 0 || stage->kind == PLAN_EXECUTABLE ? r : check_windows(plan, stage, st);
}

int engine_check_plan(const struct plan *plan, struct status *st) {
    int r = 0;

    for (size_t i = 0; r == 0 && i < plan->stage_count; i++)
        r = check_stage(plan, &plan->stages[i], st);
    if (r == 0)
        r = check_fan_out(plan, st);
    return r;
}
