/* Metrics: progress while bundles run, short ids, what failed and what a process counts. */
#include <string.h>

#include "counters.h"
#include "fixture.h"
#include "model/metric.h"
#include "suites.h"
#include "wire/pb.h"

#define ELEMENT_COUNT "beam:metric:element_count:v1"
#define NONE INT64_MIN

/* attempted or committed of one sum, NONE when there is none; `label` NULL: without labels. */
struct sums {
    int64_t attempted, committed;
};

static bool is_it(const Beam__MonitoringInfo *info, const char *urn, const char *label, const char *value) {
    bool found = !label && info->n_labels == 0;

    for (size_t i = 0; label && i < info->n_labels; i++)
        found |= strcmp(info->labels[i]->key, label) == 0 && strcmp(info->labels[i]->value, value) == 0;
    return found && strcmp(info->urn, urn) == 0;
}

static int64_t find(Beam__MonitoringInfo *const *infos, size_t count, const char *urn, const char *label,
                    const char *value) {
    int64_t found = NONE;

    for (size_t i = 0; i < count; i++)
        if (is_it(infos[i], urn, label, value)) {
            ck_assert_msg(found == NONE, "%s of %s is there twice", urn, value ? value : "the process");
            ck_assert(metric_decode_int64(slice_of_static(infos[i]->payload.data, infos[i]->payload.len), &found));
        }
    return found;
}

static struct sums ask(const struct job *job, const char *urn, const char *label, const char *value) {
    Job__GetJobMetricsRequest request = JOB__GET_JOB_METRICS_REQUEST__INIT;
    CLEANUP_STATUS struct status st = {0};
    Job__GetJobMetricsResponse *response;
    struct slice bytes = SLICE_EMPTY;
    struct arena arena = {0};
    struct sums sums;

    request.job_id = job->id;
    ck_assert_int_eq(rpc_channel_call_wait(test_client.channel,
                                           "/org.apache.beam.model.job_management.v1.JobService/GetJobMetrics", NULL, 0,
                                           60000, true, pb_pack(&request.base, NULL), &bytes, &st),
                     0);
    ck_assert_int_eq(PB_UNPACK(Job__GetJobMetricsResponse, job__get_job_metrics_response, bytes, PB_STRINGS_STRICT,
                               &arena, &response, &st),
                     0);
    sums.attempted = find(response->metrics->attempted, response->metrics->n_attempted, urn, label, value);
    sums.committed = find(response->metrics->committed, response->metrics->n_committed, urn, label, value);
    arena_clear(&arena);
    slice_unref(&bytes);
    return sums;
}

static void expect(const struct job *job, const char *urn, const char *label, const char *value, int64_t attempted,
                   int64_t committed) {
    struct sums sums = ask(job, urn, label, value);

    ck_assert_msg(sums.attempted == attempted && sums.committed == committed,
                  "%s of %s: attempted %lld, committed %lld", urn, value ? value : "the process",
                  (long long)sums.attempted, (long long)sums.committed);
}

static void start(struct pipeline *p, const char *function, struct job *job) {
    begin_pipeline(p);
    pipeline_add_fn(p, "Generate", "generate:5:5:1", "Start", "kv");
    pipeline_add_transform(p, "Shuffle", "beam:transform:reshuffle:v1", "Generate", "kv");
    pipeline_add_grouping(p, "Group", "Shuffle");
    pipeline_add_fn(p, "Count", function, "Group", "grouped");
    job_start(&test_client, p, "metrics", job);
}

START_TEST(progress_is_attempted_while_a_bundle_runs_and_at_the_end_all_is_exact)
{
    struct pipeline p;
    struct sums sums;
    struct job job;

    start(&p, "count:4", &job);
    job_wait_for_line(&job, "asked");
    do
        sums = ask(&job, COUNTER_URN, "PTRANSFORM", "Count");
    while (sums.attempted == NONE);
    ck_assert_int_ge(sums.attempted, 1);
    ck_assert_int_lt(sums.attempted, 5);
    ck_assert_int_eq(sums.committed, NONE);
    job_wait(&job);
    ck_assert_int_eq(job.end, JOB__JOB_STATE__ENUM__DONE);
    expect(&job, COUNTER_URN, "PTRANSFORM", "Count", 5, 5);
    expect(&job, PROCESS_COUNTER_URN, NULL, NULL, 5, NONE);
    expect(&job, ELEMENT_COUNT, "PCOLLECTION", "Start", 1, 1);
    expect(&job, ELEMENT_COUNT, "PCOLLECTION", "Generate", 5, 5);
    expect(&job, ELEMENT_COUNT, "PCOLLECTION", "Shuffle", 5, 5);
    expect(&job, ELEMENT_COUNT, "PCOLLECTION", "Group", 5, 5);
    job_clear(&job);
    pipeline_clear(&p);
}
END_TEST

START_TEST(what_a_failed_attempt_reported_is_attempted_and_not_committed)
{
    struct pipeline p;
    struct sums sums;
    struct job job;

    start(&p, "count_and_fail:2", &job);
    job_wait(&job);
    ck_assert_int_eq(job.end, JOB__JOB_STATE__ENUM__FAILED);
    sums = ask(&job, COUNTER_URN, "PTRANSFORM", "Count");
    ck_assert_int_eq(sums.attempted, (int64_t)job_count_lines(&job, "asked")); /* one of each attempt */
    ck_assert_int_ge(sums.attempted, 1);
    ck_assert_int_eq(sums.committed, NONE);
    expect(&job, ELEMENT_COUNT, "PCOLLECTION", "Generate", 5, 5);
    job_clear(&job);
    pipeline_clear(&p);
}
END_TEST

void add_metric_tests(Suite *suite) {
    TCase *tcase = tcase_create("metrics");

    tcase_add_checked_fixture(tcase, fixture_setup, fixture_teardown);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, progress_is_attempted_while_a_bundle_runs_and_at_the_end_all_is_exact);
    tcase_add_test(tcase, what_a_failed_attempt_reported_is_attempted_and_not_committed);
    suite_add_tcase(suite, tcase);
}
