/* Workers that are kept for the next job: which job gets them, which ones are kept, and that none is left behind. Each test has a daemon of
 * its own, with one worker for an environment. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fixture.h"
#include "suites.h"

static struct daemon_process own;
static struct submitter client;

static void start_daemon(const char *workers) {
    CLEANUP(freep)
    char *yaml =
        xasprintf("workers:\n  per_environment: 1\n  stop_grace: 2s\n%sretry:\n  user_exception: 1\n", workers);

    ck_assert(daemon_start(&own, yaml));
    submitter_init(&client, own.endpoint);
}

static void stop_daemon(void) {
    submitter_clear(&client);
    ck_assert_msg(daemon_stop(&own), "the daemon did not end well");
}

static void begin(struct pipeline *p) {
    begin_pipeline(p);
    pipeline_add_fn(p, "Process", "log_process:3", "Start", "bytes");
}

static pid_t run_pipeline(struct pipeline *p, const char *name, Job__JobState__Enum end) {
    struct job job;
    pid_t pid;

    job_run(&client, p, name, &job);
    ck_assert_msg(job.end == end, "state %d: %s", (int)job.end, job.error ? job.error : "no error");
    pid = worker_of(&job);
    job_clear(&job);
    pipeline_clear(p);
    return pid;
}

static pid_t run_job(const char *name) {
    struct pipeline p;

    begin(&p);
    return run_pipeline(&p, name, JOB__JOB_STATE__ENUM__DONE);
}

START_TEST(a_second_job_of_the_same_kind_gets_the_same_process)
{
    pid_t first;

    start_daemon("");
    first = run_job("one");
    ck_assert_int_eq(run_job("another name"), first);
    ck_assert_int_eq(run_job("one"), first);
    stop_daemon();
    expect_end_of(first);
}
END_TEST

/* How long the job took from Run to its first bundle, as it says. */
static double seconds_to_first_bundle(struct pipeline *p, const char *worker) {
    double seconds = -1;
    struct job job;

    job_run(&client, p, "timed", &job);
    ck_assert_int_eq(job.end, JOB__JOB_STATE__ENUM__DONE);
    pthread_mutex_lock(&job.lock);
    vec_foreach (line, &job.lines) {
        const char *at = strstr(line->text, "its first bundle began ");

        if (at && strstr(at, worker))
            sscanf(at, "its first bundle began %lf s", &seconds);
    }
    pthread_mutex_unlock(&job.lock);
    ck_assert_msg(seconds >= 0, "the job did not say that its first bundle was on a %s", worker);
    job_clear(&job);
    return seconds;
}

START_TEST(a_second_job_begins_at_once)
{
    struct pipeline p;

    start_daemon("");
    begin(&p);
    seconds_to_first_bundle(&p, "new worker");
    ck_assert_double_lt(seconds_to_first_bundle(&p, "warm worker"), 0.3);
    pipeline_clear(&p);
    stop_daemon();
}
END_TEST

START_TEST(a_worker_in_a_pool_that_the_configuration_names_is_kept)
{
    CLEANUP(freep) char *yaml = NULL;
    struct child pool;
    struct pipeline p;
    char line[200];
    int port;

    ck_assert(child_start(&pool, (const char *[]){harness_binary(), "--pool_port", "0", NULL}, NULL));
    ck_assert(child_read_line(&pool, line, sizeof(line)));
    ck_assert_int_eq(sscanf(line, "%d", &port), 1);
    yaml = xasprintf("workers:\n  per_environment: 1\nenvironments:\n"
                     "  - {image: 'pooled:*', external: '127.0.0.1:%d'}\n",
                     port);
    ck_assert(daemon_start(&own, yaml));
    submitter_init(&client, own.endpoint);
    pipeline_init_image(&p, "pooled:1");
    pipeline_add_impulse(&p, "Start");
    pipeline_add_fn(&p, "Process", "log_process:3", "Start", "bytes");
    seconds_to_first_bundle(&p, "new worker");
    ck_assert_double_lt(seconds_to_first_bundle(&p, "warm worker"), 0.3);
    pipeline_clear(&p);
    kill(pool.pid, SIGKILL);
    waitpid(pool.pid, NULL, 0);
    stop_daemon();
}
END_TEST

START_TEST(a_warm_worker_runs_whole_pipelines)
{
    struct pipeline p;
    struct job job;

    start_daemon("");
    for (int i = 0; i < 5; i++) {
        begin_pipeline(&p);
        add_good_pipeline(&p);
        job_run(&client, &p, "good", &job);
        expect_good_job(&job);
        job_clear(&job);
        pipeline_clear(&p);
    }
    stop_daemon();
}
END_TEST

START_TEST(options_and_environments_that_differ_get_processes_of_their_own)
{
    struct pipeline p;
    pid_t plain, option, variable;

    start_daemon("");
    plain = run_job("plain");
    begin(&p);
    pipeline_add_option(&p, "experiments", "something");
    option = run_pipeline(&p, "plain", JOB__JOB_STATE__ENUM__DONE);
    ck_assert_int_ne(option, plain);
    pipeline_init_process(&p, harness_binary(), "NAME", "VALUE", NULL);
    pipeline_add_impulse(&p, "Start");
    pipeline_add_fn(&p, "Process", "log_process:3", "Start", "bytes");
    variable = run_pipeline(&p, "plain", JOB__JOB_STATE__ENUM__DONE);
    ck_assert_int_ne(variable, plain);
    ck_assert_int_ne(variable, option);
    /* What only names the job, or is Trestle's own, is no difference. */
    begin(&p);
    pipeline_add_option(&p, "job_name", "whatever");
    pipeline_add_option(&p, "trestle_bundle_attempts", "3");
    ck_assert_int_eq(run_pipeline(&p, "plain", JOB__JOB_STATE__ENUM__DONE), plain);
    stop_daemon();
}
END_TEST

START_TEST(two_jobs_at_once_never_share_a_process)
{
    struct pipeline pipelines[2];
    struct job jobs[2];

    start_daemon("");
    run_job("first");
    for (int i = 0; i < 2; i++) {
        begin(&pipelines[i]);
        pipeline_add_fn(&pipelines[i], "Generate", "generate:20000:10:100", "Process", "kv");
        pipeline_add_grouping(&pipelines[i], "Group", "Generate");
        pipeline_add_fn(&pipelines[i], "Count", "count_iterable", "Group", "kv");
    }
    for (int i = 0; i < 2; i++)
        job_start(&client, &pipelines[i], "twin", &jobs[i]);
    for (int i = 0; i < 2; i++) {
        job_wait(&jobs[i]);
        ck_assert_int_eq(jobs[i].end, JOB__JOB_STATE__ENUM__DONE);
    }
    /* Whoever came second found nobody on the shelf, or the first one gone again. */
    for (int i = 0; i < 2; i++) {
        worker_of(&jobs[i]);
        job_clear(&jobs[i]);
        pipeline_clear(&pipelines[i]);
    }
    stop_daemon();
}
END_TEST

START_TEST(a_failed_jobs_worker_is_not_kept)
{
    struct pipeline p;
    pid_t failed;

    start_daemon("");
    begin(&p);
    pipeline_add_fn(&p, "Fail", "fail:no", "Process", "bytes");
    failed = run_pipeline(&p, "bad", JOB__JOB_STATE__ENUM__FAILED);
    expect_end_of(failed);
    ck_assert_int_ne(run_job("good"), failed);
    stop_daemon();
}
END_TEST

START_TEST(a_worker_that_broke_the_protocol_is_not_kept)
{
    CLEANUP(freep) char *function = NULL;
    struct pipeline p;
    pid_t broken;

    start_daemon("bundle:\n  output_timeout: 200ms\n");
    function = xasprintf("data_without_end_once:%s/broken", own.directory);
    begin(&p);
    pipeline_add_option(&p, "trestle_bundle_attempts", "2");
    pipeline_add_fn(&p, "Break", function, "Process", "bytes");
    pipeline_add_transform(&p, "Shuffle", "beam:transform:reshuffle:v1", "Break", "bytes");
    pipeline_add_fn(&p, "Rest", "identity", "Shuffle", "bytes");
    broken = run_pipeline(&p, "breaks", JOB__JOB_STATE__ENUM__DONE);
    ck_assert_int_ne(run_job("good"), broken);
    stop_daemon();
}
END_TEST

START_TEST(a_cancelled_jobs_worker_is_not_kept)
{
    struct pipeline p;
    struct job job;
    pid_t pid;

    start_daemon("");
    begin(&p);
    pipeline_add_fn(&p, "Stall", "stall", "Process", "bytes");
    job_start(&client, &p, "stalls", &job);
    job_wait_for_line(&job, "process ");
    job_cancel(&client, &job);
    job_wait(&job);
    ck_assert_int_eq(job.end, JOB__JOB_STATE__ENUM__CANCELLED);
    pid = worker_of(&job);
    expect_end_of(pid);
    job_clear(&job);
    pipeline_clear(&p);
    stop_daemon();
}
END_TEST

START_TEST(a_drained_jobs_worker_is_kept)
{
    CLEANUP(freep) char *gate = NULL, *hold = NULL;
    struct pipeline p;
    struct job job;
    pid_t pid;

    start_daemon("");
    gate = xasprintf("%s/gate", own.directory);
    hold = xasprintf("until_opened:%s", gate);
    ck_assert_int_eq(mkfifo(gate, 0600), 0);
    begin(&p);
    pipeline_add_fn(&p, "Hold", hold, "Process", "bytes");
    job_start(&client, &p, "drains", &job);
    job_wait_for_line(&job, "process ");
    job_drain(&client, &job);
    close(open(gate, O_WRONLY | O_CLOEXEC));
    job_wait(&job);
    ck_assert_int_eq(job.end, JOB__JOB_STATE__ENUM__DRAINED);
    pid = worker_of(&job);
    job_clear(&job);
    pipeline_clear(&p);
    ck_assert_int_eq(run_job("next"), pid);
    stop_daemon();
}
END_TEST

START_TEST(a_worker_is_kept_for_the_configured_time_and_no_longer)
{
    start_daemon("  keep_warm: 50ms\n");
    expect_end_of(run_job("short"));
    stop_daemon();
}
END_TEST

START_TEST(nothing_is_kept_where_the_time_is_none)
{
    pid_t first;

    start_daemon("  keep_warm: 0s\n");
    first = run_job("one");
    expect_end_of(first);
    ck_assert_int_ne(run_job("two"), first);
    stop_daemon();
}
END_TEST

START_TEST(the_oldest_goes_when_there_are_too_many)
{
    struct pipeline p;
    pid_t old, young;

    start_daemon("  keep_warm_max: 1\n");
    old = run_job("old");
    begin(&p);
    pipeline_add_option(&p, "experiments", "something");
    young = run_pipeline(&p, "young", JOB__JOB_STATE__ENUM__DONE);
    expect_end_of(old);
    begin(&p);
    pipeline_add_option(&p, "experiments", "something");
    ck_assert_int_eq(run_pipeline(&p, "young", JOB__JOB_STATE__ENUM__DONE), young);
    stop_daemon();
}
END_TEST

START_TEST(a_job_does_not_suffer_from_a_warm_worker_that_died)
{
    pid_t first;

    start_daemon("");
    for (int i = 0; i < 5; i++) {
        first = run_job("one");
        kill(first, SIGKILL);
        ck_assert_int_ne(run_job("two"), first);
    }
    stop_daemon();
}
END_TEST

START_TEST(warm_workers_end_with_a_daemon_that_is_killed)
{
    pid_t pid;

    start_daemon("");
    pid = run_job("one");
    ck_assert_int_eq(kill(pid, 0), 0);
    submitter_clear(&client);
    ck_assert(daemon_kill(&own));
    expect_end_of(pid);
}
END_TEST

void add_warm_tests(Suite *suite) {
    TCase *tcase = tcase_create("warm");

    tcase_add_checked_fixture(tcase, fixture_setup, fixture_teardown);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, a_second_job_of_the_same_kind_gets_the_same_process);
    tcase_add_test(tcase, a_second_job_begins_at_once);
    tcase_add_test(tcase, a_worker_in_a_pool_that_the_configuration_names_is_kept);
    tcase_add_test(tcase, a_warm_worker_runs_whole_pipelines);
    tcase_add_test(tcase, options_and_environments_that_differ_get_processes_of_their_own);
    tcase_add_test(tcase, two_jobs_at_once_never_share_a_process);
    tcase_add_test(tcase, a_failed_jobs_worker_is_not_kept);
    tcase_add_test(tcase, a_worker_that_broke_the_protocol_is_not_kept);
    tcase_add_test(tcase, a_cancelled_jobs_worker_is_not_kept);
    tcase_add_test(tcase, a_drained_jobs_worker_is_kept);
    tcase_add_test(tcase, a_worker_is_kept_for_the_configured_time_and_no_longer);
    tcase_add_test(tcase, nothing_is_kept_where_the_time_is_none);
    tcase_add_test(tcase, the_oldest_goes_when_there_are_too_many);
    tcase_add_test(tcase, a_job_does_not_suffer_from_a_warm_worker_that_died);
    tcase_add_test(tcase, warm_workers_end_with_a_daemon_that_is_killed);
    suite_add_tcase(suite, tcase);
}
