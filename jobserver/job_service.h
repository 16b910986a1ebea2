/* The Job API (beam_job_api.proto, JobService): from gRPC to the catalogue and the host, and back.
 *
 *   job_service.c   the unary methods          job_streams.c   GetStateStream and GetMessageStream
 *
 * What SDK clients rely on (docs/job-api.md):
 *   - Prepare checks and translates, so that what is wrong with a pipeline reaches the submitter there.
 *   - Streams answer NOT_FOUND for a preparation id: Python then opens them again, without a deadline, on the job id.
 *   - Run returns at once. Both streams begin with the whole history and end after the terminal state; the message stream holds
 *     the state changes as well (Go reads nothing else).
 *   - A stream that ends without a terminal state ends with UNAVAILABLE: the job goes on when the server is back.
 *   - Drain answers DRAINING at once; the job's end is in its state (docs/job-api.md).
 *   - Cancel answers with the terminal state when there is one within cancel_wait_ms (TypeScript takes it as final).
 *
 * Threads: methods run on RPC threads and wait for no write; Prepare and GetJobs work on the pool. Prepare and Run are answered when what
 *   they did is written. */
#ifndef JOBSERVER_JOB_SERVICE_H
#define JOBSERVER_JOB_SERVICE_H

#include "base/pool.h"
#include "jobserver/catalogue.h"
#include "rpc/rpc.h"

struct live_config;
struct host;
struct job_service;

/* Everything is borrowed and outlives the service. */
struct job_service_options {
    struct catalogue *catalogue;
    struct host *host;
    struct live_config *config;
    struct pool *pool;
    const char *staging_endpoint;  /* HOST:PORT that clients can dial; copied */
    unsigned cancel_wait_ms;       /* 0: answer at once */
    size_t max_stream_queue_bytes; /* a reader that is further behind waits in the history */
};

struct job_service *job_service_create(const struct job_service_options *options);
/* From now on the daemon's log tells of this job's states and errors; Run does it for the jobs that it makes. */
void job_service_log_job(struct job_service *service, struct job *job);
void job_service_register(struct job_service *service, struct rpc_server *server);
/* The server is about to stop: streams of jobs that are not over end with UNAVAILABLE behind what there is, also those that are opened from now
 * on. */
void job_service_end_streams(struct job_service *service);
/* After the server was stopped, the pool destroyed, and when no job changes any more. NULL is fine. */
void job_service_destroy(struct job_service *service);

#endif
