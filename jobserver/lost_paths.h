/* Paths that a pipeline says it writes to and that would go with a container: local, absolute, and below none of the mounts.
 *
 * What a pipeline writes to is in its user's code. What can be seen of it are the options `output` and `temp_location`, and the display data of the
 * SDKs' sinks (namespaces with "Sink" or "Write" in their last part), whose values that begin with "/" or "file:/" are paths. */
#ifndef JOBSERVER_LOST_PATHS_H
#define JOBSERVER_LOST_PATHS_H

#include "base/arena.h"
#include "base/slice.h"

/* `mounts`: absolute paths with colons between them. `pipeline` and `options` are a serialized Pipeline and Struct. Each path once, in the arena;
 * at most 20. */
const char **lost_paths_find(const char *mounts, struct slice pipeline, struct slice options, struct arena *arena,
                             size_t *ret_count);

#endif
