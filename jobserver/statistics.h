/* What the daemon has done since it started, and what it does now, in numbers: for /metrics and the server's page. Counted where it happens by relaxed
 * atomics, so that nothing waits for a reader. Any thread. */
#ifndef JOBSERVER_STATISTICS_H
#define JOBSERVER_STATISTICS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* Upper ends in milliseconds; one more bucket has the rest. */
#define STATISTICS_LATENCY_MS                                                                                          \
    { 1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 60000, 600000 }
enum { STATISTICS_LATENCY_BUCKETS = 15 };

struct latency_histogram {
    atomic_ullong counts[STATISTICS_LATENCY_BUCKETS + 1]; /* not cumulative */
    atomic_ullong sum_ns;
};

enum worker_gauge { WORKERS_UNCOUNTED, WORKERS_STARTING, WORKERS_CONNECTED, WORKERS_ENDING, WORKER_GAUGES };

/* Zero-initialise. */
struct statistics {
    atomic_ullong bundles_done, bundles_failed;
    atomic_llong bundles_running;
    struct latency_histogram bundle_latency;  /* from ProcessBundle to the commit or the failure */
    atomic_ullong elements_processed;         /* input of bundles that committed */
    atomic_ullong sent_bytes, received_bytes; /* encoded elements and timers, to harnesses and from them */
    atomic_ullong state_requests;
    atomic_llong workers[WORKER_GAUGES]; /* of running jobs */
    atomic_ullong workers_connected, workers_lost;
    atomic_ullong jobs_started;
};

void latency_histogram_add(struct latency_histogram *histogram, int64_t ns);
/* Counts a worker in another gauge than before. */
void statistics_move_worker(struct statistics *statistics, enum worker_gauge *from, enum worker_gauge to);

static inline void statistics_add(atomic_ullong *counter, uint64_t count) {
    atomic_fetch_add_explicit(counter, count, memory_order_relaxed);
}

#endif
