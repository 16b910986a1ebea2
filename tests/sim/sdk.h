/* A fake SDK harness, seen as the bundles it runs: it decodes input, reads side inputs and state by requests with pages, applies the
 * stage's function and sends what comes out, cut anywhere, in any order, with faults. */
#ifndef SIM_SDK_H
#define SIM_SDK_H

#include "world.h"

struct sim_bundle {
    struct world *world;
    uint64_t id;
    unsigned worker;
    const struct plan_stage *stage;
    const struct function *function;
    enum fault fault;

    /* What the engine has handed over. */
    bool is_input_ended;
    size_t outstanding_bytes; /* not yet reported as sent */
    struct element_list input;
    size_t next_input;

    /* The element in work. */
    bool is_reading; /* a read is under way */
    unsigned side;   /* the side input to read next */
    uint64_t side_hash;
    struct buf pages; /* of the read, so far */
    struct slice continuation;
    bool has_bag;
    uint64_t next_token, read_token;
    unsigned open_writes;
    event_time state_at; /* requests keep their order */
    struct map side_cache;
    struct map cells; /* overlay on world->state */

    /* What comes out. */
    struct buf out[SIM_MAX_SINKS];
    event_time sink_at[SIM_MAX_SINKS];
    VEC(struct residual) residuals;
    struct recording consumed; /* recorders */
    bool is_finished;
    bool wants_finalization;

    /* What of it the engine has got: the rules in world.c look at these. */
    bool is_done_delivered;
    event_time done_at;
    bool end_delivered[SIM_MAX_SINKS];
    bool is_failed; /* an event was delivered after which it must be given up */
    bool is_finalizing;
};

struct sim_bundle *sdk_bundle_create(struct world *world, uint64_t id, unsigned worker, unsigned stage);
void sdk_bundle_free(struct sim_bundle *bundle);
void sdk_bundle_input(struct sim_bundle *bundle, struct slice bytes, bool is_last);
void sdk_bundle_reply(struct sim_bundle *bundle, const struct engine_action *action);
/* Goes on with what it can. */
void sdk_bundle_run(struct sim_bundle *bundle);
/* "stage window key": a bag in world->state. */
void sdk_cell_key(struct buf *out, unsigned stage, event_time window_end, struct cursor key);
bool sdk_bundle_is_complete(const struct sim_bundle *bundle);

#endif
