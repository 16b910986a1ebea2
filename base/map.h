/* A hash table from bytes to a pointer. Keys are copied; values are the caller's.
 *
 * Open addressing with stored hashes; removal leaves no tombstone (backward shift). Iteration follows insertion
 * order as long as nothing was removed, and is a pure function of the calls made: the engine relies on that.
 * Belongs to one thread. */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct map_entry {
    uint64_t hash;
    size_t key_size;
    char *key; /* NUL-terminated copy; NULL marks a removed entry */
    void *value;
};

/* Zero-initialise. */
struct map {
    struct map_entry *entries; /* in order of insertion */
    size_t entry_count;        /* with removed ones */
    size_t entry_capacity;
    uint32_t *index; /* 1 + place in entries, 0: free */
    size_t index_size;
    size_t count;
};

/* 64-bit hash of the bytes; the same on every machine of one byte order (XXH3). */
uint64_t hash_bytes(const void *bytes, size_t size);

/* NULL when absent. */
void *map_get(const struct map *map, const void *key, size_t key_size);
void *map_get_string(const struct map *map, const char *key);
bool map_has_string(const struct map *map, const char *key);
/* Sets the value; returns the one that was there before, or NULL. */
void *map_set(struct map *map, const void *key, size_t key_size, void *value);
void *map_set_string(struct map *map, const char *key, void *value);
/* Where the value of `key` is kept, made with value NULL when absent. Valid until the next insertion. */
void **map_slot(struct map *map, const void *key, size_t key_size);
/* Returns the value that was there, or NULL. */
void *map_remove(struct map *map, const void *key, size_t key_size);
void *map_remove_string(struct map *map, const char *key);
/* Frees the table and the keys; `free_value` (may be NULL) is called on each value. */
void map_clear(struct map *map, void (*free_value)(void *));

#define map_foreach(entry, map)                                                                                        \
    for (struct map_entry *entry = (map)->entries; entry && entry < (map)->entries + (map)->entry_count; entry++)      \
        if (entry->key)

#endif
