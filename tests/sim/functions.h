/* What the simulated stages compute, as pure functions of an element in one window (and of what its side inputs and state hold).
 *
 * The fake workers (sdk.c) and the reference (reference.c) call the same functions and differ in everything around them: the former go
 * through the engine with bundles, messages, retries and faults, the latter walks plain arrays. Whatever the engine is free to order
 * (values of a group, elements of a side input, arrival at a key) enters as a sum of hashes, or as a position 0, 1, 2, ...
 *
 * Values are bytes, KV<bytes,bytes> or KV<bytes,iterable<bytes>>, in the global window, in fixed windows or in sessions. */
#ifndef SIM_FUNCTIONS_H
#define SIM_FUNCTIONS_H

#include "base/buf.h"
#include "base/slice.h"
#include "base/vec.h"
#include "model/coder.h"
#include "model/time.h"
#include "model/window.h"

enum { SIM_MAX_SINKS = 3, SIM_MAX_SIDES = 2, SIM_MAX_FAMILIES = 4 };

/* The end of an interval window; this one stands for the global window. */
#define SIM_GLOBAL INT64_MAX

enum value_type {
    VALUE_BYTES,
    VALUE_KV,
    VALUE_GROUPED,
    VALUE_QUESTION, /* to a window function that merges, and the answer: merging.h */
    VALUE_ANSWER,
    VALUE_ITERABLE,
};

/* An element in one window. */
struct element {
    event_time timestamp;
    event_time window_start; /* 0 in the global window */
    event_time window_end;
    struct slice value; /* encoded, nested */
    struct pane pane;
};

struct element_list {
    VEC(struct element) all;
};

void element_list_clear(struct element_list *list);

enum function_kind {
    FUNCTION_CREATE,   /* from an impulse: `count` elements for each sink */
    FUNCTION_MAP,      /* each element to 0..fan elements for each sink, with what the side inputs say */
    FUNCTION_SPLIT,    /* a splittable DoFn: `positions` steps an element, each with its own outputs */
    FUNCTION_STATEFUL, /* counts the elements of a key in a bag, from 0 to limit - 1 and again */
    FUNCTION_TIMED,    /* state of all kinds and timers: keyed.h */
    FUNCTION_MERGE,    /* answers which windows become one */
    FUNCTION_RECORD,   /* no output: what it consumed is compared at the end */
    /* Of streaming plans: stream.h. One sink each. */
    FUNCTION_STREAM_CREATE, /* `count` restrictions from an impulse */
    FUNCTION_STREAM_SOURCE, /* `positions` steps a restriction, with watermarks and delays */
    FUNCTION_STREAM_WINDOW, /* into `windowing` */
    FUNCTION_STREAM_MAP,
    FUNCTION_STREAM_UNGROUP,
    FUNCTION_STREAM_KEYED,
};

struct sink_spec {
    enum value_type type;
    int64_t window_ms; /* 0: global */
    bool is_session;
    bool keeps_window; /* of the input, and its timestamp */
    bool two_windows;  /* each element lies in its window and in the next */
    unsigned keys;
    unsigned fan;
    unsigned value_max;
};

struct side_spec {
    unsigned collection;
    bool is_multimap;
    enum value_type type; /* of the collection's elements */
    int64_t window_ms;
};

struct function {
    enum function_kind kind;
    uint64_t seed;
    enum value_type input;
    int64_t window_ms; /* of the input */
    unsigned count;
    unsigned positions;
    unsigned limit;
    struct family_spec {
        bool is_processing_time, is_expiration;
    } families[SIM_MAX_FAMILIES]; /* TIMED */
    unsigned family_count;
    bool is_sorted; /* TIMED: a key's elements come by time, its event-time timers between them */
    int64_t allowed_lateness_ms;
    bool is_streaming;                 /* of a streaming plan */
    const struct windowing *windowing; /* STREAM_WINDOW */
    int64_t tick_ms;                   /* STREAM_KEYED: what processing-time timers are set by */
    struct sink_spec sinks[SIM_MAX_SINKS];
    unsigned sink_count;
    struct side_spec sides[SIM_MAX_SIDES];
    unsigned side_count;
};

/* One output element; `windows` of them (1 or 2): its own and the one window_ms later. */
typedef void (*emit_fn)(void *user, unsigned sink, const struct element *element, unsigned windows);

/* `side_hash`: see function_reads_sides(); TIMED: what was read of the state. `step`: the position (SPLIT) or the place in the key's
 * sequence (STATEFUL, TIMED). */
void function_apply(const struct function *function, const struct element *in, uint64_t side_hash, unsigned step,
                    emit_fn emit, void *user);
/* Not every element reads its side inputs. */
bool function_reads_sides(const struct function *function, const struct element *in);
/* The key to look up in a multimap side input, encoded. */
struct slice function_side_key(const struct function *function, unsigned side, const struct element *in);
/* How many steps of a splittable DoFn an element takes. */
unsigned function_positions(const struct function *function, const struct element *in);
/* What one element of a side input adds to the hash. For multimaps `item` is the value behind the key. */
uint64_t side_item_hash(const struct side_spec *side, struct cursor item);
/* The window to read in a side input. */
event_time side_window(const struct side_spec *side, const struct element *in);

/* Independent of the order of an iterable's values. */
uint64_t value_hash(enum value_type type, struct cursor value);
/* "window timestamp value", an iterable's values sorted: what two runs compare. Owned by the caller. */
char *element_text(enum value_type type, const struct element *element);

/* The encoded window of an element, appended. */
void window_write(struct buf *out, event_time window_start, event_time window_end, int64_t window_ms);
void element_write(struct buf *out, const struct element *element, unsigned windows, int64_t window_ms, uint8_t pane);
/* Where a KV's key ends. */
struct cursor kv_key(struct slice kv);
event_time window_of(event_time timestamp, int64_t window_ms);

#endif
