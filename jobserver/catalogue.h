/* All preparations and jobs by id.
 *
 * What there is, is on disk (job_db/job_db.h); here are an index of all of it, and in memory what is used: preparations, jobs that run,
 * and those finished jobs that somebody asked for lately. Others are read again when they are asked for.
 *
 *      catalogue_prepare() ---> preparation ---> catalogue_start() ---> job, runs ---> finished ---> out of memory ---> out of retention
 *                                  on disk                              on disk        on disk       on disk
 *
 * Without a disk (options.db is NULL) it is all in memory, and what goes out of memory is gone.
 *
 * Bounded: the oldest preparations that were never run are dropped when there are too many of them, or when they hold too much memory;
 * finished jobs go out of memory likewise, and off the disk by catalogue_options.retention.
 *
 * Any thread may call. Objects come with a reference for the caller. */
#ifndef JOBSERVER_CATALOGUE_H
#define JOBSERVER_CATALOGUE_H

#include "jobserver/job.h"
#include "jobserver/job_db/job_db.h"
#include "jobserver/job_id.h"
#include "jobserver/preparation.h"

struct catalogue_options {
    struct job_db *db; /* borrowed, outlives the catalogue; NULL: nothing is durable */
    size_t max_preparations;
    size_t max_preparation_bytes;
    size_t max_running_jobs;   /* and those that wait for their turn */
    size_t max_finished_jobs;  /* in memory */
    size_t max_finished_bytes; /* the same */
    struct job_limits job_limits;
    struct job_db_retention retention;
};

/* What holds unless the configuration says otherwise. */
struct catalogue_options catalogue_default_options(void);

/* Reads the index of jobs from the disk; preparations and unfinished jobs are for recovery.h to bring back. */
int catalogue_create(const struct catalogue_options *options, struct catalogue **ret, struct status *st);
/* After job_db_stop(), if there is a disk. Objects that somebody else holds live on. NULL is fine. */
void catalogue_destroy(struct catalogue *catalogue);
/* From now on nothing is prepared or started: UNAVAILABLE. */
void catalogue_close(struct catalogue *catalogue);

/* Whether that was done. */
bool catalogue_is_closed(struct catalogue *catalogue);

/* Mints id, key and staging token (those of `spec` are ignored) and takes the plan over, also on failure. If it returns 0, `done` (may be
 * NULL) is called once: with the preparation (borrowed) when it is on disk, or with the reason why not; from another thread, or before this
 * returns. It must not block. */
typedef void (*catalogue_prepared_fn)(void *user, struct preparation *preparation, const struct status *st);
int catalogue_prepare(struct catalogue *catalogue, const struct preparation_spec *spec, catalogue_prepared_fn done,
                      void *user, struct status *st);
/* One of an earlier daemon: as `spec` says, and not written again. Takes the plan over. */
void catalogue_restore_preparation(struct catalogue *catalogue, const struct preparation_spec *spec);
/* NULL when there is none. */
struct preparation *catalogue_find_preparation(struct catalogue *catalogue, const char *id);
struct preparation *catalogue_find_staging(struct catalogue *catalogue, const char *staging_token);

/* A staging session begins, or all is in the store; `done` as above, without a preparation. */
void catalogue_save_staging(struct catalogue *catalogue, const struct preparation *preparation,
                            enum preparation_staging staging);
void catalogue_save_staged(struct catalogue *catalogue, const struct preparation *preparation, struct slice pipeline,
                           const struct stored_artifact *artifacts, size_t count, job_db_done_fn done, void *user);

/* Makes a job of the preparation, which is gone afterwards. NOT_FOUND, FAILED_PRECONDITION (staging), RESOURCE_EXHAUSTED. If it returns
 * 0, the job may be run, and `done` is called once, as above: only then may anybody be told of it. With an error the job is FAILED by
 * then and no longer in the catalogue. */
typedef void (*catalogue_started_fn)(void *user, struct job *job, const struct status *st);
int catalogue_start(struct catalogue *catalogue, const char *preparation_id, catalogue_started_fn done, void *user,
                    struct job **ret, struct status *st);
/* An unfinished job of an earlier daemon that is in the index; a reference is taken. */
void catalogue_adopt_job(struct catalogue *catalogue, struct job *job);
/* NOT_FOUND with a message that says what the id is, if it is not a job's. A finished job may have to be read from the disk (it waits for no
 * write); its specification has no plan then. */
int catalogue_find_job(struct catalogue *catalogue, const char *id, struct job **ret, struct status *st);
/* A reference to a job that is in memory; NULL where catalogue_find_job() would have to read, or fail. */
struct job *catalogue_find_loaded_job(struct catalogue *catalogue, const char *id);

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
/* The job's pipeline options, a serialized google.protobuf.Struct; perhaps from the disk. NOT_FOUND. */
int catalogue_job_options(struct catalogue *catalogue, const char *id, struct slice *ret, struct status *st);

/* Finished jobs that nobody uses go out of memory as options say; done by itself when jobs are started and read. */
void catalogue_release(struct catalogue *catalogue);

/* Drops what retention says; done by itself when the catalogue is made and when jobs end. */
void catalogue_retain(struct catalogue *catalogue);

#endif
