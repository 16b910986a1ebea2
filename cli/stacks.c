/* stacks: what the threads of a job's workers do, as their SDK harnesses say it. */
#include <stdlib.h>
#include <string.h>

#include "cli/find_job.h"
#include "cli/findings.h"
#include "cli/format.h"
#include "cli/print.h"
#include "cli/trace.h"

static const struct flag flags[] = {
    {.name = "--worker", .value = "WORKER", .doc = "of this one, as show names it; else of all that have bundles"},
    CONNECTION_FLAGS,
};

/* Where none is named those with bundles are. */
static bool is_meant(const Trestle__V1__Worker *worker, const char *job, const char *wanted) {
    if (!wanted)
        return worker->n_bundles > 0;
    return strcmp(worker->id, wanted) == 0 || strcmp(short_worker_id(worker->id, job), wanted) == 0;
}

/* "worker 0-1: 1 bundle, in Parse + Call for 1m 04s, silent for 1m 03s". */
static void add_title(const struct terminal *terminal, const Trestle__V1__Worker *worker, const char *job,
                      struct buf *out) {
    CLEANUP(freep) char *title = xasprintf("worker %s", short_worker_id(worker->id, job));

    terminal_add(terminal, STYLE_BOLD, title, out);
    if (worker->n_bundles == 0)
        buf_printf(out, ": %s, without a bundle", worker->state);
    buf_printf(out, "\n");
    for (size_t i = 0; i < worker->n_bundles; i++) {
        const Trestle__V1__RunningBundle *bundle = worker->bundles[i];
        CLEANUP(freep) char *running = format_duration(bundle->running_ms);
        CLEANUP(freep) char *silent = format_duration(bundle->silent_ms);

        buf_printf(out, "  bundle-%llu of ", (unsigned long long)bundle->id);
        add_printable(out, bundle->stage);
        buf_printf(out, " for %s, silent for ", running);
        terminal_add(terminal, bundle->silent_ms >= FINDING_SILENT_MS ? STYLE_BAD : STYLE_PLAIN, silent, out);
        buf_printf(out, "\n");
    }
}

static void add_status(const struct terminal *terminal, const char *text, struct buf *out) {
    struct trace trace;

    trace_read(text, &trace);
    if (trace.where[0]) {
        buf_printf(out, "  your code: ");
        terminal_add(terminal, STYLE_BOLD, trace.where, out);
        buf_printf(out, "\n");
    }
    trace_finish(&trace);
    add_trace(terminal, text, out);
}

/* Why there is none is said in its place: other workers may have one. */
static bool print_worker(struct connection *connection, const struct terminal *terminal, bool as_json, const char *job,
                         const Trestle__V1__Worker *worker, struct arena *arena) {
    CLEANUP_STATUS struct status why = {0};
    Trestle__V1__WorkerStatusText *status = NULL;
    struct buf out = {0};
    int r = worker->has_status ? inspection_worker_status(connection, job, worker->id, arena, &status, &why)
                               : status_set(&why, STATUS_UNAVAILABLE,
                                            "its SDK does not say what its threads do; py-spy, jstack or gdb on "
                                            "its machine can");

    if (as_json && r == 0) {
        print_json(&status->base);
        return true;
    }
    if (as_json)
        return false;
    add_title(terminal, worker, job, &out);
    if (r == 0)
        add_status(terminal, status->text, &out);
    else
        buf_printf(&out, "  no stacks: %s\n", status_message(&why));
    buf_printf(&out, "\n");
    terminal_write(&out);
    return r == 0;
}

static int print_workers(const struct arguments *arguments, struct connection *connection, struct arena *arena,
                         struct status *st) {
    const char *wanted = arguments_value(arguments, "--worker");
    struct terminal terminal = terminal_get();
    Trestle__V1__JobSummary *job;
    Trestle__V1__JobDetail *detail;
    size_t asked = 0, answered = 0;

    if (find_job(connection, arguments->operands[0], arena, &job, st) < 0 ||
        inspection_job(connection, job->id, arena, &detail, st) < 0)
        return EXIT_FAILURE;
    for (size_t i = 0; i < detail->n_workers; i++)
        if (is_meant(detail->workers[i], job->id, wanted)) {
            asked++;
            answered += print_worker(connection, &terminal, arguments_value(arguments, "--json"), job->id,
                                     detail->workers[i], arena);
        }
    if (asked == 0 && wanted)
        status_set(st, STATUS_NOT_FOUND, "job %s has no worker %s", job->id, wanted);
    else if (asked == 0)
        status_set(st, STATUS_FAILED_PRECONDITION, "no worker of job %s has a bundle now; the job is %s", job->id,
                   job->state);
    else if (answered == 0)
        status_set(st, STATUS_FAILED_PRECONDITION, "none of the %zu workers said what its threads do", asked);
    return answered ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int run_connected(const struct arguments *arguments, struct connection *connection, struct status *st) {
    struct arena arena = {0};
    int result = print_workers(arguments, connection, &arena, st);

    arena_clear(&arena);
    return result;
}

static int run(const struct arguments *arguments, struct status *st) {
    return connection_run(arguments, run_connected, st);
}

const struct command command_stacks = {
    .name = "stacks",
    .operands = {"JOB"},
    .summary = "what the threads of a job's workers do, for one that hangs",
    .more = "  As the SDK's worker says it: Python and Go have the stack of every thread. With --json a line holds one "
            "worker.\n",
    .flags = flags,
    .flag_count = ARRAY_COUNT(flags),
    .run = run,
};
