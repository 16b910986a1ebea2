#include "stream_watch.h"

#include <inttypes.h>

struct step_name {
    unsigned stage, restriction, position;
};

void watch_commit(struct world *world, const struct sim_bundle *bundle) {
    vec_foreach (step, &bundle->steps) {
        struct step_name name = {bundle->stage->index, step->restriction, step->position};

        if (map_set(&world->watched_steps, &name, sizeof(name), world))
            world_violation(world, "stage %u: position %u of restriction %u was processed twice", name.stage,
                            name.position, name.restriction);
    }
}

/* Of one source: what the first position of each restriction promises that is not committed. */
static event_time source_bound(const struct world *world, unsigned stage) {
    const struct sim_plan *sim = world->sim;
    const struct function *function = &sim->functions[stage];
    unsigned creator = sim->plan.collections[sim->plan.stages[stage].inputs[0]].producer;
    event_time bound = TIME_MAX;

    for (unsigned i = 0; i < sim->functions[creator].count; i++) {
        struct step_name name = {stage, i, 0};

        while (name.position < function->positions && map_get(&world->watched_steps, &name, sizeof(name)))
            name.position++;
        if (name.position < function->positions)
            bound = MIN(bound, stream_source_watermark(function, i, name.position));
    }
    return bound;
}

/* The least bound of the sources that a collection comes from. */
static event_time collection_bound(const struct world *world, unsigned collection) {
    const struct plan *plan = &world->sim->plan;
    const struct plan_stage *stage = &plan->stages[plan->collections[collection].producer];
    event_time bound = TIME_MAX;

    if (stage->kind == PLAN_EXECUTABLE && world->sim->functions[stage->index].kind == FUNCTION_STREAM_SOURCE)
        return source_bound(world, stage->index);
    for (size_t i = 0; i < stage->input_count; i++)
        bound = MIN(bound, collection_bound(world, stage->inputs[i]));
    return bound;
}

static void check_bound(struct world *world, const struct sim_bundle *bundle, unsigned collection, event_time time,
                        const char *what) {
    event_time bound;

    if (!world->sim->stream || world->sim->stream->is_exact || world->is_draining)
        return;
    bound = collection_bound(world, collection);
    if (bound <= time && bound != TIME_MAX)
        world_violation(world, "bundle %" PRIu64 " of stage %u: %s at %" PRId64 ", and its sources are at %" PRId64,
                        bundle->id, bundle->stage->index, what, time, bound);
}

/* The grouping that made a pane, through stages that pass it on. */
static const struct plan_stage *pane_maker(const struct plan *plan, unsigned collection) {
    const struct plan_stage *stage = &plan->stages[plan->collections[collection].producer];

    if (stage->kind == PLAN_MERGE_GROUPS)
        return &plan->stages[stage->grouping];
    return stage->kind == PLAN_GROUP_BY_KEY ? stage : NULL;
}

void watch_element(struct world *world, const struct sim_bundle *bundle, const struct windowed_value *value) {
    const struct plan_stage *maker = pane_maker(&world->sim->plan, bundle->stage->source.collection);
    struct cursor windows = value->windows, pane_bytes = value->pane;
    event_time start, end = SIM_GLOBAL;
    struct pane pane;

    if (!world->sim->stream || !maker || pane_decode(&pane_bytes, &pane) != CODER_OK || pane.timing != PANE_ON_TIME)
        return;
    if (bundle->function->window_ms)
        interval_window_decode(&windows, &start, &end);
    check_bound(world, bundle, maker->inputs[0], stream_window_max(end), "a pane on time of the window that ends");
}

/* A timer behind the end of its window fires there (MODEL 7.9). */
void watch_timer(struct world *world, const struct sim_bundle *bundle, const struct keyed_timer *timer) {
    const struct plan *plan = &world->sim->plan;
    unsigned input = bundle->stage->inputs[0];
    event_time expiry;

    if (!world->sim->stream)
        return;
    expiry = stream_expiry(&plan->windowings[plan->collections[input].windowing], timer->window_end);
    if (timer->family == STREAM_EVENT_FAMILY)
        check_bound(world, bundle, input, MIN(timer->fire, expiry), "a timer");
    if (timer->family == STREAM_EXPIRATION_FAMILY)
        check_bound(world, bundle, input, expiry, "the end of a window that expires");
}
