/* What the files of rpc/ share; nobody else includes it.
 *
 *   queue.c     threads, each polling one completion queue, and the set of streams that live on them
 *   stream.c    one call: reading, sending, finishing, closing; the same for both sides
 *   message.c   bytes, metadata and status texts, from our types to gRPC's and back
 *   address.c   what is wrong with an address one cannot listen on
 *   server.c    listening, accepting, stopping
 *   tls.c       what a listener's TLS is served with, and how that is replaced
 *   channel.c   client calls
 *   sockets.c   accept4() and recvmsg() for gRPC: why the port outlives a shortage of descriptors, and floods
 *   frames.c    which bytes of a connection are messages'
 *   connection.c  what sockets.c and server.c know of a connection: one that opens calls in vain is cut
 *
 * Names carry the prefix rpc_ because a static library has one name space. */
#ifndef RPC_INTERNAL_H
#define RPC_INTERNAL_H

#include <grpc/byte_buffer.h>
#include <grpc/grpc.h>
#include <grpc/slice_buffer.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/uio.h>

#include "base/list.h"
#include "rpc/frames.h"
#include "rpc/rpc.h"

static inline grpc_arg rpc_int_arg(const char *key, int value) {
    return (grpc_arg){.type = GRPC_ARG_INTEGER, .key = (char *)(uintptr_t)key, .value.integer = value};
}

/* --- queue.c --- */

/* What a completion queue hands back when an operation is done. Embedded in whoever started the operation. */
struct rpc_tag {
    void (*complete)(struct rpc_tag *tag, bool ok);
};

/* What one thread did before it gave a tag or a block to gRPC is seen by the thread that gets it back. gRPC sees to
 * that, but as its library is not instrumented, ThreadSanitizer has to be told. */
#ifdef __SANITIZE_THREAD__
void __tsan_acquire(void *address);
void __tsan_release(void *address);
#define RPC_GIVEN_TO_GRPC(pointer) __tsan_release(pointer)
#define RPC_TAKEN_FROM_GRPC(pointer) __tsan_acquire(pointer)
#else
#define RPC_GIVEN_TO_GRPC(pointer) ((void)(pointer))
#define RPC_TAKEN_FROM_GRPC(pointer) ((void)(pointer))
#endif

struct rpc_queue {
    grpc_completion_queue *cq;
    pthread_t thread;
    struct list waiting; /* streams whose first message is due, by deadline; of this thread, as the next */
    unsigned waiting_count;
};

struct rpc_queues {
    pthread_mutex_t mutex;
    pthread_cond_t changed; /* on CLOCK_MONOTONIC */
    struct list streams;    /* all that are not closed */
    bool is_closing;
    struct account *account; /* owned reference, may be NULL */
    atomic_uint turn;
    unsigned count;
    struct rpc_queue queue[];
};

/* Starts the thread. With GRPC_CQ_NON_POLLING it gets what belongs to it and never does any of gRPC's work. */
void rpc_queue_start(struct rpc_queue *queue, const char *name, grpc_cq_polling_type polling);
/* Drains the queue and joins the thread. */
void rpc_queue_stop(struct rpc_queue *queue);

struct rpc_queues *rpc_queues_create(const char *name, unsigned threads, struct account *account);
/* No stream may be left. Drains the queues, joins the threads, frees. */
void rpc_queues_destroy(struct rpc_queues *queues);
/* The next queue in turn. */
struct rpc_queue *rpc_queues_pick(struct rpc_queues *queues);
/* Returns false when the queues are closing: the stream is in the set all the same, and has to be cancelled. */
bool rpc_queues_add(struct rpc_queues *queues, struct rpc_stream *stream);
void rpc_queues_remove(struct rpc_queues *queues, struct rpc_stream *stream);
/* Cancels all streams, those that are yet to be added too, and waits until the last is closed. */
void rpc_queues_cancel_all(struct rpc_queues *queues);
void rpc_queues_wait_empty(struct rpc_queues *queues);

/* The first message of a stream that was just accepted on this queue is due within timeout_ms; else the stream is refused, and before that
 * when `maximum` others have come since: a request that is on its way arrives soon. On the queue's thread, as the next. */
void rpc_queue_await_message(struct rpc_queue *queue, struct rpc_stream *stream, unsigned timeout_ms, unsigned maximum);
/* It came, or the stream is over. Harmless when nothing is awaited. */
void rpc_queue_message_came(struct rpc_stream *stream);

/* --- message.c --- */

/* A message that waits to be sent. */
struct rpc_message {
    struct rpc_message *next;
    size_t size_bytes;
    size_t slice_count;
    grpc_slice slices[];
};

/* Takes the references over. */
struct rpc_message *rpc_message_create(const struct slice *pieces, size_t count);
/* Frees a list of messages that were not sent. */
void rpc_message_free_all(struct rpc_message *first);
/* Whether the peer compressed it: gRPC, which has no limit for what comes out, leaves it as it is (server.c). */
bool rpc_message_is_compressed(const grpc_byte_buffer *buffer);
/* Consumes the buffer. Always a copy: gRPC's own memory is under its quota (server.c), which what waits in a job may not fill, and a small
 * message would keep a whole read buffer alive, which no account knows about. */
struct slice rpc_message_receive(grpc_byte_buffer *buffer, struct account *account);

struct rpc_metadata_entry {
    struct slice key;
    struct slice value;
};

/* Received metadata, copied: gRPC's own lives no longer than the call. */
struct rpc_metadata_copy {
    size_t count;
    struct rpc_metadata_entry *entries; /* one allocation with the bytes behind it */
};

/* `authority`, if any, becomes ":authority": gRPC tells a server of it elsewhere. */
struct rpc_metadata_copy rpc_metadata_copy(const grpc_metadata_array *array, const grpc_slice *authority);
/* An array of `count` for grpc_op, or NULL with an error that names the key. Free with rpc_metadata_free. */
grpc_metadata *rpc_metadata_to_grpc(const struct rpc_metadata *metadata, size_t count, struct status *st);
void rpc_metadata_free(grpc_metadata *metadata, size_t count);
/* A status message cut to what fits in a peer's header limit. */
grpc_slice rpc_status_text(const char *message);
/* From a received status. */
void rpc_status_receive(struct status *st, grpc_status_code code, grpc_slice details);

/* --- address.c --- */

/* Fails when `address` is no address, or when somebody listens there already. */
int rpc_address_check(const char *address, struct status *st);

bool rpc_address_is_unix(const char *address);

/* --- sockets.c --- */

/* Does nothing but put sockets.c, whose accept4() and recvmsg() gRPC is to use, into the program. */
void rpc_sockets_guard(void);

/* --- connection.c --- */

/* Somebody connected to one of the process's listening sockets. Any thread, as the next. */
void rpc_connection_accepted(int fd);
/* The first size_bytes of these. May close the connection: when too much has come that is part of nothing. */
void rpc_connection_received(int fd, const struct iovec *pieces, size_t count, size_t size_bytes);
/* Whether so much was received that others come first now; if so, the next turn begins. False for descriptors that are no connections. */
bool rpc_connection_has_had_its_turn(int fd);
/* A call of `peer` (grpc_call_get_peer()) has come. NULL where nothing is counted: on Unix sockets, which only those reach whom the file's mode
 * lets in. May close the connection, as the next: beyond max_calls, which HTTP/2 should have kept it from, and some. */
struct rpc_connection *rpc_connection_call_opened(const char *peer, unsigned max_calls);
/* A whole message came or was sent; NULL is fine, here and below. */
void rpc_connection_made_sense(struct rpc_connection *connection);
/* A call of it was let in: it may now have sent as much as this of messages that are not whole yet. */
void rpc_connection_admitted(struct rpc_connection *connection, size_t max_receiving_bytes);
/* Once for each that was opened. `is_wasted`: it was cancelled by the peer, or refused unseen. */
void rpc_connection_call_closed(struct rpc_connection *connection, bool is_wasted);

/* --- stream.c --- */

/* One call. Three batches can be outstanding at a time, each with its tag: a receive, a send, and the one that tells
 * of the call's end, which is started first and completes last or nearly so.
 *
 * A batch is claimed under the mutex (`receiving`, `sending`, `outstanding`) and started outside: gRPC does work of
 * its own in there, up to writing to the socket, and it wants only that receives be in order among themselves and
 * sends among themselves, which the claim ensures. The thread that starts a batch does not touch the stream
 * afterwards: by then it may be closed. */
struct rpc_stream {
    struct rpc_tag received;
    struct rpc_tag sent;
    struct rpc_tag ended;
    struct list link; /* in queues->streams */
    atomic_uint refs;
    struct rpc_queues *queues;
    const struct rpc_handler *handler;
    void *user;
    bool is_client;

    /* Of the RPC thread. */
    struct list wait_link;             /* in rpc_queue->waiting */
    struct rpc_queue *awaited_by;      /* the queue in whose list it is, or NULL */
    int64_t message_due_ns;            /* CLOCK_MONOTONIC */
    bool is_refused;                   /* its messages are dropped */
    struct rpc_connection *connection; /* server: the one it came on, or NULL */
    grpc_byte_buffer *incoming;        /* written by the outstanding receive */
    grpc_metadata_array initial_metadata;
    grpc_metadata_array trailing_metadata;
    bool want_initial_metadata; /* client: the next receive asks for it */
    struct rpc_metadata_copy metadata;
    grpc_status_code end_code; /* client */
    grpc_slice end_details;
    int end_cancelled;   /* server */
    bool is_turned_away; /* server: before anybody had served it */

    /* Of the thread that answers a unary call. */
    bool awaits_answer;

    atomic_size_t queued_bytes; /* written under the mutex */

    pthread_mutex_t mutex; /* of all below */
    grpc_call *call;       /* NULL once closed */
    char *peer;
    unsigned outstanding; /* batches */
    bool receiving;       /* outstanding, or its message is with the handler */
    bool is_paused;
    bool is_read_out; /* the peer sends no more */
    bool sending;
    bool is_send_over; /* broken or cancelled: nothing more is sent, not even a status */
    bool headers_sent;
    bool headers_due; /* they go out by themselves, without waiting for a message */
    bool finish_requested;
    bool finish_sent;
    bool is_ended; /* the last batch has completed; no new one is started */
    struct rpc_message *queue_first, *queue_last;
    size_t sending_bytes;
    size_t unreported_bytes;
    grpc_byte_buffer sending_buffer; /* of the outstanding send */
    grpc_metadata *request_metadata; /* client */
    size_t request_metadata_count;
    uint32_t request_flags;
    grpc_status_code finish_code;
    grpc_slice finish_details;
};

/* One reference, the library's, which closing drops. Takes `call` over. */
struct rpc_stream *rpc_stream_create(struct rpc_queues *queues, grpc_call *call, bool is_client,
                                     const struct rpc_handler *handler, void *user);
/* Starts the batch that tells of the end. The first thing to do with a stream, before any other thread knows it. */
void rpc_stream_watch_end(struct rpc_stream *stream);
/* Starts reading. */
void rpc_stream_start_reading(struct rpc_stream *stream);
/* Lets go of the claim on sending that rpc_stream_create() made, and sends what has come together since. */
void rpc_stream_start_sending(struct rpc_stream *stream);
/* rpc_stream_send and rpc_stream_finish in one. `message` may be NULL. */
void rpc_stream_send_last(struct rpc_stream *stream, struct rpc_message *message, enum status_code code,
                          const char *text);
/* Ends the call with this status, whatever still comes from the peer. On its RPC thread. */
void rpc_stream_refuse(struct rpc_stream *stream, enum status_code code, const char *message);
/* Cancels with a status of our own choice (client). */
void rpc_stream_cancel_with(struct rpc_stream *stream, const struct status *status);

/* --- tls.c --- */

struct rpc_tls;
struct rpc_tls_source;

struct rpc_tls_source *rpc_tls_source_create(const struct rpc_tls *tls);
/* After the server that listens with its credentials. NULL is fine. */
void rpc_tls_source_destroy(struct rpc_tls_source *source);
/* For one listener; the caller releases them. */
grpc_server_credentials *rpc_tls_source_credentials(struct rpc_tls_source *source);
/* rpc_server_renew_tls(). */
void rpc_tls_source_renew(struct rpc_tls_source *source, const struct rpc_tls *tls);

#endif
