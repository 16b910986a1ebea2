/* What engine/trigger.c and engine/trigger_kinds.c share: nodes of a program, and a program with one of its states. */
#ifndef ENGINE_TRIGGER_MACHINE_H
#define ENGINE_TRIGGER_MACHINE_H

#include "engine/trigger.h"

/* In the slot of a delay that no element has started. */
#define TRIGGER_NOT_STARTED INT64_MIN

struct trigger_machine;

/* What a kind of trigger does (MODEL 5.11). NULL: nothing; should_fire is never NULL. */
struct trigger_kind_ops {
    void (*on_element)(struct trigger_machine *m, unsigned node, uint64_t count);
    void (*on_merge)(struct trigger_machine *m, unsigned node);
    bool (*should_fire)(struct trigger_machine *m, unsigned node);
    void (*on_fire)(struct trigger_machine *m, unsigned node);
    void (*clear)(struct trigger_machine *m, unsigned node); /* its own state; that of its children goes with it */
};

struct trigger_node {
    const struct trigger_kind_ops *ops;
    const struct trigger *trigger; /* NULL: a Never that stands for an early trigger that is not there */
    unsigned end;                  /* the first node behind its subtree */
    unsigned slot;                 /* the word of the state that is its own, 0: none */
};

struct trigger_machine {
    const struct trigger_program *program;
    int64_t *state;
    const struct trigger_clock *clock;
    const int64_t *const *sources; /* while merging */
    size_t source_count;
};

/* By enum trigger_kind. */
extern const struct trigger_kind_ops trigger_kinds[];
/* AFTER_END_OF_WINDOW with an early or a late trigger: its children are an early one and, if there is any, a late one. */
extern const struct trigger_kind_ops trigger_early_late;

bool trigger_node_is_finished(const struct trigger_machine *m, unsigned node);
/* As if nothing had come yet. */
void trigger_node_reset(struct trigger_machine *m, unsigned node);

#endif
