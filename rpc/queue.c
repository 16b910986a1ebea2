#include <assert.h>
#include <grpc/support/log.h>
#include <grpc/support/time.h>
#include <signal.h>
#include <stdlib.h>

#include "base/log.h"
#include "rpc/internal.h"

/* gRPC's own lines ("Failed to connect ...") are repeated in the statuses that it returns. */
static void forward_log(gpr_log_func_args *args) {
    log_debug("grpc", "%s", args->message);
}

void rpc_init(void) {
    sigset_t all, old;

    /* gRPC wakes up every five seconds for client channels nobody polls. Ours are polled: a thread of the client
     * always is in grpc_completion_queue_next(). */
    setenv("GRPC_CLIENT_CHANNEL_BACKUP_POLL_INTERVAL_MS", "0", 0);
    gpr_set_log_function(forward_log);
    /* Signals are for the thread that waits for them; gRPC's threads inherit this mask. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    grpc_init();
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

void rpc_shutdown(void) {
    grpc_shutdown();
}

/* --- Streams whose first message is due --- */

static int64_t now_ns(void) {
    gpr_timespec now = gpr_now(GPR_CLOCK_MONOTONIC);

    return now.tv_sec * 1000000000 + now.tv_nsec;
}

static struct rpc_stream *first_waiting(const struct rpc_queue *queue) {
    return list_empty(&queue->waiting) ? NULL : CONTAINER_OF(queue->waiting.next, struct rpc_stream, wait_link);
}

static void refuse_first(struct rpc_queue *queue, enum status_code code, const char *why) {
    struct rpc_stream *stream = first_waiting(queue);

    rpc_queue_message_came(stream);
    rpc_stream_refuse(stream, code, why);
}

void rpc_queue_await_message(struct rpc_queue *queue, struct rpc_stream *stream, unsigned timeout_ms,
                             unsigned maximum) {
    if (queue->waiting_count >= maximum)
        refuse_first(queue, STATUS_RESOURCE_EXHAUSTED,
                     "too many calls are open whose request has not arrived (limits.max_waiting_calls)");
    stream->awaited_by = queue;
    stream->message_due_ns = now_ns() + (int64_t)timeout_ms * 1000000;
    list_append(&queue->waiting, &stream->wait_link);
    queue->waiting_count++;
}

void rpc_queue_message_came(struct rpc_stream *stream) {
    if (!stream->awaited_by)
        return;
    list_remove(&stream->wait_link);
    stream->awaited_by->waiting_count--;
    stream->awaited_by = NULL;
}

static void refuse_late(struct rpc_queue *queue) {
    const struct rpc_stream *stream;

    while ((stream = first_waiting(queue)) && stream->message_due_ns <= now_ns())
        refuse_first(queue, STATUS_DEADLINE_EXCEEDED, "the request did not arrive in time (limits.request_timeout)");
}

static gpr_timespec next_deadline(const struct rpc_queue *queue) {
    const struct rpc_stream *stream = first_waiting(queue);

    if (!stream)
        return gpr_inf_future(GPR_CLOCK_MONOTONIC);
    return gpr_time_from_nanos(stream->message_due_ns, GPR_CLOCK_MONOTONIC);
}

/* --- The threads --- */

static void *queue_thread(void *user) {
    struct rpc_queue *queue = user;

    for (;;) {
        grpc_event event = grpc_completion_queue_next(queue->cq, next_deadline(queue), NULL);
        struct rpc_tag *tag;

        if (event.type == GRPC_QUEUE_SHUTDOWN)
            return NULL;
        refuse_late(queue);
        if (event.type == GRPC_QUEUE_TIMEOUT)
            continue;
        tag = event.tag;
        RPC_TAKEN_FROM_GRPC(tag);
        tag->complete(tag, event.success != 0);
    }
}

void rpc_queue_start(struct rpc_queue *queue, const char *name, grpc_cq_polling_type polling) {
    grpc_completion_queue_attributes attributes = {
        .version = GRPC_CQ_CURRENT_VERSION, .cq_completion_type = GRPC_CQ_NEXT, .cq_polling_type = polling};
    sigset_t all, old;

    queue->cq = grpc_completion_queue_create(grpc_completion_queue_factory_lookup(&attributes), &attributes, NULL);
    list_init(&queue->waiting);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    if (pthread_create(&queue->thread, NULL, queue_thread, queue) != 0)
        abort(); /* a machine that cannot start a handful of threads at start-up */
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_setname_np(queue->thread, name);
}

void rpc_queue_stop(struct rpc_queue *queue) {
    grpc_completion_queue_shutdown(queue->cq);
    pthread_join(queue->thread, NULL);
    grpc_completion_queue_destroy(queue->cq);
}

struct rpc_queues *rpc_queues_create(const char *name, unsigned threads, struct account *account) {
    struct rpc_queues *queues = xcalloc(1, sizeof(*queues) + threads * sizeof(queues->queue[0]));
    pthread_condattr_t attributes;

    pthread_mutex_init(&queues->mutex, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&queues->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    list_init(&queues->streams);
    queues->account = account ? account_ref(account) : NULL;
    queues->count = threads;
    for (unsigned i = 0; i < threads; i++)
        rpc_queue_start(&queues->queue[i], name, GRPC_CQ_DEFAULT_POLLING);
    return queues;
}

void rpc_queues_destroy(struct rpc_queues *queues) {
    assert(list_empty(&queues->streams));
    for (unsigned i = 0; i < queues->count; i++)
        rpc_queue_stop(&queues->queue[i]);
    account_unref(queues->account);
    pthread_cond_destroy(&queues->changed);
    pthread_mutex_destroy(&queues->mutex);
    free(queues);
}

struct rpc_queue *rpc_queues_pick(struct rpc_queues *queues) {
    return &queues->queue[atomic_fetch_add_explicit(&queues->turn, 1, memory_order_relaxed) % queues->count];
}

bool rpc_queues_add(struct rpc_queues *queues, struct rpc_stream *stream) {
    bool is_open;

    pthread_mutex_lock(&queues->mutex);
    list_append(&queues->streams, &stream->link);
    is_open = !queues->is_closing;
    pthread_mutex_unlock(&queues->mutex);
    return is_open;
}

void rpc_queues_remove(struct rpc_queues *queues, struct rpc_stream *stream) {
    pthread_mutex_lock(&queues->mutex);
    list_remove(&stream->link);
    if (list_empty(&queues->streams))
        pthread_cond_broadcast(&queues->changed);
    pthread_mutex_unlock(&queues->mutex);
}

void rpc_queues_wait_empty(struct rpc_queues *queues) {
    pthread_mutex_lock(&queues->mutex);
    while (!list_empty(&queues->streams))
        pthread_cond_wait(&queues->changed, &queues->mutex);
    pthread_mutex_unlock(&queues->mutex);
}

void rpc_queues_cancel_all(struct rpc_queues *queues) {
    pthread_mutex_lock(&queues->mutex);
    queues->is_closing = true;
    /* Here alone a stream's mutex is taken inside the set's. Cancelling only queues events, no stream leaves. */
    list_foreach (node, &queues->streams)
        rpc_stream_cancel(CONTAINER_OF(node, struct rpc_stream, link));
    pthread_mutex_unlock(&queues->mutex);
    rpc_queues_wait_empty(queues);
}
