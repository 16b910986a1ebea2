#include "jobserver/access.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mailbox.h"
#include "jobserver/inspection/inspection.h"
#include "rpc/tls.h"

enum { REFUSAL_PAUSE_NS = 1000000000 };

struct access {
    pthread_mutex_t mutex;
    struct tokens *tokens; /* guarded; NULL: none are wanted */
    bool has_tls;
    bool has_client_ca;
    atomic_int_least64_t refusal_told_ns;
};

struct access *access_create(const struct config *config, struct tokens *tokens) {
    struct access *access = xcalloc(1, sizeof(*access));

    pthread_mutex_init(&access->mutex, NULL);
    access->tokens = tokens_ref(tokens);
    access->has_tls = config->tls_certificate[0] != '\0';
    access->has_client_ca = config->tls_client_ca[0] != '\0';
    return access;
}

void access_destroy(struct access *access) {
    if (!access)
        return;
    tokens_unref(access->tokens);
    pthread_mutex_destroy(&access->mutex);
    free(access);
}

void access_renew(struct access *access, struct tokens *tokens) {
    struct tokens *old;

    pthread_mutex_lock(&access->mutex);
    old = access->tokens;
    access->tokens = tokens_ref(tokens);
    pthread_mutex_unlock(&access->mutex);
    tokens_unref(old);
}

static struct tokens *get_tokens(struct access *access) {
    struct tokens *tokens;

    pthread_mutex_lock(&access->mutex);
    tokens = tokens_ref(access->tokens);
    pthread_mutex_unlock(&access->mutex);
    return tokens;
}

/* Once a second at most: whoever is refused is not to fill the log instead. */
static void tell_refused(struct access *access, const char *peer, const char *why) {
    int64_t now_ns = monotonic_now_ns(), last_ns = access->refusal_told_ns;

    if (now_ns - last_ns >= REFUSAL_PAUSE_NS &&
        atomic_compare_exchange_strong(&access->refusal_told_ns, &last_ns, now_ns))
        log_warning("auth", "a call from %s was refused: %s", peer, why);
}

static int admit_by_connection(const struct access *access, const struct rpc_stream *stream, struct status *st) {
    if (!access->has_tls || rpc_stream_is_tls(stream))
        return 0;
    return status_set(st, STATUS_UNAUTHENTICATED, "this address is for workers; the Job API is served with TLS");
}

static int admit_by_token(struct access *access, const struct tokens *tokens, const struct rpc_stream *stream,
                          struct status *st) {
    struct slice authorization = rpc_stream_metadata(stream, "authorization");

    if (tokens_find(tokens, authorization))
        return 0;
    tell_refused(access, rpc_stream_peer(stream), authorization.size ? "its token is none of ours" : "it has no token");
    return status_set(st, STATUS_UNAUTHENTICATED, "%s",
                      authorization.size ? "this token is none that the server knows"
                                         : "the server wants a token: the metadata `authorization: Bearer TOKEN`");
}

static int admit(void *user, const struct rpc_stream *stream, struct status *st) {
    struct access *access = user;
    struct tokens *tokens = get_tokens(access);
    int r = tokens ? admit_by_token(access, tokens, stream, st) : admit_by_connection(access, stream, st);

    tokens_unref(tokens);
    return r;
}

void access_guard(struct access *access, struct rpc_server *server) {
    rpc_server_guard(server, admit, access);
}

static bool has_token(const struct tokens *tokens, const char *authorization) {
    return authorization && tokens_find(tokens, slice_of_static(authorization, strlen(authorization))) != NULL;
}

bool access_admits_http(void *user, const struct http_request *request, const char *authorization) {
    struct tokens *tokens;
    bool is_admitted;

    if (inspection_is_for_everyone(request))
        return true;
    tokens = get_tokens(user);
    is_admitted = !tokens || has_token(tokens, authorization);
    tokens_unref(tokens);
    return is_admitted;
}

static bool is_open_to_all(struct access *access) {
    struct tokens *tokens = get_tokens(access);
    bool is_open = !tokens && !access->has_client_ca;

    tokens_unref(tokens);
    return is_open;
}

void access_warn(struct access *access, const char *endpoint) {
    static const char *const local[] = {"127.", "localhost:", "[::1]:", "unix:"};

    for (size_t i = 0; i < ARRAY_COUNT(local); i++)
        if (strncmp(endpoint, local[i], strlen(local[i])) == 0)
            return;
    if (is_open_to_all(access))
        log_warning("auth",
                    "everybody who reaches %s may submit jobs, and so run programs on this machine: set "
                    "auth.tokens_file or tls.client_ca (docs/security.md)",
                    endpoint);
}
