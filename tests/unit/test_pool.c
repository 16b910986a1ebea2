#include "base/pool.h"

#include <pthread.h>
#include <stdatomic.h>

#include "tests/unit/fixtures.h"

enum { TASKS = 2000 };

static atomic_int runs;

static void count_run(void *user) {
    (void)user;
    atomic_fetch_add(&runs, 1);
}

START_TEST(every_task_runs_exactly_once_also_those_queued_at_the_end)
{
    struct pool *pool = pool_create(3);

    atomic_store(&runs, 0);
    for (int i = 0; i < TASKS; i++)
        pool_run(pool, count_run, NULL);
    pool_run_after(pool, 60 * 60 * 1000, count_run, NULL);
    pool_destroy(pool);
    ck_assert_int_eq(atomic_load(&runs), TASKS + 1);
}
END_TEST

struct chain {
    struct pool *pool;
    int left;
};

static void queue_next(void *user) {
    struct chain *chain = user;

    count_run(NULL);
    if (--chain->left)
        pool_run(chain->pool, queue_next, chain);
}

START_TEST(a_task_may_queue_another_even_while_the_pool_ends)
{
    struct chain chain = {.pool = pool_create(2), .left = 100};

    atomic_store(&runs, 0);
    pool_run(chain.pool, queue_next, &chain);
    pool_destroy(chain.pool);
    ck_assert_int_eq(atomic_load(&runs), 100);
}
END_TEST

struct step {
    int *next; /* not atomic: that tasks of a lane never run at once is what is tested */
    int number;
    bool *in_order;
};

static void take_step(void *user) {
    struct step *step = user;

    *step->in_order &= *step->next == step->number;
    ++*step->next;
    free(step);
}

START_TEST(tasks_of_a_lane_run_one_at_a_time_and_in_order)
{
    struct pool *pool = pool_create(4);
    struct lane *lanes[2] = {lane_create(pool), lane_create(pool)};
    int next[2] = {0};
    bool in_order[2] = {true, true};

    for (int i = 0; i < TASKS; i++)
        for (int j = 0; j < 2; j++) {
            struct step *step = xcalloc(1, sizeof(*step));

            *step = (struct step){&next[j], i, &in_order[j]};
            lane_run(lanes[j], take_step, step);
        }
    lane_release(lanes[0]);
    lane_release(lanes[1]);
    pool_destroy(pool);
    for (int j = 0; j < 2; j++) {
        ck_assert(in_order[j]);
        ck_assert_int_eq(next[j], TASKS);
    }
}
END_TEST

struct gate {
    pthread_mutex_t mutex;
    pthread_cond_t opened;
    bool is_open;
};

static void open_gate(void *user) {
    struct gate *gate = user;

    pthread_mutex_lock(&gate->mutex);
    gate->is_open = true;
    pthread_cond_signal(&gate->opened);
    pthread_mutex_unlock(&gate->mutex);
}

START_TEST(a_delayed_task_runs_without_anybody_asking)
{
    struct gate gate = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false};
    struct pool *pool = pool_create(1);

    pool_run_after(pool, 1, open_gate, &gate);
    pthread_mutex_lock(&gate.mutex);
    while (!gate.is_open)
        pthread_cond_wait(&gate.opened, &gate.mutex);
    pthread_mutex_unlock(&gate.mutex);
    pool_destroy(pool);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("pool");
    TCase *tc = tcase_create("pool");

    tcase_add_test(tc, every_task_runs_exactly_once_also_those_queued_at_the_end);
    tcase_add_test(tc, a_task_may_queue_another_even_while_the_pool_ends);
    tcase_add_test(tc, tasks_of_a_lane_run_one_at_a_time_and_in_order);
    tcase_add_test(tc, a_delayed_task_runs_without_anybody_asking);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
