/* submit: a pipeline that some SDK has written into a file. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/format.h"
#include "cli/job_client.h"
#include "cli/options_struct.h"
#include "cli/print.h"
#include "cli/progress.h"

enum { MAX_PIPELINE_BYTES = 512 << 20, READ_BYTES = 64 << 10 };

static const struct flag flags[] = {
    {.name = "--name", .value = "NAME", .doc = "the job's name (the file's)"},
    {.name = "--option",
     .letter = 'o',
     .value = "NAME=VALUE",
     .doc = "a pipeline option; as often as it takes",
     .is_repeatable = true},
    {.name = "--options-json", .value = "FILE", .doc = "pipeline options as a JSON object"},
    {.name = "--wait", .letter = 'w', .doc = "wait for the job's end; on a terminal, show how far it is"},
    CONNECTION_FLAGS,
};

/* ------------------------------------------------------------------ the file */

static int read_all(FILE *file, const char *path, struct slice *ret, struct status *st) {
    struct buf bytes = {0};
    size_t n;

    do {
        n = fread(buf_reserve(&bytes, READ_BYTES), 1, READ_BYTES, file);
        buf_advance(&bytes, n);
    } while (n > 0 && bytes.size <= MAX_PIPELINE_BYTES);
    if (ferror(file))
        status_set_errno(st, errno, "cannot read %s", path);
    else if (bytes.size > MAX_PIPELINE_BYTES)
        status_set(st, STATUS_INVALID_ARGUMENT, "%s is larger than %d MiB", path, MAX_PIPELINE_BYTES >> 20);
    else if (bytes.size == 0)
        status_set(st, STATUS_INVALID_ARGUMENT, "%s is empty", path);
    else if (buf_data(&bytes)[0] == '{')
        status_set(st, STATUS_INVALID_ARGUMENT,
                   "%s looks like JSON; a Pipeline in protobuf's binary form is needed: "
                   "pipeline.to_runner_api(...).SerializeToString() in Python (docs/command-line.md)",
                   path);
    if (st->code) {
        buf_clear(&bytes);
        return -(int)st->code;
    }
    *ret = buf_finish(&bytes);
    return 0;
}

/* INVALID_ARGUMENT for all that is wrong with the file: NOT_FOUND is said of jobs. */
static int read_pipeline(const char *path, struct slice *ret, struct status *st) {
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    int r;

    if (!file)
        return status_set(st, STATUS_INVALID_ARGUMENT, "cannot read %s: %s", path, strerror(errno));
    r = read_all(file, path, ret, st);
    if (file != stdin)
        fclose(file);
    return r;
}

/* "dir/wordcount.pb" makes "wordcount". The caller frees. */
static char *name_of(const char *path) {
    const char *slash = strrchr(path, '/');
    const char *base = slash ? slash + 1 : path;
    size_t size = strcspn(base, ".");

    return strcmp(path, "-") == 0 || size == 0 ? xstrdup("job") : xmemdup0(base, size);
}

/* ------------------------------------------------------------------ the job */

/* On a terminal what is shown already says how it ended. */
static int wait_for_end(struct connection *connection, const char *job, bool as_json, enum job_state *ret,
                        char **ret_reason, struct status *st) {
    Trestle__V1__JobDetail *end;
    struct arena arena = {0};
    int r;

    if (as_json || !terminal_get().is_terminal)
        return job_client_wait(connection, job, ret, ret_reason, st);
    r = progress_wait_for_job(connection, job, true, &arena, &end, st);
    if (r == 0) {
        *ret = job_state_of_name(end->summary->state);
        *ret_reason = end->error[0] ? xstrdup(end->error) : NULL;
    }
    arena_clear(&arena);
    return r;
}

static int follow(struct connection *connection, const char *job, bool as_json, struct status *st) {
    CLEANUP(freep) char *reason = NULL;
    enum job_state state;

    if (wait_for_end(connection, job, as_json, &state, &reason, st) < 0)
        return EXIT_FAILURE;
    print_job_state(as_json, job, job_state_name(state));
    if (state == JOB_DONE)
        return EXIT_SUCCESS;
    status_set(st, STATUS_FAILED_PRECONDITION, "job %s ended in %s%s%s", job, job_state_name(state), reason ? ": " : "",
               reason ? reason : "");
    return EXIT_JOB_ENDED;
}

static int submit(const struct arguments *arguments, struct connection *connection, struct slice pipeline,
                  struct slice options, struct status *st) {
    bool as_json = arguments_value(arguments, "--json"), waits = arguments_value(arguments, "--wait");
    CLEANUP(freep) char *own_name = name_of(arguments->operands[0]);
    const char *name = arguments_value(arguments, "--name");
    CLEANUP(freep) char *job = NULL;

    if (job_client_submit(connection, name ? name : own_name, pipeline, options, &job, st) < 0)
        return EXIT_FAILURE;
    if (waits)
        return follow(connection, job, as_json, st);
    if (as_json)
        print_job_state(true, job, job_state_name(JOB_STARTING));
    else
        puts(job);
    return EXIT_SUCCESS;
}

static int run_connected(const struct arguments *arguments, struct connection *connection, struct status *st) {
    CLEANUP_SLICE struct slice pipeline = SLICE_EMPTY;
    CLEANUP_SLICE struct slice options = SLICE_EMPTY;

    if (options_to_struct(arguments_value(arguments, "--options-json"), arguments->repeated, arguments->repeated_count,
                          &options, st) < 0 ||
        read_pipeline(arguments->operands[0], &pipeline, st) < 0)
        return EXIT_USAGE;
    return submit(arguments, connection, pipeline, options, st);
}

static int run(const struct arguments *arguments, struct status *st) {
    return connection_run(arguments, run_connected, st);
}

const struct command command_submit = {
    .name = "submit",
    .operands = {"FILE"},
    .summary = "run a pipeline that is in a file, as a serialized Pipeline proto; - is standard input",
    .more = "  Prints the job's id. Files that its environments depend on are sent from this machine.\n",
    .flags = flags,
    .flag_count = ARRAY_COUNT(flags),
    .run = run,
};
