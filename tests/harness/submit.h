/* A small Job API client: Prepare, Run, and the message stream read to its end. Calls block; streams run on the client's RPC thread. */
#ifndef HARNESS_SUBMIT_H
#define HARNESS_SUBMIT_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/vec.h"
#include "beam_job_api.pb-c.h"
#include "pipeline.h"
#include "rpc/rpc.h"

struct submitter {
    struct rpc_client *client;
    struct rpc_channel *channel;
    const char *authorization; /* metadata of its calls; NULL: none */
    bool fails_fast;           /* calls do not wait for a server that is not there */
};

void submitter_init(struct submitter *s, const char *endpoint);
void submitter_clear(struct submitter *s);

struct job_line {
    int importance; /* Job__JobMessage__MessageImportance */
    char *text;
};

/* How a job went. */
struct job {
    char *id;
    bool is_refused;           /* by Prepare or Run: `error` says why */
    Job__JobState__Enum end;   /* the last state of the message stream */
    enum status_code end_code; /* of the message stream */
    char *error;               /* the last ERROR message, or what refused it; NULL: none */
    VEC(struct job_line) lines;

    /* While it runs. */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct rpc_stream *stream;
    _Atomic Job__JobState__Enum state; /* these two are looked at without the lock as well */
    atomic_bool is_over;
};

void job_clear(struct job *job);
/* Prepare and Run; then the message stream is read in the background. */
void job_start(struct submitter *s, struct pipeline *p, const char *name, struct job *ret);
/* The same from the bytes of a PrepareJobRequest. */
void job_start_bytes(struct submitter *s, struct slice prepare_request, struct job *ret);
/* The two steps one by one. The preparation's id, which the caller frees, or NULL. */
char *job_prepare(struct submitter *s, struct pipeline *p, const char *name, struct status *st);
void job_run_prepared(struct submitter *s, const char *preparation, struct job *ret);
/* The message stream of a job that was started before. */
void job_watch(struct submitter *s, const char *id, struct job *ret);
void job_wait(struct job *job);
void job_wait_for_line(struct job *job, const char *text);
/* Until so many lines hold the text, or the job is over. */
void job_wait_for_lines(struct job *job, const char *text, size_t count);
/* Until the job is in this state, or over. */
void job_wait_for_state(struct job *job, Job__JobState__Enum state);
void job_cancel(struct submitter *s, struct job *job);
void job_drain(struct submitter *s, struct job *job);
/* Start and wait. */
void job_run(struct submitter *s, struct pipeline *p, const char *name, struct job *ret);
bool job_has_line(struct job *job, const char *text);
size_t job_count_lines(struct job *job, const char *text);

#endif
