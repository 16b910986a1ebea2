#include <string.h>

#include "pipeline_builder.h"

START_TEST(a_flatten_is_a_step_of_the_runner)
{
    Beam__PTransform *flatten;

    build_step("Start", URN_IMPULSE, NULL, "a", "bytes");
    build_step("Left", URN_MAP, "a", "l", "varint");
    build_step("Right", URN_MAP, "a", "r", "varint");
    flatten = build_step("Both", URN_FLATTEN, "l", "f", "varint");
    build_in(flatten, "other", "r");
    build_in(flatten, "again", "r");
    build_step("Use", URN_MAP, "f", NULL, NULL);
    build_expect("stage 0 impulse: Start\n"
                 "  out 0 Start.out bytes in global_window\n"
                 "stage 1 executable env 0: Left + Right\n"
                 "  in 0 Start.out bytes in global_window\n"
                 "  out 1 Left.out varint in global_window\n"
                 "  out 2 Right.out varint in global_window\n"
                 "stage 2 flatten: Both\n"
                 "  in 1 Left.out varint in global_window\n"
                 "  in 2 Right.out varint in global_window\n"
                 "  in 2 Right.out varint in global_window\n"
                 "  out 3 Both.out varint in global_window\n"
                 "stage 3 executable env 0: Use\n"
                 "  in 3 Both.out varint in global_window\n");
    ck_assert_uint_eq(build.plan->collections[2].consumer_count, 2);
}
END_TEST

START_TEST(another_coder_is_reencoded_where_it_was_made)
{
    Beam__PTransform *flatten;

    build_step("Start", URN_IMPULSE, NULL, "a", "bytes");
    build_step("Left", URN_MAP, "a", "l", "varint");
    flatten = build_step("Both", URN_FLATTEN, "l", "f", "opaque");
    build_in(flatten, "other", "a");
    build_step("Use", URN_MAP, "f", NULL, NULL);
    build_expect("stage 0 impulse: Start\n"
                 "  out 0 Start.out bytes in global_window\n"
                 "stage 1 executable env 0: Left + Both/Reencode(other) + Both/Reencode(in)\n"
                 "  in 0 Start.out bytes in global_window\n"
                 "  out 1 Both/Reencode(other).out length_prefix in global_window\n"
                 "  out 2 Both/Reencode(in).out length_prefix in global_window\n"
                 "stage 2 flatten: Both\n"
                 "  in 2 Both/Reencode(in).out length_prefix in global_window\n"
                 "  in 1 Both/Reencode(other).out length_prefix in global_window\n"
                 "  out 3 Both.out length_prefix in global_window\n"
                 "stage 3 executable env 0: Use\n"
                 "  in 3 Both.out length_prefix in global_window\n");
}
END_TEST

START_TEST(a_flatten_of_nothing_is_legal)
{
    build_step("None", URN_FLATTEN, NULL, "f", "varint");
    build_step("Use", URN_MAP, "f", NULL, NULL);
    build_expect("stage 0 flatten: None\n"
                 "  out 0 None.out varint in global_window\n"
                 "stage 1 executable env 0: Use\n"
                 "  in 0 None.out varint in global_window\n");
}
END_TEST

START_TEST(runner_steps_that_nobody_reads_vanish)
{
    build_step("Start", URN_IMPULSE, NULL, "a", "bytes");
    build_step("Map", URN_MAP, "a", "b", "kv");
    build_step("Group", URN_GBK, "b", "g", "bytes");
    build_step("Merge", URN_FLATTEN, "g", "f", "bytes");
    build_expect("stage 0 impulse: Start\n"
                 "  out 0 Start.out bytes in global_window\n"
                 "stage 1 executable env 0: Map\n"
                 "  in 0 Start.out bytes in global_window\n");
}
END_TEST

START_TEST(a_view_is_made_from_what_its_readers_say)
{
    Beam__PTransform *use;

    build_step("Start", URN_IMPULSE, NULL, "a", "bytes");
    build_step("Map", URN_MAP, "a", "b", "bytes");
    build_step("View", "beam:transform:create_view:v1", "b", "view", "bytes");
    use = build_step("Use", URN_PARDO, "a", NULL, NULL);
    build_in(use, "side", "b");
    build_side_inputs(use, "beam:side_input:iterable:v1", "side", NULL);
    build_expect("stage 0 impulse: Start\n"
                 "  out 0 Start.out bytes in global_window\n"
                 "stage 1 executable env 0: Map\n"
                 "  in 0 Start.out bytes in global_window\n"
                 "  out 1 Map.out bytes in global_window\n"
                 "stage 2 executable env 0: Use\n"
                 "  in 0 Start.out bytes in global_window\n"
                 "  side iterable 1 Map.out bytes in global_window\n");
}
END_TEST

static Beam__PTransform *reshuffle(const char *out_coder) {
    Beam__PTransform *mix;

    build_step("Start", URN_IMPULSE, NULL, "a", "bytes");
    build_step("Make", URN_MAP, "a", "b", "kv");
    build_collection("c", out_coder);
    mix = build_step("Mix", URN_RESHUFFLE, "b", "c", NULL);
    build_step("Group", URN_GBK, "b", "g", "bytes");
    build_step("Ungroup", URN_MAP, "g", "c", NULL);
    build_child(mix, "Group");
    build_child(mix, "Ungroup");
    build_step("Use", URN_MAP, "c", NULL, NULL);
    return mix;
}

START_TEST(a_reshuffle_is_folded)
{
    reshuffle("kv");
    build_expect("stage 0 impulse: Start\n"
                 "  out 0 Start.out bytes in global_window\n"
                 "stage 1 executable env 0: Make\n"
                 "  in 0 Start.out bytes in global_window\n"
                 "  out 1 Make.out kv<bytes,bytes> in global_window\n"
                 "stage 2 flatten reshuffle: Mix/Fold\n"
                 "  in 1 Make.out kv<bytes,bytes> in global_window\n"
                 "  out 2 Mix/Fold.out kv<bytes,bytes> in global_window\n"
                 "stage 3 executable env 0: Use\n"
                 "  in 2 Mix/Fold.out kv<bytes,bytes> in global_window\n");
}
END_TEST

START_TEST(an_equal_coder_by_another_name_is_equal)
{
    build_coder("kv2", "beam:coder:kv:v1", "bytes", "bytes");
    reshuffle("kv2");
    ck_assert_msg(build_dump() != NULL, "%s", status_message(&build.st));
    ck_assert_ptr_nonnull(strstr(build_dump(), "reshuffle: Mix/Fold"));
}
END_TEST

START_TEST(a_reshuffle_that_changes_the_coder_is_expanded)
{
    reshuffle("kvo");
    ck_assert_msg(build_dump() != NULL, "%s", status_message(&build.st));
    ck_assert_ptr_nonnull(strstr(build_dump(), "group_by_key: Group"));
    ck_assert_ptr_null(strstr(build_dump(), "reshuffle"));
}
END_TEST

START_TEST(redistribute_is_folded_too)
{
    reshuffle("kv")->spec->urn = (char *)"beam:transform:redistribute_by_key:v1";
    ck_assert_msg(build_dump() != NULL, "%s", status_message(&build.st));
    ck_assert_ptr_nonnull(strstr(build_dump(), "reshuffle: Mix/Fold"));
}
END_TEST

int main(void) {
    const TTest *const tests[] = {
        a_flatten_is_a_step_of_the_runner,
        another_coder_is_reencoded_where_it_was_made,
        a_flatten_of_nothing_is_legal,
        runner_steps_that_nobody_reads_vanish,
        a_view_is_made_from_what_its_readers_say,
        a_reshuffle_is_folded,
        an_equal_coder_by_another_name_is_equal,
        a_reshuffle_that_changes_the_coder_is_expanded,
        redistribute_is_folded_too,
    };

    return run_tests("translate_flatten", tests, ARRAY_COUNT(tests));
}
