#include "jobserver/machine.h"

#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

/* The limit in one cgroup directory; UINT64_MAX when there is none. */
static uint64_t cgroup_limit(const char *root, const char *path) {
    CLEANUP(freep) char *name = xasprintf("%s%s/memory.max", root, path);
    FILE *file = fopen(name, "re");
    unsigned long long limit;
    bool is_limited;

    if (!file)
        return UINT64_MAX;
    is_limited = fscanf(file, "%llu", &limit) == 1; /* or "max" */
    fclose(file);
    return is_limited ? limit : UINT64_MAX;
}

uint64_t machine_cgroup_memory_bytes(const char *self, const char *root) {
    FILE *file = fopen(self, "re");
    uint64_t least = UINT64_MAX;
    char line[4096];

    if (!file)
        return least;
    while (fgets(line, sizeof(line), file)) {
        char *path = line + 3, *end;

        if (strncmp(line, "0::", 3) != 0)
            continue;
        path[strcspn(path, "\n")] = '\0';
        do {
            uint64_t limit = cgroup_limit(root, path);

            least = MIN(least, limit);
            end = strrchr(path, '/');
            if (end)
                *end = '\0';
        } while (end);
    }
    fclose(file);
    return least;
}

uint64_t machine_memory_bytes(void) {
    uint64_t pages = (uint64_t)sysconf(_SC_PHYS_PAGES), page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t limit = machine_cgroup_memory_bytes("/proc/self/cgroup", "/sys/fs/cgroup");

    return MIN(pages * page_bytes, limit);
}

unsigned machine_cores(void) {
    cpu_set_t set;

    if (sched_getaffinity(0, sizeof(set), &set) != 0)
        return 1;
    return (unsigned)MAX(CPU_COUNT(&set), 1);
}
