/* A trestle under test, as a process: its own state directory and configuration, a port of the system's choice. */
#ifndef HARNESS_DAEMON_H
#define HARNESS_DAEMON_H

#include <stdbool.h>
#include <sys/types.h>

struct daemon_process {
    pid_t pid;
    char directory[64]; /* configuration, state and log; removed at the end */
    char endpoint[64];  /* HOST:PORT */
};

/* Runs $TRESTLE_BINARY with this configuration and waits until it listens. Says on standard error why it could not. The calling process
 * becomes the parent of what the daemon leaves behind, so that daemon_stop() can see it. */
bool daemon_start(struct daemon_process *daemon, const char *yaml);
/* SIGTERM. True when it ended with exit code 0 and no child of it was left; else says what was wrong. */
bool daemon_end(struct daemon_process *daemon);
/* Its two halves: SIGTERM, and what comes of it. */
void daemon_ask_to_end(const struct daemon_process *daemon);
bool daemon_await_end(struct daemon_process *daemon);
/* SIGKILL. True when all that it had started ended by itself. */
bool daemon_crash(struct daemon_process *daemon);
/* The same, and daemon_remove(). */
bool daemon_stop(struct daemon_process *daemon);
bool daemon_kill(struct daemon_process *daemon);
/* The process that starts its workers. */
pid_t daemon_launcher(const struct daemon_process *daemon);
/* One that was ended runs once more, with the same configuration and state. */
bool daemon_restart(struct daemon_process *daemon);
/* The files of one that was ended. */
void daemon_remove(struct daemon_process *daemon);

/* SIGHUP, and waits until the log says this of it. False, with the log on standard error, if it does not for ten seconds. */
bool daemon_reread(const struct daemon_process *daemon, const char *says);

/* A child with pipes on its standard input and output. */
struct child {
    pid_t pid;
    int in;  /* write: its standard input */
    int out; /* read: its standard output */
};

/* argv ends with NULL. `log`: file for its standard error, or NULL for ours. */
bool child_start(struct child *child, const char *const *argv, const char *log);
/* The next line of its output, without the end of line; false when it has ended. */
bool child_read_line(struct child *child, char *line, size_t size);

#endif
