#include "jobserver/run_queue.h"

#include "tests/unit/fixtures.h"

static int names[8];

static void add(struct run_queue *queue, unsigned name, int64_t priority, unsigned least, unsigned most) {
    run_queue_add(queue, &names[name], &(struct run_demand){.priority = priority, .least = least, .most = most});
}

static void expect_next(struct run_queue *queue, unsigned name, unsigned grant) {
    unsigned granted = 77;
    const int *run = run_queue_next(queue, &granted);

    ck_assert_ptr_nonnull(run);
    ck_assert_int_eq(run - names, name);
    ck_assert_uint_eq(granted, grant);
}

static void expect_none(struct run_queue *queue) {
    unsigned granted;

    ck_assert_ptr_null(run_queue_next(queue, &granted));
}

START_TEST(so_many_run_and_the_others_wait_in_order)
{
    struct run_queue queue = {.max_running = 2};

    for (unsigned i = 0; i < 4; i++)
        add(&queue, i, 0, 0, 0);
    expect_next(&queue, 0, 0);
    expect_next(&queue, 1, 0);
    expect_none(&queue);
    ck_assert_uint_eq(run_queue_place(&queue, &names[0]), 0);
    ck_assert_uint_eq(run_queue_place(&queue, &names[2]), 1);
    ck_assert_uint_eq(run_queue_place(&queue, &names[3]), 2);
    run_queue_leave(&queue, 0);
    expect_next(&queue, 2, 0);
    expect_none(&queue);
    run_queue_clear(&queue);
}
END_TEST

START_TEST(priority_goes_before_age_and_equals_keep_their_order)
{
    struct run_queue queue = {0};

    add(&queue, 0, 0, 0, 0);
    add(&queue, 1, 5, 0, 0);
    add(&queue, 2, -1, 0, 0);
    add(&queue, 3, 5, 0, 0);
    add(&queue, 4, 0, 0, 0);
    expect_next(&queue, 1, 0);
    expect_next(&queue, 3, 0);
    expect_next(&queue, 0, 0);
    expect_next(&queue, 4, 0);
    expect_next(&queue, 2, 0);
    run_queue_clear(&queue);
}
END_TEST

START_TEST(processes_are_shared_among_those_that_run_and_wait)
{
    struct run_queue queue = {.max_processes = 8};

    add(&queue, 0, 0, 1, 100);
    expect_next(&queue, 0, 8); /* alone */
    run_queue_leave(&queue, 8);
    for (unsigned i = 0; i < 3; i++)
        add(&queue, i, 0, 1, 100);
    expect_next(&queue, 0, 2); /* 8 among 3 */
    expect_next(&queue, 1, 2);
    expect_next(&queue, 2, 2);
    add(&queue, 3, 0, 1, 1);
    expect_next(&queue, 3, 1); /* no more than it wants */
    add(&queue, 4, 0, 1, 100);
    expect_next(&queue, 4, 1); /* what is left */
    add(&queue, 5, 0, 1, 1);
    expect_none(&queue);
    run_queue_leave(&queue, 2);
    expect_next(&queue, 5, 1);
    run_queue_clear(&queue);
}
END_TEST

START_TEST(a_job_that_needs_more_than_there_are_runs_alone_and_is_not_overtaken)
{
    struct run_queue queue = {.max_processes = 4};

    add(&queue, 0, 0, 1, 2);
    expect_next(&queue, 0, 2);
    add(&queue, 1, 0, 6, 6);
    add(&queue, 2, 0, 1, 1);
    expect_none(&queue);
    run_queue_leave(&queue, 2);
    expect_next(&queue, 1, 6);
    expect_none(&queue);
    run_queue_leave(&queue, 6);
    expect_next(&queue, 2, 1);
    run_queue_clear(&queue);
}
END_TEST

START_TEST(one_that_needs_no_process_waits_for_none)
{
    struct run_queue queue = {.max_processes = 1};

    add(&queue, 0, 0, 1, 1);
    expect_next(&queue, 0, 1);
    add(&queue, 1, 0, 0, 0);
    expect_next(&queue, 1, 0);
    run_queue_clear(&queue);
}
END_TEST

START_TEST(one_that_gave_up_waiting_is_gone)
{
    struct run_queue queue = {.max_running = 1};

    for (unsigned i = 0; i < 3; i++)
        add(&queue, i, 0, 0, 0);
    expect_next(&queue, 0, 0);
    ck_assert(run_queue_remove(&queue, &names[1]));
    ck_assert(!run_queue_remove(&queue, &names[1]));
    ck_assert(!run_queue_remove(&queue, &names[0]));
    run_queue_leave(&queue, 0);
    expect_next(&queue, 2, 0);
    expect_none(&queue);
    run_queue_clear(&queue);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("run_queue");
    TCase *tc = tcase_create("run_queue");

    tcase_add_test(tc, so_many_run_and_the_others_wait_in_order);
    tcase_add_test(tc, priority_goes_before_age_and_equals_keep_their_order);
    tcase_add_test(tc, processes_are_shared_among_those_that_run_and_wait);
    tcase_add_test(tc, a_job_that_needs_more_than_there_are_runs_alone_and_is_not_overtaken);
    tcase_add_test(tc, one_that_needs_no_process_waits_for_none);
    tcase_add_test(tc, one_that_gave_up_waiting_is_gone);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
