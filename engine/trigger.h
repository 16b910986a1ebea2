/* Trigger state machines (MODEL 5.11 - 5.25): when a window of a key is due to fire, and whether it ever will again.
 *
 *      struct trigger, a tree --compile--> program: nodes in preorder, made once a grouping
 *      state of a key and window:          [ finished bits | slot | slot ... ]   64-bit words, a slot for each node that counts or waits
 *
 * Most triggers (the default one, Always, Never) have no state: program->words is 0 and their state is never looked at. A node's bit is
 * its place in preorder. Where SDKs and runners differ the rules are those of Java's state machines. Two of its defects are not copied: an
 * early or late trigger made of others starts anew as a whole after each firing, not only at its root; and a delay is over when its time has
 * come, not a moment after it. Belongs to one thread. */
#ifndef ENGINE_TRIGGER_H
#define ENGINE_TRIGGER_H

#include <stdbool.h>

#include "base/status.h"
#include "model/windowing.h"

enum { TRIGGER_MAX_NODES = 64 };

struct trigger_program {
    bool is_merging; /* windows may merge: what is finished may be revived */
    unsigned words;  /* of a state; 0: there is none */
    unsigned node_count;
    struct trigger_node *nodes;
};

/* What a trigger may know besides its state. */
struct trigger_clock {
    event_time window_end; /* the window's maximum timestamp */
    event_time input_watermark;
    event_time processing_time;
    bool is_arriving; /* elements have just come, and the watermarks that came with them are not yet known */
};

/* Fails with UNIMPLEMENTED for trees of more than TRIGGER_MAX_NODES triggers, with INVALID_ARGUMENT for those that make no sense. */
int trigger_check(const struct trigger *trigger, struct status *st);
/* `trigger` was checked, and outlives the program. */
struct trigger_program *trigger_program_create(const struct trigger *trigger, bool is_merging);
/* NULL is fine. */
void trigger_program_destroy(struct trigger_program *program);

/* The state before the first element. */
void trigger_start(const struct trigger_program *program, int64_t *state);
/* `count` elements came; the trigger is not finished. */
void trigger_on_element(const struct trigger_program *program, int64_t *state, const struct trigger_clock *clock,
                        uint64_t count);
/* Windows became one. `state` is the one's: what it had itself if it was there before, else as trigger_start() leaves it. `sources` are the
 * states of the windows that were open and became it, none of them finished, each other memory than `state`. */
void trigger_on_merge(const struct trigger_program *program, int64_t *state, const int64_t *const *sources,
                      size_t source_count, const struct trigger_clock *clock);
bool trigger_should_fire(const struct trigger_program *program, const int64_t *state,
                         const struct trigger_clock *clock);
/* Only when it should. */
void trigger_on_fire(const struct trigger_program *program, int64_t *state, const struct trigger_clock *clock);
/* It will never fire again; only firing and merging change that. */
bool trigger_is_finished(const struct trigger_program *program, const int64_t *state);
/* The earliest processing time at which it might fire by the clock alone; TIME_MAX: none. Times that have come are not told, but for one
 * that waits for no more than that all has come. */
event_time trigger_next_time(const struct trigger_program *program, const int64_t *state,
                             const struct trigger_clock *clock);

#endif
