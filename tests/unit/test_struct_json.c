#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "google/protobuf/struct.pb-c.h"
#include "wire/pb.h"
#include "wire/struct_json.h"

typedef Google__Protobuf__Value value_t;
typedef Google__Protobuf__Struct struct_t;
typedef Google__Protobuf__Struct__FieldsEntry field_t;

static char *to_json(const struct_t *fields) {
    CLEANUP_SLICE struct slice bytes = PB_PACK(fields, NULL);
    struct buf out = {0};
    char *text;

    ck_assert_int_eq(struct_to_json(bytes, &out, NULL), 0);
    text = xmemdup0(buf_data(&out), out.size);
    buf_clear(&out);
    return text;
}

/* {"key": value} */
static void check_value(value_t *value, const char *expected) {
    field_t field = GOOGLE__PROTOBUF__STRUCT__FIELDS_ENTRY__INIT, *fields[] = {&field};
    struct_t message = GOOGLE__PROTOBUF__STRUCT__INIT;
    CLEANUP(freep) char *text = NULL;
    CLEANUP(freep) char *all = xasprintf("{\"key\": %s}", expected);

    field.key = (char *)"key";
    field.value = value;
    message.n_fields = 1;
    message.fields = fields;
    text = to_json(&message);
    ck_assert_str_eq(text, all);
}

static void check_number(double number, const char *expected) {
    value_t value = GOOGLE__PROTOBUF__VALUE__INIT;

    value.kind_case = GOOGLE__PROTOBUF__VALUE__KIND_NUMBER_VALUE;
    value.number_value = number;
    check_value(&value, expected);
}

START_TEST(whole_numbers_have_no_exponent)
{
    check_number(1, "1");
    check_number(-3, "-3");
    check_number(1099511627776, "1099511627776");
    check_number(0.5, "0.5");
    check_number(1e300, "1.0000000000000001e+300");
    check_number(INFINITY, "null");
}
END_TEST

START_TEST(strings_are_escaped)
{
    value_t value = GOOGLE__PROTOBUF__VALUE__INIT;

    value.kind_case = GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE;
    value.string_value = (char *)"a \"b\" \\ \n \x01 \xc3\xa9";
    check_value(&value, "\"a \\\"b\\\" \\\\ \\u000a \\u0001 \xc3\xa9\"");
}
END_TEST

START_TEST(lists_and_nothing_are_written)
{
    value_t list = GOOGLE__PROTOBUF__VALUE__INIT, nothing = GOOGLE__PROTOBUF__VALUE__INIT, yes = nothing;
    Google__Protobuf__ListValue items = GOOGLE__PROTOBUF__LIST_VALUE__INIT;
    value_t *values[] = {&yes, &nothing};

    yes.kind_case = GOOGLE__PROTOBUF__VALUE__KIND_BOOL_VALUE;
    yes.bool_value = 1;
    nothing.kind_case = GOOGLE__PROTOBUF__VALUE__KIND_NULL_VALUE;
    items.n_values = 2;
    items.values = values;
    list.kind_case = GOOGLE__PROTOBUF__VALUE__KIND_LIST_VALUE;
    list.list_value = &items;
    check_value(&list, "[true, null]");
}
END_TEST

START_TEST(what_is_no_struct_is_refused)
{
    struct buf out = {0};
    struct status st = {0};

    ck_assert_int_eq(struct_to_json(slice_of_static("\x0a\x05x", 3), &out, &st), -STATUS_INVALID_ARGUMENT);
    ck_assert_uint_eq(out.size, 0);
    status_clear(&st);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("struct_json");
    TCase *tests = tcase_create("struct_json");
    SRunner *runner;
    int failed;

    tcase_add_test(tests, whole_numbers_have_no_exponent);
    tcase_add_test(tests, strings_are_escaped);
    tcase_add_test(tests, lists_and_nothing_are_written);
    tcase_add_test(tests, what_is_no_struct_is_refused);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
