/* A connection to a running daemon, for commands.
 *
 * Calls block. Errors are for whoever typed the command: that nobody answers at the address names it and says what to do, and so does what keeps
 * us and a server apart that does (handshake.h); what the daemon refuses is in its own words. After rpc_init(). One thread. */
#ifndef CLI_CONNECTION_H
#define CLI_CONNECTION_H

#include "cli/command.h"
#include "cli/credentials.h"
#include "rpc/rpc.h"

struct connection;

/* `endpoint` is HOST:PORT, [IPv6]:PORT or unix:PATH; nothing is connected before the first call. INVALID_ARGUMENT: it is none of these.
 * The credentials are borrowed; their token is sent with each call as "authorization: Bearer TOKEN". */
int connection_create(const char *endpoint, const struct credentials *credentials, struct connection **ret,
                      struct status *st);
/* NULL is fine. */
void connection_destroy(struct connection *connection);
const char *connection_endpoint(const struct connection *connection);

/* A unary call; takes the request. UNAVAILABLE: nobody answers there; FAILED_PRECONDITION:
 * somebody does, but TLS keeps us apart. Where the daemon sent the error, its code is kept. */
int connection_call(struct connection *connection, const char *path, struct slice request, struct slice *ret_response,
                    struct status *st);
/* As rpc_channel_open(), without a deadline. */
struct rpc_stream *connection_open(struct connection *connection, const char *path, const struct rpc_handler *handler,
                                   void *user);
/* What the end of a call means to the one who typed the command. */
int connection_explain(const struct connection *connection, const struct status *why, struct status *st);

/* The flags that every command which talks to a daemon has: with one default for the endpoint, or none. */
/* clang-format off */
#define CREDENTIALS_FLAGS                                                                                              \
    {.name = "--token-file", .value = "FILE", .variable = "TRESTLE_TOKEN_FILE", .is_shared = true,                     \
     .doc = "the token that says who is asking, alone in a file"},                                                     \
    {.name = "--token", .value = "TOKEN", .variable = "TRESTLE_TOKEN", .is_shared = true,                              \
     .doc = "the token itself; rather as the variable, since a process's words are seen by others"},                   \
    {.name = "--tls", .variable = "TRESTLE_TLS", .is_shared = true,                                                    \
     .doc = "speak TLS; each of the flags below says so as well"},                                                     \
    {.name = "--tls-ca", .value = "FILE", .variable = "TRESTLE_TLS_CA", .is_shared = true,                             \
     .doc = "PEM file of those who may have signed the daemon's certificate, or of that itself; else the system's authorities"}, \
    {.name = "--tls-cert", .value = "FILE", .variable = "TRESTLE_TLS_CERT", .is_shared = true,                         \
     .doc = "PEM file of your certificate, where the daemon wants one (tls.client_ca)"},                               \
    {.name = "--tls-key", .value = "FILE", .variable = "TRESTLE_TLS_KEY", .is_shared = true,                           \
     .doc = "PEM file of its private key; without it, the certificate's file"},                                        \
    {.name = "--tls-server-name", .value = "NAME", .variable = "TRESTLE_TLS_SERVER_NAME", .is_shared = true,           \
     .doc = "whom the daemon's certificate names, if not the host of the endpoint"}
#define CONNECTION_FLAGS                                                                                               \
    {.name = "--json", .doc = "as JSON, for programs"},                                                                \
    {.name = "--endpoint", .value = "ADDRESS", .config_key = "listen", .variable = "TRESTLE_ENDPOINT",                 \
     .is_shared = true, .doc = "HOST:PORT, [IPv6]:PORT or unix:PATH of the daemon"},                                   \
    CREDENTIALS_FLAGS
/* clang-format on */

/* What a command does once there is a connection. Returns the exit code; EXIT_FAILURE becomes EXIT_NOT_FOUND or EXIT_NO_DAEMON where `st` says so. */
typedef int (*connected_fn)(const struct arguments *arguments, struct connection *connection, struct status *st);
/* Connects as the command's flags say, and calls. */
int connection_run(const struct arguments *arguments, connected_fn run, struct status *st);

#endif
