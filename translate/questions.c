/* Questions to the SDK, asked by steps of the runner. Each is a stage of its own with one transform, so that it runs, fails and is retried
 * like any other; what is asked and what is answered are PCollections of KV<nonce, ...> in the global window.
 *
 * Custom windows that merge (StandardPTransforms.Primitives.MERGE_WINDOWS) take the group by key apart:
 *
 *      in --> group by key --questions--> MERGE_WINDOWS --answers--> merge groups --> out
 *
 * The first step collects and asks; the last one has the groups of the first, and hands them on once it knows which windows became one. */
#include <string.h>

#include "translate/graph.h"
#include "wire/pb.h"

enum { BYTES_VALUE_TAG = 0x0a, VARINT_MAX = 10 };

/* What nobody asked a window fn for: elements that stand in no window. */
static struct graph_windowing *make_global_windowing(struct graph *graph) {
    struct graph_windowing *windowing = arena_new(&graph->arena, struct graph_windowing);
    Beam__WindowingStrategy *proto = arena_new(&graph->arena, Beam__WindowingStrategy);

    *proto = (Beam__WindowingStrategy)BEAM__WINDOWING_STRATEGY__INIT;
    proto->window_fn = arena_new(&graph->arena, Beam__FunctionSpec);
    *proto->window_fn = (Beam__FunctionSpec)BEAM__FUNCTION_SPEC__INIT;
    proto->window_fn->urn = (char *)urn_string(URN_WINDOW_FN_GLOBAL);
    proto->trigger = arena_new(&graph->arena, Beam__Trigger);
    *proto->trigger = (Beam__Trigger)BEAM__TRIGGER__INIT;
    proto->trigger->trigger_case = BEAM__TRIGGER__TRIGGER_DEFAULT;
    proto->trigger->default_ = arena_new(&graph->arena, Beam__Trigger__Default);
    *proto->trigger->default_ = (Beam__Trigger__Default)BEAM__TRIGGER__DEFAULT__INIT;
    proto->merge_status = BEAM__MERGE_STATUS__ENUM__NON_MERGING;
    proto->accumulation_mode = BEAM__ACCUMULATION_MODE__ENUM__DISCARDING;
    proto->output_time = BEAM__OUTPUT_TIME__ENUM__END_OF_WINDOW;
    proto->closing_behavior = BEAM__CLOSING_BEHAVIOR__ENUM__EMIT_IF_NONEMPTY;
    proto->on_time_behavior = BEAM__ON_TIME_BEHAVIOR__ENUM__FIRE_ALWAYS;
    proto->assigns_to_one_window = true;
    windowing->index = (unsigned)graph->windowings.count;
    windowing->id = arena_printf(&graph->arena, "trestle-w%u", windowing->index);
    while (map_has_string(&graph->windowing_ids, windowing->id))
        windowing->id = arena_printf(&graph->arena, "%s_", windowing->id);
    windowing->proto = proto;
    windowing->window_coder = graph_make_simple(graph, CODER_GLOBAL_WINDOW, NULL);
    windowing->plan_index = PLAN_NONE;
    map_set_string(&graph->windowing_ids, windowing->id, windowing);
    vec_push(&graph->windowings, windowing);
    return windowing;
}

/* Python's harness unpickles the payload of a window fn (BytesValue) without taking the bytes out first. With most lengths that goes well,
 * by chance: it is base64, whose decoder skips what is not of its alphabet. So the length is written in a form that never is, which
 * readers of protobuf take as well: more bytes than needed, each with the high bit set, and a zero. */
static ProtobufCBinaryData harmless_bytes_value(struct graph *graph, ProtobufCBinaryData payload) {
    struct cursor at = cursor_of(payload.data, payload.len), value;
    uint8_t tag, *copy;
    size_t size = 0;

    if (!cursor_u8(&at, &tag) || tag != BYTES_VALUE_TAG || !cursor_prefixed(&at, &value) || cursor_left(&at))
        return payload;
    copy = arena_alloc(&graph->arena, payload.len + VARINT_MAX);
    copy[size++] = tag;
    for (size_t left = cursor_left(&value); left; left >>= 7)
        copy[size++] = (uint8_t)(left | 0x80);
    copy[size++] = 0;
    memcpy(copy + size, value.at, cursor_left(&value));
    return (ProtobufCBinaryData){.data = copy, .len = size + cursor_left(&value)};
}

/* A window fn as the payload of a question. */
static const Beam__FunctionSpec *window_fn_payload(struct graph *graph, const Beam__FunctionSpec *fn) {
    Beam__FunctionSpec *copy;

    if (strcmp(fn->urn, urn_string(URN_PYTHON_WINDOW_FN)) != 0)
        return fn;
    copy = arena_new(&graph->arena, Beam__FunctionSpec);
    *copy = *fn;
    copy->payload = harmless_bytes_value(graph, fn->payload);
    return copy;
}

/* A transform that answers the elements of `questions` with those of its output, for `base`. `function` is its payload. */
static struct graph_transform *add_question(struct graph *graph, const struct graph_transform *base, const char *suffix,
                                            enum urn urn, const Beam__FunctionSpec *function,
                                            struct graph_environment *environment, struct graph_collection *questions,
                                            struct graph_coder *answer) {
    struct graph_transform *step = graph_derive_transform(graph, base, suffix, GRAPH_SDK, urn);
    size_t size = protobuf_c_message_get_packed_size(&function->base);
    uint8_t *payload = arena_alloc(&graph->arena, size + 1);

    protobuf_c_message_pack(&function->base, payload);
    step->payload = (ProtobufCBinaryData){.data = payload, .len = size};
    step->environment = environment;
    step->inputs = graph_new_port(graph, "in", questions);
    step->outputs = graph_new_port(
        graph, "out", graph_derive_collection(graph, step, answer, questions->windowing, questions->is_bounded));
    step->input_count = step->output_count = 1;
    step->main_input = step->inputs;
    return step;
}

/* Takes a group by key apart; `global` is the windowing of questions. */
static void ask_for_merges(struct graph *graph, struct graph_transform *group, struct graph_windowing *global) {
    const struct graph_collection *in = group->inputs[0].collection;
    const struct graph_windowing *windowing = in->windowing;
    struct graph_coder *window = graph_wire_window_coder(graph, windowing->window_coder);
    struct graph_coder *windows = graph_make_simple(graph, CODER_ITERABLE, window);
    struct graph_coder *bytes = graph_make_simple(graph, CODER_BYTES, NULL);
    struct graph_coder *merges = graph_make_simple(graph, CODER_ITERABLE, graph_make_kv(graph, window, windows));
    struct graph_transform *ask, *merged;
    struct graph_collection *questions;

    merged = graph_derive_transform(graph, group, "/Merged", GRAPH_MERGE_GROUPS, URN_TRANSFORM_GROUP_BY_KEY);
    merged->grouping = group;
    merged->outputs = group->outputs;
    questions = graph_derive_collection(graph, group, graph_make_kv(graph, bytes, windows), global, in->is_bounded);
    group->outputs = graph_new_port(graph, "questions", questions);
    group->asks_for_merges = true;
    ask = add_question(graph, group, "/MergeWindows", URN_TRANSFORM_MERGE_WINDOWS,
                       window_fn_payload(graph, windowing->proto->window_fn), windowing->environment, questions,
                       graph_make_kv(graph, bytes, graph_make_kv(graph, windows, merges)));
    merged->inputs = graph_new_port(graph, "answers", ask->outputs[0].collection);
    merged->input_count = merged->output_count = 1;
}

/* Sessions the runner merges itself. */
static bool needs_answers(const struct graph_transform *transform) {
    const Beam__WindowingStrategy *proto;
    const char *urn;

    if (!transform->is_live || transform->kind != GRAPH_GROUP_BY_KEY)
        return false;
    proto = transform->inputs[0].collection->windowing->proto;
    urn = proto->window_fn ? proto->window_fn->urn : "";
    return proto->merge_status == BEAM__MERGE_STATUS__ENUM__NEEDS_MERGE &&
           !is_standard_window_fn(urn_lookup(urn, strlen(urn)));
}

int graph_ask_questions(struct graph *graph, struct status *st) {
    struct graph_windowing *global = NULL;
    size_t count = graph->transforms.count;

    for (size_t i = 0; i < count; i++) {
        struct graph_transform *transform = graph->transforms.items[i];

        if (!needs_answers(transform))
            continue;
        if (!transform->inputs[0].collection->windowing->environment ||
            !transform->inputs[0].collection->windowing->proto->window_fn)
            return graph_fail(transform, st, STATUS_INVALID_ARGUMENT,
                              "its windows have to be merged, but windowing strategy \"%s\" names no environment that "
                              "could do it",
                              transform->inputs[0].collection->windowing->id);
        if (!global)
            global = make_global_windowing(graph);
        ask_for_merges(graph, transform, global);
    }
    return global ? graph_connect(graph, st) : 0;
}
