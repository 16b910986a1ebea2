/* The watch, without harnesses: what is said when. Times lie in the future of the monotonic clock, so that nobody waits for them. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "jobserver/job_run.h"

enum { REPORT_MS = 100000, KILL_MS = 1000000 };

static const struct job_limits roomy = {.max_messages = 1000, .max_message_bytes = 1 << 20, .max_bytes = 1 << 24};
static const struct plan_stage stage = {.name = "The stage"};

static struct config config;
static struct job_run run;
static unsigned reports, kills, statuses;

static void see(void *user, const struct job_event *event) {
    (void)user;
    if (event->is_state)
        return;
    ck_assert_int_eq(event->importance, JOB_MESSAGE_WARNING);
    reports += strstr(event->text, "has given no sign of life") != NULL;
    kills += strstr(event->text, "bundle.stuck_kill") != NULL;
    statuses += strstr(event->text, "status of worker") != NULL;
}

static void set_up_with(uint64_t report_ms, uint64_t kill_ms) {
    config_init_defaults(&config);
    config.bundle_stuck_report_ms = report_ms;
    config.bundle_stuck_kill_ms = kill_ms;
    run = (struct job_run){.config = &config, .watch_ns = INT64_MAX};
    run.job = job_create("job", &(struct job_spec){.name = "name"}, &roomy);
    list_init(&run.workers);
    job_subscribe(run.job, see, NULL);
}

static void tear_down(void) {
    run_watch_clear(&run);
    job_set_state(run.job, JOB_CANCELLED);
    job_unref(run.job);
    config_clear(&config);
}

static int64_t later(int64_t ms) {
    return monotonic_now_ns() + ms * 1000000;
}

START_TEST(a_silent_bundle_is_reported_at_intervals_that_double)
{
    int64_t next;

    set_up_with(REPORT_MS, 0);
    ck_assert_int_eq(run_watch_check(&run, later(10 * REPORT_MS)), INT64_MAX); /* none runs */
    run_watch_bundle(&run, 7, &stage, 1);
    next = run_watch_check(&run, later(0));
    ck_assert_int_le(next, later(REPORT_MS));
    ck_assert_int_gt(next, later(REPORT_MS / 2));
    ck_assert_uint_eq(reports, 0);
    run_watch_check(&run, later(REPORT_MS));
    ck_assert_uint_eq(reports, 1);
    run_watch_check(&run, later(REPORT_MS + REPORT_MS / 2));
    ck_assert_uint_eq(reports, 1);
    next = run_watch_check(&run, later(2 * REPORT_MS));
    ck_assert_uint_eq(reports, 2);
    ck_assert_int_gt(next, later(3 * REPORT_MS));
    run_watch_check(&run, later(4 * REPORT_MS));
    ck_assert_uint_eq(reports, 3);
    ck_assert_uint_eq(kills, 0);
    tear_down();
}
END_TEST

START_TEST(a_sign_of_life_starts_it_anew)
{
    set_up_with(REPORT_MS, 0);
    run_watch_bundle(&run, 7, &stage, 1);
    run_watch_bundle(&run, 8, &stage, 1);
    run_watch_check(&run, later(REPORT_MS));
    ck_assert_uint_eq(reports, 2);
    run_bundle_sign_of_life(&run, 7);
    run_watch_check(&run, later(REPORT_MS + REPORT_MS / 2)); /* 7 is due again, 8 not yet */
    ck_assert_uint_eq(reports, 3);
    run_watch_forget(&run, 7);
    run_watch_forget(&run, 8);
    ck_assert_int_eq(run_watch_check(&run, later(100 * REPORT_MS)), INT64_MAX);
    ck_assert_uint_eq(reports, 3);
    run_bundle_sign_of_life(&run, 7); /* nothing */
    tear_down();
}
END_TEST

/* Whether this event starts the time anew. */
static bool is_sign(enum run_event_type type, enum engine_event_type engine) {
    struct run_event event = {.type = type, .engine = {.type = engine, .bundle = 7}};
    unsigned before;

    run_watch_bundle(&run, 7, &stage, 1);
    run_watch_check(&run, later(REPORT_MS)); /* the next one is due at twice the time, unless there is a sign */
    before = reports;
    run_watch_event(&run, &event);
    run_watch_check(&run, later(REPORT_MS + REPORT_MS / 2));
    return reports > before;
}

START_TEST(output_state_and_input_taken_are_signs_of_life)
{
    set_up_with(REPORT_MS, 0);
    ck_assert(is_sign(RUN_EVENT_ELEMENTS, 0));
    ck_assert(is_sign(RUN_EVENT_ENGINE, ENGINE_EVENT_STATE));
    ck_assert(is_sign(RUN_EVENT_ENGINE, ENGINE_EVENT_SENT));
    ck_assert(is_sign(RUN_EVENT_ENGINE, ENGINE_EVENT_BUNDLE_DONE));
    ck_assert(!is_sign(RUN_EVENT_ENGINE, ENGINE_EVENT_FINALIZED));
    ck_assert(!is_sign(RUN_EVENT_CONNECTED, 0));
    tear_down();
}
END_TEST

START_TEST(a_worker_is_given_up_once_where_that_is_configured)
{
    set_up_with(REPORT_MS, KILL_MS);
    run_watch_bundle(&run, 7, &stage, 1);
    run_watch_check(&run, later(REPORT_MS));
    ck_assert_uint_eq(reports, 1);
    ck_assert_uint_eq(kills, 0);
    ck_assert_int_eq(run_watch_check(&run, later(KILL_MS)), INT64_MAX);
    ck_assert_uint_eq(kills, 1);
    run_watch_check(&run, later(10 * KILL_MS));
    ck_assert_uint_eq(kills, 1);
    tear_down();
}
END_TEST

START_TEST(zero_is_never)
{
    set_up_with(0, 0);
    run_watch_bundle(&run, 7, &stage, 1);
    ck_assert_int_eq(run_watch_check(&run, later(INT64_C(1) << 40)), INT64_MAX);
    ck_assert_uint_eq(reports + kills, 0);
    tear_down();
}
END_TEST

START_TEST(a_status_is_shown_while_its_bundle_runs)
{
    struct sdk_worker sdk = {.name = "worker-1"};
    struct run_worker worker = {.number = 1, .id = "worker-id", .sdk = &sdk};

    set_up_with(REPORT_MS, 0);
    list_append(&run.workers, &worker.node);
    run_watch_bundle(&run, 7, &stage, 1);
    run_watch_status(&run, 7, "stacks");
    ck_assert_uint_eq(statuses, 1);
    run_watch_forget(&run, 7);
    run_watch_status(&run, 7, "stacks");
    ck_assert_uint_eq(statuses, 1);
    tear_down();
}
END_TEST

int main(void) {
    Suite *suite = suite_create("run_watch");
    TCase *tcase = tcase_create("run_watch");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_test(tcase, a_silent_bundle_is_reported_at_intervals_that_double);
    tcase_add_test(tcase, a_sign_of_life_starts_it_anew);
    tcase_add_test(tcase, output_state_and_input_taken_are_signs_of_life);
    tcase_add_test(tcase, a_worker_is_given_up_once_where_that_is_configured);
    tcase_add_test(tcase, zero_is_never);
    tcase_add_test(tcase, a_status_is_shown_while_its_bundle_runs);
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
