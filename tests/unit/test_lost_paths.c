#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "beam_runner_api.pb-c.h"
#include "google/protobuf/struct.pb-c.h"
#include "jobserver/lost_paths.h"
#include "wire/pb.h"

static struct arena arena;

static void tear_down(void) {
    arena_clear(&arena);
}

static struct slice options_of(const char *name, const char *value) {
    Google__Protobuf__Struct options = GOOGLE__PROTOBUF__STRUCT__INIT;
    Google__Protobuf__Struct__FieldsEntry field = GOOGLE__PROTOBUF__STRUCT__FIELDS_ENTRY__INIT, *fields[] = {&field};
    Google__Protobuf__Value text = GOOGLE__PROTOBUF__VALUE__INIT;

    text.kind_case = GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE;
    text.string_value = (char *)value;
    field.key = (char *)name;
    field.value = &text;
    options.n_fields = 1;
    options.fields = fields;
    return PB_PACK(&options, NULL);
}

/* A pipeline of one transform with one item of display data. */
static struct slice pipeline_of(const char *namespace, const char *value) {
    Beam__Pipeline pipeline = BEAM__PIPELINE__INIT;
    Beam__Components components = BEAM__COMPONENTS__INIT;
    Beam__Components__TransformsEntry entry = BEAM__COMPONENTS__TRANSFORMS_ENTRY__INIT, *entries[] = {&entry};
    Beam__PTransform transform = BEAM__PTRANSFORM__INIT;
    Beam__DisplayData item = BEAM__DISPLAY_DATA__INIT, *items[] = {&item};
    Beam__LabelledPayload payload = BEAM__LABELLED_PAYLOAD__INIT;
    struct slice bytes, packed;

    payload.key = (char *)"file_pattern";
    payload.namespace_ = (char *)namespace;
    payload.value_case = BEAM__LABELLED_PAYLOAD__VALUE_STRING_VALUE;
    payload.string_value = (char *)value;
    bytes = PB_PACK(&payload, NULL);
    item.urn = (char *)"beam:display_data:labelled:v1";
    item.payload.data = (uint8_t *)bytes.data;
    item.payload.len = bytes.size;
    transform.n_display_data = 1;
    transform.display_data = items;
    entry.key = (char *)"t";
    entry.value = &transform;
    components.n_transforms = 1;
    components.transforms = entries;
    pipeline.components = &components;
    packed = PB_PACK(&pipeline, NULL);
    slice_unref(&bytes);
    return packed;
}

/* The paths with blanks between them. */
static const char *find(const char *mounts, struct slice pipeline, struct slice options) {
    size_t count;
    const char **paths = lost_paths_find(mounts, pipeline, options, &arena, &count);
    const char *all = "";

    for (size_t i = 0; i < count; i++)
        all = arena_printf(&arena, "%s%s%s", all, i ? " " : "", paths[i]);
    slice_unref(&pipeline);
    slice_unref(&options);
    return all;
}

START_TEST(options_that_name_local_paths_are_found)
{
    ck_assert_str_eq(find("", SLICE_EMPTY, options_of("beam:option:temp_location:v1", "/tmp/x")), "/tmp/x");
    ck_assert_str_eq(find("", SLICE_EMPTY, options_of("output", "file:///data/out")), "/data/out");
    ck_assert_str_eq(find("", SLICE_EMPTY, options_of("beam:option:temp_location:v1", "gs://bucket/x")), "");
    ck_assert_str_eq(find("", SLICE_EMPTY, options_of("output", "relative")), "");
    ck_assert_str_eq(find("", SLICE_EMPTY, options_of("input", "/data/in")), "");
}
END_TEST

START_TEST(what_a_sink_shows_is_found)
{
    ck_assert_str_eq(find("", pipeline_of("apache_beam.io.textio._TextSink", "/out/words-*"), SLICE_EMPTY),
                     "/out/words-*");
    ck_assert_str_eq(find("", pipeline_of("org.apache.beam.sdk.io.FileIO$Write", "/out"), SLICE_EMPTY), "/out");
    ck_assert_str_eq(find("", pipeline_of("apache_beam.io.textio._TextSource", "/in/words"), SLICE_EMPTY), "");
    ck_assert_str_eq(find("", pipeline_of("apache_beam.io.textio._TextSink", "s3://out"), SLICE_EMPTY), "");
}
END_TEST

START_TEST(a_path_is_told_once)
{ ck_assert_str_eq(find("", pipeline_of("a._TextSink", "/out"), options_of("output", "/out")), "/out"); }
END_TEST

START_TEST(what_is_mounted_is_not_lost)
{
    ck_assert_str_eq(find("/data:/out/", SLICE_EMPTY, options_of("output", "/out/words")), "");
    ck_assert_str_eq(find("/out", SLICE_EMPTY, options_of("output", "/out")), "");
    ck_assert_str_eq(find("/", SLICE_EMPTY, options_of("output", "/out")), "");
    ck_assert_str_eq(find("/out", SLICE_EMPTY, options_of("output", "/output/words")), "/output/words");
}
END_TEST

int main(void) {
    Suite *suite = suite_create("lost_paths");
    TCase *tests = tcase_create("lost_paths");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tests, NULL, tear_down);
    tcase_add_test(tests, options_that_name_local_paths_are_found);
    tcase_add_test(tests, what_a_sink_shows_is_found);
    tcase_add_test(tests, a_path_is_told_once);
    tcase_add_test(tests, what_is_mounted_is_not_lost);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
