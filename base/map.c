#include "base/map.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/mem.h"

uint64_t hash_bytes(const void *bytes, size_t size) {
    return XXH3_64bits(bytes, size);
}

/* The place in the index that holds `key`, or the free place where it would go. */
static size_t map_probe(const struct map *map, uint64_t hash, const void *key, size_t key_size) {
    size_t mask = map->index_size - 1;
    size_t i = (size_t)hash & mask;

    for (; map->index[i]; i = (i + 1) & mask) {
        const struct map_entry *entry = &map->entries[map->index[i] - 1];

        if (entry->hash == hash && entry->key_size == key_size &&
            (key_size == 0 || memcmp(entry->key, key, key_size) == 0))
            break;
    }
    return i;
}

static struct map_entry *map_find(const struct map *map, const void *key, size_t key_size) {
    size_t i;

    if (map->count == 0)
        return NULL;
    i = map_probe(map, hash_bytes(key, key_size), key, key_size);
    return map->index[i] ? &map->entries[map->index[i] - 1] : NULL;
}

static void map_rebuild(struct map *map, size_t index_size) {
    size_t kept = 0;

    for (size_t i = 0; i < map->entry_count; i++)
        if (map->entries[i].key)
            map->entries[kept++] = map->entries[i];
    map->entry_count = kept;
    free(map->index);
    map->index = xcalloc(index_size, sizeof(*map->index));
    map->index_size = index_size;
    for (size_t i = 0; i < kept; i++) {
        size_t at = (size_t)map->entries[i].hash & (index_size - 1);

        while (map->index[at])
            at = (at + 1) & (index_size - 1);
        map->index[at] = (uint32_t)(i + 1);
    }
}

static void map_make_room(struct map *map) {
    /* At most half full, counting removed entries, which still hold their place in `entries`. */
    if ((map->entry_count + 1) * 2 > map->index_size) {
        size_t size = 16;

        while (size < (map->count + 1) * 4)
            size *= 2;
        map_rebuild(map, size);
    }
    if (map->entry_count == map->entry_capacity) {
        map->entry_capacity = map->entry_capacity ? map->entry_capacity * 2 : 8;
        map->entries = xreallocarray(map->entries, map->entry_capacity, sizeof(*map->entries));
    }
}

void **map_slot(struct map *map, const void *key, size_t key_size) {
    uint64_t hash = hash_bytes(key, key_size);
    struct map_entry *entry;
    size_t i;

    map_make_room(map);
    i = map_probe(map, hash, key, key_size);
    if (map->index[i])
        return &map->entries[map->index[i] - 1].value;
    entry = &map->entries[map->entry_count++];
    *entry = (struct map_entry){.hash = hash, .key_size = key_size, .key = xmemdup0(key, key_size)};
    map->index[i] = (uint32_t)map->entry_count;
    map->count++;
    return &entry->value;
}

void *map_get(const struct map *map, const void *key, size_t key_size) {
    struct map_entry *entry = map_find(map, key, key_size);

    return entry ? entry->value : NULL;
}

void *map_get_string(const struct map *map, const char *key) {
    return map_get(map, key, strlen(key));
}

bool map_has_string(const struct map *map, const char *key) {
    return map_find(map, key, strlen(key)) != NULL;
}

void *map_set(struct map *map, const void *key, size_t key_size, void *value) {
    void **slot = map_slot(map, key, key_size);
    void *old = *slot;

    *slot = value;
    return old;
}

void *map_set_string(struct map *map, const char *key, void *value) {
    return map_set(map, key, strlen(key), value);
}

/* Closes the gap at `hole` so that probing never meets a free place too early. */
static void map_close_gap(struct map *map, size_t hole) {
    size_t mask = map->index_size - 1;

    for (size_t i = (hole + 1) & mask; map->index[i]; i = (i + 1) & mask) {
        size_t home = (size_t)map->entries[map->index[i] - 1].hash & mask;

        if (((i - home) & mask) >= ((i - hole) & mask)) {
            map->index[hole] = map->index[i];
            hole = i;
        }
    }
    map->index[hole] = 0;
}

void *map_remove(struct map *map, const void *key, size_t key_size) {
    struct map_entry *entry;
    void *value;
    size_t i;

    if (map->count == 0)
        return NULL;
    i = map_probe(map, hash_bytes(key, key_size), key, key_size);
    if (!map->index[i])
        return NULL;
    entry = &map->entries[map->index[i] - 1];
    map_close_gap(map, i);
    value = entry->value;
    free(entry->key);
    *entry = (struct map_entry){0};
    map->count--;
    if (map->count == 0)
        map->entry_count = 0;
    return value;
}

void *map_remove_string(struct map *map, const char *key) {
    return map_remove(map, key, strlen(key));
}

void map_clear(struct map *map, void (*free_value)(void *)) {
    map_foreach (entry, map) {
        if (free_value)
            free_value(entry->value);
        free(entry->key);
    }
    free(map->entries);
    free(map->index);
    *map = (struct map){0};
}
