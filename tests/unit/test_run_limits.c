#include "jobserver/run_limits.h"

#include <check.h>
#include <stdlib.h>

#include "base/mem.h"

static const size_t MIB = 1 << 20;

START_TEST(without_a_budget_nothing_changes)
{
    struct engine_options options = {.max_inline_bytes = 7};

    run_limits_apply(&options, 0, 4);
    ck_assert_uint_eq(options.bundle_bytes, 0);
    ck_assert_uint_eq(options.max_bucket_bytes, 0);
    ck_assert_uint_eq(options.max_inline_bytes, 7);
}
END_TEST

/* The engine's defaults, and not more, however large the budget. */
START_TEST(a_large_budget_lowers_nothing)
{
    struct engine_options options = {0};

    run_limits_apply(&options, 64000 * MIB, 8);
    ck_assert_uint_eq(options.bundle_bytes, 32 * MIB);
    ck_assert_uint_eq(options.message_bytes, MIB);
    ck_assert_uint_eq(options.send_window_bytes, 4 * MIB);
    ck_assert_uint_eq(options.max_inline_bytes, 32 * MIB);
}
END_TEST

START_TEST(all_slots_together_take_at_most_the_half_that_cannot_be_stored)
{
    for (size_t budget = 32 * MIB; budget <= 4096 * MIB; budget *= 2)
        for (unsigned slots = 1; slots <= 16; slots *= 2) {
            struct engine_options o = {0};
            size_t all;

            run_limits_apply(&o, budget, slots);
            all = slots * (o.bundle_bytes + 2 * o.max_bucket_bytes + o.send_window_bytes);
            ck_assert_msg(all <= budget / 2 + budget / 8, "%zu MiB of %zu with %u slots", all / MIB, budget / MIB,
                          slots);
        }
}
END_TEST

START_TEST(what_the_configuration_says_of_groups_is_kept_when_it_is_less)
{
    struct engine_options options = {.max_inline_bytes = 1024};

    run_limits_apply(&options, 512 * MIB, 2);
    ck_assert_uint_eq(options.max_inline_bytes, 1024);
}
END_TEST

/* A job must go on, however little it was given. */
START_TEST(a_tiny_budget_leaves_something_to_work_with)
{
    struct engine_options options = {0};

    run_limits_apply(&options, 1, 100);
    ck_assert_uint_ge(options.bundle_bytes, 65536);
    ck_assert_uint_ge(options.message_bytes, 65536);
    ck_assert_uint_ge(options.send_window_bytes, options.message_bytes);
    ck_assert_uint_ge(options.max_bucket_bytes, 65536);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("run_limits");
    TCase *tcase = tcase_create("run_limits");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_test(tcase, without_a_budget_nothing_changes);
    tcase_add_test(tcase, a_large_budget_lowers_nothing);
    tcase_add_test(tcase, all_slots_together_take_at_most_the_half_that_cannot_be_stored);
    tcase_add_test(tcase, what_the_configuration_says_of_groups_is_kept_when_it_is_less);
    tcase_add_test(tcase, a_tiny_budget_leaves_something_to_work_with);
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
