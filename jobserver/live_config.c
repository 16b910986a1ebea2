#include "jobserver/live_config.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct live_config {
    pthread_mutex_t mutex;
    struct config_snapshot *newest; /* guarded */
};

/* A snapshot with a copy of `config`. */
static struct config_snapshot *snapshot_create(const struct config *config) {
    struct config_snapshot *snapshot = xcalloc(1, sizeof(*snapshot));

    atomic_init(&snapshot->refs, 1);
    config_copy(&snapshot->config, config);
    return snapshot;
}

struct live_config *live_config_create(const struct config *config) {
    struct live_config *live = xcalloc(1, sizeof(*live));

    pthread_mutex_init(&live->mutex, NULL);
    live->newest = snapshot_create(config);
    return live;
}

void live_config_destroy(struct live_config *live) {
    if (!live)
        return;
    config_snapshot_unref(live->newest);
    pthread_mutex_destroy(&live->mutex);
    free(live);
}

struct config_snapshot *live_config_get(struct live_config *live) {
    struct config_snapshot *snapshot;

    pthread_mutex_lock(&live->mutex);
    snapshot = live->newest;
    atomic_fetch_add_explicit(&snapshot->refs, 1, memory_order_relaxed);
    pthread_mutex_unlock(&live->mutex);
    return snapshot;
}

void config_snapshot_unref(struct config_snapshot *snapshot) {
    if (!snapshot || atomic_fetch_sub_explicit(&snapshot->refs, 1, memory_order_acq_rel) > 1)
        return;
    config_clear(&snapshot->config);
    free(snapshot);
}

/* ------------------------------------------------------------------ reloading */

static void add_name(struct buf *names, const char *name) {
    buf_printf(names, "%s%s", names->size ? ", " : "", name);
}

static bool is_text_empty(const struct config_key *key, const struct config *config) {
    return (*(char *const *)((const char *)config + key->offset))[0] == '\0';
}

static bool can_change(const struct config_key *key, const struct config *config, const struct config *next) {
    return key->is_reloadable && !(key->is_switch && is_text_empty(key, config) != is_text_empty(key, next));
}

static void take_changes(struct config *config, const struct config *next, struct buf *changed, struct buf *waiting) {
    size_t count;
    const struct config_key *keys = config_keys(&count);

    for (size_t i = 0; i < count; i++) {
        bool is_taken = can_change(&keys[i], config, next);

        if (config_key_is_equal(&keys[i], config, next))
            continue;
        add_name(is_taken ? changed : waiting, keys[i].path);
        if (is_taken)
            config_copy_key(&keys[i], config, next);
    }
    if (!config_environments_are_equal(config, next)) {
        add_name(changed, "environments");
        config_copy_environments(config, next);
    }
}

struct config_snapshot *live_config_prepare(struct live_config *live, const struct config *next, struct buf *changed,
                                            struct buf *waiting) {
    struct config_snapshot *before = live_config_get(live);
    struct config_snapshot *snapshot = snapshot_create(&before->config);

    config_snapshot_unref(before);
    take_changes(&snapshot->config, next, changed, waiting);
    return snapshot;
}

void live_config_put(struct live_config *live, struct config_snapshot *snapshot) {
    struct config_snapshot *before;

    pthread_mutex_lock(&live->mutex);
    before = live->newest;
    live->newest = snapshot;
    pthread_mutex_unlock(&live->mutex);
    config_snapshot_unref(before);
}
