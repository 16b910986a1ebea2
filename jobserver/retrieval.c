/* ArtifactRetrievalService: workers fetch what their ProvisionInfo lists.
 *
 * Who asks says so by the metadata worker_id, as all boot programs do, and gets what that worker's environment depends on and nothing else:
 * a digest is no secret, and what one job staged is not for the workers of another.
 *
 * What a worker sends back to name an artifact is type and payload as it got them (the role it may have rewritten). The path in
 * the payload is not opened: it is compared with the path that the store would give to the digest at its end. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "beam_artifact_api.pb-c.h"
#include "beam_provision_api.pb-c.h"
#include "jobserver/artifact_service_internal.h"
#include "model/urn.h"
#include "wire/pb.h"

enum {
    CHUNK_BYTES = 1 << 20,      /* a message; TypeScript takes 4 MiB at most */
    MAX_QUEUED_BYTES = 2 << 20, /* per stream: one on the wire, one behind it */
};

static void arena_clearp(struct arena *arena) {
    arena_clear(arena);
}

struct resolve_task {
    struct rpc_stream *call;
    struct slice request;
};

/* There is nothing to resolve: all artifacts are files already. */
static void run_resolve(void *user) {
    struct resolve_task *task = user;
    CLEANUP(arena_clearp) struct arena arena = {0};
    CLEANUP_STATUS struct status st = {0};
    Artifact__ResolveArtifactsResponse response = ARTIFACT__RESOLVE_ARTIFACTS_RESPONSE__INIT;
    Artifact__ResolveArtifactsRequest *message;
    int r = PB_UNPACK(Artifact__ResolveArtifactsRequest, artifact__resolve_artifacts_request, task->request,
                      PB_STRINGS_STRICT, &arena, &message, &st);

    slice_unref(&task->request);
    if (r < 0) {
        rpc_fail(task->call, st.code, status_message(&st));
    } else {
        response.n_replacements = message->n_artifacts;
        response.replacements = message->artifacts;
        rpc_reply(task->call, PB_PACK(&response, NULL));
    }
    free(task);
}

/* Its list may be long: the pool takes it apart and puts it together again. */
void artifact_resolve(struct rpc_stream *call, void *context, struct slice request) {
    struct artifact_service *service = context;
    struct resolve_task *task = xcalloc(1, sizeof(*task));

    *task = (struct resolve_task){.call = call, .request = request};
    pool_run(service->options.pool, run_resolve, task);
}

/* One GetArtifact call. The RPC thread makes it and hands work to the lane, whose tasks own all but `stream` and `lane`. */
struct retrieval {
    struct artifact_service *service;
    struct rpc_stream *stream; /* owned reference */
    struct lane *lane;
    struct slice provision; /* GetProvisionInfoResponse of the worker that asks */
    struct slice request;
    bool has_request; /* RPC thread */
    int fd;
    uint64_t left_bytes;
};

static int find_digest(struct retrieval *retrieval, const Beam__ArtifactInformation *artifact, char *ret_digest,
                       struct status *st) {
    CLEANUP(arena_clearp) struct arena arena = {0};
    struct slice payload = slice_of_static(artifact->type_payload.data, artifact->type_payload.len);
    Beam__ArtifactFilePayload *file;
    int r;

    if (strcmp(artifact->type_urn, urn_string(URN_ARTIFACT_TYPE_FILE)) != 0)
        return status_set(st, STATUS_INVALID_ARGUMENT, "this server hands out artifacts of type %s only, not %.200s",
                          urn_string(URN_ARTIFACT_TYPE_FILE), artifact->type_urn);
    r = PB_UNPACK(Beam__ArtifactFilePayload, beam__artifact_file_payload, payload, PB_STRINGS_STRICT, &arena, &file,
                  st);
    if (r < 0)
        return r;
    if (!artifact_store_digest_of_path(retrieval->service->options.store, file->path, ret_digest))
        return status_set(st, STATUS_NOT_FOUND, "%.500s was not staged with this server", file->path);
    return 0;
}

static bool is_same_artifact(const Beam__ArtifactInformation *a, const Beam__ArtifactInformation *b) {
    return strcmp(a->type_urn, b->type_urn) == 0 && a->type_payload.len == b->type_payload.len &&
           (a->type_payload.len == 0 || memcmp(a->type_payload.data, b->type_payload.data, a->type_payload.len) == 0);
}

static int check_listed(const struct retrieval *retrieval, const Beam__ArtifactInformation *artifact,
                        struct status *st) {
    CLEANUP(arena_clearp) struct arena arena = {0};
    Provision__GetProvisionInfoResponse *response;
    int r = PB_UNPACK(Provision__GetProvisionInfoResponse, provision__get_provision_info_response, retrieval->provision,
                      PB_STRINGS_STRICT, &arena, &response, st);

    for (size_t i = 0; r == 0 && response->info && i < response->info->n_dependencies; i++)
        if (is_same_artifact(response->info->dependencies[i], artifact))
            return 0;
    return r < 0 ? r
                 : status_set(st, STATUS_PERMISSION_DENIED,
                              "this artifact is none that the worker's environment depends on");
}

static int open_artifact(struct retrieval *retrieval, struct status *st) {
    CLEANUP(arena_clearp) struct arena arena = {0};
    char digest[ARTIFACT_DIGEST_SIZE];
    Artifact__GetArtifactRequest *request;
    int r = PB_UNPACK(Artifact__GetArtifactRequest, artifact__get_artifact_request, retrieval->request,
                      PB_STRINGS_STRICT, &arena, &request, st);

    slice_unref(&retrieval->request);
    if (r < 0)
        return r;
    if (!request->artifact)
        return status_set(st, STATUS_INVALID_ARGUMENT, "the request names no artifact");
    r = find_digest(retrieval, request->artifact, digest, st);
    if (r == 0)
        r = check_listed(retrieval, request->artifact, st);
    if (r < 0)
        return r;
    return artifact_store_read(retrieval->service->options.store, digest, &retrieval->fd, &retrieval->left_bytes, st);
}

static int send_chunk(struct retrieval *retrieval, struct status *st) {
    size_t size = (size_t)MIN(retrieval->left_bytes, (uint64_t)CHUNK_BYTES), done = 0;
    struct block *block = block_create(size, NULL);
    struct buf header = {0};
    struct slice pieces[2];

    while (done < size) {
        ssize_t n = read(retrieval->fd, block->data + done, size - done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            block_unref(block);
            return status_set_errno(st, n < 0 ? errno : EIO, "cannot read an artifact");
        }
        done += (size_t)n;
    }
    retrieval->left_bytes -= size;
    buf_add_u8(&header, 1 << 3 | 2); /* GetArtifactResponse.data */
    buf_add_varint(&header, size);
    pieces[0] = buf_finish(&header);
    pieces[1] = slice_of_block(block, 0, size);
    if (!rpc_stream_send(retrieval->stream, pieces, 2))
        return status_set(st, STATUS_CANCELLED, "the worker went away");
    return 0;
}

static void close_file(struct retrieval *retrieval) {
    if (retrieval->fd >= 0)
        close(retrieval->fd);
    retrieval->fd = -1;
}

/* In the lane: sends as much as the stream may hold. */
static void pump(void *user) {
    struct retrieval *retrieval = user;
    CLEANUP_STATUS struct status st = {0};

    if (retrieval->fd < 0)
        return;
    while (retrieval->left_bytes > 0 && rpc_stream_queued_bytes(retrieval->stream) < MAX_QUEUED_BYTES)
        if (send_chunk(retrieval, &st) < 0)
            break;
    if (st.code != STATUS_OK || retrieval->left_bytes == 0) {
        rpc_stream_finish(retrieval->stream, st.code, st.code ? status_message(&st) : "");
        close_file(retrieval);
    }
}

/* In the lane. */
static void begin(void *user) {
    struct retrieval *retrieval = user;
    CLEANUP_STATUS struct status st = {0};

    if (open_artifact(retrieval, &st) < 0)
        rpc_stream_finish(retrieval->stream, st.code, status_message(&st));
    else
        pump(retrieval);
}

/* In the lane, last. */
static void end(void *user) {
    struct retrieval *retrieval = user;

    close_file(retrieval);
    slice_unref(&retrieval->request);
    slice_unref(&retrieval->provision);
    rpc_stream_unref(retrieval->stream);
    lane_release(retrieval->lane);
    free(retrieval);
}

static void on_opened(struct rpc_stream *stream, void *context) {
    struct artifact_service *service = context;
    struct retrieval *retrieval = xcalloc(1, sizeof(*retrieval));

    retrieval->service = service;
    retrieval->stream = rpc_stream_ref(stream);
    retrieval->lane = lane_create(service->options.pool);
    retrieval->fd = -1;
    retrieval->provision = fn_service_provision(service->options.fn_service, rpc_stream_metadata(stream, "worker_id"));
    rpc_stream_set_user(stream, retrieval);
    if (!retrieval->provision.size)
        rpc_stream_finish(stream, STATUS_PERMISSION_DENIED,
                          "GetArtifact needs the metadata worker_id: the id that the harness was started with");
}

static void on_message(struct rpc_stream *stream, void *user, struct slice message) {
    struct retrieval *retrieval = user;

    (void)stream;
    if (retrieval->has_request || !retrieval->provision.size) {
        slice_unref(&message); /* one request a call */
        return;
    }
    retrieval->has_request = true;
    retrieval->request = message;
    lane_run(retrieval->lane, begin, retrieval);
}

static void on_half_closed(struct rpc_stream *stream, void *user) {
    struct retrieval *retrieval = user;

    if (!retrieval->has_request)
        rpc_stream_finish(stream, STATUS_INVALID_ARGUMENT, "the request is missing");
}

static void on_sent(struct rpc_stream *stream, void *user, size_t bytes) {
    struct retrieval *retrieval = user;

    (void)stream;
    (void)bytes;
    lane_run(retrieval->lane, pump, retrieval);
}

static void on_closed(struct rpc_stream *stream, void *user, const struct status *status) {
    struct retrieval *retrieval = user;

    (void)stream;
    (void)status;
    lane_run(retrieval->lane, end, retrieval);
}

const struct rpc_handler artifact_get_stream = {
    .opened = on_opened,
    .message = on_message,
    .half_closed = on_half_closed,
    .sent = on_sent,
    .closed = on_closed,
};
