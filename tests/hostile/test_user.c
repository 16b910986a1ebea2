/* A daemon whose workers are another user's: what they may not see. Runs as root only. */
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "suites.h"
#include "tests/harness/fixture.h"

static struct daemon_process guarded;
static struct submitter client;

static void setup(void) {
    ck_assert(daemon_start(&guarded, "workers: {user: nobody, per_environment: 1}\n"));
    rpc_init();
    submitter_init(&client, guarded.endpoint);
}

static void teardown(void) {
    submitter_clear(&client);
    ck_assert(daemon_stop(&guarded));
}

/* A program in the daemon's directory, where the user gets to. */
static char *install(const char *name, const char *text) {
    char *path = xasprintf("%s/%s", guarded.directory, name);
    FILE *file = fopen(path, "we");

    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
    ck_assert_int_eq(chmod(path, 0755), 0);
    return path;
}

/* The harness may be where only root gets to. */
static char *install_harness(void) {
    char *path = xasprintf("%s/harness", guarded.directory);
    CLEANUP(freep) char *command = xasprintf("install -m 0755 '%s' '%s'", harness_binary(), path);

    ck_assert_int_eq(chmod(guarded.directory, 0755), 0);
    ck_assert_int_eq(system(command), 0);
    return path;
}

/* 1000 1000 1000 1000: real, effective, saved and of the file system. */
static void expect_user(pid_t pid, const char *name) {
    CLEANUP(freep) char *path = xasprintf("/proc/%d/status", (int)pid);
    const struct passwd *user = getpwnam(name);
    FILE *status = fopen(path, "re");
    unsigned ids[4] = {0};
    char line[200];

    ck_assert(user && status);
    while (fgets(line, sizeof(line), status))
        if (sscanf(line, "Uid: %u %u %u %u", &ids[0], &ids[1], &ids[2], &ids[3]) == 4)
            break;
    fclose(status);
    for (size_t i = 0; i < ARRAY_COUNT(ids); i++)
        ck_assert_uint_eq(ids[i], user->pw_uid);
}

START_TEST(a_worker_of_another_user_runs_its_job)
{
    CLEANUP(freep) char *harness = install_harness();
    struct pipeline p;
    struct job job;

    pipeline_init_process(&p, harness, NULL);
    pipeline_add_impulse(&p, "Start");
    pipeline_add_fn(&p, "Who", "log_process:3", "Start", "bytes");
    add_good_pipeline(&p);
    job_run(&client, &p, "good", &job);
    expect_good_job(&job);
    expect_user(worker_of(&job), "nobody"); /* it is kept warm */
    job_clear(&job);
    pipeline_clear(&p);
}
END_TEST

START_TEST(a_worker_of_another_user_reads_nothing_of_the_daemons)
{
    CLEANUP(freep) char *harness = install_harness();
    CLEANUP(freep)
    char *text =
        xasprintf("#!/bin/sh\n"
                  "for file in '%s'/state '%s'/state/catalogue.db /proc/$PPID/environ /etc/shadow; do\n"
                  "  if [ -d $file ]; then ls $file; else cat $file; fi >/dev/null 2>&1 && echo read $file && exit 9\n"
                  "done\n"
                  "exec '%s' \"$@\"\n",
                  guarded.directory, guarded.directory, harness);
    CLEANUP(freep) char *boot = install("boot", text);
    struct pipeline p;
    struct job job;

    pipeline_init_process(&p, boot, NULL);
    pipeline_add_impulse(&p, "Start");
    add_good_pipeline(&p);
    job_run(&client, &p, "good", &job);
    expect_good_job(&job);
    job_clear(&job);
    pipeline_clear(&p);
}
END_TEST

static int call_get_jobs(struct slice *ret, struct status *st) {
    return rpc_channel_call_wait(client.channel, "/org.apache.beam.model.job_management.v1.JobService/GetJobs", NULL, 0,
                                 10000, true, SLICE_EMPTY, ret, st);
}

/* Tokens are asked for from then on. */
START_TEST(a_file_of_tokens_that_a_reload_brings_must_be_closed_to_the_user)
{
    CLEANUP(freep) char *tokens = install("tokens", "# nobody's\n");
    CLEANUP(freep) char *yaml = xasprintf("workers: {user: nobody}\nauth: {tokens_file: %s}\n", tokens);
    CLEANUP(freep) char *config = install("config.yaml", yaml);
    struct slice response = SLICE_EMPTY;
    struct status st = {0};

    ck_assert(daemon_reread(&guarded, "/tokens is open to the user nobody; take away the permissions"));
    ck_assert_int_eq(call_get_jobs(&response, &st), 0);
    slice_unref(&response);
    ck_assert_int_eq(chmod(tokens, 0600), 0);
    ck_assert(daemon_reread(&guarded, "changed, from now on: auth.tokens_file"));
    ck_assert_int_eq(call_get_jobs(&response, &st), -STATUS_UNAUTHENTICATED);
    status_clear(&st);
}
END_TEST

void add_user_tests(Suite *suite) {
    TCase *tcase = tcase_create("user");

    if (geteuid() != 0)
        return;
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, a_worker_of_another_user_runs_its_job);
    tcase_add_test(tcase, a_worker_of_another_user_reads_nothing_of_the_daemons);
    tcase_add_test(tcase, a_file_of_tokens_that_a_reload_brings_must_be_closed_to_the_user);
    suite_add_tcase(suite, tcase);
}
