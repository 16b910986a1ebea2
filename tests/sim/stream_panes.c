#include "stream_panes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stream_trigger.h"

struct hold {
    bool is_set;
    event_time at;
};

/* One window of a key, from its first element until it expires. */
struct open_window {
    char key[16];
    struct stream_window window;
    VEC(char *) values;
    bool is_empty;  /* nothing new since the last pane */
    bool is_closed; /* its trigger has finished; only that is known of it */
    bool has_ended; /* the watermark's passing its end has been looked at */
    struct hold elements, extra;
    struct model_trigger *trigger;
    bool has_pane;
    struct pane last;
    bool was_not_early;
};

struct stream_panes {
    const struct windowing *windowing;
    stream_pane_fn emit;
    void *user;
    event_time watermark, output_watermark, now;
    VEC(struct open_window *) windows;
    unsigned dropped;
};

struct stream_panes *stream_panes_create(const struct windowing *windowing, stream_pane_fn emit, void *user) {
    struct stream_panes *panes = xcalloc(1, sizeof(*panes));

    *panes = (struct stream_panes){
        .windowing = windowing, .emit = emit, .user = user, .watermark = TIME_MIN, .output_watermark = TIME_MIN};
    return panes;
}

static void drop_values(struct open_window *w) {
    vec_foreach (value, &w->values)
        free(*value);
    vec_free(&w->values);
}

static void remove_window(struct stream_panes *panes, struct open_window *w) {
    size_t kept = 0;

    vec_foreach (other, &panes->windows)
        if (*other != w)
            panes->windows.items[kept++] = *other;
    panes->windows.count = kept;
    drop_values(w);
    model_trigger_free(w->trigger);
    free(w);
}

void stream_panes_free(struct stream_panes *panes) {
    while (panes->windows.count)
        remove_window(panes, panes->windows.items[0]);
    vec_free(&panes->windows);
    free(panes);
}

static struct model_trigger_moment moment_of(const struct stream_panes *panes, const struct open_window *w) {
    return (struct model_trigger_moment){panes->watermark, stream_window_max(w->window.end), panes->now,
                                         panes->windowing->needs_merge};
}

static event_time expiry_of(const struct stream_panes *panes, const struct open_window *w) {
    return stream_expiry(panes->windowing, w->window.end);
}

/* ---- holds ---- */

static void hold_until_expiry(const struct stream_panes *panes, struct open_window *w) {
    event_time at = expiry_of(panes, w);

    if (at >= panes->watermark)
        w->extra = (struct hold){true, MIN(at, TIME_MAX - 1)};
}

static void hold_element(const struct stream_panes *panes, struct open_window *w, event_time timestamp) {
    enum timestamp_combiner combiner = panes->windowing->timestamp_combiner;
    event_time window_max = stream_window_max(w->window.end);
    event_time at = combiner == OUTPUT_TIME_END_OF_WINDOW ? window_max : timestamp;

    if (at < panes->output_watermark || window_max < panes->watermark) {
        hold_until_expiry(panes, w);
        return;
    }
    if (w->elements.is_set && combiner == OUTPUT_TIME_EARLIEST)
        at = MIN(at, w->elements.at);
    if (w->elements.is_set && combiner == OUTPUT_TIME_LATEST)
        at = MAX(at, w->elements.at);
    w->elements = (struct hold){true, at};
}

static event_time take_holds(const struct stream_panes *panes, struct open_window *w, bool is_finished) {
    event_time at = stream_window_max(w->window.end);

    if (w->elements.is_set)
        at = MIN(at, w->elements.at);
    if (w->extra.is_set)
        at = MIN(at, w->extra.at);
    w->elements.is_set = w->extra.is_set = false;
    if (!is_finished && panes->windowing->close_always)
        hold_until_expiry(panes, w);
    return at;
}

void stream_panes_settle(struct stream_panes *panes) {
    event_time at = panes->watermark;

    vec_foreach (w, &panes->windows) {
        if ((*w)->elements.is_set)
            at = MIN(at, (*w)->elements.at);
        if ((*w)->extra.is_set)
            at = MIN(at, (*w)->extra.at);
    }
    panes->output_watermark = MAX(panes->output_watermark, at);
}

/* ---- panes ---- */

static struct pane next_pane(const struct stream_panes *panes, const struct open_window *w, bool is_last) {
    event_time window_max = stream_window_max(w->window.end);
    struct pane pane = {.is_first = !w->has_pane, .is_last = is_last, .nonspeculative_index = -1};

    pane.index = w->has_pane ? w->last.index + 1 : 0;
    if (panes->output_watermark > window_max || w->was_not_early)
        pane.timing = PANE_LATE;
    else
        pane.timing = panes->watermark <= window_max ? PANE_EARLY : PANE_ON_TIME;
    if (pane.timing != PANE_EARLY)
        pane.nonspeculative_index = w->was_not_early ? w->last.nonspeculative_index + 1 : 0;
    return pane;
}

static void output(struct stream_panes *panes, struct open_window *w, bool is_finished) {
    const struct windowing *windowing = panes->windowing;
    struct pane pane = next_pane(panes, w, is_finished);
    event_time timestamp = take_holds(panes, w, is_finished);
    struct stream_pane out = {w->key, w->window, timestamp, pane, w->values.items, w->values.count};

    if (w->is_empty && !(pane.timing == PANE_ON_TIME && windowing->on_time_always) &&
        !(is_finished && windowing->close_always))
        return;
    panes->emit(panes->user, &out);
    w->has_pane = true;
    w->last = pane;
    w->was_not_early |= pane.timing != PANE_EARLY;
    w->is_empty = true;
    if (windowing->accumulation == ACCUMULATION_DISCARDING)
        drop_values(w);
}

static void fire_if_ready(struct stream_panes *panes, struct open_window *w) {
    struct model_trigger_moment at = moment_of(panes, w);

    if (w->is_closed || !model_trigger_should_fire(w->trigger, &at))
        return;
    model_trigger_on_fire(w->trigger, &at);
    output(panes, w, w->trigger->is_finished);
    if (w->trigger->is_finished) {
        w->is_closed = true;
        drop_values(w);
    }
}

/* ---- elements ---- */

static struct open_window *find_window(const struct stream_panes *panes, const char *key, struct stream_window window) {
    vec_foreach (w, &panes->windows)
        if (strcmp((*w)->key, key) == 0 && (*w)->window.start == window.start && (*w)->window.end == window.end)
            return *w;
    return NULL;
}

static struct open_window *new_window(struct stream_panes *panes, const char *key, struct stream_window window) {
    struct open_window *w = xcalloc(1, sizeof(*w));

    snprintf(w->key, sizeof(w->key), "%s", key);
    w->window = window;
    w->is_empty = true;
    w->has_ended = stream_window_max(window.end) < panes->watermark;
    w->trigger = model_trigger_create(panes->windowing->trigger);
    vec_push(&panes->windows, w);
    return w;
}

static void merge_holds(const struct stream_panes *panes, struct open_window *into, const struct open_window *from) {
    enum timestamp_combiner combiner = panes->windowing->timestamp_combiner;

    if (from->elements.is_set && into->elements.is_set)
        into->elements.at = combiner == OUTPUT_TIME_EARLIEST ? MIN(into->elements.at, from->elements.at)
                                                             : MAX(into->elements.at, from->elements.at);
    else if (from->elements.is_set)
        into->elements = from->elements;
}

/* All of `from` goes into the window `to`, which is the one that it becomes. */
static void merge_into(struct stream_panes *panes, struct open_window *to, struct open_window *from) {
    struct model_trigger_moment at = moment_of(panes, to);

    vec_foreach (value, &from->values)
        vec_push(&to->values, *value);
    from->values.count = 0;
    to->is_empty &= from->is_empty;
    merge_holds(panes, to, from);
    model_trigger_merge(to->trigger, from->trigger, &at);
    remove_window(panes, from);
}

static struct open_window *find_overlap(const struct stream_panes *panes, const char *key, struct stream_window window,
                                        const struct open_window *besides) {
    vec_foreach (w, &panes->windows)
        if (*w != besides && !(*w)->is_closed && strcmp((*w)->key, key) == 0 && (*w)->window.start < window.end &&
            window.start < (*w)->window.end)
            return *w;
    return NULL;
}

/* The window with every open one that it meets, and with those that it then meets. */
static struct stream_window grow(const struct stream_panes *panes, const char *key, struct stream_window window) {
    struct stream_window before;

    do {
        before = window;
        vec_foreach (w, &panes->windows) {
            if ((*w)->is_closed || strcmp((*w)->key, key) != 0 || (*w)->window.start >= window.end ||
                window.start >= (*w)->window.end)
                continue;
            window.start = MIN(window.start, (*w)->window.start);
            window.end = MAX(window.end, (*w)->window.end);
        }
    } while (before.start != window.start || before.end != window.end);
    return window;
}

/* The window that the element's own becomes, with what was in those that it meets. Panes go on being counted only in a window that stays as
 * it was (MODEL 2.11). */
static struct open_window *merged_window(struct stream_panes *panes, const char *key, struct stream_window own) {
    struct stream_window window = grow(panes, key, own);
    struct open_window *into = find_window(panes, key, window), *other;
    bool has_changed = false;

    if (into && into->is_closed)
        return into;
    if (!into) {
        into = find_overlap(panes, key, window, NULL);
        if (!into)
            return new_window(panes, key, window);
        into->window = window;
        into->has_pane = into->was_not_early = false;
        has_changed = true;
    }
    while ((other = find_overlap(panes, key, window, into))) {
        merge_into(panes, into, other);
        has_changed = true;
    }
    into->has_ended = stream_window_max(window.end) < panes->watermark;
    if (has_changed && into->elements.is_set && panes->windowing->timestamp_combiner == OUTPUT_TIME_END_OF_WINDOW)
        into->elements.at = stream_window_max(window.end);
    if (has_changed) {
        struct model_trigger_moment at = moment_of(panes, into);

        model_trigger_grow(into->trigger, &at);
        into->extra.is_set = false;
        hold_until_expiry(panes, into);
    }
    return into;
}

void stream_panes_element(struct stream_panes *panes, const char *key, const char *value, event_time timestamp,
                          struct stream_window window) {
    struct model_trigger_moment at;
    struct open_window *w;

    if (stream_expiry(panes->windowing, window.end) < panes->watermark) {
        panes->dropped++;
        return;
    }
    w = find_window(panes, key, window);
    if (panes->windowing->needs_merge && !(w && w->is_closed))
        w = merged_window(panes, key, window);
    else if (!w)
        w = new_window(panes, key, window);
    if (w->is_closed) {
        panes->dropped++;
        return;
    }
    w->is_empty = false;
    hold_element(panes, w, timestamp);
    vec_push(&w->values, xstrdup(value));
    at = moment_of(panes, w);
    model_trigger_on_element(w->trigger, &at);
    fire_if_ready(panes, w);
}

/* ---- time ---- */

static void expire(struct stream_panes *panes, struct open_window *w) {
    if (!w->is_closed)
        output(panes, w, true);
    remove_window(panes, w);
}

void stream_panes_watermark(struct stream_panes *panes, event_time watermark) {
    if (watermark <= panes->watermark)
        return;
    panes->watermark = watermark;
    for (size_t i = panes->windows.count; i-- > 0;) {
        struct open_window *w = panes->windows.items[i];

        if (expiry_of(panes, w) < watermark) {
            expire(panes, w);
        } else if (!w->has_ended && stream_window_max(w->window.end) < watermark) {
            w->has_ended = true;
            fire_if_ready(panes, w);
        }
    }
    stream_panes_settle(panes);
}

void stream_panes_clock(struct stream_panes *panes, event_time now) {
    event_time before = panes->now;

    panes->now = now;
    vec_foreach (w, &panes->windows)
        if (!(*w)->is_closed && model_trigger_comes_due((*w)->trigger, before, now))
            fire_if_ready(panes, *w);
    stream_panes_settle(panes);
}

event_time stream_panes_output_watermark(const struct stream_panes *panes) {
    return panes->output_watermark;
}

unsigned stream_panes_dropped(const struct stream_panes *panes) {
    return panes->dropped;
}
