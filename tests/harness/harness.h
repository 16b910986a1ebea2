/* A small SDK harness: it speaks the Fn API as a real one does, runs known functions (functions.c), and misbehaves on request.
 *
 *   struct harness   Control, Data, State and Logging streams to one runner, under one worker id
 *   struct bundle    one ProcessBundle, on a thread of its own from its first byte to its response
 *
 * Threads: stream callbacks run on the RPC client's threads and only file things away under the harness's lock; a bundle's thread does the
 * work and waits for input, for state answers and, when much output is queued, for the transport. */
#ifndef HARNESS_HARNESS_H
#define HARNESS_HARNESS_H

#include <pthread.h>

#include "base/map.h"
#include "base/vec.h"
#include "program.h"
#include "records.h"
#include "rpc/rpc.h"

struct harness_options {
    const char *id;
    const char
        *control_endpoint; /* HOST:PORT; data and state are at the same one unless the descriptor says otherwise */
    const char *logging_endpoint;   /* may be NULL */
    const char *provision_endpoint; /* may be NULL; else it is asked for the endpoint of WorkerStatus */
};

struct harness {
    char *id;
    struct rpc_channel *channel;
    struct rpc_channel *logging_channel, *status_channel;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct rpc_stream *control, *data, *state, *logging, *status;
    struct map bundles;  /* instruction -> struct bundle, until its response is out */
    struct map finished; /* instructions whose late input is dropped */
    struct map programs; /* descriptor id -> struct program */
    struct map answers;  /* state request id -> struct slice * (a StateResponse) */
    unsigned running;    /* bundle threads */
    uint64_t counted;    /* elements, by all bundles (counters.h) */
    uint64_t next_request;
    bool is_over; /* Control ended */
    bool is_logging_over;
};

struct bundle {
    struct harness *harness;
    char *instruction;
    char *descriptor;
    const struct program *program;
    VEC(struct slice) input; /* under the lock; whole elements in each */
    size_t next_input;
    bool is_input_ended;

    /* Splits (split.c). The first two are the bundle's thread's except while it waits for a split, the others are under the lock. */
    uint64_t taken;           /* elements of the input that were begun */
    uint64_t stop;            /* elements from here on are ignored */
    const char *split_manner; /* an element waits for a split, to be answered like this; NULL: none waits */
    bool is_split;            /* there was one */
    char *late_split;         /* the instruction of a split to be answered after the response */

    /* counters.h; under the lock. */
    uint64_t counted;
    const char *counter_id; /* the step that counts */
    unsigned asked;         /* for progress, how often */

    struct buf *outputs;         /* one per sink */
    struct buf scratch;          /* for one value of a function */
    struct buf last_header;      /* of the input: what is emitted at the end of the bundle has it too */
    struct record_totals totals; /* check_groups */
    char *error;                 /* what a function said */
    bool is_stopped;             /* no more processing, no error: the misbehaviour has had its effect */

    /* Misbehaviour asked for by a function, done at the end. */
    bool without_response, twice_response, without_data, without_end, twice_end, in_pieces;
};

/* Opens the streams; `client` outlives the harness. */
struct harness *harness_start(struct rpc_client *client, const struct harness_options *options);
/* Until the runner has ended Control, or harness_stop() did. */
void harness_wait(struct harness *harness);
void harness_stop(struct harness *harness);
/* After harness_wait() or harness_stop(): sends the last log lines and ends the streams. False: a bundle that stalls keeps a thread. */
bool harness_destroy(struct harness *harness);

/* For bundle.c and functions.c; any thread. */
void harness_send_data(struct harness *harness, const struct slice *pieces, size_t count);
void harness_log(struct harness *harness, const struct bundle *bundle, const struct node *node, int severity,
                 const char *text, size_t size);
/* The StateResponse (a reference) to a Get of the node's side input, or of the values that a token stands for; false when the harness is
 * over. */
bool harness_ask_state(struct harness *harness, const struct bundle *bundle, const struct node *node,
                       struct cursor window, struct slice continuation, struct slice *ret_response);
bool harness_ask_values(struct harness *harness, const struct bundle *bundle, struct cursor token,
                        struct slice continuation, struct slice *ret_response);
void harness_respond(struct harness *harness, const char *instruction, const char *error);
const struct program *harness_program(struct harness *harness, const char *descriptor, struct status *st);

struct rpc_stream *harness_open(struct harness *harness, struct rpc_channel *channel, const char *path,
                                const struct rpc_handler *handler);

/* status.c: asks the provision service whether status is wanted, and opens the stream for it. */
void harness_open_status(struct harness *harness, struct rpc_client *client, const char *provision_endpoint);

/* split.c */
void harness_split(struct harness *harness, const char *split, const char *instruction, int64_t element_count);
/* Whether the next element of the input is this bundle's. */
bool bundle_take(struct bundle *bundle);
void bundle_answer_late_split(struct bundle *bundle);
int until_split(struct bundle *bundle, const struct node *node, const struct value *value);

/* bundle.c: a bundle's thread. */
void *bundle_main(void *bundle);
void bundle_free(struct bundle *bundle);
/* Always -1: sets the error that the response will carry. */
int bundle_fail(struct bundle *bundle, const char *format, ...) PRINTF_LIKE(2, 3);

#endif
