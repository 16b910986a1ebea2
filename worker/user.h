/* Another user of this machine, whom processes are started as (workers.user). */
#ifndef WORKER_USER_H
#define WORKER_USER_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/arena.h"
#include "base/status.h"

struct process_spec;

struct worker_user {
    char *name; /* NULL: nobody; processes run as the daemon's user */
    char *home; /* as the user database has it; it need not exist */
    uid_t uid;
    gid_t gid; /* the user's own; the other groups are looked up when a process starts */
};

/* INVALID_ARGUMENT: there is no such user, it is root, or this process is not root and cannot start processes as others. */
int worker_user_find(const char *name, struct worker_user *ret, struct status *st);
/* Whether the file's own permissions give the user anything, wherever it is. False also when it is not there. */
bool worker_user_has_access(const struct worker_user *user, const char *path);
/* Makes the process the user's, with his variables HOME, USER and LOGNAME and the root directory in place of the daemon's; what the
 * specification sets itself stays. What is added lives in the arena. */
void worker_user_run_as(const struct worker_user *user, struct process_spec *spec, struct arena *arena);
void worker_user_clear(struct worker_user *user);

#endif
