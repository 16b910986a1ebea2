#include "jobserver/host.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "jobserver/environment.h"
#include "jobserver/job_run.h"
#include "jobserver/machine.h"
#include "jobserver/pipeline_options.h"
#include "jobserver/run_queue.h"
#include "model/urn.h"

/* Bundles of one job are numbered from a multiple of this on: enough for each, and for as many jobs as a daemon will ever run. A harness
 * that serves several jobs remembers bundles by number, so no number may come twice. */
#define BUNDLES_PER_JOB (UINT64_C(1) << 40)

enum { PROCESSES_PER_CORE = 32 };

struct host {
    struct host_options options;
    char *endpoint; /* what options.endpoint points to */
    pthread_mutex_t mutex;
    pthread_cond_t ended; /* on CLOCK_MONOTONIC: one job fewer runs */
    struct worker_shelf *shelf;
    struct run_queue queue; /* of struct job_run */
    struct list runs;       /* of struct job_run: those that have a thread */
    atomic_uint run_count;  /* changed with the lock */
    uint64_t started_count;
    bool is_closed; /* no job begins any more */
    struct statistics statistics;
};

static void init_locks(struct host *host) {
    pthread_condattr_t attributes;

    pthread_mutex_init(&host->mutex, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&host->ended, &attributes);
    pthread_condattr_destroy(&attributes);
}

struct host *host_create(const struct host_options *options) {
    struct host *host = xcalloc(1, sizeof(*host));

    host->options = *options;
    host->options.endpoint = host->endpoint = xstrdup(options->endpoint);
    init_locks(host);
    list_init(&host->runs);
    host->shelf = worker_shelf_create(&(struct worker_shelf_options){
        .account = options->account, .on_idle = options->on_idle, .on_idle_user = options->on_idle_user});
    host_reconfigure(host);
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

/* Of Trestle's own options those that are not about workers (run_sizing.h). They were checked at Prepare. */
static void read_options(struct job_run *run, int64_t *ret_priority) {
    struct pipeline_options *options;
    int64_t attempts = 0;

    *ret_priority = 0;
    if (pipeline_options_create(job_specification(run->job)->pipeline_options, &options, NULL) < 0)
        return;
    pipeline_options_int(options, "trestle_bundle_attempts", &attempts, NULL);
    pipeline_options_int(options, "trestle_priority", ret_priority, NULL);
    run->attempts_wanted = (unsigned)attempts;
    pipeline_options_destroy(options);
}

/* Whether the next daemon can run it anew: it starts the workers itself, or knows their pool, and the input is there again. */
static bool can_requeue(const struct job_run *run) {
    if (plan_is_streaming(run->plan))
        return false;
    for (size_t i = 0; i < run->plan->environment_count; i++) {
        const struct environment_choice *choice = &run->environments[i].choice;

        if (run->environments[i].is_used && strcmp(choice->urn, urn_string(URN_ENV_EXTERNAL)) == 0 &&
            !choice->is_configured_pool)
            return false;
    }
    return true;
}

/* Takes the snapshot over. */
static struct job_run *make_run(struct host *host, struct job *job, struct config_snapshot *snapshot,
                                struct run_demand *ret_demand) {
    struct job_run *run = xcalloc(1, sizeof(*run));

    run->host = host;
    run->options = &host->options;
    run->snapshot = snapshot;
    run->config = &snapshot->config;
    run->job = job_ref(job);
    run->plan = job_specification(job)->plan;
    run->account = account_create("memory.per_job", host->options.account, run->config->memory_per_job_bytes);
    run->shelf = host->shelf;
    run->statistics = &host->statistics;
    run->board = snapshot_board_create();
    run->wake_ns = INT64_MAX;
    run->watch_ns = INT64_MAX;
    mailbox_init(&run->mailbox);
    list_init(&run->workers);
    run_workers_plan(run);
    run->can_requeue = can_requeue(run);
    *ret_demand = run_workers_demand(run);
    read_options(run, &ret_demand->priority);
    return run;
}

/* With the lock. The run is on its own from here on; on failure it is the caller's. */
static int start_run(struct host *host, struct job_run *run, struct status *st) {
    int r;

    run->first_bundle = host->started_count++ * BUNDLES_PER_JOB + 1;
    run_workers_grant(run);
    r = job_run_start(run, st);
    if (r == 0) {
        list_append(&host->runs, &run->node);
        statistics_add(&host->statistics.jobs_started, 1);
        host->run_count++;
    }
    return r;
}

/* With the lock: all whose turn it is. None, once the host is closed. */
static void start_next(struct host *host) {
    struct job_run *run;
    unsigned grant;

    while (!host->is_closed && (run = run_queue_next(&host->queue, &grant))) {
        CLEANUP_STATUS struct status st = {0};

        run->process_grant = grant;
        if (start_run(host, run, &st) == 0)
            continue;
        run_queue_leave(&host->queue, grant);
        job_fail(run->job, status_message(&st));
        job_run_free(run);
    }
}

void host_reconfigure(struct host *host) {
    struct config_snapshot *snapshot = live_config_get(host->options.config);
    const struct config *config = &snapshot->config;

    worker_shelf_configure(host->shelf, (int64_t)config->workers_keep_warm_ms, config->workers_keep_warm_max,
                           (unsigned)config->workers_stop_grace_ms);
    pthread_mutex_lock(&host->mutex);
    host->queue.max_running = config->jobs_max_running;
    host->queue.max_processes =
        config->workers_max_processes ? config->workers_max_processes : PROCESSES_PER_CORE * machine_cores();
    start_next(host);
    pthread_mutex_unlock(&host->mutex);
    config_snapshot_unref(snapshot);
}

static void say_it_stays(struct job *job) {
    job_add_message(job, JOB_MESSAGE_BASIC,
                    "the server is shutting down; this job keeps its place and is run when the server is back");
}

int host_start_job(struct host *host, struct job *job, struct status *st) {
    struct config_snapshot *snapshot = live_config_get(host->options.config);
    struct run_demand demand;
    struct job_run *run;
    unsigned place;
    int r = check_environments(&snapshot->config, job_specification(job)->plan, st);

    if (r < 0) {
        config_snapshot_unref(snapshot);
        return r;
    }
    run = make_run(host, job, snapshot, &demand);
    pthread_mutex_lock(&host->mutex);
    run_queue_add(&host->queue, run, &demand);
    start_next(host);
    place = run_queue_place(&host->queue, run);
    if (host->is_closed)
        say_it_stays(job);
    else if (place)
        job_add_message(job, JOB_MESSAGE_BASIC,
                        "waits for its turn: %u jobs run with %u worker processes, %u wait before it "
                        "(jobs.max_running, workers.max_processes)",
                        host->queue.running, host->queue.processes, place - 1);
    pthread_mutex_unlock(&host->mutex);
    return 0;
}

unsigned host_running_jobs(struct host *host) {
    return host->run_count;
}

unsigned host_queue_place(struct host *host, const struct job *job) {
    unsigned place = 0;

    pthread_mutex_lock(&host->mutex);
    for (size_t i = 0; i < host->queue.waiting.count && !place; i++) {
        const struct job_run *run = host->queue.waiting.items[i].run;

        if (run->job == job)
            place = (unsigned)i + 1;
    }
    pthread_mutex_unlock(&host->mutex);
    return place;
}

/* With the lock. What is not in the queue is left alone. */
static void cancel_waiting(struct host *host, const struct job *job) {
    for (size_t i = 0; i < host->queue.waiting.count; i++) {
        struct job_run *run = host->queue.waiting.items[i].run;

        if (run->job != job)
            continue;
        run_queue_remove(&host->queue, run);
        job_set_state(run->job, JOB_CANCELLED);
        job_run_free(run);
        return;
    }
}

/* The last thing that a job's thread does: it frees itself, so nobody has to join it. */
void host_run_finished(struct host *host, struct job_run *run) {
    bool is_idle;

    pthread_detach(pthread_self());
    pthread_mutex_lock(&host->mutex);
    list_remove(&run->node);
    run_queue_leave(&host->queue, run->process_grant);
    /* One that is put back into the queue is cancelled like any that waits there. */
    if (job_cancel_is_requested(run->job))
        job_set_state(run->job, JOB_CANCELLED);
    pthread_mutex_unlock(&host->mutex);
    job_run_free(run);
    pthread_mutex_lock(&host->mutex);
    start_next(host);
    is_idle = host->run_count == 1;
    pthread_mutex_unlock(&host->mutex);
    if (is_idle && host->options.on_idle)
        host->options.on_idle(host->options.on_idle_user);
    pthread_mutex_lock(&host->mutex);
    host->run_count--;
    pthread_cond_broadcast(&host->ended);
    pthread_mutex_unlock(&host->mutex);
}

/* Locked. NULL: it does not run. */
static struct job_run *find_run(struct host *host, const struct job *job) {
    list_foreach (node, &host->runs) {
        struct job_run *run = CONTAINER_OF(node, struct job_run, node);

        if (run->job == job)
            return run;
    }
    return NULL;
}

struct run_snapshot *host_inspect_job(struct host *host, struct job *job, unsigned wait_ms) {
    struct snapshot_board *board = NULL;
    struct run_snapshot *snapshot;
    struct job_run *run;

    pthread_mutex_lock(&host->mutex);
    run = find_run(host, job);
    if (run) {
        board = snapshot_board_ref(run->board);
        if (snapshot_board_wants(board))
            job_run_post(run, run_event_create(RUN_EVENT_INSPECT, NULL));
    }
    pthread_mutex_unlock(&host->mutex);
    if (!board)
        return NULL;
    snapshot = snapshot_board_get(board, wait_ms);
    snapshot_board_unref(board);
    return snapshot;
}

int host_inquire(struct host *host, struct job *job, struct run_inquiry *inquiry, struct status *st) {
    struct job_run *run;

    pthread_mutex_lock(&host->mutex);
    run = find_run(host, job);
    if (run) {
        struct run_event *event = run_event_create(RUN_EVENT_INQUIRY, NULL);

        event->inquiry = run_inquiry_ref(inquiry);
        job_run_post(run, event);
    }
    pthread_mutex_unlock(&host->mutex);
    return run ? 0 : status_set(st, STATUS_UNAVAILABLE, "job %s does not run: it has no workers", job_id(job));
}

struct statistics *host_statistics(struct host *host) {
    return &host->statistics;
}

size_t host_warm_workers(struct host *host) {
    size_t count;

    pthread_mutex_lock(&host->mutex);
    count = host->shelf ? worker_shelf_count(host->shelf) : 0;
    pthread_mutex_unlock(&host->mutex);
    return count;
}

/* To the job's run, if it has one still. */
static void post_to_job(struct host *host, struct job *job, enum run_event_type type) {
    struct job_run *run;

    pthread_mutex_lock(&host->mutex);
    run = find_run(host, job);
    if (run)
        job_run_post(run, run_event_create(type, NULL));
    pthread_mutex_unlock(&host->mutex);
}

/* Not as an ERROR: with one, Java's client throws where it was asked to wait for the job's end. */
static void say_why_cancelled(struct job *job, const char *why) {
    if (!job_cancel_is_requested(job) && !job_state_is_terminal(job_current_state(job)))
        job_add_message(job, JOB_MESSAGE_WARNING, "%s", why);
}

void host_cancel_job(struct host *host, struct job *job, const char *why) {
    say_why_cancelled(job, why);
    job_request_cancel(job);
    post_to_job(host, job, RUN_EVENT_CANCEL);
    pthread_mutex_lock(&host->mutex);
    cancel_waiting(host, job);
    if (host->is_closed && !find_run(host, job))
        job_set_state(job, JOB_CANCELLED);
    /* It may have been the one that held up the others. */
    start_next(host);
    pthread_mutex_unlock(&host->mutex);
}

int host_drain_job(struct host *host, struct job *job, struct status *st) {
    int r = job_start_draining(job, st);

    if (r == 0)
        post_to_job(host, job, RUN_EVENT_DRAIN);
    return r;
}

/* ---- the end ---- */

/* With the lock. */
static void close_queue(struct host *host) {
    if (host->is_closed)
        return;
    host->is_closed = true;
    vec_foreach (waiting, &host->queue.waiting) {
        const struct job_run *run = waiting->run;

        say_it_stays(run->job);
    }
}

void host_drain(struct host *host, uint64_t limit_ms) {
    pthread_mutex_lock(&host->mutex);
    close_queue(host);
    list_foreach (node, &host->runs) {
        struct job_run *run = CONTAINER_OF(node, struct job_run, node);
        bool is_streaming = plan_is_streaming(run->plan);

        if (job_state_is_terminal(job_current_state(run->job)))
            continue;
        job_add_message(
            run->job, JOB_MESSAGE_WARNING, "the server is shutting down; this job %s %llu ms (shutdown.drain)",
            is_streaming ? "is drained, and has to end within" : "may go on for", (unsigned long long)limit_ms);
        if (is_streaming)
            job_run_post(run, run_event_create(RUN_EVENT_DRAIN, NULL));
    }
    pthread_mutex_unlock(&host->mutex);
}

unsigned host_await_end(struct host *host, unsigned ms) {
    int64_t deadline_ns = monotonic_now_ns() + (int64_t)ms * 1000000;
    struct timespec until = {.tv_sec = (time_t)(deadline_ns / 1000000000), .tv_nsec = (long)(deadline_ns % 1000000000)};
    unsigned count;
    int error = 0;

    pthread_mutex_lock(&host->mutex);
    while (host->run_count && error == 0)
        error = pthread_cond_timedwait(&host->ended, &host->mutex, &until);
    count = host->run_count;
    pthread_mutex_unlock(&host->mutex);
    return count;
}

static const char *why_cancelled(const struct job_run *run, const struct config *config) {
    if (plan_is_streaming(run->plan))
        return config->shutdown_drain_ms
                   ? ", and this stream has not drained in time (shutdown.drain)"
                   : ", and what a stream has processed is not kept; with shutdown.drain it would have been drained";
    if (config->shutdown_unfinished == CONFIG_UNFINISHED_REQUEUE)
        return ", and the job's workers are in a pool, which a later server may not find again";
    return "";
}

/* With the lock. Clients show a cancelled job's last ERROR as the reason. */
static void end_run(struct job_run *run, const struct config *config) {
    bool is_requeued = run->can_requeue && config->shutdown_unfinished == CONFIG_UNFINISHED_REQUEUE;

    if (!job_state_is_terminal(job_current_state(run->job))) {
        if (is_requeued)
            job_add_message(run->job, JOB_MESSAGE_WARNING,
                            "the server is shutting down; this job is run again from its start when it is back");
        else
            job_add_message(run->job, JOB_MESSAGE_ERROR, "the job was cancelled: the server is shutting down%s",
                            why_cancelled(run, config));
    }
    job_run_post(run, run_event_create(is_requeued ? RUN_EVENT_REQUEUE : RUN_EVENT_CANCEL, NULL));
}

void host_stop(struct host *host) {
    struct config_snapshot *snapshot = live_config_get(host->options.config);
    struct worker_shelf *shelf;

    pthread_mutex_lock(&host->mutex);
    close_queue(host);
    list_foreach (node, &host->runs)
        end_run(CONTAINER_OF(node, struct job_run, node), &snapshot->config);
    while (host->run_count)
        pthread_cond_wait(&host->ended, &host->mutex);
    shelf = host->shelf;
    host->shelf = NULL; /* who looks at the server may come at any time */
    pthread_mutex_unlock(&host->mutex);
    worker_shelf_destroy(shelf);
    config_snapshot_unref(snapshot);
}

void host_destroy(struct host *host) {
    worker_shelf_destroy(host->shelf);
    vec_foreach (waiting, &host->queue.waiting)
        job_run_free(waiting->run);
    run_queue_clear(&host->queue);
    pthread_cond_destroy(&host->ended);
    pthread_mutex_destroy(&host->mutex);
    free(host->endpoint);
    free(host);
}
