#include "merging.h"

#include <assert.h>
#include <stdlib.h>

#include "model/window.h"

/* Windows that begin in the same stretch of time belong together, whether they overlap or not; some stay alone. */
enum { STRETCH_MS = 150, ALONE = 7 };

static int64_t floor_div(int64_t a, int64_t b) {
    return a / b - (a % b < 0);
}

bool windows_belong_together(event_time a_start, event_time b_start) {
    if (a_start == b_start)
        return true;
    return a_start % ALONE && b_start % ALONE && floor_div(a_start, STRETCH_MS) == floor_div(b_start, STRETCH_MS);
}

struct interval {
    event_time start, end;
    unsigned class; /* the first window that belongs to it */
};

typedef VEC(struct interval) interval_vec;

/* The class of what was read last is its own place; classes that belong to it become one, which is named by its first window. */
static void join_classes(interval_vec *windows, bool is_streaming) {
    const struct interval *last = vec_last(windows);
    unsigned class = last->class;

    for (size_t i = 0; i + 1 < windows->count; i++) {
        const struct interval *window = &windows->items[i];
        unsigned other = window->class;

        if (other == class || !(is_streaming ? window->start < last->end && last->start < window->end
                                             : windows_belong_together(window->start, last->start)))
            continue;
        for (size_t j = 0; j < windows->count; j++)
            if (windows->items[j].class == MAX(class, other))
                windows->items[j].class = MIN(class, other);
        class = MIN(class, other);
    }
}

static interval_vec read_windows(struct cursor at, bool is_streaming) {
    interval_vec windows = {0};
    uint32_t count = 0;

    cursor_be32(&at, &count);
    for (uint32_t i = 0; i < count; i++) {
        struct interval window = {.class = i};
        enum coder_result result = interval_window_decode(&at, &window.start, &window.end);

        assert(result == CODER_OK);
        (void)result;
        vec_push(&windows, window);
        join_classes(&windows, is_streaming);
    }
    assert(cursor_left(&at) == 0);
    return windows;
}

static void add_window(struct buf *out, const struct interval *window) {
    interval_window_encode(out, window->start, window->end);
}

/* An iterable whose values are in `values`, in one of the forms that SDKs use. */
static void add_iterable(struct buf *out, uint32_t count, struct buf *values, bool is_long) {
    buf_add_be32(out, is_long ? UINT32_MAX : count);
    if (is_long && count)
        buf_add_varint(out, count);
    buf_add(out, buf_data(values), values->size);
    if (is_long)
        buf_add_varint(out, 0);
    buf_clear(values);
}

/* KV<merged, iterable<consumed>> of two or more windows. */
static void add_merge(struct buf *out, const struct interval *merged, const struct interval *first,
                      const struct interval *second) {
    add_window(out, merged);
    buf_add_be32(out, 1u + (second != NULL));
    add_window(out, first);
    if (second)
        add_window(out, second);
}

/* The windows of a class become one, all at once or step by step, each step taking in the result of the one before (as Java tells it). */
static uint32_t add_merges(struct buf *out, const interval_vec *windows, unsigned class, bool in_steps) {
    struct interval merged = windows->items[class];
    struct buf consumed = {0};
    uint32_t steps = 0, count = 0;

    for (size_t i = class; i < windows->count; i++) {
        const struct interval *window = &windows->items[i];
        struct interval before = merged;

        if (window->class != class)
            continue;
        merged.start = MIN(merged.start, window->start);
        merged.end = MAX(merged.end, window->end);
        add_window(&consumed, window);
        if (in_steps) {
            add_merge(out, &merged, i == class ? window : &before, i == class ? NULL : window);
            steps++;
        }
        count++;
    }
    if (!in_steps) {
        add_window(out, &merged);
        add_iterable(out, count, &consumed, false);
    }
    buf_clear(&consumed);
    return in_steps ? steps : 1;
}

static bool is_alone(const interval_vec *windows, size_t i) {
    for (size_t j = 0; j < windows->count; j++)
        if (j != i && windows->items[j].class == windows->items[i].class)
            return false;
    return true;
}

void merging_answer(struct slice question, bool is_streaming, unsigned form, struct buf *out) {
    struct cursor nonce = kv_key(question);
    interval_vec windows =
        read_windows(cursor_of(nonce.end, (size_t)(question.data + question.size - nonce.end)), is_streaming);
    struct buf unmerged = {0}, merged = {0};
    uint32_t alone = 0, merges = 0;

    buf_add(out, nonce.at, cursor_left(&nonce));
    for (size_t i = 0; i < windows.count; i++) {
        if (windows.items[i].class != i)
            continue;
        if (is_alone(&windows, i) && !(form & 1)) { /* a merge of one window is a merge as well */
            add_window(&unmerged, &windows.items[i]);
            alone++;
        } else {
            merges += add_merges(&merged, &windows, (unsigned)i, form & 2);
        }
    }
    add_iterable(out, alone, &unmerged, form & 4);
    add_iterable(out, merges, &merged, form & 8);
    vec_free(&windows);
}
