/* A job's fused stages with what is known of them: the plan, a snapshot of its run, and its metrics, as one trestle.v1.Graph. Any thread. */
#ifndef JOBSERVER_INSPECTION_GRAPH_H
#define JOBSERVER_INSPECTION_GRAPH_H

#include "base/arena.h"
#include "jobserver/job.h"
#include "jobserver/run_snapshot.h"
#include "trestle_inspection.pb-c.h"

/* In the arena, borrowing nothing. `snapshot` NULL: the job was not begun, or what is known is gone. */
Trestle__V1__Graph *inspection_make_graph(const struct plan *plan, const struct run_snapshot *snapshot,
                                          const struct job_metrics *metrics, struct arena *arena);
/* The same, serialized: for a job that is over. */
struct slice inspection_pack_graph(const struct plan *plan, const struct run_snapshot *snapshot,
                                   const struct job_metrics *metrics);
/* How much of a batch job is done, 0 to 1, as far as its stages tell; negative: it has a stream in it. */
double inspection_progress(const struct plan *plan, const struct engine_inspection *engine);

#endif
