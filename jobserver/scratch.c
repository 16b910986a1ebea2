#include "jobserver/scratch.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <lz4.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/map.h"
#include "base/status.h"
#include "base/vec.h"

enum { BLOCK_BYTES = 4096 };

struct scratch_extent {
    uint64_t id;
    unsigned refs; /* the table's, and one for each task */
    struct slice *pieces;
    size_t piece_count;
    size_t size;
    size_t stored_size; /* less than `size`: compressed */
    uint64_t checksum;  /* of what is on disk */
    uint64_t offset;
    bool is_written;
    VEC(uint64_t) waiting; /* tokens of loads that came before it was written */
};

struct scratch {
    struct scratch_handler handler;
    void *user;
    char *directory;
    struct pool *pool;
    struct account *memory, *disk;
    pthread_mutex_t mutex;
    pthread_cond_t idle;
    int fd; /* -1: nothing was stored yet */
    uint64_t end;
    struct map extents; /* id -> struct scratch_extent */
    size_t tasks;
    bool is_closing;
    atomic_size_t storing_bytes;
    atomic_uint_least64_t written_bytes, read_bytes;
};

struct task {
    struct scratch *scratch;
    struct scratch_extent *extent;
    uint64_t token;
};

/* What an extent takes of the file. */
static size_t on_disk(size_t size) {
    return (size + BLOCK_BYTES - 1) / BLOCK_BYTES * BLOCK_BYTES;
}

struct scratch *scratch_create(const struct scratch_options *options, const struct scratch_handler *handler,
                               void *user) {
    struct scratch *scratch = xcalloc(1, sizeof(*scratch));

    scratch->handler = *handler;
    scratch->user = user;
    scratch->directory = xstrdup(options->directory);
    scratch->pool = options->pool;
    scratch->memory = options->memory ? account_ref(options->memory) : NULL;
    scratch->disk = options->disk ? account_ref(options->disk) : NULL;
    scratch->fd = -1;
    pthread_mutex_init(&scratch->mutex, NULL);
    pthread_cond_init(&scratch->idle, NULL);
    return scratch;
}

/* ---- tasks ---- */

/* Locked. */
static void extent_unref(struct scratch *scratch, struct scratch_extent *extent) {
    if (--extent->refs)
        return;
    if (extent->is_written) {
        /* A file system that cannot punch holes keeps the blocks until the job ends. */
        fallocate(scratch->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)extent->offset,
                  (off_t)on_disk(extent->stored_size));
        account_release(scratch->disk, on_disk(extent->stored_size));
    }
    for (size_t i = 0; i < extent->piece_count; i++)
        slice_unref(&extent->pieces[i]);
    free(extent->pieces);
    vec_free(&extent->waiting);
    free(extent);
}

/* Locked. */
static void run_task(struct scratch *scratch, struct scratch_extent *extent, uint64_t token, pool_fn fn) {
    struct task *task = xcalloc(1, sizeof(*task));

    *task = (struct task){scratch, extent, token};
    extent->refs++;
    scratch->tasks++;
    pool_run(scratch->pool, fn, task);
}

/* The task needs its extent no more. */
static void let_go(struct task *task) {
    if (!task->extent)
        return;
    pthread_mutex_lock(&task->scratch->mutex);
    extent_unref(task->scratch, task->extent);
    pthread_mutex_unlock(&task->scratch->mutex);
    task->extent = NULL;
}

static void task_end(struct task *task) {
    struct scratch *scratch = task->scratch;

    let_go(task);
    pthread_mutex_lock(&scratch->mutex);
    if (--scratch->tasks == 0)
        pthread_cond_broadcast(&scratch->idle);
    pthread_mutex_unlock(&scratch->mutex);
    free(task);
}

static bool is_closing(struct scratch *scratch) {
    bool closing;

    pthread_mutex_lock(&scratch->mutex);
    closing = scratch->is_closing;
    pthread_mutex_unlock(&scratch->mutex);
    return closing;
}

static void fail(struct scratch *scratch, const struct status *st) {
    if (!is_closing(scratch))
        scratch->handler.failed(scratch->user, status_message(st));
}

/* ---- writing ---- */

/* Locked. */
static int open_file(struct scratch *scratch, struct status *st) {
    char *path;

    if (scratch->fd >= 0)
        return 0;
    scratch->fd = open(scratch->directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (scratch->fd >= 0)
        return 0;
    /* Not every file system has files without names. */
    path = xasprintf("%s/scratch-XXXXXX", scratch->directory);
    scratch->fd = mkostemp(path, O_CLOEXEC);
    if (scratch->fd < 0)
        status_set_errno(st, errno, "cannot make a scratch file in %s", scratch->directory);
    else
        unlink(path);
    free(path);
    return scratch->fd < 0 ? -1 : 0;
}

/* As the configuration writes it: "512 KiB". The caller's to free. */
static char *format_size(size_t bytes) {
    if (bytes >= 1 << 20 && bytes % (1 << 20) == 0)
        return xasprintf("%zu MiB", bytes >> 20);
    return bytes >= 1 << 10 && bytes % (1 << 10) == 0 ? xasprintf("%zu KiB", bytes >> 10) : xasprintf("%zu B", bytes);
}

/* Room in the file and in the disk budget. */
static int reserve(struct scratch *scratch, struct scratch_extent *extent, struct status *st) {
    size_t size = on_disk(extent->stored_size);
    int r;

    pthread_mutex_lock(&scratch->mutex);
    r = open_file(scratch, st);
    if (r == 0) {
        extent->offset = scratch->end;
        scratch->end += size;
    }
    pthread_mutex_unlock(&scratch->mutex);
    if (r < 0)
        return r;
    account_charge(scratch->disk, size);
    for (const struct account *account = scratch->disk; account; account = account->parent)
        if (account_excess(account)) {
            CLEANUP(freep) char *budget = format_size(account->budget_bytes);

            account_release(scratch->disk, size);
            return status_set(st, STATUS_RESOURCE_EXHAUSTED,
                              "the data that do not fit into memory are more than the disk budget allows: %s is %s",
                              account->name, budget);
        }
    return 0;
}

static int write_all(int fd, const uint8_t *bytes, size_t size, uint64_t offset) {
    while (size) {
        ssize_t n = pwrite(fd, bytes, size, (off_t)offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        bytes += n;
        size -= (size_t)n;
        offset += (uint64_t)n;
    }
    return 0;
}

static struct slice join(const struct scratch_extent *extent) {
    struct block *block;
    size_t at = 0;

    if (extent->piece_count == 1)
        return slice_ref(extent->pieces[0]);
    block = block_create(extent->size, NULL);
    for (size_t i = 0; i < extent->piece_count; i++) {
        memcpy(block->data + at, extent->pieces[i].data, extent->pieces[i].size);
        at += extent->pieces[i].size;
    }
    return slice_of_block(block, 0, extent->size);
}

/* Compressed if that saves a twentieth, else as it is. */
static struct slice compress(struct slice plain) {
    struct block *block;
    int bound, size;

    if (plain.size > LZ4_MAX_INPUT_SIZE)
        return slice_ref(plain);
    bound = LZ4_compressBound((int)plain.size);
    block = block_create((size_t)bound, NULL);
    size = LZ4_compress_default((const char *)plain.data, (char *)block->data, (int)plain.size, bound);
    if (size <= 0 || (size_t)size >= plain.size - plain.size / 20) {
        block_unref(block);
        return slice_ref(plain);
    }
    return slice_of_block(block, 0, (size_t)size);
}

/* Says that the machine is at fault rather than the pipeline, and what to do. */
static int explain_no_space(const struct scratch *scratch, int error, struct status *st) {
    CLEANUP(freep) char *used = format_size(scratch_used_bytes(scratch));

    return status_set(
        st, STATUS_RESOURCE_EXHAUSTED,
        "cannot write scratch data to %s: %s. This job's data, what of it does not fit into memory, had %s "
        "there. Make room, or raise memory.per_job, or put state_dir on a larger disk",
        scratch->directory, strerror(error), used);
}

static int write_extent(struct scratch *scratch, struct scratch_extent *extent, struct status *st) {
    CLEANUP_SLICE struct slice plain = join(extent);
    CLEANUP_SLICE struct slice packed = compress(plain);
    int r;

    extent->stored_size = packed.size;
    extent->checksum = hash_bytes(packed.data, packed.size);
    r = reserve(scratch, extent, st);
    if (r < 0)
        return r;
    r = write_all(scratch->fd, packed.data, packed.size, extent->offset);
    if (r < 0) {
        account_release(scratch->disk, on_disk(extent->stored_size));
        if (r == -ENOSPC || r == -EDQUOT)
            return explain_no_space(scratch, -r, st);
        return status_set_errno(st, -r, "cannot write scratch data to %s", scratch->directory);
    }
    atomic_fetch_add_explicit(&scratch->written_bytes, packed.size, memory_order_relaxed);
    return 0;
}

static void load_task(void *user);

static void store_task(void *user) {
    struct task *task = user;
    struct scratch *scratch = task->scratch;
    struct scratch_extent *extent = task->extent;
    CLEANUP_STATUS struct status st = {0};
    int r = is_closing(scratch) ? -1 : write_extent(scratch, extent, &st);
    uint64_t id = extent->id;
    bool tell;

    pthread_mutex_lock(&scratch->mutex);
    for (size_t i = 0; i < extent->piece_count; i++)
        slice_unref(&extent->pieces[i]);
    extent->piece_count = 0;
    extent->is_written = r == 0;
    if (r == 0)
        vec_foreach (token, &extent->waiting)
            run_task(scratch, extent, *token, load_task);
    atomic_fetch_sub_explicit(&scratch->storing_bytes, extent->size, memory_order_relaxed);
    tell = !scratch->is_closing;
    pthread_mutex_unlock(&scratch->mutex);
    let_go(task); /* first: who is told may drop the extent, and counts on its place being free then */
    if (tell && r == 0)
        scratch->handler.stored(scratch->user, id);
    else if (tell)
        fail(scratch, &st);
    task_end(task);
}

void scratch_store(struct scratch *scratch, uint64_t id, const struct slice *pieces, size_t count) {
    struct scratch_extent *extent = xcalloc(1, sizeof(*extent));

    extent->id = id;
    extent->refs = 1;
    extent->pieces = xcalloc(count, sizeof(*pieces));
    memcpy(extent->pieces, pieces, count * sizeof(*pieces));
    extent->piece_count = count;
    for (size_t i = 0; i < count; i++)
        extent->size += pieces[i].size;
    atomic_fetch_add_explicit(&scratch->storing_bytes, extent->size, memory_order_relaxed);
    pthread_mutex_lock(&scratch->mutex);
    map_set(&scratch->extents, &extent->id, sizeof(extent->id), extent);
    run_task(scratch, extent, 0, store_task);
    pthread_mutex_unlock(&scratch->mutex);
}

/* ---- reading ---- */

static int read_all(int fd, uint8_t *bytes, size_t size, uint64_t offset) {
    while (size) {
        ssize_t n = pread(fd, bytes, size, (off_t)offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        bytes += n;
        size -= (size_t)n;
        offset += (uint64_t)n;
    }
    return 0;
}

static int read_extent(struct scratch *scratch, const struct scratch_extent *extent, struct slice *ret,
                       struct status *st) {
    bool is_packed = extent->stored_size < extent->size;
    struct block *packed = block_create(extent->stored_size, is_packed ? NULL : scratch->memory);
    struct block *plain = packed;
    int r = read_all(scratch->fd, packed->data, extent->stored_size, extent->offset);

    if (r < 0)
        r = status_set_errno(st, -r, "cannot read scratch data in %s", scratch->directory);
    else if (hash_bytes(packed->data, extent->stored_size) != extent->checksum)
        r = status_set(st, STATUS_DATA_LOSS, "scratch data in %s are not what was written (wrong checksum)",
                       scratch->directory);
    if (r == 0 && is_packed) {
        plain = block_create(extent->size, scratch->memory);
        if (LZ4_decompress_safe((const char *)packed->data, (char *)plain->data, (int)extent->stored_size,
                                (int)extent->size) != (int)extent->size)
            r = status_set(st, STATUS_DATA_LOSS, "scratch data in %s cannot be decompressed", scratch->directory);
        block_unref(packed);
    }
    if (r < 0) {
        block_unref(plain);
        return r;
    }
    atomic_fetch_add_explicit(&scratch->read_bytes, extent->stored_size, memory_order_relaxed);
    *ret = slice_of_block(plain, 0, extent->size);
    return 0;
}

static void load_task(void *user) {
    struct task *task = user;
    struct scratch *scratch = task->scratch;
    CLEANUP_STATUS struct status st = {0};
    struct slice bytes;

    int r;

    if (!is_closing(scratch)) {
        r = read_extent(scratch, task->extent, &bytes, &st);
        let_go(task); /* who hears of the answer may look at what the disk holds */
        if (r < 0)
            fail(scratch, &st);
        else if (is_closing(scratch))
            slice_unref(&bytes);
        else
            scratch->handler.loaded(scratch->user, task->token, bytes);
    }
    task_end(task);
}

void scratch_load(struct scratch *scratch, uint64_t id, uint64_t token) {
    struct scratch_extent *extent;

    pthread_mutex_lock(&scratch->mutex);
    extent = map_get(&scratch->extents, &id, sizeof(id));
    assert(extent);
    if (extent->is_written)
        run_task(scratch, extent, token, load_task);
    else
        vec_push(&extent->waiting, token);
    pthread_mutex_unlock(&scratch->mutex);
}

void scratch_drop(struct scratch *scratch, uint64_t id) {
    struct scratch_extent *extent;

    pthread_mutex_lock(&scratch->mutex);
    extent = map_remove(&scratch->extents, &id, sizeof(id));
    if (extent)
        extent_unref(scratch, extent);
    pthread_mutex_unlock(&scratch->mutex);
}

/* ---- life ---- */

size_t scratch_storing_bytes(const struct scratch *scratch) {
    return atomic_load_explicit(&scratch->storing_bytes, memory_order_relaxed);
}

size_t scratch_used_bytes(const struct scratch *scratch) {
    return account_used(scratch->disk);
}

void scratch_totals(const struct scratch *scratch, uint64_t *ret_written, uint64_t *ret_read) {
    *ret_written = atomic_load_explicit(&scratch->written_bytes, memory_order_relaxed);
    *ret_read = atomic_load_explicit(&scratch->read_bytes, memory_order_relaxed);
}

void scratch_destroy(struct scratch *scratch) {
    if (!scratch)
        return;
    pthread_mutex_lock(&scratch->mutex);
    scratch->is_closing = true;
    while (scratch->tasks)
        pthread_cond_wait(&scratch->idle, &scratch->mutex);
    map_foreach (entry, &scratch->extents)
        extent_unref(scratch, entry->value);
    pthread_mutex_unlock(&scratch->mutex);
    map_clear(&scratch->extents, NULL);
    if (scratch->fd >= 0)
        close(scratch->fd);
    account_unref(scratch->memory);
    account_unref(scratch->disk);
    pthread_cond_destroy(&scratch->idle);
    pthread_mutex_destroy(&scratch->mutex);
    free(scratch->directory);
    free(scratch);
}
