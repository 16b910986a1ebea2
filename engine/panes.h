#ifndef ENGINE_PANES_H
#define ENGINE_PANES_H
#include "engine/chain.h"
#include "engine/runs.h"
#include "model/window.h"
#include "model/windowing.h"
struct pane_group;
struct pane_group *pane_group_create(const struct coder *input, const struct windowing *windowing, bool has_keys,
                                     struct account *account);
void pane_group_destroy(struct pane_group *group);
struct pane_clock {
    event_time input_watermark, output_watermark, processing_time;
};
struct pane_firing {
    struct slice key, window;
    event_time timestamp;
    struct pane pane;
    const struct chain *values;
    uint64_t count;
};
typedef void (*pane_fn)(void *user, const struct pane_firing *firing);
void pane_group_add(struct pane_group *group, const struct run *run, const struct pane_clock *clock, pane_fn fn,
                    void *user);
void pane_group_advance(struct pane_group *group, const struct pane_clock *clock, pane_fn fn, void *user);
event_time pane_group_hold(struct pane_group *group);
event_time pane_group_next_wake(struct pane_group *group);
bool pane_group_is_empty(const struct pane_group *group);
void pane_firing_write(const struct pane_firing *firing, struct buf *out);
#endif
