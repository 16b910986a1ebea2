/* One running job: its engine, its engine thread, its mailbox, its workers.
 *
 *      fnapi and worker callbacks --> struct run_event in the mailbox --> engine thread --> engine_step() --> actions
 *
 *   job_run.c      the thread: events in, actions out, the job's end
 *   run_watch.c    bundles that give no sign of life
 *   run_snapshot.c what it is at, for who looks from outside      run_inquiry.c  what a worker is asked for them
 *   run_native.c   how its environments are run, what some need before that
 *   run_sources.c  services that TestStreams read their events from
 *   run_workers.c  the workers of the job's environments: started, connected, lost, replaced, taken down
 *
 * Everything in these structs belongs to the engine thread unless it says otherwise. */
#ifndef JOBSERVER_JOB_RUN_H
#define JOBSERVER_JOB_RUN_H

#include <pthread.h>

#include "base/mailbox.h"
#include "engine/engine.h"
#include "jobserver/environment.h"
#include "jobserver/host.h"
#include "jobserver/native/native.h"
#include "jobserver/run_inquiry.h"
#include "jobserver/run_metrics.h"
#include "jobserver/run_queue.h"
#include "jobserver/run_snapshot.h"
#include "jobserver/scratch.h"
#include "jobserver/sdk_worker.h"
#include "jobserver/statistics.h"
#include "jobserver/worker_shelf.h"

enum run_event_type {
    RUN_EVENT_ENGINE,   /* `engine` goes to the engine as it is */
    RUN_EVENT_ELEMENTS, /* `engine` is ELEMENTS or TIMERS once transform_id (and family) are found in the stage */
    RUN_EVENT_PROGRESS, /* `engine` has bundle and response: metrics so far */
    RUN_EVENT_PROCESS_METRICS,   /* worker; `engine` has response: those of its process */
    RUN_EVENT_CONNECTED,         /* worker: Control is open */
    RUN_EVENT_DISCONNECTED,      /* worker: Control ended; text: why */
    RUN_EVENT_START_FAILED,      /* worker: could not be started, or its process ended; text: why */
    RUN_EVENT_HARNESS_GONE,      /* worker: fnapi is through with it */
    RUN_EVENT_PROCESS_GONE,      /* worker: worker/ is through with it */
    RUN_EVENT_STATUS,            /* worker: what it says of itself (text), asked for because of engine.bundle */
    RUN_EVENT_HANDED_ON,         /* worker: it serves others now; nothing comes of it after this */
    RUN_EVENT_ENVIRONMENT_READY, /* engine.environment can be run (native), or cannot (text: why) */
    RUN_EVENT_SOURCE_ENDED, /* `engine` tells of the last of a TestStream's service, from which nothing comes any more */
    RUN_EVENT_INSPECT,      /* somebody wants a snapshot (run_snapshot.h) */
    RUN_EVENT_INQUIRY,      /* somebody wants something of a worker (run_inquiry.h) */
    RUN_EVENT_SAMPLES,      /* worker; `samples`: the answer to a fn_worker_ask_samples() of token engine.token */
    RUN_EVENT_WAKE,         /* nothing but a reason to look at the time (worker_shelf.c) */
    RUN_EVENT_DRAIN,        /* to finish what it has, and take nothing more */
    RUN_EVENT_CANCEL,
    RUN_EVENT_REQUEUE, /* the same, but the job is to be run again, by the next daemon */
};

struct run_event {
    struct list node;
    enum run_event_type type;
    struct sdk_worker *from; /* whose callback it was */
    struct run_worker *worker;
    struct engine_event engine;
    struct slice transform_id;
    struct slice family;
    bool has_family;
    struct native_environment *native; /* owned */
    char *text;                        /* owned */
    struct run_inquiry *inquiry;       /* a reference */
    struct fn_samples *samples;        /* owned */
};

/* A worker of the job: from its start, or from the shelf, to the moment when nothing of it is left, or it is put on the shelf. */
struct run_worker {
    struct list node; /* in job_run.workers */
    struct job_run *run;
    unsigned number;
    unsigned environment;
    struct sdk_worker *sdk;
    const char *id;            /* the sdk's */
    struct fn_worker *harness; /* the sdk's; NULL once gone, or not ours any more */
    struct worker *process;    /* the same */
    bool is_connected;
    bool is_warm;         /* an earlier job's */
    int64_t connected_ms; /* by run_now_ms(), 0: not */
    enum worker_gauge gauge;
    bool had_bundle;
    bool is_closing;
    bool is_leaving; /* to the shelf, at `deadline_ns`; no later than: */
    int64_t leave_by_ns;
    bool is_stopping;        /* worker_stop() was called */
    char *disconnect_reason; /* Control ended; waiting a moment for the process's own last words */
    int64_t deadline_ns;     /* to connect, for the last words, for the last log lines, to leave; INT64_MAX: none */
    unsigned *descriptors;   /* per stage: fnapi's number, or UINT_MAX */
};

struct run_environment {
    struct job_run *run;
    unsigned index; /* in the plan */
    bool is_used;
    struct environment_choice choice;
    struct native_request *request;    /* while it is being prepared */
    struct native_environment *native; /* once it is, where it runs natively */
    unsigned wanted;                   /* workers */
    unsigned slots;                    /* per worker */
    unsigned failures;                 /* workers in a row that ended before they were given a bundle */
    char *last_failure;
    bool had_bundle; /* its first one is under way, or was */
};

struct job_run {
    struct list node; /* in the host, under its mutex */
    struct host *host;
    const struct host_options *options;
    struct config_snapshot *snapshot; /* a reference, for as long as the run lasts */
    const struct config *config;      /* its */
    bool can_requeue;                 /* set once, for the host */
    struct job *job;
    const struct plan *plan;
    struct account *account;
    struct scratch *scratch; /* what the engine has no memory for */
    bool is_data_paused;     /* nothing is read from the harnesses' Data streams until the disk has caught up */
    struct worker_shelf *shelf;
    uint64_t first_bundle;    /* of the engine; see job_run_start() */
    unsigned process_grant;   /* worker processes that it may have (run_queue.h) */
    unsigned attempts_wanted; /* of a bundle that the SDK fails, by option; 0: as configured */
    pthread_t thread;
    struct mailbox mailbox;
    struct engine *engine;
    struct map bundles; /* bundle -> plan_stage, for finding outputs by transform id */
    struct map watched; /* bundle -> run_watch.c's notes */
    int64_t watch_ns;   /* when one of them may be due; INT64_MAX: none */
    struct list workers;
    struct run_environment *environments;
    unsigned next_worker;
    event_time start_ms; /* wall clock and monotonic clock when the run was made */
    int64_t start_ns;
    uint64_t step_count; /* of the engine */
    int64_t wake_ns;     /* when the engine wants to know the time; INT64_MAX: not */
    struct run_metrics metrics;
    struct statistics *statistics; /* the host's */
    struct snapshot_board *board;
    struct map inquiries; /* token -> struct run_inquiry, with a reference: not answered yet */
    uint64_t next_inquiry;
    struct test_stream_source **sources; /* by stage; NULL where there is none, or none any more */
    size_t open_sources;                 /* those that may still call */
    bool is_over;                        /* the engine gave its last action: */
    enum engine_action_type end;         /* this one */
    char *end_error;
    bool is_requeued;  /* the run was ended to begin anew another time */
    bool is_published; /* the state that this run ends in is in the history */
};

/* Any thread. */
void job_run_post(struct job_run *run, struct run_event *event);
struct run_event *run_event_create(enum run_event_type type, struct run_worker *worker);
void run_event_free(struct run_event *event);
/* Starts the engine thread. `host` is told by host_run_finished() at its end. */
int job_run_start(struct job_run *run, struct status *st);
void job_run_free(struct job_run *run);
void host_run_finished(struct host *host, struct job_run *run);
/* Those whose data may take memory. Any thread. */
unsigned host_running_jobs(struct host *host);

/* The engine's clock: milliseconds since the epoch by the wall clock at the job's start, going on with the monotonic one, so that it never
 * goes back. */
event_time run_now_ms(const struct job_run *run);
void run_engine_event(struct job_run *run, struct engine_event *event);

/* The job is over, and did all it was to do. */
bool run_succeeded(const struct job_run *run);

/* The harness of that worker, NULL when there is none that could be called. */
struct fn_worker *run_usable_harness(struct job_run *run, unsigned worker);

/* run_workers.c */
/* Which environments the plan uses, and how many workers and slots each gets: before the engine is made. */
void run_workers_plan(struct job_run *run);
/* The worker processes that the job needs: one for each environment whose workers the runner starts; and how many it would have. */
struct run_demand run_workers_demand(const struct job_run *run);
/* Cuts down what it would have to run.process_grant: before it is started. */
void run_workers_grant(struct job_run *run);
/* Those of one environment. */
void run_workers_start(struct job_run *run, unsigned environment);
/* For native ones: takes an earlier job's worker, and with it what was prepared for that job. False: there is none. */
bool run_workers_start_warm(struct job_run *run, unsigned environment);
/* It is given a bundle. Says, of the environment's first, how long the job took to get there. */
void run_worker_has_bundle(struct run_worker *worker);
void run_worker_connected(struct run_worker *worker);
void run_worker_disconnected(struct run_worker *worker, char *why);
void run_worker_failed(struct run_worker *worker, char *why);
void run_worker_harness_gone(struct run_worker *worker);
void run_worker_process_gone(struct run_worker *worker);
void run_worker_handed_on(struct run_worker *worker);
/* Workers whose time is up. Returns the next deadline. */
int64_t run_workers_check_deadlines(struct job_run *run, int64_t now_ns);
/* The job is over. Workers that can serve another job of their kind leave for the shelf, the others end. */
void run_workers_stop(struct job_run *run);
/* No harness is waited for any more: not its last log line, not its teardown. */
bool run_workers_are_silent(const struct job_run *run);
/* Takes it out of the job as if it had been lost; another is started in its place. `why` is taken over. */
void run_worker_give_up(struct run_worker *worker, char *why);
struct run_worker *run_worker_by_number(struct job_run *run, unsigned number);
/* The number of the stage's descriptor at this worker, registered when it is needed first. */
unsigned run_worker_descriptor(struct run_worker *worker, const struct plan_stage *stage);

/* run_native.c: */
/* How it is run; before its workers are planned. */
void run_environment_choose(struct job_run *run, unsigned environment);
/* Says how each environment is run; starts the workers of those that need no preparation, and prepares the others. */
void run_environments_start(struct job_run *run);
/* Takes `why` over. */
void run_environment_ready(struct job_run *run, unsigned environment, struct native_environment *native, char *why);
/* Gives up what is being prepared, and gives back what was. */
void run_environments_clear(struct job_run *run);

/* run_sources.c */
void run_sources_open(struct job_run *run);
/* An event of the stage's source was played. */
void run_source_consumed(struct job_run *run, unsigned stage);
/* Nothing more is read. */
void run_sources_close(struct job_run *run);

/* run_memory.c: the memory budget, and what is stored on disk because of it. */
void run_memory_start(struct job_run *run);
/* By how many bytes the job should take less; for every event of the engine. */
size_t run_memory_excess(const struct job_run *run);
/* What the job may take at most; 0: no budget. */
size_t run_memory_budget(const struct job_run *run);
/* Tells the job's messages what went to disk, if anything did. */
void run_memory_report(const struct job_run *run);
/* Stops reading from harnesses while the disk is behind, or the engine (`has_events`: some wait for it), and goes on. After every event: what
 * is behind says so by a further one, so that nothing stays stopped. */
void run_memory_check(struct job_run *run, bool has_events);

/* run_watch.c: from START_BUNDLE to FORGET_BUNDLE a bundle is watched. */
void run_watch_bundle(struct job_run *run, uint64_t bundle, const struct plan_stage *stage, unsigned worker);
void run_watch_forget(struct job_run *run, uint64_t bundle);
/* Since it gave the last sign of life, and since it began; 0 for one that is not watched. */
int64_t run_watch_silence_ms(const struct job_run *run, uint64_t bundle, int64_t now_ns);
int64_t run_watch_age_ns(const struct job_run *run, uint64_t bundle);
void run_watch_clear(struct job_run *run);
/* Something of this bundle moved. Harmless for one that is not watched. */
void run_bundle_sign_of_life(struct job_run *run, uint64_t bundle);
/* Takes signs of life from what a harness sent. */
void run_watch_event(struct job_run *run, const struct run_event *event);
/* The answer to fn_worker_ask_status() with this bundle as its token. */
void run_watch_status(struct job_run *run, uint64_t bundle, const char *text);
/* Reports, and gives up, what is due. Returns when to call next. */
int64_t run_watch_check(struct job_run *run, int64_t now_ns);

#endif
