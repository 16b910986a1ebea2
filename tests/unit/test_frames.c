/* rpc/frames: what of a connection's bytes is not the payload of messages, however they are cut. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "rpc/frames.h"

enum { DATA = 0, HEADERS = 1, PING = 6 };

static void add_frame(struct buf *out, uint8_t type, uint32_t size) {
    uint8_t header[HTTP2_FRAME_HEADER_SIZE] = {(uint8_t)(size >> 16), (uint8_t)(size >> 8), (uint8_t)size, type};

    buf_add(out, header, sizeof(header));
    for (uint32_t i = 0; i < size; i++)
        buf_add(out, "x", 1);
}

/* The preface, frames, and their overhead: all but 70000 + 5 bytes. */
static size_t add_connection(struct buf *out) {
    buf_add(out, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", HTTP2_PREFACE_SIZE);
    add_frame(out, HEADERS, 300);
    add_frame(out, DATA, 70000);
    add_frame(out, DATA, 0);
    add_frame(out, PING, 8);
    add_frame(out, DATA, 5);
    return out->size - 70000 - 5;
}

START_TEST(payloads_of_data_are_no_overhead)
{
    struct buf bytes = {0};
    size_t expected = add_connection(&bytes), steps[] = {1, 2, 7, 9, 10, 4096, bytes.size};

    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        struct rpc_frames frames = {0};
        size_t overhead = 0;

        for (size_t at = 0; at < bytes.size; at += steps[i])
            overhead +=
                rpc_frames_overhead(&frames, (const uint8_t *)buf_data(&bytes) + at, MIN(steps[i], bytes.size - at));
        ck_assert_uint_eq(overhead, expected);
    }
    buf_clear(&bytes);
}
END_TEST

START_TEST(what_begins_with_something_else_is_not_looked_into)
{
    static const uint8_t hello[] = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    struct rpc_frames frames = {0};

    ck_assert_uint_eq(rpc_frames_overhead(&frames, hello, sizeof(hello)), 0);
    ck_assert(frames.is_opaque);
    ck_assert_uint_eq(rpc_frames_overhead(&frames, hello, sizeof(hello)), 0);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("frames");
    TCase *tcase = tcase_create("frames");
    SRunner *runner;
    int failed;

    tcase_add_test(tcase, payloads_of_data_are_no_overhead);
    tcase_add_test(tcase, what_begins_with_something_else_is_not_looked_into);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
