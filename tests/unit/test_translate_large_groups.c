/* Which stages may get a token in the place of a group's values, and which coder tells the SDK so. */
#include <string.h>

#include "beam_fn_api.pb-c.h"
#include "pipeline_builder.h"
#include "wire/pb.h"

#define URN_ITERABLE "beam:coder:iterable:v1"
#define URN_STATE_BACKED "beam:coder:state_backed_iterable:v1"
#define GO "beam:version:sdk_base:go:apache/beam_go_sdk:2.77.0"

static void add_capability(Beam__Environment *environment, const char *urn) {
    environment->capabilities[environment->n_capabilities++] = (char *)urn;
}

static Beam__Environment *first_environment(void) {
    return build.components->environments[0]->value;
}

/* Start -> Make -> Group, whose output is "g". */
static void build_grouping(void) {
    build_coder("iter", URN_ITERABLE, "opaque", NULL);
    build_coder("grouped", "beam:coder:kv:v1", "opaque", "iter");
    build_step("Start", URN_IMPULSE, NULL, "a", "bytes");
    build_step("Make", URN_MAP, "a", "b", "kvo");
    build_step("Group", URN_GBK, "b", "g", "grouped");
}

static const struct plan_stage *find_stage(const char *name) {
    for (size_t i = 0; i < build.plan->stage_count; i++)
        if (strcmp(build.plan->stages[i].name, name) == 0)
            return &build.plan->stages[i];
    ck_abort_msg("no stage %s", name);
}

static const Beam__Coder *find_coder(const Fn__ProcessBundleDescriptor *message, const char *id) {
    for (size_t i = 0; i < message->n_coders; i++)
        if (strcmp(message->coders[i]->key, id) == 0)
            return message->coders[i]->value;
    ck_abort_msg("the descriptor lacks coder \"%s\"", id);
}

/* The coder of the groups' values, as the descriptor of the stage has it, must be this one: of the source port and of its PCollection. */
static void expect_values_coder(const struct plan_stage *stage, const char *urn) {
    Fn__ProcessBundleDescriptor *message = NULL;
    const Beam__Coder *coder;

    ck_assert_int_eq(PB_UNPACK(Fn__ProcessBundleDescriptor, fn__process_bundle_descriptor, stage->descriptor,
                               PB_STRINGS_STRICT, &build.arena, &message, &build.st),
                     0);
    coder = find_coder(message, stage->source.coder_id);
    ck_assert_str_eq(coder->spec->urn, "beam:coder:windowed_value:v1");
    coder = find_coder(message, coder->component_coder_ids[0]);
    ck_assert_str_eq(coder->spec->urn, "beam:coder:kv:v1");
    coder = find_coder(message, coder->component_coder_ids[1]);
    ck_assert_str_eq(coder->spec->urn, urn);
    ck_assert_uint_eq(coder->n_component_coder_ids, 1);
    find_coder(message, coder->component_coder_ids[0]);
    /* Python reads the payload as a number. */
    ck_assert_uint_eq(coder->spec->payload.len, strcmp(urn, URN_STATE_BACKED) == 0);
}

static void expect_stage(const char *name, bool takes, const char *urn) {
    const struct plan_stage *stage = find_stage(name);

    ck_assert_msg(stage->takes_state_backed_iterables == takes, "%s: %d", name, stage->takes_state_backed_iterables);
    expect_values_coder(stage, urn);
}

static void translate(void) {
    ck_assert_msg(build_dump() != NULL, "%s", status_message(&build.st));
}

START_TEST(a_harness_that_lists_the_coder_gets_it)
{
    add_capability(first_environment(), "beam:protocol:something:v1");
    add_capability(first_environment(), URN_STATE_BACKED);
    build_grouping();
    build_step("Use", URN_MAP, "g", NULL, NULL);
    translate();
    expect_stage("Use", true, URN_STATE_BACKED);
    ck_assert(!find_stage("Make")->takes_state_backed_iterables);
}
END_TEST

START_TEST(go_takes_a_token_in_a_plain_iterable)
{
    add_capability(first_environment(), GO);
    build_grouping();
    build_step("Use", URN_MAP, "g", NULL, NULL);
    translate();
    expect_stage("Use", true, URN_ITERABLE);
}
END_TEST

START_TEST(a_harness_that_says_nothing_gets_all_values)
{
    add_capability(first_environment(), "beam:version:sdk_base:cobol");
    build_grouping();
    build_step("Use", URN_MAP, "g", NULL, NULL);
    translate();
    expect_stage("Use", false, URN_ITERABLE);
}
END_TEST

START_TEST(consumers_in_different_environments_each_get_their_own)
{
    Beam__Environment *other, *plain;

    add_capability(first_environment(), URN_STATE_BACKED);
    other = build_environment("go");
    other->urn = (char *)"beam:env:process:v1";
    add_capability(other, GO);
    plain = build_environment("plain");
    plain->urn = (char *)"beam:env:docker:v1";
    build_grouping();
    build_step("Java", URN_MAP, "g", NULL, NULL);
    build_step("Gopher", URN_MAP, "g", NULL, NULL)->environment_id = (char *)"go";
    build_step("Plain", URN_MAP, "g", NULL, NULL)->environment_id = (char *)"plain";
    translate();
    expect_stage("Java", true, URN_STATE_BACKED);
    expect_stage("Gopher", true, URN_ITERABLE);
    expect_stage("Plain", false, URN_ITERABLE);
}
END_TEST

static void build_keyed(const char *name, const char *in) {
    Beam__ParDoPayload pardo = BEAM__PAR_DO_PAYLOAD__INIT;
    Beam__ParDoPayload__StateSpecsEntry entry = BEAM__PAR_DO_PAYLOAD__STATE_SPECS_ENTRY__INIT, *states[] = {&entry};
    Beam__BagStateSpec bag = BEAM__BAG_STATE_SPEC__INIT;
    Beam__StateSpec spec = BEAM__STATE_SPEC__INIT;

    bag.element_coder_id = (char *)"varint";
    spec.spec_case = BEAM__STATE_SPEC__SPEC_BAG_SPEC;
    spec.bag_spec = &bag;
    entry.key = (char *)"bag";
    entry.value = &spec;
    pardo.state_specs = states;
    pardo.n_state_specs = 1;
    build_payload(build_step(name, URN_PARDO, in, NULL, NULL), &pardo.base);
}

START_TEST(a_keyed_consumer_keeps_tokens_from_all)
{
    add_capability(first_environment(), URN_STATE_BACKED);
    build_grouping();
    build_keyed("Keyed", "g");
    build_step("Other", URN_MAP, "g", NULL, NULL)->environment_id = (char *)"env";
    translate();
    for (size_t i = 0; i < build.plan->stage_count; i++)
        ck_assert_msg(!build.plan->stages[i].takes_state_backed_iterables, "%s", build.plan->stages[i].name);
}
END_TEST

START_TEST(groups_that_are_also_a_side_input_come_in_full)
{
    Beam__PTransform *reader;

    add_capability(first_environment(), URN_STATE_BACKED);
    build_grouping();
    build_step("Use", URN_MAP, "g", NULL, NULL);
    reader = build_step("Reader", URN_PARDO, "a", NULL, NULL);
    build_in(reader, "side", "g");
    build_side_inputs(reader, "beam:side_input:iterable:v1", "side", NULL);
    translate();
    ck_assert(!find_stage("Use")->takes_state_backed_iterables);
}
END_TEST

START_TEST(a_flatten_of_groups_takes_none)
{
    add_capability(first_environment(), URN_STATE_BACKED);
    build_grouping();
    build_in(build_step("Both", URN_FLATTEN, "g", "f", "grouped"), "again", "g");
    build_step("Use", URN_MAP, "f", NULL, NULL);
    translate();
    ck_assert(!find_stage("Use")->takes_state_backed_iterables);
}
END_TEST

int main(void) {
    const TTest *const tests[] = {
        a_harness_that_lists_the_coder_gets_it,
        go_takes_a_token_in_a_plain_iterable,
        a_harness_that_says_nothing_gets_all_values,
        consumers_in_different_environments_each_get_their_own,
        a_keyed_consumer_keeps_tokens_from_all,
        groups_that_are_also_a_side_input_come_in_full,
        a_flatten_of_groups_takes_none,
    };

    return run_tests("translate_large_groups", tests, ARRAY_COUNT(tests));
}
