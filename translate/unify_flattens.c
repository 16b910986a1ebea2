/* A flatten passes blocks on without looking into them, so all its inputs must be encoded like its output. One that is not gets a
 * flatten of one input, executed by an SDK, in front: it decodes with one coder and encodes with the other. */
#include "translate/graph.h"

/* Where a value of the collection can be decoded: where it was made, else where it is read, else anywhere. */
static struct graph_environment *find_environment(const struct graph *graph, const struct graph_transform *flatten,
                                                  const struct graph_collection *input) {
    const struct graph_collection *out = flatten->outputs[0].collection;

    if (input->producer->environment)
        return input->producer->environment;
    vec_foreach (consumer, &input->consumers)
        if ((*consumer)->kind == GRAPH_SDK)
            return (*consumer)->environment;
    vec_foreach (consumer, &out->consumers)
        if ((*consumer)->kind == GRAPH_SDK)
            return (*consumer)->environment;
    return graph->environments.count ? graph->environments.items[0]->merged : NULL;
}

static int reencode(struct graph *graph, struct graph_transform *flatten, struct graph_port *port, struct status *st) {
    struct graph_environment *environment = find_environment(graph, flatten, port->collection);
    struct graph_coder *coder = flatten->outputs[0].collection->wire;
    struct graph_collection *out;

    if (!environment)
        return graph_fail(flatten, st, STATUS_INVALID_ARGUMENT,
                          "input \"%s\" has another coder than the output, and no environment could re-encode it",
                          port->name);
    out = graph_derive_collection(graph, flatten, coder, port->collection->windowing, port->collection->is_bounded);
    out->wire = coder;
    graph_derive_reencoder(graph, flatten, port->name, environment, port->collection, out);
    port->collection = out;
    return 0;
}

int graph_unify_flattens(struct graph *graph, struct status *st) {
    size_t before = graph->transforms.count;

    /* In topological order, because the coder of grouped data follows from its input's. */
    vec_foreach (item, &graph->order) {
        struct graph_transform *transform = *item;

        for (size_t i = 0; i < transform->output_count; i++)
            graph_collection_wire(graph, transform->outputs[i].collection);
        if (transform->kind != GRAPH_FLATTEN)
            continue;
        for (size_t i = 0; i < transform->input_count; i++) {
            struct graph_port *port = &transform->inputs[i];

            if (port->collection->wire->canonical != transform->outputs[0].collection->wire->canonical) {
                int r = reencode(graph, transform, port, st);

                if (r < 0)
                    return r;
            }
        }
    }
    return graph->transforms.count > before ? graph_connect(graph, st) : 0;
}
