/* JSON (RFC 8259) written from protobuf messages, by their descriptors: one writer for every message.
 *
 * Fields have the names of the .proto file. Unlike protobuf's own JSON mapping every field is written but an absent message (null), also one with its
 * default value, so that readers need not know the defaults; 64-bit integers are numbers; enums are written by name, one without a name as its
 * number; bytes as base64; infinities and NaN as null. Text that is not UTF-8 is mended with U+FFFD. Any thread. */
#ifndef WIRE_JSON_H
#define WIRE_JSON_H

#include <protobuf-c/protobuf-c.h>

#include "base/json.h"

/* Appends an object. Messages are as deep as their types nest: the caller builds them, they do not come from outside. */
void json_add_message(struct buf *out, const ProtobufCMessage *message);
#endif
