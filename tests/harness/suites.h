/* The test files of tests/harness; test_main.c runs them against one daemon; those that need another configuration
 * start one of their own. */
#ifndef HARNESS_SUITES_H
#define HARNESS_SUITES_H

#include <check.h>

void add_drain_tests(Suite *suite);
void add_end_tests(Suite *suite);
void add_error_tests(Suite *suite);
void add_inspection_tests(Suite *suite);
void add_protocol_tests(Suite *suite);
void add_job_tests(Suite *suite);
void add_kill_tests(Suite *suite);
void add_queue_tests(Suite *suite);
void add_split_tests(Suite *suite);
void add_warm_tests(Suite *suite);
void add_watch_tests(Suite *suite);
void add_metric_tests(Suite *suite);

#endif
