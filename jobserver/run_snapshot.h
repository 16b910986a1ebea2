/* What a running job is at, for whoever looks at it from outside of its thread.
 *
 *      asker --(RUN_EVENT_INSPECT, unless one is on its way)--> engine thread --(a new struct run_snapshot)--> the job's board --> all askers
 *
 * Snapshots are immutable and shared. One is made when somebody asks and the last one is older than SNAPSHOT_MS: a job that nobody looks at pays
 * nothing, one that many look at four snapshots a second. The board outlives the run for those who still wait; the last snapshot, of the end,
 * becomes the job's graph (jobserver/inspection/graph.h).
 *
 * Any thread may call. */
#ifndef JOBSERVER_RUN_SNAPSHOT_H
#define JOBSERVER_RUN_SNAPSHOT_H

#include <stdatomic.h>
#include <stdbool.h>

#include "engine/inspect.h"

struct job_run;

enum { SNAPSHOT_MS = 250 };

enum worker_state { WORKER_STARTING, WORKER_CONNECTED, WORKER_LEAVING };

struct worker_snapshot {
    char *name;              /* its id is a secret (sdk_worker.h) */
    const char *environment; /* its id; the plan's */
    unsigned number;         /* as in bundle_inspection */
    enum worker_state state;
    unsigned slots;
    int64_t connected_ms; /* 0: it is not */
    bool has_status;
};

/* Since the last sign of life, for each of engine.bundles. */
struct run_snapshot {
    atomic_uint refs;
    int64_t taken_ns; /* CLOCK_MONOTONIC */
    int64_t now_ms;   /* the engine's clock */
    struct engine_inspection engine;
    int64_t *silent_ms; /* by place in engine.bundles */
    struct worker_snapshot *workers;
    size_t worker_count;
    size_t memory_bytes, peak_memory_bytes, disk_bytes;
};

void run_snapshot_unref(struct run_snapshot *snapshot);

/* Where a run's snapshots are put up. */
struct snapshot_board;

struct snapshot_board *snapshot_board_create(void);
struct snapshot_board *snapshot_board_ref(struct snapshot_board *board);
void snapshot_board_unref(struct snapshot_board *board);
/* Whether an event must be sent for a new one: the last is old, and none was asked for. True only once until the next is put up. */
bool snapshot_board_wants(struct snapshot_board *board);
/* The newest, with a reference, after waiting up to wait_ms for one that is not old; NULL: there is none yet. */
struct run_snapshot *snapshot_board_get(struct snapshot_board *board, unsigned wait_ms);
/* Takes the snapshot over. */
void snapshot_board_put(struct snapshot_board *board, struct run_snapshot *snapshot);
/* No more will come: nobody waits any longer. */
void snapshot_board_close(struct snapshot_board *board);

/* Engine thread. */
struct run_snapshot *run_take_snapshot(struct job_run *run);

#endif
