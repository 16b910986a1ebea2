/* What bundles report of themselves, added up for the job (MODEL 12).
 *
 *      committed = the responses of bundles that were committed
 *      attempted = committed + the last report of each attempt that failed + the last report of each bundle that runs
 *
 * A report holds the totals of one attempt, so that a later one takes the place of an earlier one and is never added to it. What describes
 * work under way (type beam:metrics:progress:v1) counts only while the bundle runs.
 *
 * Reports speak the plan's language, and the submitter knows the pipeline only. So, as they are added up:
 *
 *   PTRANSFORM    becomes the unique name of the submitted transform, of which translate/ may have made several: these are merged. The SDKs'
 *                 queries ask by step name, and the Python SDK's own runner answers so. What the ends of the Data stream measure goes.
 *   PCOLLECTION   keeps the id; what translate/ made in between goes.
 *
 * What streams drop (MODEL 3.12, 5.2) the runner tells in counters of the step, named as Beam's Java runners name them.
 *
 * Each PCollection is counted once, although harnesses count at both ends of a stage boundary: where it is produced. Who reads it is not
 * asked, and what the runner itself produces (Impulse, GroupByKey, Flatten, Reshuffle) is counted here, as is what a harness wrote to a
 * sink without saying how much. Sizes of what the runner produces come from the first stage that reads it, the only one that has decoded
 * it. */
#ifndef ENGINE_TALLY_H
#define ENGINE_TALLY_H

#include "base/buf.h"
#include "engine/commit.h"
#include "engine/input.h"
#include "model/bundle.h"
#include "translate/plan.h"

struct tally {
    const struct plan *plan;
    struct metric_table committed;
    struct metric_table failed; /* last reports of attempts that are given up */
    struct map names;           /* stage and identity, as reported -> struct tally_name */
    struct buf scratch;         /* for keys of `names` */
    struct tally_collection *collections;
    struct tally_dropped *dropped; /* by stage */
};

/* Elements, once a window, that came when it was too late for their window, or when the trigger of theirs was finished. */
struct tally_dropped {
    uint64_t late, closed;
};

struct tally_collection {
    struct slice identity; /* of its element count; empty: the submitter does not know it */
    uint64_t elements;     /* counted by the runner */
};

/* `plan` is borrowed. */
void tally_init(struct tally *tally, const struct plan *plan);
void tally_finish(struct tally *tally);

/* Before the commit's outputs are moved on. */
void tally_commit(struct tally *tally, const struct bundle_commit *commit);
/* An attempt that came to nothing; NULL: it never reported. */
void tally_fail(struct tally *tally, unsigned stage, const struct bundle_response *last);
/* Elements of a PCollection that the runner itself produced. */
void tally_elements(struct tally *tally, unsigned collection, uint64_t count);

/* Of a stage: all that it has dropped so far. */
void tally_dropped(struct tally *tally, unsigned stage, struct tally_dropped dropped);

/* What a committed bundle was given. Groups that are handed on as they lie in their partition are counted here, once: how many there are
 * need not be known before. */
void tally_claim(struct tally *tally, unsigned stage, const struct claim *claim);

/* Copies as of now, of everything but what runs. The caller clears them. */
void tally_copy(const struct tally *tally, struct metric_table *ret_attempted, struct metric_table *ret_committed);
/* Adds the last report of a bundle that runs; NULL: there is none. */
void tally_add_running(struct tally *tally, unsigned stage, const struct bundle_response *last,
                       struct metric_table *attempted);

#endif
