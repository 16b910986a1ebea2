/* Peers that send as fast as they can what each by itself is allowed: on several connections at once, as one alone keeps at most one of the
 * daemon's threads busy. Each has to be closed, soon, without its bytes being kept. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "http2.h"
#include "suites.h"
#include "tests/harness/fixture.h"

#define PREPARE "/org.apache.beam.model.job_management.v1.JobService/Prepare"

/* CALLS: of those in a flood that opens calls. BYTES: what a flood has sent at most, more than sockets hold. */
enum { CONNECTIONS = 3, CALLS = 100000, MAX_BYTES = 256 << 20 };

struct flood {
    struct buf first; /* sent once */
    struct buf again; /* sent until the daemon has closed the connection */
    pthread_t thread;
    bool is_closed;
};

static void add_frame(struct buf *out, enum http2_frame_type type, uint8_t flags, uint32_t stream, const void *payload,
                      size_t size) {
    uint8_t header[HTTP2_FRAME_HEADER_SIZE];

    http2_frame_header(header, type, flags, stream, size);
    buf_add(out, header, sizeof(header));
    buf_add(out, payload, size);
}

static void add_call(struct buf *out, uint32_t stream, const char *path, uint8_t flags) {
    uint8_t block[HTTP2_CALL_BLOCK_SIZE];

    add_frame(out, HTTP2_HEADERS, flags, stream, block, http2_call_block(block, path, NULL));
}

static void *send_flood(void *user) {
    struct flood *flood = user;
    int fd = http2_connect(test_daemon.endpoint);

    flood->is_closed = !raw_send_draining(fd, buf_data(&flood->first), flood->first.size);
    for (size_t sent = 0; !flood->is_closed && sent < MAX_BYTES; sent += flood->again.size)
        flood->is_closed = !raw_send_draining(fd, buf_data(&flood->again), flood->again.size);
    close(fd);
    return NULL;
}

static void expect_closed_and_forgotten(const struct buf *first, const struct buf *again) {
    size_t before = process_memory_bytes(test_daemon.pid);
    struct flood floods[CONNECTIONS];

    for (size_t i = 0; i < CONNECTIONS; i++) {
        floods[i] = (struct flood){.first = *first, .again = *again};
        ck_assert_int_eq(pthread_create(&floods[i].thread, NULL, send_flood, &floods[i]), 0);
    }
    for (size_t i = 0; i < CONNECTIONS; i++) {
        pthread_join(floods[i].thread, NULL);
        ck_assert_msg(floods[i].is_closed, "connection %zu was not closed", i);
    }
    ck_assert_uint_lt(process_memory_bytes(test_daemon.pid), before + MAX_GROWTH_BYTES);
    expect_service();
}

/* The frame, again and again: on a connection without a call, and on one with a good one. */
static void expect_frame_closes(enum http2_frame_type type, uint32_t stream, const void *payload, size_t size) {
    struct buf first = {0}, again = {0};

    for (int i = 0; i < 1000; i++)
        add_frame(&again, type, 0, stream, payload, size);
    expect_closed_and_forgotten(&first, &again);
    add_call(&first, 1, PREPARE, HTTP2_END_HEADERS);
    expect_closed_and_forgotten(&first, &again);
    buf_clear(&first);
    buf_clear(&again);
}

START_TEST(a_flood_of_small_frames_closes_its_connection)
{
    static const uint8_t one[] = {0, 0, 0, 1}, priority[] = {0, 0, 0, 0, 1};

    expect_frame_closes(HTTP2_PING, 0, "12345678", 8);
    expect_frame_closes(HTTP2_SETTINGS, 0, "", 0);
    expect_frame_closes(HTTP2_WINDOW_UPDATE, 0, one, sizeof(one));
    expect_frame_closes(HTTP2_PRIORITY, 1, priority, sizeof(priority));
    expect_frame_closes((enum http2_frame_type)77, 1, "x", 1);
}
END_TEST

START_TEST(a_header_without_an_end_closes_its_connection)
{
    enum { FIELD = 106, FIELDS = 150 };
    struct buf first = {0}, again = {0};
    uint8_t fields[FIELD * FIELDS];

    for (size_t i = 0; i < FIELDS; i++) {
        memset(fields + i * FIELD, 'a', FIELD);
        memcpy(fields + i * FIELD, (const uint8_t[]){0, 4, 'n', 'a', 'm', 'e', FIELD - 7}, 7);
    }
    add_call(&first, 1, PREPARE, HTTP2_END_HEADERS);
    add_call(&first, 3, PREPARE, 0);
    add_frame(&again, HTTP2_CONTINUATION, 0, 3, fields, sizeof(fields));
    expect_closed_and_forgotten(&first, &again);
    buf_clear(&first);
    buf_clear(&again);
}
END_TEST

/* Each stream is used once: so these are not repeated. */
static void expect_calls_close(const char *path, bool is_reset) {
    static const uint8_t cancel[] = {0, 0, 0, 8};
    struct buf calls = {0}, nothing = {0};

    for (uint32_t i = 0; i < CALLS; i++) {
        add_call(&calls, 2 * i + 1, path, HTTP2_END_HEADERS);
        if (is_reset)
            add_frame(&calls, HTTP2_RST_STREAM, 0, 2 * i + 1, cancel, sizeof(cancel));
    }
    add_frame(&nothing, HTTP2_PING, 0, 0, "12345678", 8);
    expect_closed_and_forgotten(&calls, &nothing);
    buf_clear(&calls);
    buf_clear(&nothing);
}

START_TEST(calls_that_are_opened_and_reset_close_their_connection)
{
    expect_calls_close(PREPARE, true);
    expect_calls_close("/nowhere", true);
}
END_TEST

START_TEST(calls_that_nobody_serves_close_their_connection)
{ expect_calls_close("/nowhere", false); }
END_TEST

void add_flood_tests(Suite *suite) {
    TCase *tcase = tcase_create("floods");

    tcase_add_checked_fixture(tcase, fixture_setup, fixture_teardown);
    tcase_set_timeout(tcase, 240);
    tcase_add_test(tcase, a_flood_of_small_frames_closes_its_connection);
    tcase_add_test(tcase, a_header_without_an_end_closes_its_connection);
    tcase_add_test(tcase, calls_that_are_opened_and_reset_close_their_connection);
    tcase_add_test(tcase, calls_that_nobody_serves_close_their_connection);
    suite_add_tcase(suite, tcase);
}
