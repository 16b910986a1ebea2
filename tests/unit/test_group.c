#include "engine/group.h"
#include "tests/unit/fixtures.h"

static const struct windowing end_of_window = {.fn = WINDOW_FN_GLOBAL, .timestamp_combiner = OUTPUT_TIME_END_OF_WINDOW};

static void group_add_bytes(struct group *group, struct buf *bytes, uint64_t count) {
    struct run_list list = {0};

    run_list_push(&list, (struct run){.bytes = buf_finish(bytes), .count = count});
    group_add(group, &list);
    run_list_clear(&list);
}

/* Reads KV<bytes, iterable<bytes>> elements and prints "key@timestamp=v1,v2;" for each. */
static void print_output(struct fixture *f, struct buf *out, struct buf *text) {
    const struct coder *iterable = coder_create(&f->arena, CODER_ITERABLE, f->bytes, NULL);
    const struct coder *kv = coder_create(&f->arena, CODER_KV, f->bytes, iterable);
    const struct coder *windowed = coder_create(&f->arena, CODER_WINDOWED_VALUE, kv, f->global->components[1]);
    struct cursor at = cursor_of(buf_data(out), out->size);

    while (cursor_left(&at)) {
        struct windowed_value element;
        struct cursor key;
        uint32_t count;
        CLEANUP(freep) char *head = NULL;

        ck_assert_int_eq(windowed_value_read(windowed, &at, &element), CODER_OK);
        ck_assert(cursor_prefixed(&element.value, &key));
        ck_assert(cursor_be32(&element.value, &count));
        head = xasprintf("%.*s@%lld=", (int)cursor_left(&key), key.at, (long long)element.timestamp);
        buf_add(text, head, strlen(head));
        for (uint32_t i = 0; i < count; i++) {
            struct cursor value;

            ck_assert(cursor_prefixed(&element.value, &value));
            buf_add(text, i ? "," : "", i ? 1 : 0);
            buf_add(text, value.at, cursor_left(&value));
        }
        buf_add_u8(text, ';');
    }
}

static char *group_text(struct fixture *f, struct group *group, size_t target) {
    struct buf text = {0};
    char *string;

    for (unsigned i = 0; i < group->partition_count; i++) {
        struct group_partition *partition = group_take(group, i);
        size_t at = 0;

        while (partition && at < partition->entry_count) {
            struct buf out = {0};

            ck_assert_uint_gt(group_partition_write(partition, &at, partition->entry_count, target, NULL, &out), 0);
            print_output(f, &out, &text);
            buf_clear(&out);
        }
        group_partition_unref(partition);
    }
    string = xmemdup0(buf_data(&text), text.size);
    buf_clear(&text);
    return string;
}

START_TEST(values_of_a_key_come_together_in_order)
{
    struct fixture f = fixture_create();
    struct group *group = group_create(f.global, &end_of_window, 1, NULL);
    struct buf in = {0};
    CLEANUP(freep) char *text = NULL;

    add_kv(&in, 1, NULL, "a", "1");
    add_kv(&in, 2, NULL, "b", "2");
    add_kv(&in, 3, NULL, "a", "3");
    group_add_bytes(group, &in, 3);
    add_kv(&in, 4, NULL, "a", "");
    group_add_bytes(group, &in, 1);
    text = group_text(&f, group, 1 << 20);
    ck_assert_str_eq(text, "a@9223371950454775=1,3,;b@9223371950454775=2;");
    group_destroy(group);
    arena_clear(&f.arena);
}
END_TEST

static size_t output_bytes(const struct group *group) {
    size_t bytes = 0;

    for (unsigned i = 0; i < group->partition_count; i++)
        bytes += group->partitions[i] ? group->partitions[i]->output_bytes : 0;
    return bytes;
}

enum { JOINED = 3 };

/* Bundles group what they make by themselves: that must come to the same as grouping all of it in one place. */
START_TEST(groups_that_join_are_as_if_made_in_one)
{
    static const struct windowing earliest = {.fn = WINDOW_FN_GLOBAL, .timestamp_combiner = OUTPUT_TIME_EARLIEST};
    struct fixture f = fixture_create();
    struct account *account = account_create("test", NULL, 0);
    struct group *whole = group_create(f.global, &earliest, 4, account);
    struct group *joined = group_create(f.global, &earliest, 4, account);
    struct group *last = group_create(f.global, &earliest, 4, account);
    char *texts[2];
    struct buf in = {0};

    for (int i = 0; i < JOINED; i++) {
        struct group *part = group_create(f.global, &earliest, 4, account);

        for (int j = 0; j < 600; j++) {
            char key[16], value[16];

            snprintf(key, sizeof(key), "key%d", (j * (i + 1)) % 400);
            snprintf(value, sizeof(value), "%d.%d", i, j);
            add_kv(&in, 1000 - i - j, NULL, key, value);
            add_kv(&in, 1000 - i - j, NULL, key, "");
        }
        group_add_run(whole, &(struct run){.bytes = slice_of_static(buf_data(&in), in.size), .count = 1200});
        group_add_bytes(part, &in, 1200);
        group_join(joined, part);
        group_destroy(part);
    }
    group_join(joined, last); /* in which there is nothing */
    group_destroy(last);
    ck_assert_uint_eq(output_bytes(joined), output_bytes(whole));
    texts[0] = group_text(&f, whole, 1 << 20);
    texts[1] = group_text(&f, joined, 1 << 20);
    ck_assert_uint_gt(strlen(texts[0]), 5000);
    ck_assert_str_eq(texts[0], texts[1]);
    free(texts[0]);
    free(texts[1]);
    group_destroy(whole);
    group_destroy(joined);
    ck_assert_uint_eq(account_used(account), 0);
    account_unref(account);
    arena_clear(&f.arena);
}
END_TEST

START_TEST(timestamps_combine_as_the_strategy_says)
{
    static const struct {
        enum timestamp_combiner combiner;
        const char *want;
    } cases[] = {{OUTPUT_TIME_EARLIEST, "k@-5=x,y,z;"}, {OUTPUT_TIME_LATEST, "k@7=x,y,z;"}};
    struct fixture f = fixture_create();

    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct windowing windowing = {.timestamp_combiner = cases[i].combiner};
        struct group *group = group_create(f.global, &windowing, 4, NULL);
        struct buf in = {0};
        CLEANUP(freep) char *text = NULL;

        add_kv(&in, 2, NULL, "k", "x");
        add_kv(&in, -5, NULL, "k", "y");
        add_kv(&in, 7, NULL, "k", "z");
        group_add_bytes(group, &in, 3);
        text = group_text(&f, group, 1);
        ck_assert_str_eq(text, cases[i].want);
        group_destroy(group);
    }
    arena_clear(&f.arena);
}
END_TEST

START_TEST(windows_are_grouped_apart)
{
    struct fixture f = fixture_create();
    struct group *group = group_create(f.interval, &end_of_window, 3, NULL);
    struct buf in = {0}, first = {0}, second = {0};
    struct group_partition *partition;
    size_t entries = 0;

    interval_window_encode(&first, 0, 1000);
    interval_window_encode(&second, 1000, 2000);
    add_kv(&in, 5, &first, "k", "1");
    add_kv(&in, 1005, &second, "k", "2");
    add_kv(&in, 6, &first, "k", "3");
    group_add_bytes(group, &in, 3);
    for (unsigned i = 0; i < group->partition_count; i++) {
        partition = group_take(group, i);
        entries += partition ? partition->entry_count : 0;
        group_partition_unref(partition);
    }
    ck_assert_uint_eq(entries, 2);
    buf_clear(&first);
    buf_clear(&second);
    group_destroy(group);
    arena_clear(&f.arena);
}
END_TEST

START_TEST(writing_twice_gives_the_same_bytes)
{
    struct fixture f = fixture_create();
    struct group *group = group_create(f.global, &end_of_window, 1, NULL);
    struct group_partition *partition;
    struct buf in = {0}, once = {0}, again = {0};
    size_t at = 0;

    for (int i = 0; i < 1000; i++) {
        char key[16];

        snprintf(key, sizeof(key), "key%d", i % 37);
        add_kv(&in, i, NULL, key, "some value");
    }
    group_add_bytes(group, &in, 1000);
    partition = group_take(group, 0);
    ck_assert_uint_eq(partition->entry_count, 37);
    group_partition_write(partition, &at, partition->entry_count, SIZE_MAX, NULL, &once);
    for (at = 0; at < partition->entry_count;)
        group_partition_write(partition, &at, partition->entry_count, 100, NULL, &again);
    ck_assert_uint_eq(once.size, again.size);
    ck_assert_mem_eq(buf_data(&once), buf_data(&again), once.size);
    group_partition_unref(partition);
    buf_clear(&once);
    buf_clear(&again);
    group_destroy(group);
    arena_clear(&f.arena);
}
END_TEST

START_TEST(memory_is_charged_and_given_back)
{
    struct fixture f = fixture_create();
    struct account *account = account_create("test", NULL, 0);
    struct group *group = group_create(f.global, &end_of_window, 8, account);
    struct buf in = {0};

    for (int i = 0; i < 10000; i++) {
        char key[16];

        snprintf(key, sizeof(key), "key%d", i);
        add_kv(&in, i, NULL, key, "value");
    }
    group_add_bytes(group, &in, 10000);
    ck_assert_uint_gt(account_used(account), 100000);
    group_destroy(group);
    ck_assert_uint_eq(account_used(account), 0);
    account_unref(account);
    arena_clear(&f.arena);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("group");
    TCase *tc = tcase_create("group");

    tcase_add_test(tc, values_of_a_key_come_together_in_order);
    tcase_add_test(tc, groups_that_join_are_as_if_made_in_one);
    tcase_add_test(tc, timestamps_combine_as_the_strategy_says);
    tcase_add_test(tc, windows_are_grouped_apart);
    tcase_add_test(tc, writing_twice_gives_the_same_bytes);
    tcase_add_test(tc, memory_is_charged_and_given_back);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
