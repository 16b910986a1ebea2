/* Elements that wait for side inputs that change, and what their readers find in there. */
#include "engine/gate.h"

#include "engine/liveview.h"
#include "tests/unit/stream_bench.h"

/* The stage reads its own input as side input as well. */
static void reads_its_input(struct stream_bench *b, struct plan_stage *stage) {
    struct plan_collection *collection = &b->collections[stage->inputs[0]];

    b->side = (struct plan_side_input){
        .transform_id = "work", .local_name = "side", .collection = stage->inputs[0], .access = PLAN_ACCESS_ITERABLE};
    stage->side_inputs = &b->side;
    stage->side_input_count = 1;
    collection->side_consumers = &b->indices[stage->index];
    collection->side_consumer_count = 1;
}

static void open_bench(struct stream_bench *b, bool is_windowed) {
    stream_bench_init(b, is_windowed);
    reads_its_input(b, stream_bench_add(b, PLAN_EXECUTABLE, "Work", 0, false));
    stream_bench_start(b);
    worker_up(b, 1);
}

static uint64_t waiting(const struct stream_bench *b) {
    return gate_count(b->engine->stages[1].gate);
}

/* The elements in the window of this time, -1: nothing was ever there. */
static int64_t count_in(const struct stream_bench *b, event_time timestamp) {
    struct buf window = {0};
    const struct snapshot *snapshot;
    const struct chain *chain;
    struct slice bytes;

    window_of(b, timestamp, &window);
    bytes = slice_of_static(buf_data(&window), window.size);
    snapshot = live_view_find(b->engine->views.items[0]->live, bytes);
    chain = snapshot ? view_elements(&snapshot->view, bytes, SLICE_EMPTY) : NULL;
    buf_clear(&window);
    return snapshot ? (chain ? (int64_t)chain->bytes : 0) : -1;
}

START_TEST(elements_wait_until_the_window_that_they_read_has_fired)
{
    struct stream_bench b;

    open_bench(&b, true);
    comes(&b, 3, "k", "a");
    comes(&b, 14, "k", "c");
    comes(&b, 5, "k", "b");
    expect(&b, "");
    ck_assert_uint_eq(waiting(&b), 3);
    watermark_is(&b, 9);
    expect(&b, "");
    ck_assert_int_eq(b.engine->stages[1].in_watermark, 3); /* what waits is pending */
    watermark_is(&b, 10);
    expect(&b, "1: k=a@3 k=b@5 ");
    ck_assert_uint_eq(waiting(&b), 1);
    ck_assert_int_eq(b.engine->stages[1].out_watermark, 3);
    done(&b, 1);
    ck_assert_int_eq(b.engine->stages[1].out_watermark, 10);
    stream_ends(&b);
    expect(&b, "1: k=c@14 ");
    done(&b, 2);
    expect(&b, "done ");
    stream_bench_close(&b);
}
END_TEST

START_TEST(an_element_goes_on_in_its_windows_that_are_ready_and_waits_in_the_others)
{
    struct stream_bench b;
    struct buf windows = {0}, bytes = {0};
    struct windowed_value both;
    struct slice one;
    struct cursor at;

    open_bench(&b, true);
    comes(&b, 1, "k", "a");
    watermark_is(&b, 10);
    expect(&b, "1: k=a@1 ");
    done(&b, 1);
    window_of(&b, 8, &windows);
    window_of(&b, 18, &windows);
    one = element(&b, 8, "k", "b");
    at = cursor_of(one.data, one.size);
    ck_assert_int_eq(windowed_value_read(b.f.interval, &at, &both), CODER_OK);
    both.window_count = 2;
    both.windows = cursor_of(buf_data(&windows), windows.size);
    windowed_value_write(&bytes, &both);
    slice_unref(&one);
    buf_clear(&windows);
    play(&b, (struct plan_test_event){.kind = PLAN_TEST_ELEMENTS, .elements = buf_finish(&bytes), .element_count = 1});
    ck_assert_uint_eq(waiting(&b), 1);
    expect(&b, "1: k=b@8 ");
    done(&b, 2);
    watermark_is(&b, 20);
    expect(&b, "1: k=b@8 ");
    done(&b, 3);
    stream_ends(&b);
    expect(&b, "done ");
    stream_bench_close(&b);
}
END_TEST

START_TEST(a_window_without_elements_is_ready_once_none_can_come)
{
    struct stream_bench b;

    open_bench(&b, true);
    b.trigger.kind = TRIGGER_NEVER;
    comes(&b, 3, "k", "a");
    watermark_is(&b, 9);
    expect(&b, "");
    watermark_is(&b, 10);
    expect(&b, "1: k=a@3 ");
    done(&b, 1);
    stream_ends(&b);
    expect(&b, "done ");
    stream_bench_close(&b);
}
END_TEST

/* Two runs of one bundle: the first makes the window ready for both. */
START_TEST(an_element_does_not_overtake_those_that_wait_in_its_window)
{
    struct trigger each = {.kind = TRIGGER_ALWAYS};
    struct stream_bench b;

    stream_bench_init(&b, false);
    b.windowing.trigger = &each;
    stream_bench_add(&b, PLAN_EXECUTABLE, "Make", 0, true);
    reads_its_input(&b, stream_bench_add_keyed(&b, 1, 0));
    stream_bench_start(&b);
    worker_up(&b, 1);
    comes(&b, 0, "", "");
    expect(&b, "1: =@0 ");
    puts_out(&b, 1, 1, "k", "a");
    puts_out(&b, 1, 2, "k", "b");
    done(&b, 1);
    expect(&b, "2: k=a@1 k=b@2 ");
    done(&b, 2);
    stream_ends(&b);
    expect(&b, "done ");
    stream_bench_close(&b);
}
END_TEST

START_TEST(a_later_pane_takes_the_place_of_the_one_before)
{
    struct trigger each = {.kind = TRIGGER_ALWAYS};
    struct stream_bench b;
    int64_t one;

    stream_bench_init(&b, false);
    b.windowing.trigger = &each;
    reads_its_input(&b, stream_bench_add(&b, PLAN_EXECUTABLE, "Work", 0, false));
    stream_bench_start(&b);
    ck_assert_int_eq(count_in(&b, 0), -1);
    comes(&b, 1, "k", "a");
    one = count_in(&b, 0);
    ck_assert_int_gt(one, 0);
    comes(&b, 2, "k", "b");
    ck_assert_int_eq(count_in(&b, 0), one);
    stream_bench_close(&b);
}
END_TEST

START_TEST(windows_that_no_element_can_read_any_more_are_forgotten)
{
    struct stream_bench b;

    open_bench(&b, true);
    comes(&b, 3, "k", "a");
    watermark_is(&b, 10);
    ck_assert_int_gt(count_in(&b, 3), 0);
    done(&b, 1);
    ck_assert_int_eq(count_in(&b, 3), -1);
    stream_bench_close(&b);
}
END_TEST

/* A window is read in again by its timers and by @OnWindowExpiration. */
START_TEST(windows_are_kept_until_nothing_of_them_is_left_to_fire)
{
    struct stream_bench b;
    struct plan_stage *stage;

    stream_bench_init(&b, true);
    stage = stream_bench_add_keyed(&b, 0, 1);
    b.families[0].is_window_expiration = true;
    reads_its_input(&b, stage);
    stream_bench_start(&b);
    worker_up(&b, 1);
    comes(&b, 3, "k", "a");
    watermark_is(&b, 10);
    expect(&b, "1: k=a@3 ");
    done(&b, 1);
    expect(&b, "1: k!9 ");
    watermark_is(&b, 30);
    ck_assert_int_gt(count_in(&b, 3), 0);
    done(&b, 2);
    ck_assert_int_eq(count_in(&b, 3), -1);
    stream_bench_close(&b);
}
END_TEST

START_TEST(the_global_window_is_kept_until_its_reader_is_done)
{
    struct stream_bench b;

    stream_bench_init(&b, false);
    reads_its_input(&b, stream_bench_add_keyed(&b, 0, 1));
    stream_bench_start(&b);
    worker_up(&b, 1);
    comes(&b, 3, "k", "a");
    stream_ends(&b);
    expect(&b, "1: k=a@3 ");
    sets_timer(&b, 1, 0, "k", 3, 50, 50);
    done(&b, 1);
    expect(&b, "1: k!50 ");
    ck_assert_int_gt(count_in(&b, 3), 0);
    done(&b, 2);
    expect(&b, "done ");
    stream_bench_close(&b);
}
END_TEST

/* The watermark must not pass them, or they would be dropped as late. */
START_TEST(what_is_stored_is_waited_for)
{
    struct stream_bench b;
    struct slice bytes;
    struct run run = {.count = 1, .least_ms = 3, .has_least = true};

    open_bench(&b, true);
    bytes = element(&b, 3, "k", "a");
    run.extent = extent_create(b.engine, &bytes, 1);
    engine_deliver(b.engine, 0, &run);
    run_clear(&run);
    ck_assert_uint_eq(b.engine->store.fetches.count, 2); /* for the stage and for its side input */
    b.engine->watermarks[0] = 100;
    ck_assert_int_eq(view_watermark(b.engine, b.engine->views.items[0]), 3);
    watermark_move_input(b.engine, &b.engine->stages[1]);
    ck_assert_int_eq(b.engine->stages[1].in_watermark, 3);
    stream_bench_close(&b);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("gate");
    TCase *tc = tcase_create("gate");

    tcase_add_test(tc, elements_wait_until_the_window_that_they_read_has_fired);
    tcase_add_test(tc, an_element_goes_on_in_its_windows_that_are_ready_and_waits_in_the_others);
    tcase_add_test(tc, a_window_without_elements_is_ready_once_none_can_come);
    tcase_add_test(tc, an_element_does_not_overtake_those_that_wait_in_its_window);
    tcase_add_test(tc, a_later_pane_takes_the_place_of_the_one_before);
    tcase_add_test(tc, windows_that_no_element_can_read_any_more_are_forgotten);
    tcase_add_test(tc, windows_are_kept_until_nothing_of_them_is_left_to_fire);
    tcase_add_test(tc, the_global_window_is_kept_until_its_reader_is_done);
    tcase_add_test(tc, what_is_stored_is_waited_for);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
