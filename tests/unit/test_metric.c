/* model/metric: identities, and the merging of payloads by type (MODEL 12). */
#include "model/metric.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

#define SUM "beam:metrics:sum_int64:v1"
#define BYTES(...) slice_of_static((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

/* Compares the merge of a and b, given as bytes, with `expected`. */
static void check_merge(const char *type, struct slice a, struct slice b, struct slice expected) {
    struct slice merged;

    ck_assert_int_eq(metric_merge(type, a, b, &merged), 0);
    ck_assert_msg(slice_equal(merged, expected), "%s", type);
    slice_unref(&merged);
}

static void check_malformed(const char *type, struct slice good, struct slice bad) {
    struct slice merged;

    ck_assert_int_eq(metric_merge(type, good, bad, &merged), -1);
    ck_assert(slice_equal(merged, bad));
    slice_unref(&merged);
    ck_assert_int_eq(metric_merge(type, bad, good, &merged), -1);
    slice_unref(&merged);
}

static struct slice doubles(bool with_count, const double *values, size_t count) {
    struct buf buf = {0};

    if (with_count)
        buf_add_be32(&buf, (uint32_t)count);
    for (size_t i = 0; i < count; i++) {
        uint64_t bits;

        memcpy(&bits, &values[i], sizeof(bits));
        buf_add_be64(&buf, bits);
    }
    return buf_finish(&buf);
}

static void check_merge_owned(const char *type, struct slice a, struct slice b, struct slice expected) {
    check_merge(type, a, b, expected);
    slice_unref(&a);
    slice_unref(&b);
    slice_unref(&expected);
}

START_TEST(identity_does_not_depend_on_label_order)
{
    const char *forth[][2] = {{"NAME", "n"}, {"PTRANSFORM", "t"}, {"NAMESPACE", "ns"}};
    const char *back[][2] = {{"PTRANSFORM", "t"}, {"NAMESPACE", "ns"}, {"NAME", "n"}};
    struct slice a = metric_identity("urn", "type", (const char *const(*)[2])forth, 3);
    struct slice b = metric_identity("urn", "type", (const char *const(*)[2])back, 3);
    const char *type, *labels[2][2];
    size_t count;

    ck_assert(slice_equal(a, b));
    ck_assert_str_eq(metric_identity_parse(a, &type, labels, 2, &count), "urn");
    ck_assert_str_eq(type, "type");
    ck_assert_uint_eq(count, 3);
    ck_assert_str_eq(labels[0][0], "NAME");
    ck_assert_str_eq(labels[0][1], "n");
    ck_assert_str_eq(labels[1][0], "NAMESPACE");
    slice_unref(&a);
    slice_unref(&b);
    ck_assert_str_eq(metric_identity_parse(BYTES('x'), &type, labels, 2, &count), "");
    ck_assert_uint_eq(count, 0);
}
END_TEST

START_TEST(sums_add_and_may_be_negative)
{
    struct slice minus_two = metric_encode_int64(-2), minus_one = metric_encode_int64(-1);
    int64_t value;

    check_merge(SUM, BYTES(3), BYTES(0xac, 0x02), BYTES(0xaf, 0x02));
    check_merge(SUM, minus_two, BYTES(1), minus_one);
    ck_assert(metric_decode_int64(minus_two, &value) && value == -2);
    check_malformed(SUM, BYTES(1), SLICE_EMPTY);
    check_malformed(SUM, BYTES(1), BYTES(0x80));
    check_malformed(SUM, BYTES(1), BYTES(1, 1));
    check_merge_owned("beam:metrics:sum_double:v1", doubles(false, (double[]){1.5}, 1),
                      doubles(false, (double[]){-4}, 1), doubles(false, (double[]){-2.5}, 1));
    check_malformed("beam:metrics:sum_double:v1", BYTES(0, 0, 0, 0, 0, 0, 0, 0), BYTES(1, 2, 3));
    slice_unref(&minus_two);
    slice_unref(&minus_one);
}
END_TEST

START_TEST(empty_distribution_does_not_disturb_the_extremes)
{
    const char *type = "beam:metrics:distribution_int64:v1";
    struct metric_distribution distribution;

    check_merge(type, BYTES(2, 10, 3, 7), BYTES(1, 1, 1, 1), BYTES(3, 11, 1, 7));
    check_merge(type, BYTES(2, 10, 3, 7), BYTES(0, 0, 0, 0), BYTES(2, 10, 3, 7));
    check_merge(type, BYTES(0, 0, 0, 0), BYTES(2, 10, 3, 7), BYTES(2, 10, 3, 7));
    check_malformed(type, BYTES(2, 10, 3, 7), BYTES(2, 10, 3));
    ck_assert(metric_decode_distribution(BYTES(2, 10, 3, 7), &distribution));
    ck_assert_int_eq(distribution.max, 7);
}
END_TEST

START_TEST(double_distribution_merges)
{
    struct buf a = {0}, b = {0}, expected = {0};
    struct slice values;

    buf_add_u8(&a, 1);
    buf_add_u8(&b, 2);
    buf_add_u8(&expected, 3);
    values = doubles(false, (double[]){2, 2, 2}, 3);
    buf_add(&a, values.data, values.size);
    slice_unref(&values);
    values = doubles(false, (double[]){4, 1, 3}, 3);
    buf_add(&b, values.data, values.size);
    slice_unref(&values);
    values = doubles(false, (double[]){6, 1, 3}, 3);
    buf_add(&expected, values.data, values.size);
    slice_unref(&values);
    check_merge_owned("beam:metrics:distribution_double:v1", buf_finish(&a), buf_finish(&b), buf_finish(&expected));
}
END_TEST

START_TEST(latest_keeps_the_greater_time)
{
    const char *type = "beam:metrics:latest_int64:v1";

    check_merge(type, BYTES(9, 1), BYTES(5, 2), BYTES(9, 1));
    check_merge(type, BYTES(5, 2), BYTES(9, 1), BYTES(9, 1));
    check_merge(type, BYTES(5, 2), BYTES(5, 3), BYTES(5, 3));
    check_malformed(type, BYTES(5, 2), BYTES(5));
    check_merge("beam:metrics:latest_double:v1", BYTES(9, 1, 2, 3, 4, 5, 6, 7, 8), BYTES(8, 0, 0, 0, 0, 0, 0, 0, 0),
                BYTES(9, 1, 2, 3, 4, 5, 6, 7, 8));
}
END_TEST

START_TEST(extremes_merge_and_are_cut_to_the_longer_list)
{
    check_merge("beam:metrics:top_n_int64:v1", BYTES(0, 0, 0, 3, 9, 5, 1), BYTES(0, 0, 0, 2, 7, 6),
                BYTES(0, 0, 0, 3, 9, 7, 6));
    check_merge("beam:metrics:bottom_n_int64:v1", BYTES(0, 0, 0, 2, 5, 9), BYTES(0, 0, 0, 2, 6, 7),
                BYTES(0, 0, 0, 2, 5, 6));
    check_merge_owned("beam:metrics:top_n_double:v1", doubles(true, (double[]){2, 1}, 2),
                      doubles(true, (double[]){1.5}, 1), doubles(true, (double[]){2, 1.5}, 2));
    check_merge("beam:metrics:bottom_n_double:v1", BYTES(0, 0, 0, 0), BYTES(0, 0, 0, 0), BYTES(0, 0, 0, 0));
    check_malformed("beam:metrics:top_n_int64:v1", BYTES(0, 0, 0, 0), BYTES(0, 0, 0, 2, 1));
    check_malformed("beam:metrics:top_n_int64:v1", BYTES(0, 0, 0, 0), BYTES(0x7f, 0xff, 0xff, 0xff, 1));
    check_malformed("beam:metrics:top_n_int64:v1", BYTES(0, 0, 0, 0), BYTES(0x80, 0, 0, 0));
}
END_TEST

START_TEST(progress_adds_up_work)
{
    struct slice two = doubles(true, (double[]){1, 2.5}, 2);
    double sum;

    ck_assert(metric_decode_progress(two, &sum) && sum == 3.5);
    ck_assert(!metric_decode_progress(BYTES(0, 0, 0, 1), &sum));
    check_merge_owned("beam:metrics:progress:v1", two, doubles(true, (double[]){4}, 1),
                      doubles(true, (double[]){7.5}, 1));
}
END_TEST

START_TEST(string_sets_unite)
{
    const char *type = "beam:metrics:set_string:v1";

    check_merge(type, BYTES(0, 0, 0, 2, 1, 'a', 2, 'b', 'c'), BYTES(0, 0, 0, 2, 1, 'd', 1, 'a'),
                BYTES(0, 0, 0, 3, 1, 'a', 2, 'b', 'c', 1, 'd'));
    /* the form of unknown length */
    check_merge(type, BYTES(0xff, 0xff, 0xff, 0xff, 1, 1, 'a', 1, 1, 'b', 0), BYTES(0, 0, 0, 1, 0),
                BYTES(0, 0, 0, 3, 1, 'a', 1, 'b', 0));
    check_malformed(type, BYTES(0, 0, 0, 0), BYTES(0, 0, 0, 1, 5, 'a'));
    check_malformed(type, BYTES(0, 0, 0, 0), BYTES(0xff, 0xff, 0xff, 0xff, 1, 1, 'a'));
}
END_TEST

/* A field of length-delimited bytes. */
static void add_field(struct buf *buf, unsigned field, const void *bytes, size_t size) {
    buf_add_u8(buf, (uint8_t)(field << 3 | 2));
    buf_add_prefixed(buf, bytes, size);
}

static struct slice singleton(const char *first, const char *second) {
    struct buf buf = {0};

    add_field(&buf, 3, first, strlen(first));
    add_field(&buf, 3, second, strlen(second));
    return buf_finish(&buf);
}

START_TEST(bounded_tries_unite_paths)
{
    static const uint8_t expected[] = {0x08, 100, 0x12, 22,                      /* bound, root */
                                       0x12, 20,  0x0a, 1,  'a', 0x12, 15,       /* a */
                                       0x12, 5,   0x0a, 1,  'b', 0x12, 0,        /* a/b */
                                       0x12, 6,   0x0a, 2,  'c', 'c',  0x12, 0}; /* a/cc */

    check_merge_owned("beam:metrics:bounded_trie:v1", singleton("a", "b"), singleton("a", "cc"),
                      slice_of_static(expected, sizeof(expected)));
    check_merge("beam:metrics:bounded_trie:v1", BYTES(0x1a, 1, 'a'), SLICE_EMPTY, BYTES(0x1a, 1, 'a'));
}
END_TEST

START_TEST(bounded_tries_are_trimmed_to_the_least_bound)
{
    static const uint8_t one[] = {0x08, 2, 0x1a, 1, 'a', 0x1a, 1, 'x'};
    static const uint8_t two[] = {0x1a, 1, 'a', 0x1a, 1, 'y'};
    static const uint8_t three[] = {0x1a, 1, 'b'};
    /* root { a { truncated }, b } */
    static const uint8_t expected[] = {0x08, 2,    0x12, 16,   0x12, 7,    0x0a, 1,   'a',  0x12,
                                       2,    0x08, 1,    0x12, 5,    0x0a, 1,    'b', 0x12, 0};
    struct slice merged;

    ck_assert_int_eq(metric_merge("beam:metrics:bounded_trie:v1", slice_of_static(one, sizeof(one)),
                                  slice_of_static(two, sizeof(two)), &merged),
                     0);
    check_merge("beam:metrics:bounded_trie:v1", merged, slice_of_static(three, sizeof(three)),
                slice_of_static(expected, sizeof(expected)));
    slice_unref(&merged);
}
END_TEST

START_TEST(hostile_tries_are_refused)
{
    struct buf nested = {0};
    struct slice bomb = SLICE_EMPTY, path = singleton("a", "b");

    for (int i = 0; i < 5000; i++) {
        add_field(&nested, 2, bomb.data, bomb.size);
        slice_unref(&bomb);
        bomb = buf_finish(&nested);
        add_field(&nested, 2, bomb.data, bomb.size);
        slice_unref(&bomb);
        bomb = buf_finish(&nested);
    }
    check_malformed("beam:metrics:bounded_trie:v1", path, bomb);
    check_malformed("beam:metrics:bounded_trie:v1", path, BYTES(0x12, 5, 1));
    slice_unref(&bomb);
    slice_unref(&path);
}
END_TEST

START_TEST(histograms_add_equal_buckets)
{
    const char *type = "beam:metrics:histogram_int64:v1";

    check_merge(type, BYTES(8, 3, 0x12, 2, 8, 9, 0x1a, 2, 1, 2), BYTES(8, 4, 0x12, 2, 8, 9, 0x18, 4, 0x18, 0, 0x18, 1),
                BYTES(8, 7, 0x12, 2, 8, 9, 0x1a, 3, 5, 2, 1));
    check_merge(type, BYTES(0x12, 2, 8, 9, 0x1a, 1, 1), BYTES(0x12, 2, 8, 8, 0x1a, 1, 4),
                BYTES(0x12, 2, 8, 8, 0x1a, 1, 4));
    check_malformed(type, BYTES(8, 3), BYTES(0x1a, 3, 1));
}
END_TEST

START_TEST(unknown_types_keep_the_newer)
{ check_merge("my:type", BYTES(1), BYTES(9), BYTES(9)); }
END_TEST

START_TEST(every_truncation_of_every_type_is_harmless)
{
    static const char *const types[] = {
        SUM,
        "beam:metrics:sum_double:v1",
        "beam:metrics:distribution_int64:v1",
        "beam:metrics:distribution_double:v1",
        "beam:metrics:latest_int64:v1",
        "beam:metrics:latest_double:v1",
        "beam:metrics:top_n_int64:v1",
        "beam:metrics:top_n_double:v1",
        "beam:metrics:bottom_n_int64:v1",
        "beam:metrics:bottom_n_double:v1",
        "beam:metrics:progress:v1",
        "beam:metrics:set_string:v1",
        "beam:metrics:bounded_trie:v1",
        "beam:metrics:histogram_int64:v1",
    };
    uint8_t bytes[48];

    srand(2);
    for (int round = 0; round < 3000; round++) {
        for (size_t i = 0; i < sizeof(bytes); i++)
            bytes[i] = (uint8_t)(rand() % 3 ? rand() % 20 : rand());
        for (size_t i = 0; i < ARRAY_COUNT(types); i++) {
            struct slice a = slice_copy(bytes, (size_t)rand() % 25, NULL);
            struct slice b = slice_copy(bytes + 24, (size_t)rand() % 25, NULL), merged;

            metric_merge(types[i], a, b, &merged);
            slice_unref(&merged);
            slice_unref(&a);
            slice_unref(&b);
        }
    }
}
END_TEST

START_TEST(table_merges_by_identity_and_drops_nonsense)
{
    struct metric_table table = {0};
    struct slice one = metric_identity("urn", SUM, NULL, 0), two = metric_identity("other", SUM, NULL, 0);

    metric_table_add(&table, &(struct metric){one, BYTES(0x80)});
    ck_assert_uint_eq(table.by_identity.count, 0);
    metric_table_add(&table, &(struct metric){one, BYTES(3)});
    metric_table_add(&table, &(struct metric){two, BYTES(4)});
    metric_table_add(&table, &(struct metric){one, BYTES(5)});
    metric_table_add(&table, &(struct metric){one, BYTES(0x80)});
    ck_assert_uint_eq(table.by_identity.count, 2);
    ck_assert(slice_equal(*(struct slice *)map_get(&table.by_identity, one.data, one.size), BYTES(8)));
    ck_assert(slice_equal(*(struct slice *)map_get(&table.by_identity, two.data, two.size), BYTES(4)));
    metric_table_clear(&table);
    slice_unref(&one);
    slice_unref(&two);
}
END_TEST

static void check_since(const char *type, struct slice older, struct slice newer, struct slice expected) {
    struct slice since;

    ck_assert_int_eq(metric_since(type, older, newer, &since), expected.size != 0);
    ck_assert(slice_equal(since, expected));
    slice_unref(&since);
}

START_TEST(what_is_new_since_a_total_is_the_difference_of_what_adds_up)
{
    check_since(SUM, BYTES(3), BYTES(10), BYTES(7));
    check_since(SUM, BYTES(10), BYTES(10), SLICE_EMPTY);
    check_since(SUM, BYTES(0x80), BYTES(10), SLICE_EMPTY);
    check_since("beam:metrics:distribution_int64:v1", BYTES(2, 10, 4, 6), BYTES(5, 50, 1, 20), BYTES(3, 40, 1, 20));
    check_since("beam:metrics:distribution_int64:v1", BYTES(2, 10, 4, 6), BYTES(2, 10, 4, 6), SLICE_EMPTY);
    check_since("beam:metrics:latest_int64:v1", BYTES(1, 5), BYTES(2, 4), BYTES(2, 4));
    check_since("beam:metrics:latest_int64:v1", BYTES(1, 5), BYTES(1, 5), SLICE_EMPTY);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("metric");
    TCase *tcase = tcase_create("metric");
    SRunner *runner;
    int failed;

    tcase_add_test(tcase, identity_does_not_depend_on_label_order);
    tcase_add_test(tcase, sums_add_and_may_be_negative);
    tcase_add_test(tcase, empty_distribution_does_not_disturb_the_extremes);
    tcase_add_test(tcase, double_distribution_merges);
    tcase_add_test(tcase, latest_keeps_the_greater_time);
    tcase_add_test(tcase, extremes_merge_and_are_cut_to_the_longer_list);
    tcase_add_test(tcase, progress_adds_up_work);
    tcase_add_test(tcase, string_sets_unite);
    tcase_add_test(tcase, bounded_tries_unite_paths);
    tcase_add_test(tcase, bounded_tries_are_trimmed_to_the_least_bound);
    tcase_add_test(tcase, hostile_tries_are_refused);
    tcase_add_test(tcase, histograms_add_equal_buckets);
    tcase_add_test(tcase, unknown_types_keep_the_newer);
    tcase_add_test(tcase, every_truncation_of_every_type_is_harmless);
    tcase_add_test(tcase, what_is_new_since_a_total_is_the_difference_of_what_adds_up);
    tcase_add_test(tcase, table_merges_by_identity_and_drops_nonsense);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
