/* The job that a request is about, without an RPC thread that waits for the disk. */
#include <stdlib.h>

#include "jobserver/job_service_internal.h"
#include "wire/pb.h"

struct lookup {
    struct catalogue *catalogue;
    char *id;
    job_found_fn found;
    void *user;
};

/* On the pool. */
static void read_job(void *user) {
    struct lookup *lookup = user;
    CLEANUP_STATUS struct status st = {0};
    struct job *job;

    if (catalogue_find_job(lookup->catalogue, lookup->id, &job, &st) < 0)
        lookup->found(lookup->user, NULL, &st);
    else
        lookup->found(lookup->user, job, NULL);
    free(lookup->id);
    free(lookup);
}

static void find_by_id(struct job_service *service, const char *id, job_found_fn found, void *user) {
    struct catalogue *catalogue = service->options.catalogue;
    struct job *job = catalogue_find_loaded_job(catalogue, id);
    struct lookup *lookup;

    if (job) {
        found(user, job, NULL);
        return;
    }
    lookup = xmalloc(sizeof(*lookup));
    *lookup = (struct lookup){.catalogue = catalogue, .id = xstrdup(id), .found = found, .user = user};
    pool_run(service->options.pool, read_job, lookup);
}

void job_service_find_job(struct job_service *service, struct slice request, job_found_fn found, void *user) {
    struct arena arena = {0};
    CLEANUP_STATUS struct status st = {0};
    Job__GetJobStateRequest *message;

    if (PB_UNPACK(Job__GetJobStateRequest, job__get_job_state_request, request, PB_STRINGS_STRICT, &arena, &message,
                  &st) < 0)
        found(user, NULL, &st);
    else
        find_by_id(service, message->job_id, found, user);
    arena_clear(&arena);
    slice_unref(&request);
}
