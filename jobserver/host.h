/* The host: drives one engine per running job on real threads, sockets and processes.
 *
 *      fnapi callbacks (RPC threads) --.
 *      worker callbacks ---------------+--> mailbox --> engine thread of the job: engine_step() --> actions --> fnapi / worker calls
 *      host_cancel_job, _drain_job -----'                                              '--> job history, metrics
 *
 * The engine thread is the only one that touches the engine; what crosses threads is an event in the mailbox. */
#ifndef JOBSERVER_HOST_H
#define JOBSERVER_HOST_H

#include "base/pool.h"
#include "fnapi/fnapi.h"
#include "jobserver/artifact_store.h"
#include "jobserver/job.h"
#include "jobserver/live_config.h"
#include "jobserver/run_inquiry.h"
#include "jobserver/run_snapshot.h"
#include "jobserver/statistics.h"
#include "worker/worker.h"

struct host;

struct host_options {
    struct live_config *config; /* borrowed, outlives the host; a job keeps what holds when it starts */
    struct fn_service *fn_service;
    struct worker_manager *workers;
    struct rpc_client *client; /* for the services that TestStreams name */
    const char *
        endpoint; /* HOST:PORT that the server really listens on: what workers are told unless `advertise` says otherwise */
    struct account *account;
    struct account *disk; /* of all jobs' scratch data */
    const char *scratch_directory;
    struct pool *pool; /* for scratch data */
    struct native *native;
    const struct artifact_store *store;
    /* The last job has ended, or the last worker that was kept for another; on a thread of theirs. May be NULL. */
    void (*on_idle)(void *user);
    void *on_idle_user;
};

struct host *host_create(const struct host_options *options);
/* Runs the job on a thread of its own, at once or when its turn has come (run_queue.h), until when it stays STOPPED: STARTING, RUNNING, then a
 * terminal state in its history, or STOPPED again (host_stop()). Returns at once. Takes a reference. */
int host_start_job(struct host *host, struct job *job, struct status *st);
/* 1: the next one to run; 0: it does not wait. */
unsigned host_queue_place(struct host *host, const struct job *job);
/* Asks a running job to stop: CANCELLING, then CANCELLED; one that waits for its turn is CANCELLED at once. `why` is told among its messages.
 * Harmless on an unknown or finished job. */
void host_cancel_job(struct host *host, struct job *job, const char *why);
/* Asks a running job to take no more from its sources and to finish what it has: DRAINING at once, then DRAINED. Harmless on a job that
 * drains already; FAILED_PRECONDITION on one that has not begun or is over. */
int host_drain_job(struct host *host, struct job *job, struct status *st);
/* What the job is at, no older than SNAPSHOT_MS unless the engine is too busy for wait_ms (0: takes the last one, and has a new one made for whoever
 * asks next). NULL: it does not run, or none was made yet. Unref it. */
struct run_snapshot *host_inspect_job(struct host *host, struct job *job, unsigned wait_ms);
/* Hands the inquiry to the job's run; UNAVAILABLE: it does not run. */
int host_inquire(struct host *host, struct job *job, struct run_inquiry *inquiry, struct status *st);
struct statistics *host_statistics(struct host *host);
/* Workers that are kept for the next job. */
size_t host_warm_workers(struct host *host);
/* From now on no job begins: those that wait, and those that come, stay STOPPED, for the next daemon. Streams that run are drained. The jobs'
 * messages say so, with the time that they have. Returns at once. */
void host_drain(struct host *host, uint64_t limit_ms);
/* Waits until no job runs, but no longer than so; how many still do. */
unsigned host_await_end(struct host *host, unsigned ms);
/* Ends what still runs, as shutdown.unfinished says: cancels it, or puts it back among those that wait (STOPPED), for the next daemon. Waits for it
 * and stops the workers that are kept warm. No job begins any more. */
void host_stop(struct host *host);
/* That the configuration has changed: jobs wait, and workers are kept warm, by the new one. */
void host_reconfigure(struct host *host);
/* After host_stop(), when nobody calls any more: frees. */
void host_destroy(struct host *host);

#endif
