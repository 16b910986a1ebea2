#include "worker/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/vec.h"

#define MOUNT "/sys/fs/cgroup"
#define WORKER_PREFIX "worker-"

enum { CPU_PERIOD_US = 100000, MAX_PASSES = 1000 };

struct cgroups {
    char *directory;
    VEC(char *) doomed; /* could not be removed yet */
};

/* ---- files ---- */

/* 0, or errno. */
static int try_write(const char *path, const char *value) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : write(fd, value, strlen(value));
    int error_number = n < 0 ? errno : 0;

    if (fd >= 0)
        close(fd);
    return error_number;
}

static int write_value(const char *directory, const char *file, const char *value, struct status *st) {
    CLEANUP(freep) char *path = xasprintf("%s/%s", directory, file);
    int error_number = try_write(path, value);

    return error_number ? status_set_errno(st, error_number, "cannot write \"%s\" to %s", value, path) : 0;
}

static int write_number(const char *directory, const char *file, uint64_t value, struct status *st) {
    char text[32];

    snprintf(text, sizeof(text), "%" PRIu64, value);
    return write_value(directory, file, text, st);
}

static int make_directory(const char *path, struct status *st) {
    if (mkdir(path, 0755) < 0 && errno != EEXIST)
        return status_set_errno(st, errno, "cannot make the control group %s", path);
    return 0;
}

/* ---- the subtree ---- */

/* Set by systemd: the one of users' since 251, the other one by a manager that is root. */
static bool is_delegated(const char *directory) {
    static const char *const names[] = {"user.delegate", "trusted.delegate"};
    char value;

    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        if (getxattr(directory, names[i], &value, 1) == 1 && value == '1')
            return true;
    return false;
}

char *cgroups_find(void) {
    FILE *file = fopen("/proc/self/cgroup", "re");
    char line[4096], *found = NULL;

    while (file && !found && fgets(line, sizeof(line), file)) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "0::/", 4) == 0)
            found = xasprintf(MOUNT "%s", line + 3);
    }
    if (file)
        fclose(file);
    if (found && !is_delegated(found)) {
        free(found);
        found = NULL;
    }
    return found;
}

/* All that are in the list; those that end meanwhile need not be. */
static int move_listed(const char *from, const char *to, unsigned *ret_moved, struct status *st) {
    FILE *file = fopen(from, "re");
    unsigned moved = 0;
    int error_number = 0, pid;
    char text[32];

    while (file && (error_number == 0 || error_number == ESRCH) && fscanf(file, "%d", &pid) == 1) {
        snprintf(text, sizeof(text), "%d", pid);
        error_number = try_write(to, text);
        moved += error_number == 0;
    }
    if (file)
        fclose(file);
    if (error_number && error_number != ESRCH)
        return status_set_errno(st, error_number, "cannot write \"%s\" to %s", text, to);
    *ret_moved = moved;
    return 0;
}

/* Until there is none left: a process may start others while it is being moved. */
static int move_processes(const char *from_directory, const char *to_directory, struct status *st) {
    CLEANUP(freep) char *from = xasprintf("%s/cgroup.procs", from_directory);
    CLEANUP(freep) char *to = xasprintf("%s/cgroup.procs", to_directory);
    unsigned moved = 1;
    int r = 0;

    for (unsigned passes = 0; r == 0 && moved > 0 && passes < MAX_PASSES; passes++)
        r = move_listed(from, to, &moved, st);
    return r;
}

/* For the workers of a daemon that was killed: what ran in there was killed before. */
static void remove_old(const char *directory) {
    DIR *entries = opendir(directory);
    struct dirent *entry;

    while (entries && (entry = readdir(entries)))
        if (strncmp(entry->d_name, WORKER_PREFIX, strlen(WORKER_PREFIX)) == 0)
            unlinkat(dirfd(entries), entry->d_name, AT_REMOVEDIR);
    if (entries)
        closedir(entries);
}

int cgroups_open(const char *directory, struct cgroups **ret, struct status *st) {
    CLEANUP(freep) char *daemon = xasprintf("%s/daemon", directory);
    int r = make_directory(daemon, st);

    if (r == 0)
        r = move_processes(directory, daemon, st);
    if (r == 0)
        r = write_value(directory, "cgroup.subtree_control", "+memory +cpu", st);
    if (r < 0)
        return r;
    remove_old(directory);
    *ret = xcalloc(1, sizeof(**ret));
    (*ret)->directory = xstrdup(directory);
    return 0;
}

void cgroups_close(struct cgroups *cgroups) {
    if (!cgroups)
        return;
    vec_foreach (doomed, &cgroups->doomed)
        free(*doomed);
    vec_free(&cgroups->doomed);
    free(cgroups->directory);
    free(cgroups);
}

/* ---- a worker's group ---- */

static int set_limits(const char *directory, uint64_t memory_bytes, unsigned milli_cpus, struct status *st) {
    char quota[64];
    int r = 0;

    if (memory_bytes)
        r = write_number(directory, "memory.max", memory_bytes, st);
    if (r == 0 && memory_bytes)
        r = write_value(directory, "memory.oom.group", "1", st);
    snprintf(quota, sizeof(quota), "%u %d", milli_cpus * (CPU_PERIOD_US / 1000), CPU_PERIOD_US);
    if (r == 0 && milli_cpus)
        r = write_value(directory, "cpu.max", quota, st);
    return r;
}

static void remove_doomed(struct cgroups *cgroups) {
    size_t kept = 0;

    for (size_t i = 0; i < cgroups->doomed.count; i++) {
        char *directory = cgroups->doomed.items[i];

        if (rmdir(directory) < 0 && errno == EBUSY)
            cgroups->doomed.items[kept++] = directory;
        else
            free(directory);
    }
    cgroups->doomed.count = kept;
}

int cgroups_make(struct cgroups *cgroups, const char *name, uint64_t memory_bytes, unsigned milli_cpus, char **ret,
                 struct status *st) {
    char *directory = xasprintf("%s/" WORKER_PREFIX "%s", cgroups->directory, name);
    int r;

    remove_doomed(cgroups);
    r = make_directory(directory, st);
    if (r == 0)
        r = set_limits(directory, memory_bytes, milli_cpus, st);
    if (r < 0) {
        rmdir(directory);
        free(directory);
        return r;
    }
    *ret = directory;
    return 0;
}

void cgroups_remove(struct cgroups *cgroups, const char *directory) {
    write_value(directory, "cgroup.kill", "1", NULL);
    vec_push(&cgroups->doomed, xstrdup(directory));
    remove_doomed(cgroups);
}

bool cgroup_ran_out_of_memory(const char *directory) {
    CLEANUP(freep) char *path = xasprintf("%s/memory.events", directory);
    FILE *file = fopen(path, "re");
    unsigned long long count, kills = 0;
    char name[64];

    while (file && fscanf(file, "%63s %llu", name, &count) == 2)
        if (strcmp(name, "oom_kill") == 0)
            kills = count;
    if (file)
        fclose(file);
    return kills > 0;
}
