#include "engine/mapentries.h"

/* How many values the bytes hold; -1: the coder can't tell. */
static int64_t count_values(const struct plan_user_state *kind, struct cursor at) {
    int64_t count = 0;

    if (kind->has_one_value)
        return 1;
    while (cursor_left(&at)) {
        const uint8_t *begin = at.at;

        if (!kind->element_coder || coder_skip(kind->element_coder, &at) != CODER_OK || at.at == begin)
            return -1;
        count++;
    }
    return count;
}

/* The values of one map key as an iterable. */
static int write_values(const struct user_state *state, const struct state_overlay *overlay, struct slice cell,
                        const struct plan_user_state *kind, struct buf *out) {
    struct buf values = {0};
    int64_t count;

    state_read_all(state, overlay, cell, &values);
    count = count_values(kind, cursor_of(buf_data(&values), values.size));
    buf_add_be32(out, (uint32_t)count);
    buf_add(out, buf_data(&values), values.size);
    buf_clear(&values);
    return count < 0 || count > INT32_MAX ? -1 : 0;
}

int multimap_read_entries(const struct user_state *state, const struct state_overlay *overlay, struct slice multimap,
                          const struct plan_user_state *kind, uint64_t *position, size_t limit, struct buf *out,
                          bool *ret_more) {
    const struct map_entry *key;
    struct buf scratch = {0};
    struct slice cell;
    int r = 0;

    *ret_more = false;
    while (r == 0 && (key = multimap_next_key(state, overlay, multimap, position, &scratch, &cell))) {
        if (out->size >= limit) {
            --*position;
            *ret_more = true;
            break;
        }
        buf_add(out, key->key, key->key_size);
        r = write_values(state, overlay, cell, kind, out);
    }
    buf_clear(&scratch);
    return r;
}
