/* A directory for one test, and its removal with all that is in it. */
#ifndef TESTS_UNIT_TEMP_DIR_H
#define TESTS_UNIT_TEMP_DIR_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

static inline char *temp_dir_create(void) {
    const char *base = getenv("TMPDIR");
    char *path = xasprintf("%s/trestle-test-XXXXXX", base ? base : "/tmp");

    if (!mkdtemp(path))
        abort();
    return path;
}

static inline int temp_dir_remove_entry(const char *path, const struct stat *info, int type, struct FTW *place) {
    (void)info;
    (void)type;
    (void)place;
    return remove(path);
}

static inline void temp_dir_destroy(char *path) {
    nftw(path, temp_dir_remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    free(path);
}

#endif
