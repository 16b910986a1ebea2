/* Grouping: KV<K,V> elements by window and encoded key, in partitions by key hash.
 *
 *      element --> hash(window, key) --> partition --> entry --> chunks of encoded values
 *
 *      partition: [ entry | entry | ... ]  in order of first appearance
 *      entry:      key bytes, window bytes, output timestamp, count, chunk -> chunk -> chunk
 *      pages:      where keys and chunks live; charged to the job, freed with the partition
 *
 * Once the input is complete the partitions are handed to the consumers as input items: an element of the output is written only when a
 * bundle sends it, and can be written again, the same, when the bundle is retried. Keys are equal when their encoded bytes are (MODEL
 * 5.28). Belongs to the engine's thread. */
#ifndef ENGINE_GROUP_H
#define ENGINE_GROUP_H

#include "base/arena.h"
#include "engine/runs.h"
#include "model/windowing.h"

/* Encoded values, end to end. */
struct group_chunk {
    struct group_chunk *next;
    uint32_t size;
    uint32_t capacity;
    uint8_t bytes[];
};

/* One key in one window. */
struct group_entry {
    uint64_t hash;
    const uint8_t *key; /* the window's bytes lie in front of it */
    uint32_t key_size;
    uint32_t window_size;
    uint64_t count;
    event_time timestamp; /* of the output */
    struct group_chunk *first;
    struct group_chunk *last;
};

struct group_partition {
    unsigned refs; /* items that name it */
    struct arena pages;
    struct group_entry *entries;
    size_t entry_count, entry_capacity;
    uint32_t *index; /* 1 + place in entries */
    size_t index_size;
    size_t output_bytes; /* about what its output takes */
    const struct windowing *windowing;
};

struct group {
    const struct coder *input; /* windowed KV */
    const struct windowing *windowing;
    struct account *account;
    struct group_partition **partitions; /* NULL where nothing came yet */
    unsigned partition_count;
};

/* `input` is the windowed value coder of the input, whose value is a KV. */
struct group *group_create(const struct coder *input, const struct windowing *windowing, unsigned partitions,
                           struct account *account);
void group_destroy(struct group *group);
/* Borrows the runs; the bytes were checked when they arrived. */
void group_add(struct group *group, const struct run_list *runs);
/* Hands partition `i` over (refs 1), or NULL when it is empty. Windows that merge are merged. */
struct group_partition *group_take(struct group *group, unsigned i);

/* Writes the output elements of entries from *at on, before `end`, until about target_bytes are written; *at moves on. Returns how many
 * elements. */
uint64_t group_partition_write(const struct group_partition *partition, size_t *at, size_t end, size_t target_bytes,
                               struct buf *out);
/* engine/merge.c: merges the interval windows of each key that overlap (sessions). Windows that only touch stay apart (MODEL 4.6). */
void group_merge_windows(struct group_partition *partition);
struct group_partition *group_partition_ref(struct group_partition *partition);
void group_partition_unref(struct group_partition *partition);

#endif
