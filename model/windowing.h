/* A windowing strategy as plain data: window function, trigger, lateness, accumulation
 * (beam_runner_api.proto: WindowingStrategy; standard_window_fns.proto). translate/ fills it in; the engine interprets it. */
#ifndef MODEL_WINDOWING_H
#define MODEL_WINDOWING_H

#include "model/coder.h"
#include "model/time.h"

enum window_fn_kind {
    WINDOW_FN_GLOBAL,
    WINDOW_FN_FIXED,
    WINDOW_FN_SLIDING,
    WINDOW_FN_SESSIONS,
    WINDOW_FN_CUSTOM, /* assigned, merged and mapped by the SDK; opaque here */
};

enum accumulation_mode { ACCUMULATION_DISCARDING = 1, ACCUMULATION_ACCUMULATING = 2 };
enum timestamp_combiner { OUTPUT_TIME_END_OF_WINDOW, OUTPUT_TIME_LATEST, OUTPUT_TIME_EARLIEST };

enum trigger_kind {
    TRIGGER_DEFAULT,
    TRIGGER_ALWAYS,
    TRIGGER_NEVER,
    TRIGGER_ELEMENT_COUNT,
    TRIGGER_AFTER_PROCESSING_TIME,
    TRIGGER_AFTER_SYNCHRONIZED_PROCESSING_TIME,
    TRIGGER_AFTER_END_OF_WINDOW, /* children: early, late; either may be NULL */
    TRIGGER_AFTER_ALL,
    TRIGGER_AFTER_ANY,
    TRIGGER_AFTER_EACH,
    TRIGGER_OR_FINALLY, /* children: main, until */
    TRIGGER_REPEAT,
};

/* TimestampTransform: a delay, or alignment to a period with an offset. */
struct trigger_delay {
    bool align;
    int64_t delay_ms;
    int64_t period_ms;
    int64_t offset_ms;
};

struct trigger {
    enum trigger_kind kind;
    int64_t element_count;
    struct trigger_delay *delays;
    size_t delay_count;
    struct trigger **children;
    size_t child_count;
};

struct windowing {
    enum window_fn_kind fn;
    int64_t size_ms;   /* FIXED, SLIDING; SESSIONS: the gap */
    int64_t period_ms; /* SLIDING */
    int64_t offset_ms;
    const char *fn_urn; /* as the SDK sent it */
    struct slice fn_payload;
    unsigned environment; /* CUSTOM: index of the environment that can run it, UINT_MAX when none */
    bool needs_merge;     /* merge status NEEDS_MERGE: windows merge at the next grouping */
    bool one_window_per_element;
    const struct coder *window_coder;
    const struct trigger *trigger; /* never NULL */
    enum accumulation_mode accumulation;
    enum timestamp_combiner timestamp_combiner;
    bool close_always;   /* ClosingBehavior EMIT_ALWAYS */
    bool on_time_always; /* OnTimeBehavior FIRE_ALWAYS */
    int64_t allowed_lateness_ms;
};

#endif
