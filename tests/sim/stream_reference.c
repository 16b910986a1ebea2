#include "stream_reference.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stream_panes.h"

struct item {
    char key[16];
    char *value;
};

typedef VEC(struct item) item_vec;

/* The latest pane of a side input's window. */
struct view_window {
    struct stream_window window;
    item_vec items;
};

struct parked_element {
    struct stream_element element;
    char *value;
};

/* One key and window of a keyed stage. */
struct keyed_cell {
    char key[16];
    struct stream_window window;
    unsigned count;
    bool is_late;
    VEC(struct keyed_timer) timers; /* processing-time: `fire` on the test stream's clock */
};

struct stage_run {
    struct evaluation *e;
    const struct plan_stage *stage;
    const struct function *function;
    struct stream_panes *panes; /* of a grouping, or of the side input */
    VEC(struct view_window) view;
    VEC(struct parked_element) parked;
    VEC(struct keyed_cell *) cells;
    event_time watermark; /* of its input */
};

struct evaluation {
    const struct sim_plan *sim;
    struct stage_run *stages;
    event_time *watermarks; /* per collection */
    event_time now;
    struct recording *recordings;
};

static void deliver(struct evaluation *e, unsigned collection, const struct stream_element *element);

static void emit(void *user, const struct stream_element *element, const struct stream_window *windows,
                 unsigned window_count) {
    struct stage_run *run = user;
    struct stream_element out = *element;

    for (unsigned i = 0; i < window_count; i++) {
        out.window_start = windows[i].start;
        out.window_end = windows[i].end;
        deliver(run->e, run->stage->outputs[0], &out);
    }
}

static int compare_texts(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void emit_pane(void *user, const struct stream_pane *pane) {
    struct stage_run *run = user;
    struct stream_element out = {.timestamp = pane->timestamp,
                                 .window_start = pane->window.start,
                                 .window_end = pane->window.end,
                                 .pane = pane->pane};
    VEC(char *) sorted = {0};
    char *text = xstrdup(""), *before;

    for (size_t i = 0; i < pane->value_count; i++)
        vec_push(&sorted, pane->values[i]);
    if (sorted.count)
        qsort(sorted.items, sorted.count, sizeof(char *), compare_texts);
    for (size_t i = 0; i < sorted.count; i++) {
        before = text;
        text = xasprintf("%s%s%s", before, i ? "," : "", sorted.items[i]);
        free(before);
    }
    memcpy(out.key, pane->key, strlen(pane->key) + 1);
    out.value = text;
    deliver(run->e, sim_groups_of(&run->e->sim->plan, run->stage), &out);
    vec_free(&sorted);
    free(text);
}

/* ---- side inputs ---- */

static bool looks_at_the_end(const struct trigger *trigger) {
    bool does = trigger->kind == TRIGGER_DEFAULT || trigger->kind == TRIGGER_AFTER_END_OF_WINDOW;

    for (size_t i = 0; i < trigger->child_count; i++)
        does |= trigger->children[i] && looks_at_the_end(trigger->children[i]);
    return does;
}

static struct view_window *find_view(struct stage_run *run, event_time window_end) {
    vec_foreach (window, &run->view)
        if (window->window.end == window_end)
            return window;
    return NULL;
}

static void clear_items(item_vec *items) {
    vec_foreach (item, items)
        free(item->value);
    vec_free(items);
}

/* Whether a side input's windows are read before their end, or for ever as news come in. */
static bool is_read_early(const struct windowing *windowing) {
    return windowing->fn == WINDOW_FN_GLOBAL || !looks_at_the_end(windowing->trigger);
}

/* What is not read early holds all that has fired when it is read: of discarding panes each has a part. */
static bool keeps_earlier_panes(const struct stage_run *run) {
    const struct plan *plan = &run->e->sim->plan;
    const struct windowing *windowing =
        &plan->windowings[plan->collections[run->function->sides[0].collection].windowing];

    return !is_read_early(windowing) && windowing->accumulation == ACCUMULATION_DISCARDING;
}

/* The values of a side input's grouping are "key value". A pane with nothing in it says nothing. */
static void replace_view(void *user, const struct stream_pane *pane) {
    struct stage_run *run = user;
    struct view_window *window = find_view(run, pane->window.end);

    if (!window) {
        vec_push(&run->view, (struct view_window){.window = pane->window});
        window = vec_last(&run->view);
    }
    if (pane->value_count && !keeps_earlier_panes(run))
        clear_items(&window->items);
    for (size_t i = 0; i < pane->value_count; i++) {
        const char *space = strchr(pane->values[i], ' ');
        struct item item = {.value = xstrdup(space + 1)};

        memcpy(item.key, pane->values[i], (size_t)(space - pane->values[i]));
        vec_push(&window->items, item);
    }
}

static struct element encode(const struct stream_element *in) {
    struct element out = {
        .timestamp = in->timestamp, .window_start = in->window_start, .window_end = in->window_end, .pane = in->pane};
    struct buf kv = {0};

    buf_add_prefixed(&kv, in->key, strlen(in->key));
    buf_add_prefixed(&kv, in->value, strlen(in->value));
    out.value = buf_finish(&kv);
    return out;
}

/* What a side input holds for a window is forgotten when no main element on time can want it any more (MODEL 8.8). */
static bool is_forgotten(const struct stage_run *run, const struct element *in) {
    const struct plan *plan = &run->e->sim->plan;

    return run->function->sides[0].window_ms &&
           stream_expiry(&plan->windowings[plan->collections[run->stage->inputs[0]].windowing], in->window_end) <
               run->watermark;
}

static uint64_t read_view(struct stage_run *run, const struct element *in) {
    const struct side_spec *side = &run->function->sides[0];
    const struct view_window *window = is_forgotten(run, in) ? NULL : find_view(run, side_window(side, in));
    struct slice wanted = function_side_key(run->function, 0, in);
    uint64_t sum = 0;

    for (size_t i = 0; window && i < window->items.count; i++) {
        struct stream_element item = {.value = window->items.items[i].value};
        struct element encoded;
        struct cursor key, bytes;

        memcpy(item.key, window->items.items[i].key, sizeof(item.key));
        encoded = encode(&item);
        key = kv_key(encoded.value);
        bytes = cursor_of(encoded.value.data, encoded.value.size);
        if (side->is_multimap)
            bytes.at = key.end;
        if (!side->is_multimap || slice_equal(wanted, slice_of_static(key.at, cursor_left(&key))))
            sum += side_item_hash(side, bytes);
        slice_unref(&encoded.value);
    }
    slice_unref(&wanted);
    return sum;
}

static bool view_is_ready(struct stage_run *run, const struct element *in) {
    unsigned side = run->function->sides[0].collection;
    event_time end = side_window(&run->function->sides[0], in);
    const struct windowing *windowing = &run->e->sim->plan.windowings[run->e->sim->plan.collections[side].windowing];

    return (is_read_early(windowing) && find_view(run, end)) ||
           run->e->watermarks[side] > stream_expiry(windowing, end);
}

static void run_stateless(struct stage_run *run, const struct stream_element *in) {
    struct element encoded = encode(in);
    char side[32];

    if (run->function->kind == FUNCTION_STREAM_UNGROUP || !function_reads_sides(run->function, &encoded)) {
        stream_apply(run->function, in, NULL, emit, run);
    } else {
        snprintf(side, sizeof(side), "%" PRIx64, read_view(run, &encoded));
        stream_apply(run->function, in, side, emit, run);
    }
    slice_unref(&encoded.value);
}

static void run_or_park(struct stage_run *run, const struct stream_element *in) {
    struct element encoded;
    bool is_ready;

    if (!run->function->side_count) {
        run_stateless(run, in);
        return;
    }
    encoded = encode(in);
    is_ready = view_is_ready(run, &encoded);
    slice_unref(&encoded.value);
    if (is_ready) {
        run_stateless(run, in);
    } else {
        struct parked_element parked = {.element = *in, .value = xstrdup(in->value)};

        parked.element.value = parked.value;
        vec_push(&run->parked, parked);
    }
}

static void unpark(struct stage_run *run) {
    VEC(struct parked_element) all = {run->parked.items, run->parked.count, run->parked.capacity};

    memset(&run->parked, 0, sizeof(run->parked));
    vec_foreach (parked, &all) {
        run_or_park(run, &parked->element);
        free(parked->value);
    }
    vec_free(&all);
}

/* ---- keyed stages ---- */

static struct keyed_cell *cell_for(struct stage_run *run, const char *key, struct stream_window window) {
    struct keyed_cell *cell;

    vec_foreach (other, &run->cells)
        if (strcmp((*other)->key, key) == 0 && (*other)->window.start == window.start &&
            (*other)->window.end == window.end)
            return *other;
    cell = xcalloc(1, sizeof(*cell));
    memcpy(cell->key, key, strlen(key) + 1);
    cell->window = window;
    cell->is_late = true;
    vec_push(&run->cells, cell);
    return cell;
}

static event_time cell_expiry(const struct stage_run *run, const struct keyed_cell *cell) {
    const struct plan *plan = &run->e->sim->plan;

    return stream_expiry(&plan->windowings[plan->collections[run->stage->inputs[0]].windowing], cell->window.end);
}

/* An event-time timer behind the end of its window fires there (MODEL 7.9). */
static event_time timer_due(const struct stage_run *run, const struct keyed_cell *cell,
                            const struct keyed_timer *timer) {
    return timer->family == STREAM_EVENT_FAMILY ? MIN(timer->fire, cell_expiry(run, cell)) : timer->fire;
}

/* `is_at_end`: by a timer that fires when the window ends; what it sets behind that is not kept. */
static void apply_timers(struct stage_run *run, struct keyed_cell *cell, const struct stream_work *work,
                         bool is_at_end) {
    for (unsigned i = 0; i < work->count; i++) {
        const struct stream_timer_op *op = &work->ops[i];
        struct keyed_timer timer = {
            .family = op->family, .hold = op->hold, .window_start = cell->window.start, .window_end = cell->window.end};
        size_t kept = 0;

        memcpy(timer.tag, op->tag, sizeof(op->tag));
        timer.fire = op->family == STREAM_PROCESSING_FAMILY ? run->e->now + op->delay_ms : op->fire;
        vec_foreach (other, &cell->timers)
            if (other->family != op->family || strcmp(other->tag, op->tag) != 0)
                cell->timers.items[kept++] = *other;
        cell->timers.count = kept;
        if (!op->is_clear && !(is_at_end && op->family == STREAM_EVENT_FAMILY && op->fire > cell_expiry(run, cell)))
            vec_push(&cell->timers, timer);
    }
}

static void keyed_element_in(struct stage_run *run, const struct stream_element *in) {
    struct keyed_cell probe = {.window = {in->window_start, in->window_end}}, *cell;
    struct stream_work work;

    if (cell_expiry(run, &probe) < run->watermark)
        return;
    cell = cell_for(run, in->key, probe.window);
    stream_keyed_element(run->function, in, cell->count, &work, emit, run);
    cell->count++;
    cell->is_late &= stream_is_late(in->value);
    apply_timers(run, cell, &work, false);
}

/* The key's first one of a kind that is due; false when there is none. */
static bool take_due(struct stage_run *run, struct keyed_cell *cell, unsigned family, struct keyed_timer *ret) {
    struct keyed_timer *first = NULL;

    vec_foreach (timer, &cell->timers) {
        event_time due = timer_due(run, cell, timer);
        bool is_due = family == STREAM_PROCESSING_FAMILY ? due <= run->e->now
                                                         : due < run->watermark || run->watermark == TIME_MAX;

        if (timer->family == family && is_due && (!first || due < timer_due(run, cell, first)))
            first = timer;
    }
    if (!first)
        return false;
    *ret = *first;
    *first = *vec_last(&cell->timers);
    cell->timers.count--;
    return true;
}

static void fire_timers(struct stage_run *run, unsigned family) {
    for (size_t i = 0; i < run->cells.count; i++) {
        struct keyed_cell *cell = run->cells.items[i];
        struct keyed_timer timer;

        while (take_due(run, cell, family, &timer)) {
            struct stream_work work;

            stream_keyed_timer(run->function, &timer, cell->key, cell->count, cell->is_late, &work, emit, run);
            apply_timers(run, cell, &work, family == STREAM_EVENT_FAMILY && timer.fire >= cell_expiry(run, cell));
        }
    }
}

static void free_cell(struct keyed_cell *cell) {
    vec_free(&cell->timers);
    free(cell);
}

static void expire_cells(struct stage_run *run) {
    size_t kept = 0;

    vec_foreach (slot, &run->cells) {
        struct keyed_cell *cell = *slot;
        event_time end = stream_window_max(cell->window.end);
        struct keyed_timer timer = {.family = STREAM_EXPIRATION_FAMILY,
                                    .fire = end,
                                    .hold = end,
                                    .window_start = cell->window.start,
                                    .window_end = cell->window.end};
        struct stream_work work;

        if (cell_expiry(run, cell) >= run->watermark) {
            run->cells.items[kept++] = cell;
            continue;
        }
        stream_keyed_timer(run->function, &timer, cell->key, cell->count, cell->is_late, &work, emit, run);
        free_cell(cell);
    }
    run->cells.count = kept;
}

/* ---- elements ---- */

static void run_executable(struct stage_run *run, const struct stream_element *in) {
    if (run->function->kind == FUNCTION_RECORD)
        vec_push(&run->e->recordings[run->stage->index].texts, stream_text(in));
    else if (run->function->kind == FUNCTION_STREAM_KEYED)
        keyed_element_in(run, in);
    else
        run_or_park(run, in);
}

static void deliver(struct evaluation *e, unsigned index, const struct stream_element *in) {
    const struct plan_collection *collection = &e->sim->plan.collections[index];
    struct stream_window window = {in->window_start, in->window_end};

    for (size_t i = 0; i < collection->side_consumer_count; i++) {
        struct stage_run *run = &e->stages[collection->side_consumers[i]];
        char *value = xasprintf("%s %s", in->key, in->value);

        stream_panes_element(run->panes, "", value, in->timestamp, window);
        free(value);
        unpark(run);
    }
    for (size_t i = 0; i < collection->consumer_count; i++) {
        struct stage_run *run = &e->stages[collection->consumers[i]];

        if (run->stage->kind == PLAN_FLATTEN)
            deliver(e, run->stage->outputs[0], in);
        else if (run->stage->kind == PLAN_GROUP_BY_KEY)
            stream_panes_element(run->panes, in->key, in->value, in->timestamp, window);
        else
            run_executable(run, in);
    }
}

/* ---- time ---- */

/* MODEL 3.1. */
static void move_input(struct stage_run *run) {
    event_time watermark = TIME_MAX;

    for (size_t i = 0; i < run->stage->input_count; i++)
        watermark = MIN(watermark, run->e->watermarks[run->stage->inputs[i]]);
    vec_foreach (parked, &run->parked)
        watermark = MIN(watermark, parked->element.timestamp);
    run->watermark = MAX(run->watermark, watermark);
}

static void move_stage(struct stage_run *run) {
    struct evaluation *e = run->e;
    event_time watermark;

    if (run->stage->kind == PLAN_TEST_STREAM)
        return;
    move_input(run);
    if (run->stage->kind == PLAN_GROUP_BY_KEY) {
        stream_panes_watermark(run->panes, run->watermark);
    } else if (run->function->side_count) {
        stream_panes_watermark(run->panes, e->watermarks[run->function->sides[0].collection]);
        unpark(run);
        move_input(run);
    } else if (run->function->kind == FUNCTION_STREAM_KEYED) {
        fire_timers(run, STREAM_EVENT_FAMILY);
        if (run->watermark < TIME_MAX)
            expire_cells(run);
    }
    watermark = run->stage->kind == PLAN_GROUP_BY_KEY ? stream_panes_output_watermark(run->panes) : run->watermark;
    for (size_t i = 0; i < run->stage->output_count; i++)
        e->watermarks[run->stage->outputs[i]] = watermark;
}

static void move_watermarks(struct evaluation *e) {
    for (size_t i = 0; i < e->sim->plan.stage_count; i++)
        move_stage(&e->stages[i]);
}

static void move_clock(struct evaluation *e, int64_t by) {
    e->now += by;
    for (size_t i = 0; i < e->sim->plan.stage_count; i++) {
        struct stage_run *run = &e->stages[i];

        if (run->panes)
            stream_panes_clock(run->panes, e->now);
        if (run->function->side_count)
            unpark(run);
        fire_timers(run, STREAM_PROCESSING_FAMILY);
        fire_timers(run, STREAM_EVENT_FAMILY); /* set by those, and due */
    }
}

/* At the end of the input windows wait for the processing-time timers, which nothing but the clock keeps (MODEL 7.17). */
static void finish_keyed(struct stage_run *run) {
    bool any = true;

    while (any) {
        event_time next = INT64_MAX;

        vec_foreach (cell, &run->cells)
            vec_foreach (timer, &(*cell)->timers)
                next = MIN(next, timer->fire);
        any = next != INT64_MAX;
        run->e->now = any ? MAX(run->e->now, next) : run->e->now;
        fire_timers(run, STREAM_PROCESSING_FAMILY);
        fire_timers(run, STREAM_EVENT_FAMILY);
    }
    expire_cells(run);
}

static void play(struct evaluation *e, const struct plan_stage *stage, const struct stream_event *event) {
    switch (event->kind) {
    case STREAM_ELEMENTS:
        for (unsigned i = 0; i < event->element_count; i++)
            deliver(e, stage->outputs[event->output], &event->elements[i]);
        for (size_t i = 0; i < e->sim->plan.stage_count; i++) {
            fire_timers(&e->stages[i], STREAM_EVENT_FAMILY);
            if (e->stages[i].panes)
                stream_panes_settle(e->stages[i].panes);
        }
        break;
    case STREAM_WATERMARK:
        e->watermarks[stage->outputs[event->output]] = event->watermark;
        break;
    case STREAM_PROCESSING_TIME:
        move_clock(e, event->advance_ms);
        break;
    }
    move_watermarks(e); /* also of what had waited and is done */
}

/* ---- the run ---- */

static void begin(struct evaluation *e, const struct sim_plan *sim) {
    *e = (struct evaluation){.sim = sim};
    e->stages = xcalloc(sim->plan.stage_count, sizeof(*e->stages));
    e->watermarks = xcalloc(sim->plan.collection_count, sizeof(*e->watermarks));
    e->recordings = xcalloc(sim->plan.stage_count, sizeof(*e->recordings));
    for (size_t i = 0; i < sim->plan.collection_count; i++)
        e->watermarks[i] = TIME_MIN;
    for (size_t i = 0; i < sim->plan.stage_count; i++) {
        struct stage_run *run = &e->stages[i];
        unsigned source = PLAN_NONE;

        *run = (struct stage_run){
            .e = e, .stage = &sim->plan.stages[i], .function = &sim->functions[i], .watermark = TIME_MIN};
        if (run->stage->kind == PLAN_GROUP_BY_KEY)
            source = run->stage->inputs[0];
        else if (run->function->side_count)
            source = run->function->sides[0].collection;
        if (source != PLAN_NONE)
            run->panes = stream_panes_create(&sim->plan.windowings[sim->plan.collections[source].windowing],
                                             run->function->side_count ? replace_view : emit_pane, run);
    }
}

static void end(struct evaluation *e) {
    for (size_t i = 0; i < e->sim->plan.stage_count; i++) {
        struct stage_run *run = &e->stages[i];

        if (run->panes)
            stream_panes_free(run->panes);
        vec_foreach (window, &run->view)
            clear_items(&window->items);
        vec_free(&run->view);
        vec_free(&run->parked);
        vec_foreach (cell, &run->cells)
            free_cell(*cell);
        vec_free(&run->cells);
        recording_sort(&e->recordings[i]);
    }
    free(e->stages);
    free(e->watermarks);
}

struct recording *stream_reference_run(const struct sim_plan *sim) {
    const struct stream_plan *stream = sim->stream;
    const struct plan_stage *source = &sim->plan.stages[0];
    struct evaluation e;

    begin(&e, sim);
    for (size_t i = 0; i < stream->event_count; i++)
        play(&e, source, &stream->events[i]);
    for (size_t i = 0; i < source->output_count; i++)
        e.watermarks[source->outputs[i]] = TIME_MAX;
    move_watermarks(&e);
    for (size_t i = 0; i < sim->plan.stage_count; i++)
        finish_keyed(&e.stages[i]);
    end(&e);
    return e.recordings;
}
