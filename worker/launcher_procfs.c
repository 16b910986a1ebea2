#include "worker/launcher_procfs.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

enum { ENVIRONMENT_MAX_BYTES = 1024 * 1024, STAT_MAX_BYTES = 4096 };

/* The file's bytes up to `limit` and a NUL; NULL when it cannot be read. */
static char *read_file(const char *path, size_t limit, size_t *ret_size) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t size = 0, capacity = 4096;
    char *bytes;
    ssize_t got;

    if (fd < 0)
        return NULL;
    bytes = xmalloc(capacity + 1);
    while (size < limit && (got = read(fd, bytes + size, capacity - size)) > 0) {
        size += (size_t)got;
        if (size == capacity) {
            capacity *= 2;
            bytes = xreallocarray(bytes, capacity + 1, 1);
        }
    }
    close(fd);
    bytes[size] = '\0';
    *ret_size = size;
    return bytes;
}

pid_t *procfs_children(void) {
    CLEANUP(freep) char *text = NULL;
    char path[64];
    pid_t *pids;
    size_t size = 0, count = 0;

    snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
    text = read_file(path, SIZE_MAX, &size);
    pids = xcalloc(size / 2 + 1, sizeof(*pids)); /* "1 2 3 " */
    for (char *at = text, *end; at && *at; at = end) {
        long pid = strtol(at, &end, 10);

        if (end == at)
            break;
        if (pid > 0)
            pids[count++] = (pid_t)pid;
        end += strspn(end, " \n");
    }
    return pids;
}

char *procfs_variable(pid_t pid, const char *name) {
    CLEANUP(freep) char *text = NULL;
    size_t size = 0, name_size = strlen(name);
    char path[64];

    snprintf(path, sizeof(path), "/proc/%d/environ", (int)pid);
    text = read_file(path, ENVIRONMENT_MAX_BYTES, &size);
    for (size_t at = 0; at < size; at += strlen(text + at) + 1)
        if (strncmp(text + at, name, name_size) == 0 && text[at + name_size] == '=')
            return xstrdup(text + at + name_size + 1);
    return NULL;
}

bool procfs_marker(pid_t pid, pid_t launcher, uint64_t *ret_process) {
    CLEANUP(freep) char *marker = procfs_variable(pid, LAUNCH_MARKER);
    uint64_t process;
    int parent;

    if (!marker || sscanf(marker, "%d-%" SCNu64, &parent, &process) != 2 || parent != (int)launcher)
        return false;
    *ret_process = process;
    return true;
}

/* "PID (NAME) STATE ..." of proc(5), with anything in NAME; the start time is the 22nd field. */
uint64_t procfs_start_time(pid_t pid) {
    CLEANUP(freep) char *text = NULL;
    unsigned long long start;
    char path[64], state;
    const char *behind;
    size_t size = 0;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    text = read_file(path, STAT_MAX_BYTES, &size);
    behind = text ? strrchr(text, ')') : NULL;
    if (!behind || sscanf(behind, ") %c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %llu",
                          &state, &start) != 2)
        return 0;
    return state == 'Z' || state == 'X' ? 0 : start;
}
