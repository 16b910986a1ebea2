/* Commits put into effect, elements delivered along the plan's edges, stages that become complete. */
#include <assert.h>

#include "engine/gate.h"
#include "engine/internal.h"
#include "engine/liveview.h"
#include "engine/mergebook.h"
#include "engine/panes.h"
#include "engine/sorted.h"
#include "model/window.h"

/* ---- delivery ---- */

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
static void enter(struct engine *engine, struct stage *stage, const struct run *run) {
    if (stage->shards)
        deliver_by_key(engine, stage, run);
    else
        input_queue_push(&stage->queue, (struct input_item){.run = run_ref(run), .least_ms = run->least_ms});
}

static void pass_gate(struct engine *engine, struct stage *stage, const struct run *run) {
    struct run admitted;

    gate_admit(stage->gate, run, &admitted);
    if (admitted.count)
        enter(engine, stage, &admitted);
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
        enter(engine, stage, run);
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

/* ---- commits ---- */

void claim_release(struct stage *stage, struct claim *claim) {
    vec_foreach (shard, &claim->shards)
        stage->shards[*shard].is_busy = false;
    claim_free(claim);
}

void stage_add_residual(struct engine *engine, struct stage *stage, const struct claim *claim, struct slice element,
                        int64_t delay_ms, event_time hold, bool is_unbounded) {
    struct input_item item = {.run = {.bytes = element, .count = 1}, .least_ms = hold};
    struct delayed_residual delayed = {.due_ms = time_add(engine_clock(engine), delay_ms), .item = item};

    if (drain_takes(engine, stage, claim, item, is_unbounded))
        return;
    if (delay_ms == 0) {
        input_queue_push(&stage->queue, item);
        return;
    }
    vec_push(&stage->delayed, delayed);
    engine->needs_wake = true;
}

/* Each run is let go before the next: a grouping copies what it gets, and both together need not be there at once. */
static void deliver_output(struct engine *engine, unsigned collection, struct run_list *output) {
    vec_foreach (run, &output->runs) {
        engine_deliver(engine, collection, run);
        run_clear(run);
    }
    run_list_clear(output);
}

void engine_apply_commit(struct engine *engine, struct bundle_commit *commit, const struct claim *claim) {
    struct stage *stage = &engine->stages[commit->stage];

    tally_commit(&engine->tally, commit);
    ahead_committed(stage);
    for (size_t i = 0; i < commit->output_count; i++) {
        unsigned collection = stage->plan->sinks[i].collection;

        deliver_output(engine, collection, &commit->outputs[i]);
        if (commit->groups && commit->groups[i])
            group_join(engine->stages[engine->plan->collections[collection].consumers[0]].group, commit->groups[i]);
    }
    map_foreach (entry, &commit->state.mutations)
        state_apply(&stage->state, engine->options.account, slice_of_static(entry->key, entry->key_size), entry->value);
    firing_apply_timers(engine, stage, commit, claim);
    vec_foreach (residual, &commit->residuals)
        stage_add_residual(engine, stage, claim, slice_ref(residual->element), residual->delay_ms, residual->hold,
                           residual->is_unbounded);
    engine->needs_schedule = true;
}

/* ---- completion ---- */

bool stage_inputs_are_done(const struct engine *engine, const struct stage *stage) {
    for (size_t i = 0; i < stage->plan->input_count; i++)
        if (!engine->stages[engine->plan->collections[stage->plan->inputs[i]].producer].is_done)
            return false;
    return backlog_is_empty(&stage->arriving);
}

/* A consumer that cannot take partitions as they are (it routes by key, or is no bundle stage) gets them written out. */
static bool takes_partitions(const struct engine *engine, const struct stage *stage) {
    const struct plan_collection *output = &engine->plan->collections[stage->plan->outputs[0]];

    if (output->side_consumer_count)
        return false;
    for (size_t i = 0; i < output->consumer_count; i++) {
        const struct stage *consumer = &engine->stages[output->consumers[i]];

        if (consumer->plan->kind != PLAN_EXECUTABLE || consumer->shards || stage_is_streaming(consumer))
            return false;
    }
    return true;
}

static void write_partition_out(struct engine *engine, unsigned collection, struct group_partition *partition) {
    const struct plan_collection *plan = &engine->plan->collections[collection];
    struct large_values large = {.threshold_bytes = SIZE_MAX,
                                 .max_bytes = plan->consumer_count ? engine->options.max_element_bytes : 0};
    size_t at = 0;

    while (at < partition->entry_count) {
        struct buf out = {.account = engine->options.account};
        struct run run = {.count = group_partition_write(partition, &at, partition->entry_count,
                                                         engine->options.message_bytes, &large, &out)};

        run.bytes = buf_finish(&out);
        if (large.too_large_size) {
            run_clear(&run);
            resident_group_is_too_large(engine, &engine->stages[plan->consumers[0]], &large);
            return;
        }
        engine_deliver(engine, collection, &run);
        run_clear(&run);
    }
}

void stage_write_out(struct engine *engine, void *owner, struct input_item *item) {
    const struct stage *stage = owner;

    write_partition_out(engine, stage->plan->outputs[0], item->partition);
}

/* Groups go to the consumers as their input or, when one cannot take them so, are written out as elements. Takes the item over. */
static void deliver_groups(struct engine *engine, struct stage *stage, struct input_item item, bool as_partitions) {
    const struct plan_collection *output = &engine->plan->collections[stage->plan->outputs[0]];

    if (as_partitions) {
        for (size_t i = 0; i < output->consumer_count; i++)
            input_queue_push(&engine->stages[output->consumers[i]].queue, input_item_ref(&item));
    } else if (input_item_is_stored(&item)) {
        backlog_push(engine, &stage->leaving, input_item_ref(&item));
    } else {
        write_partition_out(engine, stage->plan->outputs[0], item.partition);
    }
    input_item_clear(&item);
}

void stage_deliver_bucket(struct engine *engine, struct stage *stage, struct group_bucket *bucket) {
    deliver_groups(engine, stage, (struct input_item){.bucket = bucket}, takes_partitions(engine, stage));
}

/* The input of a grouping is complete: its groups become the consumers' input. */
static void flush_bucket(struct engine *engine, struct stage *stage, struct group_bucket *bucket) {
    bucket->merges = merge_book_ref(stage->group->merges);
    if (rebucket_wants(engine, stage, bucket))
        rebucket_push(engine, stage, bucket);
    else
        stage_deliver_bucket(engine, stage, bucket);
}

static void flush_partition(struct engine *engine, struct stage *stage, unsigned i, bool as_partitions) {
    struct group *group = stage->group;
    struct group_bucket *loose = group_take_loose(engine, group, i, engine->options.extent_bytes);
    bool has_buckets = group_partition_has_buckets(group, i);
    struct group_bucket **buckets = has_buckets ? group->buckets + (size_t)i * GROUP_BUCKETS : NULL;
    struct group_partition *partition;

    if (loose && has_buckets) {
        rebucket_push_into(engine, stage, loose, buckets);
    } else if (loose) {
        flush_bucket(engine, stage, loose);
    } else if (has_buckets) {
        group_store_partition(engine, group, i, engine->options.extent_bytes); /* what came since goes there too */
        for (unsigned j = 0; j < GROUP_BUCKETS; j++) {
            if (buckets[j])
                flush_bucket(engine, stage, buckets[j]);
            buckets[j] = NULL;
        }
    } else if ((partition = group_take(group, i))) {
        deliver_groups(engine, stage, (struct input_item){.partition = partition, .to = partition->entry_count},
                       as_partitions);
    }
}

static void flush_group(struct engine *engine, struct stage *stage) {
    bool as_partitions = takes_partitions(engine, stage);

    for (unsigned i = 0; i < stage->group->partition_count && !engine->is_over; i++)
        flush_partition(engine, stage, i, as_partitions);
    stage->is_flushed = true;
    engine->needs_schedule = true;
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
        enter(engine, stage, &run);
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
                flush_group(engine, stage);
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
