/* An engine with one keyed stage, looked at from inside: [stage 0: makes KVs] --> [stage 1: keyed, one bag, one event-time timer family].
 * Nothing runs by itself: elements are delivered by hand, and stage 0 ends when its is_done is set. */
#ifndef TESTS_UNIT_KEYED_BENCH_H
#define TESTS_UNIT_KEYED_BENCH_H

#include "engine/internal.h"
#include "tests/unit/fixtures.h"

struct keyed_bench {
    struct fixture f;
    struct plan plan;
    struct plan_stage stages[2];
    struct plan_collection collection;
    struct windowing windowing;
    struct plan_environment environment;
    struct plan_user_state state;
    struct plan_timer_family family;
    unsigned zero, one;
    struct engine *engine;
    struct stage *keyed;
};

static inline void keyed_bench_open(struct keyed_bench *b, unsigned key_shards) {
    memset(b, 0, sizeof(*b));
    b->f = fixture_create();
    b->one = 1;
    b->collection = (struct plan_collection){
        .name = "pairs", .coder = b->f.global, .is_bounded = true, .consumers = &b->one, .consumer_count = 1};
    b->state = (struct plan_user_state){.transform_id = "keyed", .state_id = "bag", .kind = PLAN_STATE_BAG};
    b->family = (struct plan_timer_family){
        .transform_id = "keyed",
        .family_id = "timers",
        .coder = coder_create(&b->f.arena, CODER_TIMER, b->f.bytes, b->f.global->components[1])};
    b->stages[0] = (struct plan_stage){.is_bounded = true,
                                       .kind = PLAN_EXECUTABLE,
                                       .name = "Make",
                                       .outputs = &b->zero,
                                       .output_count = 1,
                                       .environment = 1};
    b->stages[1] = (struct plan_stage){.is_bounded = true,
                                       .index = 1,
                                       .kind = PLAN_EXECUTABLE,
                                       .name = "Keyed",
                                       .inputs = &b->zero,
                                       .input_count = 1,
                                       .user_states = &b->state,
                                       .user_state_count = 1,
                                       .timer_families = &b->family,
                                       .timer_family_count = 1,
                                       .is_keyed = true};
    b->plan = (struct plan){.stages = b->stages,
                            .stage_count = 2,
                            .collections = &b->collection,
                            .collection_count = 1,
                            .windowings = &b->windowing,
                            .windowing_count = 1,
                            .environments = &b->environment,
                            .environment_count = 1};
    b->engine = engine_create(&b->plan, &(struct engine_options){.key_shards = key_shards});
    b->keyed = &b->engine->stages[1];
}

static inline void keyed_bench_close(struct keyed_bench *b) {
    engine_destroy(b->engine);
    arena_clear(&b->f.arena);
}

static inline void keyed_bench_deliver(struct keyed_bench *b, event_time timestamp, const char *key,
                                       const char *value) {
    struct buf bytes = {0};
    struct run run = {.count = 1};

    add_kv(&bytes, timestamp, NULL, key, value);
    run.bytes = buf_finish(&bytes);
    engine_deliver(b->engine, 0, &run);
    run_clear(&run);
}

static inline struct worker_slot *keyed_bench_add_worker(struct keyed_bench *b, unsigned number) {
    vec_push(&b->engine->workers, ((struct worker_slot){.number = number, .slots = 1}));
    return vec_last(&b->engine->workers);
}

/* As a bundle's commit would. */
static inline void keyed_bench_set_timer(struct keyed_bench *b, const char *key, const char *tag, event_time fire) {
    struct pane pane = PANE_NO_FIRING;
    struct slice records;
    struct buf out = {0};
    size_t key_size;

    buf_add_prefixed(&out, key, strlen(key));
    key_size = out.size;
    buf_add_prefixed(&out, tag, strlen(tag));
    buf_add_be32(&out, 1);
    buf_add_u8(&out, 0);
    buf_add_be64(&out, time_to_wire(fire));
    buf_add_be64(&out, time_to_wire(fire));
    pane_encode(&out, &pane);
    records = buf_finish(&out);
    timer_set_apply(&stage_shard(b->engine, b->keyed, slice_of_static(records.data, key_size))->timers, b->keyed->plan,
                    0, &(struct timer_rules){0}, records, NULL);
    slice_unref(&records);
}

#endif
