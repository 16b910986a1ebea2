#include "engine/view.h"

#include <assert.h>

#include "engine/liveview.h"
#include "engine/viewstore.h"
#include "model/window.h"

void key_add_part(struct buf *key, const void *bytes, size_t size) {
    buf_add_prefixed(key, bytes, size);
}

bool view_coder_fits(const struct coder *windowed, enum plan_access access) {
    return access == PLAN_ACCESS_ITERABLE || windowed->components[0]->kind == CODER_KV;
}

/* Of a chain in a map, besides the key: the entry, its index, the vector of pages, the first block's head. */
enum { CHAIN_COST = 192 };

/* Finds the chain or makes it, on the view's account. */
static struct chain *chain_of(struct view *view, struct map *map, const void *key, size_t size, bool *ret_is_new) {
    void **slot = map_slot(map, key, size);

    *ret_is_new = !*slot;
    if (!*slot) {
        *slot = xcalloc(1, sizeof(struct chain));
        account_charge(view->account, CHAIN_COST + size);
        view->charged_bytes += CHAIN_COST + size;
        view->bytes += CHAIN_COST + size;
    }
    return *slot;
}

static void view_add_in_window(struct view *view, struct cursor value, struct cursor window, struct buf *scratch) {
    struct cursor key = value;
    struct chain *chain;
    bool is_new;

    scratch->size = 0;
    key_add_part(scratch, window.at, cursor_left(&window));
    if (view->access == PLAN_ACCESS_MULTIMAP) {
        enum coder_result result = coder_skip(view->coder->components[0]->components[0], &value);

        assert(result == CODER_OK);
        (void)result;
        key.end = value.at;
        key_add_part(scratch, key.at, cursor_left(&key));
    }
    chain = chain_of(view, &view->contents, buf_data(scratch), scratch->size, &is_new);
    chain_add(chain, view->account, value.at, cursor_left(&value));
    view->bytes += cursor_left(&value);
    if (is_new && view->access == PLAN_ACCESS_MULTIMAP) {
        scratch->size = 0;
        key_add_part(scratch, window.at, cursor_left(&window));
        chain = chain_of(view, &view->keys, buf_data(scratch), scratch->size, &is_new);
        chain_add(chain, view->account, key.at, cursor_left(&key));
    }
}

void view_add(struct view *view, const struct run *run) {
    const struct coder *window_coder = view->coder->components[1];
    struct cursor at = cursor_of(run->bytes.data, run->bytes.size);
    struct buf scratch = {0};

    if (view->store) {
        group_add_run(view->store->group, run);
        return;
    }
    while (cursor_left(&at)) {
        struct windowed_value element;
        enum coder_result result = windowed_value_read(view->coder, &at, &element);

        assert(result == CODER_OK);
        for (uint32_t i = 0; i < element.window_count; i++) {
            struct cursor window = element.windows;

            result = coder_skip(window_coder, &element.windows);
            assert(result == CODER_OK);
            window.end = element.windows.at;
            view_add_in_window(view, element.value, window, &scratch);
        }
    }
    buf_clear(&scratch);
}

void view_add_element(struct view *view, struct cursor window, struct cursor value) {
    struct buf scratch = {0};

    view_add_in_window(view, value, window, &scratch);
    buf_clear(&scratch);
}

const struct chain *view_elements(const struct view *view, struct slice window, struct slice key) {
    struct buf scratch = {0};
    const struct chain *chain;

    key_add_part(&scratch, window.data, window.size);
    if (view->access == PLAN_ACCESS_MULTIMAP)
        key_add_part(&scratch, key.data, key.size);
    chain = map_get(&view->contents, buf_data(&scratch), scratch.size);
    buf_clear(&scratch);
    return chain;
}

const struct chain *view_keys(const struct view *view, struct slice window) {
    struct buf scratch = {0};
    const struct chain *chain;

    key_add_part(&scratch, window.data, window.size);
    chain = map_get(&view->keys, buf_data(&scratch), scratch.size);
    buf_clear(&scratch);
    return chain;
}

void view_clear(struct view *view) {
    map_clear(&view->contents, chain_free);
    map_clear(&view->keys, chain_free);
    account_release(view->account, view->charged_bytes);
    view->bytes = view->charged_bytes = 0;
    view_store_free(view->store);
    view->store = NULL;
    live_view_free(view->live);
    view->live = NULL;
}
