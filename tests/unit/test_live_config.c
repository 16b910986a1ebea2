#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "jobserver/live_config.h"

static struct live_config *live;
static struct config next;
static struct buf changed, waiting;

static void set_up(void) {
    config_init_defaults(&next);
    live = live_config_create(&next);
}

static void tear_down(void) {
    live_config_destroy(live);
    config_clear(&next);
    buf_clear(&changed);
    buf_clear(&waiting);
}

static void set(const char *key, const char *text) {
    ck_assert_int_eq(config_set(&next, config_find_key(key), text, NULL), 0);
}

static void reload(void) {
    live_config_put(live, live_config_prepare(live, &next, &changed, &waiting));
}

/* Compares, and empties. */
static void assert_names(struct buf *names, const char *expected) {
    CLEANUP(freep) char *text = xmemdup0(buf_data(names), names->size);

    ck_assert_str_eq(text, expected);
    buf_clear(names);
}

START_TEST(what_began_keeps_its_snapshot)
{
    struct config_snapshot *old = live_config_get(live), *new;

    set("retry.worker_lost", "9");
    reload();
    new = live_config_get(live);
    ck_assert_uint_eq(old->config.retry_worker_lost_attempts, 4);
    ck_assert_uint_eq(new->config.retry_worker_lost_attempts, 9);
    live_config_destroy(live);
    live = NULL;
    ck_assert_uint_eq(new->config.retry_worker_lost_attempts, 9);
    config_snapshot_unref(old);
    config_snapshot_unref(new);
    assert_names(&changed, "retry.worker_lost");
    assert_names(&waiting, "");
}
END_TEST

START_TEST(what_needs_a_restart_is_told_each_time_and_not_changed)
{
    struct config_snapshot *snapshot;

    set("listen", "other:1");
    set("memory.total", "1GiB");
    set("log.level", "debug");
    reload();
    assert_names(&changed, "log.level");
    assert_names(&waiting, "listen, memory.total");
    reload();
    assert_names(&changed, "");
    assert_names(&waiting, "listen, memory.total");
    snapshot = live_config_get(live);
    ck_assert_str_eq(snapshot->config.listen, "127.0.0.1:8099");
    ck_assert_uint_eq(snapshot->config.memory_total_bytes, 0);
    config_snapshot_unref(snapshot);
}
END_TEST

START_TEST(what_is_prepared_is_not_in_force)
{
    struct config_snapshot *prepared, *newest;

    set("retry.worker_lost", "9");
    prepared = live_config_prepare(live, &next, &changed, &waiting);
    newest = live_config_get(live);
    ck_assert_uint_eq(prepared->config.retry_worker_lost_attempts, 9);
    ck_assert_uint_eq(newest->config.retry_worker_lost_attempts, 4);
    config_snapshot_unref(prepared);
    config_snapshot_unref(newest);
}
END_TEST

START_TEST(a_certificates_file_changes_and_whether_there_is_tls_waits)
{
    set("tls.certificate", "/a.pem");
    set("tls.key", "/a.key");
    reload();
    assert_names(&changed, "");
    assert_names(&waiting, "tls.certificate, tls.key");
    live_config_destroy(live);
    live = live_config_create(&next);
    set("tls.certificate", "/b.pem");
    set("tls.client_ca", "/ca.pem");
    set("auth.tokens_file", "/tokens");
    reload();
    assert_names(&changed, "auth.tokens_file, tls.certificate");
    assert_names(&waiting, "tls.client_ca");
    set("tls.certificate", "");
    set("auth.tokens_file", "");
    reload();
    assert_names(&changed, "auth.tokens_file");
    assert_names(&waiting, "tls.certificate, tls.client_ca");
}
END_TEST

static void load(const char *text) {
    char path[] = "/tmp/trestle-live-config-XXXXXX";
    int fd = mkstemp(path);

    ck_assert_int_ge(fd, 0);
    dprintf(fd, "%s", text);
    close(fd);
    config_clear(&next);
    config_init_defaults(&next);
    ck_assert_int_eq(config_load(&next, path, NULL), 0);
    unlink(path);
}

START_TEST(environments_are_replaced_as_a_whole)
{
    struct config_snapshot *snapshot;

    load("environments: [{image: 'a*', process: /bin/a}, {image: 'b*', process: /bin/b, workers: 2}]");
    reload();
    assert_names(&changed, "environments");
    reload();
    assert_names(&changed, "");
    load("environments: [{image: 'b*', process: /bin/c}]");
    reload();
    snapshot = live_config_get(live);
    ck_assert_uint_eq(snapshot->config.environment_count, 1);
    ck_assert_str_eq(snapshot->config.environments[0].value, "/bin/c");
    config_snapshot_unref(snapshot);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("live_config");
    TCase *cases = tcase_create("live_config");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(cases, set_up, tear_down);
    tcase_add_test(cases, what_began_keeps_its_snapshot);
    tcase_add_test(cases, what_needs_a_restart_is_told_each_time_and_not_changed);
    tcase_add_test(cases, what_is_prepared_is_not_in_force);
    tcase_add_test(cases, a_certificates_file_changes_and_whether_there_is_tls_waits);
    tcase_add_test(cases, environments_are_replaced_as_a_whole);
    suite_add_tcase(suite, cases);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
