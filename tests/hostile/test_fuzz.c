/* Bytes at random on the daemon's ports, a seed a connection, while it has to go on: `scripts/test fuzz`. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mailbox.h"
#include "http2.h"
#include "suites.h"
#include "tests/fuzz/fuzz.h"
#include "tests/harness/fixture.h"
#include "tests/harness/page.h"

#define PREPARE "/org.apache.beam.model.job_management.v1.JobService/Prepare"

/* That one of the two tests may take: half of $FUZZ_SECONDS, else few. */
static double fuzz_seconds(void) {
    const char *seconds = getenv("FUZZ_SECONDS");

    return seconds ? strtod(seconds, NULL) / 2 : 3;
}

static size_t make_frame(struct rng *rng, uint8_t *out, size_t room) {
    size_t size = rng_below(rng, 100) < 5 ? rng_below(rng, (uint32_t)room) : rng_below(rng, 64);

    for (size_t i = 0; i < size; i++)
        out[i] = rng_below(rng, 2) ? (uint8_t)rng_below(rng, 256) : 0;
    return size;
}

/* One connection of frames of any kind, on few streams, some of them good calls; then bytes that are no frames. */
static void send_frames(struct rng *rng) {
    static const char *const paths[] = {PREPARE, "/org.apache.beam.model.fn_execution.v1.BeamFnData/Data", "/", ""};
    static const char *const encodings[] = {NULL, NULL, NULL, "gzip"};
    int fd = raw_connect(test_daemon.endpoint);
    uint8_t payload[4096];

    raw_send(fd, HTTP2_PREFACE, strlen(HTTP2_PREFACE)); /* a daemon with much to do may have closed it already */
    http2_send(fd, HTTP2_SETTINGS, 0, 0, "", 0);
    for (uint32_t i = rng_below(rng, 30); i > 0; i--) {
        uint32_t stream = rng_below(rng, 8);
        bool is_sent;

        if (rng_below(rng, 4) == 0)
            is_sent = http2_call(fd, stream, paths[rng_below(rng, ARRAY_COUNT(paths))],
                                 encodings[rng_below(rng, ARRAY_COUNT(encodings))], (uint8_t)rng_below(rng, 16));
        else
            is_sent = http2_send(fd, (enum http2_frame_type)rng_below(rng, 12), (uint8_t)rng_below(rng, 64), stream,
                                 payload, make_frame(rng, payload, sizeof(payload)));
        if (!is_sent)
            break;
    }
    raw_send(fd, payload, make_frame(rng, payload, sizeof(payload)));
    close(fd);
}

/* One connection of requests to the page, good ones that were damaged. */
static void send_requests(struct rng *rng) {
    static const char *const requests[] = {
        "GET /api/v1/jobs?limit=10&state=RUNNING,DONE HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /api/v1/jobs/job-1/messages?after=0&text=a%20b HTTP/1.1\r\nHost: 127.0.0.1:1\r\nIf-None-Match: "
        "\"a\"\r\n\r\n",
        "GET /api/v1/jobs/%6aob/workers/a%2fb/status HTTP/1.1\r\nHost: [::1]\r\n\r\n",
        "POST /api/v1/jobs/job-1/cancel HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        "Content-Length: 2\r\n\r\n{}",
        "POST /api/v1/jobs/job-1/drain HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        "HEAD /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic eDp5\r\nConnection: close\r\n\r\n",
    };
    int fd = page_connect(&test_daemon);
    struct buf bytes = {0};

    for (unsigned n = 1 + rng_below(rng, 4); n; n--) {
        const char *request = requests[rng_below(rng, ARRAY_COUNT(requests))];

        buf_add(&bytes, request, strlen(request));
    }
    mutate_bytes(rng, &bytes);
    if (raw_send(fd, buf_data(&bytes), bytes.size) && rng_below(rng, 4) == 0)
        raw_wait_close(fd, 2);
    close(fd);
    buf_clear(&bytes);
}

static void expect_harmless(void (*send)(struct rng *rng)) {
    size_t before = process_memory_bytes(test_daemon.pid);
    int64_t end_ns = monotonic_now_ns() + (int64_t)(fuzz_seconds() * 1e9);
    uint64_t seed = 1;

    for (; monotonic_now_ns() < end_ns; seed++) {
        struct rng rng = {mix64(seed)};

        send(&rng);
    }
    expect_service();
    ck_assert_msg(process_memory_bytes(test_daemon.pid) < before + MAX_GROWTH_BYTES, "memory has grown after seed %llu",
                  (unsigned long long)seed);
}

START_TEST(random_frames_do_no_harm)
{ expect_harmless(send_frames); }
END_TEST

static bool page_answers(void) {
    static const char request[] = "GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n", expected[] = "HTTP/1.1 200";
    int fd = page_connect(&test_daemon);
    char answer[sizeof(expected) - 1];
    bool is_answered = raw_send(fd, request, strlen(request)) &&
                       recv(fd, answer, sizeof(answer), MSG_WAITALL) == (ssize_t)sizeof(answer) &&
                       memcmp(answer, expected, sizeof(answer)) == 0;

    close(fd);
    return is_answered;
}

/* While it has not yet dealt with all that were closed, there is no room for another connection. */
START_TEST(random_requests_to_the_page_do_no_harm)
{
    int64_t end_ns;

    expect_harmless(send_requests);
    end_ns = monotonic_now_ns() + PATIENCE_MS * INT64_C(1000000);
    while (!page_answers())
        ck_assert_msg(monotonic_now_ns() < end_ns, "the page does not answer any more");
}
END_TEST

void add_fuzz_tests(Suite *suite) {
    TCase *tcase = tcase_create("fuzz");

    tcase_add_checked_fixture(tcase, fixture_setup, fixture_teardown);
    tcase_set_timeout(tcase, 120 + fuzz_seconds());
    tcase_add_test(tcase, random_frames_do_no_harm);
    tcase_add_test(tcase, random_requests_to_the_page_do_no_harm);
    suite_add_tcase(suite, tcase);
}
