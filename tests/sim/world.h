/* A world for the engine to live in: virtual time, fake workers, faults; and the rules that must hold after every step.
 *
 *      queue of (time, sequence) --> engine_step() --> actions --> host (world.c) checks them, and feeds
 *            ^                                                     fake harnesses (sdk.c), whose answers
 *            +------------------ delays, faults -------------------+ go into the queue
 *
 * All is a function of the seed. The first broken rule ends the run and is its violation. */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include "counts.h"
#include "disk.h"
#include "engine/engine.h"
#include "ledger.h"
#include "plans.h"
#include "random.h"
#include "reference.h"

enum world_end { WORLD_RUNNING, WORLD_DONE, WORLD_FAILED, WORLD_CANCELLED };

/* How a bundle's harness will misbehave. */
enum fault {
    FAULT_NONE,
    FAULT_ERROR,        /* an error of the SDK, before or after some of the output */
    FAULT_LOST,         /* the worker is lost in the middle */
    FAULT_STALL,        /* no answer; the worker is given up much later */
    FAULT_NO_DATA,      /* a response, but the end marks never come; perhaps the worker is lost then */
    FAULT_ANSWER_TWICE, /* the response twice, before the end of the data */
    FAULT_GARBAGE,      /* output that its coder cannot read */
    FAULT_AFTER_END,    /* output behind the end mark */
    FAULT_CUT,          /* the end mark inside an element */
    FAULT_BAD_RESIDUAL, /* a residual that the input's coder cannot read */
    FAULT_BAD_ANSWER,   /* about windows that merge: each well-formed, but not what was asked for */
    FAULT_BAD_SPLIT,    /* a nonsensical answer to a split, when one is asked for */
    FAULT_NO_SPLIT,     /* none */
    FAULT_COUNT,
};

struct world_worker {
    unsigned number, environment, slots, active;
    bool is_alive;
};

struct world_entry {
    event_time at;
    uint64_t sequence;
    bool is_run;    /* the harness goes on with `event.bundle` */
    bool is_poison; /* the engine must give the bundle up because of this event */
    struct engine_event event;
};

struct cell { /* what the world knows of one bag */
    bool is_cleared;
    struct buf bytes;
};

struct sim_bundle;

struct world {
    struct rng rng;
    const struct sim_plan *sim;
    struct engine *engine;
    struct engine_options options;
    unsigned environment_slots[SIM_MAX_ENVIRONMENTS];
    event_time now;
    uint64_t next_sequence;
    VEC(struct world_entry) queue; /* a binary heap */
    event_time wake_at;
    VEC(struct world_worker) workers;
    unsigned next_worker;
    struct map bundles;      /* id -> struct sim_bundle, from START_BUNDLE to FORGET_BUNDLE */
    struct map started;      /* ids ever started */
    struct map running_keys; /* stage and key -> struct sim_bundle */
    struct map state;        /* stage, window and key -> struct cell: committed */
    struct map cached_bags;  /* sdk_cache.c */
    struct ledger ledger;
    struct map watched_steps; /* stream_watch.c */
    struct disk disk;
    struct counts counts;
    struct recording *recordings;
    unsigned *user_failures; /* per stage */
    unsigned *lost_failures;
    bool environment_failed;
    bool is_draining;
    unsigned fault_permille;
    unsigned max_delay_ms;
    enum world_end end;
    char *message;
    char *violation; /* the first broken rule, NULL while all is well */
    uint64_t trace;  /* hash of all actions */
    uint64_t steps;
    bool is_verbose;
};

struct world_result {
    enum world_end end;
    bool was_drained; /* told to, whether there was anything left to leave out or not */
    char *message;
    char *violation;
    uint64_t trace;
    uint64_t steps;
    struct recording *recordings;
};

/* The result's pointers are the caller's. */
void world_run(const struct sim_plan *sim, uint64_t seed, bool is_verbose, struct world_result *ret);

/* world.c, for sdk.c */
void world_violation(struct world *world, const char *format, ...) PRINTF_LIKE(2, 3);
void world_post(struct world *world, event_time at, struct engine_event event, bool is_poison);
void world_post_run(struct world *world, event_time at, uint64_t bundle);
unsigned world_delay(struct world *world);

#endif
