#include "translate/translate.h"

#include "translate/graph.h"

static int run_passes(struct graph *graph, const Beam__Pipeline *pipeline, struct plan *plan, struct status *st) {
    static int (*const passes[])(struct graph * graph, struct status * st) = {
        graph_merge_environments,  graph_fold_reshuffles,  graph_lift_combines,
        graph_expand_sdfs,         graph_connect,          graph_prune,
        graph_expand_test_streams, graph_spread_unbounded, graph_add_truncations,
        graph_ask_questions,       graph_unify_flattens,   graph_fuse,
    };
    int r = graph_load(graph, pipeline, st);

    for (size_t i = 0; i < ARRAY_COUNT(passes) && r == 0; i++)
        r = passes[i](graph, st);
    return r < 0 ? r : graph_assemble(graph, plan, st);
}

int translate_pipeline(const Beam__Pipeline *pipeline, const struct translate_options *options, struct plan **ret_plan,
                       struct status *st) {
    struct plan *plan = xcalloc(1, sizeof(*plan));
    struct graph graph = {.plan_arena = &plan->arena};
    int r;

    plan->arena.account = options ? options->account : NULL;
    r = run_passes(&graph, pipeline, plan, st);
    graph_finish(&graph);
    if (r < 0) {
        plan_destroy(plan);
        return r;
    }
    *ret_plan = plan;
    return 0;
}
