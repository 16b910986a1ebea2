#include <string.h>

#include "translate/graph.h"
#include "wire/pb.h"

/* What Trestle makes of a leaf, by its URN. A URN that is not here runs on a harness if it has an environment. */
enum leaf_payload { LEAF_OPAQUE, LEAF_PAR_DO, LEAF_COMBINE };

static const struct leaf_type {
    enum urn urn;
    enum graph_kind kind;
    enum leaf_payload payload;
} leaf_types[] = {
    {URN_TRANSFORM_IMPULSE, GRAPH_IMPULSE, LEAF_OPAQUE},
    {URN_TRANSFORM_GROUP_BY_KEY, GRAPH_GROUP_BY_KEY, LEAF_OPAQUE},
    {URN_TRANSFORM_FLATTEN, GRAPH_FLATTEN, LEAF_OPAQUE},
    {URN_TRANSFORM_TEST_STREAM, GRAPH_TEST_STREAM, LEAF_OPAQUE},
    /* Views are made from what the ParDo's side inputs say; what remains of this one passes its input on. */
    {URN_TRANSFORM_CREATE_VIEW, GRAPH_FLATTEN, LEAF_OPAQUE},
    {URN_TRANSFORM_PAR_DO, GRAPH_SDK, LEAF_PAR_DO},
    {URN_TRANSFORM_SDF_PAIR_WITH_RESTRICTION, GRAPH_SDK, LEAF_PAR_DO},
    {URN_TRANSFORM_SDF_SPLIT_AND_SIZE_RESTRICTIONS, GRAPH_SDK, LEAF_PAR_DO},
    {URN_TRANSFORM_SDF_PROCESS_SIZED_ELEMENTS_AND_RESTRICTIONS, GRAPH_SDK, LEAF_PAR_DO},
    {URN_TRANSFORM_SDF_TRUNCATE_SIZED_RESTRICTION, GRAPH_SDK, LEAF_PAR_DO},
    {URN_TRANSFORM_COMBINE_PER_KEY_PRECOMBINE, GRAPH_SDK, LEAF_COMBINE},
    {URN_TRANSFORM_COMBINE_PER_KEY_MERGE_ACCUMULATORS, GRAPH_SDK, LEAF_COMBINE},
    {URN_TRANSFORM_COMBINE_PER_KEY_EXTRACT_OUTPUTS, GRAPH_SDK, LEAF_COMBINE},
    {URN_TRANSFORM_COMBINE_PER_KEY_CONVERT_TO_ACCUMULATORS, GRAPH_SDK, LEAF_COMBINE},
    {URN_TRANSFORM_COMBINE_GROUPED_VALUES, GRAPH_SDK, LEAF_COMBINE},
    {URN_TRANSFORM_ASSIGN_WINDOWS, GRAPH_SDK, LEAF_OPAQUE},
    {URN_TRANSFORM_MAP_WINDOWS, GRAPH_SDK, LEAF_OPAQUE},
    {URN_TRANSFORM_MERGE_WINDOWS, GRAPH_SDK, LEAF_OPAQUE},
    {URN_TRANSFORM_TO_STRING, GRAPH_SDK, LEAF_OPAQUE},
    {URN_TRANSFORM_READ, GRAPH_SDK, LEAF_OPAQUE},
};

/* Composites that say all in their payload; passes replace them whether they have an expansion or not. */
static const enum urn payload_composites[] = {
    URN_TRANSFORM_COMBINE_PER_KEY,
    URN_TRANSFORM_RESHUFFLE,
    URN_TRANSFORM_REDISTRIBUTE_BY_KEY,
    URN_TRANSFORM_REDISTRIBUTE_ARBITRARILY,
};

static const struct leaf_type *find_leaf_type(enum urn urn) {
    for (size_t i = 0; urn != URN_UNKNOWN && i < ARRAY_COUNT(leaf_types); i++)
        if (leaf_types[i].urn == urn)
            return &leaf_types[i];
    return NULL;
}

/* Nothing to do: what goes out is what came in. A transform without outputs may have side effects, unless it is only a name
 * in the SDK's tree (Python gives those URNs of their own). */
static bool passes_through(const struct graph_transform *transform, const struct leaf_type *type) {
    for (size_t o = 0; o < transform->output_count; o++) {
        bool found = false;

        for (size_t i = 0; i < transform->input_count; i++)
            found |= transform->inputs[i].collection == transform->outputs[o].collection;
        if (!found)
            return false;
    }
    return transform->output_count > 0 ||
           (!type && (!*transform->urn_text || transform->urn == URN_PYTHON_GENERIC_COMPOSITE ||
                      transform->urn == URN_PYTHON_TRANSFORM));
}

/* ---- payloads ---- */

static int check_coder(const struct graph *graph, const char *what, const char *name, const char *id,
                       struct status *st) {
    if (!graph_find_coder(graph, id))
        return status_set(st, STATUS_INVALID_ARGUMENT, "%s \"%s\" names coder \"%s\", which is not in the pipeline",
                          what, name, id);
    return 0;
}

static int check_state(const struct graph *graph, const Beam__ParDoPayload__StateSpecsEntry *entry, struct status *st) {
    const Beam__StateSpec *spec = entry->value;
    const char *coders[2] = {NULL, NULL};
    int r = 0;

    switch (spec ? spec->spec_case : BEAM__STATE_SPEC__SPEC__NOT_SET) {
    case BEAM__STATE_SPEC__SPEC_READ_MODIFY_WRITE_SPEC:
        coders[0] = spec->read_modify_write_spec->coder_id;
        break;
    case BEAM__STATE_SPEC__SPEC_BAG_SPEC:
        coders[0] = spec->bag_spec->element_coder_id;
        break;
    case BEAM__STATE_SPEC__SPEC_COMBINING_SPEC:
        coders[0] = spec->combining_spec->accumulator_coder_id;
        break;
    case BEAM__STATE_SPEC__SPEC_MAP_SPEC:
        coders[0] = spec->map_spec->key_coder_id;
        coders[1] = spec->map_spec->value_coder_id;
        break;
    case BEAM__STATE_SPEC__SPEC_SET_SPEC:
        coders[0] = spec->set_spec->element_coder_id;
        break;
    case BEAM__STATE_SPEC__SPEC_ORDERED_LIST_SPEC:
        coders[0] = spec->ordered_list_spec->element_coder_id;
        break;
    case BEAM__STATE_SPEC__SPEC_MULTIMAP_SPEC:
        coders[0] = spec->multimap_spec->key_coder_id;
        coders[1] = spec->multimap_spec->value_coder_id;
        break;
    default:
        return status_set(st, STATUS_UNIMPLEMENTED, "state \"%s\" is of a kind that Trestle does not know", entry->key);
    }
    for (size_t i = 0; i < ARRAY_COUNT(coders) && r == 0; i++)
        if (coders[i])
            r = check_coder(graph, "state", entry->key, coders[i], st);
    return r;
}

static int check_timer_family(const struct graph *graph, const Beam__ParDoPayload__TimerFamilySpecsEntry *entry,
                              struct status *st) {
    if (!entry->value || (entry->value->time_domain != BEAM__TIME_DOMAIN__ENUM__EVENT_TIME &&
                          entry->value->time_domain != BEAM__TIME_DOMAIN__ENUM__PROCESSING_TIME))
        return status_set(st, STATUS_UNIMPLEMENTED, "timer family \"%s\" has no known time domain", entry->key);
    return check_coder(graph, "timer family", entry->key, entry->value->timer_family_coder_id, st);
}

static int mark_side_input(struct graph_transform *transform, const Beam__ParDoPayload__SideInputsEntry *entry,
                           struct status *st) {
    static const Beam__SideInput nothing = BEAM__SIDE_INPUT__INIT;

    for (size_t i = 0; i < transform->input_count; i++) {
        if (strcmp(transform->inputs[i].name, entry->key) == 0) {
            transform->inputs[i].side = entry->value ? entry->value : &nothing;
            return 0;
        }
    }
    return status_set(st, STATUS_INVALID_ARGUMENT, "side input \"%s\" is not among the transform's inputs", entry->key);
}

static int load_pardo(struct graph *graph, struct graph_transform *transform, struct status *st) {
    const Beam__ParDoPayload *pardo;
    int r = pb_unpack(&beam__par_do_payload__descriptor, transform->payload.data, transform->payload.len,
                      PB_STRINGS_STRICT, &graph->arena, (ProtobufCMessage **)(void *)&transform->pardo, st);

    if (r < 0)
        return r;
    pardo = transform->pardo;
    for (size_t i = 0; i < pardo->n_side_inputs && r == 0; i++)
        r = mark_side_input(transform, pardo->side_inputs[i], st);
    for (size_t i = 0; i < pardo->n_state_specs && r == 0; i++)
        r = check_state(graph, pardo->state_specs[i], st);
    for (size_t i = 0; i < pardo->n_timer_family_specs && r == 0; i++)
        r = check_timer_family(graph, pardo->timer_family_specs[i], st);
    if (r == 0 && *pardo->restriction_coder_id)
        r = check_coder(graph, "the splittable", "DoFn", pardo->restriction_coder_id, st);
    return r;
}

static int load_combine(struct graph *graph, struct graph_transform *transform, struct status *st) {
    Beam__CombinePayload *combine;
    int r = pb_unpack(&beam__combine_payload__descriptor, transform->payload.data, transform->payload.len,
                      PB_STRINGS_STRICT, &graph->arena, (ProtobufCMessage **)(void *)&combine, st);

    if (r < 0)
        return r;
    if (*combine->accumulator_coder_id)
        r = check_coder(graph, "the combine's", "accumulator", combine->accumulator_coder_id, st);
    transform->accumulator_coder = graph_find_coder(graph, combine->accumulator_coder_id);
    return r;
}

/* ---- roles ---- */

int graph_set_roles(struct graph_transform *transform, struct status *st) {
    const Beam__ParDoPayload *pardo = transform->pardo;
    size_t mains = 0;

    for (size_t i = 0; i < transform->input_count; i++) {
        if (transform->inputs[i].side) {
            transform->has_side_inputs = true;
        } else {
            transform->main_input = &transform->inputs[i];
            mains++;
        }
    }
    if (mains != 1)
        return status_set(st, STATUS_INVALID_ARGUMENT, "(%s) has %zu main inputs instead of one", transform->urn_text,
                          mains);
    transform->is_sdf_process = transform->urn == URN_TRANSFORM_SDF_PROCESS_SIZED_ELEMENTS_AND_RESTRICTIONS;
    transform->is_keyed = pardo && (pardo->n_state_specs || pardo->n_timer_family_specs);
    if (transform->is_keyed && transform->urn != URN_TRANSFORM_PAR_DO)
        return status_set(st, STATUS_UNIMPLEMENTED,
                          "(%s) is a step of a splittable DoFn with state or timers, which SDKs run only in one piece",
                          transform->urn_text);
    transform->needs_root = transform->is_keyed || transform->is_sdf_process ||
                            (pardo && (pardo->requires_time_sorted_input || pardo->requires_stable_input));
    return 0;
}

static int check_runner_step(const struct graph_transform *transform, struct status *st) {
    size_t in = transform->input_count, out = transform->output_count;

    switch (transform->kind) {
    case GRAPH_IMPULSE:
        if (in != 0 || out != 1)
            return status_set(st, STATUS_INVALID_ARGUMENT, "an impulse has no input and one output, not %zu and %zu",
                              in, out);
        return 0;
    case GRAPH_GROUP_BY_KEY:
        if (in != 1 || out != 1)
            return status_set(st, STATUS_INVALID_ARGUMENT,
                              "a group by key has one input and one output, not %zu and %zu", in, out);
        return 0;
    case GRAPH_FLATTEN:
        if (out != 1)
            return status_set(st, STATUS_INVALID_ARGUMENT, "a flatten has one output, not %zu", out);
        return 0;
    case GRAPH_TEST_STREAM:
        if (in != 0 || out == 0)
            return status_set(st, STATUS_INVALID_ARGUMENT,
                              "a test stream has no input and some output, not %zu and %zu", in, out);
        return 0;
    default:
        return 0;
    }
}

static int load_sdk_leaf(struct graph *graph, struct graph_transform *transform, enum leaf_payload payload,
                         struct status *st) {
    int r = 0;

    if (!transform->environment)
        return status_set(st, STATUS_INVALID_ARGUMENT, "(%s) names no environment to run in", transform->urn_text);
    if (payload == LEAF_PAR_DO)
        r = load_pardo(graph, transform, st);
    else if (payload == LEAF_COMBINE)
        r = load_combine(graph, transform, st);
    if (r < 0)
        return r;
    if (transform->urn == URN_TRANSFORM_READ && transform->input_count == 0)
        return 0; /* gets an impulse, and its role, when it is expanded */
    return graph_set_roles(transform, st);
}

static bool is_payload_composite(enum urn urn) {
    for (size_t i = 0; i < ARRAY_COUNT(payload_composites); i++)
        if (payload_composites[i] == urn)
            return true;
    return false;
}

int graph_load_leaf(struct graph *graph, struct graph_transform *transform, struct status *st) {
    const struct leaf_type *type = find_leaf_type(transform->urn);
    int r;

    if (is_payload_composite(transform->urn)) {
        transform->kind = GRAPH_COMPOSITE;
        return 0;
    }
    if (passes_through(transform, type)) {
        transform->kind = GRAPH_NOTHING;
        return 0;
    }
    transform->is_live = true;
    transform->kind = type ? type->kind : GRAPH_SDK;
    if (!type && !transform->environment)
        return graph_fail(transform, st, STATUS_UNIMPLEMENTED,
                          "Trestle does not know \"%s\", and it names no environment that could run it",
                          transform->urn_text);
    if (transform->kind == GRAPH_SDK)
        r = load_sdk_leaf(graph, transform, type ? type->payload : LEAF_OPAQUE, st);
    else
        r = check_runner_step(transform, st);
    if (r == 0 && transform->kind == GRAPH_TEST_STREAM)
        r = graph_load_test_stream(graph, transform, st);
    return r < 0 ? status_prefix(st, "transform \"%s\"", transform->user_name) : 0;
}
