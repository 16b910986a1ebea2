/* A job's scratch data: extents that its engine had no memory for, in one file without a name, so that nothing is left of it however the
 * daemon ends.
 *
 *      scratch_store() --> pool thread: join, compress (lz4), checksum, write --> stored()
 *      scratch_load()  --> pool thread: read, check, decompress               --> loaded()
 *      scratch_drop()  --> the file's blocks are given back
 *
 *      file: [ extent | extent | hole | extent ... ]    each at a multiple of the block size; where they are is known in memory only
 *
 * Calls come from the job's engine thread; callbacks are made on pool threads and must not block. */
#ifndef JOBSERVER_SCRATCH_H
#define JOBSERVER_SCRATCH_H

#include "base/account.h"
#include "base/pool.h"
#include "base/slice.h"

struct scratch;

struct scratch_handler {
    void (*stored)(void *user, uint64_t extent);
    /* `bytes` is the callee's. */
    void (*loaded)(void *user, uint64_t token, struct slice bytes);
    /* Nothing more can be stored, or what was stored is lost. May come more than once. */
    void (*failed)(void *user, const char *error);
};

struct scratch_options {
    const char *directory; /* copied */
    struct pool *pool;
    struct account *memory; /* what is loaded is charged here */
    struct account *disk;   /* what is written is charged here; its budget, or its parent's, is the limit */
};

struct scratch *scratch_create(const struct scratch_options *options, const struct scratch_handler *handler,
                               void *user);
/* Takes over the pieces' references, not the array. `extent` is a new number. */
void scratch_store(struct scratch *scratch, uint64_t extent, const struct slice *pieces, size_t count);
/* Also while it is being written. */
void scratch_load(struct scratch *scratch, uint64_t extent, uint64_t token);
/* After `stored`; loads under way are still answered. */
void scratch_drop(struct scratch *scratch, uint64_t extent);
/* Bytes handed to scratch_store() and not yet written: memory that is about to be free. Any thread. */
size_t scratch_storing_bytes(const struct scratch *scratch);
/* What the extents take on disk now. Any thread. */
size_t scratch_used_bytes(const struct scratch *scratch);
/* Bytes ever written and read, as they lie on disk. */
void scratch_totals(const struct scratch *scratch, uint64_t *ret_written, uint64_t *ret_read);
/* Waits for what is under way, without callbacks, and frees everything. NULL is fine. */
void scratch_destroy(struct scratch *scratch);

#endif
