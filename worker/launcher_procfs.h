/* What /proc says about the launcher's own children: those it started and the orphans it adopted as a subreaper. */
#ifndef WORKER_LAUNCHER_PROCFS_H
#define WORKER_LAUNCHER_PROCFS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Put into each child's environment, with "LAUNCHER_PID-PROCESS": it still tells whose an orphan is that left its session. */
#define LAUNCH_MARKER "TRESTLE_PROCESS"

/* The direct children, zombies included, 0-terminated; the caller frees. Complete as long as nobody reaps meanwhile. */
pid_t *procfs_children(void);
/* The process number in the marker that `launcher` gave to `pid` or to an ancestor of it. */
bool procfs_marker(pid_t pid, pid_t launcher, uint64_t *ret_process);

#endif
