#include "engine/holds.h"

#include "tests/unit/fixtures.h"

START_TEST(without_holds_nothing_is_held)
{
    struct holds holds = {0};

    ck_assert_int_eq(holds_min(&holds), TIME_MAX);
    holds_add(&holds, 5);
    ck_assert_int_eq(holds_min(&holds), 5);
    holds_remove(&holds, 5);
    ck_assert_int_eq(holds_min(&holds), TIME_MAX);
    ck_assert_uint_eq(holds_count(&holds), 0);
    holds_clear(&holds);
}
END_TEST

START_TEST(many_holds_may_share_a_time)
{
    struct holds holds = {0};

    holds_add(&holds, 5);
    holds_add(&holds, 7);
    holds_add(&holds, 5);
    holds_remove(&holds, 5);
    ck_assert_int_eq(holds_min(&holds), 5);
    holds_remove(&holds, 5);
    ck_assert_int_eq(holds_min(&holds), 7);
    holds_clear(&holds);
}
END_TEST

START_TEST(a_hold_removed_early_never_becomes_the_least)
{
    struct holds holds = {0};

    for (event_time t = 0; t < 10; t++)
        holds_add(&holds, t);
    for (event_time t = 1; t < 9; t++)
        holds_remove(&holds, t);
    ck_assert_int_eq(holds_min(&holds), 0);
    holds_add(&holds, 4);
    holds_remove(&holds, 0);
    ck_assert_int_eq(holds_min(&holds), 4);
    holds_remove(&holds, 4);
    ck_assert_int_eq(holds_min(&holds), 9);
    holds_clear(&holds);
}
END_TEST

START_TEST(holds_that_come_and_go_above_one_that_stays_take_no_memory)
{
    struct account *account = account_create("holds", NULL, 0);
    struct holds holds = {.account = account};

    holds_add(&holds, TIME_MIN);
    for (event_time t = 0; t < 100000; t++) {
        holds_add(&holds, t);
        if (t >= 10)
            holds_remove(&holds, t - 10);
    }
    ck_assert_uint_eq(holds_count(&holds), 11);
    ck_assert_uint_lt(account_used(account), 8192);
    holds_remove(&holds, TIME_MIN);
    ck_assert_int_eq(holds_min(&holds), 99990);
    holds_clear(&holds);
    ck_assert_uint_eq(account_used(account), 0);
    account_unref(account);
}
END_TEST

/* Against a table of counts. */
START_TEST(the_least_is_right_after_any_mix)
{
    enum { TIMES = 50 };
    struct holds holds = {0};
    unsigned counts[TIMES] = {0};
    uint64_t random = 1;

    for (int i = 0; i < 200000; i++) {
        event_time least = TIME_MAX;
        unsigned t;

        random = random * UINT64_C(6364136223846793005) + 1442695040888963407u;
        t = (unsigned)(random >> 33) % TIMES;
        if (random >> 62 < 2 || !counts[t]) {
            counts[t]++;
            holds_add(&holds, t);
        } else {
            counts[t]--;
            holds_remove(&holds, t);
        }
        for (t = TIMES; t-- > 0;)
            if (counts[t])
                least = t;
        ck_assert_int_eq(holds_min(&holds), least);
    }
    holds_clear(&holds);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("holds");
    TCase *tcase = tcase_create("holds");

    tcase_add_test(tcase, without_holds_nothing_is_held);
    tcase_add_test(tcase, many_holds_may_share_a_time);
    tcase_add_test(tcase, a_hold_removed_early_never_becomes_the_least);
    tcase_add_test(tcase, holds_that_come_and_go_above_one_that_stays_take_no_memory);
    tcase_add_test(tcase, the_least_is_right_after_any_mix);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
