#include "base/arena.h"
#include "base/buf.h"
#include "base/slice.h"
#include "tests/unit/fixtures.h"

START_TEST(a_block_is_charged_for_as_long_as_a_slice_of_it_lives)
{
    struct account *parent = account_create("daemon", NULL, 0), *job = account_create("job", parent, 50);
    struct slice whole = slice_copy("0123456789", 10, job), part = slice_sub(whole, 3, 4);

    ck_assert_uint_eq(account_used(job), 10);
    ck_assert_uint_eq(account_used(parent), 10);
    slice_unref(&whole);
    ck_assert_uint_eq(account_used(job), 10);
    ck_assert(slice_equal_string(part, "3456"));
    slice_unref(&part);
    ck_assert_uint_eq(account_used(job), 0);
    ck_assert_uint_eq(account_used(parent), 0);
    ck_assert_uint_eq(job->peak_bytes, 10);
    account_unref(job);
    account_unref(parent);
}
END_TEST

START_TEST(an_account_says_how_far_it_is_over_its_budget)
{
    struct account *account = account_create("job", NULL, 100);

    account_charge(account, 90);
    ck_assert_uint_eq(account_excess(account), 0);
    account_charge(account, 30);
    ck_assert_uint_eq(account_excess(account), 20);
    account_release(account, 120);
    ck_assert_uint_eq(account_excess(account), 0);
    account_unref(account);
}
END_TEST

START_TEST(a_slice_may_outlive_its_account)
{
    struct account *account = account_create("job", NULL, 0);
    struct slice slice = slice_copy("x", 1, account);

    account_unref(account);
    slice_unref(&slice);
}
END_TEST

START_TEST(a_buffer_becomes_a_slice_without_a_copy)
{
    struct buf buf = {0};
    const uint8_t *data;
    struct slice slice;

    for (int i = 0; i < 1000; i++)
        buf_add_u8(&buf, (uint8_t)i);
    data = buf_data(&buf);
    slice = buf_finish(&buf);
    ck_assert_ptr_eq(slice.data, data);
    ck_assert_uint_eq(slice.size, 1000);
    ck_assert_uint_eq(slice.data[999], 999 & 0xff);
    ck_assert_uint_eq(buf.size, 0);
    slice_unref(&slice);
}
END_TEST

START_TEST(numbers_are_read_as_they_were_written)
{
    static const uint64_t numbers[] = {0, 1, 127, 128, 300, UINT32_MAX, INT64_MAX, UINT64_MAX};
    struct buf buf = {0};
    struct cursor at;

    for (size_t i = 0; i < ARRAY_COUNT(numbers); i++) {
        buf_add_varint(&buf, numbers[i]);
        buf_add_be64(&buf, numbers[i]);
        buf_add_be32(&buf, (uint32_t)numbers[i]);
    }
    at = cursor_of(buf_data(&buf), buf.size);
    for (size_t i = 0; i < ARRAY_COUNT(numbers); i++) {
        uint64_t varint, be64;
        uint32_t be32;

        ck_assert(cursor_varint(&at, &varint) && cursor_be64(&at, &be64) && cursor_be32(&at, &be32));
        ck_assert_uint_eq(varint, numbers[i]);
        ck_assert_uint_eq(be64, numbers[i]);
        ck_assert_uint_eq(be32, (uint32_t)numbers[i]);
        ck_assert_uint_eq(varint_size(numbers[i]), varint_encode((uint8_t[10]){0}, numbers[i]));
    }
    ck_assert_uint_eq(cursor_left(&at), 0);
    buf_clear(&buf);
}
END_TEST

START_TEST(a_varint_that_is_cut_off_or_too_long_is_refused)
{
    uint8_t endless[11];
    struct cursor at;
    uint64_t value;

    memset(endless, 0xff, sizeof(endless));
    for (size_t size = 0; size <= sizeof(endless); size++) {
        at = cursor_of(endless, size);
        ck_assert(!cursor_varint(&at, &value));
    }
    endless[9] = 2; /* would be bit 64 */
    at = cursor_of(endless, 10);
    ck_assert(!cursor_varint(&at, &value));
}
END_TEST

START_TEST(an_arena_gives_aligned_pieces_of_any_size_and_frees_them_all)
{
    struct account *account = account_create("job", NULL, 0);
    struct arena arena = {.account = account};

    for (size_t size = 0; size < 70000; size = size * 3 + 1) {
        char *piece = arena_zalloc(&arena, size);

        ck_assert_uint_eq((uintptr_t)piece % _Alignof(max_align_t), 0);
        memset(piece, 1, size);
    }
    ck_assert_str_eq(arena_printf(&arena, "%d-%s", 7, "seven"), "7-seven");
    ck_assert_uint_gt(account_used(account), 70000 / 3);
    arena_clear(&arena);
    ck_assert_uint_eq(account_used(account), 0);
    account_unref(account);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("slice");
    TCase *tc = tcase_create("slice");

    tcase_add_test(tc, a_block_is_charged_for_as_long_as_a_slice_of_it_lives);
    tcase_add_test(tc, an_account_says_how_far_it_is_over_its_budget);
    tcase_add_test(tc, a_slice_may_outlive_its_account);
    tcase_add_test(tc, a_buffer_becomes_a_slice_without_a_copy);
    tcase_add_test(tc, numbers_are_read_as_they_were_written);
    tcase_add_test(tc, a_varint_that_is_cut_off_or_too_long_is_refused);
    tcase_add_test(tc, an_arena_gives_aligned_pieces_of_any_size_and_frees_them_all);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
