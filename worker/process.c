/* beam:env:process:v1: the payload's command as a process group under the launcher, with the arguments of the containers' boot
 * programs (ProcessPayload in beam_runner_api.proto). */
#include <stdlib.h>
#include <string.h>

#include "beam_runner_api.pb-c.h"
#include "wire/pb.h"
#include "worker/command.h"
#include "worker/confine.h"

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

static const char **make_environment(struct worker *worker, const Beam__ProcessPayload *payload) {
    const char **environment = arena_new_array(&worker->arena, const char *, payload->n_env + 1);

    for (size_t i = 0; i < payload->n_env; i++)
        environment[i] = arena_printf(&worker->arena, "%s=%s", payload->env[i]->key, payload->env[i]->value);
    return environment;
}

static void process_start(struct worker *worker) {
    struct process_spec spec = {0};
    Beam__ProcessPayload *payload;
    struct status why = {0};

    if (unpack(worker->payload, &worker->arena, &payload, &why) < 0) {
        worker_cannot_start(worker, &why);
        return;
    }
    spec.argv = worker_boot_arguments(worker, &(const char *){payload->command}, 1);
    spec.environment = make_environment(worker, payload);
    worker_confined_start(worker, &spec, arena_printf(&worker->arena, "worker process %s", payload->command));
}

const struct worker_kind worker_kind_process = {
    .urn = "beam:env:process:v1",
    .hint = "--environment_type=PROCESS",
    .check = process_check,
    .describe = process_describe,
    .start = process_start,
    .stop = worker_command_stop,
};
