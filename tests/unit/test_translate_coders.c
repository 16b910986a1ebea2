/* Coders on the wire: what the runner cannot walk is wrapped, what is grouped keeps its parts. */
#include <string.h>

#include "pipeline_builder.h"

/* The wire form of a collection with this coder, as it crosses into a group by key's neighbour. */
static void expect_wire(const char *coder, const char *wire) {
    build_teardown();
    build_setup();
    build_coder("row", "beam:coder:row:v1", NULL, NULL);
    build_coder("prefixed", "beam:coder:length_prefix:v1", "opaque", NULL);
    build_coder("list", "beam:coder:iterable:v1", "opaque", NULL);
    build_coder("maybe", "beam:coder:nullable:v1", "row", NULL);
    build_coder("deep", "beam:coder:kv:v1", "list", "maybe");
    build_coder("string", "beam:coder:string_utf8:v1", NULL, NULL);
    build_coder("known", "beam:coder:kv:v1", "string", "varint");
    build_coder("interval_window", "beam:coder:interval_window:v1", NULL, NULL);
    build_coder("value", "beam:coder:windowed_value:v1", "opaque", "interval_window");
    build_step("Start", URN_IMPULSE, NULL, "a", "bytes");
    build_step("Map", URN_MAP, "a", "b", coder);
    build_step("Mix", URN_RESHUFFLE, "b", "c", coder);
    build_step("Use", URN_MAP, "c", NULL, NULL);
    build_expect(arena_printf(&build.arena,
                              "stage 0 impulse: Start\n"
                              "  out 0 Start.out bytes in global_window\n"
                              "stage 1 executable env 0: Map\n"
                              "  in 0 Start.out bytes in global_window\n"
                              "  out 1 Map.out %s in global_window\n"
                              "stage 2 flatten reshuffle: Mix/Fold\n"
                              "  in 1 Map.out %s in global_window\n"
                              "  out 2 Mix/Fold.out %s in global_window\n"
                              "stage 3 executable env 0: Use\n"
                              "  in 2 Mix/Fold.out %s in global_window\n",
                              wire, wire, wire, wire));
}

START_TEST(what_the_runner_does_not_know_is_wrapped)
{
    expect_wire("bytes", "bytes");
    expect_wire("opaque", "length_prefix");
    expect_wire("row", "length_prefix");
    expect_wire("prefixed", "length_prefix");
    expect_wire("list", "iterable<length_prefix>");
    expect_wire("maybe", "nullable<length_prefix>");
    expect_wire("deep", "kv<iterable<length_prefix>,nullable<length_prefix>>");
    expect_wire("known", "kv<string_utf8,varint>");
    expect_wire("value", "windowed_value<length_prefix,interval_window>");
}
END_TEST

START_TEST(grouped_bytes_keep_their_parts)
{
    build_step("Start", URN_IMPULSE, NULL, "a", "bytes");
    build_step("Map", URN_MAP, "a", "b", "kvo");
    build_step("Group", URN_GBK, "b", "g", "opaque"); /* whatever the SDK says of the output */
    build_step("Use", URN_MAP, "g", NULL, NULL);
    build_expect("stage 0 impulse: Start\n"
                 "  out 0 Start.out bytes in global_window\n"
                 "stage 1 executable env 0: Map\n"
                 "  in 0 Start.out bytes in global_window\n"
                 "  out 1 Map.out kv<length_prefix,length_prefix> in global_window\n"
                 "stage 2 group_by_key: Group\n"
                 "  in 1 Map.out kv<length_prefix,length_prefix> in global_window\n"
                 "  out 2 Group.out kv<length_prefix,iterable<length_prefix>> in global_window\n"
                 "stage 3 executable env 0: Use\n"
                 "  in 2 Group.out kv<length_prefix,iterable<length_prefix>> in global_window\n");
}
END_TEST

START_TEST(an_unknown_window_coder_gets_its_maximum_timestamp_in_front)
{
    build_step("Start", URN_IMPULSE, NULL, "a", "bytes");
    build_windowing("mine", "opaque")->window_fn->urn = (char *)"test:window_fn:mine:v1";
    build_step("Map", URN_MAP, "a", "b", "kv");
    build.components->pcollections[1]->value->windowing_strategy_id = (char *)"mine";
    build_step("Group", URN_GBK, "b", "g", "bytes");
    build.components->pcollections[2]->value->windowing_strategy_id = (char *)"mine";
    build_step("Use", URN_MAP, "g", NULL, NULL);
    ck_assert_msg(build_dump() != NULL, "%s", status_message(&build.st));
    ck_assert_ptr_nonnull(strstr(build_dump(), "out 1 Map.out kv<bytes,bytes> in custom_window<length_prefix>\n"));
}
END_TEST

START_TEST(a_shared_coder_does_not_explode)
{
    build_step("Start", URN_IMPULSE, NULL, "a", "bytes");
    for (int i = 0; i < 100; i++) {
        const char *below = i ? arena_printf(&build.arena, "x%d", i - 1) : "opaque";

        build_coder(arena_printf(&build.arena, "x%d", i), "beam:coder:kv:v1", below, below);
    }
    build_step("Map", URN_MAP, "a", "b", "x99");
    build_step("Mix", URN_RESHUFFLE, "b", "c", "x99");
    build_step("Use", URN_MAP, "c", NULL, NULL);
    ck_assert_int_eq(translate_pipeline(build.pipeline, NULL, &build.plan, &build.st), 0);
}
END_TEST

int main(void) {
    const TTest *const tests[] = {
        what_the_runner_does_not_know_is_wrapped,
        grouped_bytes_keep_their_parts,
        an_unknown_window_coder_gets_its_maximum_timestamp_in_front,
        a_shared_coder_does_not_explode,
    };

    return run_tests("translate_coders", tests, ARRAY_COUNT(tests));
}
