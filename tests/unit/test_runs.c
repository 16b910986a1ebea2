#include "tests/unit/fixtures.h"

static struct buf three_elements(void) {
    struct buf out = {0};

    add_kv(&out, 1, NULL, "a", "first");
    add_kv(&out, 2, NULL, "b", "");
    add_kv(&out, 3, NULL, "", "a longer value so that the lengths differ");
    return out;
}

static void check_joined(const struct run_list *list, const struct buf *want) {
    struct buf got = {0};
    uint64_t count = 0;

    for (size_t i = 0; i < list->runs.count; i++) {
        buf_add(&got, list->runs.items[i].bytes.data, list->runs.items[i].bytes.size);
        count += list->runs.items[i].count;
    }
    ck_assert_uint_eq(got.size, want->size);
    ck_assert_mem_eq(buf_data(&got), buf_data(want), want->size);
    ck_assert_uint_eq(count, list->count);
    ck_assert_uint_eq(got.size, list->bytes);
    buf_clear(&got);
}

START_TEST(elements_cut_at_any_byte_come_out_whole)
{
    struct fixture f = fixture_create();
    struct buf all = three_elements();

    for (size_t cut = 0; cut <= all.size; cut++) {
        struct run_writer writer = {.coder = f.global};
        struct status st = {0};

        ck_assert_int_eq(run_writer_add(&writer, slice_copy(buf_data(&all), cut, NULL), &st), 0);
        ck_assert_int_eq(run_writer_add(&writer, slice_copy(buf_data(&all) + cut, all.size - cut, NULL), &st), 0);
        ck_assert_int_eq(run_writer_end(&writer, &st), 0);
        ck_assert_uint_eq(writer.list.count, 3);
        check_joined(&writer.list, &all);
        run_writer_clear(&writer);
    }
    buf_clear(&all);
    arena_clear(&f.arena);
}
END_TEST

START_TEST(elements_byte_by_byte_come_out_whole)
{
    struct fixture f = fixture_create();
    struct buf all = three_elements();
    struct run_writer writer = {.coder = f.global};

    for (size_t i = 0; i < all.size; i++)
        ck_assert_int_eq(run_writer_add(&writer, slice_copy(buf_data(&all) + i, 1, NULL), NULL), 0);
    ck_assert_int_eq(run_writer_end(&writer, NULL), 0);
    check_joined(&writer.list, &all);
    run_writer_clear(&writer);
    buf_clear(&all);
    arena_clear(&f.arena);
}
END_TEST

START_TEST(whole_blocks_are_shared_not_copied)
{
    struct fixture f = fixture_create();
    struct buf all = three_elements();
    struct slice bytes = buf_finish(&all);
    struct run_writer writer = {.coder = f.global};

    ck_assert_int_eq(run_writer_add(&writer, slice_ref(bytes), NULL), 0);
    ck_assert_ptr_eq(writer.list.runs.items[0].bytes.data, bytes.data);
    run_writer_clear(&writer);
    slice_unref(&bytes);
    arena_clear(&f.arena);
}
END_TEST

START_TEST(an_element_cut_off_at_the_end_is_an_error)
{
    struct fixture f = fixture_create();
    struct buf all = three_elements();
    struct run_writer writer = {.coder = f.global};
    struct status st = {0};

    ck_assert_int_eq(run_writer_add(&writer, slice_copy(buf_data(&all), all.size - 1, NULL), &st), 0);
    ck_assert_int_eq(run_writer_end(&writer, &st), -STATUS_INVALID_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(status_message(&st), "ends inside an element"));
    status_clear(&st);
    run_writer_clear(&writer);
    buf_clear(&all);
    arena_clear(&f.arena);
}
END_TEST

START_TEST(nonsense_is_an_error)
{
    struct fixture f = fixture_create();
    struct run_writer writer = {.coder = f.global};
    uint8_t nonsense[64];

    memset(nonsense, 0xff, sizeof(nonsense));
    ck_assert_int_eq(run_writer_add(&writer, slice_copy(nonsense, sizeof(nonsense), NULL), NULL),
                     -STATUS_INVALID_ARGUMENT);
    run_writer_clear(&writer);
    arena_clear(&f.arena);
}
END_TEST

START_TEST(a_split_run_is_the_same_elements)
{
    struct fixture f = fixture_create();
    struct buf all = three_elements();
    size_t size = all.size;
    struct run run = {.bytes = buf_finish(&all), .count = 3};
    struct run head, tail;

    run_split(&run, f.global, 1, &head, &tail);
    ck_assert_uint_eq(head.count, 1);
    ck_assert_uint_eq(tail.count, 2);
    ck_assert_uint_eq(head.bytes.size + tail.bytes.size, size);
    ck_assert_ptr_eq(tail.bytes.data, run.bytes.data + head.bytes.size);
    slice_unref(&head.bytes);
    slice_unref(&tail.bytes);
    slice_unref(&run.bytes);
    arena_clear(&f.arena);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("runs");
    TCase *tc = tcase_create("runs");

    tcase_add_test(tc, elements_cut_at_any_byte_come_out_whole);
    tcase_add_test(tc, elements_byte_by_byte_come_out_whole);
    tcase_add_test(tc, whole_blocks_are_shared_not_copied);
    tcase_add_test(tc, an_element_cut_off_at_the_end_is_an_error);
    tcase_add_test(tc, nonsense_is_an_error);
    tcase_add_test(tc, a_split_run_is_the_same_elements);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
