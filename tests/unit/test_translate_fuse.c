#include <string.h>
#include <time.h>

#include "pipeline_builder.h"

#define ITERABLE "beam:side_input:iterable:v1"

static void stateful_payload(Beam__PTransform *transform) {
    Beam__ParDoPayload pardo = BEAM__PAR_DO_PAYLOAD__INIT;
    Beam__ParDoPayload__StateSpecsEntry entry = BEAM__PAR_DO_PAYLOAD__STATE_SPECS_ENTRY__INIT, *entries[] = {&entry};
    Beam__StateSpec spec = BEAM__STATE_SPEC__INIT;
    Beam__BagStateSpec bag = BEAM__BAG_STATE_SPEC__INIT;

    bag.element_coder_id = (char *)"varint";
    spec.spec_case = BEAM__STATE_SPEC__SPEC_BAG_SPEC;
    spec.bag_spec = &bag;
    entry.key = (char *)"bag";
    entry.value = &spec;
    pardo.state_specs = entries;
    pardo.n_state_specs = 1;
    build_payload(transform, &pardo.base);
}

/* The text of the plan's lines that begin with "stage", one a line, without their numbers. */
static void expect_stages(const char *expected) {
    const char *dump = build_dump();
    struct buf stages = {0};

    ck_assert_msg(dump != NULL, "%s", status_message(&build.st));
    for (const char *line = dump; *line; line = strchr(line, '\n') + 1)
        if (strncmp(line, "stage ", 6) == 0)
            buf_add(&stages, strchr(line + 6, ' ') + 1, (size_t)(strchr(line, '\n') - strchr(line + 6, ' ')));
    buf_add_u8(&stages, 0);
    ck_assert_str_eq((const char *)buf_data(&stages), expected);
    buf_clear(&stages);
}

START_TEST(a_chain_is_one_stage)
{
    build_step("Start", URN_IMPULSE, NULL, "a", "bytes");
    build_step("One", URN_MAP, "a", "b", "opaque");
    build_step("Two", URN_MAP, "b", "c", "opaque");
    build_step("Three", URN_MAP, "c", "d", "opaque");
    expect_stages("impulse: Start\nexecutable env 0: One + Two + Three\n");
}
END_TEST

START_TEST(readers_of_one_source_share_a_stage)
{
    build_step("Start", URN_IMPULSE, NULL, "a", "bytes");
    build_step("One", URN_MAP, "a", "b", "opaque");
    build_step("Two", URN_MAP, "a", "c", "opaque");
    expect_stages("impulse: Start\nexecutable env 0: One + Two\n");
    ck_assert_uint_eq(build.plan->collections[0].consumer_count, 1);
}
END_TEST

START_TEST(environments_are_not_mixed)
{
    build_environment("other")->urn = (char *)"beam:env:process:v1";
    build_step("Start", URN_IMPULSE, NULL, "a", "bytes");
    build_step("One", URN_MAP, "a", "b", "opaque");
    build_step("Two", URN_MAP, "b", "c", "opaque")->environment_id = (char *)"other";
    build_step("Three", URN_MAP, "c", "d", "opaque");
    expect_stages("impulse: Start\nexecutable env 0: One\nexecutable env 1: Two\nexecutable env 0: Three\n");
}
END_TEST

START_TEST(environments_that_differ_in_nothing_that_counts_are_one)
{
    Beam__Environment *other = build_environment("other"), *first = build.components->environments[0]->value;
    Beam__ArtifactInformation *jar = arena_new(&build.arena, Beam__ArtifactInformation);
    Beam__ArtifactInformation *zip = arena_new(&build.arena, Beam__ArtifactInformation);

    beam__artifact_information__init(jar);
    beam__artifact_information__init(zip);
    jar->type_urn = (char *)"jar";
    zip->type_urn = (char *)"zip";
    first->capabilities[first->n_capabilities++] = other->capabilities[1] = (char *)"x";
    first->capabilities[first->n_capabilities++] = other->capabilities[0] = (char *)"y";
    other->n_capabilities = 2;
    first->dependencies[first->n_dependencies++] = other->dependencies[1] = jar;
    first->dependencies[first->n_dependencies++] = other->dependencies[0] = zip;
    other->n_dependencies = 2;
    build_step("Start", URN_IMPULSE, NULL, "a", "bytes");
    build_step("One", URN_MAP, "a", "b", "opaque");
    build_step("Two", URN_MAP, "b", "c", "opaque")->environment_id = (char *)"other";
    expect_stages("impulse: Start\nexecutable env 0: One + Two\n");
    ck_assert_uint_eq(build.plan->environment_count, 1);
    other->n_capabilities = 1;
    expect_stages("impulse: Start\nexecutable env 0: One\nexecutable env 1: Two\n");
}
END_TEST

START_TEST(environments_with_other_hints_about_size_are_not_one)
{
    static Beam__Environment__ResourceHintsEntry hint = BEAM__ENVIRONMENT__RESOURCE_HINTS_ENTRY__INIT, *hints = &hint;
    Beam__Environment *other = build_environment("other");

    hint.key = (char *)"beam:resources:min_ram_bytes:v1";
    hint.value = (ProtobufCBinaryData){.len = 4, .data = (uint8_t *)"1024"};
    other->resource_hints = &hints;
    other->n_resource_hints = 1;
    build_step("Start", URN_IMPULSE, NULL, "a", "bytes");
    build_step("One", URN_MAP, "a", "b", "opaque");
    build_step("Two", URN_MAP, "b", "c", "opaque")->environment_id = (char *)"other";
    expect_stages("impulse: Start\nexecutable env 0: One\nexecutable env 1: Two\n");
    hint.key = (char *)"beam:resources:accelerator:v1"; /* nothing that this runner can give */
    expect_stages("impulse: Start\nexecutable env 0: One + Two\n");
}
END_TEST

START_TEST(an_output_read_inside_and_outside_goes_both_ways)
{
    build_step("Start", URN_IMPULSE, NULL, "a", "bytes");
    build_step("One", URN_MAP, "a", "b", "kv");
    build_step("Inside", URN_MAP, "b", NULL, NULL);
    build_step("Group", URN_GBK, "b", "g", "bytes");
    build_step("After", URN_MAP, "g", NULL, NULL);
    expect_stages("impulse: Start\nexecutable env 0: One + Inside\ngroup_by_key: Group\nexecutable env 0: After\n");
    ck_assert_uint_eq(build.plan->stages[1].sink_count, 1);
    ck_assert_str_eq(build.plan->stages[1].sinks[0].producer_transform_id, "t-One");
    ck_assert_str_eq(build.plan->stages[1].sinks[0].producer_output_name, "out");
    ck_assert_str_ne(build.plan->stages[1].sinks[0].transform_id, build.plan->stages[1].source.transform_id);
}
END_TEST

START_TEST(state_starts_a_stage)
{
    build_step("Start", URN_IMPULSE, NULL, "a", "bytes");
    build_step("Make", URN_MAP, "a", "b", "kv");
    stateful_payload(build_step("Count", URN_PARDO, "b", "c", "kv"));
    build_step("Behind", URN_MAP, "c", "d", "kv");
    stateful_payload(build_step("Again", URN_PARDO, "d", NULL, NULL));
    build_step("Beside", URN_MAP, "b", NULL, NULL);
    expect_stages("impulse: Start\n"
                  "executable env 0: Make + Beside\n"
                  "executable keyed env 0: Count + Behind\n"
                  "executable keyed env 0: Again\n");
}
END_TEST

START_TEST(state_needs_a_kv)
{
    build_step("Start", URN_IMPULSE, NULL, "a", "bytes");
    stateful_payload(build_step("Count", URN_PARDO, "a", NULL, NULL));
    build_expect_error("transform \"Count\"", "must be encoded as KV");
}
END_TEST

START_TEST(stable_input_is_not_fused)
{
    Beam__ParDoPayload pardo = BEAM__PAR_DO_PAYLOAD__INIT;

    pardo.requires_stable_input = true;
    build_step("Start", URN_IMPULSE, NULL, "a", "bytes");
    build_step("Random", URN_MAP, "a", "b", "kv");
    build_payload(build_step("Write", URN_PARDO, "b", NULL, NULL), &pardo.base);
    expect_stages("impulse: Start\nexecutable env 0: Random\nexecutable env 0: Write\n");
    ck_assert(build.plan->stages[2].requires_stable_input);
}
END_TEST

/* Start -> One --b--> ... and another branch Side --v--> that Use reads beside b. */
static void with_side_input(const char *side_of) {
    Beam__PTransform *use;

    build_step("Start", URN_IMPULSE, NULL, "a", "bytes");
    build_step("Start2", URN_IMPULSE, NULL, "a2", "bytes");
    build_step("One", URN_MAP, "a", "b", "kv");
    build_step("Side", URN_MAP, side_of, "v", "kv");
    use = build_step("Use", URN_PARDO, "b", NULL, NULL);
    build_in(use, "side", "v");
    build_side_inputs(use, ITERABLE, "side", NULL);
}

START_TEST(a_reader_of_a_foreign_view_is_fused)
{
    with_side_input("a2");
    expect_stages("impulse: Start\nimpulse: Start2\nexecutable env 0: Side\nexecutable env 0: One + Use\n");
    ck_assert_uint_eq(build.plan->stages[3].side_input_count, 1);
    ck_assert_str_eq(build.plan->stages[3].side_inputs[0].transform_id, "t-Use");
    ck_assert_str_eq(build.plan->stages[3].side_inputs[0].local_name, "side");
}
END_TEST

START_TEST(a_stage_does_not_wait_for_itself)
{
    with_side_input("a");
    expect_stages("impulse: Start\nexecutable env 0: One + Side\nexecutable env 0: Use\n"); /* Start2 is pruned */
}
END_TEST

START_TEST(a_stage_does_not_wait_for_what_comes_behind_it)
{
    Beam__PTransform *use;

    build_step("Start", URN_IMPULSE, NULL, "a", "bytes");
    build_step("One", URN_MAP, "a", "b", "kv");
    build_step("Group", URN_GBK, "b", "g", "bytes");
    build_step("View", URN_MAP, "g", "v", "kv");
    use = build_step("Use", URN_PARDO, "b", NULL, NULL);
    build_in(use, "side", "v");
    build_side_inputs(use, ITERABLE, "side", NULL);
    expect_stages("impulse: Start\nexecutable env 0: One\ngroup_by_key: Group\nexecutable env 0: View\n"
                  "executable env 0: Use\n");
}
END_TEST

/* Two branches that each read a view of the other: joining both ways would make a circle of stages. */
START_TEST(crossed_views_do_not_close_a_circle)
{
    Beam__PTransform *use;

    build_step("S1", URN_IMPULSE, NULL, "a1", "bytes");
    build_step("S2", URN_IMPULSE, NULL, "a2", "bytes");
    build_step("M1", URN_MAP, "a1", "b1", "kv");
    build_step("M2", URN_MAP, "a2", "b2", "kv");
    use = build_step("U1", URN_PARDO, "b1", NULL, NULL);
    build_in(use, "side", "b2");
    build_side_inputs(use, ITERABLE, "side", NULL);
    use = build_step("U2", URN_PARDO, "b2", NULL, NULL);
    build_in(use, "side", "b1");
    build_side_inputs(use, ITERABLE, "side", NULL);
    expect_stages("impulse: S1\nimpulse: S2\nexecutable env 0: M2\nexecutable env 0: M1 + U1\nexecutable env 0: U2\n");
}
END_TEST

START_TEST(in_a_stream_a_reader_of_a_view_stands_alone)
{
    with_side_input("a2");
    build.components->pcollections[2]->value->is_bounded = BEAM__IS_BOUNDED__ENUM__UNBOUNDED; /* b */
    expect_stages("impulse: Start\nimpulse: Start2\nexecutable unbounded env 0: One\nexecutable env 0: Side\n"
                  "executable unbounded env 0: Use\n");
}
END_TEST

START_TEST(a_view_of_the_own_input_is_read)
{
    Beam__PTransform *use;

    build_step("Start", URN_IMPULSE, NULL, "a", "bytes");
    use = build_step("Use", URN_PARDO, "a", NULL, NULL);
    build_in(use, "side", "a");
    build_side_inputs(use, ITERABLE, "side", NULL);
    expect_stages("impulse: Start\nexecutable env 0: Use\n");
    ck_assert_uint_eq(build.plan->collections[0].consumer_count, 1);
    ck_assert_uint_eq(build.plan->collections[0].side_consumer_count, 1);
}
END_TEST

START_TEST(large_pipelines_take_little_time)
{
    clock_t start;

    build_step("Start", URN_IMPULSE, NULL, "c0", "bytes");
    for (int i = 0; i < 1300; i++) {
        char *in = arena_printf(&build.arena, "c%d", i), *out = arena_printf(&build.arena, "c%d", i + 1);
        char *kv = arena_printf(&build.arena, "k%d", i), *grouped = arena_printf(&build.arena, "g%d", i);

        build_step(arena_printf(&build.arena, "Key%d", i), URN_MAP, in, kv, "kv");
        build_step(arena_printf(&build.arena, "Group%d", i), URN_GBK, kv, grouped, "bytes");
        build_step(arena_printf(&build.arena, "Map%d", i), URN_MAP, grouped, out, "bytes");
    }
    start = clock();
    ck_assert_msg(build_dump() != NULL, "%s", status_message(&build.st));
    ck_assert_uint_eq(build.plan->stage_count, 1 + 1300 * 2 + 1);
    ck_assert_int_lt(clock() - start, 2 * CLOCKS_PER_SEC); /* 20 ms when optimised */
}
END_TEST

int main(void) {
    const TTest *const tests[] = {
        a_chain_is_one_stage,
        readers_of_one_source_share_a_stage,
        environments_are_not_mixed,
        environments_that_differ_in_nothing_that_counts_are_one,
        environments_with_other_hints_about_size_are_not_one,
        an_output_read_inside_and_outside_goes_both_ways,
        state_starts_a_stage,
        state_needs_a_kv,
        stable_input_is_not_fused,
        a_reader_of_a_foreign_view_is_fused,
        a_stage_does_not_wait_for_itself,
        a_stage_does_not_wait_for_what_comes_behind_it,
        crossed_views_do_not_close_a_circle,
        in_a_stream_a_reader_of_a_view_stands_alone,
        a_view_of_the_own_input_is_read,
        large_pipelines_take_little_time,
    };

    return run_tests("translate_fuse", tests, ARRAY_COUNT(tests));
}
