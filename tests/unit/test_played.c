/* A TestStream whose events come from outside: test stream --> [stage 1]. */
#include "engine/engine.h"

#include "tests/unit/fixtures.h"

struct bench {
    struct fixture f;
    struct plan plan;
    struct plan_stage stages[2];
    struct plan_collection collection;
    struct windowing windowing;
    struct plan_environment environment;
    unsigned index, consumer;
    struct engine *engine;
};

static struct bench b;

static void setup(void) {
    static const char *const tags[] = {"out"};
    static const struct trigger by_default = {.kind = TRIGGER_DEFAULT};

    b = (struct bench){.f = fixture_create(), .consumer = 1, .windowing.trigger = &by_default};
    b.collection = (struct plan_collection){
        .name = "events", .coder = b.f.global, .producer = 0, .consumers = &b.consumer, .consumer_count = 1};
    b.stages[0] = (struct plan_stage){
        .index = 0,
        .kind = PLAN_TEST_STREAM,
        .name = "Script",
        .outputs = &b.index,
        .output_count = 1,
        .environment = PLAN_NONE,
        .test_stream = {.endpoint = "localhost:1", .tags = tags, .service_units_per_ms = 1000},
    };
    b.stages[1] = (struct plan_stage){.index = 1,
                                      .kind = PLAN_EXECUTABLE,
                                      .name = "Read",
                                      .inputs = &b.index,
                                      .input_count = 1,
                                      .truncate_stage = PLAN_NONE};
    b.plan = (struct plan){.stages = b.stages,
                           .stage_count = 2,
                           .collections = &b.collection,
                           .collection_count = 1,
                           .windowings = &b.windowing,
                           .windowing_count = 1,
                           .environments = &b.environment,
                           .environment_count = 1};
    ck_assert_int_eq(engine_check_plan(&b.plan, NULL), 0);
    b.engine = engine_create(&b.plan, NULL);
}

static void teardown(void) {
    engine_destroy(b.engine);
    arena_clear(&b.f.arena);
}

static void step(struct engine_event event) {
    engine_step(b.engine, &event);
}

/* NULL: the end. */
static void send(const struct plan_test_event *test_event, const char *error) {
    struct engine_event event = {.type = ENGINE_EVENT_TEST_STREAM, .stage = 0};

    if (test_event) {
        event.test_event = xmalloc(sizeof(*test_event));
        *event.test_event = *test_event;
    }
    event.error = error ? xstrdup(error) : NULL;
    step(event);
}

static void send_element(const char *key) {
    struct buf out = {0};

    add_kv(&out, 0, NULL, key, "");
    send(&(struct plan_test_event){.kind = PLAN_TEST_ELEMENTS, .element_count = 1, .elements = buf_finish(&out)}, NULL);
}

static void send_watermark(event_time time) {
    send(&(struct plan_test_event){.kind = PLAN_TEST_WATERMARK, .watermark = time}, NULL);
}

static void bundle_done(uint64_t bundle) {
    step((struct engine_event){
        .type = ENGINE_EVENT_BUNDLE_DONE, .bundle = bundle, .response = xcalloc(1, sizeof(struct bundle_response))});
}

/* "played start forget done failed(...)"; what else there is does not matter here. */
static void expect(const char *want) {
    static const char *const names[] = {
        [ENGINE_ACTION_START_BUNDLE] = "start ",   [ENGINE_ACTION_TEST_STREAM_PLAYED] = "played ",
        [ENGINE_ACTION_FORGET_BUNDLE] = "forget ", [ENGINE_ACTION_JOB_DONE] = "done ",
        [ENGINE_ACTION_JOB_DRAINED] = "drained ",  [ENGINE_ACTION_JOB_FAILED] = "failed",
    };
    struct engine_action action;
    struct buf text = {0};

    while (engine_next_action(b.engine, &action)) {
        const char *name = action.type < ARRAY_COUNT(names) ? names[action.type] : NULL;

        if (name)
            buf_add(&text, name, strlen(name));
        if (action.type == ENGINE_ACTION_JOB_FAILED) {
            CLEANUP(freep) char *why = xasprintf("(%s) ", action.error);

            buf_add(&text, why, strlen(why));
        }
        engine_action_clear(&action);
    }
    buf_add(&text, "", 1);
    ck_assert_str_eq((const char *)buf_data(&text), want);
    buf_clear(&text);
}

static void worker_up(void) {
    step((struct engine_event){.type = ENGINE_EVENT_WORKER_UP, .worker = 1, .slots = 1});
}

START_TEST(events_are_played_when_nothing_runs_and_the_end_ends_the_job)
{
    worker_up();
    send_element("a");
    expect("played start ");
    send_watermark(5);
    send_element("b");
    send_element("c");
    expect("");
    bundle_done(1);
    expect("forget played played start ");
    bundle_done(2);
    expect("forget played start ");
    send(NULL, NULL);
    expect("");
    bundle_done(3);
    expect("forget done ");
}
END_TEST

START_TEST(a_stream_that_is_open_is_waited_for)
{
    worker_up();
    expect("");
    step((struct engine_event){.type = ENGINE_EVENT_TIME, .now_ms = 1000000});
    expect("");
    send(NULL, NULL);
    expect("done ");
}
END_TEST

START_TEST(a_service_that_fails_fails_the_job)
{
    send_watermark(5);
    expect("played ");
    send(NULL, "Script: the test stream service at localhost:1: gone");
    expect("failed(Script: the test stream service at localhost:1: gone) ");
    send_element("a");
    expect("");
}
END_TEST

START_TEST(an_event_that_goes_back_fails_the_job)
{
    send_watermark(5);
    expect("played ");
    send_watermark(4);
    expect("failed(Script: an event sets the watermark back from 5 to 4) ");
}
END_TEST

START_TEST(what_comes_while_the_job_drains_is_not_played)
{
    worker_up();
    send_element("a");
    expect("played start ");
    send_element("b");
    step((struct engine_event){.type = ENGINE_EVENT_DRAIN});
    send_element("c");
    send(NULL, "cancelled");
    expect("");
    bundle_done(1);
    expect("forget drained ");
}
END_TEST

static Suite *played_suite(void) {
    const TTest *const tests[] = {
        events_are_played_when_nothing_runs_and_the_end_ends_the_job,
        a_stream_that_is_open_is_waited_for,
        a_service_that_fails_fails_the_job,
        an_event_that_goes_back_fails_the_job,
        what_comes_while_the_job_drains_is_not_played,
    };
    Suite *suite = suite_create("played");
    TCase *cases = tcase_create("played");

    tcase_add_checked_fixture(cases, setup, teardown);
    for (size_t i = 0; i < ARRAY_COUNT(tests); i++)
        tcase_add_test(cases, tests[i]);
    suite_add_tcase(suite, cases);
    return suite;
}

int main(void) {
    return run_suite(played_suite());
}
