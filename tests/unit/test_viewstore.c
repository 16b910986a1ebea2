/* Multimaps that are stored, against the same data in memory. */
#include "engine/viewstore.h"

#include "tests/unit/store_fixture.h"

struct bench {
    struct fixture f;
    struct disk disk;
    struct view in_memory, stored;
};

static void bench_open(struct bench *b) {
    *b = (struct bench){.f = fixture_create()};
    b->disk.engine.options.account = account_create("test", NULL, 0);
    b->disk.engine.options.group_partitions = 2;
    b->disk.engine.options.extent_bytes = 512;
    b->in_memory = (struct view){
        .access = PLAN_ACCESS_MULTIMAP, .coder = b->f.interval, .account = b->disk.engine.options.account};
    b->stored = b->in_memory;
}

static void bench_close(struct bench *b) {
    view_clear(&b->in_memory);
    view_clear(&b->stored);
    disk_write_all(&b->disk);
    ck_assert_uint_eq(b->disk.drops, b->disk.stores);
    ck_assert_uint_eq(account_used(b->disk.engine.options.account), 0);
    disk_close(&b->disk);
    account_unref(b->disk.engine.options.account);
    arena_clear(&b->f.arena);
}

static struct slice window(event_time start) {
    struct buf bytes = {0};

    interval_window_encode(&bytes, start, start + 10);
    return buf_finish(&bytes);
}

static void add(struct bench *b, event_time start, const char *key, const char *value) {
    struct buf in = {0}, bytes = {0};
    struct run run = {.count = 1};

    interval_window_encode(&bytes, start, start + 10);
    add_kv(&in, start, &bytes, key, value);
    run.bytes = buf_finish(&in);
    view_add(&b->in_memory, &run);
    view_add(&b->stored, &run);
    run_clear(&run);
    buf_clear(&bytes);
}

/* 2000 values of 200 keys in two windows, one key with many; the view goes to a store half way, some of which is stored before the end. */
static void fill(struct bench *b) {
    for (unsigned i = 0; i < 2000; i++) {
        char key[24], value[24];

        snprintf(key, sizeof(key), "key %u", i % 3 ? i % 200 : 7);
        snprintf(value, sizeof(value), i % 10 ? "value %u" : "", i);
        add(b, i / 5 % 2 ? 20 : 0, key, value);
        if (i == 1000)
            view_store_create(&b->disk.engine, &b->stored);
        if (i == 1500)
            group_store_partition(&b->disk.engine, b->stored.store->group, 1, 512);
    }
    view_store_seal(&b->disk.engine, b->stored.store);
    disk_work(&b->disk);
}

static void bring(struct bench *b, size_t place, size_t max_bytes) {
    const struct group_bucket *bucket = b->stored.store->group->buckets[place];
    struct slice bytes[64];

    ck_assert_uint_le(bucket->entries.count, ARRAY_COUNT(bytes));
    for (size_t i = 0; i < bucket->entries.count; i++)
        bytes[i] = disk_bytes(&b->disk, bucket->entries.items[i].extent->id);
    view_store_fill(b->stored.store, place, bytes, bucket->entries.count, max_bytes);
}

/* As when other bundles have read others since. */
static void forget_buckets(struct view_store *store) {
    vec_foreach (built, &store->recent)
        group_partition_unref(built->partition);
    store->recent.count = 0;
}

enum what { VALUES, KEYS, ENTRIES };

/* All pages, end to end, as a harness gets them. */
static void read_all(struct bench *b, enum what what, struct slice in, struct slice key, size_t limit, size_t max_bytes,
                     struct buf *out, size_t *ret_pages) {
    struct view_store_read read = {.window = in, .key = key, .limit = limit, .max_entry = SIZE_MAX, .more = true};

    for (*ret_pages = 0; read.more; ++*ret_pages) {
        struct buf page = {0};
        enum view_store_result result;
        unsigned waits = 0;

        if (max_bytes == 1)
            forget_buckets(b->stored.store);
        read.out = &page;
        read.extent = NULL;
        for (;;) {
            result = what == VALUES ? view_store_lookup(b->stored.store, &read)
                                    : view_store_walk(b->stored.store, what == ENTRIES, &read);
            if (result != VIEW_STORE_BUCKET)
                break;
            ck_assert_uint_eq(page.size, 0);
            ck_assert_uint_le(++waits, 100);
            bring(b, read.bucket, max_bytes);
        }
        ck_assert(result == VIEW_STORE_PAGE || result == VIEW_STORE_EXTENT);
        if (result == VIEW_STORE_EXTENT) {
            struct slice bytes = disk_bytes(&b->disk, read.extent->id);

            ck_assert_uint_eq(page.size, 0);
            buf_add(out, bytes.data, bytes.size);
        }
        ck_assert(page.size || !read.more || read.extent);
        buf_add(out, buf_data(&page), page.size);
        buf_clear(&page);
    }
}

static int compare(const void *left, const void *right) {
    return strcmp(*(char *const *)left, *(char *const *)right);
}

/* Length-prefixed strings, sorted: the order of values and keys is nobody's business. */
static char *sorted(const struct buf *bytes) {
    struct cursor at = cursor_of(buf_data(bytes), bytes->size), value;
    VEC(char *) all = {0};
    struct buf text = {0};
    char *string;

    while (cursor_left(&at)) {
        ck_assert(cursor_prefixed(&at, &value));
        vec_push(&all, xmemdup0(value.at, cursor_left(&value)));
    }
    if (all.count)
        qsort(all.items, all.count, sizeof(*all.items), compare);
    vec_foreach (item, &all) {
        buf_add(&text, *item, strlen(*item) + 1);
        free(*item);
    }
    vec_free(&all);
    for (size_t i = 0; i < text.size; i++)
        if (!buf_data(&text)[i])
            ((uint8_t *)buf_data(&text))[i] = '\n';
    string = xmemdup0(buf_data(&text), text.size);
    buf_clear(&text);
    return string;
}

static void add_chain(const struct chain *chain, struct buf *out) {
    for (size_t i = 0; chain && i < chain->pages.count; i++)
        buf_add(out, chain->pages.items[i].block->data, chain->pages.items[i].used);
}

static void expect_same(struct bench *b, enum what what, event_time start, const char *key, size_t limit,
                        size_t max_bytes, size_t *ret_pages) {
    CLEANUP_SLICE struct slice in = window(start);
    CLEANUP_SLICE struct slice encoded = SLICE_EMPTY;
    CLEANUP(freep) char *is = NULL, *want = NULL;
    struct buf bytes = {0}, actual = {0}, expected = {0};

    buf_add_prefixed(&bytes, key, strlen(key));
    encoded = buf_finish(&bytes);
    read_all(b, what, in, encoded, limit, max_bytes, &actual, ret_pages);
    add_chain(what == KEYS ? view_keys(&b->in_memory, in) : view_elements(&b->in_memory, in, encoded), &expected);
    is = sorted(&actual);
    want = sorted(&expected);
    ck_assert_str_eq(is, want);
    buf_clear(&actual);
    buf_clear(&expected);
}

START_TEST(each_key_has_its_values)
{
    struct bench b;
    size_t pages;

    bench_open(&b);
    fill(&b);
    for (unsigned i = 0; i < 205; i++) {
        CLEANUP(freep) char *key = xasprintf("key %u", i);

        expect_same(&b, VALUES, i % 2 ? 0 : 20, key, 100, SIZE_MAX, &pages);
    }
    expect_same(&b, VALUES, 0, "key 7", 100, SIZE_MAX, &pages);
    ck_assert_uint_gt(pages, 3); /* in extents of their own */
    expect_same(&b, VALUES, 40, "key 7", 100, SIZE_MAX, &pages);
    ck_assert_uint_eq(pages, 1);
    bench_close(&b);
}
END_TEST

/* However few buckets are in memory, and however small the pages. */
START_TEST(all_keys_of_a_window_are_walked_once)
{
    static const size_t limits[] = {1, 50, 1 << 20};

    for (size_t i = 0; i < ARRAY_COUNT(limits); i++) {
        struct bench b;
        size_t pages;

        bench_open(&b);
        fill(&b);
        expect_same(&b, KEYS, 0, "", limits[i], 1, &pages);
        ck_assert_uint_le(b.stored.store->recent.count, 1);
        expect_same(&b, KEYS, 20, "", limits[i], SIZE_MAX, &pages);
        ck_assert_uint_gt(b.stored.store->recent.count, 10);
        expect_same(&b, KEYS, 40, "", limits[i], SIZE_MAX, &pages);
        bench_close(&b);
    }
}
END_TEST

START_TEST(entries_have_their_values_and_one_that_is_too_large_is_told)
{
    struct bench b;
    CLEANUP_SLICE struct slice in = window(0);
    struct buf out = {0};
    struct cursor at, key, value;
    size_t pages, entries = 0, values = 0;
    uint32_t count;
    struct view_store_read read = {.window = in, .limit = 10, .max_entry = 10, .out = &out};
    enum view_store_result result;

    bench_open(&b);
    for (unsigned i = 0; i < 300; i++) {
        CLEANUP(freep) char *name = xasprintf("key %u", i % 60);

        add(&b, i % 4 ? 0 : 20, name, "some value");
        if (i == 100)
            view_store_create(&b.disk.engine, &b.stored);
    }
    view_store_seal(&b.disk.engine, b.stored.store);
    disk_work(&b.disk);
    read_all(&b, ENTRIES, in, SLICE_EMPTY, 200, 1, &out, &pages);
    ck_assert_uint_gt(pages, 5);
    for (at = cursor_of(buf_data(&out), out.size); cursor_left(&at); entries++) {
        ck_assert(cursor_prefixed(&at, &key) && cursor_be32(&at, &count));
        for (values += count; count; count--)
            ck_assert(cursor_prefixed(&at, &value) && cursor_left(&value) == 10);
    }
    ck_assert_uint_eq(entries, 45);
    ck_assert_uint_eq(values, 225);
    buf_clear(&out);
    while ((result = view_store_walk(b.stored.store, true, &read)) == VIEW_STORE_BUCKET)
        bring(&b, read.bucket, 1);
    ck_assert_int_eq(result, VIEW_STORE_TOO_LARGE);
    buf_clear(&out);
    bench_close(&b);
}
END_TEST

START_TEST(an_empty_store_answers)
{
    struct bench b;
    size_t pages;

    bench_open(&b);
    view_store_create(&b.disk.engine, &b.stored);
    view_store_seal(&b.disk.engine, b.stored.store);
    expect_same(&b, VALUES, 0, "a", 10, 10, &pages);
    expect_same(&b, KEYS, 0, "a", 10, 10, &pages);
    bench_close(&b);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("viewstore");
    TCase *tc = tcase_create("viewstore");

    tcase_add_test(tc, each_key_has_its_values);
    tcase_add_test(tc, all_keys_of_a_window_are_walked_once);
    tcase_add_test(tc, entries_have_their_values_and_one_that_is_too_large_is_told);
    tcase_add_test(tc, an_empty_store_answers);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
