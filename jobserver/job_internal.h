/* What the files of a job share: job.c, and job_journal.c, which saves and restores it. */
#ifndef JOBSERVER_JOB_INTERNAL_H
#define JOBSERVER_JOB_INTERNAL_H

#include <pthread.h>

#include "base/list.h"
#include "jobserver/history.h"
#include "jobserver/job_journal.h"

struct job {
    atomic_uint refs;
    char *id;
    char *name;
    char *retrieval_token;
    struct job_spec spec;
    int64_t created_ms;

    pthread_mutex_t mutex;
    atomic_bool is_cancel_requested;
    pthread_cond_t delivered; /* a subscription's callback returned */
    struct history history;
    enum job_state state;
    int64_t state_time_ms;
    struct list subscriptions;
    struct job_metrics *metrics;
    struct slice last_graph;

    /* job_journal.h */
    const struct job_journal *journal; /* NULL: the job is in memory only */
    void *journal_user;
    uint64_t taken_seq;        /* the last record that the journal has */
    bool has_new_metrics;      /* that it has not */
    uint64_t saved_seq;        /* the last record that is on disk */
    uint64_t end_seq;          /* the first record of the job's end; 0: it has none yet */
    enum job_state told_state; /* the last that is on disk; with a journal only */
    int64_t told_state_time_ms;
};

/* Locked, all of them. */
/* Tells the journal, if there is one. */
void job_has_changed(struct job *job, enum job_urgency urgency);
/* What comes from here on is the job's end. */
void job_begin_end(struct job *job);
/* Tells subscribers all that is due; the lock is given up meanwhile. The caller holds a reference. */
void job_deliver(struct job *job);

#endif
