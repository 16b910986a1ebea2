/* The callbacks of fnapi/ and worker/ for harnesses (`user` is a struct sdk_worker): each becomes one event in the mailbox of the job that
 * the harness serves (sdk_worker.h). They run on RPC threads and on the launcher's reader thread. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "jobserver/job_run.h"

static struct run_event *worker_event(void *user, enum run_event_type type) {
    struct run_event *event = run_event_create(type, NULL);

    event->from = user;
    return event;
}

static void post(struct run_event *event) {
    sdk_worker_post(event->from, event);
}

static void on_connected(void *user) {
    post(worker_event(user, RUN_EVENT_CONNECTED));
}

static void on_lost(void *user, const struct status *why) {
    struct run_event *event = worker_event(user, RUN_EVENT_DISCONNECTED);

    event->text = xstrdup(status_message(why));
    post(event);
}

static void on_elements(void *user, uint64_t bundle, struct slice transform_id, const struct slice *family,
                        struct slice bytes, bool is_last) {
    struct run_event *event = worker_event(user, RUN_EVENT_ELEMENTS);

    event->engine.bundle = bundle;
    event->engine.bytes = bytes;
    event->engine.is_last = is_last;
    event->transform_id = slice_copy(transform_id.data, transform_id.size, NULL);
    event->has_family = family != NULL;
    if (family)
        event->family = slice_copy(family->data, family->size, NULL);
    post(event);
}

static struct run_event *engine_event(void *user, enum engine_event_type type, uint64_t bundle) {
    struct run_event *event = worker_event(user, RUN_EVENT_ENGINE);

    event->engine.type = type;
    event->engine.bundle = bundle;
    return event;
}

static void on_state(void *user, uint64_t bundle, uint64_t reply_token, struct state_request *request) {
    struct run_event *event = engine_event(user, ENGINE_EVENT_STATE, bundle);

    event->engine.token = reply_token;
    event->engine.request = xmalloc(sizeof(*request));
    *event->engine.request = *request;
    post(event);
}

static void on_bundle_done(void *user, uint64_t bundle, struct bundle_response *response) {
    struct run_event *event = engine_event(user, ENGINE_EVENT_BUNDLE_DONE, bundle);

    event->engine.response = xmalloc(sizeof(*response));
    *event->engine.response = *response;
    post(event);
}

static void on_bundle_failed(void *user, uint64_t bundle, const char *error) {
    struct run_event *event = engine_event(user, ENGINE_EVENT_BUNDLE_FAILED, bundle);

    event->engine.error = xstrdup(error);
    post(event);
}

/* References to borrowed metrics, as a response that holds nothing else. */
static struct bundle_response *report_of(const struct metric *metrics, size_t count) {
    struct bundle_response *response = xcalloc(1, sizeof(*response));

    response->metrics = arena_new_array(&response->arena, struct metric, count + 1);
    for (; response->metric_count < count; response->metric_count++) {
        const struct metric *metric = &metrics[response->metric_count];

        response->metrics[response->metric_count] =
            (struct metric){.identity = slice_ref(metric->identity), .payload = slice_ref(metric->payload)};
    }
    return response;
}

static void on_progress(void *user, uint64_t bundle, const struct metric *metrics, size_t count) {
    struct run_event *event = worker_event(user, RUN_EVENT_PROGRESS);

    event->engine.bundle = bundle;
    event->engine.response = report_of(metrics, count);
    post(event);
}

static void on_process_metrics(void *user, const struct metric *metrics, size_t count) {
    struct run_event *event = worker_event(user, RUN_EVENT_PROCESS_METRICS);

    event->engine.response = report_of(metrics, count);
    post(event);
}

static void on_split(void *user, uint64_t bundle, struct bundle_split *split) {
    struct run_event *event = engine_event(user, ENGINE_EVENT_SPLIT, bundle);

    event->engine.split = xmalloc(sizeof(*split));
    *event->engine.split = *split;
    post(event);
}

static void on_finalized(void *user, uint64_t bundle, const char *error) {
    struct run_worker *worker = sdk_worker_lock(user);

    if (worker && error)
        job_add_message(worker->run->job, JOB_MESSAGE_WARNING, "bundle finalization failed in the harness: %s", error);
    sdk_worker_unlock(user);
    post(engine_event(user, ENGINE_EVENT_FINALIZED, bundle));
}

static void on_sent(void *user, uint64_t bundle, size_t bytes) {
    struct run_event *event = engine_event(user, ENGINE_EVENT_SENT, bundle);

    event->engine.byte_count = bytes;
    post(event);
}

/* Python's and Go's clients show BASIC as information and below it as debugging. */
static enum job_message_importance importance_of(enum fn_log_severity severity) {
    if (severity >= FN_LOG_ERROR)
        return JOB_MESSAGE_ERROR;
    if (severity == FN_LOG_WARN)
        return JOB_MESSAGE_WARNING;
    return severity >= FN_LOG_INFO ? JOB_MESSAGE_BASIC : JOB_MESSAGE_DEBUG;
}

/* Skips `name`, what follows of `allowed`, and ')'; NULL where `text` does not begin so. */
static const char *after_field(const char *text, const char *name, const char *allowed) {
    size_t length = strlen(name);

    if (!text || strncmp(text, name, length) != 0)
        return NULL;
    text += length;
    length = strspn(text, allowed);
    return length && text[length] == ')' ? text + length + 1 : NULL;
}

/* Whether a client has logged a message of the job and we get it back. Go's client logs each one as "(time=T)(id=N)TEXT"; over LOOPBACK
 * it is one process with its harness, which sends all that is logged: passed on, such a line goes round, growing, until the job ends. */
static bool is_echo(const char *text) {
    return after_field(after_field(text, "(time=", "0123456789-:.TZ"), "(id=", "0123456789") != NULL;
}

static void add_log_line(struct job *job, const char *worker, const struct fn_log_entry *entry) {
    const char *where = entry->transform_id;

    if (is_echo(entry->message))
        return;
    if (where[0])
        where = plan_transform_unique_name(job_specification(job)->plan, where);
    job_add_message(job, importance_of(entry->severity), "%s%s%s%s%s [worker %s]", where, where[0] ? ": " : "",
                    entry->message, entry->trace[0] ? "\n" : "", entry->trace, worker);
}

/* What a harness says while it serves no job, such as of a late teardown, is for the daemon's log. */
static void on_log(void *user, const struct fn_log_entry *entry) {
    struct sdk_worker *from = user;
    struct run_worker *worker = sdk_worker_lock(from);
    struct job *job = worker ? job_ref(worker->run->job) : NULL;

    from->last_word_ns = monotonic_now_ns();
    sdk_worker_unlock(from);
    if (job)
        add_log_line(job, from->name, entry);
    else
        log_write(entry->severity >= FN_LOG_WARN ? LOG_LEVEL_WARNING : LOG_LEVEL_DEBUG, "worker", "%s: %.4000s",
                  from->name, entry->message);
    job_unref(job);
}

static void on_status(void *user, uint64_t token, const char *text, bool is_error) {
    struct run_event *event = worker_event(user, RUN_EVENT_STATUS);

    event->engine.bundle = token;
    event->text = is_error ? xasprintf("it has none: %s", text) : xstrdup(text);
    post(event);
}

static void on_samples(void *user, uint64_t token, struct fn_samples *samples) {
    struct run_event *event = worker_event(user, RUN_EVENT_SAMPLES);

    event->engine.token = token;
    event->samples = samples;
    post(event);
}

static void on_gone(void *user) {
    post(worker_event(user, RUN_EVENT_HARNESS_GONE));
}

static void on_process_failed(void *user, const struct status *why) {
    struct run_event *event = worker_event(user, RUN_EVENT_START_FAILED);

    event->text = xstrdup(status_message(why));
    post(event);
}

static void on_process_stopped(void *user) {
    post(worker_event(user, RUN_EVENT_PROCESS_GONE));
}

const struct fn_worker_handler run_harness_handler = {
    .connected = on_connected,
    .lost = on_lost,
    .elements = on_elements,
    .state = on_state,
    .bundle_done = on_bundle_done,
    .bundle_failed = on_bundle_failed,
    .split = on_split,
    .progress = on_progress,
    .process_metrics = on_process_metrics,
    .finalized = on_finalized,
    .sent = on_sent,
    .log = on_log,
    .status = on_status,
    .samples = on_samples,
    .gone = on_gone,
};

const struct worker_handler run_process_handler = {
    .failed = on_process_failed,
    .stopped = on_process_stopped,
};
