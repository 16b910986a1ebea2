/* What /proc says about processes that a launcher started, and about what those started. */
#ifndef WORKER_LAUNCHER_PROCFS_H
#define WORKER_LAUNCHER_PROCFS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Put into each child's environment by the launcher, with "LAUNCHER_PID-PROCESS": it still tells whose an orphan is that left its session. */
#define LAUNCH_MARKER "TRESTLE_PROCESS"

/* The direct children, zombies included, 0-terminated; the caller frees. Complete as long as nobody reaps meanwhile. */
pid_t *procfs_children(void);
/* The process number in the marker that `launcher` gave to `pid` or to an ancestor of it. */
bool procfs_marker(pid_t pid, pid_t launcher, uint64_t *ret_process);
/* What the variable was when the process was started; the caller frees. NULL: it has none, has ended, or is not ours to look at. */
char *procfs_variable(pid_t pid, const char *name);
/* When it was started, in clock ticks since the machine was: together with its number nobody else's. 0: it has ended, reaped or not. */
uint64_t procfs_start_time(pid_t pid);

#endif
