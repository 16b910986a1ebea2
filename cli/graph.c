/* graph: a job's fused stages. */
#include "cli/graph.h"

#include <stdlib.h>

#include "cli/find_job.h"
#include "cli/print.h"

static const struct flag flags[] = {
    {.name = "--dot", .doc = "for Graphviz: trestle graph JOB --dot | dot -Tsvg > graph.svg"},
    CONNECTION_FLAGS,
};

static int print_graph(const struct arguments *arguments, struct connection *connection, struct arena *arena,
                       struct status *st) {
    struct terminal terminal = terminal_get();
    Trestle__V1__JobSummary *job;
    Trestle__V1__Graph *graph;
    struct buf out = {0};

    if (find_job(connection, arguments->operands[0], arena, &job, st) < 0 ||
        inspection_graph(connection, job->id, arena, &graph, st) < 0)
        return EXIT_FAILURE;
    if (arguments_value(arguments, "--json")) {
        print_json(&graph->base);
        return EXIT_SUCCESS;
    }
    if (arguments_value(arguments, "--dot"))
        graph_add_dot(graph, &out);
    else
        graph_add_text(&terminal, graph, &out);
    terminal_write(&out);
    return EXIT_SUCCESS;
}

static int run_connected(const struct arguments *arguments, struct connection *connection, struct status *st) {
    struct arena arena = {0};
    int result = print_graph(arguments, connection, &arena, st);

    arena_clear(&arena);
    return result;
}

static int run(const struct arguments *arguments, struct status *st) {
    return connection_run(arguments, run_connected, st);
}

const struct command command_graph = {
    .name = "graph",
    .operands = {"JOB"},
    .summary = "a job's graph of fused stages, with what went through it",
    .more = "  A stage stands below what it reads; \"-> 4\" is what it gives to stage 4.\n",
    .flags = flags,
    .flag_count = ARRAY_COUNT(flags),
    .run = run,
};
