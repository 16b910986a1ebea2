#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "model/urn.h"

static const struct {
    enum urn urn;
    const char *string;
} protocol[] =
    {
#define ROW(constant, string, origin) {constant, string},
        URN_PROTOCOL_LIST(ROW)},
  sdk[] = {URN_SDK_LIST(ROW)
#undef ROW
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static enum urn lookup(const char *s) {
    return urn_lookup(s, strlen(s));
}

START_TEST(every_row_looks_up_to_itself)
{
    for (size_t i = 0; i < COUNT(protocol); i++) {
        ck_assert_int_eq(lookup(protocol[i].string), protocol[i].urn);
        ck_assert_str_eq(urn_string(protocol[i].urn), protocol[i].string);
    }
    for (size_t i = 0; i < COUNT(sdk); i++) {
        ck_assert_int_eq(lookup(sdk[i].string), sdk[i].urn);
        ck_assert_str_eq(urn_string(sdk[i].urn), sdk[i].string);
    }
    ck_assert_uint_eq(COUNT(protocol) + COUNT(sdk) + 1, URN_COUNT);
}
END_TEST

START_TEST(both_lists_are_sorted_and_without_duplicates)
{
    for (size_t i = 1; i < COUNT(protocol); i++)
        ck_assert_str_lt(protocol[i - 1].string, protocol[i].string);
    for (size_t i = 1; i < COUNT(sdk); i++)
        ck_assert_str_lt(sdk[i - 1].string, sdk[i].string);
    for (size_t i = 0; i < COUNT(sdk); i++)
        for (size_t j = 0; j < COUNT(protocol); j++)
            ck_assert_str_ne(sdk[i].string, protocol[j].string);
}
END_TEST

START_TEST(an_unknown_urn_is_unknown)
{
    ck_assert_int_eq(lookup("beam:transform:no_such_transform:v1"), URN_UNKNOWN);
    ck_assert_int_eq(lookup("a"), URN_UNKNOWN);
    ck_assert_int_eq(lookup("zzz"), URN_UNKNOWN);
    ck_assert_int_eq(lookup("BEAM:TRANSFORM:PARDO:V1"), URN_UNKNOWN);
}
END_TEST

START_TEST(the_empty_string_is_unknown)
{
    ck_assert_int_eq(lookup(""), URN_UNKNOWN);
    ck_assert_int_eq(urn_lookup(NULL, 0), URN_UNKNOWN);
    ck_assert_str_eq(urn_string(URN_UNKNOWN), "");
}
END_TEST

START_TEST(only_the_whole_string_counts)
{
    const char s[] = "beam:transform:pardo:v1\0tail";
    const size_t len = strlen(s);

    ck_assert_int_eq(urn_lookup(s, len), URN_TRANSFORM_PAR_DO);
    ck_assert_int_eq(urn_lookup(s, len - 1), URN_UNKNOWN);
    ck_assert_int_eq(urn_lookup(s, len + 1), URN_UNKNOWN);
    ck_assert_int_eq(lookup("beam:transform:pardo:v10"), URN_UNKNOWN);
    ck_assert_int_eq(lookup(" beam:transform:pardo:v1"), URN_UNKNOWN);
}
END_TEST

START_TEST(high_bytes_sort_after_ascii_and_are_unknown)
{
    ck_assert_int_eq(lookup("beam:transform:\xc3\xbc"), URN_UNKNOWN);
    ck_assert_int_eq(lookup("\xff"), URN_UNKNOWN);
}
END_TEST

START_TEST(metrics_have_their_types_and_nothing_else_has)
{
    ck_assert_int_eq(urn_metric_type(URN_METRIC_ELEMENT_COUNT), URN_METRIC_TYPE_SUM_INT64);
    ck_assert_int_eq(urn_metric_type(URN_METRIC_USER_DISTRIBUTION_INT64), URN_METRIC_TYPE_DISTRIBUTION_INT64);
    ck_assert_int_eq(urn_metric_type(URN_METRIC_WORK_REMAINING), URN_METRIC_TYPE_PROGRESS);
    ck_assert_int_eq(urn_metric_type(URN_TRANSFORM_PAR_DO), URN_UNKNOWN);
    ck_assert_int_eq(urn_metric_type(URN_UNKNOWN), URN_UNKNOWN);
    for (unsigned i = 0; i < URN_COUNT; i++) {
        const char *string = urn_string((enum urn)i);
        const int is_metric = strncmp(string, "beam:metric:", strlen("beam:metric:")) == 0;

        ck_assert_int_eq(urn_metric_type((enum urn)i) != URN_UNKNOWN, is_metric);
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("urn");
    TCase *tcase = tcase_create("urn");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tcase);
    tcase_add_test(tcase, every_row_looks_up_to_itself);
    tcase_add_test(tcase, both_lists_are_sorted_and_without_duplicates);
    tcase_add_test(tcase, an_unknown_urn_is_unknown);
    tcase_add_test(tcase, the_empty_string_is_unknown);
    tcase_add_test(tcase, only_the_whole_string_counts);
    tcase_add_test(tcase, high_bytes_sort_after_ascii_and_are_unknown);
    tcase_add_test(tcase, metrics_have_their_types_and_nothing_else_has);

    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
