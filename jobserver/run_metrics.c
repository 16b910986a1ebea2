#include "jobserver/run_metrics.h"

#include <stdlib.h>
#include <string.h>

#include "jobserver/ask_pace.h"
#include "jobserver/job_run.h"

#define SECOND_NS INT64_C(1000000000)
#define PROGRESS_NS SECOND_NS
#define PUBLISH_NS SECOND_NS
#define PROCESS_NS (10 * SECOND_NS)
/* A harness that has finished its bundles answers at once, or not at all. */
#define LAST_ANSWER_NS (SECOND_NS / 2)

struct asked_bundle {
    uint64_t number;
    unsigned worker;
    struct ask_pace pace;
    uint64_t work; /* what work_done() said last */
};

struct asked_process {
    unsigned worker;
    struct ask_pace pace;
    bool has_before;    /* the first answer: what there was before the job's first bundle */
    bool must_ask_last; /* once what is under way is answered: that was asked too early */
    bool awaits_last;
    struct metric_table before;
    struct metric_table now; /* less what was before */
};

/* ---- asking ---- */

static bool reports_progress(const struct fn_worker *harness) {
    return fn_worker_has_capability(harness, "beam:protocol:progress_reporting:v1") ||
           fn_worker_has_capability(harness, "beam:protocol:progress_reporting:v0");
}

static void ask_process(struct job_run *run, struct asked_process *process) {
    struct fn_worker *harness = run_usable_harness(run, process->worker);

    ask_pace_asked(&process->pace, monotonic_now_ns());
    if (harness)
        fn_worker_ask_process_metrics(harness);
}

static void meet_process(struct job_run *run, unsigned worker) {
    struct asked_process *process;
    void **slot = map_slot(&run->metrics.processes, &worker, sizeof(worker));

    if (*slot)
        return;
    *slot = process = xcalloc(1, sizeof(*process));
    process->worker = worker;
    ask_pace_start(&process->pace, PROCESS_NS, monotonic_now_ns());
    ask_process(run, process);
}

void run_metrics_bundle_starts(struct job_run *run, const struct engine_action *action) {
    struct fn_worker *harness = run_usable_harness(run, action->worker);
    struct asked_bundle *bundle;

    if (!harness)
        return;
    if (fn_worker_has_capability(harness, "beam:protocol:harness_monitoring_infos:v1"))
        meet_process(run, action->worker);
    if (!reports_progress(harness))
        return;
    bundle = xcalloc(1, sizeof(*bundle));
    bundle->number = action->bundle;
    bundle->worker = action->worker;
    ask_pace_start(&bundle->pace, PROGRESS_NS, monotonic_now_ns());
    map_set(&run->metrics.bundles, &bundle->number, sizeof(bundle->number), bundle);
}

void run_metrics_bundle_ended(struct job_run *run, uint64_t number) {
    run->metrics.is_stale = true;
    free(map_remove(&run->metrics.bundles, &number, sizeof(number)));
}

static int64_t ask_bundles(struct job_run *run, int64_t now_ns) {
    int64_t next_ns = INT64_MAX;

    map_foreach (entry, &run->metrics.bundles) {
        struct asked_bundle *bundle = entry->value;
        struct fn_worker *harness = run_usable_harness(run, bundle->worker);

        if (harness && ask_pace_is_due(&bundle->pace, now_ns)) {
            ask_pace_asked(&bundle->pace, now_ns);
            fn_worker_ask_progress(harness, bundle->number);
        }
        next_ns = MIN(next_ns, harness ? bundle->pace.next_ns : INT64_MAX);
    }
    return next_ns;
}

static int64_t ask_processes(struct job_run *run, int64_t now_ns) {
    int64_t next_ns = INT64_MAX;

    map_foreach (entry, &run->metrics.processes) {
        struct asked_process *process = entry->value;

        if (!run_usable_harness(run, process->worker))
            continue;
        if (ask_pace_is_due(&process->pace, now_ns))
            ask_process(run, process);
        next_ns = MIN(next_ns, process->pace.next_ns);
    }
    return next_ns;
}

/* ---- answers ---- */

/* A number that changes when the bundle gets on. Times do not count: they pass in user code that hangs, too. */
static uint64_t work_done(const struct bundle_response *report) {
    static const char *const urns[] = {"beam:metric:element_count:v1", "beam:metric:data_channel:read_index:v1",
                                       "beam:metric:ptransform_progress:completed:v1"};
    uint64_t sum = 0;

    for (size_t i = 0; i < report->metric_count; i++)
        for (size_t j = 0; j < ARRAY_COUNT(urns); j++)
            if (strcmp((const char *)report->metrics[i].identity.data, urns[j]) == 0)
                sum += hash_bytes(report->metrics[i].identity.data, report->metrics[i].identity.size) ^
                       hash_bytes(report->metrics[i].payload.data, report->metrics[i].payload.size);
    return sum;
}

void run_metrics_progress(struct job_run *run, struct run_event *event) {
    struct asked_bundle *bundle = map_get(&run->metrics.bundles, &event->engine.bundle, sizeof(event->engine.bundle));
    uint64_t work;

    if (!bundle)
        return;
    ask_pace_answered(&bundle->pace, monotonic_now_ns());
    work = work_done(event->engine.response);
    if (work != bundle->work)
        run_bundle_sign_of_life(run, bundle->number);
    bundle->work = work;
    event->engine.type = ENGINE_EVENT_PROGRESS;
    run_engine_event(run, &event->engine);
    event->engine = (struct engine_event){0};
    run->metrics.is_stale = true;
}

/* What the process did since the first answer. */
static void add_news(struct asked_process *process, const struct metric *metric) {
    const struct slice *before = map_get(&process->before.by_identity, metric->identity.data, metric->identity.size);
    struct metric news = {.identity = metric->identity};
    const char *type;
    size_t labels;

    metric_identity_parse(metric->identity, &type, NULL, 0, &labels);
    if (!before)
        metric_table_add(&process->now, metric);
    else if (metric_since(type, *before, metric->payload, &news.payload))
        metric_table_add(&process->now, &news);
    slice_unref(&news.payload);
}

void run_metrics_process(struct job_run *run, struct run_event *event) {
    struct asked_process *process =
        map_get(&run->metrics.processes, &event->worker->number, sizeof(event->worker->number));
    const struct bundle_response *report = event->engine.response;

    if (!process)
        return;
    ask_pace_answered(&process->pace, monotonic_now_ns());
    metric_table_clear(&process->now);
    for (size_t i = 0; i < report->metric_count; i++)
        if (process->has_before)
            add_news(process, &report->metrics[i]);
        else
            metric_table_add(&process->before, &report->metrics[i]);
    process->has_before = true;
    run->metrics.is_stale = true;
    if (process->must_ask_last)
        ask_process(run, process);
    else
        process->awaits_last = false;
    process->must_ask_last = false;
}

/* ---- the end ---- */

static bool awaits_last(struct job_run *run) {
    map_foreach (entry, &run->metrics.processes) {
        struct asked_process *process = entry->value;

        if (process->awaits_last && run_usable_harness(run, process->worker))
            return true;
    }
    return false;
}

bool run_metrics_ask_last(struct job_run *run) {
    map_foreach (entry, &run->metrics.processes) {
        struct asked_process *process = entry->value;

        process->awaits_last = true;
        process->must_ask_last = ask_pace_is_waiting(&process->pace);
        if (!process->must_ask_last)
            ask_process(run, process);
    }
    run->metrics.is_waiting = awaits_last(run);
    run->metrics.waiting_until_ns = monotonic_now_ns() + LAST_ANSWER_NS;
    return run->metrics.is_waiting;
}

static int64_t check_end(struct job_run *run, int64_t now_ns) {
    struct run_metrics *metrics = &run->metrics;

    if (!metrics->is_waiting)
        return INT64_MAX;
    if (now_ns < metrics->waiting_until_ns && awaits_last(run))
        return metrics->waiting_until_ns;
    metrics->is_waiting = false;
    run_workers_stop(run);
    return now_ns; /* the workers have new deadlines */
}

/* ---- publishing ---- */

void run_metrics_publish(struct job_run *run) {
    struct metric_table attempted, committed;

    run->metrics.published_ns = monotonic_now_ns();
    run->metrics.is_stale = false;
    engine_copy_metrics(run->engine, &attempted, &committed);
    map_foreach (entry, &run->metrics.processes)
        metric_table_merge(&attempted, &((struct asked_process *)entry->value)->now);
    job_set_metrics(run->job, &attempted, &committed);
}

int64_t run_metrics_check(struct job_run *run, int64_t now_ns) {
    struct run_metrics *metrics = &run->metrics;
    int64_t bundles_ns, processes_ns, next_ns;

    if (run->is_over)
        return check_end(run, now_ns);
    bundles_ns = ask_bundles(run, now_ns);
    processes_ns = ask_processes(run, now_ns);
    next_ns = MIN(bundles_ns, processes_ns);
    if (!metrics->is_stale)
        return next_ns;
    if (metrics->published_ns + PUBLISH_NS <= now_ns) {
        run_metrics_publish(run);
        return next_ns;
    }
    return MIN(next_ns, metrics->published_ns + PUBLISH_NS);
}

static void free_process(void *pointer) {
    struct asked_process *process = pointer;

    metric_table_clear(&process->before);
    metric_table_clear(&process->now);
    free(process);
}

void run_metrics_clear(struct run_metrics *metrics) {
    map_clear(&metrics->bundles, free);
    map_clear(&metrics->processes, free_process);
}
