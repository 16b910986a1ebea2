#include "pipeline_builder.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "wire/pb.h"

enum { MOST = 4096 };

struct builder build;

#define NEW(type, init) ((type *)memcpy(arena_new(&build.arena, type), &(type)init, sizeof(type)))
#define ADD(array, count, item) ((array)[(count)++] = (item))
#define MAKE_ROOM(array, type) ((array) = arena_new_array(&build.arena, type *, MOST))

static char *copy(const char *string) {
    return arena_string(&build.arena, string);
}

Beam__Coder *build_coder(const char *id, const char *urn, const char *first, const char *second) {
    Beam__Components__CodersEntry *entry = NEW(Beam__Components__CodersEntry, BEAM__COMPONENTS__CODERS_ENTRY__INIT);

    entry->key = copy(id);
    entry->value = NEW(Beam__Coder, BEAM__CODER__INIT);
    entry->value->spec = NEW(Beam__FunctionSpec, BEAM__FUNCTION_SPEC__INIT);
    entry->value->spec->urn = copy(urn);
    entry->value->component_coder_ids = arena_new_array(&build.arena, char *, 2);
    if (first)
        ADD(entry->value->component_coder_ids, entry->value->n_component_coder_ids, copy(first));
    if (second)
        ADD(entry->value->component_coder_ids, entry->value->n_component_coder_ids, copy(second));
    ADD(build.components->coders, build.components->n_coders, entry);
    return entry->value;
}

Beam__WindowingStrategy *build_windowing(const char *id, const char *window_coder) {
    Beam__Components__WindowingStrategiesEntry *entry =
        NEW(Beam__Components__WindowingStrategiesEntry, BEAM__COMPONENTS__WINDOWING_STRATEGIES_ENTRY__INIT);

    entry->key = copy(id);
    entry->value = NEW(Beam__WindowingStrategy, BEAM__WINDOWING_STRATEGY__INIT);
    entry->value->window_fn = NEW(Beam__FunctionSpec, BEAM__FUNCTION_SPEC__INIT);
    entry->value->window_fn->urn = copy("beam:window_fn:global_windows:v1");
    entry->value->window_coder_id = copy(window_coder);
    entry->value->merge_status = BEAM__MERGE_STATUS__ENUM__NON_MERGING;
    ADD(build.components->windowing_strategies, build.components->n_windowing_strategies, entry);
    return entry->value;
}

Beam__Environment *build_environment(const char *id) {
    Beam__Components__EnvironmentsEntry *entry =
        NEW(Beam__Components__EnvironmentsEntry, BEAM__COMPONENTS__ENVIRONMENTS_ENTRY__INIT);

    entry->key = copy(id);
    entry->value = NEW(Beam__Environment, BEAM__ENVIRONMENT__INIT);
    entry->value->urn = copy("beam:env:external:v1");
    entry->value->capabilities = arena_new_array(&build.arena, char *, MOST);
    MAKE_ROOM(entry->value->dependencies, Beam__ArtifactInformation);
    ADD(build.components->environments, build.components->n_environments, entry);
    return entry->value;
}

Beam__PCollection *build_collection(const char *id, const char *coder) {
    Beam__Components__PcollectionsEntry *entry =
        NEW(Beam__Components__PcollectionsEntry, BEAM__COMPONENTS__PCOLLECTIONS_ENTRY__INIT);

    entry->key = copy(id);
    entry->value = NEW(Beam__PCollection, BEAM__PCOLLECTION__INIT);
    entry->value->unique_name = copy(id);
    entry->value->coder_id = copy(coder);
    entry->value->windowing_strategy_id = copy("global");
    entry->value->is_bounded = BEAM__IS_BOUNDED__ENUM__BOUNDED;
    ADD(build.components->pcollections, build.components->n_pcollections, entry);
    return entry->value;
}

Beam__PTransform *build_transform(const char *name, const char *urn) {
    static const char *const runner_urns[] = {URN_GBK, URN_IMPULSE, URN_FLATTEN, URN_RESHUFFLE, URN_TEST_STREAM};
    Beam__Components__TransformsEntry *entry =
        NEW(Beam__Components__TransformsEntry, BEAM__COMPONENTS__TRANSFORMS_ENTRY__INIT);
    Beam__PTransform *transform = NEW(Beam__PTransform, BEAM__PTRANSFORM__INIT);
    bool is_runners = !*urn;

    for (size_t i = 0; i < ARRAY_COUNT(runner_urns); i++)
        is_runners |= strcmp(urn, runner_urns[i]) == 0;
    entry->key = arena_printf(&build.arena, "t-%s", name);
    entry->value = transform;
    transform->unique_name = copy(name);
    transform->environment_id = copy(is_runners ? "" : "env");
    transform->spec = NEW(Beam__FunctionSpec, BEAM__FUNCTION_SPEC__INIT);
    transform->spec->urn = copy(urn);
    transform->inputs = arena_new_array(&build.arena, Beam__PTransform__InputsEntry *, 16);
    transform->outputs = arena_new_array(&build.arena, Beam__PTransform__OutputsEntry *, 16);
    transform->subtransforms = arena_new_array(&build.arena, char *, 16);
    ADD(build.components->transforms, build.components->n_transforms, entry);
    ADD(build.pipeline->root_transform_ids, build.pipeline->n_root_transform_ids, entry->key);
    return transform;
}

void build_in(Beam__PTransform *transform, const char *name, const char *collection) {
    Beam__PTransform__InputsEntry *entry = NEW(Beam__PTransform__InputsEntry, BEAM__PTRANSFORM__INPUTS_ENTRY__INIT);

    entry->key = copy(name);
    entry->value = copy(collection);
    ADD(transform->inputs, transform->n_inputs, entry);
}

void build_out(Beam__PTransform *transform, const char *name, const char *collection) {
    Beam__PTransform__OutputsEntry *entry = NEW(Beam__PTransform__OutputsEntry, BEAM__PTRANSFORM__OUTPUTS_ENTRY__INIT);

    entry->key = copy(name);
    entry->value = copy(collection);
    ADD(transform->outputs, transform->n_outputs, entry);
}

Beam__PTransform *build_step(const char *name, const char *urn, const char *in, const char *out, const char *coder) {
    Beam__PTransform *transform = build_transform(name, urn);

    if (in)
        build_in(transform, "in", in);
    if (out)
        build_out(transform, "out", out);
    if (out && coder)
        build_collection(out, coder);
    return transform;
}

void build_child(Beam__PTransform *parent, const char *name) {
    char *id = arena_printf(&build.arena, "t-%s", name);
    size_t kept = 0;

    ADD(parent->subtransforms, parent->n_subtransforms, id);
    for (size_t i = 0; i < build.pipeline->n_root_transform_ids; i++)
        if (strcmp(build.pipeline->root_transform_ids[i], id) != 0)
            build.pipeline->root_transform_ids[kept++] = build.pipeline->root_transform_ids[i];
    build.pipeline->n_root_transform_ids = kept;
}

void build_payload(Beam__PTransform *transform, const ProtobufCMessage *payload) {
    struct slice packed = pb_pack(payload, NULL);

    transform->spec->payload.data = (uint8_t *)arena_copy(&build.arena, packed.data, packed.size);
    transform->spec->payload.len = packed.size;
    slice_unref(&packed);
}

void build_requirement(const char *urn) {
    ADD(build.pipeline->requirements, build.pipeline->n_requirements, copy(urn));
}

void build_side_inputs(Beam__PTransform *transform, const char *access_urn, ...) {
    Beam__ParDoPayload pardo = BEAM__PAR_DO_PAYLOAD__INIT;
    Beam__ParDoPayload__SideInputsEntry *entries[16];
    const char *name;
    va_list args;

    pardo.side_inputs = entries;
    va_start(args, access_urn);
    while ((name = va_arg(args, const char *))) {
        Beam__ParDoPayload__SideInputsEntry *entry =
            NEW(Beam__ParDoPayload__SideInputsEntry, BEAM__PAR_DO_PAYLOAD__SIDE_INPUTS_ENTRY__INIT);

        entry->key = copy(name);
        entry->value = NEW(Beam__SideInput, BEAM__SIDE_INPUT__INIT);
        entry->value->access_pattern = NEW(Beam__FunctionSpec, BEAM__FUNCTION_SPEC__INIT);
        entry->value->access_pattern->urn = copy(access_urn);
        ADD(entries, pardo.n_side_inputs, entry);
    }
    va_end(args);
    build_payload(transform, &pardo.base);
}

void build_combine_payload(Beam__PTransform *transform, const char *accumulator_coder) {
    Beam__CombinePayload payload = BEAM__COMBINE_PAYLOAD__INIT;

    payload.accumulator_coder_id = copy(accumulator_coder);
    build_payload(transform, &payload.base);
}

Beam__Trigger *build_count_trigger(int count) {
    Beam__Trigger *trigger = NEW(Beam__Trigger, BEAM__TRIGGER__INIT);

    trigger->trigger_case = BEAM__TRIGGER__TRIGGER_ELEMENT_COUNT;
    trigger->element_count = NEW(Beam__Trigger__ElementCount, BEAM__TRIGGER__ELEMENT_COUNT__INIT);
    trigger->element_count->element_count = count;
    return trigger;
}

void build_setup(void) {
    build = (struct builder){0};
    build.pipeline = NEW(Beam__Pipeline, BEAM__PIPELINE__INIT);
    build.components = build.pipeline->components = NEW(Beam__Components, BEAM__COMPONENTS__INIT);
    build.pipeline->root_transform_ids = arena_new_array(&build.arena, char *, MOST);
    build.pipeline->requirements = arena_new_array(&build.arena, char *, MOST);
    MAKE_ROOM(build.components->transforms, Beam__Components__TransformsEntry);
    MAKE_ROOM(build.components->pcollections, Beam__Components__PcollectionsEntry);
    MAKE_ROOM(build.components->coders, Beam__Components__CodersEntry);
    MAKE_ROOM(build.components->windowing_strategies, Beam__Components__WindowingStrategiesEntry);
    MAKE_ROOM(build.components->environments, Beam__Components__EnvironmentsEntry);
    build_coder("bytes", "beam:coder:bytes:v1", NULL, NULL);
    build_coder("varint", "beam:coder:varint:v1", NULL, NULL);
    build_coder("opaque", "test:coder:opaque:v1", NULL, NULL);
    build_coder("kv", "beam:coder:kv:v1", "bytes", "bytes");
    build_coder("kvo", "beam:coder:kv:v1", "opaque", "opaque");
    build_coder("global_window", "beam:coder:global_window:v1", NULL, NULL);
    build_windowing("global", "global_window");
    build_environment("env");
}

static void forget_plan(void) {
    plan_destroy(build.plan);
    build.plan = NULL;
    status_clear(&build.st);
    buf_clear(&build.dump);
}

void build_teardown(void) {
    forget_plan();
    arena_clear(&build.arena);
}

const char *build_dump(void) {
    const char *text, *stages;

    forget_plan();
    if (translate_pipeline(build.pipeline, NULL, &build.plan, &build.st) < 0)
        return NULL;
    plan_dump(build.plan, &build.dump);
    buf_add_u8(&build.dump, 0);
    text = (const char *)buf_data(&build.dump);
    stages = strstr(text, "stage ");
    return stages ? stages : text;
}

void build_expect(const char *expected) {
    const char *dump = build_dump();

    ck_assert_msg(dump != NULL, "translation failed: %s", status_message(&build.st));
    ck_assert_str_eq(dump, expected);
}

void build_expect_error(const char *part, const char *other_part) {
    const char *dump = build_dump();

    ck_assert_msg(dump == NULL, "translation succeeded:\n%s", dump);
    ck_assert_msg(strstr(status_message(&build.st), part) && strstr(status_message(&build.st), other_part),
                  "the message is: %s", status_message(&build.st));
}

int run_tests(const char *name, const TTest *const *tests, size_t count) {
    Suite *suite = suite_create(name);
    TCase *tcase = tcase_create(name);
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tcase);
    tcase_add_checked_fixture(tcase, build_setup, build_teardown);
    for (size_t i = 0; i < count; i++)
        tcase_add_test(tcase, tests[i]);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
