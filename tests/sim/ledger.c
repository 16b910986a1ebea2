#include "ledger.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "sdk.h"
#include "world.h"

struct ledger_entry {
    struct keyed_timer timer; /* its key is not set */
    uint64_t bundle;          /* 0: pending */
};

struct ledger_window {
    event_time start, end;
    uint64_t expiring; /* the bundle that has it */
    bool is_expired;
};

struct ledger_key {
    const struct function *function;
    VEC(struct ledger_entry) timers;
    VEC(struct ledger_window) windows; /* in which an element came or a timer fired */
    bool has_fired;                    /* an event-time timer */
    /* Of a stage whose input is sorted by time: */
    event_time last_fired;
    struct {
        bool any;
        event_time time;
    } last_element, before; /* `before` the bundle that has the last one */
    uint64_t element_bundle;
};

static struct ledger_key *key_of(struct world *world, const struct sim_bundle *bundle, struct cursor key) {
    struct buf name = {0};
    struct ledger_key *found;
    void **slot;

    sdk_cell_key(&name, bundle->stage->index, 0, 0, key);
    slot = map_slot(&world->ledger.keys, buf_data(&name), name.size);
    buf_clear(&name);
    if (!*slot) {
        *slot = found = xcalloc(1, sizeof(*found));
        found->function = bundle->function;
    }
    return *slot;
}

static struct ledger_key *key_of_timer(struct world *world, const struct sim_bundle *bundle,
                                       const struct keyed_timer *timer) {
    return key_of(world, bundle, cursor_of(timer->key.data, timer->key.size));
}

static struct ledger_window *window_of_key(struct ledger_key *key, event_time start, event_time end) {
    vec_foreach (window, &key->windows)
        if (window->start == start && window->end == end)
            return window;
    return NULL;
}

static bool same_window(const struct keyed_timer *a, const struct keyed_timer *b) {
    return a->window_start == b->window_start && a->window_end == b->window_end;
}

static bool is_processing_time(const struct ledger_key *key, const struct keyed_timer *timer) {
    return key->function->families[timer->family].is_processing_time;
}

/* Where time goes on after windows have expired, it takes processing-time timers with it (MODEL 7.15). */
static bool dies_with_window(const struct ledger_key *key, const struct keyed_timer *timer) {
    return key->function->is_streaming && is_processing_time(key, timer);
}

/* Elements of a key come in the order of time, and its event-time timers between them. */
static void check_sorted(struct world *world, const struct sim_bundle *bundle, struct ledger_key *key,
                         event_time timestamp) {
    if (key->element_bundle != bundle->id)
        key->before = key->last_element;
    key->element_bundle = bundle->id;
    if (key->last_element.any && timestamp < key->last_element.time)
        world_violation(world, "bundle %" PRIu64 ": the element at %" PRId64 " comes behind that at %" PRId64,
                        bundle->id, timestamp, key->last_element.time);
    if (key->has_fired && timestamp < key->last_fired)
        world_violation(world, "bundle %" PRIu64 ": the element at %" PRId64 " comes behind a timer at %" PRId64,
                        bundle->id, timestamp, key->last_fired);
    vec_foreach (entry, &key->timers)
        if (!is_processing_time(key, &entry->timer) && keyed_due(key->function, &entry->timer) < timestamp)
            world_violation(world,
                            "bundle %" PRIu64 ": the element at %" PRId64 " comes before timer \"%s\" at %" PRId64,
                            bundle->id, timestamp, entry->timer.tag, entry->timer.fire);
    key->last_element.any = true;
    key->last_element.time = timestamp;
}

void ledger_element(struct world *world, struct sim_bundle *bundle, struct cursor key_bytes, const struct element *in) {
    struct ledger_key *key = key_of(world, bundle, key_bytes);
    struct ledger_window *window = window_of_key(key, in->window_start, in->window_end);

    if (bundle->function->is_sorted)
        check_sorted(world, bundle, key, in->timestamp);
    else if (key->has_fired && !bundle->function->is_streaming)
        world_violation(world, "bundle %" PRIu64 ": an element of a key whose event-time timers fire", bundle->id);
    if (!window) {
        vec_push(&key->windows, ((struct ledger_window){.start = in->window_start, .end = in->window_end}));
        return;
    }
    if (window->is_expired || window->expiring)
        world_violation(world, "bundle %" PRIu64 ": an element of an expired window", bundle->id);
}

/* ---- firing ---- */

static struct ledger_entry *find(struct ledger_key *key, const struct keyed_timer *timer, uint64_t bundle) {
    vec_foreach (entry, &key->timers)
        if (entry->bundle == bundle && entry->timer.family == timer->family && same_window(&entry->timer, timer) &&
            strcmp(entry->timer.tag, timer->tag) == 0)
            return entry;
    return NULL;
}

static void expire(struct world *world, struct sim_bundle *bundle, struct ledger_key *key,
                   const struct keyed_timer *timer) {
    struct ledger_window *window = window_of_key(key, timer->window_start, timer->window_end);
    event_time end = keyed_window_max(timer->window_end);

    if (!window) {
        world_violation(world, "bundle %" PRIu64 ": a window expires in which nothing happened", bundle->id);
        return;
    }
    if (window->is_expired || window->expiring)
        world_violation(world, "bundle %" PRIu64 ": a window expires twice", bundle->id);
    if (timer->fire != end || timer->hold != end || timer->tag[0])
        world_violation(world, "bundle %" PRIu64 ": an expiration with the wrong time or tag", bundle->id);
    vec_foreach (entry, &key->timers)
        if (same_window(&entry->timer, timer) && !dies_with_window(key, &entry->timer))
            world_violation(world, "bundle %" PRIu64 ": a window expires before its timer \"%s\" has fired", bundle->id,
                            entry->timer.tag);
    window->expiring = bundle->id;
}

/* A test stream's, which the harness does not see: what it sets for its own time comes due by that one (MODEL 11.4). */
static bool has_played_clock(const struct world *world) {
    return world->sim->stream && world->sim->stream->is_exact;
}

static void check_order(struct world *world, const struct sim_bundle *bundle, const struct ledger_key *key,
                        const struct keyed_timer *timer) {
    bool own = is_processing_time(key, timer);

    if (own && key->function->is_streaming)
        return; /* one that was set in a window which was gone by then is not kept (MODEL 7.14), and nobody says so */
    vec_foreach (entry, &key->timers) {
        const struct keyed_timer *other = &entry->timer;

        if (is_processing_time(key, other) != own)
            continue;
        if (entry->bundle == 0 && keyed_due(key->function, other) < keyed_due(key->function, timer))
            world_violation(world,
                            "bundle %" PRIu64 ": timer \"%s\" at %" PRId64 " fires before \"%s\" at %" PRId64
                            " of the same key",
                            bundle->id, timer->tag, timer->fire, other->tag, other->fire);
        if (entry->bundle == bundle->id && keyed_due(key->function, other) != keyed_due(key->function, timer))
            world_violation(world, "bundle %" PRIu64 ": timers of one key with different times in one bundle",
                            bundle->id);
    }
}

void ledger_timer(struct world *world, struct sim_bundle *bundle, const struct keyed_timer *timer) {
    struct ledger_key *key = key_of_timer(world, bundle, timer);
    struct ledger_entry *entry;

    if (key->function->families[timer->family].is_expiration) {
        expire(world, bundle, key, timer);
        return;
    }
    entry = find(key, timer, 0);
    if (!entry || entry->timer.fire != timer->fire || entry->timer.hold != timer->hold) {
        world_violation(world, "bundle %" PRIu64 ": timer \"%s\" fires at %" PRId64 " and is not set so", bundle->id,
                        timer->tag, timer->fire);
        return;
    }
    check_order(world, bundle, key, timer);
    entry->bundle = bundle->id;
    if (is_processing_time(key, timer) && !has_played_clock(world) && !world->is_draining && timer->fire > world->now)
        world_violation(world, "bundle %" PRIu64 ": timer \"%s\" fires before its time", bundle->id, timer->tag);
    if (!is_processing_time(key, timer)) {
        key->last_fired =
            key->has_fired ? MAX(key->last_fired, keyed_due(key->function, timer)) : keyed_due(key->function, timer);
        key->has_fired = true;
    }
    if (!window_of_key(key, timer->window_start, timer->window_end))
        vec_push(&key->windows, ((struct ledger_window){.start = timer->window_start, .end = timer->window_end}));
}

/* ---- the ends of bundles ---- */

static void remove_entry(struct ledger_key *key, struct ledger_entry *entry) {
    *entry = *vec_last(&key->timers);
    key->timers.count--;
}

static void expire_for_good(struct ledger_key *key, const struct keyed_timer *timer) {
    struct ledger_window *window = window_of_key(key, timer->window_start, timer->window_end);

    if (window)
        window->is_expired = true;
    for (size_t i = key->timers.count; i-- > 0;)
        if (same_window(&key->timers.items[i].timer, timer))
            remove_entry(key, &key->timers.items[i]);
}

/* Nothing is kept that the last timers of a window set behind its end. */
static bool is_set_at_the_end(const struct ledger_key *key, const struct sim_bundle *bundle,
                              const struct keyed_timer *timer) {
    event_time last = keyed_last_time(key->function, timer->window_end);

    if (is_processing_time(key, timer) || time_add(timer->fire, 0) <= last)
        return false;
    vec_foreach (fired, &bundle->timers)
        if (!is_processing_time(key, fired) && same_window(fired, timer) && slice_equal(fired->key, timer->key) &&
            keyed_due(key->function, fired) >= last)
            return true;
    return false;
}

void ledger_commit(struct world *world, struct sim_bundle *bundle) {
    vec_foreach (timer, &bundle->timers) {
        struct ledger_key *key = key_of_timer(world, bundle, timer);
        struct ledger_entry *entry = find(key, timer, bundle->id);

        if (entry)
            remove_entry(key, entry);
    }
    vec_foreach (write, &bundle->timer_writes) {
        struct ledger_key *key = key_of_timer(world, bundle, &write->timer);
        struct ledger_entry *entry = find(key, &write->timer, 0);

        if (entry)
            remove_entry(key, entry);
        if (!write->is_clear && !is_set_at_the_end(key, bundle, &write->timer))
            vec_push(&key->timers, ((struct ledger_entry){.timer = write->timer}));
    }
    vec_foreach (timer, &bundle->timers)
        if (bundle->function->families[timer->family].is_expiration) {
            struct expired_window expired = {.stage = bundle->stage->index,
                                             .place.window_start = timer->window_start,
                                             .place.window_end = timer->window_end,
                                             .place.value = slice_copy(timer->key.data, timer->key.size, NULL)};

            expire_for_good(key_of_timer(world, bundle, timer), timer);
            vec_push(&world->ledger.expired, expired);
        }
}

long ledger_pick_expired(struct world *world, unsigned stage) {
    size_t count = world->ledger.expired.count, first = rng_below(&world->rng, count);

    for (size_t i = 0; i < MIN(count, (size_t)10); i++)
        if (world->ledger.expired.items[(first + i) % count].stage == stage)
            return (long)((first + i) % count);
    return -1;
}

void ledger_fail(struct world *world, const struct sim_bundle *bundle) {
    map_foreach (entry, &world->ledger.keys) {
        struct ledger_key *key = entry->value;

        if (bundle->function->is_sorted && key->element_bundle == bundle->id)
            key->last_element = key->before;
    }
    vec_foreach (timer, &bundle->timers) {
        struct ledger_key *key = key_of_timer(world, bundle, timer);
        struct ledger_entry *entry = find(key, timer, bundle->id);
        struct ledger_window *window = window_of_key(key, timer->window_start, timer->window_end);

        if (entry)
            entry->bundle = 0;
        else if (window && window->expiring == bundle->id)
            window->expiring = 0;
    }
}

static void check_key(struct world *world, const struct ledger_key *key) {
    bool has_expiration = false;

    for (unsigned i = 0; i < key->function->family_count; i++)
        has_expiration |= key->function->families[i].is_expiration;
    vec_foreach (entry, &key->timers)
        world_violation(world, "timer \"%s\" at %" PRId64 " was set and never fired", entry->timer.tag,
                        entry->timer.fire);
    vec_foreach (window, &key->windows)
        if (has_expiration && !window->is_expired)
            world_violation(world, "the window that ends at %" PRId64 " never expired", window->end);
}

void ledger_check_end(struct world *world) {
    map_foreach (entry, &world->ledger.keys)
        check_key(world, entry->value);
}

/* ---- residuals ---- */

static void **delay_slot(struct world *world, const struct sim_bundle *bundle, struct slice element) {
    struct buf name = {0};
    void **slot;

    buf_add_be32(&name, bundle->stage->index);
    buf_add(&name, element.data, element.size);
    slot = map_slot(&world->ledger.delays, buf_data(&name), name.size);
    buf_clear(&name);
    return slot;
}

/* Equal elements have equal residuals; the one that is due first counts. */
void ledger_residual(struct world *world, const struct sim_bundle *bundle, struct slice element, int64_t delay_ms) {
    void **slot = delay_slot(world, bundle, element);
    event_time due = world->now + delay_ms;

    if (!*slot) {
        *slot = xmalloc(sizeof(due));
        *(event_time *)*slot = due;
    }
    *(event_time *)*slot = MIN(*(event_time *)*slot, due);
}

void ledger_residual_starts(struct world *world, const struct sim_bundle *bundle, struct slice element) {
    struct buf name = {0};
    const event_time *due;

    buf_add_be32(&name, bundle->stage->index);
    buf_add(&name, element.data, element.size);
    due = map_get(&world->ledger.delays, buf_data(&name), name.size);
    buf_clear(&name);
    if (due && *due > world->now && !world->is_draining)
        world_violation(world, "bundle %" PRIu64 ": a residual is started %" PRId64 " ms before it is due", bundle->id,
                        *due - world->now);
}

static void free_key(void *value) {
    struct ledger_key *key = value;

    vec_free(&key->timers);
    vec_free(&key->windows);
    free(key);
}

void ledger_clear(struct ledger *ledger) {
    map_clear(&ledger->keys, free_key);
    map_clear(&ledger->delays, free);
    vec_foreach (expired, &ledger->expired)
        slice_unref(&expired->place.value);
    vec_free(&ledger->expired);
}
