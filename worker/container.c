/* beam:env:docker:v1 with a container engine: its program is the worker's process, the engine runs the image's boot program.
 *
 *      CLI run --rm --network=host --name=trestle-ID --label=trestle.instance=... --stop-timeout=0 --pull=... OPTIONS IMAGE
 *          --id=ID --..._endpoint=...
 *
 * The engine passes signals on, but a container may outlive its program, which may be killed: whenever that ended, the container is
 * removed by its name, and when the daemon starts all that have its label, left by one that was killed. */
#include <ctype.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "beam_runner_api.pb-c.h"
#include "wire/pb.h"
#include "worker/command.h"

enum { SWEEP_TIMEOUT_S = 15, MAX_ID_SIZE = 64 };

#define LABEL "trestle.instance"

static int unpack(struct slice bytes, struct arena *arena, Beam__DockerPayload **ret, struct status *st) {
    Beam__DockerPayload *payload = NULL;

    if (PB_UNPACK(Beam__DockerPayload, beam__docker_payload, bytes, PB_STRINGS_STRICT, arena, &payload, st) < 0)
        return status_prefix(st, "environment %s", worker_kind_container.urn);
    /* An option in its place would be the engine's. */
    if (!payload->container_image[0] || payload->container_image[0] == '-')
        return status_set(st, STATUS_INVALID_ARGUMENT,
                          "environment %s names no image; set it with --environment_config=IMAGE",
                          worker_kind_container.urn);
    *ret = payload;
    return 0;
}

static int container_check(struct slice payload, struct status *st) {
    struct arena arena = {0};
    Beam__DockerPayload *message = NULL;
    int error = unpack(payload, &arena, &message, st);

    arena_clear(&arena);
    return error;
}

static char *container_describe(struct slice payload) {
    struct arena arena = {0};
    Beam__DockerPayload *message = NULL;
    char *text = NULL;

    if (unpack(payload, &arena, &message, NULL) == 0)
        text = xasprintf("a container of %s", message->container_image);
    arena_clear(&arena);
    return text;
}

static const char **run_arguments(struct worker *worker, const struct worker_containers *containers, const char *image,
                                  const char *name) {
    const struct worker_settings *settings = &worker->settings;
    size_t option_count = 0, variable_count = 0, count = 0;
    const char **argv;

    while (containers->options && containers->options[option_count])
        option_count++;
    while (settings->variables && settings->variables[variable_count])
        variable_count++;
    argv = arena_new_array(&worker->arena, const char *, option_count + variable_count + 12);
    argv[count++] = containers->cli;
    argv[count++] = "run";
    argv[count++] = "--rm";
    argv[count++] = "--network=host";
    argv[count++] = arena_printf(&worker->arena, "--name=%s", name);
    argv[count++] = arena_printf(&worker->arena, "--label=" LABEL "=%s", containers->instance);
    /* Who is removed has had its time; podman's `rm --force` would wait for it, ten seconds unless told. */
    argv[count++] = "--stop-timeout=0";
    argv[count++] = arena_printf(&worker->arena, "--pull=%s", containers->pull);
    for (size_t i = 0; i < option_count; i++)
        argv[count++] = containers->options[i];
    if (settings->memory_bytes)
        argv[count++] = arena_printf(&worker->arena, "--memory=%llub", (unsigned long long)settings->memory_bytes);
    if (settings->milli_cpus)
        argv[count++] =
            arena_printf(&worker->arena, "--cpus=%u.%03u", settings->milli_cpus / 1000, settings->milli_cpus % 1000);
    if (settings->working_directory)
        argv[count++] = arena_printf(&worker->arena, "--workdir=%s", settings->working_directory);
    for (size_t i = 0; i < variable_count; i++)
        argv[count++] = arena_printf(&worker->arena, "--env=%s", settings->variables[i]);
    argv[count++] = image;
    return worker_boot_arguments(worker, argv, count);
}

static void container_start(struct worker *worker) {
    const struct worker_containers *containers = worker_manager_containers(worker->manager);
    const char *name = arena_printf(&worker->arena, "trestle-%s", worker->name);
    const char **removal = arena_new_array(&worker->arena, const char *, 5);
    struct process_spec spec = {.environment = (const char *const[]){NULL}};
    Beam__DockerPayload *payload = NULL;
    struct status why = {0};

    if (unpack(worker->payload, &worker->arena, &payload, &why) < 0) {
        worker_cannot_start(worker, &why);
        return;
    }
    if (!containers->cli) {
        status_set(&why, STATUS_FAILED_PRECONDITION, "no container engine is configured");
        worker_cannot_start(worker, &why);
        return;
    }
    removal[0] = containers->cli;
    removal[1] = "rm";
    removal[2] = "--force";
    removal[3] = name;
    spec.argv = run_arguments(worker, containers, payload->container_image, name);
    worker_command_start(worker, &spec,
                         arena_printf(&worker->arena, "%s run of %s", containers->cli, payload->container_image),
                         removal);
}

const struct worker_kind worker_kind_container = {
    .urn = "beam:env:docker:v1",
    .hint = "--environment_type=DOCKER",
    .check = container_check,
    .describe = container_describe,
    .start = container_start,
    .stop = worker_command_stop,
};

/* ---------------------------------------------------------------- what an earlier daemon left */

/* One command of the sweep. */
struct sweep_step {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_over;
    char *output; /* of a command that succeeded */
};

static void step_over(struct sweep_step *step, char *output) {
    pthread_mutex_lock(&step->lock);
    step->output = output;
    step->is_over = true;
    pthread_cond_signal(&step->changed);
    pthread_mutex_unlock(&step->lock);
}

static void on_failed(void *user, const struct status *why) {
    (void)why;
    step_over(user, NULL);
}

static void on_exited(void *user, const struct process_exit *end) {
    step_over(user, end->exit_code == 0 ? xstrdup(end->stderr_tail) : NULL);
}

/* Its output, which the caller frees; NULL when it failed, or took too long and was killed. */
static char *run_step(struct launcher *launcher, const char *const *argv) {
    static const struct process_handler handler = {.failed = on_failed, .exited = on_exited};
    struct process_spec spec = {.argv = argv, .environment = (const char *const[]){NULL}};
    struct sweep_step step = {.is_over = false};
    struct timespec until;
    uint64_t process;

    pthread_mutex_init(&step.lock, NULL);
    pthread_cond_init(&step.changed, NULL);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += SWEEP_TIMEOUT_S;
    if (launcher_spawn(launcher, &spec, &handler, &step, &process, NULL) == 0) {
        pthread_mutex_lock(&step.lock);
        while (!step.is_over && pthread_cond_timedwait(&step.changed, &step.lock, &until) == 0)
            ;
        if (!step.is_over)
            launcher_stop_process(launcher, process, 0);
        while (!step.is_over)
            pthread_cond_wait(&step.changed, &step.lock);
        pthread_mutex_unlock(&step.lock);
    }
    pthread_cond_destroy(&step.changed);
    pthread_mutex_destroy(&step.lock);
    return step.output;
}

static void remove_container(struct launcher *launcher, const char *cli, const char *id) {
    const char *const argv[] = {cli, "rm", "--force", id, NULL};

    free(run_step(launcher, argv));
}

void worker_containers_sweep(struct launcher *launcher, const struct worker_containers *containers) {
    CLEANUP(freep) char *filter = xasprintf("label=" LABEL "=%s", containers->instance);
    const char *const argv[] = {containers->cli, "ps", "--all", "--quiet", "--filter", filter, NULL};
    CLEANUP(freep) char *output = run_step(launcher, argv);

    for (char *at = output; at && *at;) {
        size_t size = strspn(at, "0123456789abcdef");

        /* Engines print their warnings between the ids. */
        if (size >= 12 && size <= MAX_ID_SIZE && (isspace((unsigned char)at[size]) || !at[size])) {
            CLEANUP(freep) char *id = xmemdup0(at, size);

            remove_container(launcher, containers->cli, id);
        }
        at += strcspn(at, "\n");
        at += *at == '\n';
    }
}
