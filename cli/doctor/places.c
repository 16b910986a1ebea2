#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "cli/doctor/doctor.h"
#include "cli/format.h"

#define GIB (UINT64_C(1) << 30)

enum { WARN_GIB = 10, FAIL_GIB = 1 };

static const char area[] = "disk";

struct place {
    const char *key; /* what sets it */
    const char *path;
    const char *what; /* is kept there */
    bool is_executed; /* programs are run from it */
};

/* The directory, or the one that it would be made in. The caller frees. */
static char *existing(const char *path) {
    char *at = xstrdup(path);

    while (access(at, F_OK) != 0 && errno == ENOENT && strcmp(at, "/") != 0 && strcmp(at, ".") != 0) {
        const char *slash = strrchr(at, '/');
        char *above = slash ? xmemdup0(at, MAX((size_t)(slash - at), (size_t)1)) : xstrdup(".");

        free(at);
        at = above;
    }
    return at;
}

static void check_space(struct doctor *doctor, const struct place *place, uint64_t free_bytes) {
    CLEANUP(freep) char *space = format_bytes(free_bytes);
    CLEANUP(freep) char *advice = xasprintf("free some, or set %s to where there is more", place->key);
    enum doctor_level level = free_bytes < FAIL_GIB * GIB   ? DOCTOR_FAIL
                              : free_bytes < WARN_GIB * GIB ? DOCTOR_WARN
                                                            : DOCTOR_OK;

    doctor_say(doctor, level, area, level == DOCTOR_OK ? NULL : advice, "%s free for %s (%s)", space, place->what,
               place->path);
    if (strcmp(place->key, "state_dir") == 0 && doctor->config->disk_total_bytes > free_bytes)
        doctor_say(doctor, DOCTOR_WARN, area, "lower disk.total, or free some",
                   "disk.total allows jobs more scratch data than there is room for");
}

static void check_place(struct doctor *doctor, const struct place *place) {
    CLEANUP(freep) char *directory = existing(place->path);
    CLEANUP(freep) char *advice = xasprintf("let this user write there, or set %s to another directory", place->key);
    struct statvfs info;
    struct stat type;

    if (stat(directory, &type) < 0 || !S_ISDIR(type.st_mode)) {
        doctor_say(doctor, DOCTOR_FAIL, area, advice, "%s is no directory (%s)", directory, place->key);
        return;
    }
    if (access(directory, W_OK | X_OK) != 0) {
        doctor_say(doctor, DOCTOR_FAIL, area, advice, "%s cannot be written by this user (%s): %s", directory,
                   place->key, strerror(errno));
        return;
    }
    if (statvfs(directory, &info) < 0) {
        doctor_say(doctor, DOCTOR_FAIL, area, advice, "%s: %s", directory, strerror(errno));
        return;
    }
    if (place->is_executed && (info.f_flag & ST_NOEXEC))
        doctor_say(doctor, DOCTOR_FAIL, area, advice, "%s is mounted noexec, and %s are run from it", directory,
                   place->what);
    check_space(doctor, place, (uint64_t)info.f_bavail * info.f_frsize);
}

void doctor_check_places(struct doctor *doctor) {
    const char *temporary = getenv("TMPDIR");
    const struct place places[] = {
        {"state_dir", doctor->config->state_dir, "jobs, staged files and scratch data", true},
        {"cache_dir", doctor->config->cache_dir, "virtual environments and the like", true},
        {"TMPDIR", temporary && temporary[0] ? temporary : "/tmp", "temporary files of pip, Maven and workers", false},
    };

    for (size_t i = 0; i < ARRAY_COUNT(places); i++)
        check_place(doctor, &places[i]);
}
