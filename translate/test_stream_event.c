#include "translate/test_stream_event.h"

#include <string.h>

#include "beam_interactive_api.pb-c.h"
#include "model/window.h"
#include "wire/pb.h"

static int find_output(const struct plan_stage *stage, const char *tag, unsigned *ret, struct status *st) {
    for (unsigned i = 0; i < stage->output_count; i++) {
        if (strcmp(stage->test_stream.tags[i], tag) == 0 || (!*tag && stage->output_count == 1)) {
            *ret = i;
            return 0;
        }
    }
    return status_set(st, STATUS_INVALID_ARGUMENT, "an event names output \"%s\", which nobody asked for", tag);
}

/* In milliseconds, rounded down (MODEL 1.5), and clamped. */
static event_time to_ms(const struct plan_stage *stage, int64_t time) {
    int64_t units = stage->test_stream.service_units_per_ms;

    return time_add(0, time / units - (time % units < 0));
}

/* The service's elements are not looked into: the output's coder is length_prefix (translate/test_stream.c). */
static struct slice read_elements(const struct plan_stage *stage,
                                  const Beam__TestStreamPayload__Event__AddElements *event, struct account *account) {
    struct buf out = {.account = account};

    for (size_t i = 0; i < event->n_elements; i++) {
        const Beam__TestStreamPayload__TimestampedElement *element = event->elements[i];

        windowed_value_write_header(&out, to_ms(stage, element->timestamp), NULL, 0, &PANE_NO_FIRING);
        buf_add_prefixed(&out, element->encoded_element.data, element->encoded_element.len);
    }
    return buf_finish(&out);
}

static int convert(const struct plan_stage *stage, const Beam__TestStreamPayload__Event *event, struct account *account,
                   struct plan_test_event *ret, struct status *st) {
    int r;

    switch (event->event_case) {
    case BEAM__TEST_STREAM_PAYLOAD__EVENT__EVENT_ELEMENT_EVENT:
        r = find_output(stage, event->element_event->tag, &ret->output, st);
        if (r < 0)
            return r;
        ret->kind = PLAN_TEST_ELEMENTS;
        ret->element_count = event->element_event->n_elements;
        ret->elements = read_elements(stage, event->element_event, account);
        return 0;
    case BEAM__TEST_STREAM_PAYLOAD__EVENT__EVENT_WATERMARK_EVENT:
        ret->kind = PLAN_TEST_WATERMARK;
        ret->watermark = to_ms(stage, event->watermark_event->new_watermark);
        return find_output(stage, event->watermark_event->tag, &ret->output, st);
    case BEAM__TEST_STREAM_PAYLOAD__EVENT__EVENT_PROCESSING_TIME_EVENT:
        ret->kind = PLAN_TEST_PROCESSING_TIME;
        ret->output = PLAN_NONE;
        ret->advance_ms = to_ms(stage, event->processing_time_event->advance_duration);
        return 0;
    default:
        return status_set(st, STATUS_INVALID_ARGUMENT, "an event is of a kind that Trestle does not know");
    }
}

int test_stream_read_event(const struct plan_stage *stage, struct slice message, struct account *account,
                           struct plan_test_event *ret_event, struct status *st) {
    struct plan_test_event event = {0};
    Beam__TestStreamPayload__Event *proto;
    struct arena arena = {.account = account};
    int r = PB_UNPACK(Beam__TestStreamPayload__Event, beam__test_stream_payload__event, message, PB_STRINGS_STRICT,
                      &arena, &proto, st);

    if (r == 0)
        r = convert(stage, proto, account, &event, st);
    if (r == 0)
        *ret_event = event;
    arena_clear(&arena);
    return r;
}

struct slice test_stream_events_request(const struct plan_stage *stage) {
    Interactive__EventsRequest request = INTERACTIVE__EVENTS_REQUEST__INIT;

    request.output_ids = (char **)(uintptr_t)stage->test_stream.tags;
    request.n_output_ids = stage->output_count;
    return PB_PACK(&request, NULL);
}
