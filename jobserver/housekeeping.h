/* What is to be done now and then, whether jobs end or not: retention, and the dropping of staged files that nobody refers to any more.
 *
 * At start and every ten minutes, on the pool. */
#ifndef JOBSERVER_HOUSEKEEPING_H
#define JOBSERVER_HOUSEKEEPING_H

#include "base/pool.h"
#include "jobserver/artifact_store.h"
#include "jobserver/catalogue.h"

struct housekeeping;

/* Everything is borrowed and outlives it. */
struct housekeeping_options {
    struct catalogue *catalogue;
    struct job_db *db;
    struct artifact_store *store;
    struct pool *pool;
    int64_t artifact_grace_ms;
};

struct housekeeping *housekeeping_start(const struct housekeeping_options *options);
/* Nothing more is begun. */
void housekeeping_stop(struct housekeeping *housekeeping);
/* After the pool was destroyed. NULL is fine. */
void housekeeping_destroy(struct housekeeping *housekeeping);

#endif
