/* Limits by control groups (version 2), where the daemon's service was given a subtree of its own: systemd's Delegate=yes.
 *
 *      SERVICE/              the subtree; memory and cpu are handed on to what is below
 *      SERVICE/daemon/       the daemon and its launcher, since a group that hands controllers on may have no processes itself
 *      SERVICE/worker-NAME/  one worker: memory.max, memory.oom.group, cpu.max
 *
 * One thread, but for cgroup_ran_out_of_memory(). */
#ifndef WORKER_CGROUP_H
#define WORKER_CGROUP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

struct cgroups;

/* The delegated directory of this process, which the caller frees; NULL: there is none. */
char *cgroups_find(void);
/* Takes the directory over: moves all that runs in it to daemon/, and removes what an earlier daemon left. */
int cgroups_open(const char *directory, struct cgroups **ret, struct status *st);
/* NULL is fine. */
void cgroups_close(struct cgroups *cgroups);

/* A new group with these limits; 0: none. The directory is the caller's to free, and to give to cgroups_remove() in the end. */
int cgroups_make(struct cgroups *cgroups, const char *name, uint64_t memory_bytes, unsigned milli_cpus, char **ret,
                 struct status *st);
/* Kills what is in it. What cannot be removed yet is tried again with later calls. */
void cgroups_remove(struct cgroups *cgroups, const char *directory);
/* Whether the kernel killed something in it since it had no more memory. Any thread. */
bool cgroup_ran_out_of_memory(const char *directory);

#endif
