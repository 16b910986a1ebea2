/* What a trace says, and how it is shown. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "cli/trace.h"

static struct buf out;
static const struct terminal plain;

static void tear_down(void) {
    buf_clear(&out);
}

static void assert_out(const char *expected) {
    CLEANUP(freep) char *said = xmemdup0(buf_data(&out), out.size);

    ck_assert_str_eq(said, expected);
    buf_clear(&out);
}

static const char python_trace[] = "Traceback (most recent call last):\n"
                                   "  File \"apache_beam/runners/common.py\", line 1512, in process\n"
                                   "  File \"/x/site-packages/apache_beam/a.py\", line 1, in a\n"
                                   "    a()\n"
                                   "  File \"/x/lib/python3.11/b.py\", line 2, in b\n"
                                   "    b()\n"
                                   "  File \"/home/ada/orders.py\", line 13, in parse\n"
                                   "    return int(text)\n"
                                   "orders.BadOrder: no [while running 'Read/Parse']\n"
                                   "\n(attempt 2 of 2)";

START_TEST(a_trace_names_the_cause_the_step_and_the_users_line)
{
    static const struct {
        const char *text, *cause, *where, *step;
    } cases[] = {
        {python_trace, "orders.BadOrder: no", "/home/ada/orders.py, line 13, in parse", "Read/Parse"},
        {"java.lang.RuntimeException: java.lang.IllegalStateException: no\n"
         "\tat org.apache.beam.sdk.util.UserCodeException.wrap(UserCodeException.java:39)\n"
         "\tat shop.Outer.run(Outer.java:3)\n"
         "Caused by: java.lang.IllegalStateException: no\n"
         "\tat java.base/java.util.List.of(List.java:1)\n"
         "\tat shop.Parse.process(Parse.java:9)\n"
         "\tat shop.Parse.outer(Parse.java:2)\n"
         "\t... 3 more\n",
         "java.lang.IllegalStateException: no", "shop.Parse.process (Parse.java:9)", ""},
        {"while executing Process\npanic: no order\n"
         "runtime/debug.Stack()\n\t/usr/local/go/src/runtime/debug/stack.go:24 +0x65\n"
         "main.parse()\n\t/home/ada/main.go:31 +0x1d\nmain.main()\n\t/home/ada/main.go:9 +0x1d\n",
         "panic: no order", "/home/ada/main.go:31", ""},
        {"no room left [while running", "", "", ""},
        {"", "", "", ""},
    };

    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct trace trace;

        trace_read(cases[i].text, &trace);
        ck_assert_str_eq(trace.cause, cases[i].cause);
        ck_assert_str_eq(trace.where, cases[i].where);
        ck_assert_str_eq(trace.step, cases[i].step);
        trace_finish(&trace);
    }
}
END_TEST

START_TEST(a_terminal_folds_the_lines_that_are_not_the_users)
{
    const struct terminal terminal = {.is_terminal = true, .width = 80};

    add_trace(&terminal, python_trace, &out);
    assert_out("  ... 6 lines of the SDK and the interpreter\n"
               "  File \"/home/ada/orders.py\", line 13, in parse\n"
               "    return int(text)\n"
               "orders.BadOrder: no [while running 'Read/Parse']\n"
               "\n(attempt 2 of 2)\n");
    add_trace(&plain, python_trace, &out);
    ck_assert_uint_eq(out.size, strlen(python_trace) + 1);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("trace");
    TCase *cases = tcase_create("trace");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(cases, NULL, tear_down);
    tcase_add_test(cases, a_trace_names_the_cause_the_step_and_the_users_line);
    tcase_add_test(cases, a_terminal_folds_the_lines_that_are_not_the_users);
    suite_add_tcase(suite, cases);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
