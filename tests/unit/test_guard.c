/* Who may read, and who may change. */
#include <check.h>
#include <stdlib.h>

#include "http/guard.h"

START_TEST(addresses_and_localhost_are_ours)
{
    static const char *const ours[] = {"127.0.0.1", "127.0.0.1:8100", "10.1.2.3:80", "[::1]:8100",
                                       "[::1]",     "localhost",      "LOCALHOST:1"};

    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
        ck_assert_msg(http_host_is_ours(ours[i], ""), "%s", ours[i]);
}
END_TEST

START_TEST(other_names_are_ours_only_where_configured)
{
    static const char *const others[] = {
        "evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8100", "", ":8100",
        "[evil]",       "127.0.0.1@evil"};

    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        ck_assert_msg(!http_host_is_ours(others[i], "beam.example"), "%s", others[i]);
    ck_assert(!http_host_is_ours(NULL, ""));
    ck_assert(http_host_is_ours("Beam.Example:8100", "other, beam.example"));
    ck_assert(!http_host_is_ours("beam", "other beam.example"));
}
END_TEST

START_TEST(changes_come_from_the_page_itself_or_from_no_page)
{
    struct http_origin request = {.host = "localhost:8100", .content_type = "application/json"};

    ck_assert_ptr_null(http_refuse_change(&request));
    request.origin = "http://localhost:8100";
    request.fetch_site = "same-origin";
    ck_assert_ptr_null(http_refuse_change(&request));
    request.fetch_site = "cross-site";
    ck_assert_ptr_nonnull(http_refuse_change(&request));
    request.fetch_site = NULL;
    request.origin = "http://localhost:8101";
    ck_assert_ptr_nonnull(http_refuse_change(&request));
    request.origin = "null";
    ck_assert_ptr_nonnull(http_refuse_change(&request));
}
END_TEST

START_TEST(what_a_form_can_send_changes_nothing)
{
    struct http_origin request = {.host = "localhost:8100"};

    ck_assert_ptr_nonnull(http_refuse_change(&request));
    request.content_type = "text/plain";
    ck_assert_ptr_nonnull(http_refuse_change(&request));
    request.content_type = "application/x-www-form-urlencoded";
    ck_assert_ptr_nonnull(http_refuse_change(&request));
}
END_TEST

int main(void) {
    Suite *suite = suite_create("guard");
    TCase *tests = tcase_create("guard");
    SRunner *runner;
    int failed;

    tcase_add_test(tests, addresses_and_localhost_are_ours);
    tcase_add_test(tests, other_names_are_ours_only_where_configured);
    tcase_add_test(tests, changes_come_from_the_page_itself_or_from_no_page);
    tcase_add_test(tests, what_a_form_can_send_changes_nothing);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
