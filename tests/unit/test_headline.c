#include <check.h>

#include "jobserver/inspection/headline.h"

static void expect(const char *text, const char *want) {
    struct arena arena = {0};

    ck_assert_str_eq(headline(&arena, text), want);
    arena_clear(&arena);
}

START_TEST(the_first_line_stands_for_the_error)
{
    expect(NULL, "");
    expect("", "");
    expect("the disk is full", "the disk is full");
    expect("java.lang.RuntimeException: no\n\tat org.apache.Foo\nCaused by: no", "java.lang.RuntimeException: no");
}
END_TEST

START_TEST(of_a_traceback_it_is_the_last_exception)
{
    expect(
        "Traceback (most recent call last):\n  File \"a.py\", line 1, in f\n    g()\nValueError: first\n\nDuring "
        "handling of the "
        "above exception, another exception occurred:\n\nTraceback (most recent call last):\n  File \"b.py\", line 2\n"
        "KeyError: \"it\" [while running 'Map']\nmore of its text\n\n(attempt 2 of 2)",
        "KeyError: \"it\" [while running 'Map']");
    expect("Traceback (most recent call last):\n  File \"cut", "Traceback (most recent call last):");
}
END_TEST

int main(void) {
    Suite *suite = suite_create("headline");
    TCase *tests = tcase_create("headline");
    SRunner *runner;
    int failed;

    tcase_add_test(tests, the_first_line_stands_for_the_error);
    tcase_add_test(tests, of_a_traceback_it_is_the_last_exception);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
