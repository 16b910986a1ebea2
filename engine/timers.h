/* Timers of a key shard: pending ones by identity, and for each key in the order of their times
 * (beam_fn_api.proto: Timer; MODEL 7.1 - 7.5; PROTOCOL F).
 *
 *      identity: family, tag, window, key          a set replaces, a clear removes
 *      key --> [ event-time heap ] [ processing-time heap ]      so that the earliest of a key is at hand
 *      domain --> keys in the order of their earliest            so that those that are due are, whatever the others
 *
 * Belongs to the engine's thread. */
#ifndef ENGINE_TIMERS_H
#define ENGINE_TIMERS_H

#include "base/map.h"
#include "base/slice.h"
#include "base/vec.h"
#include "engine/due.h"
#include "engine/holds.h"
#include "model/window.h"
#include "translate/plan.h"

struct timer {
    struct slice
        bytes;       /* from the key to the pane, in the family's coder, with one window: what goes back to the SDK */
    size_t key_size; /* the key is at the start of `bytes` */
    size_t window_at, window_size;
    unsigned family;
    event_time fire_ms;
    event_time hold_ms;
    event_time held_ms;    /* hold_ms, or the window's last time if that is behind it: */
    bool has_hold;         /* of a stream's: it is among the set's holds, or those of the bundle that fires the timer */
    event_time window_end; /* the window's maximum timestamp */
    uint64_t sequence;     /* ties fire in the order in which they were set */
    size_t heap_place;
};

struct timer_heap {
    VEC(struct timer *) timers;
};

struct timer_key {
    struct due_node nodes[2];       /* of the earliest of each domain; first */
    struct timer_heap by_domain[2]; /* event time, processing time */
};

/* Zero-initialise. */
struct timer_set {
    struct map by_identity; /* -> struct timer */
    struct map by_key;      /* -> struct timer_key */
    uint64_t next_sequence;
    size_t counts[2];           /* by domain */
    struct holds holds;         /* of a stream's pending timers */
    struct due_heap by_time[2]; /* of timer_key, by domain */
};

enum timer_domain { TIMER_EVENT_TIME = 0, TIMER_PROCESSING_TIME = 1 };

typedef VEC(struct timer *) timer_vec;

/* What is to be made of times in timer records. Zeros: a bounded stage, without allowed lateness. */
struct timer_rules {
    int64_t allowed_lateness_ms;
    const timer_vec *fired; /* by the bundle that set them; NULL: none */
    bool is_streaming;      /* holds are kept, and: */
    event_time input_watermark;
    bool is_clock_played; /* processing time is a TestStream's: */
    event_time played_ms, host_ms;
    bool is_draining; /* at the end of the input no timer is to wait for a processing time */
};

/* Applies encoded timer records, in order, of one family; they were checked when they arrived. Event-time timers fire at the latest with the
 * window, which is gone the allowed lateness behind its end (MODEL 7.9), but none that its last ones set for later, so that a timer which
 * always sets itself again comes to an end; processing-time timers of a window that is gone are not kept (MODEL
 * 7.14). The global window is never gone. */
void timer_set_apply(struct timer_set *set, const struct plan_stage *stage, unsigned family,
                     const struct timer_rules *rules, struct slice records, struct account *account);
/* When the state and the timers of a window go: MODEL 3.11. */
event_time window_collected_ms(event_time window_end, int64_t allowed_lateness_ms);
/* A timer made by the runner, for timer_append(): tag "", no pane. */
struct timer *timer_make(unsigned family, struct slice key, struct slice window, event_time window_end,
                         event_time fire_ms, event_time hold_ms, struct account *account);
void timer_free(struct timer *timer);

/* The last time at which a timer of this key may fire now. */
typedef event_time (*timer_limit_fn)(void *user, struct slice key);
/* For each key: moves the timers with its earliest time in `domain` into `due`, when that time is <= its limit, none of which is behind
 * `last`. Keys come in the order of those times. */
void timer_set_take_due(struct timer_set *set, enum timer_domain domain, event_time last, timer_limit_fn limit,
                        void *user, timer_vec *due);
/* The earliest time in the domain, TIMER_NEVER when there is none. */
event_time timer_set_earliest(const struct timer_set *set, enum timer_domain domain);
event_time timer_set_earliest_of(const struct timer_set *set, struct slice key, enum timer_domain domain);
/* Removes every timer of this key and window. */
void timer_set_remove_window(struct timer_set *set, struct slice key, struct slice window);
void timer_set_clear(struct timer_set *set);

#define TIMER_NEVER (TIME_MAX + 1)
#define TIMER_NOT_NOW (TIME_MIN - 1)

#endif
