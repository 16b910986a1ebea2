#include "jobserver/run_sizing.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "beam_runner_api.pb-c.h"
#include "google/protobuf/struct.pb-c.h"
#include "wire/pb.h"

#define MULTI_CORE "beam:protocol:multi_core_bundle_processing:v1"
#define PROCESS "beam:env:process:v1"
#define EXTERNAL "beam:env:external:v1"

static const char *const python[] = {"beam:version:sdk_base:apache/beam_python3.11_sdk:2.77.0"};
static const char *const go[] = {MULTI_CORE, "beam:version:sdk_base:go:2.77.0"};

static struct run_sizing eight_cores(void) {
    return (struct run_sizing){.cores = 8, .memory_bytes = 8000};
}

static struct plan_environment environment_of(const char *urn, const char *const *capabilities, size_t count) {
    return (struct plan_environment){.urn = urn, .id = "env", .capabilities = capabilities, .capability_count = count};
}

/* `hints`: short NAME, VALUE, ..., NULL. */
static struct slice with_hints(const char *const *hints) {
    Beam__Environment message = BEAM__ENVIRONMENT__INIT;
    Beam__Environment__ResourceHintsEntry entries[4], *list[4];
    char urns[4][100];

    message.resource_hints = list;
    for (; hints[0]; hints += 2) {
        size_t i = message.n_resource_hints++;

        beam__environment__resource_hints_entry__init(&entries[i]);
        snprintf(urns[i], sizeof(urns[i]), "beam:resources:%s:v1", hints[0]);
        entries[i].key = urns[i];
        entries[i].value = (ProtobufCBinaryData){strlen(hints[1]), (uint8_t *)hints[1]};
        list[i] = &entries[i];
    }
    return PB_PACK(&message, NULL);
}

static void expect(const struct run_sizing *sizing, struct plan_environment *environment, const char *const *hints,
                   unsigned workers, unsigned slots) {
    CLEANUP_SLICE struct slice proto = with_hints(hints);
    struct run_size size;

    environment->proto = proto;
    size = run_sizing_plan(sizing, environment);
    ck_assert_uint_eq(size.workers, workers);
    ck_assert_uint_eq(size.slots, slots);
    ck_assert(!size.lacks_memory);
}

#define HINTS(...) ((const char *const[]){__VA_ARGS__, NULL})
static const char *const none[] = {NULL};

START_TEST(python_gets_a_process_a_core_and_go_a_slot_a_core)
{
    struct plan_environment a = environment_of(PROCESS, python, 1), b = environment_of(PROCESS, go, 2);
    struct plan_environment c = environment_of(EXTERNAL, python, 1);
    struct run_sizing sizing = eight_cores();

    expect(&sizing, &a, none, 8, 1);
    expect(&sizing, &b, none, 1, 8);
    expect(&sizing, &c, none, 1, 1); /* a pool's processes are not ours to count */
}
END_TEST

START_TEST(configuration_and_options_say_otherwise_and_options_win)
{
    struct plan_environment a = environment_of(PROCESS, python, 1), b = environment_of(PROCESS, go, 2);
    struct run_sizing sizing = eight_cores();

    sizing.configured_workers = 2;
    expect(&sizing, &a, none, 2, 1);
    expect(&sizing, &b, none, 2, 4); /* the cores are shared out */
    sizing.configured_slots = 3;
    expect(&sizing, &b, none, 2, 3);
    sizing.wanted_workers = 5;
    sizing.wanted_slots = 7;
    expect(&sizing, &a, none, 5, 7);
}
END_TEST

START_TEST(hints_bound_what_a_machine_can_give)
{
    struct plan_environment a = environment_of(PROCESS, python, 1), b = environment_of(PROCESS, go, 2);
    struct plan_environment c = environment_of(EXTERNAL, python, 1);
    struct run_sizing sizing = eight_cores();

    expect(&sizing, &a, HINTS("cpu_count", "4"), 2, 1);
    expect(&sizing, &b, HINTS("cpu_count", "4"), 1, 2);
    expect(&sizing, &a, HINTS("cpu_count", "100"), 1, 1);
    expect(&sizing, &a, HINTS("min_ram_bytes", "3000"), 2, 1);
    expect(&sizing, &b, HINTS("max_active_bundles_per_worker", "5"), 1, 5);
    expect(&sizing, &b, HINTS("max_active_bundles_per_worker", "5", "cpu_count", "2"), 1, 4);
    sizing.wanted_workers = 6;
    expect(&sizing, &a, HINTS("min_ram_bytes", "3000"), 2, 1);
    expect(&sizing, &c, HINTS("min_ram_bytes", "3000"), 6, 1); /* the pool is perhaps on another machine */
}
END_TEST

START_TEST(hints_that_make_no_sense_are_none)
{
    struct plan_environment a = environment_of(PROCESS, python, 1);
    struct run_sizing sizing = eight_cores();

    expect(&sizing, &a, HINTS("cpu_count", "many"), 8, 1);
    expect(&sizing, &a, HINTS("cpu_count", "0"), 8, 1);
    expect(&sizing, &a, HINTS("min_ram_bytes", "99999999999999999999999"), 8, 1);
    expect(&sizing, &a, HINTS("accelerator", "type:gpu"), 8, 1);
}
END_TEST

START_TEST(one_worker_is_started_though_it_has_too_little_memory_and_that_is_told)
{
    CLEANUP_SLICE struct slice proto = with_hints(HINTS("min_ram_bytes", "8001"));
    struct plan_environment environment = environment_of(PROCESS, python, 1);
    struct run_sizing sizing = eight_cores();
    struct run_size size;

    environment.proto = proto;
    size = run_sizing_plan(&sizing, &environment);
    ck_assert_uint_eq(size.workers, 1);
    ck_assert(size.lacks_memory);
    ck_assert_uint_eq(size.need_bytes, 8001);
}
END_TEST

static struct pipeline_options *make_options(const char *name, const char *value) {
    Google__Protobuf__Struct message = GOOGLE__PROTOBUF__STRUCT__INIT;
    Google__Protobuf__Struct__FieldsEntry field = GOOGLE__PROTOBUF__STRUCT__FIELDS_ENTRY__INIT, *fields = &field;
    Google__Protobuf__Value text = GOOGLE__PROTOBUF__VALUE__INIT;
    CLEANUP_SLICE struct slice bytes = SLICE_EMPTY;
    struct pipeline_options *options;

    text.kind_case = GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE;
    text.string_value = (char *)value;
    field.key = (char *)name;
    field.value = &text;
    message.n_fields = 1;
    message.fields = &fields;
    bytes = PB_PACK(&message, NULL);
    ck_assert_int_eq(pipeline_options_create(bytes, &options, NULL), 0);
    return options;
}

static unsigned workers_of(const struct pipeline_options *options, const char *id, const char *const *capabilities,
                           size_t count) {
    struct plan_environment environment = environment_of(PROCESS, capabilities, count);
    struct run_sizing sizing = eight_cores();

    environment.id = id;
    run_sizing_read_options(&sizing, options);
    return run_sizing_plan(&sizing, &environment).workers;
}

START_TEST(single_environments_are_overridden_by_sdk_or_id)
{
    struct pipeline_options *options = make_options("trestle_environment_workers", "python=3,go=2,special=7");

    ck_assert_int_eq(pipeline_options_check(options, NULL), 0);
    ck_assert_uint_eq(workers_of(options, "env", python, 1), 3);
    ck_assert_uint_eq(workers_of(options, "env", go, 2), 2);
    ck_assert_uint_eq(workers_of(options, "special", python, 1), 7);
    ck_assert_uint_eq(workers_of(options, "env", NULL, 0), 8);
    pipeline_options_destroy(options);
}
END_TEST

START_TEST(an_override_that_makes_no_sense_is_refused)
{
    static const char *const texts[] = {"python", "=3", "python=", "python=0", "python=1025", "python=-1", "go=2,x"};

    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        struct pipeline_options *options = make_options("trestle_environment_workers", texts[i]);

        ck_assert_int_eq(pipeline_options_check(options, NULL), -STATUS_INVALID_ARGUMENT);
        pipeline_options_destroy(options);
    }
}
END_TEST

START_TEST(sdk_worker_parallelism_counts_from_two)
{
    struct pipeline_options *options = make_options("sdk_worker_parallelism", "1");

    ck_assert_uint_eq(workers_of(options, "env", python, 1), 8);
    pipeline_options_destroy(options);
    options = make_options("sdk_worker_parallelism", "2");
    ck_assert_uint_eq(workers_of(options, "env", python, 1), 2);
    pipeline_options_destroy(options);
}
END_TEST

START_TEST(this_machine_has_cores_and_memory)
{
    struct run_sizing sizing = run_sizing_of_machine();

    ck_assert_uint_ge(sizing.cores, 1);
    ck_assert_uint_gt(sizing.memory_bytes, 1 << 20);
}
END_TEST

START_TEST(a_stream_has_a_slot_to_spare_and_one_for_each_source)
{
    struct plan_environment environment = {.urn = "beam:env:external:v1", .id = "env"};
    struct plan_stage stages[] = {{.kind = PLAN_EXECUTABLE}, {.kind = PLAN_EXECUTABLE}, {.kind = PLAN_GROUP_BY_KEY}};
    struct plan plan = {.stages = stages, .stage_count = 3, .environments = &environment, .environment_count = 1};
    struct run_sizing sizing = {.cores = 4, .plan = &plan};

    ck_assert_uint_eq(run_sizing_plan(&sizing, &environment).slots, 2);
    stages[0].process_transform_id = stages[1].process_transform_id = "read";
    ck_assert_uint_eq(run_sizing_plan(&sizing, &environment).slots, 4);
    stages[1].is_bounded = true;
    ck_assert_uint_eq(run_sizing_plan(&sizing, &environment).slots, 3);
    stages[0].is_bounded = true;
    ck_assert_uint_eq(run_sizing_plan(&sizing, &environment).slots, 1);
    stages[0].is_bounded = false;
    sizing.configured_slots = 1;
    ck_assert_uint_eq(run_sizing_plan(&sizing, &environment).slots, 1);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("run_sizing");
    TCase *tcase = tcase_create("run_sizing");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_test(tcase, python_gets_a_process_a_core_and_go_a_slot_a_core);
    tcase_add_test(tcase, configuration_and_options_say_otherwise_and_options_win);
    tcase_add_test(tcase, hints_bound_what_a_machine_can_give);
    tcase_add_test(tcase, hints_that_make_no_sense_are_none);
    tcase_add_test(tcase, one_worker_is_started_though_it_has_too_little_memory_and_that_is_told);
    tcase_add_test(tcase, single_environments_are_overridden_by_sdk_or_id);
    tcase_add_test(tcase, an_override_that_makes_no_sense_is_refused);
    tcase_add_test(tcase, sdk_worker_parallelism_counts_from_two);
    tcase_add_test(tcase, this_machine_has_cores_and_memory);
    tcase_add_test(tcase, a_stream_has_a_slot_to_spare_and_one_for_each_source);
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
