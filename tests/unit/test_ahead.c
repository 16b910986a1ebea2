/* Bundles that are opened ahead of their input, and how long sources without an end may run. */
#include "tests/unit/split_bench.h"

enum { WORKER = 4 };

/* impulse --> [stage 1: a splittable DoFn without an end] --> [stage 2: Work] */
static void begin(struct bench *b, int64_t open_ahead_ms, unsigned slots) {
    bench_open(b);
    b->stages[1].is_bounded = b->stages[2].is_bounded = false;
    b->stages[1].process_transform_id = "process";
    b->collections[1].is_bounded = false;
    b->windowing.window_coder = b->f.global->components[1];
    b->engine = engine_create(&b->plan, &(struct engine_options){.open_ahead_ms = open_ahead_ms});
    step(b, (struct engine_event){.type = ENGINE_EVENT_WORKER_UP, .worker = WORKER, .slots = slots});
}

/* What the engine wants, in words; bundles are numbered from 1 on. */
static void expect(struct bench *b, const char *want) {
    struct engine_action action;
    char *text = xstrdup("");

    while (engine_next_action(b->engine, &action)) {
        CLEANUP(freep) char *before = text;

        if (action.type == ENGINE_ACTION_START_BUNDLE)
            text = xasprintf("%sstart:%u ", before, action.stage);
        else if (action.type == ENGINE_ACTION_WAKE)
            text = xasprintf("%swake:%lld ", before, (long long)action.at_ms);
        else
            text = xasprintf("%s%s#%u ", before,
                             action.type == ENGINE_ACTION_SEND            ? (action.is_last ? "end" : "data")
                             : action.type == ENGINE_ACTION_SPLIT         ? "split"
                             : action.type == ENGINE_ACTION_FORGET_BUNDLE ? "forget"
                             : action.type == ENGINE_ACTION_MESSAGE       ? "message"
                                                                          : "?",
                             (unsigned)action.bundle);
        engine_action_clear(&action);
    }
    ck_assert_str_eq(text, want);
    free(text);
}

static struct slice element(void) {
    struct buf out = {0};

    windowed_value_write_header(&out, 0, NULL, 0, &PANE_NO_FIRING);
    buf_add_varint(&out, 0);
    return buf_finish(&out);
}

/* The output of the source, whole: `count` elements. */
static void put_out(struct bench *b, uint64_t bundle, unsigned count) {
    struct buf out = {0};

    for (unsigned i = 0; i < count; i++) {
        add_kv(&out, 5, NULL, "key", "value");
    }
    step(b, (struct engine_event){
                .type = ENGINE_EVENT_ELEMENTS, .bundle = bundle, .bytes = buf_finish(&out), .is_last = true});
}

/* delay_ms < 0: nothing is left. */
static void done(struct bench *b, uint64_t bundle, int64_t delay_ms) {
    struct bundle_response *response = xcalloc(1, sizeof(*response));

    if (delay_ms >= 0) {
        response->residuals = arena_new_array(&response->arena, struct residual, 1);
        response->residuals[response->residual_count++] =
            (struct residual){.element = element(), .delay_ms = delay_ms, .is_unbounded = true};
    }
    step(b, (struct engine_event){.type = ENGINE_EVENT_BUNDLE_DONE, .bundle = bundle, .response = response});
}

START_TEST(the_bundle_of_a_restriction_is_opened_a_moment_before_its_time)
{
    struct bench b;

    begin(&b, 5, 2);
    expect(&b, "start:1 data#1 end#1 wake:100 ");
    put_out(&b, 1, 0);
    done(&b, 1, 1000);
    expect(&b, "forget#1 wake:995 ");
    time_is(&b, 995);
    expect(&b, "start:1 wake:1000 ");
    time_is(&b, 1000);
    expect(&b, "data#2 end#2 wake:1100 ");
    bench_close(&b);
}
END_TEST

START_TEST(no_bundle_is_opened_ahead_where_that_is_turned_off)
{
    struct bench b;

    begin(&b, -1, 1);
    expect(&b, "start:1 data#1 end#1 wake:100 ");
    put_out(&b, 1, 0);
    done(&b, 1, 1000);
    expect(&b, "forget#1 wake:1000 ");
    time_is(&b, 1000);
    expect(&b, "start:1 data#2 end#2 wake:1100 ");
    bench_close(&b);
}
END_TEST

START_TEST(the_bundle_that_follows_is_opened_with_it_and_gets_what_is_committed)
{
    struct bench b;

    begin(&b, 5, 2);
    put_out(&b, 1, 1);
    done(&b, 1, 1000);
    expect(&b, "start:1 data#1 end#1 wake:100 forget#1 start:2 data#2 end#2 wake:995 ");
    done(&b, 2, -1);
    time_is(&b, 995);
    expect(&b, "forget#2 start:1 start:2 wake:1000 ");
    time_is(&b, 1000);
    put_out(&b, 3, 1);
    done(&b, 3, 1000);
    expect(&b, "data#3 end#3 wake:1010 forget#3 data#4 end#4 wake:1995 ");
    bench_close(&b);
}
END_TEST

START_TEST(none_is_opened_without_a_slot_for_it)
{
    struct bench b;

    begin(&b, 5, 1);
    put_out(&b, 1, 1);
    done(&b, 1, 1000);
    done(&b, 2, -1);
    time_is(&b, 995);
    expect(&b, "start:1 data#1 end#1 wake:100 forget#1 start:2 data#2 end#2 wake:995 forget#2 start:1 wake:1000 ");
    bench_close(&b);
}
END_TEST

START_TEST(a_bundle_that_was_opened_for_nothing_ends_empty_and_none_is_until_there_is_input_again)
{
    struct bench b;

    begin(&b, 5, 2);
    put_out(&b, 1, 1);
    done(&b, 1, 1000);
    done(&b, 2, -1);
    time_is(&b, 995);
    time_is(&b, 1000);
    expect(&b, "start:1 data#1 end#1 wake:100 forget#1 start:2 data#2 end#2 wake:995 forget#2 start:1 start:2 "
               "wake:1000 "
               "data#3 end#3 wake:1010 ");
    put_out(&b, 3, 0);
    done(&b, 3, 1000);
    expect(&b, "forget#3 end#4 wake:1995 ");
    done(&b, 4, -1);
    expect(&b, "forget#4 ");
    time_is(&b, 1995);
    expect(&b, "start:1 wake:2000 ");
    bench_close(&b);
}
END_TEST

START_TEST(a_bundle_that_was_opened_for_one_that_fails_ends_empty)
{
    struct bench b;

    begin(&b, 5, 2);
    put_out(&b, 1, 1);
    done(&b, 1, 1000);
    done(&b, 2, -1);
    time_is(&b, 995);
    time_is(&b, 1000);
    expect(&b, "start:1 data#1 end#1 wake:100 forget#1 start:2 data#2 end#2 wake:995 forget#2 start:1 start:2 "
               "wake:1000 "
               "data#3 end#3 wake:1010 ");
    step(&b, (struct engine_event){.type = ENGINE_EVENT_BUNDLE_FAILED, .bundle = 3, .error = xstrdup("no")});
    expect(&b, "message#0 forget#3 end#4 start:1 data#5 end#5 ");
    done(&b, 4, -1);
    expect(&b, "forget#4 ");
    bench_close(&b);
}
END_TEST

/* The harness shows output only when the bundle ends. */
static event_time cut_off_after(struct bench *b, uint64_t bundle, unsigned count, event_time now) {
    struct engine_action action;
    event_time asked = 0;

    b->now = now;
    put_out(b, bundle, count);
    done(b, bundle, 0);
    while (engine_next_action(b->engine, &action))
        engine_action_clear(&action);
    for (event_time at = now + 1; !asked && at <= now + 200; at++) {
        time_is(b, at);
        while (engine_next_action(b->engine, &action)) {
            asked = action.type == ENGINE_ACTION_SPLIT ? at - now : asked;
            engine_action_clear(&action);
        }
    }
    return asked;
}

START_TEST(a_source_is_cut_off_sooner_where_its_last_bundle_had_some_output)
{
    struct bench b;

    begin(&b, -1, 1);
    b.collections[1].consumer_count = 0; /* so that the slot is the source's */
    ck_assert_int_eq(cut_off_after(&b, 1, 0, 50), 100);
    answer(&b, 2, split_create(0, 1));
    ck_assert_int_eq(cut_off_after(&b, 2, 1, 300), 10);
    answer(&b, 3, split_create(0, 1));
    ck_assert_int_eq(cut_off_after(&b, 3, 0, 313), 20);
    answer(&b, 4, split_create(0, 1));
    ck_assert_int_eq(cut_off_after(&b, 4, 5000, 340), 40);
    bench_close(&b);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("ahead");
    TCase *tc = tcase_create("ahead");

    tcase_add_test(tc, the_bundle_of_a_restriction_is_opened_a_moment_before_its_time);
    tcase_add_test(tc, no_bundle_is_opened_ahead_where_that_is_turned_off);
    tcase_add_test(tc, the_bundle_that_follows_is_opened_with_it_and_gets_what_is_committed);
    tcase_add_test(tc, none_is_opened_without_a_slot_for_it);
    tcase_add_test(tc, a_bundle_that_was_opened_for_nothing_ends_empty_and_none_is_until_there_is_input_again);
    tcase_add_test(tc, a_bundle_that_was_opened_for_one_that_fails_ends_empty);
    tcase_add_test(tc, a_source_is_cut_off_sooner_where_its_last_bundle_had_some_output);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
