/* Go: the worker binary that was staged (sdks/go/container/boot.go). */
#include <string.h>

#include "jobserver/native/task.h"
#include "jobserver/native/tree.h"
#include "model/urn.h"

static bool is_worker_binary(const struct native_artifact *artifact) {
    return strcmp(artifact->role_urn, urn_string(URN_ARTIFACT_ROLE_GO_WORKER_BINARY)) == 0;
}

/* The only artifact; of several the one with the role, else the one that old SDKs call "worker". */
static const struct native_artifact *find_worker(const struct native_task *task) {
    if (task->artifact_count == 1)
        return &task->artifacts[0];
    for (size_t i = 0; i < task->artifact_count; i++)
        if (is_worker_binary(&task->artifacts[i]))
            return &task->artifacts[i];
    return native_find_artifact(task, "worker");
}

static int go_prepare(struct native_task *task, struct status *st) {
    struct native_environment *environment = task->environment;
    const struct native_artifact *worker = find_worker(task);
    const char *program = arena_printf(&environment->arena, "%s/worker", environment->home);
    int r;

    if (!worker)
        return status_set(st, STATUS_FAILED_PRECONDITION,
                          "the pipeline staged no Go worker binary, which its environment is started from");
    /* Not the staged file itself: what is staged is not to be executed by accident. */
    r = tree_copy(worker->path, program, 0700, st);
    if (r < 0)
        return r;
    vec_push(&environment->argv, program);
    vec_push(&environment->argv, "--worker=true");
    vec_push(&environment->argv, arena_printf(&environment->arena, "--semi_persist_dir=%s", environment->home));
    return 0;
}

static void go_tell(const struct native_environment *environment, const char *worker_id,
                    const struct worker_endpoints *endpoints, struct arena *arena, struct string_vec *argv,
                    struct string_vec *variables) {
    (void)environment;
    vec_push(argv, arena_printf(arena, "--id=%s", worker_id));
    vec_push(argv, arena_printf(arena, "--logging_endpoint=%s", endpoints->logging));
    vec_push(argv, arena_printf(arena, "--control_endpoint=%s", endpoints->control));
    vec_push(variables, arena_printf(arena, "STATUS_ENDPOINT=%s", endpoints->control));
}

const struct native_sdk_kind native_go = {.prepare = go_prepare, .tell = go_tell};
