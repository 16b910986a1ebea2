#include "jobserver/native/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "jobserver/state_dir.h"

enum { OPEN_FOLDERS = 32 };

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *place) {
    (void)info;
    (void)place;
    /* A folder without permissions, such as a package cache leaves. */
    if (type == FTW_DNR)
        chmod(path, 0700);
    remove(path);
    return 0;
}

void tree_remove(const char *path) {
    nftw(path, remove_entry, OPEN_FOLDERS, FTW_DEPTH | FTW_PHYS);
}

uint64_t tree_size(const char *path) {
    char *const paths[] = {(char *)path, NULL};
    FTS *tree = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    uint64_t blocks = 0;
    FTSENT *entry;

    while (tree && (entry = fts_read(tree)))
        if (entry->fts_info != FTS_DP && entry->fts_info != FTS_NS)
            blocks += (uint64_t)entry->fts_statp->st_blocks;
    if (tree)
        fts_close(tree);
    return blocks * 512;
}

static int make_parent(const char *path, struct status *st) {
    const char *slash = strrchr(path, '/');
    CLEANUP(freep) char *parent = xmemdup0(path, slash ? (size_t)(slash - path) : 0);

    return parent[0] ? make_directories(parent, 0700, st) : 0;
}

static int copy_bytes(int from, int to) {
    ssize_t n;

    do
        n = sendfile(to, from, NULL, 1 << 30);
    while (n > 0 || (n < 0 && errno == EINTR));
    return n < 0 ? -errno : 0;
}

int tree_copy_open(int in, const char *to, mode_t mode, struct status *st) {
    int out, error, r = make_parent(to, st);

    if (r < 0) {
        close(in);
        return r;
    }
    out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    error = out < 0 ? -errno : copy_bytes(in, out);
    close(in);
    if (out >= 0 && close(out) < 0 && !error)
        error = -errno;
    return error ? status_set_errno(st, -error, "cannot write %s", to) : 0;
}

int tree_copy(const char *from, const char *to, mode_t mode, struct status *st) {
    int in = open(from, O_RDONLY | O_CLOEXEC);

    return in < 0 ? status_set_errno(st, errno, "cannot read %s", from) : tree_copy_open(in, to, mode, st);
}

int tree_link(const char *from, const char *to, struct status *st) {
    int r = make_parent(to, st);

    if (r < 0)
        return r;
    if (link(from, to) == 0)
        return 0;
    /* Two artifacts may be staged under one name: the last one counts. */
    if (errno == EEXIST) {
        unlink(to);
        if (link(from, to) == 0)
            return 0;
    }
    return tree_copy(from, to, 0600, st);
}

int tree_write(const char *path, const void *bytes, size_t size, struct status *st) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool is_written = fd >= 0;
    size_t done = 0;

    while (is_written && done < size) {
        ssize_t n = write(fd, (const char *)bytes + done, size - done);

        if (n < 0 && errno == EINTR)
            continue;
        is_written = n > 0;
        done += is_written ? (size_t)n : 0;
    }
    if (fd >= 0 && close(fd) < 0)
        is_written = false;
    return is_written ? 0 : status_set_errno(st, errno, "cannot write %s", path);
}

bool tree_is_safe_name(const char *name) {
    if (!name[0] || name[0] == '/')
        return false;
    for (const char *part = name; part; part = strchr(part, '/')) {
        part += *part == '/';
        if (strcspn(part, "/") == 2 && strncmp(part, "..", 2) == 0)
            return false;
        if (*part == '\0' || *part == '/')
            return false;
    }
    return true;
}
