/* What stands out in a job and on the machine. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cli/findings.h"

static struct buf out;
static const struct terminal plain;

static void tear_down(void) {
    buf_clear(&out);
}

static void assert_out(const char *expected) {
    CLEANUP(freep) char *said = xmemdup0(buf_data(&out), out.size);

    ck_assert_str_eq(said, expected);
    buf_clear(&out);
}

static Trestle__V1__JobSummary summary = TRESTLE__V1__JOB_SUMMARY__INIT;
static Trestle__V1__JobDetail job = TRESTLE__V1__JOB_DETAIL__INIT;
static Trestle__V1__Worker worker = TRESTLE__V1__WORKER__INIT, *workers[] = {&worker};
static Trestle__V1__RunningBundle bundle = TRESTLE__V1__RUNNING_BUNDLE__INIT, *bundles[] = {&bundle};
static Trestle__V1__Transform parse = TRESTLE__V1__TRANSFORM__INIT, call = TRESTLE__V1__TRANSFORM__INIT,
                              *transforms[] = {&parse, &call};
static Trestle__V1__Stage stage = TRESTLE__V1__STAGE__INIT, *stages[] = {&stage};
static Trestle__V1__Graph graph = TRESTLE__V1__GRAPH__INIT;

static void make_running_job(void) {
    summary.id = (char *)"job-1";
    summary.state = (char *)"RUNNING";
    summary.started_ms = wall_clock_ms();
    worker.id = (char *)"job-1-0-2";
    worker.state = (char *)"connected";
    worker.has_status = true;
    worker.bundles = bundles;
    worker.n_bundles = ARRAY_COUNT(bundles);
    bundle.stage = stage.name = (char *)"Parse + Call";
    job.summary = &summary;
    job.workers = workers;
    job.n_workers = ARRAY_COUNT(workers);
    parse.name = (char *)"Parse";
    parse.time_ms = 100;
    call.name = (char *)"Call";
    call.time_ms = 9900;
    call.elements_in = 450;
    stage.transforms = transforms;
    stage.n_transforms = ARRAY_COUNT(transforms);
    stage.elements_waiting = 12345;
    graph.stages = stages;
    graph.n_stages = ARRAY_COUNT(stages);
}

START_TEST(what_is_slow_what_hangs_and_what_never_comes_stand_out)
{
    make_running_job();
    add_findings(&plain, &job, &graph, NULL, &out);
    assert_out("  99% of the time goes into Call: 9.9s for 450 elements, 22 ms each; 12,345 more wait in front of its "
               "stage\n");
    bundle.silent_ms = FINDING_SILENT_MS;
    call.time_ms = 20000;
    add_findings(&plain, &job, &graph, NULL, &out);
    assert_out(
        "  worker 0-2 has been silent for 30s: no output and no progress in Parse + Call; its time goes into Call; "
        "trestle stacks job-1 shows what its threads do\n");
    call.time_ms = 14000;
    add_findings(&plain, &job, &graph, NULL, &out);
    ck_assert_ptr_null(memmem(buf_data(&out), out.size, "time goes", 9));
    buf_clear(&out);
    bundle.silent_ms = 0;
    worker.state = (char *)"starting";
    summary.started_ms -= 61000;
    add_findings(&plain, &job, &graph, NULL, &out);
    ck_assert_ptr_nonnull(memmem(buf_data(&out), out.size, "no worker has connected in 1m 01s: 1 is starting", 48));
}
END_TEST

START_TEST(a_disk_without_room_stands_out)
{
    Trestle__V1__Server server = TRESTLE__V1__SERVER__INIT;

    server.state_directory = (char *)"/var/lib/trestle";
    server.state_size_bytes = UINT64_C(40) << 30;
    server.state_free_bytes = UINT64_C(2) << 30;
    add_findings(&plain, NULL, NULL, &server, &out);
    ck_assert_uint_eq(out.size, 0);
    server.state_free_bytes = 4096;
    server.disk_limit_bytes = 100;
    server.disk_bytes = 90;
    add_findings(&plain, NULL, NULL, &server, &out);
    assert_out(
        "  the disk is full: 4.0 KiB are free where /var/lib/trestle is; without room jobs are refused, and those fail "
        "that "
        "store data\n"
        "  the disk space for job data is nearly taken: 90 B of 100 B; a job that needs more fails. End one that holds "
        "much, or raise disk.total\n");
}
END_TEST

int main(void) {
    Suite *suite = suite_create("findings");
    TCase *cases = tcase_create("findings");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(cases, NULL, tear_down);
    tcase_add_test(cases, what_is_slow_what_hangs_and_what_never_comes_stand_out);
    tcase_add_test(cases, a_disk_without_room_stands_out);
    suite_add_tcase(suite, cases);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
