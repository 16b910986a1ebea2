/* Random windowing strategies for streaming plans. */
#ifndef SIM_STREAM_WINDOWING_H
#define SIM_STREAM_WINDOWING_H

#include "base/arena.h"
#include "model/windowing.h"
#include "random.h"

/* What processing time is counted in. A test stream's clock moves by whole ticks from 0, and targets lie between them, by more than a bundle
 * takes: the harness has a clock of its own. */
int64_t stream_tick_ms(bool is_exact);
/* Without its window coder; `is_side`: for a side input whose content at any moment is foretold. What it points to is in `arena`. */
struct windowing stream_random_windowing(struct rng *rng, struct arena *arena, bool is_exact, bool is_side);

#endif
