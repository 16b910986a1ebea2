#include "plans.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

enum { MAX_STAGES = 40, MAX_COLLECTIONS = 60, MAX_ESTIMATE = 2500, MAX_SIDE = 300 };

/* Windows that merge as assigned: by the runner, or by a function of the SDK. Then the same as a grouping leaves them: each MERGING further
 * on. */
enum {
    FIRST_SESSION = 6,
    FIRST_CUSTOM = 9,
    FIRST_MERGED = 12,
    MERGING = FIRST_MERGED - FIRST_SESSION,
    WINDOWINGS = FIRST_MERGED + MERGING
};

struct builder {
    struct rng *rng;
    struct sim_plan *sim;
    struct arena *arena;
    unsigned *consumed;  /* per collection: times it is read */
    uint64_t *estimates; /* per collection: elements at most, roughly */
    const struct coder *values[5];
    bool all_expire; /* every keyed stage has an expiration */
};

static const int64_t window_sizes[WINDOWINGS] = {0,  0,  0,  100, 100, 250, 70, 70, 70,
                                                 70, 70, 70, 70,  70,  70,  70, 70, 70};

unsigned sim_groups_of(const struct plan *plan, const struct plan_stage *stage) {
    for (size_t i = stage->index + 1; stage->asks_for_merges && i < plan->stage_count; i++)
        if (plan->stages[i].kind == PLAN_MERGE_GROUPS && plan->stages[i].grouping == stage->index)
            return plan->stages[i].outputs[0];
    return stage->outputs[0];
}

int64_t sim_window_ms(const struct plan *plan, unsigned collection) {
    const struct windowing *windowing = &plan->windowings[plan->collections[collection].windowing];

    return windowing->fn == WINDOW_FN_GLOBAL ? 0 : windowing->size_ms;
}

/* ---- parts ---- */

static void add_windowings(struct builder *b) {
    static const struct trigger default_trigger = {.kind = TRIGGER_DEFAULT};
    struct plan *plan = &b->sim->plan;

    plan->windowing_count = WINDOWINGS;
    plan->windowings = arena_new_array(b->arena, struct windowing, WINDOWINGS);
    for (unsigned i = 0; i < WINDOWINGS; i++) {
        bool is_global = window_sizes[i] == 0, is_session = i >= FIRST_SESSION;
        bool is_custom = is_session && (i - FIRST_SESSION) % MERGING >= FIRST_CUSTOM - FIRST_SESSION;

        plan->windowings[i] = (struct windowing){
            .fn = is_global    ? WINDOW_FN_GLOBAL
                  : is_custom  ? WINDOW_FN_CUSTOM
                  : is_session ? WINDOW_FN_SESSIONS
                               : WINDOW_FN_FIXED,
            .needs_merge = is_session && i < FIRST_MERGED,
            .allowed_lateness_ms = rng_chance(b->rng, 50) ? 0 : 40,
            .size_ms = window_sizes[i],
            .environment = UINT_MAX,
            .one_window_per_element = true,
            .window_coder = coder_create(b->arena, is_global ? CODER_GLOBAL_WINDOW : CODER_INTERVAL_WINDOW, NULL, NULL),
            .trigger = &default_trigger,
            .accumulation = ACCUMULATION_DISCARDING,
            .timestamp_combiner = (enum timestamp_combiner)(is_session ? i % 3 : rng_below(b->rng, 3)),
        };
    }
}

static void add_coders(struct builder *b) {
    const struct coder *bytes = coder_create(b->arena, CODER_BYTES, NULL, NULL);
    const struct coder *window = coder_create(b->arena, CODER_INTERVAL_WINDOW, NULL, NULL);
    const struct coder *windows = coder_create(b->arena, CODER_ITERABLE, window, NULL);
    const struct coder *merge = coder_create(b->arena, CODER_KV, window, windows);
    const struct coder *merges = coder_create(b->arena, CODER_ITERABLE, merge, NULL);

    b->values[VALUE_BYTES] = bytes;
    b->values[VALUE_KV] = coder_create(b->arena, CODER_KV, bytes, bytes);
    b->values[VALUE_GROUPED] =
        coder_create(b->arena, CODER_KV, bytes, coder_create(b->arena, CODER_ITERABLE, bytes, NULL));
    b->values[VALUE_QUESTION] = coder_create(b->arena, CODER_KV, bytes, windows);
    b->values[VALUE_ANSWER] =
        coder_create(b->arena, CODER_KV, bytes, coder_create(b->arena, CODER_KV, windows, merges));
}

static unsigned add_collection(struct builder *b, unsigned producer, enum value_type type, unsigned windowing,
                               uint64_t estimate) {
    struct plan *plan = &b->sim->plan;
    unsigned index = (unsigned)plan->collection_count++;
    struct plan_collection *collection = &plan->collections[index];

    assert(index < MAX_COLLECTIONS);
    *collection = (struct plan_collection){
        .id = arena_printf(b->arena, "c%u", index),
        .name = arena_printf(b->arena, "Stage%u.out%u", producer, index),
        .coder =
            coder_create(b->arena, CODER_WINDOWED_VALUE, b->values[type], plan->windowings[windowing].window_coder),
        .coder_id = "coder",
        .windowing = windowing,
        .is_bounded = true,
        .producer = producer,
    };
    collection->consumers = arena_new_array(b->arena, unsigned, 8);
    collection->side_consumers = arena_new_array(b->arena, unsigned, 8);
    b->sim->types[index] = type;
    b->estimates[index] = estimate;
    return index;
}

static struct plan_stage *add_stage(struct builder *b, enum plan_stage_kind kind, size_t outputs) {
    struct plan *plan = &b->sim->plan;
    unsigned index = (unsigned)plan->stage_count++;
    struct plan_stage *stage = &plan->stages[index];

    assert(index < MAX_STAGES);
    *stage = (struct plan_stage){
        .index = index,
        .kind = kind,
        .name = arena_printf(b->arena, "Stage%u", index),
        .environment = PLAN_NONE,
        .is_bounded = true,
    };
    stage->inputs = arena_new_array(b->arena, unsigned, 4);
    stage->outputs = arena_new_array(b->arena, unsigned, MAX(outputs, (size_t)1));
    return stage;
}

static void add_input(struct builder *b, struct plan_stage *stage, unsigned collection) {
    struct plan_collection *from = &b->sim->plan.collections[collection];

    assert(from->consumer_count < 8 && stage->input_count < 4);
    stage->inputs[stage->input_count++] = collection;
    from->consumers[from->consumer_count++] = stage->index;
    b->consumed[collection]++;
}

static bool is_question_or_answer(const struct builder *b, unsigned collection) {
    return b->sim->types[collection] == VALUE_QUESTION || b->sim->types[collection] == VALUE_ANSWER;
}

static bool has_room(const struct builder *b, unsigned collection) {
    return !is_question_or_answer(b, collection) && b->sim->plan.collections[collection].consumer_count < 6;
}

/* A collection of this type (or any, type -1) that may be read once more; PLAN_NONE when none was found. Those that nobody reads yet come
 * first, so that graphs become deep. */
static unsigned pick(struct builder *b, int type, uint64_t max_estimate) {
    unsigned count = (unsigned)b->sim->plan.collection_count, best = PLAN_NONE;

    for (unsigned tries = 0; tries < 12; tries++) {
        unsigned c = rng_below(b->rng, count);
        const struct plan_stage *producer = &b->sim->plan.stages[b->sim->plan.collections[c].producer];

        if (!has_room(b, c) || (type >= 0 && b->sim->types[c] != (enum value_type)type) ||
            b->estimates[c] > max_estimate || producer->kind == PLAN_IMPULSE)
            continue;
        best = c;
        if (b->consumed[c] == 0)
            break;
    }
    return best;
}

/* ---- stages ---- */

static struct function *add_executable(struct builder *b, enum function_kind kind, unsigned input, unsigned sinks,
                                       struct plan_stage **ret_stage) {
    struct plan_stage *stage = add_stage(b, PLAN_EXECUTABLE, sinks);
    struct function *function = &b->sim->functions[stage->index];

    add_input(b, stage, input);
    stage->environment = rng_below(b->rng, b->sim->environments);
    stage->source = (struct plan_port){.transform_id = "source", .local_name = "out", .collection = input};
    stage->sinks = arena_new_array(b->arena, struct plan_port, SIM_MAX_SINKS);
    *function = (struct function){
        .kind = kind,
        .seed = rng_next(b->rng),
        .input = b->sim->types[input],
        .window_ms = sim_window_ms(&b->sim->plan, input),
    };
    *ret_stage = stage;
    return function;
}

static void add_sink(struct builder *b, struct plan_stage *stage, struct function *function, enum value_type type,
                     unsigned fan, uint64_t estimate, bool may_keep) {
    unsigned input = stage->inputs[0];
    bool keeps = may_keep && rng_chance(b->rng, 60);
    unsigned windowing = keeps ? b->sim->plan.collections[input].windowing : rng_below(b->rng, FIRST_MERGED);
    unsigned collection;
    struct sink_spec *sink = &function->sinks[function->sink_count++];

    *sink = (struct sink_spec){
        .type = type,
        .window_ms = window_sizes[windowing],
        .is_session = windowing >= FIRST_SESSION,
        .keeps_window = keeps,
        .two_windows = rng_chance(b->rng, 15),
        .keys = rng_between(b->rng, 1, 12),
        .fan = fan,
        .value_max = rng_chance(b->rng, 10) ? 3000 : rng_between(b->rng, 0, 60),
    };
    if (sink->two_windows && sink->window_ms)
        estimate *= 2;
    collection = add_collection(b, stage->index, type, windowing, estimate);
    stage->outputs[stage->output_count++] = collection;
    stage->sinks[stage->sink_count] =
        (struct plan_port){.transform_id = arena_printf(b->arena, "sink%zu", stage->sink_count),
                           .local_name = "in",
                           .collection = collection};
    stage->sink_count++;
}

static enum value_type random_type(struct builder *b) {
    return rng_chance(b->rng, 75) ? VALUE_KV : VALUE_BYTES;
}

static void add_source(struct builder *b) {
    struct plan_stage *impulse = add_stage(b, PLAN_IMPULSE, 1), *stage;
    struct function *function;
    unsigned sinks = rng_between(b->rng, 1, 2);

    impulse->outputs[impulse->output_count++] = add_collection(b, impulse->index, VALUE_BYTES, 0, 1);
    function = add_executable(b, FUNCTION_CREATE, impulse->outputs[0], sinks, &stage);
    function->count = rng_chance(b->rng, 10) ? rng_between(b->rng, 300, 1500) : rng_between(b->rng, 0, 120);
    for (unsigned i = 0; i < sinks; i++)
        add_sink(b, stage, function, i == 0 ? VALUE_KV : random_type(b), 0, function->count, false);
}

static void add_side(struct builder *b, struct plan_stage *stage, struct function *function) {
    unsigned side = pick(b, -1, MAX_SIDE);
    struct plan_collection *collection;
    struct side_spec *spec;
    bool is_multimap;

    if (side == PLAN_NONE || side == stage->inputs[0])
        return;
    collection = &b->sim->plan.collections[side];
    is_multimap = b->sim->types[side] != VALUE_BYTES && rng_chance(b->rng, 50);
    if (collection->side_consumer_count == 8 || collection->windowing >= FIRST_SESSION ||
        (sim_window_ms(&b->sim->plan, side) && sim_window_ms(&b->sim->plan, side) != function->window_ms))
        return;
    spec = &function->sides[function->side_count];
    *spec = (struct side_spec){side, is_multimap, b->sim->types[side], sim_window_ms(&b->sim->plan, side)};
    stage->side_inputs[function->side_count] = (struct plan_side_input){
        .transform_id = "pardo",
        .local_name = arena_printf(b->arena, "side%u", function->side_count),
        .collection = side,
        .access = is_multimap ? PLAN_ACCESS_MULTIMAP : PLAN_ACCESS_ITERABLE,
        .mapping_fn_urn = "beam:window_mapping_fn:sim",
    };
    collection->side_consumers[collection->side_consumer_count++] = stage->index;
    stage->side_input_count = ++function->side_count;
    b->consumed[side]++;
}

static void add_map(struct builder *b) {
    unsigned input = pick(b, -1, MAX_ESTIMATE), sinks = rng_below(b->rng, SIM_MAX_SINKS + 1);
    struct function *function;
    struct plan_stage *stage;
    uint64_t estimate;

    if (input == PLAN_NONE)
        return;
    estimate = b->estimates[input];
    function = add_executable(b, FUNCTION_MAP, input, sinks, &stage);
    stage->side_inputs = arena_new_array(b->arena, struct plan_side_input, SIM_MAX_SIDES);
    while (function->side_count < SIM_MAX_SIDES && rng_chance(b->rng, 40)) {
        unsigned before = function->side_count;

        add_side(b, stage, function);
        if (function->side_count == before)
            break;
    }
    for (unsigned i = 0; i < sinks; i++) {
        unsigned fan = estimate < 200 ? rng_between(b->rng, 0, 3) : 1;

        add_sink(b, stage, function, random_type(b), fan, estimate * fan, true);
    }
}

static void add_split(struct builder *b) {
    unsigned input = pick(b, VALUE_KV, 300), sinks = rng_between(b->rng, 1, 2);
    struct function *function;
    struct plan_stage *stage;

    if (input == PLAN_NONE)
        return;
    function = add_executable(b, FUNCTION_SPLIT, input, sinks, &stage);
    function->positions = rng_between(b->rng, 0, 8);
    stage->process_transform_id = "process";
    stage->process_input_name = "in";
    for (unsigned i = 0; i < sinks; i++)
        add_sink(b, stage, function, random_type(b), 1, b->estimates[input] * function->positions / 2, true);
}

/* State and timers live in windows that stay as they are (MODEL 4.15). */
static bool needs_merge(const struct builder *b, unsigned collection) {
    return b->sim->plan.windowings[b->sim->plan.collections[collection].windowing].needs_merge;
}

static void add_families(struct builder *b, struct plan_stage *stage, struct function *function) {
    const struct plan_collection *input = &b->sim->plan.collections[stage->inputs[0]];
    unsigned expiration = rng_below(b->rng, SIM_MAX_FAMILIES);

    function->family_count = rng_between(b->rng, 1, SIM_MAX_FAMILIES);
    if (b->all_expire)
        expiration %= function->family_count;
    function->allowed_lateness_ms = b->sim->plan.windowings[input->windowing].allowed_lateness_ms;
    stage->timer_families = arena_new_array(b->arena, struct plan_timer_family, SIM_MAX_FAMILIES);
    stage->timer_family_count = function->family_count;
    for (unsigned i = 0; i < function->family_count; i++) {
        struct family_spec spec = {.is_expiration = i == expiration};

        spec.is_processing_time = !spec.is_expiration && rng_chance(b->rng, 40);
        function->families[i] = spec;
        stage->timer_families[i] = (struct plan_timer_family){
            .transform_id = "pardo",
            .family_id = arena_printf(b->arena, "family%u", i),
            .is_processing_time = spec.is_processing_time,
            .is_window_expiration = spec.is_expiration,
            .coder = coder_create(b->arena, CODER_TIMER, b->values[VALUE_BYTES], input->coder->components[1]),
        };
    }
}

static void add_timed(struct builder *b) {
    static const struct plan_user_state states[] = {
        {.transform_id = "pardo", .state_id = "bag", .kind = PLAN_STATE_BAG},
        {.transform_id = "pardo", .state_id = "map", .kind = PLAN_STATE_MULTIMAP},
        {.transform_id = "pardo", .state_id = "list", .kind = PLAN_STATE_ORDERED_LIST},
    };
    unsigned input = pick(b, VALUE_KV, 400), sinks = rng_between(b->rng, 1, 2);
    struct function *function;
    struct plan_stage *stage;

    if (input == PLAN_NONE || needs_merge(b, input))
        return;
    function = add_executable(b, FUNCTION_TIMED, input, sinks, &stage);
    stage->is_keyed = true;
    stage->user_states = arena_new_array(b->arena, struct plan_user_state, ARRAY_COUNT(states));
    stage->user_state_count = ARRAY_COUNT(states);
    for (unsigned i = 0; i < ARRAY_COUNT(states); i++) {
        stage->user_states[i] = states[i];
        stage->user_states[i].element_coder = b->values[VALUE_BYTES];
    }
    add_families(b, stage, function);
    function->is_sorted = stage->requires_time_sorted_input = rng_chance(b->rng, 30);
    for (unsigned i = 0; i < sinks; i++)
        add_sink(b, stage, function, random_type(b), 1, b->estimates[input] * 2, true);
}

static void add_stateful(struct builder *b) {
    unsigned input = pick(b, VALUE_KV, 900), sinks = rng_between(b->rng, 1, 2);
    struct function *function;
    struct plan_stage *stage;

    if (b->all_expire || input == PLAN_NONE || needs_merge(b, input))
        return;
    function = add_executable(b, FUNCTION_STATEFUL, input, sinks, &stage);
    function->limit = rng_between(b->rng, 1, 40);
    stage->is_keyed = true;
    stage->user_states = arena_new_array(b->arena, struct plan_user_state, 1);
    stage->user_state_count = 1;
    stage->user_states[0] = (struct plan_user_state){
        .transform_id = "pardo", .state_id = "bag", .kind = PLAN_STATE_BAG, .element_coder = b->values[VALUE_BYTES]};
    for (unsigned i = 0; i < sinks; i++)
        add_sink(b, stage, function, random_type(b), 1, b->estimates[input], true);
}

/* The grouping asks the SDK; returns the stage that goes on with what it says. */
static struct plan_stage *add_question(struct builder *b, struct plan_stage *grouping) {
    unsigned questions = add_collection(b, grouping->index, VALUE_QUESTION, 0, 0);
    struct function *function;
    struct plan_stage *stage, *merged;

    grouping->asks_for_merges = true;
    grouping->outputs[grouping->output_count++] = questions;
    function = add_executable(b, FUNCTION_MERGE, questions, 1, &stage);
    function->sink_count = 1;
    function->sinks[0] = (struct sink_spec){.type = VALUE_ANSWER};
    stage->outputs[stage->output_count++] = add_collection(b, stage->index, VALUE_ANSWER, 0, 0);
    stage->sinks[stage->sink_count++] =
        (struct plan_port){.transform_id = "sink0", .local_name = "in", .collection = stage->outputs[0]};
    merged = add_stage(b, PLAN_MERGE_GROUPS, 1);
    merged->grouping = grouping->index;
    add_input(b, merged, stage->outputs[0]);
    return merged;
}

static void add_grouping(struct builder *b) {
    unsigned input = pick(b, VALUE_KV, UINT64_MAX), windowing;
    struct plan_stage *stage;

    if (input == PLAN_NONE)
        return;
    stage = add_stage(b, PLAN_GROUP_BY_KEY, 1);
    add_input(b, stage, input);
    windowing = b->sim->plan.collections[input].windowing;
    if (windowing >= FIRST_CUSTOM && windowing < FIRST_MERGED)
        stage = add_question(b, stage);
    if (windowing >= FIRST_SESSION && windowing < FIRST_MERGED)
        windowing += MERGING;
    stage->outputs[stage->output_count++] =
        add_collection(b, stage->index, VALUE_GROUPED, windowing, MIN(b->estimates[input], (uint64_t)200));
}

/* Inputs of a flatten have one coder and one windowing. */
static void add_flatten(struct builder *b, bool is_reshuffle) {
    unsigned first = pick(b, -1, MAX_ESTIMATE / 2), inputs = is_reshuffle ? 1 : rng_below(b->rng, 4);
    enum value_type type = VALUE_KV;
    unsigned windowing = 0;
    struct plan_stage *stage;
    uint64_t estimate = 0;

    if (first == PLAN_NONE && inputs)
        return;
    stage = add_stage(b, PLAN_FLATTEN, 1);
    stage->is_reshuffle = is_reshuffle;
    if (inputs) {
        type = b->sim->types[first];
        windowing = b->sim->plan.collections[first].windowing;
    }
    for (unsigned i = 0; i < inputs; i++) {
        unsigned next = i == 0 ? first : pick(b, (int)type, MAX_ESTIMATE / 2);

        if (next == PLAN_NONE || b->sim->plan.collections[next].windowing != windowing || rng_chance(b->rng, 25))
            next = first; /* the same one twice */
        if (!has_room(b, next))
            continue;
        add_input(b, stage, next);
        estimate += b->estimates[next];
    }
    stage->outputs[stage->output_count++] = add_collection(b, stage->index, type, windowing, estimate);
}

static void add_recorders(struct builder *b) {
    size_t count = b->sim->plan.collection_count;
    struct plan_stage *stage;

    for (unsigned i = 0; i < count && b->sim->plan.stage_count < MAX_STAGES; i++)
        if (has_room(b, i) && (b->consumed[i] == 0 ? rng_chance(b->rng, 90) : rng_chance(b->rng, 15)))
            add_executable(b, FUNCTION_RECORD, i, 0, &stage);
}

static void add_random_stage(struct builder *b) {
    unsigned dice = rng_below(b->rng, 115);

    if (dice >= 100)
        add_timed(b);
    else if (dice < 30)
        add_map(b);
    else if (dice < 50)
        add_grouping(b);
    else if (dice < 62)
        add_split(b);
    else if (dice < 77)
        add_stateful(b);
    else if (dice < 90)
        add_flatten(b, false);
    else
        add_flatten(b, true);
}

static void add_tiny(struct builder *b) {
    struct plan_stage *impulse = add_stage(b, PLAN_IMPULSE, 1), *flatten;

    impulse->outputs[impulse->output_count++] = add_collection(b, impulse->index, VALUE_BYTES, 0, 1);
    if (rng_chance(b->rng, 50)) {
        flatten = add_stage(b, PLAN_FLATTEN, 1);
        add_input(b, flatten, impulse->outputs[0]);
        flatten->outputs[flatten->output_count++] = add_collection(b, flatten->index, VALUE_BYTES, 0, 1);
    }
}

static bool takes_groups_as_they_are(const struct plan *plan, const struct plan_collection *collection) {
    const struct plan_stage *producer = &plan->stages[collection->producer];

    if ((producer->kind != PLAN_GROUP_BY_KEY && producer->kind != PLAN_MERGE_GROUPS) || producer->asks_for_merges ||
        collection->side_consumer_count)
        return false;
    for (size_t i = 0; i < collection->consumer_count; i++)
        if (plan->stages[collection->consumers[i]].kind != PLAN_EXECUTABLE ||
            plan->stages[collection->consumers[i]].is_keyed)
            return false;
    return true;
}

/* Some SDKs take the values of a large group as a token. */
static void choose_who_takes_tokens(struct builder *b) {
    struct plan *plan = &b->sim->plan;

    for (size_t i = 0; i < plan->stage_count; i++) {
        struct plan_stage *stage = &plan->stages[i];

        if (stage->kind == PLAN_EXECUTABLE && b->sim->functions[i].kind != FUNCTION_SPLIT &&
            takes_groups_as_they_are(plan, &plan->collections[stage->source.collection]))
            stage->takes_state_backed_iterables = rng_chance(b->rng, 60);
    }
}

struct sim_plan *sim_plan_create(struct rng *rng) {
    struct sim_plan *sim = xcalloc(1, sizeof(*sim));
    struct builder b = {.rng = rng, .sim = sim, .arena = &sim->plan.arena};
    unsigned stages = rng_between(rng, 1, 12);

    sim->plan.stages = arena_new_array(b.arena, struct plan_stage, MAX_STAGES);
    sim->plan.collections = arena_new_array(b.arena, struct plan_collection, MAX_COLLECTIONS);
    sim->functions = arena_new_array(b.arena, struct function, MAX_STAGES);
    sim->types = arena_new_array(b.arena, enum value_type, MAX_COLLECTIONS);
    b.consumed = arena_new_array(b.arena, unsigned, MAX_COLLECTIONS);
    b.estimates = arena_new_array(b.arena, uint64_t, MAX_COLLECTIONS);
    sim->environments = rng_between(rng, 1, SIM_MAX_ENVIRONMENTS);
    b.all_expire = rng_chance(rng, 35);
    add_windowings(&b);
    add_coders(&b);
    sim->is_tiny = rng_chance(rng, 1);
    if (sim->is_tiny) {
        add_tiny(&b);
        return sim;
    }
    add_source(&b);
    if (rng_chance(rng, 30))
        add_source(&b);
    for (unsigned i = 0; i < stages && sim->plan.stage_count < MAX_STAGES / 2; i++)
        add_random_stage(&b);
    add_recorders(&b);
    choose_who_takes_tokens(&b);
    sim->plan.environment_count = sim->environments;
    sim->plan.environments = arena_new_array(b.arena, struct plan_environment, sim->environments);
    return sim;
}

void sim_plan_destroy(struct sim_plan *sim) {
    if (!sim)
        return;
    arena_clear(&sim->plan.arena);
    free(sim);
}

void sim_plan_print(const struct sim_plan *sim) {
    static const char *const kinds[] = {"executable",   "impulse", "group by key",
                                        "merge groups", "flatten", "test stream"};
    static const char *const functions[] = {"create", "map",    "split",  "stateful", "timed",   "merge", "record",
                                            "create", "source", "window", "map",      "ungroup", "keyed"};

    for (size_t i = 0; i < sim->plan.stage_count; i++) {
        const struct plan_stage *stage = &sim->plan.stages[i];

        printf("stage %2zu: %-12s %-8s in", i, stage->is_reshuffle ? "reshuffle" : kinds[stage->kind],
               stage->kind == PLAN_EXECUTABLE ? functions[sim->functions[i].kind] : "");
        for (size_t j = 0; j < stage->input_count; j++)
            printf(" c%u", stage->inputs[j]);
        for (size_t j = 0; j < stage->side_input_count; j++)
            printf(" side c%u", stage->side_inputs[j].collection);
        printf("%s out", stage->requires_time_sorted_input ? " by time" : "");
        for (size_t j = 0; j < stage->output_count; j++)
            printf(" c%u(w%lld)", stage->outputs[j], (long long)sim_window_ms(&sim->plan, stage->outputs[j]));
        printf("\n");
    }
    if (sim->stream)
        stream_plan_print(sim);
}
