#include "jobserver/access.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mailbox.h"
#include "jobserver/inspection/inspection.h"
#include "jobserver/tokens.h"
#include "rpc/tls.h"

enum { REFUSAL_PAUSE_NS = 1000000000 };

struct access {
    struct tokens *tokens; /* NULL: none are wanted */
    bool has_tls;
    bool has_client_ca;
    atomic_int_least64_t refusal_told_ns;
};

int access_create(const struct config *config, struct access **ret, struct status *st) {
    struct access *access = xcalloc(1, sizeof(*access));
    const char *path = config->auth_tokens_file;
    int r = path[0] ? tokens_load(path, &access->tokens, st) : 0;

    if (r < 0) {
        access_destroy(access);
        return status_prefix(st, "auth.tokens_file");
    }
    access->has_tls = config->tls_certificate[0] != '\0';
    access->has_client_ca = config->tls_client_ca[0] != '\0';
    *ret = access;
    return 0;
}

void access_destroy(struct access *access) {
    if (!access)
        return;
    tokens_destroy(access->tokens);
    free(access);
}

bool access_wants_tokens(const struct access *access) {
    return access->tokens != NULL;
}

/* Once a second at most: whoever is refused is not to fill the log instead. */
static void tell_refused(struct access *access, const char *peer, const char *why) {
    int64_t now_ns = monotonic_now_ns(), last_ns = access->refusal_told_ns;

    if (now_ns - last_ns >= REFUSAL_PAUSE_NS &&
        atomic_compare_exchange_strong(&access->refusal_told_ns, &last_ns, now_ns))
        log_warning("auth", "a call from %s was refused: %s", peer, why);
}

static int admit(void *user, const struct rpc_stream *stream, struct status *st) {
    struct access *access = user;
    struct slice authorization = rpc_stream_metadata(stream, "authorization");

    if (!access->tokens && rpc_stream_is_tls(stream))
        return 0;
    if (!access->tokens)
        return status_set(st, STATUS_UNAUTHENTICATED, "this address is for workers; the Job API is served with TLS");
    if (tokens_find(access->tokens, authorization))
        return 0;
    tell_refused(access, rpc_stream_peer(stream), authorization.size ? "its token is none of ours" : "it has no token");
    return status_set(st, STATUS_UNAUTHENTICATED, "%s",
                      authorization.size ? "this token is none that the server knows"
                                         : "the server wants a token: the metadata `authorization: Bearer TOKEN`");
}

void access_guard(struct access *access, struct rpc_server *server) {
    if (access->tokens || access->has_tls)
        rpc_server_guard(server, admit, access);
}

bool access_admits_http(void *user, const struct http_request *request, const char *authorization) {
    const struct access *access = user;

    if (inspection_is_for_everyone(request))
        return true;
    return authorization && tokens_find(access->tokens, slice_of_static(authorization, strlen(authorization))) != NULL;
}

void access_warn(const struct access *access, const char *endpoint) {
    static const char *const local[] = {"127.", "localhost:", "[::1]:", "unix:"};

    for (size_t i = 0; i < ARRAY_COUNT(local); i++)
        if (strncmp(endpoint, local[i], strlen(local[i])) == 0)
            return;
    if (!access->tokens && !access->has_client_ca)
        log_warning("auth",
                    "everybody who reaches %s may submit jobs, and so run programs on this machine: set "
                    "auth.tokens_file or tls.client_ca (docs/security.md)",
                    endpoint);
}
