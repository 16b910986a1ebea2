/* The launcher: a small single-threaded process, forked from main before gRPC starts a thread, that starts every child process.
 *
 *      trestle (many threads) --- SOCK_SEQPACKET ---> launcher --- fork/exec ---> harness (own session and group)
 *                                                        |  signalfd, output pipes
 *                                                        '-- subreaper: orphans of a harness come to it
 *
 * It is a subreaper, so that whatever a harness leaves behind becomes its child; each child is the leader of a process group (and
 * session). When the daemon goes away, however it goes, the socket closes and the launcher kills every group with SIGKILL and exits.
 * Children get PR_SET_PDEATHSIG as well, so that they die with the launcher; what they had started is then found by its environment
 * (orphans.h), by the daemon that lost its launcher or, where both were killed, by the next one with the same state directory.
 *
 * gRPC's threads do not survive a fork, which is why this cannot be done from the daemon itself. */
#ifndef WORKER_LAUNCHER_H
#define WORKER_LAUNCHER_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "worker/user.h"

struct launcher;

/* At the same time; launcher_spawn() refuses more. */
enum { LAUNCHER_MAX_PROCESSES = 4096 };

struct process_spec {
    const char *const *argv;        /* NULL-terminated; argv[0] is looked up in PATH */
    const char *const *environment; /* NULL-terminated "KEY=VALUE", added to (and overriding) the daemon's own */
    const char *working_directory;  /* NULL: the daemon's */
    const char *cgroup;             /* directory of a control group to begin in; NULL: the launcher's */
    uint64_t data_limit_bytes;      /* RLIMIT_DATA of each of its processes; 0: as the daemon's */
    unsigned cores;                 /* at most so many; 0: all that the daemon may use */
    const struct worker_user
        *user; /* whom it runs as, with no way to more rights (PR_SET_NO_NEW_PRIVS); NULL: the daemon's */
};

struct process_exit {
    int exit_code;           /* -1 when killed by a signal */
    int signal;              /* 0 when it exited by itself */
    const char *stderr_tail; /* the last few KB of standard error (and output), NUL-terminated; valid during the call */
};

/* On the launcher's reader thread; must not block. */
struct process_handler {
    /* exec failed (no such command, no permission); `exited` does not follow. */
    void (*failed)(void *user, const struct status *why);
    /* The leader ended and the whole group was killed and reaped. Once. */
    void (*exited)(void *user, const struct process_exit *exit);
};

/* Forks. Call from main while it has one thread. */
int launcher_create(struct launcher **ret, struct status *st);
/* `died` is called, on the reader thread and before its processes' ends are reported, when the launcher ends though nobody asked it to:
 * nothing can be spawned any more. Before launcher_start(). */
void launcher_on_death(struct launcher *launcher, void (*died)(void *user), void *user);
/* Whose processes they are, for orphans_kill(): of no two daemons the same. Without it orphans cannot be told. Once, before the first
 * launcher_spawn(). */
void launcher_set_instance(struct launcher *launcher, const char *instance);
/* Starts the reader thread; after the fork, before spawning. */
void launcher_start(struct launcher *launcher);
/* Kills every group, waits for the launcher process, joins, frees. */
void launcher_destroy(struct launcher *launcher);

/* Never blocks on the child. *ret_process names it for launcher_signal and is set before a handler is called. Strings are copied.
 * Each process that was accepted gets exactly one of `failed` and `exited`, at the latest from launcher_destroy().
 * Errors: no command, arguments and environment too large (192 KB), too many processes, launcher gone. */
int launcher_spawn(struct launcher *launcher, const struct process_spec *spec, const struct process_handler *handler,
                   void *user, uint64_t *ret_process, struct status *st);
/* Signals the process group; harmless when it is gone. */
void launcher_signal(struct launcher *launcher, uint64_t process, int signal_number);
/* SIGTERM now, SIGKILL after grace_ms if it is still there. */
void launcher_stop_process(struct launcher *launcher, uint64_t process, unsigned grace_ms);

#endif
