#include <string.h>

#include "translate/graph.h"
#include "translate/translate.h"
#include "wire/pb.h"

/* ---- requirements ---- */

static const enum urn known_requirements[] = {
    URN_REQUIREMENT_STATEFUL_PROCESSING, URN_REQUIREMENT_BUNDLE_FINALIZATION, URN_REQUIREMENT_STABLE_INPUT,
    URN_REQUIREMENT_TIME_SORTED_INPUT,   URN_REQUIREMENT_SPLITTABLE_DOFN,     URN_REQUIREMENT_ON_WINDOW_EXPIRATION,
};

static int check_requirement(const char *requirement, struct status *st) {
    enum urn urn = urn_lookup(requirement, strlen(requirement));

    for (size_t i = 0; i < ARRAY_COUNT(known_requirements); i++)
        if (known_requirements[i] == urn)
            return 0;
    return status_set(st, STATUS_UNIMPLEMENTED, "the pipeline requires \"%s\", which Trestle does not know",
                      requirement);
}

/* ---- environments, windowing strategies, PCollections ---- */

static int load_environment(struct graph *graph, const Beam__Components__EnvironmentsEntry *entry, struct status *st) {
    static const Beam__Environment nothing = BEAM__ENVIRONMENT__INIT;
    struct graph_environment *environment = arena_new(&graph->arena, struct graph_environment);

    environment->index = (unsigned)graph->environments.count;
    environment->id = entry->key;
    environment->proto = entry->value ? entry->value : &nothing;
    environment->merged = environment;
    environment->plan_index = PLAN_NONE;
    if (map_set_string(&graph->environment_ids, environment->id, environment))
        return status_set(st, STATUS_INVALID_ARGUMENT, "environment \"%s\" is there twice", environment->id);
    vec_push(&graph->environments, environment);
    return 0;
}

/* NULL for the empty id, which names none. */
static int find_environment(const struct graph *graph, const char *id, struct graph_environment **ret,
                            struct status *st) {
    struct graph_environment *environment = *id ? map_get_string(&graph->environment_ids, id) : NULL;

    if (*id && !environment)
        return status_set(st, STATUS_INVALID_ARGUMENT, "names environment \"%s\", which is not in the pipeline", id);
    *ret = environment;
    return 0;
}

/* The environment of a standard window fn is never asked, and may be missing: what Python takes over of another SDK's expansion names
 * the one that stood for its own there. */
static int find_windowing_environment(const struct graph *graph, struct graph_windowing *windowing, struct status *st) {
    const char *urn = windowing->proto->window_fn ? windowing->proto->window_fn->urn : "";
    const char *id = windowing->proto->environment_id;

    if (!is_standard_window_fn(urn_lookup(urn, strlen(urn))))
        return find_environment(graph, id, &windowing->environment, st);
    windowing->environment = map_get_string(&graph->environment_ids, id);
    return 0;
}

static int load_windowing(struct graph *graph, const Beam__Components__WindowingStrategiesEntry *entry,
                          struct status *st) {
    static const Beam__WindowingStrategy nothing = BEAM__WINDOWING_STRATEGY__INIT;
    struct graph_windowing *windowing = arena_new(&graph->arena, struct graph_windowing);
    int r;

    windowing->index = (unsigned)graph->windowings.count;
    windowing->id = entry->key;
    windowing->proto = entry->value ? entry->value : &nothing;
    windowing->plan_index = PLAN_NONE;
    windowing->window_coder = graph_find_coder(graph, windowing->proto->window_coder_id);
    if (!windowing->window_coder)
        return status_set(st, STATUS_INVALID_ARGUMENT,
                          "windowing strategy \"%s\" names window coder \"%s\", which is not in the pipeline",
                          windowing->id, windowing->proto->window_coder_id);
    r = find_windowing_environment(graph, windowing, st);
    if (r < 0)
        return status_prefix(st, "windowing strategy \"%s\"", windowing->id);
    if (map_set_string(&graph->windowing_ids, windowing->id, windowing))
        return status_set(st, STATUS_INVALID_ARGUMENT, "windowing strategy \"%s\" is there twice", windowing->id);
    vec_push(&graph->windowings, windowing);
    return 0;
}

static int load_collection(struct graph *graph, const Beam__Components__PcollectionsEntry *entry, struct status *st) {
    static const Beam__PCollection nothing = BEAM__PCOLLECTION__INIT;
    const Beam__PCollection *proto = entry->value ? entry->value : &nothing;
    struct graph_collection *collection = arena_new(&graph->arena, struct graph_collection);

    collection->index = (unsigned)graph->collections.count;
    collection->id = entry->key;
    collection->unique_name = proto->unique_name;
    collection->is_bounded = proto->is_bounded != BEAM__IS_BOUNDED__ENUM__UNBOUNDED;
    collection->first_reader = UINT_MAX;
    collection->plan_index = PLAN_NONE;
    collection->coder = graph_find_coder(graph, proto->coder_id);
    if (!collection->coder)
        return status_set(st, STATUS_INVALID_ARGUMENT,
                          "PCollection \"%s\" (%s) names coder \"%s\", which is not in the pipeline", collection->id,
                          proto->unique_name, proto->coder_id);
    collection->windowing = map_get_string(&graph->windowing_ids, proto->windowing_strategy_id);
    if (!collection->windowing)
        return status_set(st, STATUS_INVALID_ARGUMENT,
                          "PCollection \"%s\" (%s) names windowing strategy \"%s\", which is not in the pipeline",
                          collection->id, proto->unique_name, proto->windowing_strategy_id);
    if (map_set_string(&graph->collection_ids, collection->id, collection))
        return status_set(st, STATUS_INVALID_ARGUMENT, "PCollection \"%s\" is there twice", collection->id);
    vec_push(&graph->collections, collection);
    return 0;
}

/* ---- transforms ---- */

static int load_port(struct graph *graph, const char *what, const char *name, const char *id, struct graph_port *port,
                     struct status *st) {
    port->name = name;
    port->collection = graph_find_collection(graph, id);
    if (!port->collection)
        return status_set(st, STATUS_INVALID_ARGUMENT, "%s \"%s\" is PCollection \"%s\", which is not in the pipeline",
                          what, name, id);
    return 0;
}

static int load_ports(struct graph *graph, struct graph_transform *transform, struct status *st) {
    const Beam__PTransform *proto = transform->proto;
    int r = 0;

    transform->input_count = proto->n_inputs;
    transform->inputs = arena_new_array(&graph->arena, struct graph_port, proto->n_inputs);
    for (size_t i = 0; i < proto->n_inputs && r == 0; i++)
        r = load_port(graph, "input", proto->inputs[i]->key, proto->inputs[i]->value, &transform->inputs[i], st);
    transform->output_count = proto->n_outputs;
    transform->outputs = arena_new_array(&graph->arena, struct graph_port, proto->n_outputs);
    for (size_t i = 0; i < proto->n_outputs && r == 0; i++)
        r = load_port(graph, "output", proto->outputs[i]->key, proto->outputs[i]->value, &transform->outputs[i], st);
    return r;
}

static int load_transform(struct graph *graph, const char *id, const Beam__PTransform *proto, struct status *st) {
    static const Beam__PTransform nothing = BEAM__PTRANSFORM__INIT;
    struct graph_transform *transform = arena_new(&graph->arena, struct graph_transform);
    int r;

    transform->index = (unsigned)graph->transforms.count;
    transform->id = id;
    transform->proto = proto ? proto : &nothing;
    transform->unique_name = transform->proto->unique_name;
    transform->user_name = *transform->unique_name ? transform->unique_name : transform->id;
    transform->urn_text = transform->proto->spec ? transform->proto->spec->urn : "";
    transform->urn = urn_lookup(transform->urn_text, strlen(transform->urn_text));
    if (transform->proto->spec)
        transform->payload = transform->proto->spec->payload;
    if (map_set_string(&graph->transform_ids, transform->id, transform))
        return graph_fail(transform, st, STATUS_INVALID_ARGUMENT, "the id \"%s\" is there twice", transform->id);
    vec_push(&graph->transforms, transform);
    r = find_environment(graph, transform->proto->environment_id, &transform->environment, st);
    if (r == 0)
        r = load_ports(graph, transform, st);
    return r < 0 ? status_prefix(st, "transform \"%s\"", transform->user_name) : 0;
}

static int load_children(struct graph *graph, struct graph_transform *transform, struct status *st) {
    size_t count = transform->proto->n_subtransforms;

    transform->child_count = count;
    transform->children = arena_new_array(&graph->arena, struct graph_transform *, count);
    for (size_t i = 0; i < count; i++) {
        struct graph_transform *child = map_get_string(&graph->transform_ids, transform->proto->subtransforms[i]);

        if (!child)
            return graph_fail(transform, st, STATUS_INVALID_ARGUMENT,
                              "names subtransform \"%s\", which is not in the pipeline",
                              transform->proto->subtransforms[i]);
        transform->children[i] = child;
    }
    return 0;
}

/* Numbers the tree below `transform`; every transform is met once or the composites are no tree. */
static int walk(struct graph *graph, struct graph_transform *transform, unsigned level, unsigned *next,
                struct status *st) {
    int r = 0;

    if (transform->order > 0)
        return graph_fail(transform, st, STATUS_INVALID_ARGUMENT, "is a subtransform of itself or of two composites");
    if (level > TRANSLATE_MAX_NESTING)
        return graph_fail(transform, st, STATUS_INVALID_ARGUMENT, "composites are nested more than %d deep",
                          TRANSLATE_MAX_NESTING);
    transform->order = (*next)++;
    if (transform->child_count == 0) {
        r = graph_load_leaf(graph, transform, st);
        for (size_t i = 0; i < transform->input_count; i++) {
            struct graph_collection *collection = transform->inputs[i].collection;

            collection->first_reader = MIN(collection->first_reader, transform->order);
            collection->last_reader = MAX(collection->last_reader, transform->order);
        }
    }
    for (size_t i = 0; i < transform->child_count && r == 0; i++)
        r = walk(graph, transform->children[i], level + 1, next, st);
    transform->order_end = *next;
    return r;
}

static int load_roots(struct graph *graph, const Beam__Pipeline *pipeline, struct status *st) {
    unsigned next = 1;
    int r = 0;

    for (size_t i = 0; i < pipeline->n_root_transform_ids && r == 0; i++) {
        struct graph_transform *root = map_get_string(&graph->transform_ids, pipeline->root_transform_ids[i]);

        if (!root)
            return status_set(st, STATUS_INVALID_ARGUMENT,
                              "the pipeline names root transform \"%s\", which is not in it",
                              pipeline->root_transform_ids[i]);
        vec_push(&graph->roots, root);
        r = walk(graph, root, 1, &next, st);
    }
    return r;
}

/* ---- components ---- */

static int check_sizes(const Beam__Components *components, struct status *st) {
    size_t largest =
        MAX(MAX(components->n_transforms, components->n_pcollections),
            MAX(MAX(components->n_coders, components->n_windowing_strategies), components->n_environments));

    if (largest > TRANSLATE_MAX_TRANSFORMS)
        return status_set(st, STATUS_INVALID_ARGUMENT,
                          "the pipeline has %zu transforms, PCollections or coders; the limit is %d", largest,
                          TRANSLATE_MAX_TRANSFORMS);
    return 0;
}

/* Everything but transforms. What `is_further` components name that is there already is taken to be the same. */
static int load_objects(struct graph *graph, const Beam__Components *components, bool is_further, struct status *st) {
    int r = check_sizes(components, st);

    if (r == 0)
        r = graph_load_coders(graph, components, is_further, st);
    for (size_t i = 0; i < components->n_environments && r == 0; i++)
        if (!is_further || !map_has_string(&graph->environment_ids, components->environments[i]->key))
            r = load_environment(graph, components->environments[i], st);
    for (size_t i = 0; i < components->n_windowing_strategies && r == 0; i++)
        if (!is_further || !map_has_string(&graph->windowing_ids, components->windowing_strategies[i]->key))
            r = load_windowing(graph, components->windowing_strategies[i], st);
    for (size_t i = 0; i < components->n_pcollections && r == 0; i++)
        if (!is_further || !map_has_string(&graph->collection_ids, components->pcollections[i]->key))
            r = load_collection(graph, components->pcollections[i], st);
    return r;
}

/* ---- stages that an SDK fused already (Python's pre_optimize=all) ---- */

static int load_fused_objects(struct graph *graph, const Beam__Components__TransformsEntry *entry,
                              Beam__ExecutableStagePayload **ret, struct status *st) {
    const Beam__FunctionSpec *spec = entry->value ? entry->value->spec : NULL;
    int r;

    if (!spec || strcmp(spec->urn, urn_string(URN_RUNNER_EXECUTABLE_STAGE)) != 0)
        return 0;
    r = pb_unpack(&beam__executable_stage_payload__descriptor, spec->payload.data, spec->payload.len, PB_STRINGS_STRICT,
                  &graph->arena, (ProtobufCMessage **)(void *)ret, st);
    if (r == 0 && !(*ret)->components)
        r = status_set(st, STATUS_INVALID_ARGUMENT, "an executable stage without components");
    if (r == 0)
        r = load_objects(graph, (*ret)->components, true, st);
    return r < 0 ? status_prefix(st, "transform \"%s\"", entry->key) : 0;
}

/* What was fused becomes the stage's children again: Trestle fuses by its own rules. Their ids are unique in the stage only. */
static int load_fused_transforms(struct graph *graph, struct graph_transform *stage,
                                 const Beam__ExecutableStagePayload *payload, struct status *st) {
    const Beam__Components *components = payload->components;

    stage->children = arena_new_array(&graph->arena, struct graph_transform *, components->n_transforms);
    for (size_t i = 0; i < components->n_transforms; i++) {
        const char *id = arena_printf(&graph->arena, "%s/%s", stage->id, components->transforms[i]->key);
        int r = load_transform(graph, id, components->transforms[i]->value, st);

        if (r < 0)
            return r;
        stage->children[stage->child_count++] = *vec_last(&graph->transforms);
    }
    return 0;
}

static int load_components(struct graph *graph, const Beam__Components *components, struct status *st) {
    Beam__ExecutableStagePayload **fused =
        arena_new_array(&graph->arena, Beam__ExecutableStagePayload *, components->n_transforms);
    int r = load_objects(graph, components, false, st);

    for (size_t i = 0; i < components->n_transforms && r == 0; i++)
        r = load_fused_objects(graph, components->transforms[i], &fused[i], st);
    if (r == 0)
        r = graph_settle_coders(graph, st);
    for (size_t i = 0; i < components->n_transforms && r == 0; i++)
        r = load_transform(graph, components->transforms[i]->key, components->transforms[i]->value, st);
    for (size_t i = 0; i < components->n_transforms && r == 0; i++)
        r = fused[i] ? load_fused_transforms(graph, graph->transforms.items[i], fused[i], st)
                     : load_children(graph, graph->transforms.items[i], st);
    return r;
}

int graph_load(struct graph *graph, const Beam__Pipeline *pipeline, struct status *st) {
    int r = 0;

    for (size_t i = 0; i < pipeline->n_requirements && r == 0; i++)
        r = check_requirement(pipeline->requirements[i], st);
    if (r < 0)
        return r;
    if (!pipeline->components || pipeline->components->n_transforms == 0)
        return status_set(st, STATUS_INVALID_ARGUMENT, "the pipeline has no transforms");
    r = load_components(graph, pipeline->components, st);
    return r < 0 ? r : load_roots(graph, pipeline, st);
}
