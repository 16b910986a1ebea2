/* Groups whose values come as a token (beam:coder:state_backed_iterable:v1): the fake harness reads them, page by page, before it looks at
 * the element. */
#include <inttypes.h>
#include <stdlib.h>

#include "sdk.h"

/* The token behind the key; false when the values are in the element. */
static bool find_token(struct slice value, struct slice *ret_key, struct cursor *ret_token) {
    struct cursor at = cursor_of(value.data, value.size), key;
    uint32_t count;
    uint64_t batch;

    if (!cursor_prefixed(&at, &key))
        return false;
    *ret_key = slice_of_static(value.data, (size_t)(at.at - value.data));
    return cursor_be32(&at, &count) && count == UINT32_MAX && cursor_varint(&at, &batch) && batch == UINT64_MAX &&
           cursor_prefixed(&at, ret_token);
}

/* The element as it would be with its values in it. */
static struct slice with_values(const struct sim_bundle *bundle, struct slice key) {
    struct cursor at = cursor_of(buf_data(&bundle->pages), bundle->pages.size), value;
    struct buf out = {0};
    uint32_t count = 0;

    while (cursor_left(&at) && cursor_prefixed(&at, &value))
        count++;
    buf_add(&out, key.data, key.size);
    buf_add_be32(&out, count);
    buf_add(&out, buf_data(&bundle->pages), bundle->pages.size);
    return buf_finish(&out);
}

bool sdk_resolve_large(struct sim_bundle *bundle, struct element *in) {
    struct slice key, whole;
    struct cursor token;

    if (bundle->function->input != VALUE_GROUPED || !find_token(in->value, &key, &token))
        return true;
    if (!bundle->stage->takes_state_backed_iterables)
        world_violation(bundle->world, "bundle %" PRIu64 ": a token for an SDK that takes none", bundle->id);
    bundle->reads_large = true;
    if (!bundle->has_bag) {
        struct state_request *request = xcalloc(1, sizeof(*request));

        request->kind = STATE_RUNNER;
        request->operation = STATE_GET;
        request->key = slice_copy(token.at, cursor_left(&token), NULL);
        sdk_read(bundle, request);
        return false;
    }
    whole = with_values(bundle, key);
    slice_unref(&in->value);
    in->value = whole;
    bundle->pages.size = 0;
    bundle->has_bag = false;
    bundle->reads_large = false;
    return true;
}
