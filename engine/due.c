#include "engine/due.h"

#include <stdlib.h>

static void put(struct due_heap *heap, size_t at, struct due_node *node) {
    heap->nodes.items[at] = node;
    node->place = at + 1;
}

/* Puts the node where it belongs, beginning at the free place `at`. */
static void settle(struct due_heap *heap, size_t at, struct due_node *node) {
    struct due_node **nodes = heap->nodes.items;
    size_t child;

    for (; at > 0 && node->time < nodes[(at - 1) / 2]->time; at = (at - 1) / 2)
        put(heap, at, nodes[(at - 1) / 2]);
    while ((child = 2 * at + 1) < heap->nodes.count) {
        if (child + 1 < heap->nodes.count && nodes[child + 1]->time < nodes[child]->time)
            child++;
        if (node->time <= nodes[child]->time)
            break;
        put(heap, at, nodes[child]);
        at = child;
    }
    put(heap, at, node);
}

void due_set(struct due_heap *heap, struct due_node *node, event_time time) {
    node->time = time;
    if (!node->place) {
        vec_push(&heap->nodes, node);
        node->place = heap->nodes.count;
    }
    settle(heap, node->place - 1, node);
}

void due_remove(struct due_heap *heap, struct due_node *node) {
    struct due_node *last;
    size_t at = node->place - 1;

    if (!node->place)
        return;
    last = heap->nodes.items[--heap->nodes.count];
    if (last != node)
        settle(heap, at, last);
    node->place = 0;
}

struct due_node *due_first(const struct due_heap *heap) {
    return heap->nodes.count ? heap->nodes.items[0] : NULL;
}

void due_clear(struct due_heap *heap) {
    vec_free(&heap->nodes);
}
