/* Protobuf bytes from outside, made safe to unpack.
 *
 * protobuf-c accepts invalid UTF-8, cuts strings at an embedded NUL and recurses without a limit. pb_unpack() first walks the
 * bytes with the message's descriptor, iteratively: nesting depth (PB_MAX_DEPTH), UTF-8 and NUL in string fields, lengths
 * inside their parent, and the memory that unpacking takes. Then it unpacks into an arena, so that one arena_clear() frees the message. Any
 * thread. */
#ifndef WIRE_PB_H
#define WIRE_PB_H

#include <protobuf-c/protobuf-c.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"

enum { PB_MAX_DEPTH = 100 };

/* A message is refused when unpacking it would take more than both: this many bytes, and its own size so many times. */
enum { PB_UNPACKED_BYTES = 256 << 20, PB_UNPACKED_GROWTH = 16 };

/* What to do with a string that holds a NUL or bytes that are not UTF-8. */
enum pb_strings {
    PB_STRINGS_STRICT,  /* refuse the message */
    PB_STRINGS_LENIENT, /* logs, metric labels: let it in; NUL and bad bytes are replaced by '?' in the unpacked copy */
};

/* 0 and an unpacked message in the arena, or -STATUS_INVALID_ARGUMENT with text that names the message type, the field path
 * and the offset. The result borrows nothing from `bytes`. */
int pb_unpack(const ProtobufCMessageDescriptor *type, const void *bytes, size_t size, enum pb_strings strings,
              struct arena *arena, ProtobufCMessage **ret_message, struct status *st);
struct slice pb_pack(const ProtobufCMessage *message, struct account *account);
/* In place behind what the buffer holds. */
void pb_pack_into(const ProtobufCMessage *message, struct buf *out);

/* PB_UNPACK(Beam__Pipeline, beam__pipeline, slice, arena, &message, st): the typed form. */
#define PB_UNPACK(type, symbol, slice, strings, arena, ret_message, st)                                                \
    pb_unpack(&symbol##__descriptor, (slice).data, (slice).size, strings, arena,                                       \
              (ProtobufCMessage **)(1 ? (ret_message) : (type **)0), st)
#define PB_PACK(message, account) pb_pack(&(message)->base, account)

/* Writing single fields by hand: tag (field number and wire type 2) and length, then the caller adds the bytes. */
void pb_add_bytes_field(struct buf *out, unsigned field, const void *bytes, size_t size);
void pb_add_string_field(struct buf *out, unsigned field, const char *string);
void pb_add_message_field(struct buf *out, unsigned field, const ProtobufCMessage *message);

#endif
