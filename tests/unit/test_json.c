#include <check.h>
#include <math.h>
#include <string.h>

#include "trestle_inspection.pb-c.h"
#include "wire/json.h"

/* The caller frees it. */
static char *json_of(const ProtobufCMessage *message) {
    struct buf out = {0};
    char *text;

    json_add_message(&out, message);
    text = xmemdup0(buf_data(&out), out.size);
    buf_clear(&out);
    return text;
}

static char *string_of(const char *string) {
    struct buf out = {0};
    char *text;

    json_add_string(&out, string);
    text = xmemdup0(buf_data(&out), out.size);
    buf_clear(&out);
    return text;
}

START_TEST(defaults_are_written_and_absent_messages_are_null)
{
    Trestle__V1__JobDetail detail = TRESTLE__V1__JOB_DETAIL__INIT;
    CLEANUP(freep) char *text = json_of(&detail.base);

    ck_assert_str_eq(text, "{\"summary\":null,\"states\":[],\"error\":\"\",\"options_json\":\"\",\"environments\":[],"
                           "\"memory_bytes\":0,\"peak_memory_bytes\":0,\"disk_bytes\":0,\"workers\":[],\"warnings\":0,"
                           "\"waits_for\":\"\"}");
}
END_TEST

START_TEST(numbers_are_numbers)
{
    Trestle__V1__JobSummary summary = TRESTLE__V1__JOB_SUMMARY__INIT;
    CLEANUP(freep) char *text = NULL;

    summary.submitted_ms = INT64_C(-9007199254740993);
    summary.progress = 0.25;
    summary.priority = -7;
    summary.retries = 4294967295u;
    summary.is_streaming = true;
    text = json_of(&summary.base);
    ck_assert_ptr_nonnull(strstr(text, "\"submitted_ms\":-9007199254740993,"));
    ck_assert_ptr_nonnull(strstr(text, "\"progress\":0.25,"));
    ck_assert_ptr_nonnull(strstr(text, "\"priority\":-7,"));
    ck_assert_ptr_nonnull(strstr(text, "\"retries\":4294967295,"));
    ck_assert_ptr_nonnull(strstr(text, "\"is_streaming\":true,"));
}
END_TEST

START_TEST(what_is_no_number_is_null)
{
    Trestle__V1__JobSummary summary = TRESTLE__V1__JOB_SUMMARY__INIT;
    CLEANUP(freep) char *text = NULL;

    summary.progress = NAN;
    text = json_of(&summary.base);
    ck_assert_ptr_nonnull(strstr(text, "\"progress\":null,"));
}
END_TEST

START_TEST(lists_hold_strings_and_messages)
{
    Trestle__V1__ListJobsRequest request = TRESTLE__V1__LIST_JOBS_REQUEST__INIT;
    Trestle__V1__WorkerStatusText status = TRESTLE__V1__WORKER_STATUS_TEXT__INIT;
    Trestle__V1__SampledElements samples = TRESTLE__V1__SAMPLED_ELEMENTS__INIT;
    Trestle__V1__Sample one = TRESTLE__V1__SAMPLE__INIT, two = TRESTLE__V1__SAMPLE__INIT, *both[] = {&one, &two};
    char *states[] = {(char *)"DONE", (char *)"FAILED"};
    CLEANUP(freep) char *first = NULL;
    CLEANUP(freep) char *second = NULL;
    CLEANUP(freep) char *third = NULL;

    request.states = states;
    request.n_states = 2;
    first = json_of(&request.base);
    ck_assert_ptr_nonnull(strstr(first, "\"states\":[\"DONE\",\"FAILED\"]"));
    one.element = (char *)"a";
    two.time_ms = 5;
    samples.samples = both;
    samples.n_samples = 2;
    second = json_of(&samples.base);
    ck_assert_str_eq(second, "{\"samples\":[{\"pcollection\":\"\",\"element\":\"a\",\"time_ms\":0,\"exception\":\"\"},"
                             "{\"pcollection\":\"\",\"element\":\"\",\"time_ms\":5,\"exception\":\"\"}]}");
    third = json_of(&status.base);
    ck_assert_str_eq(third, "{\"worker_id\":\"\",\"text\":\"\"}");
}
END_TEST

START_TEST(strings_are_escaped)
{
    CLEANUP(freep) char *text = string_of("a\"b\\c\n\t\x01\x7f/é€😀");

    ck_assert_str_eq(text, "\"a\\\"b\\\\c\\u000a\\u0009\\u0001\\u007f/é€😀\"");
}
END_TEST

START_TEST(what_is_not_utf8_is_mended)
{
    /* A lone continuation byte, an overlong slash, a surrogate, and a character that is cut off. */
    CLEANUP(freep)
    char *text = string_of("a\x80"
                           "b\xc0\xaf"
                           "c\xed\xa0\x80"
                           "d\xe2\x82");

    ck_assert_str_eq(text, "\"a\xef\xbf\xbd"
                           "b\xef\xbf\xbd\xef\xbf\xbd"
                           "c\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
                           "d\xef\xbf\xbd\xef\xbf\xbd\"");
}
END_TEST

int main(void) {
    Suite *suite = suite_create("json");
    TCase *tests = tcase_create("json");
    SRunner *runner;
    int failed;

    tcase_add_test(tests, defaults_are_written_and_absent_messages_are_null);
    tcase_add_test(tests, numbers_are_numbers);
    tcase_add_test(tests, what_is_no_number_is_null);
    tcase_add_test(tests, lists_hold_strings_and_messages);
    tcase_add_test(tests, strings_are_escaped);
    tcase_add_test(tests, what_is_not_utf8_is_mended);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
