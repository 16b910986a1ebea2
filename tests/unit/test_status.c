#include "base/status.h"

#include <errno.h>

#include "tests/unit/fixtures.h"

static int fails(struct status *st) {
    return status_set(st, STATUS_NOT_FOUND, "no %s", "such thing");
}

START_TEST(a_failure_has_a_code_and_a_text_and_gains_places_on_the_way_up)
{
    struct status st = {0};

    ck_assert_int_eq(fails(&st), -STATUS_NOT_FOUND);
    ck_assert_str_eq(status_message(&st), "no such thing");
    ck_assert_int_eq(status_prefix(&st, "line %d", 3), -STATUS_NOT_FOUND);
    ck_assert_str_eq(status_message(&st), "line 3: no such thing");
    status_clear(&st);
    ck_assert_int_eq(st.code, STATUS_OK);
}
END_TEST

START_TEST(nobody_needs_to_listen)
{
    ck_assert_int_eq(fails(NULL), -STATUS_NOT_FOUND);
    ck_assert_int_lt(status_set_errno(NULL, ENOENT, "x"), 0);
}
END_TEST

START_TEST(errno_becomes_the_code_that_fits)
{
    struct status st = {0};

    ck_assert_int_eq(status_set_errno(&st, ENOENT, "open %s", "f"), -STATUS_NOT_FOUND);
    ck_assert_str_eq(status_message(&st), "open f: No such file or directory");
    ck_assert_int_eq(status_set_errno(&st, ENOSPC, "write"), -STATUS_RESOURCE_EXHAUSTED);
    ck_assert_int_eq(status_set_errno(&st, EXDEV, "rename"), -STATUS_INTERNAL);
    status_clear(&st);
}
END_TEST

START_TEST(moving_empties_the_source)
{
    struct status from = {0}, to = {0};

    fails(&from);
    ck_assert_int_eq(status_move(&to, &from), -STATUS_NOT_FOUND);
    ck_assert_int_eq(from.code, STATUS_OK);
    ck_assert_str_eq(status_message(&to), "no such thing");
    status_clear(&to);
    ck_assert_str_eq(status_message(&to), "OK");
}
END_TEST

int main(void) {
    Suite *suite = suite_create("status");
    TCase *tc = tcase_create("status");

    tcase_add_test(tc, a_failure_has_a_code_and_a_text_and_gains_places_on_the_way_up);
    tcase_add_test(tc, nobody_needs_to_listen);
    tcase_add_test(tc, errno_becomes_the_code_that_fits);
    tcase_add_test(tc, moving_empties_the_source);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
