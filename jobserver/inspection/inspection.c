#include "jobserver/inspection/internal.h"

#include <stdlib.h>
#include <time.h>

int64_t inspection_now_ms(void) {
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

struct inspection *inspection_create(const struct inspection_options *options) {
    struct inspection *inspection = xcalloc(1, sizeof(*inspection));

    inspection->options = *options;
    inspection->options.endpoint = inspection->endpoint = xstrdup(options->endpoint);
    inspection->started_ms = inspection_now_ms();
    digests_init(&inspection->digests);
    return inspection;
}

void inspection_destroy(struct inspection *inspection) {
    if (!inspection)
        return;
    digests_finish(&inspection->digests);
    free(inspection->endpoint);
    free(inspection);
}

#define METHOD(name, request, run)                                                                                     \
    { name, &trestle__v1__##request##__descriptor, run }

const struct inspection_method inspection_methods[] = {
    METHOD("GetServer", get_server_request, inspect_server),
    METHOD("ListJobs", list_jobs_request, inspect_jobs),
    METHOD("GetJob", get_job_request, inspect_job),
    METHOD("ListMessages", list_messages_request, inspect_messages),
};
const size_t inspection_method_count = ARRAY_COUNT(inspection_methods);
