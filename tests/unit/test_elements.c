/* wire/elements: what the writer writes the scanner reads, and no bytes from outside lead it astray. */
#include "wire/elements.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static bool cursor_is(struct cursor c, const char *string) {
    return cursor_left(&c) == strlen(string) && memcmp(c.at, string, cursor_left(&c)) == 0;
}

/* Scans a copy of exactly that size, so that the sanitizer sees a read past the end. */
static int scan_all(const uint8_t *bytes, size_t size, struct elements_part *last, size_t *ret_count) {
    struct slice message = slice_copy(bytes, size, NULL);
    struct elements_scanner scanner = elements_scan(message);
    size_t count = 0;
    int result;

    while ((result = elements_next(&scanner, last)) == 1) {
        ck_assert_uint_le(cursor_left(&last->instruction_id), size);
        ck_assert_uint_le(cursor_left(&last->bytes), size);
        count++;
    }
    *ret_count = count;
    slice_unref(&message);
    return result;
}

static void add_slice(struct buf *buf, struct slice slice) {
    buf_add(buf, slice.data, slice.size);
    slice_unref(&slice);
}

static struct slice sample_message(void) {
    struct buf buf = {0};

    add_slice(&buf, elements_header("bundle-1", "source", NULL, 5, false));
    buf_add(&buf, "hello", 5);
    add_slice(&buf, elements_header("bundle-1", "source", NULL, 0, true));
    add_slice(&buf, elements_header("bundle-1", "pardo", "family", 3, false));
    buf_add(&buf, "tim", 3);
    add_slice(&buf, elements_header("bundle-1", "pardo", "family", 0, true));
    return buf_finish(&buf);
}

START_TEST(scanner_reads_what_the_writer_wrote)
{
    struct slice message = sample_message();
    struct elements_scanner scanner = elements_scan(message);
    struct elements_part part;

    ck_assert_int_eq(elements_next(&scanner, &part), 1);
    ck_assert(!part.is_timers && !part.is_last);
    ck_assert(cursor_is(part.instruction_id, "bundle-1"));
    ck_assert(cursor_is(part.transform_id, "source"));
    ck_assert(cursor_is(part.timer_family_id, ""));
    ck_assert(cursor_is(part.bytes, "hello"));
    ck_assert(part.bytes.at > message.data && part.bytes.end < message.data + message.size);
    ck_assert_int_eq(elements_next(&scanner, &part), 1);
    ck_assert(!part.is_timers && part.is_last && cursor_is(part.bytes, ""));
    ck_assert_int_eq(elements_next(&scanner, &part), 1);
    ck_assert(part.is_timers && !part.is_last);
    ck_assert(cursor_is(part.timer_family_id, "family"));
    ck_assert(cursor_is(part.bytes, "tim"));
    ck_assert_int_eq(elements_next(&scanner, &part), 1);
    ck_assert(part.is_timers && part.is_last && cursor_is(part.bytes, ""));
    ck_assert_int_eq(elements_next(&scanner, &part), 0);
    ck_assert_int_eq(elements_next(&scanner, &part), 0);
    slice_unref(&message);
}
END_TEST

START_TEST(header_with_large_data_has_long_lengths)
{
    struct slice header = elements_header("i", "t", NULL, 200000, false);
    const uint8_t expected[] = {0x0a, 0xca, 0x9a, 0x0c, 0x0a, 1, 'i', 0x12, 1, 't', 0x1a, 0xc0, 0x9a, 0x0c};

    ck_assert_uint_eq(header.size, sizeof(expected));
    ck_assert_int_eq(memcmp(header.data, expected, sizeof(expected)), 0);
    slice_unref(&header);
}
END_TEST

START_TEST(empty_message_has_no_parts)
{
    struct elements_scanner scanner = elements_scan(SLICE_EMPTY);
    struct elements_part part;

    ck_assert_int_eq(elements_next(&scanner, &part), 0);
}
END_TEST

START_TEST(every_truncation_is_malformed_or_a_shorter_message)
{
    struct slice message = sample_message();
    struct elements_part part;
    size_t count, whole = 0;

    for (size_t size = 0; size < message.size; size++) {
        int result = scan_all(message.data, size, &part, &count);

        if (result == 0)
            whole++;
        else
            ck_assert_int_eq(result, -1);
        ck_assert_uint_lt(count, 4);
    }
    ck_assert_uint_eq(whole, 4); /* cut behind 0, 1, 2 and 3 parts */
    slice_unref(&message);
}
END_TEST

START_TEST(lengths_that_leave_their_message_are_malformed)
{
    static const uint8_t cases[][16] = {
        {2, 0x0a, 0x01},
        {6, 0x0a, 0x02, 0x0a, 0x01, 0x00, 0x00}, /* inner length leaves the part but not the message */
        {3, 0x0a, 0xff, 0xff},
        {11, 0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01},       /* 2^64 - 1 */
        {12, 0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}, /* eleven bytes */
        {12, 0x0a, 10, 0x1a, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
        {4, 0x0a, 0x02, 0x20, 0x80},                   /* is_last without an end */
        {2, 0x00, 0x00},                               /* field 0 */
        {2, 0x23, 0x24},                               /* a group */
        {2, 0x0e, 0x00},                               /* wire type 6 */
        {4, 0x21, 1, 2, 3},                            /* fixed64 cut short */
        {7, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01, 0x00}, /* a tag above 32 bits */
    };
    struct elements_part part;
    size_t count;

    for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
        ck_assert_msg(scan_all(cases[i] + 1, cases[i][0], &part, &count) == -1, "case %zu", i);
}
END_TEST

START_TEST(unknown_fields_are_skipped)
{
    static const uint8_t message[] = {
        0x18, 0x96, 0x01,                     /* field 3 varint */
        0x22, 0x02, 'x',  'y',                /* field 4 bytes */
        0x0d, 1,    2,    3,   4,             /* field 1, but fixed32 */
        0x0a, 26,                             /* Data */
        0x0a, 1,    'i',                      /* instruction */
        0x31, 1,    2,    3,   4, 5, 6, 7, 8, /* field 6 fixed64 */
        0x1a, 1,    'd',                      /* data */
        0x20, 0x80, 0x01,                     /* is_last in two bytes */
        0x12, 1,    't',                      /* transform, out of order */
        0x2d, 1,    2,    3,   4,             /* field 5 fixed32 */
    };
    struct slice bytes = slice_of_static(message, sizeof(message));
    struct elements_scanner scanner = elements_scan(bytes);
    struct elements_part part;

    ck_assert_int_eq(elements_next(&scanner, &part), 1);
    ck_assert(cursor_is(part.instruction_id, "i"));
    ck_assert(cursor_is(part.transform_id, "t"));
    ck_assert(cursor_is(part.bytes, "d"));
    ck_assert(part.is_last);
    ck_assert_int_eq(elements_next(&scanner, &part), 0);
}
END_TEST

START_TEST(random_bytes_never_lead_outside)
{
    struct slice good = sample_message();
    struct elements_part part;
    uint8_t bytes[256];
    size_t count;

    srand(1);
    for (int round = 0; round < 20000; round++) {
        memcpy(bytes, good.data, good.size);
        for (int flips = rand() % 6; flips >= 0; flips--)
            bytes[(size_t)rand() % good.size] = (uint8_t)rand();
        scan_all(bytes, (size_t)rand() % (good.size + 1), &part, &count);
    }
    slice_unref(&good);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("elements");
    TCase *tcase = tcase_create("elements");
    SRunner *runner;
    int failed;

    tcase_add_test(tcase, scanner_reads_what_the_writer_wrote);
    tcase_add_test(tcase, header_with_large_data_has_long_lengths);
    tcase_add_test(tcase, empty_message_has_no_parts);
    tcase_add_test(tcase, every_truncation_is_malformed_or_a_shorter_message);
    tcase_add_test(tcase, lengths_that_leave_their_message_are_malformed);
    tcase_add_test(tcase, unknown_fields_are_skipped);
    tcase_add_test(tcase, random_bytes_never_lead_outside);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
