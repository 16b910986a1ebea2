/* The daemon's part of native/: requests, their threads, the environments that are being built. */
#ifndef JOBSERVER_NATIVE_NATIVE_INTERNAL_H
#define JOBSERVER_NATIVE_NATIVE_INTERNAL_H

#include <pthread.h>

#include "base/list.h"
#include "base/pool.h"
#include "jobserver/native/task.h"

struct native {
    struct launcher *launcher;
    char *cache; /* CACHE/native */
    char *homes; /* STATE/native */
    char *search_path;
    const struct worker_user *user; /* NULL: the daemon's */
    struct pool *pool;              /* removes homes, and environments that nobody uses */
    int64_t keep_s;                 /* 0: for ever */
    uint64_t max_bytes;             /* of all environments together; 0: no limit */

    pthread_mutex_t lock; /* guards what follows, and whatever else says so */
    pthread_cond_t changed;
    struct list builds; /* of struct native_build */
    unsigned threads;
    unsigned next_home;
    bool closing;
};

struct native_request {
    struct native *native;
    unsigned references; /* the caller's and the thread's; guarded by native's lock */
    bool is_released;    /* the same */
    pthread_mutex_t handler_lock;
    bool is_deaf; /* guarded by handler_lock */
    struct native_handler handler;
    void *user;

    /* The thread's. */
    struct arena arena;
    struct native_spec spec; /* copied into the arena */
};

/* One environment of the cache that is being built. */
struct native_build {
    struct list node;
    char *key; /* "KIND/KEY" */
    bool is_over;
    struct status status;
    unsigned waiting; /* threads besides the one that builds */
};

#define NATIVE_COMPLETE ".complete"

/* user.c. The calling thread's rights to files become the user's, or again the daemon's; without a user nothing happens. */
void native_enter_user(const struct native *native);
void native_leave_user(const struct native *native);
/* Sets `cache` and `homes`, and makes the user's directories. */
void native_settle_user(struct native *native, const struct native_options *options);
/* As the user: whether he gets to the cache. FAILED_PRECONDITION says what to do. */
int native_check_user(const struct native *native, struct status *st);
/* As the user: copies a file that is the daemon's. */
int native_stage_for_user(const struct native *native, const char *from, const char *to, struct status *st);

/* evict.c: removes environments that are too old or too much; `user` is the struct native. On its pool: it blocks. */
void native_evict(void *user);

/* Whether anybody still waits for what this thread does. With the lock held. */
bool native_is_wanted(const struct native_task *task);
void native_say_detail(struct native_task *task, const char *command, const char *output);

#endif
