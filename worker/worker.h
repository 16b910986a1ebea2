/* Getting SDK harnesses running and keeping them so, by the kind of their environment
 * (beam_runner_api.proto: StandardEnvironments).
 *
 *   beam:env:external:v1   StartWorker / StopWorker on the pool at the payload's endpoint (LOOPBACK arrives as this)
 *   beam:env:process:v1    the payload's command with the payload's environment, as a process group
 *   (docker and native follow with a later issue; a table by URN holds the kinds)
 *
 * Whether a harness has connected is not known here but in fnapi/: the host joins the two by the worker id.
 *
 * Threads: callbacks come on the launcher's reader thread or an RPC thread; they must not block. Calls from any thread. */
#ifndef WORKER_WORKER_H
#define WORKER_WORKER_H

#include "base/slice.h"
#include "base/status.h"
#include "rpc/rpc.h"
#include "worker/launcher.h"

struct worker_manager;
struct worker;

struct worker_endpoints {
    const char *control; /* HOST:PORT as this kind of environment can reach it; the same for all services today */
    const char *logging;
    const char *artifact;
    const char *provision;
};

struct worker_spec {
    const char *worker_id;
    const char *environment_urn;
    struct slice environment_payload; /* borrowed during the call */
    struct worker_endpoints endpoints;
    /* Extra parameters for StartWorker (key, value pairs); may be NULL. */
};

struct worker_handler {
    /* It could not be started, or it ended before worker_stop(): for a process with exit code or signal and the tail of what it
     * wrote to standard error. At most once. */
    void (*failed)(void *user, const struct status *why);
    /* Nothing of it is left: the process group is reaped, or StopWorker was answered. Once, and last; also after `failed`, and
     * `worker` is freed after it. */
    void (*stopped)(void *user);
};

struct worker_manager *worker_manager_create(struct launcher *launcher, struct rpc_client *client);
/* Stops what still runs and waits for it. */
void worker_manager_destroy(struct worker_manager *manager);

/* Whether this kind of environment can be run here; else an error that names the URN and says what can be done. */
int worker_check_environment(const char *urn, struct slice payload, struct status *st);
/* Never blocks. Errors of starting arrive at `failed`. */
struct worker *worker_start(struct worker_manager *manager, const struct worker_spec *spec,
                            const struct worker_handler *handler, void *user);
/* EXTERNAL: StopWorker. PROCESS: SIGTERM to the group, SIGKILL after grace_ms. `stopped` follows. */
void worker_stop(struct worker *worker, unsigned grace_ms);

#endif
