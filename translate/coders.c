#include "translate/graph.h"

#include <assert.h>
#include <string.h>

/* ---- making ---- */

/* What the encoding depends on: URN, payload, and the components' encodings. */
static struct slice canonical_key(const struct graph_coder *coder) {
    struct buf key = {0};

    buf_add_prefixed(&key, coder->urn, strlen(coder->urn));
    buf_add_prefixed(&key, coder->payload.data, coder->payload.len);
    for (size_t i = 0; i < coder->component_count; i++)
        buf_add_varint(&key, coder->components[i]->canonical->index);
    return buf_finish(&key);
}

void graph_intern_coder(struct graph *graph, struct graph_coder *coder) {
    CLEANUP_SLICE struct slice key = canonical_key(coder);
    void **slot = map_slot(&graph->canonical_coders, key.data, key.size);
    unsigned components;

    if (!*slot)
        *slot = coder;
    coder->canonical = *slot;
    coder->kind = coder_kind_of_urn(coder->urn, &components);
}

struct graph_coder *graph_make_coder(struct graph *graph, const char *urn, ProtobufCBinaryData payload,
                                     struct graph_coder *const *components, size_t component_count) {
    struct graph_coder *coder = arena_new(&graph->arena, struct graph_coder);

    coder->index = (unsigned)graph->coders.count;
    coder->urn = urn;
    coder->payload = payload;
    coder->components = arena_new_array(&graph->arena, struct graph_coder *, component_count);
    coder->component_count = component_count;
    coder->depth = 1;
    for (size_t i = 0; i < component_count; i++) {
        coder->components[i] = components[i];
        coder->depth = MAX(coder->depth, components[i]->depth + 1);
    }
    graph_intern_coder(graph, coder);
    if (coder->canonical != coder)
        return coder->canonical;
    coder->id = arena_printf(&graph->arena, "trestle-c%u", coder->index);
    while (map_has_string(&graph->coder_ids, coder->id))
        coder->id = arena_printf(&graph->arena, "%s_", coder->id);
    map_set_string(&graph->coder_ids, coder->id, coder);
    vec_push(&graph->coders, coder);
    return coder;
}

struct graph_coder *graph_make_simple(struct graph *graph, enum coder_kind kind, struct graph_coder *component) {
    return graph_make_coder(graph, coder_urn(kind), (ProtobufCBinaryData){0}, &component, component ? 1 : 0);
}

static struct graph_coder *make_pair(struct graph *graph, enum coder_kind kind, struct graph_coder *first,
                                     struct graph_coder *second) {
    struct graph_coder *components[] = {first, second};

    return graph_make_coder(graph, coder_urn(kind), (ProtobufCBinaryData){0}, components, 2);
}

struct graph_coder *graph_make_kv(struct graph *graph, struct graph_coder *key, struct graph_coder *value) {
    return make_pair(graph, CODER_KV, key, value);
}

/* ---- on the wire ---- */

/* Whether a component of this kind is a window coder. */
static bool is_window_component(int kind, size_t component) {
    return (kind == CODER_WINDOWED_VALUE || kind == CODER_TIMER) && component == 1;
}

static struct graph_coder *with_wire_components(struct graph *graph, struct graph_coder *coder) {
    struct graph_coder *components[2];
    bool changed = false;

    assert(coder->component_count <= ARRAY_COUNT(components));
    for (size_t i = 0; i < coder->component_count; i++) {
        components[i] = is_window_component(coder->kind, i) ? graph_wire_window_coder(graph, coder->components[i])
                                                            : graph_wire_coder(graph, coder->components[i]);
        changed |= components[i] != coder->components[i];
    }
    return changed ? graph_make_coder(graph, coder->urn, coder->payload, components, coder->component_count) : coder;
}

struct graph_coder *graph_wire_coder(struct graph *graph, struct graph_coder *coder) {
    if (coder->wire)
        return coder->wire;
    if (coder->kind < 0)
        coder->wire = graph_make_simple(graph, CODER_LENGTH_PREFIX, coder);
    else if (coder->kind == CODER_LENGTH_PREFIX)
        coder->wire = coder;
    else
        coder->wire = with_wire_components(graph, coder);
    coder->wire->wire = coder->wire;
    return coder->wire;
}

struct graph_coder *graph_wire_window_coder(struct graph *graph, struct graph_coder *coder) {
    if (!coder->window) {
        coder->window = graph_wire_coder(graph, coder);
        if (coder->kind != CODER_GLOBAL_WINDOW && coder->kind != CODER_INTERVAL_WINDOW &&
            coder->kind != CODER_CUSTOM_WINDOW)
            coder->window = graph_make_simple(graph, CODER_CUSTOM_WINDOW, coder->window);
    }
    return coder->window;
}

/* What was grouped to become this collection; NULL: it is no grouped data. */
static struct graph_collection *grouped_input(const struct graph_collection *collection) {
    const struct graph_transform *producer = collection->producer;

    if (producer && producer->kind == GRAPH_MERGE_GROUPS)
        return producer->grouping->inputs[0].collection;
    return producer && producer->kind == GRAPH_GROUP_BY_KEY && !producer->asks_for_merges
               ? producer->inputs[0].collection
               : NULL;
}

struct graph_coder *graph_collection_wire(struct graph *graph, struct graph_collection *collection) {
    struct graph_collection *grouped;

    if (collection->wire)
        return collection->wire;
    grouped = grouped_input(collection);
    if (grouped) {
        struct graph_coder *in = graph_collection_wire(graph, grouped);

        if (in->kind == CODER_KV) {
            struct graph_coder *values = graph_make_simple(graph, CODER_ITERABLE, in->components[1]);

            return collection->wire = graph_make_kv(graph, in->components[0], values);
        }
    }
    return collection->wire = graph_wire_coder(graph, collection->coder);
}

struct graph_coder *graph_windowed(struct graph *graph, struct graph_coder *value,
                                   const struct graph_collection *collection) {
    return make_pair(graph, CODER_WINDOWED_VALUE, value,
                     graph_wire_window_coder(graph, collection->windowing->window_coder));
}

struct graph_coder *graph_windowed_wire(struct graph *graph, struct graph_collection *collection) {
    return graph_windowed(graph, graph_collection_wire(graph, collection), collection);
}

struct graph_coder *graph_timer_coder(struct graph *graph, const struct graph_transform *transform) {
    struct graph_collection *main = transform->main_input->collection;

    return make_pair(graph, CODER_TIMER, graph_collection_wire(graph, main)->components[0],
                     graph_wire_window_coder(graph, main->windowing->window_coder));
}

const struct coder *graph_model_coder(struct graph *graph, struct graph_coder *coder) {
    const struct coder *components[2] = {NULL, NULL};

    if (coder->model)
        return coder->model;
    assert(coder->kind >= 0);
    for (size_t i = 0; i < coder->component_count; i++) {
        /* Inside a length prefix the runner never looks, so any coder will do for one that it does not know. */
        if (coder->kind == CODER_LENGTH_PREFIX)
            components[i] = coder_create(graph->plan_arena, CODER_BYTES, NULL, NULL);
        else
            components[i] = graph_model_coder(graph, coder->components[i]);
    }
    coder->model = coder_create(graph->plan_arena, (enum coder_kind)coder->kind, components[0], components[1]);
    return coder->model;
}
