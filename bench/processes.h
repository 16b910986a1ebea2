/* Other processes' figures, as /proc has them. */
#ifndef BENCH_PROCESSES_H
#define BENCH_PROCESSES_H

#include <stdint.h>
#include <sys/types.h>

struct process_figures {
    double cpu_s;           /* user and system time, without children */
    double children_cpu_s;  /* of children that ended and were waited for */
    uint64_t peak_bytes;    /* VmHWM: the most that was ever resident */
    uint64_t written_bytes; /* that reached, or will reach, a disk */
};

/* All 0 where the process is gone. */
struct process_figures process_read(pid_t pid);
/* Adds up all descendants, the process itself left out; the peak is the highest of one of them. */
void process_read_descendants(pid_t pid, struct process_figures *sum);

#endif
