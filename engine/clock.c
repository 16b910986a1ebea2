#include "engine/internal.h"
#include "engine/liveview.h"
#include "engine/panes.h"
#include "engine/teststream.h"

event_time engine_clock(const struct engine *engine) {
    return engine->stream_count ? engine->clock_ms : engine->now_ms;
}

/* Everything whose time has come. */
void engine_time_passed(struct engine *engine) {
    /* The host may have stopped reading until the disk has caught up: then output that is late may be there already. */
    bool may_be_paused = engine->excess_bytes && engine->store.storing_bytes;

    for (size_t i = 0; i < engine->plan->stage_count; i++) {
        struct stage *stage = &engine->stages[i];
        size_t kept = 0;

        for (size_t j = 0; j < stage->delayed.count; j++) {
            struct delayed_residual *delayed = &stage->delayed.items[j];

            if (ahead_of_residual(engine, stage, delayed->due_ms) <= engine_clock(engine)) {
                if (delayed->due_ms > engine_clock(engine))
                    stage->open_until_ms = MAX(stage->open_until_ms, delayed->due_ms);
                input_queue_push(&stage->queue, delayed->item);
                engine->needs_schedule = true;
            } else {
                stage->delayed.items[kept++] = *delayed;
            }
        }
        stage->delayed.count = kept;
        engine->needs_schedule |= firing_has_due_processing_timer(engine, stage) ||
                                  (stage->panes && pane_group_next_wake(stage->panes) <= engine_clock(engine));
    }
    vec_foreach (view, &engine->views)
        engine->needs_schedule |= (*view)->live && live_view_next_wake((*view)->live) <= engine_clock(engine);
    vec_foreach (entry, &engine->running)
        if ((*entry)->send_at_ms != TIME_MIN && (*entry)->send_at_ms <= engine->now_ms)
            bundle_send(engine, *entry);
    for (size_t i = 0; i < engine->running.count && !engine->is_over;) {
        struct bundle *bundle = engine->running.items[i];
        bool is_late = bundle->response && bundle->response_deadline_ms <= engine->now_ms;

        if (is_late && !may_be_paused) {
            bundle_fail(engine, bundle, BUNDLE_FAILED_BY_PROTOCOL,
                        bundle->open_ends ? "the harness reported the bundle as processed but never ended all of its "
                                            "output streams"
                                          : "the harness reported the bundle as processed but never answered the split "
                                            "that it was asked for");
            continue;
        }
        if (is_late)
            bundle->response_deadline_ms = time_add(engine->now_ms, engine->options.output_timeout_ms);
        i++;
    }
    for (size_t i = engine->finalizing.count; i-- > 0 && !engine->is_over;)
        if (engine->finalizing.items[i].deadline_ms <= engine->now_ms)
            engine_forget_finalization(engine, i);
}

event_time engine_next_due(struct engine *engine) {
    event_time at = TIME_MAX, next;

    for (size_t i = 0; i < engine->plan->stage_count; i++) {
        struct stage *stage = &engine->stages[i];

        vec_foreach (delayed, &stage->delayed)
            at = MIN(at, ahead_of_residual(engine, stage, delayed->due_ms));
        next = firing_next_wake(engine, stage);
        at = MIN(at, next);
        next = stage->panes ? pane_group_next_wake(stage->panes) : TIME_MAX;
        at = MIN(at, next);
    }
    vec_foreach (view, &engine->views) {
        next = (*view)->live ? live_view_next_wake((*view)->live) : TIME_MAX;
        at = MIN(at, next);
    }
    return at;
}

void engine_ask_to_be_woken(struct engine *engine) {
    event_time at;

    if (!engine->needs_wake)
        return;
    engine->needs_wake = false;
    at = engine->stream_count ? TIME_MAX : engine_next_due(engine);
    vec_foreach (bundle, &engine->running) {
        if ((*bundle)->response)
            at = MIN(at, (*bundle)->response_deadline_ms);
        if ((*bundle)->send_at_ms != TIME_MIN)
            at = MIN(at, (*bundle)->send_at_ms);
    }
    vec_foreach (finalization, &engine->finalizing)
        at = MIN(at, finalization->deadline_ms);
    at = MIN(at, engine->split_at_ms);
    if (at == engine->wake_ms || at == TIME_MAX)
        return;
    engine->wake_ms = at;
    engine_add_action(engine, ENGINE_ACTION_WAKE)->at_ms = at;
}

/* Nothing runs and nothing is waited for, yet stages are open: an error, not a silence. */
static void check_stuck(struct engine *engine) {
    struct buf text = {0};

    if (engine->store.fetches.count || engine_next_due(engine) != TIME_MAX)
        return;
    for (size_t i = 0; i < engine->stream_count; i++)
        if (test_stream_is_open(engine->streams[i]))
            return;
    for (size_t i = 0; i < engine->plan->stage_count; i++) {
        struct stage *stage = &engine->stages[i];
        bool has_worker = false;

        vec_foreach (worker, &engine->workers)
            has_worker |= !worker->is_lost && worker->environment == stage->plan->environment;
        if (!stage->is_done && stage->plan->kind == PLAN_EXECUTABLE && !has_worker)
            return;
    }
    engine_describe(engine, &text);
    engine_fail(engine, "the job is stuck: nothing runs, nothing is due, and nothing can come:\n%.*s", (int)text.size,
                buf_data(&text));
    buf_clear(&text);
}

void engine_check_end(struct engine *engine) {
    bool is_done = true;

    if (engine->finalizing.count || engine->running.count)
        return;
    for (size_t i = 0; i < engine->plan->stage_count; i++)
        is_done &= engine->stages[i].is_done;
    if (!is_done) {
        check_stuck(engine);
        return;
    }
    engine_add_action(engine, engine->is_draining ? ENGINE_ACTION_JOB_DRAINED : ENGINE_ACTION_JOB_DONE);
    engine->is_over = true;
}
