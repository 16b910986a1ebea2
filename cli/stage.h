/* The client's side of artifact staging (jobserver/staging.c tells the protocol): the daemon asks for what a pipeline's environments depend on, and
 * is given the bytes of this machine's files. */
#ifndef CLI_STAGE_H
#define CLI_STAGE_H

#include "cli/connection.h"

/* Until the daemon has all it asked for. FAILED_PRECONDITION: an artifact is none of a file here, or the file cannot be read. */
int stage_artifacts(struct connection *connection, const char *token, struct status *st);

#endif
