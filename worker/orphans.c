#include "worker/orphans.h"

#include <dirent.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/vec.h"
#include "worker/launcher_procfs.h"

enum {
    /* Killed processes whose memory is large take a while to end; one in a dead file system never does. */
    END_LIMIT_MS = 5000,
    MAX_ROUNDS = 100, /* against what starts processes faster than they are killed */
};

struct fd_vec {
    int *items;
    size_t count;
    size_t capacity;
};

char *orphans_variable(pid_t launcher, const char *instance) {
    return xasprintf(ORPHANS_VARIABLE "=%d %" PRIu64 " %s", (int)launcher, procfs_start_time(launcher), instance);
}

static bool is_in_our_namespace(pid_t pid) {
    char path[64];
    struct stat ours, theirs;

    snprintf(path, sizeof(path), "/proc/%d/ns/pid", (int)pid);
    return stat("/proc/self/ns/pid", &ours) == 0 && stat(path, &theirs) == 0 && ours.st_dev == theirs.st_dev &&
           ours.st_ino == theirs.st_ino;
}

static bool is_orphan(pid_t pid, const char *instance) {
    CLEANUP(freep) char *value = pid == getpid() ? NULL : procfs_variable(pid, ORPHANS_VARIABLE);
    int launcher, size = 0;
    uint64_t start;

    if (!value || sscanf(value, "%d %" SCNu64 " %n", &launcher, &start, &size) != 2 || size == 0)
        return false;
    return strcmp(value + size, instance) == 0 && procfs_start_time(launcher) != start && is_in_our_namespace(pid);
}

/* The descriptor is taken first, so that the process that is looked at is the one that is signalled. */
static void kill_if_orphan(pid_t pid, const char *instance, struct fd_vec *killed) {
    int fd = pidfd_open(pid, 0);

    if (fd < 0)
        return;
    if (is_orphan(pid, instance) && pidfd_send_signal(fd, SIGKILL, NULL, 0) == 0)
        vec_push(killed, fd);
    else
        close(fd);
}

static void kill_all(const char *instance, struct fd_vec *killed) {
    DIR *processes = opendir("/proc");
    struct dirent *entry;

    while (processes && (entry = readdir(processes))) {
        char *end;
        long pid = strtol(entry->d_name, &end, 10);

        if (pid > 0 && !*end)
            kill_if_orphan((pid_t)pid, instance, killed);
    }
    if (processes)
        closedir(processes);
}

/* False when one of them did not end in time. */
static bool await_ends(const struct fd_vec *killed) {
    bool have_ended = true;

    vec_foreach (fd, killed) {
        struct pollfd end = {.fd = *fd, .events = POLLIN};

        have_ended = have_ended && poll(&end, 1, END_LIMIT_MS) == 1;
        close(*fd);
    }
    return have_ended;
}

unsigned orphans_kill(const char *instance) {
    bool again = true;
    unsigned count = 0;

    for (int round = 0; again && round < MAX_ROUNDS; round++) {
        struct fd_vec killed = {0};

        kill_all(instance, &killed);
        count += (unsigned)killed.count;
        again = killed.count > 0 && await_ends(&killed);
        vec_free(&killed);
    }
    return count;
}
