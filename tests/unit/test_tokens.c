#include "jobserver/tokens.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "temp_dir.h"

static char *directory, *path;
static struct tokens *tokens;

static void setup(void) {
    directory = temp_dir_create();
    path = xasprintf("%s/tokens", directory);
    tokens = NULL;
}

static void teardown(void) {
    tokens_unref(tokens);
    free(path);
    temp_dir_destroy(directory);
}

static int load(const char *text, struct status *st) {
    FILE *file = fopen(path, "w");

    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
    return tokens_load(path, &tokens, st);
}

static const char *find(const char *scheme, const char *token) {
    CLEANUP(freep) char *value = xasprintf("%s%s", scheme, token);

    return tokens_find(tokens, slice_of_static(value, strlen(value)));
}

START_TEST(a_token_is_found_by_its_line_and_no_other_is)
{
    CLEANUP(freep) char *token = NULL, *line = NULL, *other = NULL, *other_line = NULL;
    CLEANUP(freep) char *text = NULL;

    ck_assert_int_eq(tokens_make("alice@host", &token, &line, NULL), 0);
    ck_assert_int_eq(tokens_make("bob", &other, &other_line, NULL), 0);
    ck_assert_str_ne(token, other);
    text = xasprintf("# who may\n\n%s\r\n%s", line, other_line);
    ck_assert_int_eq(load(text, NULL), 0);
    ck_assert_str_eq(find("Bearer ", token), "alice@host");
    ck_assert_str_eq(find("bearer ", other), "bob");
    ck_assert_ptr_null(find("Basic ", token));
    ck_assert_ptr_null(find("Bearer ", ""));
    ck_assert_ptr_null(find("Bearer ", line));
    ck_assert_ptr_null(find("", token));
    token[strlen(token) - 1] ^= 1;
    ck_assert_ptr_null(find("Bearer ", token));
    ck_assert_ptr_null(tokens_find(tokens, SLICE_EMPTY));
    ck_assert_ptr_null(strstr(line, token + strlen("trestle_")));
}
END_TEST

START_TEST(a_token_may_be_a_browsers_password)
{
    /* "me:" and the token whose salt is zeros: trestle_test */
    ck_assert_int_eq(load("web:00000000000000000000000000000000:"
                          "cccc28370dad20f00d85b32c4a5e07ce7e8c32d9b4c7828c0998bc064ef05d0f\n",
                          NULL),
                     0);
    ck_assert_str_eq(find("Bearer ", "trestle_test"), "web");
    ck_assert_str_eq(find("Basic ", "bWU6dHJlc3RsZV90ZXN0"), "web");
    ck_assert_str_eq(find("Basic ", "OnRyZXN0bGVfdGVzdA=="), "web");
    ck_assert_ptr_null(find("Basic ", "dHJlc3RsZV90ZXN0"));
    ck_assert_ptr_null(find("Basic ", "===="));
    ck_assert_ptr_null(find("Basic ", "x"));
}
END_TEST

START_TEST(a_file_without_a_token_lets_nobody_in)
{
    ck_assert_int_eq(load("# nobody\n", NULL), 0);
    ck_assert_ptr_null(find("Bearer ", "x"));
}
END_TEST

START_TEST(a_bad_line_is_named)
{
    static const char *const lines[] = {
        "alice",
        ":5f2c5f2c5f2c5f2c5f2c5f2c5f2c5f2c:9b419b419b419b419b419b419b419b419b419b419b419b419b419b419b419b41",
        "a b:5f2c5f2c5f2c5f2c5f2c5f2c5f2c5f2c:9b419b419b419b419b419b419b419b419b419b419b419b419b419b419b419b41",
        "alice:5f2c:9b41",
        "alice:5f2c5f2c5f2c5f2c5f2c5f2c5f2c5f2c:9b419b419b419b419b419b419b419b419b419b419b419b419b419b419b419b4",
        "alice:5f2c5f2c5f2c5f2c5f2c5f2c5f2c5f2X:9b419b419b419b419b419b419b419b419b419b419b419b419b419b419b419b41",
        "alice:5f2c5f2c5f2c5f2c5f2c5f2c5f2c5f2c:9b419b419b419b419b419b419b419b419b419b419b419b419b419b419b419b41x",
    };

    for (size_t i = 0; i < ARRAY_COUNT(lines); i++) {
        CLEANUP(freep) char *text = xasprintf("# one\n%s\n", lines[i]);
        CLEANUP_STATUS struct status st = {0};

        ck_assert_int_lt(load(text, &st), 0);
        ck_assert_msg(strstr(status_message(&st), "/tokens:2: ") != NULL, "%s", status_message(&st));
    }
    ck_assert_int_lt(tokens_load("/nonexistent/tokens", &tokens, NULL), 0);
}
END_TEST

START_TEST(a_name_that_would_break_the_line_is_refused)
{
    static const char *const names[] = {"", "a:b", "a b", "a\nb"};
    char *token, *line;

    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        ck_assert_int_eq(tokens_make(names[i], &token, &line, NULL), -STATUS_INVALID_ARGUMENT);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("tokens");
    TCase *tests = tcase_create("tokens");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, a_token_is_found_by_its_line_and_no_other_is);
    tcase_add_test(tests, a_token_may_be_a_browsers_password);
    tcase_add_test(tests, a_file_without_a_token_lets_nobody_in);
    tcase_add_test(tests, a_bad_line_is_named);
    tcase_add_test(tests, a_name_that_would_break_the_line_is_refused);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
