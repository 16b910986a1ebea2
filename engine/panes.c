#include "engine/panes.h"

#include <assert.h>
#include <stdlib.h>

#include "engine/pane_cells.h"

enum { KEPT_PLACES = 16 << 10 }; /* from one run to the next */

struct pane_group *pane_group_create(const struct coder *input, const struct windowing *windowing, bool has_keys,
                                     struct account *account) {
    struct pane_group *group = xcalloc(1, sizeof(*group));

    assert(input->kind == CODER_WINDOWED_VALUE && (!has_keys || input->components[0]->kind == CODER_KV));
    group->input = input;
    group->windowing = windowing;
    group->has_keys = has_keys;
    group->is_merging = has_keys && windowing->needs_merge;
    group->account = account;
    group->holds.account = account;
    group->trigger = trigger_program_create(windowing->trigger, group->is_merging);
    list_init(&group->gone);
    pane_cells_init(group);
    pane_ask_init(group);
    return group;
}

void pane_group_destroy(struct pane_group *group) {
    if (!group)
        return;
    pane_ask_finish(group);
    for (size_t i = 0; i < group->table_size; i++)
        while (group->table[i]) {
            struct pane_cell *cell = group->table[i];

            group->table[i] = cell->next;
            pane_values_clear(&cell->values, group->account);
            list_remove(&cell->node);
            pane_cell_free(group, cell);
        }
    account_release(group->account, group->table_size * sizeof(*group->table));
    account_release(group->account, group->keys_size * sizeof(*group->keys));
    for (int i = 0; i < PANE_TIMERS; i++) {
        account_release(group->account, group->timers[i].capacity * sizeof(*group->timers[i].items));
        vec_free(&group->timers[i]);
    }
    holds_clear(&group->holds);
    vec_free(&group->touched);
    vec_free(&group->items);
    vec_free(&group->touched_keys);
    trigger_program_destroy(group->trigger);
    free(group->table);
    free(group->keys);
    free(group);
}

/* ---- firing ---- */

struct firing {
    struct pane_group *group;
    const struct pane_clock *clock;
    pane_fn fn;
    void *user;
};

static struct trigger_clock clock_of(const struct pane_cell *cell, const struct pane_clock *clock) {
    return (struct trigger_clock){cell->window_end, clock->input_watermark, clock->processing_time};
}

static bool should_fire(const struct firing *f, const struct pane_cell *cell) {
    struct trigger_clock clock = clock_of(cell, f->clock);

    return trigger_should_fire(f->group->trigger, cell->trigger, &clock);
}

/* MODEL 2.8, 2.9. */
static struct pane next_pane(const struct pane_cell *cell, bool is_last, const struct pane_clock *clock) {
    bool was_on_time = cell->has_pane && cell->last_pane.timing != PANE_EARLY;
    struct pane pane = {.is_first = !cell->has_pane, .is_last = is_last, .timing = PANE_ON_TIME};

    if (was_on_time || clock->output_watermark > cell->window_end)
        pane.timing = PANE_LATE;
    else if (clock->input_watermark <= cell->window_end)
        pane.timing = PANE_EARLY;
    pane.index = cell->has_pane ? cell->last_pane.index + 1 : 0;
    if (pane.timing == PANE_EARLY)
        pane.nonspeculative_index = -1;
    else
        pane.nonspeculative_index = was_on_time ? cell->last_pane.nonspeculative_index + 1 : 0;
    return pane;
}

/* MODEL 3.8, 3.9: what the holds say, which go; late elements had none. */
static event_time release_holds(const struct firing *f, struct pane_cell *cell, bool is_last) {
    event_time timestamp = MIN(MIN(cell->element_hold, cell->extra_hold), cell->window_end);

    cell->element_hold = cell->extra_hold = NO_HOLD;
    /* The last pane may be empty, and has to come before it would be too late for whoever reads it. */
    if (!is_last && f->group->windowing->close_always)
        pane_add_gc_hold(f->group, cell, f->clock);
    pane_cell_hold(f->group, cell);
    return timestamp;
}

/* MODEL 5.7. */
static bool is_wanted(const struct windowing *windowing, const struct pane_cell *cell, const struct pane *pane) {
    return cell->is_nonempty || (pane->timing == PANE_ON_TIME && windowing->on_time_always) ||
           (pane->is_last && windowing->close_always);
}

static void emit(const struct firing *f, struct pane_cell *cell, bool is_last) {
    const struct windowing *windowing = f->group->windowing;
    struct pane pane = next_pane(cell, is_last, f->clock);
    event_time timestamp = release_holds(f, cell, is_last);
    struct pane_firing firing = {
        .key = slice_of_static(cell->key, cell->key_size),
        .window = slice_of_static(cell->window, cell->window_size),
        .window_end = cell->window_end,
        .timestamp = timestamp,
        .pane = pane,
        .values = cell->values.first,
        .count = cell->values.count,
        .value_bytes = cell->values.bytes,
    };

    if (is_wanted(windowing, cell, &pane)) {
        cell->last_pane = pane;
        cell->has_pane = true;
        f->fn(f->user, &firing);
    }
    cell->is_nonempty = false;
    if (is_last || windowing->accumulation == ACCUMULATION_DISCARDING)
        pane_values_clear(&cell->values, f->group->account);
}

/* MODEL 5.3. */
static void fire(const struct firing *f, struct pane_cell *cell) {
    struct trigger_clock clock = clock_of(cell, f->clock);
    bool is_finished;

    trigger_on_fire(f->group->trigger, cell->trigger, &clock);
    is_finished = trigger_is_finished(f->group->trigger, cell->trigger);
    emit(f, cell, is_finished);
    if (is_finished) {
        cell->has_pane = false;
        pane_cell_set_state(f->group, cell, CELL_CLOSED);
    }
    pane_await_processing_time(f->group, cell, f->clock);
}

static void fire_if_due(const struct firing *f, struct pane_cell *cell) {
    if (cell->state == CELL_OPEN && should_fire(f, cell))
        fire(f, cell);
    else
        pane_await_processing_time(f->group, cell, f->clock);
}

/* ---- elements ---- */

static void fire_touched(const struct firing *f) {
    struct pane_group *group = f->group;

    vec_foreach (place, &group->touched) {
        struct pane_cell *cell = *place;
        struct trigger_clock clock = clock_of(cell, f->clock);

        trigger_on_element(group->trigger, cell->trigger, &clock, cell->batch_count);
        cell->batch_count = 0;
        pane_cell_hold(group, cell);
    }
    vec_foreach (cell, &group->touched)
        fire_if_due(f, *cell);
    group->touched.count = 0;
}

/* What was asked before is answered at once, so that there may be several rounds. */
static void place_answered(const struct firing *f) {
    while (pane_place_answered(f->group, f->clock)) {
        fire_touched(f);
        pane_merge_end(f->group);
        pane_ask_again(f->group, f->clock);
    }
}

void pane_group_add(struct pane_group *group, const struct run *run, const struct pane_clock *clock, pane_fn fn,
                    void *user) {
    struct firing firing = {group, clock, fn, user};

    group->batch++;
    pane_add_run(group, run, clock);
    if (group->merges) {
        pane_ask(group);
        place_answered(&firing);
        return;
    }
    fire_touched(&firing);
    if (group->is_merging)
        pane_merge_end(group);
    if (group->touched.capacity > KEPT_PLACES)
        vec_free(&group->touched);
    if (group->items.capacity > KEPT_PLACES)
        vec_free(&group->items);
}

void pane_group_answer(struct pane_group *group, const struct run *answers, const struct pane_clock *clock, pane_fn fn,
                       void *user) {
    struct firing firing = {group, clock, fn, user};

    pane_take_answers(group, answers);
    place_answered(&firing);
}

/* ---- time ---- */

/* What is asked about stays as it is; pane_ask_again() sets the timer anew. */
static bool is_put_off(const struct firing *f, struct pane_cell *cell, enum pane_timer which) {
    if (!pane_cell_is_asked_about(cell))
        return false;
    pane_timer_set(f->group, which, cell, TIME_MAX);
    cell->is_put_off = true;
    return true;
}

static void collect_garbage(const struct firing *f, struct pane_cell *cell) {
    if (cell->state == CELL_OPEN)
        emit(f, cell, true);
    pane_cell_set_state(f->group, cell, CELL_CLOSED);
    pane_cell_remove(f->group, cell);
    pane_cell_free(f->group, cell);
}

static bool has_passed(const struct pane_clock *clock, event_time time) {
    return clock->input_watermark > time || clock->input_watermark == TIME_MAX;
}

/* MODEL 5.4, 5.5; when both the window's end and its garbage collection are due, one pane is both (MODEL 3.18). */
static void on_event_timer(const struct firing *f, struct pane_cell *cell) {
    event_time gc = pane_gc_time(f->group->windowing, cell->window_end);

    if (has_passed(f->clock, gc)) {
        collect_garbage(f, cell);
        return;
    }
    pane_timer_set(f->group, PANE_EVENT_TIMER, cell, gc);
    fire_if_due(f, cell);
}

void pane_group_advance(struct pane_group *group, const struct pane_clock *clock, pane_fn fn, void *user) {
    struct firing firing = {group, clock, fn, user};
    pane_timer_heap *event = &group->timers[PANE_EVENT_TIMER], *processing = &group->timers[PANE_PROCESSING_TIMER];

    while (event->count && has_passed(clock, event->items[0].time))
        if (!is_put_off(&firing, event->items[0].cell, PANE_EVENT_TIMER))
            on_event_timer(&firing, event->items[0].cell);
    while (processing->count && processing->items[0].time <= clock->processing_time)
        if (!is_put_off(&firing, processing->items[0].cell, PANE_PROCESSING_TIMER))
            fire_if_due(&firing, processing->items[0].cell);
}

/* ---- what is asked of it ---- */

static event_time first_time(const pane_timer_heap *heap) {
    return heap->count ? heap->items[0].time : TIME_MAX;
}

event_time pane_group_hold(const struct pane_group *group) {
    return holds_min(&group->holds);
}

event_time pane_group_next_wake(const struct pane_group *group) {
    return first_time(&group->timers[PANE_PROCESSING_TIMER]);
}

event_time pane_group_next_event(const struct pane_group *group) {
    return first_time(&group->timers[PANE_EVENT_TIMER]);
}

bool pane_group_is_empty(const struct pane_group *group) {
    return group->open_count == 0 && group->wait_count == 0;
}

uint64_t pane_group_dropped_late(const struct pane_group *group) {
    return group->dropped_late;
}

uint64_t pane_group_dropped_closed(const struct pane_group *group) {
    return group->dropped_closed;
}

void pane_firing_write(const struct pane_firing *firing, struct buf *out) {
    bool is_long = firing->count > INT32_MAX;

    windowed_value_write_header(out, firing->timestamp, firing->window.data, firing->window.size, &firing->pane);
    buf_add(out, firing->key.data, firing->key.size);
    buf_add_be32(out, is_long ? UINT32_MAX : (uint32_t)firing->count);
    if (is_long)
        buf_add_varint(out, firing->count);
    for (const struct group_chunk *chunk = firing->values; chunk; chunk = chunk->next)
        buf_add(out, group_chunk_values(chunk), chunk->size);
    if (is_long)
        buf_add_varint(out, 0);
}
