/* Bundles that are split while they run. The first element of the first bundle is not done before the bundle was split, so that a job
 * which ends has been split; nothing is timed. */
#include <stdio.h>

#include "fixture.h"
#include "suites.h"

enum { ELEMENTS = 100 };

static void make_pipeline(struct pipeline *p, const char *function) {
    begin_pipeline(p);
    pipeline_add_fn(p, "Many", "generate:100:100:8", "Start", "kv");
    pipeline_add_transform(p, "Shuffle", "beam:transform:reshuffle:v1", "Many", "kv");
    pipeline_add_fn(p, "Hold", function, "Shuffle", "kv");
    pipeline_add_fn(p, "Log", "log_value:3", "Hold", "kv");
}

static void expect_each_element_once(const char *function) {
    struct pipeline p;
    struct job job;

    make_pipeline(&p, function);
    job_run(&test_client, &p, "split", &job);
    ck_assert_msg(job.end == JOB__JOB_STATE__ENUM__DONE, "the job ended in state %d: %s", (int)job.end,
                  job.error ? job.error : "no error");
    for (int i = 0; i < ELEMENTS; i++) {
        char text[32];

        snprintf(text, sizeof(text), ".k%d.", i);
        ck_assert_msg(job_count_lines(&job, text) == 1, "\"%s\" was logged %zu times", text,
                      job_count_lines(&job, text));
    }
    job_clear(&job);
    pipeline_clear(&p);
}

START_TEST(what_a_bundle_gives_back_runs_on_another_worker)
{ expect_each_element_once("until_split:now"); }
END_TEST

START_TEST(a_split_that_is_answered_after_the_response_counts)
{ expect_each_element_once("until_split:late"); }
END_TEST

START_TEST(a_bundle_does_not_commit_without_the_answer_to_its_split)
{
    struct pipeline p;

    make_pipeline(&p, "until_split:never");
    expect_failed(&p, "Hold", "never answered the split", NULL);
}
END_TEST

START_TEST(a_split_at_elements_that_are_not_there_fails_the_bundle)
{
    struct pipeline p;

    make_pipeline(&p, "until_split:nonsense");
    expect_failed(&p, "Hold", "outside of what it was given", NULL);
}
END_TEST

void add_split_tests(Suite *suite) {
    TCase *tcase = tcase_create("splits");

    tcase_add_checked_fixture(tcase, fixture_setup, fixture_teardown);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, what_a_bundle_gives_back_runs_on_another_worker);
    tcase_add_test(tcase, a_split_that_is_answered_after_the_response_counts);
    tcase_add_test(tcase, a_bundle_does_not_commit_without_the_answer_to_its_split);
    tcase_add_test(tcase, a_split_at_elements_that_are_not_there_fails_the_bundle);
    suite_add_tcase(suite, tcase);
}
