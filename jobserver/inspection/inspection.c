#include "jobserver/inspection/internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

struct inspection *inspection_create(const struct inspection_options *options) {
    struct inspection *inspection = xcalloc(1, sizeof(*inspection));

    inspection->options = *options;
    inspection->options.endpoint = inspection->endpoint = xstrdup(options->endpoint);
    inspection->options.state_directory = inspection->state_directory = xstrdup(options->state_directory);
    inspection->started_ms = wall_clock_ms();
    digests_init(&inspection->digests);
    stored_plan_init(&inspection->stored_plan);
    return inspection;
}

void inspection_destroy(struct inspection *inspection) {
    if (!inspection)
        return;
    stored_plan_finish(&inspection->stored_plan);
    digests_finish(&inspection->digests);
    free(inspection->state_directory);
    free(inspection->endpoint);
    free(inspection);
}

#define METHOD(name, request, run)                                                                                     \
    { name, &trestle__v1__##request##__descriptor, run }

static const struct inspection_method methods[] = {
    METHOD("GetServer", get_server_request, inspect_server),
    METHOD("ListJobs", list_jobs_request, inspect_jobs),
    METHOD("GetJob", get_job_request, inspect_job),
    METHOD("GetGraph", get_graph_request, inspect_graph),
    METHOD("ListMessages", list_messages_request, inspect_messages),
    METHOD("GetMetrics", get_metrics_request, inspect_metrics),
    METHOD("GetWorkerStatus", get_worker_status_request, inspect_worker_status),
    METHOD("SampleElements", sample_elements_request, inspect_samples),
};

const struct inspection_method *inspection_find_method(const char *name) {
    for (size_t i = 0; i < ARRAY_COUNT(methods); i++)
        if (strcmp(methods[i].name, name) == 0)
            return &methods[i];
    abort(); /* the tables of routes and of gRPC's methods name none that is not there */
}
