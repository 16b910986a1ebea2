#include "base/pages.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/list.h"
#include "base/mem.h"

/* The sanitizer is to see each page as an allocation of its own. */
#ifdef __SANITIZE_ADDRESS__

void *page_alloc(void) {
    void *page = aligned_alloc(PAGE_BYTES, PAGE_BYTES);

    if (!page)
        abort();
    return page;
}

void page_free(void *page) {
    free(page);
}

void pages_trim(void) {
}

#else

enum { REGION_BYTES = 2 << 20, REGION_PAGES = REGION_BYTES / PAGE_BYTES - 1, MAX_RESERVE = 8 };

struct free_page {
    struct free_page *next;
};

struct region {
    struct list node; /* in `regions` while it has free pages, in `reserve` while it has nothing else */
    struct free_page *free;
    unsigned used;    /* pages given out */
    unsigned touched; /* pages that were ever given out: those behind are not in `free` */
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct list regions = {&regions, &regions};
static struct list reserve = {&reserve, &reserve};
static unsigned reserve_count;

/* An aligned piece out of twice as much. */
static struct region *region_create(void) {
    uint8_t *all = mmap(NULL, (size_t)REGION_BYTES * 2, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint8_t *at;
    size_t front;

    if (all == MAP_FAILED)
        abort();
    at = (uint8_t *)(((uintptr_t)all + REGION_BYTES - 1) & ~(uintptr_t)(REGION_BYTES - 1));
    front = (size_t)(at - all);
    if (front)
        munmap(all, front);
    munmap(at + REGION_BYTES, REGION_BYTES - front);
    madvise(at, REGION_BYTES, MADV_HUGEPAGE); /* a kernel without them does as it always does */
    return (struct region *)at;               /* zeroes */
}

void *page_alloc(void) {
    struct region *region;
    void *page;

    pthread_mutex_lock(&mutex);
    if (list_empty(&regions)) {
        region = reserve_count ? CONTAINER_OF(list_pop(&reserve), struct region, node) : region_create();
        reserve_count -= reserve_count > 0;
        list_append(&regions, &region->node);
    }
    region = CONTAINER_OF(regions.next, struct region, node);
    page = region->free;
    if (page)
        region->free = region->free->next;
    else
        page = (uint8_t *)region + (size_t)++region->touched * PAGE_BYTES;
    if (++region->used == REGION_PAGES)
        list_remove(&region->node);
    pthread_mutex_unlock(&mutex);
    return page;
}

void page_free(void *page) {
    struct region *region = (struct region *)((uintptr_t)page & ~(uintptr_t)(REGION_BYTES - 1)), *empty = NULL;
    struct free_page *free_page = page;

    pthread_mutex_lock(&mutex);
    free_page->next = region->free;
    region->free = free_page;
    if (region->used-- == REGION_PAGES)
        list_append(&regions, &region->node);
    if (region->used == 0) {
        list_remove(&region->node);
        if (reserve_count == MAX_RESERVE) {
            empty = region;
        } else {
            list_append(&reserve, &region->node);
            reserve_count++;
        }
    }
    pthread_mutex_unlock(&mutex);
    if (empty)
        munmap(empty, REGION_BYTES);
}

void pages_trim(void) {
    struct list freed, *node;

    list_init(&freed);
    pthread_mutex_lock(&mutex);
    while ((node = list_pop(&reserve)))
        list_append(&freed, node);
    reserve_count = 0;
    pthread_mutex_unlock(&mutex);
    while ((node = list_pop(&freed)))
        munmap(CONTAINER_OF(node, struct region, node), REGION_BYTES);
}

#endif
