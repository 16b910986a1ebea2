#include "engine/trigger.h"

#include <assert.h>
#include <stdlib.h>

/* A delay that no element has started. */
#define NOT_STARTED INT64_MIN

struct machine;

/* What a kind of trigger does (MODEL 5.11). NULL: nothing; should_fire is never NULL. */
struct trigger_kind_ops {
    void (*on_element)(struct machine *m, unsigned node, uint64_t count);
    void (*on_merge)(struct machine *m, unsigned node);
    bool (*should_fire)(struct machine *m, unsigned node);
    void (*on_fire)(struct machine *m, unsigned node);
    void (*clear)(struct machine *m, unsigned node); /* its own state; that of its children goes with it */
};

struct trigger_node {
    const struct trigger_kind_ops *ops;
    const struct trigger *trigger; /* NULL: a Never that stands for an early trigger that is not there */
    unsigned end;                  /* the first node behind its subtree */
    unsigned slot;                 /* the word of the state that is its own, 0: none */
};

struct machine {
    const struct trigger_program *program;
    int64_t *state;
    const struct trigger_clock *clock;
    const int64_t *const *sources; /* while merging */
    size_t source_count;
};

#define CHILD_FOREACH(child, m, node)                                                                                  \
    for (unsigned child = (node) + 1; child < (m)->program->nodes[node].end; child = (m)->program->nodes[child].end)

static bool bit_of(const int64_t *state, unsigned node) {
    return (uint64_t)state[0] >> node & 1;
}

static bool is_finished(const struct machine *m, unsigned node) {
    return m->program->words && bit_of(m->state, node);
}

static void set_finished(struct machine *m, unsigned node, bool finished) {
    uint64_t bit = UINT64_C(1) << node;

    m->state[0] = (int64_t)(finished ? (uint64_t)m->state[0] | bit : (uint64_t)m->state[0] & ~bit);
}

static bool finished_in_any(const struct machine *m, unsigned node) {
    for (size_t i = 0; i < m->source_count; i++)
        if (bit_of(m->sources[i], node))
            return true;
    return false;
}

static bool finished_in_all(const struct machine *m, unsigned node) {
    for (size_t i = 0; i < m->source_count; i++)
        if (!bit_of(m->sources[i], node))
            return false;
    return true;
}

static int64_t *slot_of(struct machine *m, unsigned node) {
    return &m->state[m->program->nodes[node].slot];
}

static const struct trigger *trigger_of(const struct machine *m, unsigned node) {
    return m->program->nodes[node].trigger;
}

static unsigned second_child(const struct machine *m, unsigned node) {
    return m->program->nodes[node + 1].end;
}

static bool is_window_over(const struct machine *m) {
    return m->clock->input_watermark > m->clock->window_end;
}

/* ---- any kind ---- */

static void on_element(struct machine *m, unsigned node, uint64_t count) {
    const struct trigger_kind_ops *ops = m->program->nodes[node].ops;

    if (ops->on_element)
        ops->on_element(m, node, count);
}

static void on_merge(struct machine *m, unsigned node) {
    const struct trigger_kind_ops *ops = m->program->nodes[node].ops;

    if (ops->on_merge)
        ops->on_merge(m, node);
}

static bool should_fire(struct machine *m, unsigned node) {
    return m->program->nodes[node].ops->should_fire(m, node);
}

static void on_fire(struct machine *m, unsigned node) {
    const struct trigger_kind_ops *ops = m->program->nodes[node].ops;

    if (ops->on_fire)
        ops->on_fire(m, node);
}

/* Its and its children's state, not their finished bits. */
static void clear(struct machine *m, unsigned node) {
    for (unsigned i = node; i < m->program->nodes[node].end; i++)
        if (m->program->nodes[i].ops->clear)
            m->program->nodes[i].ops->clear(m, i);
}

/* As if nothing had come yet. */
static void reset(struct machine *m, unsigned node) {
    clear(m, node);
    for (unsigned i = node; m->program->words && i < m->program->nodes[node].end; i++)
        set_finished(m, i, false);
}

/* ---- without state ---- */

static bool always_should_fire(struct machine *m, unsigned node) {
    (void)m;
    (void)node;
    return true;
}

static bool never_should_fire(struct machine *m, unsigned node) {
    (void)m;
    (void)node;
    return false;
}

static bool end_of_window_should_fire(struct machine *m, unsigned node) {
    (void)node;
    return is_window_over(m);
}

static void finish(struct machine *m, unsigned node) {
    set_finished(m, node, true);
}

/* MODEL 5.24: what is still to fire in one of the windows is still to fire. */
static void end_of_window_on_merge(struct machine *m, unsigned node) {
    set_finished(m, node, finished_in_all(m, node) && is_window_over(m));
}

/* ---- counts (MODEL 5.15) ---- */

static void count_on_element(struct machine *m, unsigned node, uint64_t count) {
    *slot_of(m, node) += (int64_t)count;
}

static void count_clear(struct machine *m, unsigned node) {
    *slot_of(m, node) = 0;
}

static void count_on_merge(struct machine *m, unsigned node) {
    count_clear(m, node);
    if (finished_in_any(m, node)) {
        finish(m, node);
        return;
    }
    for (size_t i = 0; i < m->source_count; i++)
        *slot_of(m, node) += m->sources[i][m->program->nodes[node].slot];
}

static bool count_should_fire(struct machine *m, unsigned node) {
    return *slot_of(m, node) >= trigger_of(m, node)->element_count;
}

static void count_on_fire(struct machine *m, unsigned node) {
    count_clear(m, node);
    finish(m, node);
}

/* ---- processing time (MODEL 5.16, 5.18) ---- */

/* The least offset + k * period that is not before `t`. */
static event_time align(event_time t, int64_t period, int64_t offset) {
    __int128 past = ((__int128)t - offset) % period;

    if (past < 0)
        past += period;
    return past == 0 ? t : time_add(t, (int64_t)(period - past));
}

static void delay_on_element(struct machine *m, unsigned node, uint64_t count) {
    const struct trigger *trigger = trigger_of(m, node);
    event_time target = m->clock->processing_time;

    (void)count;
    if (*slot_of(m, node) != NOT_STARTED)
        return;
    for (size_t i = 0; i < trigger->delay_count; i++) {
        const struct trigger_delay *delay = &trigger->delays[i];

        target = delay->align ? align(target, delay->period_ms, delay->offset_ms) : time_add(target, delay->delay_ms);
    }
    *slot_of(m, node) = target;
}

static void delay_clear(struct machine *m, unsigned node) {
    *slot_of(m, node) = NOT_STARTED;
}

static void delay_on_merge(struct machine *m, unsigned node) {
    delay_clear(m, node);
    if (is_finished(m, node))
        return;
    for (size_t i = 0; i < m->source_count; i++) {
        int64_t target = m->sources[i][m->program->nodes[node].slot];

        if (target != NOT_STARTED && (*slot_of(m, node) == NOT_STARTED || target < *slot_of(m, node)))
            *slot_of(m, node) = target;
    }
}

static bool delay_should_fire(struct machine *m, unsigned node) {
    return *slot_of(m, node) != NOT_STARTED && *slot_of(m, node) <= m->clock->processing_time;
}

static void delay_on_fire(struct machine *m, unsigned node) {
    delay_clear(m, node);
    finish(m, node);
}

/* ---- all, any (MODEL 5.19, 5.20) ---- */

static bool is_finished_or_ready(struct machine *m, unsigned node) {
    return is_finished(m, node) || should_fire(m, node);
}

static void all_on_element(struct machine *m, unsigned node, uint64_t count) {
    CHILD_FOREACH(child, m, node)
    if (!is_finished(m, child))
        on_element(m, child, count);
}

static void all_on_merge(struct machine *m, unsigned node) {
    bool all = true;

    CHILD_FOREACH(child, m, node) {
        on_merge(m, child);
        all = all && is_finished(m, child);
    }
    set_finished(m, node, all);
}

static bool all_should_fire(struct machine *m, unsigned node) {
    CHILD_FOREACH(child, m, node)
    if (!is_finished_or_ready(m, child))
        return false;
    return true;
}

static void all_on_fire(struct machine *m, unsigned node) {
    CHILD_FOREACH(child, m, node)
    if (!is_finished(m, child))
        on_fire(m, child);
    finish(m, node);
}

static void each_child_on_element(struct machine *m, unsigned node, uint64_t count) {
    CHILD_FOREACH(child, m, node)
    on_element(m, child, count);
}

static void any_on_merge(struct machine *m, unsigned node) {
    bool any = false;

    CHILD_FOREACH(child, m, node) {
        on_merge(m, child);
        any = any || is_finished(m, child);
    }
    set_finished(m, node, any);
}

static bool any_should_fire(struct machine *m, unsigned node) {
    CHILD_FOREACH(child, m, node)
    if (is_finished_or_ready(m, child))
        return true;
    return false;
}

static void any_on_fire(struct machine *m, unsigned node) {
    CHILD_FOREACH(child, m, node)
    if (should_fire(m, child))
        on_fire(m, child);
    else
        clear(m, child);
    finish(m, node);
}

/* ---- one after the other (MODEL 5.21) ---- */

/* 0: none. */
static unsigned current_child(const struct machine *m, unsigned node) {
    CHILD_FOREACH(child, m, node)
    if (!is_finished(m, child))
        return child;
    return 0;
}

static void sequence_on_element(struct machine *m, unsigned node, uint64_t count) {
    unsigned current = current_child(m, node);

    /* A merge may go back to any of them. */
    if (m->program->is_merging)
        each_child_on_element(m, node, count);
    else if (current)
        on_element(m, current, count);
}

static void sequence_on_merge(struct machine *m, unsigned node) {
    bool prior_finished = true;

    CHILD_FOREACH(child, m, node) {
        if (prior_finished)
            on_merge(m, child);
        else
            clear(m, child);
        prior_finished = prior_finished && is_finished(m, child);
    }
    set_finished(m, node, current_child(m, node) == 0);
}

static bool sequence_should_fire(struct machine *m, unsigned node) {
    unsigned current = current_child(m, node);

    return current && should_fire(m, current);
}

static void sequence_on_fire(struct machine *m, unsigned node) {
    unsigned current = current_child(m, node);

    if (current)
        on_fire(m, current);
    if (m->program->is_merging)
        clear(m, node);
    set_finished(m, node, current_child(m, node) == 0);
}

/* ---- main until (MODEL 5.22) ---- */

static bool until_should_fire(struct machine *m, unsigned node) {
    return should_fire(m, node + 1) || should_fire(m, second_child(m, node));
}

static void until_on_fire(struct machine *m, unsigned node) {
    unsigned main = node + 1, until = second_child(m, node);

    if (should_fire(m, until)) {
        on_fire(m, until);
        clear(m, main);
    } else {
        on_fire(m, main); /* `until` goes on: it watches all panes */
    }
    set_finished(m, node, is_finished(m, main) || is_finished(m, until));
}

/* ---- repeat (MODEL 5.12) ---- */

static void repeat_on_merge(struct machine *m, unsigned node) {
    on_merge(m, node + 1);
}

static bool repeat_should_fire(struct machine *m, unsigned node) {
    return should_fire(m, node + 1);
}

static void repeat_on_fire(struct machine *m, unsigned node) {
    on_fire(m, node + 1);
    if (is_finished(m, node + 1))
        reset(m, node + 1);
}

/* ---- end of window with early and late triggers (MODEL 5.23) ---- */

/* 0: there is none. */
static unsigned late_child(const struct machine *m, unsigned node) {
    unsigned second = second_child(m, node);

    return second < m->program->nodes[node].end ? second : 0;
}

static void early_late_on_merge(struct machine *m, unsigned node) {
    unsigned early = node + 1, late = late_child(m, node);

    if (finished_in_all(m, early) && is_window_over(m)) {
        finish(m, early);
        if (late)
            on_merge(m, late);
        return;
    }
    on_merge(m, early);
    if (is_finished(m, early))
        reset(m, early);
    if (late)
        reset(m, late);
}

static bool early_late_should_fire(struct machine *m, unsigned node) {
    unsigned early = node + 1, late = late_child(m, node);

    if (!is_finished(m, early))
        return is_window_over(m) || should_fire(m, early);
    return late && should_fire(m, late);
}

static void on_time_fire(struct machine *m, unsigned node) {
    unsigned early = node + 1, late = late_child(m, node);

    if (should_fire(m, early))
        on_fire(m, early);
    reset(m, early);
    finish(m, early);
    if (late)
        reset(m, late); /* it was run beside `early` */
    else
        finish(m, node);
}

static void early_late_on_fire(struct machine *m, unsigned node) {
    unsigned early = node + 1, late = late_child(m, node);
    unsigned repeated = is_finished(m, early) ? late : early;

    if (repeated == early && is_window_over(m)) {
        on_time_fire(m, node);
    } else if (!repeated) {
        finish(m, node);
    } else {
        on_fire(m, repeated);
        reset(m, repeated);
    }
}

/* ---- the table ---- */

static const struct trigger_kind_ops never = {.should_fire = never_should_fire};
static const struct trigger_kind_ops early_late = {sequence_on_element, early_late_on_merge, early_late_should_fire,
                                                   early_late_on_fire, NULL};

static const struct trigger_kind_ops kinds[] = {
    [TRIGGER_DEFAULT] = {.should_fire = end_of_window_should_fire},
    [TRIGGER_ALWAYS] = {.should_fire = always_should_fire},
    [TRIGGER_NEVER] = {.should_fire = never_should_fire},
    [TRIGGER_ELEMENT_COUNT] = {count_on_element, count_on_merge, count_should_fire, count_on_fire, count_clear},
    [TRIGGER_AFTER_PROCESSING_TIME] = {delay_on_element, delay_on_merge, delay_should_fire, delay_on_fire, delay_clear},
    /* There is one clock: it is synchronized when it is read. */
    [TRIGGER_AFTER_SYNCHRONIZED_PROCESSING_TIME] = {delay_on_element, delay_on_merge, delay_should_fire, delay_on_fire,
                                                    delay_clear},
    /* Without early and late triggers; with one of them it is `early_late`. */
    [TRIGGER_AFTER_END_OF_WINDOW] = {NULL, end_of_window_on_merge, end_of_window_should_fire, finish, NULL},
    [TRIGGER_AFTER_ALL] = {all_on_element, all_on_merge, all_should_fire, all_on_fire, NULL},
    [TRIGGER_AFTER_ANY] = {each_child_on_element, any_on_merge, any_should_fire, any_on_fire, NULL},
    [TRIGGER_AFTER_EACH] = {sequence_on_element, sequence_on_merge, sequence_should_fire, sequence_on_fire, NULL},
    [TRIGGER_OR_FINALLY] = {each_child_on_element, any_on_merge, until_should_fire, until_on_fire, NULL},
    [TRIGGER_REPEAT] = {each_child_on_element, repeat_on_merge, repeat_should_fire, repeat_on_fire, NULL},
};

/* Whether a node of this kind has a finished bit that may be set, or a state. */
static bool has_state(const struct trigger_node *node) {
    return node->ops->clear || (node->ops->on_fire && node->ops->on_fire != repeat_on_fire);
}

/* ---- programs ---- */

static bool is_delayed(const struct trigger *trigger) {
    return trigger && (trigger->kind == TRIGGER_AFTER_PROCESSING_TIME ||
                       trigger->kind == TRIGGER_AFTER_SYNCHRONIZED_PROCESSING_TIME);
}

/* The early and the late trigger, NULL where there is none. */
static void children_of_end_of_window(const struct trigger *trigger, const struct trigger *ret_children[2]) {
    for (size_t i = 0; i < 2; i++)
        ret_children[i] = i < trigger->child_count ? trigger->children[i] : NULL;
}

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

static struct trigger_node *add_node(struct trigger_program *program, const struct trigger_kind_ops *ops,
                                     const struct trigger *trigger) {
    struct trigger_node *node = &program->nodes[program->node_count++];

    assert(program->node_count <= TRIGGER_MAX_NODES);
    *node = (struct trigger_node){.ops = ops, .trigger = trigger, .end = program->node_count};
    return node;
}

static void compile(struct trigger_program *program, const struct trigger *trigger) {
    struct trigger_node *node = add_node(program, &kinds[trigger->kind], trigger);

    if (trigger->kind == TRIGGER_AFTER_END_OF_WINDOW) {
        const struct trigger *children[2];

        children_of_end_of_window(trigger, children);
        if (children[0] || children[1])
            node->ops = &early_late;
        if (children[0])
            compile(program, children[0]);
        else if (children[1])
            add_node(program, &never, NULL);
        if (children[1])
            compile(program, children[1]);
    } else {
        for (size_t i = 0; i < trigger->child_count; i++)
            compile(program, trigger->children[i]);
    }
    node->end = program->node_count;
}

struct trigger_program *trigger_program_create(const struct trigger *trigger, bool is_merging) {
    struct trigger_program *program = xcalloc(1, sizeof(*program));

    program->is_merging = is_merging;
    program->nodes = xcalloc(TRIGGER_MAX_NODES, sizeof(*program->nodes));
    compile(program, trigger);
    for (unsigned i = 0; i < program->node_count; i++) {
        struct trigger_node *node = &program->nodes[i];

        if (has_state(node) && !program->words)
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
    struct machine m = {.program = program, .state = state};

    reset(&m, 0);
}

void trigger_on_element(const struct trigger_program *program, int64_t *state, const struct trigger_clock *clock,
                        uint64_t count) {
    struct machine m = {.program = program, .state = state, .clock = clock};

    if (program->words)
        on_element(&m, 0, count);
}

void trigger_on_merge(const struct trigger_program *program, int64_t *state, const int64_t *const *sources,
                      size_t source_count, const struct trigger_clock *clock) {
    struct machine m = {
        .program = program, .state = state, .clock = clock, .sources = sources, .source_count = source_count};

    if (program->words)
        on_merge(&m, 0);
}

bool trigger_should_fire(const struct trigger_program *program, const int64_t *state,
                         const struct trigger_clock *clock) {
    struct machine m = {.program = program, .state = (int64_t *)state, .clock = clock};

    return should_fire(&m, 0);
}

void trigger_on_fire(const struct trigger_program *program, int64_t *state, const struct trigger_clock *clock) {
    struct machine m = {.program = program, .state = state, .clock = clock};

    if (program->words)
        on_fire(&m, 0);
}

bool trigger_is_finished(const struct trigger_program *program, const int64_t *state) {
    return program->words && bit_of(state, 0);
}

event_time trigger_next_time(const struct trigger_program *program, const int64_t *state,
                             const struct trigger_clock *clock) {
    event_time next = TIME_MAX;

    for (unsigned i = 0; program->words > 1 && i < program->node_count; i++)
        if (is_delayed(program->nodes[i].trigger) && !bit_of(state, i) &&
            state[program->nodes[i].slot] > clock->processing_time)
            next = MIN(next, state[program->nodes[i].slot]);
    return next;
}
