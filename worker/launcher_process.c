/* The launcher's poll loop. One thread, no locks; it waits in poll(2) only.
 *
 *      socket      requests in, ends of processes out (through the outbox)
 *      signalfd    SIGCHLD: a child, ours or adopted, can be reaped
 *      per process its output (standard output and error in one pipe), and until the exec has happened the report of failure
 *
 * The life of a process:
 *
 *      spawn --> running --(leader is a zombie)--> kill its group, reap it --> ended --(nothing of it is left)--> reported, freed
 *
 * SIGCHLD through a signalfd rather than a pidfd per process: adopted orphans have to be reaped too, and since nobody but this thread
 * reaps, a process number cannot be given away between looking at it and signalling it. "Nothing of it is left" means: its group is
 * empty, and no child of ours, adopted ones included, is in its session or carries its marker. */
#include "worker/launcher_process.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/map.h"
#include "worker/launcher_child.h"
#include "worker/launcher_procfs.h"
#include "worker/launcher_wire.h"
#include "worker/tail.h"

enum {
    SOCKET_FD = 3,
    /* How long a killed group may take to be reaped (a process in a dead network file system) before its end is reported anyway. */
    REAP_LIMIT_MS = 10000,
};

struct process {
    struct list link;
    uint64_t id;
    pid_t pid; /* the leader: also the number of its group and session */
    char *command;
    char *directory;
    int output_fd; /* -1 once it ended */
    int report_fd; /* -1 once the exec happened or failed */
    struct child_report report;
    int64_t deadline_ms; /* 0: none. Running: when to send SIGKILL; ended: when to stop waiting for the rest */
    bool ended;          /* the leader was reaped */
    bool remains;        /* a sweep found something of it */
    int exit_code;
    int signal;
    struct tail output;
};

struct launcher_loop {
    pid_t self;
    int signal_fd;
    bool closed; /* the daemon is gone */
    struct outbox outbox;
    struct list processes;
    struct map by_id;
    struct map by_pid;
    struct rlimit child_open_files;
    struct pollfd *polls;
    struct process **poll_owners;
    size_t poll_capacity;
    char *buffer; /* LAUNCH_MESSAGE_MAX_BYTES + 1 */
};

static int64_t now_ms(void) {
    return monotonic_now_ns() / 1000000;
}

static void close_fd(int *fd) {
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* ---------------------------------------------------------------- what a process writes */

/* One read; false when there is nothing now. */
static bool output_read(struct process *process) {
    char bytes[16 * 1024];
    ssize_t got;

    if (process->output_fd < 0)
        return false;
    got = read(process->output_fd, bytes, sizeof(bytes));
    if (got > 0)
        tail_add(&process->output, bytes, (size_t)got);
    else if (got == 0 || (errno != EAGAIN && errno != EINTR))
        close_fd(&process->output_fd);
    return got > 0;
}

/* ---------------------------------------------------------------- ends */

static void say_failed(struct launcher_loop *loop, uint64_t id, int error_number, const char *what) {
    struct launch_message message = {.op = LAUNCH_FAILED, .process = id, .number = error_number};

    outbox_add(&loop->outbox, &message, what, strlen(what));
}

static void say_exited(struct launcher_loop *loop, const struct process *process) {
    struct launch_message message = {
        .op = LAUNCH_EXITED, .process = process->id, .number = process->exit_code, .signal = process->signal};
    CLEANUP(freep) char *tail = tail_string(&process->output);

    outbox_add(&loop->outbox, &message, tail, strlen(tail));
}

static void say_not_run(struct launcher_loop *loop, const struct process *process) {
    CLEANUP(freep) char *what = NULL;

    switch (process->report.step) {
    case CHILD_STEP_DIRECTORY:
        what = xasprintf("cannot enter %s to run %s", process->directory, process->command);
        break;
    case CHILD_STEP_CONFINE:
        what = xasprintf("cannot limit the memory or the cores of %s", process->command);
        break;
    case CHILD_STEP_USER:
        what = xasprintf("cannot become another user to run %s", process->command);
        break;
    case CHILD_STEP_EXEC:
        what = xasprintf("cannot run %s", process->command);
        break;
    default:
        what = xasprintf("cannot prepare a process for %s", process->command);
        break;
    }
    say_failed(loop, process->id, process->report.error_number, what);
}

static void process_free(struct process *process) {
    close_fd(&process->output_fd);
    close_fd(&process->report_fd);
    free(process->command);
    free(process->directory);
    tail_clear(&process->output);
    free(process);
}

static void process_finish(struct launcher_loop *loop, struct process *process) {
    assert(process->ended);
    /* What is in the pipe now; one that escaped may hold it open, so its end is not waited for. The bound is the pipe's size. */
    for (int reads = 0; reads < 64 && output_read(process); reads++)
        ;
    if (process->report.step != CHILD_STEP_NONE)
        say_not_run(loop, process);
    else
        say_exited(loop, process);
    map_remove(&loop->by_id, &process->id, sizeof(process->id));
    /* The leader was reaped: while what escaped from it was waited for, its number may have been given to a younger process. */
    if (map_get(&loop->by_pid, &process->pid, sizeof(process->pid)) == process)
        map_remove(&loop->by_pid, &process->pid, sizeof(process->pid));
    list_remove(&process->link);
    process_free(process);
}

static void report_read(struct process *process) {
    struct child_report report;
    ssize_t got;

    if (process->report_fd < 0)
        return;
    got = read(process->report_fd, &report, sizeof(report));
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got == (ssize_t)sizeof(report))
        process->report = report;
    close_fd(&process->report_fd);
}

static void signal_group(const struct process *process, int number) {
    if (process->ended)
        return;
    /* Before the child has called setsid() there is no group yet. The leader is not reaped, so its number is still its own. */
    if (kill(-process->pid, number) < 0 && errno == ESRCH)
        kill(process->pid, number);
}

/* The leader is a zombie: its group dies with it, while its number cannot belong to anybody else. */
static void leader_ended(struct process *process, const siginfo_t *info) {
    kill(-process->pid, SIGKILL);
    process->ended = true;
    process->deadline_ms = now_ms() + REAP_LIMIT_MS;
    process->exit_code = info->si_code == CLD_EXITED ? info->si_status : -1;
    process->signal = info->si_code == CLD_EXITED ? 0 : info->si_status;
    report_read(process);
}

static struct process *owner_of(struct launcher_loop *loop, pid_t child) {
    pid_t session = getsid(child);
    struct process *owner = map_get(&loop->by_pid, &child, sizeof(child));
    uint64_t id;

    if (!owner)
        owner = map_get(&loop->by_pid, &session, sizeof(session));
    if (!owner && procfs_marker(child, loop->self, &id))
        owner = map_get(&loop->by_id, &id, sizeof(id));
    return owner;
}

/* Kills what ended processes left behind and finishes those of which nothing is left. Orphans of what is killed here come to us, with a
 * SIGCHLD that leads back to this function. */
static void sweep(struct launcher_loop *loop) {
    CLEANUP(freep) pid_t *children = NULL;
    int64_t now = now_ms();
    size_t ended = 0;

    list_foreach (node, &loop->processes) {
        struct process *process = CONTAINER_OF(node, struct process, link);

        process->remains = false;
        ended += process->ended;
    }
    if (!ended)
        return;
    children = procfs_children();
    for (size_t i = 0; children[i]; i++) {
        struct process *owner = owner_of(loop, children[i]);

        if (owner && owner->ended) {
            owner->remains = true;
            kill(children[i], SIGKILL);
        }
    }
    list_foreach (node, &loop->processes) {
        struct process *process = CONTAINER_OF(node, struct process, link);
        bool gone = !process->remains && kill(-process->pid, 0) < 0 && errno == ESRCH;

        if (process->ended && (gone || now >= process->deadline_ms))
            process_finish(loop, process);
    }
}

static void reap(struct launcher_loop *loop) {
    struct signalfd_siginfo pending;

    while (read(loop->signal_fd, &pending, sizeof(pending)) > 0)
        ;
    for (;;) {
        siginfo_t info = {0};
        struct process *process;

        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0)
            break;
        process = map_get(&loop->by_pid, &info.si_pid, sizeof(info.si_pid));
        if (process && !process->ended)
            leader_ended(process, &info);
        waitpid(info.si_pid, NULL, WNOHANG);
    }
    sweep(loop);
}

/* ---------------------------------------------------------------- requests */

/* Cuts `count` strings off the front of the bytes; false when there are fewer. */
static bool take_strings(char **at, const char *end, char **strings, size_t count) {
    for (size_t i = 0; i < count; i++) {
        char *nul = *at < end ? memchr(*at, '\0', (size_t)(end - *at)) : NULL;

        if (!nul)
            return false;
        strings[i] = *at;
        *at = nul + 1;
    }
    return true;
}

/* Two pipes, both close-on-exec, whose reading ends do not block. */
static int open_pipes(int output[2], int report[2]) {
    if (pipe2(output, O_CLOEXEC) < 0)
        return -errno;
    if (pipe2(report, O_CLOEXEC) < 0) {
        int error_number = errno;

        close(output[0]);
        close(output[1]);
        return -error_number;
    }
    fcntl(output[0], F_SETFL, O_NONBLOCK);
    fcntl(report[0], F_SETFL, O_NONBLOCK);
    return 0;
}

/* Forks; 0 or a negative errno. */
static int process_fork(struct launcher_loop *loop, struct process *process, struct child_setup *setup) {
    int output[2], report[2];
    int error = open_pipes(output, report);

    if (error)
        return error;
    setup->output_fd = output[1];
    setup->report_fd = report[1];
    setup->launcher = loop->self;
    setup->open_files = loop->child_open_files;
    process->pid = fork();
    if (process->pid == 0)
        launcher_child_run(setup);
    error = process->pid < 0 ? -errno : 0;
    close(output[1]);
    close(report[1]);
    process->output_fd = output[0];
    process->report_fd = report[0];
    return error;
}

static void process_start(struct launcher_loop *loop, uint64_t id, struct child_setup *setup) {
    struct process *process = xcalloc(1, sizeof(*process));
    int error;

    *process = (struct process){.id = id, .output_fd = -1, .report_fd = -1};
    list_init(&process->link);
    error = process_fork(loop, process, setup);
    if (error) {
        CLEANUP(freep) char *what = xasprintf("cannot start a process for %s", setup->argv[0]);

        say_failed(loop, id, -error, what);
        process_free(process);
        return;
    }
    process->command = xstrdup(setup->argv[0]);
    process->directory = xstrdup(setup->directory);
    list_append(&loop->processes, &process->link);
    map_set(&loop->by_id, &process->id, sizeof(process->id), process);
    map_set(&loop->by_pid, &process->pid, sizeof(process->pid), process);
}

static void handle_spawn(struct launcher_loop *loop, const struct launch_message *message, size_t size) {
    size_t count = (size_t)message->argc + message->envc + 4;
    CLEANUP(freep) char **strings = NULL;
    CLEANUP(freep) char **argv = NULL;
    CLEANUP(freep) char **environment = NULL;
    char marker[64];
    char *at = loop->buffer;

    if (message->argc == 0 || message->argc > size || message->envc > size) {
        say_failed(loop, message->process, EINVAL, "cannot start a process");
        return;
    }
    /* argv, then the environment with the marker behind it, then the directory, the control group and the user. */
    strings = xcalloc(count, sizeof(*strings));
    if (!take_strings(&at, loop->buffer + size, strings, count - 4) ||
        !take_strings(&at, loop->buffer + size, &strings[count - 3], 3)) {
        say_failed(loop, message->process, EINVAL, "cannot start a process");
        return;
    }
    snprintf(marker, sizeof(marker), LAUNCH_MARKER "=%d-%llu", (int)loop->self, (unsigned long long)message->process);
    strings[count - 4] = marker;
    argv = xcalloc((size_t)message->argc + 1, sizeof(*argv));
    memcpy(argv, strings, message->argc * sizeof(*argv));
    environment = launcher_child_environment(strings + message->argc, (size_t)message->envc + 1);
    process_start(loop, message->process,
                  &(struct child_setup){.argv = argv,
                                        .environment = environment,
                                        .directory = strings[count - 3],
                                        .cgroup = strings[count - 2],
                                        .user = strings[count - 1],
                                        .uid = message->uid,
                                        .gid = message->gid,
                                        .data_limit_bytes = message->data_limit_bytes,
                                        .cores = message->cores,
                                        .first_core = (unsigned)(message->process * message->cores)});
}

static void handle_signal(struct launcher_loop *loop, const struct launch_message *message) {
    struct process *process = map_get(&loop->by_id, &message->process, sizeof(message->process));

    if (process)
        signal_group(process, message->number);
}

static void handle_stop(struct launcher_loop *loop, const struct launch_message *message) {
    struct process *process = map_get(&loop->by_id, &message->process, sizeof(message->process));
    int64_t kill_at = now_ms() + message->number;

    if (!process || process->ended)
        return;
    signal_group(process, message->number > 0 ? SIGTERM : SIGKILL);
    if (message->number > 0 && (!process->deadline_ms || kill_at < process->deadline_ms))
        process->deadline_ms = kill_at;
}

static void handle_requests(struct launcher_loop *loop) {
    struct launch_message message;
    size_t size;
    int got;

    while ((got = launch_receive(SOCKET_FD, &message, loop->buffer, &size)) > 0) {
        switch (message.op) {
        case LAUNCH_SPAWN:
            handle_spawn(loop, &message, size);
            break;
        case LAUNCH_SIGNAL:
            handle_signal(loop, &message);
            break;
        case LAUNCH_STOP:
            handle_stop(loop, &message);
            break;
        default:
            break;
        }
    }
    if (got < 0)
        loop->closed = true;
}

/* ---------------------------------------------------------------- the loop */

/* Milliseconds to the first deadline, -1: none. */
static int next_timeout(const struct launcher_loop *loop) {
    int64_t first = INT64_MAX;

    list_foreach (node, &loop->processes) {
        const struct process *process = CONTAINER_OF(node, struct process, link);

        if (process->deadline_ms)
            first = MIN(first, process->deadline_ms);
    }
    if (first == INT64_MAX)
        return -1;
    first -= now_ms();
    return (int)MAX(0, MIN(first, INT_MAX));
}

static void run_timers(struct launcher_loop *loop) {
    int64_t now = now_ms();
    bool sweep_due = false;

    list_foreach (node, &loop->processes) {
        struct process *process = CONTAINER_OF(node, struct process, link);

        if (!process->deadline_ms || process->deadline_ms > now)
            continue;
        if (process->ended) {
            sweep_due = true;
        } else {
            process->deadline_ms = 0;
            signal_group(process, SIGKILL);
        }
    }
    if (sweep_due)
        sweep(loop);
}

static void add_poll(struct launcher_loop *loop, size_t *count, int fd, short events, struct process *owner) {
    if (*count == loop->poll_capacity) {
        loop->poll_capacity = loop->poll_capacity ? 2 * loop->poll_capacity : 16;
        loop->polls = xreallocarray(loop->polls, loop->poll_capacity, sizeof(*loop->polls));
        loop->poll_owners = xreallocarray(loop->poll_owners, loop->poll_capacity, sizeof(*loop->poll_owners));
    }
    loop->polls[*count] = (struct pollfd){.fd = fd, .events = events};
    loop->poll_owners[(*count)++] = owner;
}

static void loop_turn(struct launcher_loop *loop) {
    bool full = outbox_flush(&loop->outbox, SOCKET_FD) == 1;
    size_t count = 0;

    add_poll(loop, &count, SOCKET_FD, (short)(full ? POLLIN | POLLOUT : POLLIN), NULL);
    add_poll(loop, &count, loop->signal_fd, POLLIN, NULL);
    list_foreach (node, &loop->processes) {
        struct process *process = CONTAINER_OF(node, struct process, link);

        if (process->output_fd >= 0)
            add_poll(loop, &count, process->output_fd, POLLIN, process);
        if (process->report_fd >= 0)
            add_poll(loop, &count, process->report_fd, POLLIN, process);
    }
    if (poll(loop->polls, count, next_timeout(loop)) < 0)
        return;
    /* Processes are freed by reap and the timers only, so the owners are good until then. */
    for (size_t i = 2; i < count; i++) {
        if (!loop->polls[i].revents)
            continue;
        if (loop->polls[i].fd == loop->poll_owners[i]->output_fd)
            output_read(loop->poll_owners[i]);
        else
            report_read(loop->poll_owners[i]);
    }
    if (loop->polls[1].revents)
        reap(loop);
    run_timers(loop);
    if (loop->polls[0].revents)
        handle_requests(loop);
}

/* The daemon is gone: whatever is below us is killed, and what that leaves to us as well, until there is nothing. */
static void kill_everything(struct launcher_loop *loop) {
    list_foreach (node, &loop->processes)
        signal_group(CONTAINER_OF(node, struct process, link), SIGKILL);
    for (;;) {
        CLEANUP(freep) pid_t *children = procfs_children();

        for (size_t i = 0; children[i]; i++)
            kill(children[i], SIGKILL);
        if (waitpid(-1, NULL, 0) < 0 && errno != EINTR)
            break;
        while (waitpid(-1, NULL, WNOHANG) > 0)
            ;
    }
}

/* Signals that a terminal sends to the whole foreground group must not reach the launcher before the daemon is done with it. */
static int set_up_signals(void) {
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP};
    struct sigaction by_default = {.sa_handler = SIG_DFL};
    sigset_t blocked, child;

    sigaction(SIGCHLD, &by_default, NULL);
    sigfillset(&blocked);
    for (size_t i = 0; i < ARRAY_COUNT(faults); i++)
        sigdelset(&blocked, faults[i]);
    sigprocmask(SIG_SETMASK, &blocked, NULL);
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    return signalfd(-1, &child, SFD_NONBLOCK | SFD_CLOEXEC);
}

/* Standard input and output go to /dev/null, so that whoever reads the daemon's output sees its end when the daemon ends. */
static int set_up_descriptors(int socket) {
    int null_fd = open("/dev/null", O_RDWR);

    if (null_fd < 0 || dup2(null_fd, STDIN_FILENO) < 0 || dup2(null_fd, STDOUT_FILENO) < 0)
        return -1;
    if (socket != SOCKET_FD && dup2(socket, SOCKET_FD) < 0)
        return -1;
    fcntl(SOCKET_FD, F_SETFD, FD_CLOEXEC);
    return close_range(SOCKET_FD + 1, ~0U, 0);
}

_Noreturn void launcher_process_run(int socket) {
    struct launcher_loop loop = {.self = getpid()};
    struct rlimit open_files;

    prctl(PR_SET_NAME, "trestle-launch");
    list_init(&loop.processes);
    outbox_init(&loop.outbox);
    loop.buffer = xmalloc(LAUNCH_MESSAGE_MAX_BYTES + 1);
    if (set_up_descriptors(socket) < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
        _exit(1);
    loop.signal_fd = set_up_signals();
    if (loop.signal_fd < 0 || getrlimit(RLIMIT_NOFILE, &loop.child_open_files) < 0)
        _exit(1);
    /* Two descriptors a process; children get the limit that we had. */
    open_files = loop.child_open_files;
    open_files.rlim_cur = open_files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &open_files);
    while (!loop.closed)
        loop_turn(&loop);
    kill_everything(&loop);
    _exit(0);
}
