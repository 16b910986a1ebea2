/* beam:env:process:v1: the payload's command as a process group under the launcher, with the arguments of the containers' boot
 * programs (ProcessPayload in beam_runner_api.proto). */
#include <stdlib.h>
#include <string.h>

#include "beam_runner_api.pb-c.h"
#include "wire/pb.h"
#include "worker/kind.h"

struct process_worker {
    const char *command; /* in the worker's arena, as is this struct */
    uint64_t process;
};

static int unpack(struct slice bytes, struct arena *arena, Beam__ProcessPayload **ret, struct status *st) {
    Beam__ProcessPayload *payload;

    if (PB_UNPACK(Beam__ProcessPayload, beam__process_payload, bytes, PB_STRINGS_STRICT, arena, &payload, st) < 0)
        return status_prefix(st, "environment %s", worker_kind_process.urn);
    if (!payload->command[0])
        return status_set(st, STATUS_INVALID_ARGUMENT,
                          "environment %s names no command; set it with --environment_config={\"command\": \"PATH\"}",
                          worker_kind_process.urn);
    for (size_t i = 0; i < payload->n_env; i++)
        if (!payload->env[i]->key[0] || strchr(payload->env[i]->key, '='))
            return status_set(st, STATUS_INVALID_ARGUMENT,
                              "environment %s sets a variable named \"%s\", which cannot be", worker_kind_process.urn,
                              payload->env[i]->key);
    *ret = payload;
    return 0;
}

static int process_check(struct slice payload, struct status *st) {
    Beam__ProcessPayload *message;
    struct arena arena = {0};
    int error = unpack(payload, &arena, &message, st);

    arena_clear(&arena);
    return error;
}

static char *process_describe(struct slice payload) {
    Beam__ProcessPayload *message = NULL;
    struct arena arena = {0};
    char *text = NULL;

    if (unpack(payload, &arena, &message, NULL) == 0)
        text = xasprintf("worker process %s", message->command);
    arena_clear(&arena);
    return text;
}

/* ---------------------------------------------------------------- the end */

/* How many bytes of well-formed UTF-8 begin here; 0: none. */
static size_t utf8_length(const unsigned char *at) {
    size_t size = at[0] < 0x80                    ? 1
                  : at[0] >= 0xc2 && at[0] < 0xe0 ? 2
                  : (at[0] & 0xf0) == 0xe0        ? 3
                  : at[0] >= 0xf0 && at[0] < 0xf5 ? 4
                                                  : 0;

    for (size_t i = 1; i < size; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    if ((at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xed && at[1] > 0x9f) || (at[0] == 0xf0 && at[1] < 0x90) ||
        (at[0] == 0xf4 && at[1] > 0x8f))
        return 0;
    return size;
}

/* The output for people and for protobuf's string fields: '?' for bytes that are not UTF-8, no white space at the end. */
static char *readable_output(const char *tail) {
    char *text = xstrdup(tail);
    size_t size = strlen(text);

    while (size && strchr(" \t\r\n", text[size - 1]))
        text[--size] = '\0';
    for (size_t i = 0; i < size;) {
        size_t length = utf8_length((unsigned char *)text + i);

        if (!length)
            text[i] = '?';
        i += length ? length : 1;
    }
    return text;
}

static struct status *describe_exit(const char *command, const struct process_exit *end) {
    CLEANUP(freep) char *output = readable_output(end->stderr_tail);
    CLEANUP(freep) char *how = NULL;
    struct status *why = xcalloc(1, sizeof(*why));

    if (end->signal)
        how = xasprintf("was killed by signal %d (%s)", end->signal, strsignal(end->signal));
    else
        how = xasprintf("exited with code %d", end->exit_code);
    if (output[0])
        status_set(why, STATUS_UNAVAILABLE, "worker process %s %s; last output: %s", command, how, output);
    else
        status_set(why, STATUS_UNAVAILABLE, "worker process %s %s without any output", command, how);
    return why;
}

static void ended(struct worker *worker, void *argument) {
    struct status *why = argument;

    worker_failed(worker, why);
    status_clear(why);
    free(why);
    worker_stopped(worker);
}

/* On the launcher's thread. The worker lives until `ended`. */
static void on_failed(void *user, const struct status *why) {
    struct status *copy = xcalloc(1, sizeof(*copy));

    status_set(copy, why->code, "worker process: %s", status_message(why));
    worker_post(user, ended, copy);
}

static void on_exited(void *user, const struct process_exit *end) {
    struct worker *worker = user;
    struct process_worker *state = worker->state;

    worker_post(worker, ended, describe_exit(state->command, end));
}

/* ---------------------------------------------------------------- start and stop */

static const char **make_arguments(struct worker *worker, const char *command) {
    const struct {
        const char *name;
        const char *value;
    } options[] = {
        {"id", worker->id},
        {"logging_endpoint", worker->endpoints.logging},
        {"artifact_endpoint", worker->endpoints.artifact},
        {"provision_endpoint", worker->endpoints.provision},
        {"control_endpoint", worker->endpoints.control},
    };
    const char **argv = arena_new_array(&worker->arena, const char *, ARRAY_COUNT(options) + 2);
    size_t count = 0;

    argv[count++] = command;
    for (size_t i = 0; i < ARRAY_COUNT(options); i++)
        if (options[i].value[0])
            argv[count++] = arena_printf(&worker->arena, "--%s=%s", options[i].name, options[i].value);
    return argv;
}

static const char **make_environment(struct worker *worker, const Beam__ProcessPayload *payload) {
    const char **environment = arena_new_array(&worker->arena, const char *, payload->n_env + 1);

    for (size_t i = 0; i < payload->n_env; i++)
        environment[i] = arena_printf(&worker->arena, "%s=%s", payload->env[i]->key, payload->env[i]->value);
    return environment;
}

static void process_start(struct worker *worker) {
    static const struct process_handler handler = {.failed = on_failed, .exited = on_exited};
    struct process_worker *state = arena_new(&worker->arena, struct process_worker);
    struct process_spec spec = {0};
    Beam__ProcessPayload *payload;
    struct status why = {0};
    int error = unpack(worker->payload, &worker->arena, &payload, &why);

    worker->state = state;
    if (!error) {
        state->command = payload->command;
        spec.argv = make_arguments(worker, payload->command);
        spec.environment = make_environment(worker, payload);
        error =
            launcher_spawn(worker_manager_launcher(worker->manager), &spec, &handler, worker, &state->process, &why);
    }
    if (error) {
        status_prefix(&why, "worker process");
        worker_failed(worker, &why);
        status_clear(&why);
        worker_stopped(worker);
    }
}

static void process_stop(struct worker *worker, unsigned grace_ms) {
    struct process_worker *state = worker->state;

    launcher_stop_process(worker_manager_launcher(worker->manager), state->process, grace_ms);
}

const struct worker_kind worker_kind_process = {
    .urn = "beam:env:process:v1",
    .hint = "--environment_type=PROCESS",
    .check = process_check,
    .describe = process_describe,
    .start = process_start,
    .stop = process_stop,
};
