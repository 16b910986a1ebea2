/* The metrics of a running job: harnesses are asked for them, and what is known is published.
 *
 *      every second, at most        progress of each bundle that runs (the engine adds it up, engine/tally.h)
 *      every ten seconds            process-wide metrics of each harness, which belong to no bundle
 *      every second, at most        what is known now, to the job (job_set_metrics), where GetJobMetrics finds it
 *      at the end of the job        process-wide metrics once more; then everything, exactly
 *
 * A short bundle is never asked, and neither is a harness that does not say that it can answer. The engine decides nothing by these reports, so
 * that asking for them is the host's own business.
 *
 * A harness may have lived before the job: the client's own process is one, under LOOPBACK. Its process-wide metrics count from what they were
 * at the job's first bundle, as attempted: no bundle commits them. Engine thread. */
#ifndef JOBSERVER_RUN_METRICS_H
#define JOBSERVER_RUN_METRICS_H

#include "base/map.h"

struct engine_action;
struct job_run;
struct run_event;

/* Zero-initialise. */
struct run_metrics {
    int64_t published_ns;
    bool is_stale;        /* there is more to publish */
    struct map bundles;   /* bundle -> struct asked_bundle: those to ask about */
    struct map processes; /* worker -> struct asked_process; kept when the worker is gone */
    bool is_waiting;      /* for the last process-wide metrics, before the workers are stopped */
    int64_t waiting_until_ns;
};

/* A bundle is about to be started: before its ProcessBundle is sent. */
void run_metrics_bundle_starts(struct job_run *run, const struct engine_action *action);
void run_metrics_bundle_ended(struct job_run *run, uint64_t bundle);
/* RUN_EVENT_PROGRESS and RUN_EVENT_PROCESS_METRICS. */
void run_metrics_progress(struct job_run *run, struct run_event *event);
void run_metrics_process(struct job_run *run, struct run_event *event);
/* The job is over: asks for what is needed last. False: nothing is waited for, the workers can be stopped now; true: run_metrics_check() will
 * stop them. */
bool run_metrics_ask_last(struct job_run *run);
/* Does what is due. Returns when there will be something to do, INT64_MAX: not before another event. */
int64_t run_metrics_check(struct job_run *run, int64_t now_ns);
void run_metrics_publish(struct job_run *run);
void run_metrics_clear(struct run_metrics *metrics);

#endif
