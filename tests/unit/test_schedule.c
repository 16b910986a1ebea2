/* Who gets the one slot of a stream. */
#include "tests/unit/stream_bench.h"

/* The bundle did a part of its restriction and wants to go on at once. */
static void goes_on(struct stream_bench *b, uint64_t bundle, const char *key) {
    struct bundle_response *response = xcalloc(1, sizeof(*response));

    response->residuals = arena_new_array(&response->arena, struct residual, 1);
    response->residual_count = 1;
    response->residuals[0] =
        (struct residual){.element = element(b, 3, key, "rest"), .transform_id = "process", .is_unbounded = true};
    done_with(b, bundle, response);
}

START_TEST(sources_that_never_end_take_turns)
{
    struct stream_bench b;

    stream_bench_init(&b, false);
    stream_bench_add(&b, PLAN_EXECUTABLE, "Left", 0, false)->process_transform_id = "process";
    stream_bench_add(&b, PLAN_EXECUTABLE, "Right", 0, false)->process_transform_id = "process";
    stream_bench_start(&b);
    worker_up(&b, 1);
    comes(&b, 3, "k", "v");
    expect(&b, "2: k=v@3 ");
    goes_on(&b, 1, "k");
    expect(&b, "1: k=v@3 ");
    goes_on(&b, 2, "k");
    expect(&b, "2: k=rest@3 ");
    goes_on(&b, 3, "k");
    expect(&b, "1: k=rest@3 ");
    stream_bench_close(&b);
}
END_TEST

static void refuse_split(struct stream_bench *b, uint64_t bundle) {
    step(b, (struct engine_event){
                .type = ENGINE_EVENT_SPLIT, .bundle = bundle, .split = xcalloc(1, sizeof(struct bundle_split))});
}

START_TEST(a_restriction_is_checkpointed_after_a_while_and_sooner_once_there_is_output)
{
    struct stream_bench b;

    stream_bench_init(&b, false);
    stream_bench_add(&b, PLAN_EXECUTABLE, "Read", 0, true)->process_transform_id = "process";
    stream_bench_start(&b);
    worker_up(&b, 1);
    comes(&b, 3, "k", "v");
    expect(&b, "1: k=v@3 ");
    time_is(&b, 99);
    expect(&b, "");
    time_is(&b, 100);
    expect(&b, "split ");
    time_is(&b, 1000);
    expect(&b, ""); /* not answered */
    refuse_split(&b, 1);
    time_is(&b, 1199);
    expect(&b, ""); /* a refusal doubles the time */
    time_is(&b, 1200);
    expect(&b, "split ");
    refuse_split(&b, 1);
    puts_out(&b, 1, 5, "k", "out");
    expect(&b, "split ");
    stream_bench_close(&b);
}
END_TEST

START_TEST(what_a_source_has_put_out_comes_before_more_of_it)
{
    struct stream_bench b;

    stream_bench_init(&b, false);
    stream_bench_add(&b, PLAN_EXECUTABLE, "Work", 0, false);
    stream_bench_add(&b, PLAN_EXECUTABLE, "Read", 0, false)->process_transform_id = "process";
    stream_bench_start(&b);
    comes(&b, 3, "k", "v");
    worker_up(&b, 1);
    expect(&b, "1: k=v@3 ");
    done(&b, 1);
    expect(&b, "2: k=v@3 ");
    stream_bench_close(&b);
}
END_TEST

START_TEST(a_few_elements_are_one_bundle_and_many_are_shared_out)
{
    struct stream_bench b;
    CLEANUP(freep) char *few = NULL;

    stream_bench_init(&b, false);
    stream_bench_add(&b, PLAN_EXECUTABLE, "Work", 0, false);
    stream_bench_start(&b);
    for (int i = 0; i < 3; i++) {
        struct run run = {.bytes = element(&b, i, "k", "v"), .count = 1};

        engine_deliver(b.engine, 0, &run);
        run_clear(&run);
    }
    step(&b, (struct engine_event){.type = ENGINE_EVENT_WORKER_UP, .worker = 1, .slots = 4});
    few = actions(&b);
    ck_assert_str_eq(few, "1: k=v@0 k=v@1 k=v@2 ");
    done(&b, 1);
    for (int i = 0; i < 1000; i++) {
        struct run run = {.bytes = element(&b, i, "k", "v"), .count = 1};

        engine_deliver(b.engine, 0, &run);
        run_clear(&run);
    }
    time_is(&b, 1);
    ck_assert_uint_eq(b.engine->running.count, 4);
    vec_foreach (bundle, &b.engine->running)
        ck_assert_uint_le((*bundle)->claim->count, 300);
    stream_bench_close(&b);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("schedule");
    TCase *tc = tcase_create("schedule");

    tcase_add_test(tc, sources_that_never_end_take_turns);
    tcase_add_test(tc, what_a_source_has_put_out_comes_before_more_of_it);
    tcase_add_test(tc, a_few_elements_are_one_bundle_and_many_are_shared_out);
    tcase_add_test(tc, a_restriction_is_checkpointed_after_a_while_and_sooner_once_there_is_output);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
