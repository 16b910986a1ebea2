/* What the tests against a running daemon share: one daemon for the whole program, a client for each test. */
#ifndef HARNESS_FIXTURE_H
#define HARNESS_FIXTURE_H

#include <check.h>

#include "daemon.h"
#include "submit.h"

extern struct daemon_process test_daemon; /* started before the first test */
extern struct submitter test_client;      /* of the test that runs */

/* Checked fixture: each test has a process of its own, and gRPC in it. */
void fixture_setup(void);
void fixture_teardown(void);

/* $TRESTLE_HARNESS_BINARY: what PROCESS environments run. */
const char *harness_binary(void);
/* A pipeline in a PROCESS environment that begins with an impulse "Start". */
void begin_pipeline(struct pipeline *p);
/* The process that the job's worker is: the first that a log_process in it named. */
pid_t worker_of(struct job *job);
/* Until nothing is left of it. */
void expect_end_of(pid_t pid);
/* 1000 elements of 10 keys, grouped and counted; the counts are logged. Expects it to be done and right. */
void expect_good_job(struct job *job);
void add_good_pipeline(struct pipeline *p);
void run_good_pipeline(void);
/* Runs it; expects it to be refused, or to fail, with one message that has all the parts (ending with NULL); then a good pipeline. */
void expect_refused(struct pipeline *p, ...);
void expect_failed(struct pipeline *p, ...);
/* Start -> a transform "Bad" with this function -> "Rest" -> done; FAILED with these parts. */
void expect_function_fails(const char *function, ...);
void expect_function_is_harmless(const char *function);

#endif
