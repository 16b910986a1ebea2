/* A plan of two stages for the tests of splits, and the events that they are made of. */
#ifndef TESTS_UNIT_SPLIT_BENCH_H
#define TESTS_UNIT_SPLIT_BENCH_H

#include "engine/engine.h"
#include "tests/unit/fixtures.h"

/* impulse --> [stage 1: makes KVs] --> [stage 2: splittable or not] */
struct bench {
    struct fixture f;
    struct plan plan;
    struct plan_stage stages[3];
    struct plan_collection collections[2];
    struct windowing windowing;
    struct plan_environment environment;
    struct plan_port sink;
    unsigned indices[2];
    unsigned consumers[2];
    struct engine *engine;
    event_time now;
};

static inline void bench_open(struct bench *b) {
    memset(b, 0, sizeof(*b));
    b->f = fixture_create();
    b->indices[1] = 1;
    b->consumers[0] = 1;
    b->consumers[1] = 2;
    b->collections[0] = (struct plan_collection){
        .name = "impulse",
        .coder = coder_create(&b->f.arena, CODER_WINDOWED_VALUE, b->f.bytes, b->f.global->components[1]),
        .is_bounded = true,
        .consumers = &b->consumers[0],
        .consumer_count = 1};
    b->collections[1] = (struct plan_collection){.name = "pairs",
                                                 .coder = b->f.global,
                                                 .is_bounded = true,
                                                 .producer = 1,
                                                 .consumers = &b->consumers[1],
                                                 .consumer_count = 1};
    b->sink = (struct plan_port){.transform_id = "sink", .collection = 1};
    b->stages[0] = (struct plan_stage){.is_bounded = true,
                                       .kind = PLAN_IMPULSE,
                                       .name = "Impulse",
                                       .outputs = &b->indices[0],
                                       .output_count = 1,
                                       .environment = PLAN_NONE};
    b->stages[1] = (struct plan_stage){.is_bounded = true,
                                       .index = 1,
                                       .kind = PLAN_EXECUTABLE,
                                       .name = "Make",
                                       .inputs = &b->indices[0],
                                       .input_count = 1,
                                       .outputs = &b->indices[1],
                                       .output_count = 1,
                                       .source = {.transform_id = "source", .collection = 0},
                                       .sinks = &b->sink,
                                       .sink_count = 1};
    b->stages[2] = (struct plan_stage){.is_bounded = true,
                                       .index = 2,
                                       .kind = PLAN_EXECUTABLE,
                                       .name = "Work",
                                       .inputs = &b->indices[1],
                                       .input_count = 1,
                                       .source = {.transform_id = "source", .collection = 1}};
    b->plan = (struct plan){.stages = b->stages,
                            .stage_count = 3,
                            .collections = b->collections,
                            .collection_count = 2,
                            .windowings = &b->windowing,
                            .windowing_count = 1,
                            .environments = &b->environment,
                            .environment_count = 1};
}

static inline void bench_close(struct bench *b) {
    engine_destroy(b->engine);
    arena_clear(&b->f.arena);
}

static inline void step(struct bench *b, struct engine_event event) {
    event.now_ms = b->now;
    engine_step(b->engine, &event);
}

static inline void worker_up(struct bench *b, unsigned worker) {
    step(b, (struct engine_event){.type = ENGINE_EVENT_WORKER_UP, .worker = worker, .slots = 1});
}

static inline void time_is(struct bench *b, event_time now) {
    b->now = now;
    step(b, (struct engine_event){.type = ENGINE_EVENT_TIME});
}

static inline struct bundle_split *split_create(int64_t last, int64_t first) {
    struct bundle_split *split = xcalloc(1, sizeof(*split));

    split->channels = arena_new_array(&split->arena, struct channel_split, 2);
    split->channels[split->channel_count++] =
        (struct channel_split){.last_primary_element = last, .first_residual_element = first};
    split->primaries = arena_new_array(&split->arena, struct residual, 2);
    split->residuals = arena_new_array(&split->arena, struct residual, 2);
    return split;
}

static inline void answer(struct bench *b, uint64_t bundle, struct bundle_split *split) {
    step(b, (struct engine_event){.type = ENGINE_EVENT_SPLIT, .bundle = bundle, .split = split});
}

#endif
