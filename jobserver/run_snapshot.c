#include "jobserver/run_snapshot.h"

#include <stdlib.h>

#include "jobserver/job_run.h"

struct snapshot_board {
    atomic_uint refs;
    pthread_mutex_t mutex;
    pthread_cond_t changed; /* on CLOCK_MONOTONIC */
    struct run_snapshot *newest;
    bool is_asked;
    bool is_closed;
};

/* ---- snapshots ---- */

static struct run_snapshot *snapshot_ref(struct run_snapshot *snapshot) {
    if (snapshot)
        atomic_fetch_add_explicit(&snapshot->refs, 1, memory_order_relaxed);
    return snapshot;
}

void run_snapshot_unref(struct run_snapshot *snapshot) {
    if (!snapshot || atomic_fetch_sub_explicit(&snapshot->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < snapshot->worker_count; i++)
        free(snapshot->workers[i].name);
    free(snapshot->workers);
    free(snapshot->silent_ms);
    engine_inspection_clear(&snapshot->engine);
    free(snapshot);
}

static enum worker_state state_of(const struct run_worker *worker) {
    if (worker->is_closing || worker->is_leaving)
        return WORKER_LEAVING;
    return worker->is_connected ? WORKER_CONNECTED : WORKER_STARTING;
}

static void add_worker(struct run_snapshot *snapshot, const struct run_worker *worker) {
    const struct job_run *run = worker->run;
    enum worker_state state = state_of(worker);

    if (!worker->sdk)
        return;
    snapshot->workers[snapshot->worker_count++] = (struct worker_snapshot){
        .name = xstrdup(worker->sdk->name),
        .environment = run->plan->environments[worker->environment].id,
        .number = worker->number,
        .state = state,
        .slots = run->environments[worker->environment].slots,
        .connected_ms = worker->connected_ms,
        .has_status = state == WORKER_CONNECTED && worker->harness && fn_worker_has_status(worker->harness),
    };
}

static void add_workers(struct job_run *run, struct run_snapshot *snapshot) {
    size_t count = 0;

    list_foreach (node, &run->workers)
        count++;
    snapshot->workers = xcalloc(count + 1, sizeof(*snapshot->workers));
    list_foreach (node, &run->workers)
        add_worker(snapshot, CONTAINER_OF(node, struct run_worker, node));
}

struct run_snapshot *run_take_snapshot(struct job_run *run) {
    struct run_snapshot *snapshot = xcalloc(1, sizeof(*snapshot));

    atomic_init(&snapshot->refs, 1);
    snapshot->taken_ns = monotonic_now_ns();
    snapshot->now_ms = run_now_ms(run);
    engine_inspect(run->engine, &snapshot->engine);
    snapshot->silent_ms = xcalloc(snapshot->engine.bundle_count + 1, sizeof(*snapshot->silent_ms));
    for (size_t i = 0; i < snapshot->engine.bundle_count; i++)
        snapshot->silent_ms[i] = run_watch_silence_ms(run, snapshot->engine.bundles[i].id, snapshot->taken_ns);
    add_workers(run, snapshot);
    snapshot->memory_bytes = account_used(run->account);
    snapshot->peak_memory_bytes = atomic_load_explicit(&run->account->peak_bytes, memory_order_relaxed);
    snapshot->disk_bytes = scratch_used_bytes(run->scratch);
    return snapshot;
}

/* ---- the board ---- */

struct snapshot_board *snapshot_board_create(void) {
    struct snapshot_board *board = xcalloc(1, sizeof(*board));
    pthread_condattr_t monotonic;

    atomic_init(&board->refs, 1);
    pthread_mutex_init(&board->mutex, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&board->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return board;
}

struct snapshot_board *snapshot_board_ref(struct snapshot_board *board) {
    atomic_fetch_add_explicit(&board->refs, 1, memory_order_relaxed);
    return board;
}

void snapshot_board_unref(struct snapshot_board *board) {
    if (!board || atomic_fetch_sub_explicit(&board->refs, 1, memory_order_acq_rel) != 1)
        return;
    run_snapshot_unref(board->newest);
    pthread_cond_destroy(&board->changed);
    pthread_mutex_destroy(&board->mutex);
    free(board);
}

/* Locked. */
static bool is_fresh(const struct snapshot_board *board) {
    return board->newest && board->newest->taken_ns + SNAPSHOT_MS * INT64_C(1000000) > monotonic_now_ns();
}

bool snapshot_board_wants(struct snapshot_board *board) {
    bool wants;

    pthread_mutex_lock(&board->mutex);
    wants = !board->is_closed && !board->is_asked && !is_fresh(board);
    board->is_asked |= wants;
    pthread_mutex_unlock(&board->mutex);
    return wants;
}

struct run_snapshot *snapshot_board_get(struct snapshot_board *board, unsigned wait_ms) {
    int64_t until_ns = monotonic_now_ns() + wait_ms * INT64_C(1000000);
    struct timespec until = {.tv_sec = until_ns / 1000000000, .tv_nsec = until_ns % 1000000000};
    struct run_snapshot *snapshot;

    pthread_mutex_lock(&board->mutex);
    while (wait_ms && board->is_asked && !board->is_closed)
        if (pthread_cond_timedwait(&board->changed, &board->mutex, &until) != 0)
            break;
    snapshot = snapshot_ref(board->newest);
    pthread_mutex_unlock(&board->mutex);
    return snapshot;
}

void snapshot_board_put(struct snapshot_board *board, struct run_snapshot *snapshot) {
    struct run_snapshot *old;

    pthread_mutex_lock(&board->mutex);
    old = board->newest;
    board->newest = snapshot;
    board->is_asked = false;
    pthread_cond_broadcast(&board->changed);
    pthread_mutex_unlock(&board->mutex);
    run_snapshot_unref(old);
}

void snapshot_board_close(struct snapshot_board *board) {
    pthread_mutex_lock(&board->mutex);
    board->is_closed = true;
    pthread_cond_broadcast(&board->changed);
    pthread_mutex_unlock(&board->mutex);
}
