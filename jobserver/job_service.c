#include "jobserver/job_service.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "engine/engine.h"
#include "jobserver/environment.h"
#include "jobserver/host.h"
#include "jobserver/job_service_internal.h"
#include "jobserver/live_config.h"
#include "jobserver/pipeline_options.h"
#include "translate/translate.h"
#include "wire/pb.h"

/* ------------------------------------------------------------------ shared */

static void arena_clearp(struct arena *arena) {
    arena_clear(arena);
}

static void fail(struct rpc_stream *call, const struct status *st) {
    rpc_fail(call, st->code, status_message(st));
}

void job_service_fill_state(Job__JobStateEvent *out, Google__Protobuf__Timestamp *storage, enum job_state state,
                            int64_t time_ms) {
    google__protobuf__timestamp__init(storage);
    storage->seconds = time_ms / 1000;
    storage->nanos = (int32_t)(time_ms % 1000) * 1000000;
    job__job_state_event__init(out);
    out->state = (Job__JobState__Enum)state;
    out->timestamp = storage;
}

/* A unary call about a job. */
struct job_call {
    struct job_service *service;
    struct rpc_stream *call;
    void (*answer)(struct job_service *service, struct rpc_stream *call, struct job *job); /* borrows the job */
};

static void job_call_found(void *user, struct job *job, const struct status *st) {
    struct job_call *of = user;

    if (st)
        fail(of->call, st);
    else
        of->answer(of->service, of->call, job);
    job_unref(job);
    free(of);
}

static void answer_about_job(struct job_service *service, struct rpc_stream *call, struct slice request,
                             void (*answer)(struct job_service *service, struct rpc_stream *call, struct job *job)) {
    struct job_call *of = xmalloc(sizeof(*of));

    *of = (struct job_call){.service = service, .call = call, .answer = answer};
    job_service_find_job(service, request, job_call_found, of);
}

/* ------------------------------------------------------------------ Prepare */

struct prepare_task {
    struct job_service *service;
    struct rpc_stream *call;
    struct slice request;
};

/* Whether every environment that the plan runs in can be run by this server. */
static int check_environments(const struct config *config, const struct plan *plan, struct status *st) {
    for (size_t i = 0; i < plan->environment_count; i++) {
        struct environment_choice choice = {0};
        int r = environment_choose(config, plan->environments[i].urn, plan->environments[i].payload, &choice, st);

        environment_choice_clear(&choice);
        if (r < 0)
            return r;
    }
    return 0;
}

/* The submitter's name for the job. Python's client calls all of them "job", whatever --job_name says. */
static char *name_of(const Job__PrepareJobRequest *request, const struct pipeline_options *options,
                     struct arena *arena) {
    const char *name = request->job_name;

    if (!name[0] || strcmp(name, "job") == 0)
        name = pipeline_options_string(options, "job_name", "");
    return arena_string(arena, name[0] ? name : "job");
}

static int check_options(const Job__PrepareJobRequest *request, struct slice bytes, struct arena *arena,
                         char **ret_name, struct status *st) {
    struct pipeline_options *options;
    int r = pipeline_options_create(bytes, &options, st);

    if (r < 0)
        return r;
    r = pipeline_options_check(options, st);
    *ret_name = name_of(request, options, arena);
    pipeline_options_destroy(options);
    return r;
}

/* Where the client reached us is where it can reach us again; a server behind a wildcard address or a forwarded port knows no
 * better one. Empty, or without a port (Unix sockets), it is no address. The caller frees it. */
static char *staging_endpoint(const struct job_service *service, const struct rpc_stream *call) {
    struct slice authority = rpc_stream_metadata(call, ":authority");

    if (authority.size > 0 && memchr(authority.data, ':', authority.size))
        return xmemdup0(authority.data, authority.size);
    return xstrdup(service->staging_endpoint);
}

/* UNIMPLEMENTED would tell a client that there is no such method. */
static void refuse_prepare(struct prepare_task *task, const struct status *st) {
    enum status_code code = st->code == STATUS_UNIMPLEMENTED ? STATUS_INVALID_ARGUMENT : st->code;

    log_info("job-service", "a pipeline was refused: %.2000s", status_message(st));
    rpc_fail(task->call, code, status_message(st));
}

/* It is in the catalogue, or not: the task's end. */
static void reply_prepared(void *user, struct preparation *preparation, const struct status *st) {
    struct prepare_task *task = user;
    Beam__ApiServiceDescriptor endpoint = BEAM__API_SERVICE_DESCRIPTOR__INIT;
    Job__PrepareJobResponse response = JOB__PREPARE_JOB_RESPONSE__INIT;
    CLEANUP(freep) char *url = staging_endpoint(task->service, task->call);

    if (st) {
        refuse_prepare(task, st);
    } else {
        endpoint.url = url;
        response.preparation_id = (char *)preparation_id(preparation);
        response.artifact_staging_endpoint = &endpoint;
        response.staging_session_token = (char *)preparation_staging_token(preparation);
        rpc_reply(task->call, PB_PACK(&response, NULL));
    }
    free(task);
}

static int make_preparation(struct prepare_task *task, const struct config *config,
                            const Job__PrepareJobRequest *request, struct status *st) {
    struct job_service *service = task->service;
    CLEANUP(arena_clearp)
    struct arena arena = {0}; /* of the name, and of environments that are put in place of others */
    CLEANUP_SLICE struct slice options = SLICE_EMPTY;
    CLEANUP_SLICE struct slice pipeline = SLICE_EMPTY;
    struct plan *plan;
    char *name;
    int r;

    if (!request->pipeline)
        return status_set(st, STATUS_INVALID_ARGUMENT, "the request holds no pipeline");
    if (request->pipeline_options)
        options = PB_PACK(request->pipeline_options, NULL);
    r = check_options(request, options, &arena, &name, st);
    if (r < 0)
        return r;
    r = environments_settle(config, request->pipeline, &arena, st);
    if (r == 0)
        r = translate_pipeline(request->pipeline, NULL, &plan, st);
    if (r < 0)
        return r;
    r = engine_check_plan(plan, st);
    if (r == 0)
        r = check_environments(config, plan, st);
    if (r < 0) {
        plan_destroy(plan);
        return r;
    }
    pipeline = PB_PACK(request->pipeline, NULL);
    return catalogue_prepare(service->options.catalogue,
                             &(struct preparation_spec){
                                 .name = name,
                                 .pipeline = pipeline,
                                 .pipeline_options = options,
                                 .plan = plan,
                             },
                             reply_prepared, task, st);
}

/* On the pool. */
static void run_prepare(void *user) {
    struct prepare_task *task = user;
    CLEANUP(arena_clearp) struct arena arena = {0};
    CLEANUP_STATUS struct status st = {0};
    Job__PrepareJobRequest *request;
    int r = PB_UNPACK(Job__PrepareJobRequest, job__prepare_job_request, task->request, PB_STRINGS_STRICT, &arena,
                      &request, &st);

    slice_unref(&task->request);
    if (r == 0) {
        struct config_snapshot *snapshot = live_config_get(task->service->options.config);

        r = make_preparation(task, &snapshot->config, request, &st);
        config_snapshot_unref(snapshot);
    }
    if (r < 0) {
        refuse_prepare(task, &st);
        free(task);
    }
}

static void prepare(struct rpc_stream *call, void *context, struct slice request) {
    struct job_service *service = context;
    struct prepare_task *task = xcalloc(1, sizeof(*task));

    *task = (struct prepare_task){.service = service, .call = call, .request = request};
    pool_run(service->options.pool, run_prepare, task);
}

/* ------------------------------------------------------------------ Run */

/* A job's way through the daemon's own log. Frees itself with the job's end, or goes with the service. */
struct job_logger {
    struct list node; /* in the service */
    struct job_service *service;
    struct job *job; /* owned reference */
    struct job_subscription *subscription;
};

static void job_logger_free(struct job_logger *logger) {
    job_unsubscribe(logger->subscription);
    job_unref(logger->job);
    free(logger);
}

static void log_event(void *user, const struct job_event *event) {
    struct job_logger *logger = user;
    const char *id = job_id(logger->job);

    if (!event->is_state) {
        if (event->importance >= JOB_MESSAGE_ERROR)
            log_write_job(LOG_LEVEL_WARNING, "job", id, "%.4000s", event->text);
        return;
    }
    log_write_job(LOG_LEVEL_INFO, "job", id, "%s", job_state_name(event->state));
    if (job_state_is_terminal(event->state)) {
        pthread_mutex_lock(&logger->service->mutex);
        list_remove(&logger->node);
        pthread_mutex_unlock(&logger->service->mutex);
        job_logger_free(logger);
    }
}

void job_service_log_job(struct job_service *service, struct job *job) {
    struct job_logger *logger = xcalloc(1, sizeof(*logger));

    logger->service = service;
    pthread_mutex_lock(&service->mutex);
    list_append(&service->loggers, &logger->node);
    pthread_mutex_unlock(&service->mutex);
    logger->job = job_ref(job);
    logger->subscription = job_subscribe_paused(job, log_event, logger);
    job_subscription_resume(logger->subscription);
}

/* The job is started while it is being written; the call is answered when both are through. */
struct run_task {
    struct job_service *service;
    struct rpc_stream *call;
    struct job *job; /* owned reference */
    atomic_uint pending;
    struct status save_error, start_error;
    struct job_subscription *subscription; /* of a job that cannot be started */
};

static void run_task_free(struct run_task *task) {
    job_unref(task->job);
    status_clear(&task->save_error);
    status_clear(&task->start_error);
    free(task);
}

static void refused_job_told(void *user, const struct job_event *event) {
    struct run_task *task = user;

    if (!event->is_state || !job_state_is_terminal(event->state))
        return;
    fail(task->call, &task->start_error);
    job_unsubscribe(task->subscription);
    run_task_free(task);
}

/* Answered when the job's end is on disk, so that it is found then. */
static void refuse_run(struct run_task *task) {
    task->subscription = job_subscribe_paused(task->job, refused_job_told, task);
    job_fail(task->job, status_message(&task->start_error));
    job_subscription_resume(task->subscription);
}

static void answer_run(struct run_task *task) {
    Job__RunJobResponse response = JOB__RUN_JOB_RESPONSE__INIT;

    if (task->save_error.code) {
        log_warning("job", "%s: %s", job_id(task->job), status_message(&task->save_error));
        host_cancel_job(task->service->options.host, task->job, status_message(&task->save_error));
        fail(task->call, &task->save_error);
    } else if (task->start_error.code) {
        refuse_run(task);
        return;
    } else {
        response.job_id = (char *)job_id(task->job);
        rpc_reply(task->call, PB_PACK(&response, NULL));
    }
    run_task_free(task);
}

static void run_task_step(struct run_task *task) {
    if (atomic_fetch_sub(&task->pending, 1) == 1)
        answer_run(task);
}

static void job_was_saved(void *user, struct job *job, const struct status *st) {
    struct run_task *task = user;

    (void)job;
    if (st)
        status_set(&task->save_error, st->code, "%s", status_message(st));
    run_task_step(task);
}

static void run(struct rpc_stream *call, void *context, struct slice request) {
    struct job_service *service = context;
    CLEANUP(arena_clearp) struct arena arena = {0};
    CLEANUP_STATUS struct status st = {0};
    Job__RunJobRequest *message;
    struct run_task *task;
    int r = PB_UNPACK(Job__RunJobRequest, job__run_job_request, request, PB_STRINGS_STRICT, &arena, &message, &st);

    slice_unref(&request);
    if (r < 0) {
        fail(call, &st);
        return;
    }
    task = xcalloc(1, sizeof(*task));
    task->service = service;
    task->call = call;
    atomic_init(&task->pending, 2);
    r = catalogue_start(service->options.catalogue, message->preparation_id, job_was_saved, task, &task->job, &st);
    if (r < 0) {
        fail(call, &st);
        run_task_free(task);
        return;
    }
    job_service_log_job(service, task->job);
    host_start_job(service->options.host, task->job, &task->start_error);
    run_task_step(task);
}

/* ------------------------------------------------------------------ what there is to know of jobs */

/* Of the newest jobs: what all of a long list would take is more than clients accept in a message (4 MiB). */
enum { MAX_LISTED_OPTIONS_BYTES = 2 << 20 };

static void add_job_info(const struct job_summary *job, struct slice options, struct buf *out) {
    Job__JobInfo info = JOB__JOB_INFO__INIT;
    struct buf line = {0};

    info.job_id = (char *)job->id;
    info.job_name = job->name;
    info.state = (Job__JobState__Enum)job->state;
    pb_pack_into(&info.base, &line);
    if (options.size)
        pb_add_bytes_field(&line, 3, options.data, options.size); /* pipeline_options */
    pb_add_bytes_field(out, 1, buf_data(&line), line.size);       /* job_info */
    buf_clear(&line);
}

/* By place in the list; the caller frees it. */
static struct slice *read_options(struct catalogue *catalogue, const struct job_summary *jobs, size_t count) {
    struct slice *options = xcalloc(MAX(count, (size_t)1), sizeof(*options));
    size_t bytes = 0;

    for (size_t i = count; i-- > 0 && bytes < MAX_LISTED_OPTIONS_BYTES;) {
        catalogue_job_options(catalogue, jobs[i].id, &options[i], NULL);
        bytes += options[i].size;
        if (bytes > MAX_LISTED_OPTIONS_BYTES)
            slice_unref(&options[i]);
    }
    return options;
}

struct list_task {
    struct job_service *service;
    struct rpc_stream *call;
};

/* On the pool: the options of many jobs may have to be read from the disk. */
static void list_jobs(void *user) {
    struct list_task *task = user;
    struct buf out = {0};
    size_t count;
    struct catalogue *catalogue = task->service->options.catalogue;
    struct job_summary *jobs = catalogue_list_jobs(catalogue, &(struct job_query){0}, &count);
    struct slice *options = read_options(catalogue, jobs, count);

    for (size_t i = 0; i < count; i++) {
        add_job_info(&jobs[i], options[i], &out);
        slice_unref(&options[i]);
    }
    free(options);
    job_summaries_free(jobs, count);
    rpc_reply(task->call, buf_finish(&out));
    free(task);
}

static void get_jobs(struct rpc_stream *call, void *context, struct slice request) {
    struct job_service *service = context;
    struct list_task *task = xcalloc(1, sizeof(*task));

    slice_unref(&request);
    *task = (struct list_task){.service = service, .call = call};
    pool_run(service->options.pool, list_jobs, task);
}

static void answer_state(struct job_service *service, struct rpc_stream *call, struct job *job) {
    Google__Protobuf__Timestamp time;
    Job__JobStateEvent response;
    int64_t time_ms;
    enum job_state state = job_state_since(job, &time_ms);

    (void)service;
    job_service_fill_state(&response, &time, state, time_ms);
    rpc_reply(call, PB_PACK(&response, NULL));
}

static void get_state(struct rpc_stream *call, void *context, struct slice request) {
    answer_about_job(context, call, request, answer_state);
}

static void answer_pipeline(struct job_service *service, struct rpc_stream *call, struct job *job) {
    struct buf out = {0};

    (void)service;
    pb_add_bytes_field(&out, 1, job_specification(job)->pipeline.data, job_specification(job)->pipeline.size);
    rpc_reply(call, buf_finish(&out));
}

static void get_pipeline(struct rpc_stream *call, void *context, struct slice request) {
    answer_about_job(context, call, request, answer_pipeline);
}

/* Answers at once: what a drain has to finish may take as long as it likes. */
static void answer_drain(struct job_service *service, struct rpc_stream *call, struct job *job) {
    Job__DrainJobResponse response = JOB__DRAIN_JOB_RESPONSE__INIT;
    CLEANUP_STATUS struct status st = {0};

    if (host_drain_job(service->options.host, job, &st) < 0) {
        fail(call, &st);
    } else {
        /* It may have ended since; that it drains may not be on disk yet. */
        enum job_state state = job_current_state(job);

        response.state = (Job__JobState__Enum)(job_state_is_terminal(state) ? state : JOB_DRAINING);
        rpc_reply(call, PB_PACK(&response, NULL));
    }
}

static void drain(struct rpc_stream *call, void *context, struct slice request) {
    answer_about_job(context, call, request, answer_drain);
}

/* ------------------------------------------------------------------ Cancel */

/* Waits for the job's end without a thread: answered by the job's subscription, or by the pool when the time is up. The pool's
 * task runs in any case, and is who frees. */
struct cancel_wait {
    struct rpc_stream *call;
    struct job *job; /* owned reference */
    struct job_subscription *subscription;
    atomic_flag is_answered;
};

static void reply_cancelled(struct rpc_stream *call, enum job_state state) {
    Job__CancelJobResponse response = JOB__CANCEL_JOB_RESPONSE__INIT;

    response.state = (Job__JobState__Enum)state;
    rpc_reply(call, PB_PACK(&response, NULL));
}

static void cancel_saw_event(void *user, const struct job_event *event) {
    struct cancel_wait *wait = user;

    if (event->is_state && job_state_is_terminal(event->state) && !atomic_flag_test_and_set(&wait->is_answered))
        reply_cancelled(wait->call, event->state);
}

/* It may have ended since; that it is being cancelled may not be in its history yet. */
static void cancel_time_is_up(void *user) {
    struct cancel_wait *wait = user;
    enum job_state state = job_current_state(wait->job);

    job_unsubscribe(wait->subscription);
    if (!atomic_flag_test_and_set(&wait->is_answered))
        reply_cancelled(wait->call, job_state_is_terminal(state) ? state : JOB_CANCELLING);
    job_unref(wait->job);
    free(wait);
}

static void answer_cancel(struct job_service *service, struct rpc_stream *call, struct job *job) {
    enum job_state state = job_current_state(job);
    struct cancel_wait *wait;

    if (job_state_is_terminal(state)) {
        reply_cancelled(call, state);
        return;
    }
    host_cancel_job(service->options.host, job, "the job was cancelled at a client's request");
    wait = xcalloc(1, sizeof(*wait));
    wait->call = call;
    wait->job = job_ref(job);
    atomic_flag_clear(&wait->is_answered);
    wait->subscription = job_subscribe_paused(job, cancel_saw_event, wait);
    job_subscription_resume(wait->subscription);
    pool_run_after(service->options.pool, service->options.cancel_wait_ms, cancel_time_is_up, wait);
}

static void cancel(struct rpc_stream *call, void *context, struct slice request) {
    answer_about_job(context, call, request, answer_cancel);
}

/* ------------------------------------------------------------------ GetJobMetrics */

enum { MAX_METRIC_LABELS = 32 };

static Beam__MonitoringInfo *make_metric(struct arena *arena, struct slice identity, struct slice payload) {
    Beam__MonitoringInfo *info = arena_new(arena, Beam__MonitoringInfo);
    const char *labels[MAX_METRIC_LABELS][2], *type, *urn;
    size_t count = 0;

    urn = metric_identity_parse(identity, &type, labels, MAX_METRIC_LABELS, &count);
    count = MIN(count, (size_t)MAX_METRIC_LABELS);
    beam__monitoring_info__init(info);
    info->urn = (char *)urn;
    info->type = (char *)type;
    info->payload = (ProtobufCBinaryData){.len = payload.size, .data = (uint8_t *)payload.data};
    info->labels = arena_new_array(arena, Beam__MonitoringInfo__LabelsEntry *, count);
    info->n_labels = count;
    for (size_t i = 0; i < count; i++) {
        info->labels[i] = arena_new(arena, Beam__MonitoringInfo__LabelsEntry);
        beam__monitoring_info__labels_entry__init(info->labels[i]);
        info->labels[i]->key = (char *)labels[i][0];
        info->labels[i]->value = (char *)labels[i][1];
    }
    return info;
}

static size_t make_metrics(struct arena *arena, const struct metric_table *table, Beam__MonitoringInfo ***ret) {
    Beam__MonitoringInfo **infos = arena_new_array(arena, Beam__MonitoringInfo *, table->by_identity.count);
    size_t count = 0;

    map_foreach (entry, &table->by_identity)
        infos[count++] =
            make_metric(arena, slice_of_static(entry->key, entry->key_size), *(struct slice *)entry->value);
    *ret = infos;
    return count;
}

static void answer_metrics(struct job_service *service, struct rpc_stream *call, struct job *job) {
    CLEANUP(arena_clearp) struct arena arena = {0};
    Job__GetJobMetricsResponse response = JOB__GET_JOB_METRICS_RESPONSE__INIT;
    Job__MetricResults results = JOB__METRIC_RESULTS__INIT;
    struct job_metrics *metrics = job_get_metrics(job);

    (void)service;
    results.n_attempted = make_metrics(&arena, &metrics->attempted, &results.attempted);
    results.n_committed = make_metrics(&arena, &metrics->committed, &results.committed);
    response.metrics = &results; /* set even when empty: TypeScript reads through it */
    rpc_reply(call, PB_PACK(&response, NULL));
    job_metrics_unref(metrics);
}

static void get_job_metrics(struct rpc_stream *call, void *context, struct slice request) {
    answer_about_job(context, call, request, answer_metrics);
}

/* ------------------------------------------------------------------ DescribePipelineOptions */

static void describe_pipeline_options(struct rpc_stream *call, void *context, struct slice request) {
    size_t count;
    const struct pipeline_option *own = pipeline_options_own(&count);
    struct buf out = {0};

    (void)context;
    slice_unref(&request);
    for (size_t i = 0; i < count; i++) {
        Job__PipelineOptionDescriptor option = JOB__PIPELINE_OPTION_DESCRIPTOR__INIT;

        option.name = (char *)own[i].name;
        option.type = (Job__PipelineOptionType__Enum)own[i].type;
        option.description = (char *)own[i].description;
        option.group = (char *)"Trestle";
        pb_add_message_field(&out, 1, &option.base); /* options */
    }
    rpc_reply(call, buf_finish(&out));
}

/* ------------------------------------------------------------------ the object */

static const struct rpc_method methods[] = {
    {.path = JOB_SERVICE_PATH("Prepare"), .unary = prepare},
    {.path = JOB_SERVICE_PATH("Run"), .unary = run},
    {.path = JOB_SERVICE_PATH("GetJobs"), .unary = get_jobs},
    {.path = JOB_SERVICE_PATH("GetState"), .unary = get_state},
    {.path = JOB_SERVICE_PATH("GetPipeline"), .unary = get_pipeline},
    {.path = JOB_SERVICE_PATH("Cancel"), .unary = cancel},
    {.path = JOB_SERVICE_PATH("Drain"), .unary = drain},
    {.path = JOB_SERVICE_PATH("GetStateStream"), .streaming = &job_state_stream, .begins_with_message = true},
    {.path = JOB_SERVICE_PATH("GetMessageStream"), .streaming = &job_message_stream, .begins_with_message = true},
    {.path = JOB_SERVICE_PATH("GetJobMetrics"), .unary = get_job_metrics},
    {.path = JOB_SERVICE_PATH("DescribePipelineOptions"), .unary = describe_pipeline_options},
};

struct job_service *job_service_create(const struct job_service_options *options) {
    struct job_service *service = xcalloc(1, sizeof(*service));

    service->options = *options;
    service->staging_endpoint = xstrdup(options->staging_endpoint);
    service->options.staging_endpoint = service->staging_endpoint;
    pthread_mutex_init(&service->mutex, NULL);
    list_init(&service->loggers);
    list_init(&service->watches);
    return service;
}

void job_service_register(struct job_service *service, struct rpc_server *server) {
    rpc_server_register(server, methods, ARRAY_COUNT(methods), service);
}

void job_service_destroy(struct job_service *service) {
    struct list *node;

    if (!service)
        return;
    while ((node = list_pop(&service->loggers)))
        job_logger_free(CONTAINER_OF(node, struct job_logger, node));
    pthread_mutex_destroy(&service->mutex);
    free(service->staging_endpoint);
    free(service);
}
