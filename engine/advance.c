/* What moves by itself once something has happened: watermarks, and stages that become complete. */
#include "engine/gate.h"
#include "engine/internal.h"
#include "engine/liveview.h"
#include "engine/panes.h"
#include "engine/sorted.h"

bool stage_inputs_are_done(const struct engine *engine, const struct stage *stage) {
    for (size_t i = 0; i < stage->plan->input_count; i++)
        if (!engine->stages[engine->plan->collections[stage->plan->inputs[i]].producer].is_done)
            return false;
    return backlog_is_empty(&stage->arriving);
}

bool stage_has_pending(const struct stage *stage) {
    return stage->queue.count || stage->shard_count || stage->delayed.count || stage->retries.count || stage->running ||
           (stage->gate && gate_count(stage->gate));
}

/* Side inputs that nobody will read any more. */
static void free_unused_views(struct engine *engine) {
    vec_foreach (view, &engine->views) {
        const struct plan_collection *plan = &engine->plan->collections[(*view)->collection];
        bool is_used = false;

        for (size_t i = 0; i < plan->side_consumer_count; i++)
            is_used |= !engine->stages[plan->side_consumers[i]].is_done;
        if (is_used)
            continue;
        (*view)->is_unused = true;
        backlog_clear(engine, (*view)->backlog);
        view_clear(*view);
    }
}

/* What a stage that is done will not need any more. */
static void stage_release(struct engine *engine, struct stage *stage) {
    input_queue_clear(&stage->queue);
    user_state_clear(&stage->state);
    if (stage->group)
        group_forget_merges(stage->group);
    pane_group_destroy(stage->panes);
    stage->panes = NULL;
    for (unsigned i = 0; stage->shards && i < engine->options.key_shards; i++) {
        input_queue_clear(&stage->shards[i].queue);
        firing_clear_shard(engine, &stage->shards[i]);
    }
}

/* Elements whose side inputs have become ready. */
static void open_gate(struct engine *engine, struct stage *stage) {
    struct run run;

    for (size_t i = 0; i < stage->plan->side_input_count; i++) {
        struct view *view = stage->views[i];

        if (view->live)
            live_view_advance(view->live, view_watermark(engine, view), engine_clock(engine));
    }
    while (gate_release(stage->gate, &run)) {
        stage_enter(engine, stage, &run);
        run_clear(&run);
    }
}

/* What a stage of a stream does by itself as time goes on. */
static void move_stage(struct engine *engine, struct stage *stage) {
    if (!stage_is_streaming(stage))
        return;
    if (stage->gate)
        open_gate(engine, stage);
    if (stage->plan->requires_time_sorted_input)
        sorted_take_arrived(engine, stage);
    watermark_move_input(engine, stage);
    if (stage->panes)
        paned_advance(engine, stage);
    if (stage->shards)
        firing_collect(engine, stage);
    if (stage->plan->kind == PLAN_TEST_STREAM)
        played_move_watermarks(engine, stage);
    else
        watermark_move_output(engine, stage);
}

/* A stage that truncates has nothing left when the one whose restrictions it would truncate has none. */
static bool may_be_given_more(const struct engine *engine, const struct stage *stage) {
    const struct stage *drained = stage->plan->is_for_drain ? &engine->stages[stage->plan->drained_stage] : NULL;

    return stage_is_playing(engine, stage) ||
           (drained && (stage_has_pending(drained) || !backlog_is_empty(&drained->arriving)));
}

/* Whether the stage will put out nothing more, as far as it depends on the stage itself. */
static bool has_nothing_left(struct engine *engine, const struct stage *stage) {
    return !stage_has_pending(stage) && !may_be_given_more(engine, stage) && !firing_is_pending(engine, stage) &&
           backlog_is_empty(&stage->leaving) && rebucket_is_idle(stage) &&
           (!stage->plan->asks_for_merges || !questions_are_open(engine, stage)) &&
           (!stage->panes || pane_group_is_empty(stage->panes));
}

/* Of side inputs that change: what all readers have left behind (MODEL 8.8). */
static void forget_snapshots(struct engine *engine) {
    vec_foreach (view, &engine->views) {
        const struct plan_collection *plan = &engine->plan->collections[(*view)->collection];
        event_time least = TIME_MAX;

        if (!(*view)->live)
            continue;
        for (size_t i = 0; i < plan->side_consumer_count; i++) {
            const struct stage *reader = &engine->stages[plan->side_consumers[i]];
            event_time behind = time_add(reader->in_watermark, -stage_allowed_lateness(engine, reader));
            event_time firing = reader->shards ? firing_least_window(engine, reader) : TIME_MAX;

            if (!reader->is_done)
                least = MIN(least, MIN(behind, firing));
        }
        live_view_forget((*view)->live, least);
    }
}

void engine_advance(struct engine *engine) {
    bool any = false;

    watermark_note_flight(engine);
    /* Stages stand in topological order, so one pass carries watermarks and the end as far as they go. */
    for (size_t i = 0; i < engine->plan->stage_count && !engine->is_over; i++) {
        struct stage *stage = &engine->stages[i];

        if (stage->is_done)
            continue;
        move_stage(engine, stage);
        if (!stage_inputs_are_done(engine, stage))
            continue;
        if (stage->group && !stage->is_flushed) {
            if (stage->plan->asks_for_merges)
                questions_collect(engine, stage);
            else
                stage_flush(engine, stage);
        }
        if (!has_nothing_left(engine, stage))
            continue;
        if (stage->plan->asks_for_merges && stage->group)
            questions_ask(engine, stage);
        stage->is_done = any = true;
        watermark_end(engine, stage);
        stage_release(engine, stage);
    }
    forget_snapshots(engine);
    if (any)
        free_unused_views(engine);
}
