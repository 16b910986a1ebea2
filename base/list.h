/* A doubly linked list threaded through its members. `struct list` is both head and node; an initialised head
 * or node points to itself. Belongs to one thread, or to the lock of whoever owns the head. */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>

#include "base/mem.h"

struct list {
    struct list *prev;
    struct list *next;
};

static inline void list_init(struct list *list) {
    list->prev = list->next = list;
}

static inline bool list_empty(const struct list *list) {
    return list->next == list;
}

static inline void list_append(struct list *head, struct list *node) {
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}

/* Safe on a node that is in no list, as long as it was initialised. */
static inline void list_remove(struct list *node) {
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

static inline struct list *list_pop(struct list *head) {
    struct list *node = head->next;

    if (node == head)
        return NULL;
    list_remove(node);
    return node;
}

/* Moves all of `from` to the end of `to`, in order. */
static inline void list_append_all(struct list *to, struct list *from) {
    if (list_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    list_init(from);
}

/* The body may remove `node` itself. */
#define list_foreach(node, head)                                                                                       \
    for (struct list *node = (head)->next, *node##_next_ = node->next; node != (head);                                 \
         node = node##_next_, node##_next_ = node->next)

#endif
