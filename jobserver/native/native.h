/* What the boot programs in Beam's published images do, done on this machine without the image.
 *
 *   Python      a virtual environment with apache-beam of the image's version and what was staged (requirements.txt, extra packages,
 *               the archive of setup.py), then apache_beam.runners.worker.sdk_worker_main
 *   Java        a JVM with the SDK's harness and the staged class path
 *   Go          the staged worker binary
 *   TypeScript  node with the staged npm packages
 *
 *      native_prepare() --> a thread of its own: finds the interpreter, builds or finds the environment, makes a home ---> done()
 *                                                 |
 *                          CACHE/native/KIND/KEY <'  built once for all jobs; KEY is a digest of all that goes in
 *                          STATE/native/N            a home: staged files, pipeline options; for one environment of one job
 *
 * With a user of their own both are elsewhere (user.c).
 *
 * An environment is built by child processes of the launcher; who wants the same one waits for it. A build that fails, or that nobody
 * wants any more, leaves nothing behind.
 *
 * A home lives as long as its struct native_environment: workers that outlive their job, being kept warm, hold on to it.
 *
 * Any thread may call. Handlers are called on the request's thread, one at a time; they must not block and not call native_*, but for
 * native_environment_*. */
#ifndef JOBSERVER_NATIVE_NATIVE_H
#define JOBSERVER_NATIVE_NATIVE_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/slice.h"
#include "base/status.h"
#include "worker/launcher.h"
#include "worker/worker.h"

struct native;
struct native_request;
struct native_environment;

struct native_options {
    struct launcher *launcher;      /* outlives it */
    const struct worker_user *user; /* who builds environments and owns homes; NULL: the daemon's; outlives it */
    const char *cache_directory;    /* absolute; made when it is needed first */
    const char *state_directory; /* absolute, and ours alone: what an earlier daemon left in its native/ is removed */
    uint64_t keep_ms;            /* environments that nobody used for so long are removed; 0: none */
    uint64_t max_bytes; /* what is more than that as well, those that were used last longest ago; 0: no limit */
    const char
        *search_path; /* directories with colons between them where interpreters are looked for first; "": none */
};

struct native_artifact {
    const char *name; /* as staged; relative, with a path perhaps */
    const char *path; /* where its bytes are */
    const char *sha256;
    const char *role_urn;
    struct slice role_payload;
};

struct native_spec { /* borrowed during the call */
    const char *image;
    const struct native_artifact *artifacts; /* in their order, which a class path keeps */
    size_t artifact_count;
    struct slice pipeline_options; /* a serialized Struct */
    const char *job_id;
    const char *job_name;
    const char *runner_capabilities; /* URNs with spaces between them */
    uint64_t memory_bytes;           /* that a worker may use; 0: the machine's */
};

struct native_handler {
    /* What is being done, for the job's messages. `is_detail`: what the programs wrote. */
    void (*message)(void *user, bool is_detail, const char *text);
    /* Once, and last: the environment, whose reference is the callee's; or NULL and why. */
    void (*done)(void *user, struct native_environment *environment, const struct status *why);
};

struct native *native_create(const struct native_options *options);
/* Gives up what is being prepared and waits for it. All environments have been given back. */
void native_destroy(struct native *native);

/* Whether `image` is one that can be replaced: a question of its name only. */
int native_check_image(const char *image, struct status *st);
struct native_request *native_prepare(struct native *native, const struct native_spec *spec,
                                      const struct native_handler *handler, void *user);
/* No handler is called once it returns. What was not done yet is given up, unless others wait for it. NULL is fine. */
void native_request_release(struct native_request *request);

struct native_environment *native_environment_ref(struct native_environment *environment);
/* NULL is fine. */
void native_environment_unref(struct native_environment *environment);
/* What starts a worker in it, in the arena. */
struct process_spec native_environment_command(const struct native_environment *environment, const char *worker_id,
                                               const struct worker_endpoints *endpoints, struct arena *arena);

#endif
