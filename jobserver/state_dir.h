/* The daemon's state directory: made when missing, owned by one daemon at a time, and of a version this program knows.
 *
 *      STATE_DIR/VERSION       "trestle state directory" and the number of the layout
 *      STATE_DIR/LOCK          flock'ed while a daemon runs; holds its process id, for people
 *      STATE_DIR/artifacts/    artifact_store.h
 *      STATE_DIR/catalogue.db  job_db/job_db.h
 *
 * The lock goes away with the process, however that ends. */
#ifndef JOBSERVER_STATE_DIR_H
#define JOBSERVER_STATE_DIR_H

#include <stdint.h>
#include <sys/types.h>

#include "base/status.h"

enum { STATE_DIR_VERSION = 1 };

struct state_dir;

/* Errors: its name is empty, it cannot be made or written, it belongs to a running daemon, it is not one of ours (no VERSION, and not
 * empty either), or it is newer than this program. */
int state_dir_open(const char *path, struct state_dir **ret, struct status *st);
/* Absolute; lives as long as the state directory. */
const char *state_dir_path(const struct state_dir *dir);
void state_dir_close(struct state_dir *dir);

/* Of the file system where `path` is: how much of it this process may still write, and its size. */
struct disk_space {
    uint64_t free_bytes, size_bytes;
};
/* Both 0 where the system does not say. Any thread. */
struct disk_space disk_space_at(const char *path);

/* mkdir -p; existing directories are fine. `mode` is the last one's. */
int make_directories(const char *path, mode_t mode, struct status *st);
/* fsync of a directory: what was made in it, or renamed into it, outlives a crash of the machine. */
int sync_directory(const char *path, struct status *st);

#endif
