#include "engine/chain.h"

#include <string.h>

enum { CHAIN_PAGE_MIN = 128, CHAIN_PAGE_MAX = 256 << 10 };

static struct chain_page *chain_add_page(struct chain *chain, struct account *account, size_t size) {
    size_t capacity = CHAIN_PAGE_MIN;
    struct chain_page page;

    if (chain->pages.count)
        capacity = MIN(vec_last(&chain->pages)->block->size * 2, (size_t)CHAIN_PAGE_MAX); /* the last is never stored */
    page = (struct chain_page){.block = block_create(MAX(capacity, size), account)};
    vec_push(&chain->pages, page);
    return vec_last(&chain->pages);
}

void chain_add(struct chain *chain, struct account *account, const void *bytes, size_t size) {
    struct chain_page *page = chain->pages.count ? vec_last(&chain->pages) : NULL;

    chain->count++;
    if (size == 0)
        return;
    if (!page || page->block->size - page->used < size)
        page = chain_add_page(chain, account, size);
    memcpy(page->block->data + page->used, bytes, size);
    page->used += size;
    chain->bytes += size;
}

size_t chain_read(const struct chain *chain, size_t *at, size_t limit, struct slice *pieces, size_t max_pieces,
                  struct extent **ret_extent, bool *ret_more) {
    size_t count = 0, bytes = 0;

    *ret_extent = NULL;
    for (; *at < chain->pages.count && count < max_pieces; ++*at) {
        const struct chain_page *page = &chain->pages.items[*at];
        struct slice all;

        if (count && (!page->block || bytes + page->used > limit))
            break;
        if (!page->block) {
            *ret_extent = page->extent;
            ++*at;
            break;
        }
        all = (struct slice){.block = page->block, .data = page->block->data, .size = page->used};
        pieces[count++] = slice_ref(all);
        bytes += page->used;
    }
    *ret_more = *at < chain->pages.count;
    return count;
}

void chain_clear(struct chain *chain) {
    vec_foreach (page, &chain->pages) {
        if (page->block)
            block_unref(page->block);
        extent_unref(page->extent);
    }
    vec_free(&chain->pages);
    chain->bytes = 0;
    chain->count = 0;
}

void chain_free(void *chain) {
    if (!chain)
        return;
    chain_clear(chain);
    free(chain);
}
