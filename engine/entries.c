/* A multimap side input read as a whole: pages of KV<key, iterable<value>> (beam_fn_api.proto: StateKey.MultimapKeysValuesSideInput). */
#include <assert.h>

#include "engine/view.h"

/* A position is a page of the window's keys and an offset in it. */
enum { OFFSET_BITS = 32 };

static bool next_key(const struct view *view, const struct chain *keys, size_t *page, size_t *offset,
                     struct slice *ret) {
    const struct chain_page *at;
    struct cursor key;
    enum coder_result result;

    if (*page < keys->pages.count && *offset >= keys->pages.items[*page].used) {
        ++*page;
        *offset = 0;
    }
    if (*page >= keys->pages.count)
        return false;
    at = &keys->pages.items[*page];
    key = cursor_of(at->block->data + *offset, at->used - *offset);
    *ret = slice_of_static(key.at, 0);
    result = coder_skip(view->coder->components[0]->components[0], &key);
    assert(result == CODER_OK);
    (void)result;
    ret->size = (size_t)(key.at - ret->data);
    *offset += ret->size;
    return true;
}

static void write_entry(struct slice key, const struct chain *values, struct buf *out) {
    bool is_long = values->count > INT32_MAX;

    buf_add(out, key.data, key.size);
    buf_add_be32(out, is_long ? UINT32_MAX : (uint32_t)values->count);
    if (is_long)
        buf_add_varint(out, values->count);
    vec_foreach (page, &values->pages)
        buf_add(out, page->block->data, page->used);
    if (is_long)
        buf_add_varint(out, 0);
}

static bool is_in_memory(const struct chain *values) {
    vec_foreach (page, &values->pages)
        if (!page->block)
            return false;
    return true;
}

int view_read_entries(const struct view *view, struct slice window, uint64_t *position, size_t limit, size_t max_entry,
                      struct buf *out, bool *ret_more) {
    const struct chain *keys = view_keys(view, window), *values;
    size_t page = (size_t)(*position >> OFFSET_BITS), offset = (size_t)(*position & UINT32_MAX), begin = out->size;
    struct slice key;

    *ret_more = false;
    while (keys && next_key(view, keys, &page, &offset, &key)) {
        size_t size;

        values = view_elements(view, window, key);
        size = key.size + values->bytes;
        if (out->size > begin && out->size - begin + size > limit) {
            *ret_more = true;
            return 0;
        }
        if (size > max_entry || !is_in_memory(values))
            return -1;
        write_entry(key, values, out);
        *position = (uint64_t)page << OFFSET_BITS | offset;
    }
    return 0;
}
