/* A combine per key is a composite around a group by key. Where nobody can tell the difference it becomes
 *
 *      in --> PRECOMBINE --> group by key --> MERGE_ACCUMULATORS --> EXTRACT_OUTPUTS --> out
 *
 * so that each bundle sends one accumulator a key instead of its elements (StandardPTransforms.CombineComponents).
 * MODEL 10.7 and 10.8 say when: the trigger does not observe elements, windows do not merge, no side inputs. And no pane is empty: an SDK
 * combines no elements to its default, but may fail to merge no accumulators (Python's MeanCombineFn does). */
#include <string.h>

#include "translate/graph.h"
#include "wire/pb.h"

bool trigger_observes_elements(const Beam__Trigger *trigger) {
    const Beam__Trigger *const *children = NULL;
    size_t count = 0;

    if (!trigger)
        return false;
    switch (trigger->trigger_case) {
    case BEAM__TRIGGER__TRIGGER__NOT_SET:
    case BEAM__TRIGGER__TRIGGER_DEFAULT:
    case BEAM__TRIGGER__TRIGGER_ALWAYS:
    case BEAM__TRIGGER__TRIGGER_NEVER:
    case BEAM__TRIGGER__TRIGGER_AFTER_PROCESSING_TIME:
    case BEAM__TRIGGER__TRIGGER_AFTER_SYNCHRONIZED_PROCESSING_TIME:
        return false;
    case BEAM__TRIGGER__TRIGGER_ELEMENT_COUNT:
        return trigger->element_count->element_count > 1;
    case BEAM__TRIGGER__TRIGGER_AFTER_END_OF_WINDOW:
        return trigger_observes_elements(trigger->after_end_of_window->early_firings) ||
               trigger_observes_elements(trigger->after_end_of_window->late_firings);
    case BEAM__TRIGGER__TRIGGER_REPEAT:
        return trigger_observes_elements(trigger->repeat->subtrigger);
    case BEAM__TRIGGER__TRIGGER_AFTER_ANY:
        children = (const Beam__Trigger *const *)trigger->after_any->subtriggers;
        count = trigger->after_any->n_subtriggers;
        break;
    default:
        return true;
    }
    for (size_t i = 0; i < count; i++)
        if (trigger_observes_elements(children[i]))
            return true;
    return false;
}

/* Whether a window may fire before its watermark passes the end. */
static bool fires_early(const Beam__Trigger *trigger) {
    switch (trigger ? trigger->trigger_case : BEAM__TRIGGER__TRIGGER__NOT_SET) {
    case BEAM__TRIGGER__TRIGGER__NOT_SET:
    case BEAM__TRIGGER__TRIGGER_DEFAULT:
    case BEAM__TRIGGER__TRIGGER_NEVER:
        return false;
    case BEAM__TRIGGER__TRIGGER_AFTER_END_OF_WINDOW:
        return trigger->after_end_of_window->early_firings != NULL;
    default:
        return true;
    }
}

bool may_fire_empty(const Beam__WindowingStrategy *windowing) {
    bool early = fires_early(windowing->trigger);

    if (windowing->accumulation_mode == BEAM__ACCUMULATION_MODE__ENUM__ACCUMULATING)
        return false;
    return (early && windowing->on_time_behavior == BEAM__ON_TIME_BEHAVIOR__ENUM__FIRE_ALWAYS) ||
           ((early || windowing->allowed_lateness > 0) &&
            windowing->closing_behavior == BEAM__CLOSING_BEHAVIOR__ENUM__EMIT_ALWAYS);
}

/* What a combine composite is made of. */
struct combine {
    struct graph_transform *composite;
    struct graph_transform *group; /* its group by key, or NULL when it has no expansion */
    struct graph_collection *in, *out;
    struct graph_coder *accumulator;
};

static struct graph_transform *find_leaf(struct graph_transform *transform, enum graph_kind kind) {
    struct graph_transform *found = transform->is_live && transform->kind == kind ? transform : NULL;

    for (size_t i = 0; i < transform->child_count && !found; i++)
        found = find_leaf(transform->children[i], kind);
    return found;
}

/* Whether a leaf outside the composite reads what is made inside, other than its output. */
static bool leaks(const struct combine *combine, const struct graph_transform *transform) {
    for (size_t i = 0; i < transform->output_count; i++) {
        const struct graph_collection *collection = transform->outputs[i].collection;

        if (collection != combine->out && collection->first_reader <= collection->last_reader &&
            (collection->first_reader < combine->composite->order ||
             collection->last_reader >= combine->composite->order_end))
            return true;
    }
    for (size_t i = 0; i < transform->child_count; i++)
        if (leaks(combine, transform->children[i]))
            return true;
    return false;
}

static bool can_lift(const struct combine *combine) {
    const Beam__WindowingStrategy *windowing = combine->in->windowing->proto;

    return combine->composite->input_count == 1 && combine->accumulator && combine->composite->environment &&
           windowing->merge_status != BEAM__MERGE_STATUS__ENUM__NEEDS_MERGE &&
           !trigger_observes_elements(windowing->trigger) && !may_fire_empty(windowing);
}

static struct graph_transform *add_step(struct graph *graph, const struct combine *combine, const char *suffix,
                                        enum graph_kind kind, enum urn urn, struct graph_collection *in,
                                        struct graph_coder *out_coder, struct graph_windowing *windowing) {
    struct graph_transform *step = graph_derive_transform(graph, combine->composite, suffix, kind, urn);
    struct graph_collection *out =
        out_coder ? graph_derive_collection(graph, step, out_coder, windowing, combine->out->is_bounded) : combine->out;

    step->inputs = graph_new_port(graph, "in", in);
    step->outputs = graph_new_port(graph, "out", out);
    step->input_count = step->output_count = 1;
    if (kind == GRAPH_SDK) {
        step->payload = combine->composite->payload;
        step->accumulator_coder = combine->accumulator;
        step->main_input = step->inputs;
    }
    return step;
}

/* The group by key of a replaced composite keeps the windowing that the SDK gave its output. */
static struct graph_windowing *grouped_windowing(const struct combine *combine) {
    return combine->group ? combine->group->outputs[0].collection->windowing : combine->in->windowing;
}

static void lift(struct graph *graph, const struct combine *combine) {
    struct graph_coder *key = combine->in->coder->components[0];
    struct graph_coder *partial = graph_make_kv(graph, key, combine->accumulator);
    struct graph_coder *grouped =
        graph_make_kv(graph, key, graph_make_simple(graph, CODER_ITERABLE, combine->accumulator));
    struct graph_windowing *windowing = grouped_windowing(combine);
    struct graph_transform *step;

    step = add_step(graph, combine, "/Precombine", GRAPH_SDK, URN_TRANSFORM_COMBINE_PER_KEY_PRECOMBINE, combine->in,
                    partial, combine->in->windowing);
    step->outputs->collection->is_bounded = combine->in->is_bounded;
    step = add_step(graph, combine, "/Group", GRAPH_GROUP_BY_KEY, URN_TRANSFORM_GROUP_BY_KEY, step->outputs->collection,
                    grouped, windowing);
    step = add_step(graph, combine, "/Merge", GRAPH_SDK, URN_TRANSFORM_COMBINE_PER_KEY_MERGE_ACCUMULATORS,
                    step->outputs->collection, partial, windowing);
    add_step(graph, combine, "/Extract", GRAPH_SDK, URN_TRANSFORM_COMBINE_PER_KEY_EXTRACT_OUTPUTS,
             step->outputs->collection, NULL, NULL);
}

/* For a composite that came without an expansion and cannot be lifted. */
static int expand(struct graph *graph, const struct combine *combine, struct status *st) {
    struct graph_coder *in = combine->in->coder;
    struct graph_coder *grouped =
        graph_make_kv(graph, in->components[0], graph_make_simple(graph, CODER_ITERABLE, in->components[1]));
    struct graph_transform *step;

    if (!combine->composite->environment)
        return status_set(st, STATUS_INVALID_ARGUMENT, "(%s) names no environment to run in",
                          combine->composite->urn_text);
    if (combine->composite->input_count != 1)
        return status_set(st, STATUS_UNIMPLEMENTED, "a combine with side inputs and without an expansion");
    step = add_step(graph, combine, "/Group", GRAPH_GROUP_BY_KEY, URN_TRANSFORM_GROUP_BY_KEY, combine->in, grouped,
                    combine->in->windowing);
    add_step(graph, combine, "/Combine", GRAPH_SDK, URN_TRANSFORM_COMBINE_GROUPED_VALUES, step->outputs->collection,
             NULL, NULL);
    return 0;
}

static int read_combine(struct graph *graph, struct graph_transform *composite, struct combine *combine,
                        struct status *st) {
    Beam__CombinePayload *payload;
    int r = pb_unpack(&beam__combine_payload__descriptor, composite->payload.data, composite->payload.len,
                      PB_STRINGS_STRICT, &graph->arena, (ProtobufCMessage **)(void *)&payload, st);

    if (r < 0)
        return r;
    combine->accumulator = graph_find_coder(graph, payload->accumulator_coder_id);
    if (*payload->accumulator_coder_id && !combine->accumulator)
        return status_set(st, STATUS_INVALID_ARGUMENT, "the accumulator coder \"%s\" is not in the pipeline",
                          payload->accumulator_coder_id);
    combine->in = composite->inputs[0].collection;
    combine->out = composite->outputs[0].collection;
    if (combine->in->coder->kind != CODER_KV)
        return status_set(st, STATUS_INVALID_ARGUMENT,
                          "the input of a combine per key must be encoded as KV, not as \"%s\"",
                          combine->in->coder->urn);
    combine->group = find_leaf(composite, GRAPH_GROUP_BY_KEY);
    if (!composite->environment) {
        struct graph_transform *inner = find_leaf(composite, GRAPH_SDK);

        composite->environment = inner ? inner->environment : NULL;
    }
    return 0;
}

static int lift_combine(struct graph *graph, struct graph_transform *composite, struct status *st) {
    struct combine combine = {.composite = composite};
    bool has_expansion = composite->child_count > 0;
    size_t first = graph->transforms.count;
    int r;

    if (composite->input_count == 0 || composite->output_count != 1)
        return has_expansion ? 0
                             : graph_fail(composite, st, STATUS_INVALID_ARGUMENT,
                                          "a combine per key has one main input and one output, not %zu and %zu",
                                          composite->input_count, composite->output_count);
    r = read_combine(graph, composite, &combine, st);
    if (r < 0)
        return status_prefix(st, "transform \"%s\"", composite->user_name);
    if (has_expansion && (!combine.group || !can_lift(&combine) || leaks(&combine, composite)))
        return 0;
    if (can_lift(&combine)) {
        lift(graph, &combine);
    } else {
        r = expand(graph, &combine, st);
        if (r < 0)
            return status_prefix(st, "transform \"%s\"", composite->user_name);
    }
    graph_replace_children(graph, composite, first);
    return 0;
}

/* Outermost first: a combine inside another one that was lifted is gone. */
static int visit(struct graph *graph, struct graph_transform *transform, struct status *st) {
    int r = 0;

    if (transform->urn == URN_TRANSFORM_COMBINE_PER_KEY && transform->kind == GRAPH_COMPOSITE) {
        size_t before = graph->transforms.count;

        r = lift_combine(graph, transform, st);
        if (r < 0 || graph->transforms.count > before)
            return r;
    }
    for (size_t i = 0; i < transform->child_count && r == 0; i++)
        r = visit(graph, transform->children[i], st);
    return r;
}

int graph_lift_combines(struct graph *graph, struct status *st) {
    int r = 0;

    for (size_t i = 0; i < graph->roots.count && r == 0; i++)
        r = visit(graph, graph->roots.items[i], st);
    return r;
}
