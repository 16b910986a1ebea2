/* Random plans: a graph of stages as translate/ would make it, and what each executable stage computes. */
#ifndef SIM_PLANS_H
#define SIM_PLANS_H

#include "functions.h"
#include "random.h"
#include "stream.h"
#include "translate/plan.h"

enum { SIM_MAX_ENVIRONMENTS = 3 };

struct sim_plan {
    struct plan plan;
    struct function *functions; /* one per stage; executable stages only */
    enum value_type *types;     /* one per collection: of its elements */
    unsigned environments;
    struct stream_plan *stream; /* of a streaming plan, in the plan's arena; else NULL */
    bool is_tiny;               /* nothing but impulses and flattens: no worker is needed */
};

struct sim_plan *sim_plan_create(struct rng *rng);
/* stream_plans.c */
struct sim_plan *stream_plan_create(struct rng *rng);
/* stream_print.c: what sim_plan_print() says of a streaming plan besides. */
void stream_plan_print(const struct sim_plan *plan);
void sim_plan_destroy(struct sim_plan *plan);
/* For people: one line a stage. */
void sim_plan_print(const struct sim_plan *plan);
/* 0: the global window. */
int64_t sim_window_ms(const struct plan *plan, unsigned collection);

/* Where the groups of a GROUP_BY_KEY come out: behind the stage that merges them, if there is one. */
unsigned sim_groups_of(const struct plan *plan, const struct plan_stage *stage);

#endif
