#include "engine/mergebook.h"
#include "tests/unit/fixtures.h"

/* A grouping of KVs in interval windows that the SDK merges, and its book, worked by hand. */
struct scene {
    struct fixture f;
    struct windowing windowing;
    struct group *group;
    struct merge_book *book;
    struct buf answers;
    uint64_t answer_count;
    struct status st;
};

static struct scene scene_create(enum timestamp_combiner combiner) {
    struct scene s = {.f = fixture_create()};

    s.windowing = (struct windowing){.fn = WINDOW_FN_GLOBAL, .timestamp_combiner = combiner};
    return s;
}

static void scene_clear(struct scene *s) {
    merge_book_unref(s->book);
    group_destroy(s->group);
    buf_clear(&s->answers);
    status_clear(&s->st);
    arena_clear(&s->f.arena);
}

static void add(struct scene *s, event_time timestamp, event_time start, event_time end, const char *key,
                const char *value) {
    struct buf window = {0}, in = {0};
    struct run_list list = {0};

    if (!s->group) {
        s->group = group_create(s->f.interval, &s->windowing, 1, NULL);
        s->book = merge_book_create(s->f.interval->components[1], NULL);
    }
    interval_window_encode(&window, start, end);
    add_kv(&in, timestamp, &window, key, value);
    run_list_push(&list, (struct run){.bytes = buf_finish(&in), .count = 1});
    group_add(s->group, &list);
    run_list_clear(&list);
    buf_clear(&window);
}

static void ask(struct scene *s) {
    merge_book_ask(s->book, s->group->partitions[0]);
}

static void begin_answer(struct scene *s, uint64_t nonce) {
    windowed_value_write_header(&s->answers, TIME_MIN, NULL, 0, &PANE_NO_FIRING);
    buf_add_varint(&s->answers, 8);
    buf_add_be64(&s->answers, nonce);
    s->answer_count++;
}

/* An iterable of the windows that begin at these times and last 10. */
static void answer_windows(struct scene *s, size_t count, const event_time *starts) {
    buf_add_be32(&s->answers, (uint32_t)count);
    for (size_t i = 0; i < count; i++)
        interval_window_encode(&s->answers, starts[i], starts[i] + 10);
}

#define WINDOWS(...)                                                                                                   \
    sizeof((const event_time[]){__VA_ARGS__}) / sizeof(event_time), (const event_time[]) {                             \
        __VA_ARGS__                                                                                                    \
    }

static struct run_list answer_list(struct scene *s) {
    struct run_list list = {0};

    run_list_push(&list, (struct run){.bytes = buf_finish(&s->answers), .count = s->answer_count});
    s->answer_count = 0;
    return list;
}

static void expect_sound(struct scene *s, uint64_t bundle) {
    uint64_t count = s->answer_count;
    struct run_list list = answer_list(s);

    ck_assert_msg(merge_book_check(s->book, &list, count, bundle, &s->st) == 0, "%s", status_message(&s->st));
    merge_book_answer(s->book, &list.runs.items[0]);
    run_list_clear(&list);
}

static void expect_unsound(struct scene *s, uint64_t asked, const char *with) {
    static uint64_t bundle = 1000;
    struct run_list list = answer_list(s);

    ck_assert_int_lt(merge_book_check(s->book, &list, asked, bundle++, &s->st), 0);
    ck_assert_msg(strstr(status_message(&s->st), with) != NULL, "%s", status_message(&s->st));
    status_clear(&s->st);
    run_list_clear(&list);
}

/* "key[start,end)@timestamp:count " of each group. */
static void expect_groups(struct scene *s, const char *want) {
    struct group_partition *partition = s->group->partitions[0];
    struct buf text = {0};
    CLEANUP(freep) char *got = NULL;

    merge_book_apply(s->book, partition);
    for (size_t i = 0; i < partition->entry_count; i++) {
        const struct group_entry *entry = &partition->entries[i];
        struct cursor window = cursor_of(entry->key - entry->window_size, entry->window_size);
        event_time start, end;
        CLEANUP(freep) char *line = NULL;

        ck_assert_int_eq(interval_window_decode(&window, &start, &end), CODER_OK);
        line = xasprintf("%.*s[%lld,%lld)@%lld:%llu ", (int)entry->key_size - 1, entry->key + 1, (long long)start,
                         (long long)end, (long long)entry->timestamp, (unsigned long long)entry->count);
        buf_add(&text, line, strlen(line));
    }
    got = xmemdup0(buf_data(&text), text.size);
    buf_clear(&text);
    ck_assert_str_eq(got, want);
}

START_TEST(keys_with_the_same_windows_are_one_question)
{
    struct scene s = scene_create(OUTPUT_TIME_END_OF_WINDOW);
    struct buf out = {0}, more = {0};
    size_t at = 0;

    add(&s, 1, 0, 10, "a", "1");
    add(&s, 1, 20, 30, "a", "1");
    add(&s, 1, 20, 30, "b", "1");
    add(&s, 1, 0, 10, "b", "1");
    add(&s, 1, 0, 10, "c", "1");
    ask(&s);
    ask(&s);
    ck_assert_uint_eq(merge_book_write(s.book, &at, 1, &out), 1);
    ck_assert_uint_eq(merge_book_write(s.book, &at, 1 << 20, &more), 1);
    ck_assert_uint_eq(merge_book_write(s.book, &at, 1 << 20, &more), 0);
    /* Header 13, nonce 9, count 4, two windows of 9. */
    ck_assert_uint_eq(out.size, 13 + 9 + 4 + 18);
    ck_assert_uint_eq(more.size, 13 + 9 + 4 + 9);
    buf_clear(&out);
    buf_clear(&more);
    scene_clear(&s);
}
END_TEST

START_TEST(groups_go_into_the_windows_that_the_sdk_names)
{
    static const struct {
        enum timestamp_combiner combiner;
        const char *want;
    } cases[] = {{OUTPUT_TIME_END_OF_WINDOW, "a[0,10)@9:1 a[20,30)@29:2 b[0,10)@9:1 b[20,30)@29:2 "},
                 {OUTPUT_TIME_EARLIEST, "a[0,10)@3:1 a[20,30)@25:2 b[0,10)@3:1 b[20,30)@25:2 "},
                 {OUTPUT_TIME_LATEST, "a[0,10)@3:1 a[20,30)@47:2 b[0,10)@3:1 b[20,30)@47:2 "}};

    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct scene s = scene_create(cases[i].combiner);

        for (int key = 0; key < 2; key++) {
            add(&s, 3, 0, 10, key ? "b" : "a", "1");
            add(&s, 47, 40, 50, key ? "b" : "a", "2");
            add(&s, 25, 20, 30, key ? "b" : "a", "3");
        }
        ask(&s);
        begin_answer(&s, 0);
        answer_windows(&s, WINDOWS(0));
        buf_add_be32(&s.answers, 1);
        interval_window_encode(&s.answers, 20, 30); /* the result may be one of the originals */
        answer_windows(&s, WINDOWS(20, 40));
        expect_sound(&s, 1);
        expect_groups(&s, cases[i].want);
        scene_clear(&s);
    }
}
END_TEST

START_TEST(a_merge_may_be_told_in_steps)
{
    struct scene s = scene_create(OUTPUT_TIME_END_OF_WINDOW);

    add(&s, 1, 0, 10, "a", "1");
    add(&s, 1, 20, 30, "a", "1");
    add(&s, 1, 40, 50, "a", "1");
    ask(&s);
    begin_answer(&s, 0);
    answer_windows(&s, 0, NULL);
    buf_add_be32(&s.answers, UINT32_MAX); /* in batches */
    buf_add_varint(&s.answers, 1);
    interval_window_encode(&s.answers, 0, 30);
    answer_windows(&s, WINDOWS(0, 20));
    buf_add_varint(&s.answers, 1);
    interval_window_encode(&s.answers, 0, 50);
    buf_add_be32(&s.answers, 2);
    interval_window_encode(&s.answers, 0, 30);
    interval_window_encode(&s.answers, 40, 50);
    buf_add_varint(&s.answers, 0);
    expect_sound(&s, 1);
    expect_groups(&s, "a[0,50)@49:3 ");
    scene_clear(&s);
}
END_TEST

START_TEST(a_window_that_merged_and_one_that_was_left_alone_may_be_the_same)
{
    struct scene s = scene_create(OUTPUT_TIME_EARLIEST);

    add(&s, 4, 0, 10, "a", "1");
    add(&s, 21, 20, 30, "a", "1");
    ask(&s);
    begin_answer(&s, 0);
    answer_windows(&s, WINDOWS(20));
    buf_add_be32(&s.answers, 1);
    interval_window_encode(&s.answers, 20, 30);
    answer_windows(&s, WINDOWS(0));
    expect_sound(&s, 1);
    expect_groups(&s, "a[20,30)@4:2 ");
    scene_clear(&s);
}
END_TEST

START_TEST(answers_that_make_no_sense_are_told_apart)
{
    struct scene s = scene_create(OUTPUT_TIME_END_OF_WINDOW);

    add(&s, 1, 0, 10, "a", "1");
    add(&s, 1, 20, 30, "a", "1");
    ask(&s);
    expect_unsound(&s, 1, "gave 0 answers");
    begin_answer(&s, 1);
    answer_windows(&s, WINDOWS(0, 20));
    answer_windows(&s, 0, NULL);
    expect_unsound(&s, 1, "was not asked");
    begin_answer(&s, 0);
    answer_windows(&s, WINDOWS(0));
    answer_windows(&s, 0, NULL);
    expect_unsound(&s, 1, "in no place");
    begin_answer(&s, 0);
    answer_windows(&s, WINDOWS(0, 20, 0));
    answer_windows(&s, 0, NULL);
    expect_unsound(&s, 1, "in two places");
    begin_answer(&s, 0);
    answer_windows(&s, WINDOWS(0, 20, 30));
    answer_windows(&s, 0, NULL);
    expect_unsound(&s, 1, "deterministic");
    begin_answer(&s, 0);
    answer_windows(&s, 0, NULL);
    buf_add_be32(&s.answers, 2);
    interval_window_encode(&s.answers, 20, 30);
    answer_windows(&s, WINDOWS(0));
    interval_window_encode(&s.answers, 20, 40);
    answer_windows(&s, WINDOWS(20));
    expect_unsound(&s, 1, "as what others became");
    for (int i = 0; i < 2; i++) {
        begin_answer(&s, 0);
        answer_windows(&s, WINDOWS(0, 20));
        answer_windows(&s, 0, NULL);
    }
    expect_unsound(&s, 2, "two answers");
    begin_answer(&s, 0);
    answer_windows(&s, 0, NULL);
    buf_add_be32(&s.answers, 1);
    interval_window_encode(&s.answers, 0, 30);
    buf_add_be32(&s.answers, UINT32_MAX); /* goes on in a state request */
    buf_add_varint(&s.answers, UINT64_MAX);
    buf_add_prefixed(&s.answers, "token", 5);
    expect_unsound(&s, 1, "elsewhere");
    /* None of it was taken in. */
    begin_answer(&s, 0);
    answer_windows(&s, WINDOWS(20, 0));
    answer_windows(&s, 0, NULL);
    expect_sound(&s, 7);
    begin_answer(&s, 0);
    answer_windows(&s, WINDOWS(0, 20));
    answer_windows(&s, 0, NULL);
    expect_unsound(&s, 1, "two answers");
    expect_groups(&s, "a[0,10)@9:1 a[20,30)@29:1 ");
    scene_clear(&s);
}
END_TEST

START_TEST(many_windows_of_one_key_take_time_in_proportion)
{
    enum { COUNT = 60000 };
    struct scene s = scene_create(OUTPUT_TIME_END_OF_WINDOW);

    for (unsigned i = 0; i < COUNT; i++)
        add(&s, i * 20, i * 20, i * 20 + 10, "a", "");
    ask(&s);
    begin_answer(&s, 0);
    buf_add_be32(&s.answers, COUNT / 2);
    for (unsigned i = 0; i < COUNT / 2; i++)
        interval_window_encode(&s.answers, i * 20, i * 20 + 10);
    /* The others one after another into one that grows. */
    buf_add_be32(&s.answers, COUNT / 2 - 1);
    for (unsigned i = COUNT / 2 + 1; i < COUNT; i++) {
        interval_window_encode(&s.answers, COUNT / 2 * 20, i * 20 + 10);
        buf_add_be32(&s.answers, 2);
        interval_window_encode(&s.answers, COUNT / 2 * 20, (i - 1) * 20 + 10);
        interval_window_encode(&s.answers, i * 20, i * 20 + 10);
    }
    expect_sound(&s, 1);
    merge_book_apply(s.book, s.group->partitions[0]);
    ck_assert_uint_eq(s.group->partitions[0]->entry_count, COUNT / 2 + 1);
    scene_clear(&s);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("mergebook");
    TCase *tc = tcase_create("mergebook");

    tcase_add_test(tc, keys_with_the_same_windows_are_one_question);
    tcase_add_test(tc, groups_go_into_the_windows_that_the_sdk_names);
    tcase_add_test(tc, a_merge_may_be_told_in_steps);
    tcase_add_test(tc, a_window_that_merged_and_one_that_was_left_alone_may_be_the_same);
    tcase_add_test(tc, answers_that_make_no_sense_are_told_apart);
    tcase_add_test(tc, many_windows_of_one_key_take_time_in_proportion);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
