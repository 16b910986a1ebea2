#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "beam_runner_api.pb-c.h"
#include "jobserver/environment.h"
#include "jobserver/native/image.h"
#include "wire/pb.h"
#include "worker/worker.h"

#define DOCKER "beam:env:docker:v1"
#define PROCESS "beam:env:process:v1"
#define EXTERNAL "beam:env:external:v1"
#define ANYOF "beam:env:anyof:v1"
#define DEFAULT "beam:env:default:v1"
#define NATIVE "trestle:env:native:v1"
#define PYTHON_IMAGE "apache/beam_python3.11_sdk:2.77.0"

static struct config config;
static struct environment_choice choice;
static struct status st;
static struct arena arena;

static void setup(void) {
    config_init_defaults(&config);
}

static void teardown(void) {
    environment_choice_clear(&choice);
    status_clear(&st);
    arena_clear(&arena);
    config_clear(&config);
}

static void set_key(const char *key, const char *value) {
    ck_assert_int_eq(config_set(&config, config_find_key(key), value, &st), 0);
}

static struct slice docker(const char *image) {
    Beam__DockerPayload payload = BEAM__DOCKER_PAYLOAD__INIT;

    payload.container_image = (char *)image;
    return PB_PACK(&payload, NULL);
}

static struct slice process(const char *command) {
    Beam__ProcessPayload payload = BEAM__PROCESS_PAYLOAD__INIT;

    payload.command = (char *)command;
    return PB_PACK(&payload, NULL);
}

static void load_environments(const char *rows) {
    char path[] = "/tmp/trestle-environment-XXXXXX";
    int fd = mkstemp(path);

    ck_assert_int_ge(fd, 0);
    dprintf(fd, "environments:\n%s", rows);
    close(fd);
    ck_assert_msg(config_load(&config, path, &st) == 0, "%s", status_message(&st));
    unlink(path);
}

/* The payload is taken over. */
static int choose(const char *urn, struct slice payload) {
    int r = environment_choose(&config, urn, payload, &choice, &st);

    slice_unref(&payload);
    return r;
}

static char *chosen_image(void) {
    Beam__DockerPayload *payload;

    ck_assert_int_eq(
        PB_UNPACK(Beam__DockerPayload, beam__docker_payload, choice.payload, PB_STRINGS_STRICT, &arena, &payload, NULL),
        0);
    return payload->container_image;
}

/* ---------------------------------------------------------------- images */

START_TEST(the_names_of_published_images_are_understood)
{
    static const struct {
        const char *name;
        enum native_sdk sdk;
        const char *language_version;
        const char *beam_version;
    } images[] = {
        {PYTHON_IMAGE, NATIVE_PYTHON, "3.11", "2.77.0"},
        {"registry.example/apache/beam_python3.10_sdk:2.70.0rc2", NATIVE_PYTHON, "3.10", "2.70.0rc2"},
        {"localhost/apache/beam_java17_sdk:2.65.0", NATIVE_JAVA, "17", "2.65.0"},
        {"localhost:5000/apache/beam_java11_sdk_distroless:2.65.0", NATIVE_JAVA, "11", "2.65.0"},
        {"apache/beam_go_sdk:2.77.0", NATIVE_GO, "", "2.77.0"},
        {"apache/beam_typescript_sdk:2.49.0", NATIVE_TYPESCRIPT, "", "2.49.0"},
    };

    for (size_t i = 0; i < ARRAY_COUNT(images); i++) {
        struct native_image image;

        ck_assert_msg(native_image_parse(images[i].name, &image, &st) == 0, "%s", images[i].name);
        ck_assert_int_eq(image.sdk, images[i].sdk);
        ck_assert_str_eq(image.language_version, images[i].language_version);
        ck_assert_str_eq(image.beam_version, images[i].beam_version);
    }
}
END_TEST

START_TEST(other_images_are_not_taken_for_published_ones)
{
    static const char *const names[] = {
        "",
        "apache/beam_python3.11_sdk",
        "apache/beam_python3.11_sdk:latest",
        "apache/beam_python_sdk:2.77.0",
        "apache/beam_python3.11_sdk:2.77.0@sha256:00",
        "apache/beam_python3.11_sdk_gpu:2.77.0",
        "apache/beam_rust_sdk:2.77.0",
        "mine/apache/beam_go_sdk:2.77.0",
        "apache/beam_go1_sdk:2.77.0",
        "company/beam_python3.11_sdk:2.77.0",
    };

    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        struct native_image image;

        ck_assert_msg(native_image_parse(names[i], &image, &st) == -STATUS_UNIMPLEMENTED, "%s", names[i]);
    }
}
END_TEST

/* ---------------------------------------------------------------- the choice */

START_TEST(a_published_image_runs_natively_without_an_engine)
{
    ck_assert_int_eq(choose(DOCKER, docker(PYTHON_IMAGE)), 0);
    ck_assert_str_eq(choice.urn, NATIVE);
    ck_assert_str_eq(choice.native_image, PYTHON_IMAGE);
    ck_assert_str_eq(choice.why, "runs natively, without the image " PYTHON_IMAGE ", since no container engine is "
                                 "configured (containers.cli)");
}
END_TEST

START_TEST(any_image_runs_in_a_container_with_an_engine)
{
    set_key("containers.cli", "podman");
    ck_assert_int_eq(choose(DOCKER, docker("company/image:1")), 0);
    ck_assert_str_eq(choice.urn, DOCKER);
    ck_assert_str_eq(chosen_image(), "company/image:1");
    ck_assert_str_eq(choice.why, "runs in a container of company/image:1, started by podman (containers.cli)");
}
END_TEST

START_TEST(another_image_is_refused_without_an_engine_and_it_says_what_to_do)
{
    ck_assert_int_eq(choose(DOCKER, docker("company/image:1")), -STATUS_UNIMPLEMENTED);
    ck_assert_ptr_nonnull(strstr(status_message(&st), "company/image:1"));
    ck_assert_ptr_nonnull(strstr(status_message(&st), "containers.cli"));
    ck_assert_ptr_nonnull(strstr(status_message(&st), "`environments`"));
    ck_assert_int_eq(choose(DOCKER, SLICE_EMPTY), -STATUS_INVALID_ARGUMENT);
}
END_TEST

START_TEST(what_the_pipeline_asks_for_is_done)
{
    ck_assert_int_eq(choose(PROCESS, process("/bin/boot")), 0);
    ck_assert_str_eq(choice.urn, PROCESS);
    ck_assert_str_eq(choice.why, "runs the command /bin/boot, as the pipeline asks for");
    ck_assert_int_eq(choose(EXTERNAL, SLICE_EMPTY), -STATUS_INVALID_ARGUMENT);
    ck_assert_int_eq(choose("beam:env:unheard_of:v1", SLICE_EMPTY), -STATUS_UNIMPLEMENTED);
    /* It is the server's own. */
    ck_assert_int_eq(choose(NATIVE, docker(PYTHON_IMAGE)), -STATUS_UNIMPLEMENTED);
}
END_TEST

START_TEST(an_override_comes_before_all_else)
{
    set_key("containers.cli", "podman");
    load_environments("  - {image: 'company/boot:*', process: /bin/boot}\n"
                      "  - {image: 'company/pool:*', external: 'pool:50000'}\n"
                      "  - {image: 'company/*', native: '" PYTHON_IMAGE "'}\n"
                      "  - {image: 'apache/beam_go*', native: same}\n"
                      "  - {image: 'apache/*', container: 'mirror/image:1'}\n");
    ck_assert_int_eq(choose(DOCKER, docker("company/boot:1")), 0);
    ck_assert_str_eq(choice.urn, PROCESS);
    ck_assert_str_eq(choice.why, "runs the command /bin/boot in place of the image company/boot:1, by the "
                                 "configuration (environments)");
    ck_assert_int_eq(worker_check_environment(choice.urn, choice.payload, &st), 0);
    ck_assert_int_eq(choose(DOCKER, docker("company/pool:1")), 0);
    ck_assert_str_eq(choice.urn, EXTERNAL);
    ck_assert_int_eq(worker_check_environment(choice.urn, choice.payload, &st), 0);
    ck_assert_int_eq(choose(DOCKER, docker("company/python:1")), 0);
    ck_assert_str_eq(choice.native_image, PYTHON_IMAGE);
    ck_assert_int_eq(choose(DOCKER, docker("apache/beam_go_sdk:2.77.0")), 0);
    ck_assert_str_eq(choice.native_image, "apache/beam_go_sdk:2.77.0");
    ck_assert_int_eq(choose(DOCKER, docker(PYTHON_IMAGE)), 0);
    ck_assert_str_eq(choice.urn, DOCKER);
    ck_assert_str_eq(chosen_image(), "mirror/image:1");
    set_key("containers.cli", "");
    ck_assert_int_eq(choose(DOCKER, docker(PYTHON_IMAGE)), -STATUS_FAILED_PRECONDITION);
}
END_TEST

START_TEST(settings_are_those_of_the_image_or_the_command_that_the_pipeline_names)
{
    load_environments("  - {image: 'company/*', process: /bin/boot, memory: 1GiB}\n"
                      "  - {command: /bin/boot, cpus: 2}\n"
                      "  - {image: '*', workers: 3}\n");
    ck_assert_int_eq(choose(DOCKER, docker("company/one:1")), 0);
    ck_assert_uint_eq(choice.settings.memory_bytes, 1 << 30);
    ck_assert_uint_eq(choice.settings.workers, 3);
    ck_assert_uint_eq(choice.settings.milli_cpus, 0);
    ck_assert_int_eq(choose(PROCESS, process("/bin/boot")), 0);
    ck_assert_uint_eq(choice.settings.memory_bytes, 0);
    ck_assert_uint_eq(choice.settings.milli_cpus, 2000);
}
END_TEST

/* ---------------------------------------------------------------- DEFAULT and ANYOF */

static Beam__Environment *make(const char *urn, struct slice payload, const char *capability) {
    Beam__Environment *environment = arena_new(&arena, Beam__Environment);

    beam__environment__init(environment);
    environment->urn = arena_string(&arena, urn);
    environment->payload.data = (uint8_t *)arena_copy(&arena, payload.data, payload.size);
    environment->payload.len = payload.size;
    slice_unref(&payload);
    if (capability) {
        environment->capabilities = arena_new_array(&arena, char *, 1);
        environment->capabilities[0] = arena_string(&arena, capability);
        environment->n_capabilities = 1;
    }
    return environment;
}

static Beam__Environment *any_of(Beam__Environment **environments, size_t count) {
    Beam__AnyOfEnvironmentPayload payload = BEAM__ANY_OF_ENVIRONMENT_PAYLOAD__INIT;

    payload.environments = environments;
    payload.n_environments = count;
    return make(ANYOF, PB_PACK(&payload, NULL), NULL);
}

static int settle(Beam__Environment *environment) {
    Beam__Pipeline pipeline = BEAM__PIPELINE__INIT;
    Beam__Components components = BEAM__COMPONENTS__INIT;
    Beam__Components__EnvironmentsEntry entry = BEAM__COMPONENTS__ENVIRONMENTS_ENTRY__INIT, *entries[] = {&entry};

    entry.key = (char *)"e";
    entry.value = environment;
    components.n_environments = 1;
    components.environments = entries;
    pipeline.components = &components;
    return environments_settle(&config, &pipeline, &arena, &st);
}

START_TEST(the_default_environment_is_the_image_that_the_sdk_is_based_on)
{
    Beam__Environment *environment = make(DEFAULT, SLICE_EMPTY, "beam:version:sdk_base:" PYTHON_IMAGE);
    struct slice payload;

    ck_assert_int_eq(settle(environment), 0);
    payload = slice_copy(environment->payload.data, environment->payload.len, NULL);
    ck_assert_int_eq(choose(environment->urn, payload), 0);
    ck_assert_str_eq(choice.native_image, PYTHON_IMAGE);
    environment = make("beam:env:embedded_python:v1", SLICE_EMPTY, "beam:version:sdk_base:" PYTHON_IMAGE);
    ck_assert_int_eq(settle(environment), 0);
    ck_assert_str_eq(environment->urn, DOCKER);
    environment = make(DEFAULT, SLICE_EMPTY, "beam:version:sdk_base:go:2.77.0");
    ck_assert_int_eq(settle(environment), 0);
    payload = slice_copy(environment->payload.data, environment->payload.len, NULL);
    ck_assert_int_eq(choose(environment->urn, payload), 0);
    ck_assert_str_eq(choice.native_image, "apache/beam_go_sdk:2.77.0");
    ck_assert_int_eq(settle(make(DEFAULT, SLICE_EMPTY, NULL)), -STATUS_UNIMPLEMENTED);
}
END_TEST

static const char *settlement(const Beam__Environment *environment) {
    struct slice bytes = PB_PACK(environment, NULL);
    const char *text = environment_settlement(bytes, &arena);

    slice_unref(&bytes);
    return text;
}

START_TEST(the_first_alternative_that_can_be_run_is_taken_with_all_that_is_its_own)
{
    Beam__Environment *alternatives[] = {
        make(DOCKER, docker("company/image:1"), "first"),
        make(PROCESS, process("/bin/boot"), "second"),
        make(DOCKER, docker(PYTHON_IMAGE), "third"),
    };
    Beam__Environment *environment = any_of(alternatives, 3);
    const char *text;

    ck_assert_int_eq(settle(environment), 0);
    ck_assert_str_eq(environment->urn, PROCESS);
    ck_assert_uint_eq(environment->n_capabilities, 1);
    ck_assert_str_eq(environment->capabilities[0], "second");
    text = settlement(environment);
    ck_assert_ptr_nonnull(text);
    ck_assert_ptr_nonnull(strstr(text, "takes alternative 2 of 3 (beam:env:process:v1), since"));
    ck_assert_ptr_nonnull(strstr(text, "\n1. "));
    ck_assert_ptr_nonnull(strstr(text, "company/image:1"));
    ck_assert_ptr_null(settlement(make(PROCESS, process("/bin/boot"), NULL)));
    /* Within alternatives too. */
    alternatives[1] = any_of(&alternatives[2], 1);
    environment = any_of(alternatives, 2);
    ck_assert_int_eq(settle(environment), 0);
    ck_assert_str_eq(environment->urn, DOCKER);
    ck_assert_str_eq(environment->capabilities[0], "third");
}
END_TEST

START_TEST(where_no_alternative_can_be_run_the_reason_for_each_is_told)
{
    Beam__Environment *alternatives[] = {
        make(DOCKER, docker("company/image:1"), NULL),
        make("beam:env:unheard_of:v1", SLICE_EMPTY, NULL),
    };

    ck_assert_int_eq(settle(any_of(alternatives, 2)), -STATUS_UNIMPLEMENTED);
    ck_assert_ptr_nonnull(strstr(status_message(&st), "\n1. environment " DOCKER));
    ck_assert_ptr_nonnull(strstr(status_message(&st), "\n2. environments of the kind \"beam:env:unheard_of:v1\""));
}
END_TEST

int main(void) {
    Suite *suite = suite_create("environment");
    TCase *tests = tcase_create("environment");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, the_names_of_published_images_are_understood);
    tcase_add_test(tests, other_images_are_not_taken_for_published_ones);
    tcase_add_test(tests, a_published_image_runs_natively_without_an_engine);
    tcase_add_test(tests, any_image_runs_in_a_container_with_an_engine);
    tcase_add_test(tests, another_image_is_refused_without_an_engine_and_it_says_what_to_do);
    tcase_add_test(tests, what_the_pipeline_asks_for_is_done);
    tcase_add_test(tests, an_override_comes_before_all_else);
    tcase_add_test(tests, settings_are_those_of_the_image_or_the_command_that_the_pipeline_names);
    tcase_add_test(tests, the_default_environment_is_the_image_that_the_sdk_is_based_on);
    tcase_add_test(tests, the_first_alternative_that_can_be_run_is_taken_with_all_that_is_its_own);
    tcase_add_test(tests, where_no_alternative_can_be_run_the_reason_for_each_is_told);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
