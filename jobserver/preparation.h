/* A prepared job: checked and translated, its artifacts not yet staged, or just being staged, or staged.
 *
 *      Prepare ----> NOTHING STAGED --(a staging stream)--> STAGING --(all bytes here)--> STAGED ----> Run takes it
 *                          ^                                   |
 *                          '------(the next stream)--------- FAILED
 *
 * A new staging stream takes over from an older one: clients try again (Go four times). Staging rewrites the pipeline, so that its
 * environments name what is in the store, and translates it once more.
 *
 * Any thread may call; reference counted. */
#ifndef JOBSERVER_PREPARATION_H
#define JOBSERVER_PREPARATION_H

#include "jobserver/job_db/job_db.h"

struct preparation;

struct preparation_spec {
    const char *id;
    const char *staging_token; /* unguessable */
    const char *name;
    struct slice pipeline;            /* serialized Pipeline */
    struct slice pipeline_options;    /* serialized Struct */
    struct plan *plan;                /* taken over */
    int64_t key;                      /* in the catalogue on disk */
    enum preparation_staging staging; /* how far it is */
};

struct preparation *preparation_create(const struct preparation_spec *spec);
struct preparation *preparation_ref(struct preparation *preparation);
void preparation_unref(struct preparation *preparation);
const char *preparation_id(const struct preparation *preparation);
const char *preparation_name(const struct preparation *preparation);
const char *preparation_staging_token(const struct preparation *preparation);
int64_t preparation_key(const struct preparation *preparation);
size_t preparation_memory_bytes(struct preparation *preparation);

/* Starts a staging session and returns its number. *ret_pipeline is the caller's. */
unsigned preparation_begin_staging(struct preparation *preparation, struct slice *ret_pipeline);
/* All is staged: takes the pipeline's reference and the plan over. False when another session has taken over. */
bool preparation_finish_staging(struct preparation *preparation, unsigned session, struct slice pipeline,
                                struct plan *plan);
/* Ignored when another session has taken over. */
void preparation_fail_staging(struct preparation *preparation, unsigned session, const char *why);

/* What the job will be made of; the plan is moved out, so that it works once. FAILED_PRECONDITION while artifacts are being
 * staged or when that failed. The slices are the caller's; the strings live as long as the preparation. */
int preparation_take(struct preparation *preparation, struct job_spec *ret, struct status *st);

#endif
