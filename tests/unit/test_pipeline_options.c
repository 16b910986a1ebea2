#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "google/protobuf/struct.pb-c.h"
#include "jobserver/pipeline_options.h"
#include "wire/pb.h"

typedef Google__Protobuf__Value value_t;
typedef Google__Protobuf__Struct struct_t;

/* Values for a test's Struct; they live in one arena that is freed with the options. */
static struct arena arena;
static struct pipeline_options *options;

static value_t *new_value(Google__Protobuf__Value__KindCase kind) {
    value_t *value = arena_new(&arena, value_t);

    google__protobuf__value__init(value);
    value->kind_case = kind;
    return value;
}

static value_t *text(const char *string) {
    value_t *value = new_value(GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE);

    value->string_value = (char *)string;
    return value;
}

static value_t *number(double number_value) {
    value_t *value = new_value(GOOGLE__PROTOBUF__VALUE__KIND_NUMBER_VALUE);

    value->number_value = number_value;
    return value;
}

static value_t *boolean(bool bool_value) {
    value_t *value = new_value(GOOGLE__PROTOBUF__VALUE__KIND_BOOL_VALUE);

    value->bool_value = bool_value;
    return value;
}

static value_t *list(size_t count, const char *const *items) {
    value_t *value = new_value(GOOGLE__PROTOBUF__VALUE__KIND_LIST_VALUE);

    value->list_value = arena_new(&arena, Google__Protobuf__ListValue);
    google__protobuf__list_value__init(value->list_value);
    value->list_value->values = arena_new_array(&arena, value_t *, count);
    value->list_value->n_values = count;
    for (size_t i = 0; i < count; i++)
        value->list_value->values[i] = text(items[i]);
    return value;
}

struct field {
    const char *key;
    value_t *value;
};

static struct_t *fields_of(size_t count, const struct field *fields) {
    struct_t *result = arena_new(&arena, struct_t);

    google__protobuf__struct__init(result);
    result->n_fields = count;
    result->fields = arena_new_array(&arena, Google__Protobuf__Struct__FieldsEntry *, count);
    for (size_t i = 0; i < count; i++) {
        result->fields[i] = arena_new(&arena, Google__Protobuf__Struct__FieldsEntry);
        google__protobuf__struct__fields_entry__init(result->fields[i]);
        result->fields[i]->key = (char *)fields[i].key;
        result->fields[i]->value = fields[i].value;
    }
    return result;
}

static value_t *object(size_t count, const struct field *fields) {
    value_t *value = new_value(GOOGLE__PROTOBUF__VALUE__KIND_STRUCT_VALUE);

    value->struct_value = fields_of(count, fields);
    return value;
}

#define FIELDS(...)                                                                                                    \
    sizeof((const struct field[]){__VA_ARGS__}) / sizeof(struct field), (const struct field[]) {                       \
        __VA_ARGS__                                                                                                    \
    }

static void load(size_t count, const struct field *fields) {
    struct slice bytes = PB_PACK(fields_of(count, fields), NULL);

    ck_assert_int_eq(pipeline_options_create(bytes, &options, NULL), 0);
    slice_unref(&bytes);
}

static void unload(void) {
    pipeline_options_destroy(options);
    options = NULL;
    arena_clear(&arena);
}

START_TEST(names_are_found_with_and_without_the_urn_around_them)
{
    load(FIELDS({"beam:option:job_name:v1", text("a")}, {"user", text("b")}, {"beam:option:none:v1", NULL}));
    ck_assert_str_eq(pipeline_options_string(options, "job_name", "-"), "a");
    ck_assert_str_eq(pipeline_options_string(options, "user", "-"), "b");
    ck_assert_str_eq(pipeline_options_string(options, "none", "-"), "-");
    ck_assert(pipeline_options_has(options, "user"));
    ck_assert(!pipeline_options_has(options, "none"));
}
END_TEST

START_TEST(go_nests_its_flags)
{
    const char *const experiments[] = {"beam_fn_api"};

    load(FIELDS({"beam:option:go_options:v1",
                 object(FIELDS({"options", object(FIELDS({"input", text("x")}, {"runner", text("inner")}))},
                               {"deep", text("d")}))},
                {"beam:option:runner:v1", text("outer")}, {"beam:option:experiments:v1", list(1, experiments)}));
    ck_assert_str_eq(pipeline_options_string(options, "input", "-"), "x");
    ck_assert_str_eq(pipeline_options_string(options, "deep", "-"), "d");
    ck_assert_str_eq(pipeline_options_string(options, "runner", "-"), "outer");
    ck_assert_ptr_nonnull(pipeline_options_experiment(options, "beam_fn_api"));
}
END_TEST

START_TEST(an_options_object_is_looked_into)
{
    load(FIELDS({"options", object(FIELDS({"jobName", text("x")}))}));
    ck_assert_str_eq(pipeline_options_string(options, "jobName", "-"), "x");
}
END_TEST

START_TEST(whole_numbers_come_as_numbers_and_as_strings)
{
    int64_t n = 7;

    load(FIELDS({"a", number(12)}, {"b", text("-34")}, {"c", number(1.5)}, {"d", text("12x")}, {"e", number(1e300)},
                {"f", boolean(true)}, {"g", text("99999999999999999999")}));
    ck_assert_int_eq(pipeline_options_int(options, "absent", &n, NULL), 0);
    ck_assert_int_eq(n, 7);
    ck_assert_int_eq(pipeline_options_int(options, "a", &n, NULL), 0);
    ck_assert_int_eq(n, 12);
    ck_assert_int_eq(pipeline_options_int(options, "b", &n, NULL), 0);
    ck_assert_int_eq(n, -34);
    for (const char *name = "cdefg"; *name; name++) {
        CLEANUP_STATUS struct status st = {0};
        char key[2] = {*name, '\0'};

        ck_assert_int_eq(pipeline_options_int(options, key, &n, &st), -STATUS_INVALID_ARGUMENT);
        ck_assert_ptr_nonnull(strstr(status_message(&st), "whole number"));
    }
    ck_assert_int_eq(n, -34);
}
END_TEST

START_TEST(booleans_come_as_booleans_and_as_strings)
{
    bool flag = false;

    load(FIELDS({"a", boolean(true)}, {"b", text("False")}, {"c", text("yes")}));
    ck_assert_int_eq(pipeline_options_bool(options, "a", &flag, NULL), 0);
    ck_assert(flag);
    ck_assert_int_eq(pipeline_options_bool(options, "b", &flag, NULL), 0);
    ck_assert(!flag);
    ck_assert_int_lt(pipeline_options_bool(options, "c", &flag, NULL), 0);
}
END_TEST

START_TEST(experiments_have_values_and_the_last_one_counts)
{
    const char *const experiments[] = {"state_cache_size=1", "bare", "state_cache_size=2", "bare_not"};
    size_t count;

    load(FIELDS({"beam:option:experiments:v1", list(4, experiments)}, {"with_commas", text("a,,b")}));
    ck_assert_str_eq(pipeline_options_experiment(options, "state_cache_size"), "2");
    ck_assert_str_eq(pipeline_options_experiment(options, "bare"), "");
    ck_assert_ptr_null(pipeline_options_experiment(options, "state_cache"));
    ck_assert_str_eq(pipeline_options_list(options, "with_commas", &count)[1], "b");
    ck_assert_uint_eq(count, 2);
    ck_assert_ptr_null(pipeline_options_list(options, "absent", &count));
    ck_assert_uint_eq(count, 0);
}
END_TEST

START_TEST(trestles_own_options_are_checked)
{
    CLEANUP_STATUS struct status st = {0};
    size_t count;

    load(FIELDS({"trestle_workers", text("4")}));
    ck_assert_int_eq(pipeline_options_check(options, NULL), 0);
    unload();
    load(FIELDS({"beam:option:trestle_workers:v1", number(-1)}));
    ck_assert_int_eq(pipeline_options_check(options, &st), -STATUS_INVALID_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(status_message(&st), "trestle_workers"));
    ck_assert_ptr_nonnull(pipeline_options_own(&count));
    ck_assert_uint_gt(count, 0);
}
END_TEST

START_TEST(no_bytes_are_no_options_and_nonsense_is_refused)
{
    ck_assert_int_eq(pipeline_options_create(SLICE_EMPTY, &options, NULL), 0);
    ck_assert(!pipeline_options_has(options, "x"));
    unload();
    ck_assert_int_eq(pipeline_options_create(slice_of_literal("\x0a\x7f"), &options, NULL), -STATUS_INVALID_ARGUMENT);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("pipeline_options");
    TCase *tests = tcase_create("pipeline_options");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tests, NULL, unload);
    tcase_add_test(tests, names_are_found_with_and_without_the_urn_around_them);
    tcase_add_test(tests, go_nests_its_flags);
    tcase_add_test(tests, an_options_object_is_looked_into);
    tcase_add_test(tests, whole_numbers_come_as_numbers_and_as_strings);
    tcase_add_test(tests, booleans_come_as_booleans_and_as_strings);
    tcase_add_test(tests, experiments_have_values_and_the_last_one_counts);
    tcase_add_test(tests, trestles_own_options_are_checked);
    tcase_add_test(tests, no_bytes_are_no_options_and_nonsense_is_refused);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
