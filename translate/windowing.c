#include <string.h>

#include "google/protobuf/duration.pb-c.h"
#include "google/protobuf/timestamp.pb-c.h"
#include "standard_window_fns.pb-c.h"
#include "translate/graph.h"
#include "wire/pb.h"

/* ---- window fns ---- */

static int to_ms(int64_t seconds, int32_t nanos, const char *what, int64_t *ret_ms, struct status *st) {
    int64_t ms;

    if (__builtin_mul_overflow(seconds, 1000, &ms) || __builtin_add_overflow(ms, nanos / 1000000, &ms) ||
        ms < TIME_MIN || ms > TIME_MAX)
        return status_set(st, STATUS_INVALID_ARGUMENT, "its %s is out of range", what);
    *ret_ms = ms;
    return 0;
}

static int duration_ms(const Google__Protobuf__Duration *duration, const char *what, int64_t *ret_ms,
                       struct status *st) {
    int64_t ms = 0;
    int r = duration ? to_ms(duration->seconds, duration->nanos, what, &ms, st) : 0;

    if (r == 0 && ms <= 0)
        r = status_set(st, STATUS_INVALID_ARGUMENT, "its %s must be at least a millisecond", what);
    if (r == 0)
        *ret_ms = ms;
    return r;
}

static int offset_ms(const Google__Protobuf__Timestamp *offset, int64_t *ret_ms, struct status *st) {
    *ret_ms = 0;
    return offset ? to_ms(offset->seconds, offset->nanos, "offset", ret_ms, st) : 0;
}

static int unpack(struct graph *graph, const Beam__FunctionSpec *spec, const ProtobufCMessageDescriptor *type,
                  void *ret, struct status *st) {
    return pb_unpack(type, spec->payload.data, spec->payload.len, PB_STRINGS_STRICT, &graph->arena, ret, st);
}

static int make_fixed(struct graph *graph, const Beam__FunctionSpec *spec, struct windowing *windowing,
                      struct status *st) {
    Beam__FixedWindowsPayload *payload;
    int r = unpack(graph, spec, &beam__fixed_windows_payload__descriptor, &payload, st);

    if (r == 0)
        r = duration_ms(payload->size, "size", &windowing->size_ms, st);
    return r < 0 ? r : offset_ms(payload->offset, &windowing->offset_ms, st);
}

static int make_sliding(struct graph *graph, const Beam__FunctionSpec *spec, struct windowing *windowing,
                        struct status *st) {
    Beam__SlidingWindowsPayload *payload;
    int r = unpack(graph, spec, &beam__sliding_windows_payload__descriptor, &payload, st);

    if (r == 0)
        r = duration_ms(payload->size, "size", &windowing->size_ms, st);
    if (r == 0)
        r = duration_ms(payload->period, "period", &windowing->period_ms, st);
    return r < 0 ? r : offset_ms(payload->offset, &windowing->offset_ms, st);
}

static int make_sessions(struct graph *graph, const Beam__FunctionSpec *spec, struct windowing *windowing,
                         struct status *st) {
    Beam__SessionWindowsPayload *payload;
    int r = unpack(graph, spec, &beam__session_windows_payload__descriptor, &payload, st);

    return r < 0 ? r : duration_ms(payload->gap_size, "gap", &windowing->size_ms, st);
}

static const struct window_fn_type {
    enum urn urn;
    enum window_fn_kind kind;
    int (*make)(struct graph *graph, const Beam__FunctionSpec *spec, struct windowing *windowing, struct status *st);
} window_fn_types[] = {
    {URN_WINDOW_FN_GLOBAL, WINDOW_FN_GLOBAL, NULL},
    {URN_WINDOW_FN_FIXED, WINDOW_FN_FIXED, make_fixed},
    {URN_WINDOW_FN_SLIDING, WINDOW_FN_SLIDING, make_sliding},
    {URN_WINDOW_FN_SESSION, WINDOW_FN_SESSIONS, make_sessions},
};

bool is_standard_window_fn(enum urn urn) {
    for (size_t i = 0; urn != URN_UNKNOWN && i < ARRAY_COUNT(window_fn_types); i++)
        if (window_fn_types[i].urn == urn)
            return true;
    return false;
}

static int make_window_fn(struct graph *graph, const Beam__FunctionSpec *spec, struct windowing *windowing,
                          struct status *st) {
    enum urn urn = urn_lookup(spec->urn, strlen(spec->urn));

    windowing->fn = WINDOW_FN_CUSTOM;
    windowing->fn_urn = arena_string(graph->plan_arena, spec->urn);
    windowing->fn_payload = slice_copy(spec->payload.data, spec->payload.len, NULL);
    for (size_t i = 0; i < ARRAY_COUNT(window_fn_types); i++) {
        if (window_fn_types[i].urn == urn) {
            windowing->fn = window_fn_types[i].kind;
            return window_fn_types[i].make ? window_fn_types[i].make(graph, spec, windowing, st) : 0;
        }
    }
    return 0;
}

/* ---- triggers ---- */

static int make_trigger(struct graph *graph, const Beam__Trigger *proto, const struct trigger **ret, struct status *st);

static int make_children(struct graph *graph, struct trigger *trigger, Beam__Trigger *const *protos, size_t count,
                         struct status *st) {
    trigger->children = arena_new_array(graph->plan_arena, struct trigger *, count);
    trigger->child_count = count;
    for (size_t i = 0; i < count; i++) {
        const struct trigger *child = NULL;
        int r = protos[i] ? make_trigger(graph, protos[i], &child, st) : 0;

        if (r < 0)
            return r;
        trigger->children[i] = (struct trigger *)child;
    }
    return 0;
}

/* A child that must be there. */
static int make_complete(struct graph *graph, struct trigger *trigger, Beam__Trigger *const *protos, size_t count,
                         struct status *st) {
    if (count == 0)
        return status_set(st, STATUS_INVALID_ARGUMENT, "a trigger lacks its subtriggers");
    for (size_t i = 0; i < count; i++)
        if (!protos[i])
            return status_set(st, STATUS_INVALID_ARGUMENT, "a trigger lacks a subtrigger");
    return make_children(graph, trigger, protos, count, st);
}

static void make_delays(struct graph *graph, struct trigger *trigger, const Beam__Trigger__AfterProcessingTime *proto) {
    trigger->delay_count = proto->n_timestamp_transforms;
    trigger->delays = arena_new_array(graph->plan_arena, struct trigger_delay, trigger->delay_count);
    for (size_t i = 0; i < trigger->delay_count; i++) {
        const Beam__TimestampTransform *transform = proto->timestamp_transforms[i];

        if (transform->timestamp_transform_case == BEAM__TIMESTAMP_TRANSFORM__TIMESTAMP_TRANSFORM_ALIGN_TO)
            trigger->delays[i] = (struct trigger_delay){
                .align = true, .period_ms = transform->align_to->period, .offset_ms = transform->align_to->offset};
        else if (transform->timestamp_transform_case == BEAM__TIMESTAMP_TRANSFORM__TIMESTAMP_TRANSFORM_DELAY)
            trigger->delays[i] = (struct trigger_delay){.delay_ms = transform->delay->delay_millis};
    }
}

static int make_trigger(struct graph *graph, const Beam__Trigger *proto, const struct trigger **ret,
                        struct status *st) {
    struct trigger *trigger = arena_new(graph->plan_arena, struct trigger);
    Beam__Trigger *pair[2];

    *ret = trigger;
    trigger->kind = TRIGGER_DEFAULT;
    switch (proto ? proto->trigger_case : BEAM__TRIGGER__TRIGGER_DEFAULT) {
    case BEAM__TRIGGER__TRIGGER__NOT_SET:
    case BEAM__TRIGGER__TRIGGER_DEFAULT:
        return 0;
    case BEAM__TRIGGER__TRIGGER_ALWAYS:
        trigger->kind = TRIGGER_ALWAYS;
        return 0;
    case BEAM__TRIGGER__TRIGGER_NEVER:
        trigger->kind = TRIGGER_NEVER;
        return 0;
    case BEAM__TRIGGER__TRIGGER_ELEMENT_COUNT:
        trigger->kind = TRIGGER_ELEMENT_COUNT;
        trigger->element_count = proto->element_count->element_count;
        return 0;
    case BEAM__TRIGGER__TRIGGER_AFTER_PROCESSING_TIME:
        trigger->kind = TRIGGER_AFTER_PROCESSING_TIME;
        make_delays(graph, trigger, proto->after_processing_time);
        return 0;
    case BEAM__TRIGGER__TRIGGER_AFTER_SYNCHRONIZED_PROCESSING_TIME:
        trigger->kind = TRIGGER_AFTER_SYNCHRONIZED_PROCESSING_TIME;
        return 0;
    case BEAM__TRIGGER__TRIGGER_AFTER_END_OF_WINDOW:
        trigger->kind = TRIGGER_AFTER_END_OF_WINDOW;
        pair[0] = proto->after_end_of_window->early_firings;
        pair[1] = proto->after_end_of_window->late_firings;
        return make_children(graph, trigger, pair, 2, st);
    case BEAM__TRIGGER__TRIGGER_AFTER_ALL:
        trigger->kind = TRIGGER_AFTER_ALL;
        return make_complete(graph, trigger, proto->after_all->subtriggers, proto->after_all->n_subtriggers, st);
    case BEAM__TRIGGER__TRIGGER_AFTER_ANY:
        trigger->kind = TRIGGER_AFTER_ANY;
        return make_complete(graph, trigger, proto->after_any->subtriggers, proto->after_any->n_subtriggers, st);
    case BEAM__TRIGGER__TRIGGER_AFTER_EACH:
        trigger->kind = TRIGGER_AFTER_EACH;
        return make_complete(graph, trigger, proto->after_each->subtriggers, proto->after_each->n_subtriggers, st);
    case BEAM__TRIGGER__TRIGGER_OR_FINALLY:
        trigger->kind = TRIGGER_OR_FINALLY;
        pair[0] = proto->or_finally->main;
        pair[1] = proto->or_finally->finally;
        return make_complete(graph, trigger, pair, 2, st);
    case BEAM__TRIGGER__TRIGGER_REPEAT:
        trigger->kind = TRIGGER_REPEAT;
        return make_complete(graph, trigger, &proto->repeat->subtrigger, 1, st);
    default:
        return status_set(st, STATUS_UNIMPLEMENTED, "a trigger of a kind that Trestle does not know");
    }
}

/* ---- the strategy ---- */

static const enum timestamp_combiner timestamp_combiners[] = {
    [BEAM__OUTPUT_TIME__ENUM__UNSPECIFIED] = OUTPUT_TIME_END_OF_WINDOW,
    [BEAM__OUTPUT_TIME__ENUM__END_OF_WINDOW] = OUTPUT_TIME_END_OF_WINDOW,
    [BEAM__OUTPUT_TIME__ENUM__LATEST_IN_PANE] = OUTPUT_TIME_LATEST,
    [BEAM__OUTPUT_TIME__ENUM__EARLIEST_IN_PANE] = OUTPUT_TIME_EARLIEST,
};

/* All but the environment, which is the plan's to number. */
static int make_strategy(struct graph *graph, struct graph_windowing *source, struct windowing *windowing,
                         struct status *st) {
    static const Beam__FunctionSpec no_fn = BEAM__FUNCTION_SPEC__INIT;
    const Beam__WindowingStrategy *proto = source->proto;
    int r = make_window_fn(graph, proto->window_fn ? proto->window_fn : &no_fn, windowing, st);

    if (r < 0)
        return r;
    if ((size_t)proto->output_time >= ARRAY_COUNT(timestamp_combiners))
        return status_set(st, STATUS_UNIMPLEMENTED, "its output time is of a kind that Trestle does not know");
    if (proto->accumulation_mode != BEAM__ACCUMULATION_MODE__ENUM__UNSPECIFIED &&
        proto->accumulation_mode != BEAM__ACCUMULATION_MODE__ENUM__DISCARDING &&
        proto->accumulation_mode != BEAM__ACCUMULATION_MODE__ENUM__ACCUMULATING)
        return status_set(st, STATUS_UNIMPLEMENTED, "its accumulation mode (retracting, or unknown) is not supported");
    windowing->environment = PLAN_NONE;
    windowing->needs_merge = proto->merge_status == BEAM__MERGE_STATUS__ENUM__NEEDS_MERGE;
    windowing->one_window_per_element = proto->assigns_to_one_window;
    windowing->window_coder = graph_model_coder(graph, graph_wire_window_coder(graph, source->window_coder));
    windowing->accumulation = proto->accumulation_mode == BEAM__ACCUMULATION_MODE__ENUM__ACCUMULATING
                                  ? ACCUMULATION_ACCUMULATING
                                  : ACCUMULATION_DISCARDING;
    windowing->timestamp_combiner = timestamp_combiners[proto->output_time];
    windowing->close_always = proto->closing_behavior == BEAM__CLOSING_BEHAVIOR__ENUM__EMIT_ALWAYS;
    windowing->on_time_always = proto->on_time_behavior == BEAM__ON_TIME_BEHAVIOR__ENUM__FIRE_ALWAYS;
    windowing->allowed_lateness_ms = MAX(proto->allowed_lateness, 0);
    return make_trigger(graph, proto->trigger, &windowing->trigger, st);
}

int graph_make_windowing(struct graph *graph, struct graph_windowing *windowing, struct windowing *ret,
                         struct status *st) {
    int r = make_strategy(graph, windowing, ret, st);

    return r < 0 ? status_prefix(st, "windowing strategy \"%s\"", windowing->id) : 0;
}
