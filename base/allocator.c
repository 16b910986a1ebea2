#include "base/allocator.h"

#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/pages.h"

enum { MMAP_THRESHOLD = 32 << 20, TRIM_THRESHOLD = 8 << 20, ARENAS = 2 };

void allocator_tune(void) {
    static const struct {
        int parameter, value;
    } settings[] = {
        {M_MMAP_THRESHOLD, MMAP_THRESHOLD},
        {M_TRIM_THRESHOLD, TRIM_THRESHOLD},
        {M_ARENA_MAX, ARENAS},
    };

    for (size_t i = 0; i < ARRAY_COUNT(settings); i++)
        mallopt(settings[i].parameter, settings[i].value);
}

/* A block that is larger than all that is free comes from the end of this thread's arena, and with its end goes that of the arena. */
static void *trim_end(void *user) {
    void *volatile block = malloc(MMAP_THRESHOLD - (1 << 20));

    free(block);
    return user;
}

void allocator_trim(void) {
    pages_trim();
    /* malloc_trim() leaves the ends of all arenas but the first one's. New threads get the arenas by turns. */
    for (unsigned i = 0; i < ARENAS; i++) {
        pthread_t thread;

        if (pthread_create(&thread, NULL, trim_end, NULL) == 0)
            pthread_join(thread, NULL);
    }
    malloc_trim(0);
}
