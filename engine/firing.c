/* Timers of keyed stages: set by commits, fired when they are due, and the expiration of windows at the end.
 *
 * A bounded stage's input watermark jumps to the end of time once its input is complete. Then, per key shard and in this order: event-time
 * timers (each key's earliest first, round by round, because a firing may set, move or clear the next), processing-time timers (they wait
 * for the clock, MODEL 7.17), and when nothing is left the @OnWindowExpiration of every window (MODEL 7.15, 7.16). */
#include <assert.h>
#include <stdlib.h>

#include "engine/internal.h"
#include "engine/sorted.h"

struct key_shard *stage_shard(const struct engine *engine, struct stage *stage, struct slice key) {
    /* By the hash's upper half: a map's index is made of the lower one, and a shard's maps have the shard's keys alone. */
    return &stage->shards[(hash_bytes(key.data, key.size) >> 32) % engine->options.key_shards];
}

static unsigned expiration_family(const struct stage *stage) {
    for (unsigned i = 0; i < stage->plan->timer_family_count; i++)
        if (stage->plan->timer_families[i].is_window_expiration)
            return i;
    return PLAN_NONE;
}

/* @OnWindowExpiration is due once for each key and window in which something happened: an element came or a timer fired (MODEL 7.16). */
static void note_window(const struct engine *engine, struct key_shard *shard, struct slice key, struct slice window,
                        event_time end, struct buf *scratch) {
    struct seen_window *seen;
    void **slot;

    scratch->size = 0;
    key_add_part(scratch, key.data, key.size);
    key_add_part(scratch, window.data, window.size);
    slot = map_slot(&shard->seen, buf_data(scratch), scratch->size);
    if (*slot)
        return;
    *slot = seen = xcalloc(1, sizeof(*seen));
    seen->key = slice_copy(key.data, key.size, engine->options.account);
    seen->window = slice_copy(window.data, window.size, engine->options.account);
    seen->end = end;
}

void firing_note_windows(const struct engine *engine, struct stage *stage, struct key_shard *shard, struct slice key,
                         const struct windowed_value *element) {
    const struct coder *coder = stage_source_coder(engine, stage);
    struct cursor windows = element->windows;
    struct buf scratch = {0};

    if (expiration_family(stage) == PLAN_NONE)
        return;
    for (uint32_t i = 0; i < element->window_count; i++) {
        struct slice window = slice_of_static(windows.at, 0);
        event_time end;
        enum coder_result result = window_max_timestamp(coder->components[1], &windows, &end);

        assert(result == CODER_OK);
        (void)result;
        window.size = (size_t)(windows.at - window.data);
        note_window(engine, shard, key, window, end, &scratch);
    }
    buf_clear(&scratch);
}

static struct slice timer_key(const struct timer *timer) {
    return slice_of_static(timer->bytes.data, timer->key_size);
}

static struct slice timer_window(const struct timer *timer) {
    return slice_of_static(timer->bytes.data + timer->window_at, timer->window_size);
}

/* User timers that are about to fire, from the claim's `first` on. */
static void note_timers(const struct engine *engine, struct stage *stage, struct key_shard *shard,
                        const struct claim *claim, size_t first) {
    struct buf scratch = {0};

    if (expiration_family(stage) == PLAN_NONE)
        return;
    for (size_t i = first; i < claim->timers.count; i++) {
        const struct timer *timer = claim->timers.items[i];

        note_window(engine, shard, timer_key(timer), timer_window(timer), timer->window_end, &scratch);
    }
    buf_clear(&scratch);
}

static void seen_window_free(void *value) {
    struct seen_window *seen = value;

    slice_unref(&seen->key);
    slice_unref(&seen->window);
    free(seen);
}

void firing_clear_shard(struct engine *engine, struct key_shard *shard) {
    sorted_clear(engine, shard);
    timer_set_clear(&shard->timers);
    map_clear(&shard->seen, seen_window_free);
}

void firing_apply_timers(struct engine *engine, struct stage *stage, const struct bundle_commit *commit) {
    const struct plan_collection *input = &engine->plan->collections[stage->plan->source.collection];
    int64_t allowed_lateness_ms = engine->plan->windowings[input->windowing].allowed_lateness_ms;

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
                                stage->plan, family, allowed_lateness_ms,
                                slice_of_static(begin, (size_t)(at.at - begin)), engine->options.account);
            }
        }
        engine->needs_wake |= commit->timers[family].count > 0;
    }
}

bool firing_is_due(const struct engine *engine, const struct stage *stage, struct key_shard *shard) {
    if (timer_set_earliest(&shard->timers, TIMER_PROCESSING_TIME) <= engine->now_ms)
        return true;
    if (!stage_inputs_are_done(engine, stage))
        return false;
    if (shard->timers.counts[TIMER_EVENT_TIME])
        return true;
    return shard->seen.count && !shard->timers.counts[TIMER_PROCESSING_TIME] && !sorted_is_pending(shard);
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

static event_time until_now(void *engine, struct slice key) {
    (void)key;
    return ((const struct engine *)engine)->now_ms;
}

void firing_take(struct engine *engine, struct stage *stage, struct key_shard *shard, struct claim *claim) {
    bool is_complete = stage_inputs_are_done(engine, stage);
    size_t before = claim->timers.count;

    engine->needs_wake = true; /* the next timer of these keys may be nearer than what was asked for */
    if (is_complete)
        timer_set_take_due(&shard->timers, TIMER_EVENT_TIME, sorted_timer_limit, shard, &claim->timers);
    if (claim->timers.count == before && !sorted_is_pending(shard))
        timer_set_take_due(&shard->timers, TIMER_PROCESSING_TIME, until_now, engine, &claim->timers);
    note_timers(engine, stage, shard, claim, before);
    if (claim->timers.count == before && is_complete && !shard->timers.counts[TIMER_PROCESSING_TIME] &&
        !sorted_is_pending(shard))
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
        struct slice key = timer_key(timer), window = timer_window(timer);

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
