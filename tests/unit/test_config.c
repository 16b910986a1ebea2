#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "jobserver/config.h"

static char path[] = "/tmp/trestle-config-XXXXXX";
static struct config config;
static struct status st;

static void set_up(void) {
    int fd = mkstemp(path);

    ck_assert_int_ge(fd, 0);
    close(fd);
    config_init_defaults(&config);
}

static void tear_down(void) {
    unlink(path);
    config_clear(&config);
    status_clear(&st);
}

static void write_file(const char *text) {
    FILE *file = fopen(path, "w");

    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
}

static void load(const char *text) {
    write_file(text);
    ck_assert_msg(config_load(&config, path, &st) == 0, "%s", status_message(&st));
}

/* `expected` is the error without the file's name in front. */
static void refuse(const char *text, const char *expected) {
    const char *message;

    write_file(text);
    ck_assert_int_eq(config_load(&config, path, &st), -STATUS_INVALID_ARGUMENT);
    message = status_message(&st);
    ck_assert_int_eq(strncmp(message, path, strlen(path)), 0);
    ck_assert_str_eq(message + strlen(path), expected);
}

/* Of all the errors the lines that say `expected`, each without the file's name. */
static void refuse_all(const char *text, const char *const *expected, size_t count) {
    const char *line;

    write_file(text);
    ck_assert_int_eq(config_load(&config, path, &st), -STATUS_INVALID_ARGUMENT);
    line = status_message(&st);
    for (size_t i = 0; i < count; i++) {
        ck_assert_int_eq(strncmp(line, path, strlen(path)), 0);
        line += strlen(path);
        ck_assert_msg(strncmp(line, expected[i], strlen(expected[i])) == 0, "%s", line);
        line = strchr(line, '\n') ? strchr(line, '\n') + 1 : line + strlen(line);
    }
    ck_assert_str_eq(line, "");
}

static void assert_equal(const struct config *a, const struct config *b) {
    size_t count;
    const struct config_key *keys = config_keys(&count);

    for (size_t i = 0; i < count; i++) {
        const char *left = (const char *)a + keys[i].offset, *right = (const char *)b + keys[i].offset;

        if (keys[i].type == CONFIG_PATH || keys[i].type == CONFIG_USER || keys[i].type == CONFIG_ADDRESS)
            ck_assert_str_eq(*(char *const *)(const void *)left, *(char *const *)(const void *)right);
        else if (keys[i].type == CONFIG_NUMBER || keys[i].type == CONFIG_CHOICE)
            ck_assert_msg(memcmp(left, right, sizeof(unsigned)) == 0, "%s", keys[i].path);
        else
            ck_assert_msg(memcmp(left, right, sizeof(uint64_t)) == 0, "%s", keys[i].path);
    }
}

START_TEST(the_defaults_are_the_documented_ones)
{
    ck_assert_str_eq(config.listen, "127.0.0.1:8099");
    ck_assert_str_eq(config.state_dir, "");
    ck_assert_uint_eq(config.worker_connect_timeout_ms, 60000);
    ck_assert_uint_eq(config.workers_per_environment, 0);
    ck_assert_uint_eq(config.workers_stop_grace_ms, 10000);
    ck_assert_uint_eq(config.retry_worker_lost_attempts, 4);
    ck_assert_uint_eq(config.retry_user_exception_attempts, 2);
    ck_assert_uint_eq(config.limits_max_message_bytes, 512u << 20);
    ck_assert_uint_eq(config.limits_max_element_bytes, 256u << 20);
    ck_assert_uint_eq(config.limits_max_artifact_bytes, UINT64_C(4) << 30);
    ck_assert_uint_eq(config.limits_max_inline_group_bytes, 32u << 20);
    ck_assert_uint_eq(config.memory_total_bytes, 0);
    ck_assert_uint_eq(config.memory_per_job_bytes, 0);
    ck_assert_uint_eq(config.disk_total_bytes, 0);
    ck_assert_uint_eq(config.disk_per_job_bytes, 0);
    ck_assert_uint_eq(config.log_level, LOG_LEVEL_INFO);
    ck_assert_uint_eq(config.log_format, LOG_FORMAT_PLAIN);
    ck_assert_uint_eq(config.log_max_messages_per_job, 10000);
}
END_TEST

/* Where the source is, seen from where the compiler and, with meson, the test runs. */
static char *sample_path(void) {
    const char *root = getenv("TRESTLE_SOURCE_ROOT");
    const char *slash = strrchr(__FILE__, '/');

    if (root)
        return xasprintf("%s/deploy/trestle.yaml", root);
    return xasprintf("%.*s/../../deploy/trestle.yaml", (int)(slash - __FILE__), __FILE__);
}

START_TEST(the_sample_holds_every_key_with_its_default)
{
    CLEANUP(freep) char *sample = sample_path();
    struct config loaded;
    size_t count;
    const struct config_key *keys = config_keys(&count);

    /* What the file leaves out would keep a wrong value. */
    config_init_defaults(&loaded);
    for (size_t i = 0; i < count; i++) {
        const char *const others[] = {[CONFIG_PATH] = "/other",     [CONFIG_USER] = geteuid() == 0 ? "nobody" : "",
                                      [CONFIG_ADDRESS] = "other:1", [CONFIG_NUMBER] = "777",
                                      [CONFIG_DURATION] = "77s",    [CONFIG_SIZE] = "77MiB"};
        const char *other = keys[i].type == CONFIG_CHOICE
                                ? keys[i].choices[strcmp(keys[i].choices[1], keys[i].default_text) != 0]
                                : others[keys[i].type];

        ck_assert_int_eq(config_set(&loaded, &keys[i], other, NULL), 0);
    }
    ck_assert_msg(config_load(&loaded, sample, &st) == 0, "%s", status_message(&st));
    assert_equal(&loaded, &config);
    config_clear(&loaded);
}
END_TEST

START_TEST(a_user_must_be_there_and_one_that_the_server_can_become)
{
    const struct config_key *key = config_find_key("workers.user");

    ck_assert_int_lt(config_set(&config, key, "no-such-user", &st), 0);
    ck_assert_str_eq(status_message(&st), "workers.user: there is no user \"no-such-user\" on this machine");
    status_clear(&st);
    ck_assert_int_lt(config_set(&config, key, "root", &st), 0);
    ck_assert_ptr_nonnull(strstr(status_message(&st), "from whom nothing is kept"));
    status_clear(&st);
    if (geteuid() == 0)
        ck_assert_int_eq(config_set(&config, key, "nobody", &st), 0);
    else
        ck_assert_int_lt(config_set(&config, key, "nobody", &st), 0);
    ck_assert_str_eq(config.workers_user, geteuid() == 0 ? "nobody" : "");
    status_clear(&st);
}
END_TEST

START_TEST(a_file_changes_what_it_names)
{
    struct config before;

    config_init_defaults(&before);
    load("");
    assert_equal(&config, &before);
    load("# nothing\n---\n");
    load("workers:\nlog: ~\n");
    assert_equal(&config, &before);
    load("listen: '[::1]:0'\nstate_dir: relative dir\nworkers: {per_environment: 8, stop_grace: 1 m}\n"
         "limits:\n  max_element: 4KiB\nlog:\n  level: debug\n  format: \"journal\"\n");
    ck_assert_str_eq(config.listen, "[::1]:0");
    ck_assert_str_eq(config.state_dir, "relative dir");
    ck_assert_uint_eq(config.workers_per_environment, 8);
    ck_assert_uint_eq(config.workers_stop_grace_ms, 60000);
    ck_assert_uint_eq(config.limits_max_element_bytes, 4096);
    ck_assert_uint_eq(config.log_level, LOG_LEVEL_DEBUG);
    ck_assert_uint_eq(config.log_format, LOG_FORMAT_JOURNAL);
    ck_assert_uint_eq(config.retry_worker_lost_attempts, 4);
    config_clear(&before);
}
END_TEST

START_TEST(an_unknown_key_is_refused_with_its_place)
{
    refuse("workers:\n  per_environment: 2\n  per_envirnment: 2\n",
           ":3: workers.per_envirnment: unknown key; did you mean workers.per_environment? Known are max_processes, "
           "per_environment, "
           "slots, isolation, user, listen, stop_grace, keep_warm, "
           "keep_warm_max");
    refuse("# comment\nlisten_on: a:1\n",
           ":2: listen_on: unknown key; known are listen, http, state_dir, cache_dir, auth, tls, advertise, "
           "containers, native, worker_connect_timeout, jobs, shutdown, workers, retry, bundle, stream, limits, "
           "memory, disk, "
           "retention, log, "
           "environments");
    refuse("workers.per_environment: 2\n",
           ":1: workers.per_environment: sections are not written with dots; write the last word below the section");
}
END_TEST

START_TEST(a_duplicate_is_refused)
{
    refuse("listen: a:1\nstate_dir: x\nlisten: b:1\n", ":3: listen: given twice, first on line 1");
    refuse("log: {level: info}\nlog:\n  format: plain\n", ":2: log: given twice, first on line 1");
    refuse("log:\n  level: info\n  level: debug\n", ":3: log.level: given twice, first on line 2");
}
END_TEST

START_TEST(an_impossible_value_is_refused)
{
    refuse("listen: localhost\n",
           ":1: listen: \"localhost\" is not an address; write HOST:PORT, [IPv6]:PORT or unix:PATH");
    refuse("listen: ''\n", ":1: listen: must not be empty");
    refuse("listen: a:65536\n", ":1: listen: \"a:65536\" is not an address; write HOST:PORT, [IPv6]:PORT or unix:PATH");
    refuse("listen: ::1:80\n", ":1: listen: \"::1:80\" is not an address; write HOST:PORT, [IPv6]:PORT or unix:PATH");
    refuse("listen:\n", ":1: listen: has no value; leave the line out for the default");
    refuse("workers:\n  per_environment: 1025\n",
           ":2: workers.per_environment: 1025 is out of range, it must be from 0 to 1024");
    refuse("workers:\n  per_environment: -1\n", ":2: workers.per_environment: \"-1\" is not a whole number");
    refuse("workers:\n  per_environment: 99999999999999999999999\n",
           ":2: workers.per_environment: \"99999999999999999999999\" is not a whole number");
    refuse("worker_connect_timeout: 60\n",
           ":1: worker_connect_timeout: \"60\" is not a whole number with a unit (ms, s, m or h), like 60s");
    refuse("worker_connect_timeout: 1ms\n",
           ":1: worker_connect_timeout: 1ms is out of range, it must be from 100ms to 24h");
    refuse("limits: {max_message: 5124095576030431h}\n", ":1: limits.max_message: \"5124095576030431h\" is not a whole "
                                                         "number with a unit (B, KiB, MiB or GiB), like 64MiB");
    refuse("limits: {max_message: 18014398509481985GiB}\n",
           ":1: limits.max_message: \"18014398509481985GiB\" is not a whole "
           "number with a unit (B, KiB, MiB or GiB), like 64MiB");
    refuse("limits: {max_message: 4GiB}\n",
           ":1: limits.max_message: 4GiB is out of range, it must be from 1MiB to 2147483647B");
    refuse("log:\n  level: loud\n", ":2: log.level: \"loud\" is not one of: debug, info, warning, error");
    refuse("limits:\n  max_element: 64MiB\n  max_message: 32MiB\n  max_artifact: 1GiB\n",
           ":3: limits.max_element: an element travels in one message, so it cannot be larger than limits.max_message");
    refuse("limits:\n  max_artifact: 1KiB\n",
           ":2: limits.max_artifact: 1KiB is out of range, it must be from 1MiB to 1024GiB");
}
END_TEST

START_TEST(a_wrong_shape_is_refused)
{
    refuse("- listen\n", ":1: the file: must be a section of keys and values");
    refuse("listen: [a, b]\n", ":1: listen: takes one value, not a list or a section");
    refuse("workers: 3\n", ":1: workers: must be a section of keys and values");
    refuse("[a]: 3\n", ":1: the file: a key must be a plain word");
    refuse("listen: a:1\n---\nlisten: a:1\n", ":3: the file: holds more than one document");
    refuse("state_dir: \"a\\0b\"\n", ":1: state_dir: holds a NUL character");
    refuse("workers: &w\n  per_environment: *w\n",
           ":1: workers.per_environment: takes one value, not a list or a section");
}
END_TEST

START_TEST(what_is_not_yaml_is_refused_with_its_line)
{
    write_file("listen: a:1\nlog: {level: info\n");
    ck_assert_int_eq(config_load(&config, path, &st), -STATUS_INVALID_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(status_message(&st), ":3: not YAML: did not find expected ',' or '}'"));
    write_file("listen: \xff\xfe\n");
    ck_assert_int_eq(config_load(&config, path, &st), -STATUS_INVALID_ARGUMENT);
}
END_TEST

START_TEST(a_missing_file_is_named)
{
    ck_assert_int_eq(config_load(&config, "/no/such.yaml", &st), -STATUS_NOT_FOUND);
    ck_assert_str_eq(status_message(&st), "cannot read the configuration /no/such.yaml: No such file or directory");
    ck_assert_int_lt(config_load(&config, "/tmp", &st), 0);
    ck_assert_str_eq(status_message(&st), "cannot read the configuration /tmp: Is a directory");
}
END_TEST

START_TEST(a_huge_file_is_refused)
{
    char *text = malloc(1100000);

    memset(text, '#', 1099999);
    text[1099999] = '\0';
    write_file(text);
    free(text);
    ck_assert_int_eq(config_load(&config, path, &st), -STATUS_INVALID_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(status_message(&st), "is larger than 1048576 bytes"));
}
END_TEST

START_TEST(every_key_is_documented_and_has_a_possible_default)
{
    size_t count;
    const struct config_key *keys = config_keys(&count);

    for (size_t i = 0; i < count; i++) {
        ck_assert_uint_gt(strlen(keys[i].doc), 10);
        ck_assert_msg(config_set(&config, &keys[i], keys[i].default_text, &st) == 0, "%s", status_message(&st));
        ck_assert_ptr_eq(config_find_key(keys[i].path), &keys[i]);
    }
    ck_assert_ptr_null(config_find_key("workers"));
}
END_TEST

START_TEST(advertised_addresses_go_from_special_to_general)
{
    ck_assert_ptr_null(config_advertise(&config, "beam:env:process:v1"));
    load("advertise: {default: 'a:1', external: 'b:2'}\n");
    ck_assert_str_eq(config_advertise(&config, "beam:env:process:v1"), "a:1");
    ck_assert_str_eq(config_advertise(&config, "beam:env:external:v1"), "b:2");
    ck_assert_str_eq(config_advertise(&config, "beam:env:docker:v1"), "a:1");
}
END_TEST

START_TEST(memory_and_disk_have_their_budgets)
{
    load("memory: {total: 8GiB, per_job: 512MiB}\ndisk: {total: 2000GiB, per_job: 4MiB}\n"
         "limits: {max_inline_group: 1MiB}\n");
    ck_assert_uint_eq(config.memory_total_bytes, UINT64_C(8) << 30);
    ck_assert_uint_eq(config.memory_per_job_bytes, 512u << 20);
    ck_assert_uint_eq(config.disk_total_bytes, UINT64_C(2000) << 30);
    ck_assert_uint_eq(config.disk_per_job_bytes, 4u << 20);
    ck_assert_uint_eq(config.limits_max_inline_group_bytes, 1u << 20);
    write_file("memory: {per_job: much}\n");
    ck_assert_int_eq(config_load(&config, path, &st), -STATUS_INVALID_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(status_message(&st), "memory.per_job"));
    status_clear(&st);
    write_file("limits: {max_inline_group: 3GiB}\n"); /* one element of a bundle's input must fit into a message */
    ck_assert_int_eq(config_load(&config, path, &st), -STATUS_INVALID_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(status_message(&st), "limits.max_inline_group"));
}
END_TEST

static void settle(const char *expected) {
    struct config own;

    config_init_defaults(&own);
    config_settle_directories(&own);
    ck_assert_str_eq(own.state_dir, expected);
    config_clear(&own);
}

static void settle_cache(const char *expected) {
    struct config own;

    config_init_defaults(&own);
    config_settle_directories(&own);
    ck_assert_str_eq(own.cache_dir, expected);
    config_clear(&own);
}

START_TEST(the_state_directory_is_the_services_or_the_users)
{
    setenv("STATE_DIRECTORY", "/var/lib/trestle:/var/lib/other", 1);
    setenv("XDG_STATE_HOME", "/state", 1);
    setenv("HOME", "/home/u", 1);
    settle("/var/lib/trestle");
    setenv("STATE_DIRECTORY", ":/var/lib/other", 1);
    settle(""); /* which state_dir_open() refuses */
    unsetenv("STATE_DIRECTORY");
    settle("/state/trestle");
    unsetenv("XDG_STATE_HOME");
    settle("/home/u/.local/state/trestle");
    unsetenv("HOME");
    settle("/var/lib/trestle");
    load("state_dir: here\n");
    config_settle_directories(&config);
    ck_assert_str_eq(config.state_dir, "here");
}
END_TEST

START_TEST(what_runs_in_place_of_an_image_is_a_list_in_order)
{
    load("environments:\n"
         "  - {image: 'company/one:?', process: /bin/boot}\n"
         "  - image: 'company/*'\n    container: other/image:1\n"
         "  - {image: 'apache/*', native: same}\n"
         "  - {image: '*', external: 'pool:50000'}\n");
    ck_assert_uint_eq(config.environment_count, 4);
    ck_assert_int_eq(config_find_override(&config, "company/one:1")->way, CONFIG_RUN_PROCESS);
    ck_assert_str_eq(config_find_override(&config, "company/one:1")->value, "/bin/boot");
    ck_assert_int_eq(config_find_override(&config, "company/a/b:2")->way, CONFIG_RUN_CONTAINER);
    ck_assert_int_eq(config_find_override(&config, "apache/beam_go_sdk:1")->way, CONFIG_RUN_NATIVE);
    ck_assert_str_eq(config_find_override(&config, "anything")->value, "pool:50000");
}
END_TEST

START_TEST(each_setting_of_an_environment_is_that_of_the_first_row_that_has_it)
{
    struct config_settings settings;

    load("environments:\n"
         "  - {image: 'a/one:*', cpus: 1.5, environment: {A: first, B: ''}}\n"
         "  - image: 'a/*'\n    native: same\n    workers: 3\n    cpus: 2\n    memory: 2 GiB\n"
         "    environment:\n      A: second\n      C: 7\n    working_directory: /data\n"
         "  - {image: '*', slots: 5, workers: 9}\n"
         "  - {command: '/opt/*', slots: 2, cpus: 0.05}\n");
    settings = config_find_settings(&config, CONFIG_IMAGE, "a/one:1");
    ck_assert_uint_eq(settings.milli_cpus, 1500);
    ck_assert_uint_eq(settings.workers, 3);
    ck_assert_uint_eq(settings.slots, 5);
    ck_assert_uint_eq(settings.memory_bytes, 2ull << 30);
    ck_assert_str_eq(settings.working_directory, "/data");
    ck_assert_str_eq(settings.variables[0], "A=first");
    ck_assert_str_eq(settings.variables[1], "B=");
    ck_assert_str_eq(settings.variables[2], "C=7");
    ck_assert_ptr_null(settings.variables[3]);
    free(settings.variables);
    /* A row without anything to run in place of the image does not hide one that has. */
    ck_assert_int_eq(config_find_override(&config, "a/one:1")->way, CONFIG_RUN_NATIVE);
    ck_assert_ptr_null(config_find_override(&config, "b/two:1"));
    settings = config_find_settings(&config, CONFIG_COMMAND, "/opt/boot");
    ck_assert_uint_eq(settings.slots, 2);
    ck_assert_uint_eq(settings.milli_cpus, 50);
    ck_assert_uint_eq(settings.workers, 0);
    ck_assert_ptr_null(settings.variables);
}
END_TEST

START_TEST(an_item_of_environments_that_makes_no_sense_is_refused_with_its_place)
{
    static const struct {
        const char *file, *error;
    } cases[] = {
        {"environments: all\n", ":1: environments: must be a list of items"},
        {"environments:\n  - all\n", ":2: environments: each item is a section of keys and values"},
        {"environments:\n  - image: a\n", ":2: environments: an item needs more than its pattern"},
        {"environments:\n  - {native: b}\n", ":2: environments: each item needs a pattern"},
        {"environments:\n  - image: a\n    native: b\n    process: c\n",
         ":4: environments.process: an item has one thing to run"},
        {"environments:\n  - image: a\n    command: b\n", ":3: environments.command: an item has one pattern"},
        {"environments:\n  - {command: a, native: b}\n", ":2: environments: only an image can have something else"},
        {"environments:\n  - image: a\n    natively: b\n",
         ":3: environments.natively: unknown key; known are image, command, container, native, process, external, "
         "environment, workers, slots, memory, cpus, working_directory"},
        {"environments:\n  - {image: a, native: [b]}\n", ":2: environments.native: takes one value"},
        {"environments:\n  - {image: a, workers: 1, workers: 2}\n", ":2: environments.workers: given twice"},
        {"environments:\n  - {image: '', native: b}\n", ":2: environments.image: must not be empty"},
        {"environments:\n  - {image: a, external: nowhere}\n",
         ":2: environments.external: \"nowhere\" is not an address; write HOST:PORT, [IPv6]:PORT or unix:PATH"},
        {"environments:\n  - {image: a, external: 'b:1', memory: 1GiB}\n",
         ":2: environments: memory, cpus, environment and working_directory are the worker pool's own business"},
        {"environments:\n  - image: a\n    workers: 0\n",
         ":3: environments.workers: 0 is out of range, it must be from 1 to 1024"},
        {"environments:\n  - {image: a, memory: 4}\n", ":2: environments.memory: \"4\" is not a whole number"},
        {"environments:\n  - {image: a, memory: 1MiB}\n", ":2: environments.memory: 1MiB is out of range"},
        {"environments:\n  - {image: a, cpus: 1.}\n", ":2: environments.cpus: \"1.\" is not a number of cores"},
        {"environments:\n  - {image: a, cpus: 1.0001}\n", ":2: environments.cpus: \"1.0001\" is not"},
        {"environments:\n  - {image: a, cpus: 0.001}\n", ":2: environments.cpus: 0.001 is out of range"},
        {"environments:\n  - {image: a, cpus: -1}\n", ":2: environments.cpus: \"-1\" is not"},
        {"environments:\n  - {image: a, working_directory: here}\n",
         ":2: environments.working_directory: must be an absolute path"},
        {"environments:\n  - {image: a, environment: [b]}\n", ":2: environments.environment: must be a section"},
        {"environments:\n  - {image: a, environment: {'b=c': d}}\n",
         ":2: environments.environment: the name of a variable"},
        {"environments:\n  - {image: a, environment: {b: [c]}}\n",
         ":2: environments.environment: the value of a variable is one text"},
        {"environments:\n  - {image: a, environment: {b: c, b: d}}\n",
         ":2: environments.environment: a variable is given twice"},
    };

    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        write_file(cases[i].file);
        ck_assert_msg(config_load(&config, path, &st) == -STATUS_INVALID_ARGUMENT, "%s", cases[i].file);
        ck_assert_msg(strstr(status_message(&st), cases[i].error) != NULL, "%s\nnot: %s", status_message(&st),
                      cases[i].error);
        config_clear(&config);
        config_init_defaults(&config);
    }
}
END_TEST

START_TEST(the_cache_directory_is_the_services_or_the_users)
{
    setenv("CACHE_DIRECTORY", "/var/cache/trestle", 1);
    setenv("XDG_CACHE_HOME", "/cache", 1);
    setenv("HOME", "/home/u", 1);
    settle_cache("/var/cache/trestle");
    unsetenv("CACHE_DIRECTORY");
    settle_cache("/cache/trestle");
    unsetenv("XDG_CACHE_HOME");
    settle_cache("/home/u/.cache/trestle");
    unsetenv("HOME");
    settle_cache("/var/cache/trestle");
}
END_TEST

START_TEST(tls_wants_a_certificate_and_its_key)
{
    static const struct {
        const char *file;
        const char *error;
    } cases[] = {
        {"tls: {certificate: /a.pem}\n", ": tls.certificate and tls.key go together"},
        {"tls: {key: /a.key}\n", ": tls.certificate and tls.key go together"},
        {"tls: {client_ca: /a.pem}\n", ": tls.client_ca: clients show no certificates without TLS"},
    };

    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        write_file(cases[i].file);
        ck_assert_int_eq(config_load(&config, path, &st), -STATUS_INVALID_ARGUMENT);
        ck_assert_msg(strstr(status_message(&st), cases[i].error) != NULL, "%s", status_message(&st));
        config_clear(&config);
        config_init_defaults(&config);
    }
    load("tls: {certificate: /a.pem, key: /a.key, client_ca: /b.pem}\n");
}
END_TEST

START_TEST(the_sample_marks_what_is_reloaded)
{
    CLEANUP(freep) char *sample = sample_path();
    size_t count, marked = 0, reloadable = 0;
    const struct config_key *keys = config_keys(&count);
    FILE *file = fopen(sample, "r");
    char line[1024];

    ck_assert_ptr_nonnull(file);
    while (fgets(line, sizeof(line), file)) {
        const char *last = line + strspn(line, " ");
        bool is_known = false;

        if (!strstr(line, "  # SIGHUP"))
            continue;
        marked++;
        for (size_t i = 0; i < count; i++) {
            const char *dot = strrchr(keys[i].path, '.');
            const char *name = dot ? dot + 1 : keys[i].path;

            is_known |= keys[i].is_reloadable && strncmp(last, name, strlen(name)) == 0 && last[strlen(name)] == ':';
        }
        ck_assert_msg(is_known, "%s", line);
    }
    fclose(file);
    for (size_t i = 0; i < count; i++)
        reloadable += keys[i].is_reloadable;
    ck_assert_uint_eq(marked, reloadable);
}
END_TEST

START_TEST(all_mistakes_are_told_at_once)
{
    static const char *const expected[] = {
        ":1: listen: \"8099\" is not an address",
        ":2: workers.slots: 9999 is out of range",
        ":2: workers.slost: unknown key; did you mean workers.slots?",
        ":3: keep_warm: unknown key; did you mean workers.keep_warm?",
        ":4: wrokers: unknown key; did you mean workers?",
        ":5: nothing_like_it: unknown key; known are ",
        ":7: environments",
        ":8: environments.workers: 0 is out of range",
    };

    refuse_all("listen: 8099\n"
               "workers: {slots: 9999, slost: 1}\n"
               "keep_warm: 1s\n"
               "wrokers: {slots: 1}\n"
               "nothing_like_it: 1\n"
               "environments:\n"
               "- image: x\n"
               "- {image: x, workers: 0}\n",
               expected, ARRAY_COUNT(expected));
}
END_TEST

START_TEST(a_copy_is_equal_until_it_is_changed)
{
    size_t count;
    const struct config_key *keys = config_keys(&count);
    struct config copy;

    load("listen: a:1\nworkers: {slots: 3}\nenvironments: [{image: x, native: y, workers: 2, environment: {A: b}}]\n");
    config_copy(&copy, &config);
    for (size_t i = 0; i < count; i++)
        ck_assert(config_key_is_equal(&keys[i], &config, &copy));
    ck_assert(config_environments_are_equal(&config, &copy));
    ck_assert_int_eq(config_set(&copy, config_find_key("listen"), "b:1", NULL), 0);
    ck_assert(!config_key_is_equal(config_find_key("listen"), &config, &copy));
    copy.environments[0].settings.variables[0][0] = 'B';
    ck_assert(!config_environments_are_equal(&config, &copy));
    config_clear(&copy);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("config");
    TCase *tests = tcase_create("config");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, the_defaults_are_the_documented_ones);
    tcase_add_test(tests, the_sample_holds_every_key_with_its_default);
    tcase_add_test(tests, a_user_must_be_there_and_one_that_the_server_can_become);
    tcase_add_test(tests, a_file_changes_what_it_names);
    tcase_add_test(tests, memory_and_disk_have_their_budgets);
    tcase_add_test(tests, an_unknown_key_is_refused_with_its_place);
    tcase_add_test(tests, tls_wants_a_certificate_and_its_key);
    tcase_add_test(tests, the_sample_marks_what_is_reloaded);
    tcase_add_test(tests, all_mistakes_are_told_at_once);
    tcase_add_test(tests, a_copy_is_equal_until_it_is_changed);
    tcase_add_test(tests, a_duplicate_is_refused);
    tcase_add_test(tests, an_impossible_value_is_refused);
    tcase_add_test(tests, a_wrong_shape_is_refused);
    tcase_add_test(tests, what_is_not_yaml_is_refused_with_its_line);
    tcase_add_test(tests, a_missing_file_is_named);
    tcase_add_test(tests, a_huge_file_is_refused);
    tcase_add_test(tests, every_key_is_documented_and_has_a_possible_default);
    tcase_add_test(tests, advertised_addresses_go_from_special_to_general);
    tcase_add_test(tests, the_state_directory_is_the_services_or_the_users);
    tcase_add_test(tests, what_runs_in_place_of_an_image_is_a_list_in_order);
    tcase_add_test(tests, each_setting_of_an_environment_is_that_of_the_first_row_that_has_it);
    tcase_add_test(tests, an_item_of_environments_that_makes_no_sense_is_refused_with_its_place);
    tcase_add_test(tests, the_cache_directory_is_the_services_or_the_users);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
