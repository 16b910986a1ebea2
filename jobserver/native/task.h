/* What the SDKs' own files use while an environment is being prepared. All of it on the request's thread, and blocking. */
#ifndef JOBSERVER_NATIVE_TASK_H
#define JOBSERVER_NATIVE_TASK_H

#include "base/vec.h"
#include "jobserver/native/image.h"
#include "jobserver/native/native.h"
#include "jobserver/pipeline_options.h"

struct native_task; /* the thread's own */

/* Strings in the environment's arena. */
struct string_vec {
    const char **items;
    size_t count;
    size_t capacity;
};

struct native_environment {
    struct native *native;
    unsigned references; /* guarded by native's lock */
    struct arena arena;
    struct native_image image;
    char *home;                    /* its folder */
    const char *staged;            /* HOME/staged */
    const char *options;           /* HOME/pipeline_options.json */
    const char *json;              /* what is in there */
    struct string_vec argv;        /* the command, as far as it is the same for all workers */
    struct string_vec variables;   /* the same for the environment: KEY=VALUE */
    const char *working_directory; /* NULL: the daemon's */
    VEC(int) holds;                /* descriptors that keep its folders in the cache */
};

struct native_task {
    struct native *native;
    struct native_request *request;
    struct native_environment *environment; /* being made; has its home */
    const struct native_artifact *artifacts;
    size_t artifact_count;
    const struct pipeline_options *options;
    uint64_t memory_bytes;      /* that a worker may use; 0: the machine's */
    struct native_build *build; /* the one that this thread does, or NULL; guarded by native's lock */
};

/* A row for each SDK. */
struct native_sdk_kind {
    /* Sets argv, variables and working directory of the task's environment. */
    int (*prepare)(struct native_task *task, struct status *st);
    /* Adds what a worker is told of itself, besides the variables of all SDKs. */
    void (*tell)(const struct native_environment *environment, const char *worker_id,
                 const struct worker_endpoints *endpoints, struct arena *arena, struct string_vec *argv,
                 struct string_vec *variables);
};

extern const struct native_sdk_kind native_python, native_java, native_go, native_typescript;

void native_say(struct native_task *task, const char *format, ...) PRINTF_LIKE(2, 3);
const char *native_search_path(const struct native_task *task);
/* The artifact that was staged under that name, or NULL. */
const struct native_artifact *native_find_artifact(const struct native_task *task, const char *name);

/* LOGGING_, CONTROL_ and STATUS_API_SERVICE_DESCRIPTOR, in protobuf's text form. */
void native_tell_endpoints(const struct worker_endpoints *endpoints, struct arena *arena, struct string_vec *variables);

/* Runs a program to its end; what it wrote goes to the job's messages. -STATUS_FAILED_PRECONDITION with its last lines when it fails,
 * CANCELLED when nobody wants it any more. argv and `variables` (may be NULL) end with NULL; `directory` may be NULL. */
int native_run(struct native_task *task, const char *const *argv, const char *const *variables, const char *directory,
               struct status *st);

/* The folder CACHE/native/KIND/KEY, as native_build_fn made it: now, or before. KEY is made of the parts. It stays there as long as
 * the task's environment. The caller frees. */
typedef int (*native_build_fn)(struct native_task *task, const char *directory, void *user, struct status *st);
int native_cached(struct native_task *task, const char *kind, const struct string_vec *parts, native_build_fn build,
                  void *user, char **ret_directory, struct status *st);

#endif
