/* GetStateStream and GetMessageStream: views of a job's history.
 *
 * The history is the buffer. A subscription feeds the stream until more than max_stream_queue_bytes wait to be written; then it
 * pauses, and goes on when the transport has taken them. So nothing is dropped for a reader that keeps up, and one that does not
 * finds a note in the place of what the history no longer holds. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "jobserver/job_service_internal.h"
#include "wire/pb.h"

/* One open stream. One reference is the stream's, from `opened` to `closed`, one that of whoever looks for the job, maybe on the pool. The
 * subscription calls in from any thread. */
struct watch {
    struct list node; /* in the service */
    struct job_service *service;
    struct rpc_stream *stream; /* owned reference */
    atomic_uint refs;
    bool wants_messages;
    bool has_request;      /* of the RPC thread */
    struct job *job;       /* owned reference; the service's mutex guards it */
    pthread_mutex_t mutex; /* of what follows; inside it, the job's and the stream's */
    struct job_subscription *subscription;
    bool is_closed;
};

static void watch_unref(struct watch *watch) {
    if (atomic_fetch_sub_explicit(&watch->refs, 1, memory_order_acq_rel) > 1)
        return;
    job_unref(watch->job);
    rpc_stream_unref(watch->stream);
    pthread_mutex_destroy(&watch->mutex);
    free(watch);
}

static void format_time(char *out, size_t size, int64_t time_ms) {
    time_t seconds = (time_t)(time_ms / 1000);
    struct tm parts;
    size_t n;

    gmtime_r(&seconds, &parts);
    n = strftime(out, size, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(out + n, size - n, ".%03dZ", (int)(time_ms % 1000));
}

static void send_state(struct watch *watch, const struct job_event *event) {
    Google__Protobuf__Timestamp time;
    Job__JobStateEvent state;
    Job__JobMessagesResponse response = JOB__JOB_MESSAGES_RESPONSE__INIT;
    struct slice bytes;

    job_service_fill_state(&state, &time, event->state, event->time_ms);
    response.response_case = JOB__JOB_MESSAGES_RESPONSE__RESPONSE_STATE_RESPONSE;
    response.state_response = &state;
    bytes = watch->wants_messages ? PB_PACK(&response, NULL) : PB_PACK(&state, NULL);
    rpc_stream_send(watch->stream, &bytes, 1);
}

static void send_message(struct watch *watch, const struct job_event *event) {
    Job__JobMessage message = JOB__JOB_MESSAGE__INIT;
    Job__JobMessagesResponse response = JOB__JOB_MESSAGES_RESPONSE__INIT;
    char id[24], time[40];
    struct slice bytes;

    snprintf(id, sizeof(id), "%llu", (unsigned long long)event->seq);
    format_time(time, sizeof(time), event->time_ms);
    message.message_id = id;
    message.time = time;
    message.importance = (Job__JobMessage__MessageImportance)event->importance;
    message.message_text = (char *)event->text;
    response.response_case = JOB__JOB_MESSAGES_RESPONSE__RESPONSE_MESSAGE_RESPONSE;
    response.message_response = &message;
    bytes = PB_PACK(&response, NULL);
    rpc_stream_send(watch->stream, &bytes, 1);
}

static void on_event(void *user, const struct job_event *event) {
    struct watch *watch = user;
    size_t limit = watch->service->options.max_stream_queue_bytes;

    if (event->is_state)
        send_state(watch, event);
    else if (watch->wants_messages)
        send_message(watch, event);
    if (event->is_state && job_state_is_terminal(event->state)) {
        rpc_stream_finish(watch->stream, STATUS_OK, "");
    } else if (rpc_stream_queued_bytes(watch->stream) > limit) {
        job_subscription_pause(watch->subscription);
        /* `sent` may have come, and gone on in vain, just before the pause. */
        if (rpc_stream_queued_bytes(watch->stream) <= limit)
            job_subscription_resume(watch->subscription);
    }
}

static void open_watch(struct rpc_stream *stream, struct job_service *service, bool wants_messages) {
    struct watch *watch = xcalloc(1, sizeof(*watch));

    watch->service = service;
    watch->stream = rpc_stream_ref(stream);
    watch->wants_messages = wants_messages;
    atomic_init(&watch->refs, 1);
    pthread_mutex_init(&watch->mutex, NULL);
    rpc_stream_set_user(stream, watch);
    pthread_mutex_lock(&service->mutex);
    list_append(&service->watches, &watch->node);
    pthread_mutex_unlock(&service->mutex);
}

static void state_stream_opened(struct rpc_stream *stream, void *context) {
    open_watch(stream, context, false);
}

static void message_stream_opened(struct rpc_stream *stream, void *context) {
    open_watch(stream, context, true);
}

/* The end of a stream whose job has none yet. Locked. */
static void end_early(struct watch *watch) {
    CLEANUP(freep) char *text = NULL;

    if (!watch->job || job_state_is_terminal(job_current_state(watch->job)))
        return;
    text = xasprintf("the server is shutting down; job %s is not over and is run when the server is back",
                     job_id(watch->job));
    rpc_stream_finish(watch->stream, STATUS_UNAVAILABLE, text);
}

void job_service_end_streams(struct job_service *service) {
    pthread_mutex_lock(&service->mutex);
    service->is_ending = true;
    list_foreach (node, &service->watches)
        end_early(CONTAINER_OF(node, struct watch, node));
    pthread_mutex_unlock(&service->mutex);
}

static void subscribe(struct watch *watch, struct job *job) {
    pthread_mutex_lock(&watch->mutex);
    if (!watch->is_closed) {
        watch->subscription = job_subscribe_paused(job, on_event, watch);
        job_subscription_resume(watch->subscription);
    }
    pthread_mutex_unlock(&watch->mutex);
}

static void job_found(void *user, struct job *job, const struct status *st) {
    struct watch *watch = user;

    if (st) {
        rpc_stream_finish(watch->stream, st->code, status_message(st));
    } else {
        subscribe(watch, job);
        pthread_mutex_lock(&watch->service->mutex);
        watch->job = job;
        if (watch->service->is_ending)
            end_early(watch);
        pthread_mutex_unlock(&watch->service->mutex);
    }
    watch_unref(watch);
}

static void on_request(struct rpc_stream *stream, void *user, struct slice request) {
    struct watch *watch = user;

    (void)stream;
    if (watch->has_request) {
        slice_unref(&request); /* one request a call */
        return;
    }
    watch->has_request = true;
    atomic_fetch_add_explicit(&watch->refs, 1, memory_order_relaxed);
    job_service_find_job(watch->service, request, job_found, watch);
}

static void on_half_closed(struct rpc_stream *stream, void *user) {
    struct watch *watch = user;

    if (!watch->has_request)
        rpc_stream_finish(stream, STATUS_INVALID_ARGUMENT, "the request is missing");
}

static void on_sent(struct rpc_stream *stream, void *user, size_t bytes) {
    struct watch *watch = user;

    (void)stream;
    (void)bytes;
    pthread_mutex_lock(&watch->mutex);
    if (watch->subscription)
        job_subscription_resume(watch->subscription);
    pthread_mutex_unlock(&watch->mutex);
}

static void on_closed(struct rpc_stream *stream, void *user, const struct status *status) {
    struct watch *watch = user;

    (void)stream;
    (void)status;
    pthread_mutex_lock(&watch->service->mutex);
    list_remove(&watch->node);
    pthread_mutex_unlock(&watch->service->mutex);
    pthread_mutex_lock(&watch->mutex);
    watch->is_closed = true;
    pthread_mutex_unlock(&watch->mutex);
    job_unsubscribe(watch->subscription);
    watch_unref(watch);
}

const struct rpc_handler job_state_stream = {
    .opened = state_stream_opened,
    .message = on_request,
    .half_closed = on_half_closed,
    .sent = on_sent,
    .closed = on_closed,
};

const struct rpc_handler job_message_stream = {
    .opened = message_stream_opened,
    .message = on_request,
    .half_closed = on_half_closed,
    .sent = on_sent,
    .closed = on_closed,
};
