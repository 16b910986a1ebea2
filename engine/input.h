/* The input of an executable stage: what waits, and what a bundle has claimed of it.
 *
 * An item is a run of elements, or a partition of a grouping whose output is written only when it is sent, one element an entry. A claim is
 * the input of one bundle; it stays as it is until the bundle's commit, so that a failed bundle can be run again on the same input, unless
 * the bundle is split (engine/split.c): then it is what the bundle keeps.
 *
 * Either may be stored (a run's extent, a grouping's bucket): then it is in memory only while a bundle reads it (engine/resident.c).
 * Belongs to the engine's thread. */
#ifndef ENGINE_INPUT_H
#define ENGINE_INPUT_H

#include "engine/bucket.h"
#include "engine/group.h"
#include "engine/runs.h"
#include "engine/timers.h"

struct input_item {
    struct run run;                    /* when partition and bucket are NULL */
    struct group_partition *partition; /* owned reference: */
    size_t from, to;                   /* these entries of it; of a stored run these elements, 0 and 0: all */
    struct group_bucket *bucket;       /* owned reference, or NULL: the partition is built of it when it is needed */
    bool is_counted;                   /* of a bucket: it was built before, and `from` and `to` are known */
    event_time
        least_ms; /* of a streaming stage: no later than its elements' timestamps or, of what a splittable DoFn goes on
                            with, than what it will still produce */
};

/* What its elements take, wherever they are. */
size_t input_item_bytes(const struct input_item *item);
/* How many elements; of a bucket that was never built, at most how many. */
uint64_t input_item_count(const struct input_item *item);
/* Whether it must be brought into memory to be read. */
bool input_item_is_stored(const struct input_item *item);
/* A stored run that has come into memory and was cut before: lets go of elements that are not the item's. */
void input_item_trim(struct input_item *item, const struct coder *coder);
/* Of something stored: lets go of what was brought into memory. */
void input_item_evict(struct input_item *item);
struct input_item input_item_ref(const struct input_item *item);
void input_item_clear(struct input_item *item);

/* First in, first out. Zero-initialise. */
struct input_queue {
    VEC(struct input_item) items;
    size_t head;
    size_t bytes;
    uint64_t count;
    event_time least_ms; /* the items' least, unless is_least_stale */
    bool is_least_stale;
};

/* The least least_ms of the items, TIME_MAX when there are none. */
event_time input_queue_least(struct input_queue *queue);
/* Takes over what is in the item; an item without elements is dropped. */
void input_queue_push(struct input_queue *queue, struct input_item item);
bool input_queue_pop(struct input_queue *queue, struct input_item *ret);
/* The item becomes the next one to pop. */
void input_queue_unpop(struct input_queue *queue, struct input_item item);
void input_queue_clear(struct input_queue *queue);

/* One claim is one bundle's input. */
struct claim {
    VEC(struct input_item) items;
    size_t bytes;
    uint64_t count;
    struct run_list
        roots; /* what is kept of an element that was split: none of the items any more, not yet sent by itself */
    timer_vec timers;     /* fired by this bundle; of their keys it has no elements */
    VEC(unsigned) shards; /* of a keyed stage: busy while the claim lives */
    event_time least_ms;  /* of a streaming stage: the least of what was claimed */
    unsigned runs_lost;   /* bundles on it that ended because their worker did */
    unsigned runs_failed; /* ... because the SDK said so */
    bool is_truncated;    /* restrictions that a drain has truncated: not to be truncated again */
};

/* Without input. */
struct claim *claim_create(void);
/* Takes over what is in the item. */
void claim_add(struct claim *claim, struct input_item item);
/* Moves items from the queue into the claim until it holds about max_bytes or max_count elements (at least one item, one that is in memory
 * being cut where needed). `coder` is the windowed value coder of the input. */
void claim_take(struct claim *claim, struct input_queue *queue, const struct coder *coder, size_t max_bytes,
                uint64_t max_count);
/* How many elements are certain: those in front of the first bucket that was never built. *ret_is_all: there is none. */
uint64_t claim_known_count(const struct claim *claim, bool *ret_is_all);
/* Keeps the claim's first `count` elements, at most the known ones, and moves the others to the queue; nothing is copied or brought into
 * memory. */
void claim_cut(struct claim *claim, const struct coder *coder, uint64_t count, struct input_queue *rest);
/* Before the claim is run again: roots become items. */
void claim_adopt_roots(struct claim *claim);
void claim_free(struct claim *claim);

/* Where a bundle is in sending its claim. Zero-initialise. */
struct claim_cursor {
    size_t item;
    size_t offset; /* in the item: bytes of a run, entries of a partition */
};

/* The next about max_bytes of whole elements; empty when everything was read. The item at the cursor is in memory. */
struct slice claim_read(const struct claim *claim, struct claim_cursor *at, const struct coder *coder, size_t max_bytes,
                        struct large_values *large, struct account *account);
/* Moves the cursor past items of which everything was read. */
void claim_settle(const struct claim *claim, struct claim_cursor *at);
/* How many of the claim's elements have been read. A cursor behind the end of a claim that was cut has read all. */
uint64_t claim_count_read(const struct claim *claim, const struct claim_cursor *at, const struct coder *coder);

#endif
