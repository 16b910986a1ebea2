/* The last pass: stages of the graph become stages of the plan, which borrows nothing from the graph or the proto. */
#include <stdlib.h>
#include <string.h>

#include "translate/graph.h"
#include "wire/pb.h"

enum { STAGE_NAME_TRANSFORMS = 8 };

struct assembly {
    struct graph *graph;
    struct plan *plan;
    struct arena *arena; /* the plan's */
    struct status *st;
};

/* ---- what stages need of coders ---- */

static int check_kv(struct graph *graph, const struct graph_transform *transform, struct graph_collection *collection,
                    const char *what, struct status *st) {
    const struct graph_coder *coder = graph_collection_wire(graph, collection);

    if (coder->kind != CODER_KV)
        return graph_fail(transform, st, STATUS_INVALID_ARGUMENT, "%s must be encoded as KV, not as \"%s\"", what,
                          collection->coder->urn);
    return 0;
}

static int check_side_input(struct graph *graph, const struct graph_transform *transform, const struct graph_port *port,
                            struct status *st) {
    const char *access = port->side->access_pattern ? port->side->access_pattern->urn : "";
    enum urn urn = urn_lookup(access, strlen(access));

    if (urn == URN_SIDE_INPUT_MULTIMAP)
        return check_kv(graph, transform, port->collection, "a multimap side input", st);
    if (urn != URN_SIDE_INPUT_ITERABLE)
        return graph_fail(transform, st, STATUS_UNIMPLEMENTED,
                          "side input \"%s\" has access pattern \"%s\", which Trestle does not know", port->name,
                          access);
    return 0;
}

static int check_transform(struct graph *graph, struct graph_transform *transform, struct status *st) {
    int r = 0;

    if (transform->kind == GRAPH_GROUP_BY_KEY)
        return check_kv(graph, transform, transform->inputs[0].collection, "the input of a group by key", st);
    if (transform->kind == GRAPH_IMPULSE) {
        const struct graph_coder *coder = graph_collection_wire(graph, transform->outputs[0].collection);

        /* Either way an empty byte string is one zero byte. */
        if (coder->kind != CODER_BYTES && coder->kind != CODER_LENGTH_PREFIX)
            return graph_fail(transform, st, STATUS_INVALID_ARGUMENT,
                              "the output of an impulse must be encoded as bytes, not as \"%s\"", coder->urn);
    }
    if (transform->is_keyed)
        r = check_kv(graph, transform, transform->main_input->collection, "the input of a stateful ParDo", st);
    for (size_t i = 0; i < transform->input_count && r == 0; i++)
        if (transform->inputs[i].side)
            r = check_side_input(graph, transform, &transform->inputs[i], st);
    return r;
}

/* ---- environments, windowings, collections ---- */

static unsigned plan_environment(struct assembly *a, struct graph_environment *environment) {
    const Beam__Environment *proto = environment->proto;
    struct plan_environment *made;
    const char **capabilities;

    if (environment->plan_index != PLAN_NONE)
        return environment->plan_index;
    environment->plan_index = (unsigned)a->plan->environment_count++;
    made = &a->plan->environments[environment->plan_index];
    made->proto = pb_pack(&proto->base, NULL);
    made->payload = slice_copy(proto->payload.data, proto->payload.len, NULL);
    made->urn = arena_string(a->arena, proto->urn);
    made->id = arena_string(a->arena, environment->id);
    capabilities = arena_new_array(a->arena, const char *, proto->n_capabilities);
    for (size_t i = 0; i < proto->n_capabilities; i++)
        capabilities[i] = arena_string(a->arena, proto->capabilities[i]);
    made->capabilities = capabilities;
    made->capability_count = proto->n_capabilities;
    return environment->plan_index;
}

static int plan_windowing(struct assembly *a, struct graph_windowing *windowing, unsigned *ret) {
    if (windowing->plan_index == PLAN_NONE) {
        struct windowing *made = &a->plan->windowings[a->plan->windowing_count++];
        int r = graph_make_windowing(a->graph, windowing, made, a->st);

        if (r < 0)
            return r;
        /* Only what asks the SDK needs a worker. */
        made->environment = made->fn == WINDOW_FN_CUSTOM && windowing->environment
                                ? plan_environment(a, windowing->environment)
                                : PLAN_NONE;
        windowing->plan_index = (unsigned)(a->plan->windowing_count - 1);
    }
    *ret = windowing->plan_index;
    return 0;
}

static int plan_collection(struct assembly *a, struct graph_collection *collection) {
    struct graph_coder *coder = graph_windowed_wire(a->graph, collection);
    struct plan_collection *made = &a->plan->collections[a->plan->collection_count];
    int r;

    collection->plan_index = (unsigned)a->plan->collection_count++;
    made->id = arena_string(a->arena, collection->id);
    made->name = arena_printf(a->arena, "%s.%s", collection->producer->unique_name, collection->producer_output);
    made->coder = graph_model_coder(a->graph, coder);
    made->coder_id = arena_string(a->arena, coder->id);
    made->is_bounded = collection->is_bounded;
    made->producer = collection->producer->stage->index;
    made->consumers = arena_new_array(a->arena, unsigned, collection->consumers.count);
    made->side_consumers = arena_new_array(a->arena, unsigned, collection->consumers.count);
    r = plan_windowing(a, collection->windowing, &made->windowing);
    return r < 0 ? status_prefix(a->st, "PCollection \"%s\" of transform \"%s\"", collection->id,
                                 collection->producer->user_name)
                 : 0;
}

/* Collections that cross a boundary, in the order of their producers. */
static int plan_collections(struct assembly *a) {
    vec_foreach (stage, &a->graph->stages) {
        vec_foreach (transform, &(*stage)->transforms) {
            for (size_t i = 0; i < (*transform)->output_count; i++) {
                struct graph_collection *collection = (*transform)->outputs[i].collection;
                int r;

                vec_foreach (consumer, &collection->consumers)
                    collection->crosses |= (*consumer)->stage != *stage;
                r = collection->crosses ? plan_collection(a, collection) : 0;
                if (r < 0)
                    return r;
            }
        }
    }
    return 0;
}

static unsigned read_by(struct assembly *a, const struct graph_collection *collection, const struct plan_stage *stage) {
    struct plan_collection *read = &a->plan->collections[collection->plan_index];

    read->consumers[read->consumer_count++] = stage->index;
    return collection->plan_index;
}

/* ---- state and timers ---- */

static const char *state_element_coder(const Beam__StateSpec *spec) {
    switch (spec->spec_case) {
    case BEAM__STATE_SPEC__SPEC_READ_MODIFY_WRITE_SPEC:
        return spec->read_modify_write_spec->coder_id;
    case BEAM__STATE_SPEC__SPEC_BAG_SPEC:
        return spec->bag_spec->element_coder_id;
    case BEAM__STATE_SPEC__SPEC_COMBINING_SPEC:
        return spec->combining_spec->accumulator_coder_id;
    case BEAM__STATE_SPEC__SPEC_MAP_SPEC:
        return spec->map_spec->value_coder_id;
    case BEAM__STATE_SPEC__SPEC_SET_SPEC:
        return spec->protocol && strcmp(spec->protocol->urn, urn_string(URN_USER_STATE_MULTIMAP)) == 0
                   ? "" /* they are the map's keys */
                   : spec->set_spec->element_coder_id;
    case BEAM__STATE_SPEC__SPEC_ORDERED_LIST_SPEC:
        return spec->ordered_list_spec->element_coder_id;
    case BEAM__STATE_SPEC__SPEC_MULTIMAP_SPEC:
        return spec->multimap_spec->value_coder_id;
    default:
        return "";
    }
}

/* By the protocol that the SDK asks for; where it names none, by the kind of cell. */
static int state_kind(const Beam__StateSpec *spec, enum plan_state_kind *ret, struct status *st) {
    const char *protocol = spec->protocol ? spec->protocol->urn : "";

    switch (urn_lookup(protocol, strlen(protocol))) {
    case URN_USER_STATE_BAG:
        *ret = PLAN_STATE_BAG;
        return 0;
    case URN_USER_STATE_MULTIMAP:
        *ret = PLAN_STATE_MULTIMAP;
        return 0;
    case URN_USER_STATE_ORDERED_LIST:
        *ret = PLAN_STATE_ORDERED_LIST;
        return 0;
    default:
        break;
    }
    if (*protocol)
        return status_set(st, STATUS_UNIMPLEMENTED, "asks for state protocol \"%s\", which Trestle does not know",
                          protocol);
    *ret = PLAN_STATE_BAG;
    if (spec->spec_case == BEAM__STATE_SPEC__SPEC_MAP_SPEC || spec->spec_case == BEAM__STATE_SPEC__SPEC_MULTIMAP_SPEC)
        *ret = PLAN_STATE_MULTIMAP;
    else if (spec->spec_case == BEAM__STATE_SPEC__SPEC_ORDERED_LIST_SPEC)
        *ret = PLAN_STATE_ORDERED_LIST;
    return 0;
}

static int plan_states(struct assembly *a, struct plan_stage *made, const struct graph_transform *transform,
                       const char *id) {
    for (size_t i = 0; i < transform->pardo->n_state_specs; i++) {
        const Beam__ParDoPayload__StateSpecsEntry *entry = transform->pardo->state_specs[i];
        struct graph_coder *coder = graph_find_coder(a->graph, state_element_coder(entry->value));
        struct plan_user_state *state = &made->user_states[made->user_state_count++];
        int r = state_kind(entry->value, &state->kind, a->st);

        if (r < 0)
            return status_prefix(a->st, "transform \"%s\": state \"%s\"", transform->user_name, entry->key);
        state->transform_id = id;
        state->state_id = arena_string(a->arena, entry->key);
        state->has_one_value =
            state->kind == PLAN_STATE_MULTIMAP && (entry->value->spec_case == BEAM__STATE_SPEC__SPEC_MAP_SPEC ||
                                                   entry->value->spec_case == BEAM__STATE_SPEC__SPEC_SET_SPEC);
        /* The harness encodes with its own coder here, so it is known only if there is nothing to wrap. */
        if (coder && graph_wire_coder(a->graph, coder)->canonical == coder->canonical)
            state->element_coder = graph_model_coder(a->graph, graph_wire_coder(a->graph, coder));
    }
    return 0;
}

static void plan_timers(struct assembly *a, struct plan_stage *made, const struct graph_transform *transform,
                        const char *id) {
    const Beam__ParDoPayload *pardo = transform->pardo;

    for (size_t i = 0; i < pardo->n_timer_family_specs; i++) {
        const Beam__ParDoPayload__TimerFamilySpecsEntry *entry = pardo->timer_family_specs[i];
        struct plan_timer_family *family = &made->timer_families[made->timer_family_count++];

        family->transform_id = id;
        family->family_id = arena_string(a->arena, entry->key);
        family->is_processing_time = entry->value->time_domain == BEAM__TIME_DOMAIN__ENUM__PROCESSING_TIME;
        family->is_window_expiration = strcmp(entry->key, pardo->on_window_expiration_timer_family_spec) == 0;
        family->coder = graph_model_coder(a->graph, graph_timer_coder(a->graph, transform));
    }
}

/* ---- executable stages ---- */

static void plan_side_input(struct assembly *a, struct plan_stage *made, const struct graph_port *port,
                            const char *id) {
    static const Beam__FunctionSpec no_fn = BEAM__FUNCTION_SPEC__INIT;
    const Beam__FunctionSpec *mapping = port->side->window_mapping_fn ? port->side->window_mapping_fn : &no_fn;
    struct plan_side_input *side = &made->side_inputs[made->side_input_count++];
    struct plan_collection *read = &a->plan->collections[port->collection->plan_index];

    side->transform_id = id;
    side->local_name = arena_string(a->arena, port->name);
    side->collection = port->collection->plan_index;
    side->access = strcmp(port->side->access_pattern->urn, urn_string(URN_SIDE_INPUT_MULTIMAP)) == 0
                       ? PLAN_ACCESS_MULTIMAP
                       : PLAN_ACCESS_ITERABLE;
    side->mapping_fn_urn = arena_string(a->arena, mapping->urn);
    side->mapping_fn_payload = slice_copy(mapping->payload.data, mapping->payload.len, NULL);
    if (read->side_consumer_count == 0 || read->side_consumers[read->side_consumer_count - 1] != made->index)
        read->side_consumers[read->side_consumer_count++] = made->index;
}

/* An id for a source or sink: different from every transform's, and from every other's in the plan. */
static const char *port_id(struct assembly *a, const char *id) {
    while (map_has_string(&a->graph->transform_ids, id))
        id = arena_printf(a->arena, "%s_", id);
    return id;
}

static void plan_sinks(struct assembly *a, struct plan_stage *made, const struct graph_transform *transform,
                       const char *id) {
    for (size_t i = 0; i < transform->output_count; i++) {
        const struct graph_collection *collection = transform->outputs[i].collection;
        struct plan_port *sink = &made->sinks[made->sink_count];

        if (!collection->crosses)
            continue;
        sink->transform_id = port_id(a, arena_printf(a->arena, "s%u-out%zu", made->index, made->sink_count));
        sink->local_name = "in";
        sink->collection = collection->plan_index;
        sink->coder_id = a->plan->collections[sink->collection].coder_id;
        sink->producer_transform_id = id;
        sink->producer_output_name = arena_string(a->arena, transform->outputs[i].name);
        made->outputs[made->output_count++] = collection->plan_index;
        made->sink_count++;
    }
}

/* Room for the most that the stage's transforms can bring. */
static void make_room(struct assembly *a, struct plan_stage *made, const struct graph_stage *stage) {
    size_t outputs = 0, inputs = 0, states = 0, timers = 0;

    vec_foreach (transform, &stage->transforms) {
        outputs += (*transform)->output_count;
        inputs += (*transform)->input_count;
        states += (*transform)->pardo ? (*transform)->pardo->n_state_specs : 0;
        timers += (*transform)->pardo ? (*transform)->pardo->n_timer_family_specs : 0;
    }
    made->outputs = arena_new_array(a->arena, unsigned, outputs);
    made->inputs = arena_new_array(a->arena, unsigned, inputs);
    made->sinks = arena_new_array(a->arena, struct plan_port, outputs);
    made->side_inputs = arena_new_array(a->arena, struct plan_side_input, inputs);
    made->user_states = arena_new_array(a->arena, struct plan_user_state, states);
    made->timer_families = arena_new_array(a->arena, struct plan_timer_family, timers);
}

static int plan_sdk_transform(struct assembly *a, struct plan_stage *made, struct graph_transform *transform) {
    const Beam__ParDoPayload *pardo = transform->pardo;
    const char *id = arena_string(a->arena, transform->id);
    int r = 0;

    for (size_t i = 0; i < transform->input_count; i++)
        if (transform->inputs[i].side)
            plan_side_input(a, made, &transform->inputs[i], id);
    plan_sinks(a, made, transform, id);
    if (transform->is_sdf_process) {
        made->process_transform_id = id;
        made->process_input_name = arena_string(a->arena, transform->main_input->name);
    }
    if (transform->truncation)
        made->truncate_stage = transform->truncation->stage->index;
    if (transform->drains) {
        made->is_for_drain = true;
        made->drained_stage = transform->drains->stage->index;
    }
    if (!pardo)
        return 0;
    made->requires_finalization |= pardo->requests_finalization;
    if (transform->needs_root) {
        made->requires_time_sorted_input |= pardo->requires_time_sorted_input;
        made->requires_stable_input |= pardo->requires_stable_input;
    }
    if (transform->is_keyed) {
        made->is_keyed = true;
        r = plan_states(a, made, transform, id);
        plan_timers(a, made, transform, id);
    }
    return r;
}

static int plan_executable(struct assembly *a, struct plan_stage *made, struct graph_stage *stage) {
    made->environment = plan_environment(a, stage->environment);
    made->inputs[made->input_count++] = read_by(a, stage->root, made);
    made->source.transform_id = port_id(a, arena_printf(a->arena, "s%u-in", made->index));
    made->source.local_name = "out";
    made->source.collection = stage->root->plan_index;
    made->source.coder_id =
        arena_string(a->arena, graph_windowed(a->graph, graph_source_wire(a->graph, stage), stage->root)->id);
    made->takes_state_backed_iterables = graph_takes_large_groups(a->graph, stage);
    vec_foreach (transform, &stage->transforms) {
        int r = plan_sdk_transform(a, made, *transform);

        if (r < 0)
            return r;
    }
    made->descriptor = graph_stage_descriptor(a->graph, stage, a->plan->arena.account);
    return 0;
}

static int plan_runner_step(struct assembly *a, struct plan_stage *made, const struct graph_transform *transform) {
    made->environment = PLAN_NONE;
    made->is_reshuffle = transform->is_reshuffle;
    made->asks_for_merges = transform->asks_for_merges;
    if (transform->grouping)
        made->grouping = transform->grouping->stage->index;
    for (size_t i = 0; i < transform->input_count; i++)
        made->inputs[made->input_count++] = read_by(a, transform->inputs[i].collection, made);
    for (size_t i = 0; i < transform->output_count; i++)
        if (transform->outputs[i].collection->crosses)
            made->outputs[made->output_count++] = transform->outputs[i].collection->plan_index;
    return made->kind == PLAN_TEST_STREAM ? graph_plan_test_stream(a->graph, transform, made, a->st) : 0;
}

/* ---- stages ---- */

static const char *stage_name(struct assembly *a, const struct graph_stage *stage) {
    struct buf name = {0};
    const char *copy;

    for (size_t i = 0; i < stage->transforms.count && i < STAGE_NAME_TRANSFORMS; i++) {
        const char *transform = stage->transforms.items[i]->unique_name;

        if (i > 0)
            buf_add(&name, " + ", 3);
        buf_add(&name, transform, strlen(transform));
    }
    copy = arena_copy(a->arena, buf_data(&name), name.size);
    buf_clear(&name);
    if (stage->transforms.count > STAGE_NAME_TRANSFORMS)
        copy = arena_printf(a->arena, "%s and %zu more", copy, stage->transforms.count - STAGE_NAME_TRANSFORMS);
    return copy;
}

static bool is_stage_bounded(const struct graph_stage *stage) {
    vec_foreach (transform, &stage->transforms) {
        for (size_t i = 0; i < (*transform)->input_count; i++)
            if (!(*transform)->inputs[i].collection->is_bounded)
                return false;
        for (size_t i = 0; i < (*transform)->output_count; i++)
            if (!(*transform)->outputs[i].collection->is_bounded)
                return false;
    }
    return true;
}

static int plan_stages(struct assembly *a) {
    vec_foreach (stage, &a->graph->stages) {
        struct plan_stage *made = &a->plan->stages[a->plan->stage_count++];
        int r = 0;

        made->index = (*stage)->index;
        made->kind = (*stage)->kind;
        made->grouping = made->drained_stage = made->truncate_stage = PLAN_NONE;
        made->name = stage_name(a, *stage);
        made->is_bounded = is_stage_bounded(*stage);
        make_room(a, made, *stage);
        if (made->kind == PLAN_EXECUTABLE)
            r = plan_executable(a, made, *stage);
        else
            r = plan_runner_step(a, made, (*stage)->transforms.items[0]);
        if (r < 0)
            return r;
    }
    return 0;
}

static int compare_names(const void *a, const void *b) {
    return strcmp(((const struct plan_transform_name *)a)->id, ((const struct plan_transform_name *)b)->id);
}

static void plan_names(struct assembly *a) {
    a->plan->names = arena_new_array(a->arena, struct plan_transform_name, a->graph->transforms.count);
    vec_foreach (transform, &a->graph->transforms)
        a->plan->names[a->plan->name_count++] = (struct plan_transform_name){
            arena_string(a->arena, (*transform)->id), arena_string(a->arena, (*transform)->user_name)};
    qsort(a->plan->names, a->plan->name_count, sizeof(*a->plan->names), compare_names);
}

static int compare_ids(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void plan_made_collections(struct assembly *a) {
    a->plan->made_collections = arena_new_array(a->arena, const char *, a->graph->collections.count);
    vec_foreach (collection, &a->graph->collections)
        if ((*collection)->is_made)
            a->plan->made_collections[a->plan->made_collection_count++] = arena_string(a->arena, (*collection)->id);
    qsort(a->plan->made_collections, a->plan->made_collection_count, sizeof(*a->plan->made_collections), compare_ids);
}

int graph_assemble(struct graph *graph, struct plan *plan, struct status *st) {
    struct assembly a = {.graph = graph, .plan = plan, .arena = &plan->arena, .st = st};
    int r = 0;

    vec_foreach (stage, &graph->stages)
        for (size_t i = 0; i < (*stage)->transforms.count && r == 0; i++)
            r = check_transform(graph, (*stage)->transforms.items[i], st);
    if (r < 0)
        return r;
    plan->stages = arena_new_array(a.arena, struct plan_stage, graph->stages.count);
    plan->collections = arena_new_array(a.arena, struct plan_collection, graph->collections.count);
    plan->windowings = arena_new_array(a.arena, struct windowing, graph->windowings.count);
    plan->environments = arena_new_array(a.arena, struct plan_environment, graph->environments.count);
    r = plan_collections(&a);
    if (r == 0)
        r = plan_stages(&a);
    if (r == 0) {
        plan_names(&a);
        plan_made_collections(&a);
    }
    return r;
}
