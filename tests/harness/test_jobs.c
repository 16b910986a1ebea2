/* Good jobs: one after the other, two at once, side inputs, log lines, an external pool. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "fixture.h"
#include "suites.h"

START_TEST(jobs_run_one_after_the_other)
{
    run_good_pipeline();
    run_good_pipeline();
}
END_TEST

START_TEST(two_jobs_run_at_once)
{
    struct pipeline pipelines[2];
    struct job jobs[2];

    for (int i = 0; i < 2; i++) {
        begin_pipeline(&pipelines[i]);
        add_good_pipeline(&pipelines[i]);
        job_start(&test_client, &pipelines[i], "twin", &jobs[i]);
    }
    for (int i = 0; i < 2; i++) {
        job_wait(&jobs[i]);
        expect_good_job(&jobs[i]);
    }
    ck_assert_str_ne(jobs[0].id, jobs[1].id);
    for (int i = 0; i < 2; i++) {
        job_clear(&jobs[i]);
        pipeline_clear(&pipelines[i]);
    }
}
END_TEST

static void run_and_expect_line(struct pipeline *p, const char *line, size_t count) {
    struct job job;

    job_run(&test_client, p, "lines", &job);
    ck_assert_msg(job.end == JOB__JOB_STATE__ENUM__DONE, "state %d: %s", (int)job.end,
                  job.error ? job.error : "no error");
    ck_assert_msg(job_count_lines(&job, line) == count, "\"%s\" was logged %zu times, not %zu", line,
                  job_count_lines(&job, line), count);
    job_clear(&job);
    pipeline_clear(p);
}

START_TEST(a_side_input_is_complete_and_read_over_pages)
{
    struct pipeline p;
    Beam__PTransform *sum;

    begin_pipeline(&p);
    pipeline_add_fn(&p, "Words", "generate:50000:1:100", "Start", "kv");
    pipeline_add_fn(&p, "Values", "key_by:7", "Start", "kv"); /* something beside it */
    pipeline_add_fn(&p, "Plain", "identity", "Words", "kv");
    pipeline_add_fn(&p, "One", "big:1000", "Plain", "bytes");
    sum = pipeline_add_fn(&p, "Sum", "sum_side_input", "Start", "bytes");
    pipeline_add_side_input(&p, sum, "sum_side_input", "One");
    pipeline_add_fn(&p, "Log", "log_value:3", "Sum", "bytes");
    run_and_expect_line(&p, "50000 elements, 50000000 bytes", 1);
}
END_TEST

START_TEST(flatten_and_reshuffle_keep_every_element)
{
    struct pipeline p;
    Beam__PTransform *flatten;

    begin_pipeline(&p);
    pipeline_add_fn(&p, "A", "generate:100:1:10", "Start", "kv");
    pipeline_add_fn(&p, "B", "generate:200:1:10", "Start", "kv");
    flatten = pipeline_add_transform(&p, "Both", "beam:transform:flatten:v1", "A", "kv");
    pipeline_add_input(&p, flatten, "i1", "B");
    pipeline_add_transform(&p, "Shuffle", "beam:transform:reshuffle:v1", "Both", "kv");
    pipeline_add_grouping(&p, "Group", "Shuffle");
    pipeline_add_fn(&p, "Count", "count_iterable", "Group", "kv");
    pipeline_add_fn(&p, "Log", "log_value:3", "Count", "kv");
    run_and_expect_line(&p, ".k0.300", 1);
}
END_TEST

START_TEST(log_lines_reach_the_message_stream_but_no_error_of_a_harness_is_the_last_word)
{
    struct pipeline p;
    struct job job;

    begin_pipeline(&p);
    pipeline_add_fn(&p, "Say", "log:6:this is bad", "Start", "bytes");
    pipeline_add_fn(&p, "Fail", "fail:RootCause", "Say", "bytes");
    job_run(&test_client, &p, "last word", &job);
    ck_assert_int_eq(job.end, JOB__JOB_STATE__ENUM__FAILED);
    ck_assert_msg(job_has_line(&job, "this is bad"), "the harness's line is missing");
    ck_assert_msg(strstr(job.error, "RootCause") != NULL, "the last ERROR is \"%s\"", job.error);
    job_clear(&job);
    pipeline_clear(&p);
}
END_TEST

/* As the harness of a Go program over LOOPBACK does, whose client logs the messages of its job. */
START_TEST(a_message_that_a_client_logged_in_its_harness_is_not_told_again)
{
    struct pipeline p;
    struct job job;

    begin_pipeline(&p);
    pipeline_add_fn(&p, "Echo", "log:3:(time=2026-11-21T12:17:01.930Z)(id=1103)an echo", "Start", "bytes");
    pipeline_add_fn(&p, "Say", "log:3:(time=flies) news", "Echo", "bytes");
    job_run(&test_client, &p, "echo", &job);
    ck_assert_int_eq(job.end, JOB__JOB_STATE__ENUM__DONE);
    ck_assert(job_has_line(&job, "news"));
    ck_assert_msg(!job_has_line(&job, "an echo"), "the message is told again");
    job_clear(&job);
    pipeline_clear(&p);
}
END_TEST

START_TEST(an_external_pool_runs_a_job)
{
    struct child pool;
    struct pipeline p;
    struct job job;
    char line[64], endpoint[80];

    ck_assert(child_start(&pool, (const char *[]){harness_binary(), "--pool_port", "0", NULL}, NULL));
    ck_assert(child_read_line(&pool, line, sizeof(line)));
    snprintf(endpoint, sizeof(endpoint), "127.0.0.1:%s", line);
    pipeline_init_external(&p, endpoint);
    pipeline_add_impulse(&p, "Start");
    add_good_pipeline(&p);
    job_run(&test_client, &p, "external", &job);
    expect_good_job(&job);
    job_clear(&job);
    pipeline_clear(&p);
    kill(pool.pid, SIGKILL);
    waitpid(pool.pid, NULL, 0);
}
END_TEST

void add_job_tests(Suite *suite) {
    TCase *tcase = tcase_create("jobs");

    tcase_add_checked_fixture(tcase, fixture_setup, fixture_teardown);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, jobs_run_one_after_the_other);
    tcase_add_test(tcase, two_jobs_run_at_once);
    tcase_add_test(tcase, a_side_input_is_complete_and_read_over_pages);
    tcase_add_test(tcase, flatten_and_reshuffle_keep_every_element);
    tcase_add_test(tcase, log_lines_reach_the_message_stream_but_no_error_of_a_harness_is_the_last_word);
    tcase_add_test(tcase, a_message_that_a_client_logged_in_its_harness_is_not_told_again);
    tcase_add_test(tcase, an_external_pool_runs_a_job);
    suite_add_tcase(suite, tcase);
}
