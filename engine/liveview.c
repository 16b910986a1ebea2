#include "engine/liveview.h"

#include <assert.h>
#include <stdlib.h>

#include "model/window.h"

struct live_view {
    const struct view *view;
    struct windowing windowing; /* of `panes` */
    bool is_read_early;
    struct pane_group *panes;
    event_time output_watermark; /* what a grouping's would be: behind what has not fired */
    struct map windows;          /* encoded -> struct snapshot */
};

struct snapshot *snapshot_ref(struct snapshot *snapshot) {
    if (snapshot)
        snapshot->refs++;
    return snapshot;
}

void snapshot_unref(struct snapshot *snapshot) {
    if (!snapshot || --snapshot->refs)
        return;
    view_clear(&snapshot->view);
    free(snapshot);
}

static void unref(void *snapshot) {
    snapshot_unref(snapshot);
}

static bool looks_at_the_end(const struct trigger *trigger) {
    if (trigger->kind == TRIGGER_DEFAULT || trigger->kind == TRIGGER_AFTER_END_OF_WINDOW)
        return true;
    for (size_t i = 0; i < trigger->child_count; i++)
        if (trigger->children[i] && looks_at_the_end(trigger->children[i]))
            return true;
    return false;
}

struct live_view *live_view_create(const struct view *view, const struct windowing *windowing) {
    struct live_view *live = xcalloc(1, sizeof(*live));

    live->view = view;
    live->output_watermark = TIME_MIN;
    live->windowing = *windowing;
    live->is_read_early = windowing->fn == WINDOW_FN_GLOBAL || !looks_at_the_end(windowing->trigger);
    if (!live->is_read_early)
        live->windowing.accumulation = ACCUMULATION_ACCUMULATING; /* so that its last pane has all */
    live->panes = pane_group_create(view->coder, &live->windowing, false, view->account);
    return live;
}

bool live_view_is_read_early(const struct live_view *live) {
    return live->is_read_early;
}

void live_view_free(struct live_view *live) {
    if (!live)
        return;
    pane_group_destroy(live->panes);
    map_clear(&live->windows, unref);
    free(live);
}

static void add_values(struct view *view, struct cursor window, struct cursor values) {
    while (cursor_left(&values)) {
        struct cursor value = values;
        enum coder_result result = coder_skip(view->coder->components[0], &values);

        assert(result == CODER_OK);
        (void)result;
        value.end = values.at;
        view_add_element(view, window, value);
    }
}

/* The pane takes the place of the one before it, if there is something in it. */
static void replace(void *user, const struct pane_firing *firing) {
    struct live_view *live = user;
    struct cursor window = cursor_of(firing->window.data, firing->window.size);
    void **slot = map_slot(&live->windows, firing->window.data, firing->window.size);
    struct snapshot *snapshot;

    if (*slot && firing->count == 0)
        return; /* no news */
    snapshot = xcalloc(1, sizeof(*snapshot));
    snapshot->refs = 1;
    snapshot->view.collection = live->view->collection;
    snapshot->view.access = live->view->access;
    snapshot->view.coder = live->view->coder;
    snapshot->view.account = live->view->account;
    for (const struct group_chunk *chunk = firing->values; chunk; chunk = chunk->next)
        add_values(&snapshot->view, window, cursor_of(group_chunk_values(chunk), chunk->size));
    snapshot_unref(*slot);
    *slot = snapshot;
}

static struct pane_clock pane_clock_of(const struct live_view *live, event_time watermark, event_time processing_time) {
    return (struct pane_clock){
        .input_watermark = watermark, .output_watermark = live->output_watermark, .processing_time = processing_time};
}

void live_view_add(struct live_view *live, const struct run *run, event_time watermark, event_time processing_time) {
    struct pane_clock clock = pane_clock_of(live, watermark, processing_time);

    pane_group_add(live->panes, run, &clock, replace, live);
}

void live_view_advance(struct live_view *live, event_time watermark, event_time processing_time) {
    struct pane_clock clock = pane_clock_of(live, watermark, processing_time);
    event_time hold;

    pane_group_advance(live->panes, &clock, replace, live);
    hold = pane_group_hold(live->panes);
    live->output_watermark = MAX(live->output_watermark, MIN(watermark, hold));
}

event_time live_view_next_wake(struct live_view *live) {
    return pane_group_next_wake(live->panes);
}

struct snapshot *live_view_find(const struct live_view *live, struct slice window) {
    return map_get(&live->windows, window.data, window.size);
}

void live_view_forget(struct live_view *live, event_time watermark) {
    struct map kept = {0};
    bool any = false;

    map_foreach (entry, &live->windows) {
        struct cursor at = cursor_of(entry->key, entry->key_size);
        event_time end;
        enum coder_result result = window_max_timestamp(live->view->coder->components[1], &at, &end);

        assert(result == CODER_OK);
        (void)result;
        any |= end < watermark;
    }
    if (!any)
        return;
    map_foreach (entry, &live->windows) {
        struct cursor at = cursor_of(entry->key, entry->key_size);
        event_time end = TIME_MIN;

        window_max_timestamp(live->view->coder->components[1], &at, &end);
        if (end < watermark)
            snapshot_unref(entry->value);
        else
            map_set(&kept, entry->key, entry->key_size, entry->value);
    }
    map_clear(&live->windows, NULL);
    live->windows = kept;
}
