#include "jobserver/artifact_store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "jobserver/state_dir.h"

struct artifact_store {
    char *path;            /* STATE_DIR/artifacts */
    pthread_mutex_t mutex; /* between who looks for an artifact and who drops it */
};

struct artifact_writer {
    struct artifact_store *store;
    char *path;
    int fd;
    EVP_MD_CTX *digest;
};

static bool is_digest(const char *text) {
    return strspn(text, "0123456789abcdef") == ARTIFACT_DIGEST_SIZE - 1 && text[ARTIFACT_DIGEST_SIZE - 1] == '\0';
}

/* What an earlier daemon was writing when it ended is of no use to anybody. */
static void empty_directory(const char *path) {
    DIR *dir = opendir(path);
    struct dirent *entry;

    while (dir && (entry = readdir(dir)))
        if (entry->d_name[0] != '.')
            unlinkat(dirfd(dir), entry->d_name, 0);
    if (dir)
        closedir(dir);
}

int artifact_store_open(const char *state_dir, struct artifact_store **ret, struct status *st) {
    CLEANUP(freep) char *path = xasprintf("%s/artifacts", state_dir);
    CLEANUP(freep) char *new_path = xasprintf("%s/new", path);
    struct artifact_store *store;
    int r = make_directories(new_path, 0777, st);

    if (r < 0)
        return r;
    empty_directory(new_path);
    store = xcalloc(1, sizeof(*store));
    store->path = xstrdup(path);
    pthread_mutex_init(&store->mutex, NULL);
    *ret = store;
    return 0;
}

void artifact_store_close(struct artifact_store *store) {
    if (!store)
        return;
    pthread_mutex_destroy(&store->mutex);
    free(store->path);
    free(store);
}

char *artifact_store_path(const struct artifact_store *store, const char *digest) {
    return xasprintf("%s/%.2s/%s", store->path, digest, digest);
}

/* Its time stamp says when it was last of use; true when it is there. */
static bool touch(struct artifact_store *store, const char *path) {
    bool is_there;

    pthread_mutex_lock(&store->mutex);
    is_there = utimensat(AT_FDCWD, path, NULL, 0) == 0;
    pthread_mutex_unlock(&store->mutex);
    return is_there && access(path, R_OK) == 0;
}

bool artifact_store_has(struct artifact_store *store, const char *digest) {
    CLEANUP(freep) char *path = NULL;

    if (!is_digest(digest))
        return false;
    path = artifact_store_path(store, digest);
    return touch(store, path);
}

uint64_t artifact_store_size(const struct artifact_store *store, const char *digest) {
    CLEANUP(freep) char *path = artifact_store_path(store, digest);
    struct stat info;

    return stat(path, &info) == 0 ? (uint64_t)info.st_size : 0;
}

bool artifact_store_digest_of_path(const struct artifact_store *store, const char *path,
                                   char ret_digest[ARTIFACT_DIGEST_SIZE]) {
    CLEANUP(freep) char *known = NULL;
    const char *name = strrchr(path, '/');

    if (!name || !is_digest(name + 1))
        return false;
    known = artifact_store_path(store, name + 1);
    if (strcmp(known, path) != 0)
        return false;
    memcpy(ret_digest, name + 1, ARTIFACT_DIGEST_SIZE);
    return true;
}

int artifact_store_read(const struct artifact_store *store, const char *digest, int *ret_fd, uint64_t *ret_size,
                        struct status *st) {
    CLEANUP(freep) char *path = NULL;
    struct stat info;
    int fd;

    if (!is_digest(digest))
        return status_set(st, STATUS_INVALID_ARGUMENT, "\"%.80s\" is no sha256 digest", digest);
    path = artifact_store_path(store, digest);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return status_set(st, STATUS_NOT_FOUND, "there is no artifact with the sha256 %s", digest);
    if (fd < 0 || fstat(fd, &info) < 0) {
        status_set_errno(st, errno, "cannot read the artifact %s", path);
        if (fd >= 0)
            close(fd);
        return st ? -(int)st->code : -STATUS_INTERNAL;
    }
    *ret_fd = fd;
    *ret_size = (uint64_t)info.st_size;
    return 0;
}

int artifact_writer_create(struct artifact_store *store, struct artifact_writer **ret, struct status *st) {
    struct artifact_writer *writer = xcalloc(1, sizeof(*writer));
    int r = 0;

    writer->store = store;
    writer->path = xasprintf("%s/new/XXXXXX", store->path);
    writer->fd = mkostemp(writer->path, O_CLOEXEC);
    writer->digest = EVP_MD_CTX_new();
    if (writer->fd < 0)
        r = status_set_errno(st, errno, "cannot write an artifact in %s", store->path);
    else if (!writer->digest || !EVP_DigestInit_ex(writer->digest, EVP_sha256(), NULL))
        r = status_set(st, STATUS_INTERNAL, "libcrypto does not do sha256");
    if (r < 0) {
        artifact_writer_discard(writer);
        return r;
    }
    *ret = writer;
    return 0;
}

int artifact_writer_add(struct artifact_writer *writer, const void *bytes, size_t size, struct status *st) {
    const char *at = bytes;

    EVP_DigestUpdate(writer->digest, bytes, size);
    while (size > 0) {
        ssize_t n = write(writer->fd, at, size);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return status_set_errno(st, errno, "cannot write an artifact in %s", writer->store->path);
        at += n;
        size -= (size_t)n;
    }
    return 0;
}

static void read_digest(struct artifact_writer *writer, char ret_digest[ARTIFACT_DIGEST_SIZE]) {
    static const char digits[] = "0123456789abcdef";
    unsigned char raw[EVP_MAX_MD_SIZE];
    unsigned size = 0;

    EVP_DigestFinal_ex(writer->digest, raw, &size);
    for (unsigned i = 0; i < size && i < (ARTIFACT_DIGEST_SIZE - 1) / 2; i++) {
        ret_digest[2 * i] = digits[raw[i] >> 4];
        ret_digest[2 * i + 1] = digits[raw[i] & 15];
    }
    ret_digest[ARTIFACT_DIGEST_SIZE - 1] = '\0';
}

/* Gives the file its name. Readable for all: harnesses may run as other users. */
static int publish(struct artifact_writer *writer, const char *digest, struct status *st) {
    CLEANUP(freep) char *folder = xasprintf("%s/%.2s", writer->store->path, digest);
    CLEANUP(freep) char *path = artifact_store_path(writer->store, digest);
    int r = 0;

    if (touch(writer->store, path))
        return 0; /* the same bytes are there already */
    if (mkdir(folder, 0777) == 0)
        r = sync_directory(writer->store->path, st);
    else if (errno != EEXIST)
        r = status_set_errno(st, errno, "cannot make the directory %s", folder);
    if (r < 0)
        return r;
    if (fchmod(writer->fd, 0644) < 0 || fsync(writer->fd) < 0 || rename(writer->path, path) < 0)
        return status_set_errno(st, errno, "cannot write the artifact %s", path);
    free(writer->path);
    writer->path = NULL;
    return sync_directory(folder, st);
}

int artifact_writer_commit(struct artifact_writer *writer, const char *expected, char ret_digest[ARTIFACT_DIGEST_SIZE],
                           struct status *st) {
    char digest[ARTIFACT_DIGEST_SIZE];
    int r;

    read_digest(writer, digest);
    if (expected && *expected && strcasecmp(expected, digest) != 0)
        r = status_set(st, STATUS_DATA_LOSS, "the bytes that arrived have the sha256 %s, but %.80s was announced",
                       digest, expected);
    else
        r = publish(writer, digest, st);
    artifact_writer_discard(writer);
    if (r == 0)
        memcpy(ret_digest, digest, sizeof(digest));
    return r;
}

void artifact_writer_discard(struct artifact_writer *writer) {
    if (!writer)
        return;
    if (writer->path && writer->fd >= 0)
        unlink(writer->path);
    if (writer->fd >= 0)
        close(writer->fd);
    EVP_MD_CTX_free(writer->digest);
    free(writer->path);
    free(writer);
}

/* ------------------------------------------------------------------ what nobody refers to */

static bool drop_if_old(struct artifact_store *store, int folder, const char *name, time_t oldest) {
    struct stat info;
    bool is_dropped;

    pthread_mutex_lock(&store->mutex);
    is_dropped = fstatat(folder, name, &info, AT_SYMLINK_NOFOLLOW) == 0 && info.st_mtime < oldest &&
                 unlinkat(folder, name, 0) == 0;
    pthread_mutex_unlock(&store->mutex);
    return is_dropped;
}

static size_t sweep_folder(struct artifact_store *store, const char *name, const struct map *referred, time_t oldest) {
    CLEANUP(freep) char *path = xasprintf("%s/%s", store->path, name);
    DIR *folder = opendir(path);
    struct dirent *entry;
    size_t count = 0;

    while (folder && (entry = readdir(folder)))
        if (is_digest(entry->d_name) && !map_has_string(referred, entry->d_name))
            count += drop_if_old(store, dirfd(folder), entry->d_name, oldest);
    if (folder)
        closedir(folder);
    return count;
}

size_t artifact_store_sweep(struct artifact_store *store, const struct map *referred, int64_t grace_ms) {
    time_t oldest = time(NULL) - (time_t)(grace_ms / 1000);
    DIR *folders = opendir(store->path);
    struct dirent *entry;
    size_t count = 0;

    while (folders && (entry = readdir(folders)))
        if (strlen(entry->d_name) == 2 && entry->d_name[0] != '.')
            count += sweep_folder(store, entry->d_name, referred, oldest);
    if (folders)
        closedir(folders);
    return count;
}
