#include "worker/command.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "worker/cgroup.h"
#include "worker/tail.h"

struct command_worker {
    const char *what; /* in the worker's arena, as is this struct */
    const char *const *afterwards;
    uint64_t process;
};

/* ---------------------------------------------------------------- the end */

/* "": nothing is to be said of limits. systemd-run reports why a service of its ended. The caller frees. */
static char *describe_limit(const struct worker *worker, const struct process_exit *end, const char *output) {
    uint64_t bytes = worker->settings.memory_bytes;
    bool is_known = worker->cgroup ? cgroup_ran_out_of_memory(worker->cgroup)
                                   : worker_manager_isolation(worker->manager)->way != WORKER_ISOLATION_NONE &&
                                         strstr(output, "result: oom-kill");

    if (!bytes || (!end->signal && end->exit_code == 0))
        return xstrdup("");
    return xasprintf(is_known ? ", since it needed more than the %llu MiB of memory that its environment may use "
                                "(environments: memory)"
                              : "; its memory is limited to %llu MiB (environments: memory)",
                     (unsigned long long)(bytes >> 20));
}

static struct status *describe_exit(const struct worker *worker, const char *what, const struct process_exit *end) {
    CLEANUP(freep) char *output = tail_readable(end->stderr_tail);
    CLEANUP(freep) char *limit = describe_limit(worker, end, output);
    CLEANUP(freep) char *how = NULL;
    struct status *why = xcalloc(1, sizeof(*why));

    if (end->signal)
        how = xasprintf("was killed by signal %d (%s)%s", end->signal, strsignal(end->signal),
                        end->signal == SIGKILL && !limit[0] ? ", as the kernel does when memory runs out" : limit);
    else
        how = xasprintf("exited with code %d%s", end->exit_code, limit);
    if (output[0])
        status_set(why, STATUS_UNAVAILABLE, "%s %s; last output:\n%s", what, how, output);
    else
        status_set(why, STATUS_UNAVAILABLE, "%s %s without any output", what, how);
    return why;
}

static void stopped(struct worker *worker, void *argument) {
    (void)argument;
    worker_stopped(worker);
}

/* On the launcher's thread. */
static void on_cleanup_failed(void *user, const struct status *why) {
    (void)why;
    worker_post(user, stopped, NULL);
}

static void on_cleaned_up(void *user, const struct process_exit *end) {
    (void)end;
    worker_post(user, stopped, NULL);
}

static void clean_up(struct worker *worker, const char *const *argv) {
    static const struct process_handler handler = {.failed = on_cleanup_failed, .exited = on_cleaned_up};
    struct process_spec spec = {.argv = argv, .environment = (const char *const[]){NULL}};
    uint64_t process;

    if (launcher_spawn(worker_manager_launcher(worker->manager), &spec, &handler, worker, &process, NULL) < 0)
        worker_stopped(worker);
}

static void leave_cgroup(struct worker *worker) {
    if (worker->cgroup)
        cgroups_remove(worker_manager_isolation(worker->manager)->cgroups, worker->cgroup);
}

static void ended(struct worker *worker, void *argument) {
    struct command_worker *state = worker->state;
    struct status *why = argument;

    worker_failed(worker, why);
    status_clear(why);
    free(why);
    leave_cgroup(worker);
    if (state->afterwards)
        clean_up(worker, state->afterwards);
    else
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
    struct command_worker *state = worker->state;

    worker_post(worker, ended, describe_exit(worker, state->what, end));
}

void worker_cannot_start(struct worker *worker, struct status *why) {
    leave_cgroup(worker);
    status_prefix(why, "worker process");
    worker_failed(worker, why);
    status_clear(why);
    worker_stopped(worker);
}

/* ---------------------------------------------------------------- start and stop */

const char **worker_boot_arguments(struct worker *worker, const char *const *first, size_t first_count) {
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
    const char **argv = arena_new_array(&worker->arena, const char *, first_count + ARRAY_COUNT(options) + 1);
    size_t count = 0;

    for (; count < first_count; count++)
        argv[count] = first[count];
    for (size_t i = 0; i < ARRAY_COUNT(options); i++)
        if (options[i].value[0])
            argv[count++] = arena_printf(&worker->arena, "--%s=%s", options[i].name, options[i].value);
    return argv;
}

void worker_command_start(struct worker *worker, const struct process_spec *spec, const char *what,
                          const char *const *afterwards) {
    static const struct process_handler handler = {.failed = on_failed, .exited = on_exited};
    struct command_worker *state = arena_new(&worker->arena, struct command_worker);
    struct status why = {0};

    worker->state = state;
    state->what = what;
    state->afterwards = afterwards;
    if (launcher_spawn(worker_manager_launcher(worker->manager), spec, &handler, worker, &state->process, &why) < 0)
        worker_cannot_start(worker, &why);
}

void worker_command_stop(struct worker *worker, unsigned grace_ms) {
    struct command_worker *state = worker->state;

    launcher_stop_process(worker_manager_launcher(worker->manager), state->process, grace_ms);
}
