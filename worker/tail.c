#include "worker/tail.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void tail_add(struct tail *tail, const char *bytes, size_t size) {
    if (!tail->bytes)
        tail->bytes = xmalloc(2 * TAIL_MAX_BYTES);
    if (size > TAIL_MAX_BYTES) {
        bytes += size - TAIL_MAX_BYTES;
        size = TAIL_MAX_BYTES;
        tail->cut = true;
    }
    if (tail->size + size > 2 * TAIL_MAX_BYTES) {
        memmove(tail->bytes, tail->bytes + tail->size - TAIL_MAX_BYTES, TAIL_MAX_BYTES);
        tail->size = TAIL_MAX_BYTES;
        tail->cut = true;
    }
    memcpy(tail->bytes + tail->size, bytes, size);
    tail->size += size;
}

char *tail_string(const struct tail *tail) {
    size_t size = MIN(tail->size, (size_t)TAIL_MAX_BYTES);
    const char *from = tail->size ? tail->bytes + tail->size - size : "";
    bool cut = tail->cut || size < tail->size;
    const char *line = cut ? memchr(from, '\n', size) : NULL;
    char *string;

    if (line && line + 1 < from + size) {
        size -= (size_t)(line + 1 - from);
        from = line + 1;
    }
    string = xmemdup0(from, size);
    for (size_t i = 0; i < size; i++)
        if (string[i] == '\0')
            string[i] = '?';
    return string;
}

void tail_clear(struct tail *tail) {
    free(tail->bytes);
    *tail = (struct tail){0};
}
