/* google.protobuf.Struct as JSON (RFC 8259), as protobuf's own JSON mapping has it: what SDK harnesses read as their pipeline options. */
#ifndef WIRE_STRUCT_JSON_H
#define WIRE_STRUCT_JSON_H

#include "base/buf.h"
#include "base/status.h"

/* `bytes`: a serialized Struct. -STATUS_INVALID_ARGUMENT when it cannot be unpacked; then nothing is written. */
int struct_to_json(struct slice bytes, struct buf *out, struct status *st);

#endif
