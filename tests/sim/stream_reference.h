/* What the recorders of an exact streaming plan must see: the test stream played event by event, each to the end of what comes of it, on plain
 * lists. */
#ifndef SIM_STREAM_REFERENCE_H
#define SIM_STREAM_REFERENCE_H

#include "reference.h"

/* stage_count recordings, the caller's, sorted. */
struct recording *stream_reference_run(const struct sim_plan *sim);

#endif
