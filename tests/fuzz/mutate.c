#include <stdlib.h>

#include "fuzz.h"

uint8_t *exact_copy(const void *bytes, size_t size) {
    uint8_t *copy = xmalloc(size);

    if (size)
        memcpy(copy, bytes, size);
    return copy;
}

uint64_t any_number(struct rng *rng) {
    uint64_t power = UINT64_C(1) << rng_below(rng, 64);

    switch (rng_below(rng, 6)) {
    case 0:
        return rng_below(rng, 4);
    case 1:
        return rng_below(rng, 300);
    case 2:
        return power + rng_below(rng, 3) - 1;
    case 3:
        return -power + rng_below(rng, 3) - 1;
    case 4:
        return rng_next(rng) % power;
    default:
        return UINT64_MAX - rng_below(rng, 3);
    }
}

void add_random_bytes(struct rng *rng, struct buf *out, size_t size) {
    for (; size; size--)
        buf_add_u8(out, (uint8_t)rng_next(rng));
}

/* Replaces `removed` bytes at `at` by a piece. */
static void splice(struct buf *bytes, size_t at, size_t removed, const void *piece, size_t size) {
    struct buf spliced = {0};

    if (at)
        buf_add(&spliced, buf_data(bytes), at);
    if (size)
        buf_add(&spliced, piece, size);
    if (at + removed < bytes->size)
        buf_add(&spliced, buf_data(bytes) + at + removed, bytes->size - at - removed);
    buf_clear(bytes);
    *bytes = spliced;
}

static void put_number(struct rng *rng, struct buf *bytes, size_t at) {
    struct buf number = {0};

    switch (rng_below(rng, 4)) {
    case 0:
        buf_add_u8(&number, (uint8_t)any_number(rng));
        break;
    case 1:
        buf_add_be32(&number, (uint32_t)any_number(rng));
        break;
    case 2:
        buf_add_be64(&number, any_number(rng));
        break;
    default:
        buf_add_varint(&number, any_number(rng));
    }
    splice(bytes, at, rng_chance(rng, 70) ? MIN(number.size, bytes->size - at) : 0, buf_data(&number), number.size);
    buf_clear(&number);
}

static void mutate_once(struct rng *rng, struct buf *bytes) {
    size_t at = rng_below(rng, bytes->size), left = bytes->size - at;
    size_t most = rng_chance(rng, 80) ? MIN(left, 16) : left;
    size_t piece = left ? 1 + rng_below(rng, most) : 0;
    struct buf other = {0};

    switch (rng_below(rng, 8)) {
    case 0:
    case 1:
    case 2:
        if (left) {
            uint8_t flipped = (uint8_t)(buf_data(bytes)[at] ^ 1 << rng_below(rng, 8));

            splice(bytes, at, 1, &flipped, 1);
        }
        break;
    case 3:
    case 4:
        put_number(rng, bytes, at);
        break;
    case 5:
        splice(bytes, at, piece, NULL, 0);
        break;
    case 6:
        if (left)
            buf_add(&other, buf_data(bytes) + at, piece);
        splice(bytes, rng_below(rng, bytes->size), 0, buf_data(&other), other.size);
        break;
    default:
        if (rng_chance(rng, 50)) {
            splice(bytes, at, left, NULL, 0);
        } else {
            add_random_bytes(rng, &other, 1 + rng_below(rng, 16));
            splice(bytes, at, 0, buf_data(&other), other.size);
        }
    }
    buf_clear(&other);
}

void mutate_bytes(struct rng *rng, struct buf *bytes) {
    for (unsigned n = rng_chance(rng, 60) ? 1 : 2 + rng_below(rng, 6); n; n--)
        mutate_once(rng, bytes);
}
