/* ArtifactStagingService: the protocol with its roles turned round. The client opens the stream and says which preparation it
 * is for; then the server asks, one request at a time (TypeScript's answers to two would interleave):
 *
 *      client  token ------->
 *      server  <------------- resolve_artifact (all dependencies of one environment)
 *      client  -------------> resolve_artifact_response: what to fetch instead
 *      server  <------------- get_artifact                     one after the other,
 *      client  -------------> chunks ... is_last               unless the store has the announced sha256
 *              ...the next environment
 *      server  <------------- end of the stream, OK: everything is in the store
 *
 * The daemon fetches nothing by itself, neither paths nor URLs: whoever names a file or a URL is asked for its bytes. So nobody
 * reads the daemon's own files or network by submitting a pipeline. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/map.h"
#include "beam_artifact_api.pb-c.h"
#include "jobserver/artifact_service_internal.h"
#include "model/urn.h"
#include "translate/translate.h"
#include "wire/pb.h"

enum {
    PAUSE_ABOVE_BYTES = 8 << 20, /* received and not yet written */
    RESUME_BELOW_BYTES = 4 << 20,
};

/* What the client's next message should be. EXPECT_NOTHING only while the lane works on an answer; OVER: the stream ends. */
enum expected { EXPECT_TOKEN, EXPECT_RESOLVED, EXPECT_BYTES, EXPECT_NOTHING, OVER };

struct session {
    struct artifact_service *service;
    struct rpc_stream *stream; /* owned reference */
    struct lane *lane;

    /* Between the RPC thread and the lane. */
    pthread_mutex_t mutex;
    size_t pending_bytes;
    bool is_paused;

    /* The lane's own from here on. */
    enum expected expected;
    struct preparation *preparation; /* owned reference; NULL before the token */
    unsigned number;                 /* of the session at the preparation */
    struct arena arena;
    Beam__Pipeline *pipeline;
    size_t environment;                    /* the one being staged */
    Beam__ArtifactInformation **artifacts; /* its artifacts, as resolved; replaced one by one; NULL: not resolved yet */
    size_t artifact_count;
    size_t artifact; /* the one being staged */
    struct artifact_writer *writer;
    const char *announced_digest;
    uint64_t received_bytes; /* of this artifact */
    struct map digests;      /* type and payload of what this session has staged -> its digest */
    size_t staged_count;
    size_t fetched_count;
};

/* One message on its way to the lane; or the client's half-close. */
struct delivery {
    struct session *session;
    struct slice bytes;
    bool is_half_close;
};

static void arena_clearp(struct arena *arena) {
    arena_clear(arena);
}

/* ------------------------------------------------------------------ ends */

static void drop_writer(struct session *session) {
    artifact_writer_discard(session->writer);
    session->writer = NULL;
}

static void fail(struct session *session, const struct status *st) {
    if (session->expected == OVER)
        return;
    session->expected = OVER;
    drop_writer(session);
    if (session->preparation) {
        log_warning("staging", "%s: %.2000s", preparation_id(session->preparation), status_message(st));
        preparation_fail_staging(session->preparation, session->number, status_message(st));
        catalogue_save_staging(session->service->options.catalogue, session->preparation, STAGING_FAILED);
    }
    rpc_stream_finish(session->stream, st->code, status_message(st));
}

/* What is staged, on its way to the disk. The session may be gone before it is there. */
struct saving {
    struct preparation *preparation; /* owned reference */
    struct rpc_stream *stream;       /* owned reference */
    unsigned number;                 /* of the session */
    struct slice pipeline;
    struct plan *plan;
    size_t staged_count, fetched_count;
};

static void was_saved(void *user, const struct status *st) {
    struct saving *saving = user;

    if (st) {
        plan_destroy(saving->plan);
        slice_unref(&saving->pipeline);
        preparation_fail_staging(saving->preparation, saving->number, status_message(st));
        rpc_stream_finish(saving->stream, st->code, status_message(st));
    } else if (!preparation_finish_staging(saving->preparation, saving->number, saving->pipeline, saving->plan)) {
        rpc_stream_finish(saving->stream, STATUS_ABORTED, "another staging stream has taken over");
    } else {
        log_info("staging", "%s: %zu artifacts, %zu of them sent", preparation_id(saving->preparation),
                 saving->staged_count, saving->fetched_count);
        rpc_stream_finish(saving->stream, STATUS_OK, "");
    }
    preparation_unref(saving->preparation);
    rpc_stream_unref(saving->stream);
    free(saving);
}

/* Digest and size of each artifact that the session has staged, once; the caller frees it. */
static struct stored_artifact *list_staged(struct session *session, size_t *ret_count) {
    struct stored_artifact *artifacts = xcalloc(session->digests.count + 1, sizeof(*artifacts));
    size_t count = 0;

    map_foreach (entry, &session->digests) {
        struct stored_artifact *artifact = &artifacts[count++];

        memcpy(artifact->digest, entry->value, sizeof(artifact->digest));
        artifact->bytes = artifact_store_size(session->service->options.store, artifact->digest);
    }
    *ret_count = count;
    return artifacts;
}

/* Everything is in the store: the pipeline says so from now on. */
static int complete(struct session *session, struct status *st) {
    CLEANUP(freep) struct stored_artifact *artifacts = NULL;
    struct saving *saving;
    struct plan *plan;
    size_t count;
    int r = translate_pipeline(session->pipeline, NULL, &plan, st);

    if (r < 0)
        return r;
    session->expected = OVER;
    saving = xcalloc(1, sizeof(*saving));
    *saving = (struct saving){
        .preparation = preparation_ref(session->preparation),
        .stream = rpc_stream_ref(session->stream),
        .number = session->number,
        .pipeline = PB_PACK(session->pipeline, NULL),
        .plan = plan,
        .staged_count = session->staged_count,
        .fetched_count = session->fetched_count,
    };
    artifacts = list_staged(session, &count);
    catalogue_save_staged(session->service->options.catalogue, session->preparation, saving->pipeline, artifacts, count,
                          was_saved, saving);
    return 0;
}

/* ------------------------------------------------------------------ one artifact */

static bool has_type(const Beam__ArtifactInformation *artifact, enum urn urn) {
    return strcmp(artifact->type_urn, urn_string(urn)) == 0;
}

/* What the artifact is called in messages. */
static const char *artifact_name(struct arena *arena, const Beam__ArtifactInformation *artifact) {
    Beam__ArtifactStagingToRolePayload *role;
    Beam__ArtifactFilePayload *file; /* a URL's payload has the same shape */

    if (strcmp(artifact->role_urn, urn_string(URN_ARTIFACT_ROLE_STAGING_TO)) == 0 &&
        PB_UNPACK(Beam__ArtifactStagingToRolePayload, beam__artifact_staging_to_role_payload,
                  slice_of_static(artifact->role_payload.data, artifact->role_payload.len), PB_STRINGS_LENIENT, arena,
                  &role, NULL) == 0)
        return role->staged_name;
    if ((has_type(artifact, URN_ARTIFACT_TYPE_FILE) || has_type(artifact, URN_ARTIFACT_TYPE_URL)) &&
        PB_UNPACK(Beam__ArtifactFilePayload, beam__artifact_file_payload,
                  slice_of_static(artifact->type_payload.data, artifact->type_payload.len), PB_STRINGS_LENIENT, arena,
                  &file, NULL) == 0)
        return file->path;
    return artifact->role_urn;
}

static char *artifact_key(const Beam__ArtifactInformation *artifact, size_t *ret_size) {
    size_t urn_size = strlen(artifact->type_urn) + 1;
    char *key = xmalloc(urn_size + artifact->type_payload.len);

    memcpy(key, artifact->type_urn, urn_size);
    if (artifact->type_payload.len)
        memcpy(key + urn_size, artifact->type_payload.data, artifact->type_payload.len);
    *ret_size = urn_size + artifact->type_payload.len;
    return key;
}

/* The current artifact is in the store: a file there takes its place, in the same role, and the next one is the current. */
static void replace_artifact(struct session *session, const char *digest) {
    Beam__ArtifactInformation *artifact = session->artifacts[session->artifact];
    Beam__ArtifactFilePayload file = BEAM__ARTIFACT_FILE_PAYLOAD__INIT;
    CLEANUP(freep) char *path = artifact_store_path(session->service->options.store, digest);
    CLEANUP(freep) char *key = NULL;
    CLEANUP_SLICE struct slice payload = SLICE_EMPTY;
    size_t key_size;

    key = artifact_key(artifact, &key_size);
    map_set(&session->digests, key, key_size, arena_string(&session->arena, digest));
    file.path = path;
    file.sha256 = (char *)digest;
    payload = PB_PACK(&file, NULL);
    artifact->type_urn = (char *)urn_string(URN_ARTIFACT_TYPE_FILE);
    artifact->type_payload.data = (uint8_t *)arena_copy(&session->arena, payload.data, payload.size);
    artifact->type_payload.len = payload.size;
    session->staged_count++;
    session->artifact++;
}

static int store_embedded(struct session *session, const Beam__ArtifactInformation *artifact, struct status *st) {
    CLEANUP(arena_clearp) struct arena arena = {0};
    char digest[ARTIFACT_DIGEST_SIZE];
    struct artifact_writer *writer;
    Beam__EmbeddedFilePayload *file;
    int r = PB_UNPACK(Beam__EmbeddedFilePayload, beam__embedded_file_payload,
                      slice_of_static(artifact->type_payload.data, artifact->type_payload.len), PB_STRINGS_STRICT,
                      &arena, &file, st);

    if (r == 0)
        r = artifact_writer_create(session->service->options.store, &writer, st);
    if (r < 0)
        return r;
    r = artifact_writer_add(writer, file->data.data, file->data.len, st);
    if (r < 0) {
        artifact_writer_discard(writer);
        return r;
    }
    r = artifact_writer_commit(writer, NULL, digest, st);
    if (r == 0)
        replace_artifact(session, digest);
    return r;
}

static int ask_for_bytes(struct session *session, Beam__ArtifactInformation *artifact, struct status *st) {
    Artifact__ArtifactRequestWrapper wrapper = ARTIFACT__ARTIFACT_REQUEST_WRAPPER__INIT;
    Artifact__GetArtifactRequest request = ARTIFACT__GET_ARTIFACT_REQUEST__INIT;
    struct slice bytes;
    int r = artifact_writer_create(session->service->options.store, &session->writer, st);

    if (r < 0)
        return r;
    request.artifact = artifact;
    wrapper.request_case = ARTIFACT__ARTIFACT_REQUEST_WRAPPER__REQUEST_GET_ARTIFACT;
    wrapper.get_artifact = &request;
    bytes = PB_PACK(&wrapper, NULL);
    session->received_bytes = 0;
    session->expected = EXPECT_BYTES;
    rpc_stream_send(session->stream, &bytes, 1);
    return 0;
}

/* A file or a URL: their payloads have the same shape, {string, sha256}. */
static int fetch(struct session *session, Beam__ArtifactInformation *artifact, struct status *st) {
    Beam__ArtifactFilePayload *file;
    int r = PB_UNPACK(Beam__ArtifactFilePayload, beam__artifact_file_payload,
                      slice_of_static(artifact->type_payload.data, artifact->type_payload.len), PB_STRINGS_STRICT,
                      &session->arena, &file, st);

    if (r < 0)
        return r;
    if (artifact_store_has(session->service->options.store, file->sha256)) {
        replace_artifact(session, file->sha256);
        return 0;
    }
    session->announced_digest = file->sha256;
    return ask_for_bytes(session, artifact, st);
}

/* Stages the current artifact, or asks for its bytes (then session->expected says so). */
static int stage_artifact(struct session *session, struct status *st) {
    Beam__ArtifactInformation *artifact = session->artifacts[session->artifact];
    CLEANUP(freep) char *key = NULL;
    const char *digest;
    size_t key_size;

    key = artifact_key(artifact, &key_size);
    digest = map_get(&session->digests, key, key_size);
    if (digest) {
        replace_artifact(session, digest);
        return 0;
    }
    if (has_type(artifact, URN_ARTIFACT_TYPE_EMBEDDED))
        return store_embedded(session, artifact, st);
    if (has_type(artifact, URN_ARTIFACT_TYPE_FILE) || has_type(artifact, URN_ARTIFACT_TYPE_URL))
        return fetch(session, artifact, st);
    return status_set(st, STATUS_INVALID_ARGUMENT,
                      "artifact %.500s: the client left its type at %.200s, which it alone can resolve; file, url and "
                      "embedded artifacts can be staged",
                      artifact_name(&session->arena, artifact), artifact->type_urn);
}

/* ------------------------------------------------------------------ one environment after the other */

static void ask_to_resolve(struct session *session, const Beam__Environment *environment) {
    Artifact__ArtifactRequestWrapper wrapper = ARTIFACT__ARTIFACT_REQUEST_WRAPPER__INIT;
    Artifact__ResolveArtifactsRequest request = ARTIFACT__RESOLVE_ARTIFACTS_REQUEST__INIT;
    struct slice bytes;

    request.n_artifacts = environment->n_dependencies;
    request.artifacts = environment->dependencies;
    wrapper.request_case = ARTIFACT__ARTIFACT_REQUEST_WRAPPER__REQUEST_RESOLVE_ARTIFACT;
    wrapper.resolve_artifact = &request;
    bytes = PB_PACK(&wrapper, NULL);
    session->expected = EXPECT_RESOLVED;
    rpc_stream_send(session->stream, &bytes, 1);
}

/* Goes on until the client has to be asked, or all is done. */
static int advance(struct session *session, struct status *st) {
    const Beam__Components *components = session->pipeline->components;

    for (; components && session->environment < components->n_environments; session->environment++) {
        Beam__Environment *environment = components->environments[session->environment]->value;

        if (!environment || environment->n_dependencies == 0)
            continue;
        if (!session->artifacts) {
            ask_to_resolve(session, environment);
            return 0;
        }
        while (session->artifact < session->artifact_count) {
            int r = stage_artifact(session, st);

            if (r < 0 || session->expected == EXPECT_BYTES)
                return r;
        }
        environment->dependencies = session->artifacts;
        environment->n_dependencies = session->artifact_count;
        session->artifacts = NULL;
    }
    return complete(session, st);
}

/* ------------------------------------------------------------------ what the client says */

static int take_token(struct session *session, const char *token, struct status *st) {
    CLEANUP_SLICE struct slice pipeline = SLICE_EMPTY;
    int r;

    session->preparation = catalogue_find_staging(session->service->options.catalogue, token);
    if (!session->preparation)
        return status_set(st, STATUS_NOT_FOUND, "unknown staging token \"%.80s\"; was the job run already?", token);
    session->number = preparation_begin_staging(session->preparation, &pipeline);
    catalogue_save_staging(session->service->options.catalogue, session->preparation, STAGING_RUNS);
    r = PB_UNPACK(Beam__Pipeline, beam__pipeline, pipeline, PB_STRINGS_STRICT, &session->arena, &session->pipeline, st);
    return r < 0 ? r : advance(session, st);
}

static int take_resolved(struct session *session, const Artifact__ArtifactResponseWrapper *wrapper, struct status *st) {
    Artifact__ResolveArtifactsResponse *response;

    if (wrapper->response_case != ARTIFACT__ARTIFACT_RESPONSE_WRAPPER__RESPONSE_RESOLVE_ARTIFACT_RESPONSE)
        return status_set(st, STATUS_INVALID_ARGUMENT, "the answer to resolve_artifact is something else");
    response = wrapper->resolve_artifact_response;
    session->artifacts =
        response->replacements ? response->replacements : arena_new(&session->arena, Beam__ArtifactInformation *);
    session->artifact_count = response->n_replacements;
    session->artifact = 0;
    session->expected = EXPECT_NOTHING;
    return advance(session, st);
}

static int take_bytes(struct session *session, const Artifact__ArtifactResponseWrapper *wrapper, struct status *st) {
    Beam__ArtifactInformation *artifact = session->artifacts[session->artifact];
    uint64_t limit = session->service->options.max_artifact_bytes;
    char digest[ARTIFACT_DIGEST_SIZE];
    struct artifact_writer *writer;
    int r = 0;

    if (wrapper->response_case == ARTIFACT__ARTIFACT_RESPONSE_WRAPPER__RESPONSE_RESOLVE_ARTIFACT_RESPONSE)
        return status_set(st, STATUS_INVALID_ARGUMENT, "the answer to get_artifact is something else");
    if (wrapper->response_case == ARTIFACT__ARTIFACT_RESPONSE_WRAPPER__RESPONSE_GET_ARTIFACT_RESPONSE) {
        const ProtobufCBinaryData *data = &wrapper->get_artifact_response->data;

        session->received_bytes += data->len;
        if (limit > 0 && session->received_bytes > limit)
            r = status_set(st, STATUS_RESOURCE_EXHAUSTED, "it is larger than %llu bytes, the limit of this server",
                           (unsigned long long)limit);
        else
            r = artifact_writer_add(session->writer, data->data, data->len, st);
    }
    if (r == 0 && !wrapper->is_last)
        return 0;
    if (r == 0) {
        writer = session->writer;
        session->writer = NULL;
        r = artifact_writer_commit(writer, session->announced_digest, digest, st);
    }
    if (r < 0)
        return status_prefix(st, "artifact %.500s", artifact_name(&session->arena, artifact));
    session->fetched_count++;
    replace_artifact(session, digest);
    session->expected = EXPECT_NOTHING;
    return advance(session, st);
}

static int take_message(struct session *session, struct slice bytes, struct status *st) {
    CLEANUP(arena_clearp) struct arena arena = {0};
    Artifact__ArtifactResponseWrapper *wrapper;
    /* What was resolved is kept until the end; chunks are not. */
    int r = PB_UNPACK(Artifact__ArtifactResponseWrapper, artifact__artifact_response_wrapper, bytes, PB_STRINGS_STRICT,
                      session->expected == EXPECT_RESOLVED ? &session->arena : &arena, &wrapper, st);

    if (r < 0)
        return r;
    switch (session->expected) {
    case EXPECT_TOKEN:
        return take_token(session, wrapper->staging_token, st);
    case EXPECT_RESOLVED:
        return take_resolved(session, wrapper, st);
    case EXPECT_BYTES:
        return take_bytes(session, wrapper, st);
    default:
        return 0;
    }
}

/* ------------------------------------------------------------------ between the RPC thread and the lane */

static void count_pending(struct session *session, size_t added, size_t removed) {
    pthread_mutex_lock(&session->mutex);
    session->pending_bytes = session->pending_bytes + added - removed;
    if (!session->is_paused && session->pending_bytes > PAUSE_ABOVE_BYTES) {
        session->is_paused = true;
        rpc_stream_pause(session->stream);
    } else if (session->is_paused && session->pending_bytes < RESUME_BELOW_BYTES) {
        session->is_paused = false;
        rpc_stream_resume(session->stream);
    }
    pthread_mutex_unlock(&session->mutex);
}

/* In the lane. */
static void deliver(void *user) {
    struct delivery *delivery = user;
    struct session *session = delivery->session;
    CLEANUP_STATUS struct status st = {0};

    if (session->expected == OVER)
        ; /* the stream is ending */
    else if (delivery->is_half_close)
        status_set(&st, STATUS_INVALID_ARGUMENT, "the client closed the staging stream before all artifacts were sent");
    else
        take_message(session, delivery->bytes, &st);
    if (st.code != STATUS_OK)
        fail(session, &st);
    count_pending(session, 0, delivery->bytes.size);
    slice_unref(&delivery->bytes);
    free(delivery);
}

/* In the lane, last. */
static void end(void *user) {
    struct session *session = user;
    CLEANUP_STATUS struct status st = {0};

    status_set(&st, STATUS_CANCELLED, "the client went away while its artifacts were being staged%s%.500s",
               session->expected == EXPECT_BYTES ? ", asked for " : "",
               session->expected == EXPECT_BYTES ? artifact_name(&session->arena, session->artifacts[session->artifact])
                                                 : "");
    fail(session, &st);
    preparation_unref(session->preparation);
    map_clear(&session->digests, NULL);
    arena_clear(&session->arena);
    rpc_stream_unref(session->stream);
    lane_release(session->lane);
    pthread_mutex_destroy(&session->mutex);
    free(session);
}

static void on_opened(struct rpc_stream *stream, void *context) {
    struct artifact_service *service = context;
    struct session *session = xcalloc(1, sizeof(*session));

    session->service = service;
    session->stream = rpc_stream_ref(stream);
    session->lane = lane_create(service->options.pool);
    pthread_mutex_init(&session->mutex, NULL);
    rpc_stream_set_user(stream, session);
}

static void post(struct session *session, struct slice bytes, bool is_half_close) {
    struct delivery *delivery = xcalloc(1, sizeof(*delivery));

    *delivery = (struct delivery){.session = session, .bytes = bytes, .is_half_close = is_half_close};
    count_pending(session, bytes.size, 0);
    lane_run(session->lane, deliver, delivery);
}

static void on_message(struct rpc_stream *stream, void *user, struct slice message) {
    (void)stream;
    post(user, message, false);
}

static void on_half_closed(struct rpc_stream *stream, void *user) {
    (void)stream;
    post(user, SLICE_EMPTY, true);
}

static void on_closed(struct rpc_stream *stream, void *user, const struct status *status) {
    struct session *session = user;

    (void)stream;
    (void)status;
    lane_run(session->lane, end, session);
}

const struct rpc_handler artifact_staging_stream = {
    .opened = on_opened,
    .message = on_message,
    .half_closed = on_half_closed,
    .closed = on_closed,
};
