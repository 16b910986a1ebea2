#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "beam_fn_api.pb-c.h"
#include "counters.h"
#include "wire/elements.h"
#include "wire/pb.h"

#define FN_API "/org.apache.beam.model.fn_execution.v1."

enum { MAX_QUEUED_BYTES = 32 << 20, CONNECT_MS = 60000, DESCRIPTOR_MS = 60000 };

static void send_message(struct rpc_stream *stream, const ProtobufCMessage *message) {
    struct slice bytes = pb_pack(message, NULL);

    if (stream)
        rpc_stream_send(stream, &bytes, 1);
    else
        slice_unref(&bytes);
}

/* ---- bundles ---- */

/* Under the lock. Input may come before its ProcessBundle, so either makes the bundle. */
static struct bundle *find_bundle(struct harness *harness, const char *instruction) {
    struct bundle *bundle = map_get_string(&harness->bundles, instruction);

    if (bundle || map_has_string(&harness->finished, instruction))
        return bundle;
    bundle = xcalloc(1, sizeof(*bundle));
    bundle->harness = harness;
    bundle->instruction = xstrdup(instruction);
    bundle->stop = UINT64_MAX;
    map_set_string(&harness->bundles, instruction, bundle);
    return bundle;
}

static void start_bundle(struct harness *harness, const char *instruction, const char *descriptor) {
    struct bundle *bundle;
    pthread_t thread;

    pthread_mutex_lock(&harness->lock);
    bundle = find_bundle(harness, instruction);
    if (bundle && !bundle->descriptor) {
        bundle->descriptor = xstrdup(descriptor);
        harness->running++;
        if (pthread_create(&thread, NULL, bundle_main, bundle) != 0)
            abort();
        pthread_detach(thread);
    }
    pthread_mutex_unlock(&harness->lock);
}

void harness_respond(struct harness *harness, const char *instruction, const char *error) {
    Fn__InstructionResponse response = FN__INSTRUCTION_RESPONSE__INIT;
    Fn__ProcessBundleResponse bundle = FN__PROCESS_BUNDLE_RESPONSE__INIT;
    struct arena arena = {0};

    counters_of_bundle(harness, instruction, &arena, &bundle);
    response.instruction_id = (char *)instruction;
    if (error)
        response.error = (char *)error;
    response.response_case = FN__INSTRUCTION_RESPONSE__RESPONSE_PROCESS_BUNDLE;
    response.process_bundle = &bundle;
    send_message(harness->control, &response.base);
    arena_clear(&arena);
}

const struct program *harness_program(struct harness *harness, const char *descriptor, struct status *st) {
    Fn__GetProcessBundleDescriptorRequest request = FN__GET_PROCESS_BUNDLE_DESCRIPTOR_REQUEST__INIT;
    struct rpc_metadata metadata = {"worker_id", harness->id};
    struct program *program;
    struct slice bytes = SLICE_EMPTY;

    pthread_mutex_lock(&harness->lock);
    program = map_get_string(&harness->programs, descriptor);
    pthread_mutex_unlock(&harness->lock);
    if (program)
        return program;
    request.process_bundle_descriptor_id = (char *)descriptor;
    if (rpc_channel_call_wait(harness->channel, FN_API "BeamFnControl/GetProcessBundleDescriptor", &metadata, 1,
                              DESCRIPTOR_MS, true, pb_pack(&request.base, NULL), &bytes, st) < 0)
        return NULL;
    if (program_create(bytes, &program, st) < 0)
        program = NULL;
    slice_unref(&bytes);
    if (!program)
        return NULL;
    pthread_mutex_lock(&harness->lock);
    if (map_has_string(&harness->programs, descriptor)) {
        program_destroy(program);
        program = map_get_string(&harness->programs, descriptor);
    } else {
        map_set_string(&harness->programs, descriptor, program);
    }
    pthread_mutex_unlock(&harness->lock);
    return program;
}

/* ---- Control ---- */

static void answer(struct harness *harness, struct rpc_stream *control, struct arena *arena,
                   const Fn__InstructionRequest *request) {
    Fn__InstructionResponse response = FN__INSTRUCTION_RESPONSE__INIT;
    Fn__ProcessBundleProgressResponse progress = FN__PROCESS_BUNDLE_PROGRESS_RESPONSE__INIT;
    Fn__FinalizeBundleResponse finalize = FN__FINALIZE_BUNDLE_RESPONSE__INIT;
    Fn__HarnessMonitoringInfosResponse process = FN__HARNESS_MONITORING_INFOS_RESPONSE__INIT;
    Fn__MonitoringInfosMetadataResponse meanings = FN__MONITORING_INFOS_METADATA_RESPONSE__INIT;

    response.instruction_id = request->instruction_id;
    switch (request->request_case) {
    case FN__INSTRUCTION_REQUEST__REQUEST_PROCESS_BUNDLE_PROGRESS:
        response.response_case = FN__INSTRUCTION_RESPONSE__RESPONSE_PROCESS_BUNDLE_PROGRESS;
        response.process_bundle_progress = &progress;
        counters_progress(harness, request->process_bundle_progress->instruction_id, arena, &progress);
        break;
    case FN__INSTRUCTION_REQUEST__REQUEST_HARNESS_MONITORING_INFOS:
        response.response_case = FN__INSTRUCTION_RESPONSE__RESPONSE_HARNESS_MONITORING_INFOS;
        response.harness_monitoring_infos = &process;
        counters_of_process(harness, arena, &process);
        break;
    case FN__INSTRUCTION_REQUEST__REQUEST_MONITORING_INFOS:
        response.response_case = FN__INSTRUCTION_RESPONSE__RESPONSE_MONITORING_INFOS;
        response.monitoring_infos = &meanings;
        counters_explain(request->monitoring_infos, arena, &meanings);
        break;
    case FN__INSTRUCTION_REQUEST__REQUEST_FINALIZE_BUNDLE:
        response.response_case = FN__INSTRUCTION_RESPONSE__RESPONSE_FINALIZE_BUNDLE;
        response.finalize_bundle = &finalize;
        break;
    default:
        response.error = (char *)"this harness does not know such requests";
        break;
    }
    send_message(control, &response.base);
}

static void split_bundle(struct harness *harness, const Fn__InstructionRequest *request) {
    const Fn__ProcessBundleSplitRequest *split = request->process_bundle_split;
    int64_t count = split->n_desired_splits ? split->desired_splits[0]->value->estimated_input_elements : 0;

    harness_split(harness, request->instruction_id, split->instruction_id, count);
}

static void control_message(struct rpc_stream *stream, void *user, struct slice message) {
    struct harness *harness = user;
    Fn__InstructionRequest *request;
    struct arena arena = {0};

    if (PB_UNPACK(Fn__InstructionRequest, fn__instruction_request, message, PB_STRINGS_STRICT, &arena, &request,
                  NULL) == 0) {
        if (request->request_case == FN__INSTRUCTION_REQUEST__REQUEST_PROCESS_BUNDLE)
            start_bundle(harness, request->instruction_id, request->process_bundle->process_bundle_descriptor_id);
        else if (request->request_case == FN__INSTRUCTION_REQUEST__REQUEST_PROCESS_BUNDLE_SPLIT)
            split_bundle(harness, request);
        else
            answer(harness, stream, &arena, request);
    }
    arena_clear(&arena);
    slice_unref(&message);
}

static void control_closed(struct rpc_stream *stream, void *user, const struct status *status) {
    struct harness *harness = user;

    (void)stream;
    (void)status;
    pthread_mutex_lock(&harness->lock);
    harness->is_over = true;
    pthread_cond_broadcast(&harness->changed);
    pthread_mutex_unlock(&harness->lock);
}

/* ---- Data ---- */

static void file_part(struct harness *harness, struct slice message, const struct elements_part *part) {
    CLEANUP(freep) char *instruction = xmemdup0(part->instruction_id.at, cursor_left(&part->instruction_id));
    struct bundle *bundle = find_bundle(harness, instruction);

    if (!bundle || part->is_timers)
        return;
    if (cursor_left(&part->bytes))
        vec_push(&bundle->input,
                 slice_sub(message, (size_t)(part->bytes.at - message.data), cursor_left(&part->bytes)));
    bundle->is_input_ended |= part->is_last;
}

static void data_message(struct rpc_stream *stream, void *user, struct slice message) {
    struct elements_scanner scanner = elements_scan(message);
    struct harness *harness = user;
    struct elements_part part;

    (void)stream;
    pthread_mutex_lock(&harness->lock);
    while (elements_next(&scanner, &part) > 0)
        file_part(harness, message, &part);
    pthread_cond_broadcast(&harness->changed);
    pthread_mutex_unlock(&harness->lock);
    slice_unref(&message);
}

static void data_sent(struct rpc_stream *stream, void *user, size_t bytes) {
    struct harness *harness = user;

    (void)stream;
    (void)bytes;
    pthread_mutex_lock(&harness->lock);
    pthread_cond_broadcast(&harness->changed);
    pthread_mutex_unlock(&harness->lock);
}

void harness_send_data(struct harness *harness, const struct slice *pieces, size_t count) {
    pthread_mutex_lock(&harness->lock);
    while (rpc_stream_queued_bytes(harness->data) > MAX_QUEUED_BYTES && !harness->is_over)
        pthread_cond_wait(&harness->changed, &harness->lock);
    pthread_mutex_unlock(&harness->lock);
    rpc_stream_send(harness->data, pieces, count);
}

/* ---- State ---- */

static void free_slice(void *slice) {
    if (slice)
        slice_unref(slice);
    free(slice);
}

static void state_message(struct rpc_stream *stream, void *user, struct slice message) {
    struct harness *harness = user;
    Fn__StateResponse *response;
    struct arena arena = {0};

    (void)stream;
    if (PB_UNPACK(Fn__StateResponse, fn__state_response, message, PB_STRINGS_LENIENT, &arena, &response, NULL) == 0) {
        struct slice *copy = xmalloc(sizeof(*copy));

        *copy = slice_ref(message);
        pthread_mutex_lock(&harness->lock);
        free_slice(map_set_string(&harness->answers, response->id, copy));
        pthread_cond_broadcast(&harness->changed);
        pthread_mutex_unlock(&harness->lock);
    }
    arena_clear(&arena);
    slice_unref(&message);
}

/* Sends a Get of the key and waits for its answer. */
static bool ask(struct harness *harness, const struct bundle *bundle, Fn__StateKey *key, struct slice continuation,
                struct slice *ret_response) {
    Fn__StateRequest request = FN__STATE_REQUEST__INIT;
    Fn__StateGetRequest get = FN__STATE_GET_REQUEST__INIT;
    struct slice *found = NULL;
    char id[32];

    get.continuation_token = (ProtobufCBinaryData){.len = continuation.size, .data = (uint8_t *)continuation.data};
    request.instruction_id = bundle->instruction;
    request.state_key = key;
    request.request_case = FN__STATE_REQUEST__REQUEST_GET;
    request.get = &get;
    request.id = id;
    pthread_mutex_lock(&harness->lock);
    snprintf(id, sizeof(id), "s%llu", (unsigned long long)harness->next_request++);
    send_message(harness->state, &request.base);
    while (!harness->is_over && !(found = map_remove_string(&harness->answers, id)))
        pthread_cond_wait(&harness->changed, &harness->lock);
    pthread_mutex_unlock(&harness->lock);
    if (found)
        *ret_response = *found;
    free(found);
    return found != NULL;
}

bool harness_ask_state(struct harness *harness, const struct bundle *bundle, const struct node *node,
                       struct cursor window, struct slice continuation, struct slice *ret_response) {
    Fn__StateKey key = FN__STATE_KEY__INIT;
    Fn__StateKey__IterableSideInput side = FN__STATE_KEY__ITERABLE_SIDE_INPUT__INIT;

    side.transform_id = (char *)node->id;
    side.side_input_id = (char *)(node->side_name ? node->side_name : "");
    side.window = (ProtobufCBinaryData){.len = cursor_left(&window), .data = (uint8_t *)window.at};
    key.type_case = FN__STATE_KEY__TYPE_ITERABLE_SIDE_INPUT;
    key.iterable_side_input = &side;
    return ask(harness, bundle, &key, continuation, ret_response);
}

bool harness_ask_values(struct harness *harness, const struct bundle *bundle, struct cursor token,
                        struct slice continuation, struct slice *ret_response) {
    Fn__StateKey key = FN__STATE_KEY__INIT;
    Fn__StateKey__Runner runner = FN__STATE_KEY__RUNNER__INIT;

    runner.key = (ProtobufCBinaryData){.len = cursor_left(&token), .data = (uint8_t *)token.at};
    key.type_case = FN__STATE_KEY__TYPE_RUNNER;
    key.runner = &runner;
    return ask(harness, bundle, &key, continuation, ret_response);
}

/* ---- Logging ---- */

void harness_log(struct harness *harness, const struct bundle *bundle, const struct node *node, int severity,
                 const char *text, size_t size) {
    Fn__LogEntry__List list = FN__LOG_ENTRY__LIST__INIT;
    Fn__LogEntry entry = FN__LOG_ENTRY__INIT, *entries = &entry;
    Google__Protobuf__Timestamp timestamp = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    CLEANUP(freep) char *message = xmemdup0(text, size);

    if (!harness->logging)
        return;
    timestamp.seconds = time(NULL);
    entry.severity = (Fn__LogEntry__Severity__Enum)severity;
    entry.timestamp = &timestamp;
    entry.message = message;
    entry.instruction_id = bundle->instruction;
    entry.transform_id = (char *)node->id;
    entry.log_location = (char *)"tests/harness";
    list.n_log_entries = 1;
    list.log_entries = &entries;
    send_message(harness->logging, &list.base);
}

static void logging_closed(struct rpc_stream *stream, void *user, const struct status *status) {
    struct harness *harness = user;

    (void)stream;
    (void)status;
    pthread_mutex_lock(&harness->lock);
    harness->is_logging_over = true;
    pthread_cond_broadcast(&harness->changed);
    pthread_mutex_unlock(&harness->lock);
}

/* The last lines on their way; a runner that never ends the stream does not hold us. */
static void drain_logging(struct harness *harness) {
    struct timespec deadline;

    if (!harness->logging)
        return;
    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += 2;
    rpc_stream_finish(harness->logging, STATUS_OK, NULL);
    pthread_mutex_lock(&harness->lock);
    while (!harness->is_logging_over)
        if (pthread_cond_timedwait(&harness->changed, &harness->lock, &deadline) != 0)
            break;
    pthread_mutex_unlock(&harness->lock);
}

/* ---- life ---- */

static void drop_message(struct rpc_stream *stream, void *user, struct slice message) {
    (void)stream;
    (void)user;
    slice_unref(&message);
}

struct rpc_stream *harness_open(struct harness *harness, struct rpc_channel *channel, const char *path,
                                const struct rpc_handler *handler) {
    struct rpc_metadata metadata = {"worker_id", harness->id};

    return rpc_channel_open(channel, path, &metadata, 1, 0, true, handler, harness);
}

struct harness *harness_start(struct rpc_client *client, const struct harness_options *options) {
    static const struct rpc_handler control = {.message = control_message, .closed = control_closed};
    static const struct rpc_handler data = {.message = data_message, .sent = data_sent};
    static const struct rpc_handler state = {.message = state_message};
    static const struct rpc_handler logging = {.message = drop_message, .closed = logging_closed};
    struct harness *harness = xcalloc(1, sizeof(*harness));

    pthread_mutex_init(&harness->lock, NULL);
    pthread_cond_init(&harness->changed, NULL);
    harness->id = xstrdup(options->id);
    harness->channel = rpc_channel_create(client, options->control_endpoint);
    if (options->logging_endpoint) {
        harness->logging_channel = rpc_channel_create(client, options->logging_endpoint);
        harness->logging = harness_open(harness, harness->logging_channel, FN_API "BeamFnLogging/Logging", &logging);
    }
    if (options->provision_endpoint)
        harness_open_status(harness, client, options->provision_endpoint);
    /* Before Control: a bundle may start as soon as that is open. */
    harness->data = harness_open(harness, harness->channel, FN_API "BeamFnData/Data", &data);
    harness->state = harness_open(harness, harness->channel, FN_API "BeamFnState/State", &state);
    pthread_mutex_lock(&harness->lock);
    harness->control = harness_open(harness, harness->channel, FN_API "BeamFnControl/Control", &control);
    pthread_mutex_unlock(&harness->lock);
    return harness;
}

void harness_wait(struct harness *harness) {
    pthread_mutex_lock(&harness->lock);
    while (!harness->is_over)
        pthread_cond_wait(&harness->changed, &harness->lock);
    pthread_mutex_unlock(&harness->lock);
}

void harness_stop(struct harness *harness) {
    pthread_mutex_lock(&harness->lock);
    rpc_stream_finish(harness->control, STATUS_OK, NULL);
    harness->is_over = true;
    pthread_cond_broadcast(&harness->changed);
    pthread_mutex_unlock(&harness->lock);
}

static void end_stream(struct rpc_stream *stream, bool drop) {
    if (!stream)
        return;
    rpc_stream_cancel(stream);
    if (drop)
        rpc_stream_unref(stream);
}

/* The streams' callbacks use the harness until they are closed, which rpc_client_destroy() waits for: the memory itself is freed only
 * when the process ends. */
bool harness_destroy(struct harness *harness) {
    bool is_idle;

    drain_logging(harness);
    pthread_mutex_lock(&harness->lock);
    is_idle = harness->running == 0;
    pthread_mutex_unlock(&harness->lock);
    end_stream(harness->data, is_idle);
    end_stream(harness->state, is_idle);
    end_stream(harness->logging, is_idle);
    end_stream(harness->status, is_idle);
    end_stream(harness->control, is_idle);
    return is_idle;
}
