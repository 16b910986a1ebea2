/* Holds: a multiset of times of which the least is asked for often (MODEL 3.4: what keeps an output watermark back).
 *
 *      added:   a heap of the times that were added
 *      removed: a heap of those of them that were removed, and are not the least
 *
 * A time goes from both when it is the least of both, so that the least of `added` is the least hold. Adding and removing take O(log n),
 * asking O(1). Once half of `added` is removed the two are worked off against each other, so a hold that stays for long costs no memory for
 * those that come and go above it. Belongs to one thread. */
#ifndef ENGINE_HOLDS_H
#define ENGINE_HOLDS_H

#include "base/account.h"
#include "base/vec.h"
#include "model/time.h"

typedef VEC(event_time) time_heap;

/* Zero-initialise, or set `account` first. */
struct holds {
    struct account *account;
    time_heap added, removed;
};

void holds_add(struct holds *holds, event_time time);
/* `time` was added and not removed since. */
void holds_remove(struct holds *holds, event_time time);
/* TIME_MAX when there are none; a hold at TIME_MAX is none either. */
event_time holds_min(const struct holds *holds);
size_t holds_count(const struct holds *holds);
void holds_clear(struct holds *holds);

#endif
