/* What the files of the inspection share. */
#ifndef JOBSERVER_INSPECTION_INTERNAL_H
#define JOBSERVER_INSPECTION_INTERNAL_H

#include <pthread.h>

#include "base/map.h"
#include "jobserver/inspection/digest.h"
#include "jobserver/inspection/inspection.h"
#include "trestle_inspection.pb-c.h"
#include "wire/pb.h"

struct inspection {
    struct inspection_options options;
    char *endpoint; /* what options.endpoint points to */
    int64_t started_ms;
    struct digests digests;
};

/* Everything in *ret is static or in the arena, which is cleared when it has been sent. */
typedef int (*inspection_fn)(struct inspection *inspection, const ProtobufCMessage *request, struct arena *arena,
                             ProtobufCMessage **ret, struct status *st);

struct inspection_method {
    const char *name; /* in the service */
    const ProtobufCMessageDescriptor *request;
    inspection_fn run;
};

extern const struct inspection_method inspection_methods[];
extern const size_t inspection_method_count;

int inspect_server(struct inspection *inspection, const ProtobufCMessage *request, struct arena *arena,
                   ProtobufCMessage **ret, struct status *st);
int inspect_jobs(struct inspection *inspection, const ProtobufCMessage *request, struct arena *arena,
                 ProtobufCMessage **ret, struct status *st);
int inspect_job(struct inspection *inspection, const ProtobufCMessage *request, struct arena *arena,
                ProtobufCMessage **ret, struct status *st);
int inspect_messages(struct inspection *inspection, const ProtobufCMessage *request, struct arena *arena,
                     ProtobufCMessage **ret, struct status *st);

/* Milliseconds since 1970. */
int64_t inspection_now_ms(void);

/* A list being made of messages in an arena: pointers for protobuf-c's repeated fields. */
#define ARENA_ARRAY(arena, type, n) ((type **)arena_zalloc(arena, sizeof(type *) * ((n) + 1)))

/* fields.c: sets a field of a request from text: a scalar, or a list with commas. INVALID_ARGUMENT names the field. */
int inspection_set_field(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field, const char *text,
                         struct arena *arena, struct status *st);

#endif
