#include "jobserver/job_run.h"

#include "base/clock.h"
#include "jobserver/inspection/graph.h"
#include "jobserver/run_limits.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_SLEEP_MS = 24 * 60 * 60 * 1000 };

event_time run_now_ms(const struct job_run *run) {
    return run->start_ms + (monotonic_now_ns() - run->start_ns) / 1000000;
}

struct run_event *run_event_create(enum run_event_type type, struct run_worker *worker) {
    struct run_event *event = xcalloc(1, sizeof(*event));

    event->type = type;
    event->worker = worker;
    return event;
}

void job_run_post(struct job_run *run, struct run_event *event) {
    mailbox_post(&run->mailbox, &event->node);
}

/* ---- actions ---- */

/* A bounded side input is complete before it is read and never changes, so that harnesses may keep it for as long as they serve the job; an
 * unbounded one may change with every bundle. User state changes: the engine says when (engine/shards.h). Harnesses know no jobs, and
 * outlive the daemon's runs of one: the token names both. */
static struct fn_cache_token *cache_tokens(const struct job_run *run, const struct plan_stage *stage,
                                           const struct engine_action *start, size_t *ret_count) {
    struct fn_cache_token *tokens = xcalloc(stage->side_input_count + 1, sizeof(*tokens));

    *ret_count = 0;
    for (size_t i = 0; i < stage->side_input_count; i++) {
        const struct plan_side_input *side = &stage->side_inputs[i];
        CLEANUP(freep) char *name = xasprintf("%s/%u", job_id(run->job), side->collection);

        if (!run->plan->collections[side->collection].is_bounded)
            continue;
        tokens[*ret_count].token = slice_copy(name, strlen(name), NULL);
        tokens[*ret_count].transform_id = side->transform_id;
        tokens[*ret_count].side_input_id = side->local_name;
        ++*ret_count;
    }
    if (start->has_state_token) {
        CLEANUP(freep)
        char *name = xasprintf("%s/%lld/%u.%u.%llu", job_id(run->job), (long long)run->start_ms, start->stage,
                               start->shard, (unsigned long long)start->state_epoch);

        tokens[(*ret_count)++].token = slice_copy(name, strlen(name), NULL);
    }
    return tokens;
}

/* NULL when there is none to call: a closed one may be gone at any time. */
static struct fn_worker *usable_harness(const struct run_worker *worker) {
    return worker && !worker->is_closing ? worker->harness : NULL;
}

struct fn_worker *run_usable_harness(struct job_run *run, unsigned worker) {
    return usable_harness(run_worker_by_number(run, worker));
}

static void start_bundle(struct job_run *run, const struct engine_action *action) {
    struct run_worker *worker = run_worker_by_number(run, action->worker);
    const struct plan_stage *stage = &run->plan->stages[action->stage];
    struct fn_cache_token *tokens;
    size_t count;

    map_set(&run->bundles, &action->bundle, sizeof(action->bundle), (void *)stage);
    atomic_fetch_add_explicit(&run->statistics->bundles_running, 1, memory_order_relaxed);
    if (!usable_harness(worker))
        return;
    run_worker_has_bundle(worker);
    run_watch_bundle(run, action->bundle, stage, action->worker);
    run_metrics_bundle_starts(run, action);
    tokens = cache_tokens(run, stage, action, &count);
    fn_worker_start_bundle(worker->harness, action->bundle, run_worker_descriptor(worker, stage), tokens, count);
    for (size_t i = 0; i < count; i++)
        slice_unref(&tokens[i].token);
    free(tokens);
}

static void send_input(struct job_run *run, const struct engine_action *action) {
    struct fn_worker *harness = usable_harness(run_worker_by_number(run, action->worker));
    const struct plan_stage *stage = map_get(&run->bundles, &action->bundle, sizeof(action->bundle));
    struct slice piece = slice_ref(action->bytes);

    if (!harness || !stage) {
        slice_unref(&piece);
        return;
    }
    statistics_add(&run->statistics->sent_bytes, piece.size);
    if (action->timer_family == PLAN_NONE) {
        fn_worker_send(harness, action->bundle, stage->source.transform_id, NULL, &piece, piece.size ? 1 : 0,
                       action->is_last);
    } else {
        const struct plan_timer_family *family = &stage->timer_families[action->timer_family];

        fn_worker_send(harness, action->bundle, family->transform_id, family->family_id, &piece, piece.size ? 1 : 0,
                       action->is_last);
    }
}

static void split_bundle(struct job_run *run, const struct engine_action *action) {
    struct fn_worker *harness = usable_harness(run_worker_by_number(run, action->worker));

    if (harness)
        fn_worker_split(harness, action->bundle, run->plan->stages[action->stage].source.transform_id, action->fraction,
                        (int64_t)action->element_count);
}

bool run_succeeded(const struct job_run *run) {
    return run->is_over && (run->end == ENGINE_ACTION_JOB_DONE || run->end == ENGINE_ACTION_JOB_DRAINED);
}

/* The engine is done; the workers are asked to end. */
static void job_ended(struct job_run *run, const struct engine_action *action) {
    run->is_over = true;
    run->end = action->type;
    run->end_error = action->error ? xstrdup(action->error) : NULL;
    run_sources_close(run);
    if (!run_succeeded(run) || !run_metrics_ask_last(run))
        run_workers_stop(run);
}

/* What is shown of a job that is over: how it was at its end. */
static void run_publish_graph(struct job_run *run) {
    struct run_snapshot *snapshot = run_take_snapshot(run);
    struct job_metrics *metrics = job_get_metrics(run->job);

    job_set_last_graph(run->job, inspection_pack_graph(run->plan, snapshot, metrics));
    job_metrics_unref(metrics);
    snapshot_board_put(run->board, snapshot);
}

/* The state it ends in, once the harnesses' last log lines are in: what comes after it nobody reads. */
static void publish_end(struct job_run *run) {
    run->is_published = true;
    run_metrics_publish(run);
    run_memory_report(run);
    run_publish_graph(run);
    if (run_succeeded(run))
        job_succeed(run->job);
    else if (run->end == ENGINE_ACTION_JOB_CANCELLED)
        job_set_state(run->job, run->is_requeued ? JOB_STOPPED : JOB_CANCELLED);
    else
        job_fail(run->job, run->end_error);
    free(run->end_error);
    run->end_error = NULL;
}

/* When run_now_ms() is `at_ms`. Times far ahead are looked at again once a day: waking too early does no harm. */
static int64_t wake_at(const struct job_run *run, event_time at_ms) {
    int64_t delay_ms = at_ms - run_now_ms(run);

    if (delay_ms > MAX_SLEEP_MS)
        return monotonic_now_ns() + (int64_t)MAX_SLEEP_MS * 1000000;
    return delay_ms <= 0 ? monotonic_now_ns() : run->start_ns + (at_ms - run->start_ms) * 1000000;
}

static void count_bundle(struct job_run *run, const struct engine_action *forget) {
    int64_t age_ns = run_watch_age_ns(run, forget->bundle);

    if (!map_remove(&run->bundles, &forget->bundle, sizeof(forget->bundle)))
        return;
    atomic_fetch_sub_explicit(&run->statistics->bundles_running, 1, memory_order_relaxed);
    statistics_add(forget->has_failed ? &run->statistics->bundles_failed : &run->statistics->bundles_done, 1);
    statistics_add(&run->statistics->elements_processed, forget->element_count);
    if (age_ns)
        latency_histogram_add(&run->statistics->bundle_latency, age_ns);
}

static void forget_bundle(struct job_run *run, const struct engine_action *action) {
    struct run_worker *worker = run_worker_by_number(run, action->worker);
    struct fn_worker *harness = usable_harness(worker);

    count_bundle(run, action);
    run_metrics_bundle_ended(run, action->bundle);
    run_watch_forget(run, action->bundle);
    if (!harness)
        return;
    fn_worker_forget_bundle(harness, action->bundle);
    if (action->has_failed)
        sdk_worker_spoil(worker->sdk);
}

static void perform(struct job_run *run, struct engine_action *action) {
    struct fn_worker *harness = usable_harness(run_worker_by_number(run, action->worker));

    switch (action->type) {
    case ENGINE_ACTION_START_BUNDLE:
        start_bundle(run, action);
        break;
    case ENGINE_ACTION_SEND:
        send_input(run, action);
        break;
    case ENGINE_ACTION_REPLY_STATE:
        if (harness)
            fn_worker_reply_state(harness, action->token, action->request_id, &action->response);
        break;
    case ENGINE_ACTION_SPLIT:
        split_bundle(run, action);
        break;
    case ENGINE_ACTION_FINALIZE:
        if (harness)
            fn_worker_finalize(harness, action->bundle);
        break;
    case ENGINE_ACTION_FORGET_BUNDLE:
        forget_bundle(run, action);
        break;
    case ENGINE_ACTION_STORE:
        scratch_store(run->scratch, action->extent, action->pieces, action->piece_count);
        action->piece_count = 0;
        break;
    case ENGINE_ACTION_LOAD:
        scratch_load(run->scratch, action->extent, action->token);
        break;
    case ENGINE_ACTION_DROP:
        scratch_drop(run->scratch, action->extent);
        break;
    case ENGINE_ACTION_WAKE:
        run->wake_ns = wake_at(run, action->at_ms);
        break;
    case ENGINE_ACTION_TEST_STREAM_PLAYED:
        run_source_consumed(run, action->stage);
        break;
    case ENGINE_ACTION_MESSAGE:
        job_add_message(run->job, JOB_MESSAGE_WARNING, "%s", action->error);
        break;
    case ENGINE_ACTION_JOB_DONE:
    case ENGINE_ACTION_JOB_DRAINED:
    case ENGINE_ACTION_JOB_FAILED:
    case ENGINE_ACTION_JOB_CANCELLED:
        job_ended(run, action);
        break;
    }
}

void run_engine_event(struct job_run *run, struct engine_event *event) {
    struct engine_action action;

    run->step_count++;
    event->now_ms = run_now_ms(run);
    event->excess_bytes = run_memory_excess(run);
    engine_step(run->engine, event);
    while (engine_next_action(run->engine, &action)) {
        perform(run, &action);
        engine_action_clear(&action);
    }
}

/* ---- events ---- */

/* Finds the sink or timer family that a piece of output names. False: the stage has none of that name. */
static bool find_output(const struct plan_stage *stage, struct run_event *event) {
    if (!event->has_family) {
        for (size_t i = 0; i < stage->sink_count; i++)
            if (slice_equal_string(event->transform_id, stage->sinks[i].transform_id)) {
                event->engine.type = ENGINE_EVENT_ELEMENTS;
                event->engine.output = (unsigned)i;
                return true;
            }
        return false;
    }
    for (size_t i = 0; i < stage->timer_family_count; i++)
        if (slice_equal_string(event->transform_id, stage->timer_families[i].transform_id) &&
            slice_equal_string(event->family, stage->timer_families[i].family_id)) {
            event->engine.type = ENGINE_EVENT_TIMERS;
            event->engine.output = (unsigned)i;
            return true;
        }
    return false;
}

static void take_elements(struct job_run *run, struct run_event *event) {
    const struct plan_stage *stage = map_get(&run->bundles, &event->engine.bundle, sizeof(event->engine.bundle));

    if (!stage)
        return;
    if (!find_output(stage, event)) {
        slice_unref(&event->engine.bytes);
        event->engine.type = ENGINE_EVENT_BUNDLE_FAILED;
        event->engine.error = xasprintf("the harness sent output for \"%.*s\", which is no output of the stage",
                                        (int)MIN(event->transform_id.size, (size_t)200), event->transform_id.data);
    }
    run_engine_event(run, &event->engine);
    event->engine = (struct engine_event){0};
}

static void elements_arrived(struct job_run *run, struct run_event *event) {
    size_t bytes = event->engine.bytes.size;
    struct fn_worker *harness;

    statistics_add(&run->statistics->received_bytes, bytes);
    take_elements(run, event);
    harness = usable_harness(event->worker);
    if (harness)
        fn_worker_consumed(harness, bytes);
}

static void drain(struct job_run *run) {
    if (run->is_over || job_start_draining(run->job, NULL) < 0)
        return;
    run_engine_event(run, &(struct engine_event){.type = ENGINE_EVENT_DRAIN});
    run_sources_close(run);
}

static void cancel(struct job_run *run) {
    if (run->is_over)
        return;
    job_set_state(run->job, JOB_CANCELLING);
    run_engine_event(run, &(struct engine_event){.type = ENGINE_EVENT_CANCEL});
}

static void requeue(struct job_run *run) {
    if (run->is_over)
        return;
    run->is_requeued = true;
    run_engine_event(run, &(struct engine_event){.type = ENGINE_EVENT_CANCEL});
}

static void handle(struct job_run *run, struct run_event *event) {
    char *text = event->text;

    event->text = NULL;
    run_watch_event(run, event);
    switch (event->type) {
    case RUN_EVENT_ENGINE:
        statistics_add(&run->statistics->state_requests, event->engine.type == ENGINE_EVENT_STATE);
        run_engine_event(run, &event->engine);
        event->engine = (struct engine_event){0};
        break;
    case RUN_EVENT_ELEMENTS:
        elements_arrived(run, event);
        break;
    case RUN_EVENT_PROGRESS:
        run_metrics_progress(run, event);
        break;
    case RUN_EVENT_PROCESS_METRICS:
        run_metrics_process(run, event);
        break;
    case RUN_EVENT_CONNECTED:
        run_worker_connected(event->worker);
        break;
    case RUN_EVENT_DISCONNECTED:
        run_worker_disconnected(event->worker, text);
        text = NULL;
        break;
    case RUN_EVENT_START_FAILED:
        run_worker_failed(event->worker, text);
        text = NULL;
        break;
    case RUN_EVENT_HARNESS_GONE:
        run_worker_harness_gone(event->worker);
        break;
    case RUN_EVENT_PROCESS_GONE:
        run_worker_process_gone(event->worker);
        break;
    case RUN_EVENT_STATUS:
        if (!run_inquiry_status(run, event->engine.bundle, text))
            run_watch_status(run, event->engine.bundle, text);
        break;
    case RUN_EVENT_SAMPLES:
        run_inquiry_samples(run, event->engine.token, event->samples);
        event->samples = NULL;
        break;
    case RUN_EVENT_INSPECT:
        snapshot_board_put(run->board, run_take_snapshot(run));
        break;
    case RUN_EVENT_INQUIRY:
        run_inquire(run, event->inquiry);
        break;
    case RUN_EVENT_HANDED_ON:
        run_worker_handed_on(event->worker);
        break;
    case RUN_EVENT_ENVIRONMENT_READY:
        run_environment_ready(run, event->engine.environment, event->native, text);
        text = NULL;
        break;
    case RUN_EVENT_SOURCE_ENDED:
        run->open_sources--;
        run_engine_event(run, &event->engine);
        event->engine = (struct engine_event){0};
        break;
    case RUN_EVENT_WAKE:
        break;
    case RUN_EVENT_DRAIN:
        drain(run);
        break;
    case RUN_EVENT_CANCEL:
        cancel(run);
        break;
    case RUN_EVENT_REQUEUE:
        requeue(run);
        break;
    }
    free(text);
}

void run_event_free(struct run_event *event) {
    engine_event_clear(&event->engine); /* what the engine did not take */
    slice_unref(&event->transform_id);
    slice_unref(&event->family);
    native_environment_unref(event->native);
    run_inquiry_unref(event->inquiry);
    fn_samples_free(event->samples);
    free(event->text);
    free(event);
}

static void check_time(struct job_run *run, int64_t now_ns) {
    if (run->wake_ns <= now_ns && !run->is_over) {
        run->wake_ns = INT64_MAX;
        run_engine_event(run, &(struct engine_event){.type = ENGINE_EVENT_TIME});
    }
}

/* Does what is due. Returns when there is something to do again, if no event comes before. What the engine does may set a deadline that
 * was looked at already, so all of them are looked at until it has nothing to do. */
static int64_t check_deadlines(struct job_run *run) {
    int64_t workers_ns, watch_ns, metrics_ns, next_ns;
    uint64_t step_count;

    do {
        int64_t now_ns = monotonic_now_ns();

        step_count = run->step_count;
        check_time(run, now_ns);
        watch_ns = run_watch_check(run, now_ns);
        metrics_ns = run_metrics_check(run, now_ns);
        workers_ns = run_workers_check_deadlines(run, now_ns);
    } while (run->step_count != step_count);
    next_ns = MIN(workers_ns, MIN(watch_ns, metrics_ns));
    return run->is_over ? next_ns : MIN(next_ns, run->wake_ns);
}

/* Nothing that could still call is left. */
static bool is_finished(const struct job_run *run) {
    return run->is_over && list_empty(&run->workers) && run->open_sources == 0;
}

static void *run_thread(void *user) {
    struct job_run *run = user;

    job_set_state(run->job, JOB_STARTING);
    run_engine_event(run, &(struct engine_event){.type = ENGINE_EVENT_TIME});
    if (job_cancel_is_requested(run->job))
        cancel(run);
    else
        job_set_state(run->job, JOB_RUNNING);
    if (!run->is_over) {
        run_sources_open(run);
        run_environments_start(run);
    }
    while (!is_finished(run)) {
        struct list events, *node;
        int64_t deadline_ns = check_deadlines(run);

        if (run->is_over && !run->is_published && run_workers_are_silent(run))
            publish_end(run);
        if (is_finished(run))
            break;
        list_init(&events);
        mailbox_take(&run->mailbox, deadline_ns, &events);
        while ((node = list_pop(&events))) {
            struct run_event *event = CONTAINER_OF(node, struct run_event, node);

            handle(run, event);
            run_event_free(event);
            run_memory_check(run, !list_empty(&events));
        }
    }
    run_environments_clear(run);
    if (!run->is_published)
        publish_end(run);
    host_run_finished(run->host, run);
    return NULL;
}

int job_run_start(struct job_run *run, struct status *st) {
    struct engine_options options = {
        .max_attempts_lost = run->config->retry_worker_lost_attempts,
        .max_attempts_user = run->attempts_wanted ? run->attempts_wanted : run->config->retry_user_exception_attempts,
        .output_timeout_ms = (int64_t)run->config->bundle_output_timeout_ms,
        .split_after_ms = (int64_t)run->config->bundle_split_after_ms,
        .latency_ms = (int64_t)run->config->stream_latency_ms,
        .checkpoint_after_ms = (int64_t)run->config->stream_checkpoint_after_ms,
        .open_ahead_ms = run->config->stream_open_ahead_ms ? (int64_t)run->config->stream_open_ahead_ms : -1,
        .max_element_bytes = run->config->limits_max_element_bytes,
        .max_inline_bytes = run->config->limits_max_inline_group_bytes,
        .account = run->account,
        .first_bundle = run->first_bundle,
    };
    unsigned *slots, all_slots = 0;
    int error;

    slots = xcalloc(run->plan->environment_count, sizeof(*slots));
    for (size_t i = 0; i < run->plan->environment_count; i++) {
        slots[i] = run->environments[i].wanted * run->environments[i].slots;
        all_slots += slots[i];
    }
    options.environment_slots = slots;
    run_limits_apply(&options, run_memory_budget(run), all_slots);

    run->start_ms = wall_clock_ms();
    run->start_ns = monotonic_now_ns();
    run_memory_start(run);
    run->engine = engine_create(run->plan, &options);
    free(slots);
    error = pthread_create(&run->thread, NULL, run_thread, run);
    return error ? status_set_errno(st, error, "cannot start a thread for job %s", job_id(run->job)) : 0;
}

void job_run_free(struct job_run *run) {
    struct list events, *node;

    snapshot_board_close(run->board);
    snapshot_board_unref(run->board);
    run_inquiries_clear(run);
    scratch_destroy(run->scratch);
    list_init(&events);
    mailbox_take(&run->mailbox, 0, &events);
    while ((node = list_pop(&events)))
        run_event_free(CONTAINER_OF(node, struct run_event, node));
    mailbox_finish(&run->mailbox);
    engine_destroy(run->engine);
    atomic_fetch_sub_explicit(&run->statistics->bundles_running, (long long)run->bundles.count, memory_order_relaxed);
    map_clear(&run->bundles, NULL);
    run_watch_clear(run);
    run_metrics_clear(&run->metrics);
    for (size_t i = 0; run->environments && i < run->plan->environment_count; i++) {
        environment_choice_clear(&run->environments[i].choice);
        free(run->environments[i].last_failure);
    }
    free(run->environments);
    free(run->sources);
    job_unref(run->job);
    account_unref(run->account);
    config_snapshot_unref(run->snapshot);
    free(run);
}
