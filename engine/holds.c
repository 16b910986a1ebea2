#include "engine/holds.h"

#include <assert.h>
#include <stdlib.h>

enum { REMOVED_MIN = 64 }; /* fewer are not worth working off */

/* ---- heaps ---- */

static void heap_push(time_heap *heap, struct account *account, event_time time) {
    size_t capacity = heap->capacity, at = heap->count;

    vec_push(heap, time);
    account_charge(account, (heap->capacity - capacity) * sizeof(time));
    for (; at > 0 && time < heap->items[(at - 1) / 2]; at = (at - 1) / 2)
        heap->items[at] = heap->items[(at - 1) / 2];
    heap->items[at] = time;
}

static void heap_pop(time_heap *heap) {
    event_time last = heap->items[--heap->count];
    size_t at = 0, child;

    if (!heap->count)
        return;
    while ((child = 2 * at + 1) < heap->count) {
        if (child + 1 < heap->count && heap->items[child + 1] < heap->items[child])
            child++;
        if (last <= heap->items[child])
            break;
        heap->items[at] = heap->items[child];
        at = child;
    }
    heap->items[at] = last;
}

static void heap_free(time_heap *heap, struct account *account) {
    account_release(account, heap->capacity * sizeof(*heap->items));
    vec_free(heap);
}

/* ---- holds ---- */

static int compare_times(const void *left, const void *right) {
    event_time a = *(const event_time *)left, b = *(const event_time *)right;

    return a < b ? -1 : a > b;
}

static void sort(time_heap *heap) {
    if (heap->count)
        qsort(heap->items, heap->count, sizeof(*heap->items), compare_times);
}

/* Takes all removed times out of those added. What is sorted is a heap. */
static void work_off(struct holds *holds) {
    size_t kept = 0, removed = 0;

    sort(&holds->added);
    sort(&holds->removed);
    for (size_t i = 0; i < holds->added.count; i++)
        if (removed < holds->removed.count && holds->added.items[i] == holds->removed.items[removed])
            removed++;
        else
            holds->added.items[kept++] = holds->added.items[i];
    assert(removed == holds->removed.count);
    holds->added.count = kept;
    holds->removed.count = 0;
}

static void give_back(struct holds *holds) {
    if (holds->added.count == 0)
        holds_clear(holds);
}

void holds_add(struct holds *holds, event_time time) {
    heap_push(&holds->added, holds->account, time);
}

void holds_remove(struct holds *holds, event_time time) {
    assert(holds_count(holds) > 0 && holds->added.items[0] <= time);
    if (time != holds->added.items[0]) {
        heap_push(&holds->removed, holds->account, time);
        if (holds->removed.count >= REMOVED_MIN && holds->removed.count * 2 >= holds->added.count)
            work_off(holds);
        return;
    }
    heap_pop(&holds->added);
    while (holds->removed.count && holds->removed.items[0] == holds->added.items[0]) {
        heap_pop(&holds->added);
        heap_pop(&holds->removed);
    }
    assert(holds->removed.count < holds->added.count || holds->added.count == 0);
    give_back(holds);
}

event_time holds_min(const struct holds *holds) {
    return holds->added.count ? MIN(holds->added.items[0], TIME_MAX) : TIME_MAX;
}

size_t holds_count(const struct holds *holds) {
    return holds->added.count - holds->removed.count;
}

void holds_clear(struct holds *holds) {
    heap_free(&holds->added, holds->account);
    heap_free(&holds->removed, holds->account);
}
