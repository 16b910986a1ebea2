/* How a job gets to the disk and back.
 *
 *      job_add_message(), job_set_state(), ... --> changed() --> whoever saves: job_take_changes(), writes, job_publish()
 *
 * The journal is told that there is something to save, not what: what is to be written is taken as one consistent cut when the time has
 * come, so that many messages are one write and nothing is kept twice in memory. A state, and the
 * reason of a failure in front of FAILED, are withheld from everybody until job_publish(): what a client was told outlives a crash. */
#ifndef JOBSERVER_JOB_JOURNAL_H
#define JOBSERVER_JOB_JOURNAL_H

#include "base/vec.h"
#include "jobserver/job.h"

struct history_record;

enum job_urgency {
    JOB_SAVE_SOON,    /* messages, metrics: within a second */
    JOB_SAVE_NOW,     /* a state: a job that takes the daemon down is known to have begun */
    JOB_SAVE_DURABLY, /* the end: somebody waits until it outlives the machine */
};

struct job_journal {
    /* There is something to save. Called under the job's lock: it must not block, nor call back. */
    void (*changed)(void *user, struct job *job, enum job_urgency urgency);
    /* The job is gone. */
    void (*freed)(void *user);
};

/* Once, before anybody else knows the job. What it has already counts as not saved, unless it was restored. */
void job_set_journal(struct job *job, const struct job_journal *journal, void *user);

struct job_changes {
    enum job_state state;
    int64_t state_time_ms;
    bool replaces_events; /* `records` are all there are: forget those of before */
    VEC(struct history_record *) records;
    uint64_t dropped_count;      /* messages dropped so far (history.h) */
    struct job_metrics *metrics; /* NULL: those of before, and the graph as well */
    struct slice last_graph;     /* empty: there is none yet */
    size_t bytes;                /* of history and metrics */
};

/* What was not taken yet. */
void job_take_changes(struct job *job, struct job_changes *ret);
/* Frees what was taken; not `is_saved`: all is to be taken again. */
void job_release_changes(struct job *job, struct job_changes *changes, bool is_saved);
/* They are on disk (or will not be told later than now): tells what was withheld of them. Before job_release_changes(). */
void job_publish(struct job *job, const struct job_changes *changes);

/* A job as it was saved. */
struct job_past {
    int64_t created_ms;
    uint64_t dropped_count;
    VEC(struct history_record *) records; /* by seq; taken over */
    struct metric_table attempted;        /* taken over */
    struct metric_table committed;
    struct slice last_graph; /* taken over */
};

/* The specification as in job_create(); the state is that of the last record that is one. */
struct job *job_restore(const char *id, const struct job_spec *spec, const struct job_limits *limits,
                        struct job_past *past);
void job_past_clear(struct job_past *past);
/* Nobody but the caller holds a reference, and nothing is left to be saved or told. */
bool job_is_idle(struct job *job);

#endif
