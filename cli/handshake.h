/* Why no call gets through to a server, where gRPC says no more than that the connection was closed: a connection of our own is made, and its TLS
 * handshake tells. Nothing secret is sent on it. */
#ifndef CLI_HANDSHAKE_H
#define CLI_HANDSHAKE_H

#include "cli/credentials.h"

/* Whether it knows why; then `st` (may be NULL) is FAILED_PRECONDITION and says what and what to do: one side speaks TLS and the other does not, or one does not take
 * the other's certificate. Blocks, for 5 s at most once the name is resolved. False for sockets of the file system. */
bool handshake_explain(const char *endpoint, const struct credentials *credentials, struct status *st);

#endif
