/* A bundle's commit: everything that a successful bundle produced, as one value (law 2 of docs/architecture.md).
 *
 * engine_apply_commit() (engine/apply.c) is the only function that puts one into effect: all of it or, when the bundle failed, none. The
 * value has a versioned encoding; with engine_options.verify_commits each commit is applied from its decoded form, so that the encoding
 * cannot forget anything. Whatever later makes jobs durable writes these bytes down. */
#ifndef ENGINE_COMMIT_H
#define ENGINE_COMMIT_H

#include "engine/runs.h"
#include "engine/userstate.h"
#include "model/metric.h"
#include "model/time.h"

/* An element of a splittable DoFn's process transform, to be run later. */
struct commit_residual {
    struct slice element;
    int64_t delay_ms;
    event_time hold; /* lower bound of what it will still produce; TIME_MIN when the SDK does not say */
    bool is_unbounded;
};

struct bundle_commit {
    uint64_t bundle;
    unsigned stage;
    struct run_list *outputs; /* one per sink: runs, or */
    uint64_t *written;        /* elements of each output, groups' too; NULL: none */
    struct group **groups;    /* groups made of them while they came; NULL: none */
    size_t output_count;
    struct run_list *timers; /* one per timer family: records set and cleared, in order */
    size_t timer_family_count;
    struct state_overlay state;
    VEC(struct commit_residual) residuals;
    VEC(struct metric) metrics;
    bool requires_finalization;
};

void bundle_commit_clear(struct bundle_commit *commit);

/* version(1) | bundle | stage | outputs | written | groups | timers | state | residuals | metrics | flags; integers are varints, bytes are
 * length-prefixed. */
struct slice bundle_commit_encode(const struct bundle_commit *commit);
/* Fails on bytes that are truncated, of another version, have something left over, or name an extent that `store` does not have. */
int bundle_commit_decode(struct slice bytes, struct account *account, const struct store *store,
                         struct bundle_commit *ret, struct status *st);

#endif
