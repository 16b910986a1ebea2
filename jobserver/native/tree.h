/* Folders and files of environments. All block. */
#ifndef JOBSERVER_NATIVE_TREE_H
#define JOBSERVER_NATIVE_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/status.h"

/* With all that is in it; symbolic links are not followed. Not being there is fine. */
void tree_remove(const char *path);
/* Bytes on the disk of all that is in it. */
uint64_t tree_size(const char *path);
/* The same file under a second name, or a copy where that cannot be (another file system, permissions). Folders are made. */
int tree_link(const char *from, const char *to, struct status *st);
int tree_copy(const char *from, const char *to, mode_t mode, struct status *st);
/* Closes `in`. */
int tree_copy_open(int in, const char *to, mode_t mode, struct status *st);
int tree_write(const char *path, const void *bytes, size_t size, struct status *st);
/* Relative, and without a "..": it stays below the folder that it is put into. */
bool tree_is_safe_name(const char *name);

#endif
