#include "translate/graph.h"

#include <string.h>

void graph_finish(struct graph *graph) {
    vec_foreach (collection, &graph->collections)
        vec_free(&(*collection)->consumers);
    vec_foreach (stage, &graph->stages) {
        vec_free(&(*stage)->transforms);
        vec_free(&(*stage)->before);
    }
    vec_free(&graph->transforms);
    vec_free(&graph->collections);
    vec_free(&graph->coders);
    vec_free(&graph->windowings);
    vec_free(&graph->environments);
    vec_free(&graph->roots);
    vec_free(&graph->order);
    vec_free(&graph->stages);
    map_clear(&graph->transform_ids, NULL);
    map_clear(&graph->collection_ids, NULL);
    map_clear(&graph->coder_ids, NULL);
    map_clear(&graph->windowing_ids, NULL);
    map_clear(&graph->environment_ids, NULL);
    map_clear(&graph->canonical_coders, NULL);
    arena_clear(&graph->arena);
}

struct graph_collection *graph_find_collection(const struct graph *graph, const char *id) {
    return map_get_string(&graph->collection_ids, id);
}

struct graph_coder *graph_find_coder(const struct graph *graph, const char *id) {
    return map_get_string(&graph->coder_ids, id);
}

struct graph_port *graph_new_port(struct graph *graph, const char *name, struct graph_collection *collection) {
    struct graph_port *port = arena_new(&graph->arena, struct graph_port);

    port->name = name;
    port->collection = collection;
    return port;
}

void graph_set_pardo_inputs(struct graph *graph, struct graph_transform *step, const struct graph_transform *pardo,
                            struct graph_collection *main) {
    struct graph_port *inputs = arena_new_array(&graph->arena, struct graph_port, pardo->input_count);
    size_t main_index = (size_t)(pardo->main_input - pardo->inputs);

    for (size_t i = 0; i < pardo->input_count; i++)
        inputs[i] = pardo->inputs[i];
    inputs[main_index].collection = main;
    step->inputs = inputs;
    step->input_count = pardo->input_count;
    step->main_input = &inputs[main_index];
}

/* `base` + `suffix`, with underscores added until no key of the map is the same. */
static const char *derive_id(struct graph *graph, const struct map *taken, const char *base, const char *suffix) {
    const char *id = arena_printf(&graph->arena, "%s%s", base, suffix);

    while (map_has_string(taken, id))
        id = arena_printf(&graph->arena, "%s_", id);
    return id;
}

struct graph_transform *graph_derive_transform(struct graph *graph, const struct graph_transform *base,
                                               const char *suffix, enum graph_kind kind, enum urn urn) {
    struct graph_transform *transform = arena_new(&graph->arena, struct graph_transform);

    transform->index = (unsigned)graph->transforms.count;
    transform->id = derive_id(graph, &graph->transform_ids, base->id, suffix);
    transform->unique_name = arena_printf(&graph->arena, "%s%s", base->unique_name, suffix);
    transform->user_name = base->user_name;
    transform->urn = urn;
    transform->urn_text = urn_string(urn);
    transform->kind = kind;
    transform->environment = base->environment;
    transform->is_live = true;
    map_set_string(&graph->transform_ids, transform->id, transform);
    vec_push(&graph->transforms, transform);
    return transform;
}

struct graph_collection *graph_derive_collection(struct graph *graph, const struct graph_transform *producer,
                                                 struct graph_coder *coder, struct graph_windowing *windowing,
                                                 bool is_bounded) {
    struct graph_collection *collection = arena_new(&graph->arena, struct graph_collection);

    collection->index = (unsigned)graph->collections.count;
    collection->id = derive_id(graph, &graph->collection_ids, producer->id, ".out");
    collection->unique_name = arena_printf(&graph->arena, "%s.out", producer->unique_name);
    collection->coder = coder;
    collection->windowing = windowing;
    collection->is_bounded = is_bounded;
    collection->is_made = true;
    collection->plan_index = PLAN_NONE;
    map_set_string(&graph->collection_ids, collection->id, collection);
    vec_push(&graph->collections, collection);
    return collection;
}

struct graph_transform *graph_derive_reencoder(struct graph *graph, const struct graph_transform *base,
                                               const char *name, struct graph_environment *environment,
                                               struct graph_collection *in, struct graph_collection *out) {
    struct graph_transform *step = graph_derive_transform(
        graph, base, arena_printf(&graph->arena, "/Reencode(%s)", name), GRAPH_SDK, URN_TRANSFORM_FLATTEN);

    step->environment = environment;
    step->inputs = graph_new_port(graph, "in", in);
    step->outputs = graph_new_port(graph, "out", out);
    step->input_count = step->output_count = 1;
    step->main_input = step->inputs;
    return step;
}

static void drop_subtree(struct graph_transform *transform) {
    transform->is_live = false;
    for (size_t i = 0; i < transform->child_count; i++)
        drop_subtree(transform->children[i]);
}

void graph_replace_children(struct graph *graph, struct graph_transform *composite, size_t first) {
    size_t count = graph->transforms.count - first;

    drop_subtree(composite);
    composite->children = arena_new_array(&graph->arena, struct graph_transform *, count);
    composite->child_count = count;
    for (size_t i = 0; i < count; i++)
        composite->children[i] = graph->transforms.items[first + i];
}

/* ---- connecting ---- */

static int connect_outputs(struct graph_transform *transform, struct status *st) {
    for (size_t i = 0; i < transform->output_count; i++) {
        struct graph_collection *collection = transform->outputs[i].collection;

        if (collection->producer)
            return status_set(st, STATUS_INVALID_ARGUMENT,
                              "PCollection \"%s\" is produced by two transforms, \"%s\" and \"%s\"", collection->id,
                              collection->producer->user_name, transform->user_name);
        collection->producer = transform;
        collection->producer_output = transform->outputs[i].name;
    }
    return 0;
}

static int connect_inputs(struct graph_transform *transform, struct status *st) {
    for (size_t i = 0; i < transform->input_count; i++) {
        struct graph_collection *collection = transform->inputs[i].collection;

        if (!collection->producer)
            return graph_fail(transform, st, STATUS_INVALID_ARGUMENT,
                              "input \"%s\" is PCollection \"%s\", which no transform produces",
                              transform->inputs[i].name, collection->id);
        vec_push(&collection->consumers, transform);
    }
    return 0;
}

/* Some leaves wait for each other: goes back from one of them until one comes up twice, and names the circle. */
static int fail_on_cycle(struct graph *graph, const unsigned *waiting, struct status *st) {
    struct graph_transform *at = NULL;
    struct buf names = {0};
    int r;

    vec_foreach (transform, &graph->transforms)
        if ((*transform)->is_live && waiting[(*transform)->index])
            at = *transform;
    /* After as many steps as there are leaves it is on the circle; then once round. */
    for (size_t step = 0; step < graph->transforms.count + 4; step++) {
        for (size_t i = 0; i < at->input_count; i++) {
            struct graph_transform *producer = at->inputs[i].collection->producer;

            if (waiting[producer->index]) {
                at = producer;
                break;
            }
        }
        if (step >= graph->transforms.count) {
            buf_add(&names, names.size ? ", \"" : "\"", names.size ? 3 : 1);
            buf_add(&names, at->user_name, strlen(at->user_name));
            buf_add_u8(&names, '"');
        }
    }
    r = status_set(st, STATUS_INVALID_ARGUMENT, "the pipeline has a cycle; reading backwards, among others: %.*s",
                   (int)names.size, (const char *)buf_data(&names));
    buf_clear(&names);
    return r;
}

/* Kahn's algorithm; ties follow the order in which leaves become ready, so the result depends on the input alone. */
static int sort_leaves(struct graph *graph, struct status *st) {
    unsigned *waiting = xcalloc(graph->transforms.count + 1, sizeof(*waiting));
    size_t live = 0;
    int r = 0;

    graph->order.count = 0;
    vec_foreach (transform, &graph->transforms) {
        if (!(*transform)->is_live)
            continue;
        live++;
        waiting[(*transform)->index] = (unsigned)(*transform)->input_count;
        if ((*transform)->input_count == 0)
            vec_push(&graph->order, *transform);
    }
    for (size_t i = 0; i < graph->order.count; i++) {
        struct graph_transform *transform = graph->order.items[i];

        for (size_t o = 0; o < transform->output_count; o++)
            vec_foreach (consumer, &transform->outputs[o].collection->consumers)
                if (--waiting[(*consumer)->index] == 0)
                    vec_push(&graph->order, *consumer);
    }
    if (graph->order.count < live)
        r = fail_on_cycle(graph, waiting, st);
    free(waiting);
    return r;
}

int graph_connect(struct graph *graph, struct status *st) {
    int r = 0;

    vec_foreach (collection, &graph->collections) {
        (*collection)->producer = NULL;
        (*collection)->consumers.count = 0;
    }
    for (size_t i = 0; i < graph->transforms.count && r == 0; i++)
        if (graph->transforms.items[i]->is_live)
            r = connect_outputs(graph->transforms.items[i], st);
    for (size_t i = 0; i < graph->transforms.count && r == 0; i++)
        if (graph->transforms.items[i]->is_live)
            r = connect_inputs(graph->transforms.items[i], st);
    return r < 0 ? r : sort_leaves(graph, st);
}
