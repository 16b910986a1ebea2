/* gRPC's C core as a few C objects. No Beam word in here.
 *
 *   struct rpc_server    one port, a table of methods, a few threads, each with its own completion queue, and one that takes calls
 *   struct rpc_stream    one call, seen from either side, unary or streaming: messages in, messages out, an end
 *   struct rpc_channel   a connection to somebody else's server, on which streams are opened
 *
 * Threads. A stream lives on the completion queue of one RPC thread, and its callbacks run there, one at a time,
 * never two at once for one stream. They must not block. rpc_stream_send/finish/cancel/pause/resume/ref/unref may
 * be called from any thread, also inside a callback. After `closed` no callback of that stream runs any more.
 *
 * Ownership. The library holds one reference on a stream until `closed` has returned. Whoever keeps the
 * pointer beyond its callbacks takes a reference of its own; calls on a closed stream are harmless no-ops.
 *
 * Messages are slices. There is no limit on their size but the option max_message_bytes (0: none). Compressed ones are refused. */
#ifndef RPC_RPC_H
#define RPC_RPC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"

struct rpc_server;
struct rpc_channel;
struct rpc_stream;

/* All on the stream's RPC thread; any may be NULL. `user` is what rpc_stream_set_user() set (or the `user` of
 * rpc_channel_open). The message slice is the callee's. */
struct rpc_handler {
    /* Server side: a call arrived; metadata is readable. Set the user pointer here. */
    void (*opened)(struct rpc_stream *stream, void *context);
    void (*message)(struct rpc_stream *stream, void *user, struct slice message);
    /* Server side only: the client sends no more messages (half-close). The method may still send and must finish the
     * call. Not called when the call broke or was cancelled. On the client `closed` says the same. */
    void (*half_closed)(struct rpc_stream *stream, void *user);
    /* For flow control: `bytes` of queued messages were handed to the transport since the last report. Called when the send queue
     * has run empty, and about every MiB before. */
    void (*sent)(struct rpc_stream *stream, void *user, size_t bytes);
    /* The call is over. `status` is what the server sent (client side), or OK / CANCELLED when the peer went away
     * (server side). Called exactly once. */
    void (*closed)(struct rpc_stream *stream, void *user, const struct status *status);
};

/* A unary method: one request, one answer, now or later. Runs on an RPC thread; `request` is the callee's. The callee
 * answers with rpc_reply() or rpc_fail() exactly once, on any thread; it may keep `call` until then without a
 * reference, even when the caller has gone or the server was stopped meanwhile. */
typedef void (*rpc_unary_fn)(struct rpc_stream *call, void *context, struct slice request);

struct rpc_method {
    const char *path;                    /* "/package.Service/Method" */
    rpc_unary_fn unary;                  /* either this ... */
    const struct rpc_handler *streaming; /* ... or this */
    bool is_open;                        /* who may call is none of rpc_server_guard()'s business */
    bool begins_with_message; /* streaming: the client's first message is due at once, as a unary method's request is */
};

/* What peers may cost before anybody knows who they are. 0: a default. */
struct rpc_server_limits {
    size_t receiving_bytes;        /* memory for what has arrived in part, all connections together; default 1 GiB */
    unsigned connection_streams;   /* calls of one connection at a time; 4096 */
    unsigned max_waiting_calls;    /* calls, of all connections, whose first message is due; 4096 */
    unsigned request_timeout_ms;   /* until that message is there in whole; 120 s */
    unsigned handshake_timeout_ms; /* from a connection to the end of its handshakes (TLS, HTTP/2); 20 s */
    unsigned connection_idle_ms;   /* a connection without a call is asked to go; 15 min */
};

struct rpc_server_options {
    unsigned threads;         /* 0: 2 */
    size_t max_message_bytes; /* 0: no limit */
    struct account *account;  /* received messages are charged here until a handler re-homes them; may be NULL */
    struct rpc_server_limits limits;
};

/* Init and shut down the gRPC library; once a process, from main, after the launcher was forked. */
void rpc_init(void);
void rpc_shutdown(void);

struct rpc_server *rpc_server_create(const struct rpc_server_options *options);
/* Before start. The table and the context must outlive the server. Paths must be unique. */
void rpc_server_register(struct rpc_server *server, const struct rpc_method *methods, size_t count, void *context);
/* Who may call methods that are not open: asked when a call's headers are there, before any of its messages; a negative code refuses it with
 * `st`. On RPC threads; must not block. Before start. */
typedef int (*rpc_admit_fn)(void *user, const struct rpc_stream *stream, struct status *st);
void rpc_server_guard(struct rpc_server *server, rpc_admit_fn admit, void *user);
/* Before start; may be called several times. `address` is "HOST:PORT", "[v6]:PORT" or "unix:PATH"; port 0: the system
 * picks. Errors name the address. */
int rpc_server_listen(struct rpc_server *server, const char *address, int *ret_port, struct status *st);
void rpc_server_start(struct rpc_server *server);
/* Refuses new calls, waits up to grace_ms for those in flight, cancels the rest, waits for all `closed` callbacks,
 * joins the threads and frees the server. A request for an unknown path is answered UNIMPLEMENTED by itself. */
/* Not on an RPC thread. NULL is fine, and so is a server that was never started. */
void rpc_server_stop(struct rpc_server *server, unsigned grace_ms);

/* Server side of a unary call. */
void rpc_reply(struct rpc_stream *call, struct slice message);
void rpc_fail(struct rpc_stream *call, enum status_code code, const char *message);

/* The value of a metadata key (lower case) that the peer sent, or an empty slice; borrowed, valid while the stream is.
 * Server: from `opened` on; ":authority" is the address that the client dialled, as it wrote it. Client: initial metadata from the first message on. */
struct slice rpc_stream_metadata(const struct rpc_stream *stream, const char *key);
/* "ipv4:127.0.0.1:1234" or so; never NULL; valid while the stream is. */
const char *rpc_stream_peer(const struct rpc_stream *stream);
/* In a callback, normally `opened`. */
void rpc_stream_set_user(struct rpc_stream *stream, void *user);

/* Queues one message made of `count` pieces laid end to end (no copy); takes the references over. Returns false,
 * dropping the message, when the stream is over. With more than one message queued all but the last are written with
 * gRPC's buffer hint, so that small messages share packets. Small pieces are copied. More than 4 GiB is refused. */
bool rpc_stream_send(struct rpc_stream *stream, const struct slice *pieces, size_t count);
/* Bytes queued by rpc_stream_send and not yet written. */
size_t rpc_stream_queued_bytes(const struct rpc_stream *stream);
/* Server: ends the call with this status after what is queued. Client: half-closes after what is queued (code and
 * message are ignored). Later sends are dropped. Only the first call counts. A message that would not fit in the peer's
 * header limit is cut at about 7,000 bytes as sent and then ends in "[...]". */
void rpc_stream_finish(struct rpc_stream *stream, enum status_code code, const char *message);
/* Ends the call at once, dropping what is queued. */
void rpc_stream_cancel(struct rpc_stream *stream);
/* Stop asking for messages, and go on. A message already read is still delivered. Streams start reading. */
void rpc_stream_pause(struct rpc_stream *stream);
void rpc_stream_resume(struct rpc_stream *stream);
struct rpc_stream *rpc_stream_ref(struct rpc_stream *stream);
void rpc_stream_unref(struct rpc_stream *stream);

/* Client side. A pool of threads of its own drives all channels of a process. */
struct rpc_client;
struct rpc_client *rpc_client_create(unsigned threads);
/* After its channels were destroyed. Cancels what is open, waits for all `closed` callbacks, joins, frees. Not on an
 * RPC thread. NULL is fine. */
void rpc_client_destroy(struct rpc_client *client);

/* Never fails: the connection is made when the first call needs it. Plaintext HTTP/2 (TLS: rpc/tls.h), no proxy. `target` as for listen.
 * Destroying it does not end the streams that were opened on it. */
struct rpc_channel *rpc_channel_create(struct rpc_client *client, const char *target);
void rpc_channel_destroy(struct rpc_channel *channel);

struct rpc_metadata {
    const char *key;
    const char *value;
};

/* Opens a streaming call. deadline_ms from now, 0: none. wait_for_ready: keep trying to connect until the deadline
 * instead of failing at once. Returns with a reference for the caller (unref it). Metadata that no header may hold
 * ends the call with INVALID_ARGUMENT. */
struct rpc_stream *rpc_channel_open(struct rpc_channel *channel, const char *path, const struct rpc_metadata *metadata,
                                    size_t metadata_count, unsigned deadline_ms, bool wait_for_ready,
                                    const struct rpc_handler *handler, void *user);

/* The end of a unary call: on success `response` (the callee's) and an OK status. On an RPC thread of the client. */
typedef void (*rpc_response_fn)(void *user, const struct status *status, struct slice response);
void rpc_channel_call(struct rpc_channel *channel, const char *path, const struct rpc_metadata *metadata,
                      size_t metadata_count, unsigned deadline_ms, bool wait_for_ready, struct slice request,
                      rpc_response_fn done, void *user);
/* The same, waiting for the end on the calling thread (never an RPC thread). */
int rpc_channel_call_wait(struct rpc_channel *channel, const char *path, const struct rpc_metadata *metadata,
                          size_t metadata_count, unsigned deadline_ms, bool wait_for_ready, struct slice request,
                          struct slice *ret_response, struct status *st);

#endif
