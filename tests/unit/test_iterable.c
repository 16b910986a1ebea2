#include "model/iterable.h"
#include "tests/unit/fixtures.h"

/* The bytes of one-byte values as text, and how it ended. */
static void expect(const char *bytes, size_t size, const char *values, int end, size_t left) {
    struct cursor at = cursor_of(bytes, size);
    struct iterable iterable = iterable_begin(&at);
    char text[16] = "";
    size_t count = 0;
    int more;

    while ((more = iterable_next(&iterable, &at)) > 0)
        text[count++] = (char)*at.at++;
    ck_assert_str_eq(text, values);
    ck_assert_int_eq(more, end);
    ck_assert_uint_eq(cursor_left(&at), left);
}

START_TEST(values_follow_their_count)
{
    expect("\0\0\0\2ab??", 8, "ab", 0, 2);
    expect("\0\0\0\0?", 5, "", 0, 1);
}
END_TEST

START_TEST(batches_follow_each_other_until_an_empty_one)
{
    expect("\377\377\377\377\2ab\1c\0?", 11, "abc", 0, 1);
    expect("\377\377\377\377\0?", 6, "", 0, 1);
}
END_TEST

START_TEST(a_rest_that_is_elsewhere_is_told)
{ expect("\377\377\377\377\1a\377\377\377\377\377\377\377\377\377\1\1t", 18, "a", -1, 2); }
END_TEST

int main(void) {
    Suite *suite = suite_create("iterable");
    TCase *tc = tcase_create("iterable");

    tcase_add_test(tc, values_follow_their_count);
    tcase_add_test(tc, batches_follow_each_other_until_an_empty_one);
    tcase_add_test(tc, a_rest_that_is_elsewhere_is_told);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
