/* Small Runner API pipelines, built by hand. A builder starts with the coders bytes, kv (bytes, bytes), grouped (bytes, iterable of bytes),
 * the windowing strategy "global" and the environment "env"; PCollections are named after the transform that makes them. All memory is
 * the builder's. What is in `components` may be spoiled at will before it is packed. */
#ifndef HARNESS_PIPELINE_H
#define HARNESS_PIPELINE_H

#include "base/arena.h"
#include "base/slice.h"
#include "beam_runner_api.pb-c.h"
#include "google/protobuf/struct.pb-c.h"

enum { PIPELINE_MAX = 64 }; /* of each kind */

struct pipeline {
    struct arena arena;
    Beam__Pipeline message;
    Beam__Components components;
    Google__Protobuf__Struct options;
};

/* `env`: variables of the process as NAME, VALUE, ..., NULL. */
void pipeline_init_process(struct pipeline *p, const char *command, ...);
void pipeline_init_external(struct pipeline *p, const char *endpoint);
void pipeline_init_image(struct pipeline *p, const char *image);
void pipeline_clear(struct pipeline *p);

Beam__Coder *pipeline_add_coder(struct pipeline *p, const char *id, const char *urn, const char *first,
                                const char *second);
Beam__PCollection *pipeline_add_collection(struct pipeline *p, const char *id, const char *coder);
/* A root transform with one input (NULL: none) and one output of its own name (coder NULL: none). */
Beam__PTransform *pipeline_add_transform(struct pipeline *p, const char *name, const char *urn, const char *input,
                                         const char *coder);
Beam__PTransform *pipeline_add_impulse(struct pipeline *p, const char *name);
/* A ParDo that runs this function (functions.c). */
Beam__PTransform *pipeline_add_fn(struct pipeline *p, const char *name, const char *function, const char *input,
                                  const char *coder);
Beam__PTransform *pipeline_add_grouping(struct pipeline *p, const char *name, const char *input);
void pipeline_add_input(struct pipeline *p, Beam__PTransform *transform, const char *local_name,
                        const char *collection);
/* The ParDo reads a PCollection as an iterable side input as well. */
void pipeline_add_side_input(struct pipeline *p, Beam__PTransform *transform, const char *function,
                             const char *collection);
/* Of the environment "env". */
void pipeline_add_capability(struct pipeline *p, const char *urn);
void pipeline_add_hint(struct pipeline *p, const char *urn, const char *value);
/* A pipeline option that is a string. */
void pipeline_add_option(struct pipeline *p, const char *name, const char *value);
void pipeline_add_requirement(struct pipeline *p, const char *urn);

#endif
