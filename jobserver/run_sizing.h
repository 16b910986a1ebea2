/* How many workers an environment gets, and how many bundles each works on at once.
 *
 * What counts, the first that says something:
 *
 *   workers   --trestle_environment_workers for this environment or its SDK; --trestle_workers; --sdk_worker_parallelism above 1 (its default
 *             is sent by all SDKs, asked for or not); `workers` in `environments`; workers.per_environment; else, where the runner starts the processes and one process
 *             uses one core (Python), one for each core; else one
 *   slots     --trestle_slots; `slots` in `environments`; workers.slots; else, for a harness that can use several cores (Java, Go), its share of them; else one; in a
 *             stream two at least, so that a bundle that waits in the user's code holds up no other, and one more for each source that may
 *             never end, which works on a bundle all the time
 *
 * Resource hints of the environment (beam_runner_api.proto, StandardResourceHints) bound that:
 *
 *   cpu_count                       there are as many cores as this goes into those of the machine
 *   min_ram_bytes                   no more workers than the machine's memory has room for, one at least; of those that the runner starts
 *   max_active_bundles_per_worker   no more slots than this
 *
 * A hint that cannot be read is none: they are advisory. Plain computation; any thread. */
#ifndef JOBSERVER_RUN_SIZING_H
#define JOBSERVER_RUN_SIZING_H

#include "jobserver/pipeline_options.h"
#include "translate/plan.h"

struct run_sizing {
    unsigned cores; /* of the machine; at least 1 */
    uint64_t memory_bytes;
    /* 0: not said */
    unsigned configured_workers, configured_slots;
    unsigned wanted_workers, wanted_slots;
    const struct pipeline_options *options; /* for trestle_environment_workers; may be NULL */
    const struct plan *plan;                /* whose stages run there; NULL: not known, a bounded one */
};

struct run_size {
    unsigned workers;
    unsigned slots;      /* per worker */
    bool lacks_memory;   /* not even one worker has the memory that it is said to need: */
    uint64_t need_bytes; /* this much */
};

/* This machine's cores (those that the daemon may run on) and memory; the rest is 0. */
struct run_sizing run_sizing_of_machine(void);
/* What the job's options say, into `sizing`, which borrows them. Values that make no sense were refused at Prepare. */
void run_sizing_read_options(struct run_sizing *sizing, const struct pipeline_options *options);
/* For an environment of the plan, if there is one. */
struct run_size run_sizing_plan(const struct run_sizing *sizing, const struct plan_environment *environment);

/* Whether "NAME=COUNT,..." is well formed: for pipeline_options_check(). */
int run_sizing_check_environments(const struct pipeline_options *options, struct status *st);

#endif
