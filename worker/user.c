#include "worker/user.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "worker/launcher.h"

enum { MAX_ENTRY_BYTES = 1 << 20 };

/* The whole entry of the user database is in *ret_buffer, which the caller frees. */
static int look_up(const char *name, struct passwd *entry, char **ret_buffer, struct status *st) {
    struct passwd *found = NULL;
    char *buffer = NULL;
    int error = ERANGE;

    for (size_t size = 1024; error == ERANGE && size <= MAX_ENTRY_BYTES; size *= 2) {
        free(buffer);
        buffer = xmalloc(size);
        error = getpwnam_r(name, entry, buffer, size, &found);
    }
    *ret_buffer = buffer;
    if (found)
        return 0;
    if (error && error != ENOENT && error != ESRCH)
        return status_set_errno(st, error, "cannot look up the user \"%s\"", name);
    return status_set(st, STATUS_INVALID_ARGUMENT, "there is no user \"%s\" on this machine", name);
}

int worker_user_find(const char *name, struct worker_user *ret, struct status *st) {
    CLEANUP(freep) char *buffer = NULL;
    struct passwd entry;
    int r = look_up(name, &entry, &buffer, st);

    if (r < 0)
        return r;
    if (entry.pw_uid == 0)
        return status_set(st, STATUS_INVALID_ARGUMENT, "the user \"%s\" is root, from whom nothing is kept", name);
    if (geteuid() != 0)
        return status_set(st, STATUS_INVALID_ARGUMENT,
                          "only a server that runs as root can start processes as \"%s\"; this one is the user %u",
                          name, (unsigned)geteuid());
    *ret = (struct worker_user){
        .name = xstrdup(name), .home = xstrdup(entry.pw_dir), .uid = entry.pw_uid, .gid = entry.pw_gid};
    return 0;
}

static bool is_in_group(const struct worker_user *user, gid_t gid) {
    CLEANUP(freep) gid_t *groups = NULL;
    int count = 0, room;

    getgrouplist(user->name, user->gid, NULL, &count);
    groups = xcalloc((size_t)count + 1, sizeof(*groups));
    room = count;
    getgrouplist(user->name, user->gid, groups, &room);
    for (int i = 0; i < MIN(room, count); i++)
        if (groups[i] == gid)
            return true;
    return false;
}

bool worker_user_has_access(const struct worker_user *user, const char *path) {
    struct stat info;

    if (stat(path, &info) < 0)
        return false;
    return info.st_uid == user->uid || (info.st_mode & S_IRWXO) ||
           ((info.st_mode & S_IRWXG) && is_in_group(user, info.st_gid));
}

static bool is_set(const char *const *variables, const char *variable) {
    size_t size = strcspn(variable, "=") + 1;

    for (; variables && *variables; variables++)
        if (strncmp(*variables, variable, size) == 0)
            return true;
    return false;
}

void worker_user_run_as(const struct worker_user *user, struct process_spec *spec, struct arena *arena) {
    const char *const own[] = {
        arena_printf(arena, "USER=%s", user->name),
        arena_printf(arena, "LOGNAME=%s", user->name),
        arena_printf(arena, "HOME=%s", user->home),
    };
    const char **variables;
    size_t count = 0;

    while (spec->environment && spec->environment[count])
        count++;
    variables = arena_new_array(arena, const char *, count + ARRAY_COUNT(own) + 1);
    for (size_t i = 0; i < count; i++)
        variables[i] = spec->environment[i];
    for (size_t i = 0; i < ARRAY_COUNT(own); i++)
        if (!is_set(spec->environment, own[i]))
            variables[count++] = own[i];
    variables[count] = NULL;
    spec->environment = variables;
    spec->user = user;
    if (!spec->working_directory)
        spec->working_directory = "/";
}

void worker_user_clear(struct worker_user *user) {
    free(user->name);
    free(user->home);
    *user = (struct worker_user){0};
}
