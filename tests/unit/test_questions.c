/* A stream whose windows the SDK merges: impulse --> [1: makes elements] --> 2: grouping --> [3: merges windows] --> 4 --> [5: reads panes]. */
#include "engine/engine.h"

#include "tests/unit/fixtures.h"

enum { STAGES = 6, COLLECTIONS = 5 };

struct bench {
    struct fixture f;
    struct plan plan;
    struct plan_stage stages[STAGES];
    struct plan_collection collections[COLLECTIONS];
    struct plan_port sinks[STAGES];
    struct windowing windowings[2];
    struct plan_environment environment;
    unsigned numbers[STAGES]; /* each its place */
    struct engine *engine;
    struct slice sent; /* the last input that was sent */
};

static struct bench b;

static const struct coder *windowed(const struct coder *value, enum coder_kind window) {
    return coder_create(&b.f.arena, CODER_WINDOWED_VALUE, value, coder_create(&b.f.arena, window, NULL, NULL));
}

static void describe_collections(void) {
    struct arena *arena = &b.f.arena;
    const struct coder *window = coder_create(arena, CODER_INTERVAL_WINDOW, NULL, NULL);
    const struct coder *windows = coder_create(arena, CODER_ITERABLE, window, NULL);
    const struct coder *merges =
        coder_create(arena, CODER_ITERABLE, coder_create(arena, CODER_KV, window, windows), NULL);
    const struct coder *answer =
        coder_create(arena, CODER_KV, b.f.bytes, coder_create(arena, CODER_KV, windows, merges));
    const struct coder *question = coder_create(arena, CODER_KV, b.f.bytes, windows);
    const struct coder *group =
        coder_create(arena, CODER_KV, b.f.bytes, coder_create(arena, CODER_ITERABLE, b.f.bytes, NULL));
    const struct coder *coders[COLLECTIONS] = {
        windowed(b.f.bytes, CODER_GLOBAL_WINDOW), b.f.interval, windowed(question, CODER_GLOBAL_WINDOW),
        windowed(answer, CODER_GLOBAL_WINDOW), windowed(group, CODER_INTERVAL_WINDOW)};

    for (unsigned i = 0; i < COLLECTIONS; i++)
        b.collections[i] = (struct plan_collection){.name = "collection",
                                                    .coder = coders[i],
                                                    .windowing = i == 1 || i == 4,
                                                    .is_bounded = i == 0,
                                                    .producer = i,
                                                    .consumers = &b.numbers[i + 1],
                                                    .consumer_count = 1};
}

static void describe_stages(void) {
    static const enum plan_stage_kind kinds[STAGES] = {PLAN_IMPULSE,    PLAN_EXECUTABLE,   PLAN_GROUP_BY_KEY,
                                                       PLAN_EXECUTABLE, PLAN_MERGE_GROUPS, PLAN_EXECUTABLE};

    for (unsigned i = 0; i < STAGES; i++) {
        bool is_executable = kinds[i] == PLAN_EXECUTABLE;

        b.sinks[i] = (struct plan_port){.transform_id = "sink", .collection = i};
        b.stages[i] = (struct plan_stage){.index = i,
                                          .kind = kinds[i],
                                          .name = "Stage",
                                          .environment = is_executable ? 0 : PLAN_NONE,
                                          .is_bounded = i == 0,
                                          .truncate_stage = PLAN_NONE,
                                          .drained_stage = PLAN_NONE,
                                          .outputs = &b.numbers[i],
                                          .output_count = i < COLLECTIONS,
                                          .sinks = &b.sinks[i],
                                          .sink_count = is_executable && i < COLLECTIONS};
        if (i) {
            b.stages[i].inputs = &b.numbers[i - 1];
            b.stages[i].input_count = 1;
            b.stages[i].source.collection = i - 1;
        }
    }
    b.stages[2].asks_for_merges = true;
    b.stages[4].grouping = 2;
}

static void step(struct engine_event event) {
    engine_step(b.engine, &event);
}

static void setup(void) {
    static const struct trigger by_default = {.kind = TRIGGER_DEFAULT};

    b = (struct bench){.f = fixture_create()};
    for (unsigned i = 0; i < STAGES; i++)
        b.numbers[i] = i;
    b.windowings[0] = (struct windowing){.trigger = &by_default};
    b.windowings[1] = (struct windowing){
        .fn = WINDOW_FN_CUSTOM, .needs_merge = true, .trigger = &by_default, .accumulation = ACCUMULATION_DISCARDING};
    describe_collections();
    describe_stages();
    b.plan = (struct plan){.stages = b.stages,
                           .stage_count = STAGES,
                           .collections = b.collections,
                           .collection_count = COLLECTIONS,
                           .windowings = b.windowings,
                           .windowing_count = 2,
                           .environments = &b.environment,
                           .environment_count = 1};
    ck_assert_int_eq(engine_check_plan(&b.plan, NULL), 0);
    b.engine = engine_create(&b.plan, &(struct engine_options){.verify_commits = true});
    step((struct engine_event){.type = ENGINE_EVENT_WORKER_UP, .worker = 1, .slots = 1});
}

static void teardown(void) {
    engine_destroy(b.engine);
    slice_unref(&b.sent);
    arena_clear(&b.f.arena);
}

/* "start:STAGE", "forget", "message", "done"; b.sent is what was sent last. */
static void expect(const char *want) {
    struct engine_action action;
    struct buf text = {0};

    while (engine_next_action(b.engine, &action)) {
        CLEANUP(freep) char *name = NULL;

        if (action.type == ENGINE_ACTION_START_BUNDLE)
            name = xasprintf("start:%u ", action.stage);
        else if (action.type == ENGINE_ACTION_FORGET_BUNDLE)
            name = xstrdup("forget ");
        else if (action.type == ENGINE_ACTION_MESSAGE)
            name = xstrdup("message ");
        else if (action.type == ENGINE_ACTION_JOB_DONE)
            name = xstrdup("done ");
        if (name)
            buf_add(&text, name, strlen(name));
        if (action.type == ENGINE_ACTION_SEND && action.bytes.size) {
            slice_unref(&b.sent);
            b.sent = slice_ref(action.bytes);
        }
        engine_action_clear(&action);
    }
    buf_add_u8(&text, 0);
    ck_assert_str_eq((const char *)buf_data(&text), want);
    buf_clear(&text);
}

static void done(uint64_t bundle, struct buf *output) {
    if (output)
        step((struct engine_event){
            .type = ENGINE_EVENT_ELEMENTS, .bundle = bundle, .bytes = buf_finish(output), .is_last = true});
    step((struct engine_event){
        .type = ENGINE_EVENT_BUNDLE_DONE, .bundle = bundle, .response = xcalloc(1, sizeof(struct bundle_response))});
}

static void make_elements(void) {
    struct buf out = {0};

    for (event_time time = 1; time <= 5; time += 4) {
        struct buf window = {0};

        interval_window_encode(&window, time, time + 10);
        add_kv(&out, time, &window, "k", "v");
        buf_clear(&window);
    }
    expect("start:1 ");
    done(1, &out);
    expect("forget start:3 ");
    ck_assert_uint_eq(b.sent.size, 13 + 9 + 4 + 2 * 9);
}

/* [1, 11) and [5, 15) have become [1, 15); without them, the answer makes no sense. */
static void answer(uint64_t bundle, bool makes_sense) {
    struct buf out = {0};

    windowed_value_write_header(&out, TIME_MIN, NULL, 0, &PANE_NO_FIRING);
    buf_add_varint(&out, 8);
    buf_add_be64(&out, 0);
    buf_add_be32(&out, 0);
    buf_add_be32(&out, makes_sense);
    if (makes_sense) {
        interval_window_encode(&out, 1, 15);
        buf_add_be32(&out, 2);
        interval_window_encode(&out, 1, 11);
        interval_window_encode(&out, 5, 15);
    }
    done(bundle, &out);
}

/* What reads the panes was sent one, of both elements, on time though all sources had ended before there was an answer. */
static void expect_pane(void) {
    struct cursor at = cursor_of(b.sent.data, b.sent.size), windows;
    struct windowed_value value;
    event_time start, end;
    struct pane pane;

    ck_assert_int_eq(windowed_value_read(b.collections[4].coder, &at, &value), CODER_OK);
    ck_assert_uint_eq(cursor_left(&at), 0);
    windows = value.windows;
    ck_assert_int_eq(interval_window_decode(&windows, &start, &end), CODER_OK);
    ck_assert_int_eq(start, 1);
    ck_assert_int_eq(end, 15);
    ck_assert_int_eq(value.timestamp, 14);
    ck_assert_int_eq(pane_decode(&value.pane, &pane), CODER_OK);
    ck_assert_int_eq(pane.timing, PANE_ON_TIME);
    ck_assert_mem_eq(value.value.at, "\x01k\0\0\0\x02\x01v\x01v", 10);
}

START_TEST(elements_that_wait_for_an_answer_hold_the_watermark)
{
    make_elements();
    answer(2, true);
    expect("forget start:5 ");
    expect_pane();
    done(3, NULL);
    expect("forget done ");
}
END_TEST

START_TEST(a_question_is_asked_again_when_its_bundle_fails_or_is_answered_with_nonsense)
{
    make_elements();
    answer(2, false);
    expect("message forget start:3 ");
    step((struct engine_event){.type = ENGINE_EVENT_WORKER_LOST, .worker = 1});
    step((struct engine_event){.type = ENGINE_EVENT_WORKER_UP, .worker = 2, .slots = 1});
    expect("message forget start:3 ");
    answer(4, true);
    expect("forget start:5 ");
    expect_pane();
    done(5, NULL);
    expect("forget done ");
}
END_TEST

int main(void) {
    Suite *suite = suite_create("questions");
    TCase *cases = tcase_create("questions");

    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_test(cases, elements_that_wait_for_an_answer_hold_the_watermark);
    tcase_add_test(cases, a_question_is_asked_again_when_its_bundle_fails_or_is_answered_with_nonsense);
    suite_add_tcase(suite, cases);
    return run_suite(suite);
}
