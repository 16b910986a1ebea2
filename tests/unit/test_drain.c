/* Sources that stop: what has begun is truncated and finished, and nothing of it comes late. */
#include "tests/unit/stream_bench.h"

enum { TRUNCATE = 1, FLATTEN, PROCESS };

/* Script --> 0 --> [Truncate] --> 1 --> [Flatten of 0 and 1] --> 2 --> [Process] --> 3 */
static void open_bench(struct stream_bench *b, bool can_truncate) {
    static unsigned both[] = {0, 1};
    struct plan_stage *process;

    stream_bench_init(b, false);
    if (can_truncate) {
        struct plan_stage *truncate = stream_bench_add(b, PLAN_EXECUTABLE, "Truncate", 0, true);
        struct plan_stage *flatten;

        truncate->is_for_drain = true;
        truncate->drained_stage = PROCESS;
        flatten = stream_bench_add(b, PLAN_FLATTEN, "Flatten", 1, true);
        flatten->inputs = both;
        flatten->input_count = 2;
        b->collections[0].consumers = realloc(b->collections[0].consumers, 2 * sizeof(unsigned));
        b->collections[0].consumers[b->collections[0].consumer_count++] = FLATTEN;
        process = stream_bench_add(b, PLAN_EXECUTABLE, "Process", 2, true);
        process->truncate_stage = TRUNCATE;
    } else {
        process = stream_bench_add(b, PLAN_EXECUTABLE, "Process", 0, true);
    }
    process->process_transform_id = "process";
    stream_bench_start(b);
    worker_up(b, 1);
}

static void drain(struct stream_bench *b) {
    step(b, (struct engine_event){.type = ENGINE_EVENT_DRAIN});
}

/* The bundle did a part of its restriction, and will put out nothing before `hold`. */
static void gives_back(struct stream_bench *b, uint64_t bundle, const char *key, int64_t delay, event_time hold) {
    struct bundle_response *response = xcalloc(1, sizeof(*response));

    response->residuals = arena_new_array(&response->arena, struct residual, 1);
    response->residual_count = 1;
    response->residuals[0] = (struct residual){
        .element = element(b, 3, key, "rest"), .transform_id = "process", .delay_ms = delay, .is_unbounded = true};
    response->residuals[0].watermarks = arena_new_array(&response->arena, struct residual_watermark, 1);
    response->residuals[0].watermarks[0] = (struct residual_watermark){.output_id = "out", .watermark = hold};
    response->residuals[0].watermark_count = 1;
    done_with(b, bundle, response);
}

START_TEST(a_restriction_holds_the_watermark_where_it_says)
{
    struct stream_bench b;

    open_bench(&b, true);
    comes(&b, 3, "k", "v");
    expect(&b, "3: k=v@3 ");
    gives_back(&b, 1, "k", 1000, 50);
    watermark_is(&b, 100);
    ck_assert_int_eq(b.engine->watermarks[3], 50);
    clock_advances(&b, 1000);
    expect(&b, "3: k=rest@3 ");
    ck_assert_int_eq(b.engine->watermarks[3], 50);
    done(&b, 2);
    ck_assert_int_eq(b.engine->watermarks[3], 100);
    stream_ends(&b);
    expect(&b, "done ");
    stream_bench_close(&b);
}
END_TEST

START_TEST(what_waits_is_truncated_and_finished_before_the_watermark_passes_it)
{
    struct stream_bench b;

    open_bench(&b, true);
    comes(&b, 3, "k", "v");
    expect(&b, "3: k=v@3 ");
    gives_back(&b, 1, "k", 1000, 50);
    watermark_is(&b, 100);
    drain(&b);
    expect(&b, "1: k=rest@3 ");
    ck_assert_int_eq(b.engine->watermarks[3], 50);
    puts_out(&b, 2, 60, "k", "last");
    done(&b, 2);
    expect(&b, "3: k=last@60 ");
    ck_assert_int_eq(b.engine->watermarks[3], 60);
    done(&b, 3);
    expect(&b, "done ");
    stream_bench_close(&b);
}
END_TEST

START_TEST(what_runs_is_checkpointed_and_its_rest_truncated)
{
    struct stream_bench b;

    open_bench(&b, true);
    comes(&b, 3, "k", "v");
    expect(&b, "3: k=v@3 ");
    drain(&b);
    expect(&b, "split ");
    gives_back(&b, 1, "k", 0, 50);
    b.now = 1;
    step(&b, (struct engine_event){.type = ENGINE_EVENT_SPLIT,
                                   .bundle = 1,
                                   .split = xcalloc(1, sizeof(struct bundle_split))}); /* too late: refused */
    expect(&b, "1: k=rest@3 ");
    ck_assert_int_le(b.engine->watermarks[3], 50);
    done(&b, 2); /* nothing is left of it */
    expect(&b, "done ");
    stream_bench_close(&b);
}
END_TEST

START_TEST(unbounded_rests_of_an_sdk_that_cannot_truncate_are_dropped)
{
    struct stream_bench b;

    open_bench(&b, false);
    comes(&b, 3, "k", "v");
    expect(&b, "1: k=v@3 ");
    drain(&b);
    gives_back(&b, 1, "k", 0, 50);
    step(&b, (struct engine_event){
                 .type = ENGINE_EVENT_SPLIT, .bundle = 1, .split = xcalloc(1, sizeof(struct bundle_split))});
    expect(&b, "split done ");
    stream_bench_close(&b);
}
END_TEST

/* The user's truncation may leave it some work, and would do so each time it is asked. */
START_TEST(what_was_truncated_is_not_truncated_again)
{
    struct stream_bench b;

    open_bench(&b, true);
    comes(&b, 3, "k", "v");
    expect(&b, "3: k=v@3 ");
    gives_back(&b, 1, "k", 1000, 50);
    drain(&b);
    expect(&b, "1: k=rest@3 ");
    puts_out(&b, 2, 60, "k", "piece");
    done(&b, 2);
    expect(&b, "3: k=piece@60 ");
    gives_back(&b, 3, "k", 0, 70);
    expect(&b, "3: k=rest@3 ");
    done(&b, 4);
    expect(&b, "done ");
    stream_bench_close(&b);
}
END_TEST

START_TEST(what_a_lost_worker_had_before_the_drain_is_truncated)
{
    struct stream_bench b;

    open_bench(&b, true);
    comes(&b, 3, "k", "v");
    expect(&b, "3: k=v@3 ");
    drain(&b);
    expect(&b, "split ");
    step(&b, (struct engine_event){.type = ENGINE_EVENT_WORKER_LOST, .worker = 1});
    worker_up(&b, 2);
    expect(&b, "3: k=v@3 ");
    gives_back(&b, 2, "k", 0, 50);
    expect(&b, "1: k=rest@3 ");
    done(&b, 3);
    expect(&b, "done ");
    stream_bench_close(&b);
}
END_TEST

/* A restriction that the checkpointed bundle was sent and has not begun. */
START_TEST(what_a_checkpoint_cuts_off_is_truncated)
{
    struct stream_bench b;
    struct bundle_split *split = xcalloc(1, sizeof(*split));
    struct slice one, other;
    struct buf both = {0};

    open_bench(&b, true);
    b.engine->options.stream_bundle_bytes = 1000; /* so that both are in one bundle */
    one = element(&b, 2, "b", "v");
    other = element(&b, 3, "c", "v");
    buf_add(&both, one.data, one.size);
    buf_add(&both, other.data, other.size);
    slice_unref(&one);
    slice_unref(&other);
    play(&b, (struct plan_test_event){.kind = PLAN_TEST_ELEMENTS, .elements = buf_finish(&both), .element_count = 2});
    expect(&b, "3: b=v@2 c=v@3 ");
    drain(&b);
    expect(&b, "split ");
    split->channels = arena_new_array(&split->arena, struct channel_split, 1);
    split->channels[split->channel_count++] =
        (struct channel_split){.last_primary_element = 0, .first_residual_element = 1};
    step(&b, (struct engine_event){.type = ENGINE_EVENT_SPLIT, .bundle = 1, .split = split});
    done(&b, 1);
    expect(&b, "1: c=v@3 ");
    done(&b, 2);
    expect(&b, "done ");
    stream_bench_close(&b);
}
END_TEST

START_TEST(draining_twice_is_draining_once)
{
    struct stream_bench b;

    open_bench(&b, true);
    comes(&b, 3, "k", "v");
    expect(&b, "3: k=v@3 ");
    gives_back(&b, 1, "k", 1000, 50);
    drain(&b);
    drain(&b);
    expect(&b, "1: k=rest@3 ");
    done(&b, 2);
    expect(&b, "done ");
    stream_bench_close(&b);
}
END_TEST

/* What waits for a side input is not yet in the stage's queue. */
START_TEST(a_stage_that_truncates_waits_for_restrictions_at_the_gate)
{
    struct stream_bench b;

    stream_bench_init(&b, false);
    stream_bench_add(&b, PLAN_EXECUTABLE, "Truncate", 0, true);
    b.stages[1].is_for_drain = true;
    b.stages[1].drained_stage = 2;
    stream_bench_add(&b, PLAN_EXECUTABLE, "Process", 1, true);
    b.stages[2].truncate_stage = 1;
    b.stages[2].process_transform_id = "process";
    b.side = (struct plan_side_input){.local_name = "side", .collection = 0};
    b.stages[2].side_inputs = &b.side;
    b.stages[2].side_input_count = 1;
    b.collections[0].side_consumers = &b.indices[2];
    b.collections[0].side_consumer_count = 1;
    stream_bench_start(&b);
    b.engine->is_draining = true; /* Truncate is given what comes */
    worker_up(&b, 1);
    comes(&b, 3, "k", "v");
    expect(&b, "1: k=v@3 ");
    puts_out(&b, 1, 3, "k", "v");
    b.engine->views.items[0]->watermark = TIME_MIN;
    done(&b, 1);
    ck_assert(!b.engine->stages[1].is_done);
    stream_ends(&b);
    expect(&b, "2: k=v@3 ");
    ck_assert(!b.engine->stages[1].is_done);
    done(&b, 2);
    expect(&b, "done ");
    stream_bench_close(&b);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("drain");
    TCase *tc = tcase_create("drain");

    tcase_add_test(tc, a_restriction_holds_the_watermark_where_it_says);
    tcase_add_test(tc, what_waits_is_truncated_and_finished_before_the_watermark_passes_it);
    tcase_add_test(tc, what_runs_is_checkpointed_and_its_rest_truncated);
    tcase_add_test(tc, unbounded_rests_of_an_sdk_that_cannot_truncate_are_dropped);
    tcase_add_test(tc, what_was_truncated_is_not_truncated_again);
    tcase_add_test(tc, what_a_lost_worker_had_before_the_drain_is_truncated);
    tcase_add_test(tc, what_a_checkpoint_cuts_off_is_truncated);
    tcase_add_test(tc, draining_twice_is_draining_once);
    tcase_add_test(tc, a_stage_that_truncates_waits_for_restrictions_at_the_gate);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
