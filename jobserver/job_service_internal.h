/* What the files of the job service share. */
#ifndef JOBSERVER_JOB_SERVICE_INTERNAL_H
#define JOBSERVER_JOB_SERVICE_INTERNAL_H

#include <pthread.h>

#include "base/list.h"
#include "beam_job_api.pb-c.h"
#include "jobserver/job_service.h"

#define JOB_SERVICE_PATH(method) "/org.apache.beam.model.job_management.v1.JobService/" method

struct job_service {
    struct job_service_options options;
    char *staging_endpoint;
    pthread_mutex_t mutex; /* guards what follows */
    struct list loggers;   /* of jobs that are not over */
    struct list watches;   /* open streams */
    bool is_ending;        /* job_service_end_streams() */
};

/* `job` (a reference, the callee's), or NULL and why. */
typedef void (*job_found_fn)(void *user, struct job *job, const struct status *st);
/* The job that a request is about. Every such request is {string job_id = 1}, so one type reads them all. Takes the request. Answers at once,
 * on this thread, about a job that is in memory; else on the pool, where it may be read from the disk. */
void job_service_find_job(struct job_service *service, struct slice request, job_found_fn found, void *user);
/* `storage` holds the timestamp and lives as long as *out. */
void job_service_fill_state(Job__JobStateEvent *out, Google__Protobuf__Timestamp *storage, enum job_state state,
                            int64_t time_ms);

/* Handlers of the two streams; their context is the service. */
extern const struct rpc_handler job_state_stream;
extern const struct rpc_handler job_message_stream;

#endif
