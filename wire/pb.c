#include "wire/pb.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

enum { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_GROUP = 3, WIRE_GROUP_END = 4, WIRE_FIXED32 = 5 };

/* How often a message may repeat fields that occur once. protobuf-c merges such repetitions by copying what
 * was there before, so that without a limit a small message costs quadratic time and memory. */
enum { PB_MAX_REPEATED_SINGULARS = 16 };

/* What unpacking takes, as the scan reckons it: an estimate from above. The arena rounds each piece up, and protobuf-c keeps
 * a note of each field of a message, the first 16 on its stack and the others in tables that double. */
enum {
    PB_PIECE_BYTES = 24, /* rounded up, and a pointer to it */
    PB_NOTED_BYTES = 80,
    PB_NOTES_ON_STACK = 16,
    PB_PACKED_GROWTH = 8, /* a byte of a packed field may be an int64 */
};

/* ---- scanning ---- */

/* One open message. `field` is the field of `type` that is being read: the path of an error. */
struct scan_frame {
    const ProtobufCMessageDescriptor *type;
    const ProtobufCFieldDescriptor *field;
    const uint8_t *end;
    unsigned singular_messages;
    unsigned fields; /* seen so far, up to PB_NOTES_ON_STACK */
};

struct scan {
    const uint8_t *start;
    size_t size;
    struct cursor at;        /* its end is the innermost message's */
    uint64_t unpacked_bytes; /* reckoned so far */
    struct scan_frame frames[PB_MAX_DEPTH];
    unsigned depth;
    enum pb_strings strings;
    struct arena *arena;
    uint8_t *patched; /* a copy of the message with its strings mended, NULL while there was no need */
    struct status *st;
};

static int scan_fail(const struct scan *scan, const char *what) {
    char path[512];
    size_t used = 0;

    path[0] = '\0';
    for (unsigned i = 0; i < scan->depth && used < sizeof(path) - 1; i++) {
        const ProtobufCFieldDescriptor *field = scan->frames[i].field;
        int n = field ? snprintf(path + used, sizeof(path) - used, ".%s", field->name) : 0;

        used += (size_t)MAX(n, 0);
    }
    return status_set(scan->st, STATUS_INVALID_ARGUMENT, "malformed %s%s at byte %zu: %s", scan->frames[0].type->name,
                      path, (size_t)(scan->at.at - scan->start), what);
}

/* The length of the longest prefix that is UTF-8 without NUL. */
static size_t utf8_valid_size(const uint8_t *bytes, size_t size) {
    size_t i = 0;

    while (i < size) {
        uint64_t word;
        size_t n;

        if (size - i >= sizeof(word)) {
            memcpy(&word, bytes + i, sizeof(word));
            /* No high bit anywhere and no zero byte. */
            if (!((word | (word - UINT64_C(0x0101010101010101))) & UINT64_C(0x8080808080808080))) {
                i += sizeof(word);
                continue;
            }
        }
        n = utf8_character_size(bytes + i, size - i);
        if (n == 0)
            break;
        i += n;
    }
    return i;
}

static int scan_string(struct scan *scan, size_t size) {
    const uint8_t *string = scan->at.at;
    size_t i = utf8_valid_size(string, size);

    if (i == size)
        return 0;
    if (scan->strings == PB_STRINGS_STRICT) {
        scan->at.at += i;
        return scan_fail(scan, string[i] ? "a string that is not UTF-8" : "a string with a NUL byte");
    }
    if (!scan->patched)
        scan->patched = (uint8_t *)arena_copy(scan->arena, scan->start, scan->size);
    while (i < size) {
        scan->patched[string - scan->start + i] = '?';
        i++;
        i += utf8_valid_size(string + i, size - i);
    }
    return 0;
}

static int scan_push(struct scan *scan, const ProtobufCMessageDescriptor *type, size_t size) {
    if (scan->depth == PB_MAX_DEPTH)
        return scan_fail(scan, "messages are nested too deeply");
    scan->frames[scan->depth++] = (struct scan_frame){.type = type, .end = scan->at.at + size};
    scan->at.end = scan->at.at + size;
    return 0;
}

static uint64_t unpacked_limit(const struct scan *scan) {
    return MAX((uint64_t)PB_UNPACKED_BYTES, (uint64_t)scan->size * PB_UNPACKED_GROWTH);
}

/* A message of nothing but tiny ones takes a hundred times its size. */
static int scan_reckon(struct scan *scan, uint64_t bytes) {
    scan->unpacked_bytes += bytes;
    if (scan->unpacked_bytes <= unpacked_limit(scan))
        return 0;
    return status_set(scan->st, STATUS_INVALID_ARGUMENT,
                      "%s of %zu bytes holds so many small parts that unpacking it would take more than %llu MiB",
                      scan->frames[0].type->name, scan->size, (unsigned long long)(unpacked_limit(scan) >> 20));
}

/* What the field at hand takes; of a message, without what is in it. `size`: of a delimited field, else 0. */
static int scan_reckon_field(struct scan *scan, struct scan_frame *frame, uint64_t size) {
    const ProtobufCFieldDescriptor *field = frame->field;
    bool is_kept_whole = !field || field->type == PROTOBUF_C_TYPE_STRING || field->type == PROTOBUF_C_TYPE_BYTES;
    uint64_t bytes = PB_PIECE_BYTES;

    if (frame->fields < PB_NOTES_ON_STACK)
        frame->fields++;
    else
        bytes += PB_NOTED_BYTES;
    if (!field)
        bytes += sizeof(ProtobufCMessageUnknownField);
    if (is_kept_whole)
        bytes += size + PB_PIECE_BYTES;
    else if (field->type == PROTOBUF_C_TYPE_MESSAGE)
        bytes += ((const ProtobufCMessageDescriptor *)field->descriptor)->sizeof_message;
    else
        bytes += size * PB_PACKED_GROWTH;
    return scan_reckon(scan, bytes);
}

/* A length-delimited field, behind its tag. Descends into messages, walks over all else. */
static int scan_delimited(struct scan *scan, struct scan_frame *frame) {
    const ProtobufCFieldDescriptor *field = frame->field;
    uint64_t size;
    int r;

    if (!cursor_varint(&scan->at, &size))
        return scan_fail(scan, "a length is cut short");
    if (size > cursor_left(&scan->at))
        return scan_fail(scan, "a length reaches past the end of its message");
    r = scan_reckon_field(scan, frame, size);
    if (r < 0)
        return r;
    if (field && field->type == PROTOBUF_C_TYPE_MESSAGE) {
        if (field->label != PROTOBUF_C_LABEL_REPEATED &&
            ++frame->singular_messages > frame->type->n_fields + PB_MAX_REPEATED_SINGULARS)
            return scan_fail(scan, "a field that occurs once is repeated too often");
        return scan_push(scan, field->descriptor, (size_t)size);
    }
    if (field && field->type == PROTOBUF_C_TYPE_STRING) {
        r = scan_string(scan, (size_t)size);
        if (r < 0)
            return r;
    }
    scan->at.at += size;
    return 0;
}

static int scan_field(struct scan *scan) {
    struct scan_frame *frame = &scan->frames[scan->depth - 1];
    uint64_t tag, number, ignored;

    frame->field = NULL;
    if (!cursor_varint(&scan->at, &tag))
        return scan_fail(scan, "a tag is cut short");
    number = tag >> 3;
    if (number == 0 || number >= (1u << 29))
        return scan_fail(scan, "a field number out of range");
    frame->field = protobuf_c_message_descriptor_get_field(frame->type, (unsigned)number);
    if ((tag & 7) != WIRE_BYTES) {
        int r = scan_reckon_field(scan, frame, 0);

        if (r < 0)
            return r;
    }
    switch (tag & 7) {
    case WIRE_VARINT:
        return cursor_varint(&scan->at, &ignored) ? 0 : scan_fail(scan, "a number is cut short");
    case WIRE_FIXED64:
        return cursor_skip(&scan->at, 8) ? 0 : scan_fail(scan, "a number is cut short");
    case WIRE_FIXED32:
        return cursor_skip(&scan->at, 4) ? 0 : scan_fail(scan, "a number is cut short");
    case WIRE_BYTES:
        return scan_delimited(scan, frame);
    case WIRE_GROUP:
    case WIRE_GROUP_END:
        return scan_fail(scan, "a group, which this protocol does not use");
    default:
        return scan_fail(scan, "an unknown wire type");
    }
}

static int scan_message(struct scan *scan, const ProtobufCMessageDescriptor *type) {
    int r = scan_push(scan, type, scan->size);

    while (r == 0 && scan->depth > 0) {
        if (scan->at.at < scan->at.end) {
            r = scan_field(scan);
            continue;
        }
        scan->depth--;
        if (scan->depth > 0) {
            scan->at.end = scan->frames[scan->depth - 1].end;
            scan->frames[scan->depth - 1].field = NULL;
        }
    }
    return r;
}

/* ---- unpacking and packing ---- */

static void *allocate_in_arena(void *arena, size_t size) {
    return arena_alloc(arena, size);
}

static void free_in_arena(void *arena, void *pointer) {
    (void)arena;
    (void)pointer;
}

int pb_unpack(const ProtobufCMessageDescriptor *type, const void *bytes, size_t size, enum pb_strings strings,
              struct arena *arena, ProtobufCMessage **ret_message, struct status *st) {
    ProtobufCAllocator allocator = {allocate_in_arena, free_in_arena, arena};
    struct scan scan = {
        .start = bytes,
        .size = size,
        .at = cursor_of(bytes, size),
        .strings = strings,
        .arena = arena,
        .st = st,
    };
    ProtobufCMessage *message;
    int r = scan_message(&scan, type);

    if (r < 0)
        return r;
    message = protobuf_c_message_unpack(type, &allocator, size, scan.patched ? scan.patched : bytes);
    if (!message)
        return status_set(st, STATUS_INVALID_ARGUMENT, "malformed %s: a field has the wrong wire type", type->name);
    /* The caller's variable has the concrete type; a copy of the pointer's bytes breaks no aliasing rule. */
    memcpy(ret_message, &message, sizeof(message));
    return 0;
}

struct slice pb_pack(const ProtobufCMessage *message, struct account *account) {
    size_t size = protobuf_c_message_get_packed_size(message);
    struct block *block;
    size_t packed;

    if (size == 0)
        return SLICE_EMPTY;
    block = block_create(size, account);
    packed = protobuf_c_message_pack(message, block->data);
    assert(packed == size);
    return slice_of_block(block, 0, packed);
}

void pb_pack_into(const ProtobufCMessage *message, struct buf *out) {
    size_t size = protobuf_c_message_get_packed_size(message);

    if (size)
        buf_advance(out, protobuf_c_message_pack(message, buf_reserve(out, size)));
}

static void add_tag(struct buf *out, unsigned field) {
    buf_add_varint(out, (uint64_t)field << 3 | WIRE_BYTES);
}

void pb_add_bytes_field(struct buf *out, unsigned field, const void *bytes, size_t size) {
    add_tag(out, field);
    buf_add_prefixed(out, bytes, size);
}

void pb_add_string_field(struct buf *out, unsigned field, const char *string) {
    pb_add_bytes_field(out, field, string, strlen(string));
}

void pb_add_message_field(struct buf *out, unsigned field, const ProtobufCMessage *message) {
    add_tag(out, field);
    buf_add_varint(out, protobuf_c_message_get_packed_size(message));
    pb_pack_into(message, out);
}
