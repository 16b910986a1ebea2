/* A job's memory budget: when its data take more, the engine is asked to store some of them on disk; while the disk or the engine is behind, nothing is
 * read from the harnesses' Data streams (law 4 of docs/architecture.md). Control and State are always read: stopping them could stop the
 * very bundle whose commit frees memory. */
#include "jobserver/job_run.h"

/* In eighths of a budget. What is received but not yet looked at, and what lies in gRPC's buffers, comes on top. */
enum { STORE_ABOVE = 4, STORE_DOWN_TO = 3, PAUSE_ABOVE = 5, RESUME_BELOW = 4 };

static void on_stored(void *user, uint64_t extent) {
    struct run_event *event = run_event_create(RUN_EVENT_ENGINE, NULL);

    event->engine.type = ENGINE_EVENT_STORED;
    event->engine.extent = extent;
    job_run_post(user, event);
}

static void on_loaded(void *user, uint64_t token, struct slice bytes) {
    struct run_event *event = run_event_create(RUN_EVENT_ENGINE, NULL);

    event->engine.type = ENGINE_EVENT_LOADED;
    event->engine.token = token;
    event->engine.bytes = bytes;
    job_run_post(user, event);
}

static void on_failed(void *user, const char *error) {
    struct run_event *event = run_event_create(RUN_EVENT_ENGINE, NULL);

    event->engine.type = ENGINE_EVENT_STORE_FAILED;
    event->engine.error = xstrdup(error);
    job_run_post(user, event);
}

void run_memory_start(struct job_run *run) {
    static const struct scratch_handler handler = {on_stored, on_loaded, on_failed};
    struct account *disk = account_create("disk.per_job", run->options->disk, run->config->disk_per_job_bytes);

    run->scratch = scratch_create(&(struct scratch_options){.directory = run->options->scratch_directory,
                                                            .pool = run->options->pool,
                                                            .memory = run->account,
                                                            .disk = disk},
                                  &handler, run);
    account_unref(disk);
}

void run_memory_report(const struct job_run *run) {
    uint64_t written, read;

    scratch_totals(run->scratch, &written, &read);
    if (written)
        job_add_message(run->job, JOB_MESSAGE_DETAILED,
                        "the job's data did not fit into memory: %llu MiB were written to disk, %llu MiB read",
                        (unsigned long long)written >> 20, (unsigned long long)read >> 20);
}

static size_t over(const struct account *account, size_t budget, unsigned above, unsigned down_to) {
    size_t used = account_used(account);

    if (budget == 0 || used <= budget / 8 * above)
        return 0;
    return used - budget / 8 * down_to;
}

/* The job's own excess; while all jobs together take too much, also over its fair share. Those that take less than theirs are left alone: they
 * have not filled the memory. */
static size_t excess(const struct job_run *run, unsigned above, unsigned down_to) {
    const struct account *job = run->account, *all = job->parent;
    size_t own = over(job, job->budget_bytes, above, down_to);

    if (over(all, all->budget_bytes, above, above))
        own = MAX(own, over(job, all->budget_bytes / MAX(host_running_jobs(run->host), 1u), above, down_to));
    return own;
}

size_t run_memory_budget(const struct job_run *run) {
    const struct account *job = run->account, *all = job->parent;
    size_t own = job->budget_bytes, common = all ? all->budget_bytes : 0;

    return own && common ? MIN(own, common) : MAX(own, common);
}

size_t run_memory_excess(const struct job_run *run) {
    return excess(run, STORE_ABOVE, STORE_DOWN_TO);
}

static void set_paused(struct job_run *run, bool is_paused) {
    run->is_data_paused = is_paused;
    list_foreach (node, &run->workers) {
        struct run_worker *worker = CONTAINER_OF(node, struct run_worker, node);

        if (worker->harness && !worker->is_closing)
            fn_worker_pause_data(worker->harness, is_paused);
    }
}

void run_memory_check(struct job_run *run, bool has_events) {
    bool is_behind = has_events || scratch_storing_bytes(run->scratch) > 0;

    if (!run->is_data_paused && is_behind && excess(run, PAUSE_ABOVE, PAUSE_ABOVE))
        set_paused(run, true);
    else if (run->is_data_paused && (!is_behind || !excess(run, RESUME_BELOW, RESUME_BELOW)))
        set_paused(run, false);
}
