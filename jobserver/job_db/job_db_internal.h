/* What the files of this folder share.
 *
 *   sql.c       SQLite itself           schema.c   the tables, migrations
 *   change.c    what is written, one function a kind of change
 *   writer.c    the queue and its thread
 *   reader.c    what is read */
#ifndef JOBSERVER_JOB_DB_JOB_DB_INTERNAL_H
#define JOBSERVER_JOB_DB_JOB_DB_INTERNAL_H

#include <pthread.h>

#include "base/list.h"
#include "jobserver/job_db/job_db.h"
#include "jobserver/job_db/sql.h"
#include "jobserver/job_journal.h"

/* One thing to write. Which fields count depends on `apply`. */
struct change {
    struct list node;
    /* Writer thread, inside a transaction. */
    int (*apply)(struct job_db *db, struct change *change, struct status *st);
    job_db_done_fn done; /* may be NULL */
    void *user;
    bool is_synced; /* with an fsync */
    int64_t key;
    int64_t time_ms;
    enum preparation_staging staging;
    char *id, *token, *name;
    struct slice options, pipeline;
    struct stored_artifact *artifacts;
    size_t artifact_count;
    struct job_db_retention retention;
    VEC(char *) dropped; /* ids, by retention */
};

struct job_db {
    struct job_db_handler handler;
    void *handler_user;

    struct sql writer; /* the writer thread's */

    pthread_mutex_t reader_mutex;
    struct sql reader;

    pthread_mutex_t mutex;
    pthread_cond_t wake;    /* on CLOCK_MONOTONIC: the writer has something to do */
    pthread_cond_t written; /* a batch is through */
    struct list changes;    /* in order */
    struct list entries;    /* of jobs that have something to save */
    int64_t due_ns;         /* when the entries are to be written; INT64_MAX: there are none */
    uint64_t queued_batch;  /* the batch that will take what is handed over now */
    uint64_t written_batch;
    bool is_urgent; /* somebody waits */
    bool is_synced; /* for something that outlives a crash of the machine */
    bool is_closing;
    pthread_t thread;
};

/* writer.c; takes the change over. */
void job_db_post(struct job_db *db, struct change *change);

/* change.c */
struct change *change_create(int (*apply)(struct job_db *, struct change *, struct status *), int64_t key,
                             job_db_done_fn done, void *user);
void change_free(struct change *change);
/* Writes what was taken from a job; nothing when it is not in the file (any more). */
int save_job_changes(struct job_db *db, int64_t key, const struct job_changes *changes, struct status *st);
/* retention.c */
int apply_retention(struct job_db *db, struct change *change, struct status *st);

#endif
