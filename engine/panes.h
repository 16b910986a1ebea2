/* Grouping of an input that goes on: by key and window, in panes (MODEL 2.8 - 2.11, 3.6 - 3.18, 4.10 - 4.13, 5.1 - 5.10).
 *
 *      elements --> late? dropped --> cell of (key, window) --> trigger says so --> pane_fn: a pane
 *                                      values, holds, trigger state             ^
 *      pane_group_advance: end of window, garbage collection, processing time --+
 *
 * A cell lives until its window is past its allowed lateness, its trigger's finished bits until then even when all else is gone: data that
 * comes for a window whose trigger is done is dropped, and opens nothing (MODEL 3.16). Windows that merge are merged before elements
 * are put into them (engine/pane_merge.c). How those of a user's function do is asked: then elements are parked until there is an answer
 * (engine/pane_ask.c).
 *
 * Panes come out in an order that depends on nothing but the calls made. Memory is charged to the account. Belongs to the engine's thread. */
#ifndef ENGINE_PANES_H
#define ENGINE_PANES_H

#include "engine/group.h"
#include "model/window.h"

struct pane_group;

/* What the stage knows of time. The watermarks never go back. */
struct pane_clock {
    event_time input_watermark, output_watermark, processing_time;
};

/* A pane, borrowed for the call. */
struct pane_firing {
    struct slice key; /* encoded, as it is in the elements; empty without keys */
    struct slice window;
    event_time window_end; /* its maximum timestamp */
    event_time timestamp;
    struct pane pane;
    const struct group_chunk *values; /* encoded, end to end; NULL: none */
    uint64_t count;                   /* of values */
    uint64_t value_bytes;
};

/* Must not call the group. */
typedef void (*pane_fn)(void *user, const struct pane_firing *firing);

/* `input` is the coder of the elements, a windowed value's. With keys its value is a KV, whose key is grouped by and whose value is kept;
 * without, the elements of a window are one group, and kept whole. The trigger was checked (trigger_check). Windows
 * merge only with keys: sessions, and others by what the SDK says. What is passed outlives the group. */
struct pane_group *pane_group_create(const struct coder *input, const struct windowing *windowing, bool has_keys,
                                     struct account *account);
/* NULL is fine. */
void pane_group_destroy(struct pane_group *group);

/* Takes in a run that is in memory, borrowed, then fires what its elements made due. The bytes were checked when they arrived. */
void pane_group_add(struct pane_group *group, const struct run *run, const struct pane_clock *clock, pane_fn fn,
                    void *user);
/* Fires what the clock has made due: ends of windows and garbage collection, then timers of processing time, each in order of time. */
void pane_group_advance(struct pane_group *group, const struct pane_clock *clock, pane_fn fn, void *user);

/* ---- where the SDK says how windows merge ---- */

/* Writes questions that were not written yet (engine/mergebook.h), until about target_bytes are. Returns how many; 0: all are. To be called
 * until then, after each call that takes in elements or answers. */
uint64_t pane_group_write_questions(struct pane_group *group, size_t target_bytes, struct buf *out);
/* For merge_book_check(); NULL where nothing is asked. */
struct merge_book *pane_group_merges(struct pane_group *group);
/* Takes in answers that were checked, then fires what the elements that waited for them made due. */
void pane_group_answer(struct pane_group *group, const struct run *answers, const struct pane_clock *clock, pane_fn fn,
                       void *user);
/* Whether elements wait for an answer. */
bool pane_group_is_waiting(const struct pane_group *group);
/* The least timestamp of elements that wait for an answer: the input watermark must not go beyond it. TIME_MAX: nothing waits. */
event_time pane_group_parked_least(const struct pane_group *group);

/* The least hold on the output watermark; TIME_MAX: none. */
event_time pane_group_hold(const struct pane_group *group);
/* The processing time at which pane_group_advance() is due again; TIME_MAX: none. */
event_time pane_group_next_wake(const struct pane_group *group);
/* The input watermark has to be past this time, or at TIME_MAX, for pane_group_advance() to be due again; TIME_MAX: nothing waits. */
event_time pane_group_next_event(const struct pane_group *group);
/* No window is open and no element waits: nothing is left to fire. */
bool pane_group_is_empty(const struct pane_group *group);
/* Elements in windows that are past their allowed lateness (MODEL 3.10), and in those whose trigger is finished (MODEL 5.2). */
uint64_t pane_group_dropped_late(const struct pane_group *group);
uint64_t pane_group_dropped_closed(const struct pane_group *group);

/* The pane as a windowed KV<key, iterable<value>>; without keys as a windowed iterable. */
void pane_firing_write(const struct pane_firing *firing, struct buf *out);

#endif
