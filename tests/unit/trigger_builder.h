/* Triggers for tests, as they would be written down. */
#ifndef TESTS_UNIT_TRIGGER_BUILDER_H
#define TESTS_UNIT_TRIGGER_BUILDER_H

#include "base/arena.h"
#include "model/windowing.h"

static inline struct trigger *make_trigger(struct arena *arena, enum trigger_kind kind, struct trigger *first,
                                           struct trigger *second) {
    struct trigger *trigger = arena_new(arena, struct trigger);

    trigger->kind = kind;
    trigger->children = arena_new_array(arena, struct trigger *, 2);
    trigger->children[0] = first;
    trigger->children[1] = second;
    trigger->child_count = kind == TRIGGER_AFTER_END_OF_WINDOW || second ? 2 : first ? 1 : 0;
    return trigger;
}

static inline struct trigger *make_count(struct arena *arena, int64_t count) {
    struct trigger *trigger = make_trigger(arena, TRIGGER_ELEMENT_COUNT, NULL, NULL);

    trigger->element_count = count;
    return trigger;
}

static inline struct trigger *make_delay(struct arena *arena, int64_t delay_ms) {
    struct trigger *trigger = make_trigger(arena, TRIGGER_AFTER_PROCESSING_TIME, NULL, NULL);

    trigger->delays = arena_new(arena, struct trigger_delay);
    trigger->delays->delay_ms = delay_ms;
    trigger->delay_count = 1;
    return trigger;
}

#endif
