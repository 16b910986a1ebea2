/* What flags and variables say of tokens and TLS, and what is wrong with the files that they name. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/credentials.h"
#include "temp_dir.h"

static char *directory, *old_directory;
static struct credentials credentials;
static struct status st;

static void run(const char *command) {
    ck_assert_msg(system(command) == 0, "%s", command);
}

/* Two certificates with their keys, and tokens in files; paths in the tests are of the directory. */
static void set_up(void) {
    directory = temp_dir_create();
    old_directory = getcwd(NULL, 0);
    ck_assert_int_eq(chdir(directory), 0);
    run("for name in own other; do openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "
        "/CN=$name "
        "-keyout $name.key -out $name.pem >/dev/null 2>&1 || exit 1; done; cat own.key own.pem >both.pem; "
        "openssl req -x509 -newkey rsa:512 -nodes -subj /CN=weak -keyout weak.key -out weak.pem >/dev/null 2>&1; "
        "openssl pkey -in own.key -aes128 -passout pass:secret -out locked.key; "
        "echo file-token >token; printf 'token: a\\nline: b\\n' >no-token; : >empty; head -c 1100000 /dev/zero >large");
}

static void tear_down(void) {
    ck_assert_int_eq(chdir(old_directory), 0);
    free(old_directory);
    temp_dir_destroy(directory);
    credentials_clear(&credentials);
    status_clear(&st);
}

static int load_words(int argc, char *const *argv) {
    struct arguments arguments;

    credentials_clear(&credentials);
    credentials = (struct credentials){0};
    status_clear(&st);
    ck_assert_int_eq(arguments_parse(command_find("jobs"), argc, argv, &arguments, &st), 0);
    return credentials_load(&arguments, &credentials, &st);
}

/* LOAD("--tls", "--token", "x") */
#define LOAD(...)                                                                                                      \
    load_words((int)ARRAY_COUNT(((char *[]){NULL, ##__VA_ARGS__})) - 1, (char *[]){NULL, ##__VA_ARGS__} + 1)
#define REFUSED(expected, ...)                                                                                         \
    do {                                                                                                               \
        ck_assert_int_lt(LOAD(__VA_ARGS__), 0);                                                                        \
        ck_assert_str_eq(status_message(&st), expected);                                                               \
    } while (0)

START_TEST(without_words_there_is_neither_token_nor_tls)
{
    ck_assert_int_eq(LOAD(), 0);
    ck_assert_ptr_null(credentials.token);
    ck_assert(!credentials.has_tls);
}
END_TEST

START_TEST(a_token_comes_from_a_word_a_file_or_a_variable_in_this_order)
{
    setenv("TRESTLE_TOKEN_FILE", "token", 1);
    ck_assert_int_eq(LOAD(), 0);
    ck_assert_str_eq(credentials.token, "file-token");
    ck_assert_str_eq(credentials.token_source, "token");
    setenv("TRESTLE_TOKEN", "variable-token", 1);
    ck_assert_int_eq(LOAD(), 0);
    ck_assert_str_eq(credentials.token, "variable-token");
    ck_assert_str_eq(credentials.token_source, "TRESTLE_TOKEN");
    ck_assert_int_eq(LOAD("--token-file", "token"), 0);
    ck_assert_str_eq(credentials.token, "file-token");
    ck_assert_int_eq(LOAD("--token", "word-token"), 0);
    ck_assert_str_eq(credentials.token, "word-token");
    ck_assert_str_eq(credentials.token_source, "--token");
    REFUSED("--token and --token-file cannot both be given", "--token", "a", "--token-file", "token");
}
END_TEST

START_TEST(what_is_no_token_is_not_sent)
{
    REFUSED("--token-file: no-token is to hold a token and nothing else", "--token-file", "no-token");
    REFUSED("--token-file: empty is to hold a token and nothing else", "--token-file", "empty");
    REFUSED("--token-file: cannot read absent: No such file or directory", "--token-file", "absent");
    REFUSED("--token-file: cannot read .: Is a directory", "--token-file", ".");
    REFUSED("--token is to hold a token and nothing else", "--token", "two words");
    setenv("TRESTLE_TOKEN_FILE", "absent", 1);
    REFUSED("TRESTLE_TOKEN_FILE: cannot read absent: No such file or directory");
}
END_TEST

START_TEST(each_word_about_tls_asks_for_it)
{
    ck_assert_int_eq(LOAD("--tls"), 0);
    ck_assert(credentials.has_tls);
    ck_assert_ptr_null(credentials.ca);
    ck_assert_int_eq(LOAD("--tls-server-name", "elsewhere"), 0);
    ck_assert(credentials.has_tls);
    ck_assert_str_eq(credentials.server_name, "elsewhere");
    ck_assert_int_eq(LOAD("--tls-ca", "own.pem"), 0);
    ck_assert(credentials.has_tls);
    ck_assert_str_eq(credentials.ca_path, "own.pem");
    ck_assert_ptr_nonnull(strstr(credentials.ca, "BEGIN CERTIFICATE"));
    ck_assert_ptr_null(credentials.certificate);
    ck_assert_int_eq(LOAD("--tls-cert", "own.pem", "--tls-key", "own.key"), 0);
    ck_assert(credentials.has_tls);
    ck_assert_ptr_nonnull(strstr(credentials.key, "PRIVATE KEY"));
}
END_TEST

START_TEST(the_variable_is_yes_or_no)
{
    static const char *const yes[] = {"1", "yes", "true", "on"}, *const no[] = {"", "0", "no", "false", "off"};

    for (size_t i = 0; i < ARRAY_COUNT(yes); i++) {
        setenv("TRESTLE_TLS", yes[i], 1);
        ck_assert_int_eq(LOAD(), 0);
        ck_assert(credentials.has_tls);
    }
    for (size_t i = 0; i < ARRAY_COUNT(no); i++) {
        setenv("TRESTLE_TLS", no[i], 1);
        ck_assert_int_eq(LOAD(), 0);
        ck_assert(!credentials.has_tls);
    }
    setenv("TRESTLE_TLS", "perhaps", 1);
    REFUSED("TRESTLE_TLS: \"perhaps\" is neither yes nor no");
    ck_assert_int_eq(LOAD("--tls"), 0);
}
END_TEST

START_TEST(the_key_may_be_in_the_certificates_file)
{
    ck_assert_int_eq(LOAD("--tls-cert", "both.pem"), 0);
    ck_assert_ptr_nonnull(strstr(credentials.key, "PRIVATE KEY"));
    REFUSED("--tls-key is not given: own.pem holds no private key in PEM form without a password", "--tls-cert",
            "own.pem");
}
END_TEST

START_TEST(a_wrong_file_is_named)
{
    REFUSED("--tls-ca: cannot read absent: No such file or directory", "--tls-ca", "absent");
    REFUSED("--tls-ca: own.key holds no certificate in PEM form", "--tls-ca", "own.key");
    REFUSED("--tls-ca: large is larger than 1048575 bytes", "--tls-ca", "large");
    REFUSED("--tls-cert: token holds no certificate in PEM form", "--tls-cert", "token", "--tls-key", "own.key");
    REFUSED("--tls-key: token holds no private key in PEM form without a password", "--tls-cert", "own.pem",
            "--tls-key", "token");
    REFUSED("--tls-key: locked.key holds no private key in PEM form without a password", "--tls-cert", "own.pem",
            "--tls-key", "locked.key");
    REFUSED("--tls-key: the key in other.key is not that of the certificate in own.pem", "--tls-cert", "own.pem",
            "--tls-key", "other.key");
    REFUSED("the certificate in weak.pem is not good enough for TLS: ee key too small", "--tls-cert", "weak.pem",
            "--tls-key", "weak.key");
    REFUSED("--tls-key needs --tls-cert, the certificate that the key is of", "--tls-key", "own.key");
    setenv("TRESTLE_TLS_CA", "absent", 1);
    REFUSED("TRESTLE_TLS_CA: cannot read absent: No such file or directory");
}
END_TEST

int main(void) {
    Suite *suite = suite_create("credentials");
    TCase *tcase = tcase_create("credentials");
    SRunner *runner;
    int failed;

    unsetenv("TRESTLE_TOKEN");
    unsetenv("TRESTLE_TOKEN_FILE");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, without_words_there_is_neither_token_nor_tls);
    tcase_add_test(tcase, a_token_comes_from_a_word_a_file_or_a_variable_in_this_order);
    tcase_add_test(tcase, what_is_no_token_is_not_sent);
    tcase_add_test(tcase, each_word_about_tls_asks_for_it);
    tcase_add_test(tcase, the_variable_is_yes_or_no);
    tcase_add_test(tcase, the_key_may_be_in_the_certificates_file);
    tcase_add_test(tcase, a_wrong_file_is_named);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
