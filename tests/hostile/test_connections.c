/* Peers that connect and then do not behave: slowly, too often, in another language. After each a good job still runs. */
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "http2.h"
#include "suites.h"
#include "tests/harness/fixture.h"

#define PREPARE "/org.apache.beam.model.job_management.v1.JobService/Prepare"
#define STAGING "/org.apache.beam.model.job_management.v1.ArtifactStagingService/ReverseArtifactRetrievalService"

static void expect_closed_after(const char *bytes, size_t size) {
    int fd = raw_connect(test_daemon.endpoint);

    raw_send(fd, bytes, size);
    ck_assert_msg(raw_wait_close(fd, PATIENCE_MS), "the connection was not closed");
    close(fd);
}

START_TEST(a_connection_that_says_nothing_is_closed)
{
    expect_closed_after("", 0);
    expect_closed_after("PRI * HTT", 9);
    expect_closed_after("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
    expect_service();
}
END_TEST

START_TEST(another_protocol_is_closed)
{
    static const char http1[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    static const char tls[] = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    char zeros[1000] = {0};

    expect_closed_after(http1, sizeof(http1) - 1);
    expect_closed_after(tls, sizeof(tls) - 1);
    expect_closed_after(zeros, sizeof(zeros));
    expect_service();
}
END_TEST

START_TEST(a_request_that_does_not_come_is_refused)
{
    static const char *const paths[] = {PREPARE, STAGING};
    int fd = http2_connect(test_daemon.endpoint);

    for (uint32_t i = 0; i < ARRAY_COUNT(paths); i++) {
        ck_assert(http2_call(fd, 2 * i + 1, paths[i], NULL, HTTP2_END_HEADERS));
        ck_assert_msg(http2_wait_end(fd, 2 * i + 1), "%s stayed open", paths[i]);
    }
    close(fd);
    expect_service();
}
END_TEST

START_TEST(a_request_that_comes_in_part_is_refused)
{
    static const char part[] = {0, 0, 0, 1, 0, 'x', 'y'};
    int fd = http2_connect(test_daemon.endpoint);

    ck_assert(http2_call(fd, 1, PREPARE, NULL, HTTP2_END_HEADERS));
    ck_assert(http2_send(fd, HTTP2_DATA, 0, 1, part, sizeof(part)));
    ck_assert(http2_wait_end(fd, 1));
    close(fd);
    expect_service();
}
END_TEST

/* Streams are opened faster than they run out of time, by a peer that does not heed the number it is told. */
START_TEST(a_flood_of_streams_is_refused)
{
    enum { STREAMS = 20000 };
    size_t before = process_memory_bytes(test_daemon.pid);
    int fd = http2_connect(test_daemon.endpoint);

    for (uint32_t i = 0; i < STREAMS; i++)
        if (!http2_call(fd, 2 * i + 1, PREPARE, NULL, HTTP2_END_HEADERS))
            break;
    ck_assert_uint_lt(process_memory_bytes(test_daemon.pid), before + MAX_GROWTH_BYTES);
    expect_service();
    close(fd);
}
END_TEST

/* In a process of its own: the descriptors of this one would not do either. */
static pid_t open_connections(unsigned count, const int hold[2]) {
    pid_t child = fork();
    char end;

    if (child != 0)
        return child;
    close(hold[1]);
    for (unsigned i = 0; i < count; i++)
        raw_connect(test_daemon.endpoint);
    if (read(hold[0], &end, 1) < 0)
        _exit(1);
    _exit(0);
}

START_TEST(more_connections_than_descriptors_do_not_take_the_port)
{
    struct rlimit few = {256, 256}, old;
    int hold[2], status;
    pid_t child;

    ck_assert_int_eq(prlimit(test_daemon.pid, RLIMIT_NOFILE, NULL, &old), 0);
    few.rlim_max = old.rlim_max;
    ck_assert_int_eq(prlimit(test_daemon.pid, RLIMIT_NOFILE, &few, NULL), 0);
    ck_assert_int_eq(pipe(hold), 0);
    child = open_connections(600, hold);
    expect_service(); /* over a connection that waits for the others' handshakes to be over, if need be */
    close(hold[0]);
    close(hold[1]);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(prlimit(test_daemon.pid, RLIMIT_NOFILE, &old, NULL), 0);
    expect_service();
}
END_TEST

void add_connection_tests(Suite *suite) {
    TCase *tcase = tcase_create("connections");

    tcase_add_checked_fixture(tcase, fixture_setup, fixture_teardown);
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, a_connection_that_says_nothing_is_closed);
    tcase_add_test(tcase, another_protocol_is_closed);
    tcase_add_test(tcase, a_request_that_does_not_come_is_refused);
    tcase_add_test(tcase, a_request_that_comes_in_part_is_refused);
    tcase_add_test(tcase, a_flood_of_streams_is_refused);
    tcase_add_test(tcase, more_connections_than_descriptors_do_not_take_the_port);
    suite_add_tcase(suite, tcase);
}
