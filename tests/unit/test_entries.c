#include "engine/view.h"
#include "tests/unit/fixtures.h"

struct scene {
    struct fixture f;
    struct view view;
};

static struct scene scene_create(void) {
    struct scene s = {.f = fixture_create()};

    s.view = (struct view){.access = PLAN_ACCESS_MULTIMAP, .coder = s.f.interval};
    return s;
}

static void scene_clear(struct scene *s) {
    view_clear(&s->view);
    arena_clear(&s->f.arena);
}

static struct slice window(event_time start) {
    struct buf bytes = {0};

    interval_window_encode(&bytes, start, start + 10);
    return buf_finish(&bytes);
}

static void add(struct scene *s, event_time start, const char *key, const char *value) {
    struct buf in = {0}, bytes = {0};
    struct run run = {.count = 1};

    interval_window_encode(&bytes, start, start + 10);
    add_kv(&in, start, &bytes, key, value);
    run.bytes = buf_finish(&in);
    view_add(&s->view, &run);
    run_clear(&run);
    buf_clear(&bytes);
}

/* "key=value,value;" of each entry, pages divided by "|". Every page is decoded alone, as SDKs do. */
static char *read_all(struct scene *s, event_time start, size_t limit) {
    CLEANUP_SLICE struct slice in = window(start);
    uint64_t position = 0;
    struct buf text = {0};
    char *string;
    bool more;

    do {
        struct buf page = {0};
        struct cursor at, key, value;
        uint32_t count;

        ck_assert_int_eq(view_read_entries(&s->view, in, &position, limit, SIZE_MAX, &page, &more), 0);
        at = cursor_of(buf_data(&page), page.size);
        while (cursor_left(&at)) {
            ck_assert(cursor_prefixed(&at, &key) && cursor_be32(&at, &count));
            buf_add(&text, key.at, cursor_left(&key));
            for (uint32_t i = 0; i < count; i++) {
                ck_assert(cursor_prefixed(&at, &value));
                buf_add_u8(&text, i ? ',' : '=');
                buf_add(&text, value.at, cursor_left(&value));
            }
            buf_add_u8(&text, ';');
        }
        if (more)
            buf_add_u8(&text, '|');
        buf_clear(&page);
    } while (more);
    string = xmemdup0(buf_data(&text), text.size);
    buf_clear(&text);
    return string;
}

START_TEST(all_keys_of_a_window_come_with_their_values)
{
    struct scene s = scene_create();
    CLEANUP(freep) char *first = NULL, *second = NULL, *none = NULL;

    add(&s, 0, "a", "1");
    add(&s, 0, "b", "2");
    add(&s, 20, "a", "3");
    add(&s, 0, "a", "4");
    add(&s, 0, "a", "");
    first = read_all(&s, 0, 1 << 20);
    second = read_all(&s, 20, 1 << 20);
    none = read_all(&s, 40, 1 << 20);
    ck_assert_str_eq(first, "a=1,4,;b=2;");
    ck_assert_str_eq(second, "a=3;");
    ck_assert_str_eq(none, "");
    scene_clear(&s);
}
END_TEST

START_TEST(pages_end_at_entries)
{
    struct scene s = scene_create();
    CLEANUP(freep) char *tiny = NULL, *two = NULL;

    add(&s, 0, "a", "1");
    add(&s, 0, "b", "2");
    add(&s, 0, "c", "3");
    tiny = read_all(&s, 0, 1);
    two = read_all(&s, 0, 17); /* an entry takes 8 */
    ck_assert_str_eq(tiny, "a=1;|b=2;|c=3;");
    ck_assert_str_eq(two, "a=1;b=2;|c=3;");
    scene_clear(&s);
}
END_TEST

START_TEST(keys_on_many_pages_of_their_own_are_all_read)
{
    struct scene s = scene_create();
    CLEANUP(freep) char *text = NULL;
    size_t entries = 0;

    for (int i = 0; i < 5000; i++) {
        CLEANUP(freep) char *key = xasprintf("key-%05d", i);

        add(&s, 0, key, "v");
    }
    text = read_all(&s, 0, 1000);
    for (const char *at = text; *at; at++)
        entries += *at == ';';
    ck_assert_uint_eq(entries, 5000);
    ck_assert_ptr_nonnull(strstr(text, "key-04999=v;"));
    scene_clear(&s);
}
END_TEST

START_TEST(an_entry_over_the_limit_is_refused_where_it_comes)
{
    struct scene s = scene_create();
    CLEANUP_SLICE struct slice in = window(0);
    uint64_t position = 0;
    struct buf page = {0};
    bool more;

    add(&s, 0, "a", "1");
    for (int i = 0; i < 20; i++)
        add(&s, 0, "b", "many");
    ck_assert_int_eq(view_read_entries(&s.view, in, &position, 10, 50, &page, &more), 0);
    ck_assert(more);
    ck_assert_int_lt(view_read_entries(&s.view, in, &position, 10, 50, &page, &more), 0);
    buf_clear(&page);
    scene_clear(&s);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("entries");
    TCase *tc = tcase_create("entries");

    tcase_add_test(tc, all_keys_of_a_window_come_with_their_values);
    tcase_add_test(tc, pages_end_at_entries);
    tcase_add_test(tc, keys_on_many_pages_of_their_own_are_all_read);
    tcase_add_test(tc, an_entry_over_the_limit_is_refused_where_it_comes);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
