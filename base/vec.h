/* A typed growing array, in place:  VEC(struct thing) things = {0};  vec_push(&things, thing);
 * Items are moved by memcpy when it grows; pointers into it do not survive a push. */
#ifndef BASE_VEC_H
#define BASE_VEC_H

#include <stdlib.h>

#include "base/mem.h"

#define VEC(type)                                                                                                      \
    struct {                                                                                                           \
        type *items;                                                                                                   \
        size_t count;                                                                                                  \
        size_t capacity;                                                                                               \
    }

#define vec_reserve(vec, n)                                                                                            \
    do {                                                                                                               \
        if ((vec)->capacity < (n)) {                                                                                   \
            size_t vec_capacity_ = MAX((size_t)(n), (vec)->capacity ? (vec)->capacity * 2 : 8);                        \
            (vec)->items = xreallocarray((vec)->items, vec_capacity_, sizeof(*(vec)->items));                          \
            (vec)->capacity = vec_capacity_;                                                                           \
        }                                                                                                              \
    } while (0)

#define vec_push(vec, item)                                                                                            \
    do {                                                                                                               \
        vec_reserve(vec, (vec)->count + 1);                                                                            \
        (vec)->items[(vec)->count++] = (item);                                                                         \
    } while (0)

#define vec_last(vec) (&(vec)->items[(vec)->count - 1])
#define vec_free(vec)                                                                                                  \
    do {                                                                                                               \
        free((vec)->items);                                                                                            \
        (vec)->items = NULL;                                                                                           \
        (vec)->count = (vec)->capacity = 0;                                                                            \
    } while (0)

#define vec_foreach(item, vec)                                                                                         \
    for (__typeof__(&*(vec)->items) item = (vec)->items; (vec)->count && item < (vec)->items + (vec)->count; item++)

#endif
