/* What must be true of a streaming job's result whatever the engine is free to order: each stage's output, as a recorder saw it, against
 * its input, as another one did.
 *
 *      sources      every position once; of a job that was drained, none twice
 *      stateless    exactly what follows from the input
 *      groupings    each element in one pane of its window (discarding), or in a row of them to the last (accumulating); panes numbered without a
 *                   gap, EARLY* ON_TIME? LATE*; nothing behind the last; nothing lost but what was late, or came behind a trigger's end
 *      keyed        each element once, a place for each, one end for each window; the ledger says what is true of timers */
#ifndef SIM_STREAM_CHECK_H
#define SIM_STREAM_CHECK_H

#include "reference.h"

/* The first rule that is broken, the caller's; NULL when none is. The recordings are sorted. */
char *stream_check(const struct sim_plan *sim, const struct recording *recordings, bool was_drained);

#endif
