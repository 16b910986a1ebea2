#include <assert.h>
#include <grpc/grpc_security.h>
#include <grpc/support/time.h>
#include <stdlib.h>

#include "rpc/internal.h"
#include "rpc/tls.h"

/* How long gRPC waits before it tries to connect again: what we connect to is often just starting. */
#define RECONNECT_FIRST_MS 100
#define RECONNECT_MAX_MS 5000

struct rpc_client {
    struct rpc_queues *queues;
};

struct rpc_channel {
    struct rpc_client *client;
    grpc_channel *channel;
};

struct rpc_client *rpc_client_create(unsigned threads) {
    struct rpc_client *client = xcalloc(1, sizeof(*client));

    client->queues = rpc_queues_create("rpc-client", threads ? threads : 1, NULL);
    return client;
}

void rpc_client_destroy(struct rpc_client *client) {
    if (!client)
        return;
    rpc_queues_cancel_all(client->queues);
    rpc_queues_destroy(client->queues);
    free(client);
}

/* Takes the credentials. `server_name` may be NULL. */
static struct rpc_channel *create_channel(struct rpc_client *client, const char *target,
                                          grpc_channel_credentials *credentials, const char *server_name) {
    struct rpc_channel *channel = xcalloc(1, sizeof(*channel));
    grpc_arg args[] = {
        rpc_int_arg(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, -1),
        rpc_int_arg(GRPC_ARG_MAX_SEND_MESSAGE_LENGTH, -1),
        /* As on the server: what a worker pool could make us inflate has no limit. */
        rpc_int_arg(GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET, 1 << GRPC_COMPRESS_NONE),
        rpc_int_arg(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0),
        rpc_int_arg(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, RECONNECT_FIRST_MS),
        rpc_int_arg(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, RECONNECT_MAX_MS),
        /* A connection of its own: channels to one address do not share a connection, nor each other's backoff. */
        rpc_int_arg(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1),
        rpc_int_arg(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1),
        /* Workers are in our own network, whatever http_proxy says. */
        rpc_int_arg(GRPC_ARG_ENABLE_HTTP_PROXY, 0),
        rpc_int_arg(GRPC_ARG_ENABLE_CHANNELZ, 0),
        /* In 1.51 a call cancelled while it sends can hang for ever in the retry filter (test_rpc:
         * cancelling_drops_what_is_queued, about once in 200). Without it a call costs less, too. */
        rpc_int_arg(GRPC_ARG_ENABLE_RETRIES, 0),
        /* Last, for it is left out where there is none. */
        {.type = GRPC_ARG_STRING,
         .key = (char *)(uintptr_t)GRPC_SSL_TARGET_NAME_OVERRIDE_ARG,
         .value.string = (char *)(uintptr_t)server_name},
    };
    grpc_channel_args all = {.num_args = ARRAY_COUNT(args) - (server_name ? 0 : 1), .args = args};

    channel->client = client;
    channel->channel = grpc_channel_create(target, credentials, &all);
    grpc_channel_credentials_release(credentials);
    return channel;
}

struct rpc_channel *rpc_channel_create(struct rpc_client *client, const char *target) {
    return create_channel(client, target, grpc_insecure_credentials_create(), NULL);
}

struct rpc_channel *rpc_channel_create_tls(struct rpc_client *client, const char *target,
                                           const struct rpc_client_tls *tls) {
    grpc_ssl_pem_key_cert_pair pair = {.private_key = tls->key, .cert_chain = tls->certificate};
    grpc_channel_credentials *credentials =
        grpc_ssl_credentials_create_ex(tls->ca, tls->certificate ? &pair : NULL, NULL, NULL);

    return create_channel(client, target, credentials, tls->server_name);
}

void rpc_channel_destroy(struct rpc_channel *channel) {
    if (!channel)
        return;
    grpc_channel_destroy(channel->channel);
    free(channel);
}

/* --- Calls --- */

static grpc_call *create_call(struct rpc_channel *channel, const char *path, unsigned deadline_ms) {
    struct rpc_queue *queue = rpc_queues_pick(channel->client->queues);
    gpr_timespec deadline = gpr_inf_future(GPR_CLOCK_MONOTONIC);
    grpc_slice method;
    grpc_call *call;

    if (deadline_ms > 0)
        deadline = gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis(deadline_ms, GPR_TIMESPAN));
    method = grpc_slice_from_copied_string(path);
    call = grpc_channel_create_call(channel->channel, NULL, GRPC_PROPAGATE_DEFAULTS, queue->cq, method, NULL, deadline,
                                    NULL);
    grpc_slice_unref(method); /* the call has a reference of its own */
    return call;
}

/* With a request (may be NULL) the stream is half-closed behind it, all in one batch. Returns with two references, the
 * library's and the caller's. */
static struct rpc_stream *open_stream(struct rpc_channel *channel, const char *path,
                                      const struct rpc_metadata *metadata, size_t metadata_count, unsigned deadline_ms,
                                      bool wait_for_ready, const struct rpc_handler *handler, void *user,
                                      const struct slice *request) {
    CLEANUP_STATUS struct status st = {0};
    struct rpc_queues *queues = channel->client->queues;
    struct rpc_stream *stream = rpc_stream_create(queues, create_call(channel, path, deadline_ms), true, handler, user);

    rpc_stream_ref(stream);
    stream->headers_due = true;
    stream->request_metadata = rpc_metadata_to_grpc(metadata, metadata_count, &st);
    stream->request_metadata_count = stream->request_metadata ? metadata_count : 0;
    if (wait_for_ready)
        stream->request_flags =
            GRPC_INITIAL_METADATA_WAIT_FOR_READY | GRPC_INITIAL_METADATA_WAIT_FOR_READY_EXPLICITLY_SET;
    if (!rpc_queues_add(queues, stream))
        status_set(&st, STATUS_CANCELLED, "the client is being shut down");
    if (st.code != STATUS_OK)
        rpc_stream_cancel_with(stream, &st);
    if (request)
        rpc_stream_send_last(stream, rpc_message_create(request, 1), STATUS_OK, NULL);
    rpc_stream_watch_end(stream);
    rpc_stream_start_sending(stream);
    rpc_stream_start_reading(stream);
    return stream;
}

struct rpc_stream *rpc_channel_open(struct rpc_channel *channel, const char *path, const struct rpc_metadata *metadata,
                                    size_t metadata_count, unsigned deadline_ms, bool wait_for_ready,
                                    const struct rpc_handler *handler, void *user) {
    return open_stream(channel, path, metadata, metadata_count, deadline_ms, wait_for_ready, handler, user, NULL);
}

struct unary_call {
    rpc_response_fn done;
    void *user;
    struct slice response;
    unsigned response_count;
};

static void unary_message(struct rpc_stream *stream, void *user, struct slice message) {
    struct unary_call *call = user;

    (void)stream;
    slice_unref(&call->response);
    call->response = message;
    call->response_count++;
}

static void unary_closed(struct rpc_stream *stream, void *user, const struct status *status) {
    CLEANUP_STATUS struct status wrong = {0};
    struct unary_call *call = user;

    (void)stream;
    if (status->code == STATUS_OK && call->response_count != 1) {
        status_set(&wrong, STATUS_INTERNAL, "the server sent %u messages in answer to a unary call",
                   call->response_count);
        status = &wrong;
    }
    if (status->code != STATUS_OK)
        slice_unref(&call->response);
    call->done(call->user, status, call->response);
    free(call);
}

static const struct rpc_handler unary_handler = {.message = unary_message, .closed = unary_closed};

void rpc_channel_call(struct rpc_channel *channel, const char *path, const struct rpc_metadata *metadata,
                      size_t metadata_count, unsigned deadline_ms, bool wait_for_ready, struct slice request,
                      rpc_response_fn done, void *user) {
    struct unary_call *call = xcalloc(1, sizeof(*call));

    call->done = done;
    call->user = user;
    rpc_stream_unref(open_stream(channel, path, metadata, metadata_count, deadline_ms, wait_for_ready, &unary_handler,
                                 call, &request));
}

struct waiting_call {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool is_done;
    struct status status;
    struct slice response;
};

static void wake_waiting(void *user, const struct status *status, struct slice response) {
    struct waiting_call *call = user;

    pthread_mutex_lock(&call->mutex);
    if (status->code != STATUS_OK)
        status_set(&call->status, status->code, "%s", status_message(status));
    call->response = response;
    call->is_done = true;
    pthread_cond_signal(&call->changed);
    pthread_mutex_unlock(&call->mutex);
}

int rpc_channel_call_wait(struct rpc_channel *channel, const char *path, const struct rpc_metadata *metadata,
                          size_t metadata_count, unsigned deadline_ms, bool wait_for_ready, struct slice request,
                          struct slice *ret_response, struct status *st) {
    struct waiting_call call = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

    rpc_channel_call(channel, path, metadata, metadata_count, deadline_ms, wait_for_ready, request, wake_waiting,
                     &call);
    pthread_mutex_lock(&call.mutex);
    while (!call.is_done)
        pthread_cond_wait(&call.changed, &call.mutex);
    pthread_mutex_unlock(&call.mutex);
    pthread_cond_destroy(&call.changed);
    pthread_mutex_destroy(&call.mutex);
    if (call.status.code != STATUS_OK)
        return status_move(st, &call.status);
    if (ret_response)
        *ret_response = call.response;
    else
        slice_unref(&call.response);
    return 0;
}
