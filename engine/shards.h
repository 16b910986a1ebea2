/* Key shards of a keyed stage: who runs them, and what harnesses may keep of their state (DESIGN "Keys"; PROTOCOL E, cache_tokens).
 *
 * A shard has a home, the worker that ran it last, whose harness may still hold its state; another worker gets it only when the home is
 * lost or has no free slot. A bundle of one shard alone carries a cache token, whose epoch moves as soon as what a harness cached under
 * it may differ from what is committed:
 *
 *      another worker takes the shard · a bundle of it fails · a bundle writes its state without the token (several shards in one bundle)
 *      a window's state is collected  · a read of its state took more than one page
 *
 * (The last because harnesses keep the first page together with a continuation token, which names what this bundle saw; Java's even
 * takes a prefix that it appended to for the whole.) Belongs to the engine's thread. */
#ifndef ENGINE_SHARDS_H
#define ENGINE_SHARDS_H

#include "engine/internal.h"

/* Whether harnesses keep user state of this stage right over several bundles. Only bags: Python keeps nothing else, and Java's list of a
 * multimap's keys grows duplicates when it is kept. */
bool shards_can_cache(const struct plan_stage *plan);
/* Whether a shard that this worker should run has elements, or timers to fire. */
bool shards_have_work(const struct engine *engine, struct stage *stage, const struct worker_slot *worker);
/* ... whoever should run it. */
bool shards_have_any_work(const struct engine *engine, struct stage *stage);
/* Moves the worker's share of what waits into the claim; `slots` are all that may run shards of this stage. */
void shards_claim(struct engine *engine, struct stage *stage, const struct worker_slot *worker, struct claim *claim,
                  size_t max_bytes, unsigned slots);
/* The bundle starts: its worker becomes the home, and the action gets the token if there is one. */
void shards_start(const struct bundle *bundle, struct engine_action *start);
/* State of the shard went without a bundle: what its home has cached is not good any more. */
void shards_forget(struct key_shard *shard);
/* The bundle is over. */
void shards_end(const struct bundle *bundle, bool is_committed);

#endif
