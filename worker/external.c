/* beam:env:external:v1: a worker pool that starts harnesses when asked (BeamFnExternalWorkerPool in beam_fn_api.proto).
 *
 *      STARTING --StartWorker answered--> RUNNING --worker_stop--> STOPPING --StopWorker answered--> stopped
 *         |  `--answered with an error--> stopped                     ^
 *         `--no answer, or worker_stop (the call is cancelled)--------'
 *
 * A pool may hold StartWorker's answer back until the harness has connected (Python's does, for 60 s). After a call without an answer a
 * harness may run all the same, so StopWorker is sent; how that ends also tells a pool that is slow from one that is not there. A pool that
 * was there before is looked for first, with less patience: one that is gone, such as a client that ended, does not come back. */
#include <stdlib.h>

#include "beam_fn_api.pb-c.h"
#include "beam_runner_api.pb-c.h"
#include "wire/pb.h"
#include "worker/kind.h"

/* How long a pool that was there before may be away. */
enum { RETURN_DEADLINE_MS = 10 * 1000 };

/* Python's pool gives a process 10 s from SIGTERM to SIGKILL, but does not answer later than its end. */
enum { STOP_DEADLINE_MS = 12 * 1000 };

#define START_PATH "/org.apache.beam.model.fn_execution.v1.BeamFnExternalWorkerPool/StartWorker"
/* Whoever listens answers, be it that there is no such method. */
#define LOOK_PATH "/grpc.health.v1.Health/Check"
#define STOP_PATH "/org.apache.beam.model.fn_execution.v1.BeamFnExternalWorkerPool/StopWorker"

enum external_state { EXTERNAL_STARTING, EXTERNAL_RUNNING, EXTERNAL_STOPPING };

struct external_worker {
    enum external_state state;
    Beam__ExternalPayload *payload; /* in the worker's arena, as is this struct */
    struct rpc_channel *channel;
    struct rpc_stream *call; /* the one under way, or NULL */
    unsigned patience_ms;    /* for somebody to listen */
};

/* One unary call. Filled on an RPC thread until `closed`, then handed to the manager's thread. */
struct external_call {
    struct worker *worker;
    worker_task_fn done; /* the argument is the call */
    struct slice response;
    struct status status;
};

static int unpack(struct slice bytes, struct arena *arena, Beam__ExternalPayload **ret, struct status *st) {
    Beam__ExternalPayload *payload;

    if (PB_UNPACK(Beam__ExternalPayload, beam__external_payload, bytes, PB_STRINGS_STRICT, arena, &payload, st) < 0)
        return status_prefix(st, "environment %s", worker_kind_external.urn);
    if (!payload->endpoint || !payload->endpoint->url[0])
        return status_set(st, STATUS_INVALID_ARGUMENT,
                          "environment %s names no worker pool; set it with --environment_config=HOST:PORT",
                          worker_kind_external.urn);
    if (payload->endpoint->authentication)
        return status_set(st, STATUS_UNIMPLEMENTED,
                          "the worker pool at %s asks for authentication (%s), which this server cannot do",
                          payload->endpoint->url, payload->endpoint->authentication->urn);
    *ret = payload;
    return 0;
}

static int external_check(struct slice payload, struct status *st) {
    Beam__ExternalPayload *message;
    struct arena arena = {0};
    int error = unpack(payload, &arena, &message, st);

    arena_clear(&arena);
    return error;
}

static char *external_describe(struct slice payload) {
    Beam__ExternalPayload *message = NULL;
    struct arena arena = {0};
    char *text = NULL;

    if (unpack(payload, &arena, &message, NULL) == 0)
        text = xasprintf("the worker pool at %s", message->endpoint->url);
    arena_clear(&arena);
    return text;
}

static const char *endpoint_of(const struct worker *worker) {
    const struct external_worker *state = worker->state;

    return state->payload->endpoint->url;
}

/* ---------------------------------------------------------------- calls */

static void on_message(struct rpc_stream *stream, void *user, struct slice message) {
    struct external_call *call = user;

    (void)stream;
    slice_unref(&call->response);
    call->response = message;
}

static void on_closed(struct rpc_stream *stream, void *user, const struct status *status) {
    struct external_call *call = user;

    (void)stream;
    if (status->code)
        status_set(&call->status, status->code, "%s", status_message(status));
    worker_post(call->worker, call->done, call);
}

/* `request` is taken over. `done` follows on the manager's thread, always; the worker lives until then. */
static void call_pool(struct worker *worker, const char *path, struct slice request, unsigned deadline_ms,
                      bool wait_for_ready, worker_task_fn done) {
    static const struct rpc_handler handler = {.message = on_message, .closed = on_closed};
    struct external_worker *state = worker->state;
    struct external_call *call = xcalloc(1, sizeof(*call));

    call->worker = worker;
    call->done = done;
    state->call = rpc_channel_open(state->channel, path, NULL, 0, deadline_ms, wait_for_ready, &handler, call);
    rpc_stream_send(state->call, &request, 1);
    rpc_stream_finish(state->call, STATUS_OK, NULL);
}

static void call_free(struct external_call *call) {
    struct external_worker *state = call->worker->state;

    rpc_stream_unref(state->call);
    state->call = NULL;
    slice_unref(&call->response);
    status_clear(&call->status);
    free(call);
}

/* ---------------------------------------------------------------- stop */

static void finish(struct worker *worker) {
    worker_manager_release_channel(worker->manager, endpoint_of(worker));
    worker_stopped(worker);
}

static void send_stop(struct worker *worker, worker_task_fn done) {
    struct external_worker *state = worker->state;
    Fn__StopWorkerRequest request = FN__STOP_WORKER_REQUEST__INIT;

    state->state = EXTERNAL_STOPPING;
    request.worker_id = worker->id;
    call_pool(worker, STOP_PATH, PB_PACK(&request, NULL), STOP_DEADLINE_MS, false, done);
}

/* Whatever the answer: a pool that cannot be reached, or does not know the worker, has nothing that could be stopped. */
static void stop_done(struct worker *worker, void *argument) {
    call_free(argument);
    finish(worker);
}

/* StartWorker had no answer; now it is known whether anybody is there. */
static void unanswered_stop_done(struct worker *worker, void *argument) {
    struct external_call *call = argument;
    const struct external_worker *state = worker->state;
    unsigned seconds = (state->patience_ms + 999) / 1000;
    CLEANUP_STATUS struct status why = {0};

    if (call->status.code == STATUS_UNAVAILABLE)
        status_set(&why, STATUS_UNAVAILABLE,
                   "no worker pool listens at %s, tried for %u s (with LOOPBACK it is the program that submitted the "
                   "job, which may have ended): %s",
                   endpoint_of(worker), seconds, status_message(&call->status));
    else
        status_set(&why, STATUS_DEADLINE_EXCEEDED,
                   "the worker pool at %s did not answer StartWorker within %u s; its harness may be unable "
                   "to reach "
                   "the control endpoint %s",
                   endpoint_of(worker), seconds, worker->endpoints.control);
    call_free(call);
    worker_failed(worker, &why);
    finish(worker);
}

static void external_stop(struct worker *worker, unsigned grace_ms) {
    struct external_worker *state = worker->state;

    (void)grace_ms; /* the pool has its own */
    if (state->state == EXTERNAL_STARTING)
        rpc_stream_cancel(state->call); /* start_done() goes on from there */
    else if (state->state == EXTERNAL_RUNNING)
        send_stop(worker, stop_done);
}

/* ---------------------------------------------------------------- start */

/* The error in an answer, or why it cannot be read. */
static int check_response(struct worker *worker, struct slice response, struct status *st) {
    Fn__StartWorkerResponse *message;
    struct arena arena = {0};
    int error = PB_UNPACK(Fn__StartWorkerResponse, fn__start_worker_response, response, PB_STRINGS_LENIENT, &arena,
                          &message, st);

    if (error)
        status_prefix(st, "the worker pool at %s answered StartWorker", endpoint_of(worker));
    else if (message->error[0])
        error = status_set(st, STATUS_UNAVAILABLE, "the worker pool at %s could not start a worker: %s",
                           endpoint_of(worker), message->error);
    arena_clear(&arena);
    return error;
}

static bool is_unanswered(enum status_code code) {
    return code == STATUS_DEADLINE_EXCEEDED || code == STATUS_UNAVAILABLE || code == STATUS_CANCELLED;
}

static void start_done(struct worker *worker, void *argument) {
    struct external_call *call = argument;
    struct external_worker *state = worker->state;
    enum status_code code = call->status.code;
    struct status why = {0};

    if (code)
        status_set(&why, code, "the worker pool at %s answered StartWorker: %s", endpoint_of(worker),
                   status_message(&call->status));
    else
        check_response(worker, call->response, &why);
    call_free(call);
    if (worker->stop_requested) {
        send_stop(worker, stop_done);
    } else if (!why.code) {
        state->state = EXTERNAL_RUNNING;
    } else if (is_unanswered(code)) {
        send_stop(worker, unanswered_stop_done);
    } else {
        worker_failed(worker, &why);
        finish(worker);
    }
    status_clear(&why);
}

static void set_endpoint(Beam__ApiServiceDescriptor *storage, const char *url, Beam__ApiServiceDescriptor **ret) {
    if (!url[0])
        return;
    *storage = (Beam__ApiServiceDescriptor)BEAM__API_SERVICE_DESCRIPTOR__INIT;
    storage->url = (char *)url; /* protobuf-c's structs know no const */
    *ret = storage;
}

static struct slice make_request(struct worker *worker, const Beam__ExternalPayload *payload) {
    Fn__StartWorkerRequest request = FN__START_WORKER_REQUEST__INIT;
    Beam__ApiServiceDescriptor endpoints[4];

    request.worker_id = worker->id;
    set_endpoint(&endpoints[0], worker->endpoints.control, &request.control_endpoint);
    set_endpoint(&endpoints[1], worker->endpoints.logging, &request.logging_endpoint);
    set_endpoint(&endpoints[2], worker->endpoints.artifact, &request.artifact_endpoint);
    set_endpoint(&endpoints[3], worker->endpoints.provision, &request.provision_endpoint);
    request.n_params = payload->n_params;
    request.params = arena_new_array(&worker->arena, Fn__StartWorkerRequest__ParamsEntry *, payload->n_params);
    for (size_t i = 0; i < payload->n_params; i++) {
        Fn__StartWorkerRequest__ParamsEntry *entry = arena_new(&worker->arena, Fn__StartWorkerRequest__ParamsEntry);

        fn__start_worker_request__params_entry__init(entry);
        entry->key = payload->params[i]->key;
        entry->value = payload->params[i]->value;
        request.params[i] = entry;
    }
    return PB_PACK(&request, NULL);
}

static void send_start(struct worker *worker) {
    struct external_worker *state = worker->state;

    state->patience_ms = worker_manager_start_timeout_ms(worker->manager);
    call_pool(worker, START_PATH, make_request(worker, state->payload), state->patience_ms, true, start_done);
}

static void look_done(struct worker *worker, void *argument) {
    struct external_call *call = argument;
    enum status_code code = call->status.code;

    call_free(call);
    if (worker->stop_requested)
        finish(worker);
    else if (is_unanswered(code))
        send_stop(worker, unanswered_stop_done);
    else
        send_start(worker);
}

static void look(struct worker *worker) {
    struct external_worker *state = worker->state;

    state->patience_ms = MIN(worker_manager_start_timeout_ms(worker->manager), (unsigned)RETURN_DEADLINE_MS);
    call_pool(worker, LOOK_PATH, SLICE_EMPTY, state->patience_ms, true, look_done);
}

static void external_start(struct worker *worker) {
    struct external_worker *state = arena_new(&worker->arena, struct external_worker);
    struct status why = {0};

    worker->state = state;
    if (unpack(worker->payload, &worker->arena, &state->payload, &why) < 0) {
        worker_failed(worker, &why);
        status_clear(&why);
        worker_stopped(worker);
        return;
    }
    state->state = EXTERNAL_STARTING;
    state->channel = worker_manager_channel(worker->manager, endpoint_of(worker));
    if (worker->is_again)
        look(worker);
    else
        send_start(worker);
}

const struct worker_kind worker_kind_external = {
    .urn = "beam:env:external:v1",
    .hint = "--environment_type=LOOPBACK or EXTERNAL",
    .check = external_check,
    .describe = external_describe,
    .start = external_start,
    .stop = external_stop,
};
