#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "model/window.h"

static struct arena arena;

static void teardown(void) {
    arena_clear(&arena);
}

static const struct coder *leaf(enum coder_kind kind) {
    return coder_create(&arena, kind, NULL, NULL);
}

static void check_pane(struct pane pane, const char *expected, size_t expected_size) {
    struct buf buf = {0};
    struct pane decoded;
    struct cursor at, skip;

    pane_encode(&buf, &pane);
    ck_assert_uint_eq(buf.size, expected_size);
    ck_assert_mem_eq(buf_data(&buf), expected, expected_size);
    for (size_t cut = 0; cut < expected_size; cut++) {
        at = skip = cursor_of(buf_data(&buf), cut);
        ck_assert_int_eq(pane_decode(&at, &decoded), CODER_SHORT);
        ck_assert_int_eq(pane_skip(&skip), CODER_SHORT);
    }
    at = skip = cursor_of(buf_data(&buf), buf.size);
    ck_assert_int_eq(pane_decode(&at, &decoded), CODER_OK);
    ck_assert_int_eq(pane_skip(&skip), CODER_OK);
    ck_assert(at.at == at.end && skip.at == skip.end);
    ck_assert_int_eq(decoded.is_first, pane.is_first);
    ck_assert_int_eq(decoded.is_last, pane.is_last);
    ck_assert_int_eq(decoded.timing, pane.timing);
    ck_assert_int_eq(decoded.index, pane.index);
    ck_assert_int_eq(decoded.nonspeculative_index, pane.nonspeculative_index);
    buf_clear(&buf);
}

START_TEST(panes_take_the_shortest_form)
{
    check_pane(PANE_NO_FIRING, "\x0f", 1);
    check_pane(PANE_ONLY_FIRING, "\x07", 1);
    check_pane((struct pane){true, false, PANE_EARLY, 0, -1}, "\x11\x00", 2);
    check_pane((struct pane){false, false, PANE_EARLY, 300, -1}, "\x10\xac\x02", 3);
    check_pane((struct pane){false, true, PANE_LATE, 3, 3}, "\x1a\x03", 2);
    check_pane((struct pane){false, false, PANE_ON_TIME, 2, 0}, "\x24\x02\x00", 3);
}
END_TEST

START_TEST(a_one_byte_early_pane_has_no_nonspeculative_index)
{
    struct cursor at = cursor_of("\x01", 1);
    struct pane pane;

    ck_assert_int_eq(pane_decode(&at, &pane), CODER_OK);
    ck_assert_int_eq(pane.index, 0);
    ck_assert_int_eq(pane.nonspeculative_index, -1);
}
END_TEST

START_TEST(an_unknown_pane_bit_is_bad)
{
    for (unsigned first = 0; first < 256; first++) {
        uint8_t bytes[3] = {(uint8_t)first, 0, 0};
        struct cursor at = cursor_of(bytes, sizeof(bytes)), skip = at;
        struct pane pane;
        enum coder_result expected = first >> 4 > 2 ? CODER_BAD : CODER_OK;

        ck_assert_int_eq(pane_decode(&at, &pane), expected);
        ck_assert_int_eq(pane_skip(&skip), expected);
    }
}
END_TEST

START_TEST(interval_windows_hold_their_end_first)
{
    static const uint8_t expected[] = {0x80, 0, 0, 0, 0, 0, 0x27, 0x10, 0x90, 0x4e};
    struct buf buf = {0};
    event_time start, end, max;
    struct cursor at;

    interval_window_encode(&buf, 0, 10000);
    ck_assert_uint_eq(buf.size, sizeof(expected));
    ck_assert_mem_eq(buf_data(&buf), expected, sizeof(expected));
    for (size_t cut = 0; cut < sizeof(expected); cut++) {
        at = cursor_of(expected, cut);
        ck_assert_int_eq(interval_window_decode(&at, &start, &end), CODER_SHORT);
    }
    at = cursor_of(expected, sizeof(expected));
    ck_assert_int_eq(interval_window_decode(&at, &start, &end), CODER_OK);
    ck_assert_int_eq(start, 0);
    ck_assert_int_eq(end, 10000);
    at = cursor_of(expected, sizeof(expected));
    ck_assert_int_eq(window_max_timestamp(leaf(CODER_INTERVAL_WINDOW), &at, &max), CODER_OK);
    ck_assert_int_eq(max, 9999);
    buf_clear(&buf);
}
END_TEST

START_TEST(windows_far_out_do_not_overflow)
{
    struct buf buf = {0};
    event_time start, end;
    struct cursor at;

    interval_window_encode(&buf, INT64_MIN, INT64_MAX);
    at = cursor_of(buf_data(&buf), buf.size);
    ck_assert_int_eq(interval_window_decode(&at, &start, &end), CODER_BAD);
    buf_clear(&buf);
    interval_window_encode(&buf, TIME_MIN, TIME_MIN);
    at = cursor_of(buf_data(&buf), buf.size);
    ck_assert_int_eq(window_max_timestamp(leaf(CODER_INTERVAL_WINDOW), &at, &end), CODER_OK);
    ck_assert_int_eq(end, TIME_MIN);
    buf_clear(&buf);
}
END_TEST

START_TEST(maximum_timestamps_of_other_windows)
{
    static const uint8_t custom[] = {0x80, 0, 0, 0, 0, 0, 0x27, 0x0f, 1, 'w'};
    struct cursor at = cursor_of(custom, sizeof(custom));
    event_time max;

    ck_assert_int_eq(
        window_max_timestamp(coder_create(&arena, CODER_CUSTOM_WINDOW, leaf(CODER_BYTES), NULL), &at, &max), CODER_OK);
    ck_assert_int_eq(max, 9999);
    ck_assert(at.at == at.end);
    at = cursor_of(NULL, 0);
    ck_assert_int_eq(window_max_timestamp(leaf(CODER_GLOBAL_WINDOW), &at, &max), CODER_OK);
    ck_assert_int_eq(max, TIME_GLOBAL_WINDOW_END);
    ck_assert_int_eq(window_max_timestamp(leaf(CODER_BYTES), &at, &max), CODER_BAD);
}
END_TEST

START_TEST(a_windowed_value_comes_apart)
{
    const struct coder *coder =
        coder_create(&arena, CODER_WINDOWED_VALUE, leaf(CODER_BYTES), leaf(CODER_INTERVAL_WINDOW));
    struct pane no_firing = PANE_NO_FIRING;
    struct windowed_value value;
    struct buf window = {0}, buf = {0};
    struct cursor at, skip;

    interval_window_encode(&window, 0, 10000);
    windowed_value_write_header(&buf, 1000, buf_data(&window), window.size, &no_firing);
    buf_add_prefixed(&buf, "ab", 2);
    ck_assert_mem_eq(buf_data(&buf),
                     "\x80\0\0\0\0\0\x03\xe8\0\0\0\x01\x80\0\0\0\0\0\x27\x10\x90\x4e\x0f\x02"
                     "ab",
                     26);
    for (size_t cut = 0; cut < buf.size; cut++) {
        at = skip = cursor_of(buf_data(&buf), cut);
        ck_assert_int_eq(windowed_value_read(coder, &at, &value), CODER_SHORT);
        ck_assert_int_eq(windowed_value_skip(coder, &skip), CODER_SHORT);
    }
    at = cursor_of(buf_data(&buf), buf.size);
    ck_assert_int_eq(windowed_value_read(coder, &at, &value), CODER_OK);
    ck_assert_int_eq(value.timestamp, 1000);
    ck_assert_uint_eq(value.window_count, 1);
    ck_assert_uint_eq(cursor_left(&value.windows), 10);
    ck_assert_uint_eq(cursor_left(&value.pane), 1);
    ck_assert_uint_eq(cursor_left(&value.value), 3);
    ck_assert_mem_eq(value.value.at,
                     "\x02"
                     "ab",
                     3);
    ck_assert(at.at == at.end);
    buf_clear(&window);
    buf_clear(&buf);
}
END_TEST

START_TEST(time_arithmetic_clamps)
{
    ck_assert_int_eq(time_add(TIME_MAX, 1), TIME_MAX);
    ck_assert_int_eq(time_add(TIME_MIN, INT64_MIN), TIME_MIN);
    ck_assert_int_eq(time_add(0, INT64_MAX), TIME_MAX);
    ck_assert_int_eq(time_from_wire(time_to_wire(TIME_MIN)), TIME_MIN);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("window");
    TCase *tcase = tcase_create("window");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tcase);
    tcase_add_checked_fixture(tcase, NULL, teardown);
    tcase_add_test(tcase, panes_take_the_shortest_form);
    tcase_add_test(tcase, a_one_byte_early_pane_has_no_nonspeculative_index);
    tcase_add_test(tcase, an_unknown_pane_bit_is_bad);
    tcase_add_test(tcase, interval_windows_hold_their_end_first);
    tcase_add_test(tcase, windows_far_out_do_not_overflow);
    tcase_add_test(tcase, maximum_timestamps_of_other_windows);
    tcase_add_test(tcase, a_windowed_value_comes_apart);
    tcase_add_test(tcase, time_arithmetic_clamps);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
