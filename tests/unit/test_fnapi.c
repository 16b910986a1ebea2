/* fnapi/ against a harness made of rpc/'s client side, in the same process, over a real socket.
 *
 * Host callbacks write one line each into a journal; tests wait until a line is there (with a deadline, without sleeping) and the
 * fake harness keeps what it received in a second journal. */
#include "fnapi/fnapi.h"

#include <check.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "base/vec.h"
#include "beam_fn_api.pb-c.h"
#include "beam_provision_api.pb-c.h"
#include "wire/elements.h"
#include "wire/pb.h"

#define CONTROL "/org.apache.beam.model.fn_execution.v1.BeamFnControl/Control"
#define DESCRIPTOR "/org.apache.beam.model.fn_execution.v1.BeamFnControl/GetProcessBundleDescriptor"
#define DATA "/org.apache.beam.model.fn_execution.v1.BeamFnData/Data"
#define STATE "/org.apache.beam.model.fn_execution.v1.BeamFnState/State"
#define LOGGING "/org.apache.beam.model.fn_execution.v1.BeamFnLogging/Logging"
#define PROVISION "/org.apache.beam.model.fn_execution.v1.ProvisionService/GetProvisionInfo"
#define STATUS "/org.apache.beam.model.fn_execution.v1.BeamFnWorkerStatus/WorkerStatus"
#define SUM "beam:metrics:sum_int64:v1"

enum { DEADLINE_S = 20 };

/* ---- journals ---- */

struct journal {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    VEC(char *) lines;
};

static void journal_init(struct journal *journal) {
    *journal = (struct journal){0};
    pthread_mutex_init(&journal->lock, NULL);
    pthread_cond_init(&journal->changed, NULL);
}

static void journal_clear(struct journal *journal) {
    vec_foreach (line, &journal->lines)
        free(*line);
    vec_free(&journal->lines);
}

static void journal_add(struct journal *journal, const char *format, ...) PRINTF_LIKE(2, 3);

static void journal_add(struct journal *journal, const char *format, ...) {
    va_list args;
    char *line;

    va_start(args, format);
    line = xvasprintf(format, args);
    va_end(args);
    pthread_mutex_lock(&journal->lock);
    vec_push(&journal->lines, line);
    pthread_cond_broadcast(&journal->changed);
    pthread_mutex_unlock(&journal->lock);
}

static size_t count_lines(const struct journal *journal, const char *prefix, const char **ret_line) {
    size_t count = 0;

    vec_foreach (line, &journal->lines)
        if (strncmp(*line, prefix, strlen(prefix)) == 0) {
            count++;
            *ret_line = *line;
        }
    return count;
}

/* The last line that begins like this, once there are `times` of them. It lives as long as the journal. */
static const char *wait_times(struct journal *journal, const char *prefix, size_t times) {
    struct timespec deadline;
    const char *line = NULL;
    int late = 0;

    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += DEADLINE_S;
    pthread_mutex_lock(&journal->lock);
    while (count_lines(journal, prefix, &line) < times && !late)
        late = pthread_cond_timedwait(&journal->changed, &journal->lock, &deadline);
    if (late)
        vec_foreach (other, &journal->lines)
            fprintf(stderr, "journal: %s\n", *other);
    pthread_mutex_unlock(&journal->lock);
    ck_assert_msg(!late, "never came: %zu times \"%s\"", times, prefix);
    return line;
}

static const char *wait_line(struct journal *journal, const char *prefix) {
    return wait_times(journal, prefix, 1);
}

static size_t journal_count(struct journal *journal, const char *prefix) {
    const char *line;
    size_t count;

    pthread_mutex_lock(&journal->lock);
    count = count_lines(journal, prefix, &line);
    pthread_mutex_unlock(&journal->lock);
    return count;
}

/* ---- the world: a server with the service, a host that writes down what it hears, a client ---- */

struct world {
    struct rpc_server *server;
    struct fn_service *service;
    struct rpc_client *client;
    struct rpc_channel *channel;
    struct account *account;
    char *endpoint;
    struct journal host;
    struct journal harness;
    struct fn_worker *worker;
    bool is_closed;
    size_t sent_bytes;
    uint64_t state_token;
    char *state_request_id;
    bool keeps_state; /* the test answers state requests itself */
};

static void on_connected(void *user) {
    journal_add(&((struct world *)user)->host, "connected");
}

static void on_lost(void *user, const struct status *why) {
    journal_add(&((struct world *)user)->host, "lost %s", status_message(why));
}

static void on_elements(void *user, uint64_t bundle, struct slice transform_id, const struct slice *family,
                        struct slice bytes, bool is_last) {
    struct world *w = user;

    journal_add(&w->host, "elements %llu %.*s %.*s[%.*s]%s", (unsigned long long)bundle, (int)transform_id.size,
                (const char *)transform_id.data, family ? (int)family->size : 1,
                family ? (const char *)family->data : "-", (int)bytes.size, (const char *)bytes.data,
                is_last ? " last" : "");
    slice_unref(&bytes);
}

static void on_state(void *user, uint64_t bundle, uint64_t token, struct state_request *request) {
    struct world *w = user;

    w->state_token = token;
    free(w->state_request_id);
    w->state_request_id = xstrdup(request->request_id);
    journal_add(&w->host,
                "state %llu %s kind=%d op=%d %s/%s window=%.*s key=%.*s continuation=%.*s data=%.*s [%lld,%lld)",
                (unsigned long long)bundle, request->request_id, (int)request->kind, (int)request->operation,
                request->transform_id, request->state_id, (int)request->window.size, (const char *)request->window.data,
                (int)request->key.size, (const char *)request->key.data, (int)request->continuation.size,
                (const char *)request->continuation.data, (int)request->data.size, (const char *)request->data.data,
                (long long)request->range_start, (long long)request->range_end);
    state_request_clear(request);
}

static void on_done(void *user, uint64_t bundle, struct bundle_response *response) {
    struct world *w = user;

    for (size_t i = 0; i < response->metric_count; i++) {
        const char *type, *labels[4][2];
        size_t label_count;
        const char *urn = metric_identity_parse(response->metrics[i].identity, &type, labels, 4, &label_count);
        int64_t value = -1;

        metric_decode_int64(response->metrics[i].payload, &value);
        journal_add(&w->host, "metric %llu %s %s=%s %lld", (unsigned long long)bundle, urn,
                    label_count ? labels[0][0] : "", label_count ? labels[0][1] : "", (long long)value);
    }
    for (size_t i = 0; i < response->residual_count; i++)
        journal_add(&w->host, "residual %s %s %.*s delay=%lld unbounded=%d %s=%lld",
                    response->residuals[i].transform_id, response->residuals[i].input_id,
                    (int)response->residuals[i].element.size, (const char *)response->residuals[i].element.data,
                    (long long)response->residuals[i].delay_ms, response->residuals[i].is_unbounded,
                    response->residuals[i].watermarks[0].output_id,
                    (long long)response->residuals[i].watermarks[0].watermark);
    journal_add(&w->host, "done %llu metrics=%zu%s", (unsigned long long)bundle, response->metric_count,
                response->requires_finalization ? " finalize" : "");
    bundle_response_clear(response);
}

static void on_failed(void *user, uint64_t bundle, const char *error) {
    journal_add(&((struct world *)user)->host, "failed %llu %s", (unsigned long long)bundle, error);
}

static void on_split(void *user, uint64_t bundle, struct bundle_split *split) {
    journal_add(&((struct world *)user)->host, "split %llu primaries=%zu residuals=%zu channels=%zu %lld/%lld",
                (unsigned long long)bundle, split->primary_count, split->residual_count, split->channel_count,
                split->channel_count ? (long long)split->channels[0].last_primary_element : 0,
                split->channel_count ? (long long)split->channels[0].first_residual_element : 0);
    bundle_split_clear(split);
}

static void on_progress(void *user, uint64_t bundle, const struct metric *metrics, size_t count) {
    (void)metrics;
    journal_add(&((struct world *)user)->host, "progress %llu metrics=%zu", (unsigned long long)bundle, count);
}

static void on_process_metrics(void *user, const struct metric *metrics, size_t count) {
    int64_t value = 0;

    if (count)
        ck_assert(metric_decode_int64(metrics[0].payload, &value));
    journal_add(&((struct world *)user)->host, "process metrics=%zu %lld", count, (long long)value);
}

static void on_finalized(void *user, uint64_t bundle, const char *error) {
    journal_add(&((struct world *)user)->host, "finalized %llu %s", (unsigned long long)bundle, error ? error : "ok");
}

static void on_sent(void *user, uint64_t bundle, size_t bytes) {
    struct world *w = user;

    pthread_mutex_lock(&w->host.lock);
    w->sent_bytes += bytes;
    pthread_cond_broadcast(&w->host.changed);
    pthread_mutex_unlock(&w->host.lock);
    ck_assert_uint_eq(bundle, 7);
}

static void on_log(void *user, const struct fn_log_entry *entry) {
    journal_add(&((struct world *)user)->host, "log %d %lld %s|%s|%s|%s|%s|%s %d/%llu", (int)entry->severity,
                (long long)entry->time_ms, entry->message, entry->trace, entry->instruction_id, entry->transform_id,
                entry->location, entry->thread, entry->is_of_bundle, (unsigned long long)entry->bundle);
}

static void on_gone(void *user) {
    journal_add(&((struct world *)user)->host, "gone");
}

static void on_status(void *user, uint64_t token, const char *text, bool is_error) {
    journal_add(&((struct world *)user)->host, "status %llu %s%s", (unsigned long long)token, is_error ? "error: " : "",
                text);
}

static const struct fn_worker_handler host_handler = {
    .status = on_status,
    .connected = on_connected,
    .lost = on_lost,
    .elements = on_elements,
    .state = on_state,
    .bundle_done = on_done,
    .bundle_failed = on_failed,
    .split = on_split,
    .progress = on_progress,
    .process_metrics = on_process_metrics,
    .finalized = on_finalized,
    .sent = on_sent,
    .log = on_log,
    .gone = on_gone,
};

static void world_open_with(struct world *w, const char *const *capabilities, size_t capability_count) {
    struct rpc_server_options options = {.threads = 2};
    /* metadata { "k": "v" } */
    static const uint8_t info[] = {0x6a, 6, 0x0a, 1, 'k', 0x12, 1, 'v'};
    struct fn_worker_options worker_options = {
        .worker_id = "secret-1",
        .provision_info = slice_of_static(info, sizeof(info)),
        .capabilities = capabilities,
        .capability_count = capability_count,
    };
    struct status st = {0};
    int port;

    *w = (struct world){0};
    journal_init(&w->host);
    journal_init(&w->harness);
    rpc_init();
    w->account = account_create("test", NULL, 0);
    w->server = rpc_server_create(&options);
    w->service = fn_service_create(w->server);
    ck_assert_int_eq(rpc_server_listen(w->server, "127.0.0.1:0", &port, &st), 0);
    rpc_server_start(w->server);
    w->endpoint = xasprintf("127.0.0.1:%d", port);
    worker_options.endpoint = w->endpoint;
    worker_options.account = w->account;
    w->worker = fn_worker_create(w->service, &worker_options, &host_handler, w);
    w->client = rpc_client_create(1);
    w->channel = rpc_channel_create(w->client, w->endpoint);
}

static void world_open(struct world *w) {
    world_open_with(w, NULL, 0);
}

static void world_close(struct world *w) {
    if (!w->is_closed)
        fn_worker_close(w->worker);
    fn_worker_end_streams(w->worker);
    wait_line(&w->host, "gone");
    fn_worker_destroy(w->worker);
    rpc_channel_destroy(w->channel);
    rpc_client_destroy(w->client);
    rpc_server_stop(w->server, 1000);
    fn_service_destroy(w->service);
    ck_assert_uint_eq(journal_count(&w->host, "gone"), 1);
    ck_assert_uint_eq(account_used(w->account), 0);
    account_unref(w->account);
    rpc_shutdown();
    journal_clear(&w->host);
    journal_clear(&w->harness);
    free(w->endpoint);
    free(w->state_request_id);
}

/* ---- the fake harness ---- */

/* "control bundle-7 ...", "data ...", "state ..." */
static void control_received(struct rpc_stream *stream, void *user, struct slice bytes) {
    struct world *w = user;
    Fn__InstructionRequest *request;
    struct arena arena = {0};

    (void)stream;
    ck_assert_int_eq(
        PB_UNPACK(Fn__InstructionRequest, fn__instruction_request, bytes, PB_STRINGS_STRICT, &arena, &request, NULL),
        0);
    switch (request->request_case) {
    case FN__INSTRUCTION_REQUEST__REQUEST_PROCESS_BUNDLE:
        journal_add(&w->harness, "descriptor %s", request->process_bundle->process_bundle_descriptor_id);
        for (size_t i = 0; i < request->process_bundle->n_cache_tokens; i++)
            journal_add(&w->harness, "token %.*s %s", (int)request->process_bundle->cache_tokens[i]->token.len,
                        (const char *)request->process_bundle->cache_tokens[i]->token.data,
                        request->process_bundle->cache_tokens[i]->type_case ==
                                FN__PROCESS_BUNDLE_REQUEST__CACHE_TOKEN__TYPE_SIDE_INPUT
                            ? request->process_bundle->cache_tokens[i]->side_input->side_input_id
                            : "user");
        break;
    case FN__INSTRUCTION_REQUEST__REQUEST_PROCESS_BUNDLE_SPLIT:
        journal_add(&w->harness, "split-of %s %s %g %lld", request->process_bundle_split->instruction_id,
                    request->process_bundle_split->desired_splits[0]->key,
                    request->process_bundle_split->desired_splits[0]->value->fraction_of_remainder,
                    (long long)request->process_bundle_split->desired_splits[0]->value->estimated_input_elements);
        break;
    case FN__INSTRUCTION_REQUEST__REQUEST_MONITORING_INFOS:
        for (size_t i = 0; i < request->monitoring_infos->n_monitoring_info_id; i++)
            journal_add(&w->harness, "short-id %s", request->monitoring_infos->monitoring_info_id[i]);
        break;
    default:
        break;
    }
    journal_add(&w->harness, "control %s", request->instruction_id);
    arena_clear(&arena);
    slice_unref(&bytes);
}

static void data_received(struct rpc_stream *stream, void *user, struct slice bytes) {
    struct world *w = user;
    struct elements_scanner scanner = elements_scan(bytes);
    struct elements_part part;
    char line[512] = "data";
    size_t total = 0;

    (void)stream;
    while (elements_next(&scanner, &part) == 1) {
        size_t used = strlen(line);

        total += cursor_left(&part.bytes);
        snprintf(line + used, sizeof(line) - used, " %.*s/%.*s/%.*s[%.*s]%s", (int)cursor_left(&part.instruction_id),
                 (const char *)part.instruction_id.at, (int)cursor_left(&part.transform_id),
                 (const char *)part.transform_id.at, (int)cursor_left(&part.timer_family_id),
                 (const char *)part.timer_family_id.at, (int)MIN(cursor_left(&part.bytes), (size_t)20),
                 (const char *)part.bytes.at, part.is_last ? "!" : "");
    }
    journal_add(&w->harness, "%s", line);
    slice_unref(&bytes);
}

static void state_received(struct rpc_stream *stream, void *user, struct slice bytes) {
    struct world *w = user;
    Fn__StateResponse *response;
    struct arena arena = {0};
    ProtobufCBinaryData data = {0}, token = {0};

    (void)stream;
    ck_assert_int_eq(
        PB_UNPACK(Fn__StateResponse, fn__state_response, bytes, PB_STRINGS_STRICT, &arena, &response, NULL), 0);
    if (response->response_case == FN__STATE_RESPONSE__RESPONSE_GET) {
        data = response->get->data;
        token = response->get->continuation_token;
    }
    journal_add(&w->harness, "state %s case=%d error=%s data=%.*s token=%.*s", response->id,
                (int)response->response_case, response->error, (int)data.len, (const char *)data.data, (int)token.len,
                (const char *)token.data);
    arena_clear(&arena);
    slice_unref(&bytes);
}

/* "closed control NOT_FOUND text" */
static void control_closed(struct rpc_stream *stream, void *user, const struct status *status) {
    (void)stream;
    journal_add(&((struct world *)user)->harness, "closed control %s %s", status_code_name(status->code),
                status_message(status));
}

static void data_closed(struct rpc_stream *stream, void *user, const struct status *status) {
    (void)stream;
    journal_add(&((struct world *)user)->harness, "closed data %s", status_code_name(status->code));
}

static const struct rpc_handler control_client = {.message = control_received, .closed = control_closed};
static const struct rpc_handler data_client = {.message = data_received, .closed = data_closed};
static const struct rpc_handler state_client = {.message = state_received};
static const struct rpc_handler logging_client = {0};

static struct rpc_stream *dial(struct world *w, const char *path, const struct rpc_handler *handler, const char *id) {
    struct rpc_metadata metadata = {"worker_id", id};

    return rpc_channel_open(w->channel, path, &metadata, id ? 1 : 0, 0, true, handler, w);
}

static struct rpc_stream *dial_control(struct world *w) {
    struct rpc_stream *control = dial(w, CONTROL, &control_client, "secret-1");

    wait_line(&w->host, "connected");
    return control;
}

static void send_message(struct rpc_stream *stream, const ProtobufCMessage *message) {
    struct slice bytes = pb_pack(message, NULL);

    rpc_stream_send(stream, &bytes, 1);
}

static void send_part(struct rpc_stream *data, const char *instruction, const char *transform, const char *family,
                      const char *bytes, bool is_last) {
    struct slice pieces[2] = {elements_header(instruction, transform, family, strlen(bytes), is_last),
                              slice_copy(bytes, strlen(bytes), NULL)};

    rpc_stream_send(data, pieces, 2);
}

static void answer_bundle(struct rpc_stream *control, const char *id, Fn__ProcessBundleResponse *bundle) {
    Fn__InstructionResponse response = FN__INSTRUCTION_RESPONSE__INIT;
    Fn__ProcessBundleResponse empty = FN__PROCESS_BUNDLE_RESPONSE__INIT;

    response.instruction_id = (char *)id;
    response.response_case = FN__INSTRUCTION_RESPONSE__RESPONSE_PROCESS_BUNDLE;
    response.process_bundle = bundle ? bundle : &empty;
    send_message(control, &response.base);
}

static void answer_error(struct rpc_stream *control, const char *id, const char *error) {
    Fn__InstructionResponse response = FN__INSTRUCTION_RESPONSE__INIT;
    Fn__RegisterResponse dummy = FN__REGISTER_RESPONSE__INIT;

    response.instruction_id = (char *)id;
    response.error = (char *)error;
    response.response_case = FN__INSTRUCTION_RESPONSE__RESPONSE_REGISTER; /* as Go does */
    response.register_ = &dummy;
    send_message(control, &response.base);
}

static const struct fn_port source_port = {"source", "out", "pcoll-in", "wv-in"};
static const struct fn_port sink_ports[] = {{"sink-a", "in", "pcoll-a", "wv-a"}, {"sink-b", "in", "pcoll-b", "wv-b"}};

/* A descriptor with one ParDo that has timer families "f1" and "f2", and another one with "g". */
static struct slice base_descriptor(void) {
    Fn__ProcessBundleDescriptor descriptor = FN__PROCESS_BUNDLE_DESCRIPTOR__INIT;
    Fn__ProcessBundleDescriptor__TransformsEntry entries[2], *entry_list[2] = {&entries[0], &entries[1]};
    Beam__PTransform transforms[2];
    Beam__FunctionSpec specs[2];
    struct slice bytes;

    for (int i = 0; i < 2; i++) {
        Beam__ParDoPayload payload = BEAM__PAR_DO_PAYLOAD__INIT;
        Beam__ParDoPayload__TimerFamilySpecsEntry families[2], *family_list[2] = {&families[0], &families[1]};
        static const char *const names[2][2] = {{"f1", "f2"}, {"g", NULL}};

        beam__par_do_payload__timer_family_specs_entry__init(&families[0]);
        beam__par_do_payload__timer_family_specs_entry__init(&families[1]);
        families[0].key = (char *)names[i][0];
        families[1].key = (char *)names[i][1];
        payload.n_timer_family_specs = i ? 1 : 2;
        payload.timer_family_specs = family_list;
        bytes = PB_PACK(&payload, NULL);
        beam__function_spec__init(&specs[i]);
        specs[i].urn = (char *)"beam:transform:pardo:v1";
        specs[i].payload.len = bytes.size;
        specs[i].payload.data = xmalloc(bytes.size);
        memcpy(specs[i].payload.data, bytes.data, bytes.size);
        slice_unref(&bytes);
        beam__ptransform__init(&transforms[i]);
        transforms[i].spec = &specs[i];
        fn__process_bundle_descriptor__transforms_entry__init(&entries[i]);
        entries[i].key = (char *)(i ? "other" : "pardo");
        entries[i].value = &transforms[i];
    }
    descriptor.n_transforms = 2;
    descriptor.transforms = entry_list;
    bytes = PB_PACK(&descriptor, NULL);
    free(specs[0].payload.data);
    free(specs[1].payload.data);
    return bytes;
}

/* Starts bundle 7 on a fresh descriptor. */
static void start_bundle(struct world *w) {
    fn_worker_start_bundle(
        w->worker, 7, fn_worker_add_descriptor(w->worker, base_descriptor(), &source_port, sink_ports, 2), NULL, 0);
    wait_line(&w->harness, "control bundle-7");
}

static void send_input(struct world *w, const char *bytes, bool is_last) {
    struct slice pieces[2];

    pieces[0] = slice_copy(bytes, strlen(bytes) / 2, NULL);
    pieces[1] = slice_copy(bytes + strlen(bytes) / 2, strlen(bytes) - strlen(bytes) / 2, NULL);
    fn_worker_send(w->worker, 7, "source", NULL, pieces, 2, is_last);
}

/* ---- who is there ---- */

START_TEST(streams_without_a_known_worker_id_are_refused)
{
    struct world w;
    struct rpc_stream *a, *b;

    world_open(&w);
    a = dial(&w, CONTROL, &control_client, "nobody");
    wait_line(&w.harness, "closed control NOT_FOUND Control refused for worker_id \"nobody\": the id is not known");
    b = dial(&w, CONTROL, &control_client, NULL);
    wait_line(&w.harness, "closed control INVALID_ARGUMENT Control needs the metadata worker_id");
    ck_assert_uint_eq(journal_count(&w.host, "connected"), 0);
    rpc_stream_unref(a);
    rpc_stream_unref(b);
    world_close(&w);
}
END_TEST

START_TEST(second_control_stream_is_refused)
{
    struct world w;
    struct rpc_stream *a, *b;

    world_open(&w);
    a = dial_control(&w);
    b = dial(&w, CONTROL, &control_client, "secret-1");
    wait_line(&w.harness, "closed control ALREADY_EXISTS");
    ck_assert_uint_eq(journal_count(&w.host, "lost"), 0);
    rpc_stream_unref(a);
    rpc_stream_unref(b);
    world_close(&w);
}
END_TEST

START_TEST(provision_info_has_the_endpoints)
{
    struct world w;
    struct rpc_metadata metadata = {"worker_id", "secret-1"};
    Fn__GetProcessBundleDescriptorRequest nothing = FN__GET_PROCESS_BUNDLE_DESCRIPTOR_REQUEST__INIT;
    Provision__GetProvisionInfoResponse *message;
    struct arena arena = {0};
    struct slice response;
    struct status st = {0};

    world_open(&w);
    ck_assert_int_eq(
        rpc_channel_call_wait(w.channel, PROVISION, &metadata, 1, 20000, true, PB_PACK(&nothing, NULL), &response, &st),
        0);
    ck_assert_int_eq(PB_UNPACK(Provision__GetProvisionInfoResponse, provision__get_provision_info_response, response,
                               PB_STRINGS_STRICT, &arena, &message, &st),
                     0);
    ck_assert_str_eq(message->info->metadata[0]->key, "k");
    ck_assert_str_eq(message->info->control_endpoint->url, w.endpoint);
    ck_assert_str_eq(message->info->logging_endpoint->url, w.endpoint);
    ck_assert_str_eq(message->info->artifact_endpoint->url, w.endpoint);
    ck_assert(!message->info->status_endpoint);
    ck_assert(!message->info->control_endpoint->authentication);
    slice_unref(&response);
    arena_clear(&arena);
    metadata.value = "nobody";
    ck_assert_int_eq(
        rpc_channel_call_wait(w.channel, PROVISION, &metadata, 1, 20000, true, SLICE_EMPTY, &response, &st),
        -STATUS_NOT_FOUND);
    status_clear(&st);
    world_close(&w);
}
END_TEST

/* ---- descriptors ---- */

static Beam__PTransform *find_transform(const Fn__ProcessBundleDescriptor *descriptor, const char *id) {
    for (size_t i = 0; i < descriptor->n_transforms; i++)
        if (strcmp(descriptor->transforms[i]->key, id) == 0)
            return descriptor->transforms[i]->value;
    ck_abort_msg("no transform %s", id);
    return NULL;
}

static void check_port(const struct world *w, const Fn__ProcessBundleDescriptor *descriptor, const struct fn_port *port,
                       const char *urn, bool is_source, struct arena *arena) {
    Beam__PTransform *transform = find_transform(descriptor, port->transform_id);
    Fn__RemoteGrpcPort *remote;

    ck_assert_str_eq(transform->spec->urn, urn);
    ck_assert_int_eq(pb_unpack(&fn__remote_grpc_port__descriptor, transform->spec->payload.data,
                               transform->spec->payload.len, PB_STRINGS_STRICT, arena, (ProtobufCMessage **)&remote,
                               NULL),
                     0);
    ck_assert_str_eq(remote->coder_id, port->coder_id);
    ck_assert_str_eq(remote->api_service_descriptor->url, w->endpoint);
    ck_assert(!remote->api_service_descriptor->authentication);
    ck_assert_uint_eq(transform->n_outputs, is_source);
    ck_assert_uint_eq(transform->n_inputs, !is_source);
    ck_assert_str_eq(is_source ? transform->outputs[0]->key : transform->inputs[0]->key, port->local_name);
    ck_assert_str_eq(is_source ? transform->outputs[0]->value : transform->inputs[0]->value, port->collection_id);
}

START_TEST(descriptor_is_completed_and_found_by_id)
{
    struct world w;
    Fn__GetProcessBundleDescriptorRequest request = FN__GET_PROCESS_BUNDLE_DESCRIPTOR_REQUEST__INIT;
    Fn__ProcessBundleDescriptor *descriptor;
    struct arena arena = {0};
    struct slice response;
    struct status st = {0};
    struct rpc_stream *control;

    world_open(&w);
    control = dial_control(&w);
    start_bundle(&w);
    request.process_bundle_descriptor_id = (char *)wait_line(&w.harness, "descriptor ") + strlen("descriptor ");
    ck_assert_uint_eq(strlen(request.process_bundle_descriptor_id), 32);
    ck_assert_int_eq(
        rpc_channel_call_wait(w.channel, DESCRIPTOR, NULL, 0, 20000, true, PB_PACK(&request, NULL), &response, &st), 0);
    ck_assert_int_eq(PB_UNPACK(Fn__ProcessBundleDescriptor, fn__process_bundle_descriptor, response, PB_STRINGS_STRICT,
                               &arena, &descriptor, &st),
                     0);
    ck_assert_str_eq(descriptor->id, request.process_bundle_descriptor_id);
    ck_assert_uint_eq(descriptor->n_transforms, 5);
    ck_assert_str_eq(find_transform(descriptor, "pardo")->spec->urn, "beam:transform:pardo:v1");
    check_port(&w, descriptor, &source_port, "beam:runner:source:v1", true, &arena);
    check_port(&w, descriptor, &sink_ports[0], "beam:runner:sink:v1", false, &arena);
    check_port(&w, descriptor, &sink_ports[1], "beam:runner:sink:v1", false, &arena);
    ck_assert_str_eq(descriptor->state_api_service_descriptor->url, w.endpoint);
    ck_assert_str_eq(descriptor->timer_api_service_descriptor->url, w.endpoint);
    slice_unref(&response);
    arena_clear(&arena);

    request.process_bundle_descriptor_id = (char *)"0123456789abcdef0123456789abcdef";
    ck_assert_int_eq(
        rpc_channel_call_wait(w.channel, DESCRIPTOR, NULL, 0, 20000, true, PB_PACK(&request, NULL), &response, &st),
        -STATUS_NOT_FOUND);
    status_clear(&st);
    rpc_stream_unref(control);
    world_close(&w);
}
END_TEST

/* ---- bundles ---- */

START_TEST(bundle_goes_there_and_back)
{
    struct world w;
    struct rpc_stream *control, *data;
    struct fn_cache_token tokens[] = {{slice_of_literal("t1"), NULL, NULL}, {slice_of_literal("t2"), "pardo", "side"}};

    world_open(&w);
    control = dial_control(&w);
    fn_worker_start_bundle(
        w.worker, 7, fn_worker_add_descriptor(w.worker, base_descriptor(), &source_port, sink_ports, 2), tokens, 2);
    send_input(&w, "early", false); /* before there is a Data stream */
    wait_line(&w.harness, "control bundle-7");
    wait_line(&w.harness, "token t1 user");
    wait_line(&w.harness, "token t2 side");
    data = dial(&w, DATA, &data_client, "secret-1");
    wait_line(&w.harness, "data bundle-7/source/[early]");
    send_input(&w, "late", true);
    fn_worker_send(w.worker, 7, "pardo", "f1", NULL, 0, true);
    wait_line(&w.harness, "data bundle-7/source/[late] bundle-7/source/[]!");
    wait_line(&w.harness, "data bundle-7/pardo/f1[]!");

    send_part(data, "bundle-7", "sink-a", NULL, "out", false);
    wait_line(&w.host, "elements 7 sink-a -[out]");
    answer_bundle(control, "bundle-7", NULL); /* a response before all data */
    wait_line(&w.host, "done 7 metrics=0");
    send_part(data, "bundle-7", "sink-a", NULL, "", true);
    send_part(data, "bundle-7", "pardo", "f1", "timer", true);
    wait_line(&w.host, "elements 7 sink-a -[] last");
    wait_line(&w.host, "elements 7 pardo f1[timer] last");

    fn_worker_finalize(w.worker, 7);
    wait_line(&w.harness, "control finalize-");
    answer_error(control, wait_line(&w.harness, "control finalize-") + strlen("control "), "");
    wait_line(&w.host, "finalized 7 ok");
    rpc_stream_unref(control);
    rpc_stream_unref(data);
    world_close(&w);
}
END_TEST

START_TEST(parts_that_say_nothing_are_not_passed_on)
{
    struct world w;
    struct rpc_stream *control, *data;

    world_open(&w);
    control = dial_control(&w);
    start_bundle(&w);
    data = dial(&w, DATA, &data_client, "secret-1");
    send_part(data, "bundle-7", "sink-a", NULL, "", false);
    send_part(data, "bundle-7", "pardo", "f1", "", false);
    send_part(data, "bundle-7", "sink-a", NULL, "", true);
    wait_line(&w.host, "elements 7 sink-a -[] last");
    ck_assert_uint_eq(journal_count(&w.host, "elements"), 1);
    ck_assert_uint_eq(fn_worker_ignored(w.worker), 0);
    rpc_stream_unref(control);
    rpc_stream_unref(data);
    world_close(&w);
}
END_TEST

START_TEST(what_belongs_to_nothing_is_dropped_and_counted)
{
    struct world w;
    struct rpc_stream *control, *data;

    world_open(&w);
    control = dial_control(&w);
    start_bundle(&w);
    data = dial(&w, DATA, &data_client, "secret-1");
    send_part(data, "bundle-8", "sink-a", NULL, "x", false);
    send_part(data, "bundle-07", "sink-a", NULL, "x", false);
    send_part(data, "nonsense", "sink-a", NULL, "x", false);
    send_part(data, "bundle-7", "source", NULL, "x", false);
    send_part(data, "bundle-7", "sink-b", NULL, "y", false);
    wait_line(&w.host, "elements 7 sink-b -[y]");
    ck_assert_uint_eq(fn_worker_ignored(w.worker), 4);
    ck_assert_uint_eq(journal_count(&w.host, "elements"), 1);

    answer_bundle(control, "bundle-9", NULL);
    answer_bundle(control, "split-99", NULL);
    fn_worker_ask_progress(w.worker, 7);
    answer_error(control, wait_line(&w.harness, "control progress-") + strlen("control "), "not now");
    wait_line(&w.host, "progress 7 metrics=0");
    fn_worker_ask_progress(w.worker, 7);
    answer_bundle(control, "bundle-7", NULL);
    answer_error(control, wait_times(&w.harness, "control progress-", 2) + strlen("control "), "it is over");
    answer_bundle(control, "bundle-7", NULL); /* twice */
    fn_worker_finalize(w.worker, 7);
    answer_error(control, wait_line(&w.harness, "control finalize-") + strlen("control "), "none");
    wait_line(&w.host, "finalized 7 none");
    ck_assert_uint_eq(journal_count(&w.host, "progress"), 1);
    ck_assert_uint_eq(journal_count(&w.host, "done"), 1);
    ck_assert_uint_eq(fn_worker_ignored(w.worker), 7);

    fn_worker_forget_bundle(w.worker, 7);
    send_input(&w, "for nobody", true);
    send_part(data, "bundle-7", "sink-b", NULL, "z", false);
    rpc_stream_finish(data, STATUS_OK, NULL);
    wait_line(&w.harness, "closed data OK"); /* no bundle: may end */
    ck_assert_uint_eq(journal_count(&w.host, "elements"), 1);
    ck_assert_uint_eq(journal_count(&w.host, "lost"), 0);
    rpc_stream_unref(control);
    rpc_stream_unref(data);
    world_close(&w);
}
END_TEST

START_TEST(error_wins_and_ends_the_output)
{
    struct world w;
    struct rpc_stream *control, *data;

    world_open(&w);
    control = dial_control(&w);
    start_bundle(&w);
    data = dial(&w, DATA, &data_client, "secret-1");
    answer_error(control, "bundle-7", "Traceback: boom");
    wait_line(&w.host, "failed 7 Traceback: boom");
    send_part(data, "bundle-7", "sink-a", NULL, "x", true);
    fn_worker_forget_bundle(w.worker, 7);
    rpc_stream_finish(data, STATUS_OK, NULL);
    wait_line(&w.harness, "closed data"); /* after the message was dealt with */
    ck_assert_uint_eq(journal_count(&w.host, "elements"), 0);
    ck_assert_uint_eq(journal_count(&w.host, "done"), 0);
    rpc_stream_unref(control);
    rpc_stream_unref(data);
    world_close(&w);
}
END_TEST

START_TEST(split_and_residuals_arrive)
{
    struct world w;
    struct rpc_stream *control;
    Fn__InstructionResponse response = FN__INSTRUCTION_RESPONSE__INIT;
    Fn__ProcessBundleSplitResponse split = FN__PROCESS_BUNDLE_SPLIT_RESPONSE__INIT;
    Fn__ProcessBundleSplitResponse__ChannelSplit channel = FN__PROCESS_BUNDLE_SPLIT_RESPONSE__CHANNEL_SPLIT__INIT;
    Fn__ProcessBundleSplitResponse__ChannelSplit *channels = &channel;
    Fn__ProcessBundleResponse done = FN__PROCESS_BUNDLE_RESPONSE__INIT;
    Fn__DelayedBundleApplication residual = FN__DELAYED_BUNDLE_APPLICATION__INIT, *residuals = &residual;
    Fn__BundleApplication application = FN__BUNDLE_APPLICATION__INIT;
    Fn__BundleApplication__OutputWatermarksEntry mark = FN__BUNDLE_APPLICATION__OUTPUT_WATERMARKS_ENTRY__INIT,
                                                 *marks = &mark;
    Google__Protobuf__Timestamp timestamp = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    Google__Protobuf__Duration delay = GOOGLE__PROTOBUF__DURATION__INIT;

    world_open(&w);
    control = dial_control(&w);
    start_bundle(&w);
    fn_worker_split(w.worker, 7, "source", 0.5, 10);
    wait_line(&w.harness, "split-of bundle-7 source 0.5 10");
    channel.last_primary_element = 3;
    channel.first_residual_element = 4;
    split.n_channel_splits = 1;
    split.channel_splits = &channels;
    response.instruction_id = (char *)wait_line(&w.harness, "control split-") + strlen("control ");
    response.response_case = FN__INSTRUCTION_RESPONSE__RESPONSE_PROCESS_BUNDLE_SPLIT;
    response.process_bundle_split = &split;
    send_message(control, &response.base);
    wait_line(&w.host, "split 7 primaries=0 residuals=0 channels=1 3/4");
    fn_worker_split(w.worker, 7, "source", 0, 10);
    answer_error(control, wait_times(&w.harness, "control split-", 2) + strlen("control "), "not now");
    wait_line(&w.host, "split 7 primaries=0 residuals=0 channels=0 0/0");

    timestamp.seconds = -1;
    timestamp.nanos = 250000000;
    mark.key = (char *)"out";
    mark.value = &timestamp;
    delay.seconds = 2;
    application.transform_id = (char *)"pardo";
    application.input_id = (char *)"i0";
    application.element = (ProtobufCBinaryData){.len = 4, .data = (uint8_t *)"rest"};
    application.is_bounded = BEAM__IS_BOUNDED__ENUM__UNSPECIFIED; /* as Python leaves it */
    application.n_output_watermarks = 1;
    application.output_watermarks = &marks;
    residual.application = &application;
    residual.requested_time_delay = &delay;
    done.n_residual_roots = 1;
    done.residual_roots = &residuals;
    done.requires_finalization = true;
    answer_bundle(control, "bundle-7", &done);
    wait_line(&w.host, "residual pardo i0 rest delay=2000 unbounded=1 out=-750");
    wait_line(&w.host, "done 7 metrics=0 finalize");
    rpc_stream_unref(control);
    world_close(&w);
}
END_TEST

/* ---- metrics ---- */

static void fill_info(Beam__MonitoringInfo *info, Beam__MonitoringInfo__LabelsEntry *label,
                      Beam__MonitoringInfo__LabelsEntry **labels, const char *transform_label) {
    beam__monitoring_info__init(info);
    beam__monitoring_info__labels_entry__init(label);
    label->key = (char *)transform_label;
    label->value = (char *)"pardo";
    *labels = label;
    info->urn = (char *)"beam:metric:user:sum_int64:v1";
    info->type = (char *)SUM;
    info->n_labels = 1;
    info->labels = labels;
}

START_TEST(whole_metrics_win_over_short_ones)
{
    struct world w;
    struct rpc_stream *control;
    Fn__ProcessBundleResponse done = FN__PROCESS_BUNDLE_RESPONSE__INIT;
    Fn__ProcessBundleResponse__MonitoringDataEntry datum = FN__PROCESS_BUNDLE_RESPONSE__MONITORING_DATA_ENTRY__INIT,
                                                   *data = &datum;
    Beam__MonitoringInfo info, *infos = &info;
    Beam__MonitoringInfo__LabelsEntry label, *labels;

    world_open(&w);
    control = dial_control(&w);
    start_bundle(&w);
    fill_info(&info, &label, &labels, "TRANSFORM"); /* TypeScript's label */
    info.payload = (ProtobufCBinaryData){.len = 1, .data = (uint8_t *)"\x05"};
    done.n_monitoring_infos = 1;
    done.monitoring_infos = &infos;
    datum.key = (char *)"m0";
    datum.value = info.payload;
    done.n_monitoring_data = 1;
    done.monitoring_data = &data;
    answer_bundle(control, "bundle-7", &done);
    wait_line(&w.host, "metric 7 beam:metric:user:sum_int64:v1 PTRANSFORM=pardo 5");
    wait_line(&w.host, "done 7 metrics=1");
    ck_assert_uint_eq(journal_count(&w.harness, "short-id"), 0);
    rpc_stream_unref(control);
    world_close(&w);
}
END_TEST

START_TEST(short_ids_are_resolved_once_before_the_bundle_is_reported)
{
    struct world w;
    struct rpc_stream *control;
    Fn__ProcessBundleResponse done = FN__PROCESS_BUNDLE_RESPONSE__INIT;
    Fn__ProcessBundleResponse__MonitoringDataEntry datum[2], *data[2] = {&datum[0], &datum[1]};
    Fn__InstructionResponse answer = FN__INSTRUCTION_RESPONSE__INIT;
    Fn__MonitoringInfosMetadataResponse meanings = FN__MONITORING_INFOS_METADATA_RESPONSE__INIT;
    Fn__MonitoringInfosMetadataResponse__MonitoringInfoEntry meaning =
        FN__MONITORING_INFOS_METADATA_RESPONSE__MONITORING_INFO_ENTRY__INIT;
    Fn__MonitoringInfosMetadataResponse__MonitoringInfoEntry *meaning_list = &meaning;
    Beam__MonitoringInfo info;
    Beam__MonitoringInfo__LabelsEntry label, *labels;

    world_open(&w);
    control = dial_control(&w);
    start_bundle(&w);
    for (int i = 0; i < 2; i++) {
        fn__process_bundle_response__monitoring_data_entry__init(&datum[i]);
        datum[i].key = (char *)(i ? "b" : "a");
        datum[i].value = (ProtobufCBinaryData){.len = 1, .data = (uint8_t *)(i ? "\x02" : "\x01")};
    }
    done.n_monitoring_data = 2;
    done.monitoring_data = data;
    answer_bundle(control, "bundle-7", &done);
    wait_line(&w.harness, "short-id a");
    wait_line(&w.harness, "short-id b");
    ck_assert_uint_eq(journal_count(&w.host, "done"), 0);
    /* "b" is not known, not even to the harness */
    fill_info(&info, &label, &labels, "PTRANSFORM");
    meaning.key = (char *)"a";
    meaning.value = &info;
    meanings.n_monitoring_info = 1;
    meanings.monitoring_info = &meaning_list;
    answer.instruction_id = (char *)wait_line(&w.harness, "control metrics-") + strlen("control ");
    answer.response_case = FN__INSTRUCTION_RESPONSE__RESPONSE_MONITORING_INFOS;
    answer.monitoring_infos = &meanings;
    send_message(control, &answer.base);
    wait_line(&w.host, "metric 7 beam:metric:user:sum_int64:v1 PTRANSFORM=pardo 1");
    wait_line(&w.host, "done 7 metrics=1");

    fn_worker_start_bundle(w.worker, 8, 0, NULL, 0);
    answer_bundle(control, "bundle-8", &done);
    wait_line(&w.host, "done 8 metrics=1");
    ck_assert_uint_eq(journal_count(&w.harness, "short-id"), 2);
    rpc_stream_unref(control);
    world_close(&w);
}
END_TEST

START_TEST(process_metrics_belong_to_no_bundle)
{
    struct world w;
    struct rpc_stream *control;
    Fn__InstructionResponse answer = FN__INSTRUCTION_RESPONSE__INIT;
    Fn__HarnessMonitoringInfosResponse infos = FN__HARNESS_MONITORING_INFOS_RESPONSE__INIT;
    Fn__HarnessMonitoringInfosResponse__MonitoringDataEntry
        datum = FN__HARNESS_MONITORING_INFOS_RESPONSE__MONITORING_DATA_ENTRY__INIT,
        *data = &datum;
    Fn__InstructionResponse second = FN__INSTRUCTION_RESPONSE__INIT;
    Fn__MonitoringInfosMetadataResponse meanings = FN__MONITORING_INFOS_METADATA_RESPONSE__INIT;
    Fn__MonitoringInfosMetadataResponse__MonitoringInfoEntry
        meaning = FN__MONITORING_INFOS_METADATA_RESPONSE__MONITORING_INFO_ENTRY__INIT,
        *meaning_list = &meaning;
    Beam__MonitoringInfo info;
    Beam__MonitoringInfo__LabelsEntry label, *labels;

    world_open(&w);
    control = dial_control(&w);
    fn_worker_ask_process_metrics(w.worker);
    datum.key = (char *)"a";
    datum.value = (ProtobufCBinaryData){.len = 1, .data = (uint8_t *)"\x09"};
    infos.n_monitoring_data = 1;
    infos.monitoring_data = &data;
    answer.instruction_id = (char *)wait_line(&w.harness, "control process-") + strlen("control ");
    answer.response_case = FN__INSTRUCTION_RESPONSE__RESPONSE_HARNESS_MONITORING_INFOS;
    answer.harness_monitoring_infos = &infos;
    send_message(control, &answer.base);
    fill_info(&info, &label, &labels, "SERVICE");
    meaning.key = (char *)"a";
    meaning.value = &info;
    meanings.n_monitoring_info = 1;
    meanings.monitoring_info = &meaning_list;
    second.instruction_id = (char *)wait_line(&w.harness, "control metrics-") + strlen("control ");
    second.response_case = FN__INSTRUCTION_RESPONSE__RESPONSE_MONITORING_INFOS;
    second.monitoring_infos = &meanings;
    send_message(control, &second.base);
    wait_line(&w.host, "process metrics=1 9");

    fn_worker_ask_process_metrics(w.worker);
    answer_error(control, wait_times(&w.harness, "control process-", 2) + strlen("control "), "unknown request");
    wait_line(&w.host, "process metrics=0 0");
    rpc_stream_unref(control);
    world_close(&w);
}
END_TEST

/* ---- data ---- */

static size_t wait_sent(struct world *w, size_t bytes) {
    struct timespec deadline;
    int late = 0;

    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += DEADLINE_S;
    pthread_mutex_lock(&w->host.lock);
    while (w->sent_bytes < bytes && !late)
        late = pthread_cond_timedwait(&w->host.changed, &w->host.lock, &deadline);
    bytes = w->sent_bytes;
    pthread_mutex_unlock(&w->host.lock);
    return bytes;
}

START_TEST(sent_bytes_add_up_to_what_was_given)
{
    struct world w;
    struct rpc_stream *control, *data = NULL;
    struct slice big = slice_of_block(block_create(5000, NULL), 0, 5000);
    size_t total = 0;

    world_open(&w);
    control = dial_control(&w);
    start_bundle(&w);
    memset((void *)big.data, 'x', big.size);
    for (int i = 0; i < 50; i++) {
        struct slice piece = slice_sub(big, 0, (size_t)(i * 100 + 1));

        total += piece.size;
        fn_worker_send(w.worker, 7, "source", NULL, &piece, 1, false);
        if (i == 20)
            data = dial(&w, DATA, &data_client, "secret-1");
    }
    fn_worker_send(w.worker, 7, "source", NULL, NULL, 0, true);
    wait_times(&w.harness, "data bundle-7/source/[", 51);
    ck_assert_uint_eq(wait_sent(&w, total), total);
    slice_unref(&big);
    rpc_stream_unref(control);
    rpc_stream_unref(data);
    world_close(&w);
}
END_TEST

START_TEST(go_gets_its_end_marks_in_one_message)
{
    static const char *const go[] = {"beam:version:sdk_base:go:apache/beam_go_sdk:2.77.0",
                                     "beam:protocol:truncate_sized_restriction:v1"};
    struct world w;
    struct rpc_stream *control, *data;

    world_open_with(&w, go, 2);
    ck_assert(fn_worker_has_capability(w.worker, go[1]));
    ck_assert(!fn_worker_has_capability(w.worker, "beam:protocol:other:v1"));
    control = dial_control(&w);
    start_bundle(&w);
    data = dial(&w, DATA, &data_client, "secret-1");
    send_input(&w, "in", true);
    fn_worker_send(w.worker, 7, "pardo", "f2", NULL, 0, true);
    fn_worker_send(w.worker, 7, "other", "g", NULL, 0, true);
    wait_line(&w.harness, "data bundle-7/source/[in]");
    fn_worker_send(w.worker, 7, "pardo", "f1", NULL, 0, true);
    wait_line(&w.harness, "data bundle-7/pardo/f1[]! bundle-7/pardo/f2[] bundle-7/other/g[]! bundle-7/source/[]!");
    ck_assert_uint_eq(journal_count(&w.harness, "data"), 2);
    rpc_stream_unref(control);
    rpc_stream_unref(data);
    world_close(&w);
}
END_TEST

START_TEST(malformed_elements_lose_the_worker)
{
    struct world w;
    struct rpc_stream *control, *data;
    struct slice nonsense = slice_of_literal("\x0a\x7f");

    world_open(&w);
    control = dial_control(&w);
    data = dial(&w, DATA, &data_client, "secret-1");
    rpc_stream_send(data, &nonsense, 1);
    wait_line(&w.host, "lost the SDK harness sent a malformed Elements message");
    rpc_stream_unref(control);
    rpc_stream_unref(data);
    world_close(&w);
}
END_TEST

START_TEST(data_stream_that_ends_under_a_bundle_loses_the_worker)
{
    struct world w;
    struct rpc_stream *control, *data;

    world_open(&w);
    control = dial_control(&w);
    start_bundle(&w);
    data = dial(&w, DATA, &data_client, "secret-1");
    send_input(&w, "in", false);
    wait_line(&w.harness, "data ");
    rpc_stream_finish(data, STATUS_OK, NULL);
    wait_line(&w.host, "lost the SDK harness went away: its Data stream ended while 1 bundle ran on it");
    rpc_stream_unref(control);
    rpc_stream_unref(data);
    world_close(&w);
}
END_TEST

/* ---- state ---- */

static void send_get(struct rpc_stream *state, const char *id, const char *instruction, const char *token) {
    Fn__StateRequest request = FN__STATE_REQUEST__INIT;
    Fn__StateKey key = FN__STATE_KEY__INIT;
    Fn__StateKey__BagUserState bag = FN__STATE_KEY__BAG_USER_STATE__INIT;
    Fn__StateGetRequest get = FN__STATE_GET_REQUEST__INIT;

    request.id = (char *)id;
    request.instruction_id = (char *)instruction;
    request.state_key = &key;
    key.type_case = FN__STATE_KEY__TYPE_BAG_USER_STATE;
    key.bag_user_state = &bag;
    bag.transform_id = (char *)"pardo";
    bag.user_state_id = (char *)"cell";
    bag.window = (ProtobufCBinaryData){.len = 1, .data = (uint8_t *)"w"};
    bag.key = (ProtobufCBinaryData){.len = 3, .data = (uint8_t *)"key"};
    request.request_case = FN__STATE_REQUEST__REQUEST_GET;
    request.get = &get;
    get.continuation_token = (ProtobufCBinaryData){.len = strlen(token), .data = (uint8_t *)token};
    send_message(state, &request.base);
}

static void reply(struct world *w, const char *first, const char *second, const char *token, const char *error) {
    struct state_response response = {.data_count = second ? 2 : first ? 1 : 0};

    if (first)
        response.data[0] = slice_copy(first, strlen(first), NULL);
    if (second)
        response.data[1] = slice_copy(second, strlen(second), NULL);
    if (token)
        response.continuation = slice_copy(token, strlen(token), NULL);
    response.error = error ? xstrdup(error) : NULL;
    fn_worker_reply_state(w->worker, w->state_token, w->state_request_id, &response);
    ck_assert_uint_eq(response.data_count, 0);
}

START_TEST(state_is_read_in_pages)
{
    struct world w;
    struct rpc_stream *control, *state;

    world_open(&w);
    control = dial_control(&w);
    start_bundle(&w);
    state = dial(&w, STATE, &state_client, "secret-1");
    send_get(state, "r1", "bundle-7", "");
    wait_line(&w.host, "state 7 r1 kind=5 op=0 pardo/cell window=w key=key continuation= data=");
    reply(&w, "ab", "cd", "next", NULL);
    wait_line(&w.harness, "state r1 case=1000 error= data=abcd token=next");
    send_get(state, "r2", "bundle-7", "next");
    wait_line(&w.host, "state 7 r2 kind=5 op=0 pardo/cell window=w key=key continuation=next");
    reply(&w, NULL, NULL, NULL, NULL);
    wait_line(&w.harness, "state r2 case=1000 error= data= token=");
    send_get(state, "r3", "bundle-7", "");
    wait_line(&w.host, "state 7 r3");
    reply(&w, "dropped", NULL, NULL, "no such cell");
    wait_line(&w.harness, "state r3 case=0 error=no such cell data= token=");
    send_get(state, "r4", "bundle-8", "");
    wait_line(&w.harness, "state r4 case=0 error=the bundle of this state request is over");
    rpc_stream_unref(control);
    rpc_stream_unref(state);
    world_close(&w);
}
END_TEST

START_TEST(state_writes_are_decoded_and_answered_in_kind)
{
    struct world w;
    struct rpc_stream *control, *state;
    Fn__StateRequest request = FN__STATE_REQUEST__INIT;
    Fn__StateKey key = FN__STATE_KEY__INIT;
    Fn__StateKey__OrderedListUserState list = FN__STATE_KEY__ORDERED_LIST_USER_STATE__INIT;
    Fn__OrderedListRange range = FN__ORDERED_LIST_RANGE__INIT;
    Fn__StateAppendRequest append = FN__STATE_APPEND_REQUEST__INIT;
    Fn__StateClearRequest clear = FN__STATE_CLEAR_REQUEST__INIT;

    world_open(&w);
    control = dial_control(&w);
    start_bundle(&w);
    state = dial(&w, STATE, &state_client, "secret-1");
    request.id = (char *)"a";
    request.instruction_id = (char *)"bundle-7";
    request.state_key = &key;
    key.type_case = FN__STATE_KEY__TYPE_ORDERED_LIST_USER_STATE;
    key.ordered_list_user_state = &list;
    list.transform_id = (char *)"pardo";
    list.user_state_id = (char *)"list";
    request.request_case = FN__STATE_REQUEST__REQUEST_APPEND;
    request.append = &append;
    append.data = (ProtobufCBinaryData){.len = 3, .data = (uint8_t *)"xyz"};
    send_message(state, &request.base);
    wait_line(&w.host, "state 7 a kind=9 op=1 pardo/list window= key= continuation= data=xyz");
    reply(&w, NULL, NULL, NULL, NULL);
    wait_line(&w.harness, "state a case=1001 error=");

    request.id = (char *)"c";
    range.start = -5;
    range.end = 5;
    list.range = &range;
    request.request_case = FN__STATE_REQUEST__REQUEST_CLEAR;
    request.clear = &clear;
    send_message(state, &request.base);
    wait_line(&w.host, "state 7 c kind=9 op=2 pardo/list window= key= continuation= data= [-5,5)");
    reply(&w, NULL, NULL, NULL, NULL);
    wait_line(&w.harness, "state c case=1002 error=");

    request.id = (char *)"k";
    request.state_key = NULL;
    send_message(state, &request.base);
    wait_line(&w.harness, "state k case=0 error=the state request has no key");
    rpc_stream_unref(control);
    rpc_stream_unref(state);
    world_close(&w);
}
END_TEST

/* ---- logs, and the end ---- */

START_TEST(log_entries_arrive_with_bad_bytes_replaced)
{
    struct world w;
    struct rpc_stream *logging;
    Fn__LogEntry__List list = FN__LOG_ENTRY__LIST__INIT;
    Fn__LogEntry entry = FN__LOG_ENTRY__INIT, *entries = &entry;
    Google__Protobuf__Timestamp timestamp = GOOGLE__PROTOBUF__TIMESTAMP__INIT;

    world_open(&w);
    logging = dial(&w, LOGGING, &logging_client, "secret-1");
    timestamp.seconds = 12;
    timestamp.nanos = 345000000;
    entry.severity = FN__LOG_ENTRY__SEVERITY__ENUM__ERROR;
    entry.timestamp = &timestamp;
    entry.message = (char *)"bo\xffom";
    entry.trace = (char *)"trace";
    entry.instruction_id = (char *)"bundle-7";
    entry.transform_id = (char *)"pardo";
    entry.log_location = (char *)"x.py:1";
    entry.thread = (char *)"main";
    list.n_log_entries = 1;
    list.log_entries = &entries;
    send_message(logging, &list.base);
    wait_line(&w.host, "log 6 12345 bo?om|trace|bundle-7|pardo|x.py:1|main 1/7");
    rpc_stream_unref(logging);
    world_close(&w);
}
END_TEST

START_TEST(a_malformed_log_ends_alone)
{
    struct world w;
    struct rpc_stream *logging, *control;
    struct slice nonsense = slice_of_literal("\x0a\x7fgarbage");

    world_open(&w);
    ck_assert(!fn_worker_has_log(w.worker));
    logging = dial(&w, LOGGING, &logging_client, "secret-1");
    rpc_stream_send(logging, &nonsense, 1);
    wait_line(&w.host, "log 5 ");
    ck_assert(fn_worker_has_log(w.worker));
    control = dial_control(&w);
    start_bundle(&w);
    answer_bundle(control, "bundle-7", NULL);
    wait_line(&w.host, "done 7");
    ck_assert_uint_eq(journal_count(&w.host, "lost"), 0);
    rpc_stream_unref(logging);
    rpc_stream_unref(control);
    world_close(&w);
}
END_TEST

START_TEST(malformed_response_loses_the_worker)
{
    struct world w;
    struct rpc_stream *control, *again;
    struct slice nonsense = slice_of_literal("\x0a\x7fgarbage");

    world_open(&w);
    control = dial_control(&w);
    rpc_stream_send(control, &nonsense, 1);
    wait_line(&w.host, "lost the SDK harness sent nonsense on its Control stream: malformed");
    again = dial(&w, CONTROL, &control_client, "secret-1");
    wait_line(&w.harness, "closed control ALREADY_EXISTS");
    ck_assert_uint_eq(journal_count(&w.host, "lost"), 1);
    rpc_stream_unref(control);
    rpc_stream_unref(again);
    world_close(&w);
}
END_TEST

START_TEST(lost_when_the_harness_ends_control)
{
    struct world w;
    struct rpc_stream *control;

    world_open(&w);
    control = dial_control(&w);
    rpc_stream_finish(control, STATUS_OK, NULL);
    wait_line(&w.host, "lost the SDK harness went away: it closed its Control stream");
    rpc_stream_unref(control);
    world_close(&w);
    world_open(&w);
    control = dial_control(&w);
    rpc_stream_cancel(control);
    wait_line(&w.host, "lost the SDK harness went away");
    ck_assert_uint_eq(journal_count(&w.host, "lost"), 1);
    rpc_stream_unref(control);
    world_close(&w);
}
END_TEST

START_TEST(close_ends_all_streams_and_reports_nothing_but_gone)
{
    struct world w;
    struct rpc_stream *control, *data, *logging, *late;

    world_open(&w);
    control = dial_control(&w);
    start_bundle(&w);
    data = dial(&w, DATA, &data_client, "secret-1");
    logging = dial(&w, LOGGING, &logging_client, "secret-1");
    send_input(&w, "in", false);
    wait_line(&w.harness, "data ");
    fn_worker_close(w.worker);
    w.is_closed = true;
    wait_line(&w.harness, "closed control OK");
    ck_assert_uint_eq(journal_count(&w.host, "gone"), 0);
    fn_worker_end_streams(w.worker);
    wait_line(&w.harness, "closed data OK");
    wait_line(&w.host, "gone");
    late = dial(&w, CONTROL, &control_client, "secret-1");
    wait_line(&w.harness, "closed control NOT_FOUND");
    ck_assert_uint_eq(journal_count(&w.host, "lost"), 0);
    rpc_stream_unref(control);
    rpc_stream_unref(data);
    rpc_stream_unref(logging);
    rpc_stream_unref(late);
    world_close(&w);
}
END_TEST

START_TEST(worker_that_never_connected_can_be_closed)
{
    struct world w;

    world_open(&w);
    world_close(&w);
}
END_TEST

/* ---- from one job to the next ---- */

static void answer_finalize(struct rpc_stream *control, const char *id) {
    Fn__InstructionResponse response = FN__INSTRUCTION_RESPONSE__INIT;
    Fn__FinalizeBundleResponse finalize = FN__FINALIZE_BUNDLE_RESPONSE__INIT;

    response.instruction_id = (char *)id;
    response.response_case = FN__INSTRUCTION_RESPONSE__RESPONSE_FINALIZE_BUNDLE;
    response.finalize_bundle = &finalize;
    send_message(control, &response.base);
}

START_TEST(a_recycled_worker_forgets_its_descriptors_and_charges_another_account)
{
    struct world w;
    Fn__GetProcessBundleDescriptorRequest request = FN__GET_PROCESS_BUNDLE_DESCRIPTOR_REQUEST__INIT;
    struct account *next = account_create("next", NULL, 0);
    CLEANUP(freep) char *first_id = NULL;
    struct rpc_stream *control, *data;
    struct slice response;
    struct status st = {0};

    world_open(&w);
    control = dial_control(&w);
    data = dial(&w, DATA, &data_client, "secret-1");
    start_bundle(&w);
    first_id = xstrdup(wait_line(&w.harness, "descriptor ") + strlen("descriptor "));
    ck_assert(!fn_worker_recycle(w.worker, next)); /* a bundle runs */
    answer_bundle(control, "bundle-7", NULL);
    wait_line(&w.host, "done 7");
    fn_worker_finalize(w.worker, 7);
    fn_worker_forget_bundle(w.worker, 7);
    ck_assert(!fn_worker_recycle(w.worker, next)); /* it may still finalize */
    wait_line(&w.harness, "control finalize-1");
    answer_finalize(control, "finalize-1");
    wait_line(&w.host, "finalized 7 ok");
    ck_assert(fn_worker_recycle(w.worker, next));
    request.process_bundle_descriptor_id = first_id;
    ck_assert_int_eq(
        rpc_channel_call_wait(w.channel, DESCRIPTOR, NULL, 0, 20000, true, PB_PACK(&request, NULL), &response, &st),
        -STATUS_NOT_FOUND);
    status_clear(&st);

    fn_worker_start_bundle(w.worker, 8,
                           fn_worker_add_descriptor(w.worker, base_descriptor(), &source_port, sink_ports, 2), NULL, 0);
    wait_line(&w.harness, "control bundle-8");
    send_part(data, "bundle-7", "sink-a", NULL, "late", false);
    send_part(data, "bundle-8", "sink-a", NULL, "ok", true);
    wait_line(&w.host, "elements 8 sink-a -[ok] last");
    ck_assert_uint_eq(journal_count(&w.host, "elements 7"), 0);
    ck_assert_uint_gt(atomic_load(&next->peak_bytes), 0);
    rpc_stream_unref(control);
    rpc_stream_unref(data);
    world_close(&w);
    ck_assert_uint_eq(account_used(next), 0);
    account_unref(next);
}
END_TEST

START_TEST(a_worker_that_has_not_connected_yet_can_be_recycled_and_a_lost_one_cannot)
{
    struct world w;
    struct rpc_stream *control;

    world_open(&w);
    ck_assert(fn_worker_recycle(w.worker, NULL));
    control = dial_control(&w);
    rpc_stream_cancel(control);
    wait_line(&w.host, "lost");
    ck_assert(!fn_worker_recycle(w.worker, NULL));
    rpc_stream_unref(control);
    world_close(&w);
}
END_TEST

/* ---- status ---- */

static void status_received(struct rpc_stream *stream, void *user, struct slice bytes) {
    Fn__WorkerStatusResponse response = FN__WORKER_STATUS_RESPONSE__INIT;
    Fn__WorkerStatusRequest *request;
    struct arena arena = {0};

    ck_assert_int_eq(
        PB_UNPACK(Fn__WorkerStatusRequest, fn__worker_status_request, bytes, PB_STRINGS_STRICT, &arena, &request, NULL),
        0);
    journal_add(&((struct world *)user)->harness, "asked %s", request->id);
    response.id = request->id;
    if (strcmp(request->id, "2") == 0)
        response.error = (char *)"no guppy";
    else
        response.status_info = (char *)"all threads are well";
    send_message(stream, &response.base);
    arena_clear(&arena);
    slice_unref(&bytes);
}

START_TEST(status_is_asked_of_a_harness_that_offers_it)
{
    static const char *const capabilities[] = {"beam:protocol:worker_status:v1"};
    static const struct rpc_handler status_client = {.message = status_received};
    struct rpc_metadata metadata = {"worker_id", "secret-1"};
    Provision__GetProvisionInfoResponse *message;
    struct rpc_stream *control, *status;
    struct arena arena = {0};
    struct slice response;
    struct world w;

    world_open_with(&w, capabilities, 1);
    ck_assert_int_eq(
        rpc_channel_call_wait(w.channel, PROVISION, &metadata, 1, 20000, true, SLICE_EMPTY, &response, NULL), 0);
    ck_assert_int_eq(PB_UNPACK(Provision__GetProvisionInfoResponse, provision__get_provision_info_response, response,
                               PB_STRINGS_STRICT, &arena, &message, NULL),
                     0);
    ck_assert_str_eq(message->info->status_endpoint->url, w.endpoint);
    slice_unref(&response);
    arena_clear(&arena);
    control = dial_control(&w);
    ck_assert(!fn_worker_ask_status(w.worker, 1)); /* it has not opened the stream */
    status = dial(&w, STATUS, &status_client, "secret-1");
    while (!fn_worker_ask_status(w.worker, 1))
        sched_yield();
    wait_line(&w.host, "status 1 all threads are well");
    ck_assert(fn_worker_ask_status(w.worker, 2));
    wait_line(&w.host, "status 2 error: no guppy");
    rpc_stream_unref(control);
    rpc_stream_unref(status);
    world_close(&w);
}
END_TEST

START_TEST(a_status_stream_that_ends_is_no_loss)
{
    static const struct rpc_handler status_client = {.message = status_received};
    struct rpc_stream *control, *status;
    struct world w;

    world_open(&w);
    control = dial_control(&w);
    status = dial(&w, STATUS, &status_client, "secret-1");
    while (!fn_worker_ask_status(w.worker, 1))
        sched_yield();
    start_bundle(&w);
    rpc_stream_cancel(status);
    while (fn_worker_ask_status(w.worker, 1))
        sched_yield();
    answer_bundle(control, "bundle-7", NULL);
    wait_line(&w.host, "done 7");
    rpc_stream_unref(control);
    rpc_stream_unref(status);
    world_close(&w);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("fnapi");
    TCase *tcase = tcase_create("fnapi");
    SRunner *runner;
    int failed;

    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, streams_without_a_known_worker_id_are_refused);
    tcase_add_test(tcase, second_control_stream_is_refused);
    tcase_add_test(tcase, provision_info_has_the_endpoints);
    tcase_add_test(tcase, descriptor_is_completed_and_found_by_id);
    tcase_add_test(tcase, bundle_goes_there_and_back);
    tcase_add_test(tcase, parts_that_say_nothing_are_not_passed_on);
    tcase_add_test(tcase, what_belongs_to_nothing_is_dropped_and_counted);
    tcase_add_test(tcase, error_wins_and_ends_the_output);
    tcase_add_test(tcase, split_and_residuals_arrive);
    tcase_add_test(tcase, whole_metrics_win_over_short_ones);
    tcase_add_test(tcase, short_ids_are_resolved_once_before_the_bundle_is_reported);
    tcase_add_test(tcase, process_metrics_belong_to_no_bundle);
    tcase_add_test(tcase, sent_bytes_add_up_to_what_was_given);
    tcase_add_test(tcase, go_gets_its_end_marks_in_one_message);
    tcase_add_test(tcase, malformed_elements_lose_the_worker);
    tcase_add_test(tcase, data_stream_that_ends_under_a_bundle_loses_the_worker);
    tcase_add_test(tcase, state_is_read_in_pages);
    tcase_add_test(tcase, state_writes_are_decoded_and_answered_in_kind);
    tcase_add_test(tcase, log_entries_arrive_with_bad_bytes_replaced);
    tcase_add_test(tcase, a_malformed_log_ends_alone);
    tcase_add_test(tcase, malformed_response_loses_the_worker);
    tcase_add_test(tcase, lost_when_the_harness_ends_control);
    tcase_add_test(tcase, close_ends_all_streams_and_reports_nothing_but_gone);
    tcase_add_test(tcase, worker_that_never_connected_can_be_closed);
    tcase_add_test(tcase, a_recycled_worker_forgets_its_descriptors_and_charges_another_account);
    tcase_add_test(tcase, a_worker_that_has_not_connected_yet_can_be_recycled_and_a_lost_one_cannot);
    tcase_add_test(tcase, status_is_asked_of_a_harness_that_offers_it);
    tcase_add_test(tcase, a_status_stream_that_ends_is_no_loss);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
