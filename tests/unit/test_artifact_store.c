#include <check.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "jobserver/artifact_store.h"
#include "jobserver/state_dir.h"
#include "temp_dir.h"

static const char hello_digest[] = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
static const char empty_digest[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

static char *directory;
static struct artifact_store *store;

static void setup(void) {
    directory = temp_dir_create();
    ck_assert_int_eq(artifact_store_open(directory, &store, NULL), 0);
}

static void teardown(void) {
    artifact_store_close(store);
    temp_dir_destroy(directory);
}

static int put(const char *text, const char *expected, char *ret_digest, struct status *st) {
    struct artifact_writer *writer;

    ck_assert_int_eq(artifact_writer_create(store, &writer, NULL), 0);
    for (; *text; text++)
        ck_assert_int_eq(artifact_writer_add(writer, text, 1, NULL), 0);
    return artifact_writer_commit(writer, expected, ret_digest, st);
}

static void write_file(const char *name, const char *text) {
    char *path = xasprintf("%s/%s", directory, name);
    FILE *file = fopen(path, "w");

    fputs(text, file);
    fclose(file);
    free(path);
}

static bool exists(const char *name) {
    char *path = xasprintf("%s/%s", directory, name);
    bool is_there = access(path, F_OK) == 0;

    free(path);
    return is_there;
}

START_TEST(what_was_written_can_be_read_by_its_digest)
{
    char digest[ARTIFACT_DIGEST_SIZE], bytes[16];
    uint64_t size;
    int fd;

    ck_assert(!artifact_store_has(store, hello_digest));
    ck_assert_int_eq(put("hello", hello_digest, digest, NULL), 0);
    ck_assert_str_eq(digest, hello_digest);
    ck_assert(artifact_store_has(store, hello_digest));
    ck_assert_int_eq(artifact_store_read(store, digest, &fd, &size, NULL), 0);
    ck_assert_uint_eq(size, 5);
    ck_assert_int_eq(read(fd, bytes, sizeof(bytes)), 5);
    ck_assert_mem_eq(bytes, "hello", 5);
    close(fd);
}
END_TEST

START_TEST(an_empty_artifact_is_one_too)
{
    char digest[ARTIFACT_DIGEST_SIZE];

    ck_assert_int_eq(put("", "", digest, NULL), 0);
    ck_assert_str_eq(digest, empty_digest);
}
END_TEST

START_TEST(the_same_bytes_are_stored_once)
{
    char digest[ARTIFACT_DIGEST_SIZE], *path;
    struct artifact_writer *writer;

    ck_assert_int_eq(put("hello", NULL, digest, NULL), 0);
    ck_assert_int_eq(put("hello", NULL, digest, NULL), 0);
    path = xasprintf("%s/artifacts/new", directory);
    ck_assert_int_eq(rmdir(path), 0); /* nothing was left there */
    free(path);
    ck_assert_int_lt(artifact_writer_create(store, &writer, NULL), 0);
}
END_TEST

START_TEST(a_wrong_digest_is_an_error_and_leaves_nothing)
{
    CLEANUP_STATUS struct status st = {0};
    char digest[ARTIFACT_DIGEST_SIZE];

    ck_assert_int_eq(put("hello", empty_digest, digest, &st), -STATUS_DATA_LOSS);
    ck_assert_ptr_nonnull(strstr(status_message(&st), hello_digest));
    ck_assert(!artifact_store_has(store, hello_digest));
    ck_assert(!artifact_store_has(store, empty_digest));
}
END_TEST

START_TEST(only_paths_that_the_store_gave_out_name_an_artifact)
{
    static const char *const wrong[] = {"/etc/passwd", "", "/", "2c/../../etc/passwd", "hello"};
    char digest[ARTIFACT_DIGEST_SIZE];
    char *path = artifact_store_path(store, hello_digest), *elsewhere = xasprintf("/tmp/%s", hello_digest);

    ck_assert(artifact_store_digest_of_path(store, path, digest));
    ck_assert_str_eq(digest, hello_digest);
    ck_assert(!artifact_store_digest_of_path(store, elsewhere, digest));
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++)
        ck_assert(!artifact_store_digest_of_path(store, wrong[i], digest));
    free(path);
    free(elsewhere);
}
END_TEST

START_TEST(what_is_no_digest_is_refused)
{
    uint64_t size;
    int fd;

    ck_assert_int_eq(artifact_store_read(store, "../../etc/passwd", &fd, &size, NULL), -STATUS_INVALID_ARGUMENT);
    ck_assert_int_eq(artifact_store_read(store, hello_digest, &fd, &size, NULL), -STATUS_NOT_FOUND);
    ck_assert(!artifact_store_has(store, ""));
}
END_TEST

START_TEST(leftovers_of_an_earlier_daemon_are_removed_at_start)
{
    write_file("artifacts/new/half", "ha");
    artifact_store_close(store);
    ck_assert_int_eq(artifact_store_open(directory, &store, NULL), 0);
    ck_assert(!exists("artifacts/new/half"));
    ck_assert(exists("artifacts/new"));
}
END_TEST

/* As if nobody had written or asked for it for an hour. */
static void grow_old(const char *digest) {
    CLEANUP(freep) char *path = artifact_store_path(store, digest);
    struct timespec times[2] = {{.tv_sec = time(NULL) - 3600}, {.tv_sec = time(NULL) - 3600}};

    ck_assert_int_eq(utimensat(AT_FDCWD, path, times, 0), 0);
}

static bool is_stored(const char *digest) {
    CLEANUP(freep) char *path = artifact_store_path(store, digest);

    return access(path, F_OK) == 0;
}

START_TEST(what_nobody_refers_to_is_dropped_after_a_while)
{
    char used[ARTIFACT_DIGEST_SIZE], unused[ARTIFACT_DIGEST_SIZE], wanted[ARTIFACT_DIGEST_SIZE];
    struct map referred = {0};

    ck_assert_int_eq(put("used", "", used, NULL), 0);
    ck_assert_int_eq(put("unused", "", unused, NULL), 0);
    ck_assert_int_eq(put("wanted", "", wanted, NULL), 0);
    map_set_string(&referred, used, &referred);
    ck_assert_uint_eq(artifact_store_sweep(store, &referred, 60000), 0); /* all are new */
    grow_old(used);
    grow_old(unused);
    grow_old(wanted);
    ck_assert(artifact_store_has(store, wanted)); /* whoever asks is about to refer to it */
    ck_assert_uint_eq(artifact_store_sweep(store, &referred, 60000), 1);
    ck_assert(is_stored(used));
    ck_assert(!is_stored(unused));
    ck_assert(is_stored(wanted));
    map_clear(&referred, NULL);
}
END_TEST

START_TEST(a_state_directory_is_made_and_has_a_version)
{
    char *path = xasprintf("%s/a/b", directory);
    struct state_dir *dir;

    ck_assert_int_eq(state_dir_open(path, &dir, NULL), 0);
    ck_assert(exists("a/b/VERSION"));
    ck_assert_str_eq(state_dir_path(dir), path);
    state_dir_close(dir);
    ck_assert_int_eq(state_dir_open(path, &dir, NULL), 0);
    state_dir_close(dir);
    free(path);
}
END_TEST

START_TEST(two_daemons_cannot_share_a_state_directory)
{
    CLEANUP_STATUS struct status st = {0};
    CLEANUP(freep) char *shared = xasprintf("%s/shared", directory);
    struct state_dir *dir, *second;

    ck_assert_int_eq(state_dir_open(shared, &dir, NULL), 0);
    ck_assert_int_lt(state_dir_open(shared, &second, &st), 0);
    ck_assert_ptr_nonnull(strstr(status_message(&st), "in use by another trestle"));
    state_dir_close(dir);
    ck_assert_int_eq(state_dir_open(shared, &dir, NULL), 0);
    state_dir_close(dir);
}
END_TEST

START_TEST(a_directory_with_other_things_in_it_is_refused_and_left_alone)
{
    CLEANUP_STATUS struct status st = {0};
    CLEANUP(freep) char *home = xasprintf("%s/home", directory);
    struct state_dir *dir;

    ck_assert_int_eq(make_directories(home, 0700, NULL), 0);
    write_file("home/letter", "dear");
    ck_assert_int_eq(state_dir_open(home, &dir, &st), -STATUS_FAILED_PRECONDITION);
    ck_assert_ptr_nonnull(strstr(status_message(&st), "not a state directory"));
    ck_assert_ptr_nonnull(strstr(status_message(&st), "letter"));
    ck_assert(!exists("home/LOCK"));
    ck_assert(!exists("home/VERSION"));
}
END_TEST

START_TEST(a_start_that_was_cut_off_is_no_obstacle)
{
    CLEANUP(freep) char *path = xasprintf("%s/cut", directory);
    struct state_dir *dir;

    ck_assert_int_eq(make_directories(path, 0700, NULL), 0);
    write_file("cut/LOCK", "1\n");
    write_file("cut/VERSION.new", "tres");
    ck_assert_int_eq(state_dir_open(path, &dir, NULL), 0);
    state_dir_close(dir);
}
END_TEST

START_TEST(an_empty_name_is_refused)
{
    CLEANUP_STATUS struct status st = {0};
    struct state_dir *dir;

    ck_assert_int_eq(make_directories("", 0700, NULL), -STATUS_INVALID_ARGUMENT);
    ck_assert_int_eq(state_dir_open("", &dir, &st), -STATUS_INVALID_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(status_message(&st), "STATE_DIRECTORY"));
}
END_TEST

START_TEST(nobody_else_can_read_the_state_directory)
{
    CLEANUP(freep) char *path = xasprintf("%s/private", directory);
    CLEANUP(freep) char *lock = xasprintf("%s/LOCK", path);
    struct state_dir *dir;
    struct stat info;

    ck_assert_int_eq(state_dir_open(path, &dir, NULL), 0);
    ck_assert_int_eq(stat(path, &info), 0);
    ck_assert_uint_eq(info.st_mode & 0027, 0);
    ck_assert_int_eq(stat(lock, &info), 0);
    ck_assert_uint_eq(info.st_mode & 0077, 0);
    state_dir_close(dir);
}
END_TEST

START_TEST(a_newer_or_foreign_state_directory_is_refused)
{
    static const struct {
        const char *version, *message;
    } cases[] = {
        {"trestle state directory\nversion 999\n", "newer"},
        {"trestle state directory\nversion x\n", "damaged"},
        {"something else\n", "not a state directory"},
    };
    struct state_dir *dir;

    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        CLEANUP_STATUS struct status st = {0};

        write_file("VERSION", cases[i].version);
        ck_assert_int_lt(state_dir_open(directory, &dir, &st), 0);
        ck_assert_ptr_nonnull(strstr(status_message(&st), cases[i].message));
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("artifact_store");
    TCase *tests = tcase_create("artifact_store");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, what_was_written_can_be_read_by_its_digest);
    tcase_add_test(tests, an_empty_artifact_is_one_too);
    tcase_add_test(tests, the_same_bytes_are_stored_once);
    tcase_add_test(tests, a_wrong_digest_is_an_error_and_leaves_nothing);
    tcase_add_test(tests, only_paths_that_the_store_gave_out_name_an_artifact);
    tcase_add_test(tests, what_is_no_digest_is_refused);
    tcase_add_test(tests, leftovers_of_an_earlier_daemon_are_removed_at_start);
    tcase_add_test(tests, what_nobody_refers_to_is_dropped_after_a_while);
    tcase_add_test(tests, a_state_directory_is_made_and_has_a_version);
    tcase_add_test(tests, two_daemons_cannot_share_a_state_directory);
    tcase_add_test(tests, a_directory_with_other_things_in_it_is_refused_and_left_alone);
    tcase_add_test(tests, a_start_that_was_cut_off_is_no_obstacle);
    tcase_add_test(tests, an_empty_name_is_refused);
    tcase_add_test(tests, nobody_else_can_read_the_state_directory);
    tcase_add_test(tests, a_newer_or_foreign_state_directory_is_refused);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
