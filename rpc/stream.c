/* The state machine of one call. See struct rpc_stream in rpc/internal.h for what is guarded by what.
 *
 *      reading    start_receive -> on_received -> handler -> start_receive ...       until NULL, paused or ended
 *      sending    claim_send -> start_send -> on_sent -> claim_send ...              until the queue is empty
 *      the end    rpc_stream_watch_end -> on_ended
 *
 * Whichever of the three completes last closes the stream. */
#include <assert.h>
#include <grpc/support/alloc.h>
#include <stdlib.h>

#include "rpc/internal.h"

/* HTTP/2 messages of gRPC have a length of four bytes. */
#define MESSAGE_MAX_BYTES UINT32_MAX
#define REPORT_SENT_BYTES (1 << 20)

struct send_batch {
    grpc_call *call;
    size_t op_count;
    grpc_op ops[3];
};

static void start_batch(grpc_call *call, const grpc_op *ops, size_t count, struct rpc_tag *tag) {
    grpc_call_error error;

    RPC_GIVEN_TO_GRPC(tag);
    error = grpc_call_start_batch(call, ops, count, tag, NULL);
    assert(error == GRPC_CALL_OK);
    (void)error;
}

/* --- The end --- */

static void stream_free(struct rpc_stream *stream) {
    assert(!stream->call);
    rpc_metadata_free(stream->request_metadata, stream->request_metadata_count);
    grpc_slice_buffer_destroy(&stream->sending_buffer.data.raw.slice_buffer);
    grpc_slice_unref(stream->finish_details);
    grpc_slice_unref(stream->end_details);
    free(stream->metadata.entries);
    gpr_free(stream->peer);
    pthread_mutex_destroy(&stream->mutex);
    free(stream);
}

struct rpc_stream *rpc_stream_ref(struct rpc_stream *stream) {
    atomic_fetch_add_explicit(&stream->refs, 1, memory_order_relaxed);
    return stream;
}

void rpc_stream_unref(struct rpc_stream *stream) {
    if (stream && atomic_fetch_sub_explicit(&stream->refs, 1, memory_order_acq_rel) == 1)
        stream_free(stream);
}

static void end_status(const struct rpc_stream *stream, struct status *st) {
    if (stream->is_client)
        rpc_status_receive(st, stream->end_code, stream->end_details);
    else if (stream->end_cancelled)
        status_set(st, STATUS_CANCELLED, "the call was cancelled, or the peer went away");
}

/* After every completion, on the RPC thread: it may have been the last. */
static void close_if_over(struct rpc_stream *stream) {
    CLEANUP_STATUS struct status st = {0};
    struct rpc_queues *queues = stream->queues;
    grpc_call *call;

    pthread_mutex_lock(&stream->mutex);
    if (!stream->is_ended || stream->outstanding > 0) {
        pthread_mutex_unlock(&stream->mutex);
        return;
    }
    call = stream->call;
    stream->call = NULL;
    pthread_mutex_unlock(&stream->mutex);
    rpc_queue_message_came(stream);
    end_status(stream, &st);
    if (stream->handler->closed)
        stream->handler->closed(stream, stream->user, &st);
    rpc_connection_call_closed(stream->connection, stream->end_cancelled || stream->is_turned_away);
    /* Not kept for those who hold references: a server does not shut down while one of its calls exists. */
    grpc_call_unref(call);
    rpc_queues_remove(queues, stream);
    rpc_stream_unref(stream);
}

/* Locked. Returns what the caller is to free, unlocked. */
static struct rpc_message *drop_queue(struct rpc_stream *stream) {
    struct rpc_message *first = stream->queue_first;

    stream->queue_first = stream->queue_last = NULL;
    atomic_store_explicit(&stream->queued_bytes, stream->sending_bytes, memory_order_relaxed);
    return first;
}

static void on_ended(struct rpc_tag *tag, bool ok) {
    struct rpc_stream *stream = CONTAINER_OF(tag, struct rpc_stream, ended);
    struct rpc_message *dropped;

    (void)ok;
    if (stream->is_client)
        grpc_metadata_array_destroy(&stream->trailing_metadata);
    pthread_mutex_lock(&stream->mutex);
    stream->is_ended = true;
    stream->outstanding--;
    dropped = drop_queue(stream);
    pthread_mutex_unlock(&stream->mutex);
    rpc_message_free_all(dropped);
    close_if_over(stream);
}

void rpc_stream_watch_end(struct rpc_stream *stream) {
    grpc_op op = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER};

    if (stream->is_client) {
        op.op = GRPC_OP_RECV_STATUS_ON_CLIENT;
        op.data.recv_status_on_client.trailing_metadata = &stream->trailing_metadata;
        op.data.recv_status_on_client.status = &stream->end_code;
        op.data.recv_status_on_client.status_details = &stream->end_details;
    } else {
        op.data.recv_close_on_server.cancelled = &stream->end_cancelled;
    }
    stream->outstanding++;
    start_batch(stream->call, &op, 1, &stream->ended);
}

/* --- Reading --- */

/* Claimed: `receiving` is set and the batch counted. */
static void start_receive(struct rpc_stream *stream, grpc_call *call) {
    grpc_op ops[2] = {{.op = GRPC_OP_RECV_MESSAGE}, {.op = GRPC_OP_RECV_INITIAL_METADATA}};

    ops[0].data.recv_message.recv_message = &stream->incoming;
    ops[1].data.recv_initial_metadata.recv_initial_metadata = &stream->initial_metadata;
    start_batch(call, ops, stream->want_initial_metadata ? 2 : 1, &stream->received);
}

/* Locked. */
static grpc_call *claim_receive(struct rpc_stream *stream) {
    if (stream->receiving || stream->is_paused || stream->is_read_out || stream->is_ended)
        return NULL;
    stream->receiving = true;
    stream->outstanding++;
    return stream->call;
}

void rpc_stream_start_reading(struct rpc_stream *stream) {
    grpc_call *call;

    pthread_mutex_lock(&stream->mutex);
    call = claim_receive(stream);
    pthread_mutex_unlock(&stream->mutex);
    if (call)
        start_receive(stream, call);
}

void rpc_stream_refuse(struct rpc_stream *stream, enum status_code code, const char *message) {
    char *text = xstrdup(message);

    stream->is_refused = true;
    if (stream->is_client)
        rpc_stream_cancel_with(stream, &(struct status){.code = code, .message = text});
    else
        rpc_stream_finish(stream, code, message);
    free(text);
}

static void deliver(struct rpc_stream *stream, grpc_byte_buffer *buffer) {
    struct slice message;

    rpc_queue_message_came(stream);
    rpc_connection_made_sense(stream->connection);
    if (rpc_message_is_compressed(buffer))
        rpc_stream_refuse(stream, STATUS_UNIMPLEMENTED, "compressed messages are not accepted");
    message = rpc_message_receive(buffer, stream->queues->account);
    if (stream->handler->message && !stream->is_refused)
        stream->handler->message(stream, stream->user, message);
    else
        slice_unref(&message);
}

static void on_received(struct rpc_tag *tag, bool ok) {
    struct rpc_stream *stream = CONTAINER_OF(tag, struct rpc_stream, received);
    grpc_byte_buffer *buffer = stream->incoming;
    grpc_call *call;

    stream->incoming = NULL;
    if (stream->want_initial_metadata) {
        stream->want_initial_metadata = false;
        stream->metadata = rpc_metadata_copy(&stream->initial_metadata, NULL);
        grpc_metadata_array_destroy(&stream->initial_metadata);
    }
    /* `outstanding` still counts this batch, so that the call exists and nothing closes meanwhile. */
    if (buffer)
        deliver(stream, buffer);
    else if (ok && !stream->is_client && stream->handler->half_closed && !stream->is_refused &&
             !grpc_call_failed_before_recv_message(stream->call))
        stream->handler->half_closed(stream, stream->user);

    pthread_mutex_lock(&stream->mutex);
    stream->receiving = false;
    stream->outstanding--;
    stream->is_read_out = !buffer;
    call = claim_receive(stream);
    pthread_mutex_unlock(&stream->mutex);
    if (call)
        start_receive(stream, call);
    else
        close_if_over(stream);
}

void rpc_stream_pause(struct rpc_stream *stream) {
    pthread_mutex_lock(&stream->mutex);
    stream->is_paused = true;
    pthread_mutex_unlock(&stream->mutex);
}

void rpc_stream_resume(struct rpc_stream *stream) {
    grpc_call *call;

    pthread_mutex_lock(&stream->mutex);
    stream->is_paused = false;
    call = claim_receive(stream);
    pthread_mutex_unlock(&stream->mutex);
    if (call)
        start_receive(stream, call);
}

/* --- Sending --- */

static grpc_op *add_op(struct send_batch *batch, grpc_op_type type) {
    grpc_op *op = &batch->ops[batch->op_count++];

    *op = (grpc_op){.op = type};
    return op;
}

/* Locked, these three. */
static void add_headers(struct rpc_stream *stream, struct send_batch *batch) {
    grpc_op *op = add_op(batch, GRPC_OP_SEND_INITIAL_METADATA);

    op->flags = stream->request_flags;
    op->data.send_initial_metadata.count = stream->request_metadata_count;
    op->data.send_initial_metadata.metadata = stream->request_metadata;
    stream->headers_sent = true;
}

static void add_message(struct rpc_stream *stream, struct send_batch *batch, bool with_headers) {
    struct rpc_message *message = stream->queue_first;
    grpc_op *op = add_op(batch, GRPC_OP_SEND_MESSAGE);

    stream->queue_first = message->next;
    if (!message->next)
        stream->queue_last = NULL;
    stream->sending_bytes = message->size_bytes;
    grpc_slice_buffer_addn(&stream->sending_buffer.data.raw.slice_buffer, message->slices, message->slice_count);
    free(message); /* its slices have moved */
    op->data.send_message.send_message = &stream->sending_buffer;
    /* Headers in the batch would wait for the buffer to be written, and the next send, which writes it, for them. */
    op->flags = stream->queue_first && !with_headers ? GRPC_WRITE_BUFFER_HINT : 0;
}

static void add_finish(struct rpc_stream *stream, struct send_batch *batch) {
    grpc_op *op;

    stream->finish_sent = true;
    if (stream->is_client) {
        add_op(batch, GRPC_OP_SEND_CLOSE_FROM_CLIENT);
        return;
    }
    op = add_op(batch, GRPC_OP_SEND_STATUS_FROM_SERVER);
    op->data.send_status_from_server.status = stream->finish_code;
    if (GRPC_SLICE_LENGTH(stream->finish_details) > 0)
        op->data.send_status_from_server.status_details = &stream->finish_details;
}

/* Locked. Makes a batch of what is due; returns false when that is nothing, or another batch is still under way. */
static bool claim_send(struct rpc_stream *stream, struct send_batch *batch) {
    bool finishes = stream->finish_requested && !stream->finish_sent;
    bool headers = !stream->headers_sent;

    if (stream->sending || stream->is_ended || stream->is_send_over)
        return false;
    if (!stream->queue_first && !finishes && !(headers && stream->headers_due))
        return false;
    batch->call = stream->call;
    batch->op_count = 0;
    if (headers)
        add_headers(stream, batch);
    if (stream->queue_first)
        add_message(stream, batch, headers);
    if (finishes && !stream->queue_first)
        add_finish(stream, batch);
    stream->sending = true;
    stream->outstanding++;
    return true;
}

static void start_send(struct rpc_stream *stream, const struct send_batch *batch) {
    start_batch(batch->call, batch->ops, batch->op_count, &stream->sent);
}

/* Locked. Returns the bytes to report: once the queue has run empty, and now and then before, so that whoever refills it by what is
 * reported need not wait until nothing is left. */
static size_t count_sent(struct rpc_stream *stream) {
    size_t bytes = 0;

    grpc_slice_buffer_reset_and_unref(&stream->sending_buffer.data.raw.slice_buffer);
    atomic_fetch_sub_explicit(&stream->queued_bytes, stream->sending_bytes, memory_order_relaxed);
    stream->unreported_bytes += stream->sending_bytes;
    stream->sending_bytes = 0;
    stream->sending = false;
    stream->outstanding--;
    if (!stream->queue_first || stream->unreported_bytes >= REPORT_SENT_BYTES) {
        bytes = stream->unreported_bytes;
        stream->unreported_bytes = 0;
    }
    return bytes;
}

static void on_sent(struct rpc_tag *tag, bool ok) {
    struct rpc_stream *stream = CONTAINER_OF(tag, struct rpc_stream, sent);
    struct rpc_message *dropped = NULL;
    struct send_batch batch;
    size_t report_bytes;
    bool has_next;

    rpc_connection_made_sense(stream->connection);
    pthread_mutex_lock(&stream->mutex);
    report_bytes = count_sent(stream);
    if (!ok && !stream->is_send_over) {
        /* The connection broke or the peer ended the call: the end is on its way. Cancelling now could put our status
         * in the place of the peer's. */
        stream->is_send_over = true;
        dropped = drop_queue(stream);
    }
    has_next = claim_send(stream, &batch);
    report_bytes = ok && stream->handler->sent ? report_bytes : 0;
    pthread_mutex_unlock(&stream->mutex);
    rpc_message_free_all(dropped);
    /* Only this thread closes the stream, so that it is still there for the report. */
    if (has_next)
        start_send(stream, &batch);
    if (report_bytes > 0)
        stream->handler->sent(stream, stream->user, report_bytes);
    if (!has_next)
        close_if_over(stream);
}

/* Locked. */
static void enqueue(struct rpc_stream *stream, struct rpc_message *message) {
    if (stream->queue_last)
        stream->queue_last->next = message;
    else
        stream->queue_first = message;
    stream->queue_last = message;
    atomic_fetch_add_explicit(&stream->queued_bytes, message->size_bytes, memory_order_relaxed);
}

/* Locked. */
static bool takes_no_more(const struct rpc_stream *stream) {
    return stream->finish_requested || stream->is_send_over || stream->is_ended;
}

bool rpc_stream_send(struct rpc_stream *stream, const struct slice *pieces, size_t count) {
    struct rpc_message *message = rpc_message_create(pieces, count);
    struct send_batch batch;
    bool is_taken, has_batch = false;

    pthread_mutex_lock(&stream->mutex);
    is_taken = !takes_no_more(stream) && message->size_bytes <= MESSAGE_MAX_BYTES;
    if (is_taken) {
        enqueue(stream, message);
        has_batch = claim_send(stream, &batch);
    }
    pthread_mutex_unlock(&stream->mutex);
    if (has_batch)
        start_send(stream, &batch);
    if (!is_taken)
        rpc_message_free_all(message);
    return is_taken;
}

void rpc_stream_send_last(struct rpc_stream *stream, struct rpc_message *message, enum status_code code,
                          const char *text) {
    struct rpc_message *dropped = message;
    struct send_batch batch;
    bool has_batch = false;

    pthread_mutex_lock(&stream->mutex);
    if (!takes_no_more(stream)) {
        if (message && message->size_bytes > MESSAGE_MAX_BYTES) {
            code = STATUS_RESOURCE_EXHAUSTED;
            text = "the answer is larger than 4 GiB, the most that a gRPC message can hold";
        } else if (message) {
            enqueue(stream, message);
            dropped = NULL;
        }
        stream->finish_requested = true;
        stream->finish_code = (grpc_status_code)code;
        if (!stream->is_client && text)
            stream->finish_details = rpc_status_text(text);
        has_batch = claim_send(stream, &batch);
    }
    pthread_mutex_unlock(&stream->mutex);
    if (has_batch)
        start_send(stream, &batch);
    rpc_message_free_all(dropped);
}

void rpc_stream_finish(struct rpc_stream *stream, enum status_code code, const char *message) {
    rpc_stream_send_last(stream, NULL, code, message);
}

void rpc_stream_start_sending(struct rpc_stream *stream) {
    struct send_batch batch;
    bool has_batch;

    pthread_mutex_lock(&stream->mutex);
    stream->sending = false;
    has_batch = claim_send(stream, &batch);
    pthread_mutex_unlock(&stream->mutex);
    if (has_batch)
        start_send(stream, &batch);
}

void rpc_stream_cancel_with(struct rpc_stream *stream, const struct status *status) {
    struct rpc_message *dropped = NULL;

    pthread_mutex_lock(&stream->mutex);
    if (!stream->is_ended) {
        stream->is_send_over = true;
        dropped = drop_queue(stream);
        grpc_call_cancel_with_status(stream->call, (grpc_status_code)status->code, status_message(status), NULL);
    }
    pthread_mutex_unlock(&stream->mutex);
    rpc_message_free_all(dropped);
}

void rpc_stream_cancel(struct rpc_stream *stream) {
    char text[] = "cancelled";

    rpc_stream_cancel_with(stream, &(struct status){.code = STATUS_CANCELLED, .message = text});
}

/* --- What is known of a stream --- */

size_t rpc_stream_queued_bytes(const struct rpc_stream *stream) {
    return atomic_load_explicit(&stream->queued_bytes, memory_order_relaxed);
}

struct slice rpc_stream_metadata(const struct rpc_stream *stream, const char *key) {
    for (size_t i = 0; i < stream->metadata.count; i++)
        if (slice_equal_string(stream->metadata.entries[i].key, key))
            return stream->metadata.entries[i].value;
    return SLICE_EMPTY;
}

const char *rpc_stream_peer(const struct rpc_stream *stream) {
    /* Asked for seldom, so fetched when asked for; not a change that the caller could see. */
    struct rpc_stream *self = (struct rpc_stream *)(uintptr_t)stream;
    const char *peer;

    pthread_mutex_lock(&self->mutex);
    if (!self->peer && self->call)
        self->peer = grpc_call_get_peer(self->call);
    peer = self->peer ? self->peer : "unknown";
    pthread_mutex_unlock(&self->mutex);
    return peer;
}

void rpc_stream_set_user(struct rpc_stream *stream, void *user) {
    stream->user = user;
}

struct rpc_stream *rpc_stream_create(struct rpc_queues *queues, grpc_call *call, bool is_client,
                                     const struct rpc_handler *handler, void *user) {
    struct rpc_stream *stream = xcalloc(1, sizeof(*stream));

    stream->received.complete = on_received;
    stream->sent.complete = on_sent;
    stream->ended.complete = on_ended;
    list_init(&stream->link);
    list_init(&stream->wait_link);
    atomic_init(&stream->refs, 1);
    stream->queues = queues;
    stream->handler = handler;
    stream->user = user;
    stream->is_client = is_client;
    stream->want_initial_metadata = is_client;
    stream->call = call;
    stream->sending = true;
    stream->finish_details = grpc_empty_slice();
    stream->end_details = grpc_empty_slice();
    stream->sending_buffer.type = GRPC_BB_RAW;
    stream->sending_buffer.data.raw.compression = GRPC_COMPRESS_NONE;
    grpc_slice_buffer_init(&stream->sending_buffer.data.raw.slice_buffer);
    pthread_mutex_init(&stream->mutex, NULL);
    return stream;
}
