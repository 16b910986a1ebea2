#include "engine/viewstore.h"

#include <assert.h>
#include <stdlib.h>

#include "engine/internal.h"

/* Values have no output time: any rule will do, and no window merges. */
static const struct windowing no_windowing = {.fn = WINDOW_FN_GLOBAL, .timestamp_combiner = OUTPUT_TIME_EARLIEST};

/* A position among all keys is a bucket and an entry in it. */
enum { ENTRY_BITS = 32 };

/* ---- making ---- */

static void move_chain(struct group *group, const struct map_entry *from) {
    struct cursor at = cursor_of(from->key, from->key_size), window, key;
    struct chain *chain = from->value;
    struct group_partition **slot;
    struct group_entry *entry;
    uint64_t hash;
    bool is_sound = cursor_prefixed(&at, &window) && cursor_prefixed(&at, &key);

    assert(is_sound);
    (void)is_sound;
    hash = hash_bytes(key.at, cursor_left(&key));
    slot = &group->partitions[hash % group->partition_count];
    if (!*slot)
        *slot = group_partition_create(group->windowing, group->account);
    entry = group_partition_entry(*slot, group_hash(hash, window), window, key, false);
    vec_foreach (page, &chain->pages) {
        assert(page->block);
        group_entry_add_value(*slot, entry, cursor_of(page->block->data, page->used));
    }
    entry->count += chain->count;
    chain_clear(chain); /* at once: both together need not be there */
}

void view_store_create(struct engine *engine, struct view *view) {
    struct view_store *store = xcalloc(1, sizeof(*store));

    assert(view->access == PLAN_ACCESS_MULTIMAP && !view->store && !view->is_read);
    store->group = group_create(view->coder, &no_windowing, engine->options.group_partitions, engine->options.account);
    store->group->is_never_loose = true;
    map_foreach (entry, &view->contents)
        move_chain(store->group, entry);
    view_clear(view);
    view->store = store;
}

void view_store_seal(struct engine *engine, struct view_store *store) {
    for (unsigned i = 0; !store->is_sealed && i < store->group->partition_count; i++)
        group_store_partition(engine, store->group, i, engine->options.extent_bytes);
    store->is_sealed = true;
}

void view_store_free(struct view_store *store) {
    if (!store)
        return;
    vec_foreach (built, &store->recent)
        group_partition_unref(built->partition);
    vec_free(&store->recent);
    group_destroy(store->group);
    free(store);
}

/* ---- buckets in memory ---- */

static size_t bucket_count(const struct view_store *store) {
    return store->group->buckets ? (size_t)store->group->partition_count * GROUP_BUCKETS : 0;
}

/* NULL when it is not in memory. */
static const struct group_partition *built_bucket(struct view_store *store, size_t place) {
    for (size_t i = store->recent.count; i-- > 0;) {
        struct built_bucket found = store->recent.items[i];

        if (found.place != place)
            continue;
        memmove(store->recent.items + i, store->recent.items + i + 1, (store->recent.count - i - 1) * sizeof(found));
        *vec_last(&store->recent) = found;
        return found.partition;
    }
    return NULL;
}

void view_store_fill(struct view_store *store, size_t bucket, const struct slice *bytes, size_t count,
                     size_t max_bytes) {
    struct built_bucket built = {.place = bucket};
    size_t all = 0, let_go = 0;

    if (built_bucket(store, bucket))
        return; /* two asked for it */
    built.partition = group_bucket_build(store->group->buckets[bucket], bytes, count, store->group->account);
    built.bytes = group_bucket_build_bytes(store->group->buckets[bucket], false);
    vec_push(&store->recent, built);
    vec_foreach (other, &store->recent)
        all += other->bytes;
    for (; let_go + 1 < store->recent.count && all > max_bytes; let_go++) {
        all -= store->recent.items[let_go].bytes;
        group_partition_unref(store->recent.items[let_go].partition);
    }
    store->recent.count -= let_go;
    memmove(store->recent.items, store->recent.items + let_go, store->recent.count * sizeof(built));
}

/* ---- reading ---- */

/* From chunk number read->position on. */
static enum view_store_result read_values(const struct group_entry *entry, struct view_store_read *read) {
    const struct group_chunk *chunk = entry->first;
    size_t begin = read->out->size;

    for (uint64_t i = 0; chunk && i < read->position; i++)
        chunk = chunk->next;
    for (; chunk && read->out->size - begin < read->limit; chunk = chunk->next, read->position++) {
        const uint8_t *values = group_chunk_values(chunk);

        if (!values && read->out->size > begin)
            break; /* the next page */
        if (!values) {
            read->extent = group_chunk_extent(chunk);
            read->position++;
            read->more = chunk->next != NULL;
            return VIEW_STORE_EXTENT;
        }
        buf_add(read->out, values, chunk->size);
    }
    read->more = chunk != NULL;
    return VIEW_STORE_PAGE;
}

enum view_store_result view_store_lookup(struct view_store *store, struct view_store_read *read) {
    struct cursor window = cursor_of(read->window.data, read->window.size),
                  key = cursor_of(read->key.data, read->key.size);
    uint64_t hash = hash_bytes(read->key.data, read->key.size);
    const struct group_partition *partition;
    const struct group_entry *entry;

    assert(store->is_sealed);
    read->more = false;
    read->bucket = group_bucket_place(store->group, hash);
    if (!bucket_count(store) || !store->group->buckets[read->bucket])
        return VIEW_STORE_PAGE;
    partition = built_bucket(store, read->bucket);
    if (!partition)
        return VIEW_STORE_BUCKET;
    entry = group_partition_find(partition, group_hash(hash, window), window, key);
    return entry ? read_values(entry, read) : VIEW_STORE_PAGE;
}

/* False: too large. */
static bool write_entry(const struct group_entry *entry, const struct view_store_read *read) {
    bool is_long = entry->count > INT32_MAX;

    if (entry->is_outside || entry->key_size + entry->value_bytes > read->max_entry)
        return false;
    buf_add(read->out, entry->key, entry->key_size);
    buf_add_be32(read->out, is_long ? UINT32_MAX : (uint32_t)entry->count);
    if (is_long)
        buf_add_varint(read->out, entry->count);
    for (const struct group_chunk *chunk = entry->first; chunk; chunk = chunk->next)
        buf_add(read->out, group_chunk_values(chunk), chunk->size);
    if (is_long)
        buf_add_varint(read->out, 0);
    return true;
}

static bool is_in_window(const struct group_entry *entry, struct slice window) {
    return entry->window_size == window.size &&
           (window.size == 0 || memcmp(entry->key - entry->window_size, window.data, window.size) == 0);
}

enum view_store_result view_store_walk(struct view_store *store, bool with_values, struct view_store_read *read) {
    size_t at = (size_t)(read->position & UINT32_MAX), begin = read->out->size;

    assert(store->is_sealed);
    for (read->bucket = (size_t)(read->position >> ENTRY_BITS); read->bucket < bucket_count(store);
         read->bucket++, at = 0) {
        const struct group_partition *partition = built_bucket(store, read->bucket);
        bool is_full = read->out->size > begin;

        read->position = (uint64_t)read->bucket << ENTRY_BITS | at;
        if (!store->group->buckets[read->bucket])
            continue;
        read->more = true;
        if (!partition)
            return is_full ? VIEW_STORE_PAGE : VIEW_STORE_BUCKET;
        for (; at < partition->entry_count; at++) {
            const struct group_entry *entry = &partition->entries[at];
            size_t size = entry->key_size + (with_values ? entry->value_bytes : 0);

            if (!is_in_window(entry, read->window))
                continue;
            read->position = (uint64_t)read->bucket << ENTRY_BITS | at;
            if (read->out->size > begin && read->out->size - begin + size > read->limit)
                return VIEW_STORE_PAGE;
            if (!with_values)
                buf_add(read->out, entry->key, entry->key_size);
            else if (!write_entry(entry, read))
                return VIEW_STORE_TOO_LARGE;
        }
    }
    read->more = false;
    return VIEW_STORE_PAGE;
}
