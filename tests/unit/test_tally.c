/* engine/tally: whose report counts where, and under which name. */
#include "engine/tally.h"

#include "tests/unit/fixtures.h"

#define USER "beam:metric:user:sum_int64:v1"
#define COUNT "beam:metric:element_count:v1"
#define SIZES "beam:metric:sampled_byte_size:v1"
#define WORK "beam:metric:ptransform_progress:remaining:v1"
#define SUM "beam:metrics:sum_int64:v1"
#define PROGRESS "beam:metrics:progress:v1"

/* [0: GroupByKey] --> grouped --> [1: SDK] --> words --> [2: SDK]
 *                         \-----------------------------^ reads it too, after stage 1 */
struct scene {
    struct plan plan;
    struct plan_stage stages[4];
    struct plan_collection collections[3];
    struct plan_port sinks[2];
    struct plan_transform_name names[3];
    const char *made[1];
    unsigned consumers[2];
    struct tally tally;
};

static void scene_open(struct scene *s) {
    memset(s, 0, sizeof(*s));
    s->consumers[0] = 1;
    s->consumers[1] = 2;
    s->collections[0] = (struct plan_collection){
        .id = "grouped", .producer = 0, .consumers = s->consumers, .consumer_count = ARRAY_COUNT(s->consumers)};
    s->collections[1] =
        (struct plan_collection){.id = "words", .producer = 1, .consumers = &s->consumers[1], .consumer_count = 1};
    s->collections[2] = (struct plan_collection){.id = "pardo/Split.out", .producer = 1};
    s->sinks[0] = (struct plan_port){.transform_id = "s1-out0", .collection = 1};
    s->sinks[1] = (struct plan_port){.transform_id = "s1-out1", .collection = 2};
    s->stages[0] = (struct plan_stage){.index = 0, .kind = PLAN_GROUP_BY_KEY};
    s->stages[1] = (struct plan_stage){.index = 1,
                                       .kind = PLAN_EXECUTABLE,
                                       .source = {.transform_id = "s1-in", .collection = 0},
                                       .sinks = s->sinks,
                                       .sink_count = 2};
    s->stages[2] =
        (struct plan_stage){.index = 2, .kind = PLAN_EXECUTABLE, .source = {.transform_id = "s2-in", .collection = 0}};
    s->stages[3] =
        (struct plan_stage){.index = 3, .kind = PLAN_EXECUTABLE, .source = {.transform_id = "s3-in", .collection = 1}};
    s->names[0] = (struct plan_transform_name){"pardo", "Format/Words"};
    s->names[1] = (struct plan_transform_name){"pardo/Split", "Format/Words"};
    s->made[0] = "pardo/Split.out";
    s->plan = (struct plan){.stages = s->stages,
                            .stage_count = ARRAY_COUNT(s->stages),
                            .collections = s->collections,
                            .collection_count = ARRAY_COUNT(s->collections),
                            .names = s->names,
                            .name_count = 2,
                            .made_collections = s->made,
                            .made_collection_count = 1};
    tally_init(&s->tally, &s->plan);
}

static struct metric make(const char *urn, const char *type, const char *key, const char *value, int64_t number) {
    const char *const labels[][2] = {{key, value}};
    struct metric metric = {.identity = metric_identity(urn, type, labels, 1)};

    if (strcmp(type, PROGRESS) == 0)
        metric.payload = slice_of_static("\0\0\0\1\x40\0\0\0\0\0\0\0", 12);
    else
        metric.payload = metric_encode_int64(number);
    return metric;
}

/* A commit of `stage` with these metrics; each of its sinks got 10 elements. */
static void commit(struct scene *s, unsigned stage, size_t count, const struct metric *metrics) {
    struct bundle_commit commit = {.stage = stage, .output_count = s->stages[stage].sink_count};

    commit.outputs = xcalloc(commit.output_count + 1, sizeof(*commit.outputs));
    commit.written = xcalloc(commit.output_count + 1, sizeof(*commit.written));
    for (size_t i = 0; i < commit.output_count; i++)
        commit.written[i] = 10;
    for (size_t i = 0; i < count; i++)
        vec_push(&commit.metrics, metrics[i]);
    tally_commit(&s->tally, &commit);
    bundle_commit_clear(&commit);
}

static void expect(const struct metric_table *table, const char *urn, const char *key, const char *value,
                   int64_t number) {
    const char *const labels[][2] = {{key, value}};
    struct slice identity = metric_identity(urn, SUM, labels, 1);
    const struct slice *payload = map_get(&table->by_identity, identity.data, identity.size);
    int64_t found = INT64_MIN;

    if (payload)
        ck_assert(metric_decode_int64(*payload, &found));
    ck_assert_msg(found == number, "%s of %s is %lld, not %lld", urn, value, (long long)found, (long long)number);
    slice_unref(&identity);
}

static void expect_none(const struct metric_table *table, const char *urn, const char *key, const char *value) {
    expect(table, urn, key, value, INT64_MIN);
}

static void scene_close(struct scene *s, struct metric_table *tables) {
    metric_table_clear(&tables[0]);
    metric_table_clear(&tables[1]);
    tally_finish(&s->tally);
}

START_TEST(steps_have_the_submitted_names_and_what_one_was_made_into_is_merged)
{
    struct scene s;
    struct metric_table tables[2];

    scene_open(&s);
    commit(&s, 1, 4,
           (struct metric[]){make(USER, SUM, "PTRANSFORM", "pardo", -3),
                             make(USER, SUM, "PTRANSFORM", "pardo/Split", 10),
                             make(USER, SUM, "PTRANSFORM", "s1-in", 5), make(USER, SUM, "PTRANSFORM", "unknown", 7)});
    tally_copy(&s.tally, &tables[0], &tables[1]);
    expect(&tables[1], USER, "PTRANSFORM", "Format/Words", 7);
    expect(&tables[1], USER, "PTRANSFORM", "unknown", 7);
    expect_none(&tables[1], USER, "PTRANSFORM", "pardo");
    expect_none(&tables[1], USER, "PTRANSFORM", "s1-in");
    scene_close(&s, tables);
}
END_TEST

START_TEST(a_collection_is_counted_where_it_is_produced_and_not_where_it_is_read)
{
    struct scene s;
    struct metric_table tables[2];

    scene_open(&s);
    tally_elements(&s.tally, 0, 4);
    commit(&s, 1, 3,
           (struct metric[]){make(COUNT, SUM, "PCOLLECTION", "grouped", 4),
                             make(COUNT, SUM, "PCOLLECTION", "words", 12),
                             make(COUNT, SUM, "PCOLLECTION", "inner", 5)});
    commit(&s, 2, 1, (struct metric[]){make(COUNT, SUM, "PCOLLECTION", "grouped", 4)});
    commit(&s, 3, 1, (struct metric[]){make(COUNT, SUM, "PCOLLECTION", "words", 12)});
    tally_copy(&s.tally, &tables[0], &tables[1]);
    for (int i = 0; i < 2; i++) {
        expect(&tables[i], COUNT, "PCOLLECTION", "grouped", 4); /* by the runner */
        expect(&tables[i], COUNT, "PCOLLECTION", "words", 12);  /* by the harness, though 10 were written */
        expect(&tables[i], COUNT, "PCOLLECTION", "inner", 5);
        expect_none(&tables[i], COUNT, "PCOLLECTION", "pardo/Split.out");
    }
    scene_close(&s, tables);
}
END_TEST

START_TEST(what_a_harness_does_not_count_is_counted_as_it_was_written)
{
    struct scene s;
    struct metric_table tables[2];

    scene_open(&s);
    commit(&s, 1, 0, NULL);
    commit(&s, 1, 1, (struct metric[]){make(COUNT, SUM, "PCOLLECTION", "words", 9)});
    tally_copy(&s.tally, &tables[0], &tables[1]);
    expect(&tables[1], COUNT, "PCOLLECTION", "words", 19);
    scene_close(&s, tables);
}
END_TEST

START_TEST(sizes_of_what_the_runner_makes_come_from_its_first_reader)
{
    struct scene s;
    struct metric_table tables[2];

    scene_open(&s);
    commit(&s, 1, 2,
           (struct metric[]){make(SIZES, SUM, "PCOLLECTION", "grouped", 100),
                             make(SIZES, SUM, "PCOLLECTION", "words", 50)});
    commit(&s, 2, 1, (struct metric[]){make(SIZES, SUM, "PCOLLECTION", "grouped", 1)});
    commit(&s, 3, 1, (struct metric[]){make(SIZES, SUM, "PCOLLECTION", "words", 1)});
    tally_copy(&s.tally, &tables[0], &tables[1]);
    expect(&tables[1], SIZES, "PCOLLECTION", "grouped", 100);
    expect(&tables[1], SIZES, "PCOLLECTION", "words", 50);
    scene_close(&s, tables);
}
END_TEST

static size_t count_of_type(const struct metric_table *table, const char *wanted) {
    size_t count = 0, labels;

    map_foreach (entry, &table->by_identity) {
        const char *type;

        metric_identity_parse(slice_of_static(entry->key, entry->key_size), &type, NULL, 0, &labels);
        count += strcmp(type, wanted) == 0;
    }
    return count;
}

START_TEST(a_failed_attempt_was_attempted_and_remaining_work_is_only_of_what_runs)
{
    struct scene s;
    struct metric_table tables[2];
    struct metric reported[] = {make(USER, SUM, "PTRANSFORM", "pardo", 5),
                                make(WORK, PROGRESS, "PTRANSFORM", "pardo", 0)};
    struct bundle_response report = {.metrics = reported, .metric_count = 2};

    scene_open(&s);
    tally_fail(&s.tally, 1, &report);
    tally_fail(&s.tally, 1, NULL);
    commit(
        &s, 1, 2,
        (struct metric[]){make(USER, SUM, "PTRANSFORM", "pardo", 6), make(WORK, PROGRESS, "PTRANSFORM", "pardo", 0)});
    tally_copy(&s.tally, &tables[0], &tables[1]);
    expect(&tables[0], USER, "PTRANSFORM", "Format/Words", 11);
    expect(&tables[1], USER, "PTRANSFORM", "Format/Words", 6);
    ck_assert_uint_eq(count_of_type(&tables[0], PROGRESS), 0);
    tally_add_running(&s.tally, 1, &report, &tables[0]);
    tally_add_running(&s.tally, 1, NULL, &tables[0]);
    expect(&tables[0], USER, "PTRANSFORM", "Format/Words", 16);
    ck_assert_uint_eq(count_of_type(&tables[0], PROGRESS), 1);
    for (int i = 0; i < 2; i++) {
        slice_unref(&reported[i].identity);
        slice_unref(&reported[i].payload);
    }
    scene_close(&s, tables);
}
END_TEST

/* As the SDKs ask for it. */
static int64_t counter(const struct metric_table *table, const char *step, const char *space, const char *name) {
    const char *const labels[][2] = {{"PTRANSFORM", step}, {"NAMESPACE", space}, {"NAME", name}};
    struct slice identity = metric_identity(USER, SUM, labels, 3);
    const struct slice *payload = map_get(&table->by_identity, identity.data, identity.size);
    int64_t found = -1;

    if (payload)
        ck_assert(metric_decode_int64(*payload, &found));
    slice_unref(&identity);
    return found;
}

#define GROUPING "org.apache.beam.runners.core.ReduceFnRunner"
#define STATEFUL "org.apache.beam.runners.core.StatefulDoFnRunner"

START_TEST(what_a_stage_dropped_is_a_counter_of_its_step_unless_it_is_nothing)
{
    struct plan_user_state state = {.transform_id = "pardo"};
    struct scene s;
    struct metric_table tables[2];

    scene_open(&s);
    s.stages[0].name = "Group";
    s.stages[1].user_states = &state;
    s.stages[1].user_state_count = 1;
    tally_dropped(&s.tally, 0, (struct tally_dropped){.late = 1});
    tally_dropped(&s.tally, 0, (struct tally_dropped){.late = 3}); /* in all */
    tally_dropped(&s.tally, 1, (struct tally_dropped){.late = 7});
    tally_copy(&s.tally, &tables[0], &tables[1]);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(counter(&tables[i], "Group", GROUPING, "DroppedDueToLateness"), 3);
        ck_assert_int_eq(counter(&tables[i], "Group", GROUPING, "DroppedDueToClosedWindow"), -1);
        ck_assert_int_eq(counter(&tables[i], "Format/Words", STATEFUL, "StatefulParDoDropped"), 7);
        metric_table_clear(&tables[i]);
    }
    tally_dropped(&s.tally, 0, (struct tally_dropped){.late = 3, .closed = 2});
    tally_copy(&s.tally, &tables[0], &tables[1]);
    ck_assert_int_eq(counter(&tables[1], "Group", GROUPING, "DroppedDueToClosedWindow"), 2);
    scene_close(&s, tables);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("tally");
    TCase *tc = tcase_create("tally");

    tcase_add_test(tc, steps_have_the_submitted_names_and_what_one_was_made_into_is_merged);
    tcase_add_test(tc, a_collection_is_counted_where_it_is_produced_and_not_where_it_is_read);
    tcase_add_test(tc, what_a_harness_does_not_count_is_counted_as_it_was_written);
    tcase_add_test(tc, sizes_of_what_the_runner_makes_come_from_its_first_reader);
    tcase_add_test(tc, a_failed_attempt_was_attempted_and_remaining_work_is_only_of_what_runs);
    tcase_add_test(tc, what_a_stage_dropped_is_a_counter_of_its_step_unless_it_is_nothing);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
