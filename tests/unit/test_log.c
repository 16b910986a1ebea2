#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

static const struct log_origin origin = {
    .file = "../jobserver/daemon.c", .line = 172, .function = "serve_http", .component = "http"};
static const struct log_origin of_job = {
    .file = "../jobserver/job.c", .line = 7, .function = "end", .component = "job", .job = "20260331-wordcount"};

/* 2026-03-31T14:25:01.583Z */
#define TIME_NS INT64_C(1774967101583000000)

static void expect_line(enum log_format format, const struct log_origin *from, const char *text, const char *want) {
    struct buf out = {0};
    CLEANUP(freep) char *got = NULL;

    log_format_line(&out, format, from, LOG_LEVEL_WARNING, TIME_NS, text);
    got = xmemdup0(buf_data(&out), out.size);
    buf_clear(&out);
    ck_assert_str_eq(got, want);
}

START_TEST(plain_lines_have_the_time_and_the_level)
{
    expect_line(LOG_FORMAT_PLAIN, &origin, "no page", "2026-03-31T14:25:01.583Z WARNING http: no page\n");
    expect_line(LOG_FORMAT_PLAIN, &of_job, "FAILED",
                "2026-03-31T14:25:01.583Z WARNING job: 20260331-wordcount: FAILED\n");
}
END_TEST

START_TEST(without_journald_its_priority_stands_in_front)
{ expect_line(LOG_FORMAT_JOURNAL, &origin, "no page", "<4>http: no page\n"); }
END_TEST

START_TEST(json_lines_are_one_object_each)
{
    expect_line(LOG_FORMAT_JSON, &origin, "a \"page\"\nof two lines",
                "{\"time\":\"2026-03-31T14:25:01.583Z\",\"level\":\"warning\",\"component\":\"http\","
                "\"message\":\"a \\\"page\\\"\\u000aof two lines\",\"code\":\"jobserver/daemon.c:172\"}\n");
    expect_line(LOG_FORMAT_JSON, &of_job, "FAILED",
                "{\"time\":\"2026-03-31T14:25:01.583Z\",\"level\":\"warning\",\"component\":\"job\","
                "\"job\":\"20260331-wordcount\",\"message\":\"FAILED\",\"code\":\"jobserver/job.c:7\"}\n");
}
END_TEST

START_TEST(journal_entries_have_fields_and_a_text_of_several_lines_its_size)
{
    static const char want[] = "PRIORITY=3\nSYSLOG_IDENTIFIER=trestle\nTRESTLE_COMPONENT=job\n"
                               "CODE_FILE=jobserver/job.c\nCODE_LINE=7\nCODE_FUNC=end\n"
                               "TRESTLE_JOB=20260331-wordcount\nMESSAGE\n\5\0\0\0\0\0\0\0a\nb=c\n";
    struct buf out = {0};

    log_format_entry(&out, &of_job, LOG_LEVEL_ERROR, "a\nb=c");
    ck_assert_uint_eq(out.size, sizeof(want) - 1);
    ck_assert_mem_eq(buf_data(&out), want, out.size);
    buf_clear(&out);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("log");
    TCase *tests = tcase_create("log");
    SRunner *runner;
    int failed;

    tcase_add_test(tests, plain_lines_have_the_time_and_the_level);
    tcase_add_test(tests, without_journald_its_priority_stands_in_front);
    tcase_add_test(tests, json_lines_are_one_object_each);
    tcase_add_test(tests, journal_entries_have_fields_and_a_text_of_several_lines_its_size);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
