#include <string.h>

#include "beam_fn_api.pb-c.h"
#include "pipeline_builder.h"
#include "wire/pb.h"

static void splittable_payload(Beam__PTransform *transform, const char *restriction_coder) {
    Beam__ParDoPayload pardo = BEAM__PAR_DO_PAYLOAD__INIT;

    pardo.restriction_coder_id = (char *)restriction_coder;
    pardo.requests_finalization = true;
    build_payload(transform, &pardo.base);
}

START_TEST(a_splittable_pardo_becomes_three_steps)
{
    build_step("Start", URN_IMPULSE, NULL, "a", "bytes");
    splittable_payload(build_step("Read", URN_PARDO, "a", "b", "varint"), "opaque");
    build_step("Use", URN_MAP, "b", NULL, NULL);
    build_expect("stage 0 impulse: Start\n"
                 "  out 0 Start.out bytes in global_window\n"
                 "stage 1 executable env 0: Read/PairWithRestriction + Read/SplitAndSize\n"
                 "  in 0 Start.out bytes in global_window\n"
                 "  out 1 Read/SplitAndSize.out kv<kv<bytes,length_prefix>,double> in global_window\n"
                 "  requires finalization\n"
                 "stage 2 executable env 0: Read + Use\n"
                 "  in 1 Read/SplitAndSize.out kv<kv<bytes,length_prefix>,double> in global_window\n"
                 "  splittable t-Read\n"
                 "  requires finalization\n");
    ck_assert_str_eq(build.plan->stages[2].process_input_name, "in");
    ck_assert_str_eq(plan_transform_unique_name(build.plan, "t-Read/SplitAndSize"), "Read");
    ck_assert(plan_made_collection(build.plan, build.plan->collections[build.plan->stages[2].inputs[0]].id));
    ck_assert(!plan_made_collection(build.plan, "b"));
}
END_TEST

START_TEST(side_inputs_go_to_all_three)
{
    Beam__ParDoPayload pardo = BEAM__PAR_DO_PAYLOAD__INIT;
    Beam__ParDoPayload__SideInputsEntry side = BEAM__PAR_DO_PAYLOAD__SIDE_INPUTS_ENTRY__INIT, *sides[] = {&side};
    Beam__FunctionSpec access = BEAM__FUNCTION_SPEC__INIT;
    Beam__SideInput input = BEAM__SIDE_INPUT__INIT;
    Beam__PTransform *read;

    build_step("Start", URN_IMPULSE, NULL, "a", "bytes");
    build_step("View", URN_MAP, "a", "v", "bytes");
    read = build_step("Read", URN_PARDO, "a", "b", "varint");
    build_in(read, "side", "v");
    access.urn = (char *)"beam:side_input:iterable:v1";
    input.access_pattern = &access;
    side.key = (char *)"side";
    side.value = &input;
    pardo.side_inputs = sides;
    pardo.n_side_inputs = 1;
    pardo.restriction_coder_id = (char *)"bytes";
    build_payload(read, &pardo.base);
    ck_assert_msg(build_dump() != NULL, "%s", status_message(&build.st));
    ck_assert_uint_eq(build.plan->stages[2].side_input_count, 2);
    ck_assert_str_eq(build.plan->stages[2].side_inputs[0].transform_id, "t-Read/PairWithRestriction");
    ck_assert_uint_eq(build.plan->stages[3].side_input_count, 1);
}
END_TEST

START_TEST(an_expanded_one_stays)
{
    build_step("Start", URN_IMPULSE, NULL, "a", "bytes");
    splittable_payload(build_step("Pair", "beam:transform:sdf_pair_with_restriction:v1", "a", "p", "kvo"), "opaque");
    splittable_payload(build_step("Split", "beam:transform:sdf_split_and_size_restrictions:v1", "p", "s", "kvo"),
                       "opaque");
    splittable_payload(
        build_step("Process", "beam:transform:sdf_process_sized_element_and_restrictions:v1", "s", NULL, NULL),
        "opaque");
    ck_assert_msg(build_dump() != NULL, "%s", status_message(&build.st));
    ck_assert_uint_eq(build.plan->stage_count, 3);
    ck_assert_str_eq(build.plan->stages[2].process_transform_id, "t-Process");
}
END_TEST

START_TEST(a_missing_restriction_coder_is_named)
{
    build_step("Start", URN_IMPULSE, NULL, "a", "bytes");
    splittable_payload(build_step("Read", URN_PARDO, "a", NULL, NULL), "nocoder");
    build_expect_error("transform \"Read\"", "\"nocoder\"");
}
END_TEST

START_TEST(an_old_read_gets_an_impulse)
{
    build_step("Read", "beam:transform:read:v1", NULL, "b", "varint");
    build_step("Use", URN_MAP, "b", NULL, NULL);
    build_expect("stage 0 impulse: Read/Impulse\n"
                 "  out 0 Read/Impulse.out bytes in global_window\n"
                 "stage 1 executable env 0: Read + Use\n"
                 "  in 0 Read/Impulse.out bytes in global_window\n");
}
END_TEST

/* Start -> Make --k--> Count --c-->, a splittable DoFn with state; with timers too if `has_timers`. */
static void stateful_splittable(bool has_timers) {
    Beam__ParDoPayload pardo = BEAM__PAR_DO_PAYLOAD__INIT;
    Beam__ParDoPayload__StateSpecsEntry state = BEAM__PAR_DO_PAYLOAD__STATE_SPECS_ENTRY__INIT, *states[] = {&state};
    Beam__ParDoPayload__TimerFamilySpecsEntry timer = BEAM__PAR_DO_PAYLOAD__TIMER_FAMILY_SPECS_ENTRY__INIT,
                                              *timers[] = {&timer};
    Beam__TimerFamilySpec family = BEAM__TIMER_FAMILY_SPEC__INIT;
    Beam__StateSpec spec = BEAM__STATE_SPEC__INIT;
    Beam__BagStateSpec bag = BEAM__BAG_STATE_SPEC__INIT;

    bag.element_coder_id = (char *)"varint";
    spec.spec_case = BEAM__STATE_SPEC__SPEC_BAG_SPEC;
    spec.bag_spec = &bag;
    state.key = (char *)"bag";
    state.value = &spec;
    pardo.state_specs = states;
    pardo.n_state_specs = 1;
    family.time_domain = BEAM__TIME_DOMAIN__ENUM__EVENT_TIME;
    family.timer_family_coder_id = (char *)"bytes";
    timer.key = (char *)"timer";
    timer.value = &family;
    pardo.timer_family_specs = timers;
    pardo.n_timer_family_specs = has_timers;
    pardo.restriction_coder_id = (char *)"opaque";
    build_step("Start", URN_IMPULSE, NULL, "a", "bytes");
    build_step("Make", URN_MAP, "a", "k", "kvo");
    build_payload(build_step("Count", URN_PARDO, "k", "c", "varint"), &pardo.base);
}

static void make_unbounded(size_t first) {
    for (size_t i = first; i < build.components->n_pcollections; i++)
        build.components->pcollections[i]->value->is_bounded = BEAM__IS_BOUNDED__ENUM__UNBOUNDED;
}

static void run_in_go(void) {
    Beam__Environment *environment = build.components->environments[0]->value;

    environment->capabilities[environment->n_capabilities++] =
        (char *)"beam:version:sdk_base:go:apache/beam_go_sdk:2.77.0";
}

START_TEST(one_with_state_stays_in_one_piece)
{
    stateful_splittable(false);
    build_expect("stage 0 impulse: Start\n"
                 "  out 0 Start.out bytes in global_window\n"
                 "stage 1 executable env 0: Make\n"
                 "  in 0 Start.out bytes in global_window\n"
                 "  out 1 Make.out kv<length_prefix,length_prefix> in global_window\n"
                 "stage 2 executable keyed env 0: Count\n"
                 "  in 1 Make.out kv<length_prefix,length_prefix> in global_window\n"
                 "  state bag bag varint\n");
}
END_TEST

START_TEST(one_with_timers_has_them_by_the_users_key)
{
    stateful_splittable(true);
    ck_assert_msg(build_dump() != NULL, "%s", status_message(&build.st));
    ck_assert_ptr_nonnull(strstr(build_dump(), "timer timer event_time timer<length_prefix,global_window>\n"));
}
END_TEST

START_TEST(one_with_state_may_read_a_stream)
{
    stateful_splittable(true);
    make_unbounded(1); /* k and c */
    ck_assert_msg(build_dump() != NULL, "%s", status_message(&build.st));
    ck_assert_ptr_nonnull(strstr(build_dump(), "executable unbounded keyed env 0: Count\n"));
}
END_TEST

START_TEST(one_with_state_must_come_to_an_end)
{
    stateful_splittable(false);
    make_unbounded(2); /* c */
    build_expect_error("transform \"Count\"", "unbounded for each element");
}
END_TEST

START_TEST(go_is_sure_to_finish_bounded_outputs_alone)
{
    stateful_splittable(false);
    run_in_go();
    ck_assert_msg(build_dump() != NULL, "%s", status_message(&build.st));
    make_unbounded(1);
    build_expect_error("transform \"Count\"", "Go SDK");
}
END_TEST

START_TEST(go_has_no_timers_there)
{
    stateful_splittable(true);
    run_in_go();
    build_expect_error("transform \"Count\"", "Go SDK");
}
END_TEST

START_TEST(steps_with_state_are_refused)
{
    stateful_splittable(false);
    build.components->transforms[2]->value->spec->urn =
        (char *)"beam:transform:sdf_process_sized_element_and_restrictions:v1";
    build_expect_error("transform \"Count\"", "only in one piece");
}
END_TEST

int main(void) {
    const TTest *const tests[] = {
        a_splittable_pardo_becomes_three_steps,
        side_inputs_go_to_all_three,
        an_expanded_one_stays,
        a_missing_restriction_coder_is_named,
        an_old_read_gets_an_impulse,
        one_with_state_stays_in_one_piece,
        one_with_timers_has_them_by_the_users_key,
        one_with_state_may_read_a_stream,
        one_with_state_must_come_to_an_end,
        go_is_sure_to_finish_bounded_outputs_alone,
        go_has_no_timers_there,
        steps_with_state_are_refused,
    };

    return run_tests("translate_sdf", tests, ARRAY_COUNT(tests));
}
