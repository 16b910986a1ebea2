/* Elements into the cells of a pane_group, some at a time, so that waits for memory lie on top of each other (as in engine/group_add.c). */
#include <assert.h>

#include "base/map.h"
#include "engine/pane_cells.h"

enum { BATCH = 32 };

/* An element in one window. */
struct pending {
    uint64_t key_hash, hash;
    struct cursor key, window, value;
    event_time timestamp, window_end;
};

struct batch {
    struct pane_group *group;
    const struct pane_clock *clock;
    unsigned count;
    struct pending items[BATCH];
};

void pane_cell_add(struct pane_group *group, struct pane_cell *cell, event_time timestamp, struct cursor value,
                   const struct pane_clock *clock) {
    if (cell->state == CELL_CLOSED) {
        group->dropped_closed++;
        return;
    }
    if (cell->state == CELL_NEW)
        pane_cell_set_state(group, cell, CELL_OPEN);
    if (!cell->batch_count++)
        vec_push(&group->touched, cell);
    cell->is_nonempty = true;
    pane_await_end(group, cell, clock);
    if (!pane_add_element_hold(group, cell, timestamp, clock))
        pane_add_gc_hold(group, cell, clock);
    pane_values_add(&cell->values, group->account, value);
}

/* Where windows merge: the element waits until this is done for those of the whole run. */
static void put_off(struct pane_group *group, struct pane_cell *cell, event_time timestamp, struct cursor value) {
    struct pane_item item = {cell, timestamp, value};

    cell->batch = group->batch;
    if (cell->of_key->batch != group->batch) {
        cell->of_key->batch = group->batch;
        vec_push(&group->touched_keys, cell->of_key);
    }
    vec_push(&group->items, item);
}

/* Hints only: the cell may be another one. */
static void prefetch(const struct batch *batch) {
    const struct pane_cell *guesses[BATCH];

    for (unsigned i = 0; i < batch->count; i++) {
        guesses[i] = *pane_cell_bucket(batch->group, batch->items[i].hash);
        if (!guesses[i])
            continue;
        __builtin_prefetch(guesses[i]);
        __builtin_prefetch(&guesses[i]->values, 1);
        __builtin_prefetch(&guesses[i]->is_nonempty, 1);
    }
    for (unsigned i = 0; i < batch->count; i++) {
        if (!guesses[i])
            continue;
        __builtin_prefetch(guesses[i]->key);
        __builtin_prefetch(guesses[i]->values.last, 1);
    }
}

static void flush(struct batch *batch) {
    struct pane_group *group = batch->group;

    prefetch(batch);
    for (unsigned i = 0; i < batch->count; i++) {
        const struct pending *p = &batch->items[i];
        struct pane_cell *cell = pane_cell_of(group, p->key_hash, p->hash, p->key, p->window, p->window_end);

        if (group->is_merging)
            put_off(group, cell, p->timestamp, p->value);
        else
            pane_cell_add(group, cell, p->timestamp, p->value, batch->clock);
    }
    batch->count = 0;
}

static void add_pending(struct batch *batch, struct pending pending) {
    /* Before windows merge, and once (MODEL 3.13, 3.14). */
    if (pane_gc_time(batch->group->windowing, pending.window_end) < batch->clock->input_watermark) {
        batch->group->dropped_late++;
        return;
    }
    if (batch->group->merges) {
        pane_park(batch->group, pending.key_hash, pending.key, pending.window, pending.window_end, pending.timestamp,
                  pending.value);
        return;
    }
    pending.hash = group_hash(pending.key_hash, pending.window);
    __builtin_prefetch(pane_cell_bucket(batch->group, pending.hash));
    batch->items[batch->count++] = pending;
    if (batch->count == BATCH)
        flush(batch);
}

static void add_element(struct batch *batch, const struct windowed_value *element) {
    const struct coder *input = batch->group->input;
    struct cursor windows = element->windows;
    struct pending pending = {.timestamp = element->timestamp, .value = element->value};
    enum coder_result result = CODER_OK;

    if (batch->group->has_keys) {
        pending.key = element->value;
        result = coder_skip(input->components[0]->components[0], &pending.value);
        assert(result == CODER_OK);
        pending.key.end = pending.value.at;
    }
    pending.key_hash = hash_bytes(pending.key.at, cursor_left(&pending.key));
    for (uint32_t i = 0; i < element->window_count; i++) {
        pending.window = windows;
        result = window_max_timestamp(input->components[1], &windows, &pending.window_end);
        assert(result == CODER_OK);
        pending.window.end = windows.at;
        add_pending(batch, pending);
    }
    (void)result;
}

static void place_items(struct pane_group *group, const struct pane_clock *clock) {
    pane_merge_windows(group, clock);
    vec_foreach (item, &group->items)
        pane_cell_add(group, pane_merge_result(item->cell), item->timestamp, item->value, clock);
    group->items.count = 0;
}

void pane_add_run(struct pane_group *group, const struct run *run, const struct pane_clock *clock) {
    struct cursor at = cursor_of(run->bytes.data, run->bytes.size);
    struct batch batch;

    batch.group = group;
    batch.clock = clock;
    batch.count = 0;
    while (cursor_left(&at)) {
        struct windowed_value element;
        enum coder_result result = windowed_value_read(group->input, &at, &element);

        assert(result == CODER_OK);
        (void)result;
        add_element(&batch, &element);
    }
    flush(&batch);
    if (group->is_merging && !group->merges)
        place_items(group, clock);
}
