/* Triggers, slowly and plainly: a tree of nodes with one function for each question of MODEL 5.11 to 5.24. Shares nothing with the engine. */
#ifndef SIM_STREAM_TRIGGER_H
#define SIM_STREAM_TRIGGER_H

#include <stdbool.h>

#include "model/windowing.h"

struct model_trigger {
    const struct trigger *spec;
    bool is_finished;
    bool early_is_done; /* AFTER_END_OF_WINDOW: it has fired at the end of the window, or behind it */
    int64_t count;
    bool has_target; /* the processing-time triggers: an element came */
    event_time target;
    struct model_trigger *children[4]; /* NULL where the trigger has none */
};

struct model_trigger_moment {
    event_time watermark, window_max, now;
    bool merges;
};

struct model_trigger *model_trigger_create(const struct trigger *spec);
void model_trigger_free(struct model_trigger *node);
void model_trigger_on_element(struct model_trigger *node, const struct model_trigger_moment *at);
bool model_trigger_should_fire(const struct model_trigger *node, const struct model_trigger_moment *at);
void model_trigger_on_fire(struct model_trigger *node, const struct model_trigger_moment *at);
/* Of what `from` knows too; for the triggers that stream_plans.c gives to windows that merge. */
void model_trigger_merge(struct model_trigger *into, const struct model_trigger *from,
                         const struct model_trigger_moment *at);
/* The window has become another one, which ends later: what has fired at its end may have done so too soon (MODEL 5.23). */
void model_trigger_grow(struct model_trigger *node, const struct model_trigger_moment *at);
/* Whether a processing-time trigger in it has just come due between two times: then the window is looked at. */
bool model_trigger_comes_due(const struct model_trigger *node, event_time before, event_time now);
/* Whether it can finish before its window does, so that what comes later is dropped. */
bool model_trigger_may_finish(const struct trigger *spec);

#endif
