#include "engine/gate.h"
#include "engine/internal.h"
#include "engine/panes.h"
#include "engine/sorted.h"

event_time stage_input_watermark(const struct engine *engine, const struct stage *stage) {
    if (stage_is_streaming(stage))
        return stage->in_watermark;
    return stage_inputs_are_done(engine, stage) ? TIME_MAX : TIME_MIN;
}

event_time stage_event_clock(const struct engine *engine, const struct stage *stage) {
    event_time watermark = stage_input_watermark(engine, stage);

    if (!stage_is_streaming(stage) || !stage->plan->requires_time_sorted_input || watermark == TIME_MAX)
        return watermark;
    return time_add(watermark, -stage_allowed_lateness(engine, stage));
}

event_time stage_timers_limit(const struct engine *engine, const struct stage *stage) {
    event_time clock = stage_event_clock(engine, stage);

    return clock == TIME_MAX ? TIME_MAX : clock - 1; /* at the beginning of time, none */
}

int64_t stage_allowed_lateness(const struct engine *engine, const struct stage *stage) {
    const struct plan_collection *input = &engine->plan->collections[stage->plan->inputs[0]];

    return engine->plan->windowings[input->windowing].allowed_lateness_ms;
}

static void note_claim(struct stage *stage, const struct claim *claim) {
    stage->flight_ms = MIN(stage->flight_ms, claim->least_ms);
    vec_foreach (timer, &claim->timers) {
        if ((*timer)->has_hold)
            stage->flight_hold_ms = MIN(stage->flight_hold_ms, (*timer)->held_ms);
        stage->flight_end_ms = MIN(stage->flight_end_ms, (*timer)->window_end);
    }
}

void watermark_note_flight(struct engine *engine) {
    for (size_t i = 0; i < engine->plan->stage_count; i++) {
        struct stage *stage = &engine->stages[i];

        stage->flight_ms = stage->flight_hold_ms = stage->flight_end_ms = TIME_MAX;
        vec_foreach (claim, &stage->retries)
            note_claim(stage, *claim);
    }
    vec_foreach (bundle, &engine->running)
        note_claim((*bundle)->stage, (*bundle)->claim);
}

event_time view_watermark(const struct engine *engine, struct view *view) {
    event_time stored = backlog_least(view->backlog), watermark = MIN(stored, engine->watermarks[view->collection]);

    view->watermark = MAX(view->watermark, watermark);
    return view->watermark;
}

static event_time inputs_watermark(const struct engine *engine, const struct stage *stage) {
    event_time least = TIME_MAX;

    for (size_t i = 0; i < stage->plan->input_count; i++)
        least = MIN(least, engine->watermarks[stage->plan->inputs[i]]);
    return least;
}

/* The least timestamp of what the stage has not yet processed (MODEL 3.1). */
static event_time pending_least(const struct engine *engine, struct stage *stage) {
    event_time least = stage->flight_ms, queued = input_queue_least(&stage->queue);
    event_time arriving = backlog_least(&stage->arriving);

    least = MIN(MIN(least, queued), arriving);
    vec_foreach (delayed, &stage->delayed)
        least = MIN(least, delayed->item.least_ms);
    if (stage->gate) {
        queued = gate_least(stage->gate);
        least = MIN(least, queued);
    }
    if (stage->panes) {
        queued = pane_group_parked_least(stage->panes);
        least = MIN(least, queued);
    }
    for (unsigned i = 0; stage->shards && i < engine->options.key_shards; i++) {
        queued = input_queue_least(&stage->shards[i].queue);
        least = MIN(least, queued);
    }
    return least;
}

void watermark_move_input(struct engine *engine, struct stage *stage) {
    event_time pending = pending_least(engine, stage), inputs = inputs_watermark(engine, stage);
    event_time watermark = MIN(pending, inputs), drained;

    /* Once the job drains it is given what that stage has in hand. */
    if (stage->plan->is_for_drain) {
        drained = pending_least(engine, &engine->stages[stage->plan->drained_stage]);
        watermark = MIN(watermark, drained);
    }
    stage->in_watermark = MAX(stage->in_watermark, watermark);
}

static void set_output(struct engine *engine, struct stage *stage, event_time watermark) {
    stage->out_watermark = MAX(stage->out_watermark, watermark);
    for (size_t i = 0; i < stage->plan->output_count; i++)
        engine->watermarks[stage->plan->outputs[i]] = stage->out_watermark;
}

void watermark_move_output(struct engine *engine, struct stage *stage) {
    /* What is in hand holds too: sorted input that is given out has not held the input watermark (MODEL 3.2). */
    event_time hold = MIN(MIN(stage->flight_hold_ms, stage->flight_ms), stage->in_watermark);
    event_time further = TIME_MAX;

    if (stage->panes)
        further = pane_group_hold(stage->panes);
    else if (stage->shards)
        further = firing_hold(engine, stage);
    set_output(engine, stage, MIN(hold, further));
}

void watermark_end(struct engine *engine, struct stage *stage) {
    set_output(engine, stage, TIME_MAX);
}
