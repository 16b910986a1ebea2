/* Runner steps whose output nobody reads have no effect, unlike code on a harness: they are taken out, and with them the need to
 * write what they would have read. */
#include "translate/graph.h"

static bool is_read(const struct graph_transform *transform) {
    for (size_t i = 0; i < transform->output_count; i++)
        vec_foreach (consumer, &transform->outputs[i].collection->consumers)
            if ((*consumer)->is_live)
                return true;
    return false;
}

int graph_prune(struct graph *graph, struct status *st) {
    bool changed = false;

    /* Backwards, so that chains of them fall together. */
    for (size_t i = graph->order.count; i-- > 0;) {
        struct graph_transform *transform = graph->order.items[i];

        if (transform->kind == GRAPH_SDK || transform->kind == GRAPH_TEST_STREAM || is_read(transform))
            continue;
        transform->is_live = false;
        changed = true;
    }
    return changed ? graph_connect(graph, st) : 0;
}
