/* Runs the test files against one daemon with small limits, and then ends it: that it is the same process, and ends in order, is the last test. */
#include <stdio.h>
#include <stdlib.h>

#include "suites.h"
#include "tests/harness/fixture.h"

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

void expect_service(void) {
    struct pipeline p;
    struct job job;

    begin_pipeline(&p);
    add_good_pipeline(&p);
    job_run(&test_client, &p, "good", &job);
    ck_assert_msg(job.end == JOB__JOB_STATE__ENUM__DONE, "a good pipeline ended in state %d: %s", (int)job.end,
                  job.error ? job.error : "no error");
    job_clear(&job);
    pipeline_clear(&p);
}

int main(void) {
    Suite *suite = suite_create("hostile");
    SRunner *runner;
    int failed;

    if (!daemon_start(&test_daemon, configuration))
        return EXIT_FAILURE;
    add_connection_tests(suite);
    add_message_tests(suite);
    add_worker_tests(suite);
    add_token_tests(suite);
    add_tls_tests(suite);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    if (!daemon_stop(&test_daemon))
        failed++;
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
