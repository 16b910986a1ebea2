/* A bump allocator: many small things that are freed together (one arena per pipeline, bundle or RPC).
 * Memory is charged to the account, when there is one, and is then taken from huge pages (base/pages.h): what is charged is a job's data,
 * of which there is much. Belongs to one thread. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>
#include <stdint.h>

#include "base/account.h"
#include "base/mem.h"

struct arena_page;

/* Zero-initialise, or set `account` first. */
struct arena {
    struct arena_page *pages;
    struct account *account;
    size_t allocated_bytes;
};

/* Aligned for any type; contents undefined. Never NULL. */
void *arena_alloc(struct arena *arena, size_t size);
void *arena_zalloc(struct arena *arena, size_t size);
/* A NUL-terminated copy of `size` bytes. */
char *arena_copy(struct arena *arena, const void *bytes, size_t size);
char *arena_string(struct arena *arena, const char *string);
char *arena_printf(struct arena *arena, const char *format, ...) PRINTF_LIKE(2, 3);
/* All that `from` has belongs to `into` from now on, which has the same account. */
void arena_join(struct arena *into, struct arena *from);
/* Frees all; the arena can be used again. */
void arena_clear(struct arena *arena);

#define arena_new(arena, type) ((type *)arena_zalloc(arena, sizeof(type)))
#define arena_new_array(arena, type, n) ((type *)arena_zalloc(arena, sizeof(type) * (n)))

#endif
