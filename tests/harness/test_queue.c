/* Jobs that wait for their turn. What runs is held in user code, so that who waits does so for as long as the test wants. */
#include <stdlib.h>
#include <string.h>

#include "fixture.h"
#include "suites.h"

static struct daemon_process own;
static struct submitter client;

static void start_daemon(const char *yaml) {
    ck_assert(daemon_start(&own, yaml));
    submitter_init(&client, own.endpoint);
}

static void stop_daemon(void) {
    submitter_clear(&client);
    ck_assert_msg(daemon_stop(&own), "the daemon did not end well");
}

struct submitted {
    struct pipeline pipeline;
    struct job job;
};

static void submit(struct submitted *submitted, const char *function, const char *priority) {
    begin_pipeline(&submitted->pipeline);
    pipeline_add_option(&submitted->pipeline, "trestle_priority", priority);
    pipeline_add_fn(&submitted->pipeline, "Work", function, "Start", "bytes");
    job_start(&client, &submitted->pipeline, function, &submitted->job);
}

static void expect_end(struct submitted *submitted, Job__JobState__Enum end) {
    job_wait(&submitted->job);
    ck_assert_msg(submitted->job.end == end, "the job ended in state %d: %s", (int)submitted->job.end,
                  submitted->job.error ? submitted->job.error : "no error");
    job_clear(&submitted->job);
    pipeline_clear(&submitted->pipeline);
}

START_TEST(jobs_wait_for_their_turn_and_go_by_priority)
{
    struct submitted first, low, high, impatient, refused;

    start_daemon("jobs:\n  max_running: 1\n  max_queued: 3\nworkers:\n  per_environment: 1\n  stop_grace: 2s\n");
    submit(&first, "stall", "0");
    job_wait_for_state(&first.job, JOB__JOB_STATE__ENUM__RUNNING);
    submit(&low, "stall", "0");
    job_wait_for_line(&low.job, "waits for its turn: 1 jobs run");
    submit(&impatient, "stall", "9");
    job_wait_for_line(&impatient.job, "0 wait before it");
    submit(&high, "identity", "5");
    job_wait_for_line(&high.job, "1 wait before it");
    ck_assert_int_eq(low.job.state, JOB__JOB_STATE__ENUM__STOPPED);

    submit(&refused, "identity", "0");
    ck_assert(refused.job.is_refused);
    ck_assert_msg(strstr(refused.job.error, "4 jobs run or wait for their turn") != NULL, "%s", refused.job.error);
    job_clear(&refused.job);
    pipeline_clear(&refused.pipeline);

    job_cancel(&client, &impatient.job);
    expect_end(&impatient, JOB__JOB_STATE__ENUM__CANCELLED);
    job_cancel(&client, &first.job);
    expect_end(&first, JOB__JOB_STATE__ENUM__CANCELLED);
    expect_end(&high, JOB__JOB_STATE__ENUM__DONE); /* which it would never be behind the other */
    job_wait_for_state(&low.job, JOB__JOB_STATE__ENUM__RUNNING);
    job_cancel(&client, &low.job);
    expect_end(&low, JOB__JOB_STATE__ENUM__CANCELLED);
    stop_daemon();
}
END_TEST

START_TEST(worker_processes_are_shared_and_who_finds_none_waits)
{
    struct submitted first, second, third;

    start_daemon("workers:\n  per_environment: 4\n  max_processes: 5\n  stop_grace: 2s\n");
    submit(&first, "stall", "0"); /* alone: all it wants */
    job_wait_for_state(&first.job, JOB__JOB_STATE__ENUM__RUNNING);
    submit(&second, "stall", "0");
    job_wait_for_line(&second.job, "has 1 worker processes of the 4 that it wants");
    submit(&third, "identity", "0");
    job_wait_for_line(&third.job, "2 jobs run with 5 worker processes");
    job_cancel(&client, &second.job);
    expect_end(&second, JOB__JOB_STATE__ENUM__CANCELLED);
    expect_end(&third, JOB__JOB_STATE__ENUM__DONE);
    job_cancel(&client, &first.job);
    expect_end(&first, JOB__JOB_STATE__ENUM__CANCELLED);
    stop_daemon();
}
END_TEST

START_TEST(who_waits_when_the_daemon_ends_keeps_its_place)
{
    struct submitted first, second;

    start_daemon("jobs:\n  max_running: 1\nworkers:\n  per_environment: 1\n  stop_grace: 2s\n");
    submit(&first, "stall", "0");
    job_wait_for_state(&first.job, JOB__JOB_STATE__ENUM__RUNNING);
    submit(&second, "identity", "0");
    job_wait_for_line(&second.job, "waits for its turn");
    ck_assert_msg(daemon_stop(&own), "the daemon did not end well");
    job_wait(&second.job);
    ck_assert(job_has_line(&second.job, "this job keeps its place"));
    ck_assert_int_eq(second.job.end_code, STATUS_UNAVAILABLE);
    expect_end(&second, JOB__JOB_STATE__ENUM__STOPPED);
    expect_end(&first, JOB__JOB_STATE__ENUM__CANCELLED);
    submitter_clear(&client);
}
END_TEST

void add_queue_tests(Suite *suite) {
    TCase *tc = tcase_create("queue");

    tcase_add_checked_fixture(tc, fixture_setup, fixture_teardown);
    tcase_add_test(tc, jobs_wait_for_their_turn_and_go_by_priority);
    tcase_add_test(tc, worker_processes_are_shared_and_who_finds_none_waits);
    tcase_add_test(tc, who_waits_when_the_daemon_ends_keeps_its_place);
    tcase_set_timeout(tc, 60);
    suite_add_tcase(suite, tc);
}
