#include <string.h>

#include "translate/graph.h"
#include "translate/translate.h"

static int load_coder(struct graph *graph, const Beam__Components__CodersEntry *entry, struct status *st) {
    static const Beam__Coder nothing = BEAM__CODER__INIT;
    struct graph_coder *coder = arena_new(&graph->arena, struct graph_coder);
    const Beam__Coder *proto = entry->value ? entry->value : &nothing;

    coder->index = (unsigned)graph->coders.count;
    coder->id = entry->key;
    coder->proto = proto;
    coder->urn = proto->spec ? proto->spec->urn : "";
    coder->payload = proto->spec ? proto->spec->payload : (ProtobufCBinaryData){0};
    if (map_set_string(&graph->coder_ids, coder->id, coder))
        return status_set(st, STATUS_INVALID_ARGUMENT, "coder \"%s\" is there twice", coder->id);
    vec_push(&graph->coders, coder);
    return 0;
}

static int load_components(struct graph *graph, struct graph_coder *coder, struct status *st) {
    const Beam__Coder *proto = coder->proto;
    size_t count = proto->n_component_coder_ids;
    unsigned expected = 0;

    if (coder_kind_of_urn(coder->urn, &expected) >= 0 && expected != count)
        return status_set(st, STATUS_INVALID_ARGUMENT, "coder \"%s\" (%s) has %zu components, not %u", coder->id,
                          coder->urn, count, expected);
    coder->component_count = count;
    coder->components = arena_new_array(&graph->arena, struct graph_coder *, count);
    for (size_t i = 0; i < count; i++) {
        coder->components[i] = graph_find_coder(graph, proto->component_coder_ids[i]);
        if (!coder->components[i])
            return status_set(st, STATUS_INVALID_ARGUMENT,
                              "coder \"%s\" names component coder \"%s\", which is not in the pipeline", coder->id,
                              proto->component_coder_ids[i]);
    }
    return 0;
}

enum { DEPTH_OPEN = UINT_MAX };

/* Sets depths from the components upwards, and with them the canonical coders. */
static int settle_coder(struct graph *graph, struct graph_coder *coder, unsigned level, struct status *st) {
    unsigned depth = 1;

    if (coder->depth == (unsigned)DEPTH_OPEN)
        return status_set(st, STATUS_INVALID_ARGUMENT, "coder \"%s\" contains itself", coder->id);
    if (coder->depth > 0)
        return 0;
    if (level > TRANSLATE_MAX_CODER_NESTING)
        return status_set(st, STATUS_INVALID_ARGUMENT, "coder \"%s\" is nested more than %d deep", coder->id,
                          TRANSLATE_MAX_CODER_NESTING);
    coder->depth = (unsigned)DEPTH_OPEN;
    for (size_t i = 0; i < coder->component_count; i++) {
        int r = settle_coder(graph, coder->components[i], level + 1, st);

        if (r < 0)
            return r;
        depth = MAX(depth, coder->components[i]->depth + 1);
    }
    if (depth > TRANSLATE_MAX_CODER_NESTING)
        return status_set(st, STATUS_INVALID_ARGUMENT, "coder \"%s\" is nested more than %d deep", coder->id,
                          TRANSLATE_MAX_CODER_NESTING);
    coder->depth = depth;
    graph_intern_coder(graph, coder);
    return 0;
}

int graph_load_coders(struct graph *graph, const Beam__Components *components, bool is_further, struct status *st) {
    int r = 0;

    for (size_t i = 0; i < components->n_coders && r == 0; i++)
        if (!is_further || !map_has_string(&graph->coder_ids, components->coders[i]->key))
            r = load_coder(graph, components->coders[i], st);
    return r;
}

int graph_settle_coders(struct graph *graph, struct status *st) {
    size_t count = graph->coders.count;
    int r = 0;

    for (size_t i = 0; i < count && r == 0; i++)
        r = load_components(graph, graph->coders.items[i], st);
    for (size_t i = 0; i < count && r == 0; i++)
        r = settle_coder(graph, graph->coders.items[i], 1, st);
    return r;
}
