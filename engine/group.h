/* Grouping: KV<K,V> elements by window and encoded key, in partitions by key hash.
 *
 *      element --> hash(window, key) --> partition --> entry --> chunks of encoded values
 *
 *      partition: [ entry | entry | ... ]  in order of first appearance
 *      entry:      key bytes, window bytes, output timestamp, count, chunk -> chunk -> chunk
 *      pages:      where keys and chunks live; charged to the job, freed with the partition
 *
 * When memory is short a partition is written out and starts anew: its entries, cut finer by more bits of the hash, go to its buckets
 * (engine/bucket.h). A bucket read back is a partition again.
 *
 * Once the input is complete the partitions are handed to the consumers as input items: an element of the output is written only when a
 * bundle sends it, and can be written again, the same, when the bundle is retried. Keys are equal when their encoded bytes are (MODEL
 * 5.28). Belongs to the engine's thread. */
#ifndef ENGINE_GROUP_H
#define ENGINE_GROUP_H

#include <assert.h>

#include "base/arena.h"
#include "engine/runs.h"
#include "model/windowing.h"

/* Encoded values, end to end. */
struct group_chunk {
    struct group_chunk *next;
    uint32_t size;
    uint32_t capacity; /* 0: the values are elsewhere, see chunk_elsewhere */
    uint8_t bytes[];
};

/* Values that were stored: in a block that the partition holds or, where a key has many, still outside of memory. */
struct group_chunk_elsewhere {
    const uint8_t *bytes;  /* or NULL: */
    struct extent *extent; /* the bucket's, which the partition holds */
};

enum { GROUP_ENTRY_ALIGNMENT = 64 };

/* One key in one window: a cache line. */
struct group_entry {
    uint64_t hash;
    const uint8_t *key; /* the window's bytes lie in front of it */
    uint32_t key_size;
    uint32_t window_size;
    uint64_t count;
    event_time timestamp; /* of the output */
    uint64_t value_bytes : 63;
    uint64_t is_outside : 1; /* some of the values are not in memory */
    struct group_chunk *first;
    struct group_chunk *last;
};

static_assert(sizeof(struct group_entry) == GROUP_ENTRY_ALIGNMENT, "an entry is one cache line");

struct group_partition {
    unsigned refs; /* items that name it */
    struct arena pages;
    struct group_entry *entries;
    size_t entry_count, entry_capacity;
    uint64_t *index; /* the hash's upper half, and 1 + place in entries */
    size_t index_size;
    size_t output_bytes; /* about what its output takes */
    const struct windowing *windowing;
    struct slice *sources; /* of a bucket that was read back: where its keys and values lie */
    size_t source_count;
    struct group_bucket *outside; /* owned reference: of the bucket whose extents have values that are not in memory */
};

struct group {
    const struct coder *input; /* windowed KV */
    const struct windowing *windowing;
    struct account *account;
    struct group_partition **partitions; /* NULL where nothing came yet */
    unsigned partition_count;
    struct group_bucket **buckets; /* partition_count * GROUP_BUCKETS; NULL as long as nothing was stored */
    struct group_bucket **loose;   /* per partition: what was too little to be cut; NULL as long as there is none */
    bool is_never_loose;           /* buckets are looked at before the group is whole */
    struct merge_book *merges;     /* custom windows that merge: reference, else NULL */
};

/* `input` is the windowed value coder of the input, whose value is a KV. */
struct group *group_create(const struct coder *input, const struct windowing *windowing, unsigned partitions,
                           struct account *account);
void group_destroy(struct group *group);
/* engine/group_add.c. Borrows the runs, all in memory; the bytes were checked when they arrived. */
void group_add(struct group *group, const struct run_list *runs);
void group_add_run(struct group *group, const struct run *run);
/* engine/group_join.c. Moves all that is in `from` to `into`; both have as many partitions. */
void group_join(struct group *into, struct group *from);
void group_encode(const struct group *group, struct buf *out);
/* NULL when the bytes are damaged, or name an extent that the store does not have. Without coder and windowing: only to be joined. */
struct group *group_decode(struct cursor *at, const struct store *store, struct account *account);
/* Hands partition `i` over (refs 1), or NULL when it is empty. Windows that merge are merged; what was asked about them is answered. */
struct group_partition *group_take(struct group *group, unsigned i);
/* After the last partition was taken: lets go of what was asked and answered. */
void group_forget_merges(struct group *group);

/* Groups that one bundle's input does not hold in full: the SDK gets a token in the place of the values and asks for them in pages
 * (beam:coder:state_backed_iterable:v1; engine/large.c). */
struct large_values {
    size_t
        threshold_bytes; /* groups whose values take more, or are not in memory; SIZE_MAX: none, all values are in memory */
    VEC(struct large_value {
        struct group_partition *partition; /* owned reference */
        size_t entry;
        const struct group_chunk *next; /* where the last page ended, NULL: nowhere; it is chunk number: */
        uint64_t next_number;
    })
    given;                 /* by token */
    size_t max_bytes;      /* of a group that is written with its values in line; 0: no limit */
    size_t too_large_size; /* not 0: of such a group, which was not written; and of its key: */
    size_t too_large_key_size;
};

/* Writes the output elements of entries from *at on, before `end`, until about target_bytes are written; *at moves on. Returns how many
 * elements. Ends in front of a group that large->max_bytes does not allow. `large` may be NULL: none. */
uint64_t group_partition_write(struct group_partition *partition, size_t *at, size_t end, size_t target_bytes,
                               struct large_values *large, struct buf *out);
void large_values_clear(struct large_values *large);
/* engine/merge.c: merges the interval windows of each key that overlap (sessions). Windows that only touch stay apart (MODEL 4.6). */
void group_merge_windows(struct group_partition *partition);
struct group_partition *group_partition_create(const struct windowing *windowing, struct account *account);
/* The same by whatever rule the partition's windows have: that of sessions, or what the SDK said (NULL: it was not asked, or was heeded
 * already). */
void group_merge(struct group_partition *partition, const struct merge_book *merges);
/* What was grouped under `entry` comes behind what is in `into`, which is of the same key. */
void group_entry_absorb(const struct windowing *windowing, struct group_entry *into, const struct group_entry *entry);
/* Puts the entry into this encoded window. */
void group_entry_set_window(struct group_partition *partition, struct group_entry *entry, const void *window,
                            size_t size, event_time max_timestamp);
struct group_partition *group_partition_ref(struct group_partition *partition);
void group_partition_unref(struct group_partition *partition);
/* What it takes of memory. */
size_t group_partition_bytes(const struct group_partition *partition);
/* Where a chunk's values are, NULL when not in memory. */
const uint8_t *group_chunk_values(const struct group_chunk *chunk);
/* The chunk's extent when its values are not in memory. */
struct extent *group_chunk_extent(const struct group_chunk *chunk);

/* For engine/group_add.c, which asks memory for what it will need before it needs it. Hints only: the entry may be another one, or NULL. */
void group_prefetch_index(const struct group_partition *partition, uint64_t hash);
const struct group_entry *group_prefetch_entry(const struct group_partition *partition, uint64_t hash);
void group_entry_add_value(struct group_partition *partition, struct group_entry *entry, struct cursor value);

/* For engine/bucket.c too. The entry of this window and key, made when absent (then its count is 0); `borrow`: the key and the window in
 * front of it stay where they are instead of being copied. `hash` as group_hash() says. */
struct group_entry *group_partition_entry(struct group_partition *partition, uint64_t hash, struct cursor window,
                                          struct cursor key, bool borrow);
/* NULL: there is none. */
const struct group_entry *group_partition_find(const struct group_partition *partition, uint64_t hash,
                                               struct cursor window, struct cursor key);
/* Adds stored values to an entry: in memory at `bytes`, or in `extent`. */
void group_entry_add_stored(struct group_partition *partition, struct group_entry *entry, const uint8_t *bytes,
                            size_t size, struct extent *extent);
uint64_t group_hash(uint64_t key_hash, struct cursor window);
/* MODEL 3.6: the output timestamp of two elements or groups of one key and window; `window_end` is that of the window. */
event_time group_combine_timestamps(const struct windowing *windowing, event_time a, event_time b,
                                    event_time window_end);

#endif
