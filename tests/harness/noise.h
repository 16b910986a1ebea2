/* Bytes that do not compress, the same wherever they are made: by a harness, and by the test that knows what must come out. */
#ifndef HARNESS_NOISE_H
#define HARNESS_NOISE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline void noise_fill(uint8_t *to, size_t size, uint64_t seed) {
    uint64_t x = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15);

    for (size_t i = 0; i < size; i += sizeof(x)) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        memcpy(to + i, &x, size - i < sizeof(x) ? size - i : sizeof(x));
    }
}

#endif
