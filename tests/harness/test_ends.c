/* The end of a job whose workers do nothing for it: a harness that does not react at all (its process is stopped), and one that never
 * falls silent. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fixture.h"
#include "suites.h"

static struct daemon_process own;
static struct submitter client;

static void start_daemon(const char *workers) {
    CLEANUP(freep)
    char *yaml = xasprintf("workers:\n  per_environment: %s\n  stop_grace: 2s\n"
                           "bundle:\n  stuck_kill: 700ms\n  split_after: 700ms\n"
                           "retry:\n  worker_lost: 1\n",
                           workers);

    ck_assert(daemon_start(&own, yaml));
    submitter_init(&client, own.endpoint);
}

static void stop_daemon(void) {
    submitter_clear(&client);
    ck_assert_msg(daemon_stop(&own), "the daemon did not end well");
}

/* A job whose one worker stands still from now on. */
static pid_t start_and_stop_worker(struct pipeline *p, struct job *job) {
    pid_t pid;

    begin_pipeline(p);
    pipeline_add_fn(p, "Process", "log_process:3", "Start", "bytes");
    pipeline_add_fn(p, "Stall", "stall", "Process", "bytes");
    job_start(&client, p, "stands still", job);
    job_wait_for_line(job, "process ");
    pid = worker_of(job);
    ck_assert_int_eq(kill(pid, SIGSTOP), 0);
    return pid;
}

/* Of user and system time, in milliseconds. */
static long processor_ms(pid_t pid) {
    CLEANUP(freep) char *path = xasprintf("/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    unsigned long user = 0, system = 0;

    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(fscanf(file, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system),
                     2);
    fclose(file);
    return (long)(user + system) * 1000 / sysconf(_SC_CLK_TCK);
}

START_TEST(a_job_ends_although_its_worker_does_not_react)
{
    struct pipeline p;
    struct job job;

    start_daemon("1");
    start_and_stop_worker(&p, &job);
    job_wait(&job);
    ck_assert_int_eq(job.end, JOB__JOB_STATE__ENUM__FAILED);
    ck_assert_msg(job.error && strstr(job.error, "gave no sign of life"), "%s", job.error);
    job_clear(&job);
    pipeline_clear(&p);
    stop_daemon();
}
END_TEST

START_TEST(waiting_for_a_worker_that_does_not_react_takes_no_processor_time)
{
    struct pipeline p;
    struct job job;
    long before, used;
    pid_t pid;

    /* One slot is soon done with its half, and the engine wants to be woken when the other's bundle may be split. */
    start_daemon("1\n  slots: 2");
    begin_pipeline(&p);
    pipeline_add_fn(&p, "Generate", "generate:100:100:10", "Start", "kv");
    pipeline_add_transform(&p, "Shuffle", "beam:transform:reshuffle:v1", "Generate", "kv");
    pipeline_add_fn(&p, "Process", "log_process:3", "Shuffle", "kv");
    pipeline_add_fn(&p, "Wait", "until_split:now", "Process", "kv");
    job_start(&client, &p, "waits", &job);
    job_wait_for_lines(&job, "process ", 51);
    pid = worker_of(&job);
    ck_assert_int_eq(kill(pid, SIGSTOP), 0);
    job_cancel(&client, &job);
    before = processor_ms(own.pid);
    job_wait(&job);
    ck_assert_int_eq(job.end, JOB__JOB_STATE__ENUM__CANCELLED);
    expect_end_of(pid); /* killed when stop_grace is over */
    used = processor_ms(own.pid) - before;
    ck_assert_msg(used < 300, "%ld ms", used);
    job_clear(&job);
    pipeline_clear(&p);
    stop_daemon();
}
END_TEST

START_TEST(a_job_ends_although_its_worker_is_never_silent)
{
    struct pipeline p;
    struct job job;

    start_daemon("1");
    begin_pipeline(&p);
    pipeline_add_fn(&p, "Chatter", "chatter:5", "Start", "bytes");
    job_run(&client, &p, "chatters", &job);
    ck_assert_int_eq(job.end, JOB__JOB_STATE__ENUM__DONE);
    ck_assert(job_has_line(&job, "still here"));
    /* A line every 5 ms, for a second or two. */
    ck_assert_uint_lt(job_count_lines(&job, "still here"), 2000);
    job_clear(&job);
    pipeline_clear(&p);
    stop_daemon();
}
END_TEST

START_TEST(a_job_that_ends_with_the_daemon_says_so)
{
    struct pipeline p;
    struct job job;

    start_daemon("1");
    begin_pipeline(&p);
    pipeline_add_fn(&p, "Process", "log_process:3", "Start", "bytes");
    pipeline_add_fn(&p, "Stall", "stall", "Process", "bytes");
    job_start(&client, &p, "cut off", &job);
    job_wait_for_line(&job, "process ");
    ck_assert_msg(daemon_stop(&own), "the daemon did not end well");
    job_wait(&job);
    ck_assert_msg(job.end == JOB__JOB_STATE__ENUM__CANCELLED, "state %d: %s", (int)job.end,
                  job.error ? job.error : "no error");
    ck_assert_msg(job.error && strstr(job.error, "the server is shutting down"), "%s",
                  job.error ? job.error : "no error");
    job_clear(&job);
    pipeline_clear(&p);
    submitter_clear(&client);
}
END_TEST

void add_end_tests(Suite *suite) {
    TCase *tcase = tcase_create("ends");

    tcase_add_checked_fixture(tcase, fixture_setup, fixture_teardown);
    tcase_set_timeout(tcase, 30);
    tcase_add_test(tcase, a_job_ends_although_its_worker_does_not_react);
    tcase_add_test(tcase, waiting_for_a_worker_that_does_not_react_takes_no_processor_time);
    tcase_add_test(tcase, a_job_ends_although_its_worker_is_never_silent);
    tcase_add_test(tcase, a_job_that_ends_with_the_daemon_says_so);
    suite_add_tcase(suite, tcase);
}
