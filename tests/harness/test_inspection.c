/* What Trestle tells of itself, over gRPC and over HTTP, while a job runs and when it is over. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fixture.h"
#include "page.h"
#include "prometheus.h"
#include "suites.h"
#include "trestle_inspection.pb-c.h"
#include "wire/pb.h"

#define WORKER_STATUS "beam:protocol:worker_status:v1"

/* ---- gRPC ---- */

static struct arena arena;

#define ASK(method, request, response_type, response_symbol, ret)                                                      \
    do {                                                                                                               \
        CLEANUP_STATUS struct status st_ = {0};                                                                        \
        CLEANUP_SLICE struct slice bytes_ = SLICE_EMPTY;                                                               \
        ck_assert_msg(rpc_channel_call_wait(test_client.channel, "/trestle.v1.Inspection/" method, NULL, 0, 60000,     \
                                            true, pb_pack(&(request)->base, NULL), &bytes_, &st_) == 0,                \
                      "%s", status_message(&st_));                                                                     \
        ck_assert_int_eq(PB_UNPACK(response_type, response_symbol, bytes_, PB_STRINGS_STRICT, &arena, ret, NULL), 0);  \
    } while (0)

static Trestle__V1__JobDetail *get_job(const char *id) {
    Trestle__V1__GetJobRequest request = TRESTLE__V1__GET_JOB_REQUEST__INIT;
    Trestle__V1__JobDetail *detail;

    request.job_id = (char *)id;
    ASK("GetJob", &request, Trestle__V1__JobDetail, trestle__v1__job_detail, &detail);
    return detail;
}

static Trestle__V1__Graph *get_graph(const char *id) {
    Trestle__V1__GetGraphRequest request = TRESTLE__V1__GET_GRAPH_REQUEST__INIT;
    Trestle__V1__Graph *graph;

    request.job_id = (char *)id;
    ASK("GetGraph", &request, Trestle__V1__Graph, trestle__v1__graph, &graph);
    return graph;
}

/* ---- HTTP ---- */

static void expect_http(const char *method, const char *path, int code, const char *holds) {
    CLEANUP(freep) char *answer = page_ask(&test_daemon, method, path, "");

    ck_assert_msg(atoi(answer + strlen("HTTP/1.1 ")) == code, "%s %s\n%s", method, path, answer);
    ck_assert_msg(strstr(answer, holds) != NULL, "\"%s\" is not in the answer to %s\n%s", holds, path, answer);
}

static void expect_about(const struct job *job, const char *what, const char *holds) {
    CLEANUP(freep) char *path = xasprintf("/api/v1/jobs/%s%s", job->id, what);

    expect_http("GET", path, 200, holds);
}

/* ---- the tests ---- */

static void setup(void) {
    fixture_setup();
    arena = (struct arena){0};
}

static void teardown(void) {
    arena_clear(&arena);
    fixture_teardown();
}

static const Trestle__V1__Stage *find_stage(const Trestle__V1__Graph *graph, const char *name) {
    for (size_t i = 0; i < graph->n_stages; i++)
        if (strstr(graph->stages[i]->name, name))
            return graph->stages[i];
    ck_abort_msg("there is no stage \"%s\"", name);
}

static uint64_t elements_into(const Trestle__V1__Graph *graph, unsigned stage) {
    for (size_t i = 0; i < graph->n_edges; i++)
        if (graph->edges[i]->to_stage == stage)
            return graph->edges[i]->elements;
    ck_abort_msg("nothing leads into stage %u", stage);
}

START_TEST(a_job_that_is_done_keeps_its_graph_with_all_counts)
{
    const Trestle__V1__Stage *group, *count;
    Trestle__V1__JobDetail *detail;
    Trestle__V1__Graph *graph;
    struct pipeline p;
    struct job job;

    begin_pipeline(&p);
    add_good_pipeline(&p);
    job_run(&test_client, &p, "good", &job);
    expect_good_job(&job);
    detail = get_job(job.id);
    ck_assert_str_eq(detail->summary->state, "DONE");
    ck_assert_str_eq(detail->summary->name, "good");
    ck_assert(detail->summary->progress == 1);
    ck_assert_str_eq(detail->error, "");
    ck_assert_int_gt(detail->summary->started_ms, 0);
    ck_assert_int_ge(detail->summary->ended_ms, detail->summary->started_ms);
    ck_assert_str_eq(detail->states[detail->n_states - 1]->state, "DONE");
    graph = get_graph(job.id);
    ck_assert(!graph->is_live);
    for (size_t i = 0; i < graph->n_stages; i++)
        ck_assert_str_eq(graph->stages[i]->state, "done");
    group = find_stage(graph, "Group");
    count = find_stage(graph, "Count");
    ck_assert_str_eq(group->kind, "group_by_key");
    ck_assert_str_eq(count->kind, "executable");
    ck_assert_uint_eq(count->n_transforms, 2);
    ck_assert_str_eq(count->transforms[0]->name, "Count");
    ck_assert_uint_eq(elements_into(graph, group->index), 1000);
    ck_assert_uint_eq(elements_into(graph, count->index), 10);
    ck_assert_uint_eq(count->elements_in, 10);
    ck_assert_uint_ge(count->bundles_done, 1);
    ck_assert_str_eq(count->output_watermark, "end");
    expect_about(&job, "", "\"state\":\"DONE\"");
    expect_about(&job, "/graph", "\"kind\":\"group_by_key\"");
    expect_about(&job, "/messages?contains=.k3.100", "\"has_more\":false");
    expect_about(&job, "/metrics", "\"beam:metric:element_count:v1\"");
    job_clear(&job);
    pipeline_clear(&p);
}
END_TEST

/* The one that has the bundle of the stuck step, and can be asked; NULL: not yet. */
static const Trestle__V1__Worker *stuck_worker(const Trestle__V1__JobDetail *detail) {
    for (size_t i = 0; i < detail->n_workers; i++) {
        const Trestle__V1__Worker *worker = detail->workers[i];

        if (worker->n_bundles && strcmp(worker->bundles[0]->stage, "Stuck step") == 0 && worker->has_status)
            return worker;
    }
    return NULL;
}

START_TEST(a_job_that_runs_shows_what_it_is_at)
{
    Trestle__V1__GetWorkerStatusRequest ask_status = TRESTLE__V1__GET_WORKER_STATUS_REQUEST__INIT;
    Trestle__V1__WorkerStatusText *status;
    Trestle__V1__JobDetail *detail;
    const Trestle__V1__Worker *worker;
    const Trestle__V1__Stage *stuck;
    Trestle__V1__Graph *graph;
    CLEANUP(freep) char *path = NULL;
    struct pipeline p;
    struct job job;

    begin_pipeline(&p);
    pipeline_add_capability(&p, WORKER_STATUS);
    pipeline_add_fn(&p, "Stuck step", "stall", "Start", "bytes");
    job_start(&test_client, &p, "stalls", &job);
    do
        detail = get_job(job.id);
    while (!(worker = stuck_worker(detail)));
    ck_assert_str_eq(detail->summary->state, "RUNNING");
    ck_assert_str_eq(worker->state, "connected");
    ck_assert_uint_eq(worker->bundles[0]->attempt, 1);
    ck_assert_ptr_nonnull(strstr(detail->waits_for, "(Stuck step): 1 bundle running"));
    ck_assert(detail->summary->progress >= 0 && detail->summary->progress < 1);
    graph = get_graph(job.id);
    ck_assert(graph->is_live);
    stuck = find_stage(graph, "Stuck step");
    ck_assert_str_eq(stuck->state, "running");
    ck_assert_uint_eq(stuck->bundles_running, 1);
    ask_status.job_id = job.id;
    ask_status.worker_id = worker->id;
    ASK("GetWorkerStatus", &ask_status, Trestle__V1__WorkerStatusText, trestle__v1__worker_status_text, &status);
    ck_assert_ptr_nonnull(strstr(status->text, "ACTIVE BUNDLES"));
    path = xasprintf("/api/v1/jobs/%s/workers/%s/status", job.id, worker->id);
    expect_http("GET", path, 200, "ACTIVE BUNDLES");
    free(path);
    path = xasprintf("/api/v1/jobs/%s/workers/nobody/status", job.id);
    expect_http("GET", path, 404, "no worker of that name");
    free(path);
    path = xasprintf("/api/v1/jobs/%s/cancel", job.id);
    expect_http("GET", path, 405, "METHOD_NOT_ALLOWED");
    expect_http("POST", path, 200, "\"id\":");
    job_wait(&job);
    ck_assert_int_eq(job.end, JOB__JOB_STATE__ENUM__CANCELLED);
    job_clear(&job);
    pipeline_clear(&p);
}
END_TEST

START_TEST(a_failed_job_tells_why)
{
    Trestle__V1__JobDetail *detail;
    struct pipeline p;
    struct job job;

    begin_pipeline(&p);
    pipeline_add_fn(&p, "Bad", "fail:no such thing", "Start", "bytes");
    job_run(&test_client, &p, "bad", &job);
    ck_assert_int_eq(job.end, JOB__JOB_STATE__ENUM__FAILED);
    detail = get_job(job.id);
    ck_assert_str_eq(detail->summary->state, "FAILED");
    ck_assert_str_eq(detail->error, job.error);
    ck_assert_uint_eq(find_stage(get_graph(job.id), "Bad")->bundles_failed, 1);
    job_clear(&job);
    pipeline_clear(&p);
}
END_TEST

START_TEST(what_is_not_there_is_an_error_in_json)
{
    expect_http("GET", "/api/v1/jobs/nono", 404, "{\"error\":{\"code\":\"NOT_FOUND\",\"message\":\"there is no job");
    expect_http("GET", "/api/v1/nono", 404, "{\"error\":{\"code\":\"NOT_FOUND\"");
    expect_http("GET", "/api/v1/jobs?limit=many", 400, "limit: \\\"many\\\" is not a whole number");
    expect_http("GET", "/api/v1/jobs?states=DONE,LATE", 400, "\\\"LATE\\\" is no state of a job");
    expect_http("GET", "/", 200, "<title>");
}
END_TEST

START_TEST(the_metrics_are_sound_and_count)
{
    CLEANUP(freep) char *before = page_ask(&test_daemon, "GET", "/metrics", "");
    CLEANUP(freep) char *after = NULL;
    CLEANUP(freep) char *wrong = NULL;
    CLEANUP(freep) char *objection = NULL;
    const char *text;

    run_good_pipeline();
    after = page_ask(&test_daemon, "GET", "/metrics", "");
    ck_assert_ptr_nonnull(strstr(after, "Content-Type: text/plain; version=0.0.4"));
    text = strstr(after, "\r\n\r\n") + 4;
    wrong = prometheus_check(text);
    ck_assert_msg(wrong == NULL, "%s", wrong ? wrong : "");
    objection = prometheus_ask_promtool(text);
    ck_assert_msg(objection == NULL, "%s", objection ? objection : "");
    ck_assert(prometheus_value(text, "trestle_jobs{state=\"DONE\"}") ==
              prometheus_value(before, "trestle_jobs{state=\"DONE\"}") + 1);
    ck_assert(prometheus_value(text, "trestle_bundles_total{result=\"done\"}") >=
              prometheus_value(before, "trestle_bundles_total{result=\"done\"}") + 2);
    ck_assert(prometheus_value(text, "trestle_elements_processed_total") ==
              prometheus_value(before, "trestle_elements_processed_total") + 11);
    ck_assert(prometheus_value(text, "trestle_bundles_running") == 0);
    ck_assert(prometheus_value(text, "process_resident_memory_bytes") > 1e6);
}
END_TEST

START_TEST(the_daemon_is_healthy_and_ready)
{
    expect_http("GET", "/healthz", 200, "ok");
    expect_http("GET", "/readyz", 200, "ready");
}
END_TEST

void add_inspection_tests(Suite *suite) {
    TCase *tcase = tcase_create("inspection");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, a_job_that_is_done_keeps_its_graph_with_all_counts);
    tcase_add_test(tcase, a_job_that_runs_shows_what_it_is_at);
    tcase_add_test(tcase, a_failed_job_tells_why);
    tcase_add_test(tcase, what_is_not_there_is_an_error_in_json);
    tcase_add_test(tcase, the_metrics_are_sound_and_count);
    tcase_add_test(tcase, the_daemon_is_healthy_and_ready);
    suite_add_tcase(suite, tcase);
}
