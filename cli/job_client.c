#include "cli/job_client.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "beam_job_api.pb-c.h"
#include "rpc/rpc.h"
#include "wire/pb.h"

#define JOB_SERVICE_PATH(method) "/org.apache.beam.model.job_management.v1.JobService/" method

enum { CALL_TIMEOUT_MS = 30000 }; /* Cancel answers within 5 s */

struct job_client {
    char *endpoint;
    struct rpc_client *client;
    struct rpc_channel *channel;
    char *authorization; /* NULL: no token */
};

int job_client_create(const char *endpoint, struct job_client **ret, struct status *st) {
    const char *colon = strrchr(endpoint, ':'), *token = getenv("TRESTLE_TOKEN");
    struct job_client *client;

    if (!colon || colon == endpoint || !colon[1])
        return status_set(st, STATUS_INVALID_ARGUMENT,
                          "\"%s\" is not an address; write HOST:PORT, [IPv6]:PORT or unix:PATH", endpoint);
    client = xcalloc(1, sizeof(*client));
    client->endpoint = xstrdup(endpoint);
    client->client = rpc_client_create(1);
    client->channel = rpc_channel_create(client->client, endpoint);
    client->authorization = token && token[0] ? xasprintf("Bearer %s", token) : NULL;
    *ret = client;
    return 0;
}

void job_client_destroy(struct job_client *client) {
    if (!client)
        return;
    rpc_channel_destroy(client->channel);
    rpc_client_destroy(client->client);
    free(client->authorization);
    free(client->endpoint);
    free(client);
}

/* What a failed call means to the one who typed the command. */
static int explain(const struct job_client *client, const struct status *why, struct status *st) {
    switch (why->code) {
    case STATUS_UNAVAILABLE:
        return status_set(st, why->code,
                          "no server answers at %s: %s. Is it running (trestle serve)? --endpoint says where it is",
                          client->endpoint, status_message(why));
    case STATUS_DEADLINE_EXCEEDED:
        return status_set(st, why->code, "the server at %s did not answer within %d s", client->endpoint,
                          CALL_TIMEOUT_MS / 1000);
    case STATUS_UNIMPLEMENTED:
        return status_set(st, why->code,
                          "the server at %s does not know this call; it may be no Trestle, or an old one",
                          client->endpoint);
    case STATUS_UNAUTHENTICATED:
        return status_set(st, why->code, "the server at %s refuses: %s. The variable TRESTLE_TOKEN is to hold a token",
                          client->endpoint, status_message(why));
    default:
        return status_set(st, why->code, "%s", status_message(why));
    }
}

/* ------------------------------------------------------------------ unary calls */

/* Requests about one job are all {string job_id = 1}. */
static struct slice make_request(const char *job) {
    Job__GetJobStateRequest request = JOB__GET_JOB_STATE_REQUEST__INIT;

    request.job_id = (char *)job; /* protobuf-c's structs know no const */
    return PB_PACK(&request, NULL);
}

/* Drain and Cancel both answer {JobState.Enum state = 1}. */
static int ask_for_end(struct job_client *client, const char *path, const char *job, enum job_state *ret,
                       struct status *st) {
    CLEANUP_STATUS struct status why = {0};
    CLEANUP_SLICE struct slice bytes = SLICE_EMPTY;
    struct rpc_metadata metadata = {"authorization", client->authorization};
    struct arena arena = {0};
    Job__DrainJobResponse *response;
    int r;

    if (rpc_channel_call_wait(client->channel, path, &metadata, client->authorization ? 1 : 0, CALL_TIMEOUT_MS, false,
                              make_request(job), &bytes, &why) < 0)
        return explain(client, &why, st);
    r = PB_UNPACK(Job__DrainJobResponse, job__drain_job_response, bytes, PB_STRINGS_STRICT, &arena, &response, st);
    if (r == 0)
        *ret = (enum job_state)response->state;
    else
        status_prefix(st, "the answer of the server at %s", client->endpoint);
    arena_clear(&arena);
    return r;
}

int job_client_drain(struct job_client *client, const char *job, enum job_state *ret, struct status *st) {
    return ask_for_end(client, JOB_SERVICE_PATH("Drain"), job, ret, st);
}

int job_client_cancel(struct job_client *client, const char *job, enum job_state *ret, struct status *st) {
    return ask_for_end(client, JOB_SERVICE_PATH("Cancel"), job, ret, st);
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

static void read_to_end(struct job_client *client, const char *job, struct message_stream *stream) {
    static const struct rpc_handler handler = {.message = on_message, .closed = on_closed};
    struct rpc_metadata metadata = {"authorization", client->authorization};
    struct slice request = make_request(job);
    struct rpc_stream *rpc = rpc_channel_open(client->channel, JOB_SERVICE_PATH("GetMessageStream"), &metadata,
                                              client->authorization ? 1 : 0, 0, false, &handler, stream);

    rpc_stream_send(rpc, &request, 1);
    rpc_stream_finish(rpc, STATUS_OK, NULL);
    pthread_mutex_lock(&stream->mutex);
    while (!stream->is_closed)
        pthread_cond_wait(&stream->closed, &stream->mutex);
    pthread_mutex_unlock(&stream->mutex);
    rpc_stream_unref(rpc);
}

int job_client_wait(struct job_client *client, const char *job, enum job_state *ret, char **ret_reason,
                    struct status *st) {
    struct message_stream stream = {.mutex = PTHREAD_MUTEX_INITIALIZER, .closed = PTHREAD_COND_INITIALIZER};
    int r = 0;

    read_to_end(client, job, &stream);
    if (job_state_is_terminal(stream.state)) {
        *ret = stream.state;
        *ret_reason = stream.last_error;
        stream.last_error = NULL;
    } else if (stream.status.code) {
        r = explain(client, &stream.status, st);
    } else {
        r = status_set(st, STATUS_INTERNAL, "the server at %s ended the messages of job %s before its end",
                       client->endpoint, job);
    }
    free(stream.last_error);
    status_clear(&stream.status);
    pthread_cond_destroy(&stream.closed);
    pthread_mutex_destroy(&stream.mutex);
    return r;
}
