/* What the files of the inspection share. */
#ifndef JOBSERVER_INSPECTION_INTERNAL_H
#define JOBSERVER_INSPECTION_INTERNAL_H

#include <pthread.h>

#include "base/map.h"
#include "jobserver/inspection/digest.h"
#include "jobserver/inspection/inspection.h"
#include "jobserver/inspection/stored_plan.h"
#include "trestle_inspection.pb-c.h"
#include "wire/pb.h"

struct inspection {
    struct inspection_options options;
    char *endpoint, *state_directory; /* what the options of these names point to */
    int64_t started_ms;
    struct digests digests;
    struct stored_plan stored_plan;
    atomic_uint waiting; /* for answers of workers */
};

/* How long one who looks at a job waits for its engine; then he sees it as it was a moment before. */
enum { INSPECTION_WAIT_MS = 500 };

/* Everything in *ret is static or in the arena, which is cleared when it has been sent. */
typedef int (*inspection_fn)(struct inspection *inspection, const ProtobufCMessage *request, struct arena *arena,
                             ProtobufCMessage **ret, struct status *st);

struct inspection_method {
    const char *name; /* in the service */
    const ProtobufCMessageDescriptor *request;
    inspection_fn run;
};

/* There must be one of that name. */
const struct inspection_method *inspection_find_method(const char *name);

int inspect_server(struct inspection *inspection, const ProtobufCMessage *request, struct arena *arena,
                   ProtobufCMessage **ret, struct status *st);
int inspect_jobs(struct inspection *inspection, const ProtobufCMessage *request, struct arena *arena,
                 ProtobufCMessage **ret, struct status *st);
int inspect_job(struct inspection *inspection, const ProtobufCMessage *request, struct arena *arena,
                ProtobufCMessage **ret, struct status *st);
int inspect_messages(struct inspection *inspection, const ProtobufCMessage *request, struct arena *arena,
                     ProtobufCMessage **ret, struct status *st);

int inspect_graph(struct inspection *inspection, const ProtobufCMessage *request, struct arena *arena,
                  ProtobufCMessage **ret, struct status *st);
int inspect_metrics(struct inspection *inspection, const ProtobufCMessage *request, struct arena *arena,
                    ProtobufCMessage **ret, struct status *st);
int inspect_worker_status(struct inspection *inspection, const ProtobufCMessage *request, struct arena *arena,
                          ProtobufCMessage **ret, struct status *st);
int inspect_samples(struct inspection *inspection, const ProtobufCMessage *request, struct arena *arena,
                    ProtobufCMessage **ret, struct status *st);

/* Of this process; 0 where the kernel does not say. */
struct process_memory {
    uint64_t resident_bytes, virtual_bytes;
};
struct process_memory inspection_process_memory(void);

/* exposition.c: /metrics. */
void inspection_expose(struct inspection *inspection, struct buf *out);
/* Whether jobs are accepted; else why not (static). */
bool inspection_is_ready(struct inspection *inspection, const char **ret_why);

/* A list being made of messages in an arena: pointers for protobuf-c's repeated fields. */
#define ARENA_ARRAY(arena, type, n) ((type **)arena_zalloc(arena, sizeof(type *) * ((n) + 1)))

/* fields.c: sets a field of a request from text: a scalar, or a list with commas. INVALID_ARGUMENT names the field. */
int inspection_set_field(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field, const char *text,
                         struct arena *arena, struct status *st);

#endif
