/* When to ask a harness the same thing again: once it has had time to do something, never while an answer is under way, and the less often the
 * longer it takes to answer, so that asking takes a small share of its time whatever it is busy with. Knows no clock: the times are
 * given, in nanoseconds of one clock. */
#ifndef JOBSERVER_ASK_PACE_H
#define JOBSERVER_ASK_PACE_H

#include <stdbool.h>
#include <stdint.h>

struct ask_pace {
    int64_t interval_ns; /* the shortest time from an answer to the next question */
    int64_t next_ns;     /* INT64_MAX while an answer is under way */
    int64_t asked_ns;
};

/* The first question is due after one interval. */
void ask_pace_start(struct ask_pace *pace, int64_t interval_ns, int64_t now_ns);
bool ask_pace_is_due(const struct ask_pace *pace, int64_t now_ns);
/* Whether an answer is under way. */
bool ask_pace_is_waiting(const struct ask_pace *pace);
void ask_pace_asked(struct ask_pace *pace, int64_t now_ns);
/* An answer that nobody waits for changes nothing. */
void ask_pace_answered(struct ask_pace *pace, int64_t now_ns);

#endif
