#include "jobserver/statistics.h"

void latency_histogram_add(struct latency_histogram *histogram, int64_t ns) {
    static const int64_t ends_ms[] = STATISTICS_LATENCY_MS;
    size_t i = 0;

    while (i < STATISTICS_LATENCY_BUCKETS && ns > ends_ms[i] * 1000000)
        i++;
    statistics_add(&histogram->counts[i], 1);
    statistics_add(&histogram->sum_ns, (uint64_t)ns);
}

void statistics_move_worker(struct statistics *statistics, enum worker_gauge *from, enum worker_gauge to) {
    atomic_fetch_sub_explicit(&statistics->workers[*from], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&statistics->workers[to], 1, memory_order_relaxed);
    *from = to;
}
