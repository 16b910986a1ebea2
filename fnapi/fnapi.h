/* The runner's end of the Fn API: Control, Data, State, Logging, WorkerStatus and Provision.
 *
 *   struct fn_service   registers the Fn API's methods on the one server and tells harnesses apart by `worker_id` metadata
 *   struct fn_worker    one harness, known by an unguessable id minted by the host before the harness is started
 *
 * fnapi/ knows the wire: it turns messages into calls of an fn_worker_handler, in plain C (model/bundle.h), and calls on an
 * fn_worker into messages. It knows no job, no plan and no engine.
 *
 * Threads: handler callbacks run on RPC threads; those of one stream come in order, those of different streams (Control, Data, State,
 * Logging) may run at once. They must not block. fn_worker_* calls may come from any thread.
 *
 * Instruction ids are minted here, unique for a harness's life, never reused. The host names a bundle by its own uint64 number, which
 * is unique in the worker's life. */
#ifndef FNAPI_FNAPI_H
#define FNAPI_FNAPI_H

#include "base/account.h"
#include "model/bundle.h"
#include "rpc/rpc.h"

struct fn_service;
struct fn_worker;

enum fn_log_severity {
    FN_LOG_UNSPECIFIED,
    FN_LOG_TRACE,
    FN_LOG_DEBUG,
    FN_LOG_INFO,
    FN_LOG_NOTICE,
    FN_LOG_WARN,
    FN_LOG_ERROR,
    FN_LOG_CRITICAL
};

/* One line of a harness's log; strings are valid during the call, never NULL. */
struct fn_log_entry {
    enum fn_log_severity severity;
    int64_t time_ms;
    const char *message;
    const char *trace;
    const char *instruction_id;
    const char *transform_id;
    const char *location;
    const char *thread;
    bool is_of_bundle; /* instruction_id is that of `bundle` */
    uint64_t bundle;
};

/* An element that a harness kept as it passed, or because an exception was raised over it. */
struct fn_sample {
    const char *collection_id;
    struct slice element; /* in the PCollection's coder, without window */
    int64_t time_ms;
    const char *exception; /* "": none */
};

struct fn_samples {
    struct arena arena;
    struct fn_sample *items;
    size_t count;
    const char *error; /* NULL: none */
};

void fn_samples_free(struct fn_samples *samples);

/* All may be called until `gone`, which is last and comes once, after fn_worker_close(). */
struct fn_worker_handler {
    /* Control is open: bundles may be started. */
    void (*connected)(void *user);
    /* Control ended, without fn_worker_close() having been called: the harness died or left. */
    void (*lost)(void *user, const struct status *why);
    /* One piece of a bundle's output: the sink's transform id, or a timer family of a transform (family not NULL). Bytes may be empty
     * with is_last. `bytes` is the callee's and shares the received message (account: the worker's); transform_id
     * and *family are borrowed views of it, valid during the call. What belongs to no running bundle, or to a Data sink that the
     * bundle's descriptor does not have, never gets here. */
    void (*elements)(void *user, uint64_t bundle, struct slice transform_id, const struct slice *family,
                     struct slice bytes, bool is_last);
    /* The request is the callee's to clear; answer with fn_worker_reply_state(). */
    void (*state)(void *user, uint64_t bundle, uint64_t reply_token, struct state_request *request);
    /* The response of a bundle; the callee's to clear. Output may still be on its way, and so may the answer to a split that was asked
     * for before: harnesses answer in any order, and what such a split gave back is lost if the bundle is forgotten too soon. */
    void (*bundle_done)(void *user, uint64_t bundle, struct bundle_response *response);
    /* The harness says the bundle failed: the SDK's own text with the traceback. Its later output and state requests are dropped. */
    void (*bundle_failed)(void *user, uint64_t bundle, const char *error);
    /* Answers to fn_worker_split (the callee's to clear; an empty split: not now) and fn_worker_ask_progress (borrowed; none: not
     * now). No progress comes after the bundle's response. */
    void (*split)(void *user, uint64_t bundle, struct bundle_split *split);
    void (*progress)(void *user, uint64_t bundle, const struct metric *metrics, size_t count);
    /* Answers fn_worker_ask_process_metrics(): totals of the harness's process so far, borrowed; none when it could not tell. */
    void (*process_metrics)(void *user, const struct metric *metrics, size_t count);
    /* FinalizeBundle was answered; error NULL on success. */
    void (*finalized)(void *user, uint64_t bundle, const char *error);
    /* `bytes` of this bundle's input, as counted by the pieces given to fn_worker_send(), were written to the Data stream. */
    void (*sent)(void *user, uint64_t bundle, size_t bytes);
    void (*log)(void *user, const struct fn_log_entry *entry);
    /* The answer to fn_worker_ask_status(): the harness's own text, or why it has none; valid during the call, never NULL. */
    void (*status)(void *user, uint64_t token, const char *text, bool is_error);
    /* The answer to fn_worker_ask_samples(), the callee's to free. */
    void (*samples)(void *user, uint64_t token, struct fn_samples *samples);
    /* All streams are closed after fn_worker_close(): the last callback. Comes from inside fn_worker_close() when there is no stream. */
    void (*gone)(void *user);
};

/* What harnesses of one worker are told: where to connect, and the job's provisioning. Strings are copied. */
struct fn_worker_options {
    const char *worker_id;
    const char
        *endpoint; /* HOST:PORT that this harness can reach; one for control, data, state, logging and artifacts */
    struct slice provision_info;     /* a serialized ProvisionInfo without endpoints (those are added here); borrowed */
    struct account *account;         /* what its messages are charged to */
    const char *const *capabilities; /* the environment's, as the SDK listed them */
    size_t capability_count;
};

/* Registers the methods: before rpc_server_start(). */
struct fn_service *fn_service_create(struct rpc_server *server);
/* After rpc_server_stop(), and after every worker was closed. */
void fn_service_destroy(struct fn_service *service);

/* What GetProvisionInfo tells the harness with this id: a serialized GetProvisionInfoResponse, the caller's; empty: the id is not known. Any
 * thread. */
struct slice fn_service_provision(struct fn_service *service, struct slice worker_id);

/* Makes the id known: from now on streams with this worker_id are served. */
struct fn_worker *fn_worker_create(struct fn_service *service, const struct fn_worker_options *options,
                                   const struct fn_worker_handler *handler, void *user);
/* Gets a worker ready for its next job: forgets the descriptors and what was asked and not answered; messages are charged to `account`
 * (may be NULL) from now on, and Data is read, whoever had stopped that. What harnesses remember by id (bundles, descriptors, short ids of
 * metrics) stays unique, as long as the host never uses a bundle's number again. False, with nothing changed: the worker is not idle (a
 * bundle is not forgotten, a finalization not answered, input waits) or is lost or closed. The harness need not be connected yet. */
bool fn_worker_recycle(struct fn_worker *worker, struct account *account);
/* Ends Control with OK. The harness then runs its teardown methods, ends its other streams and exits; fn_worker_end_streams() does it for
 * one that does not. When all are closed, `gone` follows, perhaps inside this call. Bundles in flight get no more callbacks. Of the other
 * calls only the next two may follow. */
void fn_worker_close(struct fn_worker *worker);
/* Ends Data, State and Logging of a closed worker (a Go harness in a pool does not by itself). Harmless when they have ended. */
void fn_worker_end_streams(struct fn_worker *worker);
/* Frees the worker. After `gone`. */
void fn_worker_destroy(struct fn_worker *worker);

/* One port of a bundle. */
struct fn_port {
    const char *transform_id;
    const char *local_name;
    const char *collection_id;
    const char *coder_id; /* the windowed value coder in the descriptor */
};

/* What a stage looks like to harnesses; registered once per stage and worker. Returns a descriptor number for this worker. The
 * descriptor proto (see plan_stage.descriptor) is completed here with a fresh unguessable id, the state and timer endpoint, and the
 * source and sink transforms (RemoteGrpcPort). The slice is taken over, strings are copied. */
unsigned fn_worker_add_descriptor(struct fn_worker *worker, struct slice descriptor, const struct fn_port *source,
                                  const struct fn_port *sinks, size_t sink_count);

struct fn_cache_token {
    struct slice token;
    const char *transform_id; /* NULL: the user state token */
    const char *side_input_id;
};

/* Sends ProcessBundle. Then input follows. Not before `connected`; tokens are borrowed. Go's trap about timer families' end marks is dealt
 * with in here (PROTOCOL F). */
void fn_worker_start_bundle(struct fn_worker *worker, uint64_t bundle, unsigned descriptor,
                            const struct fn_cache_token *tokens, size_t token_count);
/* Input for the source, or for a timer family of a transform (family not NULL). Takes the slices' references. Pieces are laid end to end
 * in one Elements message, without a copy. `is_last` sends the end mark as a message part of its own, without payload. */
void fn_worker_send(struct fn_worker *worker, uint64_t bundle, const char *transform_id, const char *family,
                    const struct slice *pieces, size_t count, bool is_last);
/* Takes what is in `response` and leaves it cleared. A stream that ended meanwhile is fine. */
void fn_worker_reply_state(struct fn_worker *worker, uint64_t reply_token, const char *request_id,
                           struct state_response *response);
/* fraction_of_remainder in [0,1]; allowed_split_points may be NULL (any). */
void fn_worker_split(struct fn_worker *worker, uint64_t bundle, const char *source_transform_id,
                     double fraction_of_remainder, int64_t estimated_input_elements);
void fn_worker_ask_progress(struct fn_worker *worker, uint64_t bundle);
/* Asks for what belongs to no bundle (HarnessMonitoringInfos; capability beam:protocol:harness_monitoring_infos:v1). */
void fn_worker_ask_process_metrics(struct fn_worker *worker);
/* The host has dealt with `bytes` that the `elements` callback gave it. While it owes more than some megabytes the Data stream is not read. */
void fn_worker_consumed(struct fn_worker *worker, size_t bytes);
/* Stops reading the harness's Data stream, or goes on; a message that is being read is still delivered. The harness's output waits in its
 * own memory meanwhile. */
void fn_worker_pause_data(struct fn_worker *worker, bool is_paused);
/* Asks for the harness's status: its threads' stacks and what else the SDK finds telling. The answer, if one comes, names the token.
 * False: the harness has no status stream. */
bool fn_worker_ask_status(struct fn_worker *worker, uint64_t token);
bool fn_worker_has_status(struct fn_worker *worker);
/* Whether it has opened its Logging stream. All SDKs do that first, but over a connection of its own, which may be there last. */
bool fn_worker_has_log(struct fn_worker *worker);
/* Asks for sampled elements (capability beam:protocol:data_sampling:v1) of one PCollection, by its id, or of all (NULL). A harness samples only where
 * its user has switched that on (Python, Java: --experiments=enable_data_sampling). */
void fn_worker_ask_samples(struct fn_worker *worker, uint64_t token, const char *collection);
/* Also after fn_worker_forget_bundle(). */
void fn_worker_finalize(struct fn_worker *worker, uint64_t bundle);
/* The bundle is over for the host: later messages for its instruction are dropped. */
void fn_worker_forget_bundle(struct fn_worker *worker, uint64_t bundle);
bool fn_worker_has_capability(const struct fn_worker *worker, const char *urn);
/* How many messages, or parts of one, were dropped because they named an instruction, a transform or a bundle that is not known, or no
 * longer: a few are normal when bundles fail. */
size_t fn_worker_ignored(const struct fn_worker *worker);

#endif
