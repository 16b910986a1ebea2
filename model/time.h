/* Event time and processing time: int64 milliseconds, with Beam's own ends of the scale
 * (beam_runner_api.proto, BeamConstants; MODEL "Time"). One arithmetic for all, and it clamps. */
#ifndef MODEL_TIME_H
#define MODEL_TIME_H

#include <stdbool.h>
#include <stdint.h>

/* Milliseconds since the epoch. */
typedef int64_t event_time;

/* BeamConstants.MIN_TIMESTAMP_MILLIS, MAX_TIMESTAMP_MILLIS, GLOBAL_WINDOW_MAX_TIMESTAMP_MILLIS. The day between the last
 * two lets every watermark pass the end of the global window. */
#define TIME_MIN ((event_time)-9223372036854775)
#define TIME_MAX ((event_time)9223372036854775)
#define TIME_GLOBAL_WINDOW_END ((event_time)9223371950454775)

/* a + b, kept inside [TIME_MIN, TIME_MAX]; never overflows. */
static inline event_time time_add(event_time a, int64_t b) {
    event_time sum;

    if (__builtin_add_overflow(a, b, &sum))
        return b < 0 ? TIME_MIN : TIME_MAX;
    return sum < TIME_MIN ? TIME_MIN : sum > TIME_MAX ? TIME_MAX : sum;
}

/* The wire form: 8 bytes big endian of (ms XOR 2^63), so that bytes sort like numbers. */
static inline uint64_t time_to_wire(event_time t) {
    return (uint64_t)t ^ (UINT64_C(1) << 63);
}

static inline event_time time_from_wire(uint64_t wire) {
    return (event_time)(wire ^ (UINT64_C(1) << 63));
}

enum { TIME_TEXT_SIZE = 64 };

/* For a person: "2024-02-29T12:00:00.000Z", and words for Beam's own ends. `out` has TIME_TEXT_SIZE bytes; what is returned may lie in it. */
const char *time_describe(event_time time, char *out);

#endif
