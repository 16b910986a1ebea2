#include "engine/timers.h"

#include <assert.h>
#include <stdlib.h>

#include "engine/view.h"

enum { OWN_CLOCK_MS = 24 * 3600 * 1000 };

/* ---- the heap of one key and domain ---- */

static bool fires_before(const struct timer *a, const struct timer *b) {
    return a->fire_ms != b->fire_ms ? a->fire_ms < b->fire_ms : a->sequence < b->sequence;
}

static void heap_place(struct timer_heap *heap, size_t at, struct timer *timer) {
    heap->timers.items[at] = timer;
    timer->heap_place = at;
}

static void heap_rise(struct timer_heap *heap, size_t at) {
    struct timer *timer = heap->timers.items[at];

    while (at > 0 && fires_before(timer, heap->timers.items[(at - 1) / 2])) {
        heap_place(heap, at, heap->timers.items[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    heap_place(heap, at, timer);
}

static void heap_sink(struct timer_heap *heap, size_t at) {
    struct timer *timer = heap->timers.items[at];
    size_t child;

    while ((child = 2 * at + 1) < heap->timers.count) {
        if (child + 1 < heap->timers.count && fires_before(heap->timers.items[child + 1], heap->timers.items[child]))
            child++;
        if (!fires_before(heap->timers.items[child], timer))
            break;
        heap_place(heap, at, heap->timers.items[child]);
        at = child;
    }
    heap_place(heap, at, timer);
}

static void heap_push(struct timer_heap *heap, struct timer *timer) {
    vec_push(&heap->timers, timer);
    heap_rise(heap, heap->timers.count - 1);
}

static void heap_remove(struct timer_heap *heap, struct timer *timer) {
    size_t at = timer->heap_place;
    struct timer *last = heap->timers.items[--heap->timers.count];

    if (last == timer)
        return;
    heap_place(heap, at, last);
    heap_rise(heap, at);
    heap_sink(heap, last->heap_place);
}

/* ---- identities ---- */

static struct slice timer_key_bytes(const struct timer *timer) {
    return slice_of_static(timer->bytes.data, timer->key_size);
}

static struct slice timer_window_bytes(const struct timer *timer) {
    return slice_of_static(timer->bytes.data + timer->window_at, timer->window_size);
}

static void identity_of(struct buf *out, unsigned family, struct slice key, struct cursor tag, struct slice window) {
    buf_add_varint(out, family);
    key_add_part(out, key.data, key.size);
    key_add_part(out, tag.at, cursor_left(&tag));
    key_add_part(out, window.data, window.size);
}

static enum timer_domain domain_of(const struct plan_stage *stage, unsigned family) {
    return stage->timer_families[family].is_processing_time ? TIMER_PROCESSING_TIME : TIMER_EVENT_TIME;
}

void timer_free(struct timer *timer) {
    if (!timer)
        return;
    slice_unref(&timer->bytes);
    free(timer);
}

/* ---- records ---- */

/* One record in place. */
struct timer_record {
    struct cursor key;
    struct cursor tag;
    uint32_t window_count;
    struct cursor windows;
    bool is_global; /* its windows are the global one */
    bool is_clear;
    struct cursor rest; /* clear byte, and when it is not set: times and pane */
    event_time fire_ms, hold_ms;
};

static void read_record(const struct coder *coder, struct cursor *at, struct timer_record *ret) {
    enum coder_result result;
    uint64_t fire, hold;
    uint8_t clear = 0;
    bool ok;

    ret->key = *at;
    result = coder_skip(coder->components[0], at);
    assert(result == CODER_OK);
    ret->key.end = at->at;
    ok = cursor_prefixed(at, &ret->tag) && cursor_be32(at, &ret->window_count);
    assert(ok);
    ret->is_global = coder->components[1]->kind == CODER_GLOBAL_WINDOW;
    ret->windows = *at;
    for (uint32_t i = 0; i < ret->window_count; i++) {
        result = coder_skip(coder->components[1], at);
        assert(result == CODER_OK);
    }
    ret->windows.end = at->at;
    ret->rest = *at;
    ok = cursor_u8(at, &clear);
    ret->is_clear = clear;
    if (!clear) {
        ok = ok && cursor_be64(at, &fire) && cursor_be64(at, &hold);
        result = pane_skip(at);
        assert(ok && result == CODER_OK);
        /* SDKs send times outside of Beam's own ends (MODEL 1.6); what goes back to them is the record as it came. */
        ret->fire_ms = time_add(time_from_wire(fire), 0);
        ret->hold_ms = time_add(time_from_wire(hold), 0);
    }
    assert(ok);
    ret->rest.end = at->at;
}

static struct timer *timer_of_parts(unsigned family, struct slice key, struct cursor tag, struct slice window,
                                    struct cursor rest, struct account *account) {
    struct timer *timer = xcalloc(1, sizeof(*timer));
    struct buf bytes = {.account = account};

    buf_add(&bytes, key.data, key.size);
    buf_add_prefixed(&bytes, tag.at, cursor_left(&tag));
    buf_add_be32(&bytes, 1);
    timer->window_at = bytes.size;
    timer->window_size = window.size;
    buf_add(&bytes, window.data, window.size);
    buf_add(&bytes, rest.at, cursor_left(&rest));
    timer->bytes = buf_finish(&bytes);
    timer->key_size = key.size;
    timer->family = family;
    return timer;
}

struct timer *timer_make(unsigned family, struct slice key, struct slice window, event_time window_end,
                         event_time fire_ms, event_time hold_ms, struct account *account) {
    struct buf rest = {0};
    struct pane pane = PANE_NO_FIRING;
    struct timer *timer;

    buf_add_u8(&rest, 0);
    buf_add_be64(&rest, time_to_wire(fire_ms));
    buf_add_be64(&rest, time_to_wire(hold_ms));
    pane_encode(&rest, &pane);
    timer = timer_of_parts(family, key, (struct cursor){0}, window, cursor_of(buf_data(&rest), rest.size), account);
    timer->fire_ms = fire_ms;
    timer->hold_ms = hold_ms;
    timer->window_end = window_end;
    buf_clear(&rest);
    return timer;
}

static void timer_key_free(void *value) {
    struct timer_key *key = value;

    for (int domain = 0; domain < 2; domain++) {
        vec_foreach (timer, &key->by_domain[domain].timers)
            timer_free(*timer);
        vec_free(&key->by_domain[domain].timers);
    }
    free(key);
}

/* The key's earliest in the domain is another one. */
static void times_changed(struct timer_set *set, struct timer_key *key, enum timer_domain domain) {
    const struct timer_heap *heap = &key->by_domain[domain];

    if (heap->timers.count)
        due_set(&set->by_time[domain], &key->nodes[domain], heap->timers.items[0]->fire_ms);
    else
        due_remove(&set->by_time[domain], &key->nodes[domain]);
}

static void drop_key_if_empty(struct timer_set *set, struct slice key) {
    struct timer_key *of_key = map_get(&set->by_key, key.data, key.size);

    if (of_key && !of_key->by_domain[0].timers.count && !of_key->by_domain[1].timers.count)
        timer_key_free(map_remove(&set->by_key, key.data, key.size));
}

static struct timer_key *key_of(struct timer_set *set, struct slice key) {
    void **slot = map_slot(&set->by_key, key.data, key.size);

    if (!*slot)
        *slot = xcalloc(1, sizeof(struct timer_key));
    return *slot;
}

static void timer_set_detach(struct timer_set *set, enum timer_domain domain, struct timer *timer) {
    struct timer_key *key = key_of(set, timer_key_bytes(timer));

    heap_remove(&key->by_domain[domain], timer);
    set->counts[domain]--;
    times_changed(set, key, domain);
    drop_key_if_empty(set, timer_key_bytes(timer));
}

event_time window_collected_ms(event_time window_end, int64_t allowed_lateness_ms) {
    return MIN(time_add(window_end, allowed_lateness_ms), TIME_GLOBAL_WINDOW_END);
}

/* Whether the window's last timers, which fired in the bundle, set this one. */
static bool is_set_at_the_end(const struct plan_stage *stage, const struct timer_record *record, struct slice window,
                              event_time window_end, const struct timer_rules *rules) {
    event_time collected = window_collected_ms(window_end, rules->allowed_lateness_ms);
    struct slice key = slice_of_static(record->key.at, cursor_left(&record->key));

    if (!rules->fired)
        return false;
    vec_foreach (timer, rules->fired)
        if (domain_of(stage, (*timer)->family) == TIMER_EVENT_TIME && (*timer)->fire_ms >= collected &&
            slice_equal(timer_key_bytes(*timer), key) && slice_equal(timer_window_bytes(*timer), window))
            return true;
    return false;
}

/* Whether the timer will fire some day. */
static bool can_fire(const struct plan_stage *stage, const struct timer_record *record, enum timer_domain domain,
                     struct slice window, event_time window_end, const struct timer_rules *rules) {
    if (record->is_clear)
        return false;
    /* A processing time at the end of time never comes; it must not hold the job up. At the end of the input windows wait for those that do. */
    if (domain == TIMER_PROCESSING_TIME)
        return record->fire_ms < TIME_GLOBAL_WINDOW_END &&
               !(rules->is_draining && rules->input_watermark == TIME_MAX) &&
               (!rules->is_streaming || rules->input_watermark == TIME_MAX ||
                window_collected_ms(window_end, rules->allowed_lateness_ms) >= rules->input_watermark);
    return record->is_global || record->fire_ms <= window_collected_ms(window_end, rules->allowed_lateness_ms) ||
           !is_set_at_the_end(stage, record, window, window_end, rules);
}

/* A harness knows no clock but its own, so that what it says of times to come is as far from a TestStream's time (MODEL 11.4). Pipelines
 * that are tested with a clock of their own say times as the TestStream has them, from zero on. */
static event_time processing_time(event_time time, const struct timer_rules *rules) {
    if (!rules->is_clock_played || time < time_add(rules->host_ms, -OWN_CLOCK_MS))
        return time;
    return time_add(rules->played_ms, time_add(time, -rules->host_ms));
}

/* Nothing fires in a window that is gone: a timer set for later, as "the end of the window" is by a millisecond, fires with the last ones
 * (MODEL 7.9). The global window is never gone. */
static event_time fire_time(const struct timer_record *record, enum timer_domain domain, event_time window_end,
                            const struct timer_rules *rules) {
    event_time collected = window_collected_ms(window_end, rules->allowed_lateness_ms);

    if (domain == TIMER_PROCESSING_TIME)
        return processing_time(record->fire_ms, rules);
    return record->is_global ? record->fire_ms : MIN(record->fire_ms, collected);
}

/* Times behind the end of the global window say that there is nothing to hold (MODEL 7.11). */
static void hold(struct timer_set *set, struct timer *timer, const struct timer_rules *rules) {
    event_time collected = window_collected_ms(timer->window_end, rules->allowed_lateness_ms);

    timer->has_hold = rules->is_streaming && timer->hold_ms <= TIME_GLOBAL_WINDOW_END;
    timer->held_ms = MIN(timer->hold_ms, collected);
    if (timer->has_hold)
        holds_add(&set->holds, timer->held_ms);
}

static void release(struct timer_set *set, const struct timer *timer) {
    if (timer->has_hold)
        holds_remove(&set->holds, timer->held_ms);
}

static void apply_in_window(struct timer_set *set, const struct plan_stage *stage, unsigned family,
                            const struct timer_record *record, struct slice window, event_time window_end,
                            const struct timer_rules *rules, struct account *account) {
    struct slice key = slice_of_static(record->key.at, cursor_left(&record->key));
    enum timer_domain domain = domain_of(stage, family);
    struct buf identity = {0};
    struct timer *timer, *old;
    struct timer_key *of_key;

    identity_of(&identity, family, key, record->tag, window);
    old = map_remove(&set->by_identity, buf_data(&identity), identity.size);
    if (old) {
        timer_set_detach(set, domain, old);
        release(set, old);
        timer_free(old);
    }
    if (can_fire(stage, record, domain, window, window_end, rules)) {
        timer = timer_of_parts(family, key, record->tag, window, record->rest, account);
        timer->fire_ms = fire_time(record, domain, window_end, rules);
        timer->hold_ms = record->hold_ms;
        timer->window_end = window_end;
        hold(set, timer, rules);
        timer->sequence = set->next_sequence++;
        map_set(&set->by_identity, buf_data(&identity), identity.size, timer);
        of_key = key_of(set, key);
        heap_push(&of_key->by_domain[domain], timer);
        set->counts[domain]++;
        times_changed(set, of_key, domain);
    }
    buf_clear(&identity);
}

void timer_set_apply(struct timer_set *set, const struct plan_stage *stage, unsigned family,
                     const struct timer_rules *rules, struct slice records, struct account *account) {
    const struct coder *coder = stage->timer_families[family].coder;
    struct cursor at = cursor_of(records.data, records.size);

    while (cursor_left(&at)) {
        struct timer_record record = {0};

        read_record(coder, &at, &record);
        while (cursor_left(&record.windows) || record.window_count) {
            const uint8_t *window = record.windows.at;
            event_time end;
            enum coder_result result = window_max_timestamp(coder->components[1], &record.windows, &end);

            assert(result == CODER_OK);
            (void)result;
            apply_in_window(set, stage, family, &record, slice_of_static(window, (size_t)(record.windows.at - window)),
                            end, rules, account);
            record.window_count--;
        }
    }
}

/* ---- taking ---- */

static void forget_identity(struct timer_set *set, const struct timer *timer) {
    struct cursor tag_at = cursor_of(timer->bytes.data + timer->key_size, timer->bytes.size - timer->key_size);
    struct buf identity = {0};
    struct cursor tag;
    bool ok = cursor_prefixed(&tag_at, &tag);

    assert(ok);
    (void)ok;
    identity_of(&identity, timer->family, timer_key_bytes(timer), tag, timer_window_bytes(timer));
    map_remove(&set->by_identity, buf_data(&identity), identity.size);
    buf_clear(&identity);
}

/* All timers of the key's earliest time. */
static void take_earliest(struct timer_set *set, struct timer_key *key, enum timer_domain domain, timer_vec *due) {
    struct timer_heap *heap = &key->by_domain[domain];
    event_time first = heap->timers.items[0]->fire_ms;

    while (heap->timers.count && heap->timers.items[0]->fire_ms == first) {
        struct timer *timer = heap->timers.items[0];

        heap_remove(heap, timer);
        set->counts[domain]--;
        release(set, timer);
        forget_identity(set, timer);
        vec_push(due, timer);
    }
}

static struct timer_key *first_key(const struct timer_set *set, enum timer_domain domain) {
    struct due_node *first = due_first(&set->by_time[domain]);

    return first ? CONTAINER_OF(first - domain, struct timer_key, nodes) : NULL;
}

void timer_set_take_due(struct timer_set *set, enum timer_domain domain, event_time last, timer_limit_fn limit,
                        void *user, timer_vec *due) {
    VEC(struct timer_key *) taken = {0};
    struct timer_key *key;

    while ((key = first_key(set, domain)) && key->nodes[domain].time <= last) {
        const struct timer *first = key->by_domain[domain].timers.items[0];
        struct slice bytes = timer_key_bytes(first);

        due_remove(&set->by_time[domain], &key->nodes[domain]);
        if (first->fire_ms <= limit(user, bytes))
            take_earliest(set, key, domain, due);
        if (key->by_domain[domain].timers.count)
            vec_push(&taken, key);
        else
            drop_key_if_empty(set, bytes);
    }
    vec_foreach (each, &taken)
        times_changed(set, *each, domain);
    vec_free(&taken);
}

event_time timer_set_earliest(const struct timer_set *set, enum timer_domain domain) {
    const struct due_node *first = due_first(&set->by_time[domain]);

    return first ? first->time : TIMER_NEVER;
}

event_time timer_set_earliest_of(const struct timer_set *set, struct slice key, enum timer_domain domain) {
    const struct timer_key *of_key = map_get(&set->by_key, key.data, key.size);

    if (!of_key || !of_key->by_domain[domain].timers.count)
        return TIMER_NEVER;
    return of_key->by_domain[domain].timers.items[0]->fire_ms;
}

void timer_set_remove_window(struct timer_set *set, struct slice key, struct slice window) {
    struct timer_key *of_key = map_get(&set->by_key, key.data, key.size);

    if (!of_key)
        return;
    for (int domain = 0; domain < 2; domain++) {
        struct timer_heap *heap = &of_key->by_domain[domain];

        for (size_t i = 0; i < heap->timers.count;) {
            struct timer *timer = heap->timers.items[i];

            if (!slice_equal(timer_window_bytes(timer), window)) {
                i++;
                continue;
            }
            heap_remove(heap, timer);
            set->counts[domain]--;
            release(set, timer);
            forget_identity(set, timer);
            timer_free(timer);
            i = 0; /* the heap has moved */
        }
        times_changed(set, of_key, (enum timer_domain)domain);
    }
    drop_key_if_empty(set, key);
}

void timer_set_clear(struct timer_set *set) {
    due_clear(&set->by_time[TIMER_EVENT_TIME]);
    due_clear(&set->by_time[TIMER_PROCESSING_TIME]);
    map_clear(&set->by_key, timer_key_free);
    map_clear(&set->by_identity, NULL);
    holds_clear(&set->holds);
    *set = (struct timer_set){0};
}
