/* One worker's end, as its handler tells it: for tests of worker/, one worker a test. */
#ifndef TESTS_UNIT_WORKER_END_H
#define TESTS_UNIT_WORKER_END_H

#include <check.h>
#include <pthread.h>
#include <time.h>

#include "worker/worker.h"

enum { LIMIT_S = 30 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool has_stopped;
static char *failure; /* the test's to free */

static inline void on_failed(void *user, const struct status *why) {
    (void)user;
    pthread_mutex_lock(&lock);
    failure = xstrdup(status_message(why));
    pthread_mutex_unlock(&lock);
}

static inline void on_stopped(void *user) {
    (void)user;
    pthread_mutex_lock(&lock);
    has_stopped = true;
    pthread_cond_signal(&changed);
    pthread_mutex_unlock(&lock);
}

static inline void await_stopped(void) {
    struct timespec limit;
    int error = 0;

    clock_gettime(CLOCK_REALTIME, &limit);
    limit.tv_sec += LIMIT_S;
    pthread_mutex_lock(&lock);
    while (!has_stopped && !error)
        error = pthread_cond_timedwait(&changed, &lock, &limit);
    pthread_mutex_unlock(&lock);
    ck_assert_int_eq(error, 0);
}

#endif
