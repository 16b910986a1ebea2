#include "engine/orderedlist.h"
#include "tests/unit/fixtures.h"

static void add_entry(struct buf *out, int64_t sort_key, const char *value) {
    buf_add_varint(out, (uint64_t)sort_key);
    buf_add_prefixed(out, value, strlen(value));
}

/* "key=value;..." */
static char *text_of(const struct buf *entries) {
    struct cursor at = cursor_of(buf_data(entries), entries->size);
    struct buf text = {0};
    char *string;

    while (cursor_left(&at)) {
        CLEANUP(freep) char *piece = NULL;
        struct cursor value;
        uint64_t key;

        ck_assert(cursor_varint(&at, &key) && cursor_prefixed(&at, &value));
        piece = xasprintf("%lld=%.*s;", (long long)key, (int)cursor_left(&value), value.at);
        buf_add(&text, piece, strlen(piece));
    }
    string = xmemdup0(buf_data(&text), text.size);
    buf_clear(&text);
    return string;
}

static struct buf sample(void) {
    struct buf entries = {0};

    add_entry(&entries, 7, "late");
    add_entry(&entries, -3, "early");
    add_entry(&entries, 7, "later");
    add_entry(&entries, 0, "");
    return entries;
}

static void check_select(int64_t start, int64_t end, size_t limit, const char *want) {
    struct buf entries = sample(), out = {0};
    struct ordered_list list = {0};
    uint64_t position = 0;
    bool more = true;
    char *text;

    ordered_list_add(&list, buf_finish(&entries));
    ordered_list_sort(&list);
    while (more) {
        struct buf page = {0};

        ordered_list_read(&list, start, end, &position, limit, &page, &more);
        ck_assert(page.size || !more);
        buf_add(&out, buf_data(&page), page.size);
        buf_clear(&page);
    }
    text = text_of(&out);
    ck_assert_str_eq(text, want);
    free(text);
    ordered_list_clear(&list);
    buf_clear(&out);
}

START_TEST(entries_come_in_order_and_equal_keys_as_they_arrived)
{
    check_select(INT64_MIN, INT64_MAX, SIZE_MAX, "-3=early;0=;7=late;7=later;");
    check_select(INT64_MIN, INT64_MAX, 1, "-3=early;0=;7=late;7=later;");
}
END_TEST

START_TEST(a_range_includes_its_start_and_not_its_end)
{
    check_select(-3, 7, SIZE_MAX, "-3=early;0=;");
    check_select(0, 8, 1, "0=;7=late;7=later;");
    check_select(8, 9, SIZE_MAX, "");
    check_select(7, -3, SIZE_MAX, "");
}
END_TEST

START_TEST(what_is_left_of_a_cleared_range_keeps_its_places)
{
    struct buf entries = sample(), out = {0};
    struct ordered_list list = {0};
    char *text;

    ordered_list_add(&list, buf_finish(&entries));
    ordered_list_without(&list, -3, 1, &out);
    text = text_of(&out);
    ck_assert_str_eq(text, "7=late;7=later;");
    free(text);
    ordered_list_clear(&list);
    buf_clear(&out);
}
END_TEST

START_TEST(bytes_that_are_no_entries_are_seen)
{
    struct buf entries = sample();

    ck_assert(ordered_list_is_well_formed(slice_of_static(buf_data(&entries), entries.size)));
    ck_assert(!ordered_list_is_well_formed(slice_of_static(buf_data(&entries), entries.size - 1)));
    ck_assert(!ordered_list_is_well_formed(slice_of_literal("\x01\x7fx")));
    buf_clear(&entries);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("orderedlist");
    TCase *tc = tcase_create("orderedlist");

    tcase_add_test(tc, entries_come_in_order_and_equal_keys_as_they_arrived);
    tcase_add_test(tc, a_range_includes_its_start_and_not_its_end);
    tcase_add_test(tc, what_is_left_of_a_cleared_range_keeps_its_places);
    tcase_add_test(tc, bytes_that_are_no_entries_are_seen);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
