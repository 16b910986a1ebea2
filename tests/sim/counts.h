/* What must be true of the job's metrics, kept apart from the engine (engine/tally.h). Bundles report a counter with totals drawn at random, at
 * random moments, and the elements of their outputs, or not.
 *
 *      at any time         committed = the responses of what was committed
 *                          attempted = that + the last reports of what failed + the last reports of what runs
 *      end of the job      a PCollection has as many elements as committed bundles wrote, or read, of it */
#ifndef SIM_COUNTS_H
#define SIM_COUNTS_H

#include "engine/engine.h"
#include "functions.h"

struct world;
struct sim_bundle;

struct count {
    int64_t sum;
    int64_t distribution; /* how many values; 0 is an empty one, whose minimum and maximum must not show */
};

/* Zero-initialise. */
struct counts {
    struct count committed, failed;
    struct map elements; /* collection -> what committed bundles wrote to it, a heap uint64 */
    struct map given;    /* stage -> what committed bundles were given, a heap uint64 */
};

/* Makes the metrics of a report, the response or an earlier one. */
void counts_report(struct sim_bundle *bundle, struct bundle_response *ret, bool is_final);
/* An event is about to be given to the engine. */
void counts_note_report(struct sim_bundle *bundle, const struct engine_event *event);
void counts_commit(struct world *world, const struct sim_bundle *bundle);
void counts_fail(struct world *world, const struct sim_bundle *bundle);
void counts_check(struct world *world);
void counts_check_end(struct world *world);
void counts_clear(struct counts *counts);

#endif
