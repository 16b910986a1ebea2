#include "engine/userstate.h"
#include "tests/unit/fixtures.h"

static const struct slice cell = {.data = (const uint8_t *)"cell", .size = 4};

/* All pages, end to end, NUL-terminated. */
static char *read_cell(const struct user_state *state, const struct state_overlay *overlay, size_t limit) {
    struct buf all = {0};
    uint64_t position = 0;
    bool more = true;
    char *text;

    while (more) {
        struct slice pieces[4];
        size_t count = state_read(state, overlay, cell, &position, limit, pieces, ARRAY_COUNT(pieces), &more);

        for (size_t i = 0; i < count; i++) {
            buf_add(&all, pieces[i].data, pieces[i].size);
            slice_unref(&pieces[i]);
        }
    }
    text = xmemdup0(buf_data(&all), all.size);
    buf_clear(&all);
    return text;
}

static void check_reads(const struct user_state *state, const struct state_overlay *overlay, const char *want) {
    for (size_t limit = 1; limit < 1000; limit *= 10) {
        char *text = read_cell(state, overlay, limit);

        ck_assert_str_eq(text, want);
        free(text);
    }
}

static void commit(struct user_state *state, struct state_overlay *overlay) {
    map_foreach (entry, &overlay->mutations)
        state_apply(state, NULL, slice_of_static(entry->key, entry->key_size), entry->value);
    state_overlay_clear(overlay);
}

START_TEST(a_bundle_sees_its_own_writes_and_a_failed_one_leaves_none)
{
    struct user_state state = {0};
    struct state_overlay overlay = {0};

    check_reads(&state, &overlay, "");
    state_overlay_append(&overlay, cell, NULL, slice_of_literal("a"));
    state_overlay_append(&overlay, cell, NULL, slice_of_literal("b"));
    check_reads(&state, &overlay, "ab");
    state_overlay_clear(&overlay);
    check_reads(&state, &overlay, "");
    user_state_clear(&state);
}
END_TEST

START_TEST(a_clear_hides_what_was_committed_and_keeps_later_appends)
{
    struct user_state state = {0};
    struct state_overlay overlay = {0};

    state_overlay_append(&overlay, cell, NULL, slice_of_literal("old"));
    commit(&state, &overlay);
    check_reads(&state, &overlay, "old");
    state_overlay_append(&overlay, cell, NULL, slice_of_literal("lost"));
    state_overlay_clear_cell(&overlay, cell);
    check_reads(&state, &overlay, "");
    state_overlay_append(&overlay, cell, NULL, slice_of_literal("new"));
    check_reads(&state, &overlay, "new");
    commit(&state, &overlay);
    check_reads(&state, &overlay, "new");
    state_overlay_clear_cell(&overlay, cell);
    commit(&state, &overlay);
    ck_assert_uint_eq(state.cells.count, 0);
    user_state_clear(&state);
}
END_TEST

START_TEST(long_cells_are_read_in_pages)
{
    struct user_state state = {0};
    struct state_overlay overlay = {0};
    struct buf want = {0};
    char *text;

    for (int i = 0; i < 500; i++) {
        char piece[16];

        snprintf(piece, sizeof(piece), "<%d>", i);
        state_overlay_append(&overlay, cell, NULL, slice_of_literal(piece));
        buf_add(&want, piece, strlen(piece));
        if (i == 200)
            commit(&state, &overlay);
    }
    buf_add_u8(&want, 0);
    text = read_cell(&state, &overlay, 100);
    ck_assert_str_eq(text, (const char *)buf_data(&want));
    free(text);
    buf_clear(&want);
    state_overlay_clear(&overlay);
    user_state_clear(&state);
}
END_TEST

/* "key,key,..." of the multimap at `cell`, whose map keys are one letter each. */
static void check_keys(const struct user_state *state, const struct state_overlay *overlay, struct slice multimap,
                       const char *want) {
    for (size_t limit = 1; limit < 100; limit *= 10) {
        struct buf keys = {0};
        uint64_t position = 0;
        bool more = true;

        while (more) {
            struct buf page = {0};

            multimap_read_keys(state, overlay, multimap, &position, limit, &page, &more);
            buf_add(&keys, buf_data(&page), page.size);
            buf_clear(&page);
        }
        buf_add_u8(&keys, 0);
        ck_assert_str_eq((const char *)buf_data(&keys), want);
        buf_clear(&keys);
    }
}

START_TEST(a_multimap_knows_its_keys)
{
    struct user_state state = {0};
    struct state_overlay overlay = {0};
    struct buf key = {0}, a = {0}, b = {0};
    struct slice multimap, cell_a, cell_b;

    state_cell_key(&key, 3, slice_of_literal("window"), slice_of_literal("key"));
    multimap = slice_of_static(buf_data(&key), key.size);
    buf_add(&a, buf_data(&key), key.size);
    state_cell_key_add_map_key(&a, slice_of_literal("a"));
    cell_a = slice_of_static(buf_data(&a), a.size);
    buf_add(&b, buf_data(&key), key.size);
    state_cell_key_add_map_key(&b, slice_of_literal("b"));
    cell_b = slice_of_static(buf_data(&b), b.size);

    check_keys(&state, &overlay, multimap, "");
    state_overlay_append(&overlay, cell_a, NULL, slice_of_literal("1"));
    check_keys(&state, &overlay, multimap, "a");
    commit(&state, &overlay);
    state_overlay_append(&overlay, cell_b, NULL, slice_of_literal("2"));
    state_overlay_append(&overlay, cell_a, NULL, slice_of_literal("3"));
    check_keys(&state, &overlay, multimap, "ab");
    state_overlay_clear_cell(&overlay, cell_a);
    check_keys(&state, &overlay, multimap, "b");
    commit(&state, &overlay);
    check_keys(&state, &overlay, multimap, "b");
    state_overlay_append(&overlay, cell_a, NULL, slice_of_literal("4"));
    multimap_clear(&state, &overlay, multimap);
    check_keys(&state, &overlay, multimap, "");
    state_overlay_append(&overlay, cell_a, NULL, slice_of_literal("5"));
    check_keys(&state, &overlay, multimap, "a");
    commit(&state, &overlay);
    check_keys(&state, &overlay, multimap, "a");
    state_overlay_append(&overlay, cell_b, NULL, SLICE_EMPTY);
    check_keys(&state, &overlay, multimap, "ab");
    commit(&state, &overlay);
    check_keys(&state, &overlay, multimap, "ab");
    user_state_remove(&state, multimap);
    check_keys(&state, &overlay, multimap, "");
    ck_assert_uint_eq(state.cells.count, 0);
    ck_assert_uint_eq(state.multimaps.count, 0);
    buf_clear(&key);
    buf_clear(&a);
    buf_clear(&b);
    user_state_clear(&state);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("userstate");
    TCase *tc = tcase_create("userstate");

    tcase_add_test(tc, a_bundle_sees_its_own_writes_and_a_failed_one_leaves_none);
    tcase_add_test(tc, a_clear_hides_what_was_committed_and_keeps_later_appends);
    tcase_add_test(tc, long_cells_are_read_in_pages);
    tcase_add_test(tc, a_multimap_knows_its_keys);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
