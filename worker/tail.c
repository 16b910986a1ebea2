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

/* How many bytes of well-formed UTF-8 begin here; 0: none. */
static size_t utf8_length(const unsigned char *at) {
    size_t size = at[0] < 0x80                    ? 1
                  : at[0] >= 0xc2 && at[0] < 0xe0 ? 2
                  : (at[0] & 0xf0) == 0xe0        ? 3
                  : at[0] >= 0xf0 && at[0] < 0xf5 ? 4
                                                  : 0;

    for (size_t i = 1; i < size; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    if ((at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xed && at[1] > 0x9f) || (at[0] == 0xf0 && at[1] < 0x90) ||
        (at[0] == 0xf4 && at[1] > 0x8f))
        return 0;
    return size;
}

char *tail_readable(const char *output) {
    char *text = xstrdup(output);
    size_t size = strlen(text);

    while (size && strchr(" \t\r\n", text[size - 1]))
        text[--size] = '\0';
    for (size_t i = 0; i < size;) {
        size_t length = utf8_length((unsigned char *)text + i);

        if (!length)
            text[i] = '?';
        i += length ? length : 1;
    }
    return text;
}
