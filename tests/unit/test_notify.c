#include "cli/notify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/unit/fixtures.h"
#include "tests/unit/temp_dir.h"

struct manager {
    char *directory;
    char *path;
    int fd;
};

static void manager_start(struct manager *manager) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    manager->directory = temp_dir_create();
    manager->path = xasprintf("%s/notify", manager->directory);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", manager->path);
    manager->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(manager->fd, (struct sockaddr *)&address, sizeof(address)), 0);
    setenv("NOTIFY_SOCKET", manager->path, 1);
}

static void manager_stop(struct manager *manager) {
    close(manager->fd);
    free(manager->path);
    temp_dir_destroy(manager->directory);
}

START_TEST(children_find_nothing_of_it_in_their_environment)
{
    struct status st = {0};
    struct manager manager;
    struct notify notify;
    char text[64];
    ssize_t size;

    manager_start(&manager);
    setenv("WATCHDOG_USEC", "3000000", 1);
    snprintf(text, sizeof(text), "%ld", (long)getpid());
    setenv("WATCHDOG_PID", text, 1);
    ck_assert_int_eq(notify_open(&notify, &st), 0);
    ck_assert_uint_eq(notify.watchdog_usec, 3000000);
    ck_assert_ptr_null(getenv("NOTIFY_SOCKET"));
    ck_assert_ptr_null(getenv("WATCHDOG_USEC"));
    ck_assert_ptr_null(getenv("WATCHDOG_PID"));

    notify_send(&notify, "READY=%d", 1);
    size = recv(manager.fd, text, sizeof(text), MSG_DONTWAIT);
    ck_assert_int_eq(size, 7);
    ck_assert_int_eq(memcmp(text, "READY=1", 7), 0);
    notify_close(&notify);
    manager_stop(&manager);
}
END_TEST

START_TEST(without_a_service_manager_nothing_is_sent_and_nothing_fails)
{
    struct status st = {0};
    struct notify notify;

    unsetenv("NOTIFY_SOCKET");
    setenv("WATCHDOG_USEC", "3000000", 1);
    ck_assert_int_eq(notify_open(&notify, &st), 0);
    ck_assert_uint_eq(notify.watchdog_usec, 0);
    notify_send(&notify, "READY=1");
    notify_close(&notify);
}
END_TEST

START_TEST(a_service_manager_that_is_gone_does_no_harm)
{
    struct status st = {0};
    struct manager manager;
    struct notify notify;

    manager_start(&manager);
    ck_assert_int_eq(notify_open(&notify, &st), 0);
    manager_stop(&manager);
    notify_send(&notify, "STOPPING=1");
    notify_close(&notify);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("notify");
    TCase *tc = tcase_create("notify");

    tcase_add_test(tc, children_find_nothing_of_it_in_their_environment);
    tcase_add_test(tc, without_a_service_manager_nothing_is_sent_and_nothing_fails);
    tcase_add_test(tc, a_service_manager_that_is_gone_does_no_harm);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
