/* translate/: real pipelines, damaged in their fields and in their bytes. */
#include <stdlib.h>
#include <string.h>

#include "beam_fn_api.pb-c.h"
#include "message.h"
#include "tests/unit/pipeline_builder.h"
#include "translate/translate.h"
#include "wire/pb.h"

/* ---- the good ones ---- */

static void build_word_count(void) {
    build_step("Start", URN_IMPULSE, NULL, "a", "bytes");
    build_step("Split", URN_PARDO, "a", "words", "kvo");
    build_combine_payload(build_step("Count", URN_COMBINE, "words", "counts", "kvo"), "opaque");
    build_step("Write", URN_PARDO, "counts", "done", "bytes");
}

static void build_group_and_flatten(void) {
    Beam__PTransform *flatten, *parent;

    build_step("Start", URN_IMPULSE, NULL, "a", "bytes");
    build_step("One", URN_MAP, "a", "b", "kvo");
    build_step("Two", URN_MAP, "a", "c", "kv");
    flatten = build_step("Both", URN_FLATTEN, "b", "f", "kvo");
    build_in(flatten, "in2", "c");
    build_step("Shuffle", URN_RESHUFFLE, "f", "s", "kvo");
    build_step("Group", URN_GBK, "s", "g", "kvo");
    parent = build_transform("Parent", "");
    build_in(parent, "in", "g");
    build_step("Use", URN_MAP, "g", "u", "varint");
    build_child(parent, "Use");
    build.components->windowing_strategies[0]->value->trigger = build_count_trigger(3);
}

static void build_side_input(void) {
    Beam__PTransform *use;

    build_step("Start", URN_IMPULSE, NULL, "a", "bytes");
    build_step("View", URN_MAP, "a", "v", "kv");
    build_step("Main", URN_MAP, "a", "m", "varint");
    use = build_step("Use", URN_PARDO, "m", "o", "bytes");
    build_in(use, "side", "v");
    build_side_inputs(use, "beam:side_input:multimap:v1", "side", NULL);
}

static void build_splittable(void) {
    Beam__ParDoPayload pardo = BEAM__PAR_DO_PAYLOAD__INIT;

    pardo.restriction_coder_id = (char *)"opaque";
    pardo.requests_finalization = true;
    build_step("Start", URN_IMPULSE, NULL, "a", "bytes");
    build_payload(build_step("Read", URN_PARDO, "a", "b", "varint"), &pardo.base);
    build_step("OldRead", "beam:transform:read:v1", NULL, "c", "varint");
    build_step("Use", URN_MAP, "b", NULL, NULL);
    build_requirement("beam:requirement:pardo:splittable_dofn:v1");
}

static void build_stateful(void) {
    Beam__ParDoPayload pardo = BEAM__PAR_DO_PAYLOAD__INIT;
    Beam__ParDoPayload__StateSpecsEntry bag_entry = BEAM__PAR_DO_PAYLOAD__STATE_SPECS_ENTRY__INIT,
                                        *states[] = {&bag_entry};
    Beam__ParDoPayload__TimerFamilySpecsEntry timer_entry = BEAM__PAR_DO_PAYLOAD__TIMER_FAMILY_SPECS_ENTRY__INIT;
    Beam__ParDoPayload__TimerFamilySpecsEntry *families[] = {&timer_entry};
    Beam__TimerFamilySpec family = BEAM__TIMER_FAMILY_SPEC__INIT;
    Beam__BagStateSpec bag = BEAM__BAG_STATE_SPEC__INIT;
    Beam__StateSpec spec = BEAM__STATE_SPEC__INIT;

    bag.element_coder_id = (char *)"varint";
    spec.spec_case = BEAM__STATE_SPEC__SPEC_BAG_SPEC;
    spec.bag_spec = &bag;
    bag_entry.key = (char *)"bag";
    bag_entry.value = &spec;
    family.time_domain = BEAM__TIME_DOMAIN__ENUM__EVENT_TIME;
    family.timer_family_coder_id = (char *)"opaque";
    timer_entry.key = (char *)"end";
    timer_entry.value = &family;
    pardo.state_specs = states;
    pardo.n_state_specs = 1;
    pardo.timer_family_specs = families;
    pardo.n_timer_family_specs = 1;
    build_step("Start", URN_IMPULSE, NULL, "a", "bytes");
    build_step("Make", URN_MAP, "a", "b", "kvo");
    build_payload(build_step("Keep", URN_PARDO, "b", "c", "varint"), &pardo.base);
}

static void (*const builders[])(void) = {build_word_count, build_group_and_flatten, build_side_input, build_splittable,
                                         build_stateful};
static struct slice pipelines[ARRAY_COUNT(builders)];

static void set_up(void) {
    for (size_t i = 0; i < ARRAY_COUNT(builders); i++) {
        build_setup();
        builders[i]();
        HOLDS(build_dump() != NULL);
        pipelines[i] = pb_pack(&build.pipeline->base, NULL);
        build_teardown();
    }
}

/* ---- what must be true ---- */

static void check_descriptors(const struct plan *plan) {
    for (size_t i = 0; i < plan->stage_count; i++) {
        const struct plan_stage *stage = &plan->stages[i];
        ProtobufCMessage *message = NULL;
        struct arena arena = {0};

        for (size_t n = 0; n < stage->input_count; n++)
            HOLDS(stage->inputs[n] < plan->collection_count && plan->collections[stage->inputs[n]].producer < i);
        for (size_t n = 0; n < stage->output_count; n++)
            HOLDS(plan->collections[stage->outputs[n]].producer == i);
        for (size_t n = 0; n < stage->side_input_count; n++)
            HOLDS(plan->collections[stage->side_inputs[n].collection].producer < i);
        if (stage->kind == PLAN_EXECUTABLE) {
            HOLDS(stage->input_count == 1 && stage->output_count == stage->sink_count);
            HOLDS(stage->environment < plan->environment_count);
            HOLDS(pb_unpack(&fn__process_bundle_descriptor__descriptor, stage->descriptor.data, stage->descriptor.size,
                            PB_STRINGS_STRICT, &arena, &message, NULL) == 0);
        }
        arena_clear(&arena);
    }
    for (size_t i = 0; i < plan->collection_count; i++)
        HOLDS(plan->collections[i].coder->kind == CODER_WINDOWED_VALUE &&
              plan->collections[i].windowing < plan->windowing_count);
}

/* The plan as text, or the message why there is none. */
static void translate(const Beam__Pipeline *pipeline, struct buf *out) {
    CLEANUP_STATUS struct status st = {0};
    struct plan *plan = NULL;
    int r = translate_pipeline(pipeline, NULL, &plan, &st);

    if (r == 0) {
        check_descriptors(plan);
        plan_dump(plan, out);
        plan_destroy(plan);
    } else {
        HOLDS(!plan && r == -(int)st.code && *status_message(&st));
        HOLDS(st.code == STATUS_INVALID_ARGUMENT || st.code == STATUS_UNIMPLEMENTED);
        buf_add(out, status_message(&st), strlen(status_message(&st)));
    }
}

static void translate_pipelines(struct rng *rng) {
    struct slice good = pipelines[rng_below(rng, ARRAY_COUNT(pipelines))];
    struct buf bytes = {0}, first = {0}, second = {0};
    ProtobufCMessage *message = NULL;
    struct arena arena = {0};

    HOLDS(pb_unpack(&beam__pipeline__descriptor, good.data, good.size, PB_STRINGS_STRICT, &arena, &message, NULL) == 0);
    for (unsigned n = rng_below(rng, 5); n; n--)
        mutate_message(rng, message, &arena);
    pack_message(message, &bytes);
    if (rng_chance(rng, 30))
        mutate_bytes(rng, &bytes);
    if (bytes.size < 1000000 && pb_unpack(&beam__pipeline__descriptor, buf_data(&bytes), bytes.size, PB_STRINGS_STRICT,
                                          &arena, &message, NULL) == 0) {
        translate((const Beam__Pipeline *)(const void *)message, &first);
        translate((const Beam__Pipeline *)(const void *)message, &second);
        HOLDS(first.size == second.size &&
              (!first.size || memcmp(buf_data(&first), buf_data(&second), first.size) == 0));
    }
    buf_clear(&first);
    buf_clear(&second);
    buf_clear(&bytes);
    arena_clear(&arena);
}

const struct target translate_targets[] = {
    {"translate", set_up, translate_pipelines},
    {NULL, NULL, NULL},
};
