/* Calls are taken by a thread of their own, the acceptor, which does none of gRPC's work: a thread that polls reads from a connection for as long
 * as there is something to read, and a peer that floods the port keeps it from everything else. The acceptor counts the call (connection.c)
 * and hands it to the next of the polling threads, where it lives. One request for a call, of whatever path, is outstanding at a time. */
#include <assert.h>
#include <errno.h>
#include <grpc/grpc_security.h>
#include <grpc/support/alloc.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/map.h"
#include "rpc/internal.h"
#include "rpc/tls.h"

#define DEFAULT_THREADS 2

struct method {
    const struct rpc_method *row;
    void *context;
};

/* A call from when it is asked for until it is opened. */
struct arrival {
    struct rpc_tag tag;
    struct rpc_server *server;
    struct rpc_queue *queue; /* where it is to live */
    struct rpc_stream *stream;
    grpc_call *call;
    grpc_call_details details;
    grpc_metadata_array metadata;
};

struct rpc_server {
    grpc_server *server;
    struct rpc_queues *queues;
    struct map methods; /* path -> struct method */
    struct rpc_queue acceptor;
    struct rpc_tls_source *tls; /* NULL: it does not listen with TLS */
    struct rpc_server_limits limits;
    rpc_admit_fn admit; /* NULL: everybody may call */
    void *admit_user;
    struct rpc_tag shut_down_tag;
    /* Under the queues' mutex. */
    bool is_shut_down;
    bool is_accepting; /* gRPC, or the acceptor, which has just taken a call, still holds a request for one */
};

/* --- Unary methods --- */

static void unary_message(struct rpc_stream *call, void *user, struct slice request) {
    struct method *method = user;

    /* Nothing else is of interest; the half-close need not be read for the call to end. */
    rpc_stream_pause(call);
    call->awaits_answer = true;
    rpc_stream_ref(call); /* the method's, until it answers */
    method->row->unary(call, method->context, request);
}

static void unary_half_closed(struct rpc_stream *call, void *user) {
    (void)user;
    rpc_stream_finish(call, STATUS_INTERNAL, "the call ended without a request");
}

static const struct rpc_handler unary_handler = {.message = unary_message, .half_closed = unary_half_closed};

static void answer(struct rpc_stream *call, struct rpc_message *message, enum status_code code, const char *text) {
    assert(call->awaits_answer);
    call->awaits_answer = false;
    rpc_stream_send_last(call, message, code, text);
    rpc_stream_unref(call);
}

void rpc_reply(struct rpc_stream *call, struct slice message) {
    answer(call, rpc_message_create(&message, 1), STATUS_OK, NULL);
}

void rpc_fail(struct rpc_stream *call, enum status_code code, const char *message) {
    answer(call, NULL, code, message);
}

/* --- Accepting --- */

static const struct rpc_handler unknown_handler = {0};

static void refuse(struct rpc_stream *stream, enum status_code code, const char *text) {
    stream->is_turned_away = true;
    rpc_stream_finish(stream, code, text);
    rpc_stream_start_sending(stream);
}

static void refuse_path(struct rpc_stream *stream, grpc_slice path) {
    CLEANUP(freep)
    char *text = xasprintf("unknown method %.*s", (int)MIN(GRPC_SLICE_LENGTH(path), (size_t)1000),
                           (const char *)GRPC_SLICE_START_PTR(path));

    refuse(stream, STATUS_UNIMPLEMENTED, text);
}

static bool is_admitted(const struct rpc_server *server, const struct method *method, struct rpc_stream *stream) {
    CLEANUP_STATUS struct status st = {0};

    if (method->row->is_open || !server->admit || server->admit(server->admit_user, stream, &st) == 0)
        return true;
    refuse(stream, st.code, status_message(&st));
    return false;
}

static bool is_message_due(const struct method *method) {
    return method->row->unary || method->row->begins_with_message;
}

static void open_streaming(struct rpc_stream *stream, const struct method *method) {
    stream->handler = method->row->streaming;
    stream->headers_due = true;
    /* What `opened` sends shares a batch with the headers. */
    if (stream->handler->opened)
        stream->handler->opened(stream, method->context);
    rpc_stream_start_sending(stream);
    rpc_stream_start_reading(stream);
}

static void open_unary(struct rpc_stream *stream, struct method *method) {
    stream->handler = &unary_handler;
    stream->user = method;
    rpc_stream_start_sending(stream);
    rpc_stream_start_reading(stream);
}

static void open_call(struct rpc_server *server, struct rpc_queue *queue, struct method *method,
                      struct rpc_stream *stream) {
    rpc_connection_admitted(stream->connection, server->limits.receiving_bytes);
    if (is_message_due(method))
        rpc_queue_await_message(queue, stream, server->limits.request_timeout_ms,
                                server->limits.max_waiting_calls / server->queues->count);
    if (method->row->unary)
        open_unary(stream, method);
    else
        open_streaming(stream, method);
}

static void on_accepted(struct rpc_tag *tag, bool ok);

static void request_call(struct rpc_server *server) {
    struct arrival *arrival = xcalloc(1, sizeof(*arrival));
    grpc_call_error error;

    arrival->server = server;
    arrival->queue = rpc_queues_pick(server->queues);
    arrival->tag.complete = on_accepted;
    grpc_call_details_init(&arrival->details);
    grpc_metadata_array_init(&arrival->metadata);
    RPC_GIVEN_TO_GRPC(&arrival->tag);
    error = grpc_server_request_call(server->server, &arrival->call, &arrival->details, &arrival->metadata,
                                     arrival->queue->cq, server->acceptor.cq, &arrival->tag);
    assert(error == GRPC_CALL_OK);
    (void)error;
}

static void arrival_free(struct arrival *arrival) {
    grpc_call_details_destroy(&arrival->details);
    grpc_metadata_array_destroy(&arrival->metadata);
    free(arrival);
}

/* On the thread of the call's queue. */
static void on_handed_over(struct rpc_tag *tag, bool ok) {
    struct arrival *arrival = CONTAINER_OF(tag, struct arrival, tag);
    grpc_slice path = arrival->details.method;
    struct rpc_server *server = arrival->server;
    struct rpc_stream *stream = arrival->stream;
    struct method *method;

    (void)ok;
    stream->metadata = rpc_metadata_copy(&arrival->metadata, &arrival->details.host);
    rpc_stream_watch_end(stream);
    method = map_get(&server->methods, GRPC_SLICE_START_PTR(path), GRPC_SLICE_LENGTH(path));
    if (!method)
        refuse_path(stream, path);
    else if (is_admitted(server, method, stream))
        open_call(server, arrival->queue, method, stream);
    arrival_free(arrival);
}

/* A batch of nothing is complete at once, on the queue of its call. */
static void hand_over(struct arrival *arrival) {
    grpc_call_error error;

    arrival->tag.complete = on_handed_over;
    RPC_GIVEN_TO_GRPC(&arrival->tag);
    error = grpc_call_start_batch(arrival->call, NULL, 0, &arrival->tag, NULL);
    assert(error == GRPC_CALL_OK);
    (void)error;
}

static struct rpc_connection *connection_of(const struct rpc_server *server, grpc_call *call) {
    char *peer = grpc_call_get_peer(call);
    struct rpc_connection *connection = rpc_connection_call_opened(peer, server->limits.connection_streams);

    gpr_free(peer);
    return connection;
}

static void accepting_ended(struct rpc_server *server) {
    pthread_mutex_lock(&server->queues->mutex);
    server->is_accepting = false;
    pthread_cond_broadcast(&server->queues->changed);
    pthread_mutex_unlock(&server->queues->mutex);
}

/* On the acceptor. */
static void on_accepted(struct rpc_tag *tag, bool ok) {
    struct arrival *arrival = CONTAINER_OF(tag, struct arrival, tag);
    struct rpc_server *server = arrival->server;

    if (!ok) { /* the server is shutting down */
        arrival_free(arrival);
        accepting_ended(server);
        return;
    }
    arrival->stream = rpc_stream_create(server->queues, arrival->call, false, &unknown_handler, NULL);
    arrival->stream->connection = connection_of(server, arrival->call);
    rpc_queues_add(server->queues, arrival->stream);
    request_call(server);
    hand_over(arrival);
}

/* --- The server --- */

static void on_shut_down(struct rpc_tag *tag, bool ok) {
    struct rpc_server *server = CONTAINER_OF(tag, struct rpc_server, shut_down_tag);

    (void)ok;
    pthread_mutex_lock(&server->queues->mutex);
    server->is_shut_down = true;
    pthread_cond_broadcast(&server->queues->changed);
    pthread_mutex_unlock(&server->queues->mutex);
}

static const struct rpc_server_limits default_limits = {
    .receiving_bytes = (size_t)1 << 30,
    .connection_streams = 4096,
    .max_waiting_calls = 4096,
    .request_timeout_ms = 120000,
    .handshake_timeout_ms = 20000,
    .connection_idle_ms = 15 * 60000,
};

static int int_limit(size_t value) {
    return value == 0 || value > INT_MAX ? -1 : (int)value;
}

static grpc_server *create_grpc_server(size_t max_message_bytes, const struct rpc_server_limits *limits) {
    grpc_resource_quota *quota = grpc_resource_quota_create("rpc-server");
    grpc_arg args[] = {
        rpc_int_arg(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, int_limit(max_message_bytes)),
        rpc_int_arg(GRPC_ARG_MAX_SEND_MESSAGE_LENGTH, -1),
        /* gRPC looks at a message's size when it has all of it. What it holds until then, of all connections, is bounded by this; beyond it,
         * it ends streams (ENHANCE_YOUR_CALM). */
        {.type = GRPC_ARG_POINTER,
         .key = (char *)(uintptr_t)GRPC_ARG_RESOURCE_QUOTA,
         .value.pointer = {.p = quota, .vtable = grpc_resource_quota_arg_vtable()}},
        /* It decompresses without a limit. No SDK compresses. */
        rpc_int_arg(GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET, 1 << GRPC_COMPRESS_NONE),
        rpc_int_arg(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0),
        rpc_int_arg(GRPC_ARG_MAX_CONCURRENT_STREAMS, (int)limits->connection_streams),
        rpc_int_arg(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, (int)limits->handshake_timeout_ms),
        rpc_int_arg(GRPC_ARG_MAX_CONNECTION_IDLE_MS, (int)limits->connection_idle_ms),
        /* SDKs keep their connections alive with pings, more often than gRPC's default puts up with. */
        rpc_int_arg(GRPC_ARG_HTTP2_MAX_PING_STRIKES, 0),
        rpc_int_arg(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 1000),
        rpc_int_arg(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1),
        /* And we find out about peers that went away without a word. TypeScript's SDK acknowledges pings on the loop that runs
         * the user's code: hence the long patience. */
        rpc_int_arg(GRPC_ARG_KEEPALIVE_TIME_MS, 60000),
        rpc_int_arg(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 300000),
        rpc_int_arg(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0),
        /* A second daemon on the same port is a mistake, not a way to share the load. */
        rpc_int_arg(GRPC_ARG_ALLOW_REUSEPORT, 0),
        rpc_int_arg(GRPC_ARG_ENABLE_CHANNELZ, 0),
    };
    grpc_server *server;

    grpc_resource_quota_resize(quota, limits->receiving_bytes);
    server = grpc_server_create(&(grpc_channel_args){.num_args = ARRAY_COUNT(args), .args = args}, NULL);
    grpc_resource_quota_unref(quota);
    return server;
}

static void set_limits(struct rpc_server_limits *limits, const struct rpc_server_limits *wanted) {
    *limits = default_limits;
#define TAKE(field) limits->field = wanted->field ? wanted->field : limits->field
    TAKE(receiving_bytes);
    TAKE(connection_streams);
    TAKE(max_waiting_calls);
    TAKE(request_timeout_ms);
    TAKE(handshake_timeout_ms);
    TAKE(connection_idle_ms);
#undef TAKE
}

struct rpc_server *rpc_server_create(const struct rpc_server_options *options) {
    struct rpc_server *server = xcalloc(1, sizeof(*server));
    unsigned threads = options->threads ? options->threads : DEFAULT_THREADS;

    rpc_sockets_guard();
    set_limits(&server->limits, &options->limits);
    server->server = create_grpc_server(options->max_message_bytes, &server->limits);
    server->queues = rpc_queues_create("rpc-server", threads, options->account);
    rpc_queue_start(&server->acceptor, "rpc-acceptor", GRPC_CQ_NON_POLLING);
    server->shut_down_tag.complete = on_shut_down;
    for (unsigned i = 0; i < threads; i++)
        grpc_server_register_completion_queue(server->server, server->queues->queue[i].cq, NULL);
    grpc_server_register_completion_queue(server->server, server->acceptor.cq, NULL);
    return server;
}

void rpc_server_register(struct rpc_server *server, const struct rpc_method *methods, size_t count, void *context) {
    for (size_t i = 0; i < count; i++) {
        struct method *method = xcalloc(1, sizeof(*method));

        assert(!methods[i].unary != !methods[i].streaming);
        method->row = &methods[i];
        method->context = context;
        method = map_set_string(&server->methods, methods[i].path, method);
        assert(!method); /* paths are unique */
    }
}

void rpc_server_guard(struct rpc_server *server, rpc_admit_fn admit, void *user) {
    server->admit = admit;
    server->admit_user = user;
}

/* Takes the credentials. */
static int listen_with(struct rpc_server *server, const char *address, grpc_server_credentials *credentials,
                       int *ret_port, struct status *st) {
    int result = rpc_address_check(address, st), port = 0;

    if (result == 0)
        port = grpc_server_add_http2_port(server->server, address, credentials);
    grpc_server_credentials_release(credentials);
    if (result < 0)
        return result;
    if (port == 0)
        return status_set(st, STATUS_UNAVAILABLE, "cannot listen on %s", address);
    if (ret_port)
        *ret_port = rpc_address_is_unix(address) ? 0 : port;
    return 0;
}

int rpc_server_listen(struct rpc_server *server, const char *address, int *ret_port, struct status *st) {
    return listen_with(server, address, grpc_insecure_server_credentials_create(), ret_port, st);
}

int rpc_server_listen_tls(struct rpc_server *server, const char *address, const struct rpc_tls *tls, int *ret_port,
                          struct status *st) {
    assert(!server->tls);
    server->tls = rpc_tls_source_create(tls);
    return listen_with(server, address, rpc_tls_source_credentials(server->tls), ret_port, st);
}

void rpc_server_renew_tls(struct rpc_server *server, const struct rpc_tls *tls) {
    rpc_tls_source_renew(server->tls, tls);
}

void rpc_server_start(struct rpc_server *server) {
    grpc_server_start(server->server);
    server->is_accepting = true;
    request_call(server);
}

/* Returns false when the time is over before gRPC has no call and no connection left. */
static bool wait_shut_down(struct rpc_server *server, const struct timespec *until) {
    bool is_shut_down;
    int error = 0;

    pthread_mutex_lock(&server->queues->mutex);
    while (!server->is_shut_down && error != ETIMEDOUT)
        error = until ? pthread_cond_timedwait(&server->queues->changed, &server->queues->mutex, until)
                      : pthread_cond_wait(&server->queues->changed, &server->queues->mutex);
    is_shut_down = server->is_shut_down;
    pthread_mutex_unlock(&server->queues->mutex);
    return is_shut_down;
}

/* The acceptor, when it took a call just before the end, wants the next one yet: the queues must be there. */
static void wait_for_acceptor(struct rpc_server *server) {
    pthread_mutex_lock(&server->queues->mutex);
    while (server->is_accepting)
        pthread_cond_wait(&server->queues->changed, &server->queues->mutex);
    pthread_mutex_unlock(&server->queues->mutex);
}

static struct timespec from_now(unsigned ms) {
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    time.tv_sec += ms / 1000;
    time.tv_nsec += (long)(ms % 1000) * 1000000;
    if (time.tv_nsec >= 1000000000) {
        time.tv_sec++;
        time.tv_nsec -= 1000000000;
    }
    return time;
}

void rpc_server_stop(struct rpc_server *server, unsigned grace_ms) {
    struct timespec until = from_now(grace_ms);

    if (!server)
        return;
    RPC_GIVEN_TO_GRPC(&server->shut_down_tag);
    grpc_server_shutdown_and_notify(server->server, server->queues->queue[0].cq, &server->shut_down_tag);
    if (!wait_shut_down(server, &until)) {
        grpc_server_cancel_all_calls(server->server);
        wait_shut_down(server, NULL);
    }
    wait_for_acceptor(server);
    rpc_queues_wait_empty(server->queues);
    rpc_queue_stop(&server->acceptor);
    rpc_queues_destroy(server->queues);
    grpc_server_destroy(server->server);
    rpc_tls_source_destroy(server->tls);
    map_clear(&server->methods, free);
    free(server);
}
