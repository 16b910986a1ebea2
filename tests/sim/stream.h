/* Streaming plans: what they are made of, and what their stages compute, as pure functions of one element in one window.
 *
 *      test stream ---------+                                     +--> grouping --> ungroup
 *                           +--> map, window, flatten, ... -------+--> keyed                      and a recorder behind each
 *      create --> source ---+                                     +--> map with a side input
 *
 * Every value is a text that tells what became of it: "0.17" is the 17th element of source 0; a letter is put in front by each stage it
 * passes. A "!" at the end says that nothing promises that it is on time: its source had reported a watermark beyond it, it is later than its
 * window, or it came out of something of which this is true. What has no "!" is never dropped for lateness, whatever the engine is free to
 * order. */
#ifndef SIM_STREAM_H
#define SIM_STREAM_H

#include "functions.h"
#include "keyed.h"
#include "model/windowing.h"
#include "random.h"

enum { STREAM_MAX_WINDOWS = 8 };

/* The families of every keyed stage. */
enum { STREAM_EVENT_FAMILY, STREAM_PROCESSING_FAMILY, STREAM_EXPIRATION_FAMILY, STREAM_FAMILIES };

/* An element in one window, decoded. A group's values are sorted and have a comma between them. */
struct stream_element {
    char key[16];
    const char *value;
    event_time timestamp, window_start, window_end; /* as in struct element */
    struct pane pane;
};

struct stream_window {
    event_time start, end;
};

/* `windows` of the element's own is unset: they are apart, since one value on the wire lies in all of them. */
typedef void (*stream_emit_fn)(void *user, const struct stream_element *element, const struct stream_window *windows,
                               unsigned window_count);

/* What a test stream plays. */
enum stream_event_kind { STREAM_ELEMENTS, STREAM_WATERMARK, STREAM_PROCESSING_TIME };

struct stream_event {
    enum stream_event_kind kind;
    unsigned output;
    event_time watermark;
    int64_t advance_ms;
    struct stream_element elements[3]; /* of different keys, in the global window */
    unsigned element_count;
};

struct stream_plan {
    /* A test stream feeds it and nothing depends on how elements are cut into bundles: stream_reference.h says every pane. Else the rules of
     * stream_check.h hold. */
    bool is_exact;
    bool is_endless; /* its sources are: it must be drained */
    struct stream_event *events;
    size_t event_count;
};

/* ---- values ---- */

/* The value is the caller's, in *ret_text. */
struct stream_element stream_decode(enum value_type type, const struct element *in, char **ret_text);
/* One line, which stream_parse() reads; owned by the caller. */
char *stream_text(const struct stream_element *element);
/* `value` points into `text`. */
struct stream_element stream_parse(const char *text);
bool stream_is_late(const char *value);
event_time stream_window_max(event_time window_end);
/* When a window of this strategy expires. */
event_time stream_expiry(const struct windowing *windowing, event_time window_end);

/* ---- stages without state ---- */

unsigned stream_assign(const struct windowing *windowing, event_time timestamp, struct stream_window *ret);
/* STREAM_WINDOW, STREAM_MAP (`side`: what was read, NULL without a side input), STREAM_UNGROUP. */
void stream_apply(const struct function *function, const struct stream_element *in, const char *side,
                  stream_emit_fn emit, void *user);

/* ---- sources ---- */

/* Lower bound of the timestamps of what a source's restriction makes from `position` on. Never falls. */
event_time stream_source_watermark(const struct function *function, unsigned restriction, unsigned position);
void stream_source_step(const struct function *function, unsigned restriction, unsigned position, stream_emit_fn emit,
                        void *user);
int64_t stream_source_delay(const struct function *function, unsigned restriction, unsigned position);

/* ---- keyed stages ---- */

struct stream_timer_op {
    unsigned family;
    bool is_clear;
    char tag[16];
    event_time fire; /* of event-time timers */
    int64_t delay_ms;
    event_time hold;
};

struct stream_work {
    struct stream_timer_op ops[4];
    unsigned count;
};

/* `bag_count` elements were there before. What is emitted lies in the element's window. */
void stream_keyed_element(const struct function *function, const struct stream_element *in, unsigned bag_count,
                          struct stream_work *ret, stream_emit_fn emit, void *user);
/* `is_late`: all elements of the bag are. */
void stream_keyed_timer(const struct function *function, const struct keyed_timer *timer, const char *key,
                        unsigned bag_count, bool is_late, struct stream_work *ret, stream_emit_fn emit, void *user);

#endif
