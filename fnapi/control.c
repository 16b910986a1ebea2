/* The Control stream: instructions out, responses in.
 *
 * A bundle's instruction id is made of its number ("bundle-17"), so that data, state and log lines find their bundle without a
 * table; other instructions ("split-18") are kept in fn_worker.instructions until they are answered. A response whose metrics are
 * known by short id only waits until the harness has said what these mean; everything else is reported at once. */
#include "fnapi/internal.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUNDLE_PREFIX "bundle-"

/* ---- instruction ids ---- */

void fn_bundle_instruction_id(uint64_t bundle, char ret_id[FN_INSTRUCTION_ID_SIZE]) {
    snprintf(ret_id, FN_INSTRUCTION_ID_SIZE, BUNDLE_PREFIX "%" PRIu64, bundle);
}

bool fn_bundle_of_instruction_id(const void *id, size_t size, uint64_t *ret_bundle) {
    const char *digits = (const char *)id + strlen(BUNDLE_PREFIX);
    size_t count = size - strlen(BUNDLE_PREFIX);
    uint64_t number = 0;

    if (size <= strlen(BUNDLE_PREFIX) || memcmp(id, BUNDLE_PREFIX, strlen(BUNDLE_PREFIX)) != 0)
        return false;
    if (digits[0] == '0' && count > 1)
        return false; /* one id a bundle */
    for (size_t i = 0; i < count; i++)
        if (digits[i] < '0' || digits[i] > '9' || __builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, (uint64_t)(digits[i] - '0'), &number))
            return false;
    *ret_bundle = number;
    return true;
}

/* ---- out ---- */

/* Lock held. */
static void send_request(struct fn_worker *worker, const Fn__InstructionRequest *request) {
    struct slice message;

    if (!worker->control || !fn_worker_is_live(worker))
        return;
    message = PB_PACK(request, worker->account);
    rpc_stream_send(worker->control->rpc, &message, 1);
}

/* Fills in the id and sends. Lock held. */
static void send_instruction(struct fn_worker *worker, Fn__InstructionRequest *request, enum fn_instruction_kind kind,
                             uint64_t bundle, struct fn_report *report) {
    static const char *const names[] = {
        [FN_PROGRESS] = "progress",       [FN_SPLIT] = "split",
        [FN_FINALIZE] = "finalize",       [FN_SHORT_IDS] = "metrics",
        [FN_PROCESS_METRICS] = "process", [FN_SAMPLES] = "samples",
    };
    struct fn_instruction *instruction = xcalloc(1, sizeof(*instruction));
    char id[FN_INSTRUCTION_ID_SIZE];

    *instruction = (struct fn_instruction){.kind = kind, .bundle = bundle, .report = report};
    snprintf(id, sizeof(id), "%s-%" PRIu64, names[kind], ++worker->next_instruction);
    map_set_string(&worker->instructions, id, instruction);
    request->instruction_id = id;
    send_request(worker, request);
    request->instruction_id = NULL;
}

void fn_instruction_free(void *pointer) {
    struct fn_instruction *instruction = pointer;

    fn_report_free(instruction->report);
    free(instruction);
}

static void set_token(Fn__ProcessBundleRequest__CacheToken *message,
                      Fn__ProcessBundleRequest__CacheToken__SideInput *side,
                      Fn__ProcessBundleRequest__CacheToken__UserState *user, const struct fn_cache_token *token) {
    message->token = (ProtobufCBinaryData){.len = token->token.size, .data = (uint8_t *)token->token.data};
    if (token->transform_id) {
        side->transform_id = (char *)token->transform_id;
        side->side_input_id = (char *)token->side_input_id;
        message->type_case = FN__PROCESS_BUNDLE_REQUEST__CACHE_TOKEN__TYPE_SIDE_INPUT;
        message->side_input = side;
    } else {
        message->type_case = FN__PROCESS_BUNDLE_REQUEST__CACHE_TOKEN__TYPE_USER_STATE;
        message->user_state = user;
    }
}

void fn_worker_start_bundle(struct fn_worker *worker, uint64_t number, unsigned descriptor,
                            const struct fn_cache_token *tokens, size_t token_count) {
    Fn__InstructionRequest request = FN__INSTRUCTION_REQUEST__INIT;
    Fn__ProcessBundleRequest bundle_request = FN__PROCESS_BUNDLE_REQUEST__INIT;
    Fn__ProcessBundleRequest__CacheToken__UserState user = FN__PROCESS_BUNDLE_REQUEST__CACHE_TOKEN__USER_STATE__INIT;
    struct arena arena = {0};
    struct fn_bundle *bundle = xcalloc(1, sizeof(*bundle)), *namesake;
    char id[FN_INSTRUCTION_ID_SIZE];

    fn_bundle_instruction_id(number, id);
    bundle_request.n_cache_tokens = token_count;
    bundle_request.cache_tokens = arena_alloc(&arena, (token_count + 1) * sizeof(*bundle_request.cache_tokens));
    for (size_t i = 0; i < token_count; i++) {
        Fn__ProcessBundleRequest__CacheToken *message = arena_alloc(&arena, sizeof(*message));
        Fn__ProcessBundleRequest__CacheToken__SideInput *side = arena_alloc(&arena, sizeof(*side));

        fn__process_bundle_request__cache_token__init(message);
        fn__process_bundle_request__cache_token__side_input__init(side);
        set_token(message, side, &user, &tokens[i]);
        bundle_request.cache_tokens[i] = message;
    }
    request.instruction_id = id;
    request.request_case = FN__INSTRUCTION_REQUEST__REQUEST_PROCESS_BUNDLE;
    request.process_bundle = &bundle_request;

    fn_lock(worker);
    assert(worker->was_connected);
    assert(descriptor < worker->descriptors.count);
    bundle->number = number;
    bundle->descriptor = worker->descriptors.items[descriptor];
    bundle_request.process_bundle_descriptor_id = worker->descriptors.items[descriptor]->id;
    namesake = map_set(&worker->bundles, &number, sizeof(number), bundle);
    assert(!namesake);
    send_request(worker, &request);
    fn_unlock(worker);
    arena_clear(&arena);
}

void fn_worker_split(struct fn_worker *worker, uint64_t bundle, const char *source_transform_id,
                     double fraction_of_remainder, int64_t estimated_input_elements) {
    Fn__InstructionRequest request = FN__INSTRUCTION_REQUEST__INIT;
    Fn__ProcessBundleSplitRequest split = FN__PROCESS_BUNDLE_SPLIT_REQUEST__INIT;
    Fn__ProcessBundleSplitRequest__DesiredSplit desired = FN__PROCESS_BUNDLE_SPLIT_REQUEST__DESIRED_SPLIT__INIT;
    Fn__ProcessBundleSplitRequest__DesiredSplitsEntry entry =
        FN__PROCESS_BUNDLE_SPLIT_REQUEST__DESIRED_SPLITS_ENTRY__INIT;
    Fn__ProcessBundleSplitRequest__DesiredSplitsEntry *entries = &entry;
    char id[FN_INSTRUCTION_ID_SIZE];

    fn_bundle_instruction_id(bundle, id);
    desired.fraction_of_remainder = fraction_of_remainder;
    desired.estimated_input_elements = estimated_input_elements;
    entry.key = (char *)source_transform_id;
    entry.value = &desired;
    split.instruction_id = id;
    split.n_desired_splits = 1;
    split.desired_splits = &entries;
    request.request_case = FN__INSTRUCTION_REQUEST__REQUEST_PROCESS_BUNDLE_SPLIT;
    request.process_bundle_split = &split;
    fn_lock(worker);
    send_instruction(worker, &request, FN_SPLIT, bundle, NULL);
    fn_unlock(worker);
}

void fn_worker_ask_progress(struct fn_worker *worker, uint64_t bundle) {
    Fn__InstructionRequest request = FN__INSTRUCTION_REQUEST__INIT;
    Fn__ProcessBundleProgressRequest progress = FN__PROCESS_BUNDLE_PROGRESS_REQUEST__INIT;
    char id[FN_INSTRUCTION_ID_SIZE];

    fn_bundle_instruction_id(bundle, id);
    progress.instruction_id = id;
    request.request_case = FN__INSTRUCTION_REQUEST__REQUEST_PROCESS_BUNDLE_PROGRESS;
    request.process_bundle_progress = &progress;
    fn_lock(worker);
    send_instruction(worker, &request, FN_PROGRESS, bundle, NULL);
    fn_unlock(worker);
}

void fn_worker_ask_process_metrics(struct fn_worker *worker) {
    Fn__InstructionRequest request = FN__INSTRUCTION_REQUEST__INIT;
    Fn__HarnessMonitoringInfosRequest infos = FN__HARNESS_MONITORING_INFOS_REQUEST__INIT;

    request.request_case = FN__INSTRUCTION_REQUEST__REQUEST_HARNESS_MONITORING_INFOS;
    request.harness_monitoring_infos = &infos;
    fn_lock(worker);
    send_instruction(worker, &request, FN_PROCESS_METRICS, 0, NULL);
    fn_unlock(worker);
}

void fn_worker_ask_samples(struct fn_worker *worker, uint64_t token, const char *collection) {
    Fn__InstructionRequest request = FN__INSTRUCTION_REQUEST__INIT;
    Fn__SampleDataRequest sample = FN__SAMPLE_DATA_REQUEST__INIT;
    char *collections[] = {(char *)collection};

    sample.pcollection_ids = collections;
    sample.n_pcollection_ids = collection != NULL;
    request.request_case = FN__INSTRUCTION_REQUEST__REQUEST_SAMPLE_DATA;
    request.sample_data = &sample;
    fn_lock(worker);
    send_instruction(worker, &request, FN_SAMPLES, token, NULL);
    fn_unlock(worker);
}

void fn_worker_finalize(struct fn_worker *worker, uint64_t bundle) {
    Fn__InstructionRequest request = FN__INSTRUCTION_REQUEST__INIT;
    Fn__FinalizeBundleRequest finalize = FN__FINALIZE_BUNDLE_REQUEST__INIT;
    char id[FN_INSTRUCTION_ID_SIZE];

    fn_bundle_instruction_id(bundle, id);
    finalize.instruction_id = id;
    request.request_case = FN__INSTRUCTION_REQUEST__REQUEST_FINALIZE_BUNDLE;
    request.finalize_bundle = &finalize;
    fn_lock(worker);
    send_instruction(worker, &request, FN_FINALIZE, bundle, NULL);
    fn_unlock(worker);
}

void fn_control_ask_short_ids(struct fn_worker *worker, struct fn_report *report) {
    Fn__InstructionRequest request = FN__INSTRUCTION_REQUEST__INIT;
    Fn__MonitoringInfosMetadataRequest ids = FN__MONITORING_INFOS_METADATA_REQUEST__INIT;

    ids.n_monitoring_info_id = report->unresolved_count;
    ids.monitoring_info_id = xcalloc(report->unresolved_count, sizeof(*ids.monitoring_info_id));
    for (size_t i = 0; i < report->unresolved_count; i++)
        ids.monitoring_info_id[i] = (char *)report->unresolved[i].short_id;
    request.request_case = FN__INSTRUCTION_REQUEST__REQUEST_MONITORING_INFOS;
    request.monitoring_infos = &ids;
    fn_lock(worker);
    send_instruction(worker, &request, FN_SHORT_IDS, report->bundle, report);
    fn_unlock(worker);
    free(ids.monitoring_info_id);
}

/* ---- in ---- */

/* Whether the host still wants to hear of this bundle. Progress of one that has ended is none. */
static bool is_wanted(struct fn_worker *worker, uint64_t number, bool is_progress) {
    const struct fn_bundle *bundle;
    bool wanted;

    fn_lock(worker);
    bundle = fn_worker_bundle(worker, number);
    wanted = bundle && fn_worker_is_live(worker) && !(is_progress && bundle->is_answered);
    fn_unlock(worker);
    return wanted;
}

/* Takes the report over. */
static void deliver(struct fn_worker *worker, struct fn_report *report) {
    const struct fn_worker_handler *handler = worker->handler;

    if (report->is_of_process ? !fn_worker_check_live(worker)
                              : !is_wanted(worker, report->bundle, report->is_progress)) {
        fn_report_free(report);
        return;
    }
    if (report->is_of_process) {
        if (handler->process_metrics)
            handler->process_metrics(worker->user, report->response.metrics, report->response.metric_count);
    } else if (report->is_progress) {
        if (handler->progress)
            handler->progress(worker->user, report->bundle, report->response.metrics, report->response.metric_count);
    } else if (handler->bundle_done) {
        handler->bundle_done(worker->user, report->bundle, &report->response);
        report->response = (struct bundle_response){0};
    }
    fn_report_free(report);
}

/* Now, or once its short ids are known. */
static void deliver_resolved(struct fn_worker *worker, struct fn_report *report) {
    if (report->unresolved_count)
        fn_control_ask_short_ids(worker, report);
    else
        deliver(worker, report);
}

static void bundle_failed(struct fn_worker *worker, uint64_t number, const char *error) {
    struct fn_bundle *bundle;

    fn_lock(worker);
    bundle = fn_worker_bundle(worker, number);
    if (bundle)
        bundle->has_failed = true;
    fn_unlock(worker);
    if (bundle && worker->handler->bundle_failed && fn_worker_check_live(worker))
        worker->handler->bundle_failed(worker->user, number, error);
}

/* Output inside the response: we do not say that we can take it, but nothing stands against it. */
static void deliver_embedded(struct fn_worker *worker, uint64_t number, const Fn__Elements *elements) {
    const struct fn_worker_handler *handler = worker->handler;
    struct account *account;

    if (!elements || !handler->elements || !is_wanted(worker, number, false))
        return;
    account = fn_worker_account(worker);
    for (size_t i = 0; i < elements->n_data; i++) {
        const Fn__Elements__Data *data = elements->data[i];

        handler->elements(worker->user, number, slice_of_literal(data->transform_id), NULL,
                          slice_copy(data->data.data, data->data.len, account), data->is_last);
    }
    for (size_t i = 0; i < elements->n_timers; i++) {
        const Fn__Elements__Timers *timers = elements->timers[i];
        struct slice family = slice_of_literal(timers->timer_family_id);

        handler->elements(worker->user, number, slice_of_literal(timers->transform_id), &family,
                          slice_copy(timers->timers.data, timers->timers.len, account), timers->is_last);
    }
    account_unref(account);
}

static void bundle_answered(struct fn_worker *worker, uint64_t number, const Fn__InstructionResponse *response) {
    struct fn_bundle *bundle;
    bool is_first;

    fn_lock(worker);
    bundle = fn_worker_bundle(worker, number);
    is_first = bundle && !bundle->is_answered;
    if (is_first)
        bundle->is_answered = true;
    fn_unlock(worker);
    if (!is_first) {
        fn_worker_ignore(worker);
        return;
    }
    /* The error wins: Go fills the oneof with something to have it filled. */
    if (response->error[0]) {
        bundle_failed(worker, number, response->error);
    } else if (response->response_case != FN__INSTRUCTION_RESPONSE__RESPONSE_PROCESS_BUNDLE) {
        bundle_failed(worker, number, "the SDK harness answered ProcessBundle with something else");
    } else {
        deliver_embedded(worker, number, response->process_bundle->elements);
        deliver_resolved(worker, fn_report_of_bundle(worker, number, response->process_bundle));
    }
}

static void progress_answered(struct fn_worker *worker, uint64_t bundle, const Fn__InstructionResponse *response) {
    if (!response->error[0] && response->response_case == FN__INSTRUCTION_RESPONSE__RESPONSE_PROCESS_BUNDLE_PROGRESS)
        deliver_resolved(worker, fn_report_of_progress(worker, bundle, response->process_bundle_progress));
    else if (is_wanted(worker, bundle, true) && worker->handler->progress)
        worker->handler->progress(worker->user, bundle, NULL, 0);
}

static void process_answered(struct fn_worker *worker, const Fn__InstructionResponse *response) {
    if (!response->error[0] && response->response_case == FN__INSTRUCTION_RESPONSE__RESPONSE_HARNESS_MONITORING_INFOS)
        deliver_resolved(worker, fn_report_of_process(worker, response->harness_monitoring_infos));
    else if (worker->handler->process_metrics && fn_worker_check_live(worker))
        worker->handler->process_metrics(worker->user, NULL, 0);
}

static void split_answered(struct fn_worker *worker, uint64_t bundle, const Fn__InstructionResponse *response) {
    bool is_split =
        !response->error[0] && response->response_case == FN__INSTRUCTION_RESPONSE__RESPONSE_PROCESS_BUNDLE_SPLIT;
    struct account *account;
    struct bundle_split split;

    if (!worker->handler->split || !is_wanted(worker, bundle, false))
        return;
    account = fn_worker_account(worker);
    fn_read_split(is_split ? response->process_bundle_split : NULL, account, &split);
    account_unref(account);
    worker->handler->split(worker->user, bundle, &split);
}

static void instruction_answered(struct fn_worker *worker, const Fn__InstructionResponse *response) {
    struct fn_instruction *instruction;

    fn_lock(worker);
    instruction = map_remove_string(&worker->instructions, response->instruction_id);
    fn_unlock(worker);
    if (!instruction) {
        fn_worker_ignore(worker);
        return;
    }
    switch (instruction->kind) {
    case FN_PROGRESS:
        progress_answered(worker, instruction->bundle, response);
        break;
    case FN_PROCESS_METRICS:
        process_answered(worker, response);
        break;
    case FN_SAMPLES:
        if (worker->handler->samples && fn_worker_check_live(worker))
            worker->handler->samples(worker->user, instruction->bundle, fn_samples_read(response));
        break;
    case FN_SPLIT:
        split_answered(worker, instruction->bundle, response);
        break;
    case FN_FINALIZE:
        if (worker->handler->finalized && fn_worker_check_live(worker))
            worker->handler->finalized(worker->user, instruction->bundle, response->error[0] ? response->error : NULL);
        break;
    case FN_SHORT_IDS:
        fn_report_resolve(worker, instruction->report,
                          response->response_case == FN__INSTRUCTION_RESPONSE__RESPONSE_MONITORING_INFOS
                              ? response->monitoring_infos
                              : NULL);
        deliver(worker, instruction->report);
        instruction->report = NULL;
        break;
    }
    fn_instruction_free(instruction);
}

static void control_message(struct rpc_stream *rpc, void *user, struct slice bytes) {
    struct fn_stream *stream = user;
    Fn__InstructionResponse *response;
    struct arena arena = {0};
    struct status st = {0};
    uint64_t bundle;

    (void)rpc;
    if (stream) {
        if (PB_UNPACK(Fn__InstructionResponse, fn__instruction_response, bytes, PB_STRINGS_LENIENT, &arena, &response,
                      &st) < 0)
            fn_worker_fail(stream->worker, STATUS_INVALID_ARGUMENT,
                           "the SDK harness sent nonsense on its Control stream: %s", status_message(&st));
        else if (fn_bundle_of_instruction_id(response->instruction_id, strlen(response->instruction_id), &bundle))
            bundle_answered(stream->worker, bundle, response);
        else
            instruction_answered(stream->worker, response);
    }
    status_clear(&st);
    arena_clear(&arena);
    slice_unref(&bytes);
}

/* ---- the stream ---- */

static void control_opened(struct rpc_stream *rpc, void *context) {
    struct fn_stream *stream = fn_service_attach(context, rpc, FN_CONTROL);
    struct fn_worker *worker = stream ? stream->worker : NULL;

    if (worker && worker->handler->connected && fn_worker_check_live(worker))
        worker->handler->connected(worker->user);
}

static void control_half_closed(struct rpc_stream *rpc, void *user) {
    struct fn_stream *stream = user;

    if (!stream)
        return;
    fn_worker_fail(stream->worker, STATUS_UNAVAILABLE, "the SDK harness went away: it closed its Control stream");
    (void)rpc;
}

/* Tells the host, unless it was the host who wanted it. */
static void report_lost(struct fn_worker *worker, const struct status *status) {
    struct status why = {0};
    bool is_lost;

    fn_lock(worker);
    is_lost = !worker->is_closing;
    worker->is_lost = true;
    if (worker->failure.code != STATUS_OK)
        status_set(&why, worker->failure.code, "%s", worker->failure.message);
    else if (status->code != STATUS_OK && status->code != STATUS_CANCELLED)
        status_set(&why, STATUS_UNAVAILABLE, "the SDK harness went away: %s", status_message(status));
    else
        status_set(&why, STATUS_UNAVAILABLE, "the SDK harness went away: its Control stream ended");
    fn_unlock(worker);
    if (is_lost && worker->handler->lost)
        worker->handler->lost(worker->user, &why);
    status_clear(&why);
}

static void control_closed(struct rpc_stream *rpc, void *user, const struct status *status) {
    struct fn_stream *stream = user;

    (void)rpc;
    if (!stream)
        return;
    report_lost(stream->worker, status);
    fn_stream_detach(stream);
}

const struct rpc_handler fn_control_handler = {
    .opened = control_opened,
    .message = control_message,
    .half_closed = control_half_closed,
    .closed = control_closed,
};
