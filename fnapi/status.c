/* The WorkerStatus stream: the runner asks, the harness answers with text (its threads, caches, bundles in progress). Nothing depends on
 * it: a harness without one, or whose stream ends, works on, and what was asked is not answered. */
#include "fnapi/internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Locked. NULL: the harness has opened none. */
static struct fn_stream *status_stream(const struct fn_worker *worker) {
    list_foreach (node, &worker->streams) {
        struct fn_stream *stream = CONTAINER_OF(node, struct fn_stream, node);

        if (stream->kind == FN_STATUS)
            return stream;
    }
    return NULL;
}

bool fn_worker_has_status(struct fn_worker *worker) {
    bool has_status;

    fn_lock(worker);
    has_status = fn_worker_is_live(worker) && status_stream(worker);
    fn_unlock(worker);
    return has_status;
}

bool fn_worker_ask_status(struct fn_worker *worker, uint64_t token) {
    Fn__WorkerStatusRequest request = FN__WORKER_STATUS_REQUEST__INIT;
    char id[FN_INSTRUCTION_ID_SIZE];
    struct fn_stream *stream;
    struct slice message;
    bool is_sent = false;

    snprintf(id, sizeof(id), "%" PRIu64, token);
    request.id = id;
    fn_lock(worker);
    stream = fn_worker_is_live(worker) ? status_stream(worker) : NULL;
    if (stream) {
        message = PB_PACK(&request, NULL);
        is_sent = rpc_stream_send(stream->rpc, &message, 1);
    }
    fn_unlock(worker);
    return is_sent;
}

static void deliver(struct fn_worker *worker, const Fn__WorkerStatusResponse *response) {
    bool is_error = response->error[0] != '\0';
    char *end;
    uint64_t token = strtoull(response->id, &end, 10);

    if (!response->id[0] || *end) {
        fn_worker_ignore(worker);
        return;
    }
    if (worker->handler->status && fn_worker_check_live(worker))
        worker->handler->status(worker->user, token, is_error ? response->error : response->status_info, is_error);
}

static void status_message_arrived(struct rpc_stream *rpc, void *user, struct slice bytes) {
    struct fn_stream *stream = user;
    Fn__WorkerStatusResponse *response;
    struct arena arena = {0};

    if (stream) {
        if (PB_UNPACK(Fn__WorkerStatusResponse, fn__worker_status_response, bytes, PB_STRINGS_LENIENT, &arena,
                      &response, NULL) == 0)
            deliver(stream->worker, response);
        else
            rpc_stream_finish(rpc, STATUS_INVALID_ARGUMENT, "this is no WorkerStatusResponse");
    }
    arena_clear(&arena);
    slice_unref(&bytes);
}

static void status_opened(struct rpc_stream *rpc, void *context) {
    fn_service_attach(context, rpc, FN_STATUS);
}

static void status_half_closed(struct rpc_stream *rpc, void *user) {
    if (user)
        rpc_stream_finish(rpc, STATUS_OK, NULL);
}

static void status_closed(struct rpc_stream *rpc, void *user, const struct status *status) {
    (void)rpc;
    (void)status;
    if (user)
        fn_stream_detach(user);
}

const struct rpc_handler fn_status_handler = {
    .opened = status_opened,
    .message = status_message_arrived,
    .half_closed = status_half_closed,
    .closed = status_closed,
};
