/* An engine that streams, by hand: [stage 0: TestStream, fed by the test] --> [stage 1: Work] and what a test puts behind it.
 *
 *      stream_bench_init()     the two stages, in the coder's windows
 *      ...                     the test adds stages, side inputs, timers
 *      stream_bench_start()    makes the engine
 *
 * Everything is a step of the engine: what comes of it is read with expect(). */
#ifndef TESTS_UNIT_STREAM_BENCH_H
#define TESTS_UNIT_STREAM_BENCH_H

#include "engine/internal.h"
#include "engine/teststream.h"
#include "tests/unit/fixtures.h"

enum { STREAM_STAGES = 6, STREAM_FAMILIES = 3 };

struct stream_bench {
    struct fixture f;
    struct plan plan;
    struct plan_stage stages[STREAM_STAGES];
    struct plan_collection collections[STREAM_STAGES];
    unsigned indices[STREAM_STAGES];
    struct trigger trigger;
    struct windowing windowing;
    struct plan_environment environment;
    struct plan_user_state state;
    struct plan_timer_family families[STREAM_FAMILIES];
    struct plan_port sinks[STREAM_STAGES];
    struct plan_side_input side;
    struct engine *engine;
    event_time now;
};

/* The next stage, which reads `input` (PLAN_NONE: none) and, with has_output, makes the collection of the next number. */
static inline struct plan_stage *stream_bench_add(struct stream_bench *b, enum plan_stage_kind kind, const char *name,
                                                  unsigned input, bool has_output) {
    unsigned index = (unsigned)b->plan.stage_count++;
    struct plan_stage *stage = &b->stages[index];

    *stage = (struct plan_stage){.index = index,
                                 .kind = kind,
                                 .name = name,
                                 .environment = kind == PLAN_EXECUTABLE ? 0 : PLAN_NONE,
                                 .truncate_stage = PLAN_NONE,
                                 .drained_stage = PLAN_NONE};
    if (input != PLAN_NONE) {
        struct plan_collection *collection = &b->collections[input];

        stage->inputs = &b->indices[input];
        stage->input_count = 1;
        stage->source = (struct plan_port){.transform_id = "source", .collection = input};
        collection->consumers = realloc(collection->consumers, (collection->consumer_count + 1) * sizeof(unsigned));
        collection->consumers[collection->consumer_count++] = index;
    }
    if (has_output) {
        unsigned output = (unsigned)b->plan.collection_count++;

        b->collections[output] =
            (struct plan_collection){.name = name, .coder = b->collections[0].coder, .producer = index};
        stage->outputs = &b->indices[output];
        stage->output_count = 1;
        b->sinks[index] = (struct plan_port){.transform_id = "sink", .collection = output};
        stage->sinks = &b->sinks[index];
        stage->sink_count = kind == PLAN_EXECUTABLE;
    }
    return stage;
}

/* `coder`: of the elements, one of the fixture's, picked by is_windowed: interval windows, else the global one. */
static inline void stream_bench_init(struct stream_bench *b, bool is_windowed) {
    memset(b, 0, sizeof(*b));
    b->f = fixture_create();
    for (unsigned i = 0; i < STREAM_STAGES; i++)
        b->indices[i] = i;
    b->trigger = (struct trigger){.kind = TRIGGER_DEFAULT};
    b->windowing = (struct windowing){.fn = is_windowed ? WINDOW_FN_FIXED : WINDOW_FN_GLOBAL,
                                      .size_ms = 10,
                                      .trigger = &b->trigger,
                                      .accumulation = ACCUMULATION_DISCARDING};
    b->plan = (struct plan){.stages = b->stages,
                            .collections = b->collections,
                            .windowings = &b->windowing,
                            .windowing_count = 1,
                            .environments = &b->environment,
                            .environment_count = 1};
    b->collections[0].coder = is_windowed ? b->f.interval : b->f.global;
    stream_bench_add(b, PLAN_TEST_STREAM, "Script", PLAN_NONE, true)->test_stream.endpoint = "by hand";
}

/* A keyed stage, "Work", with a bag and these event-time timer families. */
static inline struct plan_stage *stream_bench_add_keyed(struct stream_bench *b, unsigned input, size_t family_count) {
    struct plan_stage *stage = stream_bench_add(b, PLAN_EXECUTABLE, "Work", input, false);

    b->state = (struct plan_user_state){.transform_id = "keyed", .state_id = "bag", .kind = PLAN_STATE_BAG};
    for (size_t i = 0; i < family_count; i++) {
        b->families[i].transform_id = "keyed";
        b->families[i].family_id = "timers";
        b->families[i].coder =
            coder_create(&b->f.arena, CODER_TIMER, b->f.bytes, b->collections[0].coder->components[1]);
    }
    stage->user_states = &b->state;
    stage->user_state_count = 1;
    stage->timer_families = b->families;
    stage->timer_family_count = family_count;
    stage->is_keyed = true;
    return stage;
}

static inline void stream_bench_start(struct stream_bench *b) {
    b->engine = engine_create(&b->plan, &(struct engine_options){.verify_commits = true, .key_shards = 1});
}

static inline void stream_bench_close(struct stream_bench *b) {
    engine_destroy(b->engine);
    for (unsigned i = 0; i < STREAM_STAGES; i++)
        free(b->collections[i].consumers);
    arena_clear(&b->f.arena);
}

/* ---- events ---- */

static inline void step(struct stream_bench *b, struct engine_event event) {
    event.now_ms = b->now;
    engine_step(b->engine, &event);
}

static inline void worker_up(struct stream_bench *b, unsigned worker) {
    step(b, (struct engine_event){.type = ENGINE_EVENT_WORKER_UP, .worker = worker, .slots = 1});
}

static inline void time_is(struct stream_bench *b, event_time now) {
    b->now = now;
    step(b, (struct engine_event){.type = ENGINE_EVENT_TIME});
}

static inline void play(struct stream_bench *b, struct plan_test_event event) {
    ck_assert_int_eq(test_stream_append(b->engine->streams[0], &event, NULL), 0);
    b->engine->needs_schedule = true;
    step(b, (struct engine_event){.type = ENGINE_EVENT_TIME});
}

/* Of fixed windows of ten; the global one's is empty. */
static inline void window_of(const struct stream_bench *b, event_time timestamp, struct buf *out) {
    event_time start = timestamp - ((timestamp % 10) + 10) % 10;

    if (b->windowing.fn == WINDOW_FN_FIXED)
        interval_window_encode(out, start, start + 10);
}

static inline struct slice element(const struct stream_bench *b, event_time timestamp, const char *key,
                                   const char *value) {
    struct buf window = {0}, out = {0};

    window_of(b, timestamp, &window);
    add_kv(&out, timestamp, &window, key, value);
    buf_clear(&window);
    return buf_finish(&out);
}

static inline void comes(struct stream_bench *b, event_time timestamp, const char *key, const char *value) {
    play(b, (struct plan_test_event){
                .kind = PLAN_TEST_ELEMENTS, .elements = element(b, timestamp, key, value), .element_count = 1});
}

static inline void watermark_is(struct stream_bench *b, event_time time) {
    play(b, (struct plan_test_event){.kind = PLAN_TEST_WATERMARK, .watermark = time});
}

static inline void clock_advances(struct stream_bench *b, int64_t by) {
    play(b, (struct plan_test_event){.kind = PLAN_TEST_PROCESSING_TIME, .output = PLAN_NONE, .advance_ms = by});
}

static inline void stream_ends(struct stream_bench *b) {
    test_stream_close(b->engine->streams[0]);
    b->engine->needs_schedule = true;
    step(b, (struct engine_event){.type = ENGINE_EVENT_TIME});
}

static inline void puts_out(struct stream_bench *b, uint64_t bundle, event_time timestamp, const char *key,
                            const char *value) {
    step(b, (struct engine_event){
                .type = ENGINE_EVENT_ELEMENTS, .bundle = bundle, .bytes = element(b, timestamp, key, value)});
}

/* A timer in the window of `timestamp`, of the given family. */
static inline void sets_timer(struct stream_bench *b, uint64_t bundle, unsigned family, const char *key,
                              event_time timestamp, event_time fire, event_time hold) {
    struct pane pane = PANE_NO_FIRING;
    struct buf out = {0}, window = {0};

    window_of(b, timestamp, &window);
    buf_add_prefixed(&out, key, strlen(key));
    buf_add_prefixed(&out, "", 0);
    buf_add_be32(&out, 1);
    buf_add(&out, buf_data(&window), window.size);
    buf_add_u8(&out, 0);
    buf_add_be64(&out, time_to_wire(fire));
    buf_add_be64(&out, time_to_wire(hold));
    pane_encode(&out, &pane);
    buf_clear(&window);
    step(b, (struct engine_event){
                .type = ENGINE_EVENT_TIMERS, .bundle = bundle, .output = family, .bytes = buf_finish(&out)});
}

/* The bundle ends all its outputs and is done. */
static inline void done_with(struct stream_bench *b, uint64_t bundle, struct bundle_response *response) {
    const struct bundle *found = map_get(&b->engine->bundles, &bundle, sizeof(bundle));
    const struct plan_stage *stage = found ? found->stage->plan : NULL;

    ck_assert_msg(stage, "bundle %llu does not run", (unsigned long long)bundle);
    for (unsigned i = 0; i < stage->sink_count; i++)
        step(b, (struct engine_event){.type = ENGINE_EVENT_ELEMENTS, .bundle = bundle, .output = i, .is_last = true});
    for (unsigned i = 0; i < stage->timer_family_count; i++)
        step(b, (struct engine_event){.type = ENGINE_EVENT_TIMERS, .bundle = bundle, .output = i, .is_last = true});
    step(b, (struct engine_event){.type = ENGINE_EVENT_BUNDLE_DONE, .bundle = bundle, .response = response});
}

static inline void done(struct stream_bench *b, uint64_t bundle) {
    done_with(b, bundle, xcalloc(1, sizeof(struct bundle_response)));
}

/* ---- what comes of it ---- */

static inline void add_elements(const struct stream_bench *b, struct buf *text, struct slice bytes) {
    struct cursor at = cursor_of(bytes.data, bytes.size);

    while (cursor_left(&at)) {
        struct windowed_value element;
        struct cursor key, value;

        ck_assert_int_eq(windowed_value_read(b->collections[0].coder, &at, &element), CODER_OK);
        ck_assert(cursor_prefixed(&element.value, &key) && cursor_prefixed(&element.value, &value));
        buf_printf(text, "%.*s=%.*s@%lld ", (int)cursor_left(&key), key.at, (int)cursor_left(&value), value.at,
                   (long long)element.timestamp);
    }
}

static inline void add_timers(const struct stream_bench *b, struct buf *text, struct slice bytes) {
    struct cursor at = cursor_of(bytes.data, bytes.size);

    while (cursor_left(&at)) {
        struct cursor key, tag;
        uint32_t count;
        uint64_t fire, hold;
        uint8_t clear;

        ck_assert(cursor_prefixed(&at, &key) && cursor_prefixed(&at, &tag) && cursor_be32(&at, &count));
        ck_assert_int_eq(coder_skip(b->collections[0].coder->components[1], &at), CODER_OK);
        ck_assert(cursor_u8(&at, &clear) && cursor_be64(&at, &fire) && cursor_be64(&at, &hold));
        ck_assert_int_eq(pane_skip(&at), CODER_OK);
        buf_printf(text, "%.*s!%lld ", (int)cursor_left(&key), key.at, (long long)time_from_wire(fire));
    }
}

/* "1: a=x@5 b!7": the stage that a bundle was started for, elements and timers it was sent; "done", "failed", "split". The rest is left out. */
static inline char *actions(struct stream_bench *b) {
    struct engine_action action;
    struct buf text = {0};
    char *copy;

    while (engine_next_action(b->engine, &action)) {
        if (action.type == ENGINE_ACTION_START_BUNDLE)
            buf_printf(&text, "%u: ", action.stage);
        else if (action.type == ENGINE_ACTION_SEND && action.timer_family == PLAN_NONE)
            add_elements(b, &text, action.bytes);
        else if (action.type == ENGINE_ACTION_SEND)
            add_timers(b, &text, action.bytes);
        else if (action.type == ENGINE_ACTION_SPLIT)
            buf_printf(&text, "split ");
        else if (action.type == ENGINE_ACTION_JOB_DONE || action.type == ENGINE_ACTION_JOB_DRAINED)
            buf_printf(&text, "done ");
        else if (action.type == ENGINE_ACTION_JOB_FAILED)
            buf_printf(&text, "failed: %s", action.error);
        engine_action_clear(&action);
    }
    copy = xmemdup0(buf_data(&text), text.size);
    buf_clear(&text);
    return copy;
}

static inline void expect(struct stream_bench *b, const char *want) {
    CLEANUP(freep) char *text = actions(b);

    ck_assert_str_eq(text, want);
}

#endif
