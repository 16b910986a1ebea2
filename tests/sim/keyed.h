/* What a TIMED stage does for one element or one timer, as a list of operations that follows from the key, the window and the element's place
 * in its key's sequence, or from the timer. Pure; sdk_keyed.c carries it out through the engine, reference_keyed.c on plain arrays.
 *
 * The engine is free in: which element of a key comes at which place, when a processing-time timer fires between elements and event-time timers,
 * and which of a key's timers of one time comes first. So that none of this shows:
 *
 *   elements (places 0, 1, ...)    any operation; ordered list entries in [0, ELEMENT_KEYS), map keys "k..."
 *   event-time timers              read what lies before their own time, add at their own time
 *                                  "a" sets itself again, and sets or clears the "b" of its number; "b" only adds
 *                                  "m" was set in two windows at once and keeps away from state
 *   processing-time timers         add below 0; "p" is set once for each place and generation, "v" may be replaced and shows nowhere but in
 *                                  the ledger; what they set for event time, "q", adds below 0 too
 *   @OnWindowExpiration            reads everything
 *
 * A timer's generation, which bounds how often it sets itself, is its hold less the window's start. */
#ifndef SIM_KEYED_H
#define SIM_KEYED_H

#include "functions.h"

enum { ELEMENT_KEYS = 1000, EVENT_KEYS = 2000, MAX_OPERATIONS = 16 };

enum operation_kind {
    OP_MAP_APPEND,
    OP_MAP_CLEAR,
    OP_MAP_CLEAR_ALL,
    OP_MAP_GET,
    OP_MAP_KEYS,
    OP_MAP_ENTRIES,
    OP_LIST_APPEND,
    OP_LIST_CLEAR,
    OP_LIST_GET,
    OP_SET_TIMER,
    OP_CLEAR_TIMER,
};

struct operation {
    enum operation_kind kind;
    bool is_ordered;    /* reads: the order counts */
    char text[24];      /* the map key or the timer's tag */
    char value[24];     /* appended */
    int64_t start, end; /* of a list; the sort key is `start` */
    unsigned family;
    unsigned windows;    /* a timer's: 1 or 2 */
    event_time fire;     /* of event-time timers */
    int64_t delay_ms;    /* of processing-time timers */
    unsigned generation; /* of the timer */
};

struct keyed_timer {
    unsigned family;
    char tag[40];
    event_time fire, hold;
    event_time window_start, window_end;
    struct slice key; /* encoded, nested */
};

struct operations {
    struct operation all[MAX_OPERATIONS];
    unsigned count;
    bool has_output;
    uint64_t hash; /* of the timer; 0 for elements */
};

void keyed_element(const struct function *function, const struct element *in, unsigned place, struct operations *ret);
void keyed_timer_fired(const struct function *function, const struct keyed_timer *timer, struct operations *ret);
/* No event-time timer of the window fires later. */
event_time keyed_last_time(const struct function *function, event_time window_end);
/* When it fires: times outside of Beam's own ends are those ends, and an event time behind the window's last one is that (MODEL 7.9). */
event_time keyed_due(const struct function *function, const struct keyed_timer *timer);
event_time keyed_window_max(event_time window_end);
/* What one item of a read adds to its hash: by its place, or by a sum. */
uint64_t keyed_add_item(const struct operation *operation, uint64_t hash, struct cursor item);
/* The hash after one more read. */
uint64_t keyed_add_read(uint64_t hash, uint64_t read);

#endif
