/* Protobuf messages by reflection: random ones, and good ones damaged field by field. All of a message lives in one arena. */
#ifndef FUZZ_MESSAGE_H
#define FUZZ_MESSAGE_H

#include <protobuf-c/protobuf-c.h>

#include "base/arena.h"
#include "fuzz.h"

/* A message of this type with some of its fields set, at most `depth` messages deep. */
ProtobufCMessage *random_message(struct rng *rng, const ProtobufCMessageDescriptor *type, unsigned depth,
                                 struct arena *arena);
/* Changes one field somewhere in the message: cleared, taken from elsewhere in the message, repeated, removed, moved, another number,
 * another URN. */
void mutate_message(struct rng *rng, ProtobufCMessage *message, struct arena *arena);
void pack_message(const ProtobufCMessage *message, struct buf *out);

#endif
