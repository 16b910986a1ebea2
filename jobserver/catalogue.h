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
    size_t max_running_jobs;
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
/* The oldest first. Each has a reference; free the array. */
struct job **catalogue_list_jobs(struct catalogue *catalogue, size_t *ret_count);

#endif
