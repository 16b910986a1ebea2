/* A few threads for what blocks: files, fsync, long computations that would hold up an RPC thread.
 *
 *   pool_run(pool, fn, user)          any thread of the pool, in any order
 *   pool_run_after(pool, ms, ...)     not before `ms` milliseconds have gone by
 *   lane_run(lane, fn, user)          tasks of one lane run one at a time and in order, on any thread of the pool:
 *                                     what a stream's messages need, and it makes locks around a stream's state unnecessary
 *
 * Every task that was accepted runs exactly once, so that what it owns is freed: pool_destroy() runs what is still
 * queued, delayed tasks early. Functions may be called from any thread, also inside a task. */
#ifndef BASE_POOL_H
#define BASE_POOL_H

struct pool;
struct lane;

typedef void (*pool_fn)(void *user);

struct pool *pool_create(unsigned threads);
void pool_run(struct pool *pool, pool_fn fn, void *user);
void pool_run_after(struct pool *pool, unsigned delay_ms, pool_fn fn, void *user);
/* Runs all that is queued, and what that queues, joins the threads and frees. NULL is fine. */
void pool_destroy(struct pool *pool);

struct lane *lane_create(struct pool *pool);
void lane_run(struct lane *lane, pool_fn fn, void *user);
/* Frees the lane once what was queued has run; nothing may be queued afterwards. Does not wait; a lane's last task may call it. */
void lane_release(struct lane *lane);

#endif
