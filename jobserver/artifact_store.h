/* The bytes of artifacts, on disk, each once.
 *
 *      STATE_DIR/artifacts/ab/abcdef...   a file named by its own sha256 (64 hex digits), in a folder of the first two
 *      STATE_DIR/artifacts/new/           files being written; emptied at start
 *
 * A file appears under its name only when it is whole and on the disk (fsync, then rename, then fsync of the folder), so that whatever has a name can be
 * trusted. No name and no path ever comes from outside: what clients and workers send is looked up by its digest, which is checked
 * to be one.
 *
 * Everything here does disk I/O: not for RPC threads. The store may be used by any thread; a writer belongs to one at a time. */
#ifndef JOBSERVER_ARTIFACT_STORE_H
#define JOBSERVER_ARTIFACT_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/map.h"
#include "base/status.h"

enum { ARTIFACT_DIGEST_SIZE = 65 }; /* hex digits and the NUL */

struct artifact_store;
struct artifact_writer;

/* `state_dir` is absolute and exists. */
int artifact_store_open(const char *state_dir, struct artifact_store **ret, struct status *st);
void artifact_store_close(struct artifact_store *store);

/* Also keeps an artifact_store_sweep() from it for another while, as whoever asks is going to refer to it. */
bool artifact_store_has(struct artifact_store *store, const char *digest);
/* 0 when there is no such artifact. */
uint64_t artifact_store_size(const struct artifact_store *store, const char *digest);
/* Drops artifacts that are not keys of `referred` and that nobody wrote, or asked for, in the last `grace_ms`. Returns how many. */
size_t artifact_store_sweep(struct artifact_store *store, const struct map *referred, int64_t grace_ms);
/* The absolute path of an artifact; the caller frees it. */
char *artifact_store_path(const struct artifact_store *store, const char *digest);
/* The digest in a path that artifact_store_path() gave out; false for any other path. */
bool artifact_store_digest_of_path(const struct artifact_store *store, const char *path,
                                   char ret_digest[ARTIFACT_DIGEST_SIZE]);
/* A descriptor for reading. NOT_FOUND when there is no such artifact. */
int artifact_store_read(const struct artifact_store *store, const char *digest, int *ret_fd, uint64_t *ret_size,
                        struct status *st);

int artifact_writer_create(struct artifact_store *store, struct artifact_writer **ret, struct status *st);
int artifact_writer_add(struct artifact_writer *writer, const void *bytes, size_t size, struct status *st);
/* Ends the writer in any case. `expected` (NULL or "": none) is compared with what was written: DATA_LOSS when it differs. */
int artifact_writer_commit(struct artifact_writer *writer, const char *expected, char ret_digest[ARTIFACT_DIGEST_SIZE],
                           struct status *st);
/* Forgets what was written. NULL is fine. */
void artifact_writer_discard(struct artifact_writer *writer);

#endif
