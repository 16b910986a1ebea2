/* A worker that is a child process under the launcher: what the kinds that start one have in common. On the manager's thread. */
#ifndef WORKER_COMMAND_H
#define WORKER_COMMAND_H

#include "worker/kind.h"

/* `first`, which begins with the command, then the arguments of the containers' boot programs: --id and the endpoints that there are. In the
 * worker's arena. */
const char **worker_boot_arguments(struct worker *worker, const char *const *first, size_t first_count);
/* Becomes a running worker, or ends in worker_failed() and worker_stopped(). `what` is how messages call it ("worker process COMMAND").
 * `afterwards`, if not NULL, is a command that is run when the process has ended, whatever comes of it; worker_stopped() follows on
 * its end. Both live as long as the worker. */
void worker_command_start(struct worker *worker, const struct process_spec *spec, const char *what,
                          const char *const *afterwards);
/* A kind's `stop`: SIGTERM to the group, SIGKILL after the grace. */
void worker_command_stop(struct worker *worker, unsigned grace_ms);
/* The end of a worker that never was. Clears `why`. */
void worker_cannot_start(struct worker *worker, struct status *why);

#endif
