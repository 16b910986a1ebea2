/* What is downstream of a stream is a stream, whatever the SDK says of it. The engine runs a stage as batch where all about it is bounded
 * (plan_stage.is_bounded), and such a stage must never wait for one that does not end.
 *
 * Bounded elements that come over processing time, because a timer of the pipeline gives them out, are a stream as well for a grouping whose
 * trigger waits for processing time: it is to fire while they come. */
#include <stdlib.h>
#include <string.h>

#include "translate/graph.h"

static bool reads_unbounded(const struct graph_transform *transform) {
    for (size_t i = 0; i < transform->input_count; i++)
        if (!transform->inputs[i].collection->is_bounded)
            return true;
    return false;
}

static bool has_timers(const struct graph_transform *transform) {
    const Beam__ParDoPayload *pardo = transform->pardo;

    for (size_t i = 0; pardo && i < pardo->n_timer_family_specs; i++)
        if (strcmp(pardo->timer_family_specs[i]->key, pardo->on_window_expiration_timer_family_spec) != 0)
            return true;
    return false;
}

static bool any_child(const Beam__Trigger *const *children, size_t count, bool (*holds)(const Beam__Trigger *trigger)) {
    for (size_t i = 0; i < count; i++)
        if (children[i] && holds(children[i]))
            return true;
    return false;
}

static bool observes_processing_time(const Beam__Trigger *trigger) {
    const Beam__Trigger *pair[2] = {NULL, NULL};

    switch (trigger->trigger_case) {
    case BEAM__TRIGGER__TRIGGER_AFTER_PROCESSING_TIME:
    case BEAM__TRIGGER__TRIGGER_AFTER_SYNCHRONIZED_PROCESSING_TIME:
        return true;
    case BEAM__TRIGGER__TRIGGER_AFTER_END_OF_WINDOW:
        pair[0] = trigger->after_end_of_window->early_firings;
        pair[1] = trigger->after_end_of_window->late_firings;
        break;
    case BEAM__TRIGGER__TRIGGER_OR_FINALLY:
        pair[0] = trigger->or_finally->main;
        pair[1] = trigger->or_finally->finally;
        break;
    case BEAM__TRIGGER__TRIGGER_REPEAT:
        pair[0] = trigger->repeat->subtrigger;
        break;
    case BEAM__TRIGGER__TRIGGER_AFTER_ALL:
        return any_child((const Beam__Trigger *const *)trigger->after_all->subtriggers,
                         trigger->after_all->n_subtriggers, observes_processing_time);
    case BEAM__TRIGGER__TRIGGER_AFTER_ANY:
        return any_child((const Beam__Trigger *const *)trigger->after_any->subtriggers,
                         trigger->after_any->n_subtriggers, observes_processing_time);
    case BEAM__TRIGGER__TRIGGER_AFTER_EACH:
        return any_child((const Beam__Trigger *const *)trigger->after_each->subtriggers,
                         trigger->after_each->n_subtriggers, observes_processing_time);
    default:
        return false;
    }
    return any_child(pair, ARRAY_COUNT(pair), observes_processing_time);
}

/* What timers give out is spread over processing time, and what is made of it. */
static bool comes_over_time(const struct graph_transform *transform, const bool *spread) {
    bool does = has_timers(transform);

    for (size_t i = 0; i < transform->input_count; i++)
        does |= spread[transform->inputs[i].collection->index];
    return does;
}

static bool is_grouped_over_time(const struct graph_transform *transform, const bool *spread) {
    const struct graph_collection *in;

    if (transform->kind != GRAPH_GROUP_BY_KEY)
        return false;
    in = transform->inputs[0].collection;
    return spread[in->index] && in->windowing->proto->trigger &&
           observes_processing_time(in->windowing->proto->trigger);
}

int graph_spread_unbounded(struct graph *graph, struct status *st) {
    bool *spread = xcalloc(graph->collections.count + 1, sizeof(*spread));

    (void)st;
    vec_foreach (item, &graph->order) {
        const struct graph_transform *transform = *item;
        bool over_time = comes_over_time(transform, spread);

        if (is_grouped_over_time(transform, spread))
            transform->inputs[0].collection->is_bounded = false;
        for (size_t i = 0; i < transform->output_count; i++) {
            struct graph_collection *out = transform->outputs[i].collection;

            spread[out->index] = over_time;
            if (transform->kind == GRAPH_TEST_STREAM || reads_unbounded(transform))
                out->is_bounded = false;
        }
    }
    free(spread);
    return 0;
}
