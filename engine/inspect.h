/* What an engine is at, as plain data: for whoever looks at a job that runs. Read only, in the time of some thousand additions; the engine
 * decides nothing by it. Engine thread. */
#ifndef ENGINE_INSPECT_H
#define ENGINE_INSPECT_H

#include "engine/engine.h"

struct stage_inspection {
    bool is_done;            /* nothing more comes of it */
    bool has_complete_input; /* nothing more comes to it */
    unsigned bundles_running;
    unsigned bundles_waiting; /* that failed and are to be run again */
    uint64_t bundles_done;
    uint64_t bundles_failed; /* attempts */
    uint64_t elements_waiting;
    uint64_t
        elements_running; /* in bundles that run; elements_read: of these, those that the harness has begun, as it said last */
    uint64_t elements_read;
    uint64_t elements_in; /* of bundles that are done */
    uint64_t bytes_in;
    event_time input_watermark, output_watermark;
    char *waits_for; /* owned; a line for a person. NULL: it is done */
};

struct bundle_inspection {
    uint64_t id;
    unsigned stage, worker;
    event_time started_ms; /* by the host's clock */
    unsigned attempt;      /* of its input; 1: the first */
};

struct engine_inspection {
    struct stage_inspection *stages; /* as in the plan */
    size_t stage_count;
    struct bundle_inspection *bundles; /* that run */
    size_t bundle_count;
    uint64_t retries; /* bundles that were or will be run again */
};

void engine_inspect(const struct engine *engine, struct engine_inspection *ret);
void engine_inspection_clear(struct engine_inspection *inspection);

#endif
