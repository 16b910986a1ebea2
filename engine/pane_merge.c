/* Windows of a pane_group that merge (MODEL 4.10 - 4.13).
 *
 *      elements of a batch --> the windows they name --> which of these and the open ones become one --> cells become one
 *                                                          the rule: sessions, below
 *
 * The rule and its effect are apart: pane_merge_into() takes what became of windows from whoever knows. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "engine/pane_cells.h"

/* ---- the effect ---- */

static bool is_active(const struct pane_cell *cell) {
    return cell->state == CELL_OPEN;
}

static void merge_triggers(struct pane_group *group, struct pane_cell *into, struct pane_cell *const *sources,
                           size_t source_count, const struct pane_clock *clock) {
    struct trigger_clock trigger_clock = {into->window_end, clock->input_watermark, clock->processing_time};
    unsigned words = group->trigger->words;
    const int64_t **states;
    int64_t *own;
    size_t count = 0;

    if (!words)
        return;
    states = xcalloc(source_count, sizeof(*states));
    own = xcalloc(words, sizeof(*own));
    if (!is_active(into))
        trigger_start(group->trigger, into->trigger);
    memcpy(own, into->trigger, words * sizeof(*own));
    for (size_t i = 0; i < source_count; i++)
        if (is_active(sources[i]))
            states[count++] = sources[i] == into ? own : sources[i]->trigger;
    trigger_on_merge(group->trigger, into->trigger, states, count, &trigger_clock);
    free(own);
    free(states);
}

/* MODEL 4.12: an end of window moves with the window, also once the watermark is past it: what came on time and waits stays on time. What was
 * held elsewhere is combined. Some source is open. */
static void merge_holds(struct pane_group *group, struct pane_cell *into, struct pane_cell *const *sources,
                        size_t source_count, const struct pane_clock *clock) {
    event_time merged = NO_HOLD;

    for (size_t i = 0; i < source_count; i++) {
        event_time hold = sources[i]->element_hold;

        if (hold != NO_HOLD)
            merged = merged == NO_HOLD ? hold : group_combine_timestamps(group->windowing, merged, hold, 0);
    }
    if (merged != NO_HOLD && group->windowing->timestamp_combiner == OUTPUT_TIME_END_OF_WINDOW)
        merged = into->window_end;
    into->element_hold = merged;
    into->extra_hold = NO_HOLD;
    pane_add_gc_hold(group, into, clock);
}

static void merge_values(struct pane_cell *into, struct pane_cell *const *sources, size_t source_count) {
    struct pane_values all = {0};
    bool is_nonempty = false;

    for (size_t i = 0; i < source_count; i++) {
        pane_values_join(&all, &sources[i]->values);
        is_nonempty = is_nonempty || sources[i]->is_nonempty;
    }
    into->values = all;
    into->is_nonempty = is_nonempty;
}

/* A window whose trigger is finished only passes the batch's elements on, and stays closed itself. */
static void merge_away(struct pane_group *group, struct pane_cell *source, struct pane_cell *into) {
    source->into = into;
    if (source->state == CELL_CLOSED)
        return;
    pane_cell_remove(group, source);
    pane_cell_set_state(group, source, CELL_MERGED);
    list_append(&group->gone, &source->node);
}

void pane_merge_into(struct pane_group *group, struct pane_key *key, struct cursor window,
                     struct pane_cell *const *sources, size_t source_count, const struct pane_clock *clock) {
    struct cursor at = window;
    struct pane_cell *into;
    bool has_data = false;
    event_time end;
    enum coder_result result = window_max_timestamp(group->input->components[1], &at, &end);

    assert(result == CODER_OK);
    (void)result;
    into = pane_cell_of(group, key->hash, group_hash(key->hash, window), cursor_of(key->bytes, key->size), window, end);
    for (size_t i = 0; i < source_count; i++)
        has_data = has_data || is_active(sources[i]);
    if (has_data) {
        merge_values(into, sources, source_count);
        merge_holds(group, into, sources, source_count, clock);
        merge_triggers(group, into, sources, source_count, clock);
        pane_cell_set_state(group, into, CELL_OPEN);
        pane_cell_hold(group, into);
        pane_await_end(group, into, clock);
        pane_await_processing_time(group, into, clock);
    }
    for (size_t i = 0; i < source_count; i++)
        if (sources[i] != into)
            merge_away(group, sources[i], into);
}

struct pane_cell *pane_merge_result(struct pane_cell *cell) {
    while (cell->into)
        cell = cell->into;
    return cell;
}

/* What the batch made and did not use goes, and closed windows pass nothing on any more. */
static void forget_names(struct pane_group *group, struct pane_key *key) {
    list_foreach (node, &key->cells) {
        struct pane_cell *cell = CONTAINER_OF(node, struct pane_cell, node);

        cell->into = NULL;
        if (cell->state != CELL_NEW)
            continue;
        pane_cell_remove(group, cell);
        list_append(&group->gone, &cell->node);
    }
}

void pane_merge_end(struct pane_group *group) {
    struct list *node;

    vec_foreach (key, &group->touched_keys)
        forget_names(group, *key);
    group->touched_keys.count = 0;
    while ((node = list_pop(&group->gone)))
        pane_cell_free(group, CONTAINER_OF(node, struct pane_cell, node));
}

/* ---- the rule of sessions ---- */

struct session {
    struct pane_cell *cell;
    event_time start, end;
};

typedef VEC(struct session) session_vec;

/* No two of a key are the same. */
static int compare_sessions(const void *left, const void *right) {
    const struct session *a = left, *b = right;

    if (a->start != b->start)
        return a->start < b->start ? -1 : 1;
    return a->end < b->end ? -1 : a->end > b->end;
}

/* The windows that take part: those that are open, and those that this batch's elements name. */
static void collect_sessions(const struct pane_group *group, const struct pane_key *key, session_vec *sessions) {
    sessions->count = 0;
    list_foreach (node, &key->cells) {
        struct pane_cell *cell = CONTAINER_OF(node, struct pane_cell, node);
        struct cursor window = cursor_of(cell->window, cell->window_size);
        struct session session = {.cell = cell};
        enum coder_result result;

        if (cell->state == CELL_CLOSED && cell->batch != group->batch)
            continue;
        result = interval_window_decode(&window, &session.start, &session.end);
        assert(result == CODER_OK);
        (void)result;
        vec_push(sessions, session);
    }
    if (sessions->count)
        qsort(sessions->items, sessions->count, sizeof(*sessions->items), compare_sessions);
}

/* Windows that only touch stay apart (MODEL 4.6). */
static void merge_sessions(struct pane_group *group, struct pane_key *key, const session_vec *sessions,
                           const struct pane_clock *clock) {
    struct pane_cell **sources = xcalloc(sessions->count, sizeof(struct pane_cell *));
    struct buf window = {0};

    for (size_t i = 0; i < sessions->count;) {
        event_time start = sessions->items[i].start, end = sessions->items[i].end;
        size_t count = 0;

        do {
            end = MAX(end, sessions->items[i].end);
            sources[count++] = sessions->items[i++].cell;
        } while (i < sessions->count && sessions->items[i].start < end);
        if (count == 1)
            continue;
        window.size = 0;
        interval_window_encode(&window, start, end);
        pane_merge_into(group, key, cursor_of(buf_data(&window), window.size), sources, count, clock);
    }
    buf_clear(&window);
    free(sources);
}

void pane_merge_windows(struct pane_group *group, const struct pane_clock *clock) {
    session_vec sessions = {0};

    vec_foreach (key, &group->touched_keys) {
        collect_sessions(group, *key, &sessions);
        merge_sessions(group, *key, &sessions, clock);
    }
    vec_free(&sessions);
}
