#include "jobserver/preparation.h"

#include <pthread.h>
#include <stdlib.h>

/* No artifact is fetched by way of a token any more: harnesses read ProvisionInfo.dependencies. Any other token would send
 * them to the legacy service (beam_artifact_api.proto, CommitManifestResponse.Constants). */
static const char no_artifacts_token[] = "__no_artifacts_staged__";

struct preparation {
    atomic_uint refs;
    char *id;
    char *staging_token;
    char *name;
    struct slice pipeline_options;
    int64_t key;

    pthread_mutex_t mutex;
    struct slice pipeline;
    struct plan *plan; /* NULL: taken */
    enum preparation_staging staging;
    unsigned session;
    char *staging_error;
};

struct preparation *preparation_create(const struct preparation_spec *spec) {
    struct preparation *preparation = xcalloc(1, sizeof(*preparation));

    atomic_init(&preparation->refs, 1);
    preparation->id = xstrdup(spec->id);
    preparation->staging_token = xstrdup(spec->staging_token);
    preparation->name = xstrdup(spec->name ? spec->name : "");
    preparation->pipeline = slice_ref(spec->pipeline);
    preparation->pipeline_options = slice_ref(spec->pipeline_options);
    preparation->plan = spec->plan;
    preparation->key = spec->key;
    preparation->staging = spec->staging;
    if (spec->staging == STAGING_RUNS || spec->staging == STAGING_FAILED) {
        preparation->staging = STAGING_FAILED;
        preparation->staging_error = xstrdup("the server was restarted before all were there; stage them again");
    }
    pthread_mutex_init(&preparation->mutex, NULL);
    return preparation;
}

struct preparation *preparation_ref(struct preparation *preparation) {
    atomic_fetch_add_explicit(&preparation->refs, 1, memory_order_relaxed);
    return preparation;
}

void preparation_unref(struct preparation *preparation) {
    if (!preparation || atomic_fetch_sub_explicit(&preparation->refs, 1, memory_order_acq_rel) != 1)
        return;
    slice_unref(&preparation->pipeline);
    slice_unref(&preparation->pipeline_options);
    if (preparation->plan)
        plan_destroy(preparation->plan);
    pthread_mutex_destroy(&preparation->mutex);
    free(preparation->staging_error);
    free(preparation->name);
    free(preparation->staging_token);
    free(preparation->id);
    free(preparation);
}

const char *preparation_id(const struct preparation *preparation) {
    return preparation->id;
}

const char *preparation_name(const struct preparation *preparation) {
    return preparation->name;
}

const char *preparation_staging_token(const struct preparation *preparation) {
    return preparation->staging_token;
}

int64_t preparation_key(const struct preparation *preparation) {
    return preparation->key;
}

size_t preparation_memory_bytes(struct preparation *preparation) {
    size_t bytes = sizeof(*preparation) + preparation->pipeline_options.size;

    pthread_mutex_lock(&preparation->mutex);
    bytes += preparation->pipeline.size;
    if (preparation->plan)
        bytes += preparation->plan->arena.allocated_bytes;
    pthread_mutex_unlock(&preparation->mutex);
    return bytes;
}

unsigned preparation_begin_staging(struct preparation *preparation, struct slice *ret_pipeline) {
    unsigned session;

    pthread_mutex_lock(&preparation->mutex);
    session = ++preparation->session;
    preparation->staging = STAGING_RUNS;
    *ret_pipeline = slice_ref(preparation->pipeline);
    pthread_mutex_unlock(&preparation->mutex);
    return session;
}

bool preparation_finish_staging(struct preparation *preparation, unsigned session, struct slice pipeline,
                                struct plan *plan) {
    struct plan *old_plan = plan;
    struct slice old_pipeline = pipeline;
    bool is_current;

    pthread_mutex_lock(&preparation->mutex);
    is_current = preparation->session == session && preparation->plan;
    if (is_current) {
        old_plan = preparation->plan;
        old_pipeline = preparation->pipeline;
        preparation->plan = plan;
        preparation->pipeline = pipeline;
        preparation->staging = STAGING_DONE;
    }
    pthread_mutex_unlock(&preparation->mutex);
    plan_destroy(old_plan);
    slice_unref(&old_pipeline);
    return is_current;
}

void preparation_fail_staging(struct preparation *preparation, unsigned session, const char *why) {
    pthread_mutex_lock(&preparation->mutex);
    if (preparation->session == session && preparation->staging == STAGING_RUNS) {
        preparation->staging = STAGING_FAILED;
        free(preparation->staging_error);
        preparation->staging_error = xstrdup(why);
    }
    pthread_mutex_unlock(&preparation->mutex);
}

int preparation_take(struct preparation *preparation, struct job_spec *ret, struct status *st) {
    int r = 0;

    pthread_mutex_lock(&preparation->mutex);
    if (!preparation->plan)
        r = status_set(st, STATUS_FAILED_PRECONDITION, "%s was run already", preparation->id);
    else if (preparation->staging == STAGING_RUNS)
        r = status_set(st, STATUS_FAILED_PRECONDITION, "the artifacts of %s are still being staged", preparation->id);
    else if (preparation->staging == STAGING_FAILED)
        r = status_set(st, STATUS_FAILED_PRECONDITION, "the artifacts of %s were not staged: %s", preparation->id,
                       preparation->staging_error);
    if (r == 0) {
        *ret = (struct job_spec){
            .name = preparation->name,
            .pipeline = slice_ref(preparation->pipeline),
            .pipeline_options = slice_ref(preparation->pipeline_options),
            .plan = preparation->plan,
            .retrieval_token = no_artifacts_token,
        };
        preparation->plan = NULL;
    }
    pthread_mutex_unlock(&preparation->mutex);
    return r;
}
