/* The engine: runs a plan's stages. A deterministic state machine (law 1 of docs/architecture.md).
 *
 *      event --> engine_step() --> zero or more actions, fetched with engine_next_action()
 *
 * No I/O, no clock, no randomness, no threads in here: the time is a field of each event. The same sequence of events gives the
 * same sequence of actions. The daemon hosts it on sockets (jobserver/host.c); tests/sim hosts it on a simulator.
 *
 * What a bundle produced sits in one struct bundle_commit (engine/commit.h) that exactly one function applies (law 2). A failed bundle
 * leaves nothing behind and its input is run again.
 *
 * Ownership: engine_step takes over everything inside the event (slices, responses, requests). The receiver of an action owns what is in
 * it and calls engine_action_clear(). An engine belongs to one thread. */
#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

#include "base/status.h"
#include "model/bundle.h"
#include "translate/plan.h"

struct engine;

struct engine_options {
    unsigned max_attempts_lost;  /* runs of one bundle's input before a job fails because workers die; 0: 4 */
    unsigned max_attempts_user;  /* ... because the SDK reports an error; 0: 2 */
    size_t bundle_bytes;         /* target of input bytes in one bundle; 0: 32 MiB */
    size_t message_bytes;        /* target of bytes in one Elements message; 0: 1 MiB */
    size_t send_window_bytes;    /* input of one bundle handed to the host and not yet reported as sent; 0: 4 MiB */
    size_t state_page_bytes;     /* of one answer to a state request; 0: 1 MiB */
    size_t extent_bytes;         /* target of bytes in what is stored as one; 0: 1 MiB */
    size_t max_inline_bytes;     /* of a group's values; beyond it the SDK reads them as state, if it can; 0: 32 MiB */
    size_t max_bucket_bytes;     /* of stored groups that are brought into memory together; 0: 16 MiB */
    size_t max_element_bytes;    /* of one encoded element of a bundle's output; 0: no limit */
    int64_t output_timeout_ms;   /* from a bundle's response to the last end mark of its output; 0: 60 s */
    int64_t finalize_timeout_ms; /* from FINALIZE to its answer, after which the job ends without it; 0: 10 s */
    unsigned group_partitions;   /* of a grouping, by key hash; 0: 32 */
    unsigned key_shards;         /* of a keyed stage; 0: 32 */
    uint64_t first_bundle;       /* bundles are numbered from here on, since a harness may serve several jobs; 0: 1 */
    const unsigned *
        environment_slots; /* per environment: bundles at once when all its workers are there; a share of the input is left for
                                          those that are not up yet. NULL: for none. Copied */
    int64_t
        latency_ms; /* of a restriction that may never end: how long its output waits for more, before a checkpoint; 0: 10 ms */
    int64_t checkpoint_after_ms; /* ... and how long it may run without any; 0: 100 ms */
    int64_t
        open_ahead_ms; /* how long before its input comes a bundle of a stream may be opened, where that is known; 0: 1 ms;
                                    negative: never */
    size_t stream_bundle_bytes; /* target of input bytes in one bundle of a streaming stage; 0: 1 MiB */
    int64_t split_after_ms;     /* how long a bundle runs before it may be asked to split; negative: never; 0: 500 ms */
    struct account *account;    /* may be NULL */
    /* Every commit is encoded, decoded, and the decoded one applied: tests hold the encoding to account. */
    bool verify_commits;
};

enum engine_event_type {
    ENGINE_EVENT_TIME,               /* nothing but the time */
    ENGINE_EVENT_WORKER_UP,          /* worker, environment, slots */
    ENGINE_EVENT_WORKER_LOST,        /* worker, error */
    ENGINE_EVENT_ENVIRONMENT_FAILED, /* environment, error: no worker of it will come any more */
    ENGINE_EVENT_ELEMENTS,           /* bundle, output (index of the sink), bytes, is_last */
    ENGINE_EVENT_TIMERS,             /* bundle, output (index of the timer family), bytes, is_last */
    ENGINE_EVENT_STATE,              /* worker, bundle, token, request */
    ENGINE_EVENT_PROGRESS,           /* bundle, response: its metrics so far, and nothing else */
    ENGINE_EVENT_BUNDLE_DONE,        /* bundle, response */
    ENGINE_EVENT_BUNDLE_FAILED,      /* bundle, error: the SDK's own text */
    ENGINE_EVENT_SENT,               /* bundle, byte_count: input that left */
    ENGINE_EVENT_SPLIT,              /* bundle, split: the answer to a SPLIT; an empty one: not now */
    ENGINE_EVENT_FINALIZED,          /* bundle */
    ENGINE_EVENT_STORED,             /* extent: it is written, and its bytes need no memory any more */
    ENGINE_EVENT_LOADED,             /* token, bytes: what LOAD asked for */
    ENGINE_EVENT_STORE_FAILED,       /* error: something could not be written, or not be read back; the job fails */
    ENGINE_EVENT_TEST_STREAM, /* stage, test_event: the next that the service of a TestStream sends; NULL: it sends no more or, with an
                                 error, the service failed, and the job does */
    ENGINE_EVENT_DRAIN, /* take no more from sources, finish what is there; once is as good as many times */
    ENGINE_EVENT_CANCEL,
};

/* Events for a bundle or worker that the engine no longer knows are ignored: they were under way when it was given up. */
struct engine_event {
    enum engine_event_type type;
    event_time now_ms; /* processing time; never goes back (a smaller value counts as the last one) */
    /* Every event: by how many bytes the job should take less memory than it does. The engine stores that much of its data, if it has
     * it. */
    size_t excess_bytes;
    uint64_t extent;
    uint64_t bundle;
    unsigned worker; /* number given by the host, never reused in a job */
    unsigned environment;
    unsigned stage;
    unsigned slots;
    unsigned output;
    bool is_last;
    struct slice bytes;
    size_t byte_count;
    uint64_t token;
    char *error;                        /* owned */
    struct state_request *request;      /* owned, on the heap */
    struct bundle_response *response;   /* owned, on the heap */
    struct bundle_split *split;         /* owned, on the heap */
    struct plan_test_event *test_event; /* owned, on the heap, with its elements */
};

enum engine_action_type {
    ENGINE_ACTION_START_BUNDLE, /* worker, bundle, stage; has_state_token, shard, state_epoch */
    ENGINE_ACTION_SEND, /* worker, bundle, pieces; timer_family PLAN_NONE: the source, else index of the family; is_last */
    ENGINE_ACTION_REPLY_STATE, /* worker, bundle, token, response */
    ENGINE_ACTION_SPLIT,       /* worker, bundle, stage, fraction, element_count (answer: ENGINE_EVENT_SPLIT) */
    ENGINE_ACTION_FINALIZE, /* worker, bundle: committed, tell the harness (answer: ENGINE_EVENT_FINALIZED, best effort) */
    ENGINE_ACTION_FORGET_BUNDLE, /* worker, bundle: committed (element_count: its input) or given up (has_failed); what still comes for it may be
                                    dropped */
    ENGINE_ACTION_STORE, /* extent, pieces: to be written, laid end to end; answer: ENGINE_EVENT_STORED */
    ENGINE_ACTION_LOAD,  /* extent, token; answer: ENGINE_EVENT_LOADED */
    ENGINE_ACTION_DROP,  /* extent: is not needed any more; a load that is still under way need not be answered */
    ENGINE_ACTION_WAKE,  /* at_ms: send ENGINE_EVENT_TIME then; a later WAKE replaces it */
    ENGINE_ACTION_TEST_STREAM_PLAYED, /* stage: one of the events that came from its service was put into effect */
    ENGINE_ACTION_MESSAGE,            /* error: text for the job's messages (a retry, a worker lost), a warning */
    ENGINE_ACTION_JOB_DONE,
    ENGINE_ACTION_JOB_DRAINED, /* in place of JOB_DONE, after ENGINE_EVENT_DRAIN */
    ENGINE_ACTION_JOB_FAILED,  /* error: the root cause */
    ENGINE_ACTION_JOB_CANCELLED,
};

/* After one of the last four no action follows. */
struct engine_action {
    enum engine_action_type type;
    unsigned worker;
    uint64_t bundle;
    unsigned stage;
    /* What the harness caches of user state under (stage, shard, state_epoch) is good for every bundle with the same three. */
    bool has_state_token;
    unsigned shard;
    uint64_t state_epoch;
    unsigned timer_family;
    struct slice bytes; /* SEND */
    uint64_t extent;
    struct slice *pieces; /* STORE; owned */
    size_t piece_count;
    bool is_last;
    bool has_failed;
    uint64_t token;
    char *request_id; /* REPLY_STATE; owned */
    struct state_response response;
    double fraction; /* of what is left to do, for the bundle to keep: in [0,1] */
    uint64_t
        element_count; /* FORGET_BUNDLE; SPLIT: sent and to be sent to the bundle's source, splits taken into account */
    event_time at_ms;
    char *error; /* owned */
};

/* `plan` is borrowed and outlives the engine. */
struct engine *engine_create(const struct plan *plan, const struct engine_options *options);
void engine_destroy(struct engine *engine);
void engine_step(struct engine *engine, struct engine_event *event);
/* Frees what is inside an event that was not stepped. */
void engine_event_clear(struct engine_event *event);
/* The oldest action not yet fetched; false when there is none. */
bool engine_next_action(struct engine *engine, struct engine_action *ret_action);
void engine_action_clear(struct engine_action *action);

/* Why a stage can't run here, e.g. one with a trigger that makes no sense: called at Prepare, so that the submitter learns it at once. */
int engine_check_plan(const struct plan *plan, struct status *st);

/* Copies of the metrics as of now, in the submitted pipeline's names (engine/tally.h). Committed: successful bundles only; attempted: with
 * the last report of those that failed or still run. */
void engine_copy_metrics(struct engine *engine, struct metric_table *ret_attempted, struct metric_table *ret_committed);

/* Text for a person: every unfinished stage, what it waits for and, of a stream, what holds its watermarks. */
void engine_describe(const struct engine *engine, struct buf *out);

#endif
