#include "jobserver/recovery.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/vec.h"
#include "engine/engine.h"
#include "jobserver/environment.h"
#include "jobserver/job_service.h"
#include "model/urn.h"
#include "translate/translate.h"
#include "wire/pb.h"

/* An unfinished job. */
struct unfinished {
    int64_t key;
    int64_t runs;
    bool has_begun;
};

struct recovery {
    struct job_db *db;
    struct catalogue *catalogue;
    const struct config *config;
    VEC(struct unfinished) unfinished;
    VEC(struct job *) jobs; /* to be run; owned references */
};

static int make_plan(struct slice bytes, struct plan **ret, struct status *st) {
    struct arena arena = {0};
    Beam__Pipeline *pipeline;
    struct plan *plan = NULL;
    int r = PB_UNPACK(Beam__Pipeline, beam__pipeline, bytes, PB_STRINGS_STRICT, &arena, &pipeline, st);

    if (r == 0)
        r = translate_pipeline(pipeline, NULL, &plan, st);
    if (r == 0) {
        r = engine_check_plan(plan, st);
        if (r < 0)
            plan_destroy(plan);
    }
    arena_clear(&arena);
    if (r == 0)
        *ret = plan;
    return r;
}

/* ------------------------------------------------------------------ preparations */

/* One that this version cannot run any more is dropped: its client is told when it asks for it. */
static void restore_preparation(void *user, const struct stored_preparation *stored) {
    struct recovery *recovery = user;
    CLEANUP_STATUS struct status st = {0};
    struct plan *plan = NULL;

    if (make_plan(stored->pipeline, &plan, &st) < 0) {
        log_warning("recovery", "%s is dropped: %.2000s", stored->id, status_message(&st));
        job_db_drop(recovery->db, stored->key);
        return;
    }
    catalogue_restore_preparation(recovery->catalogue, &(struct preparation_spec){
                                                           .id = stored->id,
                                                           .staging_token = stored->token,
                                                           .name = stored->name,
                                                           .pipeline = stored->pipeline,
                                                           .pipeline_options = stored->options,
                                                           .plan = plan,
                                                           .key = stored->key,
                                                           .staging = stored->staging,
                                                       });
}

/* ------------------------------------------------------------------ jobs */

static void note_unfinished(void *user, const struct stored_job *job) {
    struct recovery *recovery = user;

    if (!job_state_is_terminal(job->state))
        vec_push(&recovery->unfinished,
                 ((struct unfinished){.key = job->key, .runs = job->runs, .has_begun = job->state != JOB_STOPPED}));
}

/* Whether some of its workers are in a pool, which may have gone with the client. */
static bool needs_pool(const struct config *config, const struct plan *plan) {
    bool needs = false;

    for (size_t i = 0; i < plan->environment_count; i++) {
        struct environment_choice choice = {0};

        if (environment_choose(config, plan->environments[i].urn, plan->environments[i].payload, &choice, NULL) == 0)
            needs |= strcmp(choice.urn, urn_string(URN_ENV_EXTERNAL)) == 0;
        environment_choice_clear(&choice);
    }
    return needs;
}

/* Why the job cannot be run again, or NULL. The caller frees it. */
static char *why_not(const struct recovery *recovery, const struct unfinished *unfinished, const struct plan *plan,
                     const struct status *untranslated) {
    if (!plan)
        return xasprintf("the server was restarted while the job ran, and cannot run it again: %s",
                         status_message(untranslated));
    if (!unfinished->has_begun)
        return NULL;
    if (plan_is_streaming(plan))
        return xstrdup("the server was restarted while this streaming job ran; what a stream has processed does not "
                       "outlive the server, so submit it again");
    if (unfinished->runs >= (int64_t)recovery->config->jobs_max_runs)
        return xasprintf("the server was restarted while the job ran, which was run %lld times by now; it is not run "
                         "again, since it may be the reason (jobs.max_runs: %u)",
                         (long long)unfinished->runs, recovery->config->jobs_max_runs);
    return NULL;
}

static const char *about_pool(const struct recovery *recovery, const struct plan *plan) {
    return needs_pool(recovery->config, plan)
               ? ". Its workers are in a pool; should that be gone with the client that served it, the job fails"
               : "";
}

static void run_again(struct recovery *recovery, const struct unfinished *unfinished, struct job *job) {
    const char *pool = about_pool(recovery, job_specification(job)->plan);

    if (unfinished->has_begun) {
        job_add_message(job, JOB_MESSAGE_WARNING,
                        "the server was restarted while this job ran; it is run again from its start (run %lld of at "
                        "most %u)%s",
                        (long long)unfinished->runs + 1, recovery->config->jobs_max_runs, pool);
        job_db_count_run(recovery->db, unfinished->key, NULL, NULL);
    } else {
        job_add_message(job, JOB_MESSAGE_BASIC, "the server was restarted while this job waited for its turn%s", pool);
    }
    vec_push(&recovery->jobs, job_ref(job));
}

static int restore_job(struct recovery *recovery, const struct unfinished *unfinished, struct status *st) {
    struct job_limits limits = catalogue_default_options().job_limits;
    CLEANUP_STATUS struct status untranslated = {0};
    CLEANUP_SLICE struct slice pipeline = SLICE_EMPTY;
    CLEANUP(freep) char *reason = NULL;
    struct plan *plan = NULL;
    struct job *job;
    int r = job_db_read_submission(recovery->db, unfinished->key, &pipeline, st);

    limits.max_messages = recovery->config->log_max_messages_per_job;
    if (r < 0)
        return r;
    make_plan(pipeline, &plan, &untranslated);
    r = job_db_read_job(recovery->db, unfinished->key, &limits, plan, &job, st);
    if (r < 0)
        return r;
    catalogue_adopt_job(recovery->catalogue, job);
    reason = why_not(recovery, unfinished, plan, &untranslated);
    if (job_current_state(job) == JOB_CANCELLING)
        job_set_state(job, JOB_CANCELLED);
    else if (reason)
        job_fail(job, reason);
    else
        run_again(recovery, unfinished, job);
    job_unref(job);
    return 0;
}

/* ------------------------------------------------------------------ the object */

int recovery_create(struct job_db *db, struct catalogue *catalogue, const struct config *config, struct recovery **ret,
                    struct status *st) {
    struct recovery *recovery = xcalloc(1, sizeof(*recovery));
    int r;

    recovery->db = db;
    recovery->catalogue = catalogue;
    recovery->config = config;
    r = job_db_list_preparations(db, restore_preparation, recovery, st);
    if (r == 0)
        r = job_db_list_jobs(db, note_unfinished, recovery, st);
    vec_foreach (unfinished, &recovery->unfinished)
        if (r == 0)
            r = restore_job(recovery, unfinished, st);
    if (r < 0) {
        recovery_destroy(recovery);
        return r;
    }
    /* The runs are counted before they begin: a job that takes the daemon down at once does so that many times, no more. */
    job_db_flush(db);
    *ret = recovery;
    return 0;
}

void recovery_start_jobs(struct recovery *recovery, struct job_service *job_service, struct host *host) {
    vec_foreach (job, &recovery->jobs) {
        CLEANUP_STATUS struct status st = {0};

        job_service_log_job(job_service, *job);
        if (host_start_job(host, *job, &st) < 0)
            job_fail(*job, status_message(&st));
    }
    recovery_destroy(recovery);
}

void recovery_destroy(struct recovery *recovery) {
    if (!recovery)
        return;
    vec_foreach (job, &recovery->jobs)
        job_unref(*job);
    vec_free(&recovery->jobs);
    vec_free(&recovery->unfinished);
    free(recovery);
}
