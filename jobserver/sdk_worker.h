/* One SDK harness with its process (or its place in a pool), through all the jobs that it serves.
 *
 *      fnapi/ and worker/ ---callbacks---> struct sdk_worker ---event---> the mailbox of the job that it serves
 *                                                       '---event---> the shelf, while it serves none
 *
 * A harness is known to fnapi/ and worker/ by this struct for all its life, so that whom it serves can change between two callbacks: they
 * look up the owner under the lock and post under it. From the moment at which the owner was changed nothing reaches the old one.
 *
 *   job A                       shelf (worker_shelf.h)              job B
 *   run_worker --keep()-------> idle ----------------take()-------> run_worker
 *                               '-- time is up, died: closed
 *
 * Callbacks come on RPC threads and on worker/'s thread; sdk_worker_* may be called from any. Locks in order: the shelf's, a worker's,
 * those of mailboxes and job histories. */
#ifndef JOBSERVER_SDK_WORKER_H
#define JOBSERVER_SDK_WORKER_H

#include <pthread.h>

#include "base/mailbox.h"
#include "fnapi/fnapi.h"
#include "worker/worker.h"

struct native_environment;
struct run_worker;
struct run_event;

struct sdk_worker {
    /* Set before the harness is made, never changed. */
    char *id;              /* with it one can act as the worker: told to nobody but its harness */
    char *name;            /* the id without its secret, for messages and logs */
    struct slice identity; /* worker_identity(); empty: it is not kept */

    pthread_mutex_t lock;     /* guards the next six */
    struct run_worker *owner; /* NULL: `shelf` */
    struct mailbox *shelf;
    bool is_connected;    /* Control was opened */
    bool is_lost;         /* Control ended, or the process did */
    bool is_spoilt;       /* a bundle failed on it: who knows what the user's code left behind */
    int64_t last_word_ns; /* when it last logged or answered for a bundle */

    /* The owner's alone; NULL once gone. */
    struct fn_worker *harness;
    struct worker *process;
    struct native_environment *native; /* a reference; NULL: it does not run natively */
};

/* Takes `id` over, "NAME-SECRET", and the identity. */
struct sdk_worker *sdk_worker_create(char *id, struct slice identity, struct run_worker *owner);
/* After `gone` and `stopped`. */
void sdk_worker_free(struct sdk_worker *worker);

/* The job's worker that it is now, with the lock held; NULL: none (the lock is held all the same). */
struct run_worker *sdk_worker_lock(struct sdk_worker *worker);
void sdk_worker_unlock(struct sdk_worker *worker);
/* Gives the event, which is about this worker, to whom it concerns. Without an owner only what tells its end is passed on. */
void sdk_worker_post(struct sdk_worker *worker, struct run_event *event);

/* A bundle failed on it, if only because the runner did not like what came back: it is not kept. */
void sdk_worker_spoil(struct sdk_worker *worker);

/* run_harness.c: callbacks for fn_worker_create() and worker_start(), to be used with a struct sdk_worker. */
extern const struct fn_worker_handler run_harness_handler;
extern const struct worker_handler run_process_handler;

#endif
