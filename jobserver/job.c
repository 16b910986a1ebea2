#include "jobserver/job.h"

#include <stdlib.h>

#include "jobserver/job_internal.h"

struct job_subscription {
    struct list link;
    struct job *job; /* owned reference */
    void (*on_event)(void *user, const struct job_event *event);
    void *user;
    uint64_t seen_seq;
    bool is_paused;
    bool is_over; /* the terminal state was delivered */
    bool is_delivering;
    bool is_closed; /* unsubscribed from inside its own callback, whose caller frees it */
    pthread_t delivering_thread;
};

static const char *const state_names[] = {
    [JOB_UNSPECIFIED] = "UNSPECIFIED", [JOB_STOPPED] = "STOPPED",
    [JOB_RUNNING] = "RUNNING",         [JOB_DONE] = "DONE",
    [JOB_FAILED] = "FAILED",           [JOB_CANCELLED] = "CANCELLED",
    [JOB_UPDATED] = "UPDATED",         [JOB_DRAINING] = "DRAINING",
    [JOB_DRAINED] = "DRAINED",         [JOB_STARTING] = "STARTING",
    [JOB_CANCELLING] = "CANCELLING",
};

bool job_state_is_terminal(enum job_state state) {
    return state == JOB_DONE || state == JOB_FAILED || state == JOB_CANCELLED || state == JOB_UPDATED ||
           state == JOB_DRAINED;
}

const char *job_state_name(enum job_state state) {
    return (size_t)state < ARRAY_COUNT(state_names) ? state_names[state] : "UNKNOWN";
}

enum job_state job_state_of_name(const char *name) {
    for (size_t i = 0; i < ARRAY_COUNT(state_names); i++)
        if (strcmp(state_names[i], name) == 0)
            return (enum job_state)i;
    return JOB_UNSPECIFIED;
}

/* ------------------------------------------------------------------ the object */

struct job *job_create(const char *id, const struct job_spec *spec, const struct job_limits *limits) {
    struct job *job = xcalloc(1, sizeof(*job));

    atomic_init(&job->refs, 1);
    job->id = xstrdup(id);
    job->name = xstrdup(spec->name ? spec->name : "");
    job->retrieval_token = xstrdup(spec->retrieval_token ? spec->retrieval_token : "");
    job->spec = (struct job_spec){
        .name = job->name,
        .pipeline = slice_ref(spec->pipeline),
        .pipeline_options = slice_ref(spec->pipeline_options),
        .plan = spec->plan,
        .retrieval_token = job->retrieval_token,
    };
    pthread_mutex_init(&job->mutex, NULL);
    pthread_cond_init(&job->delivered, NULL);
    list_init(&job->subscriptions);
    history_init(&job->history, limits);
    job->metrics = xcalloc(1, sizeof(*job->metrics));
    atomic_init(&job->metrics->refs, 1);
    job->state = JOB_STOPPED;
    history_add_state(&job->history, JOB_STOPPED);
    job->state_time_ms = job->created_ms = job->history.last_time_ms;
    return job;
}

struct job *job_ref(struct job *job) {
    atomic_fetch_add_explicit(&job->refs, 1, memory_order_relaxed);
    return job;
}

void job_unref(struct job *job) {
    if (!job || atomic_fetch_sub_explicit(&job->refs, 1, memory_order_acq_rel) != 1)
        return;
    if (job->journal)
        job->journal->freed(job->journal_user);
    history_finish(&job->history);
    job_metrics_unref(job->metrics);
    slice_unref(&job->last_graph);
    slice_unref(&job->spec.pipeline);
    slice_unref(&job->spec.pipeline_options);
    if (job->spec.plan)
        plan_destroy(job->spec.plan);
    pthread_cond_destroy(&job->delivered);
    pthread_mutex_destroy(&job->mutex);
    free(job->retrieval_token);
    free(job->name);
    free(job->id);
    free(job);
}

const char *job_id(const struct job *job) {
    return job->id;
}

const struct job_spec *job_specification(const struct job *job) {
    return &job->spec;
}

int64_t job_created_ms(const struct job *job) {
    return job->created_ms;
}

enum job_state job_current_state(struct job *job) {
    return job_state_since(job, &(int64_t){0});
}

enum job_state job_state_since(struct job *job, int64_t *ret_time_ms) {
    enum job_state state;

    pthread_mutex_lock(&job->mutex);
    state = job->journal ? job->told_state : job->state;
    *ret_time_ms = job->journal ? job->told_state_time_ms : job->state_time_ms;
    pthread_mutex_unlock(&job->mutex);
    return state;
}

size_t job_memory_bytes(struct job *job) {
    size_t bytes = sizeof(*job) + job->spec.pipeline.size + job->spec.pipeline_options.size;

    if (job->spec.plan)
        bytes += job->spec.plan->arena.allocated_bytes;
    pthread_mutex_lock(&job->mutex);
    bytes += job->history.bytes + job->last_graph.size + metric_table_bytes(&job->metrics->attempted) +
             metric_table_bytes(&job->metrics->committed);
    pthread_mutex_unlock(&job->mutex);
    return bytes;
}

/* ------------------------------------------------------------------ subscriptions */

/* States, and all that belongs to the end, are told once they are on disk, and what comes behind them after them. Locked. */
static bool may_be_told(const struct job *job, const struct history_record *record) {
    uint64_t seq = record->event.seq;

    return !job->journal || seq <= job->saved_seq ||
           (!record->event.is_state && (job->end_seq == 0 || seq < job->end_seq));
}

/* The first event behind number `seq`, if it may be told. Locked. */
static struct history_record *next_told(const struct job *job, uint64_t seq) {
    struct history_record *record = history_next(&job->history, seq);

    if (!record || may_be_told(job, record))
        return record;
    history_record_unref(record);
    return NULL;
}

/* The next event of some subscription that can take one; NULL when all are served. Locked. */
static struct history_record *find_delivery(struct job *job, struct job_subscription **ret_subscription) {
    list_foreach (node, &job->subscriptions) {
        struct job_subscription *subscription = CONTAINER_OF(node, struct job_subscription, link);
        struct history_record *record;

        if (subscription->is_paused || subscription->is_over || subscription->is_delivering)
            continue;
        record = next_told(job, subscription->seen_seq);
        if (record) {
            *ret_subscription = subscription;
            return record;
        }
    }
    return NULL;
}

static void subscription_free(struct job_subscription *subscription) {
    free(subscription);
}

/* The lock is given up during a callback. An event that comes meanwhile, from this thread or another, is seen by the loop that runs
 * already. */
void job_deliver(struct job *job) {
    struct job_subscription *subscription;
    struct history_record *record;

    while ((record = find_delivery(job, &subscription))) {
        subscription->is_delivering = true;
        subscription->delivering_thread = pthread_self();
        subscription->seen_seq = record->event.seq;
        subscription->is_over = record->event.is_state && job_state_is_terminal(record->event.state);
        pthread_mutex_unlock(&job->mutex);
        subscription->on_event(subscription->user, &record->event);
        history_record_unref(record);
        pthread_mutex_lock(&job->mutex);
        subscription->is_delivering = false;
        if (subscription->is_closed)
            subscription_free(subscription);
        else
            pthread_cond_broadcast(&job->delivered);
    }
}

struct job_subscription *job_subscribe_paused(struct job *job,
                                              void (*on_event)(void *user, const struct job_event *event), void *user) {
    struct job_subscription *subscription = xcalloc(1, sizeof(*subscription));

    list_init(&subscription->link);
    subscription->job = job_ref(job);
    subscription->on_event = on_event;
    subscription->user = user;
    subscription->is_paused = true;
    pthread_mutex_lock(&job->mutex);
    list_append(&job->subscriptions, &subscription->link);
    pthread_mutex_unlock(&job->mutex);
    return subscription;
}

struct job_subscription *job_subscribe(struct job *job, void (*on_event)(void *user, const struct job_event *event),
                                       void *user) {
    struct job_subscription *subscription = job_subscribe_paused(job, on_event, user);

    job_subscription_resume(subscription);
    return subscription;
}

void job_subscription_pause(struct job_subscription *subscription) {
    pthread_mutex_lock(&subscription->job->mutex);
    subscription->is_paused = true;
    pthread_mutex_unlock(&subscription->job->mutex);
}

void job_subscription_resume(struct job_subscription *subscription) {
    struct job *job = job_ref(subscription->job);

    pthread_mutex_lock(&job->mutex);
    subscription->is_paused = false;
    job_deliver(job);
    pthread_mutex_unlock(&job->mutex);
    job_unref(job);
}

void job_unsubscribe(struct job_subscription *subscription) {
    struct job *job;

    if (!subscription)
        return;
    job = subscription->job;
    pthread_mutex_lock(&job->mutex);
    list_remove(&subscription->link);
    if (subscription->is_delivering && pthread_equal(subscription->delivering_thread, pthread_self())) {
        subscription->is_closed = true;
    } else {
        while (subscription->is_delivering)
            pthread_cond_wait(&job->delivered, &job->mutex);
        subscription_free(subscription);
    }
    pthread_mutex_unlock(&job->mutex);
    job_unref(job);
}

/* ------------------------------------------------------------------ the history */

/* Locked. */
static bool enter_state(struct job *job, enum job_state state) {
    if (job->state == state || job_state_is_terminal(job->state))
        return false;
    if (job_state_is_terminal(state))
        job_begin_end(job);
    job->state = state;
    history_add_state(&job->history, state);
    job->state_time_ms = job->history.last_time_ms;
    job_has_changed(job, job_state_is_terminal(state) ? JOB_SAVE_DURABLY : JOB_SAVE_NOW);
    return true;
}

void job_request_cancel(struct job *job) {
    atomic_store(&job->is_cancel_requested, true);
}

bool job_cancel_is_requested(const struct job *job) {
    return atomic_load(&job->is_cancel_requested);
}

bool job_set_state(struct job *job, enum job_state state) {
    bool is_entered;

    job_ref(job);
    pthread_mutex_lock(&job->mutex);
    is_entered = enter_state(job, state);
    job_deliver(job);
    pthread_mutex_unlock(&job->mutex);
    job_unref(job);
    return is_entered;
}

/* After the end nothing may look like a newer reason of it: clients show the last ERROR message as the reason. Locked. */
static enum job_message_importance lowered(const struct job *job, enum job_message_importance importance) {
    return job_state_is_terminal(job->state) ? MIN(importance, JOB_MESSAGE_WARNING) : importance;
}

void job_add_message(struct job *job, enum job_message_importance importance, const char *format, ...) {
    CLEANUP(freep) char *text = NULL;
    va_list args;

    va_start(args, format);
    text = xvasprintf(format, args);
    va_end(args);
    job_ref(job);
    pthread_mutex_lock(&job->mutex);
    history_add_message(&job->history, lowered(job, importance), text);
    job_has_changed(job, JOB_SAVE_SOON);
    job_deliver(job);
    pthread_mutex_unlock(&job->mutex);
    job_unref(job);
}

void job_fail(struct job *job, const char *text) {
    job_ref(job);
    pthread_mutex_lock(&job->mutex);
    if (!job_state_is_terminal(job->state)) {
        /* Under one lock, so that no other thread's message gets between them. */
        history_lower_errors(&job->history);
        job_begin_end(job);
        history_add_message(&job->history, JOB_MESSAGE_ERROR, text);
        enter_state(job, JOB_FAILED);
        job_deliver(job);
    }
    pthread_mutex_unlock(&job->mutex);
    job_unref(job);
}

void job_succeed(struct job *job) {
    job_ref(job);
    pthread_mutex_lock(&job->mutex);
    enter_state(job, job->state == JOB_DRAINING ? JOB_DRAINED : JOB_DONE);
    job_deliver(job);
    pthread_mutex_unlock(&job->mutex);
    job_unref(job);
}

/* Locked. */
static int enter_draining(struct job *job, struct status *st) {
    if (job->state == JOB_DRAINING)
        return 0;
    if (job_state_is_terminal(job->state))
        return status_set(st, STATUS_FAILED_PRECONDITION, "job %s is over (%s): there is nothing to drain", job->id,
                          job_state_name(job->state));
    if (job->state == JOB_CANCELLING)
        return status_set(st, STATUS_FAILED_PRECONDITION, "job %s is being cancelled and cannot be drained", job->id);
    if (job->state != JOB_RUNNING)
        return status_set(st, STATUS_FAILED_PRECONDITION,
                          "job %s has not begun to run (%s) and has nothing to drain; Cancel stops it", job->id,
                          job_state_name(job->state));
    enter_state(job, JOB_DRAINING);
    job_deliver(job);
    return 0;
}

int job_start_draining(struct job *job, struct status *st) {
    int r;

    job_ref(job);
    pthread_mutex_lock(&job->mutex);
    r = enter_draining(job, st);
    pthread_mutex_unlock(&job->mutex);
    job_unref(job);
    return r;
}

void job_set_last_graph(struct job *job, struct slice graph) {
    pthread_mutex_lock(&job->mutex);
    slice_unref(&job->last_graph);
    job->last_graph = graph;
    job->has_new_metrics = true;
    pthread_mutex_unlock(&job->mutex);
}

struct slice job_last_graph(struct job *job) {
    struct slice graph;

    pthread_mutex_lock(&job->mutex);
    graph = slice_ref(job->last_graph);
    pthread_mutex_unlock(&job->mutex);
    return graph;
}

void job_read_history(struct job *job, uint64_t seq, bool (*on_event)(void *user, const struct job_event *event),
                      void *user) {
    struct history_record *record;
    bool goes_on = true;

    while (goes_on) {
        pthread_mutex_lock(&job->mutex);
        record = next_told(job, seq);
        pthread_mutex_unlock(&job->mutex);
        if (!record)
            return;
        seq = record->event.seq;
        goes_on = on_event(user, &record->event);
        history_record_unref(record);
    }
}

/* ------------------------------------------------------------------ metrics */

void job_metrics_unref(struct job_metrics *metrics) {
    if (!metrics || atomic_fetch_sub_explicit(&metrics->refs, 1, memory_order_acq_rel) != 1)
        return;
    metric_table_clear(&metrics->attempted);
    metric_table_clear(&metrics->committed);
    free(metrics);
}

void job_set_metrics(struct job *job, struct metric_table *attempted, struct metric_table *committed) {
    struct job_metrics *metrics = xcalloc(1, sizeof(*metrics)), *old;

    atomic_init(&metrics->refs, 1);
    metrics->attempted = *attempted;
    metrics->committed = *committed;
    *attempted = *committed = (struct metric_table){0};
    pthread_mutex_lock(&job->mutex);
    old = job->metrics;
    job->metrics = metrics;
    job->has_new_metrics = true;
    job_has_changed(job, JOB_SAVE_SOON);
    pthread_mutex_unlock(&job->mutex);
    job_metrics_unref(old);
}

struct job_metrics *job_get_metrics(struct job *job) {
    struct job_metrics *metrics;

    pthread_mutex_lock(&job->mutex);
    metrics = job->metrics;
    atomic_fetch_add_explicit(&metrics->refs, 1, memory_order_relaxed);
    pthread_mutex_unlock(&job->mutex);
    return metrics;
}
