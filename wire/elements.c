#include "wire/elements.h"

#include <assert.h>
#include <string.h>

/* Where the numbers come from (beam_fn_api.proto):
 *
 *      Elements   data = 1, timers = 2
 *      Data       instruction_id = 1, transform_id = 2, data = 3, is_last = 4
 *      Timers     instruction_id = 1, transform_id = 2, timer_family_id = 3, timers = 4, is_last = 5
 */
enum { FIELD_DATA = 1, FIELD_TIMERS = 2 };
enum { FIELD_INSTRUCTION = 1, FIELD_TRANSFORM = 2 };
enum { DATA_BYTES = 3, DATA_IS_LAST = 4 };
enum { TIMERS_FAMILY = 3, TIMERS_BYTES = 4, TIMERS_IS_LAST = 5 };

enum wire_type { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

#define TAG(field, type) ((uint32_t)((field) << 3 | (type)))
/* The largest tag: 29 bits of field number and three of wire type. */
#define TAG_MAX UINT64_C(0xffffffff)

/* Nearly every varint in here has one byte. */
static inline bool scan_varint(struct cursor *c, uint64_t *ret) {
    if (c->at < c->end && *c->at < 0x80) {
        *ret = *c->at++;
        return true;
    }
    return cursor_varint(c, ret);
}

static inline bool scan_tag(struct cursor *c, uint32_t *ret) {
    uint64_t tag;

    if (!scan_varint(c, &tag) || tag > TAG_MAX || tag >> 3 == 0)
        return false;
    *ret = (uint32_t)tag;
    return true;
}

static inline bool scan_bytes(struct cursor *c, struct cursor *ret) {
    uint64_t size;

    if (!scan_varint(c, &size) || size > cursor_left(c))
        return false;
    *ret = cursor_of(c->at, (size_t)size);
    c->at += size;
    return true;
}

/* A field that this version does not know. Groups died with proto2 and are refused. */
static bool skip_field(struct cursor *c, uint32_t tag) {
    uint64_t ignored;
    struct cursor inner;

    switch (tag & 7) {
    case WIRE_VARINT:
        return cursor_varint(c, &ignored);
    case WIRE_FIXED64:
        return cursor_skip(c, 8);
    case WIRE_BYTES:
        return scan_bytes(c, &inner);
    case WIRE_FIXED32:
        return cursor_skip(c, 4);
    default:
        return false;
    }
}

static bool scan_data(struct cursor c, struct elements_part *part) {
    uint64_t is_last;
    uint32_t tag;

    while (c.at < c.end) {
        bool ok;

        if (!scan_tag(&c, &tag))
            return false;
        switch (tag) {
        case TAG(FIELD_INSTRUCTION, WIRE_BYTES):
            ok = scan_bytes(&c, &part->instruction_id);
            break;
        case TAG(FIELD_TRANSFORM, WIRE_BYTES):
            ok = scan_bytes(&c, &part->transform_id);
            break;
        case TAG(DATA_BYTES, WIRE_BYTES):
            ok = scan_bytes(&c, &part->bytes);
            break;
        case TAG(DATA_IS_LAST, WIRE_VARINT):
            ok = scan_varint(&c, &is_last);
            part->is_last = ok && is_last != 0;
            break;
        default:
            ok = skip_field(&c, tag);
        }
        if (!ok)
            return false;
    }
    return true;
}

static bool scan_timers(struct cursor c, struct elements_part *part) {
    uint64_t is_last;
    uint32_t tag;

    while (c.at < c.end) {
        bool ok;

        if (!scan_tag(&c, &tag))
            return false;
        switch (tag) {
        case TAG(FIELD_INSTRUCTION, WIRE_BYTES):
            ok = scan_bytes(&c, &part->instruction_id);
            break;
        case TAG(FIELD_TRANSFORM, WIRE_BYTES):
            ok = scan_bytes(&c, &part->transform_id);
            break;
        case TAG(TIMERS_FAMILY, WIRE_BYTES):
            ok = scan_bytes(&c, &part->timer_family_id);
            break;
        case TAG(TIMERS_BYTES, WIRE_BYTES):
            ok = scan_bytes(&c, &part->bytes);
            break;
        case TAG(TIMERS_IS_LAST, WIRE_VARINT):
            ok = scan_varint(&c, &is_last);
            part->is_last = ok && is_last != 0;
            break;
        default:
            ok = skip_field(&c, tag);
        }
        if (!ok)
            return false;
    }
    return true;
}

struct elements_scanner elements_scan(struct slice message) {
    static const uint8_t nothing[1];

    /* No arithmetic on a null pointer, and absent fields compare like empty ones. */
    return (struct elements_scanner){.at = cursor_of(message.size ? message.data : nothing, message.size)};
}

int elements_next(struct elements_scanner *scanner, struct elements_part *ret) {
    struct cursor *c = &scanner->at;

    while (c->at < c->end) {
        struct cursor empty = cursor_of(c->end, 0);
        struct elements_part part = {
            .instruction_id = empty, .transform_id = empty, .timer_family_id = empty, .bytes = empty};
        struct cursor inner;
        uint32_t tag;

        if (!scan_tag(c, &tag))
            return -1;
        if (tag != TAG(FIELD_DATA, WIRE_BYTES) && tag != TAG(FIELD_TIMERS, WIRE_BYTES)) {
            if (!skip_field(c, tag))
                return -1;
            continue;
        }
        if (!scan_bytes(c, &inner))
            return -1;
        part.is_timers = tag == TAG(FIELD_TIMERS, WIRE_BYTES);
        if (!(part.is_timers ? scan_timers(inner, &part) : scan_data(inner, &part)))
            return -1;
        *ret = part;
        return 1;
    }
    return 0;
}

/* Tag, length and the length's own size of a bytes field; nothing for an empty one, as proto3 has it. */
static size_t field_size(size_t size) {
    return size ? 1 + varint_size(size) + size : 0;
}

static uint8_t *put_string(uint8_t *out, unsigned field, const char *string, size_t size) {
    if (size == 0)
        return out;
    *out++ = (uint8_t)TAG(field, WIRE_BYTES);
    out += varint_encode(out, size);
    memcpy(out, string, size);
    return out + size;
}

struct slice elements_header(const char *instruction_id, const char *transform_id, const char *family, size_t data_size,
                             bool is_last) {
    size_t instruction_size = strlen(instruction_id);
    size_t transform_size = strlen(transform_id);
    size_t family_size = family ? strlen(family) : 0;
    size_t inner_size = field_size(instruction_size) + field_size(transform_size) + field_size(family_size) +
                        (is_last ? 2 : 0) + field_size(data_size);
    struct block *block = block_create(1 + varint_size(inner_size) + inner_size - data_size, NULL);
    uint8_t *out = block->data;

    *out++ = (uint8_t)TAG(family ? FIELD_TIMERS : FIELD_DATA, WIRE_BYTES);
    out += varint_encode(out, inner_size);
    out = put_string(out, FIELD_INSTRUCTION, instruction_id, instruction_size);
    out = put_string(out, FIELD_TRANSFORM, transform_id, transform_size);
    if (family)
        out = put_string(out, TIMERS_FAMILY, family, family_size);
    if (is_last) {
        /* Before the data, whatever its number: what follows the header is the data alone. */
        *out++ = (uint8_t)TAG(family ? TIMERS_IS_LAST : DATA_IS_LAST, WIRE_VARINT);
        *out++ = 1;
    }
    if (data_size) {
        *out++ = (uint8_t)TAG(family ? TIMERS_BYTES : DATA_BYTES, WIRE_BYTES);
        out += varint_encode(out, data_size);
    }
    assert(out == block->data + block->size);
    return slice_of_block(block, 0, block->size);
}
