/* What each kind of trigger does (MODEL 5.12 - 5.24). */
#include "engine/trigger_machine.h"

#define CHILD_FOREACH(child, m, node)                                                                                  \
    for (unsigned child = (node) + 1; child < (m)->program->nodes[node].end; child = (m)->program->nodes[child].end)

static bool bit_of(const int64_t *state, unsigned node) {
    return (uint64_t)state[0] >> node & 1;
}

bool trigger_node_is_finished(const struct trigger_machine *m, unsigned node) {
    return m->program->words && bit_of(m->state, node);
}

static void set_finished(struct trigger_machine *m, unsigned node, bool finished) {
    uint64_t bit = UINT64_C(1) << node;

    m->state[0] = (int64_t)(finished ? (uint64_t)m->state[0] | bit : (uint64_t)m->state[0] & ~bit);
}

static bool finished_in_any(const struct trigger_machine *m, unsigned node) {
    for (size_t i = 0; i < m->source_count; i++)
        if (bit_of(m->sources[i], node))
            return true;
    return false;
}

static bool finished_in_all(const struct trigger_machine *m, unsigned node) {
    for (size_t i = 0; i < m->source_count; i++)
        if (!bit_of(m->sources[i], node))
            return false;
    return true;
}

static int64_t *slot_of(struct trigger_machine *m, unsigned node) {
    return &m->state[m->program->nodes[node].slot];
}

static const struct trigger *trigger_of(const struct trigger_machine *m, unsigned node) {
    return m->program->nodes[node].trigger;
}

static unsigned second_child(const struct trigger_machine *m, unsigned node) {
    return m->program->nodes[node + 1].end;
}

static bool is_window_over(const struct trigger_machine *m) {
    return m->clock->input_watermark > m->clock->window_end;
}

/* ---- any kind ---- */

static void on_element(struct trigger_machine *m, unsigned node, uint64_t count) {
    const struct trigger_kind_ops *ops = m->program->nodes[node].ops;

    if (ops->on_element)
        ops->on_element(m, node, count);
}

static void on_merge(struct trigger_machine *m, unsigned node) {
    const struct trigger_kind_ops *ops = m->program->nodes[node].ops;

    if (ops->on_merge)
        ops->on_merge(m, node);
}

static bool should_fire(struct trigger_machine *m, unsigned node) {
    return m->program->nodes[node].ops->should_fire(m, node);
}

static void on_fire(struct trigger_machine *m, unsigned node) {
    const struct trigger_kind_ops *ops = m->program->nodes[node].ops;

    if (ops->on_fire)
        ops->on_fire(m, node);
}

/* Its and its children's state, not their finished bits. */
static void clear(struct trigger_machine *m, unsigned node) {
    for (unsigned i = node; i < m->program->nodes[node].end; i++)
        if (m->program->nodes[i].ops->clear)
            m->program->nodes[i].ops->clear(m, i);
}

void trigger_node_reset(struct trigger_machine *m, unsigned node) {
    clear(m, node);
    for (unsigned i = node; m->program->words && i < m->program->nodes[node].end; i++)
        set_finished(m, i, false);
}

/* ---- without state ---- */

static bool always_should_fire(struct trigger_machine *m, unsigned node) {
    (void)m;
    (void)node;
    return true;
}

static bool never_should_fire(struct trigger_machine *m, unsigned node) {
    (void)m;
    (void)node;
    return false;
}

static bool end_of_window_should_fire(struct trigger_machine *m, unsigned node) {
    (void)node;
    return is_window_over(m);
}

static void finish(struct trigger_machine *m, unsigned node) {
    set_finished(m, node, true);
}

/* MODEL 5.24: what is still to fire in one of the windows is still to fire. */
static void end_of_window_on_merge(struct trigger_machine *m, unsigned node) {
    set_finished(m, node, finished_in_all(m, node) && is_window_over(m));
}

/* ---- counts (MODEL 5.15) ---- */

static void count_on_element(struct trigger_machine *m, unsigned node, uint64_t count) {
    *slot_of(m, node) += (int64_t)count;
}

static void count_clear(struct trigger_machine *m, unsigned node) {
    *slot_of(m, node) = 0;
}

static void count_on_merge(struct trigger_machine *m, unsigned node) {
    count_clear(m, node);
    if (finished_in_any(m, node)) {
        finish(m, node);
        return;
    }
    for (size_t i = 0; i < m->source_count; i++)
        *slot_of(m, node) += m->sources[i][m->program->nodes[node].slot];
}

static bool count_should_fire(struct trigger_machine *m, unsigned node) {
    return *slot_of(m, node) >= trigger_of(m, node)->element_count;
}

static void count_on_fire(struct trigger_machine *m, unsigned node) {
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

static void delay_on_element(struct trigger_machine *m, unsigned node, uint64_t count) {
    const struct trigger *trigger = trigger_of(m, node);
    event_time target = m->clock->processing_time;

    (void)count;
    if (*slot_of(m, node) != TRIGGER_NOT_STARTED)
        return;
    for (size_t i = 0; i < trigger->delay_count; i++) {
        const struct trigger_delay *delay = &trigger->delays[i];

        target = delay->align ? align(target, delay->period_ms, delay->offset_ms) : time_add(target, delay->delay_ms);
    }
    *slot_of(m, node) = target;
}

static void delay_clear(struct trigger_machine *m, unsigned node) {
    *slot_of(m, node) = TRIGGER_NOT_STARTED;
}

static void delay_on_merge(struct trigger_machine *m, unsigned node) {
    delay_clear(m, node);
    if (trigger_node_is_finished(m, node))
        return;
    for (size_t i = 0; i < m->source_count; i++) {
        int64_t target = m->sources[i][m->program->nodes[node].slot];

        if (target != TRIGGER_NOT_STARTED && (*slot_of(m, node) == TRIGGER_NOT_STARTED || target < *slot_of(m, node)))
            *slot_of(m, node) = target;
    }
}

static bool delay_should_fire(struct trigger_machine *m, unsigned node) {
    return *slot_of(m, node) != TRIGGER_NOT_STARTED && *slot_of(m, node) <= m->clock->processing_time;
}

/* There is one clock, which is synchronized at once, but not before what came together has come: if the window's end came along, that goes
 * first. */
static bool synchronized_should_fire(struct trigger_machine *m, unsigned node) {
    return !m->clock->is_arriving && delay_should_fire(m, node);
}

static void delay_on_fire(struct trigger_machine *m, unsigned node) {
    delay_clear(m, node);
    finish(m, node);
}

/* ---- all, any (MODEL 5.19, 5.20) ---- */

static bool is_finished_or_ready(struct trigger_machine *m, unsigned node) {
    return trigger_node_is_finished(m, node) || should_fire(m, node);
}

static void all_on_element(struct trigger_machine *m, unsigned node, uint64_t count) {
    CHILD_FOREACH(child, m, node)
    if (!trigger_node_is_finished(m, child))
        on_element(m, child, count);
}

static void all_on_merge(struct trigger_machine *m, unsigned node) {
    bool all = true;

    CHILD_FOREACH(child, m, node) {
        on_merge(m, child);
        all = all && trigger_node_is_finished(m, child);
    }
    set_finished(m, node, all);
}

static bool all_should_fire(struct trigger_machine *m, unsigned node) {
    CHILD_FOREACH(child, m, node)
    if (!is_finished_or_ready(m, child))
        return false;
    return true;
}

static void all_on_fire(struct trigger_machine *m, unsigned node) {
    CHILD_FOREACH(child, m, node)
    if (!trigger_node_is_finished(m, child))
        on_fire(m, child);
    finish(m, node);
}

static void each_child_on_element(struct trigger_machine *m, unsigned node, uint64_t count) {
    CHILD_FOREACH(child, m, node)
    on_element(m, child, count);
}

static void any_on_merge(struct trigger_machine *m, unsigned node) {
    bool any = false;

    CHILD_FOREACH(child, m, node) {
        on_merge(m, child);
        any = any || trigger_node_is_finished(m, child);
    }
    set_finished(m, node, any);
}

static bool any_should_fire(struct trigger_machine *m, unsigned node) {
    CHILD_FOREACH(child, m, node)
    if (is_finished_or_ready(m, child))
        return true;
    return false;
}

static void any_on_fire(struct trigger_machine *m, unsigned node) {
    CHILD_FOREACH(child, m, node)
    if (should_fire(m, child))
        on_fire(m, child);
    else
        clear(m, child);
    finish(m, node);
}

/* ---- one after the other (MODEL 5.21) ---- */

/* 0: none. */
static unsigned current_child(const struct trigger_machine *m, unsigned node) {
    CHILD_FOREACH(child, m, node)
    if (!trigger_node_is_finished(m, child))
        return child;
    return 0;
}

static void sequence_on_element(struct trigger_machine *m, unsigned node, uint64_t count) {
    unsigned current = current_child(m, node);

    /* A merge may go back to any of them. */
    if (m->program->is_merging)
        each_child_on_element(m, node, count);
    else if (current)
        on_element(m, current, count);
}

static void sequence_on_merge(struct trigger_machine *m, unsigned node) {
    bool prior_finished = true;

    CHILD_FOREACH(child, m, node) {
        if (prior_finished)
            on_merge(m, child);
        else
            clear(m, child);
        prior_finished = prior_finished && trigger_node_is_finished(m, child);
    }
    set_finished(m, node, current_child(m, node) == 0);
}

static bool sequence_should_fire(struct trigger_machine *m, unsigned node) {
    unsigned current = current_child(m, node);

    return current && should_fire(m, current);
}

static void sequence_on_fire(struct trigger_machine *m, unsigned node) {
    unsigned current = current_child(m, node);

    if (current)
        on_fire(m, current);
    if (m->program->is_merging)
        clear(m, node);
    set_finished(m, node, current_child(m, node) == 0);
}

/* ---- main until (MODEL 5.22) ---- */

static bool until_should_fire(struct trigger_machine *m, unsigned node) {
    return should_fire(m, node + 1) || should_fire(m, second_child(m, node));
}

static void until_on_fire(struct trigger_machine *m, unsigned node) {
    unsigned main = node + 1, until = second_child(m, node);

    if (should_fire(m, until)) {
        on_fire(m, until);
        clear(m, main);
    } else {
        on_fire(m, main); /* `until` goes on: it watches all panes */
    }
    set_finished(m, node, trigger_node_is_finished(m, main) || trigger_node_is_finished(m, until));
}

/* ---- repeat (MODEL 5.12) ---- */

static void repeat_on_merge(struct trigger_machine *m, unsigned node) {
    on_merge(m, node + 1);
}

static bool repeat_should_fire(struct trigger_machine *m, unsigned node) {
    return should_fire(m, node + 1);
}

static void repeat_on_fire(struct trigger_machine *m, unsigned node) {
    on_fire(m, node + 1);
    if (trigger_node_is_finished(m, node + 1))
        trigger_node_reset(m, node + 1);
}

/* ---- end of window with early and late triggers (MODEL 5.23) ---- */

/* 0: there is none. */
static unsigned late_child(const struct trigger_machine *m, unsigned node) {
    unsigned second = second_child(m, node);

    return second < m->program->nodes[node].end ? second : 0;
}

static void early_late_on_merge(struct trigger_machine *m, unsigned node) {
    unsigned early = node + 1, late = late_child(m, node);

    if (finished_in_all(m, early) && is_window_over(m)) {
        finish(m, early);
        if (late)
            on_merge(m, late);
        return;
    }
    /* Its bit said that the end of the window had come, nothing about itself. */
    set_finished(m, early, false);
    on_merge(m, early);
    if (trigger_node_is_finished(m, early))
        trigger_node_reset(m, early);
    if (late)
        trigger_node_reset(m, late);
}

static bool early_late_should_fire(struct trigger_machine *m, unsigned node) {
    unsigned early = node + 1, late = late_child(m, node);

    if (!trigger_node_is_finished(m, early))
        return is_window_over(m) || should_fire(m, early);
    return late && should_fire(m, late);
}

static void on_time_fire(struct trigger_machine *m, unsigned node) {
    unsigned early = node + 1, late = late_child(m, node);

    if (should_fire(m, early))
        on_fire(m, early);
    trigger_node_reset(m, early);
    finish(m, early);
    if (late)
        trigger_node_reset(m, late); /* it was run beside `early` */
    else
        finish(m, node);
}

static void early_late_on_fire(struct trigger_machine *m, unsigned node) {
    unsigned early = node + 1, late = late_child(m, node);
    unsigned repeated = trigger_node_is_finished(m, early) ? late : early;

    if (repeated == early && is_window_over(m)) {
        on_time_fire(m, node);
    } else if (!repeated) {
        finish(m, node);
    } else {
        on_fire(m, repeated);
        trigger_node_reset(m, repeated);
    }
}

/* ---- the table ---- */

const struct trigger_kind_ops trigger_early_late = {sequence_on_element, early_late_on_merge, early_late_should_fire,
                                                    early_late_on_fire, NULL};

const struct trigger_kind_ops trigger_kinds[] = {
    [TRIGGER_DEFAULT] = {.should_fire = end_of_window_should_fire},
    [TRIGGER_ALWAYS] = {.should_fire = always_should_fire},
    [TRIGGER_NEVER] = {.should_fire = never_should_fire},
    [TRIGGER_ELEMENT_COUNT] = {count_on_element, count_on_merge, count_should_fire, count_on_fire, count_clear},
    [TRIGGER_AFTER_PROCESSING_TIME] = {delay_on_element, delay_on_merge, delay_should_fire, delay_on_fire, delay_clear},
    [TRIGGER_AFTER_SYNCHRONIZED_PROCESSING_TIME] = {delay_on_element, delay_on_merge, synchronized_should_fire,
                                                    delay_on_fire, delay_clear},
    /* Without early and late triggers; with one of them it is the other. */
    [TRIGGER_AFTER_END_OF_WINDOW] = {NULL, end_of_window_on_merge, end_of_window_should_fire, finish, NULL},
    [TRIGGER_AFTER_ALL] = {all_on_element, all_on_merge, all_should_fire, all_on_fire, NULL},
    [TRIGGER_AFTER_ANY] = {each_child_on_element, any_on_merge, any_should_fire, any_on_fire, NULL},
    [TRIGGER_AFTER_EACH] = {sequence_on_element, sequence_on_merge, sequence_should_fire, sequence_on_fire, NULL},
    [TRIGGER_OR_FINALLY] = {each_child_on_element, any_on_merge, until_should_fire, until_on_fire, NULL},
    [TRIGGER_REPEAT] = {each_child_on_element, repeat_on_merge, repeat_should_fire, repeat_on_fire, NULL},
};
