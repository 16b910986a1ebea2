#include "worker/launcher_procfs.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

enum { ENVIRONMENT_MAX_BYTES = 1024 * 1024 };

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

bool procfs_marker(pid_t pid, pid_t launcher, uint64_t *ret_process) {
    CLEANUP(freep) char *text = NULL;
    char path[64];
    size_t size = 0;

    snprintf(path, sizeof(path), "/proc/%d/environ", (int)pid);
    text = read_file(path, ENVIRONMENT_MAX_BYTES, &size);
    for (size_t at = 0; at < size; at += strlen(text + at) + 1) {
        uint64_t process;
        int parent;

        if (sscanf(text + at, LAUNCH_MARKER "=%d-%" SCNu64, &parent, &process) != 2)
            continue;
        if (parent != (int)launcher)
            return false;
        *ret_process = process;
        return true;
    }
    return false;
}
