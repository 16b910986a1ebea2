#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jobserver/catalogue.h"
#include "temp_dir.h"

static struct catalogue *catalogue;
static struct job_db *db; /* NULL: all is in memory */

static struct plan *empty_plan(void) {
    return xcalloc(1, sizeof(struct plan));
}

static void setup(void) {
    struct catalogue_options options = catalogue_default_options();

    options.max_preparations = 3;
    options.max_running_jobs = 3;
    options.max_finished_jobs = 2;
    ck_assert_int_eq(catalogue_create(&options, &catalogue, NULL), 0);
}

static void teardown(void) {
    catalogue_destroy(catalogue);
}

static void note_id(void *user, struct preparation *preparation, const struct status *st) {
    ck_assert_ptr_null(st);
    snprintf(user, JOB_ID_SIZE, "%s", preparation_id(preparation));
}

/* The id of a new preparation. */
static void prepare(const char *name, char ret_id[JOB_ID_SIZE]) {
    ck_assert_int_eq(
        catalogue_prepare(
            catalogue,
            &(struct preparation_spec){.name = name, .pipeline = slice_of_literal("pipeline"), .plan = empty_plan()},
            note_id, ret_id, NULL),
        0);
    if (db)
        job_db_flush(db);
}

static int start_prepared(const char *id, struct job **ret, struct status *st) {
    return catalogue_start(catalogue, id, NULL, NULL, ret, st);
}

static struct job *start(const char *name) {
    char id[JOB_ID_SIZE];
    struct job *job;

    prepare(name, id);
    ck_assert_int_eq(start_prepared(id, &job, NULL), 0);
    return job;
}

static void expect_id_form(const char *id) {
    ck_assert_uint_ge(strlen(id), 1);
    ck_assert_uint_le(strlen(id), 63);
    ck_assert_uint_eq(strspn(id, "abcdefghijklmnopqrstuvwxyz0123456789-"), strlen(id));
}

START_TEST(ids_have_the_agreed_form_and_order)
{
    static const char *const names[] = {"wordcount", "", "Ünïcode & Spaces!!", "---",
                                        "a-very-long-name-that-goes-on-and-on-and-on-and-on-and-on-and-on-and-on"};
    char before[JOB_ID_SIZE] = "";

    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        char id[JOB_ID_SIZE];
        struct job *job;

        prepare(names[i], id);
        expect_id_form(id);
        ck_assert_int_eq(start_prepared(id, &job, NULL), 0);
        expect_id_form(job_id(job));
        ck_assert_str_ne(job_id(job), id);
        ck_assert_str_gt(job_id(job), before);
        ck_assert_int_ne(job_id(job)[strlen(job_id(job)) - 1], '-');
        snprintf(before, sizeof(before), "%s", job_id(job));
        job_set_state(job, JOB_DONE);
        job_unref(job);
    }
}
END_TEST

START_TEST(the_name_is_readable_in_the_id)
{
    struct job *job = start("My Word_Count 7");

    ck_assert_ptr_nonnull(strstr(job_id(job), "-my-word-count-7"));
    job_unref(job);
}
END_TEST

START_TEST(a_preparation_runs_once)
{
    CLEANUP_STATUS struct status st = {0};
    char id[JOB_ID_SIZE];
    struct job *job, *found;

    prepare("x", id);
    ck_assert_int_eq(start_prepared(id, &job, NULL), 0);
    ck_assert_int_eq(start_prepared(id, &found, &st), -STATUS_NOT_FOUND);
    ck_assert_int_eq(catalogue_find_job(catalogue, job_id(job), &found, NULL), 0);
    ck_assert_ptr_eq(found, job);
    ck_assert(slice_equal_string(job_specification(job)->pipeline, "pipeline"));
    job_unref(found);
    job_unref(job);
}
END_TEST

START_TEST(an_id_that_is_no_job_is_not_found_with_a_word_why)
{
    CLEANUP_STATUS struct status st = {0};
    char id[JOB_ID_SIZE];
    struct job *job;

    prepare("x", id);
    ck_assert_int_eq(catalogue_find_job(catalogue, id, &job, &st), -STATUS_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(status_message(&st), "not run yet"));
    ck_assert_int_eq(catalogue_find_job(catalogue, "nonsense", &job, &st), -STATUS_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(status_message(&st), "nonsense"));
}
END_TEST

START_TEST(the_oldest_preparations_are_dropped)
{
    char ids[5][JOB_ID_SIZE];

    for (int i = 0; i < 5; i++)
        prepare("x", ids[i]);
    for (int i = 0; i < 5; i++) {
        struct preparation *preparation = catalogue_find_preparation(catalogue, ids[i]);

        ck_assert_int_eq(preparation != NULL, i >= 2);
        preparation_unref(preparation);
    }
}
END_TEST

START_TEST(the_oldest_finished_jobs_are_dropped_and_running_ones_stay)
{
    struct job *running = start("running"), *jobs[4];
    struct job_summary *listed;
    size_t count;

    for (int i = 0; i < 4; i++) {
        jobs[i] = start("x");
        job_set_state(jobs[i], JOB_DONE);
    }
    job_unref(start("last"));
    listed = catalogue_list_jobs(catalogue, &(struct job_query){0}, &count);
    ck_assert_uint_eq(count, 4); /* running, two finished, last */
    ck_assert_str_eq(listed[0].id, job_id(running));
    ck_assert_str_eq(listed[1].id, job_id(jobs[2]));
    ck_assert_str_eq(listed[2].id, job_id(jobs[3]));
    ck_assert_str_eq(listed[3].name, "last");
    ck_assert_int_eq(listed[2].state, JOB_DONE);
    ck_assert_int_ge(listed[2].state_time_ms, listed[2].created_ms);
    job_summaries_free(listed, count);
    for (int i = 0; i < 4; i++)
        job_unref(jobs[i]);
    job_unref(running);
}
END_TEST

static void expect_page(const struct job_query *query, struct job *const *expected, size_t expected_count) {
    size_t count;
    struct job_summary *listed = catalogue_list_jobs(catalogue, query, &count);

    ck_assert_uint_eq(count, expected_count);
    for (size_t i = 0; i < count; i++)
        ck_assert_str_eq(listed[i].id, job_id(expected[i]));
    job_summaries_free(listed, count);
}

START_TEST(jobs_are_listed_in_pages_from_either_end)
{
    struct job *jobs[3], *backwards[3];

    for (int i = 0; i < 3; i++)
        backwards[2 - i] = jobs[i] = start("x");
    expect_page(&(struct job_query){.limit = 2}, jobs, 2);
    expect_page(&(struct job_query){.limit = 2, .after = job_id(jobs[1])}, jobs + 2, 1);
    expect_page(&(struct job_query){.after = job_id(jobs[2])}, NULL, 0);
    expect_page(&(struct job_query){.newest_first = true, .limit = 2}, backwards, 2);
    expect_page(&(struct job_query){.newest_first = true, .after = job_id(jobs[1])}, backwards + 2, 1);
    expect_page(&(struct job_query){.after = "0"}, jobs, 3); /* one that was dropped */
    for (int i = 0; i < 3; i++)
        job_unref(jobs[i]);
}
END_TEST

START_TEST(finished_jobs_that_hold_much_memory_are_dropped_earlier)
{
    struct catalogue_options options = catalogue_default_options();
    struct job_summary *listed;
    struct job *job;
    size_t count;

    options.max_finished_bytes = 1000;
    catalogue_destroy(catalogue);
    ck_assert_int_eq(catalogue_create(&options, &catalogue, NULL), 0);
    job = start("big");
    job_add_message(job, JOB_MESSAGE_BASIC, "%01000d", 0);
    job_set_state(job, JOB_DONE);
    job_unref(job);
    job_unref(start("next"));
    listed = catalogue_list_jobs(catalogue, &(struct job_query){0}, &count);
    ck_assert_uint_eq(count, 1);
    job_summaries_free(listed, count);
}
END_TEST

static size_t count_jobs(void) {
    size_t count;
    struct job_summary *listed = catalogue_list_jobs(catalogue, &(struct job_query){0}, &count);

    job_summaries_free(listed, count);
    return count;
}

START_TEST(only_finished_jobs_are_released)
{
    struct catalogue_options options = catalogue_default_options();
    struct job *job;

    options.max_finished_bytes = 1000;
    catalogue_destroy(catalogue);
    ck_assert_int_eq(catalogue_create(&options, &catalogue, NULL), 0);
    job = start("big");
    job_add_message(job, JOB_MESSAGE_BASIC, "%01000d", 0);
    catalogue_release(catalogue);
    ck_assert_uint_eq(count_jobs(), 1);
    job_set_state(job, JOB_DONE);
    catalogue_release(catalogue);
    ck_assert_uint_eq(count_jobs(), 0);
    job_unref(job);
}
END_TEST

START_TEST(too_many_running_jobs_are_refused_and_the_preparation_stays)
{
    CLEANUP_STATUS struct status st = {0};
    struct job *jobs[3], *job;
    char id[JOB_ID_SIZE];

    for (int i = 0; i < 3; i++)
        jobs[i] = start("x");
    prepare("y", id);
    ck_assert_int_eq(start_prepared(id, &job, &st), -STATUS_RESOURCE_EXHAUSTED);
    job_set_state(jobs[0], JOB_DONE);
    ck_assert_int_eq(start_prepared(id, &job, NULL), 0);
    job_unref(job);
    for (int i = 0; i < 3; i++)
        job_unref(jobs[i]);
}
END_TEST

START_TEST(a_closed_catalogue_takes_nothing_new)
{
    char id[JOB_ID_SIZE];
    struct job *job;

    prepare("x", id);
    catalogue_close(catalogue);
    ck_assert_int_eq(start_prepared(id, &job, NULL), -STATUS_UNAVAILABLE);
    ck_assert_int_eq(catalogue_prepare(catalogue, &(struct preparation_spec){.plan = empty_plan()}, NULL, NULL, NULL),
                     -STATUS_UNAVAILABLE);
}
END_TEST

START_TEST(staging_gates_run)
{
    CLEANUP_STATUS struct status st = {0};
    struct slice pipeline;
    struct preparation *preparation, *found;
    char id[JOB_ID_SIZE];
    struct job *job;
    unsigned first, second;

    prepare("x", id);
    preparation = catalogue_find_preparation(catalogue, id);
    found = catalogue_find_staging(catalogue, preparation_staging_token(preparation));
    ck_assert_ptr_eq(found, preparation);
    preparation_unref(found);
    first = preparation_begin_staging(preparation, &pipeline);
    ck_assert(slice_equal_string(pipeline, "pipeline"));
    slice_unref(&pipeline);
    ck_assert_int_eq(start_prepared(id, &job, &st), -STATUS_FAILED_PRECONDITION);
    second = preparation_begin_staging(preparation, &pipeline);
    slice_unref(&pipeline);
    preparation_fail_staging(preparation, first, "of no interest");
    ck_assert(!preparation_finish_staging(preparation, first, SLICE_EMPTY, empty_plan()));
    preparation_fail_staging(preparation, second, "the disk is full");
    ck_assert_int_eq(start_prepared(id, &job, &st), -STATUS_FAILED_PRECONDITION);
    ck_assert_ptr_nonnull(strstr(status_message(&st), "the disk is full"));
    second = preparation_begin_staging(preparation, &pipeline);
    slice_unref(&pipeline);
    ck_assert(preparation_finish_staging(preparation, second, slice_of_literal("staged"), empty_plan()));
    ck_assert_int_eq(start_prepared(id, &job, NULL), 0);
    ck_assert(slice_equal_string(job_specification(job)->pipeline, "staged"));
    job_unref(job);
    preparation_unref(preparation);
}
END_TEST

/* ------------------------------------------------------------------ with a disk */

static char *directory;

static void open_with_disk(void) {
    struct catalogue_options options = catalogue_default_options();

    ck_assert_int_eq(job_db_open(directory, &db, NULL), 0);
    options.db = db;
    options.max_finished_jobs = 1;
    options.retention.max_jobs = 3;
    ck_assert_int_eq(catalogue_create(&options, &catalogue, NULL), 0);
}

static void close_with_disk(void) {
    job_db_stop(db);
    catalogue_destroy(catalogue);
    job_db_close(db);
}

static void setup_with_disk(void) {
    directory = temp_dir_create();
    open_with_disk();
}

static void teardown_with_disk(void) {
    close_with_disk();
    temp_dir_destroy(directory);
}

/* A job that ran and said so. */
static void finish(const char *name, char ret_id[JOB_ID_SIZE]) {
    struct job *job = start(name);

    snprintf(ret_id, JOB_ID_SIZE, "%s", job_id(job));
    job_set_state(job, JOB_RUNNING);
    job_succeed(job);
    job_unref(job);
    job_db_flush(db);
}

static void expect_found(const char *id) {
    CLEANUP_STATUS struct status st = {0};
    struct job *job = NULL;

    ck_assert_msg(catalogue_find_job(catalogue, id, &job, &st) == 0, "%s", status_message(&st));
    ck_assert_str_eq(job_id(job), id);
    ck_assert_int_eq(job_current_state(job), JOB_DONE);
    ck_assert(slice_equal_string(job_specification(job)->pipeline, "pipeline"));
    job_unref(job);
}

START_TEST(finished_jobs_are_found_whether_in_memory_or_not)
{
    char ids[3][JOB_ID_SIZE];
    struct job_summary *listed;
    size_t count;

    for (int i = 0; i < 3; i++)
        finish("x", ids[i]);
    for (int i = 0; i < 3; i++)
        expect_found(ids[i]);
    close_with_disk();
    open_with_disk();
    for (int i = 0; i < 3; i++)
        expect_found(ids[i]);
    listed = catalogue_list_jobs(catalogue, &(struct job_query){0}, &count);
    ck_assert_uint_eq(count, 3);
    for (int i = 0; i < 3; i++) {
        ck_assert_str_eq(listed[i].id, ids[i]);
        ck_assert_str_eq(listed[i].name, "x");
        ck_assert_int_eq(listed[i].state, JOB_DONE);
    }
    job_summaries_free(listed, count);
}
END_TEST

START_TEST(jobs_beyond_retention_are_gone)
{
    CLEANUP_STATUS struct status st = {0};
    char first[JOB_ID_SIZE], id[JOB_ID_SIZE];
    struct job *job;

    finish("x", first);
    for (int i = 0; i < 3; i++)
        finish("x", id);
    catalogue_retain(catalogue);
    job_db_flush(db);
    ck_assert_int_eq(catalogue_find_job(catalogue, first, &job, &st), -STATUS_NOT_FOUND);
    expect_found(id);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("catalogue");
    TCase *tests = tcase_create("catalogue"), *with_disk = tcase_create("with a disk");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, ids_have_the_agreed_form_and_order);
    tcase_add_test(tests, the_name_is_readable_in_the_id);
    tcase_add_test(tests, a_preparation_runs_once);
    tcase_add_test(tests, an_id_that_is_no_job_is_not_found_with_a_word_why);
    tcase_add_test(tests, the_oldest_preparations_are_dropped);
    tcase_add_test(tests, the_oldest_finished_jobs_are_dropped_and_running_ones_stay);
    tcase_add_test(tests, jobs_are_listed_in_pages_from_either_end);
    tcase_add_test(tests, finished_jobs_that_hold_much_memory_are_dropped_earlier);
    tcase_add_test(tests, only_finished_jobs_are_released);
    tcase_add_test(tests, too_many_running_jobs_are_refused_and_the_preparation_stays);
    tcase_add_test(tests, a_closed_catalogue_takes_nothing_new);
    tcase_add_test(tests, staging_gates_run);
    suite_add_tcase(suite, tests);
    tcase_add_checked_fixture(with_disk, setup_with_disk, teardown_with_disk);
    tcase_add_test(with_disk, finished_jobs_are_found_whether_in_memory_or_not);
    tcase_add_test(with_disk, jobs_beyond_retention_are_gone);
    suite_add_tcase(suite, with_disk);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
