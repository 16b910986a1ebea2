/* What worker.c and the kinds of environments (process.c, external.c) share. Not for others.
 *
 * Everything about a worker happens on the manager's thread: requests, launcher handlers and RPC callbacks post tasks to it. Kinds
 * therefore need no locks, and handlers are called one at a time, never inside worker_start() or worker_stop(). */
#ifndef WORKER_KIND_H
#define WORKER_KIND_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/list.h"
#include "base/map.h"
#include "worker/worker.h"

/* A row of the table in worker.c. start and stop run on the manager's thread. */
struct worker_kind {
    const char *urn;
    const char *hint; /* how a user asks for it; NULL: not at all */
    int (*check)(struct slice payload, struct status *st);
    /* What it is, for messages; the caller's to free. NULL when the payload does not say. */
    char *(*describe)(struct slice payload);
    /* Ends, now or later, in worker_failed() and worker_stopped(), or in a running worker. */
    void (*start)(struct worker *worker);
    /* Once, on a worker that was started and has not come to worker_stopped(). That must follow. */
    void (*stop)(struct worker *worker, unsigned grace_ms);
};

struct worker {
    struct list link;
    struct worker_manager *manager;
    const struct worker_kind *kind; /* NULL: an unknown one */
    struct worker_handler handler;
    void *user;
    struct arena arena; /* holds the strings below and whatever the kind wants to keep */
    char *id;
    char *name; /* no secret: what everybody on the machine can see is named so */
    char *urn;
    struct slice payload;
    struct worker_endpoints endpoints;
    struct process_spec command;     /* as in worker_spec, in the arena; argv NULL: none */
    struct worker_settings settings; /* the same */
    bool is_again;                   /* the same */
    const char *cgroup;              /* of its own, in the arena; NULL: none */
    void *state;                     /* the kind's own, in the arena */
    unsigned references;             /* the list's, and one for each task under way; guarded by the manager's lock */
    bool is_shell;                   /* nothing is left but this struct; under the manager's lock */
    bool stop_requested;
    bool has_failed;
    bool has_stopped;
};

typedef void (*worker_task_fn)(struct worker *worker, void *argument);

/* Runs `fn` on the manager's thread; any thread may post. */
void worker_post(struct worker *worker, worker_task_fn fn, void *argument);
/* Tell the user; on the manager's thread. worker_failed() is heard only the first time and before a stop was requested. */
void worker_failed(struct worker *worker, const struct status *why);
void worker_stopped(struct worker *worker);

const struct worker_isolation *worker_manager_isolation(const struct worker_manager *manager);
const struct worker_containers *worker_manager_containers(const struct worker_manager *manager);
struct launcher *worker_manager_launcher(struct worker_manager *manager);
unsigned worker_manager_start_timeout_ms(const struct worker_manager *manager);
/* A channel to the pool at `endpoint`, shared by all workers there while there are any. On the manager's thread. */
struct rpc_channel *worker_manager_channel(struct worker_manager *manager, const char *endpoint);
void worker_manager_release_channel(struct worker_manager *manager, const char *endpoint);

extern const struct worker_kind worker_kind_external;
extern const struct worker_kind worker_kind_process;
extern const struct worker_kind worker_kind_native;
extern const struct worker_kind worker_kind_container;

#endif
