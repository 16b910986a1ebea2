/* What must be true of the timers of a stage, kept apart from the engine: which are set, which bundle has them, which windows have had input.
 *
 *      SEND of an element      its key has fired no event-time timer, its window has not expired; where the input is sorted by time: none
 *                              later than it, all that are earlier, and its key has had no later element
 *      SEND of a timer         it is set, due, in time, the earliest of its key, and in no other bundle; its key has no elements in this one
 *      commit                  what fired is gone, what the bundle set or cleared holds, expired windows have lost their timers
 *      failure                 what fired is set again
 *      end of the job          nothing that could fire is left, and every window has expired once */
#ifndef SIM_LEDGER_H
#define SIM_LEDGER_H

#include "base/map.h"
#include "keyed.h"

struct world;
struct sim_bundle;

struct expired_window {
    unsigned stage;
    struct element place; /* its value is the key */
};

/* Zero-initialise. */
struct ledger {
    struct map keys; /* stage and key -> struct ledger_key */
    VEC(struct expired_window) expired;
    struct map delays; /* stage and residual -> when it may start, a heap integer */
};

void ledger_element(struct world *world, struct sim_bundle *bundle, struct cursor key, const struct element *in);
void ledger_timer(struct world *world, struct sim_bundle *bundle, const struct keyed_timer *timer);
void ledger_commit(struct world *world, struct sim_bundle *bundle);
void ledger_fail(struct world *world, const struct sim_bundle *bundle);
/* A committed residual, and an element that a bundle is given: both whole. */
void ledger_residual(struct world *world, const struct sim_bundle *bundle, struct slice element, int64_t delay_ms);
void ledger_residual_starts(struct world *world, const struct sim_bundle *bundle, struct slice element);
/* A window of this stage that has expired, its place in ledger.expired, for a look at what is left of its state; -1: none yet. */
long ledger_pick_expired(struct world *world, unsigned stage);
void ledger_check_end(struct world *world);
void ledger_clear(struct ledger *ledger);

#endif
