#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "beam_runner_api.pb-c.h"
#include "temp_dir.h"
#include "wire/pb.h"
#include "worker_end.h"

static struct launcher *launcher;
static struct rpc_client *client;
static struct worker_manager *manager;
static char *directory;
static char *engine;  /* a container engine's program that only writes down what it was asked for */
static char *journal; /* where */

/* `body`: shell, with the engine's arguments. */
static void write_engine(const char *body) {
    FILE *file = fopen(engine, "w");

    fprintf(file, "#!/bin/sh\necho \"$*\" >>%s\n%s\n", journal, body);
    fclose(file);
    chmod(engine, 0700);
}

static char *read_journal(void) {
    static char text[8192];
    FILE *file = fopen(journal, "r");
    size_t size = file ? fread(text, 1, sizeof(text) - 1, file) : 0;

    if (file)
        fclose(file);
    text[size] = '\0';
    return text;
}

static const char *const options[] = {"--volume=/data:/data", "--memory=4g", NULL};

static struct worker_containers containers(void) {
    return (struct worker_containers){.cli = engine, .pull = "never", .options = options, .instance = "/the/state"};
}

static void set_up(void) {
    struct worker_containers ours;

    directory = temp_dir_create();
    engine = xasprintf("%s/engine", directory);
    journal = xasprintf("%s/journal", directory);
    ours = containers();
    ck_assert_int_eq(launcher_create(&launcher, NULL), 0);
    launcher_start(launcher);
    rpc_init();
    client = rpc_client_create(1);
    manager = worker_manager_create(launcher, client);
    worker_manager_set_containers(manager, &ours);
}

static void tear_down(void) {
    worker_manager_destroy(manager);
    rpc_client_destroy(client);
    rpc_shutdown();
    launcher_destroy(launcher);
    temp_dir_destroy(directory);
    free(engine);
    free(journal);
    free(failure);
}

static struct worker *start(const char *image) {
    static const struct worker_handler handler = {.failed = on_failed, .stopped = on_stopped};
    Beam__DockerPayload message = BEAM__DOCKER_PAYLOAD__INIT;
    struct slice payload;
    struct worker *worker;

    message.container_image = (char *)image;
    payload = PB_PACK(&message, NULL);
    worker = worker_start(
        manager,
        &(struct worker_spec){.worker_id = "w1",
                              .environment_urn = "beam:env:docker:v1",
                              .environment_payload = payload,
                              .endpoints = {.control = "h:1", .logging = "h:2", .artifact = "h:3", .provision = "h:4"}},
        &handler, NULL);
    slice_unref(&payload);
    return worker;
}

#define RUN                                                                                                            \
    "run --rm --network=host --name=trestle-w1 --label=trestle.instance=/the/state --stop-timeout=0 --pull=never "     \
    "--volume=/data:/data --memory=4g company/image:1 --id=w1 --logging_endpoint=h:2 --artifact_endpoint=h:3 "         \
    "--provision_endpoint=h:4 --control_endpoint=h:1\n"

START_TEST(the_engine_runs_the_boot_program_and_the_container_is_removed_at_its_end)
{
    write_engine("[ \"$1\" = rm ] && exit 0\necho no such image >&2; exit 125");
    start("company/image:1");
    await_stopped();
    ck_assert_str_eq(read_journal(), RUN "rm --force trestle-w1\n");
    ck_assert_ptr_nonnull(strstr(failure, "run of company/image:1 exited with code 125; last output:\nno such image"));
}
END_TEST

START_TEST(a_container_that_is_stopped_is_removed)
{
    struct worker *worker;

    write_engine("[ \"$1\" = rm ] && exit 0\nexec sleep 1000");
    worker = start("company/image:1");
    worker_stop(worker, LIMIT_S * 1000);
    await_stopped();
    ck_assert_ptr_null(failure);
    ck_assert_ptr_nonnull(strstr(read_journal(), "rm --force trestle-w1\n"));
}
END_TEST

START_TEST(an_image_that_looks_like_an_option_is_refused)
{
    write_engine("exit 0");
    start("--privileged");
    await_stopped();
    ck_assert_str_eq(read_journal(), "");
    ck_assert_ptr_nonnull(strstr(failure, "names no image"));
}
END_TEST

START_TEST(what_an_earlier_daemon_left_is_removed)
{
    struct worker_containers ours = containers();

    write_engine("[ \"$1\" = ps ] || exit 0\necho 0123456789ab\necho WARNING: a warning\necho fedcba9876543210");
    worker_containers_sweep(launcher, &ours);
    ck_assert_str_eq(read_journal(), "ps --all --quiet --filter label=trestle.instance=/the/state\n"
                                     "rm --force 0123456789ab\nrm --force fedcba9876543210\n");
}
END_TEST

START_TEST(an_engine_that_is_not_there_does_not_stop_the_daemon)
{
    struct worker_containers ours = containers();

    worker_containers_sweep(launcher, &ours);
    start("company/image:1");
    await_stopped();
    ck_assert_ptr_nonnull(strstr(failure, "No such file or directory"));
}
END_TEST

int main(void) {
    Suite *suite = suite_create("container");
    TCase *tests = tcase_create("container");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_set_timeout(tests, 2 * LIMIT_S);
    tcase_add_test(tests, the_engine_runs_the_boot_program_and_the_container_is_removed_at_its_end);
    tcase_add_test(tests, a_container_that_is_stopped_is_removed);
    tcase_add_test(tests, an_image_that_looks_like_an_option_is_refused);
    tcase_add_test(tests, what_an_earlier_daemon_left_is_removed);
    tcase_add_test(tests, an_engine_that_is_not_there_does_not_stop_the_daemon);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
