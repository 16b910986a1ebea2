#include "engine/panes.h"
struct pane_group *pane_group_create(const struct coder *input, const struct windowing *windowing, bool has_keys,
                                     struct account *account) {
    (void)input;
    (void)windowing;
    (void)has_keys;
    (void)account;
    return NULL;
}
void pane_group_destroy(struct pane_group *group) {
    (void)group;
}
void pane_group_add(struct pane_group *group, const struct run *run, const struct pane_clock *clock, pane_fn fn,
                    void *user) {
    (void)group;
    (void)run;
    (void)clock;
    (void)fn;
    (void)user;
}
void pane_group_advance(struct pane_group *group, const struct pane_clock *clock, pane_fn fn, void *user) {
    (void)group;
    (void)clock;
    (void)fn;
    (void)user;
}
event_time pane_group_hold(struct pane_group *group) {
    (void)group;
    return TIME_MAX;
}
event_time pane_group_next_wake(struct pane_group *group) {
    (void)group;
    return TIME_MAX;
}
bool pane_group_is_empty(const struct pane_group *group) {
    (void)group;
    return true;
}
void pane_firing_write(const struct pane_firing *firing, struct buf *out) {
    (void)firing;
    (void)out;
}
