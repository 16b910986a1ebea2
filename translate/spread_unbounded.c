/* What is downstream of a stream is a stream, whatever the SDK says of it. The engine runs a stage as batch where all about it is bounded
 * (plan_stage.is_bounded), and such a stage must never wait for one that does not end. */
#include "translate/graph.h"

static bool reads_unbounded(const struct graph_transform *transform) {
    for (size_t i = 0; i < transform->input_count; i++)
        if (!transform->inputs[i].collection->is_bounded)
            return true;
    return false;
}

int graph_spread_unbounded(struct graph *graph, struct status *st) {
    (void)st;
    vec_foreach (item, &graph->order) {
        const struct graph_transform *transform = *item;

        if (transform->kind == GRAPH_TEST_STREAM || reads_unbounded(transform))
            for (size_t i = 0; i < transform->output_count; i++)
                transform->outputs[i].collection->is_bounded = false;
    }
    return 0;
}
