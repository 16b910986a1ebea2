#include "engine/teststream.h"

#include <check.h>
#include <stdlib.h>

static struct plan_test_event elements(unsigned output, const char *bytes) {
    return (struct plan_test_event){
        .kind = PLAN_TEST_ELEMENTS, .output = output, .elements = slice_of_literal(bytes), .element_count = 1};
}

static struct plan_test_event watermark(unsigned output, event_time time) {
    return (struct plan_test_event){.kind = PLAN_TEST_WATERMARK, .output = output, .watermark = time};
}

static struct plan_test_event processing_time(int64_t advance_ms) {
    return (struct plan_test_event){.kind = PLAN_TEST_PROCESSING_TIME, .output = PLAN_NONE, .advance_ms = advance_ms};
}

/* A stage with two outputs, "script" by name. */
static struct plan_stage stage_of(struct plan_test_event *events, size_t count) {
    return (struct plan_stage){.kind = PLAN_TEST_STREAM,
                               .name = "script",
                               .output_count = 2,
                               .test_stream = {.events = events, .event_count = count}};
}

static struct plan_stage open_stage(void) {
    struct plan_stage stage = stage_of(NULL, 0);

    stage.test_stream.endpoint = "localhost:1";
    return stage;
}

static void check_event(struct test_stream *stream, const struct plan_test_event *expected) {
    const struct plan_test_event *event = NULL;

    ck_assert_int_eq(test_stream_next(stream, &event), TEST_STREAM_EVENT);
    ck_assert_ptr_eq(event, expected);
}

static enum test_stream_result result_of(struct test_stream *stream) {
    const struct plan_test_event *event = NULL;

    return test_stream_next(stream, &event);
}

static void check_watermarks(const struct test_stream *stream, event_time first, event_time second) {
    ck_assert_int_eq(test_stream_watermark(stream, 0), first);
    ck_assert_int_eq(test_stream_watermark(stream, 1), second);
}

START_TEST(events_come_in_order_and_each_output_has_its_watermark)
{
    struct plan_test_event events[] = {elements(1, "a"), watermark(1, 5), processing_time(7), watermark(1, 5),
                                       watermark(0, -3)};
    struct plan_stage stage = stage_of(events, ARRAY_COUNT(events));
    struct test_stream *stream = test_stream_create(&stage);

    check_watermarks(stream, TIME_MIN, TIME_MIN);
    check_event(stream, &events[0]);
    check_watermarks(stream, TIME_MIN, TIME_MIN);
    check_event(stream, &events[1]);
    check_watermarks(stream, TIME_MIN, 5);
    check_event(stream, &events[2]);
    check_event(stream, &events[3]);
    check_watermarks(stream, TIME_MIN, 5);
    check_event(stream, &events[4]);
    check_watermarks(stream, -3, 5);
    test_stream_destroy(stream);
}
END_TEST

START_TEST(after_the_last_event_all_watermarks_are_at_the_end_once)
{
    struct plan_test_event events[] = {watermark(0, 5)};
    struct plan_stage stage = stage_of(events, 1);
    struct test_stream *stream = test_stream_create(&stage);

    check_event(stream, &events[0]);
    ck_assert(!test_stream_is_over(stream));
    ck_assert_int_eq(result_of(stream), TEST_STREAM_ENDS);
    check_watermarks(stream, TIME_MAX, TIME_MAX);
    ck_assert(test_stream_is_over(stream));
    ck_assert_int_eq(result_of(stream), TEST_STREAM_OVER);
    ck_assert_int_eq(result_of(stream), TEST_STREAM_OVER);
    test_stream_destroy(stream);
}
END_TEST

START_TEST(streams_are_played_one_after_the_other)
{
    struct plan_test_event first[] = {processing_time(1), processing_time(2)}, second[] = {processing_time(3)};
    struct plan_stage stages[] = {stage_of(first, 2), stage_of(second, 1)};
    struct test_stream *streams[] = {test_stream_create(&stages[0]), test_stream_create(&stages[1])};
    static const enum test_stream_result results[] = {TEST_STREAM_EVENT, TEST_STREAM_EVENT, TEST_STREAM_ENDS,
                                                      TEST_STREAM_EVENT, TEST_STREAM_ENDS};
    static const size_t whose[] = {0, 0, 0, 1, 1};
    const struct plan_test_event *event = NULL;
    struct test_stream *stream = NULL;

    for (size_t i = 0; i < ARRAY_COUNT(results); i++) {
        ck_assert_int_eq(test_streams_next(streams, 2, &stream, &event), results[i]);
        ck_assert_ptr_eq(stream, streams[whose[i]]);
        ck_assert_ptr_eq(test_stream_stage(stream), &stages[whose[i]]);
    }
    ck_assert_int_eq(test_streams_next(streams, 2, &stream, &event), TEST_STREAM_OVER);
    test_stream_destroy(streams[0]);
    test_stream_destroy(streams[1]);
}
END_TEST

START_TEST(a_stream_that_waits_lets_the_next_one_play)
{
    struct plan_test_event second[] = {processing_time(3)};
    struct plan_stage stages[] = {open_stage(), stage_of(second, 1)};
    struct test_stream *streams[] = {test_stream_create(&stages[0]), test_stream_create(&stages[1])};
    const struct plan_test_event *event = NULL, more = watermark(1, 9);
    struct test_stream *stream = NULL;

    ck_assert_int_eq(test_streams_next(streams, 2, &stream, &event), TEST_STREAM_EVENT);
    ck_assert_ptr_eq(event, &second[0]);
    ck_assert_int_eq(test_stream_append(streams[0], &more, NULL), 0);
    ck_assert_int_eq(test_streams_next(streams, 2, &stream, &event), TEST_STREAM_EVENT);
    ck_assert_ptr_eq(stream, streams[0]);
    ck_assert_int_eq(test_streams_next(streams, 2, &stream, &event), TEST_STREAM_ENDS);
    ck_assert_ptr_eq(stream, streams[1]);
    ck_assert_int_eq(test_streams_next(streams, 2, &stream, &event), TEST_STREAM_WAITS);
    test_stream_destroy(streams[0]);
    test_stream_destroy(streams[1]);
}
END_TEST

START_TEST(an_open_stream_plays_what_comes_and_ends_when_it_is_closed)
{
    struct plan_stage stage = open_stage();
    struct test_stream *stream = test_stream_create(&stage);
    const struct plan_test_event *event = NULL;

    ck_assert(test_stream_is_open(stream));
    for (int round = 0; round < 3; round++) {
        struct plan_test_event first = watermark(0, round), second = elements(1, "");

        ck_assert_int_eq(result_of(stream), TEST_STREAM_WAITS);
        second.elements = slice_copy("bytes", 5, NULL);
        ck_assert_int_eq(test_stream_append(stream, &first, NULL), 0);
        ck_assert_int_eq(test_stream_append(stream, &second, NULL), 0);
        check_watermarks(stream, round ? round - 1 : TIME_MIN, TIME_MIN);
        ck_assert_int_eq(test_stream_next(stream, &event), TEST_STREAM_EVENT);
        check_watermarks(stream, round, TIME_MIN);
        ck_assert_int_eq(test_stream_next(stream, &event), TEST_STREAM_EVENT);
        ck_assert_int_eq(event->kind, PLAN_TEST_ELEMENTS);
        ck_assert(slice_equal_string(event->elements, "bytes"));
    }
    test_stream_close(stream);
    ck_assert_int_eq(result_of(stream), TEST_STREAM_ENDS);
    check_watermarks(stream, TIME_MAX, TIME_MAX);
    test_stream_destroy(stream);
}
END_TEST

START_TEST(what_came_before_the_close_is_played)
{
    struct plan_stage stage = open_stage();
    struct test_stream *stream = test_stream_create(&stage);
    struct plan_test_event event = processing_time(4);

    ck_assert_int_eq(test_stream_append(stream, &event, NULL), 0);
    test_stream_close(stream);
    ck_assert_int_eq(result_of(stream), TEST_STREAM_EVENT);
    ck_assert_int_eq(result_of(stream), TEST_STREAM_ENDS);
    test_stream_destroy(stream);
}
END_TEST

START_TEST(what_makes_no_sense_is_not_appended)
{
    struct plan_stage stage = open_stage();
    struct test_stream *stream = test_stream_create(&stage);
    struct plan_test_event nowhere = watermark(2, 0), first = watermark(0, 5), back = watermark(0, 4),
                           other = watermark(1, 4), past = processing_time(-1);
    CLEANUP_STATUS struct status st = {0};

    nowhere.elements = slice_copy("freed", 5, NULL);
    ck_assert_int_eq(test_stream_append(stream, &nowhere, &st), -STATUS_INVALID_ARGUMENT);
    ck_assert_str_eq(status_message(&st), "script: an event names an output that is not there");
    ck_assert_int_eq(test_stream_append(stream, &first, NULL), 0);
    ck_assert_int_eq(test_stream_append(stream, &back, NULL), -STATUS_INVALID_ARGUMENT);
    ck_assert_int_eq(test_stream_append(stream, &other, NULL), 0);
    ck_assert_int_eq(test_stream_append(stream, &past, NULL), -STATUS_INVALID_ARGUMENT);
    ck_assert_int_eq(result_of(stream), TEST_STREAM_EVENT);
    ck_assert_int_eq(result_of(stream), TEST_STREAM_EVENT);
    ck_assert_int_eq(result_of(stream), TEST_STREAM_WAITS);
    test_stream_destroy(stream);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("teststream");
    TCase *tc = tcase_create("teststream");
    SRunner *runner;
    int failed;

    tcase_add_test(tc, events_come_in_order_and_each_output_has_its_watermark);
    tcase_add_test(tc, after_the_last_event_all_watermarks_are_at_the_end_once);
    tcase_add_test(tc, streams_are_played_one_after_the_other);
    tcase_add_test(tc, a_stream_that_waits_lets_the_next_one_play);
    tcase_add_test(tc, an_open_stream_plays_what_comes_and_ends_when_it_is_closed);
    tcase_add_test(tc, what_came_before_the_close_is_played);
    tcase_add_test(tc, what_makes_no_sense_is_not_appended);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
