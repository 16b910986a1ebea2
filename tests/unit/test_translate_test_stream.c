#include <string.h>

#include "model/window.h"
#include "pipeline_builder.h"

typedef Beam__TestStreamPayload__Event event_proto;

/* What the transform "Script" will do; set_script() makes it its payload. */
static Beam__TestStreamPayload script;
static event_proto *script_events[16];

static void start_script(const char *coder) {
    script = (Beam__TestStreamPayload)BEAM__TEST_STREAM_PAYLOAD__INIT;
    script.coder_id = arena_string(&build.arena, coder);
    script.events = script_events;
}

static event_proto *add_event(Beam__TestStreamPayload__Event__EventCase kind) {
    event_proto *event = arena_new(&build.arena, event_proto);

    *event = (event_proto)BEAM__TEST_STREAM_PAYLOAD__EVENT__INIT;
    event->event_case = kind;
    script_events[script.n_events++] = event;
    return event;
}

/* One element at `timestamp`. */
static void add_element(const char *tag, int64_t timestamp, const void *bytes, size_t size) {
    event_proto *event = add_event(BEAM__TEST_STREAM_PAYLOAD__EVENT__EVENT_ELEMENT_EVENT);
    Beam__TestStreamPayload__TimestampedElement *element =
        arena_new(&build.arena, Beam__TestStreamPayload__TimestampedElement);

    *element = (Beam__TestStreamPayload__TimestampedElement)BEAM__TEST_STREAM_PAYLOAD__TIMESTAMPED_ELEMENT__INIT;
    element->timestamp = timestamp;
    element->encoded_element.data = (uint8_t *)arena_copy(&build.arena, bytes, size);
    element->encoded_element.len = size;
    event->element_event = arena_new(&build.arena, Beam__TestStreamPayload__Event__AddElements);
    *event->element_event =
        (Beam__TestStreamPayload__Event__AddElements)BEAM__TEST_STREAM_PAYLOAD__EVENT__ADD_ELEMENTS__INIT;
    event->element_event->tag = arena_string(&build.arena, tag);
    event->element_event->elements = arena_new_array(&build.arena, Beam__TestStreamPayload__TimestampedElement *, 1);
    event->element_event->elements[event->element_event->n_elements++] = element;
}

static void add_watermark(const char *tag, int64_t watermark) {
    event_proto *event = add_event(BEAM__TEST_STREAM_PAYLOAD__EVENT__EVENT_WATERMARK_EVENT);

    event->watermark_event = arena_new(&build.arena, Beam__TestStreamPayload__Event__AdvanceWatermark);
    *event->watermark_event =
        (Beam__TestStreamPayload__Event__AdvanceWatermark)BEAM__TEST_STREAM_PAYLOAD__EVENT__ADVANCE_WATERMARK__INIT;
    event->watermark_event->tag = arena_string(&build.arena, tag);
    event->watermark_event->new_watermark = watermark;
}

static void add_processing_time(int64_t advance) {
    event_proto *event = add_event(BEAM__TEST_STREAM_PAYLOAD__EVENT__EVENT_PROCESSING_TIME_EVENT);

    event->processing_time_event = arena_new(&build.arena, Beam__TestStreamPayload__Event__AdvanceProcessingTime);
    *event->processing_time_event = (Beam__TestStreamPayload__Event__AdvanceProcessingTime)
        BEAM__TEST_STREAM_PAYLOAD__EVENT__ADVANCE_PROCESSING_TIME__INIT;
    event->processing_time_event->advance_duration = advance;
}

/* "Script" with output "out", the collection "a" in `coder`, and a reader of it. */
static Beam__PTransform *build_source(const char *coder) {
    Beam__PTransform *source = build_step("Script", URN_TEST_STREAM, NULL, "a", coder);

    build_step("Map", URN_MAP, "a", NULL, NULL);
    return source;
}

/* Says that the SDK behind "env" is Go's. */
static void speak_go(void) {
    Beam__Environment *environment = build.components->environments[0]->value;

    environment->capabilities[environment->n_capabilities++] =
        arena_string(&build.arena, "beam:version:sdk_base:go:apache/beam_go_sdk:2.77.0");
}

/* Translates a pipeline with one element of `bytes` in `script_coder`, to an output in `coder`; the value as it is on the wire. */
static struct slice place(const char *script_coder, const char *coder, const void *bytes, size_t size) {
    const struct plan_test_stream *made;
    struct windowed_value value;
    struct cursor at;

    start_script(script_coder);
    add_element("", 5, bytes, size);
    build_payload(build_source(coder), &script.base);
    ck_assert_msg(build_dump() != NULL, "%s", status_message(&build.st));
    made = &build.plan->stages[0].test_stream;
    ck_assert_uint_eq(made->event_count, 1);
    ck_assert_uint_eq(made->events[0].element_count, 1);
    at = cursor_of(made->events[0].elements.data, made->events[0].elements.size);
    ck_assert_int_eq(windowed_value_read(build.plan->collections[build.plan->stages[0].outputs[0]].coder, &at, &value),
                     CODER_OK);
    ck_assert_uint_eq(cursor_left(&at), 0);
    ck_assert_int_eq(value.timestamp, 5);
    ck_assert_uint_eq(value.window_count, 1);
    ck_assert_uint_eq(cursor_left(&value.pane), 1);
    ck_assert_uint_eq(*value.pane.at, 0x0f);
    return slice_of_static(value.value.at, cursor_left(&value.value));
}

/* Both as string literals that may hold zeros. */
#define CHECK_PLACED(coder, bytes, wire)                                                                               \
    do {                                                                                                               \
        struct slice placed_ = place(coder, coder, bytes, sizeof(bytes) - 1);                                          \
        ck_assert_uint_eq(placed_.size, sizeof(wire) - 1);                                                             \
        ck_assert_mem_eq(placed_.data, wire, placed_.size);                                                            \
        ck_assert_uint_eq(build.plan->stage_count, 2);                                                                 \
    } while (0)

/* ---- elements ---- */

START_TEST(bytes_in_the_outer_context_get_their_length)
{ CHECK_PLACED("bytes", "\x01q", "\x02\x01q"); }
END_TEST

START_TEST(a_string_in_the_outer_context_gets_its_length)
{
    build_coder("string", "beam:coder:string_utf8:v1", NULL, NULL);
    CHECK_PLACED("string", "", "\x00");
}
END_TEST

START_TEST(a_number_is_as_it_is)
{ CHECK_PLACED("varint", "\xac\x02", "\xac\x02"); }
END_TEST

START_TEST(what_the_runner_does_not_know_gets_its_length)
{
    CHECK_PLACED("opaque", "custom",
                 "\x06"
                 "custom");
}
END_TEST

START_TEST(what_has_a_length_keeps_it)
{
    build_coder("prefixed", "beam:coder:length_prefix:v1", "opaque", NULL);
    CHECK_PLACED("prefixed", "\x03own", "\x03own");
}
END_TEST

START_TEST(of_a_pair_only_the_value_is_in_the_outer_context)
{
    CHECK_PLACED("kv",
                 "\x01k"
                 "value",
                 "\x01k\x05value");
}
END_TEST

START_TEST(a_pair_of_string_and_number_is_as_it_is)
{
    build_coder("string", "beam:coder:string_utf8:v1", NULL, NULL);
    build_coder("kvn", "beam:coder:kv:v1", "string", "varint");
    CHECK_PLACED("kvn", "\x01k\x07", "\x01k\x07");
}
END_TEST

START_TEST(an_unknown_value_of_a_known_key_gets_its_length)
{
    build_coder("kno", "beam:coder:kv:v1", "bytes", "opaque");
    CHECK_PLACED("kno", "\x01kcustom",
                 "\x01k\x06"
                 "custom");
}
END_TEST

START_TEST(a_pair_in_a_pair_ends_in_the_outer_context)
{
    build_coder("kkv", "beam:coder:kv:v1", "varint", "kv");
    CHECK_PLACED("kkv", "\x09\x01kv", "\x09\x01k\x01v");
}
END_TEST

START_TEST(what_may_be_missing_is_in_the_context_of_the_whole)
{
    build_coder("maybe", "beam:coder:nullable:v1", "bytes", NULL);
    CHECK_PLACED("maybe",
                 "\x01"
                 "abc",
                 "\x01\x03"
                 "abc");
}
END_TEST

START_TEST(what_is_missing_has_no_value)
{
    build_coder("maybe", "beam:coder:nullable:v1", "opaque", NULL);
    CHECK_PLACED("maybe", "\x00", "\x00");
}
END_TEST

START_TEST(the_elements_of_a_list_are_nested_already)
{
    build_coder("list", "beam:coder:iterable:v1", "bytes", NULL);
    CHECK_PLACED("list", "\x00\x00\x00\x01\x01z", "\x00\x00\x00\x01\x01z");
}
END_TEST

START_TEST(go_encodes_bytes_with_their_length)
{
    speak_go();
    CHECK_PLACED("bytes", "\x03xyz", "\x03xyz");
}
END_TEST

START_TEST(a_row_of_go_gets_its_length)
{
    speak_go();
    build_coder("row", "beam:coder:row:v1", NULL, NULL);
    CHECK_PLACED("row", "\x02\x00\x01q\x07", "\x05\x02\x00\x01q\x07");
}
END_TEST

START_TEST(go_means_the_coder_of_the_output)
{
    struct slice placed;

    speak_go();
    placed = place("opaque", "bytes", "\x03xyz", 4);
    ck_assert(slice_equal_string(placed, "\x03xyz"));
    ck_assert_uint_eq(build.plan->stage_count, 2);
}
END_TEST

START_TEST(another_coder_than_the_outputs_is_re_encoded)
{
    struct slice placed = place("bytes", "varint", "abc", 3);

    ck_assert(slice_equal_string(placed, "\x03"
                                         "abc"));
    build_expect("stage 0 test_stream unbounded: Script\n"
                 "  out 0 Script.out unbounded length_prefix in global_window\n"
                 "  event: 1 elements to output 0\n"
                 "stage 1 executable unbounded env 0: Script/Reencode(out) + Map\n"
                 "  in 0 Script.out unbounded length_prefix in global_window\n");
}
END_TEST

START_TEST(a_key_that_the_runner_does_not_know_is_re_encoded)
{
    struct slice placed = place("kvo", "kvo", "keyvalue", 8);

    ck_assert(slice_equal_string(placed, "\x08keyvalue"));
    ck_assert(strstr(build_dump(), "Script/Reencode(out) + Map"));
}
END_TEST

START_TEST(go_re_encodes_what_the_runner_cannot_cut)
{
    struct slice placed;

    speak_go();
    placed = place("opaque", "kvo", "keyvalue", 8);
    ck_assert(slice_equal_string(placed, "\x08keyvalue"));
    ck_assert(strstr(build_dump(), "Script/Reencode(out) + Map"));
}
END_TEST

START_TEST(an_element_that_is_no_value_of_its_coder_is_refused)
{
    start_script("varint");
    add_watermark("", 1);
    add_element("", 0, "\x01\x02", 2);
    build_payload(build_source("varint"), &script.base);
    build_expect_error("transform \"Script\": event 2 of the test stream: element 1", "beam:coder:varint:v1");
    build.components->transforms[0]->value->spec->payload.len = 0;
    start_script("varint");
    add_element("", 0, "\x80", 1);
    build_payload(build.components->transforms[0]->value, &script.base);
    build_expect_error("event 1 of the test stream: element 1", "beam:coder:varint:v1");
}
END_TEST

/* ---- events ---- */

START_TEST(events_keep_their_order_and_are_clamped)
{
    start_script("varint");
    add_watermark("", INT64_MIN);
    add_element("out", INT64_MAX, "\x01", 1);
    add_processing_time(INT64_MAX);
    add_watermark("out", INT64_MAX);
    build_payload(build_source("varint"), &script.base);
    build_expect("stage 0 test_stream unbounded: Script\n"
                 "  out 0 Script.out unbounded varint in global_window\n"
                 "  event: watermark -9223372036854775 of output 0\n"
                 "  event: 1 elements to output 0\n"
                 "  event: processing time + 9223372036854775\n"
                 "  event: watermark 9223372036854775 of output 0\n"
                 "stage 1 executable unbounded env 0: Map\n"
                 "  in 0 Script.out unbounded varint in global_window\n");
}
END_TEST

START_TEST(tags_name_outputs_and_unread_ones_are_left_out)
{
    Beam__PTransform *source = build_transform("Script", URN_TEST_STREAM);

    build_collection("l", "varint");
    build_collection("u", "varint");
    build_collection("r", "varint");
    build_out(source, "left", "l");
    build_out(source, "unread", "u");
    build_out(source, "right", "r");
    build_step("Left", URN_MAP, "l", NULL, NULL);
    build_step("Right", URN_MAP, "r", NULL, NULL);
    start_script("varint");
    add_element("right", 0, "\x01", 1);
    add_element("unread", 0, "\x01", 1);
    add_watermark("unread", 7);
    add_watermark("left", 6);
    add_watermark("right", 5);
    build_payload(source, &script.base);
    ck_assert_msg(build_dump() != NULL, "%s", status_message(&build.st));
    ck_assert(strstr(build_dump(), "  out 0 Script.left unbounded varint in global_window\n"
                                   "  out 1 Script.right unbounded varint in global_window\n"
                                   "  event: 1 elements to output 1\n"
                                   "  event: watermark 6 of output 0\n"
                                   "  event: watermark 5 of output 1\n"));
}
END_TEST

START_TEST(an_event_for_an_output_that_is_not_there_is_refused)
{
    start_script("varint");
    add_watermark("other", 5);
    build_payload(build_source("varint"), &script.base);
    build_expect_error("transform \"Script\": event 1 of the test stream", "\"other\"");
}
END_TEST

START_TEST(a_watermark_that_goes_back_is_refused)
{
    start_script("varint");
    add_watermark("", 5);
    add_watermark("", 4);
    build_payload(build_source("varint"), &script.base);
    build_expect_error("transform \"Script\": event 2 of the test stream", "from 5 to 4");
}
END_TEST

START_TEST(processing_time_that_goes_back_is_refused)
{
    start_script("varint");
    add_processing_time(-1);
    build_payload(build_source("varint"), &script.base);
    build_expect_error("transform \"Script\": event 1 of the test stream", "processing time back");
}
END_TEST

START_TEST(an_event_of_no_kind_is_refused)
{
    start_script("varint");
    add_event(BEAM__TEST_STREAM_PAYLOAD__EVENT__EVENT__NOT_SET);
    build_payload(build_source("varint"), &script.base);
    build_expect_error("transform \"Script\": event 1 of the test stream", "kind");
}
END_TEST

START_TEST(a_coder_that_is_not_there_is_refused)
{
    start_script("nowhere");
    build_payload(build_source("varint"), &script.base);
    build_expect_error("transform \"Script\"", "\"nowhere\"");
}
END_TEST

START_TEST(windows_other_than_the_global_one_are_refused)
{
    build_coder("interval_window", "beam:coder:interval_window:v1", NULL, NULL);
    build_windowing("intervals", "interval_window");
    start_script("varint");
    build_payload(build_source("varint"), &script.base);
    build.components->pcollections[0]->value->windowing_strategy_id = (char *)"intervals";
    build_expect_error("transform \"Script\"", "global window");
}
END_TEST

/* ---- a service ---- */

START_TEST(the_events_of_a_service_come_with_a_length)
{
    Beam__ApiServiceDescriptor endpoint = BEAM__API_SERVICE_DESCRIPTOR__INIT;

    start_script("bytes");
    endpoint.url = (char *)"localhost:1234";
    script.endpoint = &endpoint;
    build_payload(build_source("bytes"), &script.base);
    build_expect("stage 0 test_stream unbounded: Script\n"
                 "  out 0 Script.out unbounded length_prefix in global_window\n"
                 "  events from localhost:1234\n"
                 "stage 1 executable unbounded env 0: Script/Reencode(out) + Map\n"
                 "  in 0 Script.out unbounded length_prefix in global_window\n");
}
END_TEST

START_TEST(a_service_is_asked_by_local_name_in_the_units_of_its_sdk)
{
    Beam__ApiServiceDescriptor endpoint = BEAM__API_SERVICE_DESCRIPTOR__INIT;

    start_script("bytes");
    endpoint.url = (char *)"localhost:1234";
    script.endpoint = &endpoint;
    build_payload(build_source("bytes"), &script.base);
    ck_assert_msg(build_dump() != NULL, "%s", status_message(&build.st));
    ck_assert_str_eq(build.plan->stages[0].test_stream.tags[0], "out");
    ck_assert_uint_eq(build.plan->stages[0].test_stream.service_units_per_ms, 1000);
    speak_go();
    ck_assert_msg(build_dump() != NULL, "%s", status_message(&build.st));
    ck_assert_uint_eq(build.plan->stages[0].test_stream.service_units_per_ms, 1);
}
END_TEST

START_TEST(an_endpoint_without_address_is_none)
{
    Beam__ApiServiceDescriptor endpoint = BEAM__API_SERVICE_DESCRIPTOR__INIT;

    start_script("varint");
    script.endpoint = &endpoint;
    add_watermark("", 3);
    build_payload(build_source("varint"), &script.base);
    ck_assert_msg(build_dump() != NULL, "%s", status_message(&build.st));
    ck_assert_ptr_null(build.plan->stages[0].test_stream.endpoint);
    ck_assert_uint_eq(build.plan->stages[0].test_stream.event_count, 1);
}
END_TEST

int main(void) {
    const TTest *const tests[] = {
        bytes_in_the_outer_context_get_their_length,
        a_string_in_the_outer_context_gets_its_length,
        a_number_is_as_it_is,
        what_the_runner_does_not_know_gets_its_length,
        what_has_a_length_keeps_it,
        of_a_pair_only_the_value_is_in_the_outer_context,
        a_pair_of_string_and_number_is_as_it_is,
        an_unknown_value_of_a_known_key_gets_its_length,
        a_pair_in_a_pair_ends_in_the_outer_context,
        what_may_be_missing_is_in_the_context_of_the_whole,
        what_is_missing_has_no_value,
        the_elements_of_a_list_are_nested_already,
        go_encodes_bytes_with_their_length,
        a_row_of_go_gets_its_length,
        go_means_the_coder_of_the_output,
        another_coder_than_the_outputs_is_re_encoded,
        a_key_that_the_runner_does_not_know_is_re_encoded,
        go_re_encodes_what_the_runner_cannot_cut,
        an_element_that_is_no_value_of_its_coder_is_refused,
        events_keep_their_order_and_are_clamped,
        tags_name_outputs_and_unread_ones_are_left_out,
        an_event_for_an_output_that_is_not_there_is_refused,
        a_watermark_that_goes_back_is_refused,
        processing_time_that_goes_back_is_refused,
        an_event_of_no_kind_is_refused,
        a_coder_that_is_not_there_is_refused,
        windows_other_than_the_global_one_are_refused,
        the_events_of_a_service_come_with_a_length,
        a_service_is_asked_by_local_name_in_the_units_of_its_sdk,
        an_endpoint_without_address_is_none,
    };

    return run_tests("translate_test_stream", tests, ARRAY_COUNT(tests));
}
