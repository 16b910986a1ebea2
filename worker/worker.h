/* Getting SDK harnesses running and keeping them so, by the kind of their environment
 * (beam_runner_api.proto: StandardEnvironments).
 *
 *   beam:env:external:v1   StartWorker / StopWorker on the pool at the payload's endpoint (LOOPBACK arrives as this)
 *   beam:env:process:v1    the payload's command with the payload's environment, as a process group
 *   beam:env:docker:v1     the payload's image, by the program of a container engine
 *   trestle:env:native:v1  a command that the caller prepared, in place of an image (payload: DockerPayload, for messages)
 *
 * Whether a harness has connected is not known here but in fnapi/: the host joins the two by the worker id.
 *
 * Threads: calls from any thread. Callbacks come on a thread of the manager's own, one at a time, never inside worker_start() or
 * worker_stop(), and without a lock held; they must not block. */
#ifndef WORKER_WORKER_H
#define WORKER_WORKER_H

#include "base/slice.h"
#include "base/status.h"
#include "rpc/rpc.h"
#include "worker/launcher.h"

/* Not an environment that a pipeline names: what a DOCKER environment becomes where it runs without its image. */
#define WORKER_NATIVE_URN "trestle:env:native:v1"

struct worker_manager;
struct worker;

struct worker_endpoints {
    const char *control; /* HOST:PORT as this kind of environment can reach it; the same for all services today */
    const char *logging;
    const char *artifact;
    const char *provision;
};

/* Limits and the like of processes that are started here; pools have their own. */
struct worker_settings {
    uint64_t memory_bytes; /* of the worker with all its processes, as far as that can be (confine.h); 0: no limit */
    unsigned milli_cpus;   /* 1000 is a core; 0: no limit */
    const char *working_directory; /* NULL: the daemon's, or the image's */
    const char *const *variables;  /* KEY=VALUE, NULL-terminated, before all others; may be NULL */
};

struct worker_spec {
    const char *worker_id;   /* what the worker proves with that it is one */
    const char *worker_name; /* what others may see of it: names of control groups, units, containers; NULL: the id */
    const char *environment_urn;
    struct slice environment_payload; /* borrowed during the call */
    struct worker_endpoints endpoints;
    const struct process_spec *command; /* native: what to run, copied; else NULL */
    struct worker_settings settings;    /* copied */
    bool is_again; /* workers of this environment have run before: a pool that is not there is gone, not yet to come */
};

struct worker_containers {
    const char *cli;            /* the engine's program; NULL: there is none */
    const char *pull;           /* missing, always or never */
    const char *const *options; /* for `run`; NULL-terminated, or NULL */
    const char *instance;       /* whose containers they are: of no two daemons the same */
};

enum worker_isolation_way { WORKER_ISOLATION_NONE, WORKER_ISOLATION_SYSTEMD, WORKER_ISOLATION_SYSTEMD_USER };

/* How limits are held, and whether processes run in the daemon's own service (confine.h). */
struct worker_isolation {
    enum worker_isolation_way way;
    struct cgroups *cgroups;        /* NULL: the daemon has no subtree */
    const struct worker_user *user; /* whom processes run as; NULL: the daemon's user */
    unsigned stop_grace_ms;         /* from SIGTERM to SIGKILL, for services of systemd */
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
/* How long an external pool may take to answer StartWorker: until it listens, and as long as it waits for its harness to connect.
 * Default 90 s. Before the first worker_start(). */
void worker_manager_set_start_timeout(struct worker_manager *manager, unsigned timeout_ms);
/* With which engine containers are run; strings are borrowed and outlive the manager. Before the first worker_start(). */
void worker_manager_set_containers(struct worker_manager *manager, const struct worker_containers *containers);
/* Before the first worker_start(). `cgroups` outlives the manager, and is used on its thread. */
void worker_manager_set_isolation(struct worker_manager *manager, const struct worker_isolation *isolation);
/* Removes the containers of that instance that an earlier daemon left. Waits for the engine, for some seconds at most a command. */
void worker_containers_sweep(struct launcher *launcher, const struct worker_containers *containers);
/* Stops what still runs and waits for it. Before the launcher and the client are destroyed. */
void worker_manager_destroy(struct worker_manager *manager);

/* Whether this kind of environment can be run here; else an error that names the URN and says what can be done. */
int worker_check_environment(const char *urn, struct slice payload, struct status *st);
/* For messages: "process COMMAND", "the worker pool at HOST:PORT", or the URN. The caller's to free. */
char *worker_describe_environment(const char *urn, struct slice payload);
/* Never blocks. Errors of starting arrive at `failed`. */
struct worker *worker_start(struct worker_manager *manager, const struct worker_spec *spec,
                            const struct worker_handler *handler, void *user);
/* EXTERNAL: StopWorker. PROCESS: SIGTERM to the group, SIGKILL after grace_ms. `stopped` follows.
 * Harmless when it was called before and when the worker ended on its own, also while `stopped` is being called: its memory outlives
 * that for a while. Owners forget the pointer when they hear `stopped`. */
void worker_stop(struct worker *worker, unsigned grace_ms);

#endif
