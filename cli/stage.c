#include "cli/stage.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "beam_artifact_api.pb-c.h"
#include "model/urn.h"
#include "wire/pb.h"

#define STAGING_PATH "/org.apache.beam.model.job_management.v1.ArtifactStagingService/ReverseArtifactRetrievalService"

enum { CHUNK_BYTES = 1 << 20, QUEUE_BYTES = 4 << 20 };

/* On the RPC thread until it is closed. */
struct staging {
    pthread_mutex_t mutex;
    pthread_cond_t closed;
    bool is_closed;
    struct status end; /* of the call */
    struct status why; /* what went wrong here; then the call was given up */
    int fd;            /* the file that is being sent, or -1 */
    char *path;
};

static void give_up(struct staging *staging, struct rpc_stream *stream) {
    status_prefix(&staging->why, "cannot stage what the pipeline needs");
    rpc_stream_cancel(stream);
}

static void send(struct rpc_stream *stream, const Artifact__ArtifactResponseWrapper *response) {
    struct slice bytes = PB_PACK(response, NULL);

    rpc_stream_send(stream, &bytes, 1);
}

/* As they are: files are sent from where the pipeline says they are. */
static void resolve(struct rpc_stream *stream, const Artifact__ResolveArtifactsRequest *request) {
    Artifact__ArtifactResponseWrapper response = ARTIFACT__ARTIFACT_RESPONSE_WRAPPER__INIT;
    Artifact__ResolveArtifactsResponse resolved = ARTIFACT__RESOLVE_ARTIFACTS_RESPONSE__INIT;

    resolved.replacements = request->artifacts;
    resolved.n_replacements = request->n_artifacts;
    response.response_case = ARTIFACT__ARTIFACT_RESPONSE_WRAPPER__RESPONSE_RESOLVE_ARTIFACT_RESPONSE;
    response.resolve_artifact_response = &resolved;
    send(stream, &response);
}

static int open_artifact(struct staging *staging, const Beam__ArtifactInformation *artifact) {
    struct slice payload = slice_of_static(artifact->type_payload.data, artifact->type_payload.len);
    Beam__ArtifactFilePayload *file;
    struct arena arena = {0};
    int r;

    if (strcmp(artifact->type_urn, urn_string(URN_ARTIFACT_TYPE_FILE)) != 0)
        return status_set(&staging->why, STATUS_FAILED_PRECONDITION,
                          "an artifact is of type %s; this command has files only", artifact->type_urn);
    r = PB_UNPACK(Beam__ArtifactFilePayload, beam__artifact_file_payload, payload, PB_STRINGS_STRICT, &arena, &file,
                  &staging->why);
    if (r == 0) {
        free(staging->path);
        staging->path = xstrdup(file->path);
        staging->fd = open(file->path, O_RDONLY | O_CLOEXEC);
        if (staging->fd < 0)
            r = status_set(&staging->why, STATUS_FAILED_PRECONDITION, "%s: %s", file->path, strerror(errno));
    }
    arena_clear(&arena);
    return r;
}

static void send_chunk(struct staging *staging, struct rpc_stream *stream) {
    Artifact__ArtifactResponseWrapper response = ARTIFACT__ARTIFACT_RESPONSE_WRAPPER__INIT;
    Artifact__GetArtifactResponse chunk = ARTIFACT__GET_ARTIFACT_RESPONSE__INIT;
    CLEANUP(freep) uint8_t *bytes = xmalloc(CHUNK_BYTES);
    ssize_t size = read(staging->fd, bytes, CHUNK_BYTES);

    if (size < 0) {
        status_set(&staging->why, STATUS_FAILED_PRECONDITION, "%s: %s", staging->path, strerror(errno));
        give_up(staging, stream);
    }
    if (size <= 0) {
        close(staging->fd);
        staging->fd = -1;
    }
    chunk.data = (ProtobufCBinaryData){.len = (size_t)MAX(size, (ssize_t)0), .data = bytes};
    response.is_last = size <= 0;
    response.response_case = ARTIFACT__ARTIFACT_RESPONSE_WRAPPER__RESPONSE_GET_ARTIFACT_RESPONSE;
    response.get_artifact_response = &chunk;
    send(stream, &response);
}

/* As much as may wait to be written. */
static void send_chunks(struct staging *staging, struct rpc_stream *stream) {
    while (staging->fd >= 0 && rpc_stream_queued_bytes(stream) < QUEUE_BYTES)
        send_chunk(staging, stream);
}

static void on_sent(struct rpc_stream *stream, void *user, size_t bytes) {
    (void)bytes;
    send_chunks(user, stream);
}

static void on_message(struct rpc_stream *stream, void *user, struct slice bytes) {
    struct staging *staging = user;
    Artifact__ArtifactRequestWrapper *request;
    struct arena arena = {0};

    if (PB_UNPACK(Artifact__ArtifactRequestWrapper, artifact__artifact_request_wrapper, bytes, PB_STRINGS_STRICT,
                  &arena, &request, &staging->why) < 0) {
        give_up(staging, stream);
    } else if (request->request_case == ARTIFACT__ARTIFACT_REQUEST_WRAPPER__REQUEST_RESOLVE_ARTIFACT) {
        resolve(stream, request->resolve_artifact);
    } else if (request->request_case == ARTIFACT__ARTIFACT_REQUEST_WRAPPER__REQUEST_GET_ARTIFACT &&
               request->get_artifact->artifact && staging->fd < 0) {
        if (open_artifact(staging, request->get_artifact->artifact) < 0)
            give_up(staging, stream);
        send_chunks(staging, stream);
    }
    arena_clear(&arena);
    slice_unref(&bytes);
}

static void on_closed(struct rpc_stream *stream, void *user, const struct status *status) {
    struct staging *staging = user;

    (void)stream;
    pthread_mutex_lock(&staging->mutex);
    if (status->code != STATUS_OK)
        status_set(&staging->end, status->code, "%s", status_message(status));
    staging->is_closed = true;
    pthread_cond_signal(&staging->closed);
    pthread_mutex_unlock(&staging->mutex);
}

static void stage(struct connection *connection, const char *token, struct staging *staging) {
    static const struct rpc_handler handler = {.message = on_message, .sent = on_sent, .closed = on_closed};
    Artifact__ArtifactResponseWrapper first = ARTIFACT__ARTIFACT_RESPONSE_WRAPPER__INIT;
    struct rpc_stream *stream = connection_open(connection, STAGING_PATH, &handler, staging);

    first.staging_token = (char *)token;
    send(stream, &first);
    pthread_mutex_lock(&staging->mutex);
    while (!staging->is_closed)
        pthread_cond_wait(&staging->closed, &staging->mutex);
    pthread_mutex_unlock(&staging->mutex);
    rpc_stream_unref(stream);
}

int stage_artifacts(struct connection *connection, const char *token, struct status *st) {
    struct staging staging = {.mutex = PTHREAD_MUTEX_INITIALIZER, .closed = PTHREAD_COND_INITIALIZER, .fd = -1};
    int r = 0;

    stage(connection, token, &staging);
    if (staging.why.code)
        r = status_move(st, &staging.why);
    else if (staging.end.code)
        r = connection_explain(connection, &staging.end, st);
    if (staging.fd >= 0)
        close(staging.fd);
    free(staging.path);
    status_clear(&staging.end);
    pthread_cond_destroy(&staging.closed);
    pthread_mutex_destroy(&staging.mutex);
    return r;
}
