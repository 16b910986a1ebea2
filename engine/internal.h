/* The engine's insides, shared by its files; see engine.h for what it is.
 *
 *   engine.c    create, events in, actions out
 *   schedule.c  which stage gets a free slot next, and how much of its input
 *   shards.c    of a keyed stage: which key shards, on which worker, with which cache token
 *   sorted.c    input in the order of time
 *   bundle.c    one bundle: sending its input, collecting its output, its end
 *   split.c     giving a part of a running bundle to an idle slot; checkpoints of those that may never end
 *   ahead.c     bundles opened a moment before their input is there
 *   clock.c     what time brings; the end of the job, and jobs that are stuck
 *   deliver.c   elements along the plan's edges
 *   apply.c     the commit put into effect
 *   flush.c     the groups of a grouping whose input is complete
 *   advance.c   watermarks move, stages become complete
 *   watermark.c how far the event time of each streaming stage has come
 *   firing.c    timers: set by commits, due, and the expiration of windows
 *   paned.c     groupings of a stream, by panes.h and trigger.h
 *   gate.c      elements that wait for side inputs that change, by liveview.h
 *   drain.c     the end of a stream that is asked to end
 *   played.c    TestStreams, and the clock that they move
 *   answer.c    state requests
 *   store.c     extents: data outside of memory
 *   spill.c     what is stored when memory is short
 *   resident.c  stored input brought into memory for its bundle
 *   rebucket.c  stored groups that are cut smaller
 *   backlog.c   stored data that the engine takes apart itself
 *   large.c     answers that wait for stored data; groups handed over as state
 *   questions.c what the SDK is asked by bundles of the engine's own
 *   describe.c  what stages wait for, in words
 *   inspect.c   what stages and bundles are at, as plain data (engine/inspect.h)
 *   check.c     what cannot be run here
 *
 * Files with a header of their own know less: input.h (queues and claims), group.h and bucket.h, mergebook.h, view.h and chain.h, userstate.h
 * with mapentries.h and orderedlist.h, timers.h, holds.h and due.h, teststream.h, tally.h, commit.h, runs.h. */
#ifndef ENGINE_INTERNAL_H
#define ENGINE_INTERNAL_H

#include "engine/commit.h"
#include "engine/engine.h"
#include "engine/input.h"
#include "engine/orderedlist.h"
#include "engine/store.h"
#include "engine/tally.h"
#include "engine/userstate.h"
#include "engine/view.h"
#include "model/window.h"

struct delayed_residual {
    event_time due_ms;
    struct input_item item;
};

/* A slice of a keyed stage's keys: one bundle at a time. */
struct key_shard {
    struct input_queue queue;
    struct buf open; /* elements not yet made into a run */
    uint64_t open_count;
    event_time open_least_ms;
    bool is_busy;
    bool has_home, is_cached; /* see engine/shards.h; is_cached: `home` got a token of this epoch */
    unsigned home;            /* a worker's number */
    uint64_t epoch;
    struct sorted_input *sorted; /* of a stage that wants its input by time, once that is complete (engine/sorted.h) */
    struct timer_set timers;
    bool passed_over; /* of a stream's: timers that were due, by its last bundle, which had elements */
    struct map seen;  /* key and window -> struct seen_window: what will expire, where that matters (firing.c) */
    struct due_heap seen_by_end;
};

struct seen_window {
    struct due_node node; /* of its end; first, so that it stands for the window */
    struct slice key;
    struct slice window;
    event_time end;
};

/* Stored items that are to be taken apart by the engine, in order. */
struct backlog {
    struct input_queue queue;
    struct input_item item; /* being fetched */
    struct fetch *fetch;
    bool wants_keys_only; /* of groups: not the values that lie in extents of their own */
    void (*absorb)(struct engine *engine, void *owner,
                   struct input_item *item); /* borrows the item, which is in memory */
    void *owner;
};

struct stage {
    const struct plan_stage *plan;
    bool is_done;            /* will produce nothing more: its output watermark is at the end of time */
    struct backlog arriving; /* of a grouping or a keyed stage: input that it has not yet taken */

    /* GROUP_BY_KEY; one that asks about its windows leaves it to the MERGE_GROUPS that gets the answers */
    struct group *group;
    bool is_flushed;
    struct backlog leaving;    /* groups that are not yet delivered */
    struct rebucket *rebucket; /* buckets that are being cut before they are, else NULL */

    /* EXECUTABLE */
    struct input_queue queue;
    struct key_shard *shards;             /* keyed stages only */
    size_t shard_bytes;                   /* waiting in all shards */
    uint64_t shard_count;                 /* elements waiting in all shards */
    VEC(struct delayed_residual) delayed; /* by the engine's clock */
    VEC(struct claim *) retries;
    struct view **views; /* one per side input, shared */
    struct user_state state;
    unsigned running;
    struct stage_counts {
        uint64_t bundles_done, bundles_failed;
        uint64_t elements_in, bytes_in; /* of bundles that are done */
    } counts;                           /* for whoever looks; nothing is decided by them */
    uint64_t last_bundle;               /* that was started, 0: none */
    int64_t checkpoint_ms; /* how long a bundle that may never end runs before it is cut off; 0: checkpoint_after_ms */
    event_time open_until_ms; /* what is in the queue is not sent before */
    bool has_committed;       /* since ahead_settle() */
    bool leads_on;            /* what the last bundle committed became input of another stage at once */

    /* Of a stream (engine/watermark.c): */
    event_time in_watermark, out_watermark;
    event_time flight_ms;            /* least timestamp among the input of bundles that run or are to be retried */
    event_time flight_hold_ms;       /* least hold of the timers that they fire */
    event_time flight_end_ms;        /* least end of those timers' windows */
    struct pane_group *panes;        /* GROUP_BY_KEY; of one that asks about its windows MERGE_GROUPS has them */
    const struct coder *panes_coder; /* of what comes into them */
    bool fires_by_element;           /* their trigger is asked after each */
    struct gate *gate;               /* EXECUTABLE, with side inputs that change */
    uint64_t dropped; /* elements of keyed stages, once a window, that came after their window was gone */
};

/* What engine/split.c knows of a running bundle. */
struct bundle_splits {
    bool is_open;          /* asked for and not yet answered: the bundle must not commit */
    bool is_element_split; /* of the element behind the claim's items the bundle has claim->roots */
    bool is_checkpointed;  /* a restriction that would never end was split at what it has done */
    unsigned refusals;     /* in a row */
    event_time due_ms;     /* not to be asked before */
};

/* An ordered list of which the SDK has read some pages. */
struct list_reading {
    struct buf cell;
    struct ordered_list list;
};

struct bundle {
    uint64_t id;
    struct stage *stage;
    unsigned worker;
    struct claim *claim;
    event_time started_ms;
    bool has_output; /* of one that may never end */

    event_time send_at_ms;    /* opened ahead: not sent before; TIME_MIN: no matter when */
    uint64_t awaited;         /* opened ahead: its input is what waits once this bundle is gone; 0: has its claim */
    struct claim_cursor sent; /* what was handed to the host */
    struct bundle_splits splits;
    size_t window_bytes; /* of it not yet reported as sent */
    bool is_input_ended;

    struct run_writer *writers;       /* one per sink */
    struct group **groups;            /* one per sink: its output, when that goes to a grouping alone; else NULL */
    uint64_t *written;                /* elements, one per sink: those that were grouped */
    struct run_writer *timer_writers; /* one per timer family */
    bool *is_ended;                   /* one per sink, then one per timer family */
    size_t open_ends;
    struct state_overlay overlay;
    struct list_reading list;
    VEC(struct bundle_snapshot {
        const struct view *view;
        struct slice window;
        struct snapshot *snapshot; /* owned reference, NULL: there was nothing */
    })
    snapshots;            /* of side inputs that change, as they were when the bundle read them first */
    bool has_paged_state; /* a read of user state did not fit one page */
    struct bundle_response *response;
    struct bundle_response *progress; /* its metrics, as last reported before that; may be NULL */
    event_time response_deadline_ms;  /* for the end marks, once the response is there */

    struct fetch *fetch; /* brings in this item of the claim: */
    size_t fetched_item;
    bool is_fetched_to_measure; /* the sizes of its groups, before their values */
    struct large_values large;
    VEC(struct late_reply *) late_replies;
};

struct worker_slot {
    unsigned number;
    unsigned environment;
    unsigned slots;
    unsigned busy;
    bool is_lost;
};

struct finalization {
    uint64_t bundle;
    uint64_t element_count; /* it had */
    unsigned worker;
    event_time deadline_ms;
};

struct engine {
    const struct plan *plan;
    struct engine_options options;
    event_time now_ms;
    uint64_t next_bundle;
    unsigned *environment_slots; /* engine_options.environment_slots */
    struct stage *stages;
    event_time *watermarks; /* of each PCollection: its producer's output watermark */
    VEC(struct view *) views;
    struct store store;
    size_t excess_bytes; /* as the host said last */
    struct spill_pause {
        size_t until_excess;
        unsigned events; /* left */
        unsigned length; /* 0: the last search found enough */
    } spill_pause;
    VEC(struct worker_slot) workers;
    struct map bundles; /* id -> struct bundle */
    VEC(struct bundle *) running;
    VEC(struct finalization) finalizing;
    VEC(struct engine_action) actions;
    size_t next_action;
    struct test_stream **streams; /* one per TEST_STREAM stage; when there are any: */
    size_t stream_count;
    event_time clock_ms;    /* processing time, which they move, from 0 on */
    event_time wake_ms;     /* last asked for; TIME_MAX: none */
    bool is_draining;       /* ENGINE_EVENT_DRAIN came */
    bool is_over;           /* the last action was given */
    event_time split_at_ms; /* when a bundle is due to be asked to split for a slot that is idle now; TIME_MAX: none */
    bool needs_schedule;
    bool needs_wake; /* a deadline was added since the last WAKE was worked out */
    struct tally tally;
    uint64_t retry_count; /* bundles that were or will be run again */
};

/* engine.c */
struct engine_action *engine_add_action(struct engine *engine, enum engine_action_type type);
void engine_add_message(struct engine *engine, const char *format, ...) PRINTF_LIKE(2, 3);
/* Ends the job; takes no action when it is over already. */
void engine_fail(struct engine *engine, const char *format, ...) PRINTF_LIKE(2, 3);
/* Ends finalization `i`, whatever came of it: they are best effort (MODEL 13.1). */
void engine_forget_finalization(struct engine *engine, size_t i);
struct worker_slot *engine_worker(const struct engine *engine, unsigned number);
/* Of an executable stage's input: a windowed value's. */
const struct coder *stage_source_coder(const struct engine *engine, const struct stage *stage);

/* watermark.c: how far event time has come (MODEL 3). A bounded stage's input watermark jumps from the beginning of time to its end. */
static inline bool stage_is_streaming(const struct stage *stage) {
    return !stage->plan->is_bounded;
}

event_time stage_input_watermark(const struct engine *engine, const struct stage *stage);
/* Up to where the stage's elements, timers and windows have their turn: its input watermark or, where elements are put in order, as far
 * behind it as they may be late (MODEL 7.19). */
event_time stage_event_clock(const struct engine *engine, const struct stage *stage);
/* The last time of which event-time timers may fire now (MODEL 7.7). */
event_time stage_timers_limit(const struct engine *engine, const struct stage *stage);
/* Before stages are moved: what their bundles have in hand. */
void watermark_note_flight(struct engine *engine);
void watermark_move_input(struct engine *engine, struct stage *stage);
void watermark_move_output(struct engine *engine, struct stage *stage);
/* The stage is done. */
void watermark_end(struct engine *engine, struct stage *stage);
int64_t stage_allowed_lateness(const struct engine *engine, const struct stage *stage);

/* Of a side input that changes: its producer's output watermark, but that what is still to be read back holds it. */
event_time view_watermark(const struct engine *engine, struct view *view);

/* played.c: TestStreams. Several stages in the plan make several of them. */
void played_create(struct engine *engine);
void played_destroy(struct engine *engine);
/* Whether the stage is a TestStream that has something left to play. */
bool stage_is_playing(const struct engine *engine, const struct stage *stage);
void played_move_watermarks(struct engine *engine, struct stage *stage);
/* ENGINE_EVENT_TEST_STREAM. */
void played_take(struct engine *engine, struct engine_event *event);
/* When nothing runs and nothing can run: the next event. Whether anything happened. */
bool engine_play(struct engine *engine);

/* describe.c: what is in the stage, and what it waits for. */
void stage_describe_work(const struct engine *engine, const struct stage *stage, struct buf *out);

/* drain.c: sources stop, what is under way is finished (MODEL 14.2). */
void engine_drain(struct engine *engine);
/* Whether what the stage claims now has been truncated. */
bool drain_truncates(const struct engine *engine, const struct stage *stage);
/* Whether the residual of what was claimed is dropped or handed to the stage that truncates, instead of waiting for its turn. Takes the item
 * over if so. */
bool drain_takes(struct engine *engine, struct stage *stage, const struct claim *claim, struct input_item item,
                 bool is_unbounded);
/* Where that goes of the claim which is cut off and not begun. */
struct input_queue *drain_queue(struct engine *engine, struct stage *stage, const struct claim *claim);
/* Whether this consumer gets the elements of the collection: before a drain, or during it. */
bool drain_admits(const struct engine *engine, const struct plan_collection *collection, const struct stage *consumer);

/* paned.c: groupings of a stream, which put out panes. */
void paned_create(struct engine *engine, struct stage *stage);
void paned_take(struct engine *engine, struct stage *stage, const struct run *run);
/* Of a MERGE_GROUPS: takes in what was asked about windows. */
void paned_answer(struct engine *engine, struct stage *stage, const struct run *answers);
/* Fires what the watermarks and the clock have made due. */
void paned_advance(struct engine *engine, struct stage *stage);

/* schedule.c: starts as many bundles as there are slots and input. */
void engine_schedule(struct engine *engine);
/* A bounded stage reads its side inputs when they are complete. */
bool stage_side_inputs_are_ready(const struct engine *engine, const struct stage *stage);

/* Moves what the next bundle is to have into the claim, which may stay empty. Not for keyed stages. */
void engine_claim(struct engine *engine, struct stage *stage, struct claim *claim);

/* ahead.c: bundles of streams that are opened before their input is there. */
/* When the stage's bundle for a residual that is due then may be opened. */
event_time ahead_of_residual(const struct engine *engine, const struct stage *stage, event_time due_ms);
/* The bundle is about to end: it was opened for what is due shortly, or it has put out everything. */
void ahead_open_follower(struct engine *engine, const struct bundle *bundle);
void ahead_committed(struct stage *stage);
/* Once commits have led where they lead: gives bundles that waited for them their input. */
void ahead_settle(struct engine *engine);

/* bundle.c */
/* `awaited`: the bundle has nothing in its claim yet, see struct bundle; 0: it has. */
struct bundle *bundle_start(struct engine *engine, struct stage *stage, struct claim *claim, struct worker_slot *worker,
                            uint64_t awaited);
void bundle_elements(struct engine *engine, struct bundle *bundle, unsigned sink, struct slice bytes, bool is_last);
void bundle_timers(struct engine *engine, struct bundle *bundle, unsigned family, struct slice bytes, bool is_last);
void bundle_sent(struct engine *engine, struct bundle *bundle, size_t bytes);
/* Both take the response over. */
void bundle_progress(struct bundle *bundle, struct bundle_response *report);
void bundle_done(struct engine *engine, struct bundle *bundle, struct bundle_response *response);
/* Why a bundle ended without a commit. */
enum bundle_failure {
    BUNDLE_FAILED_IN_SDK,      /* its own report, which names the transform */
    BUNDLE_FAILED_BY_PROTOCOL, /* what it sent makes no sense */
    BUNDLE_FAILED_WORKER_LOST,
};
void bundle_fail(struct engine *engine, struct bundle *bundle, enum bundle_failure failure, const char *error);
void bundle_free(struct engine *engine, struct bundle *bundle);
/* Sends input while the window has room and input is in memory, and the end mark when all was sent. */
void bundle_send(struct engine *engine, struct bundle *bundle);
/* Commits the bundle when nothing is missing any more; it is gone then. */
void bundle_check_end(struct engine *engine, struct bundle *bundle);
/* What the residual will still produce has no lesser timestamp: what the SDK says of its outputs or, where that is nothing, the timestamp of the
 * element, which is whole (MODEL 9.5, 9.9). */
event_time residual_hold(const struct residual *residual);
/* Whether this is one element for the stage's splittable DoFn, whole, in the coder of its input. */
bool bundle_application_is_sound(const struct engine *engine, const struct stage *stage,
                                 const struct residual *application);

/* split.c */
/* Whether its bundles work on restrictions that are to be cut off some time. */
bool stage_may_never_end(const struct stage *stage);
bool bundle_may_never_end(const struct bundle *bundle);
void bundle_start_splits(struct engine *engine, struct bundle *bundle);
/* How much output it had says how long the next one runs. */
void bundle_note_pace(const struct engine *engine, const struct bundle *bundle, const struct bundle_commit *commit);
/* It would be seen if the bundle ended. */
void bundle_has_output(struct engine *engine, struct bundle *bundle);
/* Asks running bundles to split for the slots that found no work; sets split_at_ms. After engine_schedule(). */
void engine_split(struct engine *engine);
/* Takes the answer over. The bundle may be gone afterwards. */
void bundle_split_answered(struct engine *engine, struct bundle *bundle, struct bundle_split *split);

/* deliver.c */
/* Borrows the run. */
void engine_deliver(struct engine *engine, unsigned collection, const struct run *run);
/* What may be put into bundles; in memory, borrowed. */
void stage_enter(struct engine *engine, struct stage *stage, const struct run *run);
/* What the backlogs do with an item; `owner` is a stage, a view. */
void stage_absorb(struct engine *engine, void *owner, struct input_item *item);
void view_absorb(struct engine *engine, void *owner, struct input_item *item);

/* apply.c: `claim` is the input that the bundle had. */
void engine_apply_commit(struct engine *engine, struct bundle_commit *commit, const struct claim *claim);
void claim_release(struct stage *stage, struct claim *claim);
/* Makes a residual of what was claimed pending input of the stage, now or in delay_ms; `hold` bounds what it will still produce. Takes the
 * element's reference. */
void stage_add_residual(struct engine *engine, struct stage *stage, const struct claim *claim, struct slice element,
                        int64_t delay_ms, event_time hold, bool is_unbounded);

/* flush.c: a bounded grouping whose input is complete hands all its groups on. */
void stage_flush(struct engine *engine, struct stage *stage);
/* Hands a grouping's bucket, which it takes over, to the consumers. */
void stage_deliver_bucket(struct engine *engine, struct stage *stage, struct group_bucket *bucket);
/* A backlog's; `owner` is a stage. */
void stage_write_out(struct engine *engine, void *owner, struct input_item *item);

/* advance.c: moves watermarks, closes every stage that has nothing left to come, and what follows from it. */
void engine_advance(struct engine *engine);
bool stage_inputs_are_done(const struct engine *engine, const struct stage *stage);
/* Whether the stage has input, in hand or in bundles. */
bool stage_has_pending(const struct stage *stage);

/* clock.c: what time brings, and what is waited for. */
/* Processing time: the host's, or that of the TestStreams. */
event_time engine_clock(const struct engine *engine);
/* Makes everything due whose time has come. */
void engine_time_passed(struct engine *engine);
/* By the engine's clock: when something that waits for nothing else is due; TIME_MAX: nothing does. */
event_time engine_next_due(struct engine *engine);
void engine_ask_to_be_woken(struct engine *engine);
/* The job's end, if all is done or nothing can go on. */
void engine_check_end(struct engine *engine);

/* firing.c */
struct key_shard *stage_shard(const struct engine *engine, struct stage *stage, struct slice key);
/* Notes the windows of an element of a keyed stage, for @OnWindowExpiration. `element` is borrowed. */
void firing_note_windows(const struct engine *engine, const struct stage *stage, struct key_shard *shard,
                         struct slice key, const struct windowed_value *element);
void firing_apply_timers(struct engine *engine, struct stage *stage, const struct bundle_commit *commit,
                         const struct claim *claim);
/* Whether a free shard without elements has timers to fire now. */
bool firing_is_due(const struct engine *engine, const struct stage *stage, struct key_shard *shard);
/* Moves what is due into the claim. */
void firing_take(struct engine *engine, struct stage *stage, struct key_shard *shard, struct claim *claim);
/* Whether anything may still fire, now or later. */
bool firing_is_pending(const struct engine *engine, const struct stage *stage);
/* When the next processing-time timer that is not due yet will be; TIMER_NEVER: none. */
event_time firing_next_wake(const struct engine *engine, struct stage *stage);
bool firing_has_due_processing_timer(const struct engine *engine, struct stage *stage);
/* Windows that are gone lose their state, where no bundle is needed for it. */
void firing_collect(struct engine *engine, struct stage *stage);
/* Of a keyed stage: no window of its input that ends before this time has anything left to fire. */
event_time firing_least_window(const struct engine *engine, const struct stage *stage);
/* The least end of the shard's windows, TIME_MAX when there are none. */
event_time firing_least_end(const struct key_shard *shard);
/* Whether windows of the shard wait for their @OnWindowExpiration. */
bool firing_awaits_expiration(const struct stage *stage, const struct key_shard *shard);
/* What holds the stage's output watermark: timers, and windows that are to expire. */
event_time firing_hold(struct engine *engine, struct stage *stage);
/* After the commit of a bundle that fired the claim's timers: expired windows lose their state. */
void firing_expire(struct engine *engine, struct stage *stage, const struct claim *claim);
void firing_clear_shard(struct engine *engine, struct key_shard *shard);

/* spill.c: stores data until engine->excess_bytes are on their way out, if there is that much. */
void engine_spill(struct engine *engine);

/* resident.c */
/* Whether the item that the bundle sends next is in memory; what it has sent is let go. If not it is being fetched, and bundle_send()
 * follows. */
bool resident_input_is_here(struct engine *engine, struct bundle *bundle);
/* Fails the job: this bundle stage takes groups only as a whole. */
void resident_group_is_too_large(struct engine *engine, const struct stage *stage, const struct large_values *large);
void resident_evict_claim(struct claim *claim);
/* What the bundle waits for may be none of its input any more. */
void resident_claim_was_cut(struct engine *engine, struct bundle *bundle);
/* Fetches a stored item, with the values of large groups or without, for resident_fill(). */
struct fetch *resident_fetch(struct engine *engine, const struct input_item *item, bool with_values, fetch_fn done,
                             void *owner);
void resident_fill(struct engine *engine, struct input_item *item, const struct slice *bytes, size_t count);

/* rebucket.c: of a grouping whose input is complete. Whether the bucket takes too much memory to be handed on as it is. */
bool rebucket_wants(const struct engine *engine, const struct stage *stage, const struct group_bucket *bucket);
/* Takes the bucket over; its parts are delivered later. */
void rebucket_push(struct engine *engine, struct stage *stage, struct group_bucket *bucket);
/* Also what is small: its entries join those of the partition's buckets, which are taken over as well. */
void rebucket_push_into(struct engine *engine, struct stage *stage, struct group_bucket *bucket,
                        struct group_bucket **into);
bool rebucket_is_idle(const struct stage *stage);
void rebucket_clear(struct engine *engine, struct stage *stage);

/* backlog.c */
bool backlog_is_empty(const struct backlog *backlog);
/* Elements in it. */
uint64_t backlog_count(const struct backlog *backlog);
/* The least least_ms of its items, TIME_MAX when there are none. */
event_time backlog_least(struct backlog *backlog);
/* Takes the item over, which is stored. */
void backlog_push(struct engine *engine, struct backlog *backlog, struct input_item item);
/* Goes on with the next item, if none is under way. */
void backlog_work(struct engine *engine, struct backlog *backlog);
void backlog_clear(struct engine *engine, struct backlog *backlog);

/* large.c */
/* Answers with the extent's bytes once they are here, in the place of `action`, whose request id and continuation are taken over. */
void engine_answer_from_extent(struct engine *engine, struct bundle *bundle, struct engine_action *action,
                               struct extent *extent);
/* Takes over what is in the request, and answers it once the bucket of a multimap is here. */
void engine_answer_after_bucket(struct engine *engine, struct bundle *bundle, uint64_t token,
                                struct state_request *request, struct view_store *store, size_t bucket);
/* The bundle is over: those who wait are refused. */
void engine_drop_late_replies(struct engine *engine, struct bundle *bundle);
/* One page of the values that the token stands for: in `out`, or all of *ret_extent (borrowed). *position moves on. -1: no such token. */
int engine_read_large(struct bundle *bundle, struct slice token, uint64_t *position, size_t limit, struct buf *out,
                      struct extent **ret_extent, bool *ret_more);

/* questions.c: a grouping whose windows the SDK merges. Once its input is complete it looks at the windows of all keys, stored ones too; then
 * it asks, and a MERGE_GROUPS stage goes on. */
void questions_collect(struct engine *engine, struct stage *stage);
void questions_ask(struct engine *engine, struct stage *stage);
/* A backlog's: looks at the windows in a stored bucket. */
void questions_absorb(struct engine *engine, void *owner, struct input_item *item);
/* Of a stream: the MERGE_GROUPS stage has the panes, and asks whenever elements come. Borrows the run, of the grouping's input. */
void questions_take(struct engine *engine, struct stage *stage, const struct run *run);
/* Whether it may have something to ask yet, though nothing more comes. */
bool questions_are_open(struct engine *engine, const struct stage *stage);
/* Borrows the run: output of a bundle that questions_check() found sound, for a MERGE_GROUPS stage. */
void questions_answered(struct engine *engine, struct stage *stage, const struct run *answers);
/* Whether this output of a bundle holds answers; they stay in memory. */
bool questions_are_answered_by(const struct engine *engine, const struct bundle *bundle, size_t sink);
/* Fails when the output of a finished bundle holds answers that make no sense. */
int questions_check(struct engine *engine, const struct bundle *bundle, struct status *st);

/* answer.c */
void bundle_drop_snapshots(struct bundle *bundle);
void list_reading_clear(struct list_reading *reading);
/* The bundle is over, but its harness waits for the answer and never times out (PROTOCOL G). */
void engine_refuse_state(struct engine *engine, unsigned worker, uint64_t bundle, uint64_t token,
                         const struct state_request *request);
void engine_answer_state(struct engine *engine, struct bundle *bundle, uint64_t token, struct state_request *request);

#endif
