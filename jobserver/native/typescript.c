/* TypeScript: node with the npm packages that were staged (sdks/typescript/container/boot.go); the first brings the SDK itself. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "jobserver/native/interpreters.h"
#include "jobserver/native/task.h"
#include "jobserver/native/tree.h"
#include "wire/json.h"

#define ROLE_PACKAGE "beam:artifact:type:npm:v1"
#define ROLE_DEPENDENCY "beam:artifact:type:npm_dep:v1"

static bool has_role(const struct native_artifact *artifact, const char *role) {
    return strcmp(artifact->role_urn, role) == 0;
}

static int find_program(struct native_task *task, const char *name, char **ret, struct status *st) {
    CLEANUP(freep) char *looked = NULL;

    *ret = interpreter_find_node(name, native_search_path(task), &looked);
    if (*ret)
        return 0;
    return status_set(
        st, STATUS_FAILED_PRECONDITION,
        "the pipeline needs Node.js with npm, and there is no %s on the machine of this server; looked in "
        "%s. Install it, or name its directory in native.search_path",
        name, looked);
}

/* npm takes an archive only by a name that says what it is. */
static char *archive_path(const char *directory, size_t number) {
    return xasprintf("%s/package-%zu.tgz", directory, number);
}

/* package.json: for packages that other packages name, what was staged is used. */
static int write_package(struct native_task *task, const char *directory, struct status *st) {
    CLEANUP(freep) char *path = xasprintf("%s/package.json", directory);
    static const char head[] = "{\"name\": \"beam-worker\", \"version\": \"1.0.0\", \"overrides\": {";
    struct buf json = {0};
    bool is_first = true;
    int r;

    buf_add(&json, head, sizeof(head) - 1);
    for (size_t i = 0; i < task->artifact_count; i++) {
        const struct native_artifact *artifact = &task->artifacts[i];
        CLEANUP(freep) char *name = xmemdup0(artifact->role_payload.data, artifact->role_payload.size);
        CLEANUP(freep) char *archive = archive_path(directory, i);
        CLEANUP(freep) char *url = xasprintf("file:%s", archive);

        if (!has_role(artifact, ROLE_DEPENDENCY))
            continue;
        buf_add(&json, ", ", is_first ? 0 : 2);
        json_add_string(&json, name);
        buf_add(&json, ": ", 2);
        json_add_string(&json, url);
        is_first = false;
    }
    buf_add(&json, "}}", 2);
    r = tree_write(path, buf_data(&json), json.size, st);
    buf_clear(&json);
    return r;
}

static int build(struct native_task *task, const char *directory, void *user, struct status *st) {
    const char *npm = user;
    struct string_vec argv = {0};
    int r = write_package(task, directory, st);

    for (size_t i = 0; r == 0 && i < task->artifact_count; i++) {
        CLEANUP(freep) char *archive = archive_path(directory, i);

        if (has_role(&task->artifacts[i], ROLE_PACKAGE) || has_role(&task->artifacts[i], ROLE_DEPENDENCY))
            r = tree_link(task->artifacts[i].path, archive, st);
    }
    native_say(task, "installing what was staged with the pipeline into %s", directory);
    for (size_t i = 0; r == 0 && i < task->artifact_count; i++) {
        CLEANUP(freep) char *archive = archive_path(directory, i);

        if (!has_role(&task->artifacts[i], ROLE_PACKAGE))
            continue;
        argv.count = 0;
        vec_push(&argv, npm);
        vec_push(&argv, "install");
        vec_push(&argv, "--no-audit");
        vec_push(&argv, "--no-fund");
        vec_push(&argv, archive);
        vec_push(&argv, NULL);
        r = native_run(task, argv.items, NULL, directory, st);
    }
    vec_free(&argv);
    return r;
}

static int typescript_prepare(struct native_task *task, struct status *st) {
    struct native_environment *environment = task->environment;
    CLEANUP(freep) char *node = NULL;
    CLEANUP(freep) char *npm = NULL;
    CLEANUP(freep) char *directory = NULL;
    struct string_vec parts = {0};
    int r = find_program(task, "node", &node, st);

    if (r == 0)
        r = find_program(task, "npm", &npm, st);
    if (r < 0)
        return r;
    vec_push(&parts, "typescript 1");
    vec_push(&parts, node);
    for (size_t i = 0; i < task->artifact_count; i++) {
        vec_push(&parts, task->artifacts[i].role_urn);
        vec_push(&parts, task->artifacts[i].sha256);
    }
    r = native_cached(task, "typescript", &parts, build, npm, &directory, st);
    vec_free(&parts);
    if (r < 0)
        return r;
    vec_push(&environment->argv, arena_string(&environment->arena, node));
    vec_push(&environment->argv,
             arena_printf(&environment->arena, "%s/node_modules/.bin/apache-beam-worker", directory));
    vec_push(&environment->argv, arena_printf(&environment->arena, "--options=%s", environment->json));
    /* Where modules that the options name are found. */
    environment->working_directory = arena_string(&environment->arena, directory);
    return 0;
}

static void typescript_tell(const struct native_environment *environment, const char *worker_id,
                            const struct worker_endpoints *endpoints, struct arena *arena, struct string_vec *argv,
                            struct string_vec *variables) {
    (void)environment;
    (void)variables;
    vec_push(argv, arena_printf(arena, "--id=%s", worker_id));
    vec_push(argv, arena_printf(arena, "--logging_endpoint=%s", endpoints->logging));
    vec_push(argv, arena_printf(arena, "--control_endpoint=%s", endpoints->control));
}

const struct native_sdk_kind native_typescript = {.prepare = typescript_prepare, .tell = typescript_tell};
