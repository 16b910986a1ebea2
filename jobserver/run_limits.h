/* How much of a job's data its engine may hold in memory at once, as its options say: a part of the budget, shared out among the bundles that
 * run at the same time. What may not be stored while it is used (a bundle's input, the groups that it is being sent) must be small beside
 * the budget, or storing all else does not help (law 4 of docs/architecture.md). Pure. */
#ifndef JOBSERVER_RUN_LIMITS_H
#define JOBSERVER_RUN_LIMITS_H

#include "engine/engine.h"

/* Lowers what is too much for `budget_bytes` (0: there is none, nothing is lowered) and `slots` bundles at a time; where the options say 0, that
 * is the engine's default. Half of the budget is for what may be stored, since storing begins there; of the other half each
 * slot gets its share:
 *      1/4 of share   the claim of its bundle
 *      1/4            groups that were stored, in two buckets
 *      1/16           input under way to the harness */
void run_limits_apply(struct engine_options *options, size_t budget_bytes, unsigned slots);

#endif
