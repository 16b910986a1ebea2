/* Windows and panes on the wire, and the header of a windowed value.
 *
 * A windowed value is  timestamp(8) | window count(4, big endian) | windows | pane | value  in the nested form
 * (StandardCoders.WINDOWED_VALUE). Windows are compared and interned by their encoded bytes, never by a parsed form; of
 * a window the runner knows its maximum timestamp. */
#ifndef MODEL_WINDOW_H
#define MODEL_WINDOW_H

#include "model/coder.h"
#include "model/time.h"

enum pane_timing { PANE_EARLY = 0, PANE_ON_TIME = 1, PANE_LATE = 2, PANE_UNKNOWN = 3 };

struct pane {
    bool is_first;
    bool is_last;
    enum pane_timing timing;
    int64_t index;
    int64_t nonspeculative_index; /* -1 in EARLY panes */
};

/* What elements carry before any grouping: first, last, UNKNOWN, index 0; one byte 0x0f. */
#define PANE_NO_FIRING ((struct pane){true, true, PANE_UNKNOWN, 0, 0})
/* The only firing of a window: first, last, ON_TIME; one byte 0x07. */
#define PANE_ONLY_FIRING ((struct pane){true, true, PANE_ON_TIME, 0, 0})

void pane_encode(struct buf *out, const struct pane *pane);
enum coder_result pane_decode(struct cursor *at, struct pane *ret_pane);
/* By a table on the first byte; an unknown bit is CODER_BAD. */
enum coder_result pane_skip(struct cursor *at);

/* The maximum timestamp (MODEL 1.3: interval end - 1; global: TIME_GLOBAL_WINDOW_END; custom: the wrapper's) of one encoded
 * window; *at moves behind it. */
enum coder_result window_max_timestamp(const struct coder *window_coder, struct cursor *at, event_time *ret);

/* An interval window's bytes are END(8) then varint(end - start). */
void interval_window_encode(struct buf *out, event_time start, event_time end);
enum coder_result interval_window_decode(struct cursor *at, event_time *ret_start, event_time *ret_end);

/* A windowed value in place: everything points into the bytes that were read. */
struct windowed_value {
    event_time timestamp;
    uint32_t window_count;
    struct cursor windows; /* all of them, one behind the other */
    struct cursor pane;
    struct cursor value;
};

/* Reads one windowed value of a WINDOWED_VALUE coder; *at moves behind it. A window count of 0 is tolerated (MODEL 2.1). */
enum coder_result windowed_value_read(const struct coder *coder, struct cursor *at, struct windowed_value *ret);
/* Only finds its end: the fast path. */
enum coder_result windowed_value_skip(const struct coder *coder, struct cursor *at);
/* Writes what was read, or was changed since. */
void windowed_value_write(struct buf *out, const struct windowed_value *value);
/* Writes the header of a value in one window. */
void windowed_value_write_header(struct buf *out, event_time timestamp, const void *window, size_t window_size,
                                 const struct pane *pane);

#endif
