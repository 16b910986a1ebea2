/* What this process may use of the machine. Any thread. */
#ifndef JOBSERVER_MACHINE_H
#define JOBSERVER_MACHINE_H

#include <stdint.h>

/* The machine's memory, or what the process's cgroup (v2) is limited to, whichever is less. */
uint64_t machine_memory_bytes(void);
/* Of the cgroup that the file `self` (/proc/self/cgroup) names, and of those above it in the directory `root` (/sys/fs/cgroup), the least
 * memory.max; UINT64_MAX: none has one. */
uint64_t machine_cgroup_memory_bytes(const char *self, const char *root);
/* Cores this process may run on; at least 1. */
unsigned machine_cores(void);

#endif
