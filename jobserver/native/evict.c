/* Environments that nobody has used for long, or that are too much together, are removed from the cache, the one used last longest ago first.
 *
 *      KEY/.complete     its bytes, as text; changed when it is used; locked by all that use it (native_hold), of this daemon and of others
 *      KEY.PID.old       one that is being removed, under a name that nobody looks for */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "jobserver/native/native_internal.h"
#include "jobserver/native/tree.h"

struct entry {
    char *path;
    uint64_t bytes; /* 0 where no limit asks for them */
    time_t used;    /* last */
};

struct entry_vec {
    struct entry *items;
    size_t count;
    size_t capacity;
};

static const char old_suffix[] = ".old";

static bool is_old(const char *name) {
    size_t size = strlen(name), suffix = strlen(old_suffix);

    return size > suffix && strcmp(name + size - suffix, old_suffix) == 0;
}

static uint64_t read_bytes(int fd, const char *directory) {
    char text[32];
    ssize_t n = read(fd, text, sizeof(text) - 1);

    if (n <= 0)
        return tree_size(directory); /* made by an earlier version */
    text[n] = '\0';
    return strtoull(text, NULL, 10);
}

static void add_entry(const struct native *native, const char *directory, struct entry_vec *entries) {
    CLEANUP(freep) char *path = xasprintf("%s/" NATIVE_COMPLETE, directory);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat info;

    if (fd < 0)
        return;
    if (fstat(fd, &info) == 0)
        vec_push(entries, ((struct entry){.path = xstrdup(directory),
                                          .bytes = native->max_bytes ? read_bytes(fd, directory) : 0,
                                          .used = info.st_mtime}));
    close(fd);
}

/* Those of one kind. */
static void list_kind(const struct native *native, const char *parent, struct entry_vec *entries) {
    DIR *directory = opendir(parent);
    struct dirent *entry;

    while (directory && (entry = readdir(directory))) {
        CLEANUP(freep) char *path = xasprintf("%s/%s", parent, entry->d_name);

        if (entry->d_name[0] == '.')
            continue;
        if (is_old(entry->d_name))
            tree_remove(path); /* of one who was killed meanwhile */
        else
            add_entry(native, path, entries);
    }
    if (directory)
        closedir(directory);
}

static void list_all(const struct native *native, struct entry_vec *entries) {
    DIR *directory = opendir(native->cache);
    struct dirent *entry;

    while (directory && (entry = readdir(directory))) {
        CLEANUP(freep) char *path = xasprintf("%s/%s", native->cache, entry->d_name);

        if (entry->d_name[0] != '.')
            list_kind(native, path, entries);
    }
    if (directory)
        closedir(directory);
}

/* False: it is used, or gone already. */
static bool remove_entry(const struct entry *entry) {
    CLEANUP(freep) char *complete = xasprintf("%s/" NATIVE_COMPLETE, entry->path);
    CLEANUP(freep) char *old = xasprintf("%s.%d%s", entry->path, (int)getpid(), old_suffix);
    int fd = open(complete, O_RDONLY | O_CLOEXEC);
    bool is_ours;

    if (fd < 0)
        return false;
    is_ours = flock(fd, LOCK_EX | LOCK_NB) == 0 && rename(entry->path, old) == 0;
    close(fd);
    if (!is_ours)
        return false;
    tree_remove(old);
    log_info("native", "removed %s, which no job had used for %lld s", entry->path,
             (long long)(time(NULL) - entry->used));
    return true;
}

static int compare_used(const void *a, const void *b) {
    const struct entry *x = a, *y = b;

    return (x->used > y->used) - (x->used < y->used);
}

void native_evict(void *user) {
    const struct native *native = user;
    struct entry_vec entries = {0};
    time_t now = time(NULL);
    uint64_t total = 0;

    list_all(native, &entries);
    if (entries.count)
        qsort(entries.items, entries.count, sizeof(entries.items[0]), compare_used);
    vec_foreach (entry, &entries)
        total += entry->bytes;
    vec_foreach (entry, &entries) {
        bool is_unused = native->keep_s > 0 && now - entry->used > native->keep_s;
        bool is_too_much = native->max_bytes > 0 && total > native->max_bytes;

        if ((is_unused || is_too_much) && remove_entry(entry))
            total -= entry->bytes;
    }
    vec_foreach (entry, &entries)
        free(entry->path);
    vec_free(&entries);
}
