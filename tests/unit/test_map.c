#include "base/map.h"

#include "tests/unit/fixtures.h"

START_TEST(what_was_set_is_found_and_what_was_not_is_not)
{
    struct map map = {0};
    int one, two;

    ck_assert_ptr_null(map_get_string(&map, "a"));
    ck_assert_ptr_null(map_set_string(&map, "a", &one));
    ck_assert_ptr_eq(map_set_string(&map, "a", &two), &one);
    ck_assert_ptr_eq(map_get_string(&map, "a"), &two);
    ck_assert_ptr_null(map_get_string(&map, "b"));
    ck_assert(map_has_string(&map, "a") && !map_has_string(&map, "aa"));
    ck_assert_uint_eq(map.count, 1);
    map_clear(&map, NULL);
}
END_TEST

START_TEST(keys_are_bytes_and_may_be_empty_or_hold_nul)
{
    struct map map = {0};
    int empty, nul;

    map_set(&map, "", 0, &empty);
    map_set(&map, "a\0b", 3, &nul);
    ck_assert_ptr_eq(map_get(&map, NULL, 0), &empty);
    ck_assert_ptr_eq(map_get(&map, "a\0b", 3), &nul);
    ck_assert_ptr_null(map_get(&map, "a\0c", 3));
    map_clear(&map, NULL);
}
END_TEST

/* A long random life, beside a plain array. */
START_TEST(it_agrees_with_an_array_whatever_is_set_and_removed)
{
    enum { KEYS = 200 };
    struct map map = {0};
    uintptr_t want[KEYS] = {0};
    uint32_t random = 12345;
    size_t count = 0;

    for (int step = 1; step < 50000; step++) {
        unsigned key;

        random = random * 1664525 + 1013904223;
        key = (random >> 8) % KEYS;
        if (random >> 28 < 7) {
            ck_assert_uint_eq((uintptr_t)map_remove(&map, &key, sizeof(key)), want[key]);
            count -= want[key] != 0;
            want[key] = 0;
        } else {
            map_set(&map, &key, sizeof(key), (void *)(uintptr_t)step);
            count += want[key] == 0;
            want[key] = (uintptr_t)step;
        }
        ck_assert_uint_eq(map.count, count);
    }
    for (unsigned key = 0; key < KEYS; key++)
        ck_assert_uint_eq((uintptr_t)map_get(&map, &key, sizeof(key)), want[key]);
    map_clear(&map, NULL);
}
END_TEST

START_TEST(it_is_walked_in_the_order_of_insertion)
{
    struct map map = {0};
    char seen[64] = "";
    int value;

    for (const char *key = "qwertyuiopasdfghjkl"; *key; key++)
        map_set(&map, key, 1, &value);
    map_foreach (entry, &map)
        strncat(seen, entry->key, 1);
    ck_assert_str_eq(seen, "qwertyuiopasdfghjkl");
    map_clear(&map, NULL);
}
END_TEST

static int freed;

static void count_free(void *value) {
    (void)value;
    freed++;
}

START_TEST(clear_frees_each_value_once)
{
    struct map map = {0};
    int value;

    freed = 0;
    map_set_string(&map, "a", &value);
    map_set_string(&map, "b", &value);
    map_remove_string(&map, "a");
    map_clear(&map, count_free);
    ck_assert_int_eq(freed, 1);
    ck_assert_uint_eq(map.count, 0);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("map");
    TCase *tc = tcase_create("map");

    tcase_add_test(tc, what_was_set_is_found_and_what_was_not_is_not);
    tcase_add_test(tc, keys_are_bytes_and_may_be_empty_or_hold_nul);
    tcase_add_test(tc, it_agrees_with_an_array_whatever_is_set_and_removed);
    tcase_add_test(tc, it_is_walked_in_the_order_of_insertion);
    tcase_add_test(tc, clear_frees_each_value_once);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
