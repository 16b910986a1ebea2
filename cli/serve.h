/* What `trestle serve` makes of its words. */
#ifndef CLI_SERVE_H
#define CLI_SERVE_H

#include "cli/command.h"
#include "jobserver/config.h"

/* The defaults, then the file of --config, then the flags; the state directory is settled. On success clear it later. */
int serve_configure(const struct arguments *arguments, struct config *ret, struct status *st);

#endif
