/* The daemon's side of the launcher: a table of processes, and one thread that reads what the launcher says.
 *
 * Requests go to the outbox under the lock and are sent at once where the socket takes them; what it does not take is sent by the reader
 * thread, which `wake_fd` tells to wait for that. Handlers are called without the lock. */
#include "worker/launcher.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/map.h"
#include "worker/launcher_process.h"
#include "worker/launcher_wire.h"
#include "worker/orphans.h"

struct entry {
    struct process_handler handler;
    void *user;
};

struct launcher {
    pid_t pid;
    int socket;
    int wake_fd;
    pthread_t reader;
    bool started;
    char *buffer;   /* the reader's */
    char *variable; /* that orphans are found by; NULL: none */
    void (*died)(void *user);
    void *died_user;

    pthread_mutex_t lock; /* guards what follows */
    char *instance;       /* NULL: none */
    bool gone;            /* the launcher process ended, or launcher_destroy() was called */
    uint64_t last_process;
    struct map processes; /* process number -> struct entry */
    struct outbox outbox;
};

/* ---------------------------------------------------------------- the reader thread */

static void entry_failed(const struct entry *entry, int error_number, const char *what) {
    CLEANUP_STATUS struct status why = {0};

    status_set_errno(&why, error_number, "%s", what);
    if (entry->handler.failed)
        entry->handler.failed(entry->user, &why);
}

static void entry_exited(const struct entry *entry, int exit_code, int signal_number, const char *tail) {
    struct process_exit end = {.exit_code = exit_code, .signal = signal_number, .stderr_tail = tail};

    if (entry->handler.exited)
        entry->handler.exited(entry->user, &end);
}

static void handle_message(struct launcher *launcher, const struct launch_message *message) {
    struct entry *entry;

    pthread_mutex_lock(&launcher->lock);
    entry = map_remove(&launcher->processes, &message->process, sizeof(message->process));
    pthread_mutex_unlock(&launcher->lock);
    if (!entry)
        return;
    if (message->op == LAUNCH_FAILED)
        entry_failed(entry, message->number, launcher->buffer);
    else
        entry_exited(entry, message->number, message->signal, launcher->buffer);
    free(entry);
}

/* It has ended without being asked to, and its children with it, but not theirs. */
static void end_orphans(struct launcher *launcher) {
    CLEANUP(freep) char *instance = NULL;
    siginfo_t info;

    /* Should it live, having said nonsense: this ends it. */
    shutdown(launcher->socket, SHUT_RDWR);
    while (waitid(P_PID, (id_t)launcher->pid, &info, WEXITED | WNOWAIT) < 0 && errno == EINTR)
        ;
    pthread_mutex_lock(&launcher->lock);
    instance = launcher->instance ? xstrdup(launcher->instance) : NULL;
    pthread_mutex_unlock(&launcher->lock);
    if (instance)
        orphans_kill(instance);
}

/* The launcher has ended, and with it every process. */
static void report_all_gone(struct launcher *launcher) {
    struct map processes;
    bool is_unasked;

    pthread_mutex_lock(&launcher->lock);
    is_unasked = !launcher->gone;
    launcher->gone = true;
    processes = launcher->processes;
    launcher->processes = (struct map){0};
    outbox_clear(&launcher->outbox);
    pthread_mutex_unlock(&launcher->lock);
    if (is_unasked)
        end_orphans(launcher);
    if (is_unasked && launcher->died)
        launcher->died(launcher->died_user);
    map_foreach (at, &processes)
        entry_exited(at->value, -1, SIGKILL, "the process launcher ended and took its processes with it");
    map_clear(&processes, free);
}

static bool flush(struct launcher *launcher) {
    bool full;

    pthread_mutex_lock(&launcher->lock);
    full = outbox_flush(&launcher->outbox, launcher->socket) == 1;
    pthread_mutex_unlock(&launcher->lock);
    return full;
}

static void *reader_main(void *user) {
    struct launcher *launcher = user;
    int got = 0;

    while (got >= 0) {
        struct pollfd polls[] = {{.fd = launcher->socket, .events = POLLIN},
                                 {.fd = launcher->wake_fd, .events = POLLIN}};
        struct launch_message message;
        eventfd_t wakes;
        size_t size;

        if (flush(launcher))
            polls[0].events |= POLLOUT;
        if (poll(polls, ARRAY_COUNT(polls), -1) < 0)
            continue;
        if (polls[1].revents)
            eventfd_read(launcher->wake_fd, &wakes);
        while ((got = launch_receive(launcher->socket, &message, launcher->buffer, &size)) > 0)
            handle_message(launcher, &message);
    }
    report_all_gone(launcher);
    return NULL;
}

/* ---------------------------------------------------------------- life */

static void set_buffer_size(int socket) {
    int bytes = LAUNCH_MESSAGE_MAX_BYTES + 16 * 1024; /* the kernel doubles it, and caps it at net.core.wmem_max */

    setsockopt(socket, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
}

int launcher_create(struct launcher **ret, struct status *st) {
    struct launcher *launcher;
    int sockets[2];
    int wake_fd;
    pid_t pid;

    wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (wake_fd < 0)
        return status_set_errno(st, errno, "cannot set up the process launcher");
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0) {
        int error_number = errno;

        close(wake_fd);
        return status_set_errno(st, error_number, "cannot set up the process launcher");
    }
    set_buffer_size(sockets[0]);
    set_buffer_size(sockets[1]);
    pid = fork();
    if (pid == 0)
        launcher_process_run(sockets[1]);
    if (pid < 0) {
        int error_number = errno;

        close(wake_fd);
        close(sockets[0]);
        close(sockets[1]);
        return status_set_errno(st, error_number, "cannot start the process launcher");
    }
    close(sockets[1]);
    launcher = xcalloc(1, sizeof(*launcher));
    launcher->pid = pid;
    launcher->socket = sockets[0];
    launcher->wake_fd = wake_fd;
    launcher->buffer = xmalloc(LAUNCH_MESSAGE_MAX_BYTES + 1);
    pthread_mutex_init(&launcher->lock, NULL);
    outbox_init(&launcher->outbox);
    *ret = launcher;
    return 0;
}

void launcher_on_death(struct launcher *launcher, void (*died)(void *user), void *user) {
    assert(!launcher->started);
    launcher->died = died;
    launcher->died_user = user;
}

void launcher_set_instance(struct launcher *launcher, const char *instance) {
    assert(!launcher->variable);
    launcher->variable = orphans_variable(launcher->pid, instance);
    pthread_mutex_lock(&launcher->lock);
    launcher->instance = xstrdup(instance);
    pthread_mutex_unlock(&launcher->lock);
}

void launcher_start(struct launcher *launcher) {
    sigset_t all, before;

    assert(!launcher->started);
    /* Signals are main's business. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(&launcher->reader, NULL, reader_main, launcher) != 0)
        abort(); /* at start-up, without resources for one thread */
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    launcher->started = true;
}

void launcher_destroy(struct launcher *launcher) {
    if (!launcher)
        return;
    pthread_mutex_lock(&launcher->lock);
    launcher->gone = true;
    pthread_mutex_unlock(&launcher->lock);
    /* The launcher reads the end, kills and reaps all, and exits; the reader thread reads that end in turn. */
    shutdown(launcher->socket, SHUT_WR);
    while (waitpid(launcher->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    if (launcher->started)
        pthread_join(launcher->reader, NULL);
    close(launcher->socket);
    close(launcher->wake_fd);
    outbox_clear(&launcher->outbox);
    map_clear(&launcher->processes, free);
    pthread_mutex_destroy(&launcher->lock);
    free(launcher->buffer);
    free(launcher->instance);
    free(launcher->variable);
    free(launcher);
}

/* ---------------------------------------------------------------- requests */

/* With the lock held. */
static void post(struct launcher *launcher, const struct launch_message *message, const char *strings, size_t size) {
    outbox_add(&launcher->outbox, message, strings, size);
    if (outbox_flush(&launcher->outbox, launcher->socket) == 1)
        eventfd_write(launcher->wake_fd, 1);
}

static uint32_t add_strings(struct buf *out, const char *const *strings) {
    uint32_t count = 0;

    for (; strings && strings[count]; count++)
        buf_add(out, strings[count], strlen(strings[count]) + 1);
    return count;
}

static int check_spec(const struct process_spec *spec, size_t size, struct status *st) {
    if (!spec->argv || !spec->argv[0] || !spec->argv[0][0])
        return status_set(st, STATUS_INVALID_ARGUMENT, "no command to run");
    for (size_t i = 0; spec->environment && spec->environment[i]; i++)
        if (spec->environment[i][0] == '=' || !strchr(spec->environment[i], '='))
            return status_set(st, STATUS_INVALID_ARGUMENT, "cannot run %s: \"%s\" in its environment is not KEY=VALUE",
                              spec->argv[0], spec->environment[i]);
    if (size + sizeof(struct launch_message) > LAUNCH_MESSAGE_MAX_BYTES)
        return status_set(st, STATUS_INVALID_ARGUMENT,
                          "cannot run %s: its arguments and environment take %zu bytes, more than the %zu that can be "
                          "handed to a new process; put long values into a file",
                          spec->argv[0], size, LAUNCH_MESSAGE_MAX_BYTES - sizeof(struct launch_message));
    return 0;
}

static int check_room(const struct launcher *launcher, const struct process_spec *spec, struct status *st) {
    if (launcher->gone)
        return status_set(st, STATUS_UNAVAILABLE, "cannot run %s: the process launcher has ended", spec->argv[0]);
    if (launcher->processes.count >= LAUNCHER_MAX_PROCESSES)
        return status_set(st, STATUS_RESOURCE_EXHAUSTED, "cannot run %s: %d processes are running already",
                          spec->argv[0], LAUNCHER_MAX_PROCESSES);
    return 0;
}

int launcher_spawn(struct launcher *launcher, const struct process_spec *spec, const struct process_handler *handler,
                   void *user, uint64_t *ret_process, struct status *st) {
    struct launch_message message = {
        .op = LAUNCH_SPAWN, .data_limit_bytes = spec->data_limit_bytes, .cores = spec->cores};
    const struct worker_user *run_as = spec->user;
    struct buf strings = {0};
    struct entry *entry;
    int error;

    message.argc = add_strings(&strings, spec->argv);
    message.envc = add_strings(&strings, spec->environment);
    message.envc += add_strings(&strings, (const char *const[]){launcher->variable, NULL});
    add_strings(&strings, (const char *const[]){spec->working_directory ? spec->working_directory : "",
                                                spec->cgroup ? spec->cgroup : "", run_as ? run_as->name : "", NULL});
    if (run_as) {
        message.uid = run_as->uid;
        message.gid = run_as->gid;
    }
    error = check_spec(spec, strings.size, st);
    if (error) {
        buf_clear(&strings);
        return error;
    }
    pthread_mutex_lock(&launcher->lock);
    error = check_room(launcher, spec, st);
    if (!error) {
        entry = xmalloc(sizeof(*entry));
        *entry = (struct entry){.handler = *handler, .user = user};
        message.process = ++launcher->last_process;
        *ret_process = message.process; /* before a handler can be called */
        map_set(&launcher->processes, &message.process, sizeof(message.process), entry);
        post(launcher, &message, (const char *)buf_data(&strings), strings.size);
    }
    pthread_mutex_unlock(&launcher->lock);
    buf_clear(&strings);
    return error;
}

static void post_to_process(struct launcher *launcher, uint64_t process, enum launch_op op, int number) {
    struct launch_message message = {.op = op, .process = process, .number = number};

    pthread_mutex_lock(&launcher->lock);
    if (!launcher->gone && map_get(&launcher->processes, &process, sizeof(process)))
        post(launcher, &message, NULL, 0);
    pthread_mutex_unlock(&launcher->lock);
}

void launcher_signal(struct launcher *launcher, uint64_t process, int signal_number) {
    post_to_process(launcher, process, LAUNCH_SIGNAL, signal_number);
}

void launcher_stop_process(struct launcher *launcher, uint64_t process, unsigned grace_ms) {
    post_to_process(launcher, process, LAUNCH_STOP, (int)MIN(grace_ms, (unsigned)INT_MAX));
}
