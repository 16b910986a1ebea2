/* drain and cancel: both ask for a job's end, and may wait for it. */
#include <stdio.h>
#include <stdlib.h>

#include "cli/command.h"
#include "cli/job_client.h"
#include "rpc/rpc.h"

static const struct flag flags[] = {
    {"--endpoint", "ADDRESS", "HOST:PORT, [IPv6]:PORT or unix:PATH of the daemon", "listen"},
    {"--wait", NULL, "wait for the job's end", NULL},
};

/* A way for a job to end that can be asked for. */
struct ending {
    int (*ask)(struct job_client *client, const char *job, enum job_state *ret, struct status *st);
    enum job_state end;
    enum job_state before; /* on the way there */
};

static int end_job(const struct arguments *arguments, struct job_client *client, const struct ending *ending,
                   struct status *st) {
    const char *job = arguments->operands[0];
    CLEANUP(freep) char *reason = NULL;
    enum job_state state;

    if (ending->ask(client, job, &state, st) < 0)
        return EXIT_FAILURE;
    if (!job_state_is_terminal(state) && arguments_value(arguments, "--wait") &&
        job_client_wait(client, job, &state, &reason, st) < 0)
        return EXIT_FAILURE;
    if (state != ending->end && state != ending->before) {
        status_set(st, STATUS_FAILED_PRECONDITION, "job %s ended in %s, not in %s%s%s", job, job_state_name(state),
                   job_state_name(ending->end), reason ? ": " : "", reason ? reason : "");
        return EXIT_FAILURE;
    }
    printf("%s: %s\n", job, job_state_name(state));
    return EXIT_SUCCESS;
}

static int run(const struct arguments *arguments, const struct ending *ending, struct status *st) {
    struct job_client *client;
    int result = EXIT_USAGE;

    rpc_init();
    if (job_client_create(arguments_value(arguments, "--endpoint"), &client, st) == 0) {
        result = end_job(arguments, client, ending, st);
        job_client_destroy(client);
    } else {
        status_prefix(st, "--endpoint");
    }
    rpc_shutdown();
    return result;
}

static int run_drain(const struct arguments *arguments, struct status *st) {
    static const struct ending drained = {.ask = job_client_drain, .end = JOB_DRAINED, .before = JOB_DRAINING};

    return run(arguments, &drained, st);
}

static int run_cancel(const struct arguments *arguments, struct status *st) {
    static const struct ending cancelled = {.ask = job_client_cancel, .end = JOB_CANCELLED, .before = JOB_CANCELLING};

    return run(arguments, &cancelled, st);
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
