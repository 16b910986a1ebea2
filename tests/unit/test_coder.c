#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "model/coder.h"
#include "model/window.h"

static struct arena arena;

static void teardown(void) {
    arena_clear(&arena);
}

static const struct coder *leaf(enum coder_kind kind) {
    return coder_create(&arena, kind, NULL, NULL);
}

static const struct coder *of(enum coder_kind kind, const struct coder *component) {
    return coder_create(&arena, kind, component, NULL);
}

static const struct coder *kv(const struct coder *key, const struct coder *value) {
    return coder_create(&arena, CODER_KV, key, value);
}

static const struct coder *windowed(const struct coder *value, const struct coder *window) {
    return coder_create(&arena, CODER_WINDOWED_VALUE, value, window);
}

static size_t unhex(const char *hex, uint8_t *out) {
    size_t n = 0;

    for (; *hex; hex++) {
        unsigned byte;

        if (*hex == ' ')
            continue;
        ck_assert_int_eq(sscanf(hex, "%2x", &byte), 1);
        out[n++] = (uint8_t)byte;
        hex++;
    }
    return n;
}

/* The value is skipped exactly, every truncation is short, and bytes behind it are not looked at. */
static void check_vector(const struct coder *coder, const char *hex) {
    uint8_t bytes[256];
    size_t size = unhex(hex, bytes);
    struct cursor at;

    for (size_t cut = 0; cut < size; cut++) {
        uint8_t *exact = malloc(cut ? cut : 1); /* so that a sanitizer sees a read past the end */

        memcpy(exact, bytes, cut);
        at = cursor_of(exact, cut);
        ck_assert_msg(coder_skip(coder, &at) == CODER_SHORT, "%s cut at %zu", hex, cut);
        free(exact);
    }
    bytes[size] = 0xff;
    at = cursor_of(bytes, size + 1);
    ck_assert_int_eq(coder_skip(coder, &at), CODER_OK);
    ck_assert_msg(at.at == bytes + size, "%s: stopped at %td", hex, at.at - bytes);
}

static enum coder_result skip_hex(const struct coder *coder, const char *hex) {
    uint8_t bytes[256];
    struct cursor at = cursor_of(bytes, unhex(hex, bytes));

    return coder_skip(coder, &at);
}

START_TEST(values_of_every_coder_are_skipped_exactly)
{
    const struct coder *bytes = leaf(CODER_BYTES), *varint = leaf(CODER_VARINT);

    check_vector(bytes, "00");
    check_vector(bytes, "026162");
    check_vector(leaf(CODER_STRING), "03e282ac");
    check_vector(varint, "00");
    check_vector(varint, "ac02");
    check_vector(varint, "ffffffffffffffffff01"); /* -1 */
    check_vector(leaf(CODER_BOOL), "01");
    check_vector(leaf(CODER_DOUBLE), "3ff0000000000000");
    check_vector(kv(bytes, varint), "0161 05");
    check_vector(kv(kv(bytes, varint), kv(leaf(CODER_BOOL), bytes)), "0161 05 01 0162");
    check_vector(of(CODER_LENGTH_PREFIX, bytes), "03010203");
    check_vector(of(CODER_NULLABLE, bytes), "00");
    check_vector(of(CODER_NULLABLE, bytes), "01 0161");
    check_vector(of(CODER_SHARDED_KEY, bytes), "0173 016b");
    check_vector(leaf(CODER_GLOBAL_WINDOW), "");
    check_vector(leaf(CODER_INTERVAL_WINDOW), "8000000000002710 904e");
    check_vector(of(CODER_CUSTOM_WINDOW, bytes), "8000000000002710 0161");
}
END_TEST

START_TEST(iterables_come_in_three_forms)
{
    const struct coder *varints = of(CODER_ITERABLE, leaf(CODER_VARINT));
    const struct coder *doubles = of(CODER_ITERABLE, leaf(CODER_DOUBLE));
    const struct coder *backed = of(CODER_STATE_BACKED_ITERABLE, leaf(CODER_BYTES));

    check_vector(varints, "00000000");
    check_vector(varints, "00000002 01 ac02");
    check_vector(varints, "ffffffff 02 01 02 01 03 00");
    check_vector(varints, "ffffffff 00");
    check_vector(doubles, "00000001 3ff0000000000000");
    check_vector(backed, "ffffffff 01 0161 ffffffffffffffffff01 03746f6b");
    check_vector(varints, "ffffffff ffffffffffffffffff01 00");
}
END_TEST

START_TEST(timers_are_skipped)
{
    const struct coder *global = coder_create(&arena, CODER_TIMER, leaf(CODER_BYTES), leaf(CODER_GLOBAL_WINDOW));
    const struct coder *interval = coder_create(&arena, CODER_TIMER, leaf(CODER_BYTES), leaf(CODER_INTERVAL_WINDOW));

    check_vector(global, "016b 00 00000001 00 80000000000003e8 80000000000007d0 0f");
    check_vector(global, "016b 03746167 00000001 01");
    check_vector(interval, "016b 00 00000001 8000000000002710 904e 01");
    ck_assert_int_eq(skip_hex(global, "016b 00 00000001 02"), CODER_BAD);
    ck_assert_int_eq(skip_hex(global, "016b 00 80000001 01"), CODER_BAD);
}
END_TEST

START_TEST(windowed_values_are_skipped)
{
    const struct coder *bytes = leaf(CODER_BYTES);

    check_vector(windowed(bytes, leaf(CODER_INTERVAL_WINDOW)),
                 "80000000000003e8 00000001 8000000000002710 904e 0f 026162");
    check_vector(windowed(bytes, leaf(CODER_GLOBAL_WINDOW)), "80000000000003e8 00000001 0f 026162");
    check_vector(windowed(bytes, leaf(CODER_GLOBAL_WINDOW)), "80000000000003e8 00000000 1100 026162");
    check_vector(windowed(bytes, leaf(CODER_INTERVAL_WINDOW)),
                 "80000000000003e8 00000002 8000000000002710 904e 8000000000002710 904e 2501ac02 00");
}
END_TEST

START_TEST(what_no_value_starts_with_is_bad)
{
    const struct coder *varint = leaf(CODER_VARINT);

    ck_assert_int_eq(skip_hex(varint, "ffffffffffffffffffff01"), CODER_BAD);
    ck_assert_int_eq(skip_hex(varint, "ffffffffffffffffff02"), CODER_BAD);
    ck_assert_int_eq(skip_hex(leaf(CODER_BYTES), "ffffffffffffffffff01"), CODER_BAD);
    ck_assert_int_eq(skip_hex(of(CODER_NULLABLE, varint), "02"), CODER_BAD);
    ck_assert_int_eq(skip_hex(of(CODER_ITERABLE, varint), "fffffffe"), CODER_BAD);
    ck_assert_int_eq(skip_hex(of(CODER_ITERABLE, varint), "ffffffff feffffffffffffffff01"), CODER_BAD);
    ck_assert_int_eq(skip_hex(windowed(varint, leaf(CODER_GLOBAL_WINDOW)), "80000000000003e8 00000001 3f 00"),
                     CODER_BAD);
    ck_assert_int_eq(skip_hex(windowed(varint, leaf(CODER_GLOBAL_WINDOW)), "80000000000003e8 ffffffff 0f 00"),
                     CODER_BAD);
}
END_TEST

START_TEST(an_interval_window_that_cannot_be_decoded_is_not_skipped)
{
    /* A span of -5, as a window function that ends before it starts writes it. */
    ck_assert_int_eq(skip_hex(leaf(CODER_INTERVAL_WINDOW), "8000000000000005 fbffffffffffffffff01"), CODER_BAD);
    ck_assert_int_eq(skip_hex(leaf(CODER_INTERVAL_WINDOW), "8000000000000005 ffffffffffffffff7f"), CODER_OK);
}
END_TEST

START_TEST(hostile_counts_cost_no_time)
{
    const struct coder *empty = kv(leaf(CODER_GLOBAL_WINDOW), leaf(CODER_GLOBAL_WINDOW));
    const struct coder *empties = of(CODER_ITERABLE, empty);
    const struct coder *varints = of(CODER_ITERABLE, leaf(CODER_VARINT));
    const struct coder *deep = empty;
    clock_t start = clock();

    ck_assert_int_eq(skip_hex(empties, "7fffffff"), CODER_OK);
    ck_assert_int_eq(skip_hex(empties, "ffffffff ffffffffffffffff7f 00"), CODER_OK);
    ck_assert_int_eq(skip_hex(varints, "7fffffff 00 00"), CODER_SHORT);
    ck_assert_int_eq(skip_hex(of(CODER_ITERABLE, leaf(CODER_DOUBLE)), "ffffffff ffffffffffffffff7f 00"), CODER_SHORT);
    ck_assert_int_eq(
        skip_hex(windowed(leaf(CODER_BYTES), leaf(CODER_GLOBAL_WINDOW)), "80000000000003e8 7fffffff 0f 00"), CODER_BAD);
    ck_assert_int_eq(
        skip_hex(windowed(leaf(CODER_BYTES), leaf(CODER_GLOBAL_WINDOW)), "80000000000003e8 00000002 0f 00"), CODER_BAD);
    for (int i = 0; i < 64; i++)
        deep = kv(deep, deep);
    ck_assert_int_eq(skip_hex(of(CODER_ITERABLE, deep), "7fffffff"), CODER_OK);
    deep = leaf(CODER_VARINT);
    for (int i = 0; i < 80; i++)
        deep = kv(deep, deep);
    ck_assert_int_eq(skip_hex(deep, "00 00 00 00"), CODER_SHORT);
    deep = leaf(CODER_DOUBLE);
    for (int i = 0; i < 80; i++)
        deep = kv(deep, deep);
    ck_assert_int_eq(skip_hex(deep, "00 00 00 00"), CODER_BAD);
    ck_assert_int_lt(clock() - start, CLOCKS_PER_SEC);
}
END_TEST

START_TEST(sizes_are_known_where_they_can_be)
{
    const struct coder *boolean = leaf(CODER_BOOL), *real = leaf(CODER_DOUBLE), *global = leaf(CODER_GLOBAL_WINDOW);

    ck_assert_uint_eq(kv(boolean, real)->fixed_size, 9);
    ck_assert_uint_eq(kv(global, real)->fixed_size, 8);
    ck_assert_uint_eq(kv(global, global)->fixed_size, 0);
    ck_assert_uint_eq(kv(global, global)->min_size, 0);
    ck_assert_uint_eq(kv(real, leaf(CODER_BYTES))->fixed_size, 0);
    ck_assert_uint_eq(kv(real, leaf(CODER_BYTES))->min_size, 9);
    ck_assert_uint_eq(of(CODER_CUSTOM_WINDOW, global)->fixed_size, 8);
}
END_TEST

START_TEST(urns_name_kinds)
{
    unsigned components = 9;

    ck_assert_int_eq(coder_kind_of_urn("beam:coder:kv:v1", &components), CODER_KV);
    ck_assert_uint_eq(components, 2);
    ck_assert_int_eq(coder_kind_of_urn("beam:coder:row:v1", &components), -1);
    ck_assert_int_eq(coder_kind_of_urn("beam:coder:pickled_python:v1", &components), -1);
    ck_assert_int_eq(coder_kind_of_urn("", &components), -1);
    ck_assert_str_eq(coder_urn(CODER_STRING), "beam:coder:string_utf8:v1");
}
END_TEST

int main(void) {
    Suite *suite = suite_create("coder");
    TCase *tcase = tcase_create("coder");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tcase);
    tcase_add_checked_fixture(tcase, NULL, teardown);
    tcase_add_test(tcase, values_of_every_coder_are_skipped_exactly);
    tcase_add_test(tcase, iterables_come_in_three_forms);
    tcase_add_test(tcase, timers_are_skipped);
    tcase_add_test(tcase, windowed_values_are_skipped);
    tcase_add_test(tcase, what_no_value_starts_with_is_bad);
    tcase_add_test(tcase, an_interval_window_that_cannot_be_decoded_is_not_skipped);
    tcase_add_test(tcase, hostile_counts_cost_no_time);
    tcase_add_test(tcase, sizes_are_known_where_they_can_be);
    tcase_add_test(tcase, urns_name_kinds);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
