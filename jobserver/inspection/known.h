/* The system's metrics of a job, by what they are about: what was counted of a PCollection, and the time that a transform took. One thread. */
#ifndef JOBSERVER_INSPECTION_KNOWN_H
#define JOBSERVER_INSPECTION_KNOWN_H

#include "model/metric.h"

struct known_metrics {
    struct map collections; /* id -> struct known_collection */
    struct map times;       /* unique name -> uint64_t *, milliseconds */
};

void known_metrics_init(struct known_metrics *known, const struct metric_table *table);
void known_metrics_finish(struct known_metrics *known);
/* All are 0 where nothing is known. */
uint64_t known_elements(const struct known_metrics *known, const char *collection);
/* The SDKs measure samples: their mean, so many times as there are elements. */
uint64_t known_bytes(const struct known_metrics *known, const char *collection);
uint64_t known_time_ms(const struct known_metrics *known, const char *transform);

#endif
