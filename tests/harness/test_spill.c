/* Jobs whose data are larger than the memory they may use, against a daemon of their own: one that may store them on disk, and one whose disk
 * is full at once. */
#include <dirent.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/map.h"
#include "fixture.h"
#include "noise.h"

#define COMMON                                                                                                         \
    "worker_connect_timeout: 30s\n"                                                                                    \
    "bundle: {output_timeout: 5s}\n"                                                                                   \
    "retry: {worker_lost: 2, user_exception: 1}\n"                                                                     \
    "memory: {per_job: 4MiB}\n"

static const char with_disk[] = COMMON "limits: {max_inline_group: 1MiB}\n";
static const char without_disk[] = COMMON "disk: {per_job: 1MiB}\n";

enum { ELEMENTS = 32000, SIZE = 1000 };

/* What sum_iterable says of this key. */
static char *expected_line(unsigned key, unsigned keys, const char *where) {
    uint64_t count = 0, hash = 0;
    uint8_t value[SIZE];

    for (unsigned i = key; i < ELEMENTS; i += keys, count++) {
        noise_fill(value, SIZE, i);
        hash += hash_bytes(value, SIZE);
    }
    return xasprintf("%" PRIu64 " elements, %" PRIu64 " bytes, hash %" PRIx64 ", %s", count, count * SIZE, hash, where);
}

/* Scratch files have no name: how many the daemon holds open. */
static unsigned open_scratch_files(void) {
    CLEANUP(freep) char *directory = xasprintf("/proc/%d/fd", (int)test_daemon.pid);
    DIR *dir = opendir(directory);
    struct dirent *entry;
    unsigned count = 0;

    ck_assert_ptr_nonnull(dir);
    while ((entry = readdir(dir))) {
        char target[300];
        ssize_t size = readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1);

        if (size <= 0)
            continue;
        target[size] = '\0';
        count += strstr(target, test_daemon.directory) && strstr(target, "(deleted)");
    }
    closedir(dir);
    return count;
}

/* A job's memory and files go a moment after its last message. */
static void expect_no_file_is_left(void) {
    CLEANUP(freep) char *state = xasprintf("%s/state", test_daemon.directory);
    struct dirent *entry;
    DIR *dir;

    for (int i = 0; i < 3000 && open_scratch_files(); i++)
        poll(NULL, 0, 10);
    ck_assert_uint_eq(open_scratch_files(), 0);
    dir = opendir(state);
    ck_assert_ptr_nonnull(dir);
    while ((entry = readdir(dir)))
        ck_assert_msg(!strstr(entry->d_name, "scratch"), "%s is left", entry->d_name);
    closedir(dir);
}

static void add_noise(struct pipeline *p, unsigned keys) {
    CLEANUP(freep) char *function = xasprintf("noise:%d:%u:%d", ELEMENTS, keys, SIZE);

    pipeline_add_fn(p, "Noise", function, "Start", "kv");
}

/* Noise -> ... -> "Group" -> sums. */
static void add_sums(struct pipeline *p, const char *input) {
    pipeline_add_grouping(p, "Group", input);
    pipeline_add_fn(p, "Sum", "sum_iterable", "Group", "kv");
    pipeline_add_fn(p, "Log", "log_value:3", "Sum", "kv");
}

static void run_to_its_end(struct pipeline *p, const char *name, struct job *job) {
    job_run(&test_client, p, name, job);
    ck_assert_msg(job->end == JOB__JOB_STATE__ENUM__DONE, "state %d: %s", (int)job->end,
                  job->error ? job->error : "no error");
    ck_assert_msg(job_has_line(job, "did not fit into memory"), "nothing went to disk");
    expect_no_file_is_left();
}

static void expect_sums(struct job *job, unsigned keys, const char *where) {
    for (unsigned key = 0; key < keys; key++) {
        CLEANUP(freep) char *line = expected_line(key, keys, where);

        ck_assert_msg(job_count_lines(job, line) == 1, "\"%s\" was logged %zu times", line, job_count_lines(job, line));
    }
}

START_TEST(groups_larger_than_memory_are_right)
{
    struct pipeline p;
    struct job job;

    begin_pipeline(&p);
    add_noise(&p, 50);
    add_sums(&p, "Noise");
    run_to_its_end(&p, "larger than memory", &job);
    expect_sums(&job, 50, "here");
    job_clear(&job);
    pipeline_clear(&p);
    run_good_pipeline();
}
END_TEST

START_TEST(what_waits_between_stages_may_be_larger_than_memory)
{
    struct pipeline p;
    struct job job;

    begin_pipeline(&p);
    add_noise(&p, 50);
    pipeline_add_transform(&p, "Shuffle", "beam:transform:reshuffle:v1", "Noise", "kv");
    pipeline_add_fn(&p, "Again", "identity", "Shuffle", "kv");
    add_sums(&p, "Again");
    run_to_its_end(&p, "waiting", &job);
    expect_sums(&job, 50, "here");
    job_clear(&job);
    pipeline_clear(&p);
}
END_TEST

START_TEST(a_side_input_may_be_larger_than_memory)
{
    CLEANUP(freep) char *line = xasprintf("%d elements, %d bytes", ELEMENTS, ELEMENTS * SIZE);
    struct pipeline p;
    Beam__PTransform *sum;
    struct job job;

    begin_pipeline(&p);
    add_noise(&p, 1);
    pipeline_add_fn(&p, "One", "big:1000", "Noise", "bytes");
    sum = pipeline_add_fn(&p, "Sum", "sum_side_input", "Start", "bytes");
    pipeline_add_side_input(&p, sum, "sum_side_input", "One");
    pipeline_add_fn(&p, "Log", "log_value:3", "Sum", "bytes");
    run_to_its_end(&p, "side input", &job);
    ck_assert_msg(job_count_lines(&job, line) == 1, "\"%s\" was not logged", line);
    job_clear(&job);
    pipeline_clear(&p);
}
END_TEST

/* Where the harness can read values as state: "URN" as Python and Java say it, or Go's way. */
static void run_single_key(const char *capability) {
    struct pipeline p;
    struct job job;

    begin_pipeline(&p);
    pipeline_add_capability(&p, capability);
    add_noise(&p, 1);
    add_sums(&p, "Noise");
    run_to_its_end(&p, "one key", &job);
    expect_sums(&job, 1, "elsewhere");
    job_clear(&job);
    pipeline_clear(&p);
}

START_TEST(one_key_larger_than_memory_is_read_page_by_page)
{
    run_single_key("beam:coder:state_backed_iterable:v1");
    run_single_key("beam:version:sdk_base:go:apache/beam_go_sdk:2.77.0");
}
END_TEST

START_TEST(two_jobs_at_once_do_not_mix)
{
    struct pipeline pipelines[2];
    struct job jobs[2];

    for (int i = 0; i < 2; i++) {
        begin_pipeline(&pipelines[i]);
        add_noise(&pipelines[i], i ? 7 : 300);
        add_sums(&pipelines[i], "Noise");
        job_start(&test_client, &pipelines[i], "twin", &jobs[i]);
    }
    for (int i = 0; i < 2; i++) {
        job_wait(&jobs[i]);
        ck_assert_msg(jobs[i].end == JOB__JOB_STATE__ENUM__DONE, "state %d: %s", (int)jobs[i].end,
                      jobs[i].error ? jobs[i].error : "no error");
        expect_sums(&jobs[i], i ? 7 : 300, "here");
        job_clear(&jobs[i]);
        pipeline_clear(&pipelines[i]);
    }
    expect_no_file_is_left();
}
END_TEST

START_TEST(a_job_that_fails_or_is_cancelled_leaves_no_file)
{
    struct pipeline p;
    struct job job;

    begin_pipeline(&p);
    add_noise(&p, 50);
    pipeline_add_grouping(&p, "Group", "Noise");
    pipeline_add_fn(&p, "Fail", "fail:RootCause", "Group", "kv");
    job_run(&test_client, &p, "fails", &job);
    ck_assert_int_eq(job.end, JOB__JOB_STATE__ENUM__FAILED);
    ck_assert_msg(strstr(job.error, "RootCause") != NULL, "%s", job.error);
    job_clear(&job);
    pipeline_clear(&p);
    expect_no_file_is_left();

    begin_pipeline(&p);
    add_noise(&p, 50);
    pipeline_add_grouping(&p, "Group", "Noise");
    pipeline_add_fn(&p, "Say", "log:3:the groups come", "Group", "grouped");
    pipeline_add_fn(&p, "Stall", "stall", "Say", "kv");
    job_start(&test_client, &p, "is cancelled", &job);
    job_wait_for_line(&job, "the groups come");
    job_cancel(&test_client, &job);
    job_wait(&job);
    ck_assert_int_eq(job.end, JOB__JOB_STATE__ENUM__CANCELLED);
    job_clear(&job);
    pipeline_clear(&p);
    expect_no_file_is_left();
    run_good_pipeline();
}
END_TEST

START_TEST(a_full_disk_fails_the_job_and_the_next_one_runs)
{
    struct pipeline p;

    begin_pipeline(&p);
    add_noise(&p, 50);
    add_sums(&p, "Noise");
    expect_failed(&p, "disk.per_job is 1 MiB", "memory", NULL);
    expect_no_file_is_left();
}
END_TEST

static int run_with(const char *configuration, TCase *tcase) {
    Suite *suite = suite_create("spill");
    SRunner *runner;
    int failed;

    if (!daemon_start(&test_daemon, configuration))
        return 1;
    tcase_add_checked_fixture(tcase, fixture_setup, fixture_teardown);
    tcase_set_timeout(tcase, 120);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed + !daemon_stop(&test_daemon);
}

int main(void) {
    TCase *enough = tcase_create("disk"), *full = tcase_create("full disk");
    int failed;

    tcase_add_test(enough, groups_larger_than_memory_are_right);
    tcase_add_test(enough, what_waits_between_stages_may_be_larger_than_memory);
    tcase_add_test(enough, a_side_input_may_be_larger_than_memory);
    tcase_add_test(enough, one_key_larger_than_memory_is_read_page_by_page);
    tcase_add_test(enough, two_jobs_at_once_do_not_mix);
    tcase_add_test(enough, a_job_that_fails_or_is_cancelled_leaves_no_file);
    tcase_add_test(full, a_full_disk_fails_the_job_and_the_next_one_runs);
    failed = run_with(with_disk, enough);
    failed += run_with(without_disk, full);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
