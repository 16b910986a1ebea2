#include "base/buf.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"

static void buf_grow(struct buf *buf, size_t capacity) {
    struct block *bigger;

    if (buf->block)
        capacity = MAX(capacity, buf->block->size * 2);
    bigger = block_create(MAX(capacity, 64), buf->account);
    if (buf->size)
        memcpy(bigger->data, buf->block->data, buf->size);
    block_unref(buf->block);
    buf->block = bigger;
}

uint8_t *buf_reserve(struct buf *buf, size_t size) {
    if (!buf->block || buf->block->size - buf->size < size)
        buf_grow(buf, buf->size + size);
    return buf->block->data + buf->size;
}

void buf_advance(struct buf *buf, size_t size) {
    assert(buf->block && size <= buf->block->size - buf->size);
    buf->size += size;
}

void buf_add(struct buf *buf, const void *bytes, size_t size) {
    if (size == 0)
        return;
    memcpy(buf_reserve(buf, size), bytes, size);
    buf->size += size;
}

void buf_add_u8(struct buf *buf, uint8_t value) {
    *buf_reserve(buf, 1) = value;
    buf->size++;
}

void buf_add_be32(struct buf *buf, uint32_t value) {
    value = __builtin_bswap32(value);
    buf_add(buf, &value, sizeof(value));
}

void buf_add_be64(struct buf *buf, uint64_t value) {
    value = __builtin_bswap64(value);
    buf_add(buf, &value, sizeof(value));
}

void buf_add_varint(struct buf *buf, uint64_t value) {
    buf->size += varint_encode(buf_reserve(buf, 10), value);
}

void buf_add_prefixed(struct buf *buf, const void *bytes, size_t size) {
    buf_add_varint(buf, size);
    buf_add(buf, bytes, size);
}

void buf_printf(struct buf *buf, const char *format, ...) {
    CLEANUP(freep) char *text = NULL;
    va_list args;

    va_start(args, format);
    text = xvasprintf(format, args);
    va_end(args);
    buf_add(buf, text, strlen(text));
}

const uint8_t *buf_data(const struct buf *buf) {
    return buf->block ? buf->block->data : NULL;
}

struct slice buf_finish(struct buf *buf) {
    struct slice slice = SLICE_EMPTY;

    if (buf->size)
        slice = slice_of_block(buf->block, 0, buf->size);
    else
        block_unref(buf->block);
    buf->block = NULL;
    buf->size = 0;
    return slice;
}

void buf_clear(struct buf *buf) {
    block_unref(buf->block);
    buf->block = NULL;
    buf->size = 0;
}

size_t varint_encode(uint8_t *out, uint64_t value) {
    size_t n = 0;

    while (value >= 0x80) {
        out[n++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    out[n++] = (uint8_t)value;
    return n;
}

size_t varint_size(uint64_t value) {
    size_t n = 1;

    while (value >= 0x80) {
        value >>= 7;
        n++;
    }
    return n;
}

bool cursor_varint(struct cursor *c, uint64_t *ret) {
    uint64_t value = 0;

    for (unsigned shift = 0; shift < 70; shift += 7) {
        uint8_t byte;

        if (!cursor_u8(c, &byte))
            return false;
        if (shift == 63 && byte > 1)
            return false;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            *ret = value;
            return true;
        }
    }
    return false;
}

bool cursor_prefixed(struct cursor *c, struct cursor *ret_inner) {
    uint64_t size;

    if (!cursor_varint(c, &size) || size > cursor_left(c))
        return false;
    *ret_inner = cursor_of(c->at, (size_t)size);
    c->at += size;
    return true;
}
