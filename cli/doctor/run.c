#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "cli/doctor/doctor.h"

enum { SAID_BYTES = 4096 };

static int64_t monotonic_ms(void) {
    return monotonic_now_ns() / 1000000;
}

/* In a process group of its own, so that what it starts ends with it. 0 or an errno. */
static int start(const char *const *argv, int output, pid_t *ret) {
    extern char **environ;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int error;

    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
    posix_spawnattr_setpgroup(&attributes, 0);
    error = posix_spawnp(ret, argv[0], &actions, &attributes, (char *const *)argv, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

/* Until the end of its output; false: it takes too long. */
static bool read_output(int fd, unsigned timeout_ms, struct buf *said) {
    int64_t deadline = monotonic_ms() + timeout_ms;
    char bytes[1024];

    for (;;) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        int64_t left = deadline - monotonic_ms();
        ssize_t size;

        if (left <= 0 || poll(&wait, 1, (int)left) == 0)
            return false;
        size = read(fd, bytes, sizeof(bytes));
        if (size == 0 || (size < 0 && errno != EINTR))
            return true;
        if (size > 0 && said->size < SAID_BYTES)
            buf_add(said, bytes, (size_t)size);
    }
}

int doctor_run(const char *const *argv, unsigned timeout_ms, char **ret_said) {
    struct buf said = {0};
    int pipe_fds[2], error, status = 0;
    bool has_ended;
    pid_t pid;

    if (pipe2(pipe_fds, O_CLOEXEC) < 0) {
        *ret_said = xstrdup(strerror(errno));
        return -1;
    }
    error = start(argv, pipe_fds[1], &pid);
    close(pipe_fds[1]);
    if (error) {
        close(pipe_fds[0]);
        *ret_said = xstrdup(strerror(error));
        return -1;
    }
    has_ended = read_output(pipe_fds[0], timeout_ms, &said);
    close(pipe_fds[0]);
    if (!has_ended)
        kill(-pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    *ret_said =
        has_ended ? xmemdup0(buf_data(&said), said.size) : xasprintf("it did not end within %u s", timeout_ms / 1000);
    buf_clear(&said);
    if (!has_ended)
        return -1;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
