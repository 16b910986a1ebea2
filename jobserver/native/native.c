#include "jobserver/native/native.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "jobserver/native/native_internal.h"
#include "jobserver/native/tree.h"
#include "jobserver/state_dir.h"
#include "wire/json.h"
#include "wire/struct_json.h"

static const struct native_sdk_kind *const kinds[] = {
    [NATIVE_PYTHON] = &native_python,
    [NATIVE_JAVA] = &native_java,
    [NATIVE_GO] = &native_go,
    [NATIVE_TYPESCRIPT] = &native_typescript,
};

/* ---- what is prepared ---- */

static void remove_home(void *user) {
    CLEANUP(freep) char *home = user;

    tree_remove(home);
}

struct native_environment *native_environment_ref(struct native_environment *environment) {
    pthread_mutex_lock(&environment->native->lock);
    environment->references++;
    pthread_mutex_unlock(&environment->native->lock);
    return environment;
}

void native_environment_unref(struct native_environment *environment) {
    struct native *native = environment ? environment->native : NULL;
    bool is_last;

    if (!environment)
        return;
    pthread_mutex_lock(&native->lock);
    is_last = --environment->references == 0;
    pthread_mutex_unlock(&native->lock);
    if (!is_last)
        return;
    pool_run(native->pool, remove_home, environment->home);
    vec_foreach (hold, &environment->holds) {
        futimens(*hold, NULL); /* until now it was used */
        close(*hold);
    }
    vec_free(&environment->holds);
    vec_free(&environment->argv);
    vec_free(&environment->variables);
    arena_clear(&environment->arena);
    free(environment);
}

struct process_spec native_environment_command(const struct native_environment *environment, const char *worker_id,
                                               const struct worker_endpoints *endpoints, struct arena *arena) {
    struct string_vec argv = {0}, variables = {0};
    struct process_spec spec = {.working_directory = environment->working_directory};
    const char **copy;

    for (size_t i = 0; i < environment->argv.count; i++)
        vec_push(&argv, environment->argv.items[i]);
    for (size_t i = 0; i < environment->variables.count; i++)
        vec_push(&variables, environment->variables.items[i]);
    kinds[environment->image.sdk]->tell(environment, worker_id, endpoints, arena, &argv, &variables);
    copy = arena_new_array(arena, const char *, argv.count + 1);
    memcpy(copy, argv.items, argv.count * sizeof(*copy));
    spec.argv = copy;
    copy = arena_new_array(arena, const char *, variables.count + 1);
    memcpy(copy, variables.items, variables.count * sizeof(*copy));
    spec.environment = copy;
    vec_free(&argv);
    vec_free(&variables);
    return spec;
}

/* ---- a home ---- */

static int write_options(struct native_environment *environment, struct slice options, struct status *st) {
    struct buf json = {0};
    int r = struct_to_json(options, &json, st);

    if (r == 0) {
        environment->json = arena_copy(&environment->arena, buf_data(&json), json.size);
        environment->options = arena_printf(&environment->arena, "%s/pipeline_options.json", environment->home);
        r = tree_write(environment->options, buf_data(&json), json.size, st);
    }
    buf_clear(&json);
    return r;
}

static int stage(const struct native_environment *environment, const struct native_artifact *artifact,
                 struct status *st) {
    CLEANUP(freep) char *path = xasprintf("%s/%s", environment->staged, artifact->name);

    if (!tree_is_safe_name(artifact->name))
        return status_set(st, STATUS_INVALID_ARGUMENT,
                          "an artifact is staged as \"%.500s\", which is no name inside the folder of staged files",
                          artifact->name);
    return environment->native->user ? native_stage_for_user(environment->native, artifact->path, path, st)
                                     : tree_link(artifact->path, path, st);
}

/* The user reads what was staged from his home, not from the store. */
static const struct native_artifact *artifacts_of_user(struct native_environment *environment,
                                                       const struct native_spec *spec) {
    struct native_artifact *own = arena_new_array(&environment->arena, struct native_artifact, spec->artifact_count);

    for (size_t i = 0; i < spec->artifact_count; i++) {
        own[i] = spec->artifacts[i];
        own[i].path = arena_printf(&environment->arena, "%s/%s", environment->staged, own[i].name);
    }
    return own;
}

static void add_variable(struct native_environment *environment, const char *name, const char *value) {
    vec_push(&environment->variables, arena_printf(&environment->arena, "%s=%s", name, value));
}

static int make_home(struct native_task *task, const struct native_spec *spec, struct status *st) {
    struct native_environment *environment = task->environment;
    int r = make_directories(environment->staged, 0700, st);

    if (r == 0)
        r = write_options(environment, spec->pipeline_options, st);
    for (size_t i = 0; r == 0 && i < spec->artifact_count; i++)
        r = stage(environment, &spec->artifacts[i], st);
    if (r < 0)
        return r;
    if (task->native->user)
        task->artifacts = artifacts_of_user(environment, spec);
    add_variable(environment, "PIPELINE_OPTIONS_FILE", environment->options);
    add_variable(environment, "RUNNER_CAPABILITIES", spec->runner_capabilities);
    add_variable(environment, "JOB_ID", spec->job_id);
    add_variable(environment, "JOB_NAME", spec->job_name);
    return 0;
}

static struct native_environment *create_environment(struct native *native, const struct native_image *image) {
    struct native_environment *environment = xcalloc(1, sizeof(*environment));

    environment->native = native;
    environment->references = 1;
    environment->image = *image;
    pthread_mutex_lock(&native->lock);
    environment->home = xasprintf("%s/%u", native->homes, native->next_home++);
    pthread_mutex_unlock(&native->lock);
    environment->staged = arena_printf(&environment->arena, "%s/staged", environment->home);
    return environment;
}

/* ---- what the SDKs' files use ---- */

bool native_is_wanted(const struct native_task *task) {
    return !task->native->closing && (!task->request->is_released || (task->build && task->build->waiting > 0));
}

static void tell_message(struct native_request *request, bool is_detail, const char *text) {
    pthread_mutex_lock(&request->handler_lock);
    if (!request->is_deaf)
        request->handler.message(request->user, is_detail, text);
    pthread_mutex_unlock(&request->handler_lock);
}

void native_say(struct native_task *task, const char *format, ...) {
    CLEANUP(freep) char *text = NULL;
    va_list args;

    va_start(args, format);
    text = xvasprintf(format, args);
    va_end(args);
    tell_message(task->request, false, text);
}

void native_say_detail(struct native_task *task, const char *command, const char *output) {
    CLEANUP(freep) char *text = xasprintf("%s\n%s", command, output);

    tell_message(task->request, true, text);
}

const char *native_search_path(const struct native_task *task) {
    return task->native->search_path;
}

const struct native_artifact *native_find_artifact(const struct native_task *task, const char *name) {
    for (size_t i = 0; i < task->artifact_count; i++)
        if (strcmp(task->artifacts[i].name, name) == 0)
            return &task->artifacts[i];
    return NULL;
}

static const char *descriptor(struct arena *arena, const char *name, const char *endpoint) {
    struct buf quoted = {0};
    const char *text;

    json_add_string(&quoted, endpoint); /* of an address the two forms are the same */
    text = arena_printf(arena, "%s_API_SERVICE_DESCRIPTOR=url: %.*s", name, (int)quoted.size,
                        (const char *)buf_data(&quoted));
    buf_clear(&quoted);
    return text;
}

void native_tell_endpoints(const struct worker_endpoints *endpoints, struct arena *arena,
                           struct string_vec *variables) {
    vec_push(variables, descriptor(arena, "LOGGING", endpoints->logging));
    vec_push(variables, descriptor(arena, "CONTROL", endpoints->control));
    vec_push(variables, descriptor(arena, "STATUS", endpoints->control));
}

/* ---- requests ---- */

static void unref_request(struct native_request *request) {
    struct native *native = request->native;
    bool is_last;

    pthread_mutex_lock(&native->lock);
    is_last = --request->references == 0;
    pthread_mutex_unlock(&native->lock);
    if (!is_last)
        return;
    slice_unref(&request->spec.pipeline_options);
    for (size_t i = 0; i < request->spec.artifact_count; i++)
        slice_unref((struct slice *)&request->spec.artifacts[i].role_payload);
    arena_clear(&request->arena);
    pthread_mutex_destroy(&request->handler_lock);
    free(request);
}

void native_request_release(struct native_request *request) {
    struct native *native = request ? request->native : NULL;

    if (!request)
        return;
    pthread_mutex_lock(&request->handler_lock);
    request->is_deaf = true;
    pthread_mutex_unlock(&request->handler_lock);
    pthread_mutex_lock(&native->lock);
    request->is_released = true;
    pthread_cond_broadcast(&native->changed);
    pthread_mutex_unlock(&native->lock);
    unref_request(request);
}

/* The environment is handed over, or goes where nobody hears of it. */
static void tell_done(struct native_request *request, struct native_environment *environment,
                      const struct status *why) {
    pthread_mutex_lock(&request->handler_lock);
    if (request->is_deaf)
        native_environment_unref(environment);
    else
        request->handler.done(request->user, environment, why);
    pthread_mutex_unlock(&request->handler_lock);
}

static int prepare(struct native_task *task, const struct native_spec *spec, struct status *st) {
    struct pipeline_options *options;
    struct native_image image;
    int r = native_image_parse(spec->image, &image, st);

    if (r == 0)
        r = pipeline_options_create(spec->pipeline_options, &options, st);
    if (r < 0)
        return r;
    task->options = options;
    task->artifacts = spec->artifacts;
    task->artifact_count = spec->artifact_count;
    task->memory_bytes = spec->memory_bytes;
    task->environment = create_environment(task->native, &image);
    r = make_home(task, spec, st);
    if (r == 0)
        r = kinds[image.sdk]->prepare(task, st);
    pipeline_options_destroy(options);
    return r;
}

static void *request_thread(void *user) {
    struct native_request *request = user;
    struct native *native = request->native;
    struct native_task task = {.native = native, .request = request};
    CLEANUP_STATUS struct status why = {0};

    native_enter_user(native);
    if (native_check_user(native, &why) < 0 || prepare(&task, &request->spec, &why) < 0) {
        native_environment_unref(task.environment);
        task.environment = NULL;
    }
    tell_done(request, task.environment, &why);
    unref_request(request);
    pthread_mutex_lock(&native->lock);
    native->threads--;
    pthread_cond_broadcast(&native->changed);
    pthread_mutex_unlock(&native->lock);
    return NULL;
}

static void copy_spec(struct native_request *request, const struct native_spec *spec) {
    struct arena *arena = &request->arena;
    struct native_artifact *artifacts = arena_new_array(arena, struct native_artifact, spec->artifact_count);

    for (size_t i = 0; i < spec->artifact_count; i++) {
        const struct native_artifact *from = &spec->artifacts[i];

        artifacts[i] = (struct native_artifact){
            .name = arena_string(arena, from->name),
            .path = arena_string(arena, from->path),
            .sha256 = arena_string(arena, from->sha256),
            .role_urn = arena_string(arena, from->role_urn),
            .role_payload = slice_copy(from->role_payload.data, from->role_payload.size, NULL),
        };
    }
    request->spec = (struct native_spec){
        .image = arena_string(arena, spec->image),
        .artifacts = artifacts,
        .artifact_count = spec->artifact_count,
        .pipeline_options = slice_ref(spec->pipeline_options),
        .job_id = arena_string(arena, spec->job_id),
        .job_name = arena_string(arena, spec->job_name),
        .runner_capabilities = arena_string(arena, spec->runner_capabilities),
        .memory_bytes = spec->memory_bytes,
    };
}

struct native_request *native_prepare(struct native *native, const struct native_spec *spec,
                                      const struct native_handler *handler, void *user) {
    struct native_request *request = xcalloc(1, sizeof(*request));
    pthread_attr_t attributes;
    sigset_t all, before;
    pthread_t thread;

    request->native = native;
    request->references = 2;
    request->handler = *handler;
    request->user = user;
    pthread_mutex_init(&request->handler_lock, NULL);
    copy_spec(request, spec);
    pthread_mutex_lock(&native->lock);
    native->threads++;
    pthread_mutex_unlock(&native->lock);
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(&thread, &attributes, request_thread, request) != 0)
        abort(); /* without resources for one thread */
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return request;
}

int native_check_image(const char *image, struct status *st) {
    struct native_image parsed;

    return native_image_parse(image, &parsed, st);
}

/* ---- life ---- */

static void enter_user(void *native) {
    native_enter_user(native);
}

struct native *native_create(const struct native_options *options) {
    struct native *native = xcalloc(1, sizeof(*native));

    native->launcher = options->launcher;
    native->user = options->user;
    if (native->user) {
        native_settle_user(native, options);
    } else {
        native->cache = xasprintf("%s/native", options->cache_directory);
        native->homes = xasprintf("%s/native", options->state_directory);
    }
    native->search_path = xstrdup(options->search_path);
    native->pool = pool_create(1);
    native->keep_s = (int64_t)(options->keep_ms / 1000);
    native->max_bytes = options->max_bytes;
    pthread_mutex_init(&native->lock, NULL);
    pthread_cond_init(&native->changed, NULL);
    list_init(&native->builds);
    native_enter_user(native);
    tree_remove(native->homes);
    native_leave_user(native);
    pool_run(native->pool, enter_user, native); /* its one thread stays so */
    pool_run(native->pool, native_evict, native);
    return native;
}

void native_destroy(struct native *native) {
    if (!native)
        return;
    pthread_mutex_lock(&native->lock);
    native->closing = true;
    pthread_cond_broadcast(&native->changed);
    while (native->threads > 0)
        pthread_cond_wait(&native->changed, &native->lock);
    pthread_mutex_unlock(&native->lock);
    pool_destroy(native->pool);
    pthread_cond_destroy(&native->changed);
    pthread_mutex_destroy(&native->lock);
    free(native->cache);
    free(native->homes);
    free(native->search_path);
    free(native);
}
