/* A job, from Prepare to its last state, and the catalogue of all jobs.
 *
 *   Prepare --> struct preparation (pipeline checked and translated, options, artifacts being staged)
 *   Run     --> struct job (a new id; history of events; metrics; result)
 *
 * A job's history is one list of events, state changes and messages, in order; GetStateStream, GetMessageStream, the log and later the
 * web page and the catalogue on disk are all views of it. A subscriber gets the whole history first and then what is new.
 *
 * Threads: every function may be called from any thread; a job's own mutex guards its history. Subscribers are called without the lock,
 * one at a time per subscription, on the thread that appended (or subscribed). Jobs are reference counted. */
#ifndef JOBSERVER_JOB_H
#define JOBSERVER_JOB_H

#include <stdatomic.h>

#include "base/arena.h"
#include "base/slice.h"
#include "base/status.h"
#include "model/metric.h"
#include "translate/plan.h"

/* The numbers are JobState.Enum's (beam_job_api.proto). */
enum job_state {
    JOB_UNSPECIFIED = 0,
    JOB_STOPPED = 1,
    JOB_RUNNING = 2,
    JOB_DONE = 3,
    JOB_FAILED = 4,
    JOB_CANCELLED = 5,
    JOB_UPDATED = 6,
    JOB_DRAINING = 7,
    JOB_DRAINED = 8,
    JOB_STARTING = 9,
    JOB_CANCELLING = 10,
};

/* The numbers are JobMessage.MessageImportance's. */
enum job_message_importance {
    JOB_MESSAGE_DEBUG = 1,
    JOB_MESSAGE_DETAILED = 2,
    JOB_MESSAGE_BASIC = 3,
    JOB_MESSAGE_WARNING = 4,
    JOB_MESSAGE_ERROR = 5,
};

bool job_state_is_terminal(enum job_state state);
const char *job_state_name(enum job_state state);
/* JOB_UNSPECIFIED: no state is called so. */
enum job_state job_state_of_name(const char *name);

struct job_event {
    uint64_t seq;  /* its number in the job's history, which never changes */
    bool is_state; /* else a message */
    int64_t time_ms;
    enum job_state state;
    enum job_message_importance importance;
    const char *text; /* messages */
};

/* What a job runs and what it needs to be run: set at creation, immutable afterwards. */
struct job_spec {
    const char *name;
    struct slice pipeline;         /* serialized Pipeline, as submitted, dependencies replaced by staged artifacts */
    struct slice pipeline_options; /* serialized google.protobuf.Struct */
    struct plan *plan;
    const char *retrieval_token;
};

struct job;
struct catalogue;

/* What one job's history may hold; all are counted, none is a target. */
struct job_limits {
    size_t max_messages;      /* log.max_messages_per_job */
    size_t max_message_bytes; /* longer texts are cut: clients take 4 MiB a message */
    size_t max_bytes;         /* of all messages together */
};

/* In state STOPPED. `id` and the strings and slices of the specification are copied or referenced; the plan is taken over. */
struct job *job_create(const char *id, const struct job_spec *spec, const struct job_limits *limits);

const char *job_id(const struct job *job);
const struct job_spec *job_specification(const struct job *job);
enum job_state job_current_state(struct job *job);
/* The same, with the time at which it was entered. */
enum job_state job_state_since(struct job *job, int64_t *ret_time_ms);
int64_t job_created_ms(const struct job *job);
/* About how much memory it holds. */
size_t job_memory_bytes(struct job *job);
struct job *job_ref(struct job *job);
void job_unref(struct job *job);

/* Appends to the history. A state after a terminal one is ignored (returns false). Repeating the current state is ignored too. */
bool job_set_state(struct job *job, enum job_state state);
/* At most `log.max_messages_per_job` messages are kept: beyond it the oldest below WARNING go first and a note says how many. */
void job_add_message(struct job *job, enum job_message_importance importance, const char *format, ...)
    PRINTF_LIKE(3, 4);
/* The end of a failed job: `text` as the last ERROR message, then FAILED. Whoever reads the history from then on finds it the only ERROR. After it, messages of importance ERROR are lowered to WARNING,
 * because clients take the last ERROR as the reason. */
void job_fail(struct job *job, const char *text);

/* The end of a job that finished all it had to: DRAINED when it is DRAINING, else DONE. */
void job_succeed(struct job *job);

/* A RUNNING job becomes DRAINING; for one that is DRAINING already nothing changes. Else FAILED_PRECONDITION: it has not begun, is being
 * cancelled or is over. */
int job_start_draining(struct job *job, struct status *st);

/* That somebody asked for the job's end; for a run that is only just being started. */
void job_request_cancel(struct job *job);
bool job_cancel_is_requested(const struct job *job);

/* Metrics as of now; the tables are replaced as a whole (moved in). `attempted` includes failed and running bundles. */
void job_set_metrics(struct job *job, struct metric_table *attempted, struct metric_table *committed);

/* The metrics last set, both tables as one immutable value; never NULL. Unref it. */
struct job_metrics {
    atomic_uint refs;
    struct metric_table attempted;
    struct metric_table committed;
};
struct job_metrics *job_get_metrics(struct job *job);
void job_metrics_unref(struct job_metrics *metrics);

/* The graph as it was at the end: a serialized trestle.v1.Graph, whose reference is taken over; before the terminal state. */
void job_set_last_graph(struct job *job, struct slice graph);
/* A reference of the caller's own; empty: there is none. */
struct slice job_last_graph(struct job *job);

/* Calls `on_event` for each event behind number `seq` (0: from the first) that is there now, until it returns false. Without the job's lock. */
void job_read_history(struct job *job, uint64_t seq, bool (*on_event)(void *user, const struct job_event *event),
                      void *user);

/* `on_event` is called for each event of the history, then for new ones, until job_unsubscribe() or the terminal state was delivered.
 * Must not block. */
struct job_subscription;
struct job_subscription *job_subscribe(struct job *job, void (*on_event)(void *user, const struct job_event *event),
                                       void *user);
/* The same, but nothing is delivered before job_subscription_resume(): the caller can store the subscription first. */
struct job_subscription *job_subscribe_paused(struct job *job,
                                              void (*on_event)(void *user, const struct job_event *event), void *user);
/* No event is delivered until resumed; they are kept in the history (as long as that keeps them). Also from inside on_event: that
 * is how a reader whose buffers are full says so. */
void job_subscription_pause(struct job_subscription *subscription);
/* Delivers what came meanwhile, on this thread. Harmless when not paused. */
void job_subscription_resume(struct job_subscription *subscription);
/* After it returns no call is running or will come (but the one it was called from, if it was). NULL is fine. */
void job_unsubscribe(struct job_subscription *subscription);

/* What a harness may ask of this runner: URNs with spaces between them, in the arena. */
const char *job_runner_capabilities(struct arena *arena);
/* The ProvisionInfo (without endpoints) for workers of one of the plan's environments: options, artifacts, token, job id and name. */
struct slice job_provision_info(struct job *job, unsigned environment);

#endif
