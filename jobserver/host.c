#include "jobserver/host.h"

#include <stdlib.h>

#include "jobserver/environment.h"
#include "jobserver/job_run.h"
#include "jobserver/pipeline_options.h"

/* Bundles of one job are numbered from a multiple of this on: enough for each, and for as many jobs as a daemon will ever run. A harness
 * that serves several jobs remembers bundles by number, so no number may come twice. */
#define BUNDLES_PER_JOB (UINT64_C(1) << 40)

struct host {
    struct host_options options;
    char *endpoint; /* what options.endpoint points to */
    pthread_mutex_t mutex;
    pthread_cond_t emptied;
    struct worker_shelf *shelf;
    struct list runs; /* of struct job_run */
    size_t run_count;
    uint64_t started_count;
    bool is_stopping;
};

struct host *host_create(const struct host_options *options) {
    struct host *host = xcalloc(1, sizeof(*host));

    host->options = *options;
    host->options.endpoint = host->endpoint = xstrdup(options->endpoint);
    pthread_mutex_init(&host->mutex, NULL);
    pthread_cond_init(&host->emptied, NULL);
    list_init(&host->runs);
    host->shelf = worker_shelf_create(&(struct worker_shelf_options){
        .keep_ms = (int64_t)options->config->workers_keep_warm_ms,
        .maximum = options->config->workers_keep_warm_max,
        .stop_grace_ms = (unsigned)options->config->workers_stop_grace_ms,
        .account = options->account,
    });
    return host;
}

static int check_environments(const struct config *config, const struct plan *plan, struct status *st) {
    struct environment_choice choice = {0};

    for (size_t i = 0; i < plan->stage_count; i++) {
        const struct plan_stage *stage = &plan->stages[i];
        const struct plan_environment *environment;
        int r;

        if (stage->kind != PLAN_EXECUTABLE)
            continue;
        environment = &plan->environments[stage->environment];
        r = environment_choose(config, environment->urn, environment->payload, &choice, st);
        environment_choice_clear(&choice);
        if (r < 0)
            return status_prefix(st, "%s", stage->name);
    }
    return 0;
}

/* Of Trestle's own options the one that is not about workers (run_sizing.h). They were checked at Prepare. */
static void read_options(struct job_run *run) {
    struct pipeline_options *options;
    int64_t attempts = 0;

    if (pipeline_options_create(job_specification(run->job)->pipeline_options, &options, NULL) < 0)
        return;
    pipeline_options_int(options, "trestle_bundle_attempts", &attempts, NULL);
    run->attempts_wanted = (unsigned)attempts;
    pipeline_options_destroy(options);
}

int host_start_job(struct host *host, struct job *job, struct status *st) {
    const struct plan *plan = job_specification(job)->plan;
    struct job_run *run;
    int r;

    r = check_environments(host->options.config, plan, st);
    if (r < 0)
        return r;
    run = xcalloc(1, sizeof(*run));
    run->host = host;
    run->options = &host->options;
    run->job = job_ref(job);
    run->plan = plan;
    read_options(run);
    run->account = account_create("memory.per_job", host->options.account, host->options.config->memory_per_job_bytes);
    run->shelf = host->shelf;
    run->wake_ns = INT64_MAX;
    run->watch_ns = INT64_MAX;
    mailbox_init(&run->mailbox);
    list_init(&run->workers);
    pthread_mutex_lock(&host->mutex);
    run->first_bundle = host->started_count++ * BUNDLES_PER_JOB + 1;
    if (host->is_stopping)
        r = status_set(st, STATUS_UNAVAILABLE, "the server is shutting down");
    else
        r = job_run_start(run, st);
    if (r == 0) {
        list_append(&host->runs, &run->node);
        host->run_count++;
    }
    pthread_mutex_unlock(&host->mutex);
    if (r < 0)
        job_run_free(run);
    return r;
}

/* The last thing that a job's thread does: it frees itself, so nobody has to join it. */
void host_run_finished(struct host *host, struct job_run *run) {
    pthread_detach(pthread_self());
    pthread_mutex_lock(&host->mutex);
    list_remove(&run->node);
    pthread_mutex_unlock(&host->mutex);
    job_run_free(run);
    pthread_mutex_lock(&host->mutex);
    if (--host->run_count == 0)
        pthread_cond_broadcast(&host->emptied);
    pthread_mutex_unlock(&host->mutex);
}

/* To the job's run, if it has one still. */
static void post_to_job(struct host *host, struct job *job, enum run_event_type type) {
    pthread_mutex_lock(&host->mutex);
    list_foreach (node, &host->runs) {
        struct job_run *run = CONTAINER_OF(node, struct job_run, node);

        if (run->job == job)
            job_run_post(run, run_event_create(type, NULL));
    }
    pthread_mutex_unlock(&host->mutex);
}

void host_cancel_job(struct host *host, struct job *job) {
    job_request_cancel(job);
    post_to_job(host, job, RUN_EVENT_CANCEL);
}

int host_drain_job(struct host *host, struct job *job, struct status *st) {
    int r = job_start_draining(job, st);

    if (r == 0)
        post_to_job(host, job, RUN_EVENT_DRAIN);
    return r;
}

void host_stop(struct host *host) {
    pthread_mutex_lock(&host->mutex);
    host->is_stopping = true;
    list_foreach (node, &host->runs) {
        struct job_run *run = CONTAINER_OF(node, struct job_run, node);

        /* Clients show a cancelled job's last ERROR as the reason. */
        if (!job_state_is_terminal(job_current_state(run->job)))
            job_add_message(run->job, JOB_MESSAGE_ERROR, "the job was cancelled: the server is shutting down");
        job_run_post(run, run_event_create(RUN_EVENT_CANCEL, NULL));
    }
    while (host->run_count)
        pthread_cond_wait(&host->emptied, &host->mutex);
    pthread_mutex_unlock(&host->mutex);
    worker_shelf_destroy(host->shelf);
    host->shelf = NULL;
}

void host_destroy(struct host *host) {
    worker_shelf_destroy(host->shelf);
    pthread_cond_destroy(&host->emptied);
    pthread_mutex_destroy(&host->mutex);
    free(host->endpoint);
    free(host);
}
