/* How far the event time of streaming stages comes, and what keeps it back (MODEL 3). */
#include "tests/unit/stream_bench.h"

static event_time input_of(const struct stream_bench *b, unsigned stage) {
    return b->engine->stages[stage].in_watermark;
}

static event_time output_of(const struct stream_bench *b, unsigned stage) {
    return b->engine->stages[stage].out_watermark;
}

START_TEST(it_follows_the_producer_and_what_is_in_hand_keeps_it_back)
{
    struct stream_bench b;

    stream_bench_init(&b, false);
    stream_bench_add(&b, PLAN_EXECUTABLE, "First", 0, true);
    stream_bench_add(&b, PLAN_EXECUTABLE, "Second", 1, false);
    stream_bench_start(&b);
    ck_assert_int_eq(input_of(&b, 1), TIME_MIN);
    watermark_is(&b, 10);
    ck_assert_int_eq(input_of(&b, 1), 10);
    ck_assert_int_eq(input_of(&b, 2), 10); /* in one step */
    comes(&b, 12, "k", "v");
    worker_up(&b, 1);
    expect(&b, "1: k=v@12 ");
    b.engine->watermarks[0] = 50;
    ck_assert_int_eq(output_of(&b, 1), 10);
    puts_out(&b, 1, 30, "k", "out");
    done(&b, 1);
    expect(&b, "2: k=out@30 ");
    watermark_is(&b, 50);
    ck_assert_int_eq(output_of(&b, 2), 10); /* the script waits until nothing runs */
    done(&b, 2);
    ck_assert_int_eq(output_of(&b, 2), 50);
    stream_bench_close(&b);
}
END_TEST

START_TEST(a_failed_bundle_keeps_it_back_until_it_has_run_again)
{
    struct stream_bench b;

    stream_bench_init(&b, false);
    stream_bench_add(&b, PLAN_EXECUTABLE, "Work", 0, false);
    stream_bench_start(&b);
    comes(&b, 5, "k", "v");
    worker_up(&b, 1);
    expect(&b, "1: k=v@5 ");
    step(&b, (struct engine_event){.type = ENGINE_EVENT_WORKER_LOST, .worker = 1});
    watermark_is(&b, 50);
    ck_assert_int_le(output_of(&b, 1), 5);
    worker_up(&b, 2);
    expect(&b, "1: k=v@5 ");
    ck_assert_int_le(output_of(&b, 1), 5);
    done(&b, 2);
    ck_assert_int_eq(output_of(&b, 1), 50);
    stream_bench_close(&b);
}
END_TEST

START_TEST(it_never_goes_back_for_what_is_late)
{
    struct stream_bench b;

    stream_bench_init(&b, false);
    stream_bench_add(&b, PLAN_EXECUTABLE, "Work", 0, false);
    stream_bench_start(&b);
    watermark_is(&b, 50);
    comes(&b, 5, "k", "late");
    ck_assert_int_eq(input_of(&b, 1), 50);
    ck_assert_int_eq(output_of(&b, 1), 50);
    stream_bench_close(&b);
}
END_TEST

/* From the commit that sets it until the commit of the bundle that fires it. */
START_TEST(a_timer_holds_the_output_until_what_it_fired_is_committed)
{
    struct stream_bench b;

    stream_bench_init(&b, false);
    stream_bench_add_keyed(&b, 0, 1);
    stream_bench_start(&b);
    worker_up(&b, 1);
    comes(&b, 5, "k", "v");
    sets_timer(&b, 1, 0, "k", 5, 40, 20);
    done(&b, 1);
    expect(&b, "1: k=v@5 ");
    watermark_is(&b, 40);
    expect(&b, ""); /* not yet past it */
    ck_assert_int_eq(input_of(&b, 1), 40);
    ck_assert_int_eq(output_of(&b, 1), 20);
    watermark_is(&b, 41);
    expect(&b, "1: k!40 ");
    ck_assert_int_eq(output_of(&b, 1), 20);
    done(&b, 2);
    ck_assert_int_eq(output_of(&b, 1), 41);
    stream_ends(&b);
    expect(&b, "done ");
    stream_bench_close(&b);
}
END_TEST

START_TEST(windows_expire_one_after_the_other_and_hold_the_output_till_then)
{
    struct stream_bench b;

    stream_bench_init(&b, true);
    b.windowing.allowed_lateness_ms = 5;
    stream_bench_add_keyed(&b, 0, 1);
    b.families[0].is_window_expiration = true;
    stream_bench_start(&b);
    worker_up(&b, 1);
    comes(&b, 13, "k", "second");
    done(&b, 1);
    comes(&b, 3, "k", "first");
    done(&b, 2);
    free(actions(&b));
    watermark_is(&b, 14); /* the first is gone behind 9 + 5 */
    expect(&b, "");
    ck_assert_int_eq(output_of(&b, 1), 9);
    watermark_is(&b, 15);
    expect(&b, "1: k!9 ");
    ck_assert_int_eq(output_of(&b, 1), 9);
    done(&b, 3);
    ck_assert_int_eq(output_of(&b, 1), 15);
    ck_assert_uint_eq(b.engine->stages[1].shards[0].seen.count, 1);
    stream_ends(&b);
    expect(&b, "1: k!19 ");
    done(&b, 4);
    expect(&b, "done ");
    stream_bench_close(&b);
}
END_TEST

START_TEST(elements_behind_their_window_are_dropped_and_counted)
{
    struct metric_table tables[2];
    struct stream_bench b;

    stream_bench_init(&b, true);
    stream_bench_add_keyed(&b, 0, 0);
    stream_bench_start(&b);
    worker_up(&b, 1);
    watermark_is(&b, 9);
    comes(&b, 3, "k", "late");
    expect(&b, "1: k=late@3 ");
    done(&b, 1);
    watermark_is(&b, 10);
    comes(&b, 3, "k", "too late");
    expect(&b, "");
    ck_assert_uint_eq(b.engine->stages[1].dropped, 1);
    engine_copy_metrics(b.engine, &tables[0], &tables[1]);
    ck_assert_uint_eq(tables[1].by_identity.count, 1);
    metric_table_clear(&tables[0]);
    metric_table_clear(&tables[1]);
    stream_bench_close(&b);
}
END_TEST

/* A timer that sets itself again and again leaves elements their turn, and the other way round. */
START_TEST(timers_and_elements_take_turns)
{
    struct run run = {.count = 1};
    struct stream_bench b;

    stream_bench_init(&b, false);
    stream_bench_add_keyed(&b, 0, 1);
    stream_bench_start(&b);
    worker_up(&b, 1);
    watermark_is(&b, 100);
    comes(&b, 200, "k", "a");
    expect(&b, "1: k=a@200 ");
    run.bytes = element(&b, 200, "k", "b");
    engine_deliver(b.engine, 0, &run);
    run_clear(&run);
    sets_timer(&b, 1, 0, "k", 5, 50, TIME_MAX);
    done(&b, 1);
    expect(&b, "1: k=b@200 ");
    run = (struct run){.bytes = element(&b, 200, "k", "c"), .count = 1};
    engine_deliver(b.engine, 0, &run);
    run_clear(&run);
    done(&b, 2);
    expect(&b, "1: k!50 ");
    sets_timer(&b, 3, 0, "k", 5, 50, TIME_MAX);
    done(&b, 3);
    expect(&b, "1: k=c@200 ");
    done(&b, 4);
    expect(&b, "1: k!50 ");
    stream_bench_close(&b);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("watermark");
    TCase *tc = tcase_create("watermark");

    tcase_add_test(tc, it_follows_the_producer_and_what_is_in_hand_keeps_it_back);
    tcase_add_test(tc, a_failed_bundle_keeps_it_back_until_it_has_run_again);
    tcase_add_test(tc, it_never_goes_back_for_what_is_late);
    tcase_add_test(tc, a_timer_holds_the_output_until_what_it_fired_is_committed);
    tcase_add_test(tc, windows_expire_one_after_the_other_and_hold_the_output_till_then);
    tcase_add_test(tc, elements_behind_their_window_are_dropped_and_counted);
    tcase_add_test(tc, timers_and_elements_take_turns);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
