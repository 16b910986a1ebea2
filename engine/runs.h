/* Runs: whole elements, laid end to end in one slice or, once memory got short, in one extent on disk. What crosses an edge of the stage
 * graph is a list of runs.
 *
 * The Data stream cuts an SDK's output anywhere, even inside an element; a run_writer finds the element boundaries again, sharing the
 * received blocks and copying only an element that lies across two messages. Belongs to the engine's thread. */
#ifndef ENGINE_RUNS_H
#define ENGINE_RUNS_H

#include "base/buf.h"
#include "base/status.h"
#include "base/vec.h"
#include "engine/store.h"
#include "model/coder.h"
#include "model/time.h"

struct run {
    struct slice bytes;    /* empty while the elements are only in the extent */
    uint64_t count;        /* elements */
    struct extent *extent; /* owned reference, or NULL */
    event_time least_ms;   /* the least timestamp of its elements, or less, when has_least */
    bool has_least;
};

static inline size_t run_size(const struct run *run) {
    return run->extent ? run->extent->size : run->bytes.size;
}

/* Of a run with has_least, or one that is in memory: windowed values of `coder`. */
event_time run_least(const struct run *run, const struct coder *coder);
/* New references. */
struct run run_ref(const struct run *run);
void run_clear(struct run *run);

struct run_list {
    VEC(struct run) runs;
    size_t bytes;
    uint64_t count;
};

/* Takes the run's reference. Empty runs are dropped. */
void run_list_push(struct run_list *list, struct run run);
void run_list_clear(struct run_list *list);

/* The first `count` elements of a run that is in memory as one, the rest as another; count is less than run->count. References are new. */
void run_split(const struct run *run, const struct coder *coder, uint64_t count, struct run *ret_head,
               struct run *ret_tail);

/* `coder` is that of the bytes, a windowed value's or a timer's; zero-initialise the rest. */
struct run_writer {
    const struct coder *coder;
    struct account *account;
    size_t max_element_bytes; /* 0: no limit */
    struct run_list list;
    struct buf carry; /* the begun element at the end of the last message */
};

/* Takes the slice. Fails with INVALID_ARGUMENT when the bytes can't be elements of the coder, and with RESOURCE_EXHAUSTED when
 * an element is too large. */
int run_writer_add(struct run_writer *writer, struct slice bytes, struct status *st);
/* At the end of the stream: fails when an element is not complete. */
int run_writer_end(struct run_writer *writer, struct status *st);
void run_writer_clear(struct run_writer *writer);

#endif
