/* Environments that are built, and run, as another user (workers.user): what a pipeline brings is run by pip and npm already. Everything in
 *
 *      CACHE/native-USER          environments
 *      CACHE/homes-USER/STATE_DIR homes
 *
 * is that user's alone, who may put a symbolic link wherever he likes. So the daemon's threads touch nothing there with rights of their own: they
 * have the user's in the file system (setfsuid(2), which is a thread's and takes the capabilities for files away), but for what they read
 * from the artifact store. */
#include <errno.h>
#include <fcntl.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "jobserver/native/native_internal.h"
#include "jobserver/native/tree.h"
#include "jobserver/state_dir.h"

void native_enter_user(const struct native *native) {
    if (!native->user)
        return;
    setfsgid(native->user->gid);
    setfsuid(native->user->uid);
}

void native_leave_user(const struct native *native) {
    if (!native->user)
        return;
    setfsuid(geteuid());
    setfsgid(getegid());
}

/* In a directory that is root's. */
static int give_directory(const char *path, const struct worker_user *user, struct status *st) {
    int r = make_directories(path, 0700, st);

    if (r == 0 && fchownat(AT_FDCWD, path, user->uid, user->gid, AT_SYMLINK_NOFOLLOW) < 0)
        r = status_set_errno(st, errno, "cannot give %s to the user %s", path, user->name);
    return r;
}

void native_settle_user(struct native *native, const struct native_options *options) {
    const char *cache = options->cache_directory, *user = native->user->name;
    CLEANUP(freep) char *homes = xasprintf("%s/homes-%s", cache, user);
    CLEANUP_STATUS struct status st = {0};

    native->cache = xasprintf("%s/native-%s", cache, user);
    native->homes = xasprintf("%s%s/native", homes, options->state_directory);
    if (give_directory(native->cache, native->user, &st) < 0 || give_directory(homes, native->user, &st) < 0)
        log_error("native", "nothing can be run natively: %s", status_message(&st));
}

int native_check_user(const struct native *native, struct status *st) {
    if (!native->user || faccessat(AT_FDCWD, native->cache, W_OK | X_OK, AT_EACCESS) == 0)
        return 0;
    return status_set_errno(st, errno,
                            "the user %s (workers.user) cannot get to %s; name a cache_dir below directories that are "
                            "open to everybody",
                            native->user->name, native->cache);
}

int native_stage_for_user(const struct native *native, const char *from, const char *to, struct status *st) {
    int fd;

    native_leave_user(native);
    fd = open(from, O_RDONLY | O_CLOEXEC);
    native_enter_user(native);
    if (fd < 0)
        return status_set_errno(st, errno, "cannot read %s", from);
    return tree_copy_open(fd, to, 0600, st);
}
