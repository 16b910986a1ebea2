/* Buckets that are too large, cut until they are not, in an engine of a grouping and its consumer. */
#include "tests/unit/store_fixture.h"

enum { LIMIT = 8000 };

struct bench {
    struct fixture f;
    struct disk disk;
    struct plan plan;
    struct plan_stage plans[2];
    struct plan_collection output;
    struct windowing windowing;
    unsigned zero, one;
    struct stage stages[2];
    struct group_bucket *bucket;
    uint64_t values;
};

static void bench_open(struct bench *b, bool takes_tokens) {
    struct engine *engine = &b->disk.engine;

    *b = (struct bench){.f = fixture_create(), .one = 1};
    b->windowing = (struct windowing){.fn = WINDOW_FN_GLOBAL, .timestamp_combiner = OUTPUT_TIME_LATEST};
    b->plans[0] =
        (struct plan_stage){.is_bounded = true, .kind = PLAN_GROUP_BY_KEY, .outputs = &b->zero, .output_count = 1};
    b->plans[1] = (struct plan_stage){
        .is_bounded = true, .index = 1, .kind = PLAN_EXECUTABLE, .takes_state_backed_iterables = takes_tokens};
    b->output = (struct plan_collection){.consumers = &b->one, .consumer_count = 1};
    b->plan = (struct plan){.stages = b->plans, .stage_count = 2, .collections = &b->output, .collection_count = 1};
    for (int i = 0; i < 2; i++)
        b->stages[i].plan = &b->plans[i];
    engine->plan = &b->plan;
    engine->stages = b->stages;
    engine->options = (struct engine_options){
        .account = account_create("test", NULL, 0), .extent_bytes = 1000, .max_bucket_bytes = LIMIT};
}

static void bench_close(struct bench *b) {
    rebucket_clear(&b->disk.engine, &b->stages[0]);
    input_queue_clear(&b->stages[1].queue);
    disk_write_all(&b->disk);
    ck_assert_uint_eq(b->disk.drops, b->disk.stores);
    ck_assert_uint_eq(account_used(b->disk.engine.options.account), 0);
    disk_close(&b->disk);
    account_unref(b->disk.engine.options.account);
    arena_clear(&b->f.arena);
}

/* One bucket of a partition, which was stored again and again. */
static void fill(struct bench *b, unsigned count, unsigned keys, unsigned every) {
    struct group *group = group_create(b->f.global, &b->windowing, 1, b->disk.engine.options.account);
    struct bucket_cut whole = {.fan_out = 1, .extent_bytes = 1000, .inline_bytes = 1000};

    for (unsigned i = 0; i < count; i++) {
        char key[24], value[32];
        struct buf bytes = {0};
        struct run run = {.count = 1};

        snprintf(key, sizeof(key), "key %u", i % 2 ? 0 : i % keys);
        snprintf(value, sizeof(value), "a value %u", i);
        add_kv(&bytes, 0, NULL, key, value);
        run.bytes = buf_finish(&bytes);
        group_add_run(group, &run);
        run_clear(&run);
        if (i % every == every - 1 || i == count - 1) {
            group_partition_cut(&b->disk.engine, group_take(group, 0), &whole, &b->bucket);
            disk_write_all(&b->disk);
        }
    }
    b->values = count;
    group_destroy(group);
}

/* Until the bucket is cut; returns the most bytes in memory on the way. */
static size_t finish_work(struct bench *b) {
    size_t most = 0;

    disk_write_all(&b->disk);
    while (!rebucket_is_idle(&b->stages[0])) {
        ck_assert_uint_gt(b->disk.loads.count, 0);
        disk_answer(&b->disk, 0);
        most = MAX(most, account_used(b->disk.engine.options.account));
        disk_write_all(&b->disk);
    }
    return most;
}

static size_t work(struct bench *b) {
    rebucket_push(&b->disk.engine, &b->stages[0], b->bucket);
    return finish_work(b);
}

/* The consumer's buckets: all values are there, each key in one, and they are small enough to be built. */
static void check_parts(struct bench *b, bool with_values, size_t limit) {
    struct input_queue *queue = &b->stages[1].queue;
    struct map keys = {0};
    uint64_t values = 0;

    for (size_t i = queue->head; i < queue->items.count; i++) {
        struct group_bucket *bucket = queue->items.items[i].bucket;
        struct group_partition *partition;
        struct slice bytes[200];

        ck_assert_uint_le(group_bucket_build_bytes(bucket, with_values), limit);
        ck_assert_uint_le(bucket->entries.count, ARRAY_COUNT(bytes));
        for (size_t j = 0; j < bucket->entries.count; j++)
            bytes[j] = disk_bytes(&b->disk, bucket->entries.items[j].extent->id);
        partition = group_bucket_build(bucket, bytes, bucket->entries.count, b->disk.engine.options.account);
        for (size_t j = 0; j < partition->entry_count; j++) {
            const struct group_entry *entry = &partition->entries[j];

            ck_assert_ptr_null(map_set(&keys, entry->key, entry->key_size, &keys));
            values += entry->count;
        }
        group_partition_unref(partition);
    }
    ck_assert_uint_eq(values, b->values);
    map_clear(&keys, NULL);
}

START_TEST(many_keys_are_cut_until_the_parts_are_small)
{
    struct bench b;

    bench_open(&b, true);
    fill(&b, 6000, 1000, 300);
    ck_assert(rebucket_wants(&b.disk.engine, &b.stages[0], b.bucket));
    ck_assert_uint_le(work(&b), 3 * LIMIT);
    ck_assert_uint_gt(b.stages[1].queue.items.count, 10);
    check_parts(&b, false, LIMIT);
    bench_close(&b);
}
END_TEST

START_TEST(one_heavy_key_is_gathered)
{
    struct bench b;

    bench_open(&b, true);
    fill(&b, 6000, 1, 20);
    ck_assert_uint_eq(b.bucket->value_bytes, 0);
    ck_assert_uint_le(work(&b), 3 * LIMIT);
    check_parts(&b, false, LIMIT);
    ck_assert_uint_eq(b.stages[1].queue.items.count, 1);
    bench_close(&b);
}
END_TEST

/* A consumer that wants the values in line gets what is left to be cut, however large: this ends. */
START_TEST(what_cannot_be_made_smaller_is_handed_on)
{
    struct bench b;

    bench_open(&b, false);
    fill(&b, 3000, 50, 100);
    work(&b);
    ck_assert_uint_gt(b.stages[1].queue.items.count, 3);
    check_parts(&b, true, 80000);
    bench_close(&b);
}
END_TEST

/* A partition that was stored when it was small, and again when it was not. */
START_TEST(what_is_loose_joins_its_partitions_buckets)
{
    struct group *group;
    struct bench b;

    bench_open(&b, true);
    group = group_create(b.f.global, &b.windowing, 1, b.disk.engine.options.account);
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < (round == 1 ? 600 : 30); i++, b.values++) {
            CLEANUP(freep) char *key = xasprintf("key %u", (unsigned)(i * 31 % 400));
            struct buf bytes = {0};
            struct run run = {.count = 1};

            add_kv(&bytes, 0, NULL, key, "a value");
            run.bytes = buf_finish(&bytes);
            group_add_run(group, &run);
            run_clear(&run);
        }
        if (round < 2)
            group_spill_partition(&b.disk.engine, group, 0, 1000);
        disk_write_all(&b.disk);
        ck_assert(group->loose != NULL && group->loose[0] != NULL);
        ck_assert_int_eq(group_partition_has_buckets(group, 0), round > 0);
    }
    b.stages[0].group = group;
    b.bucket = group_take_loose(&b.disk.engine, group, 0, 1000);
    disk_write_all(&b.disk);
    ck_assert_ptr_null(group->partitions[0]);
    rebucket_push_into(&b.disk.engine, &b.stages[0], b.bucket, group->buckets);
    ck_assert(!group_partition_has_buckets(group, 0));
    finish_work(&b);
    check_parts(&b, false, LIMIT);
    group_destroy(group);
    bench_close(&b);
}
END_TEST

START_TEST(a_job_that_ends_meanwhile_leaves_nothing)
{
    struct bench b;

    bench_open(&b, true);
    fill(&b, 6000, 1000, 300);
    rebucket_push(&b.disk.engine, &b.stages[0], b.bucket);
    disk_write_all(&b.disk);
    for (unsigned i = 0; i < 5; i++) {
        disk_answer(&b.disk, 0);
        disk_write_all(&b.disk);
    }
    bench_close(&b);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("rebucket");
    TCase *tc = tcase_create("rebucket");

    tcase_add_test(tc, many_keys_are_cut_until_the_parts_are_small);
    tcase_add_test(tc, one_heavy_key_is_gathered);
    tcase_add_test(tc, what_cannot_be_made_smaller_is_handed_on);
    tcase_add_test(tc, what_is_loose_joins_its_partitions_buckets);
    tcase_add_test(tc, a_job_that_ends_meanwhile_leaves_nothing);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
