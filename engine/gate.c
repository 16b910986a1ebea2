#include "engine/gate.h"

#include <assert.h>
#include <stdlib.h>

#include "engine/liveview.h"

/* What waits in one window of the main input. */
struct waiting {
    struct slice window;
    struct buf bytes;
    uint64_t count;
    event_time least_ms;
};

struct gate {
    struct engine *engine;
    struct stage *stage;
    const struct coder *coder;
    VEC(struct waiting *) waiting; /* in order of first appearance */
    struct map by_window;          /* -> struct waiting */
};

struct gate *gate_create(struct engine *engine, struct stage *stage) {
    struct gate *gate;
    bool is_live = false;

    for (size_t i = 0; i < stage->plan->side_input_count; i++)
        is_live |= stage->views[i]->live != NULL;
    if (!is_live)
        return NULL;
    gate = xcalloc(1, sizeof(*gate));
    gate->engine = engine;
    gate->stage = stage;
    gate->coder = stage_source_coder(engine, stage);
    return gate;
}

static void waiting_free(struct waiting *waiting) {
    slice_unref(&waiting->window);
    buf_clear(&waiting->bytes);
    free(waiting);
}

void gate_free(struct gate *gate) {
    if (!gate)
        return;
    vec_foreach (waiting, &gate->waiting)
        waiting_free(*waiting);
    vec_free(&gate->waiting);
    map_clear(&gate->by_window, NULL);
    free(gate);
}

/* ---- which windows are ready ---- */

static int64_t floor_mod(int64_t a, int64_t b) {
    int64_t rest = a % b;

    return rest < 0 ? rest + b : rest;
}

/* The side input's window for a main window that ends at `end` (MODEL 8.3): the one of the window's last moment; of those that slide, the
 * earliest that has it. Custom window fns map as they please, so false: not known. */
static bool map_window(const struct windowing *side, event_time end, struct buf *ret_window, event_time *ret_end) {
    int64_t step = side->fn == WINDOW_FN_SLIDING ? side->period_ms : side->size_ms;
    event_time start;

    switch (side->fn) {
    case WINDOW_FN_GLOBAL:
        *ret_end = TIME_GLOBAL_WINDOW_END;
        return true;
    case WINDOW_FN_FIXED:
    case WINDOW_FN_SLIDING:
        start = time_add(end, -floor_mod(time_add(end, -side->offset_ms), step));
        if (side->fn == WINDOW_FN_SLIDING)
            start =
                time_add(start, -(side->size_ms - 1 - floor_mod(time_add(end, -side->offset_ms), step)) / step * step);
        *ret_end = time_add(start, side->size_ms - 1);
        interval_window_encode(ret_window, start, time_add(start, side->size_ms));
        return true;
    default:
        return false;
    }
}

/* A window that has ended is ready, and before that one that holds something to be read early (MODEL 8.2). Of a window that is not known it is
 * assumed that it ends no later than the main one. */
static bool is_ready_in(const struct gate *gate, struct view *view, event_time main_end) {
    const struct plan_collection *collection = &gate->engine->plan->collections[view->collection];
    event_time watermark = view_watermark(gate->engine, view), end = main_end;
    struct buf window = {0};
    bool is_ready = false;

    if (map_window(&gate->engine->plan->windowings[collection->windowing], main_end, &window, &end))
        is_ready = live_view_is_read_early(view->live) &&
                   live_view_find(view->live, slice_of_static(buf_data(&window), window.size)) != NULL;
    buf_clear(&window);
    return is_ready || watermark > end;
}

static bool is_ready(const struct gate *gate, struct cursor *windows) {
    event_time end;
    enum coder_result result = window_max_timestamp(gate->coder->components[1], windows, &end);

    assert(result == CODER_OK);
    (void)result;
    for (size_t i = 0; i < gate->stage->plan->side_input_count; i++)
        if (gate->stage->views[i]->live && !is_ready_in(gate, gate->stage->views[i], end))
            return false;
    return true;
}

/* ---- elements ---- */

static struct waiting *waiting_in(struct gate *gate, struct cursor window) {
    void **slot = map_slot(&gate->by_window, window.at, cursor_left(&window));
    struct waiting *waiting = *slot;

    if (waiting)
        return waiting;
    *slot = waiting = xcalloc(1, sizeof(*waiting));
    waiting->window = slice_copy(window.at, cursor_left(&window), gate->engine->options.account);
    waiting->bytes.account = gate->engine->options.account;
    waiting->least_ms = TIME_MAX;
    vec_push(&gate->waiting, waiting);
    return waiting;
}

static void keep(struct gate *gate, const struct windowed_value *element, struct cursor window) {
    struct waiting *waiting = waiting_in(gate, window);
    struct windowed_value alone = *element;

    alone.window_count = 1;
    alone.windows = window;
    windowed_value_write(&waiting->bytes, &alone);
    waiting->count++;
    waiting->least_ms = MIN(waiting->least_ms, element->timestamp);
}

/* Leaves the element's windows that are ready, whose bytes are then in `ready`. */
static void keep_others(struct gate *gate, struct windowed_value *element, struct buf *ready) {
    struct cursor windows = element->windows;
    uint32_t ready_count = 0;

    ready->size = 0;
    for (uint32_t i = 0; i < element->window_count; i++) {
        struct cursor window = windows;
        bool has_its_turn = is_ready(gate, &windows);

        window.end = windows.at;
        /* What came before in the window may wait although it has become ready. */
        if (!has_its_turn || map_get(&gate->by_window, window.at, cursor_left(&window))) {
            keep(gate, element, window);
            continue;
        }
        buf_add(ready, window.at, cursor_left(&window));
        ready_count++;
    }
    element->window_count = ready_count;
    element->windows = cursor_of(buf_data(ready), ready->size);
}

void gate_admit(struct gate *gate, const struct run *run, struct run *ret_run) {
    struct cursor at = cursor_of(run->bytes.data, run->bytes.size);
    struct buf out = {.account = gate->engine->options.account}, ready = {0};

    *ret_run = (struct run){.least_ms = TIME_MAX, .has_least = true};
    while (cursor_left(&at)) {
        struct windowed_value element;
        enum coder_result result = windowed_value_read(gate->coder, &at, &element);

        assert(result == CODER_OK);
        (void)result;
        keep_others(gate, &element, &ready);
        if (!element.window_count)
            continue;
        windowed_value_write(&out, &element);
        ret_run->count++;
        ret_run->least_ms = MIN(ret_run->least_ms, element.timestamp);
    }
    buf_clear(&ready);
    ret_run->bytes = buf_finish(&out);
}

bool gate_release(struct gate *gate, struct run *ret_run) {
    for (size_t i = 0; i < gate->waiting.count; i++) {
        struct waiting *waiting = gate->waiting.items[i];
        struct cursor window = cursor_of(waiting->window.data, waiting->window.size);

        if (!is_ready(gate, &window))
            continue;
        *ret_run = (struct run){.bytes = buf_finish(&waiting->bytes),
                                .count = waiting->count,
                                .least_ms = waiting->least_ms,
                                .has_least = true};
        map_remove(&gate->by_window, waiting->window.data, waiting->window.size);
        memmove(gate->waiting.items + i, gate->waiting.items + i + 1,
                (gate->waiting.count - i - 1) * sizeof(struct waiting *));
        gate->waiting.count--;
        waiting_free(waiting);
        return true;
    }
    return false;
}

event_time gate_least(const struct gate *gate) {
    event_time least = TIME_MAX;

    vec_foreach (waiting, &gate->waiting)
        least = MIN(least, (*waiting)->least_ms);
    return least;
}

uint64_t gate_count(const struct gate *gate) {
    uint64_t count = 0;

    vec_foreach (waiting, &gate->waiting)
        count += (*waiting)->count;
    return count;
}

/* ---- for people ---- */

enum { DESCRIBED_WINDOWS = 3 };

static void describe_waiting(const struct gate *gate, const struct waiting *waiting, const char *name,
                             struct view *view, event_time end, struct buf *out) {
    const struct plan *plan = gate->engine->plan;
    char until[TIME_TEXT_SIZE], at[TIME_TEXT_SIZE];

    buf_printf(
        out,
        "\n    of them %llu in the window that ends at %s, for side input \"%s\" (\"%s\"), which has nothing for "
        "it yet and whose watermark is %s",
        (unsigned long long)waiting->count, time_describe(end, until), name ? name : "",
        plan->collections[view->collection].name, time_describe(view_watermark(gate->engine, view), at));
}

void gate_describe(const struct gate *gate, struct buf *out) {
    const struct plan_side_input *sides = gate->stage->plan->side_inputs;

    for (size_t i = 0; i < gate->waiting.count && i < DESCRIBED_WINDOWS; i++) {
        const struct waiting *waiting = gate->waiting.items[i];
        struct cursor window = cursor_of(waiting->window.data, waiting->window.size);
        event_time end = TIME_MIN;

        window_max_timestamp(gate->coder->components[1], &window, &end);
        for (size_t j = 0; j < gate->stage->plan->side_input_count; j++) {
            struct view *view = gate->stage->views[j];

            if (view->live && !is_ready_in(gate, view, end))
                describe_waiting(gate, waiting, sides[j].local_name, view, end, out);
        }
    }
    if (gate->waiting.count > DESCRIBED_WINDOWS)
        buf_printf(out, "\n    and others in %zu more windows", gate->waiting.count - DESCRIBED_WINDOWS);
}
