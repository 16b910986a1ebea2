/* From fork to exec: what a child does to itself before it becomes the harness. Used inside the launcher process only. */
#ifndef WORKER_LAUNCHER_CHILD_H
#define WORKER_LAUNCHER_CHILD_H

#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

enum child_step {
    CHILD_STEP_NONE,
    CHILD_STEP_PREPARE,
    CHILD_STEP_CONFINE,
    CHILD_STEP_USER,
    CHILD_STEP_DIRECTORY,
    CHILD_STEP_EXEC
};

/* Written to `report_fd` when a step fails; an exec that succeeds closes it without a word. */
struct child_report {
    enum child_step step;
    int error_number;
};

struct child_setup {
    char *const *argv;
    char **environment;    /* complete, NULL-terminated */
    const char *directory; /* empty: stay */
    const char *cgroup;    /* the same */
    const char *user;      /* empty: as it is */
    uid_t uid;             /* the user's */
    gid_t gid;
    uint64_t data_limit_bytes; /* 0: as it is */
    unsigned cores;            /* 0: all */
    unsigned first_core;       /* of those; counted around */
    int output_fd;             /* becomes standard output and standard error */
    int report_fd;             /* close-on-exec */
    pid_t launcher;            /* who must still be the parent once the death signal is set */
    struct rlimit open_files;
};

/* The launcher's own environment without what is meant for the daemon alone (systemd's sockets and watchdog), then `count` strings
 * KEY=VALUE that replace and add. NULL-terminated; the strings are borrowed, the caller frees the array. */
char **launcher_child_environment(char *const *additions, size_t count);

/* In the child; signals are blocked when it is called. Does not return. */
_Noreturn void launcher_child_run(const struct child_setup *setup);

#endif
