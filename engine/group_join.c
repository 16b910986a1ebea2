/* The groups of a bundle, made while its output arrived, become part of the stage's when the bundle commits; and their encoding in a commit.
 *
 * Keys, values and pages change hands as they are; only what both know is looked up again. */
#include <assert.h>
#include <stdlib.h>

#include "engine/bucket.h"
#include "engine/group.h"

/* ---- joining ---- */

static void entry_join(const struct windowing *windowing, struct group_entry *into, const struct group_entry *entry) {
    if (into->count == 0) {
        into->first = entry->first;
        into->timestamp = entry->timestamp;
    } else {
        into->last->next = entry->first;
        /* An end of window is the same for both. */
        into->timestamp = group_combine_timestamps(windowing, into->timestamp, entry->timestamp, entry->timestamp);
    }
    into->last = entry->last;
    into->count += entry->count;
    into->value_bytes = (into->value_bytes + entry->value_bytes) & INT64_MAX;
}

enum { AHEAD = 16 };

static void partition_join(struct group_partition *into, struct group_partition *from) {
    assert(from->refs == 1 && !from->source_count);
    for (size_t i = 0; i < from->entry_count; i++) {
        const struct group_entry *entry = &from->entries[i];
        struct cursor window = cursor_of(entry->key - entry->window_size, entry->window_size);

        if (i + AHEAD < from->entry_count)
            group_prefetch_index(into, from->entries[i + AHEAD].hash);
        if (i + AHEAD / 2 < from->entry_count)
            group_prefetch_entry(into, from->entries[i + AHEAD / 2].hash);
        entry_join(into->windowing,
                   group_partition_entry(into, entry->hash, window, cursor_of(entry->key, entry->key_size), true),
                   entry);
        into->output_bytes += entry->value_bytes; /* the key's are counted where it is new */
    }
    arena_join(&into->pages, &from->pages);
    group_partition_unref(from);
}

/* The places of value extents in the entries that come along are counted from where they begin now. */
static void bucket_join(struct group_bucket *into, struct group_bucket *from) {
    vec_foreach (entries, &from->entries) {
        struct bucket_entries moved = {entries->extent, entries->first_value + into->values.count};

        vec_push(&into->entries, moved);
    }
    vec_foreach (extent, &from->values)
        vec_push(&into->values, *extent);
    into->bytes += from->bytes;
    into->value_bytes += from->value_bytes;
    into->records += from->records;
    from->entries.count = from->values.count = 0; /* their references have moved */
    group_bucket_unref(from);
}

/* Of two arrays of buckets; the first is made when it is missing. */
static void join_buckets(struct group_bucket ***into, struct group_bucket **from, size_t count,
                         const struct windowing *windowing) {
    if (!from)
        return;
    if (!*into)
        *into = xcalloc(count, sizeof(struct group_bucket *));
    for (size_t i = 0; i < count; i++) {
        if (!from[i])
            continue;
        from[i]->windowing = windowing;
        if ((*into)[i])
            bucket_join((*into)[i], from[i]);
        else
            (*into)[i] = from[i];
        from[i] = NULL;
    }
}

void group_join(struct group *into, struct group *from) {
    assert(into->partition_count == from->partition_count);
    for (unsigned i = 0; i < from->partition_count; i++) {
        if (!from->partitions[i])
            continue;
        from->partitions[i]->windowing = into->windowing;
        if (into->partitions[i])
            partition_join(into->partitions[i], from->partitions[i]);
        else
            into->partitions[i] = from->partitions[i];
        from->partitions[i] = NULL;
    }
    join_buckets(&into->buckets, from->buckets, (size_t)from->partition_count * GROUP_BUCKETS, into->windowing);
    join_buckets(&into->loose, from->loose, from->partition_count, into->windowing);
}

/* ---- the encoding ---- */

static void encode_partition(const struct group_partition *partition, struct buf *out) {
    buf_add_varint(out, partition ? partition->entry_count : 0);
    for (size_t i = 0; partition && i < partition->entry_count; i++) {
        const struct group_entry *entry = &partition->entries[i];

        buf_add_varint(out, entry->hash);
        buf_add_prefixed(out, entry->key - entry->window_size, entry->window_size);
        buf_add_prefixed(out, entry->key, entry->key_size);
        buf_add_be64(out, (uint64_t)entry->timestamp);
        buf_add_varint(out, entry->count);
        buf_add_varint(out, entry->value_bytes);
        for (const struct group_chunk *chunk = entry->first; chunk; chunk = chunk->next)
            buf_add(out, group_chunk_values(chunk), chunk->size);
    }
}

static void encode_bucket(const struct group_bucket *bucket, struct buf *out) {
    buf_add_varint(out, bucket ? bucket->entries.count : 0);
    if (!bucket)
        return;
    vec_foreach (entries, &bucket->entries) {
        buf_add_varint(out, entries->extent->id);
        buf_add_varint(out, entries->first_value);
    }
    buf_add_varint(out, bucket->values.count);
    vec_foreach (extent, &bucket->values)
        buf_add_varint(out, (*extent)->id);
    buf_add_varint(out, bucket->value_bytes);
    buf_add_varint(out, bucket->records);
}

static void encode_buckets(struct group_bucket *const *buckets, size_t count, struct buf *out) {
    buf_add_u8(out, buckets != NULL);
    for (size_t i = 0; buckets && i < count; i++)
        encode_bucket(buckets[i], out);
}

void group_encode(const struct group *group, struct buf *out) {
    buf_add_varint(out, group->partition_count);
    for (unsigned i = 0; i < group->partition_count; i++)
        encode_partition(group->partitions[i], out);
    encode_buckets(group->buckets, (size_t)group->partition_count * GROUP_BUCKETS, out);
    encode_buckets(group->loose, group->partition_count, out);
}

static bool decode_partition(struct cursor *at, struct group *group, unsigned i) {
    uint64_t entries, hash, timestamp, count, size;
    struct cursor window, key;

    if (!cursor_varint(at, &entries) || entries > cursor_left(at))
        return false;
    if (entries)
        group->partitions[i] = group_partition_create(NULL, group->account);
    for (; entries; entries--) {
        struct group_entry *entry;
        struct cursor values;

        if (!cursor_varint(at, &hash) || !cursor_prefixed(at, &window) || !cursor_prefixed(at, &key) ||
            !cursor_be64(at, &timestamp) || !cursor_varint(at, &count) || !cursor_varint(at, &size))
            return false;
        values = (struct cursor){at->at, at->at};
        if (!cursor_skip(at, size))
            return false;
        values.end = at->at;
        entry = group_partition_entry(group->partitions[i], hash, window, key, false);
        if (entry->count)
            return false; /* twice */
        entry->timestamp = (event_time)timestamp;
        entry->count = count;
        group_entry_add_value(group->partitions[i], entry, values);
    }
    return true;
}

static struct extent *decode_extent(struct cursor *at, const struct store *store) {
    uint64_t id;

    return cursor_varint(at, &id) ? extent_ref(extent_by_id(store, id)) : NULL;
}

static bool decode_bucket(struct cursor *at, const struct store *store, struct group_bucket **ret) {
    struct group_bucket *bucket;
    uint64_t entries, values, value_bytes;

    if (!cursor_varint(at, &entries) || entries > cursor_left(at))
        return false;
    if (entries == 0)
        return true;
    *ret = bucket = group_bucket_create(NULL);
    for (; entries; entries--) {
        struct bucket_entries made = {.extent = decode_extent(at, store)};

        if (!made.extent)
            return false;
        vec_push(&bucket->entries, made);
        if (!cursor_varint(at, &vec_last(&bucket->entries)->first_value))
            return false;
        bucket->bytes += made.extent->size;
    }
    if (!cursor_varint(at, &values) || values > cursor_left(at))
        return false;
    for (; values; values--) {
        struct extent *extent = decode_extent(at, store);

        if (!extent)
            return false;
        vec_push(&bucket->values, extent);
        bucket->bytes += extent->size;
    }
    if (!cursor_varint(at, &value_bytes) || !cursor_varint(at, &bucket->records))
        return false;
    bucket->value_bytes = (size_t)value_bytes;
    return true;
}

/* What was made is in *ret, also on failure. */
static bool decode_buckets(struct cursor *at, const struct store *store, size_t count, struct group_bucket ***ret) {
    uint8_t is_there;
    bool is_sound = cursor_u8(at, &is_there) && is_there <= 1;

    if (is_sound && is_there)
        *ret = xcalloc(count, sizeof(struct group_bucket *));
    for (size_t i = 0; is_sound && is_there && i < count; i++)
        is_sound = decode_bucket(at, store, &(*ret)[i]);
    return is_sound;
}

struct group *group_decode(struct cursor *at, const struct store *store, struct account *account) {
    struct group *group;
    uint64_t partitions;
    bool is_sound;

    if (!cursor_varint(at, &partitions) || partitions == 0 || partitions > cursor_left(at))
        return NULL;
    group = group_create(NULL, NULL, (unsigned)partitions, account);
    is_sound = true;
    for (unsigned i = 0; is_sound && i < partitions; i++)
        is_sound = decode_partition(at, group, i);
    is_sound = is_sound && decode_buckets(at, store, (size_t)partitions * GROUP_BUCKETS, &group->buckets) &&
               decode_buckets(at, store, partitions, &group->loose);
    if (is_sound)
        return group;
    group_destroy(group);
    return NULL;
}
