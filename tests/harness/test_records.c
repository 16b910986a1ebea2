#include <check.h>
#include <stdlib.h>

#include "base/mem.h"
#include "records.h"

static const struct record_shape shape = {.total = 20, .keys = 3, .size = 100, .random_percent = 50};

static struct cursor record(const struct record_shape *of, uint64_t i, struct buf *out) {
    out->size = 0;
    record_write(of, i, out);
    ck_assert_uint_eq(out->size, record_encoded_size(of));
    return cursor_of(buf_data(out), out->size);
}

/* The group with these records' values, in this order, under the key of the first. */
static struct buf group_of(const struct record_shape *of, const uint64_t *indices, uint32_t count) {
    struct buf group = {0}, one = {0};

    for (uint32_t n = 0; n < count; n++) {
        struct cursor at = record(of, indices[n], &one), key;

        ck_assert(cursor_prefixed(&at, &key));
        if (n == 0) {
            buf_add_prefixed(&group, key.at, cursor_left(&key));
            buf_add_be32(&group, count);
        }
        buf_add(&group, at.at, cursor_left(&at));
    }
    buf_clear(&one);
    return group;
}

static const char *check_group(const uint64_t *indices, uint32_t count, struct record_totals *totals) {
    struct buf group = group_of(&shape, indices, count);
    const char *error = record_check_group(&shape, cursor_of(buf_data(&group), group.size), totals);

    buf_clear(&group);
    return error;
}

START_TEST(all_groups_together_are_the_expected_totals)
{
    struct record_totals totals = {0}, expected = record_expected_totals(&shape);

    ck_assert_ptr_null(check_group((const uint64_t[]){0, 3, 6, 9, 12, 15, 18}, 7, &totals));
    ck_assert_ptr_null(check_group((const uint64_t[]){19, 16, 13, 10, 7, 4, 1}, 7, &totals));
    ck_assert(!record_same_totals(&totals, &expected));
    ck_assert_ptr_null(check_group((const uint64_t[]){2, 8, 5, 11, 17, 14}, 6, &totals));
    ck_assert(record_same_totals(&totals, &expected));
}
END_TEST

START_TEST(a_lost_a_double_and_a_foreign_value_are_seen)
{
    struct record_totals totals = {0};

    ck_assert_str_eq(check_group((const uint64_t[]){2, 8, 5, 11, 17}, 5, &totals), "a key with too few values");
    ck_assert_str_eq(check_group((const uint64_t[]){2, 8, 5, 11, 17, 14, 14}, 7, &totals),
                     "a key with too many values");
    ck_assert_str_eq(check_group((const uint64_t[]){2, 8, 5, 11, 17, 17}, 6, &totals),
                     "a key with one value twice and another one missing");
    ck_assert_str_eq(check_group((const uint64_t[]){2, 8, 5, 11, 17, 15}, 6, &totals),
                     "values of two keys in one group");
    ck_assert_uint_eq(totals.records, 0);
}
END_TEST

START_TEST(every_byte_is_checked)
{
    static const uint64_t indices[] = {2, 8, 5, 11, 17, 14};
    struct buf group = group_of(&shape, indices, 6);
    uint8_t *bytes = xmalloc(group.size);

    for (size_t i = 0; i < group.size; i++) {
        struct record_totals totals = {0};

        memcpy(bytes, buf_data(&group), group.size);
        bytes[i] ^= 0x20;
        ck_assert_msg(record_check_group(&shape, cursor_of(bytes, group.size), &totals) != NULL,
                      "another byte %zu was not seen", i);
    }
    free(bytes);
    buf_clear(&group);
}
END_TEST

START_TEST(a_group_that_is_cut_short_is_an_error)
{
    static const uint64_t indices[] = {2, 8, 5, 11, 17, 14};
    struct buf group = group_of(&shape, indices, 6);

    for (size_t size = 0; size < group.size; size++) {
        struct record_totals totals = {0};

        ck_assert_ptr_nonnull(record_check_group(&shape, cursor_of(buf_data(&group), size), &totals));
    }
    buf_clear(&group);
}
END_TEST

START_TEST(an_iterable_in_batches_is_read)
{
    struct record_totals totals = {0};
    struct buf group = {0}, one = {0};
    struct cursor at, key;

    at = record(&shape, 2, &one);
    ck_assert(cursor_prefixed(&at, &key));
    buf_add_prefixed(&group, key.at, cursor_left(&key));
    buf_add_be32(&group, UINT32_MAX);
    for (uint64_t i = 2; i < shape.total; i += 3) {
        at = record(&shape, i, &one);
        ck_assert(cursor_prefixed(&at, &key));
        buf_add_varint(&group, 1);
        buf_add(&group, at.at, cursor_left(&at));
    }
    buf_add_varint(&group, 0);
    ck_assert_ptr_null(record_check_group(&shape, cursor_of(buf_data(&group), group.size), &totals));
    ck_assert_uint_eq(totals.records, 6);
    buf_clear(&group);
    buf_clear(&one);
}
END_TEST

START_TEST(keys_are_all_different)
{
    struct record_shape many = {.total = 5000, .keys = 5000, .size = RECORD_MIN_BYTES};
    struct record_totals totals = {0}, expected = record_expected_totals(&many);

    for (uint64_t i = 0; i < many.total; i++) {
        struct buf group = group_of(&many, &i, 1);

        ck_assert_ptr_null(record_check_group(&many, cursor_of(buf_data(&group), group.size), &totals));
        buf_clear(&group);
    }
    ck_assert(record_same_totals(&totals, &expected));
}
END_TEST

START_TEST(impossible_shapes_are_refused)
{
    ck_assert_ptr_null(record_shape_error(&shape));
    ck_assert_ptr_nonnull(record_shape_error(&(struct record_shape){.total = 1, .keys = 1, .size = 17}));
    ck_assert_ptr_nonnull(record_shape_error(&(struct record_shape){.total = 1, .keys = 0, .size = 100}));
    ck_assert_ptr_nonnull(
        record_shape_error(&(struct record_shape){.total = 1, .keys = 1, .size = 100, .random_percent = 101}));
}
END_TEST

int main(void) {
    Suite *suite = suite_create("records");
    TCase *tcase = tcase_create("records");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_test(tcase, all_groups_together_are_the_expected_totals);
    tcase_add_test(tcase, a_lost_a_double_and_a_foreign_value_are_seen);
    tcase_add_test(tcase, every_byte_is_checked);
    tcase_add_test(tcase, a_group_that_is_cut_short_is_an_error);
    tcase_add_test(tcase, an_iterable_in_batches_is_read);
    tcase_add_test(tcase, keys_are_all_different);
    tcase_add_test(tcase, impossible_shapes_are_refused);
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
