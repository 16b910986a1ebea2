/* Nothing outlives a daemon that is killed, or its launcher, or both. Each test has a daemon of its own and a job that stalls in a worker; what
 * the worker's boot program started in a session of its own is watched. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fixture.h"
#include "suites.h"

static struct daemon_process own;
static struct submitter client;
static struct pipeline pipeline;
static struct job job;
static pid_t worker, escaped;

/* Runs the harness, and beside it a process that does not go with its group and session. */
static void write_boot_program(const char *path, const char *pid_file) {
    FILE *file = fopen(path, "we");

    ck_assert_ptr_nonnull(file);
    fprintf(file, "#!/bin/sh\nsetsid sleep 1000 &\necho $! >%s\nexec %s \"$@\"\n", pid_file, harness_binary());
    ck_assert_int_eq(fclose(file), 0);
    ck_assert_int_eq(chmod(path, 0700), 0);
}

static void start_stalling_job(void) {
    CLEANUP(freep) char *boot = NULL, *pid_file = NULL;
    FILE *file;

    ck_assert(daemon_start(&own, "workers:\n  per_environment: 1\n"));
    submitter_init(&client, own.endpoint);
    boot = xasprintf("%s/boot", own.directory);
    pid_file = xasprintf("%s/escaped", own.directory);
    write_boot_program(boot, pid_file);
    pipeline_init_process(&pipeline, boot, NULL);
    pipeline_add_impulse(&pipeline, "Start");
    pipeline_add_fn(&pipeline, "Process", "log_process:3", "Start", "bytes");
    pipeline_add_fn(&pipeline, "Stall", "stall", "Process", "bytes");
    job_start(&client, &pipeline, "stalls", &job);
    job_wait_for_line(&job, "process ");
    worker = worker_of(&job);
    file = fopen(pid_file, "re");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(fscanf(file, "%d", &escaped), 1);
    fclose(file);
    ck_assert_int_eq(kill(worker, 0), 0);
    ck_assert_int_eq(kill(escaped, 0), 0);
}

/* What was killed came to us. */
static void drop_job(void) {
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
    job_clear(&job);
    pipeline_clear(&pipeline);
    submitter_clear(&client);
}

START_TEST(nothing_outlives_a_daemon_that_is_killed)
{
    start_stalling_job();
    ck_assert(daemon_kill(&own));
    expect_end_of(worker);
    expect_end_of(escaped);
    drop_job();
}
END_TEST

START_TEST(a_daemon_whose_launcher_is_killed_ends_with_all_that_it_had_started)
{
    int status;

    start_stalling_job();
    kill(daemon_launcher(&own), SIGKILL);
    ck_assert_int_eq(waitpid(own.pid, &status, 0), own.pid);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) != 0);
    expect_end_of(worker);
    expect_end_of(escaped);
    drop_job();
    daemon_remove(&own);
}
END_TEST

START_TEST(what_outlived_a_daemon_and_its_launcher_ends_when_the_daemon_starts_again)
{
    pid_t launcher;

    start_stalling_job();
    launcher = daemon_launcher(&own);
    kill(launcher, SIGSTOP); /* so that it does not see its daemon end */
    kill(own.pid, SIGKILL);
    kill(launcher, SIGKILL);
    expect_end_of(own.pid);
    expect_end_of(launcher);
    expect_end_of(worker);
    ck_assert_int_eq(kill(escaped, 0), 0);
    ck_assert(daemon_restart(&own));
    expect_end_of(escaped);
    drop_job();
    ck_assert(daemon_stop(&own));
}
END_TEST

void add_kill_tests(Suite *suite) {
    TCase *tcase = tcase_create("kills");

    tcase_add_checked_fixture(tcase, fixture_setup, fixture_teardown);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, nothing_outlives_a_daemon_that_is_killed);
    tcase_add_test(tcase, a_daemon_whose_launcher_is_killed_ends_with_all_that_it_had_started);
    tcase_add_test(tcase, what_outlived_a_daemon_and_its_launcher_ends_when_the_daemon_starts_again);
    suite_add_tcase(suite, tcase);
}
