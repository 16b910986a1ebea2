/* How a worker process is kept within the limits of its environment, and apart from the daemon. On the manager's thread.
 *
 *   isolation   a transient service of systemd, started by systemd-run, which has the limits; no part of the daemon's sandbox holds in it
 *   else        a control group of its own (cgroup.h), where the daemon has a subtree
 *   else        RLIMIT_DATA, which counts what a process may write, touched or not, thread stacks included, but not what a JVM or Go only
 *               reserves, as RLIMIT_AS would; and so many of the machine's cores, whole ones, as affinity */
#ifndef WORKER_CONFINE_H
#define WORKER_CONFINE_H

#include "worker/kind.h"

/* Starts `spec`, as worker_command_start() does, with the worker's settings. */
void worker_confined_start(struct worker *worker, const struct process_spec *spec, const char *what);

#endif
