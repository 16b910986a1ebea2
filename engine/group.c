#include "engine/group.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "engine/bucket.h"
#include "engine/mergebook.h"
#include "model/window.h"

enum { CHUNK_MIN = 48, CHUNK_MAX = 2 << 10 };

struct group *group_create(const struct coder *input, const struct windowing *windowing, unsigned partitions,
                           struct account *account) {
    struct group *group = xcalloc(1, sizeof(*group));

    assert(!input || (input->kind == CODER_WINDOWED_VALUE && input->components[0]->kind == CODER_KV));
    group->input = input;
    group->windowing = windowing;
    group->account = account;
    group->partition_count = partitions;
    group->is_never_loose = windowing && windowing->needs_merge && windowing->fn == WINDOW_FN_CUSTOM;
    group->partitions = xcalloc(partitions, sizeof(*group->partitions));
    if (windowing && windowing->needs_merge && windowing->fn == WINDOW_FN_CUSTOM)
        group->merges = merge_book_create(input->components[1], account);
    return group;
}

void group_destroy(struct group *group) {
    if (!group)
        return;
    for (unsigned i = 0; i < group->partition_count; i++)
        group_partition_unref(group->partitions[i]);
    for (unsigned i = 0; group->buckets && i < group->partition_count * GROUP_BUCKETS; i++)
        group_bucket_unref(group->buckets[i]);
    for (unsigned i = 0; group->loose && i < group->partition_count; i++)
        group_bucket_unref(group->loose[i]);
    free(group->loose);
    free(group->buckets);
    free(group->partitions);
    merge_book_unref(group->merges);
    free(group);
}

struct group_partition *group_partition_create(const struct windowing *windowing, struct account *account) {
    struct group_partition *partition = xcalloc(1, sizeof(*partition));

    partition->refs = 1;
    partition->pages.account = account;
    partition->windowing = windowing;
    return partition;
}

static size_t table_bytes(const struct group_partition *partition) {
    return partition->entry_capacity * sizeof(*partition->entries) + partition->index_size * sizeof(*partition->index);
}

size_t group_partition_bytes(const struct group_partition *partition) {
    return partition->pages.allocated_bytes + table_bytes(partition);
}

/* Where to look first. */
static size_t first_place(const struct group_partition *partition, uint64_t hash) {
    return (size_t)(hash >> 32) & (partition->index_size - 1);
}

/* Entries are a cache line each and begin at one, which realloc() does not keep. */
static void grow_entries(struct group_partition *partition) {
    size_t capacity = MAX((size_t)16, partition->entry_capacity * 2);
    struct group_entry *entries = aligned_alloc(GROUP_ENTRY_ALIGNMENT, capacity * sizeof(*entries));

    if (!entries)
        abort();
    if (partition->entry_count)
        memcpy(entries, partition->entries, partition->entry_count * sizeof(*entries));
    free(partition->entries);
    partition->entries = entries;
    partition->entry_capacity = capacity;
}

static void grow_index(struct group_partition *partition) {
    uint64_t *index = partition->index;
    size_t size = partition->index_size;

    partition->index_size = partition->entry_capacity * 2;
    partition->index = xcalloc(partition->index_size, sizeof(*partition->index));
    for (size_t i = 0; i < size; i++) {
        size_t at;

        if (!index[i])
            continue;
        at = first_place(partition, index[i]);
        while (partition->index[at])
            at = (at + 1) & (partition->index_size - 1);
        partition->index[at] = index[i];
    }
    free(index);
}

static void partition_grow(struct group_partition *partition) {
    account_release(partition->pages.account, table_bytes(partition));
    grow_entries(partition);
    grow_index(partition);
    account_charge(partition->pages.account, table_bytes(partition));
}

static bool entry_is(const struct group_entry *entry, uint64_t hash, struct cursor window, struct cursor key) {
    return entry->hash == hash && entry->key_size == cursor_left(&key) && entry->window_size == cursor_left(&window) &&
           memcmp(entry->key, key.at, entry->key_size) == 0 &&
           (entry->window_size == 0 || memcmp(entry->key - entry->window_size, window.at, entry->window_size) == 0);
}

/* The window's bytes and the key's behind them, in the partition's pages. Returns the key. */
static const uint8_t *copy_key(struct group_partition *partition, struct cursor window, struct cursor key) {
    uint8_t *copy = arena_alloc(&partition->pages, cursor_left(&window) + cursor_left(&key));

    if (cursor_left(&window))
        memcpy(copy, window.at, cursor_left(&window));
    if (cursor_left(&key))
        memcpy(copy + cursor_left(&window), key.at, cursor_left(&key));
    return copy + cursor_left(&window);
}

struct group_entry *group_partition_entry(struct group_partition *partition, uint64_t hash, struct cursor window,
                                          struct cursor key, bool borrow) {
    struct group_entry *entry;
    size_t at;

    if (partition->entry_count == partition->entry_capacity)
        partition_grow(partition);
    at = first_place(partition, hash);
    for (; partition->index[at]; at = (at + 1) & (partition->index_size - 1)) {
        if ((partition->index[at] ^ hash) >> 32)
            continue;
        entry = &partition->entries[(uint32_t)partition->index[at] - 1];
        if (entry_is(entry, hash, window, key))
            return entry;
    }
    entry = &partition->entries[partition->entry_count++];
    partition->index[at] = (hash >> 32 << 32) | partition->entry_count;
    *entry = (struct group_entry){.hash = hash,
                                  .key = borrow ? key.at : copy_key(partition, window, key),
                                  .key_size = (uint32_t)cursor_left(&key),
                                  .window_size = (uint32_t)cursor_left(&window)};
    partition->output_bytes += 24 + cursor_left(&window) + cursor_left(&key);
    return entry;
}

const struct group_entry *group_partition_find(const struct group_partition *partition, uint64_t hash,
                                               struct cursor window, struct cursor key) {
    if (partition->index_size == 0)
        return NULL;
    for (size_t at = first_place(partition, hash); partition->index[at]; at = (at + 1) & (partition->index_size - 1)) {
        const struct group_entry *entry = &partition->entries[(uint32_t)partition->index[at] - 1];

        if (entry_is(entry, hash, window, key))
            return entry;
    }
    return NULL;
}

void group_entry_add_value(struct group_partition *partition, struct group_entry *entry, struct cursor value) {
    size_t size = cursor_left(&value);
    struct group_chunk *chunk = entry->last;

    if (!chunk || chunk->capacity - chunk->size < size) {
        size_t capacity = chunk ? MIN((size_t)chunk->capacity * 2, (size_t)CHUNK_MAX) : 0;

        capacity = MAX(MAX(capacity, size), (size_t)CHUNK_MIN - sizeof(*chunk));
        chunk = arena_alloc(&partition->pages, sizeof(*chunk) + capacity);
        *chunk = (struct group_chunk){.capacity = (uint32_t)capacity};
        if (entry->last)
            entry->last->next = chunk;
        else
            entry->first = chunk;
        entry->last = chunk;
    }
    if (size)
        memcpy(chunk->bytes + chunk->size, value.at, size);
    chunk->size += (uint32_t)size;
    entry->value_bytes = (entry->value_bytes + size) & INT64_MAX;
    partition->output_bytes += size;
}

void group_entry_add_stored(struct group_partition *partition, struct group_entry *entry, const uint8_t *bytes,
                            size_t size, struct extent *extent) {
    struct group_chunk *chunk = arena_alloc(&partition->pages, sizeof(*chunk) + sizeof(struct group_chunk_elsewhere));
    struct group_chunk_elsewhere elsewhere = {bytes, extent};

    *chunk = (struct group_chunk){.size = (uint32_t)size};
    memcpy(chunk->bytes, &elsewhere, sizeof(elsewhere));
    if (entry->last)
        entry->last->next = chunk;
    else
        entry->first = chunk;
    entry->last = chunk;
    entry->value_bytes = (entry->value_bytes + size) & INT64_MAX;
    entry->is_outside |= bytes == NULL;
    partition->output_bytes += size;
}

static struct group_chunk_elsewhere chunk_elsewhere(const struct group_chunk *chunk) {
    struct group_chunk_elsewhere elsewhere;

    memcpy(&elsewhere, chunk->bytes, sizeof(elsewhere));
    return elsewhere;
}

const uint8_t *group_chunk_values(const struct group_chunk *chunk) {
    return chunk->capacity ? chunk->bytes : chunk_elsewhere(chunk).bytes;
}

struct extent *group_chunk_extent(const struct group_chunk *chunk) {
    return chunk->capacity ? NULL : chunk_elsewhere(chunk).extent;
}

event_time group_combine_timestamps(const struct windowing *windowing, event_time a, event_time b,
                                    event_time window_end) {
    switch (windowing->timestamp_combiner) {
    case OUTPUT_TIME_EARLIEST:
        return MIN(a, b);
    case OUTPUT_TIME_LATEST:
        return MAX(a, b);
    case OUTPUT_TIME_END_OF_WINDOW:
        break;
    }
    return window_end;
}

void group_prefetch_index(const struct group_partition *partition, uint64_t hash) {
    if (partition->index_size)
        __builtin_prefetch(&partition->index[first_place(partition, hash)]);
}

const struct group_entry *group_prefetch_entry(const struct group_partition *partition, uint64_t hash) {
    const struct group_entry *entry;
    uint64_t word;

    if (!partition->index_size)
        return NULL;
    word = partition->index[first_place(partition, hash)];
    if (!word)
        return NULL;
    entry = &partition->entries[(uint32_t)word - 1];
    __builtin_prefetch(entry, 1);
    return entry;
}

uint64_t group_hash(uint64_t key_hash, struct cursor window) {
    if (cursor_left(&window) == 0)
        return key_hash;
    return key_hash ^ hash_bytes(window.at, cursor_left(&window)) * UINT64_C(0x9e3779b97f4a7c15);
}

void group_merge(struct group_partition *partition, const struct merge_book *merges) {
    if (merges)
        merge_book_apply(merges, partition);
    else if (partition->windowing->needs_merge && partition->windowing->fn == WINDOW_FN_SESSIONS)
        group_merge_windows(partition);
}

struct group_partition *group_take(struct group *group, unsigned i) {
    struct group_partition *partition = group->partitions[i];

    group->partitions[i] = NULL;
    if (partition)
        group_merge(partition, group->merges);
    return partition;
}

/* beam:coder:state_backed_iterable:v1 with nothing in line: -1, the end of the batches (a count of -1), the token. */
static void write_token(struct group_partition *partition, size_t entry, struct large_values *large, struct buf *out) {
    struct large_value value = {.partition = group_partition_ref(partition), .entry = entry};
    char token[24];
    int size = snprintf(token, sizeof(token), "%zu", large->given.count);

    vec_push(&large->given, value);
    buf_add_be32(out, UINT32_MAX);
    buf_add_varint(out, UINT64_MAX);
    buf_add_prefixed(out, token, (size_t)size);
}

/* Only where the values must be in line. */
static bool is_too_large(const struct group_entry *entry, struct large_values *large) {
    if (!large->max_bytes || entry->value_bytes <= large->max_bytes || large->threshold_bytes != SIZE_MAX)
        return false;
    large->too_large_size = entry->value_bytes;
    large->too_large_key_size = entry->key_size;
    return true;
}

void large_values_clear(struct large_values *large) {
    vec_foreach (value, &large->given)
        group_partition_unref(value->partition);
    vec_free(&large->given);
}

void group_forget_merges(struct group *group) {
    merge_book_unref(group->merges);
    group->merges = NULL;
}

/* KV<K, iterable<V>>: key, 4 bytes of count (or the -1 form with a count per batch, for counts beyond 31 bits), values. */
static void write_entry(struct group_partition *partition, size_t place, struct large_values *large, struct buf *out) {
    const struct group_entry *entry = &partition->entries[place];
    bool is_long = entry->count > INT32_MAX;

    windowed_value_write_header(out, entry->timestamp, entry->key - entry->window_size, entry->window_size,
                                &PANE_ONLY_FIRING);
    buf_add(out, entry->key, entry->key_size);
    if (large && (entry->is_outside || entry->value_bytes > large->threshold_bytes)) {
        write_token(partition, place, large, out);
        return;
    }
    buf_add_be32(out, is_long ? UINT32_MAX : (uint32_t)entry->count);
    if (is_long)
        buf_add_varint(out, entry->count);
    for (const struct group_chunk *chunk = entry->first; chunk; chunk = chunk->next)
        buf_add(out, group_chunk_values(chunk), chunk->size);
    if (is_long)
        buf_add_varint(out, 0);
}

uint64_t group_partition_write(struct group_partition *partition, size_t *at, size_t end, size_t target_bytes,
                               struct large_values *large, struct buf *out) {
    size_t begin = out->size;
    uint64_t count = 0;

    for (; *at < end && (count == 0 || out->size - begin < target_bytes); ++*at, count++) {
        if (large && is_too_large(&partition->entries[*at], large))
            break;
        write_entry(partition, *at, large, out);
    }
    return count;
}

struct group_partition *group_partition_ref(struct group_partition *partition) {
    partition->refs++;
    return partition;
}

void group_partition_unref(struct group_partition *partition) {
    if (!partition || --partition->refs)
        return;
    account_release(partition->pages.account, table_bytes(partition));
    for (size_t i = 0; i < partition->source_count; i++)
        slice_unref(&partition->sources[i]);
    free(partition->sources);
    group_bucket_unref(partition->outside);
    arena_clear(&partition->pages);
    free(partition->entries);
    free(partition->index);
    free(partition);
}
