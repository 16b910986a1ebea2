#include "worker/launcher_child.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/mem.h"

/* sd_notify(3), sd_listen_fds(3), sd_watchdog_enabled(3): a harness must not speak for the daemon. */
static const char *const daemon_only[] = {
    "NOTIFY_SOCKET=", "LISTEN_PID=", "LISTEN_FDS=", "LISTEN_FDNAMES=", "WATCHDOG_PID=", "WATCHDOG_USEC=", "MAINPID=",
};

static bool has_same_key(const char *a, const char *b) {
    size_t size = strcspn(a, "=");

    return strcspn(b, "=") == size && memcmp(a, b, size) == 0;
}

static bool is_daemon_only(const char *variable) {
    for (size_t i = 0; i < ARRAY_COUNT(daemon_only); i++)
        if (strncmp(variable, daemon_only[i], strlen(daemon_only[i])) == 0)
            return true;
    return false;
}

char **launcher_child_environment(char *const *additions, size_t count) {
    size_t inherited = 0, used = 0;
    char **environment;

    while (environ && environ[inherited])
        inherited++;
    environment = xcalloc(inherited + count + 1, sizeof(*environment));
    for (size_t i = 0; i < inherited; i++) {
        bool replaced = is_daemon_only(environ[i]);

        for (size_t k = 0; k < count && !replaced; k++)
            replaced = has_same_key(environ[i], additions[k]);
        if (!replaced)
            environment[used++] = environ[i];
    }
    for (size_t k = 0; k < count; k++)
        environment[used++] = additions[k];
    return environment;
}

static _Noreturn void give_up(const struct child_setup *setup, enum child_step step) {
    struct child_report report = {.step = step, .error_number = errno};
    ssize_t written;

    do
        written = write(setup->report_fd, &report, sizeof(report));
    while (written < 0 && errno == EINTR);
    _exit(127);
}

static int redirect(const struct child_setup *setup) {
    int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

    if (null_fd < 0 || dup2(null_fd, STDIN_FILENO) < 0)
        return -1;
    if (dup2(setup->output_fd, STDOUT_FILENO) < 0 || dup2(setup->output_fd, STDERR_FILENO) < 0)
        return -1;
    return 0;
}

/* The launcher blocks signals and ignores some; both would survive the exec. */
static void reset_signals(void) {
    struct sigaction action = {.sa_handler = SIG_DFL};

    for (int number = 1; number < NSIG; number++)
        if (number != SIGKILL && number != SIGSTOP)
            sigaction(number, &action, NULL); /* the C library keeps two for itself: those calls fail */
}

/* Of the cores that there are, so many from one on: children do not all get the first ones. */
static int limit_cores(unsigned cores, unsigned first) {
    cpu_set_t all, chosen;
    unsigned count, place = 0;

    if (cores == 0)
        return 0;
    if (sched_getaffinity(0, sizeof(all), &all) < 0)
        return -1;
    count = (unsigned)CPU_COUNT(&all);
    if (cores >= count)
        return 0;
    CPU_ZERO(&chosen);
    for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &all) && (place++ + count - first % count) % count < cores)
            CPU_SET(cpu, &chosen);
    return sched_setaffinity(0, sizeof(chosen), &chosen);
}

/* Limits hold for all that the child will start. */
static int confine(const struct child_setup *setup) {
    struct rlimit data = {.rlim_cur = setup->data_limit_bytes, .rlim_max = setup->data_limit_bytes};
    char path[PATH_MAX];
    int fd;

    if (setup->cgroup[0]) {
        snprintf(path, sizeof(path), "%s/cgroup.procs", setup->cgroup);
        fd = open(path, O_WRONLY | O_CLOEXEC);
        if (fd < 0 || write(fd, "0", 1) != 1) /* itself */
            return -1;
    }
    if (setup->data_limit_bytes && setrlimit(RLIMIT_DATA, &data) < 0)
        return -1;
    return limit_cores(setup->cores, setup->first_core);
}

/* For good: without capabilities, and without programs that would give it more rights (set-user-ID). */
static int become(const char *user, uid_t uid, gid_t gid) {
    if (initgroups(user, gid) < 0 || setgid(gid) < 0 || setuid(uid) < 0)
        return -1;
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

/* Another user's process has none: it is set once that is settled. */
static int die_with(pid_t launcher) {
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        return -1;
    if (getppid() != launcher)
        _exit(127); /* it ended before */
    return 0;
}

_Noreturn void launcher_child_run(const struct child_setup *setup) {
    sigset_t none;

    if (setsid() < 0)
        give_up(setup, CHILD_STEP_PREPARE);
    if (redirect(setup) < 0 || setrlimit(RLIMIT_NOFILE, &setup->open_files) < 0)
        give_up(setup, CHILD_STEP_PREPARE);
    if (confine(setup) < 0)
        give_up(setup, CHILD_STEP_CONFINE);
    if (setup->user[0] && become(setup->user, setup->uid, setup->gid) < 0)
        give_up(setup, CHILD_STEP_USER);
    if (die_with(setup->launcher) < 0)
        give_up(setup, CHILD_STEP_PREPARE);
    /* All of ours are close-on-exec already; this makes it hold for whatever a library opens. */
    if (close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
        give_up(setup, CHILD_STEP_PREPARE);
    if (setup->directory[0] && chdir(setup->directory) < 0)
        give_up(setup, CHILD_STEP_DIRECTORY);
    reset_signals();
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    environ = setup->environment; /* execvp looks the command up in the PATH that it will see itself */
    execvp(setup->argv[0], setup->argv);
    give_up(setup, CHILD_STEP_EXEC);
}
