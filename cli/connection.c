#include "cli/connection.h"

#include <stdlib.h>
#include <string.h>

#include "cli/handshake.h"
#include "rpc/tls.h"

enum { CALL_TIMEOUT_MS = 30000 }; /* Cancel answers within 5 s */

struct connection {
    char *endpoint;
    const struct credentials *credentials;
    char *authorization; /* NULL: none */
    struct rpc_client *client;
    struct rpc_channel *channel;
};

static struct rpc_channel *create_channel(const struct connection *connection) {
    const struct credentials *credentials = connection->credentials;
    const struct rpc_client_tls tls = {
        .ca = credentials->ca,
        .certificate = credentials->certificate,
        .key = credentials->key,
        .server_name = credentials->server_name,
    };

    return credentials->has_tls ? rpc_channel_create_tls(connection->client, connection->endpoint, &tls)
                                : rpc_channel_create(connection->client, connection->endpoint);
}

int connection_create(const char *endpoint, const struct credentials *credentials, struct connection **ret,
                      struct status *st) {
    const char *colon = strrchr(endpoint, ':');
    struct connection *connection;

    if (!colon || colon == endpoint || !colon[1])
        return status_set(st, STATUS_INVALID_ARGUMENT,
                          "\"%s\" is not an address; write HOST:PORT, [IPv6]:PORT or unix:PATH", endpoint);
    connection = xcalloc(1, sizeof(*connection));
    connection->endpoint = xstrdup(endpoint);
    connection->credentials = credentials;
    connection->authorization = credentials->token ? xasprintf("Bearer %s", credentials->token) : NULL;
    connection->client = rpc_client_create(1);
    connection->channel = create_channel(connection);
    *ret = connection;
    return 0;
}

void connection_destroy(struct connection *connection) {
    if (!connection)
        return;
    rpc_channel_destroy(connection->channel);
    rpc_client_destroy(connection->client);
    free(connection->authorization);
    free(connection->endpoint);
    free(connection);
}

const char *connection_endpoint(const struct connection *connection) {
    return connection->endpoint;
}

static int explain_unavailable(const struct connection *connection, const struct status *why, struct status *st) {
    if (handshake_explain(connection->endpoint, connection->credentials, st))
        return -STATUS_FAILED_PRECONDITION;
    return status_set(st, why->code,
                      "no server answers at %s: %s. Is it running (trestle serve)? --endpoint says where it is",
                      connection->endpoint, status_message(why));
}

static int explain_unauthenticated(const struct connection *connection, const struct status *why, struct status *st) {
    if (connection->credentials->token)
        return status_set(st, why->code, "the server at %s refuses the token of %s: %s", connection->endpoint,
                          connection->credentials->token_source, status_message(why));
    return status_set(st, why->code,
                      "the server at %s refuses a call without a token ($TRESTLE_TOKEN, or --token-file FILE): %s",
                      connection->endpoint, status_message(why));
}

int connection_explain(const struct connection *connection, const struct status *why, struct status *st) {
    switch (why->code) {
    case STATUS_UNAVAILABLE:
        return explain_unavailable(connection, why, st);
    case STATUS_DEADLINE_EXCEEDED:
        return status_set(st, STATUS_UNAVAILABLE, "the server at %s did not answer within %d s", connection->endpoint,
                          CALL_TIMEOUT_MS / 1000);
    case STATUS_UNIMPLEMENTED:
        return status_set(st, why->code,
                          "the server at %s does not know this call; it may be no Trestle, or an old one",
                          connection->endpoint);
    case STATUS_UNAUTHENTICATED:
        return explain_unauthenticated(connection, why, st);
    default:
        return status_set(st, why->code, "%s", status_message(why));
    }
}

int connection_call(struct connection *connection, const char *path, struct slice request, struct slice *ret_response,
                    struct status *st) {
    CLEANUP_STATUS struct status why = {0};
    const struct rpc_metadata metadata = {"authorization", connection->authorization};
    int r = rpc_channel_call_wait(connection->channel, path, &metadata, connection->authorization ? 1 : 0,
                                  CALL_TIMEOUT_MS, false, request, ret_response, &why);

    return r < 0 ? connection_explain(connection, &why, st) : 0;
}

struct rpc_stream *connection_open(struct connection *connection, const char *path, const struct rpc_handler *handler,
                                   void *user) {
    const struct rpc_metadata metadata = {"authorization", connection->authorization};

    return rpc_channel_open(connection->channel, path, &metadata, connection->authorization ? 1 : 0, 0, false, handler,
                            user);
}

/* ------------------------------------------------------------------ commands */

static int exit_code_of(int result, const struct status *st) {
    if (result != EXIT_FAILURE)
        return result;
    switch (st->code) {
    case STATUS_NOT_FOUND:
        return EXIT_NOT_FOUND;
    case STATUS_UNAVAILABLE:
        return EXIT_NO_DAEMON;
    default:
        return EXIT_FAILURE;
    }
}

/* Once gRPC is there. */
static int run_with(const struct arguments *arguments, const struct credentials *credentials, connected_fn run,
                    struct status *st) {
    struct connection *connection;
    int result;

    if (connection_create(arguments_value(arguments, "--endpoint"), credentials, &connection, st) < 0) {
        status_prefix(st, "%s", arguments_source(arguments, "--endpoint"));
        return EXIT_USAGE;
    }
    result = exit_code_of(run(arguments, connection, st), st);
    connection_destroy(connection);
    return result;
}

int connection_run(const struct arguments *arguments, connected_fn run, struct status *st) {
    struct credentials credentials;
    int result;

    if (credentials_load(arguments, &credentials, st) < 0)
        return EXIT_USAGE;
    rpc_init();
    result = run_with(arguments, &credentials, run, st);
    rpc_shutdown();
    credentials_clear(&credentials);
    return result;
}
