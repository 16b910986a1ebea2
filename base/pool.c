#include "base/pool.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/mem.h"

struct task {
    struct list link;
    pool_fn fn;
    void *user;
    int64_t due_ms; /* delayed tasks */
};

struct pool {
    pthread_mutex_t mutex;
    pthread_cond_t wake; /* on CLOCK_MONOTONIC */
    struct list ready;
    struct list delayed; /* by due time */
    unsigned running;
    bool stopping;
    unsigned thread_count;
    pthread_t threads[];
};

/* A lane is in the pool's queue at most once: as the task that runs the lane's first one. */
struct lane {
    struct pool *pool;
    pthread_mutex_t mutex;
    struct list tasks;
    bool active; /* queued or running in the pool */
    bool released;
};

static int64_t monotonic_ms(void) {
    return monotonic_now_ns() / 1000000;
}

static struct task *task_create(pool_fn fn, void *user) {
    struct task *task = xcalloc(1, sizeof(*task));

    list_init(&task->link);
    task->fn = fn;
    task->user = user;
    return task;
}

static struct task *first_task(struct list *tasks) {
    return list_empty(tasks) ? NULL : CONTAINER_OF(tasks->next, struct task, link);
}

/* Moves delayed tasks whose time has come (all of them when stopping) to the ready list. Locked. */
static void promote_delayed(struct pool *pool) {
    int64_t now = monotonic_ms();
    struct task *task;

    while ((task = first_task(&pool->delayed)) && (pool->stopping || task->due_ms <= now)) {
        list_remove(&task->link);
        list_append(&pool->ready, &task->link);
    }
}

static void wait_for_work(struct pool *pool) {
    struct task *next = first_task(&pool->delayed);
    struct timespec until;

    if (!next) {
        pthread_cond_wait(&pool->wake, &pool->mutex);
        return;
    }
    until.tv_sec = next->due_ms / 1000;
    until.tv_nsec = next->due_ms % 1000 * 1000000;
    pthread_cond_timedwait(&pool->wake, &pool->mutex, &until);
}

static void *pool_thread(void *user) {
    struct pool *pool = user;

    pthread_mutex_lock(&pool->mutex);
    for (;;) {
        struct list *node;

        promote_delayed(pool);
        node = list_pop(&pool->ready);
        if (node) {
            struct task *task = CONTAINER_OF(node, struct task, link);

            pool->running++;
            pthread_mutex_unlock(&pool->mutex);
            task->fn(task->user);
            free(task);
            pthread_mutex_lock(&pool->mutex);
            if (--pool->running == 0 && pool->stopping)
                pthread_cond_broadcast(&pool->wake);
            continue;
        }
        /* A running task may still queue others. */
        if (pool->stopping && pool->running == 0)
            break;
        wait_for_work(pool);
    }
    pthread_mutex_unlock(&pool->mutex);
    return NULL;
}

struct pool *pool_create(unsigned threads) {
    struct pool *pool = xcalloc(1, sizeof(*pool) + threads * sizeof(pool->threads[0]));
    pthread_condattr_t attributes;
    sigset_t all, old;

    pthread_mutex_init(&pool->mutex, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&pool->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    list_init(&pool->ready);
    list_init(&pool->delayed);
    /* Signals are for the thread that waits for them. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    for (; pool->thread_count < threads; pool->thread_count++)
        if (pthread_create(&pool->threads[pool->thread_count], NULL, pool_thread, pool) != 0)
            abort(); /* a machine that cannot start a handful of threads at start-up */
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return pool;
}

void pool_run(struct pool *pool, pool_fn fn, void *user) {
    struct task *task = task_create(fn, user);

    pthread_mutex_lock(&pool->mutex);
    list_append(&pool->ready, &task->link);
    pthread_cond_signal(&pool->wake);
    pthread_mutex_unlock(&pool->mutex);
}

void pool_run_after(struct pool *pool, unsigned delay_ms, pool_fn fn, void *user) {
    struct task *task = task_create(fn, user);
    struct list *before;

    task->due_ms = monotonic_ms() + delay_ms;
    pthread_mutex_lock(&pool->mutex);
    before = pool->delayed.prev;
    while (before != &pool->delayed && CONTAINER_OF(before, struct task, link)->due_ms > task->due_ms)
        before = before->prev;
    /* behind `before` is in front of its successor */
    list_append(before->next, &task->link);
    pthread_cond_signal(&pool->wake);
    pthread_mutex_unlock(&pool->mutex);
}

void pool_destroy(struct pool *pool) {
    if (!pool)
        return;
    pthread_mutex_lock(&pool->mutex);
    pool->stopping = true;
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->mutex);
    for (unsigned i = 0; i < pool->thread_count; i++)
        pthread_join(pool->threads[i], NULL);
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->mutex);
    free(pool);
}

struct lane *lane_create(struct pool *pool) {
    struct lane *lane = xcalloc(1, sizeof(*lane));

    lane->pool = pool;
    pthread_mutex_init(&lane->mutex, NULL);
    list_init(&lane->tasks);
    return lane;
}

static void lane_free(struct lane *lane) {
    pthread_mutex_destroy(&lane->mutex);
    free(lane);
}

/* Runs one task, then queues itself again behind the others, so that a busy lane does not keep a thread for itself. */
static void lane_step(void *user) {
    struct lane *lane = user;
    struct list *node;
    bool is_done;

    pthread_mutex_lock(&lane->mutex);
    node = list_pop(&lane->tasks);
    pthread_mutex_unlock(&lane->mutex);
    if (node) {
        struct task *task = CONTAINER_OF(node, struct task, link);

        task->fn(task->user);
        free(task);
    }
    pthread_mutex_lock(&lane->mutex);
    if (!list_empty(&lane->tasks)) {
        pthread_mutex_unlock(&lane->mutex);
        pool_run(lane->pool, lane_step, lane);
        return;
    }
    lane->active = false;
    is_done = lane->released;
    pthread_mutex_unlock(&lane->mutex);
    if (is_done)
        lane_free(lane);
}

void lane_run(struct lane *lane, pool_fn fn, void *user) {
    struct task *task = task_create(fn, user);
    bool start;

    pthread_mutex_lock(&lane->mutex);
    list_append(&lane->tasks, &task->link);
    start = !lane->active;
    lane->active = true;
    pthread_mutex_unlock(&lane->mutex);
    if (start)
        pool_run(lane->pool, lane_step, lane);
}

void lane_release(struct lane *lane) {
    bool is_idle;

    if (!lane)
        return;
    pthread_mutex_lock(&lane->mutex);
    lane->released = true;
    is_idle = !lane->active;
    pthread_mutex_unlock(&lane->mutex);
    if (is_idle)
        lane_free(lane);
}
