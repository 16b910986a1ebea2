/* Side inputs of a stream. What an unbounded PCollection gives as side input changes while it is read: it is as if it were grouped under
 * one key, and each firing of its trigger changes what its window holds (MODEL 8.5).
 *
 *      global window, or a trigger that does not look at the window's end   readers want news: each pane that has something replaces the last
 *                                                                           one, and the first makes the window ready
 *      the others                                                           early panes are guesses: the window is ready once it has ended,
 *                                                                           and holds all of its panes (discarding) or the last (accumulating)
 *
 *      elements --> panes (engine/panes.h) --> window: { snapshot }      a bundle keeps the snapshot that it read first
 *
 * Belongs to the engine's thread. */
#ifndef ENGINE_LIVEVIEW_H
#define ENGINE_LIVEVIEW_H

#include "engine/panes.h"
#include "engine/view.h"

struct live_view;

/* What a window held at some time. */
struct snapshot {
    unsigned refs;
    struct view view;
};

struct snapshot *snapshot_ref(struct snapshot *snapshot);
/* NULL is fine. */
void snapshot_unref(struct snapshot *snapshot);

/* `view` says what is read and how; it is borrowed. */
struct live_view *live_view_create(const struct view *view, const struct windowing *windowing);
void live_view_free(struct live_view *live);
/* Borrows the run, which is in memory. `watermark` is the view's (view_watermark). */
void live_view_add(struct live_view *live, const struct run *run, event_time watermark, event_time processing_time);
void live_view_advance(struct live_view *live, event_time watermark, event_time processing_time);
/* Processing time at which to advance again, TIME_MAX: none. */
event_time live_view_next_wake(struct live_view *live);
/* Whether what has fired may be read before the end of its window. */
bool live_view_is_read_early(const struct live_view *live);
/* What the window holds, borrowed; NULL: nothing has fired. */
struct snapshot *live_view_find(const struct live_view *live, struct slice window);
/* Lets go of windows that end before `watermark`: nobody will read them. */
void live_view_forget(struct live_view *live, event_time watermark);

#endif
