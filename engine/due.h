/* Things in the order of their times, of which the earliest is asked for often: a heap whose nodes lie in the things themselves.
 *
 * Setting, moving and removing take O(log n), asking O(1). Among equal times the order depends on nothing but the calls made. Belongs to one
 * thread. */
#ifndef ENGINE_DUE_H
#define ENGINE_DUE_H

#include <stddef.h>

#include "base/vec.h"
#include "model/time.h"

/* Zero-initialise. */
struct due_node {
    event_time time;
    size_t place; /* in the heap, from 1 on; 0: not in it */
};

/* Zero-initialise. */
struct due_heap {
    VEC(struct due_node *) nodes;
};

/* Puts the node in, or moves it. */
void due_set(struct due_heap *heap, struct due_node *node, event_time time);
/* Also of a node that is not in the heap. */
void due_remove(struct due_heap *heap, struct due_node *node);
/* The node with the least time, or NULL. */
struct due_node *due_first(const struct due_heap *heap);
/* The nodes are the caller's. */
void due_clear(struct due_heap *heap);

#endif
