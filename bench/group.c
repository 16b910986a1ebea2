/* bench-group: a GroupByKey through the whole daemon, with a harness in C on both sides, so that no SDK's speed hides the runner's.
 *
 *   Impulse -> fan -> Reshuffle -> records -> [ParDo ->] GroupByKey -> check_groups -> GroupByKey (of totals) -> check_totals
 *
 *   bench-group [--bytes N] [--size BYTES] [--keys N] [--random PERCENT] [--shards N] [--par-do 1] [--config FILE]
 *
 * `--bytes` of records in `--shards` bundles. It starts a daemon of its own with that configuration ($TRESTLE_BINARY, state in /tmp or
 * $TMPDIR) and harnesses as processes ($TRESTLE_HARNESS_BINARY), and prints one JSON object: wall time from Run to the job's end, the
 * starting of harnesses included; the daemon's CPU time, peak memory and bytes written to disk; the harnesses' CPU time. Every
 * value of every key is checked in the pipeline; a result that is wrong ends with exit code 1. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "processes.h"
#include "tests/harness/daemon.h"
#include "tests/harness/records.h"
#include "tests/harness/submit.h"

enum { SAMPLE_MS = 100, MAX_CONFIG_BYTES = 1 << 16 };

struct options {
    struct record_shape shape;
    uint64_t bytes;
    unsigned shards;
    bool with_par_do;
    const char *config;
};

static void die(const char *format, ...) {
    va_list args;

    va_start(args, format);
    fputs("bench-group: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(2);
}

static void read_options(int argc, char **argv, struct options *options) {
    for (int i = 1; i < argc; i += 2) {
        char *value = i + 1 < argc ? argv[i + 1] : NULL;

        if (!value)
            die("every option takes a value");
        if (strcmp(argv[i], "--bytes") == 0)
            options->bytes = strtoull(value, NULL, 10);
        else if (strcmp(argv[i], "--size") == 0)
            options->shape.size = (uint32_t)strtoul(value, NULL, 10);
        else if (strcmp(argv[i], "--keys") == 0)
            options->shape.keys = strtoull(value, NULL, 10);
        else if (strcmp(argv[i], "--random") == 0)
            options->shape.random_percent = (uint32_t)strtoul(value, NULL, 10);
        else if (strcmp(argv[i], "--shards") == 0)
            options->shards = (unsigned)strtoul(value, NULL, 10);
        else if (strcmp(argv[i], "--par-do") == 0)
            options->with_par_do = strtoul(value, NULL, 10) != 0;
        else if (strcmp(argv[i], "--config") == 0)
            options->config = value;
        else
            die("options are --bytes, --size, --keys, --random, --shards, --par-do and --config");
    }
    if (record_shape_error(&options->shape))
        die("%s", record_shape_error(&options->shape));
    if (options->shards == 0)
        die("there is at least one shard");
    options->shape.total = MAX(options->bytes / options->shape.size, UINT64_C(1));
}

static char *read_config(const char *path) {
    char *text = xcalloc(1, MAX_CONFIG_BYTES);
    FILE *file;

    if (!path)
        return text;
    file = fopen(path, "r");
    if (!file)
        die("%s: %s", path, strerror(errno));
    if (fread(text, 1, MAX_CONFIG_BYTES - 1, file) == MAX_CONFIG_BYTES - 1)
        die("%s: too long for a configuration", path);
    fclose(file);
    return text;
}

static void build(struct pipeline *p, const struct options *options, const char *harness) {
    const struct record_shape *shape = &options->shape;
    char shaped[128], function[200];

    pipeline_init_process(p, harness, NULL);
    snprintf(shaped, sizeof(shaped), "%" PRIu64 ":%" PRIu64 ":%u:%u", shape->total, shape->keys, shape->size,
             shape->random_percent);
    pipeline_add_impulse(p, "Start");
    snprintf(function, sizeof(function), "fan:%u", options->shards);
    pipeline_add_fn(p, "Fan", function, "Start", "bytes");
    pipeline_add_transform(p, "Spread", "beam:transform:reshuffle:v1", "Fan", "bytes");
    snprintf(function, sizeof(function), "records:%u:%s", options->shards, shaped);
    pipeline_add_fn(p, "Records", function, "Spread", "kv");
    if (options->with_par_do)
        pipeline_add_fn(p, "ParDo", "identity", "Records", "kv");
    pipeline_add_grouping(p, "Group", options->with_par_do ? "ParDo" : "Records");
    snprintf(function, sizeof(function), "check_groups:%s", shaped);
    pipeline_add_fn(p, "Check", function, "Group", "kv");
    pipeline_add_grouping(p, "GroupTotals", "Check");
    snprintf(function, sizeof(function), "check_totals:%s", shaped);
    pipeline_add_fn(p, "CheckTotals", function, "GroupTotals", "kv");
}

static double now_s(void) {
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* What the daemon's children use can be seen only while they, or who waited for them, live. */
static void wait_and_sample(struct job *job, pid_t daemon, struct process_figures *ret_harness) {
    struct timespec until;

    pthread_mutex_lock(&job->lock);
    while (!job->is_over) {
        struct process_figures now = {0};

        process_read_descendants(daemon, &now);
        now.cpu_s += now.children_cpu_s;
        ret_harness->cpu_s = MAX(ret_harness->cpu_s, now.cpu_s);
        ret_harness->peak_bytes = MAX(ret_harness->peak_bytes, now.peak_bytes);
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += SAMPLE_MS * 1000000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&job->changed, &job->lock, &until);
    }
    pthread_mutex_unlock(&job->lock);
}

static void print_result(const struct options *options, double wall_s, const struct process_figures *before,
                         const struct process_figures *after, const struct process_figures *harness) {
    uint64_t bytes = options->shape.total * options->shape.size;

    printf(
        "{\"bench\": \"group\", \"records\": %" PRIu64 ", \"record_bytes\": %u, \"keys\": %" PRIu64
        ", \"random_percent\": %u, \"shards\": %u, \"wall_s\": %.3f, \"bytes_per_s\": %.0f, \"records_per_s\": %.0f, "
        "\"runner_cpu_s\": %.2f, \"runner_peak_mb\": %.1f, \"written_mb\": %.1f, \"harness_cpu_s\": %.2f, "
        "\"harness_peak_mb\": %.1f}\n",
        options->shape.total, options->shape.size, options->shape.keys, options->shape.random_percent, options->shards,
        wall_s, (double)bytes / wall_s, (double)options->shape.total / wall_s, after->cpu_s - before->cpu_s,
        (double)after->peak_bytes / (1 << 20), (double)(after->written_bytes - before->written_bytes) / (1 << 20),
        harness->cpu_s, (double)harness->peak_bytes / (1 << 20));
    fflush(stdout);
}

/* Whether the job was done and its result right. */
static bool run(const struct options *options, const struct daemon_process *daemon, const char *harness_binary) {
    struct process_figures before, after, harness = {0};
    struct submitter client;
    struct pipeline p;
    struct job job;
    double begin;
    bool good;

    build(&p, options, harness_binary);
    submitter_init(&client, daemon->endpoint);
    before = process_read(daemon->pid);
    begin = now_s();
    job_start(&client, &p, "bench-group", &job);
    wait_and_sample(&job, daemon->pid, &harness);
    begin = now_s() - begin;
    after = process_read(daemon->pid);
    good = job.end == JOB__JOB_STATE__ENUM__DONE && job_count_lines(&job, "checked ") == 1;
    if (good)
        print_result(options, begin, &before, &after, &harness);
    else
        fprintf(stderr, "bench-group: the job ended in state %d: %s\n", (int)job.end,
                job.error ? job.error : "nothing was checked");
    job_clear(&job);
    submitter_clear(&client);
    pipeline_clear(&p);
    return good;
}

int main(int argc, char **argv) {
    struct options options = {
        .shape = {.size = 100, .keys = 100000, .random_percent = 50}, .bytes = UINT64_C(100) << 20, .shards = 16};
    const char *harness = getenv("TRESTLE_HARNESS_BINARY");
    CLEANUP(freep) char *config = NULL;
    struct daemon_process daemon;
    bool good;

    read_options(argc, argv, &options);
    if (!harness)
        die("TRESTLE_HARNESS_BINARY is not set");
    config = read_config(options.config);
    if (!daemon_start(&daemon, config))
        return 2;
    rpc_init();
    good = run(&options, &daemon, harness);
    good = daemon_stop(&daemon) && good;
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
