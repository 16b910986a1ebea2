/* The Elements message of the Fn API's data plane, scanned and written by hand: at data rates protobuf-c costs a hundred copies
 * (docs/performance.md). Nothing is copied: what comes out points into the message. */
#ifndef WIRE_ELEMENTS_H
#define WIRE_ELEMENTS_H

#include "base/buf.h"
#include "base/slice.h"

/* One Elements.Data or Elements.Timers. */
struct elements_part {
    bool is_timers;
    struct cursor instruction_id;
    struct cursor transform_id;
    struct cursor timer_family_id; /* Timers only */
    struct cursor bytes;
    bool is_last;
};

struct elements_scanner {
    struct cursor at;
};

struct elements_scanner elements_scan(struct slice message);
/* 1: *ret is the next part; 0: the message is over; -1: malformed (a length that leaves its message, an unknown group). Unknown
 * fields are skipped. */
int elements_next(struct elements_scanner *scanner, struct elements_part *ret);

/* The bytes of an Elements message up to and including the length of one part's data: send it, followed by the data itself,
 * as one message of two pieces. `family` NULL: Data, else Timers. data_size 0 with is_last makes an end mark. */
struct slice elements_header(const char *instruction_id, const char *transform_id, const char *family, size_t data_size,
                             bool is_last);

#endif
