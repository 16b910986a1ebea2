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

int main(void) {
    const TTest *const tests[] = {
        a_splittable_pardo_becomes_three_steps, side_inputs_go_to_all_three, an_expanded_one_stays,
        a_missing_restriction_coder_is_named,   an_old_read_gets_an_impulse,
    };

    return run_tests("translate_sdf", tests, ARRAY_COUNT(tests));
}
