/* What an earlier daemon left behind, however it ended: taken up when this one starts.
 *
 *   a preparation             is there again, with what was staged for it. One whose artifacts were just being staged wants them staged again.
 *   a job that had not begun  is run, as soon as its turn comes; one that an orderly shutdown put back into the queue is such a job.
 *   an unfinished batch job   is run again from its start, under its own id, with its history and a message that says so. A worker pool that
 *                             is gone, as LOOPBACK's is with the client that served it, fails it as it would any job.
 *   a streaming job           FAILED: what it had processed is not kept.
 *   one that was being cancelled    CANCELLED.
 *   one that was run jobs.max_runs times already     FAILED: it may be what takes the daemon down.
 *
 * Main's thread, while nothing is served yet; it waits for the disk. */
#ifndef JOBSERVER_RECOVERY_H
#define JOBSERVER_RECOVERY_H

#include "jobserver/catalogue.h"
#include "jobserver/config.h"
#include "jobserver/host.h"

struct job_service;
struct recovery;

/* Brings preparations and unfinished jobs back, and decides about each; what is decided is on disk when it returns. Everything is borrowed. */
int recovery_create(struct job_db *db, struct catalogue *catalogue, const struct config *config, struct recovery **ret,
                    struct status *st);
/* Runs the jobs that are to be run again, and frees. */
void recovery_start_jobs(struct recovery *recovery, struct job_service *job_service, struct host *host);
/* Frees; without running anything. NULL is fine. */
void recovery_destroy(struct recovery *recovery);

#endif
