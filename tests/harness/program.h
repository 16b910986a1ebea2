/* A process bundle descriptor made executable: nodes linked by PCollections, from the source to the sinks. Immutable once made; any
 * thread may run it. */
#ifndef HARNESS_PROGRAM_H
#define HARNESS_PROGRAM_H

#include "base/arena.h"
#include "base/slice.h"
#include "base/status.h"
#include "model/coder.h"
#include "model/window.h"

#define TEST_FN_URN "trestle:test:fn:v1"

struct bundle;
struct node;

/* One windowed value; all of it points into the bytes it was read from. */
struct value {
    struct cursor header; /* timestamp, windows, pane */
    struct cursor window; /* the first of them */
    struct cursor bytes;
};

/* 0, or -1 with the bundle's error set. */
typedef int (*process_fn)(struct bundle *bundle, const struct node *node, const struct value *value);
typedef int (*finish_fn)(struct bundle *bundle, const struct node *node);

struct function {
    const char *name;
    process_fn process;
    finish_fn finish; /* may be NULL */
};

struct node {
    const char *id;
    const char *name;
    process_fn process; /* of an element of its main input */
    finish_fn finish;   /* after the last one of a bundle, which was not empty; may be NULL */
    const char *input;  /* PCollection ids */
    const char *output;
    const struct node **consumers; /* of the output */
    size_t consumer_count;
    const char *text;    /* functions: what follows the first ':' of the payload, "" without one */
    uint64_t numbers[5]; /* functions: the numbers in it */
    const char *side_name;
    unsigned sink;             /* number among the sinks */
    const struct coder *coder; /* source and sinks */
};

struct program {
    struct arena arena;
    struct node *nodes;
    size_t node_count;
    const struct node *source;
    const struct node **sinks;
    size_t sink_count;
};

/* From the bytes of a ProcessBundleDescriptor. */
int program_create(struct slice descriptor, struct program **ret, struct status *st);
void program_destroy(struct program *program);
/* Hands a value to all that read the node's output. */
static inline int node_emit(struct bundle *bundle, const struct node *node, const struct value *value) {
    for (size_t i = 0; i < node->consumer_count; i++)
        if (node->consumers[i]->process(bundle, node->consumers[i], value) < 0)
            return -1;
    return 0;
}

/* functions.c: the function of that name, or NULL. */
const struct function *function_find(const char *name, size_t size);
/* bundle.c */
int sink_process(struct bundle *bundle, const struct node *node, const struct value *value);

#endif
