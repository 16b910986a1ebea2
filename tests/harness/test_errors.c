/* What a submitter is told when something is wrong, and that the daemon serves the next job: bad pipelines, bad workers, bad user code. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fixture.h"
#include "suites.h"
#include "wire/pb.h"

/* ---- pipelines that are refused ---- */

START_TEST(a_cycle_is_refused_and_names_its_transforms)
{
    struct pipeline p;
    Beam__PTransform *first;

    begin_pipeline(&p);
    first = pipeline_add_fn(&p, "Round", "identity", NULL, "bytes");
    pipeline_add_fn(&p, "AndRound", "identity", "Round", "bytes");
    pipeline_add_input(&p, first, "i0", "AndRound");
    expect_refused(&p, "cycle", "Round", NULL);
}
END_TEST

START_TEST(a_missing_coder_is_refused_and_named)
{
    struct pipeline p;

    begin_pipeline(&p);
    pipeline_add_fn(&p, "Lonely", "identity", "Start", "no-such-coder");
    expect_refused(&p, "no-such-coder", "Lonely", NULL);
}
END_TEST

START_TEST(an_unknown_requirement_is_refused_and_named)
{
    struct pipeline p;

    begin_pipeline(&p);
    pipeline_add_fn(&p, "Step", "identity", "Start", "bytes");
    pipeline_add_requirement(&p, "beam:requirement:walk_on_water:v1");
    expect_refused(&p, "beam:requirement:walk_on_water:v1", NULL);
}
END_TEST

START_TEST(an_unknown_leaf_without_environment_is_refused_and_named)
{
    struct pipeline p;

    begin_pipeline(&p);
    pipeline_add_transform(&p, "Mystery", "trestle:test:mystery:v1", "Start", "bytes");
    expect_refused(&p, "Mystery", "trestle:test:mystery:v1", NULL);
}
END_TEST

START_TEST(a_truncated_payload_is_refused_and_names_its_transform)
{
    struct pipeline p;
    Beam__PTransform *transform;

    begin_pipeline(&p);
    transform = pipeline_add_fn(&p, "Cut", "identity", "Start", "bytes");
    transform->spec->payload.len -= 3;
    expect_refused(&p, "Cut", "ParDoPayload", NULL);
}
END_TEST

/* A google.protobuf.Struct whose one field holds a list in a list in a list ... */
static struct slice deep_options(unsigned levels) {
    size_t capacity = (size_t)levels * 24 + 64, at = capacity;
    uint8_t *bytes = xmalloc(capacity);
    struct slice result;

    for (unsigned i = 0; i < levels; i++) {
        uint8_t head[16];
        size_t size = 0;

        /* ListValue.values = 1, Value.list_value = 6, in turn; written from the inside out. */
        head[size++] = i % 2 ? 0x32 : 0x0a;
        size += varint_encode(head + size, capacity - at);
        at -= size;
        memcpy(bytes + at, head, size);
    }
    result = slice_copy(bytes + at, capacity - at, NULL);
    free(bytes);
    return result;
}

START_TEST(a_nesting_bomb_in_the_options_is_refused)
{
    struct buf request = {0}, entry = {0}, options = {0};
    struct slice bomb = deep_options(20000);
    struct pipeline p;
    struct job job;

    begin_pipeline(&p);
    add_good_pipeline(&p);
    pb_add_string_field(&entry, 1, "beam:option:bomb:v1");
    pb_add_bytes_field(&entry, 2, bomb.data, bomb.size);
    pb_add_bytes_field(&options, 1, buf_data(&entry), entry.size);
    pb_add_message_field(&request, 1, &p.message.base);
    pb_add_bytes_field(&request, 2, buf_data(&options), options.size);
    job_start_bytes(&test_client, buf_finish(&request), &job);
    job_wait(&job);
    ck_assert_msg(job.is_refused, "the job was not refused");
    ck_assert_msg(strstr(job.error, "pipeline_options") && (strstr(job.error, "nest") || strstr(job.error, "deep")),
                  "the message is \"%s\"", job.error);
    job_clear(&job);
    slice_unref(&bomb);
    buf_clear(&entry);
    buf_clear(&options);
    pipeline_clear(&p);
    run_good_pipeline();
}
END_TEST

START_TEST(a_nesting_bomb_in_the_coders_is_refused)
{
    enum { LEVELS = 5000 };
    Beam__Components__CodersEntry **coders;
    struct pipeline p;
    char id[32], next[32];

    begin_pipeline(&p);
    coders = arena_zalloc(&p.arena, (p.components.n_coders + LEVELS + 1) * sizeof(*coders));
    memcpy(coders, p.components.coders, p.components.n_coders * sizeof(*coders));
    for (int i = 0; i < LEVELS; i++) {
        size_t kept = p.components.n_coders;

        /* One more by the builder, in a list of its own, moved over. */
        p.components.coders = NULL;
        p.components.n_coders = 0;
        snprintf(id, sizeof(id), "deep%d", i);
        snprintf(next, sizeof(next), "deep%d", i + 1);
        pipeline_add_coder(&p, id, "beam:coder:kv:v1", i + 1 < LEVELS ? next : "bytes",
                           i + 1 < LEVELS ? next : "bytes");
        coders[kept] = p.components.coders[0];
        p.components.coders = coders;
        p.components.n_coders = kept + 1;
    }
    pipeline_add_fn(&p, "Deep", "identity", "Start", "deep0");
    expect_refused(&p, "deep", NULL);
}
END_TEST

START_TEST(a_coder_that_contains_itself_is_refused)
{
    struct pipeline p;

    begin_pipeline(&p);
    pipeline_add_coder(&p, "ouroboros", "beam:coder:iterable:v1", "ouroboros", NULL);
    pipeline_add_fn(&p, "Snake", "identity", "Start", "ouroboros");
    expect_refused(&p, "ouroboros", NULL);
}
END_TEST

/* ---- user code ---- */

START_TEST(a_user_function_that_raises_fails_the_job_with_its_text_and_its_transform)
{ expect_function_fails("fail:ValueError: no such thing", "ValueError: no such thing", "Bad", NULL); }
END_TEST

START_TEST(an_element_over_the_limit_fails_the_job_and_names_the_limit)
{ expect_function_fails("big:200000000", "max_element", "Bad", NULL); }
END_TEST

START_TEST(a_job_whose_bundle_stalls_can_be_cancelled)
{
    struct pipeline p;
    struct job job;

    begin_pipeline(&p);
    pipeline_add_fn(&p, "Before", "log:3:about to stall", "Start", "bytes");
    pipeline_add_fn(&p, "Stall", "stall", "Before", "bytes");
    job_start(&test_client, &p, "stall", &job);
    job_wait_for_line(&job, "about to stall");
    ck_assert_msg(!job.is_over, "the job ended in state %d: %s", (int)job.end, job.error ? job.error : "no error");
    job_cancel(&test_client, &job);
    job_wait(&job);
    ck_assert_int_eq(job.end, JOB__JOB_STATE__ENUM__CANCELLED);
    job_clear(&job);
    pipeline_clear(&p);
    run_good_pipeline();
}
END_TEST

/* ---- workers ---- */

START_TEST(a_worker_that_never_connects_fails_the_job_and_says_so)
{
    struct pipeline p;

    pipeline_init_process(&p, harness_binary(), "TRESTLE_HARNESS", "never_connect", NULL);
    pipeline_add_impulse(&p, "Start");
    pipeline_add_fn(&p, "Step", "identity", "Start", "bytes");
    expect_failed(&p, "connect", harness_binary(), NULL);
}
END_TEST

START_TEST(a_worker_that_dies_before_it_connects_fails_the_job_with_its_last_words)
{
    struct pipeline p;

    pipeline_init_process(&p, harness_binary(), "TRESTLE_HARNESS", "exit:7:no module named luck", NULL);
    pipeline_add_impulse(&p, "Start");
    pipeline_add_fn(&p, "Step", "identity", "Start", "bytes");
    expect_failed(&p, "exited with code 7", "no module named luck", NULL);
}
END_TEST

START_TEST(a_command_that_does_not_exist_fails_the_job_and_is_named)
{
    struct pipeline p;

    pipeline_init_process(&p, "/no/such/harness", NULL);
    pipeline_add_impulse(&p, "Start");
    pipeline_add_fn(&p, "Step", "identity", "Start", "bytes");
    expect_failed(&p, "/no/such/harness", NULL);
}
END_TEST

START_TEST(a_pool_that_nobody_serves_fails_the_job_and_is_named)
{
    struct pipeline p;

    pipeline_init_external(&p, "127.0.0.1:1");
    pipeline_add_impulse(&p, "Start");
    pipeline_add_fn(&p, "Step", "identity", "Start", "bytes");
    expect_failed(&p, "127.0.0.1:1", NULL);
}
END_TEST

START_TEST(a_worker_killed_in_the_middle_of_a_bundle_fails_the_job_with_its_signal)
{ expect_function_fails("signal:9:something smells of smoke", "signal 9", "something smells of smoke", "Bad", NULL); }
END_TEST

START_TEST(a_worker_that_exits_in_the_middle_of_a_bundle_fails_the_job_with_its_code)
{ expect_function_fails("exit:3:out of patience", "exited with code 3", "out of patience", "Bad", NULL); }
END_TEST

void add_error_tests(Suite *suite) {
    TCase *tcase = tcase_create("errors");

    tcase_add_checked_fixture(tcase, fixture_setup, fixture_teardown);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, a_cycle_is_refused_and_names_its_transforms);
    tcase_add_test(tcase, a_missing_coder_is_refused_and_named);
    tcase_add_test(tcase, an_unknown_requirement_is_refused_and_named);
    tcase_add_test(tcase, an_unknown_leaf_without_environment_is_refused_and_named);
    tcase_add_test(tcase, a_truncated_payload_is_refused_and_names_its_transform);
    tcase_add_test(tcase, a_nesting_bomb_in_the_options_is_refused);
    tcase_add_test(tcase, a_nesting_bomb_in_the_coders_is_refused);
    tcase_add_test(tcase, a_coder_that_contains_itself_is_refused);
    tcase_add_test(tcase, a_user_function_that_raises_fails_the_job_with_its_text_and_its_transform);
    tcase_add_test(tcase, an_element_over_the_limit_fails_the_job_and_names_the_limit);
    tcase_add_test(tcase, a_job_whose_bundle_stalls_can_be_cancelled);
    tcase_add_test(tcase, a_worker_that_never_connects_fails_the_job_and_says_so);
    tcase_add_test(tcase, a_worker_that_dies_before_it_connects_fails_the_job_with_its_last_words);
    tcase_add_test(tcase, a_command_that_does_not_exist_fails_the_job_and_is_named);
    tcase_add_test(tcase, a_pool_that_nobody_serves_fails_the_job_and_is_named);
    tcase_add_test(tcase, a_worker_killed_in_the_middle_of_a_bundle_fails_the_job_with_its_signal);
    tcase_add_test(tcase, a_worker_that_exits_in_the_middle_of_a_bundle_fails_the_job_with_its_code);
    suite_add_tcase(suite, tcase);
}
