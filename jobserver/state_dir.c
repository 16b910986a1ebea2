#include "jobserver/state_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static const char magic[] = "trestle state directory";

struct state_dir {
    char *path;
    int lock_fd;
};

int make_directories(const char *path, struct status *st) {
    CLEANUP(freep) char *copy = xstrdup(path);

    for (char *slash = copy + 1;; slash++) {
        char end = *slash;

        if (end != '/' && end != '\0')
            continue;
        *slash = '\0';
        if (mkdir(copy, 0777) < 0 && errno != EEXIST)
            return status_set_errno(st, errno, "cannot make the directory %s", copy);
        *slash = end;
        if (end == '\0')
            return 0;
    }
}

static int lock(struct state_dir *dir, struct status *st) {
    CLEANUP(freep) char *path = xasprintf("%s/LOCK", dir->path);
    char owner[32] = "";
    ssize_t n;

    dir->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (dir->lock_fd < 0)
        return status_set_errno(st, errno, "cannot open %s", path);
    if (flock(dir->lock_fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK)
            return status_set_errno(st, errno, "cannot lock %s", path);
        n = pread(dir->lock_fd, owner, sizeof(owner) - 1, 0);
        owner[n > 0 ? strcspn(owner, "\n") : 0] = '\0';
        return status_set(st, STATUS_FAILED_PRECONDITION,
                          "the state directory %s is in use by another trestle (process %s); give this one a directory "
                          "of its own with --state-dir",
                          dir->path, owner[0] ? owner : "unknown");
    }
    n = snprintf(owner, sizeof(owner), "%ld\n", (long)getpid());
    if (ftruncate(dir->lock_fd, 0) < 0 || pwrite(dir->lock_fd, owner, (size_t)n, 0) != n)
        return status_set_errno(st, errno, "cannot write %s", path);
    return 0;
}

/* Through a temporary file: a crash leaves either no VERSION or a whole one. */
static int write_version(const char *path, struct status *st) {
    CLEANUP(freep) char *temporary = xasprintf("%s.new", path);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    bool is_written;

    if (fd < 0)
        return status_set_errno(st, errno, "cannot write %s", temporary);
    is_written = dprintf(fd, "%s\nversion %d\n", magic, STATE_DIR_VERSION) > 0 && fsync(fd) == 0;
    if (close(fd) < 0 || !is_written || rename(temporary, path) < 0)
        return status_set_errno(st, errno, "cannot write %s", path);
    return 0;
}

static int check_version(const struct state_dir *dir, struct status *st) {
    CLEANUP(freep) char *path = xasprintf("%s/VERSION", dir->path);
    char text[128], *end;
    FILE *file = fopen(path, "re");
    long version;
    size_t n;

    if (!file && errno == ENOENT)
        return write_version(path, st);
    if (!file)
        return status_set_errno(st, errno, "cannot read %s", path);
    n = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    text[n] = '\0';
    if (strncmp(text, magic, sizeof(magic) - 1) != 0 || strncmp(text + sizeof(magic) - 1, "\nversion ", 9) != 0)
        return status_set(st, STATUS_FAILED_PRECONDITION,
                          "%s is not a state directory of trestle (its VERSION file says something else)", dir->path);
    version = strtol(text + sizeof(magic) - 1 + 9, &end, 10);
    if (*end != '\n' || version < 1)
        return status_set(st, STATUS_DATA_LOSS, "%s is damaged", path);
    if (version > STATE_DIR_VERSION)
        return status_set(st, STATUS_FAILED_PRECONDITION,
                          "the state directory %s was written by a newer trestle (layout %ld; this one knows up to %d)",
                          dir->path, version, STATE_DIR_VERSION);
    return 0;
}

int state_dir_open(const char *path, struct state_dir **ret, struct status *st) {
    struct state_dir *dir = xcalloc(1, sizeof(*dir));
    int r;

    dir->lock_fd = -1;
    dir->path = xstrdup(path);
    r = make_directories(path, st);
    if (r == 0) {
        char *absolute = realpath(path, NULL);

        if (!absolute) {
            r = status_set_errno(st, errno, "cannot find %s", path);
        } else {
            free(dir->path);
            dir->path = absolute;
        }
    }
    if (r == 0)
        r = lock(dir, st);
    if (r == 0)
        r = check_version(dir, st);
    if (r < 0) {
        state_dir_close(dir);
        return r;
    }
    *ret = dir;
    return 0;
}

const char *state_dir_path(const struct state_dir *dir) {
    return dir->path;
}

void state_dir_close(struct state_dir *dir) {
    if (!dir)
        return;
    if (dir->lock_fd >= 0)
        close(dir->lock_fd);
    free(dir->path);
    free(dir);
}
