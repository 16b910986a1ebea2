/* A daemon that wants tokens: what is refused without one, and how they are given and taken away. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "suites.h"
#include "tests/harness/fixture.h"
#include "tests/harness/page.h"

#define JOB_SERVICE "/org.apache.beam.model.job_management.v1.JobService/"
#define INSPECTION "/trestle.v1.Inspection/"

/* sha256 of sixteen zero bytes and "trestle_test"; and "trestle_other". */
static const char line[] =
    "tester:00000000000000000000000000000000:cccc28370dad20f00d85b32c4a5e07ce7e8c32d9b4c7828c0998bc064ef05d0f\n";
static const char other_line[] =
    "other:00000000000000000000000000000000:006924c950a4545aad9594416f188b1b722784e20f2b932d26d04e003b52f17c\n";

static struct daemon_process guarded;
static struct submitter client;
static char tokens_path[] = "/tmp/trestle-tokens-XXXXXX";

/* In one step, so that the daemon never reads half of it. */
static void write_tokens(const char *first, const char *second) {
    CLEANUP(freep) char *next = xasprintf("%s.next", tokens_path);
    FILE *file = fopen(next, "w");

    ck_assert_ptr_nonnull(file);
    fputs(first, file);
    fputs(second, file);
    fclose(file);
    ck_assert_int_eq(rename(next, tokens_path), 0);
}

static void setup(void) {
    CLEANUP(freep) char *yaml = NULL;

    close(mkstemp(tokens_path));
    write_tokens(line, "");
    yaml = xasprintf("auth: {tokens_file: %s}\n", tokens_path);
    ck_assert(daemon_start(&guarded, yaml));
    rpc_init();
    submitter_init(&client, guarded.endpoint);
}

static void teardown(void) {
    submitter_clear(&client);
    remove(tokens_path);
    ck_assert(daemon_stop(&guarded));
}

static enum status_code call(const char *path, const char *authorization) {
    struct rpc_metadata metadata = {"authorization", authorization};
    CLEANUP_STATUS struct status st = {0};
    struct slice response = SLICE_EMPTY;

    rpc_channel_call_wait(client.channel, path, &metadata, authorization ? 1 : 0, 10000, true, SLICE_EMPTY, &response,
                          &st);
    slice_unref(&response);
    return st.code;
}

static void expect_guarded(const char *path) {
    static const char *const wrong[] = {NULL,          "", "Bearer", "Bearer ", "Bearer trestle_tesT", "Basic eDp5",
                                        "trestle_test"};

    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++)
        ck_assert_msg(call(path, wrong[i]) == STATUS_UNAUTHENTICATED, "%s with \"%s\"", path,
                      wrong[i] ? wrong[i] : "nothing");
}

START_TEST(the_job_api_wants_a_token)
{
    static const char *const methods[] = {JOB_SERVICE "Prepare",
                                          JOB_SERVICE "Run",
                                          JOB_SERVICE "GetJobs",
                                          JOB_SERVICE "GetState",
                                          JOB_SERVICE "GetPipeline",
                                          JOB_SERVICE "Cancel",
                                          JOB_SERVICE "Drain",
                                          JOB_SERVICE "GetStateStream",
                                          JOB_SERVICE "GetMessageStream",
                                          JOB_SERVICE "GetJobMetrics",
                                          JOB_SERVICE "DescribePipelineOptions"};

    for (size_t i = 0; i < ARRAY_COUNT(methods); i++)
        expect_guarded(methods[i]);
    ck_assert_int_eq(call(JOB_SERVICE "GetJobs", "Bearer trestle_test"), STATUS_OK);
}
END_TEST

START_TEST(the_inspection_wants_a_token)
{
    static const char *const methods[] = {
        INSPECTION "GetServer",    INSPECTION "ListJobs",   INSPECTION "GetJob",          INSPECTION "GetGraph",
        INSPECTION "ListMessages", INSPECTION "GetMetrics", INSPECTION "GetWorkerStatus", INSPECTION "SampleElements"};

    for (size_t i = 0; i < ARRAY_COUNT(methods); i++)
        expect_guarded(methods[i]);
    ck_assert_int_eq(call(INSPECTION "GetServer", "Bearer trestle_test"), STATUS_OK);
}
END_TEST

/* By the code of the answer. */
static void expect_page(const char *method, const char *path, const char *headers, int code) {
    CLEANUP(freep) char *answer = page_ask(&guarded, method, path, headers);

    ck_assert_msg(atoi(answer + strlen("HTTP/1.1 ")) == code, "%s %s\n%s", method, path, answer);
}

START_TEST(the_page_wants_a_token_and_health_checks_do_not)
{
    static const char *const guarded_paths[] = {"/",         "/metrics",  "/api/v1/jobs",        "/api/v1/server",
                                                "/healthz/", "//healthz", "/healthz/../metrics", "/metrics?/healthz",
                                                "/nothing"};

    for (size_t i = 0; i < ARRAY_COUNT(guarded_paths); i++) {
        expect_page("GET", guarded_paths[i], "", 401);
        expect_page("GET", guarded_paths[i], "Authorization: Bearer trestle_tesT\r\n", 401);
    }
    expect_page("GET", "/metrics", "Authorization: Bearer trestle_test\r\n", 200);
    expect_page("GET", "/healthz", "", 200);
    expect_page("HEAD", "/healthz", "", 200);
    expect_page("GET", "/readyz?verbose", "", 200);
    expect_page("POST", "/healthz", "", 401);
}
END_TEST

START_TEST(who_has_a_token_runs_a_job)
{
    struct pipeline p;
    struct job job;

    client.authorization = "Bearer trestle_test";
    begin_pipeline(&p);
    add_good_pipeline(&p);
    job_run(&client, &p, "good", &job);
    expect_good_job(&job);
    job_clear(&job);
    pipeline_clear(&p);
}
END_TEST

/* By both ways in. */
static void expect_known(const char *token, bool is_known) {
    CLEANUP(freep) char *authorization = xasprintf("Bearer %s", token);
    CLEANUP(freep) char *header = xasprintf("Authorization: %s\r\n", authorization);

    ck_assert_msg(call(JOB_SERVICE "GetJobs", authorization) == (is_known ? STATUS_OK : STATUS_UNAUTHENTICATED), "%s",
                  token);
    expect_page("GET", "/metrics", header, is_known ? 200 : 401);
}

START_TEST(tokens_are_added_and_taken_away_without_a_restart)
{
    expect_known("trestle_test", true);
    expect_known("trestle_other", false);
    write_tokens(line, other_line);
    ck_assert(daemon_reread(&guarded, "2 tokens in "));
    expect_known("trestle_test", true);
    expect_known("trestle_other", true);
    write_tokens("", other_line);
    ck_assert(daemon_reread(&guarded, "1 tokens in "));
    expect_known("trestle_test", false);
    expect_known("trestle_other", true);
}
END_TEST

START_TEST(a_file_of_tokens_that_is_no_good_leaves_those_before_it)
{
    CLEANUP(freep) char *says = xasprintf("%s:2: not a line NAME:SALT:HASH", tokens_path);

    write_tokens(other_line, "other\n");
    ck_assert(daemon_reread(&guarded, says));
    expect_known("trestle_test", true);
    expect_known("trestle_other", false);
    remove(tokens_path);
    ck_assert(daemon_reread(&guarded, "cannot read the tokens in "));
    expect_known("trestle_test", true);
}
END_TEST

START_TEST(calls_are_judged_while_tokens_change)
{
    for (int i = 0; i < 20; i++) {
        write_tokens(line, i % 2 ? other_line : "");
        ck_assert_int_eq(kill(guarded.pid, SIGHUP), 0);
        expect_known("trestle_test", true);
        ck_assert_int_eq(call(JOB_SERVICE "GetJobs", "Bearer trestle_tesT"), STATUS_UNAUTHENTICATED);
    }
}
END_TEST

void add_token_tests(Suite *suite) {
    TCase *tcase = tcase_create("tokens");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, the_job_api_wants_a_token);
    tcase_add_test(tcase, the_inspection_wants_a_token);
    tcase_add_test(tcase, the_page_wants_a_token_and_health_checks_do_not);
    tcase_add_test(tcase, who_has_a_token_runs_a_job);
    tcase_add_test(tcase, tokens_are_added_and_taken_away_without_a_restart);
    tcase_add_test(tcase, a_file_of_tokens_that_is_no_good_leaves_those_before_it);
    tcase_add_test(tcase, calls_are_judged_while_tokens_change);
    suite_add_tcase(suite, tcase);
}
