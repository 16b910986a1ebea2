/* Timers of keyed stages: set by commits, fired when they are due, and the expiration of windows at the end.
 *
 * A bounded stage's input watermark jumps to the end of time once its input is complete. Then, per key shard and in this order: event-time
 * timers (each key's earliest first, round by round, because a firing may set, move or clear the next), processing-time timers (they wait
 * for the clock, MODEL 7.17), and when nothing is left the @OnWindowExpiration of every window that had input (MODEL 7.15, 7.16). */
#include <assert.h>
#include <stdlib.h>

#include "engine/internal.h"

struct key_shard *stage_shard(const struct engine *engine, struct stage *stage, struct slice key) {
    return &stage->shards[hash_bytes(key.data, key.size) % engine->options.key_shards];
}

static unsigned expiration_family(const struct stage *stage) {
    for (unsigned i = 0; i < stage->plan->timer_family_count; i++)
        if (stage->plan->timer_families[i].is_window_expiration)
            return i;
    return PLAN_NONE;
}

void firing_note_windows(const struct engine *engine, struct stage *stage, struct key_shard *shard, struct slice key,
                         const struct windowed_value *element) {
    const struct coder *coder = engine->plan->collections[stage->plan->source.collection].coder;
    struct cursor windows = element->windows;
    struct buf scratch = {0};

    if (expiration_family(stage) == PLAN_NONE)
        return;
    for (uint32_t i = 0; i < element->window_count; i++) {
        struct slice window = slice_of_static(windows.at, 0);
        struct seen_window *seen;
        event_time end;
        void **slot;
        enum coder_result result = window_max_timestamp(coder->components[1], &windows, &end);

        assert(result == CODER_OK);
        (void)result;
        window.size = (size_t)(windows.at - window.data);
        scratch.size = 0;
        key_add_part(&scratch, key.data, key.size);
        key_add_part(&scratch, window.data, window.size);
        slot = map_slot(&shard->seen, buf_data(&scratch), scratch.size);
        if (*slot)
            continue;
        *slot = seen = xcalloc(1, sizeof(*seen));
        seen->key = slice_copy(key.data, key.size, engine->options.account);
        seen->window = slice_copy(window.data, window.size, engine->options.account);
        seen->end = end;
    }
    buf_clear(&scratch);
}

static void seen_window_free(void *value) {
    struct seen_window *seen = value;

    slice_unref(&seen->key);
    slice_unref(&seen->window);
    free(seen);
}

void firing_clear_shard(struct key_shard *shard) {
    timer_set_clear(&shard->timers);
    map_clear(&shard->seen, seen_window_free);
}

void firing_apply_timers(struct engine *engine, struct stage *stage, const struct bundle_commit *commit) {
    for (unsigned family = 0; family < commit->timer_family_count; family++) {
        const struct coder *coder = stage->plan->timer_families[family].coder;

        vec_foreach (run, &commit->timers[family].runs) {
            struct cursor at = cursor_of(run->bytes.data, run->bytes.size);

            while (cursor_left(&at)) {
                const uint8_t *begin = at.at;
                struct cursor key = at;
                enum coder_result result = coder_skip(coder, &at);

                assert(result == CODER_OK);
                result = coder_skip(coder->components[0], &key);
                assert(result == CODER_OK);
                timer_set_apply(&stage_shard(engine, stage, slice_of_static(begin, (size_t)(key.at - begin)))->timers,
                                stage->plan, family, slice_of_static(begin, (size_t)(at.at - begin)),
                                engine->options.account);
            }
        }
        engine->needs_wake |= commit->timers[family].count > 0;
    }
}

/* Timers past the end of their window (and what lateness it is allowed) never fire: the window is gone by then (MODEL 7.9). */
static event_time last_firing_time(const struct engine *engine, const struct stage *stage, const struct timer *timer) {
    const struct plan_collection *input = &engine->plan->collections[stage->plan->source.collection];

    return MIN(time_add(timer->window_end, engine->plan->windowings[input->windowing].allowed_lateness_ms),
               TIME_GLOBAL_WINDOW_END);
}

bool firing_is_due(const struct engine *engine, const struct stage *stage, struct key_shard *shard) {
    if (timer_set_earliest(&shard->timers, TIMER_PROCESSING_TIME) <= engine->now_ms)
        return true;
    if (!stage_inputs_are_done(engine, stage))
        return false;
    if (shard->timers.counts[TIMER_EVENT_TIME])
        return true;
    return shard->seen.count && !shard->timers.counts[TIMER_PROCESSING_TIME];
}

static void take_expirations(struct engine *engine, struct stage *stage, struct key_shard *shard, struct claim *claim) {
    unsigned family = expiration_family(stage);

    map_foreach (entry, &shard->seen) {
        const struct seen_window *seen = entry->value;

        vec_push(&claim->timers,
                 timer_make(family, seen->key, seen->window, seen->end, seen->end, seen->end, engine->options.account));
    }
    map_clear(&shard->seen, seen_window_free);
}

/* Each key's earliest event-time timers; those that are too late to fire are dropped, and then the next earliest are taken. */
static void take_event_timers(struct engine *engine, struct stage *stage, struct key_shard *shard,
                              struct claim *claim) {
    size_t kept = claim->timers.count, before = kept;

    while (kept == before && shard->timers.counts[TIMER_EVENT_TIME]) {
        timer_set_take_due(&shard->timers, TIMER_EVENT_TIME, TIME_MAX, &claim->timers);
        for (size_t i = before; i < claim->timers.count; i++) {
            struct timer *timer = claim->timers.items[i];

            if (timer->fire_ms <= last_firing_time(engine, stage, timer))
                claim->timers.items[kept++] = timer;
            else
                timer_free(timer);
        }
        claim->timers.count = kept;
    }
}

void firing_take(struct engine *engine, struct stage *stage, struct key_shard *shard, struct claim *claim) {
    bool is_complete = stage_inputs_are_done(engine, stage);
    size_t before = claim->timers.count;

    engine->needs_wake = true; /* the next timer of these keys may be nearer than what was asked for */
    if (is_complete)
        take_event_timers(engine, stage, shard, claim);
    if (claim->timers.count == before)
        timer_set_take_due(&shard->timers, TIMER_PROCESSING_TIME, engine->now_ms, &claim->timers);
    if (claim->timers.count == before && is_complete && !shard->timers.counts[TIMER_PROCESSING_TIME])
        take_expirations(engine, stage, shard, claim);
}

bool firing_is_pending(const struct engine *engine, const struct stage *stage) {
    for (unsigned i = 0; stage->shards && i < engine->options.key_shards; i++) {
        const struct key_shard *shard = &stage->shards[i];

        if (shard->timers.counts[TIMER_EVENT_TIME] || shard->timers.counts[TIMER_PROCESSING_TIME] || shard->seen.count)
            return true;
    }
    return false;
}

/* A shard whose earliest timer is due fires as soon as it and a slot are free, and asks again then: no clock is needed for it. */
event_time firing_next_wake(const struct engine *engine, struct stage *stage) {
    event_time next = TIMER_NEVER;

    for (unsigned i = 0; stage->shards && i < engine->options.key_shards; i++) {
        event_time earliest = timer_set_earliest(&stage->shards[i].timers, TIMER_PROCESSING_TIME);

        if (earliest > engine->now_ms)
            next = MIN(next, earliest);
    }
    return next;
}

bool firing_has_due_processing_timer(const struct engine *engine, struct stage *stage) {
    for (unsigned i = 0; stage->shards && i < engine->options.key_shards; i++)
        if (timer_set_earliest(&stage->shards[i].timers, TIMER_PROCESSING_TIME) <= engine->now_ms)
            return true;
    return false;
}

void firing_expire(struct engine *engine, struct stage *stage, const struct claim *claim) {
    vec_foreach (entry, &claim->timers) {
        const struct timer *timer = *entry;
        struct slice key = slice_of_static(timer->bytes.data, timer->key_size);
        struct slice window = slice_of_static(timer->bytes.data + timer->window_at, timer->window_size);

        if (!stage->plan->timer_families[timer->family].is_window_expiration)
            continue;
        timer_set_remove_window(&stage_shard(engine, stage, key)->timers, key, window);
        for (unsigned i = 0; i < stage->plan->user_state_count; i++) {
            struct buf cell = {0};

            state_cell_key(&cell, i, window, key);
            user_state_remove(&stage->state, slice_of_static(buf_data(&cell), cell.size));
            buf_clear(&cell);
        }
    }
}
