/* A connection to a running daemon, for commands.
 *
 * Calls block. Errors are for whoever typed the command: that nobody answers at the address names it and says what to do; what the daemon
 * refuses is in its own words. After rpc_init(). One thread. */
#ifndef CLI_CONNECTION_H
#define CLI_CONNECTION_H

#include "cli/command.h"
#include "rpc/rpc.h"

struct connection;

/* `endpoint` is HOST:PORT, [IPv6]:PORT or unix:PATH; nothing is connected before the first call. INVALID_ARGUMENT: it is none of these.
 * `token` is sent with each call as "authorization: Bearer TOKEN"; NULL: none. */
int connection_create(const char *endpoint, const char *token, struct connection **ret, struct status *st);
/* NULL is fine. */
void connection_destroy(struct connection *connection);
const char *connection_endpoint(const struct connection *connection);

/* A unary call; takes the request. UNAVAILABLE: nobody answers there. Where the daemon sent the error, its code is kept. */
int connection_call(struct connection *connection, const char *path, struct slice request, struct slice *ret_response,
                    struct status *st);
/* As rpc_channel_open(), without a deadline. */
struct rpc_stream *connection_open(struct connection *connection, const char *path, const struct rpc_handler *handler,
                                   void *user);
/* What the end of a call means to the one who typed the command. */
int connection_explain(const struct connection *connection, const struct status *why, struct status *st);

/* The flags that every command which talks to a daemon has. */
/* clang-format off */
#define CONNECTION_FLAGS                                                                                               \
    {.name = "--json", .doc = "as JSON, for programs"},                                                                \
    {.name = "--endpoint", .value = "ADDRESS", .config_key = "listen", .variable = "TRESTLE_ENDPOINT",                 \
     .doc = "HOST:PORT, [IPv6]:PORT or unix:PATH of the daemon"},                                                      \
    {.name = "--token", .value = "TOKEN", .variable = "TRESTLE_TOKEN",                                                 \
     .doc = "says who is asking; rather as the variable, since a process's words are seen by others"}
/* clang-format on */

/* What a command does once there is a connection. Returns the exit code; EXIT_FAILURE becomes EXIT_NOT_FOUND or EXIT_NO_DAEMON where `st` says so. */
typedef int (*connected_fn)(const struct arguments *arguments, struct connection *connection, struct status *st);
/* Connects as the command's flags say, and calls. */
int connection_run(const struct arguments *arguments, connected_fn run, struct status *st);

#endif
