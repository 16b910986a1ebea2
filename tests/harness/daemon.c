#include "daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"

enum { LOG_WAIT_MS = 10000 };

/* ---- children ---- */

static void become(const char *const *argv, const int in[2], const int out[2], const char *log) {
    if (log) {
        int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);

        if (fd >= 0)
            dup2(fd, STDERR_FILENO);
    }
    dup2(in[0], STDIN_FILENO);
    dup2(out[1], STDOUT_FILENO);
    close(in[1]);
    close(out[0]);
    execv(argv[0], (char *const *)argv);
    fprintf(stderr, "%s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

bool child_start(struct child *child, const char *const *argv, const char *log) {
    int in[2], out[2];

    if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0)
        return false;
    child->pid = fork();
    if (child->pid == 0)
        become(argv, in, out, log);
    close(in[0]);
    close(out[1]);
    child->in = in[1];
    child->out = out[0];
    return child->pid > 0;
}

bool child_read_line(struct child *child, char *line, size_t size) {
    size_t used = 0;
    char c;

    while (read(child->out, &c, 1) == 1 && c != '\n')
        if (used + 1 < size)
            line[used++] = c;
    line[used] = '\0';
    return used > 0;
}

/* ---- the daemon ---- */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static void show_log(const struct daemon_process *daemon) {
    CLEANUP(freep) char *path = xasprintf("%s/log", daemon->directory);
    FILE *file = fopen(path, "r");
    char line[1000];

    while (file && fgets(line, sizeof(line), file))
        fprintf(stderr, "  daemon: %s", line);
    if (file)
        fclose(file);
}

static bool write_file(const char *path, const char *text) {
    FILE *file = fopen(path, "w");
    bool good = file && fputs(text, file) >= 0;

    return (file ? fclose(file) == 0 : false) && good;
}

void daemon_remove(struct daemon_process *daemon) {
    nftw(daemon->directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

bool daemon_restart(struct daemon_process *daemon) {
    CLEANUP(freep) char *config = xasprintf("%s/config.yaml", daemon->directory);
    CLEANUP(freep) char *state = xasprintf("%s/state", daemon->directory);
    CLEANUP(freep) char *log = xasprintf("%s/log", daemon->directory);
    const char *argv[] = {getenv("TRESTLE_BINARY"),
                          "serve",
                          "--listen",
                          "127.0.0.1:0",
                          "--http-listen",
                          "127.0.0.1:0",
                          "--state-dir",
                          state,
                          "--config",
                          config,
                          NULL};
    const char *prefix = "listening on ";
    struct child child;
    char line[200] = "";
    bool is_listening;

    if (!argv[0]) {
        fprintf(stderr, "TRESTLE_BINARY is not set\n");
        return false;
    }
    if (!child_start(&child, argv, log))
        return false;
    daemon->pid = child.pid;
    is_listening = child_read_line(&child, line, sizeof(line)) && strncmp(line, prefix, strlen(prefix)) == 0;
    close(child.in);
    close(child.out);
    if (!is_listening) {
        fprintf(stderr, "the daemon did not start: \"%s\"\n", line);
        show_log(daemon);
        kill(daemon->pid, SIGKILL);
        waitpid(daemon->pid, NULL, 0);
        daemon_remove(daemon);
        return false;
    }
    snprintf(daemon->endpoint, sizeof(daemon->endpoint), "%.60s", line + strlen(prefix));
    return true;
}

bool daemon_start(struct daemon_process *daemon, const char *yaml) {
    CLEANUP(freep) char *config = NULL;

    prctl(PR_SET_CHILD_SUBREAPER, 1);
    snprintf(daemon->directory, sizeof(daemon->directory), "/tmp/trestle-harness-XXXXXX");
    if (!mkdtemp(daemon->directory))
        return false;
    config = xasprintf("%s/config.yaml", daemon->directory);
    return write_file(config, yaml) && daemon_restart(daemon);
}

/* The only process that it starts itself. */
pid_t daemon_launcher(const struct daemon_process *daemon) {
    char path[64];
    int pid = 0;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)daemon->pid, (int)daemon->pid);
    file = fopen(path, "re");
    if (file && fscanf(file, "%d", &pid) != 1)
        pid = 0;
    if (file)
        fclose(file);
    return (pid_t)pid;
}

/* ---- its log ---- */

/* Whether it holds the text, from there on. */
static bool is_in_log(const char *path, long from, const char *text) {
    FILE *file = fopen(path, "re");
    char line[1000];
    bool is_there = false;

    if (file && fseek(file, from, SEEK_SET) == 0)
        while (!is_there && fgets(line, sizeof(line), file))
            is_there = strstr(line, text) != NULL;
    if (file)
        fclose(file);
    return is_there;
}

/* Until then it is read again each time that something was written. */
static bool wait_for_log(const char *path, int changes, long from, const char *text) {
    struct pollfd poll_fd = {.fd = changes, .events = POLLIN};
    char events[4096];

    while (!is_in_log(path, from, text))
        if (poll(&poll_fd, 1, LOG_WAIT_MS) <= 0 || read(changes, events, sizeof(events)) < 0)
            return false;
    return true;
}

bool daemon_reread(const struct daemon_process *daemon, const char *says) {
    CLEANUP(freep) char *path = xasprintf("%s/log", daemon->directory);
    int changes = inotify_init1(IN_CLOEXEC);
    bool good = inotify_add_watch(changes, path, IN_MODIFY) >= 0;
    struct stat before;

    good = good && stat(path, &before) == 0 && kill(daemon->pid, SIGHUP) == 0 &&
           wait_for_log(path, changes, before.st_size, says);
    close(changes);
    if (!good) {
        fprintf(stderr, "at SIGHUP the daemon did not say: %s\n", says);
        show_log(daemon);
    }
    return good;
}

/* ---- its end ---- */

/* With PR_SET_CHILD_SUBREAPER what the daemon leaves behind is ours now. */
static bool nothing_is_left(void) {
    char command[100], line[200];
    int status;
    pid_t pid;
    FILE *file;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        fprintf(stderr, "the daemon left process %d behind, ended (status %d)\n", (int)pid, status);
    if (pid < 0)
        return true;
    snprintf(command, sizeof(command), "/proc/self/task/%d/children", (int)getpid());
    file = fopen(command, "r");
    if (file && fgets(line, sizeof(line), file))
        fprintf(stderr, "the daemon left processes behind: %s\n", line);
    if (file)
        fclose(file);
    return false;
}

bool daemon_crash(struct daemon_process *daemon) {
    pid_t pid;

    kill(daemon->pid, SIGKILL);
    /* Its children become ours, theirs in turn, until there is none left: for as long as the caller's time limit lets us. */
    while ((pid = wait(NULL)) > 0)
        ;
    return pid < 0 && errno == ECHILD;
}

bool daemon_kill(struct daemon_process *daemon) {
    bool good = daemon_crash(daemon);

    daemon_remove(daemon);
    return good;
}

void daemon_ask_to_end(const struct daemon_process *daemon) {
    kill(daemon->pid, SIGTERM);
}

bool daemon_await_end(struct daemon_process *daemon) {
    bool good = true;
    int status = 0;

    if (waitpid(daemon->pid, &status, 0) != daemon->pid || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        fprintf(stderr, "the daemon did not end with exit code 0 at SIGTERM: status %#x\n", (unsigned)status);
        good = false;
    }
    good = nothing_is_left() && good;
    if (!good)
        show_log(daemon);
    return good;
}

bool daemon_end(struct daemon_process *daemon) {
    daemon_ask_to_end(daemon);
    return daemon_await_end(daemon);
}

bool daemon_stop(struct daemon_process *daemon) {
    bool good = daemon_end(daemon);

    daemon_remove(daemon);
    return good;
}
