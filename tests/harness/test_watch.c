/* Bundles without a sign of life: reported with their worker's status, and retried elsewhere where that is configured. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fixture.h"
#include "suites.h"

#define WORKER_STATUS "beam:protocol:worker_status:v1"

static struct daemon_process own;
static struct submitter client;

static void start_daemon(const char *bundle) {
    CLEANUP(freep) char *yaml = xasprintf("workers:\n  per_environment: 1\n  stop_grace: 2s\nbundle:\n%s", bundle);

    ck_assert(daemon_start(&own, yaml));
    submitter_init(&client, own.endpoint);
}

static void stop_daemon(void) {
    submitter_clear(&client);
    ck_assert_msg(daemon_stop(&own), "the daemon did not end well");
}

static const char *find_line(struct job *job, const char *text) {
    const char *found = NULL;

    pthread_mutex_lock(&job->lock);
    vec_foreach (line, &job->lines)
        if (!found && strstr(line->text, text))
            found = line->text;
    pthread_mutex_unlock(&job->lock);
    ck_assert_msg(found != NULL, "\"%s\" was not said (state %d: %s)", text, (int)job->end,
                  job->error ? job->error : "no error");
    return found;
}

/* Of those that were reported. */
static int longest_silence_ms(struct job *job) {
    int longest = 0, number;
    char unit[3];

    pthread_mutex_lock(&job->lock);
    vec_foreach (line, &job->lines) {
        const char *at = strstr(line->text, "no sign of life for ");

        if (at && sscanf(at, "no sign of life for %d %2[a-z]", &number, unit) == 2)
            longest = MAX(longest, strcmp(unit, "ms") == 0 ? number : number * 1000);
    }
    pthread_mutex_unlock(&job->lock);
    return longest;
}

static void start_stalling(struct pipeline *p, const char *capability, struct job *job) {
    begin_pipeline(p);
    if (capability)
        pipeline_add_capability(p, capability);
    pipeline_add_fn(p, "Stuck step", "stall", "Start", "bytes");
    job_start(&client, p, "stalls", job);
}

static void cancel(struct pipeline *p, struct job *job) {
    job_cancel(&client, job);
    job_wait(job);
    ck_assert_int_eq(job->end, JOB__JOB_STATE__ENUM__CANCELLED);
    job_clear(job);
    pipeline_clear(p);
}

START_TEST(a_stuck_bundle_is_reported_with_its_workers_status)
{
    struct pipeline p;
    struct job job;
    unsigned long long bundle = 0;
    char text[100];

    start_daemon("  stuck_report: 200ms\n");
    start_stalling(&p, WORKER_STATUS, &job);
    job_wait_for_line(&job, "status of worker");
    ck_assert_int_eq(sscanf(find_line(&job, "no sign of life"), "bundle-%llu of Stuck step", &bundle), 1);
    find_line(&job, "[worker ");
    snprintf(text, sizeof(text), "which has bundle-%llu:\nACTIVE BUNDLES", bundle);
    find_line(&job, text);
    cancel(&p, &job);
    stop_daemon();
}
END_TEST

START_TEST(a_stuck_bundle_is_reported_again_and_without_status_where_the_sdk_has_none)
{
    struct pipeline p;
    struct job job;

    start_daemon("  stuck_report: 100ms\n");
    start_stalling(&p, NULL, &job);
    /* with intervals that double: at 100 ms, 200 ms and 400 ms of silence */
    job_wait_for_lines(&job, "no sign of life", 3);
    ck_assert_int_ge(longest_silence_ms(&job), 400);
    find_line(&job, "its worker has no status to show");
    ck_assert(!job_has_line(&job, "status of worker"));
    cancel(&p, &job);
    stop_daemon();
}
END_TEST

START_TEST(a_bundle_that_moves_is_not_reported)
{
    struct pipeline p;
    struct job job;

    start_daemon("  stuck_report: 20s\n");
    begin_pipeline(&p);
    add_good_pipeline(&p);
    job_run(&client, &p, "good", &job);
    expect_good_job(&job);
    ck_assert(!job_has_line(&job, "no sign of life"));
    job_clear(&job);
    pipeline_clear(&p);
    stop_daemon();
}
END_TEST

START_TEST(a_stuck_worker_is_stopped_and_its_bundle_retried_elsewhere)
{
    CLEANUP(freep) char *function = NULL;
    struct pipeline p;
    struct job job;

    start_daemon("  stuck_kill: 2s\n"); /* a good worker may be slow on a busy machine */
    function = xasprintf("stall_once:%s/stalled", own.directory);
    begin_pipeline(&p);
    pipeline_add_fn(&p, "Before", "log_process:3", "Start", "bytes");
    pipeline_add_fn(&p, "Stuck step", function, "Before", "bytes");
    pipeline_add_fn(&p, "After", "log:3:the rest ran", "Stuck step", "bytes");
    job_run(&client, &p, "stalls once", &job);
    ck_assert_msg(job.end == JOB__JOB_STATE__ENUM__DONE, "state %d: %s", (int)job.end,
                  job.error ? job.error : "no error");
    find_line(&job, "so its worker was stopped (bundle.stuck_kill)");
    ck_assert_uint_eq(job_count_lines(&job, "process "), 2);
    ck_assert_uint_eq(job_count_lines(&job, "the rest ran"), 1);
    job_clear(&job);
    pipeline_clear(&p);
    stop_daemon();
}
END_TEST

void add_watch_tests(Suite *suite) {
    TCase *tcase = tcase_create("watch");

    tcase_add_checked_fixture(tcase, fixture_setup, fixture_teardown);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, a_stuck_bundle_is_reported_with_its_workers_status);
    tcase_add_test(tcase, a_stuck_bundle_is_reported_again_and_without_status_where_the_sdk_has_none);
    tcase_add_test(tcase, a_bundle_that_moves_is_not_reported);
    tcase_add_test(tcase, a_stuck_worker_is_stopped_and_its_bundle_retried_elsewhere);
    suite_add_tcase(suite, tcase);
}
