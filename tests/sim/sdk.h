/* A fake SDK harness, seen as the bundles it runs: it decodes input, reads side inputs and state by requests with pages, applies the
 * stage's function and sends what comes out, cut anywhere, in any order, with faults. */
#ifndef SIM_SDK_H
#define SIM_SDK_H

#include "keyed.h"
#include "world.h"

/* Output streams: the sinks, then the timer families. */
enum { SIM_MAX_STREAMS = SIM_MAX_SINKS + SIM_MAX_FAMILIES };

/* One record for one window, as the ledger wants it; the timer's key is owned. */
struct timer_write {
    struct keyed_timer timer;
    bool is_clear;
};

/* A TIMED stage's work on one element or timer. */
struct keyed_work {
    bool is_begun;
    struct operations ops;
    unsigned next;
    uint64_t hash;
    unsigned place;
    bool has_probed;
    unsigned probe; /* 1 + which expired window is looked at, 0: none */
};

/* A position of a restriction (stream.h). */
struct stream_step {
    unsigned restriction, position;
};

/* What sdk_split.c knows of a bundle. Elements are counted as they come over the wire, one for all its windows. */
struct sim_splits {
    unsigned pause_percent; /* before an element, and before a step of a restriction */
    event_time paused_until;
    VEC(uint64_t) wire; /* for each of input.all: its place on the wire */
    uint64_t received;
    uint64_t stop;     /* elements from here on are ignored; UINT64_MAX: none */
    size_t entry_stop; /* ... and entries of input.all: windows that were given back */
    struct {
        bool is_begun;
        struct element base; /* without the restriction; its value is owned */
        unsigned from, at, to, checkpoint;
    } restriction; /* of the element in work, when it is one of a splittable DoFn */
    bool is_asked; /* and the harness has not yet looked at it */
    uint64_t asked_count;
    double asked_fraction;

    /* What the rules look at. */
    bool is_open; /* asked, and the answer was not delivered */
    event_time not_before;
    unsigned refusals;
    uint64_t delivered_stop;
};

struct sim_bundle {
    struct world *world;
    uint64_t id;
    unsigned worker;
    const struct plan_stage *stage;
    const struct function *function;
    enum fault fault;
    bool has_state_token;
    unsigned shard;
    uint64_t state_epoch;

    /* What the engine has handed over. */
    bool is_input_ended;
    size_t outstanding_bytes; /* not yet reported as sent */
    bool is_family_ended[SIM_MAX_FAMILIES];
    struct element_list input;
    size_t next_input;
    struct sim_splits splits;
    VEC(struct stream_step) steps;  /* of sources of streaming plans: done */
    VEC(struct keyed_timer) timers; /* their keys lie in timer_bytes */
    VEC(struct slice) timer_bytes;
    size_t next_timer;
    struct map keys; /* of a keyed stage -> "element" or "timer": it has only one of the two */

    /* The element or timer in work. */
    enum { UNIT_NONE, UNIT_ELEMENT, UNIT_TIMER } unit;
    struct keyed_work work;
    bool reads_entries;       /* of multimap side inputs, as long as the engine gives them out */
    bool reads_list;          /* what is read is an ordered list */
    bool reads_map_entries;   /* ... all entries of a multimap */
    bool reads_large;         /* ... the values of a large group */
    bool is_reading;          /* a read is under way */
    unsigned side;            /* the side input to read next */
    unsigned asked, answered; /* state requests that the engine was told of */
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
    struct buf out[SIM_MAX_STREAMS];
    event_time stream_at[SIM_MAX_STREAMS];
    VEC(struct timer_write) timer_writes;
    VEC(struct residual) residuals;
    struct recording consumed;       /* recorders */
    uint64_t emitted[SIM_MAX_SINKS]; /* elements */
    bool is_finished;
    bool wants_finalization;

    /* What of it the engine has got: the rules in world.c look at these. */
    bool is_done_delivered;
    event_time done_at;
    bool end_delivered[SIM_MAX_STREAMS];
    bool is_failed; /* an event was delivered after which it must be given up */
    bool
        fails_at_split; /* ... will be, by the answer to a split: until then nobody knows which questions were its own */
    bool is_finalizing;
    uint64_t given;       /* elements */
    struct count counted; /* as last reported */
};

struct sim_bundle *sdk_bundle_create(struct world *world, const struct engine_action *start);
void sdk_bundle_free(struct sim_bundle *bundle);
void sdk_bundle_input(struct sim_bundle *bundle, struct slice bytes, bool is_last);
void sdk_bundle_reply(struct sim_bundle *bundle, const struct engine_action *action);
/* Goes on with what it can. */
void sdk_bundle_run(struct sim_bundle *bundle);
/* "stage window key": a bag in world->state. */
void sdk_cell_key(struct buf *out, unsigned stage, event_time window_start, event_time window_end, struct cursor key);
unsigned sdk_stream_count(const struct sim_bundle *bundle);

/* sdk.c, for sdk_keyed.c. A request for the element's window and key; it is handed over to sdk_read or sdk_write. */
struct state_request *sdk_make_request(const struct sim_bundle *bundle, enum state_kind kind,
                                       enum state_operation operation, const struct element *in);
/* The next page, into bundle->pages; the last one sets bundle->has_bag. */
void sdk_read(struct sim_bundle *bundle, struct state_request *request);
void sdk_write(struct sim_bundle *bundle, struct state_request *request);
void sdk_emit(void *user, unsigned sink, const struct element *element, unsigned windows);

/* What the bundle does to a bag, kept aside until it commits. */
struct cell *sdk_own_cell(struct sim_bundle *bundle, const struct buf *key);
/* What was read into bundle->pages is what earlier bundles committed and this one added, in order. */
void sdk_check_bag(struct sim_bundle *bundle, const struct buf *key);

/* stream_sdk.c: functions of streaming plans; false when the element or timer waits for an answer. */
bool stream_sdk_element(struct sim_bundle *bundle, const struct element *in);
bool stream_sdk_timer(struct sim_bundle *bundle, const struct keyed_timer *timer);
/* One position of a source's restriction. */
void stream_sdk_step(struct sim_bundle *bundle, const struct element *in, unsigned position);
/* Gives a residual of a source its watermark, in `arena`. */
void stream_sdk_set_watermark(const struct sim_bundle *bundle, const struct element *in, unsigned position,
                              struct residual *residual, struct arena *arena);
unsigned stream_sdk_restriction(const struct element *in);

/* sdk_large.c: gives the element its values, if a token stands in their place; false when it waits for an answer. */
bool sdk_resolve_large(struct sim_bundle *bundle, struct element *in);

/* sdk_split.c */
void sdk_split_init(struct sim_bundle *bundle);
void sdk_split_clear(struct sim_bundle *bundle);
/* Before an element of the wire enters input.all, once for each of its windows. */
void sdk_split_received(struct sim_bundle *bundle, unsigned windows);
bool sdk_split_has_element(const struct sim_bundle *bundle);
/* An element of a splittable DoFn; false when it is not done yet. */
bool sdk_split_element(struct sim_bundle *bundle, const struct element *in);
/* ENGINE_ACTION_SPLIT. */
void sdk_split_ask(struct sim_bundle *bundle, const struct engine_action *action);
/* The watermarks of a residual that goes into a response or a split, in its arena. */
void sdk_split_set_watermarks(const struct sim_bundle *bundle, struct residual *residual, struct arena *arena);
/* The harness looks at what it was asked. */
void sdk_split_look(struct sim_bundle *bundle);
/* The engine is about to be told the answer. */
void sdk_split_delivered(struct sim_bundle *bundle, const struct bundle_split *split);
/* Whether the harness does nothing for now; it goes on by itself. */
bool sdk_pauses(struct sim_bundle *bundle);

/* sdk_cache.c. Into bundle->pages what is kept of the element's bag; false: nothing. */
bool sdk_cache_read(struct sim_bundle *bundle, const struct element *in);
/* Keeps the first page, which is in bundle->pages, and where it goes on. */
void sdk_cache_put_page(struct sim_bundle *bundle, const struct element *in);
void sdk_cache_append(struct sim_bundle *bundle, const struct element *in, struct slice data);
void sdk_cache_clear_bag(struct sim_bundle *bundle, const struct element *in);
void sdk_cache_clear(struct map *cached_bags);

/* sdk_keyed.c: false when the element or timer waits for an answer. */
bool sdk_keyed_element(struct sim_bundle *bundle, const struct element *in);
bool sdk_keyed_timer(struct sim_bundle *bundle, const struct keyed_timer *timer);
void sdk_bundle_timers(struct sim_bundle *bundle, unsigned family, struct slice bytes, bool is_last);
bool sdk_bundle_is_complete(const struct sim_bundle *bundle);

#endif
