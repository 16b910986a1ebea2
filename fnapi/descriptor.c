/* Process bundle descriptors: what translate/ made, completed with what only this worker's harness needs. */
#include "fnapi/internal.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "beam_runner_api.pb-c.h"
#include "model/urn.h"

/* ProcessBundleDescriptor's fields (beam_fn_api.proto). */
enum { DESCRIPTOR_ID = 1, DESCRIPTOR_TRANSFORMS = 2, DESCRIPTOR_STATE = 7, DESCRIPTOR_TIMERS = 8 };

/* Unguessable, because whoever names an id is given the descriptor: not every SDK says who it is on unary calls. */
static void make_id(char ret[FN_DESCRIPTOR_ID_SIZE]) {
    uint8_t random[16];

    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
        abort(); /* cannot fail for so few bytes (getrandom(2)) */
    for (size_t i = 0; i < sizeof(random); i++)
        snprintf(ret + 2 * i, 3, "%02x", random[i]);
}

/* transforms[port] = a PTransform that ends at this port. */
static void add_port(struct buf *out, const char *endpoint, const struct fn_port *port, enum urn urn) {
    Beam__ApiServiceDescriptor address = BEAM__API_SERVICE_DESCRIPTOR__INIT;
    Fn__RemoteGrpcPort remote = FN__REMOTE_GRPC_PORT__INIT;
    Beam__FunctionSpec spec = BEAM__FUNCTION_SPEC__INIT;
    Beam__PTransform transform = BEAM__PTRANSFORM__INIT;
    Beam__PTransform__InputsEntry input = BEAM__PTRANSFORM__INPUTS_ENTRY__INIT, *inputs = &input;
    Beam__PTransform__OutputsEntry output = BEAM__PTRANSFORM__OUTPUTS_ENTRY__INIT, *outputs = &output;
    Fn__ProcessBundleDescriptor__TransformsEntry entry = FN__PROCESS_BUNDLE_DESCRIPTOR__TRANSFORMS_ENTRY__INIT;
    struct slice payload;

    /* Authentication stays unset: Python asserts that, and Go refuses it. */
    address.url = (char *)endpoint;
    remote.api_service_descriptor = &address;
    remote.coder_id = (char *)port->coder_id;
    payload = PB_PACK(&remote, NULL);
    spec.urn = (char *)urn_string(urn);
    spec.payload = (ProtobufCBinaryData){.len = payload.size, .data = (uint8_t *)payload.data};
    transform.unique_name = (char *)port->transform_id;
    transform.spec = &spec;
    if (urn == URN_RUNNER_DATA_SOURCE) {
        output.key = (char *)port->local_name;
        output.value = (char *)port->collection_id;
        transform.n_outputs = 1;
        transform.outputs = &outputs;
    } else {
        input.key = (char *)port->local_name;
        input.value = (char *)port->collection_id;
        transform.n_inputs = 1;
        transform.inputs = &inputs;
    }
    entry.key = (char *)port->transform_id;
    entry.value = &transform;
    pb_add_message_field(out, DESCRIPTOR_TRANSFORMS, &entry.base);
    slice_unref(&payload);
}

static void add_endpoint(struct buf *out, unsigned field, const char *endpoint) {
    Beam__ApiServiceDescriptor address = BEAM__API_SERVICE_DESCRIPTOR__INIT;

    address.url = (char *)endpoint;
    pb_add_message_field(out, field, &address.base);
}

/* The timer families of one ParDo. */
static void find_families(struct fn_descriptor *descriptor, struct arena *scratch,
                          const Fn__ProcessBundleDescriptor__TransformsEntry *entry, size_t *capacity) {
    const Beam__FunctionSpec *spec = entry->value ? entry->value->spec : NULL;
    Beam__ParDoPayload *payload;

    if (!spec || strcmp(spec->urn, urn_string(URN_TRANSFORM_PAR_DO)) != 0)
        return;
    if (pb_unpack(&beam__par_do_payload__descriptor, spec->payload.data, spec->payload.len, PB_STRINGS_LENIENT, scratch,
                  (ProtobufCMessage **)&payload, NULL) < 0)
        return;
    for (size_t i = 0; i < payload->n_timer_family_specs; i++) {
        if (descriptor->family_count == *capacity) {
            *capacity = *capacity ? *capacity * 2 : 4;
            descriptor->families = xreallocarray(descriptor->families, *capacity, sizeof(*descriptor->families));
        }
        descriptor->families[descriptor->family_count++] = (struct fn_timer_family){
            .transform_id = arena_string(&descriptor->arena, entry->key),
            .family_id = arena_string(&descriptor->arena, payload->timer_family_specs[i]->key),
            .is_first_of_transform = i == 0,
        };
    }
}

static void find_all_families(struct fn_descriptor *descriptor, struct slice base) {
    Fn__ProcessBundleDescriptor *message;
    struct arena scratch = {0};
    size_t capacity = 0;

    if (PB_UNPACK(Fn__ProcessBundleDescriptor, fn__process_bundle_descriptor, base, PB_STRINGS_LENIENT, &scratch,
                  &message, NULL) == 0)
        for (size_t i = 0; i < message->n_transforms; i++)
            find_families(descriptor, &scratch, message->transforms[i], &capacity);
    arena_clear(&scratch);
}

struct fn_descriptor *fn_descriptor_create(const char *endpoint, struct slice base, const struct fn_port *source,
                                           const struct fn_port *sinks, size_t sink_count, bool with_families) {
    struct fn_descriptor *descriptor = xcalloc(1, sizeof(*descriptor));
    struct buf whole = {0};

    make_id(descriptor->id);
    descriptor->source_transform_id = arena_string(&descriptor->arena, source->transform_id);
    descriptor->sinks = arena_new_array(&descriptor->arena, struct slice, sink_count + 1);
    descriptor->sink_count = sink_count;
    /* Messages merge by concatenation. */
    buf_add(&whole, base.data, base.size);
    pb_add_string_field(&whole, DESCRIPTOR_ID, descriptor->id);
    add_port(&whole, endpoint, source, URN_RUNNER_DATA_SOURCE);
    for (size_t i = 0; i < sink_count; i++) {
        descriptor->sinks[i] = slice_of_literal(arena_string(&descriptor->arena, sinks[i].transform_id));
        add_port(&whole, endpoint, &sinks[i], URN_RUNNER_DATA_SINK);
    }
    /* Both always: Python opens State for every descriptor, and fails every bundle with timers but no place to send them. Go reads
     * timers from the source's stream, so it is the same address (PROTOCOL E). */
    add_endpoint(&whole, DESCRIPTOR_STATE, endpoint);
    add_endpoint(&whole, DESCRIPTOR_TIMERS, endpoint);
    descriptor->bytes = buf_finish(&whole);
    if (with_families)
        find_all_families(descriptor, base);
    return descriptor;
}

void fn_descriptor_free(struct fn_descriptor *descriptor) {
    if (!descriptor)
        return;
    slice_unref(&descriptor->bytes);
    arena_clear(&descriptor->arena);
    free(descriptor->families);
    free(descriptor);
}

void fn_descriptor_method(struct rpc_stream *call, void *context, struct slice request) {
    struct fn_service *service = context;
    Fn__GetProcessBundleDescriptorRequest *message;
    const struct fn_descriptor *descriptor;
    struct slice bytes = SLICE_EMPTY;
    struct arena arena = {0};
    struct status st = {0};

    if (PB_UNPACK(Fn__GetProcessBundleDescriptorRequest, fn__get_process_bundle_descriptor_request, request,
                  PB_STRINGS_STRICT, &arena, &message, &st) < 0) {
        rpc_fail(call, st.code, st.message);
    } else {
        pthread_mutex_lock(&service->lock);
        descriptor = map_get_string(&service->descriptors, message->process_bundle_descriptor_id);
        if (descriptor)
            bytes = slice_ref(descriptor->bytes);
        pthread_mutex_unlock(&service->lock);
        if (descriptor)
            rpc_reply(call, bytes);
        else
            rpc_fail(call, STATUS_NOT_FOUND, "there is no process bundle descriptor with this id");
    }
    status_clear(&st);
    arena_clear(&arena);
    slice_unref(&request);
}
