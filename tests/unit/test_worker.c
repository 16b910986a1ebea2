#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "beam_fn_api.pb-c.h"
#include "beam_runner_api.pb-c.h"
#include "wire/pb.h"
#include "worker/worker.h"

enum { LIMIT_S = 30 };

#define EXTERNAL "beam:env:external:v1"
#define PROCESS "beam:env:process:v1"

static struct launcher *launcher;
static struct rpc_client *client;
static struct worker_manager *manager;
static char *scripts[32]; /* files that start_script() wrote */
static size_t script_count;

/* Everything that happened, one line each, and the lock of all of this file's state. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static char *events;
static char *failure;

static void add_event(const char *format, ...) {
    va_list args;
    char *line, *longer;

    va_start(args, format);
    line = xvasprintf(format, args);
    va_end(args);
    pthread_mutex_lock(&lock);
    longer = xasprintf("%s%s\n", events ? events : "", line);
    free(events);
    free(line);
    events = longer;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

/* Waits until the events hold `text`, and returns the events, which are good until the next one. */
static const char *await_event(const char *text) {
    const char *now;
    struct timespec limit;
    int error = 0;

    clock_gettime(CLOCK_REALTIME, &limit);
    limit.tv_sec += LIMIT_S;
    pthread_mutex_lock(&lock);
    while (!(events && strstr(events, text)) && !error)
        error = pthread_cond_timedwait(&changed, &lock, &limit);
    now = events ? events : "";
    pthread_mutex_unlock(&lock);
    ck_assert_msg(!error, "waited for \"%s\", got:\n%s", text, now);
    return now;
}

static void on_failed(void *user, const struct status *why) {
    pthread_mutex_lock(&lock);
    free(failure);
    failure = xstrdup(status_message(why));
    pthread_mutex_unlock(&lock);
    add_event("%s failed", (const char *)user);
}

static void on_stopped(void *user) {
    add_event("%s stopped", (const char *)user);
}

static const struct worker_handler handler = {.failed = on_failed, .stopped = on_stopped};

/* ---------------------------------------------------------------- a worker pool */

static struct rpc_server *pool;
static char pool_endpoint[64];
static const char *pool_error = "";  /* what it answers to StartWorker */
static atomic_bool pool_holds;       /* it does not answer StartWorker */
static struct rpc_stream *held_call; /* with a reference */

static void reply_start(struct rpc_stream *call) {
    Fn__StartWorkerResponse response = FN__START_WORKER_RESPONSE__INIT;

    response.error = (char *)pool_error;
    rpc_reply(call, PB_PACK(&response, NULL));
}

static void pool_start(struct rpc_stream *call, void *context, struct slice bytes) {
    Fn__StartWorkerRequest *request;
    struct arena arena = {0};

    (void)context;
    ck_assert_int_eq(
        PB_UNPACK(Fn__StartWorkerRequest, fn__start_worker_request, bytes, PB_STRINGS_STRICT, &arena, &request, NULL),
        0);
    if (pool_holds)
        held_call = rpc_stream_ref(call);
    add_event("start %s control=%s logging=%s artifact=%s provision=%s params=%zu %s", request->worker_id,
              request->control_endpoint->url, request->logging_endpoint->url, request->artifact_endpoint->url,
              request->provision_endpoint->url, request->n_params, request->n_params ? request->params[0]->value : "");
    arena_clear(&arena);
    slice_unref(&bytes);
    if (!pool_holds)
        reply_start(call);
}

static void pool_stop(struct rpc_stream *call, void *context, struct slice bytes) {
    Fn__StopWorkerResponse response = FN__STOP_WORKER_RESPONSE__INIT;
    Fn__StopWorkerRequest *request;
    struct arena arena = {0};

    (void)context;
    ck_assert_int_eq(
        PB_UNPACK(Fn__StopWorkerRequest, fn__stop_worker_request, bytes, PB_STRINGS_STRICT, &arena, &request, NULL), 0);
    add_event("stop %s", request->worker_id);
    arena_clear(&arena);
    slice_unref(&bytes);
    rpc_reply(call, PB_PACK(&response, NULL));
}

static void open_pool(void) {
    static const struct rpc_method methods[] = {
        {.path = "/org.apache.beam.model.fn_execution.v1.BeamFnExternalWorkerPool/StartWorker", .unary = pool_start},
        {.path = "/org.apache.beam.model.fn_execution.v1.BeamFnExternalWorkerPool/StopWorker", .unary = pool_stop},
    };
    int port;

    pool = rpc_server_create(&(struct rpc_server_options){.threads = 1});
    rpc_server_register(pool, methods, ARRAY_COUNT(methods), NULL);
    ck_assert_int_eq(rpc_server_listen(pool, "127.0.0.1:0", &port, NULL), 0);
    rpc_server_start(pool);
    snprintf(pool_endpoint, sizeof(pool_endpoint), "127.0.0.1:%d", port);
}

/* ---------------------------------------------------------------- starting */

static void set_up(void) {
    ck_assert_int_eq(launcher_create(&launcher, NULL), 0);
    launcher_start(launcher);
    rpc_init();
    client = rpc_client_create(1);
    manager = worker_manager_create(launcher, client);
}

static void tear_down(void) {
    worker_manager_destroy(manager);
    rpc_client_destroy(client);
    if (held_call)
        rpc_stream_unref(held_call);
    if (pool)
        rpc_server_stop(pool, 0);
    rpc_shutdown();
    launcher_destroy(launcher);
    while (script_count > 0) {
        unlink(scripts[--script_count]);
        free(scripts[script_count]);
    }
    free(events);
    free(failure);
}

static struct worker *start_as(const char *id, const char *urn, struct slice payload, bool is_again) {
    struct worker_spec spec = {
        .worker_id = id,
        .environment_urn = urn,
        .environment_payload = payload,
        .endpoints = {.control = "host:1", .logging = "host:2", .artifact = "host:3", .provision = "host:4"},
        .is_again = is_again,
    };
    struct worker *worker = worker_start(manager, &spec, &handler, (void *)id);

    slice_unref(&payload);
    return worker;
}

static struct worker *start(const char *id, const char *urn, struct slice payload) {
    return start_as(id, urn, payload, false);
}

static struct slice external_payload(const char *endpoint) {
    Beam__ExternalPayload payload = BEAM__EXTERNAL_PAYLOAD__INIT;
    Beam__ApiServiceDescriptor descriptor = BEAM__API_SERVICE_DESCRIPTOR__INIT;
    Beam__ExternalPayload__ParamsEntry param = BEAM__EXTERNAL_PAYLOAD__PARAMS_ENTRY__INIT, *params[] = {&param};

    descriptor.url = (char *)endpoint;
    param.key = "key";
    param.value = "value";
    payload.endpoint = &descriptor;
    payload.n_params = 1;
    payload.params = params;
    return PB_PACK(&payload, NULL);
}

static struct slice process_payload(const char *command) {
    Beam__ProcessPayload payload = BEAM__PROCESS_PAYLOAD__INIT;
    Beam__ProcessPayload__EnvEntry variable = BEAM__PROCESS_PAYLOAD__ENV_ENTRY__INIT, *variables[] = {&variable};

    payload.command = (char *)command;
    variable.key = "ADDED";
    variable.value = "its value";
    payload.n_env = 1;
    payload.env = variables;
    return PB_PACK(&payload, NULL);
}

static struct worker *start_script(const char *id, const char *script) {
    char *path = scripts[script_count++] = xstrdup("/tmp/trestle-worker-XXXXXX");
    int fd = mkstemp(path);
    struct worker *worker;

    ck_assert_int_ge(fd, 0);
    dprintf(fd, "#!/bin/sh\n%s\n", script);
    fchmod(fd, 0700);
    close(fd);
    worker = start(id, PROCESS, process_payload(path));
    return worker;
}

/* ---------------------------------------------------------------- any kind */

START_TEST(an_unknown_kind_of_environment_is_named_and_the_known_ones_are_told)
{
    struct status st = {0};

    ck_assert_int_eq(worker_check_environment("beam:env:unheard_of:v1", SLICE_EMPTY, &st), -STATUS_UNIMPLEMENTED);
    ck_assert_str_eq(status_message(&st),
                     "environments of the kind \"beam:env:unheard_of:v1\" cannot be run here; this server runs: "
                     "beam:env:external:v1 "
                     "(--environment_type=LOOPBACK or EXTERNAL), beam:env:process:v1 (--environment_type=PROCESS), "
                     "beam:env:docker:v1 (--environment_type=DOCKER)");
    start("w", "beam:env:unheard_of:v1", SLICE_EMPTY);
    ck_assert_str_eq(await_event("w stopped"), "w failed\nw stopped\n");
    ck_assert_str_eq(failure, status_message(&st));
    status_clear(&st);
}
END_TEST

START_TEST(a_payload_that_is_cut_off_is_refused)
{
    struct slice payload = slice_of_static("\x0a\x05xy", 4);
    struct status st = {0};

    ck_assert_int_eq(worker_check_environment(EXTERNAL, payload, &st), -STATUS_INVALID_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(status_message(&st), "environment beam:env:external:v1: "));
    payload = slice_of_static("\x1a\x05xy", 4);
    ck_assert_int_eq(worker_check_environment(PROCESS, payload, &st), -STATUS_INVALID_ARGUMENT);
    start("w", PROCESS, payload);
    ck_assert_str_eq(await_event("w stopped"), "w failed\nw stopped\n");
    status_clear(&st);
}
END_TEST

START_TEST(a_payload_without_command_or_endpoint_is_refused)
{
    struct status st = {0};

    ck_assert_int_eq(worker_check_environment(PROCESS, SLICE_EMPTY, &st), -STATUS_INVALID_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(status_message(&st), "names no command"));
    ck_assert_int_eq(worker_check_environment(EXTERNAL, SLICE_EMPTY, &st), -STATUS_INVALID_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(status_message(&st), "names no worker pool"));
    status_clear(&st);
}
END_TEST

/* ---------------------------------------------------------------- processes */

START_TEST(a_process_gets_arguments_and_environment_and_its_output_is_in_the_failure)
{
    start_script("w-1", "echo \"$@\"; echo $ADDED >&2; printf 'b\\377d \\303\\274\\n\\n'; exit 3");
    ck_assert_str_eq(await_event("w-1 stopped"), "w-1 failed\nw-1 stopped\n");
    ck_assert_int_eq(strncmp(failure, "worker process /tmp/trestle-worker-", 35), 0);
    ck_assert_str_eq(strstr(failure, " exited"),
                     " exited with code 3; last output:\n--id=w-1 --logging_endpoint=host:2 --artifact_endpoint=host:3 "
                     "--provision_endpoint=host:4 --control_endpoint=host:1\nits value\nb?d \xc3\xbc");
}
END_TEST

START_TEST(a_process_that_is_killed_is_a_failure_that_names_the_signal)
{
    start_script("w", "kill -KILL $$");
    await_event("w stopped");
    ck_assert_ptr_nonnull(strstr(
        failure, " was killed by signal 9 (Killed), as the kernel does when memory runs out without any output"));
}
END_TEST

START_TEST(a_command_that_is_missing_is_a_failure_that_names_it)
{
    start("w", PROCESS, process_payload("no-such-harness"));
    ck_assert_str_eq(await_event("w stopped"), "w failed\nw stopped\n");
    ck_assert_str_eq(failure, "worker process: cannot run no-such-harness: No such file or directory");
}
END_TEST

START_TEST(a_process_that_is_stopped_has_not_failed)
{
    worker_stop(start_script("w", "sleep 1000 & wait"), LIMIT_S * 1000);
    ck_assert_str_eq(await_event("w stopped"), "w stopped\n");
}
END_TEST

START_TEST(stopping_a_worker_that_ended_on_its_own_is_harmless)
{
    struct worker *worker = start("w", PROCESS, process_payload("no-such-harness"));

    await_event("w stopped");
    worker_stop(worker, 0);
    worker_stop(worker, 0);
    start("v", PROCESS, process_payload("no-such-harness"));
    ck_assert_str_eq(await_event("v stopped"), "w failed\nw stopped\nv failed\nv stopped\n");
}
END_TEST

START_TEST(more_ended_workers_than_are_kept_as_shells_are_harmless)
{
    for (int i = 0; i < 5000; i++)
        worker_stop(start("w", "unknown", SLICE_EMPTY), 0);
    start("v", "unknown", SLICE_EMPTY);
    await_event("v stopped");
}
END_TEST

START_TEST(processes_that_run_are_stopped_with_the_manager)
{
    for (int i = 0; i < 20; i++)
        start_script("w", "trap '' TERM; sleep 1000 & wait");
    worker_manager_destroy(manager);
    ck_assert_uint_eq(strlen(events), 20 * strlen("w stopped\n"));
    manager = NULL;
}
END_TEST

/* ---------------------------------------------------------------- pools */

START_TEST(a_pool_is_told_the_endpoints_and_to_stop)
{
    struct worker *worker;

    open_pool();
    worker = start("w", EXTERNAL, external_payload(pool_endpoint));
    await_event("start w control=host:1 logging=host:2 artifact=host:3 provision=host:4 params=1 value\n");
    worker_stop(worker, 0);
    ck_assert_str_eq(strstr(await_event("w stopped"), "stop"), "stop w\nw stopped\n");
    ck_assert_ptr_null(failure);
}
END_TEST

START_TEST(a_pool_that_was_there_before_is_asked_again)
{
    open_pool();
    start_as("w", EXTERNAL, external_payload(pool_endpoint), true);
    await_event("start w control=host:1 logging=host:2 artifact=host:3 provision=host:4 params=1 value\n");
    ck_assert_ptr_null(failure);
}
END_TEST

START_TEST(many_workers_share_a_pool)
{
    struct worker *workers[20];
    char ids[20][16];

    open_pool();
    for (int i = 0; i < 20; i++) {
        snprintf(ids[i], sizeof(ids[i]), "w%02d", i);
        workers[i] = start(ids[i], EXTERNAL, external_payload(pool_endpoint));
    }
    for (int i = 0; i < 20; i++)
        worker_stop(workers[i], 0);
    for (int i = 0; i < 20; i++) {
        CLEANUP(freep) char *end = xasprintf("w%02d stopped", i);

        await_event(end);
    }
    ck_assert_ptr_null(failure);
}
END_TEST

START_TEST(an_error_in_a_pools_answer_is_a_failure)
{
    open_pool();
    pool_error = "no room\xff for w";
    start("w", EXTERNAL, external_payload(pool_endpoint));
    await_event("w failed\nw stopped\n");
    ck_assert_ptr_nonnull(strstr(failure, "could not start a worker: no room? for w"));
    ck_assert_ptr_nonnull(strstr(failure, pool_endpoint));
    ck_assert_ptr_null(strstr(events, "stop w"));
}
END_TEST

START_TEST(a_pool_that_does_not_answer_is_a_failure_and_is_told_to_stop)
{
    open_pool();
    pool_holds = true;
    worker_manager_set_start_timeout(manager, 500);
    start("w", EXTERNAL, external_payload(pool_endpoint));
    await_event("stop w\nw failed\nw stopped\n");
    ck_assert_ptr_nonnull(strstr(failure, "did not answer StartWorker within 1 s"));
    ck_assert_ptr_nonnull(strstr(failure, pool_endpoint));
}
END_TEST

START_TEST(a_worker_can_be_stopped_while_the_pool_thinks)
{
    struct worker *worker;

    open_pool();
    pool_holds = true;
    worker = start("w", EXTERNAL, external_payload(pool_endpoint));
    await_event("start w");
    worker_stop(worker, 0);
    await_event("stop w\nw stopped\n");
    ck_assert_ptr_null(failure);
}
END_TEST

START_TEST(a_worker_can_be_stopped_before_it_was_started)
{
    open_pool();
    worker_stop(start("w", EXTERNAL, external_payload(pool_endpoint)), 0);
    await_event("w stopped\n");
    ck_assert_ptr_null(failure);
}
END_TEST

static void expect_nobody_listens(bool is_again) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CLEANUP(freep) char *expected = NULL;

    /* Bound, so that nobody else takes the port, but not listening. */
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, size), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    snprintf(pool_endpoint, sizeof(pool_endpoint), "127.0.0.1:%d", ntohs(address.sin_port));
    expected = xasprintf("no worker pool listens at %s, tried for 1 s (with LOOPBACK ", pool_endpoint);
    worker_manager_set_start_timeout(manager, 500);
    start_as("w", EXTERNAL, external_payload(pool_endpoint), is_again);
    ck_assert_str_eq(await_event("w stopped"), "w failed\nw stopped\n");
    ck_assert_msg(strncmp(failure, expected, strlen(expected)) == 0, "%s", failure);
    close(fd);
}

START_TEST(an_endpoint_where_nobody_listens_is_named)
{ expect_nobody_listens(false); }
END_TEST

START_TEST(an_endpoint_where_nobody_listens_any_more_is_named)
{ expect_nobody_listens(true); }
END_TEST

START_TEST(workers_in_a_pool_are_stopped_with_the_manager)
{
    open_pool();
    start("w", EXTERNAL, external_payload(pool_endpoint));
    await_event("start w");
    worker_manager_destroy(manager);
    manager = NULL;
    ck_assert_ptr_nonnull(strstr(events, "stop w\nw stopped\n"));
}
END_TEST

int main(void) {
    Suite *suite = suite_create("worker");
    TCase *tests = tcase_create("worker");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, an_unknown_kind_of_environment_is_named_and_the_known_ones_are_told);
    tcase_add_test(tests, a_payload_that_is_cut_off_is_refused);
    tcase_add_test(tests, a_payload_without_command_or_endpoint_is_refused);
    tcase_add_test(tests, a_process_gets_arguments_and_environment_and_its_output_is_in_the_failure);
    tcase_add_test(tests, a_process_that_is_killed_is_a_failure_that_names_the_signal);
    tcase_add_test(tests, a_command_that_is_missing_is_a_failure_that_names_it);
    tcase_add_test(tests, a_process_that_is_stopped_has_not_failed);
    tcase_add_test(tests, stopping_a_worker_that_ended_on_its_own_is_harmless);
    tcase_add_test(tests, more_ended_workers_than_are_kept_as_shells_are_harmless);
    tcase_add_test(tests, processes_that_run_are_stopped_with_the_manager);
    tcase_add_test(tests, a_pool_is_told_the_endpoints_and_to_stop);
    tcase_add_test(tests, a_pool_that_was_there_before_is_asked_again);
    tcase_add_test(tests, many_workers_share_a_pool);
    tcase_add_test(tests, an_error_in_a_pools_answer_is_a_failure);
    tcase_add_test(tests, a_pool_that_does_not_answer_is_a_failure_and_is_told_to_stop);
    tcase_add_test(tests, a_worker_can_be_stopped_while_the_pool_thinks);
    tcase_add_test(tests, a_worker_can_be_stopped_before_it_was_started);
    tcase_add_test(tests, an_endpoint_where_nobody_listens_is_named);
    tcase_add_test(tests, an_endpoint_where_nobody_listens_any_more_is_named);
    tcase_add_test(tests, workers_in_a_pool_are_stopped_with_the_manager);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
