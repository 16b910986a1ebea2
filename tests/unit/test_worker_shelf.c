/* The shelf and the workers on it, with processes that only sleep: their harnesses never connect. (With harnesses: tests/harness.) */
#include "jobserver/worker_shelf.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "beam_runner_api.pb-c.h"
#include "jobserver/job_run.h"
#include "wire/pb.h"

static struct launcher *launcher;
static struct rpc_client *client;
static struct rpc_server *server;
static struct fn_service *service;
static struct worker_manager *manager;
static struct worker_shelf *shelf;
static struct job_run *run; /* only its mailbox is used */
static struct run_worker *owners[3];
static unsigned minted;

static void open_shelf(int64_t keep_ms, unsigned maximum) {
    shelf = worker_shelf_create(&(struct worker_shelf_options){.keep_ms = keep_ms, .maximum = maximum});
}

static void set_up(void) {
    int port;

    ck_assert_int_eq(launcher_create(&launcher, NULL), 0);
    launcher_start(launcher);
    rpc_init();
    client = rpc_client_create(1);
    manager = worker_manager_create(launcher, client);
    server = rpc_server_create(&(struct rpc_server_options){.threads = 1});
    service = fn_service_create(server);
    ck_assert_int_eq(rpc_server_listen(server, "127.0.0.1:0", &port, NULL), 0);
    rpc_server_start(server);
    run = xcalloc(1, sizeof(*run));
    mailbox_init(&run->mailbox);
    for (size_t i = 0; i < ARRAY_COUNT(owners); i++) {
        owners[i] = xcalloc(1, sizeof(*owners[i]));
        owners[i]->run = run;
        owners[i]->number = (unsigned)i;
    }
}

/* The shelf has ended what was on it. */
static void tear_down(void) {
    struct list events, *node;

    worker_shelf_destroy(shelf);
    shelf = NULL;
    worker_manager_destroy(manager);
    rpc_client_destroy(client);
    rpc_server_stop(server, 0);
    fn_service_destroy(service);
    rpc_shutdown();
    launcher_destroy(launcher);
    list_init(&events);
    mailbox_take(&run->mailbox, 0, &events);
    while ((node = list_pop(&events)))
        run_event_free(CONTAINER_OF(node, struct run_event, node));
    mailbox_finish(&run->mailbox);
    for (size_t i = 0; i < ARRAY_COUNT(owners); i++)
        free(owners[i]);
    free(run);
}

/* A worker whose process runs `command` with the arguments of a worker, which it ignores. */
static struct sdk_worker *start(const char *identity, struct run_worker *owner) {
    char *id = xasprintf("worker-%u", minted++);
    struct sdk_worker *worker = sdk_worker_create(id, slice_copy(identity, strlen(identity), NULL), owner);
    struct fn_worker_options options = {.worker_id = id, .endpoint = "127.0.0.1:1"};
    Beam__ProcessPayload payload = BEAM__PROCESS_PAYLOAD__INIT;
    struct worker_spec spec = {.worker_id = id, .environment_urn = "beam:env:process:v1"};

    payload.command = getenv("SLEEPER");
    ck_assert_ptr_nonnull(payload.command);
    spec.environment_payload = PB_PACK(&payload, NULL);
    worker->harness = fn_worker_create(service, &options, &run_harness_handler, worker);
    worker->process = worker_start(manager, &spec, &run_process_handler, worker);
    slice_unref(&spec.environment_payload);
    return worker;
}

/* Waits for an event in the job's mailbox, and says which worker it was for. */
static unsigned await(enum run_event_type type) {
    for (;;) {
        struct list events, *node;
        unsigned number = UINT_MAX;

        list_init(&events);
        ck_assert(mailbox_take(&run->mailbox, monotonic_now_ns() + INT64_C(20000000000), &events));
        while ((node = list_pop(&events))) {
            struct run_event *event = CONTAINER_OF(node, struct run_event, node);

            if (event->type == type)
                number = event->worker->number;
            run_event_free(event);
        }
        if (number != UINT_MAX)
            return number;
    }
}

/* Both are in the mailbox, in this order and for the same worker. Whom they are for. */
static unsigned await_first(enum run_event_type first, enum run_event_type second) {
    const enum run_event_type expected[] = {first, second};
    unsigned number = UINT_MAX, count = 0;
    struct list events, *node;

    list_init(&events);
    mailbox_take(&run->mailbox, 0, &events);
    while ((node = list_pop(&events))) {
        struct run_event *event = CONTAINER_OF(node, struct run_event, node);

        ck_assert_uint_lt(count, ARRAY_COUNT(expected));
        ck_assert_int_eq(event->type, expected[count]);
        ck_assert(count == 0 || event->worker->number == number);
        number = event->worker->number;
        count++;
        run_event_free(event);
    }
    ck_assert_uint_eq(count, ARRAY_COUNT(expected));
    return number;
}

/* As a job does it with a worker of its own. */
static void end(struct sdk_worker *worker) {
    fn_worker_close(worker->harness);
    await(RUN_EVENT_HARNESS_GONE);
    fn_worker_destroy(worker->harness);
    worker_stop(worker->process, 0);
    await(RUN_EVENT_PROCESS_GONE);
    sdk_worker_free(worker);
}

static struct sdk_worker *take(const char *identity, struct run_worker *owner) {
    return worker_shelf_take(shelf, slice_of_static(identity, strlen(identity)), owner, NULL);
}

START_TEST(a_kept_worker_is_taken_once_and_only_by_its_kind)
{
    struct sdk_worker *worker;

    open_shelf(60000, 4);
    worker = start("a", owners[0]);
    ck_assert_ptr_null(take("a", owners[1]));
    ck_assert(worker_shelf_keep(shelf, worker));
    ck_assert_ptr_null(take("b", owners[1]));
    ck_assert_ptr_eq(take("a", owners[1]), worker);
    ck_assert_ptr_null(take("a", owners[2]));
    end(worker);
}
END_TEST

START_TEST(a_lost_worker_does_not_hide_another_of_its_kind)
{
    struct sdk_worker *old, *young;

    open_shelf(60000, 4);
    old = start("a", owners[0]);
    young = start("a", owners[1]);
    ck_assert(worker_shelf_keep(shelf, old));
    ck_assert(worker_shelf_keep(shelf, young));
    sdk_worker_lock(young);
    young->is_lost = true; /* its last event is on the way to the shelf */
    sdk_worker_unlock(young);
    ck_assert_ptr_eq(take("a", owners[2]), old);
    end(old);
}
END_TEST

START_TEST(what_a_worker_says_goes_to_whom_it_serves)
{
    struct sdk_worker *worker;

    open_shelf(60000, 4);
    worker = start("a", owners[0]);
    sdk_worker_post(worker, run_event_create(RUN_EVENT_CONNECTED, NULL));
    ck_assert_uint_eq(await(RUN_EVENT_CONNECTED), 0);
    ck_assert(worker_shelf_keep(shelf, worker));
    sdk_worker_post(worker, run_event_create(RUN_EVENT_CONNECTED, NULL)); /* for nobody */
    ck_assert_ptr_eq(take("a", owners[2]), worker);
    sdk_worker_post(worker, run_event_create(RUN_EVENT_DISCONNECTED, NULL)); /* before the job has looked */
    ck_assert_uint_eq(await_first(RUN_EVENT_CONNECTED, RUN_EVENT_DISCONNECTED), 2);
    ck_assert(!worker_shelf_keep(shelf, worker)); /* it is lost */
    end(worker);
}
END_TEST

START_TEST(a_worker_on_which_a_bundle_failed_is_not_kept)
{
    struct run_event *event = run_event_create(RUN_EVENT_ENGINE, NULL);
    struct sdk_worker *worker;

    open_shelf(60000, 4);
    worker = start("a", owners[0]);
    event->engine.type = ENGINE_EVENT_BUNDLE_FAILED;
    sdk_worker_post(worker, event);
    ck_assert(!worker_shelf_keep(shelf, worker));
    end(worker);
}
END_TEST

START_TEST(a_worker_without_identity_is_not_kept)
{
    struct sdk_worker *worker;

    open_shelf(60000, 4);
    worker = start("", owners[0]);
    ck_assert(!worker_shelf_keep(shelf, worker));
    end(worker);
}
END_TEST

START_TEST(nothing_is_kept_without_time_or_room)
{
    struct sdk_worker *worker;

    open_shelf(0, 4);
    worker = start("a", owners[0]);
    ck_assert(!worker_shelf_keep(shelf, worker));
    worker_shelf_destroy(shelf);
    open_shelf(60000, 0);
    ck_assert(!worker_shelf_keep(shelf, worker));
    end(worker);
}
END_TEST

START_TEST(with_too_many_the_oldest_goes)
{
    struct sdk_worker *workers[3];

    open_shelf(60000, 2);
    for (int i = 0; i < 3; i++) {
        workers[i] = start(i == 0 ? "old" : "new", owners[i]);
        ck_assert(worker_shelf_keep(shelf, workers[i]));
    }
    ck_assert_ptr_eq(take("new", owners[0]), workers[2]); /* the one that served last */
    ck_assert_ptr_eq(take("new", owners[1]), workers[1]);
    end(workers[1]);
    end(workers[2]);
}
END_TEST

START_TEST(the_shelf_ends_what_is_on_it)
{
    open_shelf(60000, 4);
    for (int i = 0; i < 3; i++)
        ck_assert(worker_shelf_keep(shelf, start("a", owners[i])));
    worker_shelf_destroy(shelf);
    shelf = NULL;
    /* fn_service_destroy() asserts that no harness is left, and the launcher is asked for none: see tear_down() */
}
END_TEST

/* The command: exists for as long as the test does. */
static void write_sleeper(void) {
    static char path[] = "/tmp/trestle-sleeper-XXXXXX";
    int fd = mkstemp(path);
    static const char script[] = "#!/bin/sh\nexec sleep 1000\n";

    if (fd < 0 || write(fd, script, sizeof(script) - 1) != (ssize_t)sizeof(script) - 1 || fchmod(fd, 0700) < 0)
        abort();
    close(fd);
    setenv("SLEEPER", path, 1);
}

int main(void) {
    Suite *suite = suite_create("worker_shelf");
    TCase *tcase = tcase_create("worker_shelf");
    SRunner *runner = srunner_create(suite);
    int failed;

    write_sleeper();
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, a_kept_worker_is_taken_once_and_only_by_its_kind);
    tcase_add_test(tcase, a_lost_worker_does_not_hide_another_of_its_kind);
    tcase_add_test(tcase, what_a_worker_says_goes_to_whom_it_serves);
    tcase_add_test(tcase, a_worker_on_which_a_bundle_failed_is_not_kept);
    tcase_add_test(tcase, a_worker_without_identity_is_not_kept);
    tcase_add_test(tcase, nothing_is_kept_without_time_or_room);
    tcase_add_test(tcase, with_too_many_the_oldest_goes);
    tcase_add_test(tcase, the_shelf_ends_what_is_on_it);
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    unlink(getenv("SLEEPER"));
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
