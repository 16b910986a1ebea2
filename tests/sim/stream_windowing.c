/* Random windowing strategies and triggers for streaming plans. */
#include "stream_windowing.h"

struct maker {
    struct rng *rng;
    struct arena *arena;
    bool is_exact;
};

int64_t stream_tick_ms(bool is_exact) {
    return is_exact ? 1000000 : 1000;
}

/* ---- triggers ---- */

static struct trigger *new_trigger(const struct maker *b, enum trigger_kind kind, size_t children) {
    struct trigger *trigger = arena_zalloc(b->arena, sizeof(*trigger));

    trigger->kind = kind;
    trigger->child_count = children;
    trigger->children = arena_new_array(b->arena, struct trigger *, MAX(children, (size_t)1));
    return trigger;
}

static struct trigger *random_delay(const struct maker *b) {
    struct trigger *trigger = new_trigger(b, TRIGGER_AFTER_PROCESSING_TIME, 0);

    trigger->delay_count = 1;
    trigger->delays = arena_zalloc(b->arena, sizeof(*trigger->delays));
    trigger->delays->delay_ms =
        stream_tick_ms(b->is_exact) / 2 + stream_tick_ms(b->is_exact) * (int64_t)rng_below(b->rng, 4);
    if (!b->is_exact && rng_chance(b->rng, 30))
        *trigger->delays =
            (struct trigger_delay){.align = true, .period_ms = rng_between(b->rng, 1, 2000), .offset_ms = 3};
    return trigger;
}

static struct trigger *random_leaf(const struct maker *b) {
    struct trigger *trigger;

    switch (rng_below(b->rng, 8)) {
    case 0:
        return new_trigger(b, TRIGGER_DEFAULT, 0);
    case 1:
        return new_trigger(b, TRIGGER_ALWAYS, 0);
    case 2:
        return new_trigger(b, TRIGGER_NEVER, 0);
    case 3:
        return new_trigger(b, TRIGGER_AFTER_SYNCHRONIZED_PROCESSING_TIME, 0);
    case 4:
    case 5:
        return random_delay(b);
    default:
        trigger = new_trigger(b, TRIGGER_ELEMENT_COUNT, 0);
        trigger->element_count = rng_between(b->rng, 1, 4);
        return trigger;
    }
}

static struct trigger *wrap_repeat(const struct maker *b, struct trigger *inner) {
    struct trigger *trigger = new_trigger(b, TRIGGER_REPEAT, 1);

    trigger->children[0] = inner;
    return trigger;
}

/* What fires early and late is repeated anyway; how often SDKs let it finish on its way differs (MODEL 5.23), so it does not. */
static struct trigger *early_or_late(const struct maker *b) {
    struct trigger *leaf = random_leaf(b);

    if (rng_chance(b->rng, 40))
        return NULL;
    return rng_chance(b->rng, 50) ? wrap_repeat(b, leaf) : leaf;
}

static struct trigger *end_of_window(const struct maker *b) {
    struct trigger *trigger = new_trigger(b, TRIGGER_AFTER_END_OF_WINDOW, 2);

    trigger->children[0] = early_or_late(b);
    trigger->children[1] = early_or_late(b);
    return trigger;
}

static struct trigger *random_trigger(const struct maker *b, unsigned depth) {
    static const enum trigger_kind kinds[] = {TRIGGER_AFTER_ALL, TRIGGER_AFTER_ANY, TRIGGER_AFTER_EACH,
                                              TRIGGER_OR_FINALLY};
    struct trigger *trigger;

    if (depth == 0 || rng_chance(b->rng, 30))
        return random_leaf(b);
    if (rng_chance(b->rng, 35))
        return wrap_repeat(b, random_trigger(b, depth - 1));
    if (rng_chance(b->rng, 30))
        return end_of_window(b);
    trigger = new_trigger(b, kinds[rng_below(b->rng, 4)], 2);
    trigger->children[0] = random_trigger(b, depth - 1);
    trigger->children[1] = random_trigger(b, depth - 1);
    return trigger;
}

/* Of windows that merge, where one is to foretell what comes of it: nothing in it finishes but together with its window. */
static struct trigger *plain_trigger(const struct maker *b) {
    struct trigger *trigger;

    switch (rng_below(b->rng, 5)) {
    case 0:
        return new_trigger(b, TRIGGER_NEVER, 0);
    case 1:
        return wrap_repeat(b, random_leaf(b));
    case 2:
        trigger = new_trigger(b, TRIGGER_AFTER_END_OF_WINDOW, 2);
        trigger->children[0] = wrap_repeat(b, random_leaf(b));
        trigger->children[1] = wrap_repeat(b, random_leaf(b));
        return trigger;
    default:
        return new_trigger(b, TRIGGER_DEFAULT, 0);
    }
}

/* ---- strategies ---- */

struct windowing stream_random_windowing(struct rng *rng, struct arena *arena, bool is_exact, bool is_side) {
    const struct maker maker = {rng, arena, is_exact}, *b = &maker;
    static const int64_t sizes[] = {30, 70, 100, 250};
    static const int64_t lateness[] = {0, 0, 40, 200, INT64_MAX};
    struct windowing windowing = {
        .fn = (enum window_fn_kind)(is_side ? rng_below(rng, 2) : rng_below(rng, 4)),
        .size_ms = sizes[rng_below(rng, ARRAY_COUNT(sizes))],
        .accumulation = rng_chance(rng, 60) ? ACCUMULATION_DISCARDING : ACCUMULATION_ACCUMULATING,
        .timestamp_combiner = (enum timestamp_combiner)rng_below(rng, 3),
        .close_always = rng_chance(rng, 50),
        .on_time_always = rng_chance(rng, 50),
        .allowed_lateness_ms = is_side ? 0 : lateness[rng_below(rng, ARRAY_COUNT(lateness))],
    };

    if (windowing.fn == WINDOW_FN_GLOBAL)
        windowing.size_ms = 0;
    if (windowing.fn == WINDOW_FN_SLIDING)
        windowing.period_ms =
            rng_chance(rng, 20) ? windowing.size_ms + 17 : windowing.size_ms / (int64_t)rng_between(rng, 1, 4);
    if (windowing.fn == WINDOW_FN_FIXED || windowing.fn == WINDOW_FN_SLIDING)
        windowing.offset_ms = is_side ? 0 : rng_below(rng, 30);
    windowing.needs_merge = windowing.fn == WINDOW_FN_SESSIONS;
    if (windowing.needs_merge && rng_chance(rng, 50))
        windowing.fn = WINDOW_FN_CUSTOM; /* the same, but that the SDK merges them */
    windowing.trigger = windowing.needs_merge ? plain_trigger(b) : random_trigger(b, rng_below(rng, 3));
    if (is_side && windowing.fn == WINDOW_FN_FIXED)
        windowing.trigger = plain_trigger(b);
    return windowing;
}
