/* Messages that are not what they say, or say too much. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "http2.h"
#include "suites.h"
#include "tests/harness/fixture.h"

#define PREPARE "/org.apache.beam.model.job_management.v1.JobService/Prepare"

/* How much the peer lets us send. */
struct window {
    int64_t connection, stream, initial;
};

static void take_settings(struct window *window, const struct http2_frame *frame) {
    for (uint32_t at = 0; at + 6 <= frame->size; at += 6) {
        uint32_t value = (uint32_t)frame->payload[at + 2] << 24 | (uint32_t)frame->payload[at + 3] << 16 |
                         (uint32_t)frame->payload[at + 4] << 8 | frame->payload[at + 5];

        if (frame->payload[at + 1] != 4) /* SETTINGS_INITIAL_WINDOW_SIZE */
            continue;
        window->stream += (int64_t)value - window->initial;
        window->initial = value;
    }
}

static void take_update(struct window *window, const struct http2_frame *frame) {
    uint32_t more = (uint32_t)frame->payload[0] << 24 | (uint32_t)frame->payload[1] << 16 |
                    (uint32_t)frame->payload[2] << 8 | frame->payload[3];

    *(frame->stream ? &window->stream : &window->connection) += more;
}

/* Sends zeros as fast as it may. Returns the bytes that went out before the stream was ended. */
static size_t send_until_refused(int fd, size_t at_most) {
    static const uint8_t zeros[16384];
    struct window window = {65535, 65535, 65535};
    struct http2_frame frame;
    size_t sent = 0;

    while (sent < at_most) {
        while (window.connection >= (int64_t)sizeof(zeros) && window.stream >= (int64_t)sizeof(zeros)) {
            if (!http2_send(fd, HTTP2_DATA, 0, 1, zeros, sizeof(zeros)))
                return sent;
            sent += sizeof(zeros);
            window.connection -= (int64_t)sizeof(zeros);
            window.stream -= (int64_t)sizeof(zeros);
        }
        if (!http2_read_any(fd, &frame) || frame.type == HTTP2_RST_STREAM || frame.type == HTTP2_GOAWAY ||
            (frame.type == HTTP2_HEADERS && frame.flags & HTTP2_END_STREAM))
            return sent;
        if (frame.type == HTTP2_SETTINGS && !(frame.flags & HTTP2_ACK))
            take_settings(&window, &frame);
        if (frame.type == HTTP2_WINDOW_UPDATE)
            take_update(&window, &frame);
    }
    return sent;
}

START_TEST(a_message_that_is_said_to_be_endless_is_refused_while_it_comes)
{
    static const uint8_t prefix[] = {0, 0xff, 0xff, 0xff, 0xff};
    size_t before = process_memory_bytes(test_daemon.pid), sent;
    int fd = http2_connect(test_daemon.endpoint);

    ck_assert(http2_call(fd, 1, PREPARE, NULL, HTTP2_END_HEADERS));
    ck_assert(http2_send(fd, HTTP2_DATA, 0, 1, prefix, sizeof(prefix)));
    sent = send_until_refused(fd, (size_t)4 << 30);
    ck_assert_msg(sent < 8 * (size_t)MAX_RECEIVING_BYTES, "%zu bytes were taken", sent);
    ck_assert_uint_lt(process_memory_bytes(test_daemon.pid), before + 3 * (size_t)MAX_RECEIVING_BYTES);
    close(fd);
    expect_service();
}
END_TEST

/* What would inflate is refused before anybody inflates it. */
START_TEST(a_compressed_message_is_refused)
{
    static const char *const encodings[] = {"gzip", "deflate", "no-such"};
    static const uint8_t message[] = {1, 0, 0, 0, 4, 0x1f, 0x8b, 8, 0};
    int fd = http2_connect(test_daemon.endpoint);

    for (uint32_t i = 0; i < ARRAY_COUNT(encodings); i++) {
        ck_assert(http2_call(fd, 2 * i + 1, PREPARE, encodings[i], HTTP2_END_HEADERS));
        ck_assert(http2_send(fd, HTTP2_DATA, HTTP2_END_STREAM, 2 * i + 1, message, sizeof(message)));
        ck_assert_msg(http2_wait_end(fd, 2 * i + 1), "%s was not refused", encodings[i]);
    }
    close(fd);
    expect_service();
}
END_TEST

START_TEST(frames_that_no_stream_has_do_no_harm)
{
    static const uint8_t bytes[] = {0, 0, 0, 0, 1, 0};
    static const enum http2_frame_type types[] = {HTTP2_DATA,   HTTP2_RST_STREAM,    HTTP2_SETTINGS,    HTTP2_PING,
                                                  HTTP2_GOAWAY, HTTP2_WINDOW_UPDATE, HTTP2_CONTINUATION};

    for (size_t i = 0; i < ARRAY_COUNT(types); i++)
        for (uint32_t stream = 0; stream < 4; stream++) {
            int fd = http2_connect(test_daemon.endpoint);

            http2_send(fd, types[i], 0xff, stream, bytes, sizeof(bytes));
            http2_call(fd, 1, PREPARE, NULL, HTTP2_END_HEADERS);
            close(fd);
        }
    expect_service();
}
END_TEST

void add_message_tests(Suite *suite) {
    TCase *tcase = tcase_create("messages");

    tcase_add_checked_fixture(tcase, fixture_setup, fixture_teardown);
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, a_message_that_is_said_to_be_endless_is_refused_while_it_comes);
    tcase_add_test(tcase, a_compressed_message_is_refused);
    tcase_add_test(tcase, frames_that_no_stream_has_do_no_harm);
    suite_add_tcase(suite, tcase);
}
