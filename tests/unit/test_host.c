/* The host without workers: jobs that end before they need one. */
#include "jobserver/host.h"

#include <stdlib.h>

#include "pipeline_builder.h"

enum { MOST_STATES = 10 };

static const struct job_limits roomy = {.max_messages = 1000, .max_message_bytes = 1 << 20, .max_bytes = 1 << 24};

static struct {
    enum job_state states[MOST_STATES];
    size_t count;
} seen;

static void see(void *user, const struct job_event *event) {
    (void)user;
    if (!event->is_state)
        return;
    ck_assert_uint_lt(seen.count, MOST_STATES);
    seen.states[seen.count++] = event->state;
}

static struct plan *make_plan(void) {
    Beam__ExternalPayload payload = BEAM__EXTERNAL_PAYLOAD__INIT;
    Beam__ApiServiceDescriptor endpoint = BEAM__API_SERVICE_DESCRIPTOR__INIT;
    Beam__Environment *environment = build.components->environments[0]->value;
    struct plan *plan;
    size_t size;

    endpoint.url = (char *)"127.0.0.1:1";
    payload.endpoint = &endpoint;
    size = protobuf_c_message_get_packed_size(&payload.base);
    environment->payload = (ProtobufCBinaryData){.len = size, .data = arena_alloc(&build.arena, size)};
    protobuf_c_message_pack(&payload.base, environment->payload.data);
    build_step("Start", URN_IMPULSE, NULL, "a", "bytes");
    build_step("Work", URN_MAP, "a", NULL, NULL);
    ck_assert_int_eq(translate_pipeline(build.pipeline, NULL, &plan, &build.st), 0);
    return plan;
}

START_TEST(a_job_that_is_cancelled_before_it_starts_does_not_run)
{
    static const enum job_state expected[] = {JOB_STOPPED, JOB_STARTING, JOB_CANCELLING, JOB_CANCELLED};
    struct account *account = account_create("memory.total", NULL, 0), *disk = account_create("disk.total", NULL, 0);
    struct pool *pool = pool_create(1);
    struct job_subscription *subscription;
    struct live_config *live_config;
    struct config config;
    struct host *host;
    struct job *job;

    config_init_defaults(&config);
    live_config = live_config_create(&config);
    host = host_create(&(struct host_options){.config = live_config,
                                              .endpoint = "127.0.0.1:1",
                                              .account = account,
                                              .disk = disk,
                                              .scratch_directory = "/nowhere",
                                              .pool = pool});
    job = job_create("job", &(struct job_spec){.name = "name", .plan = make_plan()}, &roomy);
    subscription = job_subscribe(job, see, NULL);
    job_request_cancel(job); /* Cancel, while Run is not answered yet */
    ck_assert_int_eq(host_start_job(host, job, NULL), 0);
    host_stop(host);
    ck_assert_uint_eq(seen.count, ARRAY_COUNT(expected));
    for (size_t i = 0; i < ARRAY_COUNT(expected); i++)
        ck_assert_msg(seen.states[i] == expected[i], "state %zu is %s", i, job_state_name(seen.states[i]));
    job_unsubscribe(subscription);
    host_destroy(host);
    job_unref(job);
    pool_destroy(pool);
    live_config_destroy(live_config);
    config_clear(&config);
    account_unref(account);
    account_unref(disk);
}
END_TEST

int main(void) {
    const TTest *tests[] = {a_job_that_is_cancelled_before_it_starts_does_not_run};

    return run_tests("host", tests, ARRAY_COUNT(tests));
}
