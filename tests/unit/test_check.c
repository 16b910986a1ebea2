/* What engine_check_plan() refuses: plans that would break an assertion of the engine, or that it cannot run yet. */
#include "engine/engine.h"
#include "tests/unit/fixtures.h"

struct sketch {
    struct fixture f;
    struct plan plan;
    struct plan_stage stages[64];
    struct plan_collection collections[64];
    struct windowing windowings[2];
    unsigned links[64][4];
};

static const struct trigger by_default = {.kind = TRIGGER_DEFAULT};

/* A plan of `count` stages, each with one output collection of the same number; `kinds` gives them. */
static void sketch_init(struct sketch *s, const enum plan_stage_kind *kinds, size_t count) {
    memset(s, 0, sizeof(*s));
    s->f = fixture_create();
    s->plan = (struct plan){.stages = s->stages,
                            .stage_count = count,
                            .collections = s->collections,
                            .collection_count = count,
                            .windowings = s->windowings,
                            .windowing_count = 2};
    s->windowings[0].trigger = s->windowings[1].trigger = &by_default;
    for (unsigned i = 0; i < count; i++) {
        unsigned *output = arena_new(&s->f.arena, unsigned);

        *output = i;
        s->stages[i] = (struct plan_stage){
            .index = i, .kind = kinds[i], .name = "Stage", .inputs = s->links[i], .outputs = output, .output_count = 1};
        s->collections[i] = (struct plan_collection){.name = "collection",
                                                     .coder = s->f.global,
                                                     .producer = i,
                                                     .consumers = arena_new_array(&s->f.arena, unsigned, 8)};
    }
}

static void sketch_link(struct sketch *s, unsigned from, unsigned to) {
    s->links[to][s->stages[to].input_count++] = from;
    s->collections[from].consumers[s->collections[from].consumer_count++] = to;
}

static void check_refused(struct sketch *s, const char *with) {
    struct status st = {0};

    ck_assert_int_lt(engine_check_plan(&s->plan, &st), 0);
    ck_assert_msg(strstr(status_message(&st), with) != NULL, "%s", status_message(&st));
    status_clear(&st);
    arena_clear(&s->f.arena);
}

START_TEST(a_sound_plan_passes)
{
    static const enum plan_stage_kind kinds[] = {PLAN_IMPULSE, PLAN_FLATTEN, PLAN_GROUP_BY_KEY};
    struct sketch s;

    sketch_init(&s, kinds, 3);
    sketch_link(&s, 0, 1);
    sketch_link(&s, 1, 2);
    ck_assert_int_eq(engine_check_plan(&s.plan, NULL), 0);
    arena_clear(&s.f.arena);
}
END_TEST

START_TEST(a_flatten_of_differently_windowed_inputs_is_refused)
{
    static const enum plan_stage_kind kinds[] = {PLAN_EXECUTABLE, PLAN_EXECUTABLE, PLAN_FLATTEN};
    struct sketch s;

    sketch_init(&s, kinds, 3);
    s.collections[1].coder = s.f.interval;
    sketch_link(&s, 0, 2);
    sketch_link(&s, 1, 2);
    check_refused(&s, "another kind of windows");
}
END_TEST

START_TEST(sessions_need_interval_windows)
{
    static const enum plan_stage_kind kinds[] = {PLAN_EXECUTABLE, PLAN_GROUP_BY_KEY};
    struct sketch s;

    sketch_init(&s, kinds, 2);
    s.windowings[0] = (struct windowing){.trigger = &by_default, .fn = WINDOW_FN_SESSIONS, .needs_merge = true};
    sketch_link(&s, 0, 1);
    check_refused(&s, "interval_window");
}
END_TEST

START_TEST(windows_of_a_fn_that_never_merges_cannot_need_it)
{
    static const enum plan_stage_kind kinds[] = {PLAN_EXECUTABLE, PLAN_GROUP_BY_KEY};
    struct sketch s;

    sketch_init(&s, kinds, 2);
    s.windowings[0] =
        (struct windowing){.trigger = &by_default, .fn = WINDOW_FN_FIXED, .fn_urn = "fixed", .needs_merge = true};
    sketch_link(&s, 0, 1);
    check_refused(&s, "which \"fixed\" never does");
}
END_TEST

START_TEST(merged_groups_keep_the_kind_of_window_that_was_asked_about)
{
    static const enum plan_stage_kind kinds[] = {PLAN_EXECUTABLE, PLAN_GROUP_BY_KEY, PLAN_EXECUTABLE,
                                                 PLAN_MERGE_GROUPS};
    struct sketch s;

    sketch_init(&s, kinds, 4);
    s.windowings[0] = (struct windowing){.trigger = &by_default, .fn = WINDOW_FN_CUSTOM, .needs_merge = true};
    s.stages[1].asks_for_merges = true;
    s.stages[3].grouping = 1;
    s.collections[0].coder = s.f.interval;
    s.collections[3].coder = s.f.interval;
    for (unsigned i = 0; i < 3; i++)
        sketch_link(&s, i, i + 1);
    ck_assert_int_eq(engine_check_plan(&s.plan, NULL), 0);
    s.collections[3].coder = s.f.global;
    check_refused(&s, "another kind of windows");
}
END_TEST

START_TEST(an_impulse_is_in_the_global_window)
{
    static const enum plan_stage_kind kinds[] = {PLAN_IMPULSE};
    struct sketch s;

    sketch_init(&s, kinds, 1);
    s.collections[0].coder = s.f.interval;
    check_refused(&s, "global window");
}
END_TEST

START_TEST(flattens_that_double_each_other_are_refused)
{
    enum plan_stage_kind kinds[40] = {PLAN_EXECUTABLE};
    struct sketch s;

    for (size_t i = 1; i < ARRAY_COUNT(kinds); i++)
        kinds[i] = PLAN_FLATTEN;
    kinds[39] = PLAN_GROUP_BY_KEY;
    sketch_init(&s, kinds, ARRAY_COUNT(kinds));
    for (unsigned i = 1; i < 39; i++) {
        sketch_link(&s, i - 1, i);
        sketch_link(&s, i - 1, i);
    }
    sketch_link(&s, 38, 39);
    check_refused(&s, "hand each element on");
}
END_TEST

/* Where it would have to be heeded. */
START_TEST(a_trigger_that_makes_no_sense_is_refused_in_a_stream)
{
    static const enum plan_stage_kind kinds[] = {PLAN_IMPULSE, PLAN_GROUP_BY_KEY};
    static const struct trigger never_mind = {.kind = TRIGGER_REPEAT};
    struct sketch s;

    sketch_init(&s, kinds, 2);
    sketch_link(&s, 0, 1);
    s.windowings[0].trigger = &never_mind;
    s.collections[0].is_bounded = true;
    ck_assert_int_eq(engine_check_plan(&s.plan, NULL), 0);
    s.collections[0].is_bounded = false;
    check_refused(&s, "trigger");
}
END_TEST

int main(void) {
    Suite *suite = suite_create("check");
    TCase *tc = tcase_create("check");

    tcase_add_test(tc, a_sound_plan_passes);
    tcase_add_test(tc, a_flatten_of_differently_windowed_inputs_is_refused);
    tcase_add_test(tc, sessions_need_interval_windows);
    tcase_add_test(tc, windows_of_a_fn_that_never_merges_cannot_need_it);
    tcase_add_test(tc, merged_groups_keep_the_kind_of_window_that_was_asked_about);
    tcase_add_test(tc, an_impulse_is_in_the_global_window);
    tcase_add_test(tc, flattens_that_double_each_other_are_refused);
    tcase_add_test(tc, a_trigger_that_makes_no_sense_is_refused_in_a_stream);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
