/* Child processes of a preparation: each run to its end, before the next begins. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "jobserver/native/native_internal.h"
#include "worker/tail.h"

enum { STOP_GRACE_MS = 2000, LAST_LINES = 30 };

/* One run; filled on the launcher's thread, under native's lock. */
struct child {
    struct native *native;
    bool is_over;
    struct status status; /* it could not be started */
    int exit_code;
    int signal;
    char *output;
};

static void child_over(struct child *child) {
    child->is_over = true;
    pthread_cond_broadcast(&child->native->changed);
}

static void on_failed(void *user, const struct status *why) {
    struct child *child = user;

    pthread_mutex_lock(&child->native->lock);
    status_set(&child->status, why->code, "%s", status_message(why));
    child_over(child);
    pthread_mutex_unlock(&child->native->lock);
}

static void on_exited(void *user, const struct process_exit *end) {
    struct child *child = user;

    pthread_mutex_lock(&child->native->lock);
    child->exit_code = end->exit_code;
    child->signal = end->signal;
    child->output = tail_readable(end->stderr_tail);
    child_over(child);
    pthread_mutex_unlock(&child->native->lock);
}

/* True: it ended by itself. */
static bool await_child(struct native_task *task, struct child *child, uint64_t process) {
    struct native *native = task->native;
    bool was_stopped = false;

    pthread_mutex_lock(&native->lock);
    while (!child->is_over) {
        if (!was_stopped && !native_is_wanted(task)) {
            was_stopped = true;
            launcher_stop_process(native->launcher, process, STOP_GRACE_MS);
        }
        pthread_cond_wait(&native->changed, &native->lock);
    }
    pthread_mutex_unlock(&native->lock);
    return !was_stopped;
}

static const char *last_lines(const char *output) {
    const char *at = output + strlen(output);
    unsigned lines = 0;

    while (at > output && (at[-1] != '\n' || ++lines < LAST_LINES))
        at--;
    return at;
}

static char *command_line(const char *const *argv) {
    char *line = xstrdup(argv[0]);

    for (size_t i = 1; argv[i]; i++) {
        char *longer = xasprintf("%s %s", line, argv[i]);

        free(line);
        line = longer;
    }
    return line;
}

static int judge(const struct child *child, const char *command, struct status *st) {
    if (child->status.code)
        return status_set(st, STATUS_FAILED_PRECONDITION, "%s: %s", command, status_message(&child->status));
    if (child->signal)
        return status_set(st, STATUS_FAILED_PRECONDITION, "%s was killed by signal %d (%s)\n%s", command, child->signal,
                          strsignal(child->signal), last_lines(child->output));
    if (child->exit_code)
        return status_set(st, STATUS_FAILED_PRECONDITION, "%s exited with code %d; its last lines:\n%s", command,
                          child->exit_code, last_lines(child->output));
    return 0;
}

int native_run(struct native_task *task, const char *const *argv, const char *const *variables, const char *directory,
               struct status *st) {
    static const struct process_handler handler = {.failed = on_failed, .exited = on_exited};
    static const char *const none[] = {NULL};
    const struct worker_user *user = task->native->user;
    struct arena arena = {0};
    struct process_spec spec = {
        .argv = argv, .environment = variables ? variables : none, .working_directory = directory};
    struct child child = {.native = task->native};
    CLEANUP(freep) char *command = command_line(argv);
    uint64_t process;
    int r;

    if (user)
        worker_user_run_as(user, &spec, &arena);
    r = launcher_spawn(task->native->launcher, &spec, &handler, &child, &process, st);
    arena_clear(&arena);
    if (r < 0)
        return r;
    if (!await_child(task, &child, process))
        r = status_set(st, STATUS_CANCELLED, "nobody wants the environment any more");
    else
        r = judge(&child, command, st);
    if (child.output && child.output[0])
        native_say_detail(task, command, child.output);
    free(child.output);
    status_clear(&child.status);
    return r;
}
