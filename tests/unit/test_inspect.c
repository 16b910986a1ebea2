/* What one is told of an engine who looks at it: a stage with ten elements in one bundle. */
#include "engine/inspect.h"
#include "model/urn.h"
#include "tests/unit/split_bench.h"

static void clear_actions(struct bench *b) {
    for (struct engine_action action; engine_next_action(b->engine, &action);)
        engine_action_clear(&action);
}

static void done(struct bench *b, uint64_t bundle) {
    step(b, (struct engine_event){.type = ENGINE_EVENT_BUNDLE_DONE,
                                  .bundle = bundle,
                                  .response = xcalloc(1, sizeof(struct bundle_response))});
}

/* Bundle 2 is stage 2's and has the ten elements; worker 1 has it. */
static void begin(struct bench *b) {
    struct buf bytes = {0};

    bench_open(b);
    b->engine = engine_create(&b->plan, &(struct engine_options){.verify_commits = true});
    time_is(b, 1000);
    worker_up(b, 1);
    for (unsigned i = 0; i < 10; i++)
        add_kv(&bytes, 5, NULL, "key", "value");
    step(b, (struct engine_event){
                .type = ENGINE_EVENT_ELEMENTS, .bundle = 1, .bytes = buf_finish(&bytes), .is_last = true});
    b->now = 1200;
    done(b, 1);
    clear_actions(b);
}

static struct bundle_response *report(int64_t read_index) {
    struct bundle_response *response = xcalloc(1, sizeof(*response));

    response->metrics = arena_new_array(&response->arena, struct metric, 1);
    response->metrics[response->metric_count++] =
        (struct metric){.identity = metric_identity(urn_string(URN_METRIC_DATA_CHANNEL_READ_INDEX),
                                                    "beam:metrics:sum_int64:v1", NULL, 0),
                        .payload = metric_encode_int64(read_index)};
    return response;
}

START_TEST(before_anything_came_all_stages_wait)
{
    struct engine_inspection now;
    struct bench b;

    bench_open(&b);
    b.engine = engine_create(&b.plan, &(struct engine_options){0});
    time_is(&b, 0);
    engine_inspect(b.engine, &now);
    ck_assert_uint_eq(now.stage_count, 3);
    ck_assert_uint_eq(now.bundle_count, 0);
    ck_assert(now.stages[0].is_done);
    ck_assert_ptr_null(now.stages[0].waits_for);
    ck_assert_uint_eq(now.stages[1].elements_waiting, 1);
    ck_assert(now.stages[1].has_complete_input);
    ck_assert(!now.stages[2].has_complete_input);
    ck_assert_str_eq(now.stages[1].waits_for, "1 element waiting");
    ck_assert_str_eq(now.stages[2].waits_for, "nothing waits in it; more input to come");
    engine_inspection_clear(&now);
    bench_close(&b);
}
END_TEST

START_TEST(a_running_bundle_is_told_with_its_elements)
{
    struct engine_inspection now;
    struct bench b;

    begin(&b);
    engine_inspect(b.engine, &now);
    ck_assert(now.stages[1].is_done);
    ck_assert_uint_eq(now.stages[1].bundles_done, 1);
    ck_assert_uint_eq(now.stages[1].elements_in, 1);
    ck_assert_int_eq(now.stages[1].output_watermark, TIME_MAX);
    ck_assert_uint_eq(now.stages[2].bundles_running, 1);
    ck_assert_uint_eq(now.stages[2].elements_running, 10);
    ck_assert_uint_eq(now.stages[2].elements_waiting, 0);
    ck_assert_uint_eq(now.stages[2].elements_in, 0);
    ck_assert_int_eq(now.stages[2].input_watermark, TIME_MAX);
    ck_assert_int_eq(now.stages[2].output_watermark, TIME_MIN);
    ck_assert_uint_eq(now.bundle_count, 1);
    ck_assert_uint_eq(now.bundles[0].id, 2);
    ck_assert_uint_eq(now.bundles[0].stage, 2);
    ck_assert_uint_eq(now.bundles[0].worker, 1);
    ck_assert_uint_eq(now.bundles[0].attempt, 1);
    ck_assert_int_eq(now.bundles[0].started_ms, 1200);
    engine_inspection_clear(&now);
    bench_close(&b);
}
END_TEST

START_TEST(what_a_bundle_has_read_is_known_from_its_progress)
{
    struct engine_inspection now;
    struct bench b;

    begin(&b);
    step(&b, (struct engine_event){.type = ENGINE_EVENT_PROGRESS, .bundle = 2, .response = report(3)});
    engine_inspect(b.engine, &now);
    ck_assert_uint_eq(now.stages[2].elements_read, 4);
    engine_inspection_clear(&now);
    step(&b, (struct engine_event){.type = ENGINE_EVENT_PROGRESS, .bundle = 2, .response = report(1000)});
    engine_inspect(b.engine, &now);
    ck_assert_uint_eq(now.stages[2].elements_read, 10);
    engine_inspection_clear(&now);
    bench_close(&b);
}
END_TEST

START_TEST(attempts_that_failed_are_counted_and_their_input_waits)
{
    struct engine_inspection now;
    struct bench b;

    begin(&b);
    step(&b, (struct engine_event){.type = ENGINE_EVENT_WORKER_LOST, .worker = 1, .error = xstrdup("it died")});
    engine_inspect(b.engine, &now);
    ck_assert_uint_eq(now.retries, 1);
    ck_assert_uint_eq(now.bundle_count, 0);
    ck_assert_uint_eq(now.stages[2].bundles_failed, 1);
    ck_assert_uint_eq(now.stages[2].bundles_waiting, 1);
    ck_assert_uint_eq(now.stages[2].elements_waiting, 10);
    engine_inspection_clear(&now);
    worker_up(&b, 2);
    engine_inspect(b.engine, &now);
    ck_assert_uint_eq(now.bundle_count, 1);
    ck_assert_uint_eq(now.bundles[0].attempt, 2);
    ck_assert_uint_eq(now.bundles[0].worker, 2);
    engine_inspection_clear(&now);
    bench_close(&b);
}
END_TEST

START_TEST(looking_changes_nothing)
{
    struct engine_inspection now;
    struct engine_action action;
    struct bench b;

    begin(&b);
    engine_inspect(b.engine, &now);
    engine_inspection_clear(&now);
    ck_assert(!engine_next_action(b.engine, &action));
    bench_close(&b);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("inspect");
    TCase *tests = tcase_create("inspect");

    tcase_add_test(tests, before_anything_came_all_stages_wait);
    tcase_add_test(tests, a_running_bundle_is_told_with_its_elements);
    tcase_add_test(tests, what_a_bundle_has_read_is_known_from_its_progress);
    tcase_add_test(tests, attempts_that_failed_are_counted_and_their_input_waits);
    tcase_add_test(tests, looking_changes_nothing);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
