/* Timers of keyed stages: set by commits, fired when they are due, and the expiration of windows.
 *
 * What a key shard fires, in this order: event-time timers that the input watermark has passed (each key's earliest first, round by round,
 * because a firing may set, move or clear the next); processing-time timers that the clock has; and when neither is due the
 * @OnWindowExpiration of windows that are gone (MODEL 7.15, 7.16). At the end of the input, where all windows are gone at once, they wait
 * for the processing-time timers of their shard (MODEL 7.17).
 *
 * A bounded stage's input watermark jumps to the end of time once its input is complete. In a stream windows go one after the other, and take
 * their state along: of a stage that has @OnWindowExpiration by the bundle that calls it, of others without one. */
#include <assert.h>
#include <stdlib.h>

#include "engine/internal.h"
#include "engine/shards.h"
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

/* Whether it matters that a window is gone. The global window goes with the job. */
static bool tracks_windows(const struct engine *engine, const struct stage *stage) {
    return expiration_family(stage) != PLAN_NONE ||
           (stage_is_streaming(stage) && stage_source_coder(engine, stage)->components[1]->kind != CODER_GLOBAL_WINDOW);
}

event_time firing_least_end(const struct key_shard *shard) {
    const struct due_node *first = due_first(&shard->seen_by_end);

    return first ? first->time : TIME_MAX;
}

static void seen_key(struct buf *out, struct slice key, struct slice window) {
    out->size = 0;
    key_add_part(out, key.data, key.size);
    key_add_part(out, window.data, window.size);
}

/* A window is seen once for each key in which something happened: an element came or a timer fired (MODEL 7.16). */
static void note_window(const struct engine *engine, struct key_shard *shard, struct slice key, struct slice window,
                        event_time end, struct buf *scratch) {
    struct seen_window *seen;
    void **slot;

    seen_key(scratch, key, window);
    slot = map_slot(&shard->seen, buf_data(scratch), scratch->size);
    if (*slot)
        return;
    *slot = seen = xcalloc(1, sizeof(*seen));
    seen->key = slice_copy(key.data, key.size, engine->options.account);
    seen->window = slice_copy(window.data, window.size, engine->options.account);
    seen->end = end;
    due_set(&shard->seen_by_end, &seen->node, end);
}

void firing_note_windows(const struct engine *engine, const struct stage *stage, struct key_shard *shard,
                         struct slice key, const struct windowed_value *element) {
    const struct coder *coder = stage_source_coder(engine, stage);
    struct cursor windows = element->windows;
    struct buf scratch = {0};

    if (!tracks_windows(engine, stage))
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

    if (!tracks_windows(engine, stage))
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
    due_clear(&shard->seen_by_end);
    map_clear(&shard->seen, seen_window_free);
}

void firing_apply_timers(struct engine *engine, struct stage *stage, const struct bundle_commit *commit,
                         const struct claim *claim) {
    struct timer_rules rules = {.allowed_lateness_ms = stage_allowed_lateness(engine, stage),
                                .fired = &claim->timers,
                                .is_streaming = stage_is_streaming(stage),
                                .input_watermark = stage_event_clock(engine, stage),
                                .is_clock_played = engine->stream_count > 0,
                                .played_ms = engine->clock_ms,
                                .host_ms = engine->now_ms,
                                .is_draining = engine->is_draining};

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
                                stage->plan, family, &rules, slice_of_static(begin, (size_t)(at.at - begin)),
                                engine->options.account);
            }
        }
        engine->needs_wake |= commit->timers[family].count > 0;
    }
}

/* The last processing time of which timers may fire now. A drain waits for none. */
static event_time clock_limit_of(const struct engine *engine, const struct stage *stage) {
    return engine->is_draining && stage_input_watermark(engine, stage) == TIME_MAX ? TIME_MAX : engine_clock(engine);
}

static bool is_expired(const struct engine *engine, const struct stage *stage, event_time end) {
    return window_collected_ms(end, stage_allowed_lateness(engine, stage)) < stage_event_clock(engine, stage);
}

/* Of a shard that has no event-time timers to fire now. */
static bool has_expired(const struct engine *engine, const struct stage *stage, const struct key_shard *shard) {
    if (!shard->seen.count || !is_expired(engine, stage, firing_least_end(shard)))
        return false;
    return stage_input_watermark(engine, stage) < TIME_MAX ||
           (!shard->timers.counts[TIMER_PROCESSING_TIME] && !sorted_is_pending(shard));
}

bool firing_is_due(const struct engine *engine, const struct stage *stage, struct key_shard *shard) {
    if (timer_set_earliest(&shard->timers, TIMER_PROCESSING_TIME) <= clock_limit_of(engine, stage))
        return true;
    if (timer_set_earliest(&shard->timers, TIMER_EVENT_TIME) <= stage_timers_limit(engine, stage))
        return true;
    return expiration_family(stage) != PLAN_NONE && has_expired(engine, stage, shard);
}

/* Hands every window of the shard that is gone to `take`, which owns it, and forgets it. */
static void take_expired(struct engine *engine, struct stage *stage, struct key_shard *shard,
                         void (*take)(struct engine *engine, struct stage *stage, struct seen_window *seen,
                                      struct claim *claim),
                         struct claim *claim) {
    struct seen_window *seen;
    struct buf scratch = {0};

    while ((seen = (struct seen_window *)due_first(&shard->seen_by_end)) && is_expired(engine, stage, seen->end)) {
        due_remove(&shard->seen_by_end, &seen->node);
        seen_key(&scratch, seen->key, seen->window);
        map_remove(&shard->seen, buf_data(&scratch), scratch.size);
        take(engine, stage, seen, claim);
    }
    buf_clear(&scratch);
}

static void fire_expiration(struct engine *engine, struct stage *stage, struct seen_window *seen, struct claim *claim) {
    struct timer *timer = timer_make(expiration_family(stage), seen->key, seen->window, seen->end, seen->end, seen->end,
                                     engine->options.account);

    timer->has_hold = stage_is_streaming(stage);
    timer->held_ms = seen->end;
    vec_push(&claim->timers, timer);
    seen_window_free(seen);
}

struct timers_limit {
    struct key_shard *shard;
    event_time limit;
};

static event_time event_time_limit(void *user, struct slice key) {
    const struct timers_limit *limit = user;
    event_time sorted = sorted_timer_limit(limit->shard, key);

    return MIN(sorted, limit->limit);
}

static event_time clock_limit(void *user, struct slice key) {
    const struct timers_limit *limit = user;

    return sorted_timer_limit(limit->shard, key) == TIMER_NOT_NOW ? TIMER_NOT_NOW : limit->limit;
}

void firing_take(struct engine *engine, struct stage *stage, struct key_shard *shard, struct claim *claim) {
    struct timers_limit watermark = {shard, stage_timers_limit(engine, stage)};
    struct timers_limit clock = {shard, clock_limit_of(engine, stage)};
    size_t before = claim->timers.count;

    engine->needs_wake = true; /* the next timer of these keys may be nearer than what was asked for */
    timer_set_take_due(&shard->timers, TIMER_EVENT_TIME, watermark.limit, event_time_limit, &watermark, &claim->timers);
    if (claim->timers.count == before && (stage_is_streaming(stage) || !sorted_is_pending(shard)))
        timer_set_take_due(&shard->timers, TIMER_PROCESSING_TIME, clock.limit, clock_limit, &clock, &claim->timers);
    note_timers(engine, stage, shard, claim, before);
    if (claim->timers.count == before && expiration_family(stage) != PLAN_NONE && has_expired(engine, stage, shard))
        take_expired(engine, stage, shard, fire_expiration, claim);
}

bool firing_awaits_expiration(const struct stage *stage, const struct key_shard *shard) {
    return shard->seen.count && expiration_family(stage) != PLAN_NONE;
}

bool firing_is_pending(const struct engine *engine, const struct stage *stage) {
    for (unsigned i = 0; stage->shards && i < engine->options.key_shards; i++) {
        const struct key_shard *shard = &stage->shards[i];

        if (shard->timers.counts[TIMER_EVENT_TIME] || shard->timers.counts[TIMER_PROCESSING_TIME] ||
            firing_awaits_expiration(stage, shard))
            return true;
    }
    return false;
}

/* A shard whose earliest timer is due fires as soon as it and a slot are free, and asks again then: no clock is needed for it. */
event_time firing_next_wake(const struct engine *engine, struct stage *stage) {
    event_time next = TIMER_NEVER;

    for (unsigned i = 0; stage->shards && i < engine->options.key_shards; i++) {
        event_time earliest = timer_set_earliest(&stage->shards[i].timers, TIMER_PROCESSING_TIME);

        if (earliest > engine_clock(engine))
            next = MIN(next, earliest);
    }
    return next;
}

bool firing_has_due_processing_timer(const struct engine *engine, struct stage *stage) {
    for (unsigned i = 0; stage->shards && i < engine->options.key_shards; i++)
        if (timer_set_earliest(&stage->shards[i].timers, TIMER_PROCESSING_TIME) <= engine_clock(engine))
            return true;
    return false;
}

/* The window is gone: so are its timers and its state. */
static void forget_window(struct stage *stage, struct key_shard *shard, struct slice key, struct slice window) {
    timer_set_remove_window(&shard->timers, key, window);
    for (unsigned i = 0; i < stage->plan->user_state_count; i++) {
        struct buf cell = {0};

        state_cell_key(&cell, i, window, key);
        user_state_remove(&stage->state, slice_of_static(buf_data(&cell), cell.size));
        buf_clear(&cell);
    }
}

void firing_expire(struct engine *engine, struct stage *stage, const struct claim *claim) {
    vec_foreach (entry, &claim->timers) {
        const struct timer *timer = *entry;

        if (stage->plan->timer_families[timer->family].is_window_expiration)
            forget_window(stage, stage_shard(engine, stage, timer_key(timer)), timer_key(timer), timer_window(timer));
    }
}

static void forget_seen(struct engine *engine, struct stage *stage, struct seen_window *seen, struct claim *claim) {
    (void)claim;
    forget_window(stage, stage_shard(engine, stage, seen->key), seen->key, seen->window);
    seen_window_free(seen);
}

void firing_collect(struct engine *engine, struct stage *stage) {
    if (expiration_family(stage) != PLAN_NONE)
        return;
    for (unsigned i = 0; i < engine->options.key_shards; i++) {
        struct key_shard *shard = &stage->shards[i];

        if (shard->is_busy || !has_expired(engine, stage, shard) ||
            timer_set_earliest(&shard->timers, TIMER_EVENT_TIME) <= stage_timers_limit(engine, stage))
            continue;
        take_expired(engine, stage, shard, forget_seen, NULL);
        shards_forget(shard);
    }
}

event_time firing_least_window(const struct engine *engine, const struct stage *stage) {
    event_time least = stage->flight_end_ms;

    if (!tracks_windows(engine, stage))
        return MIN(least, TIME_GLOBAL_WINDOW_END);
    for (unsigned i = 0; i < engine->options.key_shards; i++)
        least = MIN(least, firing_least_end(&stage->shards[i]));
    return least;
}

event_time firing_hold(struct engine *engine, struct stage *stage) {
    event_time least = TIME_MAX;

    for (unsigned i = 0; i < engine->options.key_shards; i++) {
        struct key_shard *shard = &stage->shards[i];
        event_time held = holds_min(&shard->timers.holds), kept = sorted_hold(shard);

        least = MIN(MIN(least, held), kept);
        if (firing_awaits_expiration(stage, shard))
            least = MIN(least, firing_least_end(shard));
    }
    return least;
}
