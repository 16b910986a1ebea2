/* The Job API and the artifact services on a real server in this process. The host is a double: a job does what the test says. */
#include <check.h>
#include <pthread.h>
#include <string.h>

#include "base/vec.h"
#include "beam_artifact_api.pb-c.h"
#include "beam_job_api.pb-c.h"
#include "beam_provision_api.pb-c.h"
#include "jobserver/artifact_service.h"
#include "jobserver/config.h"
#include "jobserver/host.h"
#include "jobserver/job_service.h"
#include "temp_dir.h"
#include "wire/pb.h"

#define JOB_PATH(method) "/org.apache.beam.model.job_management.v1.JobService/" method
#define RETRIEVAL_PATH(method) "/org.apache.beam.model.job_management.v1.ArtifactRetrievalService/" method
#define STAGING_PATH "/org.apache.beam.model.job_management.v1.ArtifactStagingService/ReverseArtifactRetrievalService"

/* ------------------------------------------------------------------ the host's double */

static struct {
    pthread_mutex_t mutex;
    struct job *job; /* the last one started */
    atomic_bool refuses;
    atomic_bool cancel_ends; /* host_cancel_job ends the job at once */
} stage = {.mutex = PTHREAD_MUTEX_INITIALIZER};

int host_start_job(struct host *host, struct job *job, struct status *st) {
    (void)host;
    if (stage.refuses)
        return status_set(st, STATUS_FAILED_PRECONDITION, "no worker can be had");
    pthread_mutex_lock(&stage.mutex);
    job_unref(stage.job);
    stage.job = job_ref(job);
    pthread_mutex_unlock(&stage.mutex);
    return 0;
}

/* The last job that was started; borrowed. */
static struct job *started_job(void) {
    struct job *job;

    pthread_mutex_lock(&stage.mutex);
    job = stage.job;
    pthread_mutex_unlock(&stage.mutex);
    return job;
}

void host_cancel_job(struct host *host, struct job *job, const char *why) {
    (void)why;
    (void)host;
    job_set_state(job, JOB_CANCELLING);
    if (stage.cancel_ends)
        job_set_state(job, JOB_CANCELLED);
}

int host_drain_job(struct host *host, struct job *job, struct status *st) {
    (void)host;
    return job_start_draining(job, st);
}

/* ------------------------------------------------------------------ the fixture */

static char *directory;
static struct artifact_store *store;
static struct pool *pool;
static struct job_db *db;
static struct catalogue *catalogue;
static struct rpc_server *server;
static struct rpc_client *client;
static struct rpc_channel *channel;
static struct job_service *job_service;
static struct artifact_service *artifact_service;
static struct fn_service *fn_service;
static struct arena arena; /* of what a test unpacks */
static struct config config;
static struct live_config *live_config;
static unsigned cancel_wait_ms = 60000;

static void setup(void) {
    struct catalogue_options options = catalogue_default_options();
    char target[64];
    int port = 0;

    directory = temp_dir_create();
    ck_assert_int_eq(artifact_store_open(directory, &store, NULL), 0);
    pool = pool_create(2);
    config_init_defaults(&config);
    ck_assert_int_eq(job_db_open(directory, &db, NULL), 0);
    options.db = db;
    ck_assert_int_eq(catalogue_create(&options, &catalogue, NULL), 0);
    live_config = live_config_create(&config);
    rpc_init();
    server = rpc_server_create(&(struct rpc_server_options){0});
    ck_assert_int_eq(rpc_server_listen(server, "127.0.0.1:0", &port, NULL), 0);
    snprintf(target, sizeof(target), "127.0.0.1:%d", port);
    job_service = job_service_create(&(struct job_service_options){
        .catalogue = catalogue,
        .config = live_config,
        .pool = pool,
        .staging_endpoint = target,
        .cancel_wait_ms = cancel_wait_ms,
        .max_stream_queue_bytes = 4096,
    });
    fn_service = fn_service_create(server);
    artifact_service = artifact_service_create(&(struct artifact_service_options){
        .catalogue = catalogue,
        .store = store,
        .pool = pool,
        .fn_service = fn_service,
        .max_artifact_bytes = 32 << 20,
    });
    job_service_register(job_service, server);
    artifact_service_register(artifact_service, server);
    rpc_server_start(server);
    client = rpc_client_create(1);
    channel = rpc_channel_create(client, target);
}

static void teardown(void) {
    rpc_channel_destroy(channel);
    rpc_client_destroy(client);
    if (started_job())
        job_set_state(started_job(), JOB_DONE); /* whoever still watches it lets go */
    rpc_server_stop(server, 1000);
    job_db_flush(db);
    pool_destroy(pool);
    artifact_service_destroy(artifact_service);
    fn_service_destroy(fn_service);
    job_unref(stage.job);
    stage.job = NULL;
    job_db_stop(db);
    job_service_destroy(job_service);
    catalogue_destroy(catalogue);
    job_db_close(db);
    artifact_store_close(store);
    stage.refuses = stage.cancel_ends = false;
    rpc_shutdown();
    live_config_destroy(live_config);
    config_clear(&config);
    arena_clear(&arena);
    temp_dir_destroy(directory);
}

/* ------------------------------------------------------------------ unary calls */

static enum status_code call(const char *path, const ProtobufCMessage *request, const ProtobufCMessageDescriptor *type,
                             void *ret, struct status *st) {
    CLEANUP_STATUS struct status own = {0};
    CLEANUP_SLICE struct slice response = SLICE_EMPTY;
    ProtobufCMessage *message;

    st = st ? st : &own;
    if (rpc_channel_call_wait(channel, path, NULL, 0, 20000, true, pb_pack(request, NULL), &response, st) < 0)
        return st->code;
    ck_assert_int_eq(pb_unpack(type, response.data, response.size, PB_STRINGS_STRICT, &arena, &message, st), 0);
    *(ProtobufCMessage **)ret = message;
    return STATUS_OK;
}

/* Calls that are about one job all look like this one. */
static enum status_code call_with_id(const char *path, const char *id, const ProtobufCMessageDescriptor *type,
                                     void *ret, struct status *st) {
    Job__GetJobStateRequest request = JOB__GET_JOB_STATE_REQUEST__INIT;

    request.job_id = (char *)id;
    return call(path, &request.base, type, ret, st);
}

/* A message on the arena, and a one-entry map with it: the generated names are long. */
#define NEW(type, symbol)                                                                                              \
    ({                                                                                                                 \
        type *new_ = arena_new(&arena, type);                                                                          \
        symbol##__init(new_);                                                                                          \
        new_;                                                                                                          \
    })
#define ADD_ENTRY(message, field, type, symbol, the_key, the_value)                                                    \
    do {                                                                                                               \
        type *entry_ = NEW(type, symbol);                                                                              \
        type **entries_ = arena_new_array(&arena, type *, (message)->n_##field + 1);                                   \
        for (size_t i_ = 0; i_ < (message)->n_##field; i_++)                                                           \
            entries_[i_] = (message)->field[i_];                                                                       \
        entry_->key = arena_string(&arena, the_key);                                                                   \
        entry_->value = the_value;                                                                                     \
        entries_[(message)->n_##field++] = entry_;                                                                     \
        (message)->field = entries_;                                                                                   \
    } while (0)

static Beam__FunctionSpec *function_spec(const char *urn) {
    Beam__FunctionSpec *spec = NEW(Beam__FunctionSpec, beam__function_spec);

    spec->urn = arena_string(&arena, urn);
    return spec;
}

static void add_coder(Beam__Components *components, const char *id, const char *urn) {
    Beam__Coder *coder = NEW(Beam__Coder, beam__coder);

    coder->spec = function_spec(urn);
    ADD_ENTRY(components, coders, Beam__Components__CodersEntry, beam__components__coders_entry, id, coder);
}

/* An impulse that nobody reads. */
static void add_impulse(Beam__Pipeline *pipeline) {
    Beam__Components *components = pipeline->components;
    Beam__PTransform *transform = NEW(Beam__PTransform, beam__ptransform);
    Beam__PCollection *collection = NEW(Beam__PCollection, beam__pcollection);
    Beam__WindowingStrategy *windowing = NEW(Beam__WindowingStrategy, beam__windowing_strategy);

    transform->unique_name = arena_string(&arena, "Impulse");
    transform->spec = function_spec("beam:transform:impulse:v1");
    ADD_ENTRY(transform, outputs, Beam__PTransform__OutputsEntry, beam__ptransform__outputs_entry, "out",
              arena_string(&arena, "pc"));
    collection->unique_name = arena_string(&arena, "Impulse.out");
    collection->coder_id = arena_string(&arena, "bytes");
    collection->windowing_strategy_id = arena_string(&arena, "global");
    collection->is_bounded = BEAM__IS_BOUNDED__ENUM__BOUNDED;
    windowing->window_fn = function_spec("beam:window_fn:global_windows:v1");
    windowing->window_coder_id = arena_string(&arena, "window");
    windowing->merge_status = BEAM__MERGE_STATUS__ENUM__NON_MERGING;
    windowing->accumulation_mode = BEAM__ACCUMULATION_MODE__ENUM__DISCARDING;
    windowing->output_time = BEAM__OUTPUT_TIME__ENUM__END_OF_WINDOW;
    windowing->closing_behavior = BEAM__CLOSING_BEHAVIOR__ENUM__EMIT_IF_NONEMPTY;
    windowing->on_time_behavior = BEAM__ON_TIME_BEHAVIOR__ENUM__FIRE_ALWAYS;
    windowing->trigger = NEW(Beam__Trigger, beam__trigger);
    windowing->trigger->trigger_case = BEAM__TRIGGER__TRIGGER_DEFAULT;
    windowing->trigger->default_ = NEW(Beam__Trigger__Default, beam__trigger__default);
    add_coder(components, "bytes", "beam:coder:bytes:v1");
    add_coder(components, "window", "beam:coder:global_window:v1");
    ADD_ENTRY(components, transforms, Beam__Components__TransformsEntry, beam__components__transforms_entry, "impulse",
              transform);
    ADD_ENTRY(components, pcollections, Beam__Components__PcollectionsEntry, beam__components__pcollections_entry, "pc",
              collection);
    ADD_ENTRY(components, windowing_strategies, Beam__Components__WindowingStrategiesEntry,
              beam__components__windowing_strategies_entry, "global", windowing);
    pipeline->root_transform_ids = arena_new_array(&arena, char *, 1);
    pipeline->root_transform_ids[0] = arena_string(&arena, "impulse");
    pipeline->n_root_transform_ids = 1;
}

/* The smallest pipeline there is, and an environment with these dependencies. */
static Job__PrepareJobRequest *prepare_request(size_t count, Beam__ArtifactInformation **dependencies) {
    Job__PrepareJobRequest *request = NEW(Job__PrepareJobRequest, job__prepare_job_request);
    Beam__Environment *environment = NEW(Beam__Environment, beam__environment);

    request->job_name = arena_string(&arena, "Test Job");
    request->pipeline = NEW(Beam__Pipeline, beam__pipeline);
    request->pipeline->components = NEW(Beam__Components, beam__components);
    add_impulse(request->pipeline);
    environment->urn = arena_string(&arena, "beam:env:external:v1");
    environment->n_dependencies = count;
    environment->dependencies = dependencies;
    ADD_ENTRY(request->pipeline->components, environments, Beam__Components__EnvironmentsEntry,
              beam__components__environments_entry, "env", environment);
    return request;
}

static Job__PrepareJobResponse *prepare(size_t count, Beam__ArtifactInformation **dependencies) {
    CLEANUP_STATUS struct status st = {0};
    Job__PrepareJobResponse *response = NULL;

    call(JOB_PATH("Prepare"), &prepare_request(count, dependencies)->base, &job__prepare_job_response__descriptor,
         &response, &st);
    ck_assert_msg(response != NULL, "%s", status_message(&st));
    return response;
}

static enum status_code run(const char *preparation_id, const char **ret_job_id, struct status *st) {
    Job__RunJobRequest request = JOB__RUN_JOB_REQUEST__INIT;
    Job__RunJobResponse *response;
    enum status_code code;

    request.preparation_id = (char *)preparation_id;
    code = call(JOB_PATH("Run"), &request.base, &job__run_job_response__descriptor, &response, st);
    if (code == STATUS_OK)
        *ret_job_id = response->job_id;
    return code;
}

static const char *start_job(void) {
    const char *id = NULL;

    ck_assert_int_eq(run(prepare(0, NULL)->preparation_id, &id, NULL), STATUS_OK);
    ck_assert_str_eq(id, job_id(started_job()));
    return id;
}

/* ------------------------------------------------------------------ streams */

struct follower {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct rpc_stream *stream;
    VEC(struct slice) messages;
    size_t taken;
    bool is_closed;
    enum status_code code;
};

static void follower_message(struct rpc_stream *stream, void *user, struct slice message) {
    struct follower *follower = user;

    (void)stream;
    pthread_mutex_lock(&follower->mutex);
    vec_push(&follower->messages, message);
    pthread_cond_broadcast(&follower->changed);
    pthread_mutex_unlock(&follower->mutex);
}

static void follower_closed(struct rpc_stream *stream, void *user, const struct status *status) {
    struct follower *follower = user;

    (void)stream;
    pthread_mutex_lock(&follower->mutex);
    follower->is_closed = true;
    follower->code = status->code;
    pthread_cond_broadcast(&follower->changed);
    pthread_mutex_unlock(&follower->mutex);
}

static const struct rpc_handler follower_handler = {.message = follower_message, .closed = follower_closed};

/* `worker_id` NULL: as a client. */
static struct follower *follow_as(const char *worker_id, const char *path, const ProtobufCMessage *request) {
    struct follower *follower = xcalloc(1, sizeof(*follower));
    struct rpc_metadata metadata = {"worker_id", worker_id};
    struct slice bytes = pb_pack(request, NULL);

    pthread_mutex_init(&follower->mutex, NULL);
    pthread_cond_init(&follower->changed, NULL);
    follower->stream =
        rpc_channel_open(channel, path, &metadata, worker_id ? 1 : 0, 20000, true, &follower_handler, follower);
    rpc_stream_send(follower->stream, &bytes, 1);
    return follower;
}

static struct follower *follow(const char *path, const ProtobufCMessage *request) {
    return follow_as(NULL, path, request);
}

static struct follower *follow_job(const char *path, const char *id) {
    Job__GetJobStateRequest request = JOB__GET_JOB_STATE_REQUEST__INIT;
    struct follower *follower;

    request.job_id = (char *)id;
    follower = follow(path, &request.base);
    rpc_stream_finish(follower->stream, STATUS_OK, NULL);
    return follower;
}

/* Waits for the next message; false when the stream ended instead. The slice belongs to the follower. */
static bool next_message(struct follower *follower, struct slice *ret) {
    bool is_there;

    pthread_mutex_lock(&follower->mutex);
    while (follower->taken == follower->messages.count && !follower->is_closed)
        pthread_cond_wait(&follower->changed, &follower->mutex);
    is_there = follower->taken < follower->messages.count;
    if (is_there)
        *ret = follower->messages.items[follower->taken++];
    pthread_mutex_unlock(&follower->mutex);
    return is_there;
}

static enum status_code end_of(struct follower *follower) {
    enum status_code code;

    pthread_mutex_lock(&follower->mutex);
    while (!follower->is_closed)
        pthread_cond_wait(&follower->changed, &follower->mutex);
    code = follower->code;
    pthread_mutex_unlock(&follower->mutex);
    rpc_stream_unref(follower->stream);
    vec_foreach (message, &follower->messages)
        slice_unref(message);
    vec_free(&follower->messages);
    pthread_cond_destroy(&follower->changed);
    pthread_mutex_destroy(&follower->mutex);
    free(follower);
    return code;
}

static enum job_state next_state(struct follower *follower) {
    Job__JobStateEvent *event;
    struct slice bytes;

    ck_assert(next_message(follower, &bytes));
    ck_assert_int_eq(
        PB_UNPACK(Job__JobStateEvent, job__job_state_event, bytes, PB_STRINGS_STRICT, &arena, &event, NULL), 0);
    ck_assert_int_gt(event->timestamp->seconds, 0);
    return (enum job_state)event->state;
}

static Job__JobMessagesResponse *next_response(struct follower *follower) {
    Job__JobMessagesResponse *response;
    struct slice bytes;

    ck_assert(next_message(follower, &bytes));
    ck_assert_int_eq(PB_UNPACK(Job__JobMessagesResponse, job__job_messages_response, bytes, PB_STRINGS_STRICT, &arena,
                               &response, NULL),
                     0);
    return response;
}

static void expect_state(struct follower *follower, enum job_state state) {
    Job__JobMessagesResponse *response = next_response(follower);

    ck_assert_int_eq(response->response_case, JOB__JOB_MESSAGES_RESPONSE__RESPONSE_STATE_RESPONSE);
    ck_assert_int_eq(response->state_response->state, state);
}

static void expect_message(struct follower *follower, enum job_message_importance importance, const char *text) {
    Job__JobMessagesResponse *response = next_response(follower);

    ck_assert_int_eq(response->response_case, JOB__JOB_MESSAGES_RESPONSE__RESPONSE_MESSAGE_RESPONSE);
    ck_assert_str_eq(response->message_response->message_text, text);
    ck_assert_int_eq(response->message_response->importance, importance);
    ck_assert_uint_gt(strlen(response->message_response->message_id), 0);
}

/* ------------------------------------------------------------------ the Job API */

START_TEST(prepare_gives_an_id_a_token_and_where_to_stage)
{
    Job__PrepareJobResponse *response = prepare(0, NULL);

    ck_assert_ptr_nonnull(strstr(response->preparation_id, "test-job"));
    ck_assert_uint_gt(strlen(response->staging_session_token), 16);
    ck_assert_ptr_nonnull(strstr(response->artifact_staging_endpoint->url, "127.0.0.1:"));
}
END_TEST

START_TEST(a_bad_pipeline_is_refused_by_prepare)
{
    CLEANUP_STATUS struct status st = {0};
    Job__PrepareJobRequest *request = prepare_request(0, NULL);
    Job__PrepareJobResponse *response;
    char *missing = arena_string(&arena, "no_such_transform");

    request->pipeline->root_transform_ids = &missing;
    request->pipeline->n_root_transform_ids = 1;
    ck_assert_int_eq(call(JOB_PATH("Prepare"), &request->base, &job__prepare_job_response__descriptor, &response, &st),
                     STATUS_INVALID_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(status_message(&st), "no_such_transform"));
    request->pipeline = NULL;
    ck_assert_int_eq(call(JOB_PATH("Prepare"), &request->base, &job__prepare_job_response__descriptor, &response, &st),
                     STATUS_INVALID_ARGUMENT);
}
END_TEST

START_TEST(run_starts_a_job_with_an_id_of_its_own)
{
    Job__PrepareJobResponse *prepared = prepare(0, NULL);
    CLEANUP_STATUS struct status st = {0};
    const char *id = NULL;

    ck_assert_int_eq(run(prepared->preparation_id, &id, NULL), STATUS_OK);
    ck_assert_str_ne(id, prepared->preparation_id);
    ck_assert_str_eq(job_specification(started_job())->name, "Test Job");
    ck_assert_int_eq(run(prepared->preparation_id, &id, &st), STATUS_NOT_FOUND);
}
END_TEST

/* Prepares and runs a job that the client calls `name`, with the option job_name; the name that it gets. */
static const char *name_given_to(const char *name, const char *option) {
    Job__PrepareJobRequest *request = prepare_request(0, NULL);
    Google__Protobuf__Value *value = NEW(Google__Protobuf__Value, google__protobuf__value);
    Job__PrepareJobResponse *response;
    const char *id;

    request->job_name = arena_string(&arena, name);
    request->pipeline_options = NEW(Google__Protobuf__Struct, google__protobuf__struct);
    value->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE;
    value->string_value = arena_string(&arena, option);
    ADD_ENTRY(request->pipeline_options, fields, Google__Protobuf__Struct__FieldsEntry,
              google__protobuf__struct__fields_entry, "beam:option:job_name:v1", value);
    ck_assert_int_eq(call(JOB_PATH("Prepare"), &request->base, &job__prepare_job_response__descriptor, &response, NULL),
                     STATUS_OK);
    ck_assert_int_eq(run(response->preparation_id, &id, NULL), STATUS_OK);
    job_succeed(started_job()); /* the next one takes its place, and nobody else would end it */
    return arena_string(&arena, job_specification(started_job())->name);
}

START_TEST(a_client_that_calls_every_job_the_same_is_asked_what_its_user_calls_it)
{
    ck_assert_str_eq(name_given_to("job", "orders-import"), "orders-import");
    ck_assert_str_eq(name_given_to("", "orders-import"), "orders-import");
    ck_assert_str_eq(name_given_to("wordcount", "orders-import"), "wordcount");
    ck_assert_str_eq(name_given_to("job", ""), "job");
}
END_TEST

START_TEST(a_job_that_cannot_start_says_why_and_is_failed)
{
    CLEANUP_STATUS struct status st = {0};
    Job__GetJobsResponse *jobs;
    Job__GetJobsRequest request = JOB__GET_JOBS_REQUEST__INIT;
    const char *id;

    stage.refuses = true;
    ck_assert_int_eq(run(prepare(0, NULL)->preparation_id, &id, &st), STATUS_FAILED_PRECONDITION);
    ck_assert_str_eq(status_message(&st), "no worker can be had");
    ck_assert_int_eq(call(JOB_PATH("GetJobs"), &request.base, &job__get_jobs_response__descriptor, &jobs, NULL),
                     STATUS_OK);
    ck_assert_uint_eq(jobs->n_job_info, 1);
    ck_assert_int_eq(jobs->job_info[0]->state, JOB_FAILED);
    ck_assert_str_eq(jobs->job_info[0]->job_name, "Test Job");
}
END_TEST

START_TEST(unknown_ids_are_not_found_everywhere)
{
    static const char *const unary[] = {JOB_PATH("GetState"), JOB_PATH("GetPipeline"), JOB_PATH("Cancel"),
                                        JOB_PATH("Drain"), JOB_PATH("GetJobMetrics")};
    static const char *const streams[] = {JOB_PATH("GetStateStream"), JOB_PATH("GetMessageStream")};
    const char *preparation_id = prepare(0, NULL)->preparation_id;
    const char *const ids[] = {"", "nonsense", preparation_id};

    for (size_t i = 0; i < ARRAY_COUNT(ids); i++) {
        for (size_t j = 0; j < ARRAY_COUNT(unary); j++) {
            CLEANUP_STATUS struct status st = {0};
            void *response;

            ck_assert_int_eq(call_with_id(unary[j], ids[i], &job__job_state_event__descriptor, &response, &st),
                             STATUS_NOT_FOUND);
            ck_assert_ptr_nonnull(strstr(status_message(&st), ids[i]));
        }
        for (size_t j = 0; j < ARRAY_COUNT(streams); j++)
            ck_assert_int_eq(end_of(follow_job(streams[j], ids[i])), STATUS_NOT_FOUND);
    }
}
END_TEST

START_TEST(the_state_stream_replays_follows_and_ends)
{
    const char *id = start_job();
    struct follower *follower;

    job_set_state(started_job(), JOB_STARTING);
    job_add_message(started_job(), JOB_MESSAGE_BASIC, "not for this stream");
    follower = follow_job(JOB_PATH("GetStateStream"), id);
    ck_assert_int_eq(next_state(follower), JOB_STOPPED);
    ck_assert_int_eq(next_state(follower), JOB_STARTING);
    job_set_state(started_job(), JOB_RUNNING);
    ck_assert_int_eq(next_state(follower), JOB_RUNNING);
    job_set_state(started_job(), JOB_DONE);
    ck_assert_int_eq(next_state(follower), JOB_DONE);
    ck_assert_int_eq(end_of(follower), STATUS_OK);
}
END_TEST

START_TEST(the_message_stream_interleaves_states_and_replays_after_the_end)
{
    const char *id = start_job();

    job_set_state(started_job(), JOB_RUNNING);
    job_add_message(started_job(), JOB_MESSAGE_BASIC, "hello");
    job_fail(started_job(), "the reason");
    job_add_message(started_job(), JOB_MESSAGE_ERROR, "too late to be the reason");
    for (int i = 0; i < 2; i++) {
        struct follower *follower = follow_job(JOB_PATH("GetMessageStream"), id);
        struct slice nothing;

        expect_state(follower, JOB_STOPPED);
        expect_state(follower, JOB_RUNNING);
        expect_message(follower, JOB_MESSAGE_BASIC, "hello");
        expect_message(follower, JOB_MESSAGE_ERROR, "the reason");
        expect_state(follower, JOB_FAILED);
        ck_assert(!next_message(follower, &nothing));
        ck_assert_int_eq(end_of(follower), STATUS_OK);
    }
}
END_TEST

START_TEST(a_slow_reader_gets_everything_and_the_queue_stays_small)
{
    const char *id = start_job();
    struct follower *follower;

    /* 4 MB of history through a queue of 4 KB */
    for (int i = 0; i < 1000; i++)
        job_add_message(started_job(), JOB_MESSAGE_DEBUG, "%d %04000d", i, 0);
    follower = follow_job(JOB_PATH("GetMessageStream"), id);
    expect_state(follower, JOB_STOPPED);
    rpc_stream_pause(follower->stream);
    rpc_stream_resume(follower->stream);
    for (int i = 0; i < 1000; i++) {
        Job__JobMessagesResponse *response = next_response(follower);

        ck_assert_int_eq(atoi(response->message_response->message_text), i);
    }
    job_set_state(started_job(), JOB_DONE);
    expect_state(follower, JOB_DONE);
    ck_assert_int_eq(end_of(follower), STATUS_OK);
}
END_TEST

START_TEST(a_client_that_goes_away_is_forgotten)
{
    const char *id = start_job();
    struct follower *follower = follow_job(JOB_PATH("GetMessageStream"), id);

    expect_state(follower, JOB_STOPPED);
    rpc_stream_cancel(follower->stream);
    ck_assert_int_eq(end_of(follower), STATUS_CANCELLED);
    for (int i = 0; i < 100; i++)
        job_add_message(started_job(), JOB_MESSAGE_BASIC, "nobody listens");
}
END_TEST

START_TEST(get_state_and_get_pipeline_answer)
{
    const char *id = start_job();
    Job__JobStateEvent *state;
    Job__GetJobPipelineResponse *pipeline;

    job_set_state(started_job(), JOB_RUNNING);
    job_db_flush(db);
    ck_assert_int_eq(call_with_id(JOB_PATH("GetState"), id, &job__job_state_event__descriptor, &state, NULL),
                     STATUS_OK);
    ck_assert_int_eq(state->state, JOB_RUNNING);
    ck_assert_int_eq(
        call_with_id(JOB_PATH("GetPipeline"), id, &job__get_job_pipeline_response__descriptor, &pipeline, NULL),
        STATUS_OK);
    ck_assert_str_eq(pipeline->pipeline->components->environments[0]->key, "env");
}
END_TEST

START_TEST(cancel_answers_with_the_end_when_it_comes)
{
    const char *id = start_job();
    Job__CancelJobResponse *response;

    stage.cancel_ends = true;
    ck_assert_int_eq(call_with_id(JOB_PATH("Cancel"), id, &job__cancel_job_response__descriptor, &response, NULL),
                     STATUS_OK);
    ck_assert_int_eq(response->state, JOB_CANCELLED);
    ck_assert_int_eq(call_with_id(JOB_PATH("Cancel"), id, &job__cancel_job_response__descriptor, &response, NULL),
                     STATUS_OK);
    ck_assert_int_eq(response->state, JOB_CANCELLED);
}
END_TEST

static void *end_when_cancelling(void *user) {
    struct follower *follower = follow_job(JOB_PATH("GetStateStream"), user);
    enum job_state state;

    do
        state = next_state(follower);
    while (state != JOB_CANCELLING);
    job_set_state(started_job(), JOB_CANCELLED);
    ck_assert_int_eq(end_of(follower), STATUS_OK);
    return NULL;
}

START_TEST(cancel_waits_for_the_end_without_a_thread)
{
    const char *id = start_job();
    Job__CancelJobResponse *response;
    pthread_t thread;

    pthread_create(&thread, NULL, end_when_cancelling, (void *)id);
    /* the other thread's unpacking and this one's share the arena: they take turns, as `end_of` is joined before the next use */
    {
        Job__GetJobStateRequest request = JOB__GET_JOB_STATE_REQUEST__INIT;
        CLEANUP_SLICE struct slice bytes = SLICE_EMPTY;

        request.job_id = (char *)id;
        ck_assert_int_eq(rpc_channel_call_wait(channel, JOB_PATH("Cancel"), NULL, 0, 20000, true,
                                               PB_PACK(&request, NULL), &bytes, NULL),
                         0);
        pthread_join(thread, NULL);
        ck_assert_int_eq(PB_UNPACK(Job__CancelJobResponse, job__cancel_job_response, bytes, PB_STRINGS_STRICT, &arena,
                                   &response, NULL),
                         0);
    }
    ck_assert_int_eq(response->state, JOB_CANCELLED);
}
END_TEST

START_TEST(cancel_does_not_wait_longer_than_it_may)
{
    const char *id = start_job();
    Job__CancelJobResponse *response;

    ck_assert_int_eq(call_with_id(JOB_PATH("Cancel"), id, &job__cancel_job_response__descriptor, &response, NULL),
                     STATUS_OK);
    ck_assert_int_eq(response->state, JOB_CANCELLING);
}
END_TEST

START_TEST(drain_answers_at_once_and_as_often_as_it_is_asked)
{
    const char *id = start_job();
    struct follower *follower = follow_job(JOB_PATH("GetStateStream"), id);
    Job__DrainJobResponse *response;

    job_set_state(started_job(), JOB_RUNNING);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(call_with_id(JOB_PATH("Drain"), id, &job__drain_job_response__descriptor, &response, NULL),
                         STATUS_OK);
        ck_assert_int_eq(response->state, JOB_DRAINING);
    }
    job_succeed(started_job());
    ck_assert_int_eq(next_state(follower), JOB_STOPPED);
    ck_assert_int_eq(next_state(follower), JOB_RUNNING);
    ck_assert_int_eq(next_state(follower), JOB_DRAINING);
    ck_assert_int_eq(next_state(follower), JOB_DRAINED);
    ck_assert_int_eq(end_of(follower), STATUS_OK);
}
END_TEST

START_TEST(drain_is_refused_before_a_job_runs_and_after_its_end)
{
    const char *id = start_job();
    Job__DrainJobResponse *response;

    for (int i = 0; i < 2; i++) {
        CLEANUP_STATUS struct status st = {0};

        ck_assert_int_eq(call_with_id(JOB_PATH("Drain"), id, &job__drain_job_response__descriptor, &response, &st),
                         STATUS_FAILED_PRECONDITION);
        ck_assert_ptr_nonnull(strstr(status_message(&st), id));
        ck_assert_ptr_nonnull(strstr(status_message(&st), i ? "is over (DONE)" : "has not begun"));
        job_set_state(started_job(), JOB_DONE);
    }
}
END_TEST

START_TEST(a_draining_job_is_cancelled_as_any_other)
{
    const char *id = start_job();
    Job__DrainJobResponse *drained;
    Job__CancelJobResponse *cancelled;

    job_set_state(started_job(), JOB_RUNNING);
    ck_assert_int_eq(call_with_id(JOB_PATH("Drain"), id, &job__drain_job_response__descriptor, &drained, NULL),
                     STATUS_OK);
    stage.cancel_ends = true;
    ck_assert_int_eq(call_with_id(JOB_PATH("Cancel"), id, &job__cancel_job_response__descriptor, &cancelled, NULL),
                     STATUS_OK);
    ck_assert_int_eq(cancelled->state, JOB_CANCELLED);
    ck_assert_int_eq(call_with_id(JOB_PATH("Drain"), id, &job__drain_job_response__descriptor, &drained, NULL),
                     STATUS_FAILED_PRECONDITION);
}
END_TEST

START_TEST(metrics_come_as_monitoring_infos)
{
    const char *id = start_job();
    const char *const labels[][2] = {{"PTRANSFORM", "t1"}, {"NAMESPACE", "ns"}, {"NAME", "n"}};
    struct metric_table attempted = {0}, committed = {0};
    struct metric metric = {
        .identity = metric_identity("beam:metric:user:sum_int64:v1", "beam:metrics:sum_int64:v1", labels, 3),
        .payload = slice_of_literal("\x05"),
    };
    Job__GetJobMetricsResponse *response;
    Beam__MonitoringInfo *info;

    ck_assert_int_eq(
        call_with_id(JOB_PATH("GetJobMetrics"), id, &job__get_job_metrics_response__descriptor, &response, NULL),
        STATUS_OK);
    ck_assert_ptr_nonnull(response->metrics);
    metric_table_add(&attempted, &metric);
    metric_table_add(&attempted, &metric);
    metric_table_add(&committed, &metric);
    job_set_metrics(started_job(), &attempted, &committed);
    slice_unref(&metric.identity);
    ck_assert_int_eq(
        call_with_id(JOB_PATH("GetJobMetrics"), id, &job__get_job_metrics_response__descriptor, &response, NULL),
        STATUS_OK);
    ck_assert_uint_eq(response->metrics->n_attempted, 1);
    ck_assert_uint_eq(response->metrics->n_committed, 1);
    info = response->metrics->attempted[0];
    ck_assert_str_eq(info->urn, "beam:metric:user:sum_int64:v1");
    ck_assert_str_eq(info->type, "beam:metrics:sum_int64:v1");
    ck_assert_uint_eq(info->payload.data[0], 10);
    ck_assert_uint_eq(response->metrics->committed[0]->payload.data[0], 5);
    ck_assert_uint_eq(info->n_labels, 3);
    for (size_t i = 0; i < 3; i++)
        if (strcmp(info->labels[i]->key, "PTRANSFORM") == 0)
            ck_assert_str_eq(info->labels[i]->value, "t1");
}
END_TEST

START_TEST(the_servers_own_options_are_described)
{
    Job__DescribePipelineOptionsRequest request = JOB__DESCRIBE_PIPELINE_OPTIONS_REQUEST__INIT;
    Job__DescribePipelineOptionsResponse *response;

    ck_assert_int_eq(call(JOB_PATH("DescribePipelineOptions"), &request.base,
                          &job__describe_pipeline_options_response__descriptor, &response, NULL),
                     STATUS_OK);
    ck_assert_uint_gt(response->n_options, 0);
    ck_assert_int_eq(strncmp(response->options[0]->name, "trestle_", 8), 0);
    ck_assert_int_eq(response->options[0]->type, JOB__PIPELINE_OPTION_TYPE__ENUM__INTEGER);
}
END_TEST

/* ------------------------------------------------------------------ artifacts */

static Beam__ArtifactInformation *artifact(const char *type, const ProtobufCMessage *payload, const char *name) {
    Beam__ArtifactInformation *info = arena_new(&arena, Beam__ArtifactInformation);
    Beam__ArtifactStagingToRolePayload role = BEAM__ARTIFACT_STAGING_TO_ROLE_PAYLOAD__INIT;

    beam__artifact_information__init(info);
    role.staged_name = (char *)name;
    info->type_urn = arena_string(&arena, type);
    info->type_payload.len = protobuf_c_message_get_packed_size(payload);
    info->type_payload.data = arena_alloc(&arena, info->type_payload.len + 1);
    protobuf_c_message_pack(payload, info->type_payload.data);
    info->role_urn = arena_string(&arena, "beam:artifact:role:staging_to:v1");
    info->role_payload.len = protobuf_c_message_get_packed_size(&role.base);
    info->role_payload.data = arena_alloc(&arena, info->role_payload.len + 1);
    protobuf_c_message_pack(&role.base, info->role_payload.data);
    return info;
}

static Beam__ArtifactInformation *file_artifact(const char *path, const char *sha256) {
    Beam__ArtifactFilePayload payload = BEAM__ARTIFACT_FILE_PAYLOAD__INIT;

    payload.path = (char *)path;
    payload.sha256 = (char *)sha256;
    return artifact("beam:artifact:type:file:v1", &payload.base, path);
}

static Beam__ArtifactInformation *embedded_artifact(const char *text) {
    Beam__EmbeddedFilePayload payload = BEAM__EMBEDDED_FILE_PAYLOAD__INIT;

    payload.data = (ProtobufCBinaryData){.len = strlen(text), .data = (uint8_t *)text};
    return artifact("beam:artifact:type:embedded:v1", &payload.base, "embedded");
}

static void answer(struct follower *staging, Artifact__ArtifactResponseWrapper *wrapper) {
    struct slice bytes = PB_PACK(wrapper, NULL);

    rpc_stream_send(staging->stream, &bytes, 1);
}

static void answer_bytes(struct follower *staging, const char *bytes, size_t size, bool is_last) {
    Artifact__ArtifactResponseWrapper wrapper = ARTIFACT__ARTIFACT_RESPONSE_WRAPPER__INIT;
    Artifact__GetArtifactResponse response = ARTIFACT__GET_ARTIFACT_RESPONSE__INIT;

    response.data = (ProtobufCBinaryData){.len = size, .data = (uint8_t *)bytes};
    wrapper.response_case = ARTIFACT__ARTIFACT_RESPONSE_WRAPPER__RESPONSE_GET_ARTIFACT_RESPONSE;
    wrapper.get_artifact_response = &response;
    wrapper.is_last = is_last;
    answer(staging, &wrapper);
}

static struct follower *open_staging(const char *token) {
    Artifact__ArtifactResponseWrapper wrapper = ARTIFACT__ARTIFACT_RESPONSE_WRAPPER__INIT;

    wrapper.staging_token = (char *)token;
    return follow(STAGING_PATH, &wrapper.base);
}

/* The server's next request; NULL when it ended the stream. */
static Artifact__ArtifactRequestWrapper *next_request(struct follower *staging) {
    Artifact__ArtifactRequestWrapper *request;
    struct slice bytes;

    if (!next_message(staging, &bytes))
        return NULL;
    ck_assert_int_eq(PB_UNPACK(Artifact__ArtifactRequestWrapper, artifact__artifact_request_wrapper, bytes,
                               PB_STRINGS_STRICT, &arena, &request, NULL),
                     0);
    return request;
}

/* Answers resolve_artifact with what was asked, as Python, Go and TypeScript do. */
static void resolve_to_itself(struct follower *staging) {
    Artifact__ArtifactResponseWrapper wrapper = ARTIFACT__ARTIFACT_RESPONSE_WRAPPER__INIT;
    Artifact__ResolveArtifactsResponse response = ARTIFACT__RESOLVE_ARTIFACTS_RESPONSE__INIT;
    Artifact__ArtifactRequestWrapper *request = next_request(staging);

    ck_assert_ptr_nonnull(request);
    ck_assert_int_eq(request->request_case, ARTIFACT__ARTIFACT_REQUEST_WRAPPER__REQUEST_RESOLVE_ARTIFACT);
    response.n_replacements = request->resolve_artifact->n_artifacts;
    response.replacements = request->resolve_artifact->artifacts;
    wrapper.response_case = ARTIFACT__ARTIFACT_RESPONSE_WRAPPER__RESPONSE_RESOLVE_ARTIFACT_RESPONSE;
    wrapper.resolve_artifact_response = &response;
    answer(staging, &wrapper);
}

static void expect_get(struct follower *staging) {
    Artifact__ArtifactRequestWrapper *request = next_request(staging);

    ck_assert_ptr_nonnull(request);
    ck_assert_int_eq(request->request_case, ARTIFACT__ARTIFACT_REQUEST_WRAPPER__REQUEST_GET_ARTIFACT);
}

/* The environment's dependencies in the pipeline of a started job. */
static Beam__Environment *staged_environment(void) {
    Beam__Pipeline *pipeline;

    ck_assert_int_eq(PB_UNPACK(Beam__Pipeline, beam__pipeline, job_specification(started_job())->pipeline,
                               PB_STRINGS_STRICT, &arena, &pipeline, NULL),
                     0);
    return pipeline->components->environments[0]->value;
}

/* A worker that was told of these dependencies. */
static struct fn_worker *start_worker(const char *id, size_t count, Beam__ArtifactInformation **dependencies) {
    static const struct fn_worker_handler nothing = {0};
    Provision__ProvisionInfo info = PROVISION__PROVISION_INFO__INIT;
    CLEANUP_SLICE struct slice bytes = SLICE_EMPTY;

    info.n_dependencies = count;
    info.dependencies = dependencies;
    bytes = PB_PACK(&info, NULL);
    return fn_worker_create(fn_service,
                            &(struct fn_worker_options){.worker_id = id, .endpoint = "h:1", .provision_info = bytes},
                            &nothing, NULL);
}

static void end_worker(struct fn_worker *worker) {
    fn_worker_close(worker);
    fn_worker_destroy(worker);
}

/* Fetches one artifact as this worker does, comparing its bytes. */
static enum status_code retrieve(const char *worker_id, const Beam__ArtifactInformation *info, const char *expected,
                                 size_t expected_size) {
    Artifact__GetArtifactRequest request = ARTIFACT__GET_ARTIFACT_REQUEST__INIT;
    Beam__ArtifactInformation rewritten = *info;
    struct follower *follower;
    struct slice bytes;
    size_t size = 0;

    rewritten.role_urn = arena_string(&arena, "rewritten");
    request.artifact = &rewritten;
    follower = follow_as(worker_id, RETRIEVAL_PATH("GetArtifact"), &request.base);
    rpc_stream_finish(follower->stream, STATUS_OK, NULL);
    while (next_message(follower, &bytes)) {
        Artifact__GetArtifactResponse *response;

        ck_assert_uint_lt(bytes.size, 2 << 20);
        ck_assert_int_eq(PB_UNPACK(Artifact__GetArtifactResponse, artifact__get_artifact_response, bytes,
                                   PB_STRINGS_STRICT, &arena, &response, NULL),
                         0);
        ck_assert_uint_le(size + response->data.len, expected_size);
        ck_assert_mem_eq(response->data.data, expected + size, response->data.len);
        size += response->data.len;
    }
    ck_assert_uint_eq(size, expected_size);
    return end_of(follower);
}

START_TEST(artifacts_go_into_the_store_and_out_again)
{
    enum { BIG = 11 << 20, PIECE = 1 << 20 };
    char *big = xcalloc(1, BIG);
    Beam__ArtifactInformation *dependencies[] = {
        file_artifact("/home/me/big.jar", ""), embedded_artifact("embedded text"), file_artifact("/home/me/empty", ""),
        file_artifact("/home/me/big.jar", "")};
    Job__PrepareJobResponse *prepared = prepare(ARRAY_COUNT(dependencies), dependencies);
    struct follower *staging = open_staging(prepared->staging_session_token);
    CLEANUP_STATUS struct status st = {0};
    Beam__Environment *environment;
    struct fn_worker *worker;
    const char *id = NULL;

    for (size_t i = 0; i < BIG; i++)
        big[i] = (char)(i * 31 >> 3);
    resolve_to_itself(staging);
    expect_get(staging);
    ck_assert_int_eq(run(prepared->preparation_id, &id, &st), STATUS_FAILED_PRECONDITION);
    for (size_t at = 0; at < BIG; at += PIECE)
        answer_bytes(staging, big + at, PIECE, false);
    answer_bytes(staging, "", 0, true);
    expect_get(staging); /* the empty file; the embedded one needs no asking, the last is the first again */
    answer_bytes(staging, "", 0, true);
    ck_assert_ptr_null(next_request(staging));
    ck_assert_int_eq(end_of(staging), STATUS_OK);

    ck_assert_int_eq(run(prepared->preparation_id, &id, NULL), STATUS_OK);
    environment = staged_environment();
    ck_assert_uint_eq(environment->n_dependencies, 4);
    ck_assert_str_eq(environment->dependencies[1]->role_urn, "beam:artifact:role:staging_to:v1");
    worker = start_worker("w", environment->n_dependencies, environment->dependencies);
    ck_assert_int_eq(retrieve("w", environment->dependencies[0], big, BIG), STATUS_OK);
    ck_assert_int_eq(retrieve("w", environment->dependencies[1], "embedded text", 13), STATUS_OK);
    ck_assert_int_eq(retrieve("w", environment->dependencies[2], "", 0), STATUS_OK);
    ck_assert_int_eq(retrieve("w", environment->dependencies[3], big, BIG), STATUS_OK);
    end_worker(worker);
    free(big);
}
END_TEST

START_TEST(a_worker_is_given_its_own_artifacts_only)
{
    Beam__ArtifactInformation *texts[] = {embedded_artifact("mine"), embedded_artifact("theirs")};
    Job__PrepareJobResponse *prepared = prepare(2, texts);
    struct follower *staging = open_staging(prepared->staging_session_token);
    struct fn_worker *mine, *theirs;
    Beam__Environment *environment;
    const char *id;

    resolve_to_itself(staging);
    ck_assert_ptr_null(next_request(staging));
    ck_assert_int_eq(end_of(staging), STATUS_OK);
    ck_assert_int_eq(run(prepared->preparation_id, &id, NULL), STATUS_OK);
    environment = staged_environment();
    mine = start_worker("me", 1, environment->dependencies);
    theirs = start_worker("them", 1, environment->dependencies + 1);
    ck_assert_int_eq(retrieve("me", environment->dependencies[0], "mine", 4), STATUS_OK);
    ck_assert_int_eq(retrieve("me", environment->dependencies[1], "", 0), STATUS_PERMISSION_DENIED);
    ck_assert_int_eq(retrieve("them", environment->dependencies[0], "", 0), STATUS_PERMISSION_DENIED);
    ck_assert_int_eq(retrieve("nobody", environment->dependencies[0], "", 0), STATUS_PERMISSION_DENIED);
    ck_assert_int_eq(retrieve(NULL, environment->dependencies[0], "", 0), STATUS_PERMISSION_DENIED);
    end_worker(mine);
    end_worker(theirs);
}
END_TEST

START_TEST(bytes_whose_digest_is_known_are_not_asked_for_again)
{
    static const char digest[] = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    Beam__ArtifactInformation *dependency = file_artifact("/x", digest);

    for (int i = 0; i < 2; i++) {
        struct follower *staging = open_staging(prepare(1, &dependency)->staging_session_token);

        resolve_to_itself(staging);
        if (i == 0) {
            expect_get(staging);
            answer_bytes(staging, "hello", 5, true);
        }
        ck_assert_ptr_null(next_request(staging));
        ck_assert_int_eq(end_of(staging), STATUS_OK);
    }
}
END_TEST

START_TEST(bytes_that_do_not_match_their_digest_are_refused_by_name)
{
    CLEANUP_STATUS struct status st = {0};
    Beam__ArtifactInformation *dependency =
        file_artifact("/x/lib.jar", "0000000000000000000000000000000000000000000000000000000000000000");
    Job__PrepareJobResponse *prepared = prepare(1, &dependency);
    struct follower *staging = open_staging(prepared->staging_session_token);
    const char *id;

    resolve_to_itself(staging);
    expect_get(staging);
    answer_bytes(staging, "hello", 5, true);
    ck_assert_int_eq(end_of(staging), STATUS_DATA_LOSS);
    ck_assert_int_eq(run(prepared->preparation_id, &id, &st), STATUS_FAILED_PRECONDITION);
    ck_assert_ptr_nonnull(strstr(status_message(&st), "/x/lib.jar"));
}
END_TEST

START_TEST(a_broken_staging_can_be_tried_again)
{
    Beam__ArtifactInformation *dependency = file_artifact("/x", "");
    Job__PrepareJobResponse *prepared = prepare(1, &dependency);
    struct follower *first = open_staging(prepared->staging_session_token), *second;
    const char *id;

    resolve_to_itself(first);
    expect_get(first);
    second = open_staging(prepared->staging_session_token);
    resolve_to_itself(second);
    expect_get(second);
    rpc_stream_cancel(first->stream);
    ck_assert_int_eq(end_of(first), STATUS_CANCELLED);
    answer_bytes(second, "hello", 5, true);
    ck_assert_ptr_null(next_request(second));
    ck_assert_int_eq(end_of(second), STATUS_OK);
    ck_assert_int_eq(run(prepared->preparation_id, &id, NULL), STATUS_OK);
}
END_TEST

START_TEST(staging_refuses_what_it_cannot_know)
{
    Beam__EmbeddedFilePayload empty = BEAM__EMBEDDED_FILE_PAYLOAD__INIT;
    Beam__ArtifactInformation *dependency = artifact("beam:artifact:type:maven:v1", &empty.base, "some.jar");
    struct follower *staging;

    ck_assert_int_eq(end_of(open_staging("no such token")), STATUS_NOT_FOUND);
    staging = open_staging(prepare(1, &dependency)->staging_session_token);
    resolve_to_itself(staging);
    ck_assert_int_eq(end_of(staging), STATUS_INVALID_ARGUMENT);
    staging = open_staging(prepare(1, &dependency)->staging_session_token);
    answer_bytes(staging, "", 0, true); /* not what was asked */
    ck_assert_int_eq(end_of(staging), STATUS_INVALID_ARGUMENT);
    staging = open_staging(prepare(1, &dependency)->staging_session_token);
    rpc_stream_finish(staging->stream, STATUS_OK, NULL); /* half-closes */
    ck_assert_int_eq(end_of(staging), STATUS_INVALID_ARGUMENT);
}
END_TEST

START_TEST(artifacts_are_bounded)
{
    enum { PIECE = 1 << 20 };
    Beam__ArtifactInformation *dependency = file_artifact("/huge", "");
    struct follower *staging = open_staging(prepare(1, &dependency)->staging_session_token);
    char *piece = xcalloc(1, PIECE);

    resolve_to_itself(staging);
    expect_get(staging);
    for (int i = 0; i < 33; i++)
        answer_bytes(staging, piece, PIECE, false);
    ck_assert_int_eq(end_of(staging), STATUS_RESOURCE_EXHAUSTED);
    free(piece);
}
END_TEST

START_TEST(nothing_outside_the_store_is_handed_out)
{
    struct fn_worker *worker = start_worker("w", 0, NULL);

    ck_assert_int_eq(retrieve("w", file_artifact("/etc/passwd", ""), "", 0), STATUS_NOT_FOUND);
    ck_assert_int_eq(retrieve("w", embedded_artifact("x"), "", 0), STATUS_INVALID_ARGUMENT);
    end_worker(worker);
}
END_TEST

START_TEST(resolve_gives_back_what_it_got)
{
    Artifact__ResolveArtifactsRequest request = ARTIFACT__RESOLVE_ARTIFACTS_REQUEST__INIT;
    Beam__ArtifactInformation *info = file_artifact("/x", "");
    Artifact__ResolveArtifactsResponse *response;

    request.n_artifacts = 1;
    request.artifacts = &info;
    ck_assert_int_eq(call(RETRIEVAL_PATH("ResolveArtifacts"), &request.base,
                          &artifact__resolve_artifacts_response__descriptor, &response, NULL),
                     STATUS_OK);
    ck_assert_uint_eq(response->n_replacements, 1);
    ck_assert_str_eq(response->replacements[0]->type_urn, info->type_urn);
}
END_TEST

START_TEST(workers_are_told_options_names_and_dependencies)
{
    struct plan *plan = xcalloc(1, sizeof(*plan));
    Beam__Environment environment = BEAM__ENVIRONMENT__INIT;
    Beam__ArtifactInformation *dependency = file_artifact("/in/the/store", "");
    struct job_limits limits = {.max_messages = 10, .max_message_bytes = 100, .max_bytes = 1000};
    Provision__ProvisionInfo *info;
    struct slice packed, bytes;
    struct job *job;

    environment.n_dependencies = 1;
    environment.dependencies = &dependency;
    packed = PB_PACK(&environment, NULL);
    plan->environments = arena_new_array(&plan->arena, struct plan_environment, 1);
    plan->environment_count = 1;
    plan->environments[0].proto = slice_of_static(arena_copy(&plan->arena, packed.data, packed.size), packed.size);
    slice_unref(&packed);
    job =
        job_create("the-id", &(struct job_spec){.name = "the name", .plan = plan, .retrieval_token = "token"}, &limits);
    bytes = job_provision_info(job, 0);
    ck_assert_int_eq(
        PB_UNPACK(Provision__ProvisionInfo, provision__provision_info, bytes, PB_STRINGS_STRICT, &arena, &info, NULL),
        0);
    ck_assert_str_eq(info->retrieval_token, "token");
    ck_assert_uint_eq(info->n_dependencies, 1);
    ck_assert_uint_eq(info->n_runner_capabilities, 1);
    ck_assert_str_eq(info->runner_capabilities[0], "beam:protocol:multimap_keys_values_side_input:v1");
    ck_assert_uint_eq(info->n_metadata, 2);
    ck_assert_str_eq(info->metadata[0]->value, "the-id");
    ck_assert_str_eq(info->metadata[1]->value, "the name");
    slice_unref(&bytes);
    job_unref(job);
}
END_TEST

static void setup_without_patience(void) {
    cancel_wait_ms = 1;
    setup();
    cancel_wait_ms = 60000;
}

int main(void) {
    Suite *suite = suite_create("job_service");
    TCase *tests = tcase_create("job_service"), *impatient = tcase_create("impatient");
    SRunner *runner;
    int failed;

    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, prepare_gives_an_id_a_token_and_where_to_stage);
    tcase_add_test(tests, a_bad_pipeline_is_refused_by_prepare);
    tcase_add_test(tests, run_starts_a_job_with_an_id_of_its_own);
    tcase_add_test(tests, a_client_that_calls_every_job_the_same_is_asked_what_its_user_calls_it);
    tcase_add_test(tests, a_job_that_cannot_start_says_why_and_is_failed);
    tcase_add_test(tests, unknown_ids_are_not_found_everywhere);
    tcase_add_test(tests, the_state_stream_replays_follows_and_ends);
    tcase_add_test(tests, the_message_stream_interleaves_states_and_replays_after_the_end);
    tcase_add_test(tests, a_slow_reader_gets_everything_and_the_queue_stays_small);
    tcase_add_test(tests, a_client_that_goes_away_is_forgotten);
    tcase_add_test(tests, get_state_and_get_pipeline_answer);
    tcase_add_test(tests, cancel_answers_with_the_end_when_it_comes);
    tcase_add_test(tests, cancel_waits_for_the_end_without_a_thread);
    tcase_add_test(tests, drain_answers_at_once_and_as_often_as_it_is_asked);
    tcase_add_test(tests, drain_is_refused_before_a_job_runs_and_after_its_end);
    tcase_add_test(tests, a_draining_job_is_cancelled_as_any_other);
    tcase_add_test(tests, metrics_come_as_monitoring_infos);
    tcase_add_test(tests, the_servers_own_options_are_described);
    tcase_add_test(tests, artifacts_go_into_the_store_and_out_again);
    tcase_add_test(tests, a_worker_is_given_its_own_artifacts_only);
    tcase_add_test(tests, bytes_whose_digest_is_known_are_not_asked_for_again);
    tcase_add_test(tests, bytes_that_do_not_match_their_digest_are_refused_by_name);
    tcase_add_test(tests, a_broken_staging_can_be_tried_again);
    tcase_add_test(tests, staging_refuses_what_it_cannot_know);
    tcase_add_test(tests, artifacts_are_bounded);
    tcase_add_test(tests, nothing_outside_the_store_is_handed_out);
    tcase_add_test(tests, resolve_gives_back_what_it_got);
    tcase_add_test(tests, workers_are_told_options_names_and_dependencies);
    suite_add_tcase(suite, tests);
    tcase_add_checked_fixture(impatient, setup_without_patience, teardown);
    tcase_add_test(impatient, cancel_does_not_wait_longer_than_it_may);
    suite_add_tcase(suite, impatient);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
