/* Input in the order of time, of a stream. */
#include "tests/unit/stream_bench.h"

static void open_bench(struct stream_bench *b, int64_t lateness, size_t families) {
    stream_bench_init(b, false);
    b->windowing.allowed_lateness_ms = lateness;
    stream_bench_add_keyed(b, 0, families)->requires_time_sorted_input = true;
    stream_bench_start(b);
    worker_up(b, 1);
}

START_TEST(elements_wait_for_the_watermark_and_come_in_order)
{
    struct stream_bench b;

    open_bench(&b, 0, 0);
    comes(&b, 7, "k", "c");
    comes(&b, 3, "k", "a");
    comes(&b, 5, "k", "b");
    expect(&b, "");
    watermark_is(&b, 5);
    expect(&b, "1: k=a@3 k=b@5 ");
    ck_assert_int_eq(b.engine->stages[1].out_watermark, 3);
    done(&b, 1);
    ck_assert_int_eq(b.engine->stages[1].out_watermark, 5);
    watermark_is(&b, 100);
    expect(&b, "1: k=c@7 ");
    done(&b, 2);
    stream_ends(&b);
    expect(&b, "done ");
    stream_bench_close(&b);
}
END_TEST

/* Of a bundle: they and the watermark behind them are seen in one step. */
START_TEST(elements_that_come_with_the_end_of_their_input_are_given)
{
    struct stream_bench b;

    stream_bench_init(&b, false);
    b.windowing.allowed_lateness_ms = 50;
    stream_bench_add(&b, PLAN_EXECUTABLE, "Make", 0, true);
    stream_bench_add_keyed(&b, 1, 0)->requires_time_sorted_input = true;
    stream_bench_start(&b);
    worker_up(&b, 1);
    comes(&b, 0, "", "");
    stream_ends(&b);
    expect(&b, "1: =@0 ");
    puts_out(&b, 1, 7, "k", "b");
    puts_out(&b, 1, 3, "k", "a");
    done(&b, 1);
    expect(&b, "2: k=a@3 k=b@7 ");
    done(&b, 2);
    expect(&b, "done ");
    stream_bench_close(&b);
}
END_TEST

START_TEST(what_is_late_within_the_allowed_lateness_is_sorted_in_and_what_is_later_is_dropped)
{
    struct stream_bench b;

    open_bench(&b, 10, 0);
    comes(&b, 20, "k", "b");
    watermark_is(&b, 25);
    comes(&b, 16, "k", "a");
    comes(&b, 14, "k", "too late");
    expect(&b, "");
    watermark_is(&b, 30);
    expect(&b, "1: k=a@16 k=b@20 ");
    done(&b, 1);
    stream_ends(&b);
    expect(&b, "done ");
    stream_bench_close(&b);
}
END_TEST

/* A timer comes between the elements before and behind it, which are the allowed lateness behind the watermark. */
START_TEST(timers_fire_between_the_elements)
{
    struct stream_bench b;

    open_bench(&b, 10, 1);
    comes(&b, 1, "k", "a");
    comes(&b, 30, "k", "c");
    watermark_is(&b, 12);
    expect(&b, "1: k=a@1 ");
    sets_timer(&b, 1, 0, "k", 1, 5, 5);
    done(&b, 1);
    expect(&b, ""); /* an element before it may still come */
    comes(&b, 4, "k", "b");
    expect(&b, "");
    watermark_is(&b, 16);
    expect(&b, "1: k=b@4 ");
    done(&b, 2);
    expect(&b, "1: k!5 ");
    done(&b, 3);
    expect(&b, "");
    stream_ends(&b);
    expect(&b, "1: k=c@30 ");
    done(&b, 4);
    expect(&b, "done ");
    stream_bench_close(&b);
}
END_TEST

START_TEST(processing_time_timers_fire_while_elements_wait)
{
    struct stream_bench b;

    open_bench(&b, 0, 1);
    b.families[0].is_processing_time = true;
    comes(&b, 1, "k", "a");
    comes(&b, 9, "k", "b");
    watermark_is(&b, 5);
    expect(&b, "1: k=a@1 ");
    sets_timer(&b, 1, 0, "k", 1, 100, TIME_MAX);
    done(&b, 1);
    expect(&b, "");
    clock_advances(&b, 100);
    expect(&b, "1: k!100 ");
    done(&b, 2);
    expect(&b, "");
    stream_ends(&b);
    expect(&b, "1: k=b@9 ");
    done(&b, 3);
    expect(&b, "done ");
    stream_bench_close(&b);
}
END_TEST

/* Of a key that is never without elements. */
START_TEST(what_was_given_is_let_go)
{
    struct account *account = account_create("test", NULL, 0);
    struct stream_bench b;
    size_t used = 0;

    open_bench(&b, 0, 0);
    b.engine->options.account = account;
    for (int i = 0; i < 1000; i++) {
        char key[] = "k";

        comes(&b, i * 2, key, "v");
        comes(&b, i * 2 + 1, key, "v");
        watermark_is(&b, i * 2);
        free(actions(&b));
        done(&b, (uint64_t)i + 1);
        if (i == 100)
            used = account_used(account);
    }
    ck_assert_uint_le(account_used(account), used);
    stream_bench_close(&b);
    account_unref(account);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("sorted_stream");
    TCase *tc = tcase_create("sorted_stream");

    tcase_add_test(tc, elements_wait_for_the_watermark_and_come_in_order);
    tcase_add_test(tc, elements_that_come_with_the_end_of_their_input_are_given);
    tcase_add_test(tc, what_is_late_within_the_allowed_lateness_is_sorted_in_and_what_is_later_is_dropped);
    tcase_add_test(tc, timers_fire_between_the_elements);
    tcase_add_test(tc, processing_time_timers_fire_while_elements_wait);
    tcase_add_test(tc, what_was_given_is_let_go);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
