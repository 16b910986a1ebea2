/* What SIGTERM makes of jobs: those that end in time, those that do not, and those that wait. Each test has a daemon of its own. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "fixture.h"
#include "gate.h"

#define ENOUGH "{drain: 100s, unfinished: requeue}"
#define TOO_SHORT "{drain: 100ms, unfinished: requeue}"

static void start_daemon(const char *shutdown) {
    CLEANUP(freep)
    char *yaml = xasprintf("http: {listen: \"\"}\n"
                           "worker_connect_timeout: 5s\n"
                           "workers: {per_environment: 1, stop_grace: 2s}\n"
                           "jobs: {max_runs: 2, max_running: 1}\n"
                           "shutdown: %s\n",
                           shutdown);

    gated_daemon_start(yaml);
}

static void end_and_launch(void) {
    ck_assert(daemon_end(&test_daemon));
    gated_daemon_launch_again();
}

/* A job that runs until the gate is opened, and is watched. */
static void start_gated(struct job *ret, bool is_unbounded) {
    struct pipeline p;
    char *id;

    begin_pipeline(&p);
    begin_gated(&p);
    if (is_unbounded)
        make_unbounded(&p);
    id = start_running(&p);
    job_watch(&test_client, id, ret);
    free(id);
}

/* One behind it, which waits for its turn. */
static void start_waiting(struct job *ret) {
    struct pipeline p;

    begin_pipeline(&p);
    add_good_pipeline(&p);
    job_start(&test_client, &p, "waits", ret);
    job_wait_for_line(ret, "waits for its turn");
    pipeline_clear(&p);
}

static void expect_end(struct job *job, Job__JobState__Enum end) {
    job_wait(job);
    ck_assert_msg(job->end == end, "the job ended in state %d: %s", (int)job->end,
                  job->error ? job->error : "no error");
    ck_assert_int_eq(job->end_code, STATUS_OK);
}

static void expect_good_end(struct job *job) {
    expect_end(job, JOB__JOB_STATE__ENUM__DONE);
    expect_good_job(job);
    job_clear(job);
}

/* The stream ends without an end of the job, and says so. */
static void expect_interrupted(struct job *job) {
    job_wait(job);
    ck_assert_int_eq(job->end, JOB__JOB_STATE__ENUM__STOPPED);
    ck_assert_int_eq(job->end_code, STATUS_UNAVAILABLE);
    ck_assert_msg(job->error && strstr(job->error, "is run when the server is back"), "%s", job->error);
    job_clear(job);
}

START_TEST(a_job_that_ends_in_time_is_done_and_nothing_new_is_taken)
{
    struct pipeline p;
    struct job job, late;

    start_daemon(ENOUGH);
    start_gated(&job, false);
    daemon_ask_to_end(&test_daemon);
    job_wait_for_line(&job, "may go on for 100000 ms");
    begin_pipeline(&p);
    add_good_pipeline(&p);
    job_start(&test_client, &p, "late", &late);
    ck_assert(late.is_refused);
    ck_assert_msg(strstr(late.error, "the server is shutting down"), "%s", late.error);
    job_clear(&late);
    pipeline_clear(&p);
    open_gate();
    expect_good_end(&job);
    ck_assert(daemon_await_end(&test_daemon));
    gated_daemon_launch_again();
    gated_daemon_stop();
}
END_TEST

START_TEST(a_batch_job_that_does_not_end_in_time_is_run_again_however_often)
{
    CLEANUP(freep) char *id = NULL;
    struct job job;

    start_daemon(TOO_SHORT);
    start_gated(&job, false);
    id = xstrdup(job.id);
    for (unsigned i = 0; i < 3; i++) { /* more than jobs.max_runs, which is about crashes */
        ck_assert(daemon_end(&test_daemon));
        expect_interrupted(&job);
        gated_daemon_launch_again();
        job_watch(&test_client, id, &job);
        job_wait_for_lines(&job, "while this job waited for its turn", i + 1);
    }
    open_gate();
    job_wait(&job);
    ck_assert_uint_eq(job_count_lines(&job, "run again from its start"), 3);
    expect_good_end(&job);
    gated_daemon_stop();
}
END_TEST

START_TEST(waiting_and_prepared_jobs_are_there_again)
{
    CLEANUP(freep) char *preparation = NULL, *first_id = NULL, *second_id = NULL;
    struct job first, second, third;
    struct pipeline p;

    start_daemon(TOO_SHORT);
    start_gated(&first, false);
    start_waiting(&second);
    first_id = xstrdup(first.id);
    second_id = xstrdup(second.id);
    begin_pipeline(&p);
    add_good_pipeline(&p);
    preparation = job_prepare(&test_client, &p, "later", NULL);
    pipeline_clear(&p);
    ck_assert(daemon_end(&test_daemon));
    expect_interrupted(&first);
    expect_interrupted(&second);
    gated_daemon_launch_again();
    job_watch(&test_client, first_id, &first);
    job_watch(&test_client, second_id, &second);
    job_run_prepared(&test_client, preparation, &third);
    open_gate();
    expect_good_end(&first);
    expect_good_end(&second);
    expect_good_end(&third);
    gated_daemon_stop();
}
END_TEST

START_TEST(a_waiting_job_can_be_cancelled_while_the_daemon_drains)
{
    CLEANUP(freep) char *id = NULL;
    struct job first, second;

    start_daemon(ENOUGH);
    start_gated(&first, false);
    start_waiting(&second);
    id = xstrdup(second.id);
    daemon_ask_to_end(&test_daemon);
    job_wait_for_line(&second, "keeps its place");
    job_cancel(&test_client, &second);
    expect_end(&second, JOB__JOB_STATE__ENUM__CANCELLED);
    job_clear(&second);
    open_gate();
    expect_end(&first, JOB__JOB_STATE__ENUM__DONE);
    job_clear(&first);
    ck_assert(daemon_await_end(&test_daemon));
    gated_daemon_launch_again();
    job_watch(&test_client, id, &second);
    expect_end(&second, JOB__JOB_STATE__ENUM__CANCELLED);
    job_clear(&second);
    gated_daemon_stop();
}
END_TEST

START_TEST(a_stream_is_drained)
{
    struct job job;

    start_daemon(ENOUGH);
    start_gated(&job, true);
    daemon_ask_to_end(&test_daemon);
    job_wait_for_state(&job, JOB__JOB_STATE__ENUM__DRAINING);
    open_gate();
    expect_end(&job, JOB__JOB_STATE__ENUM__DRAINED);
    job_clear(&job);
    ck_assert(daemon_await_end(&test_daemon));
    gated_daemon_launch_again();
    gated_daemon_stop();
}
END_TEST

START_TEST(a_stream_that_does_not_drain_in_time_is_cancelled)
{
    struct job job;

    start_daemon(TOO_SHORT);
    start_gated(&job, true);
    end_and_launch();
    expect_end(&job, JOB__JOB_STATE__ENUM__CANCELLED);
    ck_assert_msg(job.error && strstr(job.error, "has not drained in time (shutdown.drain)"), "%s", job.error);
    job_clear(&job);
    gated_daemon_stop();
}
END_TEST

START_TEST(a_job_whose_client_is_its_worker_is_cancelled)
{
    struct child pool;
    struct pipeline p;
    struct job job;
    char line[100], endpoint[120], *id;

    start_daemon(TOO_SHORT);
    ck_assert(child_start(&pool, (const char *[]){harness_binary(), "--pool_port", "0", NULL}, NULL));
    ck_assert(child_read_line(&pool, line, sizeof(line)));
    snprintf(endpoint, sizeof(endpoint), "127.0.0.1:%s", line);
    pipeline_init_external(&p, endpoint);
    pipeline_add_impulse(&p, "Start");
    begin_gated(&p);
    id = start_running(&p);
    job_watch(&test_client, id, &job);
    daemon_ask_to_end(&test_daemon);
    expect_end(&job, JOB__JOB_STATE__ENUM__CANCELLED);
    ck_assert_msg(job.error && strstr(job.error, "in a pool"), "%s", job.error);
    job_clear(&job);
    free(id);
    kill(pool.pid, SIGKILL);
    ck_assert_int_eq(waitpid(pool.pid, NULL, 0), pool.pid);
    ck_assert(daemon_await_end(&test_daemon));
    gated_daemon_launch_again();
    gated_daemon_stop();
}
END_TEST

START_TEST(a_second_signal_ends_at_once)
{
    CLEANUP(freep) char *id = NULL;
    struct job job;
    int status;

    start_daemon(ENOUGH);
    start_gated(&job, false);
    id = xstrdup(job.id);
    daemon_ask_to_end(&test_daemon);
    job_wait_for_line(&job, "may go on for");
    daemon_ask_to_end(&test_daemon);
    ck_assert_int_eq(waitpid(test_daemon.pid, &status, 0), test_daemon.pid);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == EXIT_FAILURE);
    while (wait(NULL) > 0) /* what it had started ends by itself */
        ;
    job_wait(&job);
    job_clear(&job);
    gated_daemon_launch_again();
    job_watch(&test_client, id, &job);
    job_wait_for_line(&job, "run 2 of at most 2");
    open_gate();
    expect_good_end(&job);
    gated_daemon_stop();
}
END_TEST

int main(void) {
    Suite *suite = suite_create("shutdown");
    TCase *tests = tcase_create("shutdown");
    SRunner *runner;
    int failed;

    tcase_set_timeout(tests, 60); /* less than a drain that is not cut short */
    tcase_add_test(tests, a_job_that_ends_in_time_is_done_and_nothing_new_is_taken);
    tcase_add_test(tests, a_batch_job_that_does_not_end_in_time_is_run_again_however_often);
    tcase_add_test(tests, waiting_and_prepared_jobs_are_there_again);
    tcase_add_test(tests, a_waiting_job_can_be_cancelled_while_the_daemon_drains);
    tcase_add_test(tests, a_stream_is_drained);
    tcase_add_test(tests, a_stream_that_does_not_drain_in_time_is_cancelled);
    tcase_add_test(tests, a_job_whose_client_is_its_worker_is_cancelled);
    tcase_add_test(tests, a_second_signal_ends_at_once);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
