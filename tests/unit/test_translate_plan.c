/* What reaches the engine and the harness: descriptors, windowings, state, timers, names. */
#include <string.h>

#include "beam_fn_api.pb-c.h"
#include "pipeline_builder.h"
#include "standard_window_fns.pb-c.h"
#include "wire/pb.h"

/* ---- descriptors ---- */

static Fn__ProcessBundleDescriptor *descriptor(const struct plan_stage *stage) {
    Fn__ProcessBundleDescriptor *message = NULL;

    ck_assert_int_eq(pb_unpack(&fn__process_bundle_descriptor__descriptor, stage->descriptor.data,
                               stage->descriptor.size, PB_STRINGS_STRICT, &build.arena,
                               (ProtobufCMessage **)(void *)&message, &build.st),
                     0);
    return message;
}

static Beam__Coder *find_coder(const Fn__ProcessBundleDescriptor *message, const char *id) {
    for (size_t i = 0; i < message->n_coders; i++)
        if (strcmp(message->coders[i]->key, id) == 0)
            return message->coders[i]->value;
    ck_abort_msg("the descriptor lacks coder \"%s\"", id);
}

static Beam__PCollection *find_collection(const Fn__ProcessBundleDescriptor *message, const char *id) {
    for (size_t i = 0; i < message->n_pcollections; i++)
        if (strcmp(message->pcollections[i]->key, id) == 0)
            return message->pcollections[i]->value;
    ck_abort_msg("the descriptor lacks PCollection \"%s\"", id);
}

static Beam__PTransform *find_transform(const Fn__ProcessBundleDescriptor *message, const char *id) {
    for (size_t i = 0; i < message->n_transforms; i++)
        if (strcmp(message->transforms[i]->key, id) == 0)
            return message->transforms[i]->value;
    ck_abort_msg("the descriptor lacks transform \"%s\"", id);
}

/* Every id that the descriptor names is in it, once. */
static void check_complete(const Fn__ProcessBundleDescriptor *message) {
    for (size_t i = 0; i < message->n_transforms; i++) {
        const Beam__PTransform *transform = message->transforms[i]->value;

        for (size_t p = 0; p < transform->n_inputs; p++)
            find_collection(message, transform->inputs[p]->value);
        for (size_t p = 0; p < transform->n_outputs; p++)
            find_collection(message, transform->outputs[p]->value);
        ck_assert_str_eq(transform->environment_id, message->environments[0]->key);
    }
    for (size_t i = 0; i < message->n_pcollections; i++)
        find_coder(message, message->pcollections[i]->value->coder_id);
    for (size_t i = 0; i < message->n_windowing_strategies; i++)
        find_coder(message, message->windowing_strategies[i]->value->window_coder_id);
    for (size_t i = 0; i < message->n_coders; i++)
        for (size_t c = 0; c < message->coders[i]->value->n_component_coder_ids; c++)
            find_coder(message, message->coders[i]->value->component_coder_ids[c]);
}

START_TEST(a_descriptor_is_complete_and_wraps_what_crosses)
{
    const Fn__ProcessBundleDescriptor *message;
    const struct plan_collection *grouped;
    const Beam__Coder *coder;

    build_step("Start", URN_IMPULSE, NULL, "a", "bytes");
    build_step("One", URN_MAP, "a", "inner", "kvo");
    build_step("Two", URN_MAP, "inner", "b", "kvo");
    build_step("Group", URN_GBK, "b", "g", "bytes");
    build_step("Use", URN_MAP, "g", NULL, NULL);
    ck_assert_msg(build_dump() != NULL, "%s", status_message(&build.st));
    message = descriptor(&build.plan->stages[1]);
    check_complete(message);
    check_complete(descriptor(&build.plan->stages[3]));
    ck_assert_str_eq(message->id, "");
    ck_assert_uint_eq(message->n_transforms, 2);
    ck_assert_uint_eq(message->n_environments, 1);
    ck_assert_str_eq(find_collection(message, "inner")->coder_id, "kvo");
    coder = find_coder(message, find_collection(message, "b")->coder_id);
    ck_assert_str_eq(find_coder(message, coder->component_coder_ids[0])->spec->urn, "beam:coder:length_prefix:v1");
    grouped = &build.plan->collections[build.plan->stages[1].outputs[0]];
    coder = find_coder(message, grouped->coder_id);
    ck_assert_str_eq(coder->spec->urn, "beam:coder:windowed_value:v1");
    ck_assert_str_eq(coder->component_coder_ids[0], find_collection(message, "b")->coder_id);
}
END_TEST

START_TEST(what_a_harness_has_no_use_for_stays_out)
{
    Beam__Environment *environment = build.components->environments[0]->value;
    Beam__ArtifactInformation jar = BEAM__ARTIFACT_INFORMATION__INIT;

    environment->dependencies[environment->n_dependencies++] = &jar;
    environment->capabilities[environment->n_capabilities++] = (char *)"beam:version:sdk_base:x";
    build_step("Start", URN_IMPULSE, NULL, "a", "bytes");
    build_step("Map", URN_MAP, "a", NULL, NULL);
    ck_assert_msg(build_dump() != NULL, "%s", status_message(&build.st));
    environment = descriptor(&build.plan->stages[1])->environments[0]->value;
    ck_assert_uint_eq(environment->n_dependencies, 0);
    ck_assert_uint_eq(environment->n_capabilities, 1);
    ck_assert_str_eq(build.plan->environments[0].capabilities[0], "beam:version:sdk_base:x");
    ck_assert_str_eq(build.plan->environments[0].urn, "beam:env:external:v1");
}
END_TEST

/* ---- state and timers ---- */

START_TEST(state_and_timers_speak_the_wire_coders)
{
    Beam__ParDoPayload pardo = BEAM__PAR_DO_PAYLOAD__INIT, *back = NULL;
    Beam__ParDoPayload__StateSpecsEntry bag_entry = BEAM__PAR_DO_PAYLOAD__STATE_SPECS_ENTRY__INIT,
                                        map_entry = bag_entry;
    Beam__ParDoPayload__StateSpecsEntry *states[] = {&bag_entry, &map_entry};
    Beam__ParDoPayload__TimerFamilySpecsEntry timer_entry = BEAM__PAR_DO_PAYLOAD__TIMER_FAMILY_SPECS_ENTRY__INIT;
    Beam__ParDoPayload__TimerFamilySpecsEntry *timers[] = {&timer_entry};
    Beam__TimerFamilySpec family = BEAM__TIMER_FAMILY_SPEC__INIT;
    Beam__BagStateSpec bag = BEAM__BAG_STATE_SPEC__INIT;
    Beam__MapStateSpec map = BEAM__MAP_STATE_SPEC__INIT;
    Beam__StateSpec bag_spec = BEAM__STATE_SPEC__INIT, map_spec = BEAM__STATE_SPEC__INIT;
    Beam__FunctionSpec protocol = BEAM__FUNCTION_SPEC__INIT;
    const Fn__ProcessBundleDescriptor *message;
    const struct plan_stage *stage;
    const Beam__PTransform *transform;

    bag.element_coder_id = (char *)"varint";
    bag_spec.spec_case = BEAM__STATE_SPEC__SPEC_BAG_SPEC;
    bag_spec.bag_spec = &bag;
    bag_entry.key = (char *)"bag";
    bag_entry.value = &bag_spec;
    map.key_coder_id = (char *)"varint";
    map.value_coder_id = (char *)"opaque";
    protocol.urn = (char *)"beam:user_state:multimap:v1";
    map_spec.spec_case = BEAM__STATE_SPEC__SPEC_MAP_SPEC;
    map_spec.map_spec = &map;
    map_spec.protocol = &protocol;
    map_entry.key = (char *)"map";
    map_entry.value = &map_spec;
    family.time_domain = BEAM__TIME_DOMAIN__ENUM__PROCESSING_TIME;
    family.timer_family_coder_id = (char *)"opaque";
    timer_entry.key = (char *)"end";
    timer_entry.value = &family;
    pardo.state_specs = states;
    pardo.n_state_specs = 2;
    pardo.timer_family_specs = timers;
    pardo.n_timer_family_specs = 1;
    pardo.on_window_expiration_timer_family_spec = (char *)"end";
    build_step("Start", URN_IMPULSE, NULL, "a", "bytes");
    build_step("Make", URN_MAP, "a", "b", "kvo");
    build_payload(build_step("Count", URN_PARDO, "b", NULL, NULL), &pardo.base);
    build_expect("stage 0 impulse: Start\n"
                 "  out 0 Start.out bytes in global_window\n"
                 "stage 1 executable env 0: Make\n"
                 "  in 0 Start.out bytes in global_window\n"
                 "  out 1 Make.out kv<length_prefix,length_prefix> in global_window\n"
                 "stage 2 executable keyed env 0: Count\n"
                 "  in 1 Make.out kv<length_prefix,length_prefix> in global_window\n"
                 "  state bag bag varint\n"
                 "  state multimap map \n"
                 "  timer end processing_time window_expiration timer<length_prefix,global_window>\n");
    stage = &build.plan->stages[2];
    ck_assert_ptr_null(stage->user_states[1].element_coder);
    message = descriptor(stage);
    check_complete(message);
    find_coder(message, "varint");
    transform = find_transform(message, "t-Count");
    ck_assert_int_eq(pb_unpack(&beam__par_do_payload__descriptor, transform->spec->payload.data,
                               transform->spec->payload.len, PB_STRINGS_STRICT, &build.arena,
                               (ProtobufCMessage **)(void *)&back, NULL),
                     0);
    ck_assert_str_eq(find_coder(message, back->timer_family_specs[0]->value->timer_family_coder_id)->spec->urn,
                     "beam:coder:timer:v1");
    protocol.urn = (char *)"test:user_state:tape:v1";
    build_payload(build.components->transforms[2]->value, &pardo.base);
    build_expect_error("transform \"Count\": state \"map\"", "\"test:user_state:tape:v1\"");
}
END_TEST

/* ---- windowings ---- */

static const struct windowing *use_windowing(void) {
    build_step("Start", URN_IMPULSE, NULL, "a", "bytes");
    build_step("Map", URN_MAP, "a", NULL, NULL);
    return build_dump() ? &build.plan->windowings[0] : NULL;
}

static void sliding(Beam__WindowingStrategy *strategy, int64_t size_s, int64_t period_s) {
    Beam__SlidingWindowsPayload payload = BEAM__SLIDING_WINDOWS_PAYLOAD__INIT;
    Google__Protobuf__Duration size = GOOGLE__PROTOBUF__DURATION__INIT, period = size;
    Google__Protobuf__Timestamp offset = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    struct slice packed;

    size.seconds = size_s;
    size.nanos = 500000000;
    period.seconds = period_s;
    offset.seconds = 1;
    payload.size = &size;
    payload.period = &period;
    payload.offset = &offset;
    packed = pb_pack(&payload.base, NULL);
    strategy->window_fn->urn = (char *)"beam:window_fn:sliding_windows:v1";
    strategy->window_fn->payload.data = (uint8_t *)arena_copy(&build.arena, packed.data, packed.size);
    strategy->window_fn->payload.len = packed.size;
    slice_unref(&packed);
}

START_TEST(a_windowing_strategy_becomes_plain_data)
{
    Beam__WindowingStrategy *strategy = build.components->windowing_strategies[0]->value;
    Beam__Trigger trigger = BEAM__TRIGGER__INIT, late = BEAM__TRIGGER__INIT;
    Beam__Trigger__AfterEndOfWindow end = BEAM__TRIGGER__AFTER_END_OF_WINDOW__INIT;
    Beam__Trigger__AfterProcessingTime after = BEAM__TRIGGER__AFTER_PROCESSING_TIME__INIT;
    Beam__TimestampTransform transform = BEAM__TIMESTAMP_TRANSFORM__INIT, *transforms[] = {&transform};
    Beam__TimestampTransform__Delay delay = BEAM__TIMESTAMP_TRANSFORM__DELAY__INIT;
    const struct windowing *windowing;

    sliding(strategy, 10, 5);
    delay.delay_millis = 7;
    transform.timestamp_transform_case = BEAM__TIMESTAMP_TRANSFORM__TIMESTAMP_TRANSFORM_DELAY;
    transform.delay = &delay;
    after.timestamp_transforms = transforms;
    after.n_timestamp_transforms = 1;
    late.trigger_case = BEAM__TRIGGER__TRIGGER_AFTER_PROCESSING_TIME;
    late.after_processing_time = &after;
    end.late_firings = &late;
    trigger.trigger_case = BEAM__TRIGGER__TRIGGER_AFTER_END_OF_WINDOW;
    trigger.after_end_of_window = &end;
    strategy->trigger = &trigger;
    strategy->accumulation_mode = BEAM__ACCUMULATION_MODE__ENUM__ACCUMULATING;
    strategy->output_time = BEAM__OUTPUT_TIME__ENUM__EARLIEST_IN_PANE;
    strategy->closing_behavior = BEAM__CLOSING_BEHAVIOR__ENUM__EMIT_ALWAYS;
    strategy->on_time_behavior = BEAM__ON_TIME_BEHAVIOR__ENUM__FIRE_IF_NONEMPTY;
    strategy->allowed_lateness = 99;
    windowing = use_windowing();
    ck_assert_msg(windowing != NULL, "%s", status_message(&build.st));
    ck_assert_int_eq(windowing->fn, WINDOW_FN_SLIDING);
    ck_assert_int_eq(windowing->size_ms, 10500);
    ck_assert_int_eq(windowing->period_ms, 5000);
    ck_assert_int_eq(windowing->offset_ms, 1000);
    ck_assert_int_eq(windowing->trigger->kind, TRIGGER_AFTER_END_OF_WINDOW);
    ck_assert_ptr_null(windowing->trigger->children[0]);
    ck_assert_int_eq(windowing->trigger->children[1]->kind, TRIGGER_AFTER_PROCESSING_TIME);
    ck_assert_int_eq(windowing->trigger->children[1]->delays[0].delay_ms, 7);
    ck_assert_int_eq(windowing->accumulation, ACCUMULATION_ACCUMULATING);
    ck_assert_int_eq(windowing->timestamp_combiner, OUTPUT_TIME_EARLIEST);
    ck_assert(windowing->close_always && !windowing->on_time_always);
    ck_assert_int_eq(windowing->allowed_lateness_ms, 99);
    ck_assert_uint_eq(windowing->environment, PLAN_NONE);
}
END_TEST

START_TEST(a_window_of_no_size_is_refused)
{
    sliding(build.components->windowing_strategies[0]->value, 10, 0);
    ck_assert_ptr_null(use_windowing());
    ck_assert_ptr_nonnull(strstr(status_message(&build.st), "transform \"Start\""));
    ck_assert_ptr_nonnull(strstr(status_message(&build.st), "windowing strategy \"global\": its period"));
}
END_TEST

START_TEST(windows_out_of_range_are_refused)
{
    sliding(build.components->windowing_strategies[0]->value, INT64_MAX, 1);
    ck_assert_ptr_null(use_windowing());
    ck_assert_ptr_nonnull(strstr(status_message(&build.st), "its size is out of range"));
}
END_TEST

START_TEST(retracting_is_refused)
{
    build.components->windowing_strategies[0]->value->accumulation_mode = BEAM__ACCUMULATION_MODE__ENUM__RETRACTING;
    ck_assert_ptr_null(use_windowing());
    ck_assert_int_eq(build.st.code, STATUS_UNIMPLEMENTED);
    ck_assert_ptr_nonnull(strstr(status_message(&build.st), "retracting"));
}
END_TEST

START_TEST(a_trigger_without_its_child_is_refused)
{
    Beam__Trigger trigger = BEAM__TRIGGER__INIT;
    Beam__Trigger__Repeat repeat = BEAM__TRIGGER__REPEAT__INIT;

    trigger.trigger_case = BEAM__TRIGGER__TRIGGER_REPEAT;
    trigger.repeat = &repeat;
    build.components->windowing_strategies[0]->value->trigger = &trigger;
    ck_assert_ptr_null(use_windowing());
    ck_assert_ptr_nonnull(strstr(status_message(&build.st), "lacks a subtrigger"));
}
END_TEST

START_TEST(a_custom_window_fn_names_its_environment)
{
    Beam__WindowingStrategy *strategy = build.components->windowing_strategies[0]->value;
    const struct windowing *windowing;

    strategy->window_fn->urn = (char *)"test:window_fn:mine:v1";
    strategy->environment_id = (char *)"env";
    strategy->merge_status = BEAM__MERGE_STATUS__ENUM__NEEDS_MERGE;
    windowing = use_windowing();
    ck_assert_msg(windowing != NULL, "%s", status_message(&build.st));
    ck_assert_int_eq(windowing->fn, WINDOW_FN_CUSTOM);
    ck_assert_str_eq(windowing->fn_urn, "test:window_fn:mine:v1");
    ck_assert_uint_eq(windowing->environment, 0);
    ck_assert(windowing->needs_merge);
}
END_TEST

START_TEST(a_custom_window_fn_without_its_environment_is_refused)
{
    Beam__WindowingStrategy *strategy = build.components->windowing_strategies[0]->value;

    strategy->window_fn->urn = (char *)"test:window_fn:mine:v1";
    strategy->environment_id = (char *)"nowhere";
    ck_assert_ptr_null(use_windowing());
    ck_assert_ptr_nonnull(strstr(status_message(&build.st), "\"nowhere\""));
}
END_TEST

START_TEST(a_standard_window_fn_does_without_its_environment)
{
    const struct windowing *windowing;

    build.components->windowing_strategies[0]->value->environment_id = (char *)"nowhere";
    windowing = use_windowing();
    ck_assert_msg(windowing != NULL, "%s", status_message(&build.st));
    ck_assert_uint_eq(windowing->environment, PLAN_NONE);
}
END_TEST

/* ---- the rest ---- */

START_TEST(a_plan_is_charged_to_its_account)
{
    struct account *account = account_create("job", NULL, 0);
    struct translate_options options = {.account = account};
    struct plan *plan;

    build_step("Start", URN_IMPULSE, NULL, "a", "bytes");
    build_step("Map", URN_MAP, "a", NULL, NULL);
    ck_assert_int_eq(translate_pipeline(build.pipeline, &options, &plan, &build.st), 0);
    ck_assert_uint_gt(account_used(account), 0);
    plan_destroy(plan);
    ck_assert_uint_eq(account_used(account), 0);
    account_unref(account);
}
END_TEST

int main(void) {
    const TTest *const tests[] = {
        a_descriptor_is_complete_and_wraps_what_crosses,
        what_a_harness_has_no_use_for_stays_out,
        state_and_timers_speak_the_wire_coders,
        a_windowing_strategy_becomes_plain_data,
        a_window_of_no_size_is_refused,
        windows_out_of_range_are_refused,
        retracting_is_refused,
        a_trigger_without_its_child_is_refused,
        a_custom_window_fn_names_its_environment,
        a_custom_window_fn_without_its_environment_is_refused,
        a_standard_window_fn_does_without_its_environment,
        a_plan_is_charged_to_its_account,
    };

    return run_tests("translate_plan", tests, ARRAY_COUNT(tests));
}
