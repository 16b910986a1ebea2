#include "engine/internal.h"

#include <assert.h>
#include <stdlib.h>

#include "engine/gate.h"
#include "engine/liveview.h"
#include "engine/panes.h"
#include "engine/teststream.h"

static struct engine_options with_defaults(const struct engine_options *options) {
    struct engine_options o = options ? *options : (struct engine_options){0};

#define DEFAULT(field, value)                                                                                          \
    if (!o.field)                                                                                                      \
    o.field = (value)
    DEFAULT(max_attempts_lost, 4);
    DEFAULT(max_attempts_user, 2);
    DEFAULT(bundle_bytes, 32 << 20);
    DEFAULT(message_bytes, 1 << 20);
    DEFAULT(send_window_bytes, 4 << 20);
    DEFAULT(state_page_bytes, 1 << 20);
    DEFAULT(extent_bytes, 1 << 20);
    DEFAULT(max_inline_bytes, 32 << 20);
    DEFAULT(max_bucket_bytes, 16 << 20);
    DEFAULT(output_timeout_ms, 60000);
    DEFAULT(finalize_timeout_ms, 10000);
    DEFAULT(first_bundle, 1);
    DEFAULT(group_partitions, 32);
    DEFAULT(key_shards, 32);
    DEFAULT(split_after_ms, 500);
    DEFAULT(latency_ms, 10);
    DEFAULT(checkpoint_after_ms, 100);
    DEFAULT(open_ahead_ms, 1);
    DEFAULT(stream_bundle_bytes, 1 << 20);
#undef DEFAULT
    return o;
}

/* Views are shared between stages that read the same PCollection the same way. */
static struct view *view_for(struct engine *engine, const struct plan_side_input *side) {
    struct view *view;

    vec_foreach (existing, &engine->views)
        if ((*existing)->collection == side->collection && (*existing)->access == side->access)
            return *existing;
    view = xcalloc(1, sizeof(*view));
    view->collection = side->collection;
    view->access = side->access;
    view->coder = engine->plan->collections[side->collection].coder;
    view->account = engine->options.account;
    view->watermark = TIME_MIN;
    view->backlog = xcalloc(1, sizeof(*view->backlog));
    *view->backlog = (struct backlog){.absorb = view_absorb, .owner = view};
    if (!engine->plan->collections[side->collection].is_bounded)
        view->live =
            live_view_create(view, &engine->plan->windowings[engine->plan->collections[side->collection].windowing]);
    vec_push(&engine->views, view);
    return view;
}

static void stage_init(struct engine *engine, struct stage *stage, const struct plan_stage *plan) {
    stage->plan = plan;
    stage->arriving = (struct backlog){.absorb = stage_absorb, .owner = stage};
    stage->leaving = (struct backlog){.absorb = stage_write_out, .owner = stage};
    stage->in_watermark = stage->out_watermark = TIME_MIN;
    if (stage_is_streaming(stage) &&
        (plan->kind == PLAN_MERGE_GROUPS || (plan->kind == PLAN_GROUP_BY_KEY && !plan->asks_for_merges))) {
        paned_create(engine, stage);
    } else if (plan->kind == PLAN_GROUP_BY_KEY && !stage_is_streaming(stage)) {
        const struct plan_collection *input = &engine->plan->collections[plan->inputs[0]];

        stage->group = group_create(input->coder, &engine->plan->windowings[input->windowing],
                                    engine->options.group_partitions, engine->options.account);
    }
    stage->views = xcalloc(plan->side_input_count, sizeof(*stage->views));
    for (size_t i = 0; i < plan->side_input_count; i++)
        stage->views[i] = view_for(engine, &plan->side_inputs[i]);
    if (plan->kind == PLAN_EXECUTABLE)
        stage->gate = gate_create(engine, stage);
    if (plan->is_keyed)
        stage->shards = xcalloc(engine->options.key_shards, sizeof(*stage->shards));
}

/* Impulse: one empty byte string at the beginning of time, in the global window, before any firing (MODEL 2.7). */
static void deliver_impulse(struct engine *engine, const struct stage *stage) {
    struct buf out = {.account = engine->options.account};
    struct run run = {.count = 1, .least_ms = TIME_MIN, .has_least = true};

    windowed_value_write_header(&out, TIME_MIN, NULL, 0, &PANE_NO_FIRING);
    buf_add_varint(&out, 0);
    run.bytes = buf_finish(&out);
    for (size_t i = 0; i < stage->plan->output_count; i++)
        engine_deliver(engine, stage->plan->outputs[i], &run);
    run_clear(&run);
}

static void copy_environment_slots(struct engine *engine) {
    const unsigned *slots = engine->options.environment_slots;

    engine->environment_slots = xcalloc(engine->plan->environment_count + 1, sizeof(*slots));
    for (size_t i = 0; slots && i < engine->plan->environment_count; i++)
        engine->environment_slots[i] = slots[i];
    engine->options.environment_slots = NULL;
}

struct engine *engine_create(const struct plan *plan, const struct engine_options *options) {
    struct engine *engine = xcalloc(1, sizeof(*engine));

    engine->plan = plan;
    engine->options = with_defaults(options);
    copy_environment_slots(engine);
    engine->now_ms = TIME_MIN;
    engine->wake_ms = TIME_MAX;
    engine->split_at_ms = TIME_MAX;
    engine->next_bundle = engine->options.first_bundle;
    engine->needs_schedule = true;
    tally_init(&engine->tally, plan);
    engine->stages = xcalloc(plan->stage_count, sizeof(*engine->stages));
    engine->watermarks = xcalloc(plan->collection_count + 1, sizeof(*engine->watermarks));
    for (size_t i = 0; i < plan->collection_count; i++)
        engine->watermarks[i] = TIME_MIN;
    for (size_t i = 0; i < plan->stage_count; i++)
        stage_init(engine, &engine->stages[i], &plan->stages[i]);
    played_create(engine);
    for (size_t i = 0; i < plan->stage_count; i++)
        if (plan->stages[i].kind == PLAN_IMPULSE)
            deliver_impulse(engine, &engine->stages[i]);
    return engine;
}

static void stage_clear(struct engine *engine, struct stage *stage) {
    backlog_clear(engine, &stage->arriving);
    backlog_clear(engine, &stage->leaving);
    rebucket_clear(engine, stage);
    group_destroy(stage->group);
    pane_group_destroy(stage->panes);
    gate_free(stage->gate);
    input_queue_clear(&stage->queue);
    for (unsigned i = 0; stage->shards && i < engine->options.key_shards; i++) {
        input_queue_clear(&stage->shards[i].queue);
        buf_clear(&stage->shards[i].open);
        firing_clear_shard(engine, &stage->shards[i]);
    }
    free(stage->shards);
    vec_foreach (delayed, &stage->delayed)
        input_item_clear(&delayed->item);
    vec_free(&stage->delayed);
    vec_foreach (claim, &stage->retries)
        claim_free(*claim);
    vec_free(&stage->retries);
    free(stage->views);
    user_state_clear(&stage->state);
}

void engine_destroy(struct engine *engine) {
    if (!engine)
        return;
    engine->is_over = true; /* what is freed from now on asks for nothing */
    while (engine->running.count)
        bundle_free(engine, engine->running.items[0]);
    vec_free(&engine->running);
    map_clear(&engine->bundles, NULL);
    for (size_t i = 0; i < engine->plan->stage_count; i++)
        stage_clear(engine, &engine->stages[i]);
    free(engine->stages);
    free(engine->watermarks);
    played_destroy(engine);
    vec_foreach (view, &engine->views) {
        backlog_clear(engine, (*view)->backlog);
        free((*view)->backlog);
        view_clear(*view);
        free(*view);
    }
    vec_free(&engine->views);
    vec_free(&engine->workers);
    vec_free(&engine->finalizing);
    for (size_t i = engine->next_action; i < engine->actions.count; i++)
        engine_action_clear(&engine->actions.items[i]);
    vec_free(&engine->actions);
    store_clear(engine);
    tally_finish(&engine->tally);
    free(engine->environment_slots);
    free(engine);
}

struct engine_action *engine_add_action(struct engine *engine, enum engine_action_type type) {
    struct engine_action action = {.type = type, .timer_family = PLAN_NONE};

    assert(!engine->is_over);
    vec_push(&engine->actions, action);
    return vec_last(&engine->actions);
}

void engine_add_message(struct engine *engine, const char *format, ...) {
    va_list args;

    va_start(args, format);
    engine_add_action(engine, ENGINE_ACTION_MESSAGE)->error = xvasprintf(format, args);
    va_end(args);
}

void engine_fail(struct engine *engine, const char *format, ...) {
    va_list args;

    if (engine->is_over)
        return;
    va_start(args, format);
    engine_add_action(engine, ENGINE_ACTION_JOB_FAILED)->error = xvasprintf(format, args);
    va_end(args);
    engine->is_over = true;
}

struct worker_slot *engine_worker(const struct engine *engine, unsigned number) {
    vec_foreach (worker, &engine->workers)
        if (worker->number == number)
            return worker;
    return NULL;
}

const struct coder *stage_source_coder(const struct engine *engine, const struct stage *stage) {
    return engine->plan->collections[stage->plan->source.collection].coder;
}

bool engine_next_action(struct engine *engine, struct engine_action *ret_action) {
    if (engine->next_action == engine->actions.count) {
        engine->next_action = engine->actions.count = 0;
        return false;
    }
    *ret_action = engine->actions.items[engine->next_action++];
    return true;
}

void engine_action_clear(struct engine_action *action) {
    slice_unref(&action->bytes);
    for (size_t i = 0; i < action->piece_count; i++)
        slice_unref(&action->pieces[i]);
    free(action->pieces);
    free(action->request_id);
    free(action->error);
    state_response_clear(&action->response);
    *action = (struct engine_action){0};
}

/* ---- events ---- */

static void worker_up(struct engine *engine, const struct engine_event *event) {
    struct worker_slot worker = {.number = event->worker, .environment = event->environment, .slots = event->slots};

    assert(!engine_worker(engine, event->worker));
    vec_push(&engine->workers, worker);
    engine->needs_schedule = true;
}

void engine_forget_finalization(struct engine *engine, size_t i) {
    struct engine_action *action = engine_add_action(engine, ENGINE_ACTION_FORGET_BUNDLE);

    action->bundle = engine->finalizing.items[i].bundle;
    action->worker = engine->finalizing.items[i].worker;
    action->element_count = engine->finalizing.items[i].element_count;
    engine->finalizing.items[i] = *vec_last(&engine->finalizing);
    engine->finalizing.count--;
}

static void worker_lost(struct engine *engine, const struct engine_event *event) {
    struct worker_slot *worker = engine_worker(engine, event->worker);

    if (!worker || worker->is_lost)
        return;
    worker->is_lost = true;
    for (size_t i = engine->finalizing.count; i-- > 0;)
        if (engine->finalizing.items[i].worker == event->worker)
            engine_forget_finalization(engine, i);
    for (size_t i = 0; i < engine->running.count && !engine->is_over;) {
        struct bundle *bundle = engine->running.items[i];

        if (bundle->worker == event->worker)
            bundle_fail(engine, bundle, BUNDLE_FAILED_WORKER_LOST, event->error);
        else
            i++;
    }
}

static bool environment_needed(const struct engine *engine, unsigned environment) {
    for (size_t i = 0; i < engine->plan->stage_count; i++) {
        const struct stage *stage = &engine->stages[i];

        if (stage->plan->kind == PLAN_EXECUTABLE && stage->plan->environment == environment && !stage->is_done)
            return true;
    }
    return false;
}

static void environment_failed(struct engine *engine, const struct engine_event *event) {
    vec_foreach (worker, &engine->workers)
        if (worker->environment == event->environment && !worker->is_lost)
            return; /* others do the work */
    if (environment_needed(engine, event->environment))
        engine_fail(engine, "%s", event->error ? event->error : "no worker could be started");
}

static void finalized(struct engine *engine, uint64_t bundle) {
    for (size_t i = 0; i < engine->finalizing.count; i++)
        if (engine->finalizing.items[i].bundle == bundle) {
            engine_forget_finalization(engine, i);
            return;
        }
}

static void handle(struct engine *engine, struct engine_event *event) {
    struct bundle *bundle = map_get(&engine->bundles, &event->bundle, sizeof(event->bundle));

    switch (event->type) {
    case ENGINE_EVENT_TIME:
        break;
    case ENGINE_EVENT_WORKER_UP:
        worker_up(engine, event);
        break;
    case ENGINE_EVENT_WORKER_LOST:
        worker_lost(engine, event);
        break;
    case ENGINE_EVENT_ENVIRONMENT_FAILED:
        environment_failed(engine, event);
        break;
    case ENGINE_EVENT_ELEMENTS:
        if (bundle) {
            bundle_elements(engine, bundle, event->output, event->bytes, event->is_last);
            event->bytes = SLICE_EMPTY;
        }
        break;
    case ENGINE_EVENT_TIMERS:
        if (bundle) {
            bundle_timers(engine, bundle, event->output, event->bytes, event->is_last);
            event->bytes = SLICE_EMPTY;
        }
        break;
    case ENGINE_EVENT_STATE:
        if (bundle)
            engine_answer_state(engine, bundle, event->token, event->request);
        else
            engine_refuse_state(engine, event->worker, event->bundle, event->token, event->request);
        break;
    case ENGINE_EVENT_PROGRESS:
        if (bundle) {
            bundle_progress(bundle, event->response);
            event->response = NULL;
        }
        break;
    case ENGINE_EVENT_BUNDLE_DONE:
        if (bundle) {
            bundle_done(engine, bundle, event->response);
            event->response = NULL;
        }
        break;
    case ENGINE_EVENT_BUNDLE_FAILED:
        if (bundle)
            bundle_fail(engine, bundle, BUNDLE_FAILED_IN_SDK, event->error);
        break;
    case ENGINE_EVENT_SENT:
        if (bundle)
            bundle_sent(engine, bundle, event->byte_count);
        break;
    case ENGINE_EVENT_SPLIT:
        if (bundle) {
            bundle_split_answered(engine, bundle, event->split);
            event->split = NULL;
        }
        break;
    case ENGINE_EVENT_FINALIZED:
        finalized(engine, event->bundle);
        break;
    case ENGINE_EVENT_STORED:
        store_stored(engine, event->extent);
        break;
    case ENGINE_EVENT_LOADED:
        store_loaded(engine, event->token, event->bytes);
        event->bytes = SLICE_EMPTY;
        break;
    case ENGINE_EVENT_STORE_FAILED:
        engine_fail(engine, "%s", event->error ? event->error : "the job's data could not be stored");
        break;
    case ENGINE_EVENT_TEST_STREAM:
        played_take(engine, event);
        break;
    case ENGINE_EVENT_DRAIN:
        engine_drain(engine);
        break;
    case ENGINE_EVENT_CANCEL:
        engine_add_action(engine, ENGINE_ACTION_JOB_CANCELLED);
        engine->is_over = true;
        break;
    }
}

void engine_event_clear(struct engine_event *event) {
    slice_unref(&event->bytes);
    free(event->error);
    if (event->request) {
        state_request_clear(event->request);
        free(event->request);
    }
    if (event->response) {
        bundle_response_clear(event->response);
        free(event->response);
    }
    if (event->split) {
        bundle_split_clear(event->split);
        free(event->split);
    }
    if (event->test_event) {
        slice_unref(&event->test_event->elements);
        free(event->test_event);
    }
    *event = (struct engine_event){0};
}

/* What follows from what happened. */
static void settle(struct engine *engine) {
    if (engine->is_over || !engine->needs_schedule)
        return;
    engine->needs_schedule = false;
    engine_advance(engine);
    if (!engine->is_over)
        engine_schedule(engine);
    engine->split_at_ms = engine->now_ms;
}

void engine_step(struct engine *engine, struct engine_event *event) {
    if (!engine->is_over) {
        if (event->now_ms > engine->now_ms)
            engine->now_ms = event->now_ms;
        engine->excess_bytes = event->excess_bytes;
        /* Woken although it is not time yet, by this clock: ask again. */
        if (event->type == ENGINE_EVENT_TIME && engine->now_ms < engine->wake_ms) {
            engine->wake_ms = TIME_MAX;
            engine->needs_wake = true;
        }
        handle(engine, event);
        /* After the event: what came in time counts, and a worker that was lost is given nothing more. */
        if (!engine->is_over && engine->now_ms >= engine->wake_ms) {
            engine->wake_ms = TIME_MAX;
            engine->needs_wake = true;
            engine_time_passed(engine);
        }
        settle(engine);
        while (!engine->is_over && engine_play(engine))
            settle(engine);
        if (!engine->is_over && engine->now_ms >= engine->split_at_ms)
            engine_split(engine);
        if (!engine->is_over)
            engine_spill(engine);
        if (!engine->is_over)
            engine_check_end(engine);
        if (!engine->is_over)
            engine_ask_to_be_woken(engine);
    }
    engine_event_clear(event);
}

/* ---- metrics ---- */

void engine_copy_metrics(struct engine *engine, struct metric_table *ret_attempted,
                         struct metric_table *ret_committed) {
    tally_copy(&engine->tally, ret_attempted, ret_committed);
    vec_foreach (item, &engine->running) {
        const struct bundle *bundle = *item;

        tally_add_running(&engine->tally, bundle->stage->plan->index,
                          bundle->response ? bundle->response : bundle->progress, ret_attempted);
    }
}
