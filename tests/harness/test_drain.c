/* Draining and cancelling a running job with the program's own commands. The job's one element is held in user code until the test lets
 * it go, so that what happens meanwhile happens while the job runs. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fixture.h"
#include "suites.h"

static char *gate; /* a FIFO */
static struct pipeline pipeline;
static struct job job;

/* ---- the job ---- */

/* Runs until open_gate(), then goes through `last` and logs "let go". */
static void start_held_job(const char *last) {
    CLEANUP(freep) char *hold = NULL;

    gate = xasprintf("%s/gate-%d", test_daemon.directory, (int)getpid());
    ck_assert_int_eq(mkfifo(gate, 0600), 0);
    hold = xasprintf("until_opened:%s", gate);
    begin_pipeline(&pipeline);
    pipeline_add_fn(&pipeline, "Process", "log_process:3", "Start", "bytes");
    pipeline_add_fn(&pipeline, "Hold", hold, "Process", "bytes");
    pipeline_add_fn(&pipeline, "Say", "log:3:let go", "Hold", "bytes");
    pipeline_add_fn(&pipeline, "Last", last, "Say", "bytes");
    job_start(&test_client, &pipeline, "held", &job);
    job_wait_for_line(&job, "process ");
    ck_assert_msg(!job.is_over, "%s", job.error);
}

static void open_gate(void) {
    int fd = open(gate, O_WRONLY | O_CLOEXEC); /* returns when the element waits there */

    ck_assert_int_ge(fd, 0);
    close(fd);
}

static void end_held_job(Job__JobState__Enum end) {
    job_wait(&job);
    ck_assert_msg(job.end == end, "the job ended in state %d: %s", (int)job.end, job.error ? job.error : "no error");
    job_clear(&job);
    pipeline_clear(&pipeline);
    unlink(gate);
    free(gate);
}

/* ---- the command line ---- */

/* trestle COMMAND ID --endpoint ... [--wait], as a process. */
struct command {
    struct child child;
    char *log; /* its standard error */
};

static void command_start(struct command *command, const char *name, const char *id, bool wait) {
    const char *binary = getenv("TRESTLE_BINARY");

    ck_assert_ptr_nonnull(binary);
    command->log = xasprintf("%s/command-%d", test_daemon.directory, (int)getpid());
    ck_assert(child_start(
        &command->child,
        (const char *[]){binary, name, id, "--endpoint", test_daemon.endpoint, wait ? "--wait" : NULL, NULL},
        command->log));
}

/* Expects it to end with this exit code, and this text in what it printed: on standard output if the code is 0, else on the other. */
static void command_expect(struct command *command, int code, const char *text) {
    char out[300] = "", error[600] = "";
    FILE *log;
    int status;

    child_read_line(&command->child, out, sizeof(out));
    ck_assert_int_eq(waitpid(command->child.pid, &status, 0), command->child.pid);
    log = fopen(command->log, "re");
    ck_assert_ptr_nonnull(log);
    error[fread(error, 1, sizeof(error) - 1, log)] = '\0';
    fclose(log);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == code, "status %#x: %s%s", (unsigned)status, out, error);
    ck_assert_msg(strstr(code ? error : out, text) != NULL, "\"%s\" is not in \"%s\"", text, code ? error : out);
    close(command->child.in);
    close(command->child.out);
    unlink(command->log);
    free(command->log);
}

static void expect_command(const char *name, const char *id, bool wait, int code, const char *text) {
    struct command command;

    command_start(&command, name, id, wait);
    command_expect(&command, code, text);
}

/* ---- the tests ---- */

START_TEST(a_drained_job_finishes_its_work)
{
    start_held_job("identity");
    expect_command("drain", job.id, false, 0, ": DRAINING");
    expect_command("drain", job.id, false, 0, ": DRAINING");
    ck_assert(!job_has_line(&job, "let go"));
    open_gate();
    job_wait(&job);
    ck_assert_uint_eq(job_count_lines(&job, "let go"), 1);
    expect_command("drain", job.id, false, 1, "is over (DRAINED)");
    expect_command("cancel", job.id, false, 3, "ended in DRAINED, not in CANCELLED");
    end_held_job(JOB__JOB_STATE__ENUM__DRAINED);
}
END_TEST

START_TEST(drain_can_wait_for_the_end)
{
    struct command command;

    start_held_job("identity");
    command_start(&command, "drain", job.id, true);
    job_wait_for_state(&job, JOB__JOB_STATE__ENUM__DRAINING);
    open_gate();
    command_expect(&command, 0, ": DRAINED");
    end_held_job(JOB__JOB_STATE__ENUM__DRAINED);
}
END_TEST

START_TEST(a_job_that_fails_while_it_drains_says_why)
{
    struct command command;

    start_held_job("fail:bad luck");
    command_start(&command, "drain", job.id, true);
    job_wait_for_state(&job, JOB__JOB_STATE__ENUM__DRAINING);
    open_gate();
    command_expect(&command, 3, "bad luck");
    end_held_job(JOB__JOB_STATE__ENUM__FAILED);
}
END_TEST

START_TEST(a_draining_job_is_cancelled_at_once_and_leaves_no_worker)
{
    start_held_job("identity");
    expect_command("drain", job.id, false, 0, ": DRAINING");
    expect_command("cancel", job.id, true, 0, ": CANCELLED");
    job_wait(&job);
    expect_end_of(worker_of(&job));
    ck_assert(!job_has_line(&job, "let go"));
    end_held_job(JOB__JOB_STATE__ENUM__CANCELLED);
}
END_TEST

START_TEST(a_job_that_is_not_there_is_named)
{
    expect_command("drain", "no-such-job", false, 4, "there is no job \"no-such-job\"");
    expect_command("cancel", "no-such-job", true, 4, "there is no job \"no-such-job\"");
}
END_TEST

void add_drain_tests(Suite *suite) {
    TCase *tcase = tcase_create("drain");

    tcase_add_checked_fixture(tcase, fixture_setup, fixture_teardown);
    tcase_set_timeout(tcase, 30);
    tcase_add_test(tcase, a_drained_job_finishes_its_work);
    tcase_add_test(tcase, drain_can_wait_for_the_end);
    tcase_add_test(tcase, a_job_that_fails_while_it_drains_says_why);
    tcase_add_test(tcase, a_draining_job_is_cancelled_at_once_and_leaves_no_worker);
    tcase_add_test(tcase, a_job_that_is_not_there_is_named);
    suite_add_tcase(suite, tcase);
}
