#include "program.h"

#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "beam_fn_api.pb-c.h"
#include "beam_runner_api.pb-c.h"
#include "wire/pb.h"

enum { MAX_CODER_DEPTH = 30 };

struct loader {
    struct program *program;
    const Fn__ProcessBundleDescriptor *descriptor;
    struct status *st;
};

static int pass_on(struct bundle *bundle, const struct node *node, const struct value *value) {
    return node_emit(bundle, node, value);
}

/* ---- coders ---- */

static const Beam__Coder *find_coder(const struct loader *l, const char *id) {
    for (size_t i = 0; i < l->descriptor->n_coders; i++)
        if (strcmp(l->descriptor->coders[i]->key, id) == 0)
            return l->descriptor->coders[i]->value;
    return NULL;
}

static const struct coder *load_coder(struct loader *l, const char *id, unsigned depth) {
    const Beam__Coder *coder = find_coder(l, id);
    const struct coder *parts[2] = {NULL, NULL};
    unsigned count = 0;
    int kind;

    if (!coder || !coder->spec || depth > MAX_CODER_DEPTH) {
        status_set(l->st, STATUS_INVALID_ARGUMENT, "coder \"%s\" is not in the descriptor", id);
        return NULL;
    }
    kind = coder_kind_of_urn(coder->spec->urn, &count);
    if (kind < 0 || (kind != CODER_LENGTH_PREFIX && coder->n_component_coder_ids < count)) {
        status_set(l->st, STATUS_INVALID_ARGUMENT, "coder \"%s\" (%s) is not one that this harness knows", id,
                   coder->spec->urn);
        return NULL;
    }
    /* What is behind a length prefix does not matter for finding its end. */
    if (kind == CODER_LENGTH_PREFIX)
        return coder_create(&l->program->arena, CODER_LENGTH_PREFIX,
                            coder_create(&l->program->arena, CODER_BYTES, NULL, NULL), NULL);
    for (unsigned i = 0; i < count; i++) {
        parts[i] = load_coder(l, coder->component_coder_ids[i], depth + 1);
        if (!parts[i])
            return NULL;
    }
    return coder_create(&l->program->arena, (enum coder_kind)kind, parts[0], parts[1]);
}

/* ---- transforms ---- */

static int load_port(struct loader *l, struct node *node, const Beam__FunctionSpec *spec) {
    struct arena arena = {0};
    Fn__RemoteGrpcPort *port;
    int r = PB_UNPACK(Fn__RemoteGrpcPort, fn__remote_grpc_port, slice_of_static(spec->payload.data, spec->payload.len),
                      PB_STRINGS_STRICT, &arena, &port, l->st);

    if (r == 0) {
        node->coder = load_coder(l, port->coder_id, 0);
        if (!node->coder)
            r = -1;
        else if (node->coder->kind != CODER_WINDOWED_VALUE)
            r = status_set(l->st, STATUS_INVALID_ARGUMENT, "port %s: its coder is no windowed value", node->id);
    }
    arena_clear(&arena);
    return r;
}

static void load_arguments(struct loader *l, struct node *node, struct slice payload) {
    char *text = arena_copy(&l->program->arena, payload.data, payload.size);
    char *colon = strchr(text, ':');

    node->text = colon ? colon + 1 : "";
    for (unsigned i = 0; i < ARRAY_COUNT(node->numbers) && colon; i++, colon = strchr(colon + 1, ':'))
        node->numbers[i] = strtoull(colon + 1, NULL, 10);
}

static int load_function(struct loader *l, struct node *node, const Beam__PTransform *transform) {
    const Beam__FunctionSpec *spec = transform->spec;
    struct arena arena = {0};
    Beam__ParDoPayload *pardo;
    struct slice payload;
    const struct function *function;
    const char *colon;
    int r = PB_UNPACK(Beam__ParDoPayload, beam__par_do_payload, slice_of_static(spec->payload.data, spec->payload.len),
                      PB_STRINGS_STRICT, &arena, &pardo, l->st);

    if (r == 0 && (!pardo->do_fn || strcmp(pardo->do_fn->urn, TEST_FN_URN) != 0))
        r = status_set(l->st, STATUS_INVALID_ARGUMENT, "transform %s is no " TEST_FN_URN, node->id);
    if (r == 0) {
        payload = slice_of_static(pardo->do_fn->payload.data, pardo->do_fn->payload.len);
        colon = memchr(payload.data, ':', payload.size);
        function = function_find((const char *)payload.data,
                                 colon ? (size_t)(colon - (const char *)payload.data) : payload.size);
        load_arguments(l, node, payload);
        if (function) {
            node->process = function->process;
            node->finish = function->finish;
        } else
            r = status_set(l->st, STATUS_INVALID_ARGUMENT, "transform %s: unknown function \"%.*s\"", node->id,
                           (int)payload.size, (const char *)payload.data);
    }
    for (size_t i = 0; r == 0 && i < transform->n_inputs; i++) {
        bool is_side = false;

        for (size_t j = 0; j < pardo->n_side_inputs; j++)
            is_side |= strcmp(pardo->side_inputs[j]->key, transform->inputs[i]->key) == 0;
        if (is_side)
            node->side_name = arena_string(&l->program->arena, transform->inputs[i]->key);
        else
            node->input = arena_string(&l->program->arena, transform->inputs[i]->value);
    }
    arena_clear(&arena);
    return r;
}

static int load_transform(struct loader *l, const char *id, const Beam__PTransform *transform) {
    struct program *program = l->program;
    struct node *node = &program->nodes[program->node_count++];
    const char *urn = transform->spec ? transform->spec->urn : "";

    node->id = arena_string(&program->arena, id);
    node->name = arena_string(&program->arena, transform->unique_name);
    if (transform->n_outputs)
        node->output = arena_string(&program->arena, transform->outputs[0]->value);
    if (transform->n_inputs)
        node->input = arena_string(&program->arena, transform->inputs[0]->value);
    if (strcmp(urn, "beam:runner:source:v1") == 0) {
        program->source = node;
        return load_port(l, node, transform->spec);
    }
    if (strcmp(urn, "beam:runner:sink:v1") == 0) {
        node->sink = (unsigned)program->sink_count;
        node->process = sink_process;
        program->sinks[program->sink_count++] = node;
        return load_port(l, node, transform->spec);
    }
    if (strcmp(urn, "beam:transform:pardo:v1") == 0)
        return load_function(l, node, transform);
    if (strcmp(urn, "beam:transform:flatten:v1") == 0) {
        node->process = pass_on;
        return 0;
    }
    return status_set(l->st, STATUS_INVALID_ARGUMENT, "transform %s has the unknown URN \"%s\"", id, urn);
}

/* ---- links ---- */

static bool reads(const struct loader *l, const struct node *reader, const char *collection) {
    for (size_t i = 0; reader->process == pass_on && i < l->descriptor->n_transforms; i++) {
        const Beam__PTransform *transform = l->descriptor->transforms[i]->value;

        if (strcmp(l->descriptor->transforms[i]->key, reader->id) == 0)
            for (size_t j = 0; j < transform->n_inputs; j++)
                if (strcmp(transform->inputs[j]->value, collection) == 0)
                    return true;
    }
    return reader->process && reader->input && strcmp(reader->input, collection) == 0;
}

static void link_nodes(struct loader *l) {
    struct program *program = l->program;

    for (size_t i = 0; i < program->node_count; i++) {
        struct node *node = &program->nodes[i];

        node->consumers = arena_new_array(&program->arena, const struct node *, program->node_count);
        for (size_t j = 0; node->output && j < program->node_count; j++)
            if (reads(l, &program->nodes[j], node->output))
                node->consumers[node->consumer_count++] = &program->nodes[j];
    }
}

int program_create(struct slice bytes, struct program **ret, struct status *st) {
    struct program *program = xcalloc(1, sizeof(*program));
    Fn__ProcessBundleDescriptor *descriptor;
    struct arena arena = {0};
    struct loader l = {.program = program, .st = st};
    int r = PB_UNPACK(Fn__ProcessBundleDescriptor, fn__process_bundle_descriptor, bytes, PB_STRINGS_STRICT, &arena,
                      &descriptor, st);

    if (r == 0) {
        l.descriptor = descriptor;
        program->nodes = arena_new_array(&program->arena, struct node, descriptor->n_transforms);
        program->sinks = arena_new_array(&program->arena, const struct node *, descriptor->n_transforms);
        for (size_t i = 0; r == 0 && i < descriptor->n_transforms; i++)
            r = load_transform(&l, descriptor->transforms[i]->key, descriptor->transforms[i]->value);
        if (r == 0 && !program->source)
            r = status_set(st, STATUS_INVALID_ARGUMENT, "the descriptor has no source");
        if (r == 0)
            link_nodes(&l);
    }
    arena_clear(&arena);
    if (r < 0)
        program_destroy(program);
    else
        *ret = program;
    return r;
}

void program_destroy(struct program *program) {
    if (!program)
        return;
    arena_clear(&program->arena);
    free(program);
}
