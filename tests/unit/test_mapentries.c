#include "engine/mapentries.h"

#include "tests/unit/fixtures.h"

static void append(struct state_overlay *overlay, const char *map_key, const char *value) {
    struct buf cell = {0}, data = {0};

    state_cell_key(&cell, 0, SLICE_EMPTY, slice_of_literal("key"));
    state_cell_key_add_map_key(&cell, slice_of_static(map_key, strlen(map_key)));
    buf_add_prefixed(&data, value, strlen(value));
    state_overlay_append(overlay, slice_of_static(buf_data(&cell), cell.size), NULL,
                         slice_of_static(buf_data(&data), data.size));
    buf_clear(&cell);
    buf_clear(&data);
}

static void clear(struct state_overlay *overlay, const char *map_key) {
    struct buf cell = {0};

    state_cell_key(&cell, 0, SLICE_EMPTY, slice_of_literal("key"));
    state_cell_key_add_map_key(&cell, slice_of_static(map_key, strlen(map_key)));
    state_overlay_clear_cell(overlay, slice_of_static(buf_data(&cell), cell.size));
    buf_clear(&cell);
}

static void commit(struct user_state *state, struct state_overlay *overlay) {
    map_foreach (entry, &overlay->mutations)
        state_apply(state, NULL, slice_of_static(entry->key, entry->key_size), entry->value);
    state_overlay_clear(overlay);
}

/* "key:2=value,value, ..." of the pages of `limit` bytes; NULL: refused. */
static char *entries(const struct user_state *state, const struct state_overlay *overlay,
                     const struct plan_user_state *kind, size_t limit) {
    struct buf cell = {0}, text = {0};
    uint64_t position = 0;
    bool more = true;
    char *copy;

    state_cell_key(&cell, 0, SLICE_EMPTY, slice_of_literal("key"));
    while (more) {
        struct buf page = {0};
        struct cursor at;

        if (multimap_read_entries(state, overlay, slice_of_static(buf_data(&cell), cell.size), kind, &position, limit,
                                  &page, &more) < 0) {
            buf_clear(&page);
            buf_clear(&cell);
            buf_clear(&text);
            return NULL;
        }
        at = cursor_of(buf_data(&page), page.size);
        while (cursor_left(&at)) {
            uint32_t count;
            struct cursor value;
            CLEANUP(freep) char *head = NULL;

            /* The map keys of this test take one byte. */
            head = xasprintf("%c:", *at.at++);
            buf_add(&text, head, 2);
            ck_assert(cursor_be32(&at, &count));
            for (; count; count--) {
                ck_assert(cursor_prefixed(&at, &value));
                buf_add(&text, value.at, cursor_left(&value));
                buf_add(&text, ",", 1);
            }
            buf_add(&text, " ", 1);
        }
        buf_clear(&page);
    }
    copy = xmemdup0(buf_data(&text), text.size);
    buf_clear(&text);
    buf_clear(&cell);
    return copy;
}

static void check(const struct user_state *state, const struct state_overlay *overlay,
                  const struct plan_user_state *kind, const char *want) {
    for (size_t limit = 1; limit < 1000; limit *= 10) {
        CLEANUP(freep) char *text = entries(state, overlay, kind, limit);

        ck_assert_ptr_nonnull(text);
        ck_assert_str_eq(text, want);
    }
}

START_TEST(entries_are_those_the_bundle_sees)
{
    struct fixture f = fixture_create();
    struct plan_user_state kind = {.kind = PLAN_STATE_MULTIMAP, .element_coder = f.bytes};
    struct user_state state = {0};
    struct state_overlay overlay = {0};

    check(&state, &overlay, &kind, "");
    append(&overlay, "a", "1");
    append(&overlay, "b", "2");
    append(&overlay, "a", "3");
    check(&state, &overlay, &kind, "a:1,3, b:2, ");
    commit(&state, &overlay);
    clear(&overlay, "b");
    append(&overlay, "a", "4");
    append(&overlay, "c", "");
    check(&state, &overlay, &kind, "a:1,3,4, c:, ");
    state_overlay_clear(&overlay);
    check(&state, &overlay, &kind, "a:1,3, b:2, ");
    user_state_clear(&state);
    arena_clear(&f.arena);
}
END_TEST

START_TEST(values_without_a_known_coder_are_counted_where_there_is_one_a_key)
{
    struct plan_user_state kind = {.kind = PLAN_STATE_MULTIMAP, .has_one_value = true};
    struct user_state state = {0};
    struct state_overlay overlay = {0};

    append(&overlay, "a", "1");
    check(&state, &overlay, &kind, "a:1, ");
    kind.has_one_value = false;
    ck_assert_ptr_null(entries(&state, &overlay, &kind, 100));
    state_overlay_clear(&overlay);
    user_state_clear(&state);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("mapentries");
    TCase *tc = tcase_create("mapentries");

    tcase_add_test(tc, entries_are_those_the_bundle_sees);
    tcase_add_test(tc, values_without_a_known_coder_are_counted_where_there_is_one_a_key);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
