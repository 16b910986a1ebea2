#include <string.h>

#include "pipeline_builder.h"
#include "translate/graph.h"

/* Start -> Make --k--> Sum { Group, Values } --s--> Use */
static Beam__PTransform *combine(bool with_expansion) {
    Beam__PTransform *sum;

    build_step("Start", URN_IMPULSE, NULL, "a", "bytes");
    build_step("Make", URN_MAP, "a", "k", "kvo");
    build_collection("s", "kvo");
    sum = build_step("Sum", URN_COMBINE, "k", "s", NULL);
    build_combine_payload(sum, "varint");
    if (with_expansion) {
        build_step("Group", URN_GBK, "k", "g", "bytes");
        build_step("Values", URN_MAP, "g", "s", NULL);
        build_child(sum, "Group");
        build_child(sum, "Values");
    }
    build_step("Use", URN_MAP, "s", NULL, NULL);
    return sum;
}

static const char lifted[] = "stage 0 impulse: Start\n"
                             "  out 0 Start.out bytes in global_window\n"
                             "stage 1 executable env 0: Make + Sum/Precombine\n"
                             "  in 0 Start.out bytes in global_window\n"
                             "  out 1 Sum/Precombine.out kv<length_prefix,varint> in global_window\n"
                             "stage 2 group_by_key: Sum/Group\n"
                             "  in 1 Sum/Precombine.out kv<length_prefix,varint> in global_window\n"
                             "  out 2 Sum/Group.out kv<length_prefix,iterable<varint>> in global_window\n"
                             "stage 3 executable env 0: Sum/Merge + Sum/Extract + Use\n"
                             "  in 2 Sum/Group.out kv<length_prefix,iterable<varint>> in global_window\n";

static const char expanded[] = "stage 0 impulse: Start\n"
                               "  out 0 Start.out bytes in global_window\n"
                               "stage 1 executable env 0: Make\n"
                               "  in 0 Start.out bytes in global_window\n"
                               "  out 1 Make.out kv<length_prefix,length_prefix> in global_window\n"
                               "stage 2 group_by_key: Group\n"
                               "  in 1 Make.out kv<length_prefix,length_prefix> in global_window\n"
                               "  out 2 Group.out kv<length_prefix,iterable<length_prefix>> in global_window\n"
                               "stage 3 executable env 0: Values + Use\n"
                               "  in 2 Group.out kv<length_prefix,iterable<length_prefix>> in global_window\n";

START_TEST(a_combine_is_lifted)
{
    combine(true);
    build_expect(lifted);
    ck_assert_str_eq(plan_transform_unique_name(build.plan, "t-Sum/Precombine"), "Sum");
    ck_assert_str_eq(plan_transform_unique_name(build.plan, "t-Group"), "Group");
    ck_assert_str_eq(plan_transform_unique_name(build.plan, "elsewhere"), "elsewhere");
}
END_TEST

START_TEST(a_combine_without_an_expansion_is_lifted_too)
{
    combine(false);
    build_expect(lifted);
}
END_TEST

START_TEST(the_environment_may_come_from_inside)
{
    combine(true)->environment_id = (char *)"";
    build_expect(lifted);
}
END_TEST

START_TEST(a_trigger_that_counts_forbids_lifting)
{
    combine(true);
    build.components->windowing_strategies[0]->value->trigger = build_count_trigger(2);
    build_expect(expanded);
    build.components->windowing_strategies[0]->value->trigger = build_count_trigger(1);
    build_expect(lifted);
}
END_TEST

START_TEST(a_combine_that_cannot_be_lifted_gets_an_expansion)
{
    combine(false);
    build.components->windowing_strategies[0]->value->trigger = build_count_trigger(2);
    ck_assert_msg(build_dump() != NULL, "%s", status_message(&build.st));
    ck_assert_ptr_nonnull(strstr(build_dump(), "executable env 0: Sum/Combine + Use\n"));
}
END_TEST

START_TEST(merging_windows_forbid_lifting)
{
    combine(true);
    build.components->windowing_strategies[0]->value->merge_status = BEAM__MERGE_STATUS__ENUM__NEEDS_MERGE;
    build_expect(expanded);
}
END_TEST

START_TEST(side_inputs_forbid_lifting)
{
    build_in(combine(true), "side", "a");
    build_expect(expanded);
}
END_TEST

START_TEST(somebody_outside_who_reads_inside_forbids_lifting)
{
    combine(true);
    build_step("Peek", URN_MAP, "g", NULL, NULL);
    ck_assert_msg(build_dump() != NULL, "%s", status_message(&build.st));
    ck_assert_ptr_nonnull(strstr(build_dump(), "Values + Peek + Use"));
}
END_TEST

START_TEST(a_missing_accumulator_coder_is_named)
{
    build_combine_payload(combine(true), "nocoder");
    build_expect_error("transform \"Sum\"", "\"nocoder\"");
}
END_TEST

START_TEST(steps_that_the_sdk_lifted_are_left_alone)
{
    build_step("Start", URN_IMPULSE, NULL, "a", "bytes");
    build_combine_payload(build_step("Pre", "beam:transform:combine_per_key_precombine:v1", "a", "k", "kvo"), "varint");
    build_step("Group", URN_GBK, "k", "g", "bytes");
    build_combine_payload(build_step("Merge", "beam:transform:combine_per_key_merge_accumulators:v1", "g", "m", "kvo"),
                          "varint");
    build_combine_payload(build_step("Extract", "beam:transform:combine_per_key_extract_outputs:v1", "m", "s", "kvo"),
                          "varint");
    ck_assert_msg(build_dump() != NULL, "%s", status_message(&build.st));
    ck_assert_ptr_nonnull(strstr(build_dump(), "executable env 0: Merge + Extract\n"));
}
END_TEST

START_TEST(triggers_are_told_apart)
{
    Beam__Trigger repeat = BEAM__TRIGGER__INIT, any = BEAM__TRIGGER__INIT, all = BEAM__TRIGGER__INIT,
                  empty = BEAM__TRIGGER__INIT;
    Beam__Trigger__Repeat of_repeat = BEAM__TRIGGER__REPEAT__INIT;
    Beam__Trigger__AfterAny of_any = BEAM__TRIGGER__AFTER_ANY__INIT;
    Beam__Trigger__AfterAll of_all = BEAM__TRIGGER__AFTER_ALL__INIT;
    Beam__Trigger *children[] = {build_count_trigger(1), build_count_trigger(3)};

    ck_assert(!trigger_observes_elements(NULL));
    ck_assert(!trigger_observes_elements(&empty));
    repeat.trigger_case = BEAM__TRIGGER__TRIGGER_REPEAT;
    repeat.repeat = &of_repeat;
    ck_assert(!trigger_observes_elements(&repeat));
    of_repeat.subtrigger = children[1];
    ck_assert(trigger_observes_elements(&repeat));
    any.trigger_case = BEAM__TRIGGER__TRIGGER_AFTER_ANY;
    any.after_any = &of_any;
    of_any.subtriggers = children;
    of_any.n_subtriggers = 1;
    ck_assert(!trigger_observes_elements(&any));
    of_any.n_subtriggers = 2;
    ck_assert(trigger_observes_elements(&any));
    all.trigger_case = BEAM__TRIGGER__TRIGGER_AFTER_ALL;
    all.after_all = &of_all;
    ck_assert(trigger_observes_elements(&all));
}
END_TEST

/* Every kind of trigger alone, and each that has parts with a part that observes. */
START_TEST(every_trigger_observes_elements_or_not)
{
    static const struct {
        Beam__Trigger__TriggerCase kind;
        bool observes;
    } cases[] = {
        {BEAM__TRIGGER__TRIGGER_DEFAULT, false},
        {BEAM__TRIGGER__TRIGGER_ALWAYS, false},
        {BEAM__TRIGGER__TRIGGER_NEVER, false},
        {BEAM__TRIGGER__TRIGGER_AFTER_PROCESSING_TIME, false},
        {BEAM__TRIGGER__TRIGGER_AFTER_SYNCHRONIZED_PROCESSING_TIME, false},
        {BEAM__TRIGGER__TRIGGER_AFTER_EACH, true},
        {BEAM__TRIGGER__TRIGGER_OR_FINALLY, true},
        {BEAM__TRIGGER__TRIGGER_AFTER_ALL, true},
    };
    Beam__Trigger trigger = BEAM__TRIGGER__INIT;
    Beam__Trigger__AfterEndOfWindow end = BEAM__TRIGGER__AFTER_END_OF_WINDOW__INIT;

    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        trigger.trigger_case = cases[i].kind;
        ck_assert_msg(trigger_observes_elements(&trigger) == cases[i].observes, "kind %d", (int)cases[i].kind);
    }
    trigger.trigger_case = BEAM__TRIGGER__TRIGGER_AFTER_END_OF_WINDOW;
    trigger.after_end_of_window = &end;
    ck_assert(!trigger_observes_elements(&trigger));
    end.early_firings = build_count_trigger(1);
    ck_assert(!trigger_observes_elements(&trigger));
    end.late_firings = build_count_trigger(2);
    ck_assert(trigger_observes_elements(&trigger));
}
END_TEST

START_TEST(panes_may_be_empty_where_another_one_comes_first)
{
    Beam__Trigger trigger = BEAM__TRIGGER__INIT;
    Beam__Trigger__AfterEndOfWindow end = BEAM__TRIGGER__AFTER_END_OF_WINDOW__INIT;
    Beam__WindowingStrategy windowing = BEAM__WINDOWING_STRATEGY__INIT;

    windowing.accumulation_mode = BEAM__ACCUMULATION_MODE__ENUM__DISCARDING;
    windowing.closing_behavior = BEAM__CLOSING_BEHAVIOR__ENUM__EMIT_ALWAYS;
    windowing.on_time_behavior = BEAM__ON_TIME_BEHAVIOR__ENUM__FIRE_ALWAYS;
    ck_assert(!may_fire_empty(&windowing)); /* one pane only */
    windowing.trigger = &trigger;
    trigger.trigger_case = BEAM__TRIGGER__TRIGGER_AFTER_END_OF_WINDOW;
    trigger.after_end_of_window = &end;
    ck_assert(!may_fire_empty(&windowing));
    windowing.allowed_lateness = 1; /* the last one comes behind the one on time */
    ck_assert(may_fire_empty(&windowing));
    windowing.closing_behavior = BEAM__CLOSING_BEHAVIOR__ENUM__EMIT_IF_NONEMPTY;
    ck_assert(!may_fire_empty(&windowing));
    end.early_firings = build_count_trigger(1); /* the one on time comes behind it */
    ck_assert(may_fire_empty(&windowing));
    windowing.on_time_behavior = BEAM__ON_TIME_BEHAVIOR__ENUM__FIRE_IF_NONEMPTY;
    ck_assert(!may_fire_empty(&windowing));
    windowing.closing_behavior = BEAM__CLOSING_BEHAVIOR__ENUM__EMIT_ALWAYS;
    windowing.allowed_lateness = 0;
    ck_assert(may_fire_empty(&windowing));
    windowing.accumulation_mode = BEAM__ACCUMULATION_MODE__ENUM__ACCUMULATING; /* what was there is in it again */
    ck_assert(!may_fire_empty(&windowing));
}
END_TEST

START_TEST(panes_that_may_be_empty_forbid_lifting)
{
    Beam__WindowingStrategy *windowing = build.components->windowing_strategies[0]->value;

    combine(true);
    windowing->accumulation_mode = BEAM__ACCUMULATION_MODE__ENUM__DISCARDING;
    windowing->on_time_behavior = BEAM__ON_TIME_BEHAVIOR__ENUM__FIRE_ALWAYS;
    windowing->trigger = build_count_trigger(1);
    build_expect(expanded);
    windowing->accumulation_mode = BEAM__ACCUMULATION_MODE__ENUM__ACCUMULATING;
    build_expect(lifted);
}
END_TEST

int main(void) {
    const TTest *const tests[] = {
        a_combine_is_lifted,
        a_combine_without_an_expansion_is_lifted_too,
        the_environment_may_come_from_inside,
        a_trigger_that_counts_forbids_lifting,
        a_combine_that_cannot_be_lifted_gets_an_expansion,
        merging_windows_forbid_lifting,
        side_inputs_forbid_lifting,
        somebody_outside_who_reads_inside_forbids_lifting,
        a_missing_accumulator_coder_is_named,
        steps_that_the_sdk_lifted_are_left_alone,
        triggers_are_told_apart,
        every_trigger_observes_elements_or_not,
        panes_may_be_empty_where_another_one_comes_first,
        panes_that_may_be_empty_forbid_lifting,
    };

    return run_tests("translate_combine", tests, ARRAY_COUNT(tests));
}
