/* Elements into a grouping, a batch at a time.
 *
 * With many keys each element needs a few cache lines that nothing has touched for long: the index's, the entry, the key, the end of the last
 * chunk. One element after the other would wait for each of them in turn; a batch asks for all of its index lines first, then for all
 * entries, and so on, so that the waits lie on top of each other. */
#include <assert.h>

#include "base/map.h"
#include "engine/group.h"
#include "model/window.h"

enum { BATCH = 32 };

/* An element in one window. */
struct pending {
    struct group_partition *partition;
    const struct group_entry *guess;
    uint64_t hash;
    struct cursor window, key, value;
    event_time timestamp, window_end;
};

struct batch {
    struct group *group;
    unsigned count;
    struct pending items[BATCH];
};

static void prefetch(struct batch *batch) {
    for (unsigned i = 0; i < batch->count; i++)
        batch->items[i].guess = group_prefetch_entry(batch->items[i].partition, batch->items[i].hash);
    for (unsigned i = 0; i < batch->count; i++) {
        const struct group_entry *guess = batch->items[i].guess;

        if (!guess)
            continue;
        __builtin_prefetch(guess->key);
        __builtin_prefetch(guess->last, 1);
    }
    for (unsigned i = 0; i < batch->count; i++)
        if (batch->items[i].guess && batch->items[i].guess->last)
            __builtin_prefetch(batch->items[i].guess->last->bytes + batch->items[i].guess->last->size, 1);
}

static void flush(struct batch *batch) {
    const struct windowing *windowing = batch->group->windowing;

    prefetch(batch);
    for (unsigned i = 0; i < batch->count; i++) {
        const struct pending *p = &batch->items[i];
        struct group_entry *entry = group_partition_entry(p->partition, p->hash, p->window, p->key, false);

        entry->timestamp = group_combine_timestamps(windowing, entry->count ? entry->timestamp : p->timestamp,
                                                    p->timestamp, p->window_end);
        group_entry_add_value(p->partition, entry, p->value);
        entry->count++;
    }
    batch->count = 0;
}

static void add_in_window(struct batch *batch, struct pending pending, uint64_t key_hash) {
    struct group *group = batch->group;
    struct group_partition **slot = &group->partitions[key_hash % group->partition_count];

    if (!*slot)
        *slot = group_partition_create(group->windowing, group->account);
    pending.partition = *slot;
    pending.hash = group_hash(key_hash, pending.window);
    group_prefetch_index(*slot, pending.hash);
    batch->items[batch->count++] = pending;
    if (batch->count == BATCH)
        flush(batch);
}

static void add_element(struct batch *batch, const struct windowed_value *element) {
    const struct coder *key_coder = batch->group->input->components[0]->components[0];
    const struct coder *window_coder = batch->group->input->components[1];
    struct cursor windows = element->windows;
    struct pending pending = {.timestamp = element->timestamp, .key = element->value, .value = element->value};
    uint64_t key_hash;

    enum coder_result result = coder_skip(key_coder, &pending.value);
    assert(result == CODER_OK);
    pending.key.end = pending.value.at;
    key_hash = hash_bytes(pending.key.at, cursor_left(&pending.key));
    for (uint32_t i = 0; i < element->window_count; i++) {
        pending.window = windows;
        result = window_max_timestamp(window_coder, &windows, &pending.window_end);
        assert(result == CODER_OK);
        pending.window.end = windows.at;
        add_in_window(batch, pending, key_hash);
    }
}

void group_add_run(struct group *group, const struct run *run) {
    struct cursor at = cursor_of(run->bytes.data, run->bytes.size);
    struct batch batch;

    batch.group = group;
    batch.count = 0;
    while (cursor_left(&at)) {
        struct windowed_value element;
        enum coder_result result = windowed_value_read(group->input, &at, &element);

        assert(result == CODER_OK);
        (void)result;
        add_element(&batch, &element);
    }
    flush(&batch);
}

void group_add(struct group *group, const struct run_list *runs) {
    vec_foreach (run, &runs->runs)
        group_add_run(group, run);
}
