#include "cli/job_client.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "beam_job_api.pb-c.h"
#include "cli/stage.h"
#include "wire/pb.h"

#define JOB_SERVICE_PATH(method) "/org.apache.beam.model.job_management.v1.JobService/" method

/* ------------------------------------------------------------------ unary calls */

/* Requests about one job are all {string job_id = 1}. */
static struct slice make_request(const char *job) {
    Job__GetJobStateRequest request = JOB__GET_JOB_STATE_REQUEST__INIT;

    request.job_id = (char *)job; /* protobuf-c's structs know no const */
    return PB_PACK(&request, NULL);
}

/* Drain and Cancel both answer {JobState.Enum state = 1}. */
static int ask_for_end(struct connection *connection, const char *path, const char *job, enum job_state *ret,
                       struct status *st) {
    CLEANUP_SLICE struct slice bytes = SLICE_EMPTY;
    struct arena arena = {0};
    Job__DrainJobResponse *response;
    int r = connection_call(connection, path, make_request(job), &bytes, st);

    if (r < 0)
        return r;
    r = PB_UNPACK(Job__DrainJobResponse, job__drain_job_response, bytes, PB_STRINGS_STRICT, &arena, &response, st);
    if (r == 0)
        *ret = (enum job_state)response->state;
    else
        status_prefix(st, "the answer of the server at %s", connection_endpoint(connection));
    arena_clear(&arena);
    return r;
}

int job_client_drain(struct connection *connection, const char *job, enum job_state *ret, struct status *st) {
    return ask_for_end(connection, JOB_SERVICE_PATH("Drain"), job, ret, st);
}

int job_client_cancel(struct connection *connection, const char *job, enum job_state *ret, struct status *st) {
    return ask_for_end(connection, JOB_SERVICE_PATH("Cancel"), job, ret, st);
}

/* ------------------------------------------------------------------ waiting */

/* Filled on the RPC thread until the stream is closed. */
struct message_stream {
    pthread_mutex_t mutex;
    pthread_cond_t closed;
    bool is_closed;
    struct status status;
    enum job_state state;
    char *last_error;
};

static void take_message(struct message_stream *stream, const Job__JobMessagesResponse *response) {
    if (response->response_case == JOB__JOB_MESSAGES_RESPONSE__RESPONSE_STATE_RESPONSE)
        stream->state = (enum job_state)response->state_response->state;
    if (response->response_case == JOB__JOB_MESSAGES_RESPONSE__RESPONSE_MESSAGE_RESPONSE &&
        response->message_response->importance == JOB__JOB_MESSAGE__MESSAGE_IMPORTANCE__JOB_MESSAGE_ERROR) {
        free(stream->last_error);
        stream->last_error = xstrdup(response->message_response->message_text);
    }
}

static void on_message(struct rpc_stream *rpc, void *user, struct slice bytes) {
    struct message_stream *stream = user;
    Job__JobMessagesResponse *response;
    struct arena arena = {0};

    (void)rpc;
    if (PB_UNPACK(Job__JobMessagesResponse, job__job_messages_response, bytes, PB_STRINGS_STRICT, &arena, &response,
                  NULL) == 0)
        take_message(stream, response);
    arena_clear(&arena);
    slice_unref(&bytes);
}

static void on_closed(struct rpc_stream *rpc, void *user, const struct status *status) {
    struct message_stream *stream = user;

    (void)rpc;
    pthread_mutex_lock(&stream->mutex);
    if (status->code != STATUS_OK)
        status_set(&stream->status, status->code, "%s", status_message(status));
    stream->is_closed = true;
    pthread_cond_signal(&stream->closed);
    pthread_mutex_unlock(&stream->mutex);
}

static void read_to_end(struct connection *connection, const char *job, struct message_stream *stream) {
    static const struct rpc_handler handler = {.message = on_message, .closed = on_closed};
    struct slice request = make_request(job);
    struct rpc_stream *rpc = connection_open(connection, JOB_SERVICE_PATH("GetMessageStream"), &handler, stream);

    rpc_stream_send(rpc, &request, 1);
    rpc_stream_finish(rpc, STATUS_OK, NULL);
    pthread_mutex_lock(&stream->mutex);
    while (!stream->is_closed)
        pthread_cond_wait(&stream->closed, &stream->mutex);
    pthread_mutex_unlock(&stream->mutex);
    rpc_stream_unref(rpc);
}

int job_client_wait(struct connection *connection, const char *job, enum job_state *ret, char **ret_reason,
                    struct status *st) {
    struct message_stream stream = {.mutex = PTHREAD_MUTEX_INITIALIZER, .closed = PTHREAD_COND_INITIALIZER};
    int r = 0;

    read_to_end(connection, job, &stream);
    if (job_state_is_terminal(stream.state)) {
        *ret = stream.state;
        *ret_reason = stream.last_error;
        stream.last_error = NULL;
    } else if (stream.status.code) {
        r = connection_explain(connection, &stream.status, st);
    } else {
        r = status_set(st, STATUS_INTERNAL, "the server at %s ended the messages of job %s before its end",
                       connection_endpoint(connection), job);
    }
    free(stream.last_error);
    status_clear(&stream.status);
    pthread_cond_destroy(&stream.closed);
    pthread_mutex_destroy(&stream.mutex);
    return r;
}

/* ------------------------------------------------------------------ submitting */

static int prepare(struct connection *connection, const char *name, struct slice pipeline, struct slice options,
                   struct arena *arena, Job__PrepareJobResponse **ret, struct status *st) {
    CLEANUP_SLICE struct slice bytes = SLICE_EMPTY;
    struct buf request = {0};
    int r;

    pb_add_bytes_field(&request, 1, pipeline.data, pipeline.size); /* pipeline */
    pb_add_bytes_field(&request, 2, options.data, options.size);   /* pipeline_options */
    pb_add_string_field(&request, 3, name);                        /* job_name */
    r = connection_call(connection, JOB_SERVICE_PATH("Prepare"), buf_finish(&request), &bytes, st);
    return r < 0 ? r
                 : PB_UNPACK(Job__PrepareJobResponse, job__prepare_job_response, bytes, PB_STRINGS_STRICT, arena, ret,
                             st);
}

static int run_prepared(struct connection *connection, const char *preparation, struct arena *arena, char **ret_job,
                        struct status *st) {
    CLEANUP_SLICE struct slice bytes = SLICE_EMPTY;
    Job__RunJobRequest request = JOB__RUN_JOB_REQUEST__INIT;
    Job__RunJobResponse *response;
    int r;

    request.preparation_id = (char *)preparation;
    r = connection_call(connection, JOB_SERVICE_PATH("Run"), PB_PACK(&request, NULL), &bytes, st);
    if (r == 0)
        r = PB_UNPACK(Job__RunJobResponse, job__run_job_response, bytes, PB_STRINGS_STRICT, arena, &response, st);
    if (r == 0)
        *ret_job = xstrdup(response->job_id);
    return r;
}

int job_client_submit(struct connection *connection, const char *name, struct slice pipeline, struct slice options,
                      char **ret_job, struct status *st) {
    Job__PrepareJobResponse *prepared;
    struct arena arena = {0};
    int r = prepare(connection, name, pipeline, options, &arena, &prepared, st);

    if (r == 0)
        r = stage_artifacts(connection, prepared->staging_session_token, st);
    if (r == 0)
        r = run_prepared(connection, prepared->preparation_id, &arena, ret_job, st);
    arena_clear(&arena);
    return r;
}
