/* What is in a stream, and what a splittable DoFn in one gets to be drained by. */
#include <string.h>

#include "beam_fn_api.pb-c.h"
#include "pipeline_builder.h"
#include "wire/pb.h"

#define ITERABLE "beam:side_input:iterable:v1"
#define TRUNCATE "beam:transform:sdf_truncate_sized_restrictions:v1"

static void make_unbounded(const char *collection) {
    for (size_t i = 0; i < build.components->n_pcollections; i++)
        if (strcmp(build.components->pcollections[i]->key, collection) == 0)
            build.components->pcollections[i]->value->is_bounded = BEAM__IS_BOUNDED__ENUM__UNBOUNDED;
}

static void let_truncate(const char *urn) {
    Beam__Environment *environment = build.components->environments[0]->value;

    environment->capabilities[environment->n_capabilities++] = (char *)urn;
}

static void translate(void) {
    ck_assert_msg(build_dump() != NULL, "%s", status_message(&build.st));
}

static const struct plan_stage *find_stage(const char *name) {
    for (size_t i = 0; i < build.plan->stage_count; i++)
        if (strcmp(build.plan->stages[i].name, name) == 0)
            return &build.plan->stages[i];
    ck_abort_msg("no stage \"%s\"", name);
}

/* ---- what is unbounded ---- */

START_TEST(what_a_stream_feeds_is_a_stream)
{
    build_step("Start", URN_IMPULSE, NULL, "a", "bytes");
    build_step("Read", URN_MAP, "a", "b", "kv");
    build_step("Group", URN_GBK, "b", "g", "bytes");
    build_step("Use", URN_MAP, "g", "u", "bytes");
    make_unbounded("b");
    build_expect("stage 0 impulse: Start\n"
                 "  out 0 Start.out bytes in global_window\n"
                 "stage 1 executable unbounded env 0: Read\n"
                 "  in 0 Start.out bytes in global_window\n"
                 "  out 1 Read.out unbounded kv<bytes,bytes> in global_window\n"
                 "stage 2 group_by_key unbounded: Group\n"
                 "  in 1 Read.out unbounded kv<bytes,bytes> in global_window\n"
                 "  out 2 Group.out unbounded kv<bytes,iterable<bytes>> in global_window\n"
                 "stage 3 executable unbounded env 0: Use\n"
                 "  in 2 Group.out unbounded kv<bytes,iterable<bytes>> in global_window\n");
}
END_TEST

START_TEST(a_test_stream_is_a_stream)
{
    Beam__TestStreamPayload script = BEAM__TEST_STREAM_PAYLOAD__INIT;
    Beam__PTransform *source = build_step("Source", URN_TEST_STREAM, NULL, "a", "bytes");

    script.coder_id = (char *)"bytes";
    source->environment_id = (char *)"";
    build_payload(source, &script.base);
    build_step("Use", URN_MAP, "a", "u", "bytes");
    translate();
    ck_assert(!build.plan->collections[0].is_bounded);
    ck_assert(!find_stage("Source")->is_bounded);
    ck_assert(!find_stage("Use")->is_bounded);
}
END_TEST

START_TEST(one_unbounded_input_is_enough_for_a_flatten)
{
    build_step("Start", URN_IMPULSE, NULL, "a", "bytes");
    build_step("Files", URN_MAP, "a", "f", "bytes");
    build_step("Topic", URN_MAP, "a", "t", "bytes");
    build_in(build_step("Both", URN_FLATTEN, "f", "o", "bytes"), "other", "t");
    build_step("Shuffle", URN_RESHUFFLE, "o", "s", "bytes");
    build_step("Use", URN_MAP, "s", NULL, NULL);
    make_unbounded("t");
    translate();
    ck_assert(!find_stage("Both")->is_bounded);
    ck_assert(!find_stage("Shuffle/Fold")->is_bounded);
    ck_assert(!find_stage("Use")->is_bounded);
    ck_assert(build.plan->collections[find_stage("Both")->inputs[0]].is_bounded);
}
END_TEST

/* Start -> Main --m--> Use, which reads v, made by View, beside. */
static void with_unbounded_view(void) {
    Beam__PTransform *use;

    build_step("Start", URN_IMPULSE, NULL, "a", "bytes");
    build_step("Main", URN_MAP, "a", "m", "bytes");
    build_step("View", URN_MAP, "a", "v", "bytes");
    use = build_step("Use", URN_PARDO, "m", "u", "bytes");
    build_in(use, "side", "v");
    build_side_inputs(use, ITERABLE, "side", NULL);
    build_step("Behind", URN_MAP, "u", NULL, NULL);
    make_unbounded("v");
}

START_TEST(who_reads_an_unbounded_view_makes_a_stream)
{
    build_environment("other")->urn = (char *)"beam:env:process:v1";
    with_unbounded_view();
    build.components->transforms[build.components->n_transforms - 1]->value->environment_id = (char *)"other";
    translate();
    ck_assert(build.plan->collections[find_stage("Use")->inputs[0]].is_bounded);
    ck_assert(!find_stage("Use")->is_bounded);
    ck_assert(!find_stage("Behind")->is_bounded);
}
END_TEST

START_TEST(readers_of_unbounded_views_are_not_fused_with_each_other)
{
    Beam__PTransform *again;

    with_unbounded_view();
    build_step("View2", URN_MAP, "a", "w", "bytes");
    make_unbounded("w");
    again = build_step("Again", URN_PARDO, "m", NULL, NULL);
    build_in(again, "side", "w");
    build_side_inputs(again, ITERABLE, "side", NULL);
    again = build_step("After", URN_PARDO, "u", NULL, NULL);
    build_in(again, "side", "w");
    build_side_inputs(again, ITERABLE, "side", NULL);
    translate();
    ck_assert_uint_eq(find_stage("Use + Behind")->side_input_count, 1);
    ck_assert_uint_eq(find_stage("Again")->side_input_count, 1);
    ck_assert_uint_eq(find_stage("After")->side_input_count, 1);
}
END_TEST

START_TEST(questions_about_a_stream_are_one)
{
    Beam__WindowingStrategy *windowing;

    build_coder("interval", "beam:coder:interval_window:v1", NULL, NULL);
    windowing = build_windowing("custom", "interval");
    windowing->merge_status = BEAM__MERGE_STATUS__ENUM__NEEDS_MERGE;
    windowing->environment_id = (char *)"env";
    windowing->window_fn->urn = (char *)"test:window_fn:custom:v1";
    build_step("Start", URN_IMPULSE, NULL, "a", "bytes");
    build_step("Make", URN_MAP, "a", "b", "kv");
    build_step("Group", URN_GBK, "b", "g", "bytes");
    build_step("Use", URN_MAP, "g", NULL, NULL);
    for (size_t i = 1; i < build.components->n_pcollections; i++)
        build.components->pcollections[i]->value->windowing_strategy_id = (char *)"custom";
    make_unbounded("b");
    translate();
    ck_assert(!find_stage("Group")->is_bounded);
    ck_assert(!find_stage("Group/MergeWindows")->is_bounded);
    ck_assert(!find_stage("Group/Merged")->is_bounded);
    ck_assert(!find_stage("Use")->is_bounded);
}
END_TEST

/* ---- draining ---- */

static Beam__PTransform *read_step(const char *in, const char *out) {
    Beam__ParDoPayload pardo = BEAM__PAR_DO_PAYLOAD__INIT;
    Beam__PTransform *read = build_step("Read", URN_PARDO, in, out, "varint");

    pardo.restriction_coder_id = (char *)"opaque";
    build_payload(read, &pardo.base);
    return read;
}

START_TEST(a_splittable_dofn_in_a_stream_can_be_drained)
{
    let_truncate(TRUNCATE);
    build_step("Start", URN_IMPULSE, NULL, "a", "bytes");
    read_step("a", "b");
    build_step("Use", URN_MAP, "b", NULL, NULL);
    make_unbounded("b");
    build_expect("stage 0 impulse: Start\n"
                 "  out 0 Start.out bytes in global_window\n"
                 "stage 1 executable env 0: Read/PairWithRestriction + Read/SplitAndSize\n"
                 "  in 0 Start.out bytes in global_window\n"
                 "  out 1 Read/SplitAndSize.out kv<kv<bytes,length_prefix>,double> in global_window\n"
                 "stage 2 executable unbounded env 0: Read/Truncate\n"
                 "  in 1 Read/SplitAndSize.out kv<kv<bytes,length_prefix>,double> in global_window\n"
                 "  out 2 Read/Truncate.out unbounded kv<kv<bytes,length_prefix>,double> in global_window\n"
                 "  drains stage 4\n"
                 "stage 3 flatten unbounded: Read/Restrictions\n"
                 "  in 1 Read/SplitAndSize.out kv<kv<bytes,length_prefix>,double> in global_window\n"
                 "  in 2 Read/Truncate.out unbounded kv<kv<bytes,length_prefix>,double> in global_window\n"
                 "  out 3 Read/Restrictions.out unbounded kv<kv<bytes,length_prefix>,double> in global_window\n"
                 "stage 4 executable unbounded env 0: Read + Use\n"
                 "  in 3 Read/Restrictions.out unbounded kv<kv<bytes,length_prefix>,double> in global_window\n"
                 "  splittable t-Read\n"
                 "  drained by stage 2\n");
    ck_assert(build.plan->stages[2].is_for_drain);
    ck_assert_uint_eq(build.plan->stages[2].drained_stage, 4);
    ck_assert_ptr_null(build.plan->stages[2].process_transform_id);
    ck_assert_uint_eq(build.plan->stages[4].truncate_stage, 2);
    ck_assert(!build.plan->stages[4].is_for_drain);
    ck_assert_uint_eq(build.plan->stages[4].drained_stage, PLAN_NONE);
    ck_assert_uint_eq(build.plan->stages[1].truncate_stage, PLAN_NONE);
}
END_TEST

START_TEST(restrictions_to_be_truncated_are_encoded_like_those_to_be_processed)
{
    const struct plan_collection *collections;

    let_truncate(TRUNCATE);
    build_step("Start", URN_IMPULSE, NULL, "a", "bytes");
    read_step("a", "b");
    make_unbounded("b");
    translate();
    collections = build.plan->collections;
    ck_assert_str_eq(find_stage("Read/Truncate")->source.coder_id, find_stage("Read")->source.coder_id);
    ck_assert_ptr_eq(collections[find_stage("Read/Truncate")->inputs[0]].coder,
                     collections[find_stage("Read")->inputs[0]].coder);
    ck_assert_ptr_eq(collections[find_stage("Read/Truncate")->outputs[0]].coder,
                     collections[find_stage("Read")->inputs[0]].coder);
}
END_TEST

START_TEST(nobody_hears_of_the_steps_for_draining)
{
    let_truncate(TRUNCATE);
    build_step("Start", URN_IMPULSE, NULL, "a", "bytes");
    read_step("a", "b");
    make_unbounded("b");
    translate();
    ck_assert_str_eq(plan_transform_unique_name(build.plan, "t-Read/Truncate"), "Read");
    ck_assert_str_eq(plan_transform_unique_name(build.plan, "t-Read/Restrictions"), "Read");
    for (size_t i = 1; i < build.plan->collection_count; i++)
        ck_assert(plan_made_collection(build.plan, build.plan->collections[i].id));
}
END_TEST

START_TEST(truncation_is_given_the_payload_and_the_side_inputs)
{
    Beam__ParDoPayload pardo = BEAM__PAR_DO_PAYLOAD__INIT;
    Beam__ParDoPayload__SideInputsEntry side = BEAM__PAR_DO_PAYLOAD__SIDE_INPUTS_ENTRY__INIT, *sides[] = {&side};
    Beam__FunctionSpec access = BEAM__FUNCTION_SPEC__INIT;
    Beam__SideInput input = BEAM__SIDE_INPUT__INIT;
    Fn__ProcessBundleDescriptor *descriptor;
    Beam__PTransform *read, *step;
    const struct plan_stage *stage;

    let_truncate(TRUNCATE);
    build_step("Start", URN_IMPULSE, NULL, "a", "bytes");
    build_step("View", URN_MAP, "a", "v", "bytes");
    read = build_step("Read", URN_PARDO, "a", "b", "varint");
    build_in(read, "side", "v");
    access.urn = (char *)ITERABLE;
    input.access_pattern = &access;
    side.key = (char *)"side";
    side.value = &input;
    pardo.side_inputs = sides;
    pardo.n_side_inputs = 1;
    pardo.restriction_coder_id = (char *)"opaque";
    build_payload(read, &pardo.base);
    make_unbounded("b");
    translate();
    stage = find_stage("Read/Truncate");
    ck_assert_uint_eq(stage->side_input_count, 1);
    ck_assert_str_eq(stage->side_inputs[0].transform_id, "t-Read/Truncate");
    ck_assert_str_eq(stage->side_inputs[0].local_name, "side");
    descriptor = fn__process_bundle_descriptor__unpack(NULL, stage->descriptor.size, stage->descriptor.data);
    ck_assert_uint_eq(descriptor->n_transforms, 1);
    step = descriptor->transforms[0]->value;
    ck_assert_str_eq(step->spec->urn, TRUNCATE);
    ck_assert_uint_eq(step->spec->payload.len, read->spec->payload.len);
    ck_assert_mem_eq(step->spec->payload.data, read->spec->payload.data, read->spec->payload.len);
    ck_assert_uint_eq(step->n_inputs, 2);
    fn__process_bundle_descriptor__free_unpacked(descriptor, NULL);
}
END_TEST

static void expect_no_truncation(void) {
    translate();
    ck_assert_ptr_null(strstr(build_dump(), "Truncate"));
    ck_assert_uint_eq(find_stage("Read")->truncate_stage, PLAN_NONE);
}

START_TEST(bounded_work_needs_no_draining)
{
    let_truncate(TRUNCATE);
    build_step("Start", URN_IMPULSE, NULL, "a", "bytes");
    read_step("a", "b");
    expect_no_truncation();
}
END_TEST

START_TEST(an_sdk_that_cannot_truncate_is_not_asked_to)
{
    let_truncate("beam:transform:to_string:v1");
    build_step("Start", URN_IMPULSE, NULL, "a", "bytes");
    read_step("a", "b");
    make_unbounded("b");
    expect_no_truncation();
}
END_TEST

START_TEST(bounded_restrictions_in_a_stream_are_drained_too)
{
    let_truncate(TRUNCATE);
    build_step("Start", URN_IMPULSE, NULL, "a", "bytes");
    build_step("Names", URN_MAP, "a", "n", "bytes");
    read_step("n", "b");
    make_unbounded("n");
    translate();
    ck_assert_uint_eq(find_stage("Read")->truncate_stage, find_stage("Read/Truncate")->index);
    ck_assert(!build.plan->collections[find_stage("Read/Truncate")->inputs[0]].is_bounded);
}
END_TEST

START_TEST(a_splittable_dofn_that_the_sdk_expanded_can_be_drained)
{
    Beam__ParDoPayload pardo = BEAM__PAR_DO_PAYLOAD__INIT;

    let_truncate(TRUNCATE);
    pardo.restriction_coder_id = (char *)"opaque";
    build_step("Start", URN_IMPULSE, NULL, "a", "bytes");
    build_payload(build_step("Pair", "beam:transform:sdf_pair_with_restriction:v1", "a", "p", "kvo"), &pardo.base);
    build_payload(build_step("Split", "beam:transform:sdf_split_and_size_restrictions:v1", "p", "s", "kvo"),
                  &pardo.base);
    build_payload(
        build_step("Process", "beam:transform:sdf_process_sized_element_and_restrictions:v1", "s", "o", "bytes"),
        &pardo.base);
    make_unbounded("o");
    translate();
    ck_assert_str_eq(build.plan->collections[find_stage("Process/Truncate")->inputs[0]].id, "s");
    ck_assert_uint_eq(find_stage("Process")->truncate_stage, find_stage("Process/Truncate")->index);
}
END_TEST

int main(void) {
    const TTest *const tests[] = {
        what_a_stream_feeds_is_a_stream,
        a_test_stream_is_a_stream,
        one_unbounded_input_is_enough_for_a_flatten,
        who_reads_an_unbounded_view_makes_a_stream,
        readers_of_unbounded_views_are_not_fused_with_each_other,
        questions_about_a_stream_are_one,
        a_splittable_dofn_in_a_stream_can_be_drained,
        restrictions_to_be_truncated_are_encoded_like_those_to_be_processed,
        nobody_hears_of_the_steps_for_draining,
        truncation_is_given_the_payload_and_the_side_inputs,
        bounded_work_needs_no_draining,
        an_sdk_that_cannot_truncate_is_not_asked_to,
        bounded_restrictions_in_a_stream_are_drained_too,
        a_splittable_dofn_that_the_sdk_expanded_can_be_drained,
    };

    return run_tests("translate_streams", tests, ARRAY_COUNT(tests));
}
