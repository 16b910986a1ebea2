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
    const struct bucket_cut *cut;
    struct buf entries;
};

static struct extent *write_extent(struct bucket_writer *writer, struct buf *bytes) {
    struct slice piece = buf_finish(bytes);

    writer->bucket->bytes += piece.size;
    return extent_create(writer->engine, &piece, 1);
}

static void add_value_extent(struct bucket_writer *writer, struct extent *extent) {
    writer->bucket->value_bytes += extent->size;
    vec_push(&writer->bucket->values, extent);
}

/* The values of an entry as extents of their own: those that lie in some already and, `all`, those in memory. */
static size_t write_values(struct bucket_writer *writer, const struct group_entry *entry, bool all) {
    struct buf values = {.account = writer->account};
    size_t first = writer->bucket->values.count;

    for (const struct group_chunk *chunk = entry->first; chunk; chunk = chunk->next) {
        const uint8_t *bytes = group_chunk_values(chunk);

        if (!bytes) {
            writer->bucket->bytes += chunk->size;
            add_value_extent(writer, extent_ref(group_chunk_extent(chunk)));
        } else if (all) {
            buf_add(&values, bytes, chunk->size);
            if (values.size >= writer->cut->extent_bytes)
                add_value_extent(writer, write_extent(writer, &values));
        }
    }
    if (values.size)
        add_value_extent(writer, write_extent(writer, &values));
    return writer->bucket->values.count - first;
}

static void end_extent(struct bucket_writer *writer) {
    struct bucket_entries entries = {.extent = write_extent(writer, &writer->entries)};

    vec_push(&writer->bucket->entries, entries);
}

static void write_head(struct bucket_writer *writer, const struct group_entry *entry, uint64_t count) {
    struct buf *out = &writer->entries;

    buf_add_varint(out, entry->window_size);
    buf_add_varint(out, entry->key_size);
    buf_add(out, entry->key - entry->window_size, (size_t)entry->window_size + entry->key_size);
    buf_add_be64(out, (uint64_t)entry->timestamp);
    buf_add_varint(out, count);
    writer->bucket->records++;
}

/* `count` may be 0: then the values are those of an entry beside it. */
static void write_entry_of_extents(struct bucket_writer *writer, const struct group_entry *entry, uint64_t count,
                                   bool all) {
    size_t first = writer->bucket->values.count;

    write_head(writer, entry, count);
    buf_add_varint(&writer->entries, write_values(writer, entry, all));
    buf_add_varint(&writer->entries, first);
}

static void write_entry(struct bucket_writer *writer, const struct group_entry *entry) {
    struct buf *out = &writer->entries;
    size_t in_memory = entry->value_bytes;

    for (const struct group_chunk *chunk = entry->is_outside ? entry->first : NULL; chunk; chunk = chunk->next)
        in_memory -= group_chunk_values(chunk) ? 0 : chunk->size;
    if (in_memory > writer->cut->inline_bytes) {
        write_entry_of_extents(writer, entry, entry->count, true);
    } else {
        write_head(writer, entry, entry->count);
        buf_add_varint(out, 0);
        buf_add_varint(out, in_memory);
        for (const struct group_chunk *chunk = entry->first; chunk; chunk = chunk->next)
            if (group_chunk_values(chunk))
                buf_add(out, group_chunk_values(chunk), chunk->size);
        if (entry->is_outside)
            write_entry_of_extents(writer, entry, 0, false);
    }
    if (out->size >= writer->cut->extent_bytes)
        end_extent(writer);
}

/* The hash is mixed once more for each level: entries of a bucket must not have bits in common that their place in the partition's index is
 * made of. */
static unsigned part_of(uint64_t hash, unsigned level, unsigned fan_out) {
    hash += (uint64_t)(level + 1) * UINT64_C(0x9e3779b97f4a7c15);
    hash = (hash ^ hash >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    hash = (hash ^ hash >> 27) * UINT64_C(0x94d049bb133111eb);
    return (unsigned)(hash >> 48) & (fan_out - 1);
}

/* By the key alone, as the partition is, so that all windows of a key stay together and can be merged; where none are, a bucket of few keys
 * with many windows is cut by these. */
static unsigned bucket_of(const struct group_partition *partition, const struct group_entry *entry,
                          const struct bucket_cut *cut) {
    bool by_window = cut->level && !partition->windowing->needs_merge;

    return part_of(by_window ? entry->hash : hash_bytes(entry->key, entry->key_size), cut->level, cut->fan_out);
}

size_t group_bucket_place(const struct group *group, uint64_t key_hash) {
    return (size_t)(key_hash % group->partition_count) * GROUP_BUCKETS + part_of(key_hash, 0, GROUP_BUCKETS);
}

/* The places of the entries, bucket by bucket, in their order; `starts` gets where each bucket begins, and the end. */
static uint32_t *sort_by_bucket(const struct group_partition *partition, const struct bucket_cut *cut,
                                size_t starts[GROUP_BUCKETS + 1]) {
    uint32_t *places = xcalloc(partition->entry_count, sizeof(*places));
    uint8_t *buckets = xcalloc(partition->entry_count, sizeof(*buckets));
    size_t next[GROUP_BUCKETS];

    memset(starts, 0, (GROUP_BUCKETS + 1) * sizeof(*starts));
    for (size_t i = 0; i < partition->entry_count; i++) {
        buckets[i] = (uint8_t)bucket_of(partition, &partition->entries[i], cut);
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

void group_partition_cut(struct engine *engine, struct group_partition *partition, const struct bucket_cut *cut,
                         struct group_bucket **buckets) {
    size_t starts[GROUP_BUCKETS + 1];
    uint32_t *places = sort_by_bucket(partition, cut, starts);

    assert(partition->refs == 1);
    for (unsigned i = 0; i < cut->fan_out; i++) {
        struct bucket_writer writer = {.engine = engine, .account = partition->pages.account, .cut = cut};

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

void group_partition_store(struct engine *engine, struct group_partition *partition, struct group_bucket **buckets,
                           size_t extent_bytes) {
    struct bucket_cut cut = {.fan_out = GROUP_BUCKETS, .extent_bytes = extent_bytes, .inline_bytes = extent_bytes};

    group_partition_cut(engine, partition, &cut, buckets);
}

bool group_partition_has_buckets(const struct group *group, unsigned i) {
    for (size_t j = 0; group->buckets && j < GROUP_BUCKETS; j++)
        if (group->buckets[(size_t)i * GROUP_BUCKETS + j])
            return true;
    return false;
}

/* Cut into buckets it would be crumbs: each an extent, with a block of the disk, and some memory to remember it by. */
static void store_loose(struct engine *engine, struct group *group, unsigned i, size_t extent_bytes) {
    struct bucket_cut cut = {.fan_out = 1, .extent_bytes = extent_bytes, .inline_bytes = extent_bytes};
    struct group_partition *partition = group->partitions[i];

    if (!group->loose)
        group->loose = xcalloc(group->partition_count, sizeof(struct group_bucket *));
    group->partitions[i] = NULL;
    group_partition_cut(engine, partition, &cut, &group->loose[i]);
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

void group_spill_partition(struct engine *engine, struct group *group, unsigned i, size_t extent_bytes) {
    if (!group->is_never_loose && group->partitions[i] && group->partitions[i]->output_bytes < 2 * extent_bytes)
        store_loose(engine, group, i, extent_bytes);
    else
        group_store_partition(engine, group, i, extent_bytes);
}

struct group_bucket *group_take_loose(struct engine *engine, struct group *group, unsigned i, size_t extent_bytes) {
    struct group_bucket *loose = group->loose ? group->loose[i] : NULL;

    if (!loose)
        return NULL;
    if (group->partitions[i])
        store_loose(engine, group, i, extent_bytes);
    group->loose[i] = NULL;
    return loose;
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

/* Extents that are being read: the entries', and behind them perhaps the values'. */
struct bucket_reader {
    const struct group_bucket *bucket;
    struct group_partition *partition;
    const struct slice *values; /* NULL: they stay in their extents */
    uint64_t first_value;       /* what the places in this extent of entries are counted from */
};

static void read_values(const struct bucket_reader *reader, struct group_entry *entry, struct cursor *at) {
    uint64_t extents = read_varint(at), first_or_size = read_varint(at);

    if (extents == 0) {
        struct cursor values = read_bytes(at, first_or_size);

        group_entry_add_stored(reader->partition, entry, values.at, cursor_left(&values), NULL);
        return;
    }
    first_or_size += reader->first_value;
    for (uint64_t i = first_or_size; i < first_or_size + extents; i++) {
        struct extent *extent = reader->bucket->values.items[i];

        group_entry_add_stored(reader->partition, entry, reader->values ? reader->values[i].data : NULL, extent->size,
                               extent);
    }
}

static void read_entry(const struct bucket_reader *reader, struct cursor *at) {
    uint64_t window_size = read_varint(at), key_size = read_varint(at), added, timestamp = 0;
    struct cursor window = read_bytes(at, window_size), key = read_bytes(at, key_size);
    struct group_entry *entry;
    bool is_there;

    entry = group_partition_entry(reader->partition, group_hash(hash_bytes(key.at, cursor_left(&key)), window), window,
                                  key, true);
    is_there = cursor_be64(at, &timestamp);
    assert(is_there);
    (void)is_there;
    added = read_varint(at);
    /* An end of window is the same for all. */
    entry->timestamp =
        group_combine_timestamps(reader->bucket->windowing, entry->count ? entry->timestamp : (event_time)timestamp,
                                 (event_time)timestamp, (event_time)timestamp);
    entry->count += added;
    read_values(reader, entry, at);
}

/* `bytes` are those of `entries` extents of entries from `first` on and of the values', `count` in all. */
static struct group_partition *build(const struct group_bucket *bucket, size_t first, size_t entries,
                                     const struct slice *bytes, size_t count, struct account *account) {
    struct group_partition *partition = group_partition_create(bucket->windowing, account);
    struct bucket_reader reader = {
        .bucket = bucket, .partition = partition, .values = count > entries ? bytes + entries : NULL};

    partition->sources = xcalloc(count, sizeof(*partition->sources));
    partition->source_count = count;
    for (size_t i = 0; i < count; i++)
        partition->sources[i] = slice_ref(bytes[i]);
    for (size_t i = 0; i < entries; i++) {
        struct cursor at = cursor_of(bytes[i].data, bytes[i].size);

        reader.first_value = bucket->entries.items[first + i].first_value;
        while (cursor_left(&at))
            read_entry(&reader, &at);
    }
    return partition;
}

struct group_partition *group_bucket_build(struct group_bucket *bucket, const struct slice *bytes, size_t count,
                                           struct account *account) {
    struct group_partition *partition;

    assert(count == bucket->entries.count || count == bucket->entries.count + bucket->values.count);
    partition = build(bucket, 0, bucket->entries.count, bytes, count, account);
    if (count == bucket->entries.count && bucket->values.count)
        partition->outside = group_bucket_ref(bucket);
    bucket->built_count = partition->entry_count;
    return partition;
}

struct group_partition *group_bucket_build_part(const struct group_bucket *bucket, size_t first,
                                                const struct slice *bytes, size_t count, struct account *account) {
    return build(bucket, first, count, bytes, count, account);
}

/* Of an entry's cache line, its two places in the index and a chunk's head, with room to grow. */
enum { BUILT_ENTRY_BYTES = 128 };

size_t group_bucket_build_bytes(const struct group_bucket *bucket, bool with_values) {
    return bucket->bytes - (with_values ? 0 : bucket->value_bytes) + (size_t)bucket->records * BUILT_ENTRY_BYTES;
}
