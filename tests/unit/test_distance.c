#include <check.h>
#include <stdlib.h>

#include "base/distance.h"

START_TEST(each_slip_is_one)
{
    ck_assert_uint_eq(text_distance("show", "show", 3), 0);
    ck_assert_uint_eq(text_distance("show", "shwo", 3), 1); /* swapped */
    ck_assert_uint_eq(text_distance("show", "how", 3), 1);
    ck_assert_uint_eq(text_distance("show", "shhow", 3), 1);
    ck_assert_uint_eq(text_distance("show", "shaw", 3), 1);
    ck_assert_uint_eq(text_distance("", "abc", 5), 3);
    ck_assert_uint_eq(text_distance("abc", "", 5), 3);
    ck_assert_uint_eq(text_distance("kitten", "sitting", 5), 3);
    ck_assert_uint_eq(text_distance("kitten", "sitting", 1), 2);
}
END_TEST

START_TEST(words_are_near_in_proportion_to_their_length)
{
    ck_assert(text_is_near("workers.slots", "workers.slost"));
    ck_assert(text_is_near("jobs", "job"));
    ck_assert(!text_is_near("a", "b"));
    ck_assert(!text_is_near("logs", "jobs"));
    ck_assert(!text_is_near("workers.keep_warm", "workers.slots"));
}
END_TEST

int main(void) {
    Suite *suite = suite_create("distance");
    TCase *cases = tcase_create("distance");
    SRunner *runner;
    int failed;

    tcase_add_test(cases, each_slip_is_one);
    tcase_add_test(cases, words_are_near_in_proportion_to_their_length);
    suite_add_tcase(suite, cases);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
