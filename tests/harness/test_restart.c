/* What a daemon that was killed, or ended, finds when it is back; each test has a daemon of its own. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fixture.h"
#include "gate.h"
#include "trestle_inspection.pb-c.h"
#include "wire/pb.h"

static const char configuration[] = "http: {listen: \"\"}\n"
                                    "worker_connect_timeout: 3s\n"
                                    "workers: {per_environment: 1, stop_grace: 2s}\n"
                                    "retry: {worker_lost: 2, user_exception: 1}\n"
                                    "jobs: {max_runs: 2}\n";

static void setup(void) {
    gated_daemon_start(configuration);
}

static void kill_and_launch(void) {
    ck_assert(daemon_crash(&test_daemon));
    gated_daemon_launch_again();
}

/* The answer to a call about a job, as bytes. */
static struct slice ask_service(const char *service, const char *method, const char *id) {
    CLEANUP(freep) char *path = xasprintf("/%s/%s", service, method);
    Job__GetJobStateRequest request = JOB__GET_JOB_STATE_REQUEST__INIT;
    CLEANUP_STATUS struct status st = {0};
    struct slice response = SLICE_EMPTY;

    request.job_id = (char *)id;
    ck_assert_msg(rpc_channel_call_wait(test_client.channel, path, NULL, 0, 30000, true, pb_pack(&request.base, NULL),
                                        &response, &st) == 0,
                  "%s: %s", method, status_message(&st));
    return response;
}

static struct slice ask(const char *method, const char *id) {
    return ask_service("org.apache.beam.model.job_management.v1.JobService", method, id);
}

/* Twice, since the second answer is made of what the first one left. */
static void expect_environment_shown(const char *id) {
    for (unsigned i = 0; i < 2; i++) {
        CLEANUP_SLICE struct slice bytes = ask_service("trestle.v1.Inspection", "GetJob", id);
        Trestle__V1__JobDetail *detail;
        struct arena arena = {0};

        ck_assert_int_eq(
            PB_UNPACK(Trestle__V1__JobDetail, trestle__v1__job_detail, bytes, PB_STRINGS_STRICT, &arena, &detail, NULL),
            0);
        ck_assert_uint_eq(detail->n_environments, 1);
        ck_assert_str_eq(detail->environments[0]->urn, "beam:env:process:v1");
        ck_assert_str_eq(detail->environments[0]->way, "process");
        arena_clear(&arena);
    }
}

/* Takes the id over. */
static void expect_failed_with(char *id, const char *part) {
    struct job job;

    job_watch(&test_client, id, &job);
    job_wait(&job);
    ck_assert_int_eq(job.end, JOB__JOB_STATE__ENUM__FAILED);
    ck_assert_msg(job.error && strstr(job.error, part), "\"%s\" is not in \"%s\"", part, job.error ? job.error : "");
    job_clear(&job);
    free(id);
}

START_TEST(a_finished_job_answers_as_before)
{
    static const char *const methods[] = {"GetState", "GetPipeline", "GetJobMetrics", "GetJobs"};
    struct slice before[ARRAY_COUNT(methods)];
    struct pipeline p;
    struct job job, again;

    begin_pipeline(&p);
    add_good_pipeline(&p);
    job_run(&test_client, &p, "good", &job);
    expect_good_job(&job);
    for (size_t i = 0; i < ARRAY_COUNT(methods); i++)
        before[i] = ask(methods[i], job.id);
    ck_assert_uint_gt(before[2].size, 100);
    kill_and_launch();
    for (size_t i = 0; i < ARRAY_COUNT(methods); i++) {
        struct slice after = ask(methods[i], job.id);

        ck_assert_msg(slice_equal(after, before[i]), "%s answers something else", methods[i]);
        slice_unref(&after);
        slice_unref(&before[i]);
    }
    expect_environment_shown(job.id);
    job_watch(&test_client, job.id, &again);
    job_wait(&again);
    ck_assert_int_eq(again.end, job.end);
    ck_assert_uint_eq(again.lines.count, job.lines.count);
    for (size_t i = 0; i < job.lines.count; i++)
        ck_assert_str_eq(again.lines.items[i].text, job.lines.items[i].text);
    job_clear(&again);
    job_clear(&job);
    pipeline_clear(&p);
}
END_TEST

START_TEST(a_prepared_job_can_still_be_run)
{
    CLEANUP(freep) char *preparation = NULL;
    struct pipeline p;
    struct job job;

    begin_pipeline(&p);
    add_good_pipeline(&p);
    preparation = job_prepare(&test_client, &p, "later", NULL);
    ck_assert_ptr_nonnull(preparation);
    kill_and_launch();
    job_run_prepared(&test_client, preparation, &job);
    job_wait(&job);
    expect_good_job(&job);
    job_clear(&job);
    pipeline_clear(&p);
}
END_TEST

START_TEST(a_running_batch_job_is_run_again)
{
    struct pipeline p;
    struct job job;
    char *id;

    begin_pipeline(&p);
    begin_gated(&p);
    id = start_running(&p);
    kill_and_launch();
    job_watch(&test_client, id, &job);
    open_gate();
    job_wait(&job);
    expect_good_job(&job);
    ck_assert(job_has_line(&job, "run 2 of at most 2"));
    job_clear(&job);
    free(id);
}
END_TEST

START_TEST(a_job_that_was_run_often_enough_fails)
{
    struct pipeline p;
    struct job job;
    char *id;

    begin_pipeline(&p);
    begin_gated(&p);
    id = start_running(&p);
    kill_and_launch();
    job_watch(&test_client, id, &job);
    job_wait_for_line(&job, "run 2 of at most 2");
    job_clear(&job);
    kill_and_launch();
    expect_failed_with(id, "jobs.max_runs: 2");
    run_good_pipeline();
}
END_TEST

START_TEST(a_job_whose_pool_is_gone_fails_and_names_it)
{
    struct child pool;
    struct pipeline p;
    char line[100], endpoint[120], *id;

    ck_assert(child_start(&pool, (const char *[]){harness_binary(), "--pool_port", "0", NULL}, NULL));
    ck_assert(child_read_line(&pool, line, sizeof(line)));
    snprintf(endpoint, sizeof(endpoint), "127.0.0.1:%s", line);
    pipeline_init_external(&p, endpoint);
    pipeline_add_impulse(&p, "Start");
    begin_gated(&p);
    id = start_running(&p);
    kill(pool.pid, SIGKILL);
    kill_and_launch(); /* which waits for the pool, too */
    expect_failed_with(id, endpoint);
}
END_TEST

START_TEST(a_streaming_job_fails_and_says_why)
{
    struct pipeline p;
    char *id;

    begin_pipeline(&p);
    begin_gated(&p);
    make_unbounded(&p);
    id = start_running(&p);
    kill_and_launch();
    expect_failed_with(id, "streaming");
}
END_TEST

START_TEST(a_job_that_ran_at_a_shutdown_is_cancelled_and_stays_so)
{
    struct pipeline p;
    struct job job;
    char *id;

    begin_pipeline(&p);
    begin_gated(&p);
    id = start_running(&p);
    ck_assert(daemon_end(&test_daemon));
    gated_daemon_launch_again();
    job_watch(&test_client, id, &job);
    job_wait(&job);
    ck_assert_int_eq(job.end, JOB__JOB_STATE__ENUM__CANCELLED);
    ck_assert(job.error && strstr(job.error, "shutting down"));
    job_clear(&job);
    free(id);
}
END_TEST

START_TEST(a_second_daemon_in_the_same_directory_is_refused)
{
    CLEANUP(freep) char *state = xasprintf("%s/state", test_daemon.directory);
    CLEANUP(freep) char *log = xasprintf("%s/second", test_daemon.directory);
    struct child second;
    char line[100];
    int status;

    ck_assert(child_start(
        &second,
        (const char *[]){getenv("TRESTLE_BINARY"), "serve", "--listen", "127.0.0.1:0", "--state-dir", state, NULL},
        log));
    ck_assert(!child_read_line(&second, line, sizeof(line)));
    ck_assert_int_eq(waitpid(second.pid, &status, 0), second.pid);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) != 0);
    run_good_pipeline();
}
END_TEST

int main(void) {
    Suite *suite = suite_create("restart");
    TCase *tests = tcase_create("restart");
    SRunner *runner;
    int failed;

    tcase_set_timeout(tests, 120);
    tcase_add_checked_fixture(tests, setup, gated_daemon_stop);
    tcase_add_test(tests, a_finished_job_answers_as_before);
    tcase_add_test(tests, a_prepared_job_can_still_be_run);
    tcase_add_test(tests, a_running_batch_job_is_run_again);
    tcase_add_test(tests, a_job_that_was_run_often_enough_fails);
    tcase_add_test(tests, a_job_whose_pool_is_gone_fails_and_names_it);
    tcase_add_test(tests, a_streaming_job_fails_and_says_why);
    tcase_add_test(tests, a_job_that_ran_at_a_shutdown_is_cancelled_and_stays_so);
    tcase_add_test(tests, a_second_daemon_in_the_same_directory_is_refused);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
