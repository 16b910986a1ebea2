/* A growing byte buffer for writing encoded bytes, and a cursor for reading them.
 *
 * The writer's memory becomes a slice without a copy (buf_finish). The reader never runs past its end: every
 * read says whether the bytes were there. Both belong to one thread. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "base/slice.h"

/* Zero-initialise, or set `account` first. */
struct buf {
    struct block *block;
    size_t size;
    struct account *account;
};

/* Room for `size` more bytes: a pointer to where they go; they count only once buf_advance() says so. */
uint8_t *buf_reserve(struct buf *buf, size_t size);
void buf_advance(struct buf *buf, size_t size);
void buf_add(struct buf *buf, const void *bytes, size_t size);
void buf_add_u8(struct buf *buf, uint8_t value);
void buf_add_be32(struct buf *buf, uint32_t value);
void buf_add_be64(struct buf *buf, uint64_t value);
/* Base-128 varint, as in protobuf and Beam's varint coder. */
void buf_add_varint(struct buf *buf, uint64_t value);
/* Varint length, then the bytes. */
void buf_add_prefixed(struct buf *buf, const void *bytes, size_t size);
/* Text, without an end. */
void buf_printf(struct buf *buf, const char *format, ...) PRINTF_LIKE(2, 3);
const uint8_t *buf_data(const struct buf *buf);
/* The bytes as a slice; the buffer is empty afterwards and can be used again. */
struct slice buf_finish(struct buf *buf);
void buf_clear(struct buf *buf);

/* Writes at most 10 bytes; returns how many. */
size_t varint_encode(uint8_t *out, uint64_t value);
size_t varint_size(uint64_t value);

struct cursor {
    const uint8_t *at;
    const uint8_t *end;
};

static inline struct cursor cursor_of(const void *bytes, size_t size) {
    return (struct cursor){.at = bytes, .end = (const uint8_t *)bytes + size};
}

static inline size_t cursor_left(const struct cursor *c) {
    return (size_t)(c->end - c->at);
}

static inline bool cursor_skip(struct cursor *c, uint64_t size) {
    if (size > cursor_left(c))
        return false;
    c->at += size;
    return true;
}

static inline bool cursor_u8(struct cursor *c, uint8_t *ret) {
    if (c->at == c->end)
        return false;
    *ret = *c->at++;
    return true;
}

static inline bool cursor_be32(struct cursor *c, uint32_t *ret) {
    uint32_t value;

    if (cursor_left(c) < sizeof(value))
        return false;
    memcpy(&value, c->at, sizeof(value));
    *ret = __builtin_bswap32(value);
    c->at += sizeof(value);
    return true;
}

static inline bool cursor_be64(struct cursor *c, uint64_t *ret) {
    uint64_t value;

    if (cursor_left(c) < sizeof(value))
        return false;
    memcpy(&value, c->at, sizeof(value));
    *ret = __builtin_bswap64(value);
    c->at += sizeof(value);
    return true;
}

/* False when the bytes end early or the varint is longer than ten bytes. */
bool cursor_varint(struct cursor *c, uint64_t *ret);
/* A varint length and that many bytes. */
bool cursor_prefixed(struct cursor *c, struct cursor *ret_inner);

#endif
