#include "jobserver/worker_identity.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "beam_runner_api.pb-c.h"
#include "google/protobuf/struct.pb-c.h"
#include "wire/pb.h"

/* What the tests vary. */
struct kind {
    const char *payload;
    const char *artifacts[2]; /* type payloads, in order */
    const char *hint;
    const char *endpoint;
    struct environment_choice choice;
};

static const struct kind usual = {"payload", {"one", "two"}, "1", "localhost:1", {0}};

static struct slice environment_bytes(const struct kind *kind) {
    Beam__Environment environment = BEAM__ENVIRONMENT__INIT;
    Beam__ArtifactInformation artifacts[2], *artifact_list[2] = {&artifacts[0], &artifacts[1]};
    Beam__Environment__ResourceHintsEntry hint = BEAM__ENVIRONMENT__RESOURCE_HINTS_ENTRY__INIT, *hints = &hint;

    environment.urn = (char *)"beam:env:process:v1";
    environment.payload = (ProtobufCBinaryData){strlen(kind->payload), (uint8_t *)kind->payload};
    for (int i = 0; i < 2; i++) {
        beam__artifact_information__init(&artifacts[i]);
        artifacts[i].type_payload = (ProtobufCBinaryData){strlen(kind->artifacts[i]), (uint8_t *)kind->artifacts[i]};
    }
    environment.n_dependencies = 2;
    environment.dependencies = artifact_list;
    hint.key = (char *)"beam:resources:cpu_count:v1";
    hint.value = (ProtobufCBinaryData){strlen(kind->hint), (uint8_t *)kind->hint};
    environment.n_resource_hints = 1;
    environment.resource_hints = &hints;
    return PB_PACK(&environment, NULL);
}

/* `options`: NAME, VALUE, ..., NULL. */
static struct slice options_bytes(const char *const *options) {
    Google__Protobuf__Struct message = GOOGLE__PROTOBUF__STRUCT__INIT;
    Google__Protobuf__Struct__FieldsEntry fields[8], *list[8];
    Google__Protobuf__Value values[8];

    message.fields = list;
    for (; options[0]; options += 2) {
        size_t i = message.n_fields++;

        google__protobuf__struct__fields_entry__init(&fields[i]);
        google__protobuf__value__init(&values[i]);
        values[i].kind_case = GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE;
        values[i].string_value = (char *)options[1];
        fields[i].key = (char *)options[0];
        fields[i].value = &values[i];
        list[i] = &fields[i];
    }
    return PB_PACK(&message, NULL);
}

static struct slice identity(const struct kind *kind, const char *const *options) {
    CLEANUP_SLICE struct slice proto = environment_bytes(kind), bytes = options_bytes(options);
    struct plan_environment environment = {.proto = proto};

    return worker_identity(&environment, &kind->choice, bytes, kind->endpoint);
}

static const char *const plain[] = {"beam:option:a:v1", "1", "beam:option:b:v1", "2", NULL};

static bool is_same(const struct kind *kind, const char *const *options) {
    CLEANUP_SLICE struct slice a = identity(&usual, plain), b = identity(kind, options);

    ck_assert_uint_gt(a.size, 0);
    return slice_equal(a, b);
}

START_TEST(the_same_environment_and_options_are_the_same)
{
    ck_assert(is_same(&usual, plain));
    /* a Struct's fields have no order */
    ck_assert(is_same(&usual, (const char *[]){"beam:option:b:v1", "2", "beam:option:a:v1", "1", NULL}));
}
END_TEST

START_TEST(what_names_the_job_or_is_for_the_runner_does_not_count)
{
    ck_assert(
        is_same(&usual, (const char *[]){"beam:option:a:v1", "1", "beam:option:b:v1", "2", "beam:option:job_name:v1",
                                         "x", "beam:option:app_name:v1", "y", "beam:option:options_id:v1", "7",
                                         "trestle_workers", "3", "sdk_worker_parallelism", "2", NULL}));
}
END_TEST

START_TEST(every_other_difference_counts)
{
    struct kind other = usual;

    ck_assert(!is_same(&usual, (const char *[]){"beam:option:a:v1", "1", "beam:option:b:v1", "3", NULL}));
    ck_assert(!is_same(&usual, (const char *[]){"beam:option:a:v1", "1", NULL}));
    ck_assert(!is_same(&usual, (const char *[]){"beam:option:a:v1", "1", "beam:option:b:v1", "2",
                                                "beam:option:experiments:v1", "x", NULL}));
    other.payload = "other";
    ck_assert(!is_same(&other, plain));
    other = usual;
    other.artifacts[0] = "two";
    other.artifacts[1] = "one";
    ck_assert(!is_same(&other, plain)); /* class paths have an order */
    other = usual;
    other.hint = "2";
    ck_assert(!is_same(&other, plain));
    other = usual;
    other.endpoint = "localhost:2";
    ck_assert(!is_same(&other, plain));
}
END_TEST

START_TEST(how_the_configuration_has_it_run_counts)
{
    struct kind other = usual;

    other.choice.native_image = (char *)"apache/beam_python3.11_sdk:2.77.0";
    ck_assert(!is_same(&other, plain));
    other = usual;
    other.choice.payload = slice_of_literal("command");
    ck_assert(!is_same(&other, plain));
    other = usual;
    other.choice.settings.memory_bytes = 1 << 30;
    ck_assert(!is_same(&other, plain));
    other = usual;
    other.choice.settings.milli_cpus = 500;
    ck_assert(!is_same(&other, plain));
    other = usual;
    other.choice.settings.working_directory = (char *)"/srv";
    ck_assert(!is_same(&other, plain));
    other = usual;
    other.choice.settings.variables = (char *[]){(char *)"KEY=VALUE", NULL};
    ck_assert(!is_same(&other, plain));
    other = usual;
    other.choice.settings.slots = 7; /* is the runner's own business */
    ck_assert(is_same(&other, plain));
}
END_TEST

START_TEST(options_inside_options_are_options)
{
    Google__Protobuf__Struct outer = GOOGLE__PROTOBUF__STRUCT__INIT, inner[2];
    Google__Protobuf__Struct__FieldsEntry field = GOOGLE__PROTOBUF__STRUCT__FIELDS_ENTRY__INIT, *fields = &field;
    Google__Protobuf__Struct__FieldsEntry name = GOOGLE__PROTOBUF__STRUCT__FIELDS_ENTRY__INIT, *names = &name;
    Google__Protobuf__Value value = GOOGLE__PROTOBUF__VALUE__INIT, text = GOOGLE__PROTOBUF__VALUE__INIT;
    CLEANUP_SLICE struct slice proto = environment_bytes(&usual);
    struct plan_environment environment = {.proto = proto};
    struct slice ids[2];

    text.kind_case = GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE;
    text.string_value = (char *)"x";
    name.key = (char *)"job_name";
    name.value = &text;
    google__protobuf__struct__init(&inner[0]);
    google__protobuf__struct__init(&inner[1]);
    inner[1].n_fields = 1;
    inner[1].fields = &names;
    field.key = (char *)"options";
    field.value = &value;
    value.kind_case = GOOGLE__PROTOBUF__VALUE__KIND_STRUCT_VALUE;
    outer.n_fields = 1;
    outer.fields = &fields;
    for (int i = 0; i < 2; i++) {
        CLEANUP_SLICE struct slice bytes = SLICE_EMPTY;

        value.struct_value = &inner[i];
        bytes = PB_PACK(&outer, NULL);
        ids[i] = worker_identity(&environment, &usual.choice, bytes, "localhost:1");
    }
    ck_assert(slice_equal(ids[0], ids[1]));
    slice_unref(&ids[0]);
    slice_unref(&ids[1]);
}
END_TEST

START_TEST(what_cannot_be_read_has_no_identity)
{
    struct plan_environment environment = {.proto = slice_of_literal("\xff\xff\xff")};

    ck_assert_uint_eq(worker_identity(&environment, &usual.choice, SLICE_EMPTY, "localhost:1").size, 0);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("worker_identity");
    TCase *tcase = tcase_create("worker_identity");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_test(tcase, the_same_environment_and_options_are_the_same);
    tcase_add_test(tcase, what_names_the_job_or_is_for_the_runner_does_not_count);
    tcase_add_test(tcase, every_other_difference_counts);
    tcase_add_test(tcase, how_the_configuration_has_it_run_counts);
    tcase_add_test(tcase, options_inside_options_are_options);
    tcase_add_test(tcase, what_cannot_be_read_has_no_identity);
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
