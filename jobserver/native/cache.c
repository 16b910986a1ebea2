/* Environments that are built once and kept. A folder is whole when a file `.complete` is in it, which is made last. Threads of this daemon wait
 * for each other by native_build; daemons that share a cache by a lock on a file. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "jobserver/native/native_internal.h"
#include "jobserver/native/tree.h"
#include "jobserver/state_dir.h"

enum { LOCK_RETRY_MS = 200, KEY_DIGITS = 32 };

static char *make_key(const struct string_vec *parts) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    CLEANUP(freep) char *text = xstrdup("");
    char key[KEY_DIGITS + 1];

    for (size_t i = 0; i < parts->count; i++) {
        char *longer = xasprintf("%s%zu:%s\n", text, strlen(parts->items[i]), parts->items[i]);

        free(text);
        text = longer;
    }
    if (EVP_Digest(text, strlen(text), digest, NULL, EVP_sha256(), NULL) != 1)
        abort(); /* no memory */
    for (size_t i = 0; i < KEY_DIGITS / 2; i++)
        snprintf(key + 2 * i, 3, "%02x", digest[i]);
    return xstrdup(key);
}

static bool is_complete(const char *directory) {
    CLEANUP(freep) char *path = xasprintf("%s/" NATIVE_COMPLETE, directory);

    return access(path, F_OK) == 0;
}

/* ---- threads of this daemon ---- */

static struct native_build *find_build(struct native *native, const char *key) {
    list_foreach (node, &native->builds) {
        struct native_build *build = CONTAINER_OF(node, struct native_build, node);

        if (strcmp(build->key, key) == 0)
            return build;
    }
    return NULL;
}

/* With the lock held. */
static void free_if_done(struct native_build *build) {
    if (!build->is_over || build->waiting > 0)
        return;
    status_clear(&build->status);
    free(build->key);
    free(build);
}

static int set_cancelled(struct status *st) {
    return status_set(st, STATUS_CANCELLED, "nobody wants the environment any more");
}

/* Until somebody else's build is over, with the lock held, which is let go meanwhile. 0: it may be there now. Who waits is counted before it is
 * said: a build that is waited for goes on without the job that began it. */
static int await_build(struct native_task *task, struct native_build *build, const char *directory, struct status *st) {
    struct native *native = task->native;
    int r = 0;

    build->waiting++;
    pthread_mutex_unlock(&native->lock);
    native_say(task, "waiting for %s, which is being made for another job", directory);
    pthread_mutex_lock(&native->lock);
    while (!build->is_over && native_is_wanted(task))
        pthread_cond_wait(&native->changed, &native->lock);
    build->waiting--;
    if (!native_is_wanted(task))
        r = set_cancelled(st);
    else if (build->status.code && build->status.code != STATUS_CANCELLED)
        r = status_set(st, build->status.code, "%s", status_message(&build->status));
    free_if_done(build);
    return r;
}

/* 1: this thread builds; 0: the folder is there. */
static int begin_build(struct native_task *task, const char *directory, const char *key, struct status *st) {
    struct native *native = task->native;
    struct native_build *build;
    int r = 0;

    pthread_mutex_lock(&native->lock);
    while (r == 0 && !is_complete(directory)) {
        build = find_build(native, key);
        if (!build) {
            task->build = build = xcalloc(1, sizeof(*build));
            list_init(&build->node);
            build->key = xstrdup(key);
            list_append(&native->builds, &build->node);
            r = 1;
        } else {
            r = await_build(task, build, directory, st);
        }
    }
    pthread_mutex_unlock(&native->lock);
    return r;
}

static void end_build(struct native_task *task, const struct status *status) {
    struct native *native = task->native;
    struct native_build *build;

    pthread_mutex_lock(&native->lock);
    build = task->build;
    task->build = NULL;
    list_remove(&build->node);
    build->is_over = true;
    if (status->code)
        status_set(&build->status, status->code, "%s", status_message(status));
    pthread_cond_broadcast(&native->changed);
    free_if_done(build);
    pthread_mutex_unlock(&native->lock);
}

/* ---- other daemons ---- */

static bool wait_a_moment(struct native_task *task) {
    struct native *native = task->native;
    struct timespec until;
    bool is_wanted;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += LOCK_RETRY_MS * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    pthread_mutex_lock(&native->lock);
    if (native_is_wanted(task))
        pthread_cond_timedwait(&native->changed, &native->lock, &until);
    is_wanted = native_is_wanted(task);
    pthread_mutex_unlock(&native->lock);
    return is_wanted;
}

/* Whoever had the lock before may have removed the file. */
static bool is_still(int fd, const char *path) {
    struct stat ours, there;

    return fstat(fd, &ours) == 0 && stat(path, &there) == 0 && ours.st_ino == there.st_ino;
}

static int wait_for_lock(struct native_task *task, const char *path, int fd, struct status *st) {
    bool has_said = false;

    while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return status_set_errno(st, errno, "cannot lock %s", path);
        if (!has_said)
            native_say(task, "waiting for another process, which holds %s", path);
        has_said = true;
        if (!wait_a_moment(task))
            return set_cancelled(st);
    }
    return 0;
}

/* A descriptor that holds the lock; unlock_key() ends it. */
static int lock_key(struct native_task *task, const char *path, int *ret_fd, struct status *st) {
    for (;;) {
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600), r;

        if (fd < 0)
            return status_set_errno(st, errno, "cannot open %s", path);
        r = wait_for_lock(task, path, fd, st);
        if (r == 0 && is_still(fd, path)) {
            *ret_fd = fd;
            return 0;
        }
        close(fd);
        if (r < 0)
            return r;
    }
}

static void unlock_key(const char *path, int fd) {
    unlink(path);
    close(fd);
}

static int mark_complete(const char *directory, struct status *st) {
    CLEANUP(freep) char *path = xasprintf("%s/" NATIVE_COMPLETE, directory);
    char bytes[32];

    snprintf(bytes, sizeof(bytes), "%llu", (unsigned long long)tree_size(directory));
    return tree_write(path, bytes, strlen(bytes), st);
}

static int build_locked(struct native_task *task, const char *directory, native_build_fn build, void *user,
                        struct status *st) {
    int r;

    tree_remove(directory);
    r = make_directories(directory, 0700, st);
    if (r == 0)
        r = build(task, directory, user, st);
    if (r == 0)
        r = mark_complete(directory, st);
    if (r < 0)
        tree_remove(directory);
    return r;
}

static int do_build(struct native_task *task, const char *parent, const char *directory, native_build_fn build,
                    void *user, struct status *st) {
    CLEANUP(freep) char *lock_path = xasprintf("%s.lock", directory);
    int fd = -1, r = make_directories(parent, 0700, st);

    if (r == 0)
        r = lock_key(task, lock_path, &fd, st);
    if (r < 0)
        return r;
    if (!is_complete(directory))
        r = build_locked(task, directory, build, user, st);
    unlock_key(lock_path, fd);
    return r;
}

/* Keeps the folder from being removed (evict.c) as long as the task's environment is there, and notes that it was used. 0: it was removed just
 * now; 1: it is held. */
static int hold(struct native_task *task, const char *directory, struct status *st) {
    CLEANUP(freep) char *path = xasprintf("%s/" NATIVE_COMPLETE, directory);
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0 && errno == ENOENT)
        return 0;
    if (fd < 0)
        return status_set_errno(st, errno, "cannot read %s", path);
    if (flock(fd, LOCK_SH | LOCK_NB) < 0 || !is_still(fd, path)) {
        close(fd);
        return 0;
    }
    futimens(fd, NULL);
    vec_push(&task->environment->holds, fd);
    return 1;
}

static int find_or_build(struct native_task *task, const char *parent, const char *directory, const char *name,
                         native_build_fn build, void *user, struct status *st) {
    int r = begin_build(task, directory, name, st);

    if (r <= 0)
        return r;
    r = do_build(task, parent, directory, build, user, st);
    end_build(task, st);
    return r < 0 ? r : 1;
}

int native_cached(struct native_task *task, const char *kind, const struct string_vec *parts, native_build_fn build,
                  void *user, char **ret_directory, struct status *st) {
    CLEANUP(freep) char *key = make_key(parts);
    CLEANUP(freep) char *parent = xasprintf("%s/%s", task->native->cache, kind);
    CLEANUP(freep) char *name = xasprintf("%s/%s", kind, key);
    char *directory = xasprintf("%s/%s", parent, key);
    CLEANUP_STATUS struct status why = {0};
    bool is_new = false;
    int r = 0;

    while (r == 0) {
        r = find_or_build(task, parent, directory, name, build, user, &why);
        is_new = r > 0;
        if (r >= 0)
            r = hold(task, directory, &why);
    }
    if (is_new)
        pool_run(task->native->pool, native_evict, task->native);
    if (r < 0) {
        free(directory);
        return status_move(st, &why);
    }
    *ret_directory = directory;
    return 0;
}
