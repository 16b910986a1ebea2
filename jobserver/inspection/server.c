/* The daemon, and what it has to give. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "jobserver/inspection/internal.h"

/* Of this process; 0 where the kernel does not say. */
static uint64_t resident_bytes(void) {
    FILE *file = fopen("/proc/self/statm", "re");
    unsigned long long all, resident = 0;

    if (!file)
        return 0;
    if (fscanf(file, "%llu %llu", &all, &resident) != 2)
        resident = 0;
    fclose(file);
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void count_jobs(struct inspection *inspection, Trestle__V1__Server *server) {
    size_t count;
    struct job_summary *jobs = catalogue_list_jobs(inspection->options.catalogue, &(struct job_query){0}, &count);

    for (size_t i = 0; i < count; i++) {
        if (job_state_is_terminal(jobs[i].state))
            server->finished_jobs++;
        else if (jobs[i].state == JOB_STOPPED)
            server->queued_jobs++;
        else
            server->running_jobs++;
    }
    job_summaries_free(jobs, count);
}

int inspect_server(struct inspection *inspection, const ProtobufCMessage *request, struct arena *arena,
                   ProtobufCMessage **ret, struct status *st) {
    Trestle__V1__Server *server = arena_new(arena, Trestle__V1__Server);
    const struct inspection_options *options = &inspection->options;

    (void)request;
    (void)st;
    trestle__v1__server__init(server);
    server->version = (char *)TRESTLE_VERSION;
    server->endpoint = inspection->endpoint;
    server->started_ms = inspection->started_ms;
    server->now_ms = inspection_now_ms();
    server->memory_bytes = account_used(options->memory);
    server->memory_limit_bytes = options->memory->budget_bytes;
    server->disk_bytes = account_used(options->disk);
    server->disk_limit_bytes = options->disk->budget_bytes;
    server->resident_bytes = resident_bytes();
    count_jobs(inspection, server);
    *ret = &server->base;
    return 0;
}
