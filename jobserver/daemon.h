/* The daemon: every module made, joined to the others, and taken down again in the right order.
 *
 *      state directory, store, database -- catalogue -- job service --.
 *      store, pool ------------------------------ artifacts ----+-- one RPC server, one port
 *      launcher (made by main) ------ workers -- host -- fnapi -'
 *
 * Belongs to main's thread. */
#ifndef JOBSERVER_DAEMON_H
#define JOBSERVER_DAEMON_H

#include <stdbool.h>
#include <stdint.h>

#include "jobserver/config.h"
#include "worker/launcher.h"

struct daemon;

/* Opens the state directory, listens and serves. After rpc_init(). Everything is borrowed and outlives the daemon. */
int daemon_create(const struct config *config, struct launcher *launcher, struct daemon **ret, struct status *st);
/* HOST:PORT, with the port that the system picked if it was to. */
const char *daemon_endpoint(const struct daemon *daemon);
/* Asks the pool's threads and the catalogue for a sign of life, and never waits for it: whether they have given the one that was asked for
 * the last time. */
bool daemon_beat(struct daemon *daemon);
/* Puts a configuration in force for what begins from now on, as far as that can be, with the tokens and certificates that its files hold now, and logs
 * which keys have changed and which wait for a restart. Where one of those files is no good it changes nothing, and logs why. */
void daemon_reload(struct daemon *daemon, const struct config *next);
/* The beginning of the end: from now on no job is taken (UNAVAILABLE) or begun, and streams that run are drained. Returns at once, and for how long the
 * others may go on: shutdown.drain in milliseconds; 0: not at all. */
uint64_t daemon_drain(struct daemon *daemon);
/* Waits until no job runs, but no longer than so; how many still do. */
unsigned daemon_await_end(struct daemon *daemon, unsigned ms);
/* Refuses new jobs, cancels those that run or leaves them to the next daemon (shutdown.unfinished), stops their workers, lets calls in flight end, frees. NULL is fine. */
void daemon_destroy(struct daemon *daemon);

#endif
