#include "cli/connection.h"

#include <stdlib.h>
#include <string.h>

enum { CALL_TIMEOUT_MS = 30000 }; /* Cancel answers within 5 s */

struct connection {
    char *endpoint;
    char *authorization; /* NULL: none */
    struct rpc_client *client;
    struct rpc_channel *channel;
};

int connection_create(const char *endpoint, const char *token, struct connection **ret, struct status *st) {
    const char *colon = strrchr(endpoint, ':');
    struct connection *connection;

    if (!colon || colon == endpoint || !colon[1])
        return status_set(st, STATUS_INVALID_ARGUMENT,
                          "\"%s\" is not an address; write HOST:PORT, [IPv6]:PORT or unix:PATH", endpoint);
    connection = xcalloc(1, sizeof(*connection));
    connection->endpoint = xstrdup(endpoint);
    connection->authorization = token ? xasprintf("Bearer %s", token) : NULL;
    connection->client = rpc_client_create(1);
    connection->channel = rpc_channel_create(connection->client, endpoint);
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

int connection_explain(const struct connection *connection, const struct status *why, struct status *st) {
    switch (why->code) {
    case STATUS_UNAVAILABLE:
        return status_set(st, why->code,
                          "no server answers at %s: %s. Is it running (trestle serve)? --endpoint says where it is",
                          connection->endpoint, status_message(why));
    case STATUS_DEADLINE_EXCEEDED:
        return status_set(st, STATUS_UNAVAILABLE, "the server at %s did not answer within %d s", connection->endpoint,
                          CALL_TIMEOUT_MS / 1000);
    case STATUS_UNIMPLEMENTED:
        return status_set(st, why->code,
                          "the server at %s does not know this call; it may be no Trestle, or an old one",
                          connection->endpoint);
    case STATUS_UNAUTHENTICATED:
        return status_set(st, why->code, "the server at %s wants to know who is asking: %s. --token says it",
                          connection->endpoint, status_message(why));
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

int connection_run(const struct arguments *arguments, connected_fn run, struct status *st) {
    struct connection *connection;
    int result = EXIT_USAGE;

    rpc_init();
    if (connection_create(arguments_value(arguments, "--endpoint"), arguments_value(arguments, "--token"), &connection,
                          st) == 0) {
        result = exit_code_of(run(arguments, connection, st), st);
        connection_destroy(connection);
    } else {
        status_prefix(st, "--endpoint");
    }
    rpc_shutdown();
    return result;
}
