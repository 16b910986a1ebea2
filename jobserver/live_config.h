/* The configuration in force: one immutable snapshot after the other.
 *
 *      what begins (a job's preparation, its run) --live_config_get()--> keeps that snapshot to its end
 *      SIGHUP --live_config_prepare(), live_config_put()--> the next snapshot, for what begins from then on
 *
 * Only keys that are marked is_reloadable in the table (config_keys.c), and `environments`, change; what else the file says differently is told, and
 * waits for a restart. Any thread may call. */
#ifndef JOBSERVER_LIVE_CONFIG_H
#define JOBSERVER_LIVE_CONFIG_H

#include <stdatomic.h>

#include "base/buf.h"
#include "jobserver/config.h"

struct config_snapshot {
    atomic_uint refs;
    struct config config;
};

struct live_config;

/* With a copy of `config`. */
struct live_config *live_config_create(const struct config *config);
/* Snapshots that somebody holds live on. NULL is fine. */
void live_config_destroy(struct live_config *live);

/* A reference to the newest one. */
struct config_snapshot *live_config_get(struct live_config *live);
/* NULL is fine. */
void config_snapshot_unref(struct config_snapshot *snapshot);

/* What `next` can put in force, which is not yet. The caller's reference. Adds the paths of the keys that have changed to `changed`, and of those that would but for a restart
 * to `waiting`, with ", " between them; neither ends with a NUL. */
struct config_snapshot *live_config_prepare(struct live_config *live, const struct config *next, struct buf *changed,
                                            struct buf *waiting);
/* Puts it in force. Takes the reference. */
void live_config_put(struct live_config *live, struct config_snapshot *snapshot);

#endif
