/* Sessions: windows of one key that overlap become one, when the input of a grouping is complete. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "engine/group.h"
#include "model/window.h"

struct session {
    struct group_entry *entry;
    event_time start, end;
};

static int compare_keys(const struct group_entry *a, const struct group_entry *b) {
    size_t common = MIN(a->key_size, b->key_size);
    int order = common ? memcmp(a->key, b->key, common) : 0;

    if (order)
        return order;
    return a->key_size < b->key_size ? -1 : a->key_size > b->key_size;
}

/* By key, then start, then place in the partition: the same on every run. */
static int compare_sessions(const void *left, const void *right) {
    const struct session *a = left, *b = right;
    int order = compare_keys(a->entry, b->entry);

    if (order)
        return order;
    if (a->start != b->start)
        return a->start < b->start ? -1 : 1;
    return a->entry < b->entry ? -1 : a->entry > b->entry;
}

void group_entry_absorb(const struct windowing *windowing, struct group_entry *into, const struct group_entry *entry) {
    into->last->next = entry->first;
    into->last = entry->last;
    into->count += entry->count;
    into->value_bytes = (into->value_bytes + entry->value_bytes) & INT64_MAX;
    into->is_outside |= entry->is_outside;
    if (windowing->timestamp_combiner == OUTPUT_TIME_LATEST)
        into->timestamp = MAX(into->timestamp, entry->timestamp);
    else if (windowing->timestamp_combiner == OUTPUT_TIME_EARLIEST)
        into->timestamp = MIN(into->timestamp, entry->timestamp);
}

void group_entry_set_window(struct group_partition *partition, struct group_entry *entry, const void *window,
                            size_t size, event_time max_timestamp) {
    uint8_t *copy = arena_alloc(&partition->pages, size + entry->key_size);

    if (size)
        memcpy(copy, window, size);
    memcpy(copy + size, entry->key, entry->key_size);
    entry->key = copy + size;
    entry->window_size = (uint32_t)size;
    if (partition->windowing->timestamp_combiner == OUTPUT_TIME_END_OF_WINDOW)
        entry->timestamp = max_timestamp;
}

/* Gives the entry the merged window [start, end). */
static void set_interval(struct group_partition *partition, struct group_entry *entry, event_time start,
                         event_time end) {
    struct buf window = {0};

    interval_window_encode(&window, start, end);
    group_entry_set_window(partition, entry, buf_data(&window), window.size, time_add(end, -1));
    buf_clear(&window);
}

void group_merge_windows(struct group_partition *partition) {
    struct session *sessions = xcalloc(partition->entry_count, sizeof(*sessions));
    struct group_entry *merged = xcalloc(partition->entry_count, sizeof(*merged));
    size_t count = 0;

    for (size_t i = 0; i < partition->entry_count; i++) {
        struct group_entry *entry = &partition->entries[i];
        struct cursor window = cursor_of(entry->key - entry->window_size, entry->window_size);
        enum coder_result result = interval_window_decode(&window, &sessions[i].start, &sessions[i].end);

        assert(result == CODER_OK);
        (void)result;
        sessions[i].entry = entry;
    }
    qsort(sessions, partition->entry_count, sizeof(*sessions), compare_sessions);
    for (size_t i = 0; i < partition->entry_count;) {
        struct group_entry *into = &merged[count++];
        event_time start = sessions[i].start, end = sessions[i].end;

        *into = *sessions[i].entry;
        for (i++; i < partition->entry_count && sessions[i].start < end && compare_keys(into, sessions[i].entry) == 0;
             i++) {
            end = MAX(end, sessions[i].end);
            group_entry_absorb(partition->windowing, into, sessions[i].entry);
        }
        set_interval(partition, into, start, end);
    }
    memcpy(partition->entries, merged, count * sizeof(*merged));
    partition->entry_count = count;
    free(merged);
    free(sessions);
}
