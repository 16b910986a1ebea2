/* Elements delivered along the plan's edges: to the queues and shards of stages that run bundles, to groupings, to side inputs. */
#include <assert.h>

#include "engine/gate.h"
#include "engine/internal.h"
#include "engine/liveview.h"
#include "model/window.h"

static void shard_close_run(struct key_shard *shard) {
    struct run run = {.count = shard->open_count, .least_ms = shard->open_least_ms, .has_least = true};

    if (shard->open_count == 0)
        return;
    run.bytes = buf_finish(&shard->open);
    shard->open_count = 0;
    input_queue_push(&shard->queue, (struct input_item){.run = run, .least_ms = run.least_ms});
}

static void shard_add(const struct engine *engine, struct key_shard *shard, event_time timestamp) {
    shard->open.account = engine->options.account;
    shard->open_least_ms = shard->open_count ? MIN(shard->open_least_ms, timestamp) : timestamp;
    shard->open_count++;
}

/* In a stream an element comes too late for those of its windows that are gone (MODEL 3.10 - 3.12). Leaves the others, whose bytes are then in
 * `scratch` when they are not all. */
static void drop_expired_windows(struct engine *engine, struct stage *stage, struct windowed_value *element,
                                 struct buf *scratch) {
    const struct coder *window_coder = stage_source_coder(engine, stage)->components[1];
    int64_t lateness = stage_allowed_lateness(engine, stage);
    event_time last =
        stage->plan->requires_time_sorted_input ? time_add(element->timestamp, lateness) : TIME_MAX; /* MODEL 7.19 */
    struct cursor windows = element->windows;
    uint32_t kept = 0;

    scratch->size = 0;
    for (uint32_t i = 0; i < element->window_count; i++) {
        const uint8_t *window = windows.at;
        event_time end;
        enum coder_result result = window_max_timestamp(window_coder, &windows, &end);

        assert(result == CODER_OK);
        (void)result;
        if (MIN(window_collected_ms(end, lateness), last) < stage->in_watermark)
            continue;
        buf_add(scratch, window, (size_t)(windows.at - window));
        kept++;
    }
    if (kept == element->window_count)
        return;
    stage->dropped += element->window_count - kept;
    tally_dropped(&engine->tally, stage->plan->index, (struct tally_dropped){.late = stage->dropped});
    element->window_count = kept;
    element->windows = cursor_of(buf_data(scratch), scratch->size);
}

/* A keyed stage's elements go to the shard of their key. */
static void deliver_by_key(struct engine *engine, struct stage *stage, const struct run *run) {
    const struct coder *coder = stage_source_coder(engine, stage);
    struct cursor at = cursor_of(run->bytes.data, run->bytes.size);
    unsigned shards = engine->options.key_shards;
    struct buf windows = {0};

    while (cursor_left(&at)) {
        const uint8_t *begin = at.at;
        struct windowed_value element;
        struct cursor rest;
        struct slice key;
        struct key_shard *shard;
        uint32_t window_count;
        enum coder_result result = windowed_value_read(coder, &at, &element);

        assert(result == CODER_OK);
        window_count = element.window_count;
        if (stage_is_streaming(stage))
            drop_expired_windows(engine, stage, &element, &windows);
        if (window_count && !element.window_count)
            continue;
        rest = element.value;
        result = coder_skip(coder->components[0]->components[0], &rest);
        assert(result == CODER_OK);
        key = slice_of_static(element.value.at, (size_t)(rest.at - element.value.at));
        shard = stage_shard(engine, stage, key);
        firing_note_windows(engine, stage, shard, key, &element);
        shard_add(engine, shard, element.timestamp);
        if (element.window_count == window_count)
            buf_add(&shard->open, begin, (size_t)(at.at - begin));
        else
            windowed_value_write(&shard->open, &element);
    }
    buf_clear(&windows);
    for (unsigned i = 0; i < shards; i++) {
        stage->shard_bytes += stage->shards[i].open.size;
        stage->shard_count += stage->shards[i].open_count;
        shard_close_run(&stage->shards[i]);
    }
}

/* What may be put into bundles. */
void stage_enter(struct engine *engine, struct stage *stage, const struct run *run) {
    if (stage->shards)
        deliver_by_key(engine, stage, run);
    else
        input_queue_push(&stage->queue, (struct input_item){.run = run_ref(run), .least_ms = run->least_ms});
}

static void pass_gate(struct engine *engine, struct stage *stage, const struct run *run) {
    struct run admitted;

    gate_admit(stage->gate, run, &admitted);
    if (admitted.count)
        stage_enter(engine, stage, &admitted);
    run_clear(&admitted);
}

/* The run is in memory. */
static void take_apart(struct engine *engine, struct stage *stage, const struct run *run) {
    if (stage->gate)
        pass_gate(engine, stage, run);
    else if (stage->plan->kind == PLAN_MERGE_GROUPS)
        questions_answered(engine, stage, run);
    else if (stage->plan->asks_for_merges && stage_is_streaming(stage))
        questions_take(engine, stage, run);
    else if (stage->group)
        group_add_run(stage->group, run);
    else if (stage->panes)
        paned_take(engine, stage, run);
    else
        stage_enter(engine, stage, run);
    engine->needs_schedule = true;
}

static void deliver_to(struct engine *engine, struct stage *stage, const struct run *run) {
    struct input_item item = {.run = *run};

    assert(!stage->is_done);
    if (stage->plan->kind == PLAN_FLATTEN) {
        engine_deliver(engine, stage->plan->outputs[0], run);
        return;
    }
    if (stage_is_streaming(stage))
        item.least_ms = run_least(run, engine->plan->collections[stage->plan->inputs[0]].coder);
    if (stage->plan->kind == PLAN_EXECUTABLE && !stage->shards && !stage->gate) {
        input_queue_push(&stage->queue, input_item_ref(&item));
        engine->needs_schedule = true;
    } else {
        assert(stage->group || stage->panes || stage->plan->asks_for_merges || stage->shards || stage->gate);
        if (run->extent)
            backlog_push(engine, &stage->arriving, input_item_ref(&item));
        else
            take_apart(engine, stage, run);
    }
}

static void add_to_view(struct engine *engine, struct view *view, const struct run *run) {
    if (!view->live) {
        view_add(view, run);
        return;
    }
    live_view_add(view->live, run, view_watermark(engine, view), engine_clock(engine));
    engine->needs_schedule = engine->needs_wake = true;
}

void engine_deliver(struct engine *engine, unsigned collection, const struct run *run) {
    const struct plan_collection *plan = &engine->plan->collections[collection];

    if (run->count == 0)
        return;
    if (engine->plan->stages[plan->producer].kind != PLAN_EXECUTABLE)
        tally_elements(&engine->tally, collection, run->count);
    for (size_t i = 0; i < plan->consumer_count; i++)
        if (drain_admits(engine, plan, &engine->stages[plan->consumers[i]]))
            deliver_to(engine, &engine->stages[plan->consumers[i]], run);
    vec_foreach (view, &engine->views) {
        if ((*view)->collection != collection || (*view)->is_unused)
            continue;
        if (run->extent)
            backlog_push(engine, (*view)->backlog,
                         (struct input_item){.run = run_ref(run), .least_ms = run_least(run, plan->coder)});
        else
            add_to_view(engine, *view, run);
    }
}

void stage_absorb(struct engine *engine, void *owner, struct input_item *item) {
    take_apart(engine, owner, &item->run);
}

void view_absorb(struct engine *engine, void *owner, struct input_item *item) {
    add_to_view(engine, owner, &item->run);
}
