#include <check.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "jobserver/job_db/job_db.h"
#include "jobserver/job_journal.h"
#include "temp_dir.h"

static const struct job_limits limits = {.max_messages = 100, .max_message_bytes = 1 << 20, .max_bytes = 1 << 24};
static char *directory;
static struct job_db *db;

/* ------------------------------------------------------------------ a disk that can be full */

static bool is_disk_full;
static sqlite3_vfs real_vfs, full_vfs;

/* SQLite's own file, with its methods replaced. */
struct full_file {
    const sqlite3_io_methods *real;
    sqlite3_io_methods methods;
};

/* One for each kind of method table that SQLite's files have. */
static struct full_file kinds[8];

static struct full_file *kind_of(sqlite3_file *file) {
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++)
        if (&kinds[i].methods == file->pMethods)
            return &kinds[i];
    abort();
}

static int full_write(sqlite3_file *file, const void *bytes, int size, sqlite3_int64 offset) {
    return is_disk_full ? SQLITE_FULL : kind_of(file)->real->xWrite(file, bytes, size, offset);
}

static int full_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *ret_flags) {
    int r = real_vfs.xOpen(vfs, name, file, flags, ret_flags);
    size_t i = 0;

    if (r != SQLITE_OK || !file->pMethods)
        return r;
    while (kinds[i].real && kinds[i].real != file->pMethods)
        i++;
    ck_assert_uint_lt(i, ARRAY_COUNT(kinds));
    kinds[i].real = file->pMethods;
    kinds[i].methods = *file->pMethods;
    kinds[i].methods.xWrite = full_write;
    file->pMethods = &kinds[i].methods;
    return r;
}

static void install_full_disk(void) {
    real_vfs = *sqlite3_vfs_find(NULL);
    full_vfs = real_vfs;
    full_vfs.zName = "full";
    full_vfs.xOpen = full_open;
    sqlite3_vfs_register(&full_vfs, 1);
}

/* ------------------------------------------------------------------ fixture */

static void open_db(void) {
    CLEANUP_STATUS struct status st = {0};

    ck_assert_msg(job_db_open(directory, &db, &st) == 0, "%s", status_message(&st));
}

static void close_db(void) {
    job_db_stop(db);
    job_db_close(db);
    db = NULL;
}

static void reopen(void) {
    close_db();
    open_db();
}

static void setup(void) {
    is_disk_full = false;
    directory = temp_dir_create();
    open_db();
}

static void teardown(void) {
    if (db)
        close_db();
    temp_dir_destroy(directory);
}

/* What done() said: NULL of `why` means that it is on disk. */
struct answer {
    unsigned count;
    char *why;
};

static void note(void *user, const struct status *st) {
    struct answer *answer = user;

    answer->count++;
    free(answer->why);
    answer->why = st ? xstrdup(status_message(st)) : NULL;
}

static void expect_saved(struct answer *answer) {
    job_db_flush(db);
    ck_assert_uint_eq(answer->count, 1);
    ck_assert_msg(!answer->why, "%s", answer->why);
    *answer = (struct answer){0};
}

static void prepare(int64_t key, const char *id) {
    struct answer answer = {0};

    job_db_add_preparation(db,
                           &(struct stored_preparation){.key = key,
                                                        .id = id,
                                                        .token = id,
                                                        .name = "the name",
                                                        .options = slice_of_literal("options"),
                                                        .pipeline = slice_of_literal("pipeline"),
                                                        .created_ms = 1000 + key},
                           note, &answer);
    expect_saved(&answer);
}

/* A job that is followed. */
static struct job *start(int64_t key, const char *id) {
    struct job *job = job_create(id, &(struct job_spec){.name = "the name"}, &limits);
    struct answer answer = {0};

    prepare(key, id);
    job_db_add_job(db, key, id, job_created_ms(job), note, &answer);
    expect_saved(&answer);
    job_db_follow(db, job, key);
    job_db_flush(db);
    return job;
}

static void end(int64_t key, const char *id) {
    struct job *job = start(key, id);

    job_succeed(job);
    job_db_flush(db);
    job_unref(job);
}

static void append_event(void *user, const struct job_event *event) {
    char *text = user;
    size_t size = strlen(text);

    if (event->is_state)
        snprintf(text + size, 4000 - size, "%s ", job_state_name(event->state));
    else
        snprintf(text + size, 4000 - size, "%d:%s ", (int)event->importance, event->text);
}

static void expect_history(struct job *job, const char *expected) {
    char text[4000] = "";

    job_unsubscribe(job_subscribe(job, append_event, text));
    ck_assert_str_eq(text, expected);
}

static struct job *read_job(int64_t key) {
    CLEANUP_STATUS struct status st = {0};
    struct job *job = NULL;

    ck_assert_msg(job_db_read_job(db, key, &limits, NULL, &job, &st) == 0, "%s", status_message(&st));
    return job;
}

static void append_job(void *user, const struct stored_job *job) {
    char *text = user;
    size_t size = strlen(text);

    snprintf(text + size, 4000 - size, "%s:%s:%lld ", job->id, job_state_name(job->state), (long long)job->runs);
}

static void expect_jobs(const char *expected) {
    char text[4000] = "";

    ck_assert_int_eq(job_db_list_jobs(db, append_job, text, NULL), 0);
    ck_assert_str_eq(text, expected);
}

static void append_preparation(void *user, const struct stored_preparation *preparation) {
    char *text = user;
    size_t size = strlen(text);

    snprintf(text + size, 4000 - size, "%s:%s:%s:%.*s:%.*s:%d ", preparation->id, preparation->token, preparation->name,
             (int)preparation->options.size, preparation->options.data, (int)preparation->pipeline.size,
             preparation->pipeline.data, (int)preparation->staging);
}

static void expect_preparations(const char *expected) {
    char text[4000] = "";

    ck_assert_int_eq(job_db_list_preparations(db, append_preparation, text, NULL), 0);
    ck_assert_str_eq(text, expected);
}

static void execute(const char *text) {
    CLEANUP(freep) char *path = xasprintf("%s/catalogue.db", directory);
    sqlite3 *other;

    ck_assert_int_eq(sqlite3_open(path, &other), SQLITE_OK);
    ck_assert_msg(sqlite3_exec(other, text, NULL, NULL, NULL) == SQLITE_OK, "%s", sqlite3_errmsg(other));
    sqlite3_close(other);
}

/* ------------------------------------------------------------------ what is kept */

START_TEST(a_preparation_and_what_is_staged_for_it_are_kept)
{
    struct stored_artifact artifact = {.digest = "d1", .bytes = 5};
    struct answer answer = {0};
    struct map artifacts = {0};
    int64_t key;

    prepare(1, "prep-a");
    prepare(2, "prep-b");
    job_db_set_staged(db, 2, slice_of_literal("staged"), &artifact, 1, note, &answer);
    expect_saved(&answer);
    reopen();
    expect_preparations("prep-a:prep-a:the name:options:pipeline:0 prep-b:prep-b:the name:options:staged:2 ");
    ck_assert_int_eq(job_db_list_artifacts(db, &artifacts, NULL), 0);
    ck_assert_uint_eq(artifacts.count, 1);
    ck_assert(map_has_string(&artifacts, "d1"));
    map_clear(&artifacts, NULL);
    ck_assert_int_eq(job_db_last_key(db, &key, NULL), 0);
    ck_assert_int_eq(key, 2);
}
END_TEST

START_TEST(a_job_is_kept_with_history_metrics_and_pipeline)
{
    struct job *job = start(1, "job-a");
    struct metric_table attempted = {0}, committed = {0};
    struct job_metrics *metrics;
    struct slice identity = metric_identity("urn", "beam:metrics:sum_int64:v1", NULL, 0);

    metric_table_add(&attempted, &(struct metric){.identity = identity, .payload = slice_of_literal("\x07")});
    job_set_state(job, JOB_RUNNING);
    job_add_message(job, JOB_MESSAGE_WARNING, "beware");
    job_set_metrics(job, &attempted, &committed);
    job_fail(job, "the reason");
    job_db_flush(db);
    job_unref(job);
    reopen();
    expect_preparations("");
    expect_jobs("job-a:FAILED:1 ");
    job = read_job(1);
    ck_assert_str_eq(job_id(job), "job-a");
    ck_assert_int_eq(job_current_state(job), JOB_FAILED);
    ck_assert(slice_equal_string(job_specification(job)->pipeline, "pipeline"));
    ck_assert(slice_equal_string(job_specification(job)->pipeline_options, "options"));
    expect_history(job, "STOPPED RUNNING 4:beware 5:the reason FAILED ");
    metrics = job_get_metrics(job);
    ck_assert_uint_eq(metrics->attempted.by_identity.count, 1);
    ck_assert_ptr_nonnull(map_get(&metrics->attempted.by_identity, identity.data, identity.size));
    job_metrics_unref(metrics);
    job_unref(job);
    slice_unref(&identity);
}
END_TEST

START_TEST(messages_that_were_dropped_or_lowered_are_so_on_disk_too)
{
    struct job *job = start(1, "job-a"), *read;
    char before[4000] = "", after[4000] = "";

    job_add_message(job, JOB_MESSAGE_ERROR, "early error");
    job_db_flush(db);
    for (int i = 0; i < 120; i++) {
        job_add_message(job, JOB_MESSAGE_BASIC, "m%d", i);
        if (i % 50 == 0)
            job_db_flush(db);
    }
    job_fail(job, "the reason");
    job_db_flush(db);
    job_unsubscribe(job_subscribe(job, append_event, before));
    job_unref(job);
    reopen();
    read = read_job(1);
    job_unsubscribe(job_subscribe(read, append_event, after));
    ck_assert_str_eq(after, before);
    ck_assert_ptr_nonnull(strstr(after, "4:early error"));
    ck_assert_ptr_nonnull(strstr(after, "were dropped"));
    job_unref(read);
}
END_TEST

START_TEST(a_job_that_was_read_again_goes_on_with_its_history)
{
    struct job *job = start(1, "job-a");
    struct answer answer = {0};

    job_set_state(job, JOB_RUNNING);
    job_db_flush(db);
    job_unref(job);
    reopen();
    job = read_job(1);
    job_db_count_run(db, 1, note, &answer);
    expect_saved(&answer);
    job_add_message(job, JOB_MESSAGE_BASIC, "again");
    job_succeed(job);
    job_db_flush(db);
    job_unref(job);
    reopen();
    expect_jobs("job-a:DONE:2 ");
    job = read_job(1);
    expect_history(job, "STOPPED RUNNING 3:again DONE ");
    job_unref(job);
}
END_TEST

START_TEST(messages_are_written_within_a_second_without_being_asked_for)
{
    struct job *job = start(1, "job-a");
    sqlite3 *other;
    int count = 0;

    job_add_message(job, JOB_MESSAGE_BASIC, "hello");
    {
        CLEANUP(freep) char *path = xasprintf("%s/catalogue.db", directory);

        ck_assert_int_eq(sqlite3_open_v2(path, &other, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    }
    while (count == 0) { /* check's time limit ends it */
        sqlite3_stmt *statement;

        ck_assert_int_eq(
            sqlite3_prepare_v2(other, "SELECT count(*) FROM event WHERE text = 'hello'", -1, &statement, NULL),
            SQLITE_OK);
        ck_assert_int_eq(sqlite3_step(statement), SQLITE_ROW);
        count = sqlite3_column_int(statement, 0);
        sqlite3_finalize(statement);
    }
    ck_assert_int_eq(count, 1);
    sqlite3_close(other);
    job_unref(job);
}
END_TEST

/* ------------------------------------------------------------------ what is told when */

/* Whether the end was on disk when it was told. */
static void check_on_disk(void *user, const struct job_event *event) {
    if (event->is_state && job_state_is_terminal(event->state)) {
        expect_jobs("job-a:DONE:1 ");
        *(bool *)user = true;
    }
}

START_TEST(an_end_is_on_disk_before_it_is_told)
{
    struct job *job = start(1, "job-a");
    bool is_told = false;
    struct job_subscription *subscription = job_subscribe(job, check_on_disk, &is_told);

    job_succeed(job);
    job_db_flush(db);
    job_unsubscribe(subscription);
    ck_assert(is_told);
    ck_assert_int_eq(job_current_state(job), JOB_DONE);
    job_unref(job);
}
END_TEST

START_TEST(a_state_is_on_disk_before_it_is_told)
{
    struct job *job = start(1, "job-a");

    is_disk_full = true;
    job_add_message(job, JOB_MESSAGE_BASIC, "before");
    job_set_state(job, JOB_RUNNING);
    job_add_message(job, JOB_MESSAGE_BASIC, "after");
    job_db_flush(db);
    expect_history(job, "STOPPED 3:before ");
    ck_assert_int_eq(job_current_state(job), JOB_STOPPED);
    is_disk_full = false;
    job_db_flush(db);
    expect_history(job, "STOPPED 3:before RUNNING 3:after ");
    ck_assert_int_eq(job_current_state(job), JOB_RUNNING);
    job_unref(job);
}
END_TEST

START_TEST(a_full_disk_refuses_what_is_new_and_takes_the_rest_when_there_is_room_again)
{
    struct job *job = start(1, "job-a"), *read;
    struct answer answer = {0};

    is_disk_full = true;
    job_db_add_preparation(db,
                           &(struct stored_preparation){.key = 2,
                                                        .id = "prep-b",
                                                        .token = "b",
                                                        .name = "b",
                                                        .options = SLICE_EMPTY,
                                                        .pipeline = slice_of_literal("pipeline")},
                           note, &answer);
    job_fail(job, "the reason");
    job_db_flush(db);
    ck_assert_uint_eq(answer.count, 1);
    ck_assert_ptr_nonnull(strstr(answer.why, "the disk is full"));
    ck_assert_ptr_nonnull(strstr(answer.why, directory));
    free(answer.why);
    ck_assert_int_eq(job_current_state(job), JOB_STOPPED); /* not told yet */
    expect_history(job, "STOPPED ");
    is_disk_full = false;
    job_db_flush(db);
    ck_assert_int_eq(job_current_state(job), JOB_FAILED);
    job_unref(job);
    expect_preparations("");
    read = read_job(1);
    expect_history(read, "STOPPED 5:the reason FAILED ");
    job_unref(read);
}
END_TEST

START_TEST(a_change_that_cannot_be_written_fails_alone)
{
    struct answer bad = {0}, good = {0};

    prepare(1, "prep-a");
    job_db_add_job(db, 77, "of-nothing", 1, note, &bad);
    job_db_set_staging(db, 1, STAGING_FAILED, note, &good);
    job_db_flush(db);
    ck_assert_uint_eq(bad.count, 1);
    ck_assert_ptr_nonnull(bad.why);
    free(bad.why);
    expect_saved(&good);
    expect_preparations("prep-a:prep-a:the name:options:pipeline:3 ");
}
END_TEST

/* ------------------------------------------------------------------ retention */

static void expect_kept(const struct job_db_retention *retention, const char *expected) {
    job_db_retain(db, retention);
    job_db_flush(db);
    expect_jobs(expected);
}

START_TEST(the_oldest_finished_jobs_go_beyond_the_number)
{
    struct job *running = start(1, "a");

    end(2, "b");
    end(3, "c");
    end(4, "d");
    expect_kept(&(struct job_db_retention){.max_jobs = 3}, "a:STOPPED:1 b:DONE:1 c:DONE:1 d:DONE:1 ");
    expect_kept(&(struct job_db_retention){.max_jobs = 1}, "a:STOPPED:1 d:DONE:1 ");
    job_unref(running);
}
END_TEST

static void stage(int64_t key, const char *digest, uint64_t bytes) {
    struct stored_artifact artifact = {.bytes = bytes};
    struct answer answer = {0};

    snprintf(artifact.digest, sizeof(artifact.digest), "%s", digest);
    job_db_set_staged(db, key, slice_of_literal("staged"), &artifact, 1, note, &answer);
    expect_saved(&answer);
}

START_TEST(staged_files_count_once_and_go_with_their_last_job)
{
    struct map artifacts = {0};

    end(1, "a");
    end(2, "b");
    end(3, "c");
    stage(1, "old", 1000000);
    stage(2, "shared", 1000000);
    stage(3, "shared", 1000000);
    expect_kept(&(struct job_db_retention){.max_bytes = 3000000}, "a:DONE:1 b:DONE:1 c:DONE:1 ");
    expect_kept(&(struct job_db_retention){.max_bytes = 1500000}, "b:DONE:1 c:DONE:1 ");
    ck_assert_int_eq(job_db_list_artifacts(db, &artifacts, NULL), 0);
    ck_assert_uint_eq(artifacts.count, 1);
    ck_assert(map_has_string(&artifacts, "shared"));
    map_clear(&artifacts, NULL);
}
END_TEST

START_TEST(old_ends_go)
{
    end(1, "a");
    expect_kept(&(struct job_db_retention){.max_age_ms = 60000}, "a:DONE:1 ");
    execute("UPDATE job SET state_ms = state_ms - 120000");
    expect_kept(&(struct job_db_retention){.max_age_ms = 60000}, "");
}
END_TEST

START_TEST(nothing_is_left_of_what_is_dropped)
{
    CLEANUP(freep) char *path = xasprintf("%s/catalogue.db", directory);
    static const char *const tables[] = {"submission", "artifact", "preparation", "job", "event", "metrics"};
    sqlite3 *other;

    end(1, "a");
    prepare(2, "b");
    stage(2, "digest", 1);
    job_db_drop(db, 1);
    job_db_drop(db, 2);
    close_db();
    ck_assert_int_eq(sqlite3_open_v2(path, &other, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    for (size_t i = 0; i < ARRAY_COUNT(tables); i++) {
        CLEANUP(freep) char *text = xasprintf("SELECT count(*) FROM %s", tables[i]);
        sqlite3_stmt *statement;

        ck_assert_int_eq(sqlite3_prepare_v2(other, text, -1, &statement, NULL), SQLITE_OK);
        ck_assert_int_eq(sqlite3_step(statement), SQLITE_ROW);
        ck_assert_msg(sqlite3_column_int(statement, 0) == 0, "%s", tables[i]);
        sqlite3_finalize(statement);
    }
    sqlite3_close(other);
}
END_TEST

/* ------------------------------------------------------------------ files that cannot be used */

static void expect_refused(const char *part) {
    CLEANUP_STATUS struct status st = {0};

    ck_assert_int_lt(job_db_open(directory, &db, &st), 0);
    ck_assert_ptr_nonnull(strstr(status_message(&st), directory));
    ck_assert_msg(strstr(status_message(&st), part) != NULL, "%s", status_message(&st));
    db = NULL;
}

START_TEST(a_newer_file_is_refused)
{
    close_db();
    execute("PRAGMA user_version = 1000");
    expect_refused("newer trestle");
}
END_TEST

START_TEST(a_file_of_another_program_is_refused)
{
    close_db();
    execute("PRAGMA application_id = 7");
    expect_refused("another program");
}
END_TEST

static void overwrite(long offset, size_t size) {
    CLEANUP(freep) char *path = xasprintf("%s/catalogue.db", directory);
    FILE *file = fopen(path, "r+");

    ck_assert_ptr_nonnull(file);
    fseek(file, offset, SEEK_SET);
    for (; size > 0; size--)
        fputc('x', file);
    ck_assert_int_eq(fclose(file), 0);
}

START_TEST(a_file_that_is_no_database_is_refused)
{
    close_db();
    overwrite(0, 200);
    expect_refused("damaged");
}
END_TEST

START_TEST(a_file_with_a_damaged_page_is_refused)
{
    prepare(1, "prep-a");
    close_db();
    overwrite(4096 + 10, 4000);
    expect_refused("damaged");
}
END_TEST

START_TEST(a_file_that_cannot_be_opened_is_refused)
{
    CLEANUP(freep) char *path = xasprintf("%s/catalogue.db", directory);

    close_db();
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    expect_refused("cannot open");
}
END_TEST

int main(void) {
    Suite *suite = suite_create("job_db");
    TCase *tests = tcase_create("job_db");
    SRunner *runner;
    int failed;

    install_full_disk();
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, a_preparation_and_what_is_staged_for_it_are_kept);
    tcase_add_test(tests, a_job_is_kept_with_history_metrics_and_pipeline);
    tcase_add_test(tests, messages_that_were_dropped_or_lowered_are_so_on_disk_too);
    tcase_add_test(tests, a_job_that_was_read_again_goes_on_with_its_history);
    tcase_add_test(tests, messages_are_written_within_a_second_without_being_asked_for);
    tcase_add_test(tests, an_end_is_on_disk_before_it_is_told);
    tcase_add_test(tests, a_state_is_on_disk_before_it_is_told);
    tcase_add_test(tests, a_full_disk_refuses_what_is_new_and_takes_the_rest_when_there_is_room_again);
    tcase_add_test(tests, a_change_that_cannot_be_written_fails_alone);
    tcase_add_test(tests, the_oldest_finished_jobs_go_beyond_the_number);
    tcase_add_test(tests, staged_files_count_once_and_go_with_their_last_job);
    tcase_add_test(tests, old_ends_go);
    tcase_add_test(tests, nothing_is_left_of_what_is_dropped);
    tcase_add_test(tests, a_newer_file_is_refused);
    tcase_add_test(tests, a_file_of_another_program_is_refused);
    tcase_add_test(tests, a_file_that_is_no_database_is_refused);
    tcase_add_test(tests, a_file_with_a_damaged_page_is_refused);
    tcase_add_test(tests, a_file_that_cannot_be_opened_is_refused);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
