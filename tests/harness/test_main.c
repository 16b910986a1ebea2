/* Runs the test files against one daemon, and then ends it: exit code 0 at SIGTERM and no child left is the last test. */
#include <stdio.h>
#include <stdlib.h>

#include "fixture.h"
#include "suites.h"

/* Short time-outs, few attempts. */
static const char configuration[] = "worker_connect_timeout: 3s\n"
                                    "workers:\n"
                                    "  per_environment: 2\n"
                                    "  stop_grace: 2s\n"
                                    "bundle:\n"
                                    "  output_timeout: 1s\n"
                                    "retry:\n"
                                    "  worker_lost: 2\n"
                                    "  user_exception: 1\n"
                                    "limits:\n"
                                    "  max_element: 100MiB\n";

int main(void) {
    Suite *suite = suite_create("harness");
    SRunner *runner;
    int failed;

    if (!daemon_start(&test_daemon, configuration))
        return EXIT_FAILURE;
    add_job_tests(suite);
    add_metric_tests(suite);
    add_inspection_tests(suite);
    add_error_tests(suite);
    add_protocol_tests(suite);
    add_split_tests(suite);
    add_warm_tests(suite);
    add_kill_tests(suite);
    add_watch_tests(suite);
    add_drain_tests(suite);
    add_queue_tests(suite);
    add_end_tests(suite);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    if (!daemon_stop(&test_daemon))
        failed++;
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
