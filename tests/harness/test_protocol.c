/* Harnesses that break the protocol, or stretch it. */
#include <string.h>

#include "fixture.h"
#include "suites.h"

START_TEST(an_element_across_two_messages_is_one_element)
{ expect_function_is_harmless("split_element"); }
END_TEST

START_TEST(an_end_mark_said_twice_does_no_harm)
{ expect_function_is_harmless("duplicate_end"); }
END_TEST

START_TEST(a_response_said_twice_does_no_harm)
{ expect_function_is_harmless("duplicate_response"); }
END_TEST

START_TEST(a_control_stream_that_ends_in_the_middle_is_a_lost_worker)
{ expect_function_fails("half_close", "Bad", "worker", NULL); }
END_TEST

START_TEST(nonsense_on_control_fails_the_job_and_names_the_stream)
{ expect_function_fails("nonsense_control", "Bad", "Control", NULL); }
END_TEST

START_TEST(nonsense_on_data_fails_the_job_and_names_the_stream)
{ expect_function_fails("nonsense_data", "Bad", "Data", NULL); }
END_TEST

/* Both wait for the same time-out, so they run at once. */
START_TEST(output_that_never_ends_fails_the_job_and_says_so)
{
    static const char *const functions[] = {"response_without_data", "data_without_end"};
    struct pipeline pipelines[2];
    struct job jobs[2];

    for (int i = 0; i < 2; i++) {
        begin_pipeline(&pipelines[i]);
        pipeline_add_fn(&pipelines[i], "Bad", functions[i], "Start", "kv");
        pipeline_add_grouping(&pipelines[i], "Group", "Bad");
        pipeline_add_fn(&pipelines[i], "Rest", "drop", "Group", NULL);
        job_start(&test_client, &pipelines[i], functions[i], &jobs[i]);
    }
    for (int i = 0; i < 2; i++) {
        job_wait(&jobs[i]);
        ck_assert_msg(jobs[i].end == JOB__JOB_STATE__ENUM__FAILED, "%s: state %d", functions[i], (int)jobs[i].end);
        ck_assert_msg(jobs[i].error && strstr(jobs[i].error, "Bad") && strstr(jobs[i].error, "never ended"),
                      "%s: \"%s\"", functions[i], jobs[i].error ? jobs[i].error : "no error");
        job_clear(&jobs[i]);
        pipeline_clear(&pipelines[i]);
    }
    run_good_pipeline();
}
END_TEST

void add_protocol_tests(Suite *suite) {
    TCase *tcase = tcase_create("protocol");

    tcase_add_checked_fixture(tcase, fixture_setup, fixture_teardown);
    tcase_set_timeout(tcase, 150);
    tcase_add_test(tcase, an_element_across_two_messages_is_one_element);
    tcase_add_test(tcase, an_end_mark_said_twice_does_no_harm);
    tcase_add_test(tcase, a_response_said_twice_does_no_harm);
    tcase_add_test(tcase, a_control_stream_that_ends_in_the_middle_is_a_lost_worker);
    tcase_add_test(tcase, nonsense_on_control_fails_the_job_and_names_the_stream);
    tcase_add_test(tcase, nonsense_on_data_fails_the_job_and_names_the_stream);
    tcase_add_test(tcase, output_that_never_ends_fails_the_job_and_says_so);
    suite_add_tcase(suite, tcase);
}
