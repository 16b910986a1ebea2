/* When the script of a TestStream goes on, and how it moves the clock (MODEL 11.1, 11.4). */
#include "tests/unit/stream_bench.h"

static void append(struct stream_bench *b, struct plan_test_event event) {
    ck_assert_int_eq(test_stream_append(b->engine->streams[0], &event, NULL), 0);
}

static void append_element(struct stream_bench *b, event_time timestamp, const char *value) {
    append(b, (struct plan_test_event){
                  .kind = PLAN_TEST_ELEMENTS, .elements = element(b, timestamp, "k", value), .element_count = 1});
}

START_TEST(the_next_event_waits_until_what_the_last_one_brought_is_done)
{
    struct stream_bench b;

    stream_bench_init(&b, false);
    stream_bench_add(&b, PLAN_EXECUTABLE, "Work", 0, false);
    stream_bench_start(&b);
    append_element(&b, 1, "a");
    append_element(&b, 2, "b");
    worker_up(&b, 1);
    expect(&b, "1: k=a@1 ");
    time_is(&b, 1000000);
    expect(&b, "");
    done(&b, 1);
    expect(&b, "1: k=b@2 ");
    done(&b, 2);
    expect(&b, "");
    stream_ends(&b);
    expect(&b, "done ");
    stream_bench_close(&b);
}
END_TEST

START_TEST(without_a_worker_the_script_waits_and_the_job_is_not_stuck)
{
    struct stream_bench b;

    stream_bench_init(&b, false);
    stream_bench_add(&b, PLAN_EXECUTABLE, "Work", 0, false);
    stream_bench_start(&b);
    append_element(&b, 1, "a");
    append_element(&b, 2, "b");
    stream_ends(&b);
    expect(&b, "");
    ck_assert_uint_eq(b.engine->stages[1].queue.count, 1);
    worker_up(&b, 1);
    done(&b, 1);
    done(&b, 2);
    expect(&b, "1: k=a@1 1: k=b@2 done ");
    stream_bench_close(&b);
}
END_TEST

/* Harnesses have no clock but their own: what they set lies as far from it as from the script's (MODEL 11.4). */
START_TEST(only_the_script_moves_processing_time)
{
    struct stream_bench b;

    stream_bench_init(&b, false);
    stream_bench_add_keyed(&b, 0, 1);
    b.families[0].is_processing_time = true;
    stream_bench_start(&b);
    b.now = 1700000000000;
    worker_up(&b, 1);
    comes(&b, 1, "k", "a");
    expect(&b, "1: k=a@1 ");
    sets_timer(&b, 1, 0, "k", 1, b.now + 1000, TIME_MAX);
    done(&b, 1);
    time_is(&b, b.now + 5000);
    expect(&b, "");
    ck_assert_int_eq(engine_clock(b.engine), 0);
    clock_advances(&b, 999);
    expect(&b, "");
    clock_advances(&b, 1);
    expect(&b, "1: k!1700000001000 "); /* as it came */
    done(&b, 2);
    stream_ends(&b);
    expect(&b, "done ");
    stream_bench_close(&b);
}
END_TEST

START_TEST(behind_its_end_the_clock_goes_to_whatever_is_due)
{
    struct stream_bench b;

    stream_bench_init(&b, false);
    stream_bench_add_keyed(&b, 0, 1);
    b.families[0].is_processing_time = true;
    stream_bench_start(&b);
    worker_up(&b, 1);
    comes(&b, 1, "k", "a");
    sets_timer(&b, 1, 0, "k", 1, 60000, TIME_MAX);
    done(&b, 1);
    expect(&b, "1: k=a@1 ");
    stream_ends(&b);
    expect(&b, "1: k!60000 ");
    ck_assert_int_eq(engine_clock(b.engine), 60000);
    done(&b, 2);
    expect(&b, "done ");
    stream_bench_close(&b);
}
END_TEST

START_TEST(what_is_being_read_back_is_waited_for)
{
    struct stream_bench b;
    struct slice bytes;
    struct run run = {.count = 1, .least_ms = 3, .has_least = true};

    stream_bench_init(&b, false);
    stream_bench_add_keyed(&b, 0, 0);
    stream_bench_start(&b);
    bytes = element(&b, 3, "k", "a");
    run.extent = extent_create(b.engine, &bytes, 1);
    engine_deliver(b.engine, 0, &run);
    run_clear(&run);
    watermark_is(&b, 100);
    ck_assert_int_eq(test_stream_watermark(b.engine->streams[0], 0), TIME_MIN);
    stream_bench_close(&b);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("quiescence");
    TCase *tc = tcase_create("quiescence");

    tcase_add_test(tc, the_next_event_waits_until_what_the_last_one_brought_is_done);
    tcase_add_test(tc, without_a_worker_the_script_waits_and_the_job_is_not_stuck);
    tcase_add_test(tc, only_the_script_moves_processing_time);
    tcase_add_test(tc, behind_its_end_the_clock_goes_to_whatever_is_due);
    tcase_add_test(tc, what_is_being_read_back_is_waited_for);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
