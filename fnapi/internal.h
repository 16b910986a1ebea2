/* What the files of fnapi/ share. Nobody else includes this.
 *
 *   fn_service            mutex: which workers and which descriptors there are
 *      └ fn_worker        mutex: its streams, its bundles, its open instructions, input that waits for a Data stream
 *           └ fn_stream   one call of the harness (Control, Data, State, Logging or WorkerStatus); owned by the RPC thread that closes it
 *
 * Locks are taken in this order: service, worker, then whatever rpc/ takes inside rpc_stream_send(). No handler callback is ever
 * called with one of them held. Messages are queued on a stream under the worker's lock, so that their order is the order of
 * the calls, and the accounting of `sent` (data.c) sees the same order.
 *
 * Lifetime. A worker is kept by its creator until fn_worker_close() and by each open stream. The last one calls `gone` and frees it;
 * all callbacks are made by streams (and by nobody else), so none follows. */
#ifndef FNAPI_INTERNAL_H
#define FNAPI_INTERNAL_H

#include <pthread.h>

#include "base/list.h"
#include "base/vec.h"
#include "beam_fn_api.pb-c.h"
#include "fnapi/fnapi.h"
#include "wire/pb.h"

/* "bundle-18446744073709551615" and the like. */
enum { FN_INSTRUCTION_ID_SIZE = 32 };
/* 128 random bits in hexadecimal. */
enum { FN_DESCRIPTOR_ID_SIZE = 33 };

enum fn_stream_kind { FN_CONTROL, FN_DATA, FN_STATE, FN_LOGGING, FN_STATUS };

/* A message that was queued on a Data stream and not yet reported as sent. */
struct fn_unsent {
    uint64_t bundle;
    size_t wire_bytes;    /* of the message that are still to be written */
    size_t payload_bytes; /* what the host was told it sent */
};

struct fn_stream {
    struct list node; /* in fn_worker.streams */
    struct fn_worker *worker;
    struct rpc_stream *rpc; /* a reference of our own */
    enum fn_stream_kind kind;
    uint64_t serial;              /* unique in the worker */
    VEC(struct fn_unsent) unsent; /* Data: a queue, from unsent_head on */
    size_t unsent_head;
};

struct fn_service {
    pthread_mutex_t lock;
    struct map workers;     /* worker id -> struct fn_worker * */
    struct map descriptors; /* descriptor id -> struct fn_descriptor * */
};

struct fn_timer_family {
    const char *transform_id;
    const char *family_id;
    bool is_first_of_transform;
};

/* What a stage looks like to this worker's harness. Immutable. */
struct fn_descriptor {
    struct arena arena;
    char id[FN_DESCRIPTOR_ID_SIZE];
    struct slice bytes; /* the whole ProcessBundleDescriptor */
    const char *source_transform_id;
    struct slice *sinks; /* transform ids, in the arena */
    size_t sink_count;
    struct fn_timer_family *families; /* only looked up for Go; sorted by transform */
    size_t family_count;
};

struct fn_bundle {
    uint64_t number;
    const struct fn_descriptor *descriptor;
    bool is_answered;
    bool has_failed;  /* outputs and state are dropped from now on */
    size_t end_marks; /* Go: inputs that ended so far */
};

enum fn_instruction_kind { FN_PROGRESS, FN_SPLIT, FN_FINALIZE, FN_SHORT_IDS, FN_PROCESS_METRICS, FN_SAMPLES };

/* An instruction, other than a bundle, that awaits its response. */
struct fn_instruction {
    enum fn_instruction_kind kind;
    uint64_t bundle;          /* FN_SAMPLES: the host's token */
    struct fn_report *report; /* FN_SHORT_IDS: what is reported once they are known */
};

/* A message that waits for the harness's Data stream. */
struct fn_pending {
    uint64_t bundle;
    struct slice *pieces;
    size_t count;
    size_t payload_bytes;
};

struct fn_worker {
    struct fn_service *service; /* not touched after fn_worker_close() */
    const struct fn_worker_handler *handler;
    void *user;
    char *id;
    char *endpoint;
    struct slice provision; /* the whole GetProvisionInfoResponse */
    struct map capabilities;
    bool is_go;
    struct map short_ids; /* -> struct slice * (identity); used by Control's callbacks only */
    atomic_size_t ignored;

    pthread_mutex_t lock;    /* of all below */
    struct account *account; /* see fn_worker_account() */
    unsigned refs;
    bool was_connected;
    bool was_logging; /* Logging was opened */
    bool is_lost;
    bool is_closing;
    bool is_data_paused;   /* by the host */
    bool is_host_behind;   /* reading waits until the host has dealt with what it was given */
    size_t unread_bytes;   /* of elements given to the host, which it has not yet dealt with */
    struct status failure; /* why we ended Control ourselves */
    struct list streams;
    struct fn_stream *control; /* NULL: not there */
    struct fn_stream *data;
    uint64_t next_stream;
    uint64_t next_instruction;
    VEC(struct fn_descriptor *) descriptors;
    struct map bundles;      /* number -> struct fn_bundle * */
    struct map instructions; /* id -> struct fn_instruction * */
    VEC(struct fn_pending) pending;
};

/* ---- service.c ---- */

/* Ties a call that just opened to the worker that its metadata names; refuses the call and returns NULL when there is none, or
 * it has that stream already. */
struct fn_stream *fn_service_attach(struct fn_service *service, struct rpc_stream *rpc, enum fn_stream_kind kind);

/* ---- worker.c ---- */

/* The stream's call is over: forgets it, and frees the worker with its last one. */
void fn_stream_detach(struct fn_stream *stream);
/* The harness broke the protocol or an essential stream: Control is cancelled, `lost` follows with this reason. */
void fn_worker_fail(struct fn_worker *worker, enum status_code code, const char *format, ...) PRINTF_LIKE(3, 4);
/* A stream without which running bundles cannot go on has ended: fails the worker if there are any. */
void fn_worker_lose_stream(struct fn_stream *stream, const char *name);
/* Whether callbacks that speak of bundles are still wanted. Lock held. */
bool fn_worker_is_live(const struct fn_worker *worker);
/* The same, for callers without the lock. */
bool fn_worker_check_live(struct fn_worker *worker);
struct fn_bundle *fn_worker_bundle(const struct fn_worker *worker, uint64_t number); /* lock held */
/* What messages are charged to now; a reference of the caller's own (fn_worker_recycle() replaces it). Takes the lock. */
struct account *fn_worker_account(struct fn_worker *worker);
void fn_worker_ignore(struct fn_worker *worker);
void fn_lock(struct fn_worker *worker);
void fn_unlock(struct fn_worker *worker);
/* The host is about to get `bytes` of elements; reading pauses when it has enough. Lock held. */
void fn_worker_given(struct fn_worker *worker, size_t bytes);
/* Charges a received message to the worker's account instead of the server's, if nobody else holds it yet. */
void fn_rehome(const struct slice *message, struct account *account);

/* ---- control.c ---- */

extern const struct rpc_handler fn_control_handler;
/* "bundle-<number>", and back: false when it is no such id. */
void fn_bundle_instruction_id(uint64_t bundle, char ret_id[FN_INSTRUCTION_ID_SIZE]);
bool fn_bundle_of_instruction_id(const void *id, size_t size, uint64_t *ret_bundle);
/* Asks what these short ids mean; `report` goes on with the answer. Takes the report over. */
void fn_control_ask_short_ids(struct fn_worker *worker, struct fn_report *report);
void fn_instruction_free(void *instruction);

/* ---- descriptor.c ---- */

struct fn_descriptor *fn_descriptor_create(const char *endpoint, struct slice base, const struct fn_port *source,
                                           const struct fn_port *sinks, size_t sink_count, bool with_families);
void fn_descriptor_free(struct fn_descriptor *descriptor);
void fn_descriptor_method(struct rpc_stream *call, void *context, struct slice request);

/* ---- data.c, state.c, logging.c, status.c ---- */

extern const struct rpc_handler fn_data_handler;
extern const struct rpc_handler fn_state_handler;
extern const struct rpc_handler fn_logging_handler;
extern const struct rpc_handler fn_status_handler;
/* Strings are the message's, which must live as long as the request; bytes are copied. Returns what is wrong with it, or NULL. */
const char *fn_read_state_request(const Fn__StateRequest *message, struct account *account,
                                  struct state_request *request);
/* Queues input that waited on the stream that just came. Lock held. */
void fn_data_flush(struct fn_worker *worker);
/* Drops what waits for the Data stream: of one bundle, or all. Lock held. */
void fn_data_drop_pending(struct fn_worker *worker, const uint64_t *bundle);

/* ---- provision.c ---- */

/* The whole GetProvisionInfoResponse: `info` and the endpoints; that of WorkerStatus for harnesses that know it. */
struct slice fn_provision_response(struct slice info, const char *endpoint, bool has_status);
void fn_provision_method(struct rpc_stream *call, void *context, struct slice request);

/* ---- report.c: messages of the harness in the plain C of model/bundle.h ---- */

/* A response with metrics. Those known by short id only wait in `unresolved` until fn_report_resolve(). */
struct fn_report {
    uint64_t bundle;
    bool is_progress;
    bool is_of_process; /* not of a bundle */
    struct bundle_response response;
    struct fn_short_value {
        const char *short_id; /* in response.arena */
        struct slice payload;
    } * unresolved;
    size_t unresolved_count;
};

struct fn_report *fn_report_of_bundle(struct fn_worker *worker, uint64_t bundle,
                                      const Fn__ProcessBundleResponse *message);
struct fn_report *fn_report_of_progress(struct fn_worker *worker, uint64_t bundle,
                                        const Fn__ProcessBundleProgressResponse *message);
struct fn_report *fn_report_of_process(struct fn_worker *worker, const Fn__HarnessMonitoringInfosResponse *message);
/* Learns what the answer says (may be NULL), and takes in the metrics that are known now; the others are dropped. */
void fn_report_resolve(struct fn_worker *worker, struct fn_report *report,
                       const Fn__MonitoringInfosMetadataResponse *message);
void fn_report_free(struct fn_report *report);
void fn_read_split(const Fn__ProcessBundleSplitResponse *message, struct account *account, struct bundle_split *ret);
/* Kept inside the scale; NULL: 0. */
/* samples.c */
struct fn_samples *fn_samples_read(const Fn__InstructionResponse *response);

int64_t fn_timestamp_ms(const Google__Protobuf__Timestamp *timestamp);

#endif
