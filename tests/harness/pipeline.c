#include "pipeline.h"

#include <assert.h>
#include <stdarg.h>
#include <string.h>

#include "model/urn.h"
#include "program.h"
#include "wire/pb.h"

/* A new message in the arena. */
#define NEW(p, type, init) ((type *)new_message((p), &(type)init, sizeof(type)))
/* A new entry of a map or a list of the pipeline, with room for PIPELINE_MAX. */
#define ADD(p, array, count, item)                                                                                     \
    do {                                                                                                               \
        if (!(array))                                                                                                  \
            (array) = arena_zalloc(&(p)->arena, PIPELINE_MAX * sizeof(*(array)));                                      \
        assert((count) < PIPELINE_MAX);                                                                                \
        (array)[(count)++] = (item);                                                                                   \
    } while (0)

static void *new_message(struct pipeline *p, const void *init, size_t size) {
    void *message = arena_alloc(&p->arena, size);

    memcpy(message, init, size);
    return message;
}

static char *string(struct pipeline *p, const char *text) {
    return arena_string(&p->arena, text);
}

static ProtobufCBinaryData packed(struct pipeline *p, const ProtobufCMessage *message) {
    struct slice bytes = pb_pack(message, NULL);
    ProtobufCBinaryData data = {.len = bytes.size, .data = (uint8_t *)arena_copy(&p->arena, bytes.data, bytes.size)};

    slice_unref(&bytes);
    return data;
}

static Beam__FunctionSpec *new_spec(struct pipeline *p, const char *urn, ProtobufCBinaryData payload) {
    Beam__FunctionSpec *spec = NEW(p, Beam__FunctionSpec, BEAM__FUNCTION_SPEC__INIT);

    spec->urn = string(p, urn);
    spec->payload = payload;
    return spec;
}

static ProtobufCBinaryData text_payload(struct pipeline *p, const char *text) {
    return (ProtobufCBinaryData){.len = strlen(text), .data = (uint8_t *)string(p, text)};
}

/* ---- components ---- */

Beam__Coder *pipeline_add_coder(struct pipeline *p, const char *id, const char *urn, const char *first,
                                const char *second) {
    Beam__Components__CodersEntry *entry = NEW(p, Beam__Components__CodersEntry, BEAM__COMPONENTS__CODERS_ENTRY__INIT);
    Beam__Coder *coder = NEW(p, Beam__Coder, BEAM__CODER__INIT);

    coder->spec = new_spec(p, urn, (ProtobufCBinaryData){0});
    if (first)
        ADD(p, coder->component_coder_ids, coder->n_component_coder_ids, string(p, first));
    if (second)
        ADD(p, coder->component_coder_ids, coder->n_component_coder_ids, string(p, second));
    entry->key = string(p, id);
    entry->value = coder;
    ADD(p, p->components.coders, p->components.n_coders, entry);
    return coder;
}

static void add_windowing(struct pipeline *p) {
    Beam__Components__WindowingStrategiesEntry *entry =
        NEW(p, Beam__Components__WindowingStrategiesEntry, BEAM__COMPONENTS__WINDOWING_STRATEGIES_ENTRY__INIT);
    Beam__WindowingStrategy *windowing = NEW(p, Beam__WindowingStrategy, BEAM__WINDOWING_STRATEGY__INIT);

    windowing->window_fn = new_spec(p, urn_string(URN_WINDOW_FN_GLOBAL), (ProtobufCBinaryData){0});
    windowing->merge_status = BEAM__MERGE_STATUS__ENUM__NON_MERGING;
    windowing->window_coder_id = string(p, "window");
    windowing->trigger = NEW(p, Beam__Trigger, BEAM__TRIGGER__INIT);
    windowing->trigger->trigger_case = BEAM__TRIGGER__TRIGGER_DEFAULT;
    windowing->trigger->default_ = NEW(p, Beam__Trigger__Default, BEAM__TRIGGER__DEFAULT__INIT);
    windowing->accumulation_mode = BEAM__ACCUMULATION_MODE__ENUM__DISCARDING;
    windowing->output_time = BEAM__OUTPUT_TIME__ENUM__END_OF_WINDOW;
    windowing->closing_behavior = BEAM__CLOSING_BEHAVIOR__ENUM__EMIT_IF_NONEMPTY;
    windowing->on_time_behavior = BEAM__ON_TIME_BEHAVIOR__ENUM__FIRE_ALWAYS;
    windowing->assigns_to_one_window = 1;
    entry->key = string(p, "global");
    entry->value = windowing;
    ADD(p, p->components.windowing_strategies, p->components.n_windowing_strategies, entry);
}

static void add_environment(struct pipeline *p, const char *urn, ProtobufCBinaryData payload) {
    Beam__Components__EnvironmentsEntry *entry =
        NEW(p, Beam__Components__EnvironmentsEntry, BEAM__COMPONENTS__ENVIRONMENTS_ENTRY__INIT);
    Beam__Environment *environment = NEW(p, Beam__Environment, BEAM__ENVIRONMENT__INIT);

    environment->urn = string(p, urn);
    environment->payload = payload;
    ADD(p, environment->capabilities, environment->n_capabilities, string(p, "beam:protocol:progress_reporting:v1"));
    ADD(p, environment->capabilities, environment->n_capabilities,
        string(p, "beam:protocol:harness_monitoring_infos:v1"));
    entry->key = string(p, "env");
    entry->value = environment;
    ADD(p, p->components.environments, p->components.n_environments, entry);
}

static void init(struct pipeline *p) {
    *p = (struct pipeline){.message = BEAM__PIPELINE__INIT,
                           .components = BEAM__COMPONENTS__INIT,
                           .options = GOOGLE__PROTOBUF__STRUCT__INIT};
    p->message.components = &p->components;
    pipeline_add_coder(p, "bytes", urn_string(URN_CODER_BYTES), NULL, NULL);
    pipeline_add_coder(p, "kv", urn_string(URN_CODER_KV), "bytes", "bytes");
    pipeline_add_coder(p, "iterable", urn_string(URN_CODER_ITERABLE), "bytes", NULL);
    pipeline_add_coder(p, "grouped", urn_string(URN_CODER_KV), "bytes", "iterable");
    pipeline_add_coder(p, "window", urn_string(URN_CODER_GLOBAL_WINDOW), NULL, NULL);
    add_windowing(p);
}

void pipeline_init_process(struct pipeline *p, const char *command, ...) {
    Beam__ProcessPayload payload = BEAM__PROCESS_PAYLOAD__INIT;
    const char *name;
    va_list args;

    init(p);
    payload.command = string(p, command);
    va_start(args, command);
    while ((name = va_arg(args, const char *))) {
        Beam__ProcessPayload__EnvEntry *entry =
            NEW(p, Beam__ProcessPayload__EnvEntry, BEAM__PROCESS_PAYLOAD__ENV_ENTRY__INIT);

        entry->key = string(p, name);
        entry->value = string(p, va_arg(args, const char *));
        ADD(p, payload.env, payload.n_env, entry);
    }
    va_end(args);
    add_environment(p, "beam:env:process:v1", packed(p, &payload.base));
}

void pipeline_init_external(struct pipeline *p, const char *endpoint) {
    Beam__ExternalPayload payload = BEAM__EXTERNAL_PAYLOAD__INIT;
    Beam__ApiServiceDescriptor address = BEAM__API_SERVICE_DESCRIPTOR__INIT;

    init(p);
    address.url = string(p, endpoint);
    payload.endpoint = &address;
    add_environment(p, "beam:env:external:v1", packed(p, &payload.base));
}

void pipeline_init_image(struct pipeline *p, const char *image) {
    Beam__DockerPayload payload = BEAM__DOCKER_PAYLOAD__INIT;

    init(p);
    payload.container_image = string(p, image);
    add_environment(p, "beam:env:docker:v1", packed(p, &payload.base));
}

void pipeline_clear(struct pipeline *p) {
    arena_clear(&p->arena);
}

/* ---- the graph ---- */

Beam__PCollection *pipeline_add_collection(struct pipeline *p, const char *id, const char *coder) {
    Beam__Components__PcollectionsEntry *entry =
        NEW(p, Beam__Components__PcollectionsEntry, BEAM__COMPONENTS__PCOLLECTIONS_ENTRY__INIT);
    Beam__PCollection *collection = NEW(p, Beam__PCollection, BEAM__PCOLLECTION__INIT);

    collection->unique_name = string(p, id);
    collection->coder_id = string(p, coder);
    collection->is_bounded = BEAM__IS_BOUNDED__ENUM__BOUNDED;
    collection->windowing_strategy_id = string(p, "global");
    entry->key = string(p, id);
    entry->value = collection;
    ADD(p, p->components.pcollections, p->components.n_pcollections, entry);
    return collection;
}

void pipeline_add_input(struct pipeline *p, Beam__PTransform *transform, const char *local_name,
                        const char *collection) {
    Beam__PTransform__InputsEntry *input = NEW(p, Beam__PTransform__InputsEntry, BEAM__PTRANSFORM__INPUTS_ENTRY__INIT);

    input->key = string(p, local_name);
    input->value = string(p, collection);
    ADD(p, transform->inputs, transform->n_inputs, input);
}

Beam__PTransform *pipeline_add_transform(struct pipeline *p, const char *name, const char *urn, const char *input,
                                         const char *coder) {
    Beam__Components__TransformsEntry *entry =
        NEW(p, Beam__Components__TransformsEntry, BEAM__COMPONENTS__TRANSFORMS_ENTRY__INIT);
    Beam__PTransform *transform = NEW(p, Beam__PTransform, BEAM__PTRANSFORM__INIT);

    transform->unique_name = string(p, name);
    transform->spec = new_spec(p, urn, (ProtobufCBinaryData){0});
    if (input)
        pipeline_add_input(p, transform, "i0", input);
    if (coder) {
        Beam__PTransform__OutputsEntry *output =
            NEW(p, Beam__PTransform__OutputsEntry, BEAM__PTRANSFORM__OUTPUTS_ENTRY__INIT);

        output->key = string(p, "o0");
        output->value = string(p, name);
        ADD(p, transform->outputs, transform->n_outputs, output);
        pipeline_add_collection(p, name, coder);
    }
    entry->key = arena_printf(&p->arena, "t-%s", name);
    entry->value = transform;
    ADD(p, p->components.transforms, p->components.n_transforms, entry);
    ADD(p, p->message.root_transform_ids, p->message.n_root_transform_ids, entry->key);
    return transform;
}

Beam__PTransform *pipeline_add_impulse(struct pipeline *p, const char *name) {
    return pipeline_add_transform(p, name, urn_string(URN_TRANSFORM_IMPULSE), NULL, "bytes");
}

Beam__PTransform *pipeline_add_grouping(struct pipeline *p, const char *name, const char *input) {
    return pipeline_add_transform(p, name, urn_string(URN_TRANSFORM_GROUP_BY_KEY), input, "grouped");
}

Beam__PTransform *pipeline_add_fn(struct pipeline *p, const char *name, const char *function, const char *input,
                                  const char *coder) {
    Beam__PTransform *transform = pipeline_add_transform(p, name, urn_string(URN_TRANSFORM_PAR_DO), input, coder);
    Beam__ParDoPayload payload = BEAM__PAR_DO_PAYLOAD__INIT;

    payload.do_fn = new_spec(p, TEST_FN_URN, text_payload(p, function));
    transform->spec->payload = packed(p, &payload.base);
    transform->environment_id = string(p, "env");
    return transform;
}

void pipeline_add_side_input(struct pipeline *p, Beam__PTransform *transform, const char *function,
                             const char *collection) {
    Beam__ParDoPayload payload = BEAM__PAR_DO_PAYLOAD__INIT;
    Beam__ParDoPayload__SideInputsEntry entry = BEAM__PAR_DO_PAYLOAD__SIDE_INPUTS_ENTRY__INIT, *entries = &entry;
    Beam__SideInput side = BEAM__SIDE_INPUT__INIT;

    side.access_pattern = new_spec(p, "beam:side_input:iterable:v1", (ProtobufCBinaryData){0});
    side.view_fn = new_spec(p, "trestle:test:view_fn:v1", (ProtobufCBinaryData){0});
    side.window_mapping_fn = new_spec(p, "beam:window_mapping_fn:global:v1", (ProtobufCBinaryData){0});
    entry.key = string(p, "side");
    entry.value = &side;
    payload.do_fn = new_spec(p, TEST_FN_URN, text_payload(p, function));
    payload.n_side_inputs = 1;
    payload.side_inputs = &entries;
    transform->spec->payload = packed(p, &payload.base);
    pipeline_add_input(p, transform, "side", collection);
}

void pipeline_add_requirement(struct pipeline *p, const char *urn) {
    ADD(p, p->message.requirements, p->message.n_requirements, string(p, urn));
}

void pipeline_add_capability(struct pipeline *p, const char *urn) {
    Beam__Environment *environment = p->components.environments[0]->value;

    ADD(p, environment->capabilities, environment->n_capabilities, string(p, urn));
}

void pipeline_add_hint(struct pipeline *p, const char *urn, const char *value) {
    Beam__Environment *environment = p->components.environments[0]->value;
    Beam__Environment__ResourceHintsEntry *entry =
        NEW(p, Beam__Environment__ResourceHintsEntry, BEAM__ENVIRONMENT__RESOURCE_HINTS_ENTRY__INIT);

    entry->key = string(p, urn);
    entry->value = text_payload(p, value);
    ADD(p, environment->resource_hints, environment->n_resource_hints, entry);
}

void pipeline_add_option(struct pipeline *p, const char *name, const char *value) {
    Google__Protobuf__Struct__FieldsEntry *entry =
        NEW(p, Google__Protobuf__Struct__FieldsEntry, GOOGLE__PROTOBUF__STRUCT__FIELDS_ENTRY__INIT);

    entry->key = arena_printf(&p->arena, "beam:option:%s:v1", name);
    entry->value = NEW(p, Google__Protobuf__Value, GOOGLE__PROTOBUF__VALUE__INIT);
    entry->value->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE;
    entry->value->string_value = string(p, value);
    ADD(p, p->options.fields, p->options.n_fields, entry);
}
