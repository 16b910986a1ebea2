/* Splits by hand: a stage with ten elements in one bundle on worker 1, and worker 2 idle. */
#include "tests/unit/split_bench.h"

enum { ELEMENTS = 10 };

static unsigned count_elements(const struct bench *b, struct slice bytes) {
    struct cursor at = cursor_of(bytes.data, bytes.size);
    unsigned count = 0;

    for (; cursor_left(&at); count++)
        ck_assert_int_eq(windowed_value_skip(b->f.global, &at), CODER_OK);
    return count;
}

/* All actions as text: "start@2 data:3 data! split:50%:10 wake:500 forget ". */
static void expect(struct bench *b, const char *want) {
    char *text = xstrdup("");
    struct engine_action action;

    while (engine_next_action(b->engine, &action)) {
        CLEANUP(freep) char *before = text;

        if (action.type == ENGINE_ACTION_SEND && action.is_last)
            text = xasprintf("%sdata! ", before);
        else if (action.type == ENGINE_ACTION_SEND)
            text = xasprintf("%sdata:%u ", before, action.stage == 2 ? count_elements(b, action.bytes) : 1);
        else if (action.type == ENGINE_ACTION_START_BUNDLE)
            text = xasprintf("%sstart@%u ", before, action.worker);
        else if (action.type == ENGINE_ACTION_SPLIT)
            text = xasprintf("%ssplit:%.0f%%:%llu ", before, action.fraction * 100,
                             (unsigned long long)action.element_count);
        else if (action.type == ENGINE_ACTION_WAKE)
            text = xasprintf("%swake:%lld ", before, (long long)action.at_ms);
        else if (action.type == ENGINE_ACTION_JOB_FAILED)
            text = xasprintf("%sfailed(%s) ", before, action.error);
        else
            text = xasprintf("%s%s ", before,
                             action.type == ENGINE_ACTION_FORGET_BUNDLE ? "forget"
                             : action.type == ENGINE_ACTION_MESSAGE     ? "message"
                             : action.type == ENGINE_ACTION_JOB_DONE    ? "done"
                                                                        : "?");
        engine_action_clear(&action);
    }
    ck_assert_str_eq(text, want);
    free(text);
}

static void done(struct bench *b, uint64_t bundle) {
    step(b, (struct engine_event){.type = ENGINE_EVENT_BUNDLE_DONE,
                                  .bundle = bundle,
                                  .response = xcalloc(1, sizeof(struct bundle_response))});
}

static void fail_bundle(struct bench *b, uint64_t bundle) {
    step(b,
         (struct engine_event){.type = ENGINE_EVENT_BUNDLE_FAILED, .bundle = bundle, .error = xstrdup("ValueError")});
}

/* Bundle 2 is stage 2's, on worker 1, with `count` elements, and has run from 0 ms on; worker 2 comes and finds nothing to do. */
static void begin(struct bench *b, unsigned count, struct engine_options options) {
    struct buf bytes = {0};

    options.verify_commits = true;
    b->engine = engine_create(&b->plan, &options);
    worker_up(b, 1);
    for (unsigned i = 0; i < count; i++)
        add_kv(&bytes, 5, NULL, "key", "value");
    step(b, (struct engine_event){
                .type = ENGINE_EVENT_ELEMENTS, .bundle = 1, .bytes = buf_finish(&bytes), .is_last = true});
    done(b, 1);
    for (struct engine_action action; engine_next_action(b->engine, &action);)
        engine_action_clear(&action);
    worker_up(b, 2);
}

static void begin_split(struct bench *b, bool is_splittable) {
    bench_open(b);
    if (is_splittable)
        b->stages[2].process_transform_id = "process";
    b->stages[2].is_bounded = true;
    begin(b, ELEMENTS, (struct engine_options){0});
    expect(b, "wake:500 ");
    time_is(b, 500);
    expect(b, "split:50%:10 ");
}

static struct residual root(const char *key, int64_t delay_ms) {
    struct buf bytes = {0};

    add_kv(&bytes, 5, NULL, key, "a part");
    return (struct residual){.element = buf_finish(&bytes), .transform_id = "process", .delay_ms = delay_ms};
}

/* The element behind `last` in two parts. */
static struct bundle_split *split_inside(int64_t last, int64_t delay_ms) {
    struct bundle_split *split = split_create(last, last + 2);

    split->primaries[split->primary_count++] = root("primary", 0);
    split->residuals[split->residual_count++] = root("residual", delay_ms);
    return split;
}

static void refuse(struct bench *b, uint64_t bundle) {
    answer(b, bundle, xcalloc(1, sizeof(struct bundle_split)));
}

START_TEST(what_a_bundle_gives_back_runs_at_once_and_the_job_ends_when_all_have)
{
    struct bench b;

    begin_split(&b, false);
    answer(&b, 2, split_create(6, 7));
    /* Three elements wait, and there are two slots, of which one is free. */
    expect(&b, "start@2 data:1 data:1 data! ");
    done(&b, 3);
    expect(&b, "forget start@2 data:1 data! ");
    done(&b, 2);
    expect(&b, "forget ");
    done(&b, 4);
    expect(&b, "forget done ");
    bench_close(&b);
}
END_TEST

START_TEST(a_retry_runs_what_the_bundle_kept_and_nothing_else)
{
    struct bench b;

    begin_split(&b, false);
    answer(&b, 2, split_create(6, 7));
    expect(&b, "start@2 data:1 data:1 data! ");
    fail_bundle(&b, 2);
    expect(&b, "message forget start@1 data:7 data! ");
    bench_close(&b);
}
END_TEST

START_TEST(the_parts_of_an_element_go_to_where_they_belong)
{
    struct bench b;

    begin_split(&b, true);
    answer(&b, 2, split_inside(3, 0));
    /* 0 to 3 and the primary root stay; 5 to 9 and the residual root are shared out. */
    expect(&b, "start@2 data:3 data! ");
    fail_bundle(&b, 2);
    expect(&b, "message forget start@1 data:4 data:1 data! ");
    bench_close(&b);
}
END_TEST

START_TEST(the_parts_of_an_element_may_be_split_again)
{
    struct bench b;

    begin_split(&b, true);
    answer(&b, 2, split_inside(8, 0));
    expect(&b, "start@2 data:1 data! ");
    done(&b, 3);
    expect(&b, "forget wake:1000 ");
    time_is(&b, 1000);
    expect(&b, "split:50%:10 ");
    answer(&b, 2, split_inside(8, 0));
    expect(&b, "start@2 data:1 data! ");
    fail_bundle(&b, 2);
    expect(&b, "message forget start@1 data:9 data:1 data! ");
    bench_close(&b);
}
END_TEST

START_TEST(a_residual_waits_as_long_as_it_asks_to)
{
    struct bench b;

    begin_split(&b, true);
    answer(&b, 2, split_inside(8, 5000));
    expect(&b, "wake:1000 ");
    done(&b, 2);
    expect(&b, "forget wake:5500 ");
    time_is(&b, 5500);
    expect(&b, "start@1 data:1 data! wake:6000 ");
    bench_close(&b);
}
END_TEST

START_TEST(a_bundle_commits_once_its_split_is_answered)
{
    struct bench b;

    begin_split(&b, false);
    done(&b, 2);
    expect(&b, "wake:60500 ");
    answer(&b, 2, split_create(8, 9));
    expect(&b, "forget start@1 data:1 data! ");
    done(&b, 3);
    expect(&b, "forget done ");
    bench_close(&b);
}
END_TEST

START_TEST(a_split_that_is_never_answered_fails_the_bundle_and_leaves_its_input_whole)
{
    struct bench b;

    begin_split(&b, false);
    done(&b, 2);
    expect(&b, "wake:60500 ");
    time_is(&b, 60500);
    expect(&b, "message forget start@1 data:10 data! wake:61000 ");
    answer(&b, 2, split_create(8, 9));
    expect(&b, "");
    bench_close(&b);
}
END_TEST

START_TEST(the_answer_of_a_bundle_that_failed_counts_for_nothing)
{
    struct bench b;

    begin_split(&b, false);
    fail_bundle(&b, 2);
    expect(&b, "message forget start@1 data:10 data! wake:1000 ");
    answer(&b, 2, split_create(4, 5));
    expect(&b, "");
    bench_close(&b);
}
END_TEST

START_TEST(a_refusal_doubles_the_time_until_the_next_question)
{
    struct bench b;

    begin_split(&b, false);
    refuse(&b, 2);
    expect(&b, "wake:1500 ");
    time_is(&b, 1500);
    expect(&b, "split:50%:10 ");
    answer(&b, 2, split_create(9, 10)); /* gives nothing back either */
    expect(&b, "wake:3500 ");
    time_is(&b, 3500);
    expect(&b, "split:50%:10 ");
    answer(&b, 2, split_create(8, 9));
    expect(&b, "start@2 data:1 data! ");
    done(&b, 3);
    expect(&b, "forget wake:4000 ");
    bench_close(&b);
}
END_TEST

START_TEST(a_bundle_that_gave_everything_away_is_not_run_again)
{
    struct bench b;

    begin_split(&b, false);
    answer(&b, 2, split_create(-1, 0));
    expect(&b, "start@2 data:5 data! ");
    fail_bundle(&b, 2);
    expect(&b, "message forget start@1 data:2 data:1 data! ");
    bench_close(&b);
}
END_TEST

START_TEST(nonsense_fails_the_bundle_and_leaves_its_input_whole)
{
    static const struct {
        int64_t last, first;
    } channels[] = {{10, 11}, {3, 3}, {3, 6}, {-2, -1}, {-2, 0}, {INT64_MAX, INT64_MIN}, {INT64_MIN, INT64_MAX},
                    {3, 5}};

    for (size_t i = 0; i < ARRAY_COUNT(channels) + 5; i++) {
        struct bundle_split *split = split_inside(3, 0);
        struct bench b;

        if (i < ARRAY_COUNT(channels)) {
            bundle_split_clear(split);
            free(split);
            split = split_create(channels[i].last, channels[i].first);
        } else if (i == ARRAY_COUNT(channels)) {
            split->channels[0].transform_id = "another";
        } else if (i == ARRAY_COUNT(channels) + 1) {
            split->residuals[0].transform_id = "another";
        } else if (i == ARRAY_COUNT(channels) + 2) {
            split->primaries[0].element.size--;
        } else if (i == ARRAY_COUNT(channels) + 3) {
            split->channel_count = 0;
        } else {
            split->channels[split->channel_count++] = split->channels[0];
        }
        begin_split(&b, true);
        answer(&b, 2, split);
        expect(&b, "message forget start@1 data:10 data! wake:1000 ");
        bench_close(&b);
    }
}
END_TEST

START_TEST(an_element_that_was_not_sent_cannot_be_split)
{
    struct bench b;

    bench_open(&b);
    b.stages[2].process_transform_id = "process";
    b.stages[2].is_bounded = true;
    begin(&b, ELEMENTS, (struct engine_options){.send_window_bytes = 1, .message_bytes = 1});
    expect(&b, "wake:500 ");
    time_is(&b, 500);
    expect(&b, "split:50%:10 ");
    answer(&b, 2, split_inside(0, 0));
    expect(&b, "message forget start@1 data:1 wake:1000 ");
    bench_close(&b);
}
END_TEST

START_TEST(what_was_not_sent_and_was_given_back_is_not_sent)
{
    struct bench b;

    bench_open(&b);
    begin(&b, ELEMENTS, (struct engine_options){.send_window_bytes = 1, .message_bytes = 1});
    expect(&b, "wake:500 ");
    time_is(&b, 500);
    expect(&b, "split:50%:10 ");
    answer(&b, 2, split_create(1, 2));
    expect(&b, "start@2 data:1 ");
    for (int i = 0; i < 2; i++)
        step(&b, (struct engine_event){.type = ENGINE_EVENT_SENT, .bundle = 2, .byte_count = 1000});
    expect(&b, "data:1 data! ");
    bench_close(&b);
}
END_TEST

/* What a bundle was not given it cannot have processed: a commit would lose it. */
START_TEST(a_bundle_does_not_commit_before_it_has_all_of_its_input)
{
    struct bench b;

    bench_open(&b);
    begin(&b, ELEMENTS, (struct engine_options){.send_window_bytes = 1, .message_bytes = 1});
    expect(&b, "wake:500 ");
    done(&b, 2);
    expect(&b, "message forget start@1 data:1 ");
    bench_close(&b);
}
END_TEST

/* A harness that stops where its input was split may be done before it reads the end mark. */
START_TEST(a_bundle_commits_without_the_input_that_a_split_has_taken_away)
{
    struct bench b;

    bench_open(&b);
    begin(&b, ELEMENTS, (struct engine_options){.send_window_bytes = 1, .message_bytes = 1});
    expect(&b, "wake:500 ");
    time_is(&b, 500);
    expect(&b, "split:50%:10 ");
    done(&b, 2);
    expect(&b, "wake:60500 ");
    answer(&b, 2, split_create(0, 1));
    expect(&b, "forget start@1 data:1 start@2 data:1 ");
    bench_close(&b);
}
END_TEST

START_TEST(a_split_that_nobody_asked_for_fails_the_bundle)
{
    struct bench b;

    bench_open(&b);
    begin(&b, ELEMENTS, (struct engine_options){0});
    expect(&b, "wake:500 ");
    answer(&b, 2, split_create(3, 4));
    expect(&b, "message forget start@1 data:10 data! ");
    bench_close(&b);
}
END_TEST

START_TEST(one_element_without_a_restriction_wakes_nobody)
{
    struct bench b;

    bench_open(&b);
    begin(&b, 1, (struct engine_options){0});
    expect(&b, "");
    time_is(&b, 5000);
    expect(&b, "");
    bench_close(&b);
}
END_TEST

/* Not for an idle slot, but so that what it has done is seen; and once. */
START_TEST(a_restriction_that_may_never_end_is_checkpointed)
{
    struct bench b;

    bench_open(&b);
    b.stages[2].process_transform_id = "process";
    b.stages[2].is_bounded = false;
    begin(&b, ELEMENTS, (struct engine_options){0});
    time_is(&b, 99);
    expect(&b, "wake:100 ");
    time_is(&b, 100);
    expect(&b, "split:0%:10 ");
    answer(&b, 2, split_inside(-1, 5000));
    expect(&b, "start@2 data:5 data! wake:200 ");
    time_is(&b, 5000);
    expect(&b, "split:0%:5 wake:5100 ");
    bench_close(&b);
}
END_TEST

START_TEST(splits_can_be_turned_off)
{
    struct bench b;

    bench_open(&b);
    begin(&b, ELEMENTS, (struct engine_options){.split_after_ms = -1});
    expect(&b, "");
    time_is(&b, 5000);
    expect(&b, "");
    bench_close(&b);
}
END_TEST

START_TEST(elements_are_shared_out_over_all_idle_slots_and_the_last_one_is_not_asked_for)
{
    struct bench b;

    bench_open(&b);
    begin(&b, ELEMENTS, (struct engine_options){0});
    worker_up(&b, 3);
    worker_up(&b, 4);
    expect(&b, "wake:500 ");
    time_is(&b, 500);
    expect(&b, "split:25%:10 ");
    worker_up(&b, 5);
    time_is(&b, 600);
    expect(&b, "");
    bench_close(&b);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("split");
    TCase *tc = tcase_create("split");

    tcase_add_test(tc, what_a_bundle_gives_back_runs_at_once_and_the_job_ends_when_all_have);
    tcase_add_test(tc, a_retry_runs_what_the_bundle_kept_and_nothing_else);
    tcase_add_test(tc, the_parts_of_an_element_go_to_where_they_belong);
    tcase_add_test(tc, the_parts_of_an_element_may_be_split_again);
    tcase_add_test(tc, a_residual_waits_as_long_as_it_asks_to);
    tcase_add_test(tc, a_bundle_commits_once_its_split_is_answered);
    tcase_add_test(tc, a_split_that_is_never_answered_fails_the_bundle_and_leaves_its_input_whole);
    tcase_add_test(tc, the_answer_of_a_bundle_that_failed_counts_for_nothing);
    tcase_add_test(tc, a_refusal_doubles_the_time_until_the_next_question);
    tcase_add_test(tc, a_bundle_that_gave_everything_away_is_not_run_again);
    tcase_add_test(tc, nonsense_fails_the_bundle_and_leaves_its_input_whole);
    tcase_add_test(tc, an_element_that_was_not_sent_cannot_be_split);
    tcase_add_test(tc, what_was_not_sent_and_was_given_back_is_not_sent);
    tcase_add_test(tc, a_bundle_does_not_commit_before_it_has_all_of_its_input);
    tcase_add_test(tc, a_bundle_commits_without_the_input_that_a_split_has_taken_away);
    tcase_add_test(tc, a_split_that_nobody_asked_for_fails_the_bundle);
    tcase_add_test(tc, one_element_without_a_restriction_wakes_nobody);
    tcase_add_test(tc, a_restriction_that_may_never_end_is_checkpointed);
    tcase_add_test(tc, splits_can_be_turned_off);
    tcase_add_test(tc, elements_are_shared_out_over_all_idle_slots_and_the_last_one_is_not_asked_for);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
