/* An SDK of a published image, run without it (native/native.h): whoever starts the worker has prepared its command. */
#include <string.h>

#include "beam_runner_api.pb-c.h"
#include "wire/pb.h"
#include "worker/command.h"
#include "worker/confine.h"

static int unpack(struct slice bytes, struct arena *arena, Beam__DockerPayload **ret, struct status *st) {
    int error = PB_UNPACK(Beam__DockerPayload, beam__docker_payload, bytes, PB_STRINGS_STRICT, arena, ret, st);

    return error ? status_prefix(st, "environment %s", WORKER_NATIVE_URN) : 0;
}

static int native_check(struct slice payload, struct status *st) {
    struct arena arena = {0};
    Beam__DockerPayload *message;
    int error = unpack(payload, &arena, &message, st);

    arena_clear(&arena);
    return error;
}

static char *native_describe(struct slice payload) {
    struct arena arena = {0};
    Beam__DockerPayload *message;
    char *text = NULL;

    if (unpack(payload, &arena, &message, NULL) == 0)
        text = xasprintf("%s, run natively", message->container_image);
    arena_clear(&arena);
    return text;
}

static void native_start(struct worker *worker) {
    struct status why = {0};

    if (!worker->command.argv) {
        status_set(&why, STATUS_INVALID_ARGUMENT, "environments of the kind \"%s\" come from the server only",
                   WORKER_NATIVE_URN);
        worker_cannot_start(worker, &why);
        return;
    }
    worker_confined_start(worker, &worker->command,
                          arena_printf(&worker->arena, "worker process %s", worker->command.argv[0]));
}

const struct worker_kind worker_kind_native = {
    .urn = WORKER_NATIVE_URN,
    .check = native_check,
    .describe = native_describe,
    .start = native_start,
    .stop = worker_command_stop,
};
