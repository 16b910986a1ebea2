/* The Data stream: elements and timers, both ways.
 *
 * Out. A call of fn_worker_send() makes one Elements message whose pieces are a small header and the caller's slices. It is
 * queued on the harness's Data stream or, while the harness has none yet (it opens one when its first bundle comes), in
 * fn_worker.pending. What is queued on the stream is also noted in fn_stream.unsent, in the same order, so that the transport's
 * count of written bytes can be told apart by bundle.
 *
 * In. Each part of a message goes to the host as a view of that message; parts of bundles that are over, or that failed, are
 * dropped, and so are those that say nothing: neither bytes nor an end. A message that cannot be scanned ends the worker. */
#include "fnapi/internal.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "wire/elements.h"

/* ---- out ---- */

static size_t pieces_size(const struct slice *pieces, size_t count) {
    size_t size = 0;

    for (size_t i = 0; i < count; i++)
        size += pieces[i].size;
    return size;
}

/* Queues a message on the stream. Lock held. */
static void send_now(struct fn_stream *stream, const struct fn_pending *message) {
    struct fn_unsent unsent = {.bundle = message->bundle,
                               .wire_bytes = pieces_size(message->pieces, message->count),
                               .payload_bytes = message->payload_bytes};

    /* Noted first: the report may come while we are still in here, and then waits for the lock. */
    vec_push(&stream->unsent, unsent);
    if (!rpc_stream_send(stream->rpc, message->pieces, message->count))
        stream->unsent.count--;
}

/* Takes the slices over. Lock held. */
static void post(struct fn_worker *worker, uint64_t bundle, const struct slice *pieces, size_t count,
                 size_t payload_bytes) {
    struct fn_pending message = {.bundle = bundle, .count = count, .payload_bytes = payload_bytes};

    message.pieces = xcalloc(count, sizeof(*pieces));
    memcpy(message.pieces, pieces, count * sizeof(*pieces));
    if (worker->data) {
        send_now(worker->data, &message);
        free(message.pieces);
    } else {
        vec_push(&worker->pending, message);
    }
}

void fn_data_flush(struct fn_worker *worker) {
    vec_foreach (message, &worker->pending) {
        send_now(worker->data, message);
        free(message->pieces);
    }
    worker->pending.count = 0;
}

void fn_data_drop_pending(struct fn_worker *worker, const uint64_t *bundle) {
    size_t kept = 0;

    vec_foreach (message, &worker->pending) {
        if (bundle && message->bundle != *bundle) {
            worker->pending.items[kept++] = *message;
            continue;
        }
        for (size_t i = 0; i < message->count; i++)
            slice_unref(&message->pieces[i]);
        free(message->pieces);
    }
    worker->pending.count = kept;
}

/* Go's harness ends a bundle's input after exactly 1 + (transforms with timers) end marks, whatever their family, wants them in one
 * message, and closes only the families that it heard of (PROTOCOL F). So it gets all of them at once, when the host has ended
 * everything: one end mark for the source and for each transform, and an empty Timers message for each further family. Lock held. */
static void end_go_input(struct fn_worker *worker, struct fn_bundle *bundle) {
    const struct fn_descriptor *descriptor = bundle->descriptor;
    size_t count = 0;
    char id[FN_INSTRUCTION_ID_SIZE];
    struct slice *pieces;

    if (++bundle->end_marks != 1 + descriptor->family_count)
        return;
    fn_bundle_instruction_id(bundle->number, id);
    pieces = xcalloc(1 + descriptor->family_count, sizeof(*pieces));
    for (size_t i = 0; i < descriptor->family_count; i++)
        pieces[count++] = elements_header(id, descriptor->families[i].transform_id, descriptor->families[i].family_id,
                                          0, descriptor->families[i].is_first_of_transform);
    pieces[count++] = elements_header(id, descriptor->source_transform_id, NULL, 0, true);
    post(worker, bundle->number, pieces, count, 0);
    free(pieces);
}

void fn_worker_send(struct fn_worker *worker, uint64_t number, const char *transform_id, const char *family,
                    const struct slice *pieces, size_t count, bool is_last) {
    size_t payload_bytes = pieces_size(pieces, count);
    struct slice *message = xcalloc(count + 2, sizeof(*message));
    struct fn_bundle *bundle;
    char id[FN_INSTRUCTION_ID_SIZE];
    size_t n = 0;

    fn_bundle_instruction_id(number, id);
    if (payload_bytes) {
        message[n++] = elements_header(id, transform_id, family, payload_bytes, false);
        for (size_t i = 0; i < count; i++)
            message[n++] = pieces[i];
    }
    fn_lock(worker);
    bundle = fn_worker_bundle(worker, number);
    if (!bundle || !fn_worker_is_live(worker)) {
        for (size_t i = 0; i < n; i++)
            slice_unref(&message[i]);
    } else {
        bool is_collected = worker->is_go && bundle->descriptor->family_count;

        /* A part of its own, without payload: Python drops what is_last comes with. */
        if (is_last && !is_collected)
            message[n++] = elements_header(id, transform_id, family, 0, true);
        if (n)
            post(worker, number, message, n, payload_bytes);
        if (is_last && is_collected)
            end_go_input(worker, bundle);
    }
    fn_unlock(worker);
    free(message);
}

/* Takes the first entry's share of what was written; false when there is nothing left to tell. Lock held. */
static bool next_sent(struct fn_stream *stream, size_t *left, uint64_t *ret_bundle, size_t *ret_payload) {
    *ret_payload = 0;
    while (stream->unsent_head < stream->unsent.count) {
        struct fn_unsent *first = &stream->unsent.items[stream->unsent_head];

        if (*ret_payload && first->bundle != *ret_bundle)
            break;
        if (first->wire_bytes > *left) {
            first->wire_bytes -= *left;
            *left = 0;
            break;
        }
        *left -= first->wire_bytes;
        if (first->payload_bytes)
            *ret_bundle = first->bundle;
        *ret_payload += first->payload_bytes;
        stream->unsent_head++;
    }
    /* Moved down only now and then, so that each entry is moved once on average. */
    if (stream->unsent_head * 2 > stream->unsent.count) {
        stream->unsent.count -= stream->unsent_head;
        memmove(stream->unsent.items, stream->unsent.items + stream->unsent_head,
                stream->unsent.count * sizeof(*stream->unsent.items));
        stream->unsent_head = 0;
    }
    return *ret_payload != 0;
}

static void data_sent(struct rpc_stream *rpc, void *user, size_t bytes) {
    struct fn_stream *stream = user;
    struct fn_worker *worker;
    uint64_t bundle = 0;
    size_t payload;
    bool more = true;

    (void)rpc;
    if (!stream)
        return;
    worker = stream->worker;
    while (more) {
        bool is_wanted;

        fn_lock(worker);
        more = next_sent(stream, &bytes, &bundle, &payload);
        is_wanted = more && fn_worker_is_live(worker) && fn_worker_bundle(worker, bundle);
        fn_unlock(worker);
        if (is_wanted && worker->handler->sent)
            worker->handler->sent(worker->user, bundle, payload);
    }
}

/* ---- in ---- */

static struct slice slice_of_cursor(struct cursor c) {
    return slice_of_static(c.at, cursor_left(&c));
}

/* Whether the host wants this part. Lock held. */
static bool is_wanted(const struct fn_worker *worker, const struct elements_part *part, uint64_t number) {
    const struct fn_bundle *bundle = fn_worker_bundle(worker, number);

    if (!bundle || bundle->has_failed || !fn_worker_is_live(worker))
        return false;
    if (part->is_timers)
        return true;
    for (size_t i = 0; i < bundle->descriptor->sink_count; i++)
        if (slice_equal(bundle->descriptor->sinks[i], slice_of_cursor(part->transform_id)))
            return true;
    return false;
}

static void deliver(struct fn_worker *worker, struct slice message, const struct elements_part *part) {
    struct slice family = slice_of_cursor(part->timer_family_id);
    struct slice bytes;
    uint64_t number = 0;
    bool deliverable =
        fn_bundle_of_instruction_id(part->instruction_id.at, cursor_left(&part->instruction_id), &number);

    if (deliverable) {
        fn_lock(worker);
        deliverable = is_wanted(worker, part, number);
        if (deliverable && worker->handler->elements)
            fn_worker_given(worker, cursor_left(&part->bytes));
        fn_unlock(worker);
    }
    if (!deliverable) {
        fn_worker_ignore(worker);
        return;
    }
    if (!worker->handler->elements)
        return;
    bytes = slice_sub(message, (size_t)(part->bytes.at - message.data), cursor_left(&part->bytes));
    worker->handler->elements(worker->user, number, slice_of_cursor(part->transform_id),
                              part->is_timers ? &family : NULL, bytes, part->is_last);
}

static void data_message(struct rpc_stream *rpc, void *user, struct slice message) {
    struct fn_stream *stream = user;
    struct elements_scanner scanner = elements_scan(message);
    struct elements_part part;
    struct account *account;
    int more;

    if (stream) {
        account = fn_worker_account(stream->worker);
        fn_rehome(&message, account);
        account_unref(account);
        /* Each part that is passed on costs the host an event, a hundred times the size of one that says nothing. */
        while ((more = elements_next(&scanner, &part)) == 1)
            if (part.is_last || cursor_left(&part.bytes))
                deliver(stream->worker, message, &part);
        if (more < 0) {
            fn_worker_fail(stream->worker, STATUS_INVALID_ARGUMENT,
                           "the SDK harness sent a malformed Elements message of %zu bytes on its Data stream",
                           message.size);
            rpc_stream_cancel(rpc);
        }
    }
    slice_unref(&message);
}

/* ---- the stream ---- */

static void data_opened(struct rpc_stream *rpc, void *context) {
    fn_service_attach(context, rpc, FN_DATA);
}

static void data_half_closed(struct rpc_stream *rpc, void *user) {
    struct fn_stream *stream = user;

    if (!stream)
        return;
    fn_worker_lose_stream(stream, "Data");
    if (rpc_stream_queued_bytes(rpc))
        rpc_stream_cancel(rpc);
    else
        rpc_stream_finish(rpc, STATUS_OK, NULL);
}

static void data_closed(struct rpc_stream *rpc, void *user, const struct status *status) {
    struct fn_stream *stream = user;

    (void)rpc;
    (void)status;
    if (!stream)
        return;
    fn_worker_lose_stream(stream, "Data");
    fn_stream_detach(stream);
}

const struct rpc_handler fn_data_handler = {
    .opened = data_opened,
    .message = data_message,
    .half_closed = data_half_closed,
    .sent = data_sent,
    .closed = data_closed,
};
