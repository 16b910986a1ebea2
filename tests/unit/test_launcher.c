#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "worker/launcher.h"
#include "worker/orphans.h"

enum { LIMIT_S = 30 };

/* What the handlers of one or more processes heard. */
struct probe {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned failed;
    unsigned exited;
    unsigned deaths;
    int exit_code;
    int signal;
    char *text;
};

static char directory[] = "/tmp/trestle-launcher-XXXXXX";
static char fifo[64];
static int fifo_fd;
static struct launcher *launcher;
static struct probe probe;

static void probe_keep(const char *text) {
    free(probe.text);
    probe.text = strdup(text);
}

static void on_death(void *user) {
    (void)user;
    pthread_mutex_lock(&probe.lock);
    probe.deaths++;
    pthread_mutex_unlock(&probe.lock);
}

static void on_failed(void *user, const struct status *why) {
    (void)user;
    pthread_mutex_lock(&probe.lock);
    probe.failed++;
    probe_keep(status_message(why));
    pthread_cond_broadcast(&probe.changed);
    pthread_mutex_unlock(&probe.lock);
}

static void on_exited(void *user, const struct process_exit *end) {
    (void)user;
    pthread_mutex_lock(&probe.lock);
    probe.exited++;
    probe.exit_code = end->exit_code;
    probe.signal = end->signal;
    probe_keep(end->stderr_tail);
    pthread_cond_broadcast(&probe.changed);
    pthread_mutex_unlock(&probe.lock);
}

static const struct process_handler handler = {.failed = on_failed, .exited = on_exited};

/* Waits for `exited` ends and `failed` failures in all. */
static void await(unsigned exited, unsigned failed) {
    struct timespec limit;
    int error = 0;

    clock_gettime(CLOCK_REALTIME, &limit);
    limit.tv_sec += LIMIT_S;
    pthread_mutex_lock(&probe.lock);
    while ((probe.exited < exited || probe.failed < failed) && !error)
        error = pthread_cond_timedwait(&probe.changed, &probe.lock, &limit);
    pthread_mutex_unlock(&probe.lock);
    ck_assert_msg(!error, "%u exited, %u failed; expected %u and %u", probe.exited, probe.failed, exited, failed);
    ck_assert_uint_eq(probe.exited, exited);
    ck_assert_uint_eq(probe.failed, failed);
}

static void set_up(void) {
    probe = (struct probe){0};
    pthread_mutex_init(&probe.lock, NULL);
    pthread_cond_init(&probe.changed, NULL);
    ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(fifo, sizeof(fifo), "%s/fifo", directory);
    ck_assert_int_eq(mkfifo(fifo, 0600), 0);
    fifo_fd = open(fifo, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    ck_assert_int_ge(fifo_fd, 0);
    setenv("FIFO", fifo, 1);
    ck_assert_int_eq(launcher_create(&launcher, NULL), 0);
    launcher_on_death(launcher, on_death, NULL);
    launcher_start(launcher);
}

static void tear_down(void) {
    launcher_destroy(launcher);
    close(fifo_fd);
    unlink(fifo);
    rmdir(directory);
    free(probe.text);
}

static uint64_t spawn(const char *const *argv) {
    struct process_spec spec = {.argv = argv};
    struct status st = {0};
    uint64_t process = 0;

    ck_assert_msg(launcher_spawn(launcher, &spec, &handler, NULL, &process, &st) == 0, "%s", status_message(&st));
    return process;
}

static uint64_t spawn_shell(const char *script) {
    return spawn((const char *const[]){"sh", "-c", script, NULL});
}

static void await_readable(int fd) {
    struct pollfd wait = {.fd = fd, .events = POLLIN};

    ck_assert_int_eq(poll(&wait, 1, LIMIT_S * 1000), 1);
}

/* The two numbers that a script wrote with one `echo ... > $FIFO`. */
static void read_pids(pid_t *first, pid_t *second) {
    char line[64];
    ssize_t got;
    int a = 0, b = 0;

    await_readable(fifo_fd);
    got = read(fifo_fd, line, sizeof(line) - 1);
    ck_assert_int_gt((int)got, 0);
    line[got] = '\0';
    ck_assert_int_ge(sscanf(line, "%d %d", &a, &b), second ? 2 : 1);
    *first = (pid_t)a;
    if (second)
        *second = (pid_t)b;
}

static void await_death(int pidfd) {
    await_readable(pidfd);
    close(pidfd);
}

static bool is_alive(pid_t pid) {
    return kill(pid, 0) == 0;
}

START_TEST(an_exit_code_arrives)
{
    spawn_shell("exit 3");
    await(1, 0);
    ck_assert_int_eq(probe.exit_code, 3);
    ck_assert_int_eq(probe.signal, 0);
    ck_assert_str_eq(probe.text, "");
}
END_TEST

START_TEST(a_deadly_signal_arrives)
{
    spawn_shell("kill -SEGV $$");
    await(1, 0);
    ck_assert_int_eq(probe.exit_code, -1);
    ck_assert_int_eq(probe.signal, SIGSEGV);
}
END_TEST

START_TEST(output_and_error_output_come_with_the_end)
{
    spawn_shell("echo out; echo error >&2; exit 1");
    await(1, 0);
    ck_assert_str_eq(probe.text, "out\nerror\n");
}
END_TEST

START_TEST(of_long_output_the_last_whole_lines_come)
{
    spawn_shell("i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done; printf 'the\\000end'; exit 1");
    await(1, 0);
    ck_assert_uint_le(strlen(probe.text), 8192);
    ck_assert_uint_gt(strlen(probe.text), 8000);
    ck_assert_int_eq(strncmp(probe.text, "line 1", 6), 0);
    ck_assert_ptr_nonnull(strstr(probe.text, "\nline 19999\nthe?end"));
}
END_TEST

START_TEST(a_missing_command_is_named)
{
    spawn((const char *const[]){"no-such-command", "argument", NULL});
    await(0, 1);
    ck_assert_str_eq(probe.text, "cannot run no-such-command: No such file or directory");
}
END_TEST

START_TEST(a_file_that_cannot_be_run_is_named)
{
    spawn((const char *const[]){"/dev/null", NULL});
    await(0, 1);
    ck_assert_str_eq(probe.text, "cannot run /dev/null: Permission denied");
}
END_TEST

START_TEST(a_missing_directory_is_named)
{
    struct process_spec spec = {.argv = (const char *const[]){"true", NULL}, .working_directory = "/no/such"};
    uint64_t process;

    ck_assert_int_eq(launcher_spawn(launcher, &spec, &handler, NULL, &process, NULL), 0);
    await(0, 1);
    ck_assert_str_eq(probe.text, "cannot enter /no/such to run true: No such file or directory");
}
END_TEST

START_TEST(environment_and_directory_are_the_specs)
{
    struct process_spec spec = {
        .argv = (const char *const[]){"sh", "-c", "echo $HOME $ADDED; pwd; [ -n \"$FIFO\" ]", NULL},
        .environment = (const char *const[]){"HOME=/nowhere", "ADDED=a=b c", NULL},
        .working_directory = "/usr",
    };
    uint64_t process;

    ck_assert_int_eq(launcher_spawn(launcher, &spec, &handler, NULL, &process, NULL), 0);
    await(1, 0);
    ck_assert_str_eq(probe.text, "/nowhere a=b c\n/usr\n");
    ck_assert_int_eq(probe.exit_code, 0);
}
END_TEST

START_TEST(the_command_is_looked_up_in_the_path_it_will_see)
{
    struct process_spec spec = {.argv = (const char *const[]){"sh", "-c", "true", NULL},
                                .environment = (const char *const[]){"PATH=/no/such", NULL}};
    uint64_t process;

    ck_assert_int_eq(launcher_spawn(launcher, &spec, &handler, NULL, &process, NULL), 0);
    await(0, 1);
    ck_assert_str_eq(probe.text, "cannot run sh: No such file or directory");
}
END_TEST

START_TEST(a_child_starts_clean)
{
    spawn((const char *const[]){"cat", "/proc/self/status", NULL});
    await(1, 0);
    ck_assert_ptr_nonnull(strstr(probe.text, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n"));
    spawn((const char *const[]){"ls", "/proc/self/fd", NULL});
    await(2, 0);
    ck_assert_str_eq(probe.text, "0\n1\n2\n3\n"); /* 3 is the directory that ls reads */
}
END_TEST

/* Runs as root only: nobody else can start processes as another user. */
START_TEST(a_process_of_another_user_is_that_user_for_good)
{
    const char *argv[] = {
        "sh", "-c", "grep -E '^(Uid|Gid|CapEff|NoNewPrivs):' /proc/self/status; echo >$FIFO || echo closed", NULL};
    CLEANUP(freep) char *expected = NULL;
    struct worker_user user;
    struct process_spec spec = {.argv = argv, .user = &user, .working_directory = "/"};
    uint64_t process;

    if (worker_user_find("nobody", &user, NULL) < 0)
        return;
    ck_assert_int_eq(launcher_spawn(launcher, &spec, &handler, NULL, &process, NULL), 0);
    await(1, 0);
    expected = xasprintf("Uid:\t%u\t%u\t%u\t%u\nGid:\t%u\t%u\t%u\t%u\nCapEff:\t0000000000000000\nNoNewPrivs:\t1\n",
                         user.uid, user.uid, user.uid, user.uid, user.gid, user.gid, user.gid, user.gid);
    ck_assert_msg(strncmp(probe.text, expected, strlen(expected)) == 0, "%s", probe.text);
    ck_assert_msg(strstr(probe.text, "closed"), "%s", probe.text);
    worker_user_clear(&user);
}
END_TEST

/* The signal that it gets at the launcher's death is set after it became that user. */
START_TEST(a_process_of_another_user_dies_with_a_killed_launcher)
{
    const char *argv[] = {"sh", "-c", "echo $PPID $$ > $FIFO; exec sleep 1000", NULL};
    struct worker_user user;
    struct process_spec spec = {.argv = argv, .user = &user, .working_directory = "/"};
    pid_t launcher_pid, leader;
    uint64_t process;
    int watched;

    if (worker_user_find("nobody", &user, NULL) < 0)
        return;
    chmod(directory, 0755);
    chmod(fifo, 0666);
    ck_assert_int_eq(launcher_spawn(launcher, &spec, &handler, NULL, &process, NULL), 0);
    read_pids(&launcher_pid, &leader);
    watched = pidfd_open(leader, 0);
    kill(launcher_pid, SIGKILL);
    await(1, 0);
    await_death(watched);
    worker_user_clear(&user);
}
END_TEST

START_TEST(no_grandchild_outlives_its_leader)
{
    pid_t leader, grandchild;

    spawn_shell("sleep 1000 & echo $$ $! > $FIFO; exit 4");
    read_pids(&leader, &grandchild);
    await(1, 0);
    ck_assert_int_eq(probe.exit_code, 4);
    ck_assert(!is_alive(leader));
    ck_assert(!is_alive(grandchild));
}
END_TEST

START_TEST(no_grandchild_in_a_group_of_its_own_outlives_its_leader)
{
    pid_t leader, grandchild;

    spawn((const char *const[]){"bash", "-c", "set -m; sleep 1000 & echo $$ $! > $FIFO; exit 4", NULL});
    read_pids(&leader, &grandchild);
    await(1, 0);
    ck_assert(!is_alive(grandchild));
}
END_TEST

START_TEST(no_grandchild_in_a_session_of_its_own_outlives_its_leader)
{
    pid_t grandchild;

    spawn_shell("setsid sh -c 'sleep 1000 & echo $! > $FIFO; wait' & wait");
    read_pids(&grandchild, NULL);
    ck_assert(is_alive(grandchild));
    launcher_stop_process(launcher, 1, 0);
    await(1, 0);
    ck_assert(!is_alive(grandchild));
}
END_TEST

START_TEST(stop_sends_sigterm_first)
{
    pid_t leader;
    uint64_t process = spawn_shell("trap 'exit 5' TERM; echo $$ > $FIFO; sleep 1000 & wait");

    read_pids(&leader, NULL);
    launcher_stop_process(launcher, process, LIMIT_S * 1000);
    await(1, 0);
    ck_assert_int_eq(probe.exit_code, 5);
}
END_TEST

START_TEST(stop_sends_sigkill_after_the_grace)
{
    pid_t leader, grandchild;
    uint64_t process = spawn_shell("trap '' TERM; sleep 1000 & echo $$ $! > $FIFO; wait");

    read_pids(&leader, &grandchild);
    launcher_stop_process(launcher, process, 50);
    await(1, 0);
    ck_assert_int_eq(probe.signal, SIGKILL);
    ck_assert(!is_alive(leader));
    ck_assert(!is_alive(grandchild));
}
END_TEST

START_TEST(a_process_can_be_stopped_before_it_runs)
{
    for (unsigned i = 0; i < 50; i++)
        launcher_stop_process(launcher, spawn_shell("sleep 1000"), LIMIT_S * 1000);
    await(50, 0);
    ck_assert_int_eq(probe.signal, SIGTERM);
}
END_TEST

START_TEST(a_signal_goes_to_the_whole_group)
{
    pid_t leader, grandchild;
    uint64_t process =
        spawn_shell("trap 'exit 6' USR1; (trap 'exit' USR1; sleep 1000 & wait) & echo $$ $! > $FIFO; wait");

    read_pids(&leader, &grandchild);
    launcher_signal(launcher, process, SIGUSR1);
    await(1, 0);
    ck_assert_int_eq(probe.exit_code, 6);
    launcher_signal(launcher, process, SIGUSR1); /* gone: nothing happens */
    launcher_signal(launcher, 12345, SIGUSR1);
}
END_TEST

START_TEST(two_hundred_processes_run_and_end)
{
    for (unsigned i = 0; i < 200; i++)
        spawn_shell("sleep 1000 & exit 7");
    await(200, 0);
    ck_assert_int_eq(probe.exit_code, 7);
}
END_TEST

START_TEST(two_hundred_processes_die_with_the_launcher)
{
    pid_t first, last;
    int watched;

    spawn_shell("echo $$ > $FIFO; sleep 1000 & wait");
    read_pids(&first, NULL);
    watched = pidfd_open(first, 0);
    for (unsigned i = 0; i < 198; i++)
        spawn_shell("sleep 1000 & wait");
    spawn_shell("echo $$ > $FIFO; sleep 1000 & wait");
    read_pids(&last, NULL);
    launcher_destroy(launcher);
    await(200, 0);
    ck_assert_uint_eq(probe.deaths, 0);
    ck_assert(!is_alive(first));
    ck_assert(!is_alive(last));
    await_death(watched);
    ck_assert_int_eq(launcher_create(&launcher, NULL), 0);
}
END_TEST

START_TEST(large_requests_queue_up_without_waiting)
{
    char *large = malloc(150001);
    const char *argv[] = {"sh", "-c", "[ ${#LARGE} = 99999 ]", NULL};
    struct process_spec spec = {.argv = argv, .environment = (const char *const[]){large, NULL}};
    uint64_t process;

    memset(large, 'x', 150000);
    memcpy(large, "LARGE=", 6);
    large[6 + 99999] = '\0'; /* one string may have 128 KB */
    for (unsigned i = 0; i < 100; i++)
        ck_assert_int_eq(launcher_spawn(launcher, &spec, &handler, NULL, &process, NULL), 0);
    await(100, 0);
    ck_assert_int_eq(probe.exit_code, 0);
    free(large);
}
END_TEST

START_TEST(a_request_that_is_too_large_is_refused)
{
    char *large = calloc(1, 300000);
    struct process_spec spec = {.argv = (const char *const[]){"true", large, NULL}};
    struct status st = {0};
    uint64_t process = 77;

    memset(large, 'x', 299999);
    ck_assert_int_eq(launcher_spawn(launcher, &spec, &handler, NULL, &process, &st), -STATUS_INVALID_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(status_message(&st), "cannot run true: its arguments and environment take 3000"));
    ck_assert_uint_eq(process, 77);
    status_clear(&st);
    free(large);
}
END_TEST

START_TEST(an_impossible_request_is_refused)
{
    struct process_spec empty = {.argv = (const char *const[]){NULL}};
    struct process_spec odd = {.argv = (const char *const[]){"true", NULL},
                               .environment = (const char *const[]){"ODD", NULL}};
    uint64_t process;

    ck_assert_int_eq(launcher_spawn(launcher, &empty, &handler, NULL, &process, NULL), -STATUS_INVALID_ARGUMENT);
    ck_assert_int_eq(launcher_spawn(launcher, &odd, &handler, NULL, &process, NULL), -STATUS_INVALID_ARGUMENT);
}
END_TEST

START_TEST(more_processes_than_the_limit_are_refused)
{
    struct process_spec spec = {.argv = (const char *const[]){"no-such-command", NULL}};
    struct status st = {0};
    uint64_t process;
    unsigned accepted = 0;

    /* Held up in a handler, the reader takes no ends off the table. */
    pthread_mutex_lock(&probe.lock);
    while (launcher_spawn(launcher, &spec, &handler, NULL, &process, &st) == 0)
        ck_assert_uint_lt(accepted++, LAUNCHER_MAX_PROCESSES + 1);
    pthread_mutex_unlock(&probe.lock);
    ck_assert_uint_ge(accepted, LAUNCHER_MAX_PROCESSES);
    ck_assert_str_eq(status_message(&st), "cannot run no-such-command: 4096 processes are running already");
    status_clear(&st);
    await(0, accepted);
}
END_TEST

/* Plays a daemon whose worker has started a process of its own, until it is killed. */
static _Noreturn void play_daemon(void) {
    struct launcher *own;

    if (launcher_create(&own, NULL) < 0)
        _exit(1);
    launcher_start(own);
    launcher = own;
    spawn_shell("sleep 1000 & echo $$ $! > $FIFO; wait");
    for (;;)
        pause();
}

START_TEST(workers_die_with_a_killed_daemon)
{
    pid_t daemon, leader, grandchild;
    int watched[2];

    launcher_destroy(launcher);
    daemon = fork();
    if (daemon == 0)
        play_daemon();
    read_pids(&leader, &grandchild);
    watched[0] = pidfd_open(leader, 0);
    watched[1] = pidfd_open(grandchild, 0);
    kill(daemon, SIGKILL);
    waitpid(daemon, NULL, 0);
    await_death(watched[0]);
    await_death(watched[1]);
    ck_assert_int_eq(launcher_create(&launcher, NULL), 0);
}
END_TEST

START_TEST(a_terminal_s_signals_do_not_end_the_launcher)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    pid_t launcher_pid;

    spawn_shell("echo $PPID > $FIFO; sleep 1000");
    read_pids(&launcher_pid, NULL);
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        kill(launcher_pid, signals[i]);
    spawn_shell("exit 8");
    await(1, 0);
    ck_assert_int_eq(probe.exit_code, 8);
}
END_TEST

START_TEST(the_loss_of_the_launcher_ends_every_process)
{
    struct process_spec spec = {.argv = (const char *const[]){"true", NULL}};
    struct status st = {0};
    pid_t launcher_pid, leader;
    uint64_t process;
    int watched;

    spawn_shell("echo $PPID $$ > $FIFO; exec sleep 1000");
    read_pids(&launcher_pid, &leader);
    watched = pidfd_open(leader, 0);
    kill(launcher_pid, SIGKILL);
    await(1, 0);
    ck_assert_int_eq(probe.signal, SIGKILL);
    ck_assert_uint_eq(probe.deaths, 1);
    await_death(watched);
    ck_assert_int_eq(launcher_spawn(launcher, &spec, &handler, NULL, &process, &st), -STATUS_UNAVAILABLE);
    ck_assert_str_eq(status_message(&st), "cannot run true: the process launcher has ended");
    status_clear(&st);
}
END_TEST

/* Writes the leader's pid and that of a process in a session of its own, which does not die with it. */
static const char leaves_an_orphan[] = "setsid sleep 1000 & echo $$ $! > $FIFO; wait";

START_TEST(what_a_lost_launcher_s_processes_had_started_is_killed_as_well)
{
    pid_t launcher_pid, leader, grandchild;
    int watched;

    launcher_set_instance(launcher, directory);
    spawn_shell("echo $PPID > $FIFO; exec sleep 1000");
    read_pids(&launcher_pid, NULL);
    spawn_shell(leaves_an_orphan);
    read_pids(&leader, &grandchild);
    watched = pidfd_open(grandchild, 0);
    kill(launcher_pid, SIGKILL);
    await(2, 0);
    await_death(watched);
}
END_TEST

/* Plays a daemon that is killed together with its launcher. */
static _Noreturn void play_doomed_daemon(void) {
    struct launcher *own;

    if (launcher_create(&own, NULL) < 0)
        _exit(1);
    launcher_set_instance(own, directory);
    launcher_start(own);
    launcher = own;
    spawn_shell("setsid sleep 1000 & echo $PPID $! > $FIFO; wait");
    for (;;)
        pause();
}

START_TEST(what_a_killed_daemon_and_launcher_left_is_found_by_its_instance)
{
    pid_t daemon, launcher_pid, leader, orphan, other;
    int watched, launcher_fd;

    daemon = fork();
    if (daemon == 0)
        play_doomed_daemon();
    read_pids(&launcher_pid, &orphan);
    watched = pidfd_open(orphan, 0);
    launcher_fd = pidfd_open(launcher_pid, 0);
    launcher_set_instance(launcher, "/elsewhere");
    spawn_shell(leaves_an_orphan);
    read_pids(&leader, &other);
    ck_assert_uint_eq(orphans_kill(directory), 0); /* its launcher lives */
    kill(launcher_pid, SIGSTOP);                   /* so that it does not see its daemon end */
    kill(daemon, SIGKILL);
    kill(launcher_pid, SIGKILL);
    waitpid(daemon, NULL, 0);
    await_death(launcher_fd);
    ck_assert_uint_ge(orphans_kill(directory), 1);
    await_death(watched);
    ck_assert_uint_eq(orphans_kill("/elsewhere"), 0);
    ck_assert_int_eq(kill(other, 0), 0);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("launcher");
    TCase *tests = tcase_create("launcher");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, an_exit_code_arrives);
    tcase_add_test(tests, a_deadly_signal_arrives);
    tcase_add_test(tests, output_and_error_output_come_with_the_end);
    tcase_add_test(tests, of_long_output_the_last_whole_lines_come);
    tcase_add_test(tests, a_missing_command_is_named);
    tcase_add_test(tests, a_file_that_cannot_be_run_is_named);
    tcase_add_test(tests, a_missing_directory_is_named);
    tcase_add_test(tests, environment_and_directory_are_the_specs);
    tcase_add_test(tests, the_command_is_looked_up_in_the_path_it_will_see);
    tcase_add_test(tests, a_child_starts_clean);
    tcase_add_test(tests, a_process_of_another_user_is_that_user_for_good);
    tcase_add_test(tests, a_process_of_another_user_dies_with_a_killed_launcher);
    tcase_add_test(tests, no_grandchild_outlives_its_leader);
    tcase_add_test(tests, no_grandchild_in_a_group_of_its_own_outlives_its_leader);
    tcase_add_test(tests, no_grandchild_in_a_session_of_its_own_outlives_its_leader);
    tcase_add_test(tests, stop_sends_sigterm_first);
    tcase_add_test(tests, stop_sends_sigkill_after_the_grace);
    tcase_add_test(tests, a_process_can_be_stopped_before_it_runs);
    tcase_add_test(tests, a_signal_goes_to_the_whole_group);
    tcase_add_test(tests, two_hundred_processes_run_and_end);
    tcase_add_test(tests, two_hundred_processes_die_with_the_launcher);
    tcase_add_test(tests, large_requests_queue_up_without_waiting);
    tcase_add_test(tests, a_request_that_is_too_large_is_refused);
    tcase_add_test(tests, an_impossible_request_is_refused);
    tcase_add_test(tests, more_processes_than_the_limit_are_refused);
    tcase_add_test(tests, workers_die_with_a_killed_daemon);
    tcase_add_test(tests, a_terminal_s_signals_do_not_end_the_launcher);
    tcase_add_test(tests, the_loss_of_the_launcher_ends_every_process);
    tcase_add_test(tests, what_a_lost_launcher_s_processes_had_started_is_killed_as_well);
    tcase_add_test(tests, what_a_killed_daemon_and_launcher_left_is_found_by_its_instance);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
