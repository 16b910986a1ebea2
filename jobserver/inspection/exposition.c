/* /metrics in Prometheus' text format 0.0.4, named by its conventions: base units (seconds, bytes), counters end in _total. /healthz and /readyz. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "jobserver/host.h"
#include "jobserver/inspection/internal.h"
#include "jobserver/state_dir.h"

/* ---- writing ---- */

static void add_family(struct buf *out, const char *name, const char *type, const char *help) {
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* In as few digits as say exactly this. */
static void add_number(struct buf *out, double value) {
    char text[32];

    for (int digits = 6; digits <= 17; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    buf_printf(out, "%s", text);
}

static void add_value(struct buf *out, const char *name, const char *type, const char *help, double value) {
    add_family(out, name, type, help);
    buf_printf(out, "%s ", name);
    add_number(out, value);
    buf_printf(out, "\n");
}

/* Labels are of our own words: nothing to escape. */
static void add_labelled(struct buf *out, const char *name, const char *label, const char *value, double number) {
    buf_printf(out, "%s{%s=\"%s\"} ", name, label, value);
    add_number(out, number);
    buf_printf(out, "\n");
}

static double counter(const atomic_ullong *value) {
    return (double)atomic_load_explicit(value, memory_order_relaxed);
}

static double gauge(const atomic_llong *value) {
    long long now = atomic_load_explicit(value, memory_order_relaxed);

    return (double)MAX(now, 0LL);
}

static void add_histogram(struct buf *out, const char *name, const char *help, const struct latency_histogram *from) {
    static const int64_t ends_ms[] = STATISTICS_LATENCY_MS;
    double count = 0;

    add_family(out, name, "histogram", help);
    for (size_t i = 0; i < STATISTICS_LATENCY_BUCKETS; i++) {
        count += counter(&from->counts[i]);
        buf_printf(out, "%s_bucket{le=\"%g\"} ", name, (double)ends_ms[i] / 1000);
        add_number(out, count);
        buf_printf(out, "\n");
    }
    count += counter(&from->counts[STATISTICS_LATENCY_BUCKETS]);
    buf_printf(out, "%s_bucket{le=\"+Inf\"} %.17g\n", name, count);
    buf_printf(out, "%s_sum %.17g\n%s_count %.17g\n", name, counter(&from->sum_ns) / 1e9, name, count);
}

/* ---- what is told ---- */

static void add_jobs(struct inspection *inspection, struct buf *out) {
    unsigned counts[JOB_CANCELLING + 1] = {0};
    size_t count;
    struct job_summary *jobs = catalogue_list_jobs(inspection->options.catalogue, &(struct job_query){0}, &count);

    for (size_t i = 0; i < count; i++)
        counts[MIN(jobs[i].state, JOB_CANCELLING)]++;
    job_summaries_free(jobs, count);
    add_family(out, "trestle_jobs", "gauge", "Jobs in the catalogue, by state.");
    for (enum job_state state = JOB_STOPPED; state <= JOB_CANCELLING; state++)
        add_labelled(out, "trestle_jobs", "state", job_state_name(state), counts[state]);
}

static void add_workers(struct inspection *inspection, const struct statistics *from, struct buf *out) {
    static const char name[] = "trestle_workers";

    add_family(out, name, "gauge", "SDK harnesses, by state; idle ones are kept warm for the next job.");
    add_labelled(out, name, "state", "starting", gauge(&from->workers[WORKERS_STARTING]));
    add_labelled(out, name, "state", "connected", gauge(&from->workers[WORKERS_CONNECTED]));
    add_labelled(out, name, "state", "ending", gauge(&from->workers[WORKERS_ENDING]));
    add_labelled(out, name, "state", "idle", (double)host_warm_workers(inspection->options.host));
}

static void add_work(const struct statistics *from, struct buf *out) {
    add_family(out, "trestle_bundles_total", "counter", "Bundles that ended, by result.");
    add_labelled(out, "trestle_bundles_total", "result", "done", counter(&from->bundles_done));
    add_labelled(out, "trestle_bundles_total", "result", "failed", counter(&from->bundles_failed));
    add_value(out, "trestle_bundles_running", "gauge", "Bundles that run.", gauge(&from->bundles_running));
    add_histogram(out, "trestle_bundle_duration_seconds", "From the start of a bundle to its commit or failure.",
                  &from->bundle_latency);
    add_value(out, "trestle_elements_processed_total", "counter", "Elements of committed bundles' input.",
              counter(&from->elements_processed));
    add_value(out, "trestle_data_sent_bytes_total", "counter", "Encoded elements and timers sent to harnesses.",
              counter(&from->sent_bytes));
    add_value(out, "trestle_data_received_bytes_total", "counter",
              "Encoded elements and timers received from harnesses.", counter(&from->received_bytes));
    add_value(out, "trestle_state_requests_total", "counter", "State requests of harnesses.",
              counter(&from->state_requests));
    add_value(out, "trestle_jobs_started_total", "counter", "Jobs that were started.", counter(&from->jobs_started));
    add_value(out, "trestle_workers_connected_total", "counter", "Times that a harness began to serve a job.",
              counter(&from->workers_connected));
    add_value(out, "trestle_workers_lost_total", "counter", "Harnesses that ended while their job ran.",
              counter(&from->workers_lost));
}

static void add_room(const struct inspection_options *options, struct buf *out) {
    add_value(out, "trestle_memory_bytes", "gauge", "Memory charged to jobs.", (double)account_used(options->memory));
    add_value(out, "trestle_memory_limit_bytes", "gauge", "What jobs may take (memory.total).",
              (double)options->memory->budget_bytes);
    add_value(out, "trestle_disk_bytes", "gauge", "Scratch data on disk.", (double)account_used(options->disk));
    if (options->disk->budget_bytes)
        add_value(out, "trestle_disk_limit_bytes", "gauge", "What scratch data may take (disk.total).",
                  (double)options->disk->budget_bytes);
}

/* ---- the process, as Prometheus' own clients tell of theirs ---- */

static unsigned count_open_files(void) {
    DIR *directory = opendir("/proc/self/fd");
    unsigned count = 0;

    if (!directory)
        return 0;
    while (readdir(directory))
        count++;
    closedir(directory);
    return MAX(count, 3u) - 3; /* ".", ".." and the directory itself */
}

static double cpu_seconds(void) {
    struct timespec used = {0};

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

static void add_process(const struct inspection *inspection, struct buf *out) {
    struct process_memory memory = inspection_process_memory();
    struct rlimit files = {0};

    getrlimit(RLIMIT_NOFILE, &files);
    add_value(out, "process_cpu_seconds_total", "counter", "Total user and system CPU time spent in seconds.",
              cpu_seconds());
    add_value(out, "process_resident_memory_bytes", "gauge", "Resident memory size in bytes.",
              (double)memory.resident_bytes);
    add_value(out, "process_virtual_memory_bytes", "gauge", "Virtual memory size in bytes.",
              (double)memory.virtual_bytes);
    add_value(out, "process_open_fds", "gauge", "Number of open file descriptors.", count_open_files());
    add_value(out, "process_max_fds", "gauge", "Maximum number of open file descriptors.", (double)files.rlim_cur);
    add_value(out, "process_start_time_seconds", "gauge", "Start time of the process since unix epoch in seconds.",
              (double)inspection->started_ms / 1000);
}

void inspection_expose(struct inspection *inspection, struct buf *out) {
    const struct statistics *statistics = host_statistics(inspection->options.host);

    add_family(out, "trestle_build_info", "gauge", "1, labelled with the version.");
    add_labelled(out, "trestle_build_info", "version", TRESTLE_VERSION, 1);
    add_jobs(inspection, out);
    add_workers(inspection, statistics, out);
    add_work(statistics, out);
    add_room(&inspection->options, out);
    add_process(inspection, out);
}

/* ---- health ---- */

/* What a job's beginning may take in the catalogue. */
enum { READY_SPACE_BYTES = 1 << 20 };

bool inspection_is_ready(struct inspection *inspection, const char **ret_why) {
    struct disk_space space = disk_space_at(inspection->options.state_directory);

    *ret_why = NULL;
    if (catalogue_is_closed(inspection->options.catalogue))
        *ret_why = "the server is shutting down";
    else if (access(inspection->options.state_directory, W_OK | X_OK) != 0)
        *ret_why = "the state directory cannot be written to";
    else if (space.size_bytes && space.free_bytes < READY_SPACE_BYTES)
        *ret_why = "the disk of the state directory is full";
    return !*ret_why;
}
