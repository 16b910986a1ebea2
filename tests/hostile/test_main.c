/* Runs the test files against one daemon with small limits, and then ends it: that it is the same process, and ends in order, is the last test. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mailbox.h"
#include "suites.h"
#include "tests/harness/fixture.h"

enum { SERVICE_WITHIN_S = 20 };

static const char configuration[] = "worker_connect_timeout: 10s\n"
                                    "workers:\n"
                                    "  per_environment: 1\n"
                                    "  stop_grace: 2s\n"
                                    "  keep_warm: 0s\n"
                                    "retry:\n"
                                    "  user_exception: 1\n"
                                    "limits:\n"
                                    "  max_message: 32MiB\n"
                                    "  max_element: 16MiB\n"
                                    "  max_receiving: 64MiB\n"
                                    "  max_connection_streams: 100\n"
                                    "  max_waiting_calls: 200\n"
                                    "  request_timeout: 1s\n"
                                    "  handshake_timeout: 1s\n";

/* False: a call was refused or cut off, as may happen to anybody while the daemon still digests what was thrown at it. */
static bool good_job_runs(char **ret_why) {
    struct pipeline p;
    struct job job;
    bool is_done;

    begin_pipeline(&p);
    add_good_pipeline(&p);
    job_run(&test_client, &p, "good", &job);
    is_done = job.end == JOB__JOB_STATE__ENUM__DONE;
    ck_assert_msg(is_done || job.end == JOB__JOB_STATE__ENUM__UNSPECIFIED, "a good pipeline ended in state %d: %s",
                  (int)job.end, job.error ? job.error : "no error");
    free(*ret_why);
    *ret_why = job.error ? xstrdup(job.error) : NULL;
    job_clear(&job);
    pipeline_clear(&p);
    return is_done;
}

void expect_service(void) {
    int64_t end_ns = monotonic_now_ns() + (int64_t)SERVICE_WITHIN_S * 1000000000;
    CLEANUP(freep) char *why = NULL;

    while (!good_job_runs(&why))
        ck_assert_msg(monotonic_now_ns() < end_ns, "a good pipeline cannot be run: %s", why);
}

int main(void) {
    Suite *suite = suite_create("hostile");
    SRunner *runner;
    int failed;

    if (!daemon_start(&test_daemon, configuration))
        return EXIT_FAILURE;
    add_connection_tests(suite);
    add_message_tests(suite);
    add_flood_tests(suite);
    add_fuzz_tests(suite);
    add_worker_tests(suite);
    add_token_tests(suite);
    add_tls_tests(suite);
    add_user_tests(suite);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    if (!daemon_stop(&test_daemon))
        failed++;
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
