#include "engine/bucket.h"

#include <assert.h>
#include <stdlib.h>

#include "engine/mergebook.h"
#include "model/window.h"

struct group_bucket *group_bucket_create(const struct windowing *windowing) {
    struct group_bucket *bucket = xcalloc(1, sizeof(*bucket));

    bucket->refs = 1;
    bucket->windowing = windowing;
    return bucket;
}

struct group_bucket *group_bucket_ref(struct group_bucket *bucket) {
    bucket->refs++;
    return bucket;
}

void group_bucket_unref(struct group_bucket *bucket) {
    if (!bucket || --bucket->refs)
        return;
    vec_foreach (entries, &bucket->entries)
        extent_unref(entries->extent);
    vec_free(&bucket->entries);
    vec_foreach (extent, &bucket->values)
        extent_unref(*extent);
    vec_free(&bucket->values);
    merge_book_unref(bucket->merges);
    free(bucket);
}

/* ---- writing ---- */

/* One bucket being written. */
struct bucket_writer {
    struct engine *engine;
    struct group_bucket *bucket;
    struct account *account;
    size_t extent_bytes;
    struct buf entries;
};

static struct extent *write_extent(struct bucket_writer *writer, struct buf *bytes) {
    struct slice piece = buf_finish(bytes);

    writer->bucket->bytes += piece.size;
    return extent_create(writer->engine, &piece, 1);
}

/* All values of an entry, in extents of their own. */
static size_t write_values(struct bucket_writer *writer, const struct group_entry *entry) {
    struct buf values = {.account = writer->account};
    size_t count = 0;

    for (const struct group_chunk *chunk = entry->first; chunk; chunk = chunk->next) {
        buf_add(&values, group_chunk_values(chunk), chunk->size);
        if (values.size < writer->extent_bytes && chunk->next)
            continue;
        writer->bucket->value_bytes += values.size;
        vec_push(&writer->bucket->values, write_extent(writer, &values));
        count++;
    }
    return count;
}

static void end_extent(struct bucket_writer *writer) {
    struct bucket_entries entries = {.extent = write_extent(writer, &writer->entries)};

    vec_push(&writer->bucket->entries, entries);
}

static void write_entry(struct bucket_writer *writer, const struct group_entry *entry) {
    struct buf *out = &writer->entries;

    buf_add_varint(out, entry->window_size);
    buf_add_varint(out, entry->key_size);
    buf_add(out, entry->key - entry->window_size, (size_t)entry->window_size + entry->key_size);
    buf_add_be64(out, (uint64_t)entry->timestamp);
    buf_add_varint(out, entry->count);
    if (entry->value_bytes > writer->extent_bytes) {
        size_t first = writer->bucket->values.count;

        buf_add_varint(out, write_values(writer, entry));
        buf_add_varint(out, first);
    } else {
        buf_add_varint(out, 0);
        buf_add_varint(out, entry->value_bytes);
        for (const struct group_chunk *chunk = entry->first; chunk; chunk = chunk->next)
            buf_add(out, group_chunk_values(chunk), chunk->size);
    }
    writer->bucket->records++;
    if (out->size >= writer->extent_bytes)
        end_extent(writer);
}

/* By the key alone, as the partition is: all windows of a key stay together, so that they can be merged. Of the hash it takes bits that
 * neither the partition's number (the lowest) nor its index (the upper half) is made of: a bucket's keys must not share those. */
static unsigned bucket_of(const struct group_entry *entry) {
    return (unsigned)((hash_bytes(entry->key, entry->key_size) & UINT32_MAX) >> 27) % GROUP_BUCKETS;
}

/* The places of the entries, bucket by bucket, in their order; `starts` gets where each bucket begins, and the end. */
static uint32_t *sort_by_bucket(const struct group_partition *partition, size_t starts[GROUP_BUCKETS + 1]) {
    uint32_t *places = xcalloc(partition->entry_count, sizeof(*places));
    uint8_t *buckets = xcalloc(partition->entry_count, sizeof(*buckets));
    size_t next[GROUP_BUCKETS];

    memset(starts, 0, (GROUP_BUCKETS + 1) * sizeof(*starts));
    for (size_t i = 0; i < partition->entry_count; i++) {
        buckets[i] = (uint8_t)bucket_of(&partition->entries[i]);
        starts[buckets[i] + 1]++;
    }
    for (unsigned i = 0; i < GROUP_BUCKETS; i++)
        starts[i + 1] += starts[i];
    memcpy(next, starts, sizeof(next));
    for (size_t i = 0; i < partition->entry_count; i++)
        places[next[buckets[i]]++] = (uint32_t)i;
    free(buckets);
    return places;
}

void group_partition_store(struct engine *engine, struct group_partition *partition, struct group_bucket **buckets,
                           size_t extent_bytes) {
    size_t starts[GROUP_BUCKETS + 1];
    uint32_t *places = sort_by_bucket(partition, starts);

    assert(partition->refs == 1 && partition->source_count == 0);
    for (unsigned i = 0; i < GROUP_BUCKETS; i++) {
        struct bucket_writer writer = {
            .engine = engine, .account = partition->pages.account, .extent_bytes = extent_bytes};

        if (starts[i] == starts[i + 1])
            continue;
        if (!buckets[i])
            buckets[i] = group_bucket_create(partition->windowing);
        writer.bucket = buckets[i];
        writer.entries.account = writer.account;
        for (size_t j = starts[i]; j < starts[i + 1]; j++)
            write_entry(&writer, &partition->entries[places[j]]);
        if (writer.entries.size)
            end_extent(&writer);
    }
    free(places);
    group_partition_unref(partition);
}

void group_store_partition(struct engine *engine, struct group *group, unsigned i, size_t extent_bytes) {
    struct group_partition *partition = group->partitions[i];

    if (!partition)
        return;
    if (!group->buckets)
        group->buckets = xcalloc((size_t)group->partition_count * GROUP_BUCKETS, sizeof(*group->buckets));
    group->partitions[i] = NULL;
    group_partition_store(engine, partition, group->buckets + (size_t)i * GROUP_BUCKETS, extent_bytes);
}

/* ---- reading ---- */

/* What was written is read back as it was: the host holds it to its checksum. */
static uint64_t read_varint(struct cursor *at) {
    uint64_t value = 0;
    bool is_there = cursor_varint(at, &value);

    assert(is_there);
    (void)is_there;
    return value;
}

static struct cursor read_bytes(struct cursor *at, uint64_t size) {
    struct cursor bytes = {.at = at->at, .end = at->at + size};
    bool is_there = cursor_skip(at, size);

    assert(is_there);
    (void)is_there;
    return bytes;
}

static void read_values(const struct group_bucket *bucket, uint64_t first_value, const struct slice *bytes,
                        size_t count, struct group_partition *partition, struct group_entry *entry, struct cursor *at) {
    uint64_t extents = read_varint(at), first_or_size = read_varint(at);

    if (extents == 0) {
        struct cursor values = read_bytes(at, first_or_size);

        group_entry_add_stored(partition, entry, values.at, cursor_left(&values), NULL);
        return;
    }
    first_or_size += first_value;
    for (uint64_t i = first_or_size; i < first_or_size + extents; i++) {
        size_t place = bucket->entries.count + (size_t)i;
        struct extent *extent = bucket->values.items[i];

        group_entry_add_stored(partition, entry, place < count ? bytes[place].data : NULL, extent->size, extent);
    }
}

static void read_entry(const struct group_bucket *bucket, uint64_t first_value, const struct slice *bytes, size_t count,
                       struct group_partition *partition, struct cursor *at) {
    uint64_t window_size = read_varint(at), key_size = read_varint(at), added, timestamp = 0;
    struct cursor window = read_bytes(at, window_size), key = read_bytes(at, key_size);
    struct group_entry *entry;
    bool is_there;

    entry =
        group_partition_entry(partition, group_hash(hash_bytes(key.at, cursor_left(&key)), window), window, key, true);
    is_there = cursor_be64(at, &timestamp);
    assert(is_there);
    (void)is_there;
    added = read_varint(at);
    /* An end of window is the same for all. */
    entry->timestamp =
        group_combine_timestamps(bucket->windowing, entry->count ? entry->timestamp : (event_time)timestamp,
                                 (event_time)timestamp, (event_time)timestamp);
    entry->count += added;
    read_values(bucket, first_value, bytes, count, partition, entry, at);
}

struct group_partition *group_bucket_build(struct group_bucket *bucket, const struct slice *bytes, size_t count,
                                           struct account *account) {
    struct group_partition *partition = group_partition_create(bucket->windowing, account);

    assert(count >= bucket->entries.count);
    partition->sources = xcalloc(count, sizeof(*partition->sources));
    partition->source_count = count;
    for (size_t i = 0; i < count; i++)
        partition->sources[i] = slice_ref(bytes[i]);
    for (size_t i = 0; i < bucket->entries.count; i++) {
        struct cursor at = cursor_of(bytes[i].data, bytes[i].size);

        while (cursor_left(&at))
            read_entry(bucket, bucket->entries.items[i].first_value, bytes, count, partition, &at);
    }
    if (count == bucket->entries.count && bucket->values.count)
        partition->outside = group_bucket_ref(bucket);
    bucket->built_count = partition->entry_count;
    return partition;
}
