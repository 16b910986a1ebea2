/* What this process may use of the machine. Any thread. */
#ifndef JOBSERVER_MACHINE_H
#define JOBSERVER_MACHINE_H

#include <stdint.h>

/* The machine's memory, or what the process's cgroup (v2) is limited to, whichever is less. */
uint64_t machine_memory_bytes(void);
/* Cores this process may run on; at least 1. */
unsigned machine_cores(void);

#endif
