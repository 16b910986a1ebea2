/* The ProcessBundleDescriptor of a stage, written entry by entry.
 *
 * What crosses the stage's boundary has its wire coder there, in the PCollection itself, so that the harness derives the same key
 * and element coders that the runner uses; inner PCollections keep the SDK's own. Left out is what a harness has no use for
 * and what may be large: artifacts of environments, display data. */
#include <string.h>

#include "beam_fn_api.pb-c.h"
#include "translate/graph.h"
#include "wire/pb.h"

/* Field numbers of ProcessBundleDescriptor's maps. */
enum { FIELD_TRANSFORMS = 2, FIELD_COLLECTIONS = 3, FIELD_WINDOWINGS = 4, FIELD_CODERS = 5, FIELD_ENVIRONMENTS = 6 };

struct writer {
    struct graph *graph;
    const struct graph_stage *stage;
    struct buf out;
    unsigned stamp; /* what has it is written already */
    struct map windowings, environments;
};

/* map<string, Message>: { 1: key, 2: value }. */
static void add_entry(struct buf *out, unsigned field, const char *key, const ProtobufCMessage *value) {
    size_t key_size = strlen(key), value_size = protobuf_c_message_get_packed_size(value);

    buf_add_varint(out, (uint64_t)field << 3 | 2);
    buf_add_varint(out, 1 + varint_size(key_size) + key_size + 1 + varint_size(value_size) + value_size);
    pb_add_bytes_field(out, 1, key, key_size);
    pb_add_message_field(out, 2, value);
}

static void add_coder(struct writer *writer, struct graph_coder *coder) {
    Beam__FunctionSpec spec = BEAM__FUNCTION_SPEC__INIT;
    Beam__Coder proto = BEAM__CODER__INIT;
    char **components;

    if (coder->stamp == writer->stamp)
        return;
    coder->stamp = writer->stamp;
    components = xcalloc(coder->component_count + 1, sizeof(*components));
    for (size_t i = 0; i < coder->component_count; i++)
        components[i] = (char *)coder->components[i]->id;
    spec.urn = (char *)coder->urn;
    spec.payload = coder->payload;
    proto.spec = &spec;
    proto.n_component_coder_ids = coder->component_count;
    proto.component_coder_ids = components;
    add_entry(&writer->out, FIELD_CODERS, coder->id, &proto.base);
    free(components);
    for (size_t i = 0; i < coder->component_count; i++)
        add_coder(writer, coder->components[i]);
}

static void add_coder_id(struct writer *writer, const char *id) {
    struct graph_coder *coder = graph_find_coder(writer->graph, id);

    if (coder)
        add_coder(writer, coder);
}

static void add_environment(struct writer *writer, const struct graph_environment *environment) {
    Beam__Environment proto = *environment->proto;

    if (map_set_string(&writer->environments, environment->id, (void *)environment))
        return;
    proto.n_dependencies = 0;
    proto.n_display_data = 0;
    proto.n_resource_hints = 0;
    add_entry(&writer->out, FIELD_ENVIRONMENTS, environment->id, &proto.base);
}

static void add_windowing(struct writer *writer, struct graph_windowing *windowing) {
    struct graph_coder *window_coder = graph_wire_window_coder(writer->graph, windowing->window_coder);
    Beam__WindowingStrategy proto = *windowing->proto;

    if (map_set_string(&writer->windowings, windowing->id, windowing))
        return;
    proto.window_coder_id = (char *)window_coder->id;
    proto.environment_id = (char *)(windowing->environment ? windowing->environment->id : "");
    if (windowing->environment)
        add_environment(writer, windowing->environment);
    add_entry(&writer->out, FIELD_WINDOWINGS, windowing->id, &proto.base);
    add_coder(writer, window_coder);
}

static void add_collection(struct writer *writer, struct graph_collection *collection) {
    struct graph_coder *coder = collection->coder;
    Beam__PCollection proto = BEAM__PCOLLECTION__INIT;

    if (collection->stamp == writer->stamp)
        return;
    collection->stamp = writer->stamp;
    if (collection->crosses) {
        struct graph_coder *port = collection == writer->stage->root ? graph_source_wire(writer->graph, writer->stage)
                                                                     : graph_collection_wire(writer->graph, collection);

        /* Java makes a state backed iterable's coder for the source alone; that of the PCollection must be a plain one. */
        coder = graph_collection_wire(writer->graph, collection);
        add_coder(writer, graph_windowed(writer->graph, port, collection));
    }
    proto.unique_name = (char *)collection->unique_name;
    proto.coder_id = (char *)coder->id;
    proto.is_bounded = collection->is_bounded ? BEAM__IS_BOUNDED__ENUM__BOUNDED : BEAM__IS_BOUNDED__ENUM__UNBOUNDED;
    proto.windowing_strategy_id = (char *)collection->windowing->id;
    add_entry(&writer->out, FIELD_COLLECTIONS, collection->id, &proto.base);
    add_coder(writer, coder);
    add_windowing(writer, collection->windowing);
}

/* ---- payloads ---- */

static void add_state_coders(struct writer *writer, const Beam__StateSpec *spec) {
    switch (spec->spec_case) {
    case BEAM__STATE_SPEC__SPEC_READ_MODIFY_WRITE_SPEC:
        add_coder_id(writer, spec->read_modify_write_spec->coder_id);
        break;
    case BEAM__STATE_SPEC__SPEC_BAG_SPEC:
        add_coder_id(writer, spec->bag_spec->element_coder_id);
        break;
    case BEAM__STATE_SPEC__SPEC_COMBINING_SPEC:
        add_coder_id(writer, spec->combining_spec->accumulator_coder_id);
        break;
    case BEAM__STATE_SPEC__SPEC_MAP_SPEC:
        add_coder_id(writer, spec->map_spec->key_coder_id);
        add_coder_id(writer, spec->map_spec->value_coder_id);
        break;
    case BEAM__STATE_SPEC__SPEC_SET_SPEC:
        add_coder_id(writer, spec->set_spec->element_coder_id);
        break;
    case BEAM__STATE_SPEC__SPEC_ORDERED_LIST_SPEC:
        add_coder_id(writer, spec->ordered_list_spec->element_coder_id);
        break;
    case BEAM__STATE_SPEC__SPEC_MULTIMAP_SPEC:
        add_coder_id(writer, spec->multimap_spec->key_coder_id);
        add_coder_id(writer, spec->multimap_spec->value_coder_id);
        break;
    default:
        break;
    }
}

/* The payload with timer coders that fit the main input as it is on the wire; *ret owns new bytes, if there are any. */
static ProtobufCBinaryData pardo_payload(struct writer *writer, const struct graph_transform *transform,
                                         struct slice *ret) {
    Beam__ParDoPayload *pardo = transform->pardo;
    struct graph_coder *timer;

    for (size_t i = 0; i < pardo->n_state_specs; i++)
        add_state_coders(writer, pardo->state_specs[i]->value);
    if (*pardo->restriction_coder_id)
        add_coder_id(writer, pardo->restriction_coder_id);
    if (pardo->n_timer_family_specs == 0)
        return transform->payload;
    timer = graph_timer_coder(writer->graph, transform);
    add_coder(writer, timer);
    for (size_t i = 0; i < pardo->n_timer_family_specs; i++)
        pardo->timer_family_specs[i]->value->timer_family_coder_id = (char *)timer->id;
    *ret = pb_pack(&pardo->base, NULL);
    return (ProtobufCBinaryData){.data = (uint8_t *)ret->data, .len = ret->size};
}

/* A payload that Trestle cannot read may name any coder of the pipeline. */
static void add_all_coders(struct writer *writer) {
    vec_foreach (coder, &writer->graph->coders)
        add_coder(writer, *coder);
}

static bool is_opaque(const struct graph_transform *transform) {
    return !transform->pardo && transform->urn == URN_UNKNOWN && transform->payload.len > 0;
}

/* ---- transforms ---- */

static void add_transform(struct writer *writer, struct graph_transform *transform) {
    struct arena *arena = &writer->graph->arena;
    CLEANUP_SLICE struct slice payload = SLICE_EMPTY;
    Beam__FunctionSpec spec = BEAM__FUNCTION_SPEC__INIT;
    Beam__PTransform proto = BEAM__PTRANSFORM__INIT;

    spec.urn = (char *)transform->urn_text;
    spec.payload = transform->pardo ? pardo_payload(writer, transform, &payload) : transform->payload;
    proto.unique_name = (char *)transform->unique_name;
    proto.spec = &spec;
    proto.environment_id = (char *)transform->environment->id;
    if (transform->proto) {
        proto.n_annotations = transform->proto->n_annotations;
        proto.annotations = transform->proto->annotations;
    }
    proto.n_inputs = transform->input_count;
    proto.inputs = arena_new_array(arena, Beam__PTransform__InputsEntry *, transform->input_count);
    for (size_t i = 0; i < transform->input_count; i++) {
        proto.inputs[i] = arena_new(arena, Beam__PTransform__InputsEntry);
        beam__ptransform__inputs_entry__init(proto.inputs[i]);
        proto.inputs[i]->key = (char *)transform->inputs[i].name;
        proto.inputs[i]->value = (char *)transform->inputs[i].collection->id;
        add_collection(writer, transform->inputs[i].collection);
    }
    proto.n_outputs = transform->output_count;
    proto.outputs = arena_new_array(arena, Beam__PTransform__OutputsEntry *, transform->output_count);
    for (size_t i = 0; i < transform->output_count; i++) {
        proto.outputs[i] = arena_new(arena, Beam__PTransform__OutputsEntry);
        beam__ptransform__outputs_entry__init(proto.outputs[i]);
        proto.outputs[i]->key = (char *)transform->outputs[i].name;
        proto.outputs[i]->value = (char *)transform->outputs[i].collection->id;
        add_collection(writer, transform->outputs[i].collection);
    }
    add_entry(&writer->out, FIELD_TRANSFORMS, transform->id, &proto.base);
    if (transform->accumulator_coder)
        add_coder(writer, transform->accumulator_coder);
    if (is_opaque(transform))
        add_all_coders(writer);
}

struct slice graph_stage_descriptor(struct graph *graph, struct graph_stage *stage, struct account *account) {
    struct writer writer = {.graph = graph, .stage = stage, .out = {.account = account}, .stamp = stage->index + 1};

    add_environment(&writer, stage->environment);
    vec_foreach (transform, &stage->transforms)
        add_transform(&writer, *transform);
    map_clear(&writer.windowings, NULL);
    map_clear(&writer.environments, NULL);
    return buf_finish(&writer.out);
}
