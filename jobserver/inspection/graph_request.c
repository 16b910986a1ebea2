/* GetGraph: of a job that runs, of one that is over, of one that has not begun. */
#include <string.h>

#include "jobserver/host.h"
#include "jobserver/inspection/graph.h"
#include "jobserver/inspection/internal.h"

/* As it was at the end; NULL: that is not known. */
static Trestle__V1__Graph *last_graph(struct job *job, struct arena *arena) {
    CLEANUP_SLICE struct slice packed = job_last_graph(job);
    Trestle__V1__Graph *graph;

    if (packed.size == 0 ||
        PB_UNPACK(Trestle__V1__Graph, trestle__v1__graph, packed, PB_STRINGS_LENIENT, arena, &graph, NULL) < 0)
        return NULL;
    return graph;
}

/* What was not done when the job ended is not under way any more. */
static void stop_stages(Trestle__V1__Graph *graph) {
    for (size_t i = 0; i < graph->n_stages; i++) {
        Trestle__V1__Stage *stage = graph->stages[i];

        if (strcmp(stage->state, "running") != 0 && strcmp(stage->state, "waiting") != 0)
            continue;
        stage->state = (char *)"stopped";
        stage->bundles_running = 0;
        stage->waits_for = (char *)"";
    }
}

static Trestle__V1__Graph *live_graph(struct job *job, const struct run_snapshot *snapshot, struct arena *arena) {
    struct job_metrics *metrics = job_get_metrics(job);
    Trestle__V1__Graph *graph = inspection_make_graph(job_specification(job)->plan, snapshot, metrics, arena);

    graph->is_live = snapshot != NULL;
    job_metrics_unref(metrics);
    return graph;
}

/* NULL: it is not known any more. */
static Trestle__V1__Graph *graph_of(struct inspection *inspection, struct job *job, struct arena *arena) {
    bool is_over = job_state_is_terminal(job_current_state(job));
    Trestle__V1__Graph *graph = is_over ? last_graph(job, arena) : NULL;

    if (!graph && job_specification(job)->plan) {
        struct run_snapshot *snapshot = host_inspect_job(inspection->options.host, job, INSPECTION_WAIT_MS);

        graph = live_graph(job, snapshot, arena);
        run_snapshot_unref(snapshot);
    }
    if (graph && is_over)
        stop_stages(graph);
    return graph;
}

int inspect_graph(struct inspection *inspection, const ProtobufCMessage *base, struct arena *arena,
                  ProtobufCMessage **ret, struct status *st) {
    const Trestle__V1__GetGraphRequest *request = (const Trestle__V1__GetGraphRequest *)base;
    Trestle__V1__Graph *graph;
    struct job *job;
    int r = catalogue_find_job(inspection->options.catalogue, request->job_id, &job, st);

    if (r < 0)
        return r;
    graph = graph_of(inspection, job, arena);
    job_unref(job);
    if (!graph)
        return status_set(st, STATUS_FAILED_PRECONDITION, "the graph of job %s is not known: it ended without one",
                          request->job_id);
    *ret = &graph->base;
    return 0;
}
