/* TestStream (beam_runner_api.proto: TestStreamPayload; MODEL 11): its payload, checked, becomes events whose elements are windowed
 * values as they are on the wire.
 *
 * Which coder an element is in, and in which form, the payload does not say in one way for all SDKs:
 *
 *   Java, Python   the payload's coder, in the outer context: what would say its own length were it nested does not where it is last.
 *                  The output's coder may be another one (Python derives that from type hints).
 *   Go             the output's coder, nested. The payload always names the coder "c0", whatever that is.
 *
 * An outer encoding with its length in front is a value of length_prefix<coder>, which every SDK decodes. So an output whose coder is not
 * the payload's, or whose elements can't be put into their nested form here (place_value()), is made with that coder, and a step on a
 * harness encodes it anew. */
#include <string.h>

#include "model/window.h"
#include "translate/graph.h"
#include "wire/pb.h"

#define GO_SDK_PREFIX "beam:version:sdk_base:go"

/* ---- loading ---- */

/* The empty tag names the only output (MODEL 11.2). */
static struct graph_port *find_output(const struct graph_transform *transform, const char *tag) {
    for (size_t i = 0; i < transform->output_count; i++)
        if (strcmp(transform->outputs[i].name, tag) == 0)
            return &transform->outputs[i];
    return !*tag && transform->output_count == 1 ? transform->outputs : NULL;
}

/* The output that an event names; NULL: it is about none. */
static const char *event_tag(const Beam__TestStreamPayload__Event *event) {
    if (event->event_case == BEAM__TEST_STREAM_PAYLOAD__EVENT__EVENT_ELEMENT_EVENT)
        return event->element_event->tag;
    if (event->event_case == BEAM__TEST_STREAM_PAYLOAD__EVENT__EVENT_WATERMARK_EVENT)
        return event->watermark_event->tag;
    return NULL;
}

static event_time clamp_time(int64_t ms) {
    return time_add(0, ms);
}

/* `watermarks`: of each output so far. */
static int check_event(const struct graph_transform *transform, const Beam__TestStreamPayload__Event *event,
                       event_time *watermarks, struct status *st) {
    const char *tag = event_tag(event);
    const struct graph_port *output = tag ? find_output(transform, tag) : NULL;

    if (tag && !output)
        return status_set(st, STATUS_INVALID_ARGUMENT, "names output \"%s\", which the transform does not have", tag);
    switch (event->event_case) {
    case BEAM__TEST_STREAM_PAYLOAD__EVENT__EVENT_ELEMENT_EVENT:
        return 0;
    case BEAM__TEST_STREAM_PAYLOAD__EVENT__EVENT_WATERMARK_EVENT: {
        event_time *watermark = &watermarks[output - transform->outputs];
        event_time next = clamp_time(event->watermark_event->new_watermark);

        if (next < *watermark)
            return status_set(st, STATUS_INVALID_ARGUMENT, "sets the watermark back from %lld to %lld",
                              (long long)*watermark, (long long)next);
        *watermark = next;
        return 0;
    }
    case BEAM__TEST_STREAM_PAYLOAD__EVENT__EVENT_PROCESSING_TIME_EVENT:
        if (event->processing_time_event->advance_duration < 0)
            return status_set(st, STATUS_INVALID_ARGUMENT, "sets processing time back, by %lld ms",
                              (long long)event->processing_time_event->advance_duration);
        return 0;
    default:
        return status_set(st, STATUS_UNIMPLEMENTED, "is of a kind that Trestle does not know");
    }
}

static int check_events(struct graph *graph, const struct graph_transform *transform, struct status *st) {
    event_time *watermarks = arena_new_array(&graph->arena, event_time, transform->output_count);
    int r = 0;

    for (size_t i = 0; i < transform->output_count; i++)
        watermarks[i] = TIME_MIN;
    for (size_t i = 0; i < transform->test_stream->n_events && r == 0; i++) {
        r = check_event(transform, transform->test_stream->events[i], watermarks, st);
        if (r < 0)
            status_prefix(st, "event %zu of the test stream", i + 1);
    }
    return r;
}

static const char *endpoint_of(const struct graph_transform *transform) {
    const Beam__ApiServiceDescriptor *endpoint = transform->test_stream->endpoint;

    /* Python always sends one, with an empty address. */
    return endpoint && *endpoint->url ? endpoint->url : NULL;
}

int graph_load_test_stream(struct graph *graph, struct graph_transform *transform, struct status *st) {
    int r = pb_unpack(&beam__test_stream_payload__descriptor, transform->payload.data, transform->payload.len,
                      PB_STRINGS_STRICT, &graph->arena, (ProtobufCMessage **)(void *)&transform->test_stream, st);

    if (r < 0)
        return r;
    if (!graph_find_coder(graph, transform->test_stream->coder_id))
        return status_set(st, STATUS_INVALID_ARGUMENT,
                          "the test stream names coder \"%s\", which is not in the pipeline",
                          transform->test_stream->coder_id);
    if (endpoint_of(transform))
        transform->test_stream->n_events = 0;
    for (size_t i = 0; i < transform->output_count; i++)
        transform->outputs[i].collection->is_bounded = false;
    return check_events(graph, transform, st);
}

/* ---- which coder elements come in ---- */

/* Where the elements can be decoded: the transform's own, else a reader's, else any. */
static struct graph_environment *find_environment(const struct graph *graph, const struct graph_transform *transform) {
    if (transform->environment)
        return transform->environment;
    for (size_t i = 0; i < transform->output_count; i++)
        vec_foreach (consumer, &transform->outputs[i].collection->consumers)
            if ((*consumer)->environment)
                return (*consumer)->environment;
    return graph->environments.count ? graph->environments.items[0]->merged : NULL;
}

static bool is_go(const struct graph *graph, const struct graph_transform *transform) {
    const struct graph_environment *environment = find_environment(graph, transform);

    for (size_t i = 0; environment && i < environment->proto->n_capabilities; i++)
        if (strncmp(environment->proto->capabilities[i], GO_SDK_PREFIX, strlen(GO_SDK_PREFIX)) == 0)
            return true;
    return false;
}

static struct graph_coder *element_coder(const struct graph *graph, const struct graph_transform *transform,
                                         const struct graph_collection *output) {
    return is_go(graph, transform) ? output->coder : graph_find_coder(graph, transform->test_stream->coder_id);
}

/* Nothing in it is unknown to the runner. */
static bool is_known(struct graph *graph, struct graph_coder *coder) {
    return graph_wire_coder(graph, coder)->canonical == coder->canonical;
}

/* Whether place_value() can: a value that is not last must say where it ends. */
static bool can_place(struct graph *graph, struct graph_coder *coder) {
    switch (coder->kind) {
    case CODER_BYTES:
    case CODER_STRING:
    case CODER_VARINT:
    case CODER_BOOL:
    case CODER_DOUBLE:
    case CODER_LENGTH_PREFIX:
        return true;
    case CODER_ITERABLE: /* its elements are nested in any context */
        return is_known(graph, coder);
    case CODER_KV:
        return is_known(graph, coder->components[0]) && can_place(graph, coder->components[1]);
    case CODER_NULLABLE:
        return can_place(graph, coder->components[0]);
    default:
        return coder->kind < 0;
    }
}

static bool copy_value(struct graph *graph, struct graph_coder *coder, struct cursor *at, struct buf *out) {
    struct cursor start = *at;

    if (coder_skip(graph_model_coder(graph, graph_wire_coder(graph, coder)), at) != CODER_OK)
        return false;
    buf_add(out, start.at, (size_t)(at->at - start.at));
    return true;
}

static void prefix_rest(struct cursor *at, struct buf *out) {
    buf_add_prefixed(out, at->at, cursor_left(at));
    at->at = at->end;
}

/* Appends the wire form of the value that is all that is left, but for what makes no sense. In the outer context bytes and strings have no
 * length, and the last part of a value is in the outer context itself; `is_nested`: only what the runner does not know has no length. */
static bool place_value(struct graph *graph, struct graph_coder *coder, bool is_nested, struct cursor *at,
                        struct buf *out) {
    uint8_t is_there;

    if (coder->kind < 0 || (!is_nested && (coder->kind == CODER_BYTES || coder->kind == CODER_STRING))) {
        prefix_rest(at, out);
        return true;
    }
    switch (coder->kind) {
    case CODER_KV:
        return copy_value(graph, coder->components[0], at, out) &&
               place_value(graph, coder->components[1], is_nested, at, out);
    case CODER_NULLABLE:
        if (!cursor_u8(at, &is_there) || is_there > 1)
            return false;
        buf_add_u8(out, is_there);
        return !is_there || place_value(graph, coder->components[0], is_nested, at, out);
    default:
        return copy_value(graph, coder, at, out);
    }
}

/* Whether the output's elements go out as they came with their length in front. */
static bool is_prefixed(struct graph *graph, const struct graph_transform *transform,
                        const struct graph_collection *output) {
    struct graph_coder *coder = element_coder(graph, transform, output);

    return output->is_made /* by reencode() */ || graph_wire_coder(graph, output->coder)->canonical ==
                                                      graph_make_simple(graph, CODER_LENGTH_PREFIX, coder)->canonical;
}

/* ---- the pass ---- */

/* What the service sends later is not looked into, so its elements are always prefixed. */
static bool needs_reencoding(struct graph *graph, const struct graph_transform *transform,
                             struct graph_collection *output) {
    struct graph_coder *coder = element_coder(graph, transform, output);

    if (output->consumers.count == 0 || is_prefixed(graph, transform, output))
        return false;
    return endpoint_of(transform) || coder->canonical != output->coder->canonical || !can_place(graph, coder);
}

static int reencode(struct graph *graph, struct graph_transform *transform, struct graph_port *port,
                    struct status *st) {
    struct graph_coder *coder =
        graph_make_simple(graph, CODER_LENGTH_PREFIX, element_coder(graph, transform, port->collection));
    struct graph_environment *environment = find_environment(graph, transform);
    struct graph_collection *made;

    if (!environment)
        return graph_fail(transform, st, STATUS_INVALID_ARGUMENT,
                          "output \"%s\" has another coder than the elements, and no environment could re-encode them",
                          port->name);
    made = graph_derive_collection(graph, transform, coder, port->collection->windowing, false);
    graph_derive_reencoder(graph, transform, port->name, environment, made, port->collection);
    port->collection = made;
    return 0;
}

int graph_expand_test_streams(struct graph *graph, struct status *st) {
    size_t before = graph->transforms.count;
    int r = 0;

    vec_foreach (item, &graph->order) {
        struct graph_transform *transform = *item;

        for (size_t i = 0; transform->kind == GRAPH_TEST_STREAM && i < transform->output_count && r == 0; i++)
            if (needs_reencoding(graph, transform, transform->outputs[i].collection))
                r = reencode(graph, transform, &transform->outputs[i], st);
    }
    return r < 0 || graph->transforms.count == before ? r : graph_connect(graph, st);
}

/* ---- planning ---- */

static int plan_elements(struct graph *graph, const struct graph_transform *transform, struct graph_collection *output,
                         const Beam__TestStreamPayload__Event__AddElements *event, struct plan_test_event *made,
                         struct status *st) {
    bool prefixed = is_prefixed(graph, transform, output), is_nested = is_go(graph, transform);
    struct buf out = {.account = graph->plan_arena->account};

    for (size_t i = 0; i < event->n_elements; i++) {
        const Beam__TestStreamPayload__TimestampedElement *element = event->elements[i];
        struct cursor at = cursor_of(element->encoded_element.data, element->encoded_element.len);

        windowed_value_write_header(&out, clamp_time(element->timestamp), NULL, 0, &PANE_NO_FIRING);
        if (prefixed)
            prefix_rest(&at, &out);
        else if (!place_value(graph, output->coder, is_nested, &at, &out) || cursor_left(&at)) {
            buf_clear(&out);
            return status_set(st, STATUS_INVALID_ARGUMENT, "element %zu is no value of coder \"%s\"", i + 1,
                              output->coder->urn);
        }
    }
    made->elements = buf_finish(&out);
    made->element_count = event->n_elements;
    return 0;
}

static int plan_event(struct graph *graph, const struct graph_transform *transform, struct graph_collection *output,
                      const Beam__TestStreamPayload__Event *event, struct plan_test_event *made, struct status *st) {
    switch (event->event_case) {
    case BEAM__TEST_STREAM_PAYLOAD__EVENT__EVENT_ELEMENT_EVENT:
        made->kind = PLAN_TEST_ELEMENTS;
        return plan_elements(graph, transform, output, event->element_event, made, st);
    case BEAM__TEST_STREAM_PAYLOAD__EVENT__EVENT_WATERMARK_EVENT:
        made->kind = PLAN_TEST_WATERMARK;
        made->watermark = clamp_time(event->watermark_event->new_watermark);
        return 0;
    default:
        made->kind = PLAN_TEST_PROCESSING_TIME;
        made->advance_ms = clamp_time(event->processing_time_event->advance_duration);
        return 0;
    }
}

/* What reading the events of a service takes. Only Python and Go can name one. */
static void plan_service(struct graph *graph, const struct graph_transform *transform, struct plan_stage *stage) {
    const char **tags = arena_new_array(graph->plan_arena, const char *, stage->output_count);
    size_t count = 0;

    for (size_t i = 0; i < transform->output_count; i++)
        if (transform->outputs[i].collection->crosses)
            tags[count++] = arena_string(graph->plan_arena, transform->outputs[i].name);
    stage->test_stream.endpoint = arena_string(graph->plan_arena, endpoint_of(transform));
    stage->test_stream.tags = tags;
    stage->test_stream.service_units_per_ms = is_go(graph, transform) ? 1 : 1000;
}

static unsigned output_index(const struct plan_stage *stage, const struct graph_collection *collection) {
    for (unsigned i = 0; i < stage->output_count; i++)
        if (stage->outputs[i] == collection->plan_index)
            return i;
    return PLAN_NONE;
}

static int check_windows(struct graph *graph, const struct graph_transform *transform, struct status *st) {
    for (size_t i = 0; i < transform->output_count; i++) {
        struct graph_coder *coder =
            graph_wire_window_coder(graph, transform->outputs[i].collection->windowing->window_coder);

        if (coder->kind != CODER_GLOBAL_WINDOW)
            return graph_fail(transform, st, STATUS_INVALID_ARGUMENT,
                              "output \"%s\" of the test stream is not in the global window",
                              transform->outputs[i].name);
    }
    return 0;
}

/* Whether the event can be noticed: it has elements, if any, and somebody reads the output that it is about. */
static bool has_effect(const Beam__TestStreamPayload__Event *event, const struct graph_port *port) {
    if (port && !port->collection->crosses)
        return false;
    return event->event_case != BEAM__TEST_STREAM_PAYLOAD__EVENT__EVENT_ELEMENT_EVENT ||
           event->element_event->n_elements > 0;
}

int graph_plan_test_stream(struct graph *graph, const struct graph_transform *transform, struct plan_stage *stage,
                           struct status *st) {
    const Beam__TestStreamPayload *payload = transform->test_stream;
    struct plan_test_stream *made = &stage->test_stream;
    int r = check_windows(graph, transform, st);

    if (endpoint_of(transform))
        plan_service(graph, transform, stage);
    made->events = arena_new_array(graph->plan_arena, struct plan_test_event, payload->n_events);
    for (size_t i = 0; i < payload->n_events && r == 0; i++) {
        const char *tag = event_tag(payload->events[i]);
        const struct graph_port *port = tag ? find_output(transform, tag) : NULL;
        struct graph_collection *output = port ? port->collection : NULL;
        struct plan_test_event *event = &made->events[made->event_count];

        if (!has_effect(payload->events[i], port))
            continue;
        event->output = output ? output_index(stage, output) : PLAN_NONE;
        r = plan_event(graph, transform, output, payload->events[i], event, st);
        if (r < 0)
            return status_prefix(st, "transform \"%s\": event %zu of the test stream", transform->user_name, i + 1);
        made->event_count++;
    }
    return r;
}
