#include "jobserver/state_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static const char magic[] = "trestle state directory";

struct state_dir {
    char *path;
    int lock_fd;
};

int make_directories(const char *path, mode_t mode, struct status *st) {
    CLEANUP(freep) char *copy = xstrdup(path);

    if (!path[0])
        return status_set(st, STATUS_INVALID_ARGUMENT, "cannot make a directory whose name is empty");
    for (char *slash = copy + 1;; slash++) {
        char end = *slash;

        if (end != '/' && end != '\0')
            continue;
        *slash = '\0';
        if (mkdir(copy, end == '\0' ? mode : 0777) < 0 && errno != EEXIST)
            return status_set_errno(st, errno, "cannot make the directory %s", copy);
        *slash = end;
        if (end == '\0')
            return 0;
    }
}

int sync_directory(const char *path, struct status *st) {
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int error_number = fd < 0 || fsync(fd) < 0 ? errno : 0;

    if (fd >= 0)
        close(fd);
    /* EINVAL: a file system that does not do this. */
    if (error_number && error_number != EINVAL)
        return status_set_errno(st, error_number, "cannot write the directory %s", path);
    return 0;
}

/* What may be in a directory that has no VERSION yet: a daemon that was killed here while it started, and a fresh file system. */
static bool may_be_in_new_directory(const char *name) {
    static const char *const names[] = {".", "..", "LOCK", "VERSION.new", "lost+found"};

    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

/* Somebody's home directory, given by mistake, is not to be filled. Before anything is written. */
static int check_is_ours(const char *path, struct status *st) {
    CLEANUP(freep) char *version = xasprintf("%s/VERSION", path);
    CLEANUP(freep) char *foreign = NULL;
    DIR *directory = opendir(path);
    struct dirent *entry;

    if (!directory)
        return status_set_errno(st, errno, "cannot read the directory %s", path);
    while (!foreign && (entry = readdir(directory)))
        if (!may_be_in_new_directory(entry->d_name))
            foreign = xstrdup(entry->d_name);
    closedir(directory);
    /* Looked for last: another daemon that is just starting writes it before all else. */
    if (!foreign || access(version, F_OK) == 0 || errno != ENOENT)
        return 0;
    return status_set(st, STATUS_FAILED_PRECONDITION,
                      "%s is not a state directory of trestle: it has no VERSION file, but holds other things (%s); "
                      "name an empty or a new directory",
                      path, foreign);
}

static int lock(struct state_dir *dir, struct status *st) {
    CLEANUP(freep) char *path = xasprintf("%s/LOCK", dir->path);
    char owner[32] = "";
    ssize_t n;

    dir->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
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
static int write_version(const struct state_dir *dir, const char *path, struct status *st) {
    CLEANUP(freep) char *temporary = xasprintf("%s.new", path);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    bool is_written;

    if (fd < 0)
        return status_set_errno(st, errno, "cannot write %s", temporary);
    is_written = dprintf(fd, "%s\nversion %d\n", magic, STATE_DIR_VERSION) > 0 && fsync(fd) == 0;
    if (close(fd) < 0 || !is_written || rename(temporary, path) < 0)
        return status_set_errno(st, errno, "cannot write %s", path);
    return sync_directory(dir->path, st);
}

static int check_version(const struct state_dir *dir, struct status *st) {
    CLEANUP(freep) char *path = xasprintf("%s/VERSION", dir->path);
    char text[128], *end;
    FILE *file = fopen(path, "re");
    long version;
    size_t n;

    if (!file && errno == ENOENT)
        return write_version(dir, path, st);
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
    struct state_dir *dir;
    int r;

    if (!path[0])
        return status_set(st, STATUS_INVALID_ARGUMENT,
                          "the state directory's name is empty (see --state-dir, state_dir and $STATE_DIRECTORY)");
    dir = xcalloc(1, sizeof(*dir));
    dir->lock_fd = -1;
    dir->path = xstrdup(path);
    r = make_directories(path, 0750, st);
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
        r = check_is_ours(dir->path, st);
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

/* What is kept back for the superuser is only his. */
struct disk_space disk_space_at(const char *path) {
    struct statvfs info;
    uint64_t block;

    if (statvfs(path, &info) < 0)
        return (struct disk_space){0};
    block = info.f_frsize;
    return (struct disk_space){
        .free_bytes = block * (geteuid() == 0 ? info.f_bfree : info.f_bavail),
        .size_bytes = block * info.f_blocks,
    };
}
