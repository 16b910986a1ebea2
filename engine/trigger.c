#include "engine/trigger.h"

#include <assert.h>
#include <stdlib.h>

#include "engine/trigger_machine.h"

/* ---- what can be run ---- */

static int count_nodes(const struct trigger *trigger, unsigned *count, struct status *st) {
    bool may_lack = trigger->kind == TRIGGER_AFTER_END_OF_WINDOW;

    /* With room for the Never of an early trigger that is not there. */
    *count += may_lack ? 2 : 1;
    if (*count > TRIGGER_MAX_NODES)
        return status_set(st, STATUS_UNIMPLEMENTED, "a trigger is made of more than %d triggers", TRIGGER_MAX_NODES);
    for (size_t i = 0; i < trigger->delay_count; i++)
        if (trigger->delays[i].align && trigger->delays[i].period_ms <= 0)
            return status_set(st, STATUS_INVALID_ARGUMENT,
                              "a trigger is aligned to a period of %lld ms; it must be more than 0",
                              (long long)trigger->delays[i].period_ms);
    for (size_t i = 0; i < trigger->child_count; i++) {
        int r = 0;

        if (trigger->children[i])
            r = count_nodes(trigger->children[i], count, st);
        else if (!may_lack)
            return status_set(st, STATUS_INVALID_ARGUMENT, "a trigger lacks a subtrigger");
        if (r < 0)
            return r;
    }
    return 0;
}

/* How many subtriggers a kind has at least. */
static const unsigned min_children[] = {
    [TRIGGER_AFTER_ALL] = 1,  [TRIGGER_AFTER_ANY] = 1, [TRIGGER_AFTER_EACH] = 1,
    [TRIGGER_OR_FINALLY] = 2, [TRIGGER_REPEAT] = 1,
};

static int check_children(const struct trigger *trigger, struct status *st) {
    if (trigger->kind < ARRAY_COUNT(min_children) && trigger->child_count < min_children[trigger->kind])
        return status_set(st, STATUS_INVALID_ARGUMENT, "a trigger lacks its subtriggers");
    for (size_t i = 0; i < trigger->child_count; i++) {
        int r = trigger->children[i] ? check_children(trigger->children[i], st) : 0;

        if (r < 0)
            return r;
    }
    return 0;
}

int trigger_check(const struct trigger *trigger, struct status *st) {
    unsigned count = 0;
    int r = count_nodes(trigger, &count, st);

    return r < 0 ? r : check_children(trigger, st);
}

/* ---- programs ---- */

/* Repeating is the one firing that leaves no bit of its own. */
static bool may_finish(const struct trigger_node *node) {
    return node->ops->on_fire && node->ops != &trigger_kinds[TRIGGER_REPEAT];
}

static bool is_delayed(const struct trigger *trigger) {
    return trigger && (trigger->kind == TRIGGER_AFTER_PROCESSING_TIME ||
                       trigger->kind == TRIGGER_AFTER_SYNCHRONIZED_PROCESSING_TIME);
}

static struct trigger_node *add_node(struct trigger_program *program, const struct trigger_kind_ops *ops,
                                     const struct trigger *trigger) {
    struct trigger_node *node = &program->nodes[program->node_count++];

    assert(program->node_count <= TRIGGER_MAX_NODES);
    *node = (struct trigger_node){.ops = ops, .trigger = trigger, .end = program->node_count};
    return node;
}

static void compile(struct trigger_program *program, const struct trigger *trigger) {
    struct trigger_node *node = add_node(program, &trigger_kinds[trigger->kind], trigger);

    for (size_t i = 0; i < trigger->child_count; i++) {
        const struct trigger *child = trigger->children[i];

        if (child)
            compile(program, child);
        else if (i == 0 && trigger->child_count > 1 && trigger->children[1])
            add_node(program, &trigger_kinds[TRIGGER_NEVER], NULL); /* a late trigger without an early one */
    }
    node->end = program->node_count;
    if (trigger->kind == TRIGGER_AFTER_END_OF_WINDOW && node + 1 < program->nodes + node->end)
        node->ops = &trigger_early_late;
}

struct trigger_program *trigger_program_create(const struct trigger *trigger, bool is_merging) {
    struct trigger_program *program = xcalloc(1, sizeof(*program));

    program->is_merging = is_merging;
    program->nodes = xcalloc(TRIGGER_MAX_NODES, sizeof(*program->nodes));
    compile(program, trigger);
    for (unsigned i = 0; i < program->node_count; i++) {
        struct trigger_node *node = &program->nodes[i];

        if (may_finish(node) && !program->words)
            program->words = 1;
        if (node->ops->clear)
            node->slot = program->words++;
    }
    return program;
}

void trigger_program_destroy(struct trigger_program *program) {
    if (!program)
        return;
    free(program->nodes);
    free(program);
}

/* ---- states ---- */

void trigger_start(const struct trigger_program *program, int64_t *state) {
    struct trigger_machine m = {.program = program, .state = state};

    trigger_node_reset(&m, 0);
}

void trigger_on_element(const struct trigger_program *program, int64_t *state, const struct trigger_clock *clock,
                        uint64_t count) {
    struct trigger_machine m = {.program = program, .state = state, .clock = clock};

    if (program->words && program->nodes->ops->on_element)
        program->nodes->ops->on_element(&m, 0, count);
}

void trigger_on_merge(const struct trigger_program *program, int64_t *state, const int64_t *const *sources,
                      size_t source_count, const struct trigger_clock *clock) {
    struct trigger_machine m = {
        .program = program, .state = state, .clock = clock, .sources = sources, .source_count = source_count};

    if (program->words && program->nodes->ops->on_merge)
        program->nodes->ops->on_merge(&m, 0);
}

bool trigger_should_fire(const struct trigger_program *program, const int64_t *state,
                         const struct trigger_clock *clock) {
    struct trigger_machine m = {.program = program, .state = (int64_t *)state, .clock = clock};

    return program->nodes->ops->should_fire(&m, 0);
}

void trigger_on_fire(const struct trigger_program *program, int64_t *state, const struct trigger_clock *clock) {
    struct trigger_machine m = {.program = program, .state = state, .clock = clock};

    if (program->words && program->nodes->ops->on_fire)
        program->nodes->ops->on_fire(&m, 0);
}

bool trigger_is_finished(const struct trigger_program *program, const int64_t *state) {
    return program->words && state[0] & 1;
}

/* The time at which a node that has begun to wait is ready; TIME_MAX: it was ready when the trigger was asked last. */
static event_time ready_time(const struct trigger *trigger, event_time target, const struct trigger_clock *clock) {
    if (trigger->kind == TRIGGER_AFTER_SYNCHRONIZED_PROCESSING_TIME && clock->is_arriving &&
        target != TRIGGER_NOT_STARTED)
        return target;
    return target > clock->processing_time ? target : TIME_MAX;
}

event_time trigger_next_time(const struct trigger_program *program, const int64_t *state,
                             const struct trigger_clock *clock) {
    event_time next = TIME_MAX;

    for (unsigned i = 0; program->words > 1 && i < program->node_count; i++)
        if (is_delayed(program->nodes[i].trigger) && !((uint64_t)state[0] >> i & 1)) {
            event_time ready = ready_time(program->nodes[i].trigger, state[program->nodes[i].slot], clock);

            next = MIN(next, ready);
        }
    return next;
}
