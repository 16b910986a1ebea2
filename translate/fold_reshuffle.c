/* Reshuffle and redistribute are composites in the SDKs: reify, group by a random key, restore. A runner that cuts stages anyway
 * has a cheaper form: a step that passes blocks on and that nothing is fused across (MODEL 10.2 - 10.4). */
#include "translate/graph.h"

static bool is_reshuffle(enum urn urn) {
    return urn == URN_TRANSFORM_RESHUFFLE || urn == URN_TRANSFORM_REDISTRIBUTE_BY_KEY ||
           urn == URN_TRANSFORM_REDISTRIBUTE_ARBITRARILY;
}

static int fold(struct graph *graph, struct graph_transform *composite, struct status *st) {
    struct graph_transform *step;
    bool fits = composite->input_count == 1 && composite->output_count == 1;

    if (fits) {
        struct graph_coder *in = graph_wire_coder(graph, composite->inputs[0].collection->coder);
        struct graph_coder *out = graph_wire_coder(graph, composite->outputs[0].collection->coder);

        fits = in->canonical == out->canonical;
    }
    if (!fits && composite->child_count > 0)
        return 0; /* its own expansion will do */
    if (composite->input_count != 1 || composite->output_count != 1)
        return graph_fail(composite, st, STATUS_INVALID_ARGUMENT,
                          "a reshuffle has one input and one output, not %zu and %zu", composite->input_count,
                          composite->output_count);
    if (composite->inputs[0].collection == composite->outputs[0].collection)
        return 0;
    step = graph_derive_transform(graph, composite, "/Fold", GRAPH_FLATTEN, URN_TRANSFORM_FLATTEN);
    step->inputs = composite->inputs;
    step->input_count = 1;
    step->outputs = composite->outputs;
    step->output_count = 1;
    step->is_reshuffle = true;
    graph_replace_children(graph, composite, step->index);
    return 0;
}

/* Outermost first; what is inside a folded composite is gone. */
static int visit(struct graph *graph, struct graph_transform *transform, struct status *st) {
    int r = 0;

    if (is_reshuffle(transform->urn) && transform->kind == GRAPH_COMPOSITE) {
        size_t before = graph->transforms.count;

        r = fold(graph, transform, st);
        if (r < 0 || graph->transforms.count > before)
            return r;
    }
    for (size_t i = 0; i < transform->child_count && r == 0; i++)
        r = visit(graph, transform->children[i], st);
    return r;
}

int graph_fold_reshuffles(struct graph *graph, struct status *st) {
    int r = 0;

    for (size_t i = 0; i < graph->roots.count && r == 0; i++)
        r = visit(graph, graph->roots.items[i], st);
    return r;
}
