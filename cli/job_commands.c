/* drain and cancel: both ask for a job's end, and may wait for it. */
#include <stdlib.h>

#include "cli/find_job.h"
#include "cli/job_client.h"
#include "cli/print.h"

static const struct flag flags[] = {
    {.name = "--wait", .doc = "wait for the job's end"},
    CONNECTION_FLAGS,
};

/* A way for a job to end that can be asked for. */
struct ending {
    int (*ask)(struct connection *connection, const char *job, enum job_state *ret, struct status *st);
    enum job_state end;
    enum job_state before; /* on the way there */
};

static int end_job(const struct arguments *arguments, struct connection *connection, const char *job,
                   const struct ending *ending, struct status *st) {
    CLEANUP(freep) char *reason = NULL;
    enum job_state state;

    if (ending->ask(connection, job, &state, st) < 0)
        return EXIT_FAILURE;
    if (!job_state_is_terminal(state) && arguments_value(arguments, "--wait") &&
        job_client_wait(connection, job, &state, &reason, st) < 0)
        return EXIT_FAILURE;
    print_job_state(arguments_value(arguments, "--json"), job, job_state_name(state));
    if (state != ending->end && state != ending->before) {
        status_set(st, STATUS_FAILED_PRECONDITION, "job %s ended in %s, not in %s%s%s", job, job_state_name(state),
                   job_state_name(ending->end), reason ? ": " : "", reason ? reason : "");
        return EXIT_JOB_ENDED;
    }
    return EXIT_SUCCESS;
}

static int end_found_job(const struct arguments *arguments, struct connection *connection, const struct ending *ending,
                         struct status *st) {
    Trestle__V1__JobSummary *job;
    struct arena arena = {0};
    int result = EXIT_FAILURE;

    if (find_job(connection, arguments->operands[0], &arena, &job, st) == 0)
        result = end_job(arguments, connection, job->id, ending, st);
    arena_clear(&arena);
    return result;
}

static int drain_connected(const struct arguments *arguments, struct connection *connection, struct status *st) {
    static const struct ending drained = {.ask = job_client_drain, .end = JOB_DRAINED, .before = JOB_DRAINING};

    return end_found_job(arguments, connection, &drained, st);
}

static int cancel_connected(const struct arguments *arguments, struct connection *connection, struct status *st) {
    static const struct ending cancelled = {.ask = job_client_cancel, .end = JOB_CANCELLED, .before = JOB_CANCELLING};

    return end_found_job(arguments, connection, &cancelled, st);
}

static int run_drain(const struct arguments *arguments, struct status *st) {
    return connection_run(arguments, drain_connected, st);
}

static int run_cancel(const struct arguments *arguments, struct status *st) {
    return connection_run(arguments, cancel_connected, st);
}

const struct command command_drain = {
    .name = "drain",
    .operands = {"JOB"},
    .summary = "end a job and keep its work: no more is read, what was read is finished",
    .more =
        "  Sources stop, windows and timers that are open come to their ends, and the job ends in DRAINED. A job that\n"
        "  drains can still be cancelled. Prints the job's state.\n",
    .flags = flags,
    .flag_count = ARRAY_COUNT(flags),
    .run = run_drain,
};

const struct command command_cancel = {
    .name = "cancel",
    .operands = {"JOB"},
    .summary = "end a job at once",
    .more = "  What is under way is thrown away, and the job ends in CANCELLED. Prints the job's state.\n",
    .flags = flags,
    .flag_count = ARRAY_COUNT(flags),
    .run = run_cancel,
};
