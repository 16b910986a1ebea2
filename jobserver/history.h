/* A job's history: one list of state changes and messages, in order, bounded.
 *
 *      seq:   1        2        3 ............ 40      41 ...
 *           STOPPED  STARTING  [dropped ones]  note   message ...
 *
 * Every record has a sequence number that never changes, so that a reader is no more than the number of the record it saw
 * last. When there are too many messages, or too many bytes of them, the oldest below WARNING go first, then warnings, then errors;
 * states stay. A note takes the place of the newest dropped one: a reader that was too slow to see them reads how many there were.
 *
 * Belongs to the lock of the job that owns it; records are reference counted and immutable. */
#ifndef JOBSERVER_HISTORY_H
#define JOBSERVER_HISTORY_H

#include <stdatomic.h>

#include "base/vec.h"
#include "jobserver/job.h"

struct history_record {
    atomic_uint refs;
    bool is_note;
    struct job_event event;
    size_t text_size;
    char text[];
};

struct history {
    struct job_limits limits;
    VEC(struct history_record *) records; /* by seq */
    uint64_t next_seq;
    size_t message_count; /* without the note */
    size_t bytes;
    uint64_t dropped_count;
    int64_t last_time_ms;
    bool is_rewritten; /* records went or changed since whoever keeps a copy of the history set this to false */
};

void history_init(struct history *history, const struct job_limits *limits);
void history_finish(struct history *history);

void history_add_state(struct history *history, enum job_state state);
/* The text is copied; what is not UTF-8 in it becomes '?', and beyond limits.max_message_bytes it is cut. */
void history_add_message(struct history *history, enum job_message_importance importance, const char *text);
/* From now on the history shows its ERROR messages as warnings: for those who read it from the start when the job has failed (Java's client takes
 * the first ERROR as the reason, others the last). */
void history_lower_errors(struct history *history);
/* A record of an earlier life of this history, behind those that are there; its reference is taken over. */
void history_restore(struct history *history, struct history_record *record);
/* What history_restore() takes. The text is copied as it is. */
struct history_record *history_record_create(const struct job_event *event, bool is_note);
/* The first record behind number `seq` (0: the very first), with a reference for the caller; NULL when there is none. */
struct history_record *history_next(const struct history *history, uint64_t seq);
void history_record_unref(struct history_record *record);

#endif
