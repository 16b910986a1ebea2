#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jobserver/job.h"

static const struct job_limits roomy = {.max_messages = 1000, .max_message_bytes = 1 << 20, .max_bytes = 1 << 24};

static struct job *make_job(const struct job_limits *limits) {
    return job_create("the-id", &(struct job_spec){.name = "name"}, limits);
}

/* What a subscriber saw, as text: states by name, messages as "importance:text". */
struct seen {
    char text[1 << 16];
    size_t size;
    unsigned count;
    struct job_subscription *subscription;
    unsigned pause_after;       /* 0: never */
    unsigned unsubscribe_after; /* 0: never */
    struct job *talk_back;      /* adds a message from inside the callback, once */
};

static void see(void *user, const struct job_event *event) {
    struct seen *seen = user;
    struct job *talk_to = seen->talk_back;

    if (event->is_state)
        seen->size += (size_t)snprintf(seen->text + seen->size, sizeof(seen->text) - seen->size, "%s ",
                                       job_state_name(event->state));
    else
        seen->size += (size_t)snprintf(seen->text + seen->size, sizeof(seen->text) - seen->size, "%d:%s ",
                                       (int)event->importance, event->text);
    ck_assert_uint_lt(seen->size, sizeof(seen->text));
    seen->count++;
    seen->talk_back = NULL;
    if (talk_to)
        job_add_message(talk_to, JOB_MESSAGE_BASIC, "reply");
    if (seen->count == seen->pause_after)
        job_subscription_pause(seen->subscription);
    if (seen->count == seen->unsubscribe_after)
        job_unsubscribe(seen->subscription);
}

static char *history_of(struct job *job) {
    struct seen *seen = calloc(1, sizeof(*seen));
    char *text;

    job_unsubscribe(job_subscribe(job, see, seen));
    text = strdup(seen->text);
    free(seen);
    return text;
}

static void expect_history(struct job *job, const char *expected) {
    char *text = history_of(job);

    ck_assert_str_eq(text, expected);
    free(text);
}

START_TEST(a_new_job_is_stopped_and_says_so)
{
    struct job *job = make_job(&roomy);

    ck_assert_int_eq(job_current_state(job), JOB_STOPPED);
    ck_assert_str_eq(job_id(job), "the-id");
    expect_history(job, "STOPPED ");
    job_unref(job);
}
END_TEST

START_TEST(a_subscriber_gets_the_history_and_then_what_is_new)
{
    struct job *job = make_job(&roomy);
    struct seen *seen = calloc(1, sizeof(*seen));
    struct job_subscription *subscription;

    job_set_state(job, JOB_STARTING);
    job_add_message(job, JOB_MESSAGE_BASIC, "old %d", 1);
    subscription = job_subscribe(job, see, seen);
    ck_assert_str_eq(seen->text, "STOPPED STARTING 3:old 1 ");
    job_set_state(job, JOB_RUNNING);
    job_set_state(job, JOB_DONE);
    ck_assert_str_eq(seen->text, "STOPPED STARTING 3:old 1 RUNNING DONE ");
    job_add_message(job, JOB_MESSAGE_BASIC, "after the end");
    ck_assert_str_eq(seen->text, "STOPPED STARTING 3:old 1 RUNNING DONE ");
    job_unsubscribe(subscription);
    free(seen);
    job_unref(job);
}
END_TEST

START_TEST(states_do_not_repeat_and_end_with_the_terminal_one)
{
    struct job *job = make_job(&roomy);

    ck_assert(job_set_state(job, JOB_RUNNING));
    ck_assert(!job_set_state(job, JOB_RUNNING));
    ck_assert(job_set_state(job, JOB_CANCELLED));
    ck_assert(!job_set_state(job, JOB_RUNNING));
    ck_assert(!job_set_state(job, JOB_FAILED));
    ck_assert_int_eq(job_current_state(job), JOB_CANCELLED);
    expect_history(job, "STOPPED RUNNING CANCELLED ");
    job_unref(job);
}
END_TEST

START_TEST(a_running_job_drains_and_ends_drained)
{
    struct job *job = make_job(&roomy);

    job_set_state(job, JOB_RUNNING);
    ck_assert_int_eq(job_start_draining(job, NULL), 0);
    ck_assert_int_eq(job_current_state(job), JOB_DRAINING);
    ck_assert_int_eq(job_start_draining(job, NULL), 0);
    job_succeed(job);
    expect_history(job, "STOPPED RUNNING DRAINING DRAINED ");
    ck_assert(job_state_is_terminal(JOB_DRAINED));
    job_unref(job);
}
END_TEST

START_TEST(a_job_that_nobody_drained_ends_done)
{
    struct job *job = make_job(&roomy);

    job_set_state(job, JOB_RUNNING);
    job_succeed(job);
    expect_history(job, "STOPPED RUNNING DONE ");
    job_unref(job);
}
END_TEST

START_TEST(a_draining_job_can_be_cancelled_and_can_fail)
{
    struct job *cancelled = make_job(&roomy), *failed = make_job(&roomy);

    job_set_state(cancelled, JOB_RUNNING);
    ck_assert_int_eq(job_start_draining(cancelled, NULL), 0);
    job_set_state(cancelled, JOB_CANCELLING);
    job_set_state(cancelled, JOB_CANCELLED);
    job_succeed(cancelled);
    expect_history(cancelled, "STOPPED RUNNING DRAINING CANCELLING CANCELLED ");
    job_unref(cancelled);

    job_set_state(failed, JOB_RUNNING);
    ck_assert_int_eq(job_start_draining(failed, NULL), 0);
    job_fail(failed, "why");
    expect_history(failed, "STOPPED RUNNING DRAINING 5:why FAILED ");
    job_unref(failed);
}
END_TEST

static void expect_no_drain(const enum job_state *states, size_t count, const char *why) {
    CLEANUP_STATUS struct status st = {0};
    struct job *job = make_job(&roomy);
    enum job_state before;

    for (size_t i = 0; i < count; i++)
        job_set_state(job, states[i]);
    before = job_current_state(job);
    ck_assert_int_eq(job_start_draining(job, &st), -STATUS_FAILED_PRECONDITION);
    ck_assert_msg(strstr(status_message(&st), why) && strstr(status_message(&st), job_id(job)), "%s",
                  status_message(&st));
    ck_assert_int_eq(job_current_state(job), before);
    job_unref(job);
}

START_TEST(only_a_running_job_can_be_drained)
{
    expect_no_drain(NULL, 0, "has not begun to run (STOPPED)");
    expect_no_drain((enum job_state[]){JOB_STARTING}, 1, "has not begun to run (STARTING)");
    expect_no_drain((enum job_state[]){JOB_RUNNING, JOB_CANCELLING}, 2, "is being cancelled");
    expect_no_drain((enum job_state[]){JOB_RUNNING, JOB_DONE}, 2, "is over (DONE)");
    expect_no_drain((enum job_state[]){JOB_RUNNING, JOB_DRAINING, JOB_DRAINED}, 3, "is over (DRAINED)");
}
END_TEST

START_TEST(the_reason_is_the_last_error_before_failed)
{
    struct job *job = make_job(&roomy);
    struct seen *seen = calloc(1, sizeof(*seen));

    job_add_message(job, JOB_MESSAGE_ERROR, "a harness log");
    job_fail(job, "the root cause");
    job_fail(job, "a later one");
    expect_history(job, "STOPPED 4:a harness log 5:the root cause FAILED ");
    ck_assert(!job_set_state(job, JOB_DONE));
    free(seen);
    job_unref(job);
}
END_TEST

START_TEST(text_that_is_not_utf8_is_mended_and_long_text_is_cut)
{
    struct job_limits limits = roomy;
    struct job *job;

    limits.max_message_bytes = 32;
    job = make_job(&limits);
    job_add_message(job, JOB_MESSAGE_BASIC, "%s", "\xc3\xa4 \xff \xe2\x82");
    job_add_message(job, JOB_MESSAGE_BASIC, "%s", "0123456789012345678901234567890123456789");
    expect_history(job, "STOPPED 3:\xc3\xa4 ? ?? 3:0123456789012345678901... [cut] ");
    job_unref(job);
}
END_TEST

START_TEST(beyond_the_limit_the_oldest_small_talk_goes_first_and_a_note_says_how_much)
{
    struct job_limits limits = {.max_messages = 8, .max_message_bytes = 100, .max_bytes = 1 << 20};
    struct job *job = make_job(&limits);
    char *text;

    job_add_message(job, JOB_MESSAGE_ERROR, "bad");
    for (int i = 0; i < 8; i++)
        job_add_message(job, JOB_MESSAGE_DEBUG, "m%d", i);
    text = history_of(job);
    ck_assert_ptr_nonnull(strstr(text, "STOPPED 5:bad 3:2 messages before this one were dropped"));
    ck_assert_ptr_null(strstr(text, "m1 "));
    ck_assert_ptr_nonnull(strstr(text, "m2 "));
    free(text);
    for (int i = 8; i < 1000; i++)
        job_add_message(job, JOB_MESSAGE_DEBUG, "m%d", i);
    text = history_of(job);
    ck_assert_ptr_nonnull(strstr(text, "5:bad "));
    ck_assert_ptr_nonnull(strstr(text, "m999 "));
    ck_assert_ptr_null(strstr(strstr(text, "dropped") + 1, "dropped"));
    ck_assert_uint_lt(strlen(text), 300);
    free(text);
    job_unref(job);
}
END_TEST

START_TEST(errors_are_bounded_too)
{
    struct job_limits limits = {.max_messages = 100000, .max_message_bytes = 1000, .max_bytes = 20000};
    struct job *job = make_job(&limits);

    for (int i = 0; i < 1000; i++)
        job_add_message(job, JOB_MESSAGE_ERROR, "%0500d", i);
    ck_assert_uint_lt(job_memory_bytes(job), 30000);
    job_fail(job, "why");
    ck_assert_int_eq(job_current_state(job), JOB_FAILED);
    job_unref(job);
}
END_TEST

START_TEST(a_paused_subscriber_misses_nothing)
{
    struct job *job = make_job(&roomy);
    struct seen *seen = calloc(1, sizeof(*seen));

    seen->pause_after = 2;
    seen->subscription = job_subscribe_paused(job, see, seen);
    ck_assert_uint_eq(seen->count, 0);
    job_subscription_resume(seen->subscription);
    for (int i = 0; i < 3; i++)
        job_add_message(job, JOB_MESSAGE_BASIC, "m%d", i);
    ck_assert_str_eq(seen->text, "STOPPED 3:m0 ");
    job_subscription_resume(seen->subscription);
    ck_assert_str_eq(seen->text, "STOPPED 3:m0 3:m1 3:m2 ");
    job_unsubscribe(seen->subscription);
    free(seen);
    job_unref(job);
}
END_TEST

START_TEST(a_callback_may_add_events_and_end_its_own_subscription)
{
    struct job *job = make_job(&roomy);
    struct seen *seen = calloc(1, sizeof(*seen));

    seen->talk_back = job;
    seen->unsubscribe_after = 2;
    seen->subscription = job_subscribe_paused(job, see, seen);
    job_subscription_resume(seen->subscription);
    job_set_state(job, JOB_DONE);
    ck_assert_str_eq(seen->text, "STOPPED 3:reply ");
    free(seen);
    job_unref(job);
}
END_TEST

static void *add_many(void *user) {
    for (int i = 0; i < 500; i++)
        job_add_message(user, JOB_MESSAGE_BASIC, "x");
    return NULL;
}

START_TEST(many_threads_append_and_each_subscriber_sees_all_in_order)
{
    struct job_limits limits = {.max_messages = 10000, .max_message_bytes = 100, .max_bytes = 1 << 24};
    struct job *job = make_job(&limits);
    struct seen *seen = calloc(2, sizeof(*seen));
    struct job_subscription *subscriptions[2];
    pthread_t threads[4];

    for (int i = 0; i < 2; i++)
        subscriptions[i] = job_subscribe(job, see, &seen[i]);
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, add_many, job);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < 2; i++) {
        job_unsubscribe(subscriptions[i]);
        ck_assert_uint_eq(seen[i].count, 1 + 4 * 500);
    }
    free(seen);
    job_unref(job);
}
END_TEST

START_TEST(metrics_are_replaced_as_a_whole)
{
    struct job *job = make_job(&roomy);
    struct metric_table attempted = {0}, committed = {0};
    const char *const labels[][2] = {{"PTRANSFORM", "t"}};
    struct metric metric = {
        .identity = metric_identity("beam:metric:user:sum_int64:v1", "beam:metrics:sum_int64:v1", labels, 1),
        .payload = slice_copy("\x05", 1, NULL),
    };
    struct job_metrics *before = job_get_metrics(job), *after;

    metric_table_add(&attempted, &metric);
    job_set_metrics(job, &attempted, &committed);
    after = job_get_metrics(job);
    ck_assert_uint_eq(before->attempted.by_identity.count, 0);
    ck_assert_uint_eq(after->attempted.by_identity.count, 1);
    ck_assert_uint_eq(attempted.by_identity.count, 0);
    job_metrics_unref(before);
    job_metrics_unref(after);
    slice_unref(&metric.identity);
    slice_unref(&metric.payload);
    job_unref(job);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("job");
    TCase *tests = tcase_create("job");
    SRunner *runner;
    int failed;

    tcase_add_test(tests, a_new_job_is_stopped_and_says_so);
    tcase_add_test(tests, a_subscriber_gets_the_history_and_then_what_is_new);
    tcase_add_test(tests, states_do_not_repeat_and_end_with_the_terminal_one);
    tcase_add_test(tests, a_running_job_drains_and_ends_drained);
    tcase_add_test(tests, a_job_that_nobody_drained_ends_done);
    tcase_add_test(tests, a_draining_job_can_be_cancelled_and_can_fail);
    tcase_add_test(tests, only_a_running_job_can_be_drained);
    tcase_add_test(tests, the_reason_is_the_last_error_before_failed);
    tcase_add_test(tests, text_that_is_not_utf8_is_mended_and_long_text_is_cut);
    tcase_add_test(tests, beyond_the_limit_the_oldest_small_talk_goes_first_and_a_note_says_how_much);
    tcase_add_test(tests, errors_are_bounded_too);
    tcase_add_test(tests, a_paused_subscriber_misses_nothing);
    tcase_add_test(tests, a_callback_may_add_events_and_end_its_own_subscription);
    tcase_add_test(tests, many_threads_append_and_each_subscriber_sees_all_in_order);
    tcase_add_test(tests, metrics_are_replaced_as_a_whole);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
