/* All preparations and jobs by id.
 *
 * In memory. What will be durable later has one place to hook into: whatever changes the catalogue goes through
 * catalogue_prepare(), catalogue_start() and the two drop functions in catalogue.c; a job's own changes go through job.h.
 *
 * Bounded: the oldest preparations that were never run and the oldest finished jobs are dropped when there are too many of
 * them, or when they hold too much memory.
 *
 * Ids (`[a-z0-9-]{1,63}`) begin with the time in milliseconds, which never repeats or goes back in a process, then four random
 * characters, so that they stay unique over restarts, then what is readable in the job's name:
 *     20260331-142501-583-k3f9-wordcount            prep-20260331-142501-102-a81x-wordcount
 *
 * Any thread may call. Objects come with a reference for the caller. */
#ifndef JOBSERVER_CATALOGUE_H
#define JOBSERVER_CATALOGUE_H

#include "jobserver/job.h"
#include "jobserver/preparation.h"

enum { JOB_ID_SIZE = 64 }; /* with the NUL */

struct catalogue_options {
    size_t max_preparations;
    size_t max_preparation_bytes;
    size_t max_running_jobs; /* and those that wait for their turn */
    size_t max_finished_jobs;
    size_t max_finished_bytes;
    struct job_limits job_limits;
};

/* What holds unless the configuration says otherwise. */
struct catalogue_options catalogue_default_options(void);

struct catalogue *catalogue_create(const struct catalogue_options *options);
/* Objects that somebody else holds live on. NULL is fine. */
void catalogue_destroy(struct catalogue *catalogue);
/* From now on nothing is prepared or started: UNAVAILABLE. */
void catalogue_close(struct catalogue *catalogue);

/* Mints id and staging token (those of `spec` are ignored) and takes the plan over, also on failure. */
int catalogue_prepare(struct catalogue *catalogue, const struct preparation_spec *spec, struct preparation **ret,
                      struct status *st);
/* NULL when there is none. */
struct preparation *catalogue_find_preparation(struct catalogue *catalogue, const char *id);
struct preparation *catalogue_find_staging(struct catalogue *catalogue, const char *staging_token);

/* Makes a job of the preparation, which is gone afterwards. NOT_FOUND, FAILED_PRECONDITION (staging), RESOURCE_EXHAUSTED. */
int catalogue_start(struct catalogue *catalogue, const char *preparation_id, struct job **ret, struct status *st);
/* NOT_FOUND with a message that says what the id is, if it is not a job's. */
int catalogue_find_job(struct catalogue *catalogue, const char *id, struct job **ret, struct status *st);

/* What lists show of a job. */
struct job_summary {
    char id[JOB_ID_SIZE];
    char *name;
    enum job_state state;
    int64_t state_time_ms; /* when that state was entered; for a finished job: its end */
    int64_t created_ms;
};

/* A page of the list of jobs. Zero-initialised: all of them, the oldest first. */
struct job_query {
    const char
        *after;   /* id of the last job of the page before; NULL: from the beginning. It need not be there any more. */
    size_t limit; /* 0: none */
    bool newest_first;
};

/* Reads nothing from the disk. Free it with job_summaries_free(). */
struct job_summary *catalogue_list_jobs(struct catalogue *catalogue, const struct job_query *query, size_t *ret_count);
void job_summaries_free(struct job_summary *summaries, size_t count);
/* The job's pipeline options, a serialized google.protobuf.Struct. NOT_FOUND. */
int catalogue_job_options(struct catalogue *catalogue, const char *id, struct slice *ret, struct status *st);

#endif
