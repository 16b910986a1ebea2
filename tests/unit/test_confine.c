/* Settings and limits of worker processes: rlimits and affinity for real; control groups and systemd as far as files and commands go. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "beam_runner_api.pb-c.h"
#include "temp_dir.h"
#include "wire/pb.h"
#include "worker/cgroup.h"
#include "worker_end.h"

static struct launcher *launcher;
static struct rpc_client *client;
static struct worker_manager *manager;
static char *directory;
static struct cgroups *cgroups;
static char *read_text;

static void write_file(const char *name, const char *text) {
    CLEANUP(freep) char *path = xasprintf("%s/%s", directory, name);
    FILE *file = fopen(path, "w");

    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
    chmod(path, 0700);
}

static const char *read_file(const char *name) {
    CLEANUP(freep) char *path = xasprintf("%s/%s", directory, name);
    FILE *file = fopen(path, "r");
    size_t size;

    ck_assert_msg(file != NULL, "there is no %s", path);
    free(read_text);
    read_text = xcalloc(1, 8192);
    size = fread(read_text, 1, 8191, file);
    read_text[size] = '\0';
    fclose(file);
    return read_text;
}

static void set_up(void) {
    CLEANUP(freep) char *path = NULL;

    directory = temp_dir_create();
    path = xasprintf("%s:%s", directory, getenv("PATH"));
    setenv("PATH", path, 1);
    setenv("D", directory, 1);
    ck_assert_int_eq(launcher_create(&launcher, NULL), 0);
    launcher_set_instance(launcher, directory);
    launcher_start(launcher);
    rpc_init();
    client = rpc_client_create(1);
    manager = worker_manager_create(launcher, client);
}

static void tear_down(void) {
    worker_manager_destroy(manager);
    cgroups_close(cgroups);
    rpc_client_destroy(client);
    rpc_shutdown();
    launcher_destroy(launcher);
    temp_dir_destroy(directory);
    free(failure);
    free(read_text);
}

/* A worker "w1" whose command is that shell script. */
static struct worker *start(const char *script, struct worker_settings settings) {
    static const struct worker_handler handler = {.failed = on_failed, .stopped = on_stopped};
    Beam__DockerPayload message = BEAM__DOCKER_PAYLOAD__INIT;
    struct process_spec command = {
        .argv = (const char *const[]){"sh", "-c", script, NULL},
        .environment = (const char *const[]){"OWN=own", "BOTH=own", NULL},
    };
    struct slice payload;
    struct worker *worker;

    message.container_image = (char *)"image";
    payload = PB_PACK(&message, NULL);
    worker = worker_start(manager,
                          &(struct worker_spec){.worker_id = "w1",
                                                .environment_urn = WORKER_NATIVE_URN,
                                                .environment_payload = payload,
                                                .command = &command,
                                                .settings = settings},
                          &handler, NULL);
    slice_unref(&payload);
    return worker;
}

/* ---------------------------------------------------------------- without more */

START_TEST(variables_and_directory_are_the_settings)
{
    start("echo $OWN $BOTH $SET; pwd; exit 1",
          (struct worker_settings){.variables = (const char *const[]){"BOTH=set", "SET=set", NULL},
                                   .working_directory = "/usr"});
    await_stopped();
    ck_assert_ptr_nonnull(strstr(failure, "last output:\nown set set\n/usr"));
}
END_TEST

START_TEST(a_memory_limit_holds_and_the_failure_tells_of_it)
{
    start("python3 -c 'b = bytearray(200 << 20)' || exit 3", (struct worker_settings){.memory_bytes = 100 << 20});
    await_stopped();
    ck_assert_ptr_nonnull(
        strstr(failure, "exited with code 3; its memory is limited to 100 MiB (environments: memory); last output:"));
    ck_assert_ptr_nonnull(strstr(failure, "MemoryError"));
}
END_TEST

START_TEST(what_is_only_reserved_does_not_count)
{
    start("python3 -c 'import mmap; mmap.mmap(-1, 300 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=0)'",
          (struct worker_settings){.memory_bytes = 100 << 20});
    await_stopped();
    ck_assert_ptr_nonnull(strstr(failure, "exited with code 0 without any output"));
}
END_TEST

START_TEST(without_control_groups_cores_are_counted_whole)
{
    start("nproc; exit 1", (struct worker_settings){.milli_cpus = 500});
    await_stopped();
    ck_assert_ptr_nonnull(strstr(failure, "last output:\n1"));
}
END_TEST

/* ---------------------------------------------------------------- control groups */

/* Files in place of those that the kernel makes with each group. */
static void open_fake_cgroups(const char *events) {
    static const char *const groups[] = {".", "daemon", "worker-w1"};
    static const char *const files[] = {"cgroup.procs", "cgroup.subtree_control", "cgroup.kill",
                                        "memory.max",   "memory.oom.group",       "cpu.max"};
    struct status st = {0};

    for (size_t i = 0; i < ARRAY_COUNT(groups); i++) {
        CLEANUP(freep) char *path = xasprintf("%s/%s", directory, groups[i]);

        mkdir(path, 0700);
        for (size_t k = 0; k < ARRAY_COUNT(files); k++) {
            CLEANUP(freep) char *name = xasprintf("%s/%s", groups[i], files[k]);

            write_file(name, "");
        }
    }
    write_file("worker-w1/memory.events", events);
    ck_assert_msg(cgroups_open(directory, &cgroups, &st) == 0, "%s", status_message(&st));
    worker_manager_set_isolation(manager, &(struct worker_isolation){.cgroups = cgroups});
}

START_TEST(a_worker_begins_in_a_group_with_its_limits)
{
    open_fake_cgroups("low 0\nmax 3\noom 0\noom_kill 0\n");
    ck_assert_str_eq(read_file("cgroup.subtree_control"), "+memory +cpu");
    start("ulimit -d; exit 1", (struct worker_settings){.memory_bytes = 1 << 30, .milli_cpus = 1500});
    await_stopped();
    ck_assert_str_eq(read_file("worker-w1/memory.max"), "1073741824");
    ck_assert_str_eq(read_file("worker-w1/memory.oom.group"), "1");
    ck_assert_str_eq(read_file("worker-w1/cpu.max"), "150000 100000");
    ck_assert_str_eq(read_file("worker-w1/cgroup.procs"), "0");
    ck_assert_str_eq(read_file("worker-w1/cgroup.kill"), "1");
    ck_assert_ptr_nonnull(strstr(failure, "last output:\nunlimited"));
}
END_TEST

/* The kernel's answer about a process that has ended: that of a zombie's file in /proc, which wants a number too. */
START_TEST(a_process_that_ends_while_it_is_moved_is_passed_over)
{
    CLEANUP(freep) char *daemon = xasprintf("%s/daemon", directory);
    CLEANUP(freep) char *target = xasprintf("%s/daemon/cgroup.procs", directory);
    CLEANUP(freep) char *list = NULL, *gone = NULL;
    struct status st = {0};
    siginfo_t info;
    pid_t pid = fork();

    if (pid == 0)
        _exit(0);
    ck_assert_int_eq(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    gone = xasprintf("/proc/%d/coredump_filter", (int)pid);
    list = xasprintf("%d\n%d\n", (int)pid, (int)pid);
    mkdir(daemon, 0700);
    ck_assert_int_eq(symlink(gone, target), 0);
    write_file("cgroup.procs", list);
    write_file("cgroup.subtree_control", "");
    ck_assert_msg(cgroups_open(directory, &cgroups, &st) == 0, "%s", status_message(&st));
    ck_assert_str_eq(read_file("cgroup.subtree_control"), "+memory +cpu");
    unlink(target);
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}
END_TEST

START_TEST(a_worker_that_the_kernel_killed_for_its_memory_says_so)
{
    open_fake_cgroups("low 0\nmax 3\noom 1\noom_kill 2\n");
    start("kill -KILL $$", (struct worker_settings){.memory_bytes = 1 << 30});
    await_stopped();
    ck_assert_ptr_nonnull(strstr(failure, "was killed by signal 9 (Killed), since it needed more than the 1024 MiB of "
                                          "memory that its environment may use (environments: memory)"));
}
END_TEST

START_TEST(a_worker_without_limits_has_no_group)
{
    open_fake_cgroups("");
    start("exit 1", (struct worker_settings){0});
    await_stopped();
    ck_assert_str_eq(read_file("worker-w1/cgroup.procs"), "");
}
END_TEST

START_TEST(a_group_that_cannot_be_made_is_a_failure_that_names_it)
{
    CLEANUP(freep) char *file = xasprintf("%s/worker-w1/memory.max", directory);

    open_fake_cgroups("");
    unlink(file);
    start("exit 1", (struct worker_settings){.memory_bytes = 1 << 30});
    await_stopped();
    ck_assert_ptr_nonnull(strstr(failure, "worker-w1/memory.max"));
}
END_TEST

/* ---------------------------------------------------------------- systemd */

/* systemd-run as a shell script: writes down its options, and runs the command with the variables that it was told to pass on. */
static void isolate(enum worker_isolation_way way) {
    write_file("systemd-run",
               "#!/bin/sh\n"
               "keep=\n"
               "while [ \"$1\" != -- ]; do\n"
               "  echo \"$1\" >>\"$D/options\"\n"
               "  case \"$1\" in --setenv=*) n=\"${1#--setenv=}\"; keep=\"$keep $n=\\\"\\$$n\\\"\" ;; esac\n"
               "  shift\n"
               "done\n"
               "shift\n"
               "eval \"exec env -i $keep \\\"\\$@\\\"\"\n");
    write_file("systemctl", "#!/bin/sh\necho \"$*\" >>\"$D/stopped\"\n");
    worker_manager_set_isolation(manager, &(struct worker_isolation){.way = way, .stop_grace_ms = 2500});
}

START_TEST(an_isolated_worker_is_a_service_with_its_limits_and_its_environment)
{
    CLEANUP(freep) char *user = xasprintf("--uid=%u\n", geteuid());
    const char *options;

    isolate(WORKER_ISOLATION_SYSTEMD);
    start("echo $OWN $BOTH ${D-none} ${TRESTLE_LAUNCHER:+marked}; exit 7",
          (struct worker_settings){.memory_bytes = 1 << 30,
                                   .milli_cpus = 1500,
                                   .variables = (const char *const[]){"BOTH=set", NULL},
                                   .working_directory = "/usr"});
    await_stopped();
    ck_assert_ptr_nonnull(strstr(failure, "exited with code 7"));
    ck_assert_ptr_nonnull(strstr(failure, "last output:\nown set none marked"));
    options = read_file("options");
    ck_assert_ptr_nonnull(strstr(options, "--unit=trestle-w1.service\n"));
    ck_assert_ptr_nonnull(strstr(options, "--working-directory=/usr\n"));
    ck_assert_ptr_nonnull(strstr(options, user));
    ck_assert_ptr_nonnull(strstr(options, "--property=MemoryMax=1073741824\n"));
    ck_assert_ptr_nonnull(strstr(options, "--property=CPUQuota=150%\n"));
    ck_assert_ptr_nonnull(strstr(options, "--property=TimeoutStopSec=2500ms\n"));
    ck_assert_ptr_null(strstr(options, "--user\n"));
    ck_assert_ptr_nonnull(strstr(options, "--setenv=BOTH\n")); /* without its value, which others could see */
    ck_assert_str_eq(read_file("stopped"), "stop trestle-w1.service\n");
}
END_TEST

START_TEST(a_users_service_is_the_users_managers)
{
    isolate(WORKER_ISOLATION_SYSTEMD_USER);
    start("exit 7", (struct worker_settings){0});
    await_stopped();
    ck_assert_ptr_nonnull(strstr(read_file("options"), "--user\n"));
    ck_assert_ptr_null(strstr(read_file("options"), "--uid"));
    ck_assert_ptr_null(strstr(read_file("options"), "MemoryMax"));
    ck_assert_str_eq(read_file("stopped"), "--user stop trestle-w1.service\n");
}
END_TEST

START_TEST(a_service_without_grace_is_killed_soon_rather_than_never)
{
    isolate(WORKER_ISOLATION_SYSTEMD);
    worker_manager_set_isolation(manager, &(struct worker_isolation){.way = WORKER_ISOLATION_SYSTEMD});
    start("exit 7", (struct worker_settings){0});
    await_stopped();
    ck_assert_ptr_nonnull(strstr(read_file("options"), "--property=TimeoutStopSec=1ms\n"));
}
END_TEST

START_TEST(a_service_that_ran_out_of_memory_says_so)
{
    isolate(WORKER_ISOLATION_SYSTEMD);
    start("echo 'Finished with result: oom-kill'; exit 255", (struct worker_settings){.memory_bytes = 1 << 30});
    await_stopped();
    ck_assert_ptr_nonnull(strstr(failure, "since it needed more than the 1024 MiB"));
}
END_TEST

START_TEST(an_isolated_worker_that_is_stopped_is_stopped_as_a_service)
{
    struct worker *worker;

    isolate(WORKER_ISOLATION_SYSTEMD);
    worker = start("exec sleep 1000", (struct worker_settings){0});
    worker_stop(worker, LIMIT_S * 1000);
    await_stopped();
    ck_assert_ptr_null(failure);
    ck_assert_str_eq(read_file("stopped"), "stop trestle-w1.service\n");
}
END_TEST

int main(void) {
    Suite *suite = suite_create("confine");
    TCase *tests = tcase_create("confine");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, variables_and_directory_are_the_settings);
    tcase_add_test(tests, a_memory_limit_holds_and_the_failure_tells_of_it);
    tcase_add_test(tests, what_is_only_reserved_does_not_count);
    tcase_add_test(tests, without_control_groups_cores_are_counted_whole);
    tcase_add_test(tests, a_worker_begins_in_a_group_with_its_limits);
    tcase_add_test(tests, a_process_that_ends_while_it_is_moved_is_passed_over);
    tcase_add_test(tests, a_worker_that_the_kernel_killed_for_its_memory_says_so);
    tcase_add_test(tests, a_worker_without_limits_has_no_group);
    tcase_add_test(tests, a_group_that_cannot_be_made_is_a_failure_that_names_it);
    tcase_add_test(tests, an_isolated_worker_is_a_service_with_its_limits_and_its_environment);
    tcase_add_test(tests, a_users_service_is_the_users_managers);
    tcase_add_test(tests, a_service_without_grace_is_killed_soon_rather_than_never);
    tcase_add_test(tests, a_service_that_ran_out_of_memory_says_so);
    tcase_add_test(tests, an_isolated_worker_that_is_stopped_is_stopped_as_a_service);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
