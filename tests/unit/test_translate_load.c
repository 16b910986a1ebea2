/* What a pipeline must not be: each kind of mistake has a message that names the transform, or the id that is missing and who
 * refers to it. */
#include <stdlib.h>
#include <string.h>

#include "pipeline_builder.h"
#include "wire/pb.h"

/* Start --a--> Map --b--> */
static Beam__PTransform *small_pipeline(void) {
    build_step("Start", URN_IMPULSE, NULL, "a", "bytes");
    return build_step("Map", URN_MAP, "a", "b", "bytes");
}

START_TEST(a_small_pipeline_is_translated)
{
    small_pipeline();
    build_expect("stage 0 impulse: Start\n"
                 "  out 0 Start.out bytes in global_window\n"
                 "stage 1 executable env 0: Map\n"
                 "  in 0 Start.out bytes in global_window\n");
}
END_TEST

START_TEST(nothing_is_refused)
{ build_expect_error("no transforms", ""); }
END_TEST

START_TEST(a_missing_root_is_refused)
{
    small_pipeline();
    build.pipeline->root_transform_ids[0] = (char *)"nobody";
    build_expect_error("root transform", "\"nobody\"");
}
END_TEST

START_TEST(a_missing_subtransform_is_refused)
{
    small_pipeline();
    build_child(build_transform("Whole", ""), "nobody");
    build_expect_error("transform \"Whole\"", "\"t-nobody\"");
}
END_TEST

START_TEST(a_missing_collection_is_refused)
{
    small_pipeline();
    build_step("Other", URN_MAP, "nothing", NULL, NULL);
    build_expect_error("transform \"Other\"", "\"nothing\"");
}
END_TEST

START_TEST(a_missing_coder_is_refused)
{
    small_pipeline();
    build_collection("c", "nocoder");
    build_expect_error("PCollection \"c\"", "\"nocoder\"");
}
END_TEST

START_TEST(a_missing_component_coder_is_refused)
{
    small_pipeline();
    build_coder("list", "beam:coder:iterable:v1", "nocoder", NULL);
    build_expect_error("coder \"list\"", "\"nocoder\"");
}
END_TEST

START_TEST(a_coder_with_the_wrong_number_of_components_is_refused)
{
    small_pipeline();
    build_coder("half", "beam:coder:kv:v1", "bytes", NULL);
    build_expect_error("coder \"half\"", "1 components, not 2");
}
END_TEST

START_TEST(a_coder_that_contains_itself_is_refused)
{
    small_pipeline();
    build_coder("x", "beam:coder:iterable:v1", "y", NULL);
    build_coder("y", "beam:coder:iterable:v1", "x", NULL);
    build_expect_error("contains itself", "coder \"");
}
END_TEST

START_TEST(coders_nest_within_bounds)
{
    small_pipeline();
    for (int i = 0; i < TRANSLATE_MAX_CODER_NESTING - 1; i++)
        build_coder(arena_printf(&build.arena, "n%d", i), "beam:coder:iterable:v1",
                    i ? arena_printf(&build.arena, "n%d", i - 1) : "bytes", NULL);
    ck_assert_ptr_nonnull(build_dump());
    build_coder("deepest", "beam:coder:iterable:v1", arena_printf(&build.arena, "n%d", TRANSLATE_MAX_CODER_NESTING - 2),
                NULL);
    build_expect_error("coder \"deepest\"", "nested");
}
END_TEST

START_TEST(a_missing_windowing_strategy_is_refused)
{
    small_pipeline();
    build_collection("c", "bytes")->windowing_strategy_id = (char *)"nowindows";
    build_expect_error("PCollection \"c\"", "\"nowindows\"");
}
END_TEST

START_TEST(a_missing_window_coder_is_refused)
{
    small_pipeline();
    build_windowing("w", "nocoder");
    build_expect_error("windowing strategy \"w\"", "\"nocoder\"");
}
END_TEST

START_TEST(a_missing_environment_is_refused)
{
    small_pipeline()->environment_id = (char *)"nowhere";
    build_expect_error("transform \"Map\"", "\"nowhere\"");
}
END_TEST

START_TEST(a_transform_that_needs_an_environment_must_name_one)
{
    Beam__PTransform *pardo;

    small_pipeline();
    pardo = build_step("Do", URN_PARDO, "b", NULL, NULL);
    pardo->environment_id = (char *)"";
    build_expect_error("transform \"Do\"", "no environment");
}
END_TEST

START_TEST(an_unknown_leaf_without_environment_is_refused_by_name)
{
    small_pipeline()->environment_id = (char *)"";
    build_expect_error("transform \"Map\"", "\"" URN_MAP "\"");
    ck_assert_int_eq(build.st.code, STATUS_UNIMPLEMENTED);
}
END_TEST

START_TEST(an_unknown_requirement_is_refused)
{
    small_pipeline();
    build_requirement("beam:requirement:pardo:stateful:v1");
    ck_assert_ptr_nonnull(build_dump());
    build_requirement("beam:requirement:telepathy:v1");
    build_expect_error("requires", "\"beam:requirement:telepathy:v1\"");
}
END_TEST

START_TEST(a_cycle_of_data_is_refused)
{
    Beam__PTransform *flatten;

    small_pipeline();
    flatten = build_step("Merge", URN_FLATTEN, "b", "c", "bytes");
    build_in(flatten, "again", "d");
    build_step("Back", URN_MAP, "c", "d", "bytes");
    build_expect_error("cycle", "\"Back\"");
}
END_TEST

START_TEST(a_cycle_of_composites_is_refused)
{
    Beam__PTransform *outer, *inner;

    small_pipeline();
    outer = build_transform("Outer", "");
    inner = build_transform("Inner", "");
    build_child(outer, "Inner");
    build_child(inner, "Outer");
    build.pipeline->root_transform_ids[build.pipeline->n_root_transform_ids++] = (char *)"t-Outer";
    build_expect_error("transform \"Outer\"", "subtransform of itself");
}
END_TEST

START_TEST(composites_nest_within_bounds)
{
    small_pipeline();
    for (int i = 0; i <= TRANSLATE_MAX_NESTING; i++) {
        Beam__PTransform *composite = build_transform(arena_printf(&build.arena, "c%d", i), "");

        build_child(composite, i ? arena_printf(&build.arena, "c%d", i - 1) : "Map");
    }
    build_expect_error("nested", "transform \"");
}
END_TEST

START_TEST(two_producers_are_refused)
{
    small_pipeline();
    build_step("Other", URN_MAP, "a", "b", NULL);
    build_expect_error("\"Map\"", "\"Other\"");
}
END_TEST

START_TEST(a_collection_that_nobody_produces_is_refused)
{
    small_pipeline();
    build_collection("orphan", "bytes");
    build_step("Reader", URN_MAP, "orphan", NULL, NULL);
    build_expect_error("transform \"Reader\"", "\"orphan\"");
}
END_TEST

START_TEST(a_truncated_payload_is_refused)
{
    Beam__PTransform *pardo;

    small_pipeline();
    pardo = build_step("Do", URN_PARDO, "b", NULL, NULL);
    build_side_inputs(pardo, "beam:side_input:iterable:v1", "in", NULL);
    pardo->spec->payload.len--;
    build_expect_error("transform \"Do\"", "ParDoPayload");
}
END_TEST

START_TEST(a_side_input_that_is_no_input_is_refused)
{
    small_pipeline();
    build_side_inputs(build_step("Do", URN_PARDO, "b", NULL, NULL), "beam:side_input:iterable:v1", "side", NULL);
    build_expect_error("transform \"Do\"", "side input \"side\"");
}
END_TEST

START_TEST(an_unknown_access_pattern_is_refused)
{
    Beam__PTransform *pardo;

    small_pipeline();
    pardo = build_step("Do", URN_PARDO, "a", NULL, NULL);
    build_in(pardo, "side", "b");
    build_side_inputs(pardo, "test:side_input:tree:v1", "side", NULL);
    build_expect_error("transform \"Do\"", "\"test:side_input:tree:v1\"");
}
END_TEST

START_TEST(grouping_needs_a_kv)
{
    small_pipeline();
    build_step("Group", URN_GBK, "b", "g", "bytes");
    build_step("Use", URN_MAP, "g", NULL, NULL);
    build_expect_error("transform \"Group\"", "must be encoded as KV");
}
END_TEST

START_TEST(a_multimap_side_input_needs_a_kv)
{
    Beam__PTransform *pardo;

    small_pipeline();
    pardo = build_step("Do", URN_PARDO, "a", NULL, NULL);
    build_in(pardo, "side", "b");
    build_side_inputs(pardo, "beam:side_input:multimap:v1", "side", NULL);
    build_expect_error("transform \"Do\"", "must be encoded as KV");
}
END_TEST

START_TEST(an_impulse_makes_bytes)
{
    build_step("Start", URN_IMPULSE, NULL, "a", "varint");
    build_step("Map", URN_MAP, "a", NULL, NULL);
    build_expect_error("transform \"Start\"", "bytes");
}
END_TEST

START_TEST(two_main_inputs_are_refused)
{
    build_in(small_pipeline(), "other", "a");
    build_expect_error("transform \"Map\"", "2 main inputs");
}
END_TEST

START_TEST(pass_throughs_vanish)
{
    Beam__PTransform *identity;

    small_pipeline();
    identity = build_step("Identity", "test:transform:whatever:v1", "b", "b", NULL);
    identity->environment_id = (char *)"";
    build_transform("Empty", "")->environment_id = (char *)"env";
    build_transform("Generic", "beam:transform:generic_composite:v1");
    build_step("Next", URN_MAP, "b", NULL, NULL);
    build_expect("stage 0 impulse: Start\n"
                 "  out 0 Start.out bytes in global_window\n"
                 "stage 1 executable env 0: Map + Next\n"
                 "  in 0 Start.out bytes in global_window\n");
}
END_TEST

START_TEST(composites_are_expanded_whatever_their_urn)
{
    Beam__PTransform *composite;

    small_pipeline();
    composite = build_step("Whole", "test:transform:composite:v1", "a", "b", NULL);
    composite->environment_id = (char *)"";
    build_child(composite, "Map");
    ck_assert_ptr_nonnull(build_dump());
    ck_assert_uint_eq(build.plan->stage_count, 2);
}
END_TEST

START_TEST(an_sdk_fused_stage_is_unfolded)
{
    Beam__ExecutableStagePayload payload = BEAM__EXECUTABLE_STAGE_PAYLOAD__INIT;
    Beam__Components inner = BEAM__COMPONENTS__INIT;
    Beam__Components__TransformsEntry *entries[2];
    Beam__PTransform *stage;

    build_step("Start", URN_IMPULSE, NULL, "a", "bytes");
    stage = build_step("Fused", "beam:runner:executable_stage:v1", "a", "c", "bytes");
    stage->environment_id = (char *)"";
    build_step("transform_0", URN_MAP, "a", "b", "bytes");
    build_step("transform_1", URN_MAP, "b", "c", NULL);
    build_step("After", URN_MAP, "c", NULL, NULL);
    /* Take them out of the pipeline, into the payload. */
    memcpy(entries, build.components->transforms + 2, sizeof(entries));
    build.components->transforms[2] = build.components->transforms[4];
    build.components->n_transforms = 3;
    build.pipeline->root_transform_ids[2] = build.pipeline->root_transform_ids[4];
    build.pipeline->n_root_transform_ids = 3;
    inner.transforms = entries;
    inner.n_transforms = 2;
    payload.components = &inner;
    build_payload(stage, &payload.base);
    build_expect("stage 0 impulse: Start\n"
                 "  out 0 Start.out bytes in global_window\n"
                 "stage 1 executable env 0: transform_0 + transform_1 + After\n"
                 "  in 0 Start.out bytes in global_window\n");
    ck_assert_str_eq(plan_transform_unique_name(build.plan, "t-Fused/t-transform_1"), "transform_1");
}
END_TEST

/* No bytes, however they were bent, do harm. */
START_TEST(mutated_pipelines_are_refused_or_translated)
{
    Beam__PTransform *flatten, *pardo;
    struct slice packed;
    uint8_t *bytes;
    uint64_t random = 42;

    small_pipeline();
    flatten = build_step("Merge", URN_FLATTEN, "b", "c", "opaque");
    build_in(flatten, "other", "a");
    build_combine_payload(build_step("Sum", URN_COMBINE, "k", "s", "kvo"), "varint");
    build_step("Pair", URN_MAP, "c", "k", "kvo");
    pardo = build_step("Do", URN_PARDO, "c", NULL, NULL);
    build_in(pardo, "side", "s");
    build_side_inputs(pardo, "beam:side_input:multimap:v1", "side", NULL);
    ck_assert_msg(build_dump() != NULL, "%s", status_message(&build.st));
    packed = pb_pack(&build.pipeline->base, NULL);
    bytes = malloc(packed.size);
    for (int round = 0; round < 3000; round++) {
        struct arena arena = {0};
        struct status st = {0};
        Beam__Pipeline *pipeline;
        struct plan *plan = NULL;

        memcpy(bytes, packed.data, packed.size);
        for (int flips = 0; flips <= round % 4; flips++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            bytes[(random >> 20) % packed.size] =
                flips % 2 ? bytes[(random >> 40) % packed.size] : (uint8_t)(random >> 56);
        }
        if (pb_unpack(&beam__pipeline__descriptor, bytes, packed.size, PB_STRINGS_STRICT, &arena,
                      (ProtobufCMessage **)(void *)&pipeline, &st) == 0 &&
            translate_pipeline(pipeline, NULL, &plan, &st) < 0)
            ck_assert_str_ne(status_message(&st), "");
        plan_destroy(plan);
        status_clear(&st);
        arena_clear(&arena);
    }
    free(bytes);
    slice_unref(&packed);
}
END_TEST

int main(void) {
    const TTest *const tests[] = {
        a_small_pipeline_is_translated,
        nothing_is_refused,
        a_missing_root_is_refused,
        a_missing_subtransform_is_refused,
        a_missing_collection_is_refused,
        a_missing_coder_is_refused,
        a_missing_component_coder_is_refused,
        a_coder_with_the_wrong_number_of_components_is_refused,
        a_coder_that_contains_itself_is_refused,
        coders_nest_within_bounds,
        a_missing_windowing_strategy_is_refused,
        a_missing_window_coder_is_refused,
        a_missing_environment_is_refused,
        a_transform_that_needs_an_environment_must_name_one,
        an_unknown_leaf_without_environment_is_refused_by_name,
        an_unknown_requirement_is_refused,
        a_cycle_of_data_is_refused,
        a_cycle_of_composites_is_refused,
        composites_nest_within_bounds,
        two_producers_are_refused,
        a_collection_that_nobody_produces_is_refused,
        a_truncated_payload_is_refused,
        a_side_input_that_is_no_input_is_refused,
        an_unknown_access_pattern_is_refused,
        grouping_needs_a_kv,
        a_multimap_side_input_needs_a_kv,
        an_impulse_makes_bytes,
        two_main_inputs_are_refused,
        pass_throughs_vanish,
        composites_are_expanded_whatever_their_urn,
        an_sdk_fused_stage_is_unfolded,
        mutated_pipelines_are_refused_or_translated,
    };

    return run_tests("translate_load", tests, ARRAY_COUNT(tests));
}
