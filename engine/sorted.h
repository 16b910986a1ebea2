/* Input in the order of time: stages with RequiresTimeSortedInput (MODEL 7.19).
 *
 * In batch nothing is late, so a shard waits until its stage's input is complete and is then sorted: per key, by timestamp, elements of
 * one time in the order in which they came. User timers belong in between: before an element at t is given, the key's event-time
 * timers before t have fired, those too that an element just before it sets. So where a stage has such timers, one bundle gives of each key
 * either its elements of one time or the timers of one time; where it has none, the elements go out as any others.
 *
 * In a stream elements are kept by key until the input watermark is the allowed lateness behind them, and those that come later than that are
 * dropped. Timers and windows that are to go wait as long, or they would come before elements that belong in front of them. What is kept holds
 * the output watermark.
 *
 * Belongs to the engine's thread. */
#ifndef ENGINE_SORTED_H
#define ENGINE_SORTED_H

#include "engine/internal.h"

/* Of a stage of this kind in a stream: what has come is kept by key, and does not hold the input watermark any more. */
void sorted_take_arrived(struct engine *engine, struct stage *stage);
/* Of a stage of this kind whose input is complete: sorts shards until `at_once` of them are, or are being read for it. So many must fit into
 * memory at a time. */
void sorted_prepare(struct engine *engine, struct stage *stage, unsigned at_once);
/* Whether elements of the shard are being read back: what it gives or fires meanwhile may come before them. */
bool sorted_is_loading(const struct key_shard *shard);
/* Whether the shard has elements to give now; of any stage. */
bool sorted_has_elements(const struct stage *stage, const struct key_shard *shard);
/* Moves about max_bytes of elements into the claim. Then timers may be taken; then sorted_drop_finished(). */
void sorted_take(struct engine *engine, struct stage *stage, struct key_shard *shard, struct claim *claim,
                 size_t max_bytes);
/* Lets go of keys that gave all they had. */
void sorted_drop_finished(struct engine *engine, struct key_shard *shard);
/* The last time at which a timer of this key may fire before more of its elements are given, TIME_MAX when there are none; TIMER_NOT_NOW
 * when the claim has elements of the key. `shard` is a struct key_shard, of any stage: this is a timer_limit_fn. */
event_time sorted_timer_limit(void *shard, struct slice key);
/* Whether the shard has elements that were not yet given. */
bool sorted_is_pending(const struct key_shard *shard);
/* Of a stream: the least timestamp of those, TIME_MAX when there are none. */
event_time sorted_hold(const struct key_shard *shard);
void sorted_clear(struct engine *engine, struct key_shard *shard);

#endif
