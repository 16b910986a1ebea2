/* Which jobs run, and which wait for their turn.
 *
 * A job runs when fewer than jobs.max_running do, and when of workers.max_processes there are as many left as it needs at least: one for each of
 * its environments whose workers the runner starts. One that needs more than there are altogether runs alone. It is granted its fair share
 * of them, which is what all are, divided by those that run and wait, but no more than it wants and what is left; it keeps them to its end.
 *
 * The order is by priority, the higher first, and then as they came. Nobody overtakes: a job that needs much would never have its turn
 * otherwise.
 *
 * Plain computation, without locks; the owner's (host.c). */
#ifndef JOBSERVER_RUN_QUEUE_H
#define JOBSERVER_RUN_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/vec.h"

struct run_demand {
    int64_t priority;
    unsigned least, most; /* worker processes; 0: it needs none */
};

struct queued_run {
    void *run;
    struct run_demand demand;
};

struct run_queue {
    unsigned max_running;   /* 0: no limit */
    unsigned max_processes; /* 0: no limit */
    unsigned running;
    unsigned processes;             /* granted */
    VEC(struct queued_run) waiting; /* the next one first */
};

/* `run` is the owner's and no pointer to anything here. */
void run_queue_add(struct run_queue *queue, void *run, const struct run_demand *demand);
/* The next job, if it can run now: it does from here on. NULL: none can. */
void *run_queue_next(struct run_queue *queue, unsigned *ret_grant);
/* One that ran has ended. */
void run_queue_leave(struct run_queue *queue, unsigned grant);
/* One that waits does so no longer. False: it does not wait. */
bool run_queue_remove(struct run_queue *queue, const void *run);
/* 1: the next; 0: it does not wait. */
unsigned run_queue_place(const struct run_queue *queue, const void *run);
void run_queue_clear(struct run_queue *queue);

#endif
