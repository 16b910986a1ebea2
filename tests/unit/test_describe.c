/* What a person is told of a job that waits, or is stuck. */
#include "tests/unit/stream_bench.h"

static void expect_description(const struct stream_bench *b, const char *want) {
    CLEANUP(freep) char *copy = NULL;
    struct buf text = {0};

    engine_describe(b->engine, &text);
    copy = xmemdup0(buf_data(&text), text.size);
    buf_clear(&text);
    ck_assert_str_eq(copy, want);
}

/* A restriction that nobody will ever take, and that holds this time. */
static void lose_restriction(struct stream_bench *b, unsigned stage, event_time time) {
    struct delayed_residual lost = {
        .due_ms = TIME_MAX, .item = {.run = {.bytes = element(b, time, "k", "lost"), .count = 1}, .least_ms = time}};

    vec_push(&b->engine->stages[stage].delayed, lost);
}

START_TEST(times_are_told_as_dates_and_their_ends_in_words)
{
    char text[TIME_TEXT_SIZE];

    ck_assert_str_eq(time_describe(TIME_MIN, text), "the beginning of time");
    ck_assert_str_eq(time_describe(TIME_MAX, text), "the end of time");
    ck_assert_str_eq(time_describe(TIME_GLOBAL_WINDOW_END, text), "the end of the global window");
    ck_assert_str_eq(time_describe(0, text), "1970-01-01T00:00:00.000Z");
    ck_assert_str_eq(time_describe(-1, text), "1969-12-31T23:59:59.999Z");
    ck_assert_str_eq(time_describe(1709208000123, text), "2024-02-29T12:00:00.123Z");
    ck_assert_str_eq(time_describe(951782400000, text), "2000-02-29T00:00:00.000Z");
    ck_assert_str_eq(time_describe(-62135596800001, text), "0000-12-31T23:59:59.999Z");
    ck_assert_str_eq(time_describe(TIME_MAX - 1, text), "294247-01-10T04:00:54.774Z");
}
END_TEST

START_TEST(elements_at_the_gate_are_told_with_the_side_input_and_the_window)
{
    struct stream_bench b;

    stream_bench_init(&b, true);
    stream_bench_add(&b, PLAN_FLATTEN, "Broken", 0, true);
    stream_bench_add(&b, PLAN_EXECUTABLE, "Work", 0, false);
    b.side = (struct plan_side_input){.local_name = "side", .collection = 1};
    b.stages[2].side_inputs = &b.side;
    b.stages[2].side_input_count = 1;
    b.collections[1].side_consumers = &b.indices[2];
    b.collections[1].side_consumer_count = 1;
    b.collections[1].name = "Read.out";
    stream_bench_start(&b);
    worker_up(&b, 1);
    lose_restriction(&b, 1, 5);
    comes(&b, 13, "k", "a");
    comes(&b, 17, "k", "b");
    expect(&b, "");
    stream_ends(&b);
    expect(&b,
           "failed: the job is stuck: nothing runs, nothing is due, and nothing can come:\n"
           "stage 1 (Broken): 1 restriction delayed, the first until the end of time\n"
           "    its input watermark is 1970-01-01T00:00:00.005Z, held by restrictions that are delayed; its output "
           "watermark is 1970-01-01T00:00:00.005Z\n"
           "stage 2 (Work): 2 elements waiting for side inputs\n"
           "    its input watermark is 1970-01-01T00:00:00.013Z, held by elements that wait for side inputs; its "
           "output watermark is 1970-01-01T00:00:00.013Z\n"
           "    of them 2 in the window that ends at 1970-01-01T00:00:00.019Z, for side input \"side\" (\"Read.out\"), "
           "which has nothing for it yet and whose watermark is 1970-01-01T00:00:00.005Z\n");
    stream_bench_close(&b);
}
END_TEST

START_TEST(timers_are_told_with_their_times_and_that_they_hold_the_output)
{
    struct stream_bench b;

    stream_bench_init(&b, false);
    stream_bench_add_keyed(&b, 0, 2);
    b.families[1].is_processing_time = true;
    stream_bench_start(&b);
    worker_up(&b, 1);
    comes(&b, 0, "k", "v");
    sets_timer(&b, 1, 0, "k", 0, 60000, 1000);
    sets_timer(&b, 1, 1, "k", 0, 5000, TIME_MAX);
    done(&b, 1);
    watermark_is(&b, 30000);
    expect_description(
        &b,
        "stage 0 (Script): events to play\n"
        "stage 1 (Work): 1 event-time timer set, the first for 1970-01-01T00:01:00.000Z, 1 processing-time timer set, "
        "the "
        "first for 1970-01-01T00:00:05.000Z; more input to come\n"
        "    its input watermark is 1970-01-01T00:00:30.000Z, held by what \"Script\" may still put out; its output "
        "watermark is 1970-01-01T00:00:01.000Z, held by timers that are set\n");
    stream_bench_close(&b);
}
END_TEST

START_TEST(delayed_restrictions_are_told_with_their_time)
{
    struct stream_bench b;
    struct claim nothing = {0};

    stream_bench_init(&b, false);
    stream_bench_add(&b, PLAN_EXECUTABLE, "Read", 0, false)->process_transform_id = "process";
    stream_bench_start(&b);
    stage_add_residual(b.engine, &b.engine->stages[1], &nothing, element(&b, 0, "k", "v"), 7000, 4000, true);
    watermark_is(&b, TIME_MAX);
    expect_description(
        &b, "stage 0 (Script): events to play\n"
            "stage 1 (Read): 1 restriction delayed, the first until 1970-01-01T00:00:07.000Z; more input to come\n"
            "    its input watermark is 1970-01-01T00:00:04.000Z, held by restrictions that are delayed; its output "
            "watermark is 1970-01-01T00:00:04.000Z\n");
    stream_bench_close(&b);
}
END_TEST

START_TEST(groups_that_have_not_fired_hold_the_output)
{
    struct stream_bench b;

    stream_bench_init(&b, true);
    b.windowing.timestamp_combiner = OUTPUT_TIME_EARLIEST;
    stream_bench_add(&b, PLAN_GROUP_BY_KEY, "Group", 0, false);
    stream_bench_start(&b);
    comes(&b, 3, "k", "v");
    watermark_is(&b, 9);
    expect_description(&b,
                       "stage 0 (Script): events to play\n"
                       "stage 1 (Group): groups that have not fired for the last time; more input to come\n"
                       "    its input watermark is 1970-01-01T00:00:00.009Z, held by what \"Script\" may still put "
                       "out; its output watermark is 1970-01-01T00:00:00.003Z, held by groups that have not fired\n");
    stream_bench_close(&b);
}
END_TEST

START_TEST(before_anything_came_the_times_are_words)
{
    struct stream_bench b;

    stream_bench_init(&b, false);
    stream_bench_add(&b, PLAN_EXECUTABLE, "Work", 0, false);
    stream_bench_start(&b);
    expect_description(&b, "stage 0 (Script): events to play\n"
                           "stage 1 (Work): nothing waits in it; more input to come\n"
                           "    its input watermark is the beginning of time, held by what \"Script\" may still put "
                           "out; its output watermark is the beginning of time\n");
    stream_bench_close(&b);
}
END_TEST

/* What is not stuck: a worker may come, and the clock or the script may go on. */
START_TEST(a_job_that_waits_for_something_is_not_stuck)
{
    CLEANUP(freep) char *text = NULL;
    struct stream_bench b;
    struct claim nothing = {0};

    stream_bench_init(&b, false);
    stream_bench_add(&b, PLAN_FLATTEN, "Broken", 0, true);
    stream_bench_add(&b, PLAN_EXECUTABLE, "Work", 1, false)->process_transform_id = "process";
    stream_bench_start(&b);
    lose_restriction(&b, 1, 5);
    comes(&b, 13, "k", "a");
    stage_add_residual(b.engine, &b.engine->stages[2], &nothing, element(&b, 0, "k", "v"), 7000, 4000, true);
    expect(&b, "");
    stream_ends(&b); /* a worker may still come, and then the clock goes on to the restriction */
    expect(&b, "");
    worker_up(&b, 1);
    expect(&b, "2: k=a@13 ");
    done(&b, 1);
    expect(&b, "2: k=v@0 ");
    done(&b, 2);
    text = actions(&b);
    ck_assert_ptr_nonnull(strstr(text, "stuck"));
    stream_bench_close(&b);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("describe");
    TCase *tc = tcase_create("describe");

    tcase_add_test(tc, times_are_told_as_dates_and_their_ends_in_words);
    tcase_add_test(tc, elements_at_the_gate_are_told_with_the_side_input_and_the_window);
    tcase_add_test(tc, timers_are_told_with_their_times_and_that_they_hold_the_output);
    tcase_add_test(tc, delayed_restrictions_are_told_with_their_time);
    tcase_add_test(tc, groups_that_have_not_fired_hold_the_output);
    tcase_add_test(tc, before_anything_came_the_times_are_words);
    tcase_add_test(tc, a_job_that_waits_for_something_is_not_stuck);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
