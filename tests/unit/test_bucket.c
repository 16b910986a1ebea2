/* Partitions stored as buckets and built again, against the same data grouped in memory alone. */
#include "engine/bucket.h"

#include "tests/unit/store_fixture.h"

enum { PARTITIONS = 3 };

struct bench {
    struct fixture f;
    struct disk disk;
    struct windowing windowing;
    struct group *in_memory, *stored;
    struct buf scratch;
};

static void bench_open(struct bench *b, const struct windowing *windowing, bool has_windows) {
    *b = (struct bench){.f = fixture_create(), .windowing = *windowing};
    b->disk.engine.options.account = account_create("test", NULL, 0);
    b->in_memory = group_create(has_windows ? b->f.interval : b->f.global, &b->windowing, PARTITIONS,
                                b->disk.engine.options.account);
    b->stored = group_create(has_windows ? b->f.interval : b->f.global, &b->windowing, PARTITIONS,
                             b->disk.engine.options.account);
}

static void bench_close(struct bench *b) {
    group_destroy(b->in_memory);
    group_destroy(b->stored);
    disk_write_all(&b->disk);
    ck_assert_uint_eq(b->disk.drops, b->disk.stores);
    ck_assert_uint_eq(b->disk.engine.store.extents.count, 0);
    ck_assert_uint_eq(account_used(b->disk.engine.options.account), 0);
    disk_close(&b->disk);
    account_unref(b->disk.engine.options.account);
    arena_clear(&b->f.arena);
}

static void add_bytes(struct group *group, struct slice bytes) {
    struct run run = {.bytes = bytes, .count = 1};

    group_add_run(group, &run);
}

/* To both groups; `end` 0: in the global window. */
static void add(struct bench *b, event_time timestamp, event_time start, event_time end, const char *key,
                const char *value) {
    struct buf window = {0}, bytes = {0};
    struct slice slice;

    if (end)
        interval_window_encode(&window, start, end);
    add_kv(&bytes, timestamp, end ? &window : NULL, key, value);
    slice = buf_finish(&bytes);
    add_bytes(b->in_memory, slice);
    add_bytes(b->stored, slice);
    slice_unref(&slice);
    buf_clear(&window);
}

static void store(struct bench *b, size_t extent_bytes) {
    for (unsigned i = 0; i < PARTITIONS; i++)
        group_store_partition(&b->disk.engine, b->stored, i, extent_bytes);
    disk_work(&b->disk);
}

/* ---- what is in a group, as lines ---- */

typedef VEC(char *) lines;

/* The values of a chunk, wherever they are. */
static void add_values(struct bench *b, const struct group_chunk *chunk, struct buf *line) {
    const uint8_t *bytes = group_chunk_values(chunk);
    struct cursor at, value;

    if (!bytes)
        bytes = disk_bytes(&b->disk, group_chunk_extent(chunk)->id).data;
    for (at = cursor_of(bytes, chunk->size); cursor_left(&at);) {
        if (!cursor_prefixed(&at, &value)) /* a chunk begins and ends at a value */
            ck_abort_msg("a chunk that does not end at a value");
        buf_add_u8(line, ',');
        buf_add(line, value.at, cursor_left(&value));
    }
}

static void add_lines(struct bench *b, const struct group_partition *partition, lines *out) {
    for (size_t i = 0; i < partition->entry_count; i++) {
        const struct group_entry *entry = &partition->entries[i];
        CLEANUP(freep) char *head = NULL;
        struct buf line = {0};
        size_t bytes = 0;

        for (unsigned j = 0; j < entry->window_size; j++) {
            char hex[3];

            snprintf(hex, sizeof(hex), "%02x", (entry->key - entry->window_size)[j]);
            buf_add(&line, hex, 2);
        }
        head =
            xasprintf(" %.*s @%lld n%llu b%llu", (int)entry->key_size - 1, entry->key + 1, (long long)entry->timestamp,
                      (unsigned long long)entry->count, (unsigned long long)entry->value_bytes);
        buf_add(&line, head, strlen(head));
        for (const struct group_chunk *chunk = entry->first; chunk; chunk = chunk->next) {
            add_values(b, chunk, &line);
            bytes += chunk->size;
        }
        ck_assert_uint_eq(bytes, entry->value_bytes);
        vec_push(out, xmemdup0(buf_data(&line), line.size));
        buf_clear(&line);
    }
}

static int compare(const void *left, const void *right) {
    return strcmp(*(char *const *)left, *(char *const *)right);
}

static char *join(lines *all) {
    struct buf text = {0};
    char *string;

    if (all->count)
        qsort(all->items, all->count, sizeof(*all->items), compare);
    vec_foreach (line, all) {
        buf_add(&text, *line, strlen(*line));
        buf_add_u8(&text, '\n');
        free(*line);
    }
    vec_free(all);
    string = xmemdup0(buf_data(&text), text.size);
    buf_clear(&text);
    return string;
}

static struct group_partition *build(struct bench *b, struct group_bucket *bucket, bool with_values) {
    size_t count = bucket->entries.count + (with_values ? bucket->values.count : 0);
    struct slice *bytes = xcalloc(count, sizeof(*bytes));
    struct group_partition *partition;

    for (size_t i = 0; i < count; i++) {
        const struct extent *extent = i < bucket->entries.count ? bucket->entries.items[i].extent
                                                                : bucket->values.items[i - bucket->entries.count];

        bytes[i] = disk_bytes(&b->disk, extent->id);
    }
    partition = group_bucket_build(bucket, bytes, count, b->disk.engine.options.account);
    free(bytes);
    ck_assert_uint_eq(bucket->built_count, partition->entry_count);
    ck_assert_uint_le(partition->entry_count, bucket->records);
    if (b->windowing.needs_merge)
        group_merge_windows(partition);
    return partition;
}

static char *text_of_buckets(struct bench *b, bool with_values) {
    lines all = {0};

    for (unsigned i = 0; b->stored->buckets && i < PARTITIONS * GROUP_BUCKETS; i++) {
        struct group_partition *partition;

        if (!b->stored->buckets[i])
            continue;
        partition = build(b, b->stored->buckets[i], with_values);
        add_lines(b, partition, &all);
        group_partition_unref(partition);
    }
    return join(&all);
}

static char *text_of_memory(struct bench *b) {
    lines all = {0};

    for (unsigned i = 0; i < PARTITIONS; i++) {
        struct group_partition *partition = group_take(b->in_memory, i);

        if (partition)
            add_lines(b, partition, &all);
        group_partition_unref(partition);
    }
    return join(&all);
}

/* What is in memory of the stored group goes to disk as well; then both must be the same. */
static void expect_same(struct bench *b, size_t extent_bytes) {
    CLEANUP(freep) char *want = text_of_memory(b);
    CLEANUP(freep) char *with = NULL, *without = NULL;

    store(b, extent_bytes);
    with = text_of_buckets(b, true);
    without = text_of_buckets(b, false);
    ck_assert_uint_gt(strlen(want), 0);
    ck_assert_str_eq(with, want);
    ck_assert_str_eq(without, want);
}

/* ---- the tests ---- */

START_TEST(stored_once_or_often_the_groups_are_the_same)
{
    static const struct windowing windowing = {.fn = WINDOW_FN_GLOBAL, .timestamp_combiner = OUTPUT_TIME_EARLIEST};

    for (unsigned every = 50; every <= 2000; every *= 6) {
        struct bench b;

        bench_open(&b, &windowing, false);
        for (unsigned i = 0; i < 2000; i++) {
            char key[24], value[24];

            snprintf(key, sizeof(key), "key %u", i * 7919 % 400);
            snprintf(value, sizeof(value), i % 10 ? "value %u" : "", i);
            add(&b, (event_time)(i * 31 % 977) - 400, 0, 0, key, value);
            if ((i + 1) % every == 0)
                store(&b, 512);
        }
        expect_same(&b, 512);
        bench_close(&b);
    }
}
END_TEST

START_TEST(timestamps_combine_over_several_stores)
{
    static const enum timestamp_combiner combiners[] = {OUTPUT_TIME_END_OF_WINDOW, OUTPUT_TIME_LATEST,
                                                        OUTPUT_TIME_EARLIEST};
    static const char *const want[] = {"@9223371950454775 n3 b6,x,y,z\n", "@70 n3 b6,x,y,z\n", "@-50 n3 b6,x,y,z\n"};

    for (size_t i = 0; i < ARRAY_COUNT(combiners); i++) {
        struct windowing windowing = {.fn = WINDOW_FN_GLOBAL, .timestamp_combiner = combiners[i]};
        struct bench b;
        CLEANUP(freep) char *text = NULL;

        bench_open(&b, &windowing, false);
        add(&b, 20, 0, 0, "k", "x");
        store(&b, 64);
        add(&b, -50, 0, 0, "k", "y");
        store(&b, 64);
        add(&b, 70, 0, 0, "k", "z");
        store(&b, 64);
        text = text_of_buckets(&b, true);
        ck_assert_ptr_nonnull(strchr(text, '@'));
        ck_assert_str_eq(strchr(text, '@'), want[i]);
        bench_close(&b);
    }
}
END_TEST

START_TEST(sessions_are_merged_after_building)
{
    static const enum timestamp_combiner combiners[] = {OUTPUT_TIME_END_OF_WINDOW, OUTPUT_TIME_LATEST,
                                                        OUTPUT_TIME_EARLIEST};

    for (size_t c = 0; c < ARRAY_COUNT(combiners); c++) {
        struct windowing windowing = {
            .fn = WINDOW_FN_SESSIONS, .needs_merge = true, .timestamp_combiner = combiners[c]};
        struct bench b;

        bench_open(&b, &windowing, true);
        for (unsigned i = 0; i < 600; i++) {
            event_time at = (event_time)(i * 7919 % 4000);
            char key[24], value[24];

            snprintf(key, sizeof(key), "key %u", i % 23);
            snprintf(value, sizeof(value), "%u", i);
            add(&b, at, at, at + 60, key, value);
            if (i % 90 == 89)
                store(&b, 256);
        }
        /* The order of values that were merged is the order of their windows, in both. */
        expect_same(&b, 256);
        bench_close(&b);
    }
}
END_TEST

/* The bytes of a part are worked out from how many groups there are: those that come out, not those that were stored. */
START_TEST(a_bucket_of_merged_sessions_takes_as_many_bytes_as_before_it_was_counted)
{
    static const struct windowing windowing = {.fn = WINDOW_FN_SESSIONS, .needs_merge = true};
    struct input_item item = {0};
    struct slice bytes[1];
    struct bench b;

    bench_open(&b, &windowing, true);
    for (event_time at = 0; at < 100; at++)
        add(&b, at, at, at + 60, "key", "value");
    store(&b, 1 << 20);
    for (unsigned i = 0; i < PARTITIONS * GROUP_BUCKETS; i++)
        if (b.stored->buckets[i])
            item.bucket = group_bucket_ref(b.stored->buckets[i]);
    ck_assert_uint_eq(item.bucket->entries.count, 1);
    ck_assert_uint_eq(input_item_bytes(&item), item.bucket->bytes);
    bytes[0] = disk_bytes(&b.disk, item.bucket->entries.items[0].extent->id);
    resident_fill(&b.disk.engine, &item, bytes, 1);
    ck_assert_uint_eq(input_item_count(&item), 1);
    ck_assert_uint_eq(input_item_bytes(&item), item.bucket->bytes);
    input_item_clear(&item);
    bench_close(&b);
}
END_TEST

START_TEST(windows_of_a_key_are_in_one_bucket_and_apart)
{
    static const struct windowing windowing = {.fn = WINDOW_FN_FIXED, .timestamp_combiner = OUTPUT_TIME_END_OF_WINDOW};
    unsigned buckets = 0;
    struct bench b;

    bench_open(&b, &windowing, true);
    for (event_time i = 0; i < 40; i++) {
        add(&b, i * 10, i / 4 * 40, i / 4 * 40 + 40, "the key", "v");
        if (i % 7 == 0)
            store(&b, 64);
    }
    store(&b, 64);
    for (unsigned i = 0; i < PARTITIONS * GROUP_BUCKETS; i++)
        buckets += b.stored->buckets[i] != NULL;
    ck_assert_uint_eq(buckets, 1);
    expect_same(&b, 64);
    bench_close(&b);
}
END_TEST

START_TEST(values_of_a_large_key_lie_in_extents_of_their_own)
{
    static const struct windowing windowing = {.fn = WINDOW_FN_GLOBAL, .timestamp_combiner = OUTPUT_TIME_LATEST};
    struct group_partition *partition;
    struct group_bucket *bucket = NULL;
    size_t value_bytes = 0;
    struct bench b;

    bench_open(&b, &windowing, false);
    for (unsigned i = 0; i < 3000; i++) {
        char value[100];

        snprintf(value, sizeof(value), "%u %.*s", i, (int)(i % 50),
                 "..................................................");
        add(&b, i, 0, 0, "large", value);
        if (i % 1000 == 999)
            store(&b, 4096);
    }
    add(&b, 1, 0, 0, "small", "one");
    store(&b, 4096);
    for (unsigned i = 0; i < PARTITIONS * GROUP_BUCKETS; i++)
        if (b.stored->buckets[i] && b.stored->buckets[i]->values.count)
            bucket = b.stored->buckets[i];
    ck_assert_ptr_nonnull(bucket);
    vec_foreach (extent, &bucket->values)
        value_bytes += (*extent)->size;
    ck_assert_uint_eq(value_bytes, bucket->value_bytes);
    ck_assert_uint_gt(bucket->values.count, 10);
    ck_assert_uint_lt(bucket->bytes - bucket->value_bytes, 4096); /* the keys alone are small */
    partition = build(&b, bucket, false);
    ck_assert(partition->entries[0].is_outside);
    ck_assert_uint_eq(partition->entries[0].count, 3000);
    ck_assert_uint_eq(partition->entries[0].value_bytes, value_bytes);
    group_partition_unref(partition);
    partition = build(&b, bucket, true);
    ck_assert(!partition->entries[0].is_outside);
    group_partition_unref(partition);
    expect_same(&b, 4096);
    bench_close(&b);
}
END_TEST

/* What was sent to a harness may be asked for although the group went to another bundle by a split, which has freed the bucket. */
START_TEST(values_outside_of_memory_are_kept_by_the_build)
{
    static const struct windowing windowing = {.fn = WINDOW_FN_GLOBAL, .timestamp_combiner = OUTPUT_TIME_LATEST};
    struct group_bucket *buckets[GROUP_BUCKETS] = {0};
    struct group_partition *built = NULL;
    struct bench b;
    size_t stores;

    bench_open(&b, &windowing, false);
    for (unsigned i = 0; i < 100; i++)
        add(&b, 1, 0, 0, "large", "value");
    for (unsigned i = 0; i < PARTITIONS; i++) {
        struct group_partition *source = group_take(b.stored, i);

        if (source)
            group_partition_store(&b.disk.engine, source, buckets, 64);
    }
    disk_write_all(&b.disk);
    stores = b.disk.stores;
    for (unsigned i = 0; i < GROUP_BUCKETS; i++) {
        if (!buckets[i])
            continue;
        ck_assert_uint_gt(buckets[i]->values.count, 2);
        built = build(&b, buckets[i], false);
        group_bucket_unref(buckets[i]);
    }
    disk_work(&b.disk);
    ck_assert_uint_eq(b.disk.drops, 0);
    for (const struct group_chunk *chunk = built->entries[0].first; chunk; chunk = chunk->next)
        ck_assert_uint_eq(disk_bytes(&b.disk, group_chunk_extent(chunk)->id).size, chunk->size);
    group_partition_unref(built);
    disk_work(&b.disk);
    ck_assert_uint_eq(b.disk.drops, stores);
    bench_close(&b);
}
END_TEST

/* How far an entry is from where it is looked for first, on average. */
static double average_way(const struct group_partition *partition) {
    size_t mask = partition->index_size - 1, way = 0;

    for (size_t i = 0; i < partition->index_size; i++)
        if (partition->index[i])
            way += (i - (size_t)(partition->index[i] >> 32)) & mask;
    return (double)way / (double)partition->entry_count;
}

enum { MANY_KEYS = 60000, ROUND = 1 << 16 };

START_TEST(keys_of_one_bucket_are_spread_over_its_index)
{
    static const struct windowing windowing = {.fn = WINDOW_FN_GLOBAL, .timestamp_combiner = OUTPUT_TIME_LATEST};
    struct group_bucket *kept = NULL;
    struct group_partition *built;
    struct bench b;
    uint64_t next = 0;

    bench_open(&b, &windowing, false);
    while (!kept || kept->records < MANY_KEYS) {
        struct group_partition *partition = group_partition_create(&windowing, b.disk.engine.options.account);
        struct group_bucket *buckets[GROUP_BUCKETS] = {kept};

        for (unsigned i = 0; i < ROUND; i++, next++) {
            struct cursor key = cursor_of((const uint8_t *)&next, sizeof(next));
            uint64_t hash = group_hash(hash_bytes(&next, sizeof(next)), (struct cursor){0});
            struct group_entry *entry = group_partition_entry(partition, hash, (struct cursor){0}, key, false);

            group_entry_add_value(partition, entry, (struct cursor){0});
            entry->count++;
        }
        group_partition_store(&b.disk.engine, partition, buckets, 1 << 20);
        kept = buckets[0];
        for (unsigned i = 1; i < GROUP_BUCKETS; i++)
            group_bucket_unref(buckets[i]);
        disk_write_all(&b.disk);
    }
    built = build(&b, kept, true);
    ck_assert_uint_eq(built->entry_count, kept->records);
    ck_assert(average_way(built) < 2);
    group_partition_unref(built);
    group_bucket_unref(kept);
    bench_close(&b);
}
END_TEST

START_TEST(a_build_is_freed_before_or_after_its_bucket)
{
    static const struct windowing windowing = {.fn = WINDOW_FN_GLOBAL, .timestamp_combiner = OUTPUT_TIME_LATEST};
    struct group_bucket *buckets[GROUP_BUCKETS] = {0};
    struct group_partition *source, *built = NULL;
    lines all = {0};
    CLEANUP(freep) char *text = NULL;
    struct bench b;

    bench_open(&b, &windowing, false);
    add(&b, 1, 0, 0, "k", "value");
    for (unsigned i = 0; i < PARTITIONS; i++)
        if ((source = group_take(b.stored, i)))
            group_partition_store(&b.disk.engine, source, buckets, 1024);
    disk_work(&b.disk);
    for (unsigned i = 0; i < GROUP_BUCKETS; i++) {
        if (!buckets[i])
            continue;
        built = build(&b, buckets[i], true);
        ck_assert_ptr_eq(group_bucket_ref(buckets[i]), buckets[i]);
        group_bucket_unref(buckets[i]);
        group_bucket_unref(buckets[i]);
    }
    group_bucket_unref(NULL);
    disk_write_all(&b.disk);
    ck_assert_uint_eq(b.disk.drops, 1);
    add_lines(&b, built, &all); /* its bytes are its own references */
    text = join(&all);
    ck_assert_str_eq(text, " k @1 n1 b6,value\n");
    group_partition_unref(built);
    bench_close(&b);
}
END_TEST

/* ---- cutting ---- */

/* Cuts all buckets of `from` into `fan_out` parts each, `extents` extents at a time; the parts are added to `ret`. */
static void cut_all(struct bench *b, struct group_bucket **from, size_t count, struct bucket_cut cut, size_t extents,
                    struct group_bucket **ret) {
    struct account *account = b->disk.engine.options.account;

    for (size_t i = 0; i < count; i++) {
        struct group_bucket *bucket = from[i];

        for (size_t at = 0; bucket && at < bucket->entries.count; at += extents) {
            size_t n = MIN(extents, bucket->entries.count - at);
            struct slice bytes[16];

            for (size_t j = 0; j < n; j++)
                bytes[j] = disk_bytes(&b->disk, bucket->entries.items[at + j].extent->id);
            group_partition_cut(&b->disk.engine, group_bucket_build_part(bucket, at, bytes, n, account), &cut,
                                ret + i * cut.fan_out);
            disk_write_all(&b->disk);
        }
        group_bucket_unref(bucket);
        from[i] = NULL;
    }
}

static char *text_of(struct bench *b, struct group_bucket *const *buckets, size_t count, bool with_values) {
    lines all = {0};

    for (size_t i = 0; i < count; i++) {
        struct group_partition *partition = buckets[i] ? build(b, buckets[i], with_values) : NULL;

        if (partition)
            add_lines(b, partition, &all);
        group_partition_unref(partition);
    }
    return join(&all);
}

/* Some keys have many values, some of them in extents of their own before anything is cut. */
START_TEST(cut_twice_the_groups_are_the_same)
{
    enum { COUNT = PARTITIONS * GROUP_BUCKETS, FIRST = 4, SECOND = 2 };
    static const struct windowing windowings[] = {
        {.fn = WINDOW_FN_GLOBAL, .timestamp_combiner = OUTPUT_TIME_LATEST},
        {.fn = WINDOW_FN_SESSIONS, .timestamp_combiner = OUTPUT_TIME_EARLIEST, .needs_merge = true},
    };

    for (size_t w = 0; w < ARRAY_COUNT(windowings); w++) {
        static struct group_bucket *once[COUNT * FIRST], *twice[COUNT * FIRST * SECOND];
        CLEANUP(freep) char *want = NULL, *with = NULL, *without = NULL;
        size_t larger = 0;
        struct bench b;

        bench_open(&b, &windowings[w], w > 0);
        for (unsigned i = 0; i < 3000; i++) {
            char key[24], value[24];
            event_time at = (event_time)(i * 31 % 977);

            snprintf(key, sizeof(key), "key %u", i % 2 ? i % 3 : i * 7919 % 300);
            snprintf(value, sizeof(value), "value %u", i);
            add(&b, at, at, w ? at + 10 : 0, key, value);
            if (i % 500 == 499)
                store(&b, 256);
        }
        want = text_of_memory(&b);
        disk_write_all(&b.disk);
        cut_all(&b, b.stored->buckets, COUNT,
                (struct bucket_cut){.level = 1, .fan_out = FIRST, .extent_bytes = 512, .inline_bytes = 1024}, 3, once);
        cut_all(&b, once, COUNT * FIRST,
                (struct bucket_cut){.level = 2, .fan_out = SECOND, .extent_bytes = 128, .inline_bytes = 64}, 2, twice);
        with = text_of(&b, twice, ARRAY_COUNT(twice), true);
        without = text_of(&b, twice, ARRAY_COUNT(twice), false);
        ck_assert_str_eq(with, want);
        ck_assert_str_eq(without, want);
        for (size_t i = 0; i < ARRAY_COUNT(twice); i++) {
            larger += i % SECOND == 0 && i + 1 < ARRAY_COUNT(twice) && twice[i] && twice[i + 1];
            group_bucket_unref(twice[i]);
            twice[i] = NULL;
        }
        ck_assert_uint_gt(larger, 10); /* the second cut did tell keys apart */
        bench_close(&b);
    }
}
END_TEST

/* Each time a little of it comes: none of it was worth an extent. */
START_TEST(many_small_pieces_of_a_key_are_gathered)
{
    static const struct windowing windowing = {.fn = WINDOW_FN_GLOBAL, .timestamp_combiner = OUTPUT_TIME_LATEST};
    struct group_bucket *parts[2] = {0}, *bucket = NULL, *part;
    size_t was, is;
    struct bench b;

    bench_open(&b, &windowing, false);
    for (unsigned i = 0; i < 4000; i++) {
        add(&b, 5, 0, 0, "heavy", "0123456789");
        if (i % 10 == 9)
            store(&b, 1024);
    }
    for (unsigned i = 0; i < PARTITIONS * GROUP_BUCKETS; i++)
        if (b.stored->buckets[i]) {
            ck_assert_ptr_null(bucket);
            bucket = b.stored->buckets[i];
            b.stored->buckets[i] = NULL;
        }
    if (!bucket)
        ck_abort_msg("nothing is stored");
    ck_assert_uint_eq(bucket->values.count, 0);
    disk_write_all(&b.disk);
    was = group_bucket_build_bytes(bucket, false);
    cut_all(&b, &bucket, 1, (struct bucket_cut){.level = 1, .fan_out = 2, .extent_bytes = 1024, .inline_bytes = 500},
            10, parts);
    part = parts[0] ? parts[0] : parts[1];
    is = group_bucket_build_bytes(part, false);
    ck_assert_msg(is * 10 < was, "%zu bytes became %zu", was, is);
    ck_assert_uint_ge(part->value_bytes, 40000);
    ck_assert_uint_ge(group_bucket_build_bytes(part, true), is + part->value_bytes);
    group_bucket_unref(parts[0]);
    group_bucket_unref(parts[1]);
    bench_close(&b);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("bucket");
    TCase *tc = tcase_create("bucket");

    tcase_add_test(tc, stored_once_or_often_the_groups_are_the_same);
    tcase_add_test(tc, timestamps_combine_over_several_stores);
    tcase_add_test(tc, sessions_are_merged_after_building);
    tcase_add_test(tc, a_bucket_of_merged_sessions_takes_as_many_bytes_as_before_it_was_counted);
    tcase_add_test(tc, windows_of_a_key_are_in_one_bucket_and_apart);
    tcase_add_test(tc, values_of_a_large_key_lie_in_extents_of_their_own);
    tcase_add_test(tc, values_outside_of_memory_are_kept_by_the_build);
    tcase_add_test(tc, keys_of_one_bucket_are_spread_over_its_index);
    tcase_add_test(tc, cut_twice_the_groups_are_the_same);
    tcase_add_test(tc, many_small_pieces_of_a_key_are_gathered);
    tcase_add_test(tc, a_build_is_freed_before_or_after_its_bucket);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
