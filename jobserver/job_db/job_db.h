/* The catalogue on disk: preparations, jobs, their histories, metrics and the artifacts they need, in one SQLite file.
 *
 *      STATE_DIR/catalogue.db          the tables (schema.h)
 *      STATE_DIR/catalogue.db-wal      what was committed last; part of the database
 *      STATE_DIR/catalogue.db-shm      an index of that, rebuilt when missing
 *
 *   any thread --> change or journal entry --> queue --> writer thread: one transaction for all that waits --> done()
 *   any thread --> reader's connection, under a mutex: sees what was committed, waits for no writer
 *
 * What is durable when:
 *   fsync before the answer     a job's start
 *   fsync before it is told     a job's terminal state, with its history and metrics (job_journal.h), together with all else that waits
 *   written before the answer   a preparation, and what was staged for it: they outlive a crash of the daemon; after one of the machine a
 *                               client that has prepared a job and not yet run it has to prepare it again. An fsync would add its time to every
 *                               job's, to keep what is of use for some milliseconds, most often
 *   written before it is told   other states: a job that takes the daemon down must be known to have begun
 *   written within a second     messages, metrics of a running job. A job that is run again makes them anew
 *
 * Where the disk refuses: changes with a done() are told so; jobs are tried again each second, and an end that was withheld for
 * 30 seconds is told all the same, since a client that waits for ever is not helped. The log says both.
 *
 * Nothing here blocks on the disk but opening, the functions that read, job_db_flush() and job_db_stop(). */
#ifndef JOBSERVER_JOB_DB_JOB_DB_H
#define JOBSERVER_JOB_DB_JOB_DB_H

#include "base/map.h"
#include "jobserver/artifact_store.h"
#include "jobserver/job.h"

struct job_db;

struct job_db_handler {
    /* A job's end was written. On the writer thread. */
    void (*ended)(void *user);
    /* Retention dropped this job. On the writer thread. */
    void (*dropped)(void *user, const char *job_id);
};

/* Opens STATE_DIR/catalogue.db, makes it where there is none, brings it up to date. Errors name the file and say what to do. */
int job_db_open(const char *state_dir, struct job_db **ret, struct status *st);
/* Before anything is written. */
void job_db_set_handler(struct job_db *db, const struct job_db_handler *handler, void *user);
/* Writes what waits, as far as the disk lets it, and ends the thread: nothing is called back any more, nothing may be handed over. */
void job_db_stop(struct job_db *db);
/* Frees; stopped and without a job left that is followed. NULL is fine. */
void job_db_close(struct job_db *db);

/* ------------------------------------------------------------------ reading */

/* The numbers are in the file. */
enum preparation_staging {
    STAGING_NONE = 0,
    STAGING_RUNS = 1,
    STAGING_DONE = 2,
    STAGING_FAILED = 3,
};

/* A submission's key is its preparation's and then its job's. */
struct stored_preparation {
    int64_t key;
    const char *id;
    const char *token;
    const char *name;
    struct slice options;
    struct slice pipeline;
    enum preparation_staging staging;
    int64_t created_ms;
};

struct stored_job {
    int64_t key;
    const char *id;
    const char *name;
    enum job_state state;
    int64_t state_time_ms;
    int64_t created_ms;
    int64_t runs; /* how often it was started */
};

/* The largest that is in use; 0: none. */
int job_db_last_key(struct job_db *db, int64_t *ret, struct status *st);
/* By id; what is pointed to lives during the call, which must not read itself. */
int job_db_list_preparations(struct job_db *db, void (*each)(void *user, const struct stored_preparation *preparation),
                             void *user, struct status *st);
int job_db_list_jobs(struct job_db *db, void (*each)(void *user, const struct stored_job *job), void *user,
                     struct status *st);
/* With `plan` (taken over, may be NULL) in its specification, and followed. NOT_FOUND. */
int job_db_read_job(struct job_db *db, int64_t key, const struct job_limits *limits, struct plan *plan,
                    struct job **ret, struct status *st);
int job_db_read_submission(struct job_db *db, int64_t key, struct slice *ret_pipeline, struct status *st);
int job_db_read_options(struct job_db *db, int64_t key, struct slice *ret, struct status *st);
/* Digests that a preparation or a job refers to; map_clear() it without a destructor. */
int job_db_list_artifacts(struct job_db *db, struct map *ret, struct status *st);

/* ------------------------------------------------------------------ writing */

/* On the writer thread; must not block. `st`: NULL when it is on disk, else why it is not. */
typedef void (*job_db_done_fn)(void *user, const struct status *st);

struct stored_artifact {
    char digest[ARTIFACT_DIGEST_SIZE];
    uint64_t bytes;
};

void job_db_add_preparation(struct job_db *db, const struct stored_preparation *preparation, job_db_done_fn done,
                            void *user);
/* `done` may be NULL from here on: then nobody waits, and it is written within a second. */
void job_db_set_staging(struct job_db *db, int64_t key, enum preparation_staging staging, job_db_done_fn done,
                        void *user);
/* The pipeline as it is once all is staged, and what it refers to: STAGING_DONE. */
void job_db_set_staged(struct job_db *db, int64_t key, struct slice pipeline, const struct stored_artifact *artifacts,
                       size_t count, job_db_done_fn done, void *user);
/* The preparation becomes this job. */
void job_db_add_job(struct job_db *db, int64_t key, const char *id, int64_t created_ms, job_db_done_fn done,
                    void *user);
/* It is started once more. */
void job_db_count_run(struct job_db *db, int64_t key, job_db_done_fn done, void *user);
/* Preparation or job, whatever it is, with all that belongs to it. */
void job_db_drop(struct job_db *db, int64_t key);
/* From now on this job's changes are written. */
void job_db_follow(struct job_db *db, struct job *job, int64_t key);

/* What finished jobs may take; 0: no limit. The oldest ends go first. */
struct job_db_retention {
    int64_t max_age_ms; /* since the job's end */
    uint64_t max_jobs;
    uint64_t max_bytes; /* pipelines, histories, metrics, and staged files, each once */
};
void job_db_retain(struct job_db *db, const struct job_db_retention *retention);

/* Waits until all that was handed over before is written, or refused. Not from a handler. */
void job_db_flush(struct job_db *db);

#endif
