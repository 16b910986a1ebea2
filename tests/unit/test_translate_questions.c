#include <string.h>

#include "beam_fn_api.pb-c.h"
#include "pipeline_builder.h"
#include "wire/pb.h"

static Beam__WindowingStrategy *merging_strategy(const char *id, const char *window_coder) {
    Beam__WindowingStrategy *strategy = build_windowing(id, window_coder);

    strategy->merge_status = BEAM__MERGE_STATUS__ENUM__NEEDS_MERGE;
    strategy->window_fn->urn = (char *)"beam:window_fn:pickled_python:v1";
    strategy->window_fn->payload = (ProtobufCBinaryData){.data = (uint8_t *)"fn", .len = 2};
    strategy->environment_id = (char *)"env";
    return strategy;
}

/* in -> group by key -> out, the input in windows of the strategy, the output in the same windows merged. */
static void build_grouping(const char *window_coder) {
    Beam__WindowingStrategy *merged;

    merging_strategy("merging", window_coder);
    merged = merging_strategy("merged", window_coder);
    merged->merge_status = BEAM__MERGE_STATUS__ENUM__ALREADY_MERGED;
    build_coder("kvs", "beam:coder:kv:v1", "bytes", "iterable");
    build_coder("iterable", "beam:coder:iterable:v1", "bytes", NULL);
    build_step("Start", URN_IMPULSE, NULL, "a", "bytes");
    build_step("Window", URN_MAP, "a", "in", NULL);
    build_collection("in", "kv")->windowing_strategy_id = (char *)"merging";
    build_step("Group", URN_GBK, "in", "out", NULL);
    build_collection("out", "kvs")->windowing_strategy_id = (char *)"merged";
    build_step("Use", URN_MAP, "out", NULL, NULL);
}

START_TEST(a_grouping_whose_windows_the_sdk_merges_asks_it)
{
    build_coder("interval", "beam:coder:interval_window:v1", NULL, NULL);
    build_grouping("interval");
    build_expect("stage 0 impulse: Start\n"
                 "  out 0 Start.out bytes in global_window\n"
                 "stage 1 executable env 0: Window\n"
                 "  in 0 Start.out bytes in global_window\n"
                 "  out 1 Window.out kv<bytes,bytes> in interval_window\n"
                 "stage 2 group_by_key: Group\n"
                 "  in 1 Window.out kv<bytes,bytes> in interval_window\n"
                 "  out 2 Group.questions kv<bytes,iterable<interval_window>> in global_window\n"
                 "stage 3 executable env 0: Group/MergeWindows\n"
                 "  in 2 Group.questions kv<bytes,iterable<interval_window>> in global_window\n"
                 "  out 3 Group/MergeWindows.out "
                 "kv<bytes,kv<iterable<interval_window>,iterable<kv<interval_window,iterable<interval_window>>>>> in "
                 "global_window\n"
                 "stage 4 merge_groups: Group/Merged\n"
                 "  in 3 Group/MergeWindows.out "
                 "kv<bytes,kv<iterable<interval_window>,iterable<kv<interval_window,iterable<interval_window>>>>> in "
                 "global_window\n"
                 "  out 4 Group/Merged.out kv<bytes,iterable<bytes>> in interval_window\n"
                 "stage 5 executable env 0: Use\n"
                 "  in 4 Group/Merged.out kv<bytes,iterable<bytes>> in interval_window\n");
    ck_assert(build.plan->stages[2].asks_for_merges);
    ck_assert_uint_eq(build.plan->stages[4].grouping, 2);
}
END_TEST

START_TEST(windows_of_a_coder_of_the_sdk_travel_with_their_maximum_timestamp)
{
    build_coder("mine", "beam:coder:pickled_python:v1", NULL, NULL);
    build_grouping("mine");
    ck_assert_ptr_nonnull(
        strstr(build_dump(), "Group.questions kv<bytes,iterable<custom_window<length_prefix>>> in global_window"));
}
END_TEST

/* What the harness gets: the window fn as the payload, and every id that is named. */
START_TEST(the_descriptor_of_a_question_is_complete)
{
    Fn__ProcessBundleDescriptor *descriptor;
    Beam__FunctionSpec *function;
    struct arena arena = {0};

    build_coder("interval", "beam:coder:interval_window:v1", NULL, NULL);
    build_grouping("interval");
    ck_assert_ptr_nonnull(build_dump());
    ck_assert_int_eq(PB_UNPACK(Fn__ProcessBundleDescriptor, fn__process_bundle_descriptor,
                               build.plan->stages[3].descriptor, PB_STRINGS_STRICT, &arena, &descriptor, NULL),
                     0);
    ck_assert_uint_eq(descriptor->n_transforms, 1);
    ck_assert_str_eq(descriptor->transforms[0]->value->spec->urn, "beam:transform:merge_windows:v1");
    ck_assert_int_eq(pb_unpack(&beam__function_spec__descriptor, descriptor->transforms[0]->value->spec->payload.data,
                               descriptor->transforms[0]->value->spec->payload.len, PB_STRINGS_STRICT, &arena,
                               (ProtobufCMessage **)(void *)&function, NULL),
                     0);
    ck_assert_str_eq(function->urn, "beam:window_fn:pickled_python:v1");
    ck_assert_uint_eq(function->payload.len, 2);
    ck_assert_uint_eq(descriptor->n_pcollections, 2);
    ck_assert_uint_eq(descriptor->n_windowing_strategies, 1);
    ck_assert_str_eq(descriptor->windowing_strategies[0]->value->window_fn->urn, "beam:window_fn:global_windows:v1");
    ck_assert_str_eq(descriptor->windowing_strategies[0]->key,
                     descriptor->pcollections[0]->value->windowing_strategy_id);
    arena_clear(&arena);
}
END_TEST

/* Python's harness reads the whole payload as base64: nothing in front of the pickled function may look like it. */
START_TEST(a_python_window_fn_has_no_length_that_looks_like_base64)
{
    enum { SIZE = 'A' << 7 | 'B' }; /* as a varint: 0xc2, 'A' */
    Fn__ProcessBundleDescriptor *descriptor;
    Beam__FunctionSpec *function;
    struct arena arena = {0};
    struct buf payload = {0};
    struct cursor at, value;
    uint8_t tag;

    buf_add_u8(&payload, 0x0a);
    buf_add_varint(&payload, SIZE);
    for (int i = 0; i < SIZE; i++)
        buf_add_u8(&payload, 'x');
    ck_assert_int_eq(buf_data(&payload)[2], 'A');
    build_coder("interval", "beam:coder:interval_window:v1", NULL, NULL);
    build_grouping("interval");
    for (size_t i = 0; i < build.components->n_windowing_strategies; i++)
        if (strcmp(build.components->windowing_strategies[i]->key, "merging") == 0)
            build.components->windowing_strategies[i]->value->window_fn->payload =
                (ProtobufCBinaryData){.data = (uint8_t *)buf_data(&payload), .len = payload.size};
    ck_assert_ptr_nonnull(build_dump());
    ck_assert_int_eq(PB_UNPACK(Fn__ProcessBundleDescriptor, fn__process_bundle_descriptor,
                               build.plan->stages[3].descriptor, PB_STRINGS_STRICT, &arena, &descriptor, NULL),
                     0);
    ck_assert_int_eq(pb_unpack(&beam__function_spec__descriptor, descriptor->transforms[0]->value->spec->payload.data,
                               descriptor->transforms[0]->value->spec->payload.len, PB_STRINGS_STRICT, &arena,
                               (ProtobufCMessage **)(void *)&function, NULL),
                     0);
    at = cursor_of(function->payload.data, function->payload.len);
    ck_assert(cursor_u8(&at, &tag) && tag == 0x0a);
    ck_assert(cursor_prefixed(&at, &value));
    ck_assert_uint_eq(cursor_left(&value), SIZE);
    ck_assert_uint_eq(cursor_left(&at), 0);
    for (const uint8_t *p = function->payload.data; p < value.at; p++)
        ck_assert(*p >= 0x80 || *p < '+');
    buf_clear(&payload);
    arena_clear(&arena);
}
END_TEST

START_TEST(sessions_are_merged_by_the_runner)
{
    build_coder("interval", "beam:coder:interval_window:v1", NULL, NULL);
    build_grouping("interval");
    for (size_t i = 0; i < build.components->n_windowing_strategies; i++)
        if (strcmp(build.components->windowing_strategies[i]->key, "global") != 0) {
            Beam__FunctionSpec *fn = build.components->windowing_strategies[i]->value->window_fn;

            fn->urn = (char *)"beam:window_fn:session_windows:v1";
            fn->payload = (ProtobufCBinaryData){.data = (uint8_t *)"\x0a\x02\x08\x05", .len = 4};
        }
    ck_assert_ptr_null(strstr(build_dump(), "questions"));
}
END_TEST

START_TEST(windows_that_nobody_can_merge_are_refused)
{
    build_coder("interval", "beam:coder:interval_window:v1", NULL, NULL);
    build_grouping("interval");
    for (size_t i = 0; i < build.components->n_windowing_strategies; i++)
        build.components->windowing_strategies[i]->value->environment_id = (char *)"";
    build_expect_error("transform \"Group\"", "names no environment");
}
END_TEST

START_TEST(a_grouping_that_nobody_reads_asks_nothing)
{
    build_coder("interval", "beam:coder:interval_window:v1", NULL, NULL);
    merging_strategy("merging", "interval");
    build_coder("kvs", "beam:coder:kv:v1", "bytes", "iterable");
    build_coder("iterable", "beam:coder:iterable:v1", "bytes", NULL);
    build_step("Start", URN_IMPULSE, NULL, "a", "bytes");
    build_step("Window", URN_MAP, "a", "in", NULL);
    build_collection("in", "kv")->windowing_strategy_id = (char *)"merging";
    build_step("Group", URN_GBK, "in", "out", NULL);
    build_collection("out", "kvs")->windowing_strategy_id = (char *)"merging";
    build_expect("stage 0 impulse: Start\n"
                 "  out 0 Start.out bytes in global_window\n"
                 "stage 1 executable env 0: Window\n"
                 "  in 0 Start.out bytes in global_window\n");
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        a_grouping_whose_windows_the_sdk_merges_asks_it,
        windows_of_a_coder_of_the_sdk_travel_with_their_maximum_timestamp,
        the_descriptor_of_a_question_is_complete,
        a_python_window_fn_has_no_length_that_looks_like_base64,
        sessions_are_merged_by_the_runner,
        windows_that_nobody_can_merge_are_refused,
        a_grouping_that_nobody_reads_asks_nothing,
    };

    return run_tests("translate_questions", tests, ARRAY_COUNT(tests));
}
