#include "jobserver/test_stream_source.h"

#include <check.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "beam_interactive_api.pb-c.h"
#include "wire/pb.h"

enum { LIMIT_S = 30 };

/* ---- a service ---- */

static struct rpc_server *server;
static struct rpc_client *client;
static char *address;
/* Set before the call that they are for; the server's thread reads them. */
static atomic_uint watermarks_to_send; /* events, with the watermarks 1000, 2000 ... */
static const char *_Atomic tag;        /* in those */
static atomic_int end_code;            /* of the call; -1: it stays open */

static void send_watermark(struct rpc_stream *stream, int64_t watermark) {
    Beam__TestStreamPayload__Event event = BEAM__TEST_STREAM_PAYLOAD__EVENT__INIT;
    Beam__TestStreamPayload__Event__AdvanceWatermark advance =
        BEAM__TEST_STREAM_PAYLOAD__EVENT__ADVANCE_WATERMARK__INIT;
    struct slice message;

    advance.new_watermark = watermark;
    advance.tag = (char *)(uintptr_t)tag;
    event.event_case = BEAM__TEST_STREAM_PAYLOAD__EVENT__EVENT_WATERMARK_EVENT;
    event.watermark_event = &advance;
    message = PB_PACK(&event, NULL);
    rpc_stream_send(stream, &message, 1);
}

static void send_elements(struct rpc_stream *stream) {
    Beam__TestStreamPayload__Event event = BEAM__TEST_STREAM_PAYLOAD__EVENT__INIT;
    Beam__TestStreamPayload__Event__AddElements add = BEAM__TEST_STREAM_PAYLOAD__EVENT__ADD_ELEMENTS__INIT;
    Beam__TestStreamPayload__TimestampedElement element = BEAM__TEST_STREAM_PAYLOAD__TIMESTAMPED_ELEMENT__INIT,
                                                *elements[] = {&element};
    struct slice message;

    element.encoded_element.data = (uint8_t *)(uintptr_t) "abc";
    element.encoded_element.len = 3;
    element.timestamp = -1; /* microseconds */
    add.tag = (char *)(uintptr_t)tag;
    add.elements = elements;
    add.n_elements = 1;
    event.event_case = BEAM__TEST_STREAM_PAYLOAD__EVENT__EVENT_ELEMENT_EVENT;
    event.element_event = &add;
    message = PB_PACK(&event, NULL);
    rpc_stream_send(stream, &message, 1);
}

static void serve_events(struct rpc_stream *stream, void *user, struct slice message) {
    Interactive__EventsRequest *request;
    struct arena arena = {0};

    (void)user;
    ck_assert_int_eq(PB_UNPACK(Interactive__EventsRequest, interactive__events_request, message, PB_STRINGS_STRICT,
                               &arena, &request, NULL),
                     0);
    ck_assert_uint_eq(request->n_output_ids, 1);
    ck_assert_str_eq(request->output_ids[0], "None");
    arena_clear(&arena);
    slice_unref(&message);
    send_elements(stream);
    for (unsigned i = 1; i <= watermarks_to_send; i++)
        send_watermark(stream, 1000 * (int64_t)i);
    if (end_code >= 0)
        rpc_stream_finish(stream, (enum status_code)end_code, "the reader broke");
}

static const struct rpc_handler service = {.message = serve_events};
static const struct rpc_method methods[] = {
    {.path = "/org.apache.beam.model.interactive.v1.TestStreamService/Events", .streaming = &service},
};

/* ---- what was told ---- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static unsigned event_count;
static struct plan_test_event first_event;
static event_time last_watermark;
static bool has_ended;
static struct status ended_with;

static void on_event(void *user, unsigned stage, const struct plan_test_event *event) {
    (void)user;
    ck_assert_uint_eq(stage, 7);
    pthread_mutex_lock(&lock);
    if (event_count++ == 0)
        first_event = *event;
    last_watermark = event->watermark;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static void on_ended(void *user, unsigned stage, const struct status *status) {
    (void)user;
    (void)stage;
    pthread_mutex_lock(&lock);
    ck_assert(!has_ended);
    has_ended = true;
    if (status->code)
        status_set(&ended_with, status->code, "%s", status_message(status));
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static const struct test_stream_source_handler handler = {.event = on_event, .ended = on_ended};

/* Until so many events have been told, or, with 0, until the end is. */
static void await(unsigned events) {
    struct timespec limit;
    int error = 0;

    clock_gettime(CLOCK_REALTIME, &limit);
    limit.tv_sec += LIMIT_S;
    pthread_mutex_lock(&lock);
    while (error == 0 && (events ? event_count < events : !has_ended))
        error = pthread_cond_timedwait(&changed, &lock, &limit);
    pthread_mutex_unlock(&lock);
    ck_assert_int_eq(error, 0);
}

/* ---- fixture ---- */

static const char *const tags[] = {"None"};
static struct plan_stage stage;

static void setup(void) {
    int port;

    rpc_init();
    server = rpc_server_create(&(struct rpc_server_options){.threads = 1});
    rpc_server_register(server, methods, ARRAY_COUNT(methods), NULL);
    ck_assert_int_eq(rpc_server_listen(server, "127.0.0.1:0", &port, NULL), 0);
    rpc_server_start(server);
    client = rpc_client_create(1);
    address = xasprintf("127.0.0.1:%d", port);
    stage = (struct plan_stage){
        .index = 7,
        .kind = PLAN_TEST_STREAM,
        .name = "Script",
        .output_count = 1,
        .test_stream = {.endpoint = address, .tags = tags, .service_units_per_ms = 1000},
    };
    tag = "None";
    watermarks_to_send = 1;
    end_code = STATUS_OK;
}

static void teardown(void) {
    rpc_client_destroy(client);
    rpc_server_stop(server, 0);
    rpc_shutdown();
    slice_unref(&first_event.elements);
    status_clear(&ended_with);
    free(address);
}

static struct test_stream_source *open_source(void) {
    return test_stream_source_open(client, &stage, NULL, &handler, NULL);
}

/* ---- tests ---- */

START_TEST(events_are_told_in_the_terms_of_the_plan_and_then_the_end)
{
    static const uint8_t value[] = {3, 'a', 'b', 'c'};
    struct test_stream_source *source = open_source();

    await(0);
    ck_assert_uint_eq(event_count, 2);
    ck_assert_int_eq(first_event.kind, PLAN_TEST_ELEMENTS);
    ck_assert_uint_eq(first_event.element_count, 1);
    ck_assert_uint_eq(first_event.elements.size, 8 + 4 + 1 + sizeof(value));
    /* A microsecond before the epoch is in the millisecond -1. */
    ck_assert_mem_eq(first_event.elements.data, "\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x01\x0f", 13);
    ck_assert_mem_eq(first_event.elements.data + 13, value, sizeof(value));
    ck_assert_int_eq(last_watermark, 1);
    ck_assert_int_eq(ended_with.code, STATUS_OK);
    test_stream_source_close(source);
}
END_TEST

START_TEST(an_error_of_the_service_names_it)
{
    struct test_stream_source *source;

    end_code = STATUS_UNKNOWN;
    source = open_source();
    await(0);
    ck_assert_int_eq(ended_with.code, STATUS_UNKNOWN);
    ck_assert(strstr(status_message(&ended_with), address) && strstr(status_message(&ended_with), "the reader broke"));
    test_stream_source_close(source);
}
END_TEST

START_TEST(an_event_for_an_output_that_nobody_asked_for_ends_the_call)
{
    struct test_stream_source *source;

    tag = "other";
    end_code = -1;
    source = open_source();
    await(0);
    ck_assert_uint_eq(event_count, 0);
    ck_assert_int_eq(ended_with.code, STATUS_INVALID_ARGUMENT);
    ck_assert(strstr(status_message(&ended_with), "\"other\""));
    test_stream_source_close(source);
}
END_TEST

START_TEST(a_service_that_is_too_fast_waits)
{
    unsigned total = 3 * TEST_STREAM_SOURCE_MAX_AHEAD;
    struct test_stream_source *source;

    watermarks_to_send = total - 1; /* and one of elements */
    source = open_source();
    for (unsigned consumed = 0; consumed < total; consumed++) {
        await(MIN(consumed + TEST_STREAM_SOURCE_MAX_AHEAD, total));
        pthread_mutex_lock(&lock);
        /* One that had been read when reading was stopped is still told. */
        ck_assert_uint_le(event_count, consumed + TEST_STREAM_SOURCE_MAX_AHEAD + 1);
        pthread_mutex_unlock(&lock);
        test_stream_source_consumed(source);
    }
    await(0);
    ck_assert_uint_eq(event_count, total);
    ck_assert_int_eq(last_watermark, total - 1);
    test_stream_source_close(source);
}
END_TEST

START_TEST(closing_ends_a_call_that_goes_on)
{
    struct test_stream_source *source;

    end_code = -1;
    source = open_source();
    await(2);
    ck_assert(!has_ended);
    test_stream_source_close(source);
    await(0);
    ck_assert_int_eq(ended_with.code, STATUS_CANCELLED);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("test_stream_source");
    TCase *tc = tcase_create("test_stream_source");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, LIMIT_S * 2);
    tcase_add_test(tc, events_are_told_in_the_terms_of_the_plan_and_then_the_end);
    tcase_add_test(tc, an_error_of_the_service_names_it);
    tcase_add_test(tc, an_event_for_an_output_that_nobody_asked_for_ends_the_call);
    tcase_add_test(tc, a_service_that_is_too_fast_waits);
    tcase_add_test(tc, closing_ends_a_call_that_goes_on);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
