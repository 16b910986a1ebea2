/* Jobs: the list, and one in detail. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "jobserver/environment.h"
#include "jobserver/host.h"
#include "jobserver/inspection/graph.h"
#include "jobserver/inspection/headline.h"
#include "jobserver/inspection/internal.h"
#include "jobserver/inspection/sdk_name.h"
#include "wire/struct_json.h"
#include "worker/worker.h"

enum { DEFAULT_JOBS = 100, MAX_JOBS = 1000 };

typedef Trestle__V1__JobSummary summary_t;
typedef Trestle__V1__JobDetail detail_t;

/* ---- summaries ---- */

/* `snapshot` NULL: nothing runs. */
static double progress_of(bool has_no_end, const struct plan *plan, enum job_state state,
                          const struct run_snapshot *snapshot) {
    if (has_no_end)
        return -1;
    if (state == JOB_DONE)
        return 1;
    return snapshot && plan ? inspection_progress(plan, &snapshot->engine) : -1;
}

/* All that the digest knows. */
static void fill_digest(const char *id, const char *name, enum job_state state, const struct digest *digest,
                        struct arena *arena, summary_t *summary) {
    trestle__v1__job_summary__init(summary);
    summary->id = arena_string(arena, id);
    summary->name = arena_string(arena, name);
    summary->state = (char *)job_state_name(state);
    summary->submitted_ms = digest_time_of(digest, JOB_STOPPED);
    summary->started_ms = digest_time_of(digest, JOB_STARTING);
    summary->ended_ms = digest_end(digest);
    summary->is_streaming = digest->is_streaming;
    summary->progress = progress_of(digest->is_streaming, NULL, state, NULL);
    summary->retries = digest->retries;
    summary->error = headline(arena, digest->error);
    summary->sdk = arena_string(arena, digest->sdk);
    summary->priority = digest->priority;
}

static void fill_summary(struct job *job, const struct digest *digest, const struct run_snapshot *snapshot,
                         struct arena *arena, summary_t *summary) {
    const struct job_spec *spec = job_specification(job);
    enum job_state state = job_current_state(job);

    fill_digest(job_id(job), spec->name, state, digest, arena, summary);
    if (!snapshot)
        return;
    summary->progress = progress_of(digest->is_streaming, spec->plan, state, snapshot);
    summary->retries = (uint32_t)snapshot->engine.retries;
}

/* ---- the list ---- */

static bool has_state(const Trestle__V1__ListJobsRequest *request, const char *state) {
    for (size_t i = 0; i < request->n_states; i++)
        if (strcasecmp(request->states[i], state) == 0)
            return true;
    return request->n_states == 0;
}

static bool job_fits(const Trestle__V1__ListJobsRequest *request, const struct job_summary *job) {
    return has_state(request, job_state_name(job->state)) &&
           (!request->contains[0] || strcasestr(job->id, request->contains) ||
            strcasestr(job->name, request->contains));
}

static int check_states(const Trestle__V1__ListJobsRequest *request, struct status *st) {
    for (size_t i = 0; i < request->n_states; i++) {
        bool is_known = false;

        for (enum job_state state = JOB_STOPPED; state <= JOB_CANCELLING && !is_known; state++)
            is_known = strcasecmp(request->states[i], job_state_name(state)) == 0;
        if (!is_known)
            return status_set(st, STATUS_INVALID_ARGUMENT, "states: \"%.40s\" is no state of a job",
                              request->states[i]);
    }
    return 0;
}

static summary_t *summary_of_job(struct inspection *inspection, struct job *job, struct arena *arena) {
    summary_t *summary = arena_new(arena, summary_t);
    struct digest digest = digests_get(&inspection->digests, job);
    struct run_snapshot *snapshot = host_inspect_job(inspection->options.host, job, 0);

    fill_summary(job, &digest, snapshot, arena, summary);
    if (job_current_state(job) == JOB_STOPPED)
        summary->queue_place = host_queue_place(inspection->options.host, job);
    run_snapshot_unref(snapshot);
    digest_clear(&digest);
    return summary;
}

/* Of a job that is known to be over nothing is read again, from disk least of all. NULL: it is gone since it was listed. */
static summary_t *make_summary(struct inspection *inspection, const struct job_summary *listed, struct arena *arena) {
    summary_t *summary = NULL;
    struct digest digest;
    struct job *job;

    if (digests_get_ended(&inspection->digests, listed->id, &digest)) {
        summary = arena_new(arena, summary_t);
        fill_digest(listed->id, listed->name, digest.states[digest.state_count - 1].state, &digest, arena, summary);
        digest_clear(&digest);
    } else if (catalogue_find_job(inspection->options.catalogue, listed->id, &job, NULL) == 0) {
        summary = summary_of_job(inspection, job, arena);
        job_unref(job);
    }
    return summary;
}

int inspect_jobs(struct inspection *inspection, const ProtobufCMessage *base, struct arena *arena,
                 ProtobufCMessage **ret, struct status *st) {
    const Trestle__V1__ListJobsRequest *request = (const Trestle__V1__ListJobsRequest *)base;
    Trestle__V1__ListJobsResponse *response = arena_new(arena, Trestle__V1__ListJobsResponse);
    size_t limit = request->limit ? MIN(request->limit, (uint32_t)MAX_JOBS) : DEFAULT_JOBS, count;
    struct job_summary *jobs;
    int r = check_states(request, st);

    if (r < 0)
        return r;
    jobs = catalogue_list_jobs(inspection->options.catalogue, &(struct job_query){.newest_first = true}, &count);
    trestle__v1__list_jobs_response__init(response);
    response->jobs = ARENA_ARRAY(arena, summary_t, limit);
    for (size_t i = 0; i < count; i++) {
        /* Ids are ordered by time. */
        bool is_on_page = !request->before_id[0] || strcmp(jobs[i].id, request->before_id) < 0;
        summary_t *summary;

        if (!job_fits(request, &jobs[i]))
            continue;
        response->total++;
        if (is_on_page && response->n_jobs == limit)
            response->has_more = true;
        else if (is_on_page && (summary = make_summary(inspection, &jobs[i], arena)))
            response->jobs[response->n_jobs++] = summary;
    }
    job_summaries_free(jobs, count);
    *ret = &response->base;
    return 0;
}

/* ---- one job ---- */

static void fill_states(detail_t *detail, const struct digest *digest, struct arena *arena) {
    detail->states = ARENA_ARRAY(arena, Trestle__V1__StateChange, digest->state_count);
    for (size_t i = 0; i < digest->state_count; i++) {
        Trestle__V1__StateChange *change = arena_new(arena, Trestle__V1__StateChange);

        trestle__v1__state_change__init(change);
        change->state = (char *)job_state_name(digest->states[i].state);
        change->time_ms = digest->states[i].time_ms;
        detail->states[detail->n_states++] = change;
    }
}

static char *options_json(struct slice options, struct arena *arena) {
    struct buf out = {0};
    char *text = (char *)"{}";

    if (struct_to_json(options, &out, NULL) == 0 && out.size)
        text = arena_copy(arena, buf_data(&out), out.size);
    buf_clear(&out);
    return text;
}

/* How it is run here; empty: not at all. */
static char *way_of(const struct config *config, const struct plan_environment *environment) {
    static const struct {
        const char *urn;
        const char *way;
    } ways[] = {
        {"beam:env:external:v1", "external"},
        {"beam:env:process:v1", "process"},
        {"beam:env:docker:v1", "container"},
        {WORKER_NATIVE_URN, "native"},
    };
    struct environment_choice choice = {0};
    char *way = (char *)"";

    if (environment_choose(config, environment->urn, environment->payload, &choice, NULL) == 0)
        for (size_t i = 0; i < ARRAY_COUNT(ways); i++)
            if (strcmp(choice.urn, ways[i].urn) == 0)
                way = (char *)ways[i].way;
    environment_choice_clear(&choice);
    return way;
}

static void add_environments(detail_t *detail, const struct config *config, const struct plan *plan,
                             struct arena *arena) {
    detail->environments = ARENA_ARRAY(arena, Trestle__V1__Environment, plan ? plan->environment_count : 0);
    for (size_t i = 0; plan && i < plan->environment_count; i++) {
        const struct plan_environment *from = &plan->environments[i];
        Trestle__V1__Environment *environment = arena_new(arena, Trestle__V1__Environment);
        CLEANUP(freep) char *about = worker_describe_environment(from->urn, from->payload);

        trestle__v1__environment__init(environment);
        environment->id = arena_string(arena, from->id);
        environment->urn = arena_string(arena, from->urn);
        environment->about = arena_string(arena, about);
        environment->way = way_of(config, from);
        environment->sdk = sdk_name(from, arena);
        detail->environments[detail->n_environments++] = environment;
    }
}

static void fill_environments(detail_t *detail, struct inspection *inspection, const struct config *config,
                              const struct job *job, struct arena *arena) {
    const struct plan *plan = job_specification(job)->plan;

    if (plan) {
        add_environments(detail, config, plan, arena);
        return;
    }
    add_environments(detail, config, stored_plan_take(&inspection->stored_plan, job), arena);
    stored_plan_release(&inspection->stored_plan);
}

/* ---- what runs ---- */

static void add_bundles(const struct run_snapshot *snapshot, const struct plan *plan, unsigned worker_number,
                        Trestle__V1__Worker *worker, struct arena *arena) {
    worker->bundles = ARENA_ARRAY(arena, Trestle__V1__RunningBundle, snapshot->engine.bundle_count);
    for (size_t i = 0; i < snapshot->engine.bundle_count; i++) {
        const struct bundle_inspection *from = &snapshot->engine.bundles[i];
        Trestle__V1__RunningBundle *bundle;

        if (from->worker != worker_number)
            continue;
        bundle = arena_new(arena, Trestle__V1__RunningBundle);
        trestle__v1__running_bundle__init(bundle);
        bundle->id = from->id;
        bundle->stage = arena_string(arena, plan->stages[from->stage].name);
        bundle->running_ms = MAX(snapshot->now_ms - from->started_ms, (int64_t)0);
        bundle->silent_ms = snapshot->silent_ms[i];
        bundle->attempt = from->attempt;
        worker->bundles[worker->n_bundles++] = bundle;
    }
}

static void add_workers(const struct run_snapshot *snapshot, const struct plan *plan, detail_t *detail,
                        struct arena *arena) {
    static const char *const states[] = {
        [WORKER_STARTING] = "starting", [WORKER_CONNECTED] = "connected", [WORKER_LEAVING] = "leaving"};

    detail->workers = ARENA_ARRAY(arena, Trestle__V1__Worker, snapshot->worker_count);
    for (size_t i = 0; i < snapshot->worker_count; i++) {
        const struct worker_snapshot *from = &snapshot->workers[i];
        Trestle__V1__Worker *worker = arena_new(arena, Trestle__V1__Worker);

        trestle__v1__worker__init(worker);
        worker->id = arena_string(arena, from->name);
        worker->environment = arena_string(arena, from->environment);
        worker->state = (char *)states[from->state];
        worker->slots = from->slots;
        worker->connected_ms = from->connected_ms;
        worker->has_status = from->has_status;
        add_bundles(snapshot, plan, from->number, worker, arena);
        detail->workers[detail->n_workers++] = worker;
    }
}

static char *waits_for(const struct run_snapshot *snapshot, const struct plan *plan, struct arena *arena) {
    struct buf out = {0};
    char *text;

    for (size_t i = 0; i < snapshot->engine.stage_count; i++)
        if (snapshot->engine.stages[i].waits_for)
            buf_printf(&out, "stage %zu (%s): %s\n", i, plan->stages[i].name, snapshot->engine.stages[i].waits_for);
    text = arena_copy(arena, buf_data(&out), out.size);
    buf_clear(&out);
    return text;
}

static void fill_run(const struct run_snapshot *snapshot, const struct plan *plan, detail_t *detail,
                     struct arena *arena) {
    detail->memory_bytes = snapshot->memory_bytes;
    detail->peak_memory_bytes = snapshot->peak_memory_bytes;
    detail->disk_bytes = snapshot->disk_bytes;
    add_workers(snapshot, plan, detail, arena);
    detail->waits_for = waits_for(snapshot, plan, arena);
}

static detail_t *make_detail(struct inspection *inspection, struct job *job, struct arena *arena) {
    struct config_snapshot *in_force = live_config_get(inspection->options.config);
    const struct job_spec *spec = job_specification(job);
    struct digest digest = digests_get(&inspection->digests, job);
    struct run_snapshot *snapshot = host_inspect_job(inspection->options.host, job, INSPECTION_WAIT_MS);
    detail_t *detail = arena_new(arena, detail_t);

    trestle__v1__job_detail__init(detail);
    detail->summary = arena_new(arena, summary_t);
    fill_summary(job, &digest, snapshot, arena, detail->summary);
    fill_states(detail, &digest, arena);
    fill_environments(detail, inspection, &in_force->config, job, arena);
    detail->error = digest.error ? arena_string(arena, digest.error) : (char *)"";
    detail->options_json = options_json(spec->pipeline_options, arena);
    detail->warnings = digest.warnings;
    detail->peak_memory_bytes = digest.peak_memory_bytes;
    if (snapshot && spec->plan)
        fill_run(snapshot, spec->plan, detail, arena);
    config_snapshot_unref(in_force);
    run_snapshot_unref(snapshot);
    digest_clear(&digest);
    return detail;
}

int inspect_job(struct inspection *inspection, const ProtobufCMessage *base, struct arena *arena,
                ProtobufCMessage **ret, struct status *st) {
    const Trestle__V1__GetJobRequest *request = (const Trestle__V1__GetJobRequest *)base;
    struct job *job;
    int r = catalogue_find_job(inspection->options.catalogue, request->job_id, &job, st);

    if (r < 0)
        return r;
    *ret = &make_detail(inspection, job, arena)->base;
    job_unref(job);
    return 0;
}
