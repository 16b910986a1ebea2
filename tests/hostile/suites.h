/* The test files of tests/hostile; test_main.c runs them against one daemon. docs/security.md names each test beside what it is about. */
#ifndef HOSTILE_SUITES_H
#define HOSTILE_SUITES_H

#include <check.h>

/* What the daemon under test is configured with. */
enum {
    REQUEST_TIMEOUT_MS = 1000,
    HANDSHAKE_TIMEOUT_MS = 1000,
    MAX_RECEIVING_BYTES = 64 << 20,
    MAX_CONNECTION_STREAMS = 100,
    MAX_WAITING_CALLS = 200,
};

/* A job is run and done. (Its log lines may be late, and lost, while the daemon still deals with a flood.) */
void expect_service(void);

void add_connection_tests(Suite *suite);
void add_flood_tests(Suite *suite);
void add_fuzz_tests(Suite *suite);
void add_message_tests(Suite *suite);
void add_tls_tests(Suite *suite);
void add_token_tests(Suite *suite);
void add_user_tests(Suite *suite);
void add_worker_tests(Suite *suite);

#endif
