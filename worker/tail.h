/* The last bytes of a stream: what a process wrote before it ended, for the text of an error. Belongs to one thread. */
#ifndef WORKER_TAIL_H
#define WORKER_TAIL_H

#include <stdbool.h>
#include <stddef.h>

enum { TAIL_MAX_BYTES = 8 * 1024 };

/* Zero-initialise. */
struct tail {
    char *bytes; /* room for twice the maximum, so that bytes move once in TAIL_MAX_BYTES */
    size_t size;
    bool cut;
};

void tail_add(struct tail *tail, const char *bytes, size_t size);
/* At most TAIL_MAX_BYTES: whole lines where the beginning was cut off, '?' for NUL. The caller frees. */
char *tail_string(const struct tail *tail);
void tail_clear(struct tail *tail);

/* Output for people and for protobuf's string fields: '?' for bytes that are not UTF-8, no white space at the end. The caller frees. */
char *tail_readable(const char *output);

#endif
