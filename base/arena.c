#include "base/arena.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/pages.h"

struct arena_page {
    struct arena_page *next;
    size_t size; /* of `data` */
    size_t used;
    max_align_t data[];
};

enum { ARENA_PAGE_BYTES = PAGE_BYTES - sizeof(struct arena_page) };

static bool is_from_huge_pages(const struct arena *arena, size_t size) {
    return arena->account && size == ARENA_PAGE_BYTES;
}

static struct arena_page *arena_add_page(struct arena *arena, size_t size) {
    struct arena_page *page = is_from_huge_pages(arena, size) ? page_alloc() : xmalloc(sizeof(*page) + size);

    page->size = size;
    page->used = 0;
    arena->allocated_bytes += sizeof(*page) + size;
    account_charge(arena->account, sizeof(*page) + size);
    /* A page made for one large piece goes behind the current one, which may still have room. */
    if (arena->pages && size > ARENA_PAGE_BYTES) {
        page->next = arena->pages->next;
        arena->pages->next = page;
    } else {
        page->next = arena->pages;
        arena->pages = page;
    }
    return page;
}

void *arena_alloc(struct arena *arena, size_t size) {
    struct arena_page *page = arena->pages;
    void *piece;

    size = (size + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);
    if (!page || page->size - page->used < size)
        page = arena_add_page(arena, MAX(size, (size_t)ARENA_PAGE_BYTES));
    piece = (char *)page->data + page->used;
    page->used += size;
    return piece;
}

void *arena_zalloc(struct arena *arena, size_t size) {
    return memset(arena_alloc(arena, size), 0, size);
}

char *arena_copy(struct arena *arena, const void *bytes, size_t size) {
    char *copy = arena_alloc(arena, size + 1);

    if (size)
        memcpy(copy, bytes, size);
    copy[size] = '\0';
    return copy;
}

char *arena_string(struct arena *arena, const char *string) {
    return string ? arena_copy(arena, string, strlen(string)) : NULL;
}

char *arena_printf(struct arena *arena, const char *format, ...) {
    CLEANUP(freep) char *string = NULL;
    va_list args;

    va_start(args, format);
    string = xvasprintf(format, args);
    va_end(args);
    return arena_string(arena, string);
}

void arena_join(struct arena *into, struct arena *from) {
    /* Behind the current page, which may still have room; by the pages of `from`, since those of `into` are walked again with each join. */
    struct arena_page **place = into->pages ? &into->pages->next : &into->pages, **end = &from->pages;

    assert(into->account == from->account);
    while (*end)
        end = &(*end)->next;
    *end = *place;
    *place = from->pages;
    into->allocated_bytes += from->allocated_bytes;
    from->pages = NULL;
    from->allocated_bytes = 0;
}

void arena_clear(struct arena *arena) {
    struct arena_page *page = arena->pages;

    while (page) {
        struct arena_page *next = page->next;

        if (is_from_huge_pages(arena, page->size))
            page_free(page);
        else
            free(page);
        page = next;
    }
    account_release(arena->account, arena->allocated_bytes);
    arena->pages = NULL;
    arena->allocated_bytes = 0;
}
