/* From a Pipeline proto to a plan: validation, then passes over a graph of transforms, then fused stages.
 *
 *      Pipeline --graph_load--> composites and leaves --passes--> leaves --fuse--> stages --assemble--> struct plan
 *
 * Pure functions of their input: no I/O, no clock, no global state; any thread may call. An error is
 * -STATUS_INVALID_ARGUMENT for a pipeline that contradicts itself and -STATUS_UNIMPLEMENTED for one that asks for what
 * Trestle cannot do; its message names the transform by the name that the user gave it, or the id that is missing and who
 * refers to it. */
#ifndef TRANSLATE_TRANSLATE_H
#define TRANSLATE_TRANSLATE_H

#include "base/buf.h"
#include "base/status.h"
#include "beam_runner_api.pb-c.h"
#include "translate/plan.h"

/* Limits on what is taken from outside. */
enum {
    TRANSLATE_MAX_TRANSFORMS = 100000, /* also PCollections, coders, windowing strategies, environments: each */
    TRANSLATE_MAX_NESTING = 200,       /* composites inside composites */
    TRANSLATE_MAX_CODER_NESTING = 200,
};

/* Zero-initialise. */
struct translate_options {
    struct account *account; /* the plan's memory is charged here; may be NULL */
};

/* The plan is the caller's (plan_destroy) and borrows nothing from `pipeline`. `options` may be NULL. */
int translate_pipeline(const Beam__Pipeline *pipeline, const struct translate_options *options, struct plan **ret_plan,
                       struct status *st);

/* The plan as text, a line a fact, for people and tests. */
void plan_dump(const struct plan *plan, struct buf *out);

#endif
