/* The shelf: workers that served a job, and are kept warm for a while in case that another one wants the like of them.
 *
 * A worker on the shelf is connected, or about to be, and idle: no bundle is on it, its descriptors are forgotten, what it says is for
 * nobody. It leaves by worker_shelf_take(), or it is ended as at a job's end: Control is closed, then the harness has a moment to run the
 * users' teardown methods, then its process is stopped. That happens when its time is up, when there are too many (the oldest goes),
 * when its harness or process ends, and when the shelf is destroyed.
 *
 * One per daemon, with a thread of its own. Any thread may call. */
#ifndef JOBSERVER_WORKER_SHELF_H
#define JOBSERVER_WORKER_SHELF_H

#include "jobserver/sdk_worker.h"

struct worker_shelf;

struct worker_shelf_options {
    int64_t keep_ms;  /* 0: nothing is kept */
    unsigned maximum; /* workers at once */
    unsigned stop_grace_ms;
    struct account *account;     /* what idle harnesses' messages are charged to; may be NULL */
    void (*on_idle)(void *user); /* the last worker went; on the shelf's thread; may be NULL */
    void *on_idle_user;
};

struct worker_shelf *worker_shelf_create(const struct worker_shelf_options *options);
/* Changes these options for workers that are put on it, or stopped, from now on. */
void worker_shelf_configure(struct worker_shelf *shelf, int64_t keep_ms, unsigned maximum, unsigned stop_grace_ms);
/* Ends all workers and waits for it. Nobody may call any more. */
void worker_shelf_destroy(struct worker_shelf *shelf);

/* Takes the worker over from `owner`. False, with nothing changed: it is no worker to keep (by identity or by what happened to it), or
 * not idle, or nothing is kept. Once true, nothing that the worker says reaches the old owner. */
bool worker_shelf_keep(struct worker_shelf *shelf, struct sdk_worker *worker);
/* How many are on it and not about to end. */
size_t worker_shelf_count(struct worker_shelf *shelf);
/* The one of this identity that served last and is not lost, with what it says from now on going to `owner` and charged to `account`; or NULL.
 * RUN_EVENT_CONNECTED comes before all else, now or when it has connected. */
struct sdk_worker *worker_shelf_take(struct worker_shelf *shelf, struct slice identity, struct run_worker *owner,
                                     struct account *account);

#endif
