/* jobserver/ask_pace: when a harness is asked again. */
#include "jobserver/ask_pace.h"

#include <check.h>
#include <stdlib.h>

START_TEST(nothing_is_asked_before_the_first_interval_is_over)
{
    struct ask_pace pace;

    ask_pace_start(&pace, 100, 5000);
    ck_assert(!ask_pace_is_due(&pace, 5000));
    ck_assert(!ask_pace_is_due(&pace, 5099));
    ck_assert(ask_pace_is_due(&pace, 5100));
}
END_TEST

START_TEST(one_question_at_a_time)
{
    struct ask_pace pace;

    ask_pace_start(&pace, 100, 0);
    ask_pace_asked(&pace, 100);
    ck_assert(!ask_pace_is_due(&pace, 1000000));
    ask_pace_answered(&pace, 101);
    ck_assert(!ask_pace_is_due(&pace, 200));
    ck_assert(ask_pace_is_due(&pace, 201));
}
END_TEST

START_TEST(a_slow_answer_is_followed_by_a_long_pause)
{
    struct ask_pace pace;

    ask_pace_start(&pace, 100, 0);
    ask_pace_asked(&pace, 100);
    ask_pace_answered(&pace, 150);
    ck_assert(!ask_pace_is_due(&pace, 1149));
    ck_assert(ask_pace_is_due(&pace, 1150));
}
END_TEST

START_TEST(an_answer_to_no_question_changes_nothing)
{
    struct ask_pace pace;

    ask_pace_start(&pace, 100, 0);
    ask_pace_answered(&pace, 90);
    ck_assert(ask_pace_is_due(&pace, 100));
}
END_TEST

int main(void) {
    Suite *suite = suite_create("ask_pace");
    TCase *tcase = tcase_create("ask_pace");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_test(tcase, nothing_is_asked_before_the_first_interval_is_over);
    tcase_add_test(tcase, one_question_at_a_time);
    tcase_add_test(tcase, a_slow_answer_is_followed_by_a_long_pause);
    tcase_add_test(tcase, an_answer_to_no_question_changes_nothing);
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
