/* The daemon, and what it has to give. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "jobserver/host.h"
#include "jobserver/inspection/internal.h"
#include "jobserver/state_dir.h"

struct process_memory inspection_process_memory(void) {
    FILE *file = fopen("/proc/self/statm", "re");
    unsigned long long all = 0, resident = 0;
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

    if (file && fscanf(file, "%llu %llu", &all, &resident) != 2)
        all = resident = 0;
    if (file)
        fclose(file);
    return (struct process_memory){.virtual_bytes = all * page, .resident_bytes = resident * page};
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
    const struct statistics *statistics = host_statistics(options->host);
    struct disk_space space = disk_space_at(options->state_directory);

    (void)request;
    (void)st;
    trestle__v1__server__init(server);
    server->version = (char *)TRESTLE_VERSION;
    server->endpoint = inspection->endpoint;
    server->started_ms = inspection->started_ms;
    server->now_ms = wall_clock_ms();
    server->memory_bytes = account_used(options->memory);
    server->memory_limit_bytes = options->memory->budget_bytes;
    server->disk_bytes = account_used(options->disk);
    server->disk_limit_bytes = options->disk->budget_bytes;
    server->state_directory = (char *)options->state_directory;
    server->state_free_bytes = space.free_bytes;
    server->state_size_bytes = space.size_bytes;
    server->resident_bytes = inspection_process_memory().resident_bytes;
    count_jobs(inspection, server);
    server->warm_workers = (uint32_t)host_warm_workers(options->host);
    server->workers = (uint32_t)MAX(atomic_load(&statistics->workers[WORKERS_CONNECTED]), 0) + server->warm_workers;
    server->bundles = (uint32_t)MAX(atomic_load(&statistics->bundles_running), 0);
    *ret = &server->base;
    return 0;
}
