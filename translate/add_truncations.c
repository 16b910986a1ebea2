/* A job is drained by making what its splittable DoFns still have to do finite: the SDK cuts each restriction down, by default keeping a bounded
 * one whole and dropping an unbounded one (MODEL 9.12; SplittableParDoComponents.TRUNCATE_SIZED_RESTRICTION). So a PROCESS in a stream gets
 * a step beside it, which has its payload and side inputs:
 *
 *      sized --------------------+--> flatten --> PROCESS
 *        '--> TRUNCATE --------->|
 *
 * TRUNCATE is a stage of its own, which gets nothing until the job is drained, and then the restrictions that PROCESS did not finish. Since it
 * may have something to say until the end, its output is unbounded, even where `sized` is bounded. */
#include "translate/graph.h"

static bool is_in_a_stream(const struct graph_transform *transform) {
    for (size_t i = 0; i < transform->input_count; i++)
        if (!transform->inputs[i].collection->is_bounded)
            return true;
    for (size_t i = 0; i < transform->output_count; i++)
        if (!transform->outputs[i].collection->is_bounded)
            return true;
    return false;
}

static bool needs_truncation(const struct graph_transform *transform) {
    return transform->is_live && transform->is_sdf_process && is_in_a_stream(transform) &&
           environment_can(transform->environment, urn_string(URN_TRANSFORM_SDF_TRUNCATE_SIZED_RESTRICTION));
}

static struct graph_transform *add_truncate(struct graph *graph, const struct graph_transform *process) {
    struct graph_collection *sized = process->main_input->collection;
    struct graph_transform *truncate =
        graph_derive_transform(graph, process, "/Truncate", GRAPH_SDK, URN_TRANSFORM_SDF_TRUNCATE_SIZED_RESTRICTION);

    graph_set_pardo_inputs(graph, truncate, process, sized);
    truncate->outputs =
        graph_new_port(graph, "out", graph_derive_collection(graph, truncate, sized->coder, sized->windowing, false));
    truncate->output_count = 1;
    truncate->payload = process->payload;
    truncate->pardo = process->pardo;
    truncate->has_side_inputs = process->has_side_inputs;
    truncate->needs_root = true;
    return truncate;
}

static void drain_by(struct graph *graph, struct graph_transform *process) {
    struct graph_collection *sized = process->main_input->collection;
    struct graph_transform *truncate = add_truncate(graph, process);
    struct graph_transform *flatten =
        graph_derive_transform(graph, process, "/Restrictions", GRAPH_FLATTEN, URN_TRANSFORM_FLATTEN);

    flatten->inputs = arena_new_array(&graph->arena, struct graph_port, 2);
    flatten->inputs[0] = (struct graph_port){.name = "sized", .collection = sized};
    flatten->inputs[1] = (struct graph_port){.name = "truncated", .collection = truncate->outputs[0].collection};
    flatten->input_count = 2;
    flatten->outputs =
        graph_new_port(graph, "out", graph_derive_collection(graph, flatten, sized->coder, sized->windowing, false));
    flatten->output_count = 1;
    process->main_input->collection = flatten->outputs[0].collection;
    process->truncation = truncate;
    truncate->drains = process;
}

int graph_add_truncations(struct graph *graph, struct status *st) {
    size_t count = graph->transforms.count;
    int r;

    for (size_t i = 0; i < count; i++)
        if (needs_truncation(graph->transforms.items[i]))
            drain_by(graph, graph->transforms.items[i]);
    if (graph->transforms.count == count)
        return 0;
    r = graph_connect(graph, st);
    return r < 0 ? r : graph_spread_unbounded(graph, st);
}
