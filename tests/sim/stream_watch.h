/* What the sources of a streaming plan have promised, as their committed bundles said it, and what must wait for it: an event-time timer, the
 * end of a window, a pane that is on time. No watermark of the engine's may be beyond that bound. */
#ifndef SIM_STREAM_WATCH_H
#define SIM_STREAM_WATCH_H

#include "model/window.h"
#include "sdk.h"

void watch_commit(struct world *world, const struct sim_bundle *bundle);
/* The bundle is given them. */
void watch_element(struct world *world, const struct sim_bundle *bundle, const struct windowed_value *value);
void watch_timer(struct world *world, const struct sim_bundle *bundle, const struct keyed_timer *timer);

#endif
