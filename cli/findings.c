#include "cli/findings.h"

#include <string.h>

#include "base/clock.h"
#include "cli/format.h"

enum { SLOW_MS = 5000, LATE_MS = 15000 }; /* below these nobody waits for it */
static const double SLOW_SHARE = 0.5;     /* of the time of all transforms */
static const double NEARLY_FULL = 0.85, FULL = 0.98;
#define LOW_SPACE_BYTES (UINT64_C(1) << 30)
#define NO_SPACE_BYTES (UINT64_C(16) << 20)

static void add_finding(const struct terminal *terminal, enum style style, const char *title, const char *text,
                        struct buf *out) {
    buf_printf(out, "  ");
    terminal_add(terminal, style, title, out);
    buf_printf(out, ": ");
    add_printable(out, text);
    buf_printf(out, "\n");
}

const char *short_worker_id(const char *worker, const char *job) {
    size_t size = strlen(job);

    return strncmp(worker, job, size) == 0 && worker[size] == '-' && worker[size + 1] ? worker + size + 1 : worker;
}

/* ------------------------------------------------------------------ the machine */

static void add_disk_limit(const struct terminal *terminal, const Trestle__V1__Server *server, struct buf *out) {
    double share = server->disk_limit_bytes ? (double)server->disk_bytes / (double)server->disk_limit_bytes : 0;
    CLEANUP(freep) char *used = format_bytes(server->disk_bytes);
    CLEANUP(freep) char *limit = format_bytes(server->disk_limit_bytes);
    CLEANUP(freep)
    char *text = xasprintf("%s of %s; a job that needs more fails. End one that holds much, or raise "
                           "disk.total",
                           used, limit);

    if (share >= NEARLY_FULL)
        add_finding(terminal, share >= FULL ? STYLE_BAD : STYLE_WARNING,
                    share >= FULL ? "the disk space for job data is taken"
                                  : "the disk space for job data is nearly taken",
                    text, out);
}

static void add_state_space(const struct terminal *terminal, const Trestle__V1__Server *server, struct buf *out) {
    bool is_full = server->state_free_bytes < NO_SPACE_BYTES;
    CLEANUP(freep) char *left = format_bytes(server->state_free_bytes);
    CLEANUP(freep)
    char *text = xasprintf("%s are free where %s is; without room jobs are refused, and those fail that "
                           "store data",
                           left, server->state_directory);

    if (server->state_size_bytes && server->state_free_bytes < LOW_SPACE_BYTES)
        add_finding(terminal, is_full ? STYLE_BAD : STYLE_WARNING,
                    is_full ? "the disk is full" : "the disk is nearly full", text, out);
}

/* ------------------------------------------------------------------ a job */

struct slowest {
    const Trestle__V1__Stage *stage;
    const Trestle__V1__Transform *transform; /* NULL: none took any time */
    uint64_t total_ms;
    size_t timed; /* transforms that took time */
};

static void look_at_stage(const Trestle__V1__Stage *stage, struct slowest *slowest) {
    for (size_t i = 0; i < stage->n_transforms; i++) {
        const Trestle__V1__Transform *transform = stage->transforms[i];

        slowest->total_ms += transform->time_ms;
        slowest->timed += transform->time_ms > 0;
        if (transform->time_ms > (slowest->transform ? slowest->transform->time_ms : 0)) {
            slowest->transform = transform;
            slowest->stage = stage;
        }
    }
}

/* "; its time goes into Enrich/Call service", of the bundle's stage, unless the time is not that of its silence: a worker that is stopped reports
 * none. The caller frees. */
static char *where_time_goes(const Trestle__V1__Graph *graph, const Trestle__V1__RunningBundle *bundle) {
    struct slowest slowest = {0};

    for (size_t i = 0; i < graph->n_stages; i++)
        if (strcmp(graph->stages[i]->name, bundle->stage) == 0)
            look_at_stage(graph->stages[i], &slowest);
    return slowest.transform && (int64_t)slowest.transform->time_ms >= bundle->silent_ms / 2
               ? xasprintf("; its time goes into %s", slowest.transform->name)
               : xstrdup("");
}

static const Trestle__V1__RunningBundle *most_silent(const Trestle__V1__Worker *worker) {
    const Trestle__V1__RunningBundle *most = NULL;

    for (size_t i = 0; i < worker->n_bundles; i++)
        if (!most || worker->bundles[i]->silent_ms > most->silent_ms)
            most = worker->bundles[i];
    return most && most->silent_ms >= FINDING_SILENT_MS ? most : NULL;
}

static void add_silence(const struct terminal *terminal, const Trestle__V1__JobDetail *job,
                        const Trestle__V1__Graph *graph, const Trestle__V1__Worker *worker, struct buf *out) {
    const Trestle__V1__RunningBundle *bundle = most_silent(worker);
    const char *name = short_worker_id(worker->id, job->summary->id);

    if (!bundle)
        return;
    CLEANUP(freep) char *silent = format_duration(bundle->silent_ms);
    CLEANUP(freep) char *time = where_time_goes(graph, bundle);
    CLEANUP(freep) char *title = xasprintf("worker %s has been silent for %s", name, silent);
    CLEANUP(freep)
    char *advice = worker->has_status ? xasprintf("trestle stacks %s shows what its threads do", job->summary->id)
                                      : xstrdup("it cannot be asked what it does; py-spy or jstack on its machine can");
    CLEANUP(freep) char *text = xasprintf("no output and no progress in %s%s; %s", bundle->stage, time, advice);

    add_finding(terminal, STYLE_BAD, title, text, out);
}

/* A worker hangs in this stage: what its transforms took says nothing of their speed. */
static bool is_silent(const Trestle__V1__JobDetail *job, const Trestle__V1__Stage *stage) {
    for (size_t i = 0; i < job->n_workers; i++) {
        const Trestle__V1__RunningBundle *bundle = most_silent(job->workers[i]);

        if (bundle && strcmp(bundle->stage, stage->name) == 0)
            return true;
    }
    return false;
}

/* "59s for 2,902 elements, 21 ms each; 25,258 elements wait in front of it". The caller frees. */
static char *describe_slowness(const struct slowest *slowest) {
    const Trestle__V1__Transform *transform = slowest->transform;
    uint64_t elements = transform->elements_in ? transform->elements_in : transform->elements_out;
    double each_ms = elements ? (double)transform->time_ms / (double)elements : 0;
    CLEANUP(freep) char *time = format_duration((int64_t)transform->time_ms);
    CLEANUP(freep) char *count = format_count(elements);
    CLEANUP(freep) char *waiting = format_count(slowest->stage->elements_waiting);
    CLEANUP(freep) char *each = each_ms >= 0.1 ? xasprintf(", %.*f ms each", each_ms < 10, each_ms) : xstrdup("");
    CLEANUP(freep)
    char *queue =
        slowest->stage->elements_waiting ? xasprintf("; %s more wait in front of its stage", waiting) : xstrdup("");

    return xasprintf("%s for %s elements%s%s", time, count, each, queue);
}

static void add_slowness(const struct terminal *terminal, const Trestle__V1__JobDetail *job,
                         const Trestle__V1__Graph *graph, struct buf *out) {
    struct slowest slowest = {0};
    double share;

    for (size_t i = 0; i < graph->n_stages; i++)
        look_at_stage(graph->stages[i], &slowest);
    if (!slowest.transform || slowest.timed < 2 || slowest.transform->time_ms < SLOW_MS ||
        is_silent(job, slowest.stage))
        return;
    share = (double)slowest.transform->time_ms / (double)slowest.total_ms;
    if (share < SLOW_SHARE)
        return;
    CLEANUP(freep)
    char *title = xasprintf("%d%% of the time goes into %s", (int)(share * 100), slowest.transform->name);
    CLEANUP(freep) char *text = describe_slowness(&slowest);

    add_finding(terminal, STYLE_WARNING, title, text, out);
}

/* None of the job's workers is there yet, and that is taking long. */
static void add_absence(const struct terminal *terminal, const Trestle__V1__JobDetail *job, struct buf *out) {
    int64_t waited_ms = wall_clock_ms() - job->summary->started_ms;

    if (strcmp(job->summary->state, "RUNNING") != 0 || waited_ms < LATE_MS || job->n_workers == 0)
        return;
    for (size_t i = 0; i < job->n_workers; i++)
        if (strcmp(job->workers[i]->state, "starting") != 0)
            return;
    CLEANUP(freep) char *waited = format_duration(waited_ms);
    CLEANUP(freep) char *title = xasprintf("no worker has connected in %s", waited);
    CLEANUP(freep)
    char *text = xasprintf("%zu %s starting; trestle logs %s tells of those that could not, and trestle "
                           "doctor of this machine",
                           job->n_workers, job->n_workers == 1 ? "is" : "are", job->summary->id);

    add_finding(terminal, STYLE_WARNING, title, text, out);
}

void add_findings(const struct terminal *terminal, const Trestle__V1__JobDetail *job, const Trestle__V1__Graph *graph,
                  const Trestle__V1__Server *server, struct buf *out) {
    for (size_t i = 0; job && i < job->n_workers; i++)
        add_silence(terminal, job, graph, job->workers[i], out);
    if (job)
        add_absence(terminal, job, out);
    if (server) {
        add_state_space(terminal, server, out);
        add_disk_limit(terminal, server, out);
    }
    if (job)
        add_slowness(terminal, job, graph, out);
}
