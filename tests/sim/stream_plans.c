/* Random streaming plans. Every unbounded collection has a recorder. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plans.h"
#include "stream_windowing.h"

enum {
    MAX_STAGES = 48,
    MAX_COLLECTIONS = 48,
    MAX_WINDOWINGS = 32,
    MAX_EVENTS = 60,
    MAX_CONSUMERS = 12,
    ENDLESS = 1000000000
};

struct stream_builder {
    struct rng *rng;
    struct sim_plan *sim;
    struct arena *arena;
    const struct coder *bytes, *kv, *global;
    const struct coder *values[VALUE_ANSWER + 1]; /* by enum value_type */
    unsigned next_value;
};

/* ---- parts ---- */

static unsigned add_windowing(struct stream_builder *b, struct windowing windowing) {
    struct plan *plan = &b->sim->plan;

    assert(plan->windowing_count < MAX_WINDOWINGS);
    windowing.environment = UINT_MAX;
    windowing.one_window_per_element = windowing.fn != WINDOW_FN_SLIDING;
    windowing.window_coder =
        windowing.fn == WINDOW_FN_GLOBAL ? b->global : coder_create(b->arena, CODER_INTERVAL_WINDOW, NULL, NULL);
    plan->windowings[plan->windowing_count] = windowing;
    return (unsigned)plan->windowing_count++;
}

static unsigned random_windowing(struct stream_builder *b, bool is_side) {
    return add_windowing(b, stream_random_windowing(b->rng, b->arena, b->sim->stream->is_exact, is_side));
}

static const struct windowing *windowing_of(const struct stream_builder *b, unsigned collection) {
    return &b->sim->plan.windowings[b->sim->plan.collections[collection].windowing];
}

static unsigned add_collection(struct stream_builder *b, unsigned producer, enum value_type type, unsigned windowing,
                               bool is_bounded) {
    struct plan *plan = &b->sim->plan;
    unsigned index = (unsigned)plan->collection_count++;

    assert(index < MAX_COLLECTIONS);
    plan->collections[index] = (struct plan_collection){
        .id = arena_printf(b->arena, "c%u", index),
        .name = arena_printf(b->arena, "Stage%u.out%u", producer, index),
        .coder =
            coder_create(b->arena, CODER_WINDOWED_VALUE, b->values[type], plan->windowings[windowing].window_coder),
        .coder_id = "coder",
        .windowing = windowing,
        .is_bounded = is_bounded,
        .producer = producer,
        .consumers = arena_new_array(b->arena, unsigned, MAX_CONSUMERS),
        .side_consumers = arena_new_array(b->arena, unsigned, MAX_CONSUMERS),
    };
    b->sim->types[index] = type;
    return index;
}

static struct plan_stage *add_stage(struct stream_builder *b, enum plan_stage_kind kind, bool is_bounded) {
    struct plan *plan = &b->sim->plan;
    unsigned index = (unsigned)plan->stage_count++;

    assert(index < MAX_STAGES);
    plan->stages[index] = (struct plan_stage){
        .index = index,
        .kind = kind,
        .name = arena_printf(b->arena, "Stage%u", index),
        .environment = PLAN_NONE,
        .drained_stage = PLAN_NONE,
        .truncate_stage = PLAN_NONE,
        .is_bounded = is_bounded,
        .inputs = arena_new_array(b->arena, unsigned, 4),
        .outputs = arena_new_array(b->arena, unsigned, 4),
    };
    return &plan->stages[index];
}

static void add_input(struct stream_builder *b, struct plan_stage *stage, unsigned collection) {
    struct plan_collection *from = &b->sim->plan.collections[collection];

    assert(from->consumer_count < MAX_CONSUMERS);
    stage->inputs[stage->input_count++] = collection;
    from->consumers[from->consumer_count++] = stage->index;
}

static unsigned add_output(struct stream_builder *b, struct plan_stage *stage, enum value_type type,
                           unsigned windowing) {
    unsigned collection = add_collection(b, stage->index, type, windowing, stage->is_bounded);

    stage->outputs[stage->output_count++] = collection;
    return collection;
}

static struct function *add_executable(struct stream_builder *b, enum function_kind kind, unsigned input,
                                       bool is_bounded) {
    struct plan_stage *stage = add_stage(b, PLAN_EXECUTABLE, is_bounded);
    struct function *function = &b->sim->functions[stage->index];

    add_input(b, stage, input);
    stage->environment = rng_below(b->rng, b->sim->environments);
    stage->source = (struct plan_port){.transform_id = "source", .local_name = "out", .collection = input};
    stage->sinks = arena_new_array(b->arena, struct plan_port, 1);
    *function = (struct function){
        .kind = kind,
        .seed = rng_next(b->rng),
        .input = b->sim->types[input],
        .window_ms = sim_window_ms(&b->sim->plan, input),
        .is_streaming = !is_bounded,
        .allowed_lateness_ms = windowing_of(b, input)->allowed_lateness_ms,
    };
    return function;
}

static struct plan_stage *last_stage(struct stream_builder *b) {
    return &b->sim->plan.stages[b->sim->plan.stage_count - 1];
}

static unsigned add_sink(struct stream_builder *b, struct function *function, unsigned windowing) {
    struct plan_stage *stage = last_stage(b);
    unsigned collection = add_output(b, stage, VALUE_KV, windowing);

    function->sinks[function->sink_count++] =
        (struct sink_spec){.type = VALUE_KV, .window_ms = b->sim->plan.windowings[windowing].size_ms, .keys = 1};
    stage->sinks[stage->sink_count++] = (struct plan_port){.transform_id = "sink0",
                                                           .local_name = "in",
                                                           .collection = collection,
                                                           .producer_transform_id = "process",
                                                           .producer_output_name = "out"};
    return collection;
}

/* ---- sources ---- */

static void add_source(struct stream_builder *b) {
    struct plan_stage *impulse = add_stage(b, PLAN_IMPULSE, true), *stage;
    unsigned collection = add_output(b, impulse, VALUE_BYTES, 0);
    struct function *function = add_executable(b, FUNCTION_STREAM_CREATE, collection, true);

    function->count = rng_between(b->rng, 1, 4);
    collection = add_sink(b, function, 0);
    function = add_executable(b, FUNCTION_STREAM_SOURCE, collection, false);
    function->positions = b->sim->stream->is_endless ? ENDLESS
                          : rng_chance(b->rng, 10)   ? 0
                                                     : rng_between(b->rng, 1, 25);
    stage = last_stage(b);
    stage->process_transform_id = "process";
    stage->process_input_name = "in";
    add_sink(b, function, 0);
}

static struct stream_event elements_event(struct stream_builder *b, unsigned output, event_time watermark,
                                          unsigned max) {
    struct stream_event event = {
        .kind = STREAM_ELEMENTS, .output = output, .element_count = rng_between(b->rng, 1, max)};
    unsigned key = rng_below(b->rng, 4);

    for (unsigned i = 0; i < event.element_count; i++) {
        struct stream_element *element = &event.elements[i];
        bool is_late = rng_chance(b->rng, 20);

        *element = (struct stream_element){.window_end = SIM_GLOBAL, .pane = PANE_NO_FIRING};
        element->timestamp = is_late ? watermark - 1 - (event_time)rng_below(b->rng, 300)
                                     : watermark + (event_time)rng_below(b->rng, 150);
        snprintf(element->key, sizeof(element->key), "k%u", (key + i) % 4);
        element->value = arena_printf(b->arena, "%u.%u%s", output, b->next_value++, is_late ? "!" : "");
    }
    return event;
}

/* The events as the plan has them: on the wire. Their bytes are in the arena. */
static void encode_events(struct stream_builder *b, struct plan_stage *stage) {
    const struct stream_plan *stream = b->sim->stream;

    stage->test_stream.event_count = stream->event_count;
    stage->test_stream.events = arena_new_array(b->arena, struct plan_test_event, MAX_EVENTS);
    for (size_t i = 0; i < stream->event_count; i++) {
        static const enum plan_test_event_kind kinds[] = {PLAN_TEST_ELEMENTS, PLAN_TEST_WATERMARK,
                                                          PLAN_TEST_PROCESSING_TIME};
        const struct stream_event *from = &stream->events[i];
        struct plan_test_event *to = &stage->test_stream.events[i];
        struct buf out = {0};
        void *bytes;

        *to = (struct plan_test_event){.kind = kinds[from->kind],
                                       .output = from->output,
                                       .element_count = from->element_count,
                                       .watermark = from->watermark,
                                       .advance_ms = from->advance_ms};
        for (unsigned j = 0; j < from->element_count; j++) {
            const struct stream_element *element = &from->elements[j];

            windowed_value_write_header(&out, element->timestamp, NULL, 0, &element->pane);
            buf_add_prefixed(&out, element->key, strlen(element->key));
            buf_add_prefixed(&out, element->value, strlen(element->value));
        }
        bytes = arena_zalloc(b->arena, out.size + 1);
        if (out.size)
            memcpy(bytes, buf_data(&out), out.size);
        to->elements = slice_of_static(bytes, out.size);
        buf_clear(&out);
    }
}

static void add_test_stream(struct stream_builder *b, unsigned outputs, unsigned max_elements) {
    struct plan_stage *stage = add_stage(b, PLAN_TEST_STREAM, false);
    struct stream_plan *stream = b->sim->stream;
    event_time watermarks[2] = {-100, -100};

    for (unsigned i = 0; i < outputs; i++)
        add_output(b, stage, VALUE_KV, 0);
    stream->event_count = rng_between(b->rng, 0, MAX_EVENTS);
    stream->events = arena_new_array(b->arena, struct stream_event, MAX_EVENTS);
    for (size_t i = 0; i < stream->event_count; i++) {
        unsigned output = rng_below(b->rng, outputs), dice = rng_below(b->rng, 100);
        struct stream_event *event = &stream->events[i];

        if (dice < 55) {
            *event = elements_event(b, output, watermarks[output], max_elements);
        } else if (dice < 85) {
            watermarks[output] += rng_chance(b->rng, 20) ? rng_below(b->rng, 500) : rng_below(b->rng, 60);
            *event = (struct stream_event){.kind = STREAM_WATERMARK, .output = output, .watermark = watermarks[output]};
        } else {
            *event = (struct stream_event){.kind = STREAM_PROCESSING_TIME,
                                           .advance_ms = stream_tick_ms(b->sim->stream->is_exact) *
                                                         (int64_t)rng_between(b->rng, 1, 4)};
        }
    }
    encode_events(b, stage);
}

/* ---- stages ---- */

static unsigned add_map(struct stream_builder *b, unsigned input) {
    struct function *function = add_executable(b, FUNCTION_STREAM_MAP, input, false);

    return add_sink(b, function, b->sim->plan.collections[input].windowing);
}

static unsigned add_window(struct stream_builder *b, unsigned input, unsigned windowing) {
    struct function *function = add_executable(b, FUNCTION_STREAM_WINDOW, input, false);

    function->windowing = &b->sim->plan.windowings[windowing];
    return add_sink(b, function, windowing);
}

static unsigned add_ungroup(struct stream_builder *b, unsigned input) {
    struct function *function = add_executable(b, FUNCTION_STREAM_UNGROUP, input, false);

    return add_sink(b, function, b->sim->plan.collections[input].windowing);
}

/* The grouping asks the SDK; returns the stage that goes on with what it says. */
static struct plan_stage *add_question(struct stream_builder *b, struct plan_stage *grouping) {
    struct function *function;
    struct plan_stage *stage;
    unsigned answers;

    grouping->asks_for_merges = true;
    function = add_executable(b, FUNCTION_MERGE, add_output(b, grouping, VALUE_QUESTION, 0), false);
    stage = last_stage(b);
    answers = add_output(b, stage, VALUE_ANSWER, 0);
    function->sinks[function->sink_count++] = (struct sink_spec){.type = VALUE_ANSWER};
    stage->sinks[stage->sink_count++] =
        (struct plan_port){.transform_id = "sink0", .local_name = "in", .collection = answers};
    stage = add_stage(b, PLAN_MERGE_GROUPS, false);
    stage->grouping = grouping->index;
    add_input(b, stage, answers);
    return stage;
}

static unsigned add_group(struct stream_builder *b, unsigned input) {
    unsigned windowing = b->sim->plan.collections[input].windowing;
    struct plan_stage *stage = add_stage(b, PLAN_GROUP_BY_KEY, false);
    struct windowing after = b->sim->plan.windowings[windowing];

    add_input(b, stage, input);
    if (after.needs_merge && after.fn == WINDOW_FN_CUSTOM)
        stage = add_question(b, stage);
    if (after.needs_merge) {
        after.needs_merge = false;
        windowing = add_windowing(b, after);
    }
    return add_output(b, stage, VALUE_GROUPED, windowing);
}

static unsigned add_flatten(struct stream_builder *b, unsigned first, unsigned second) {
    struct plan_stage *stage = add_stage(b, PLAN_FLATTEN, false);

    add_input(b, stage, first);
    if (second != PLAN_NONE)
        add_input(b, stage, second);
    stage->is_reshuffle = second == PLAN_NONE;
    return add_output(b, stage, b->sim->types[first], b->sim->plan.collections[first].windowing);
}

static unsigned add_keyed(struct stream_builder *b, unsigned input) {
    struct function *function = add_executable(b, FUNCTION_STREAM_KEYED, input, false);
    const struct plan_collection *from = &b->sim->plan.collections[input];
    struct plan_stage *stage = last_stage(b);

    stage->is_keyed = true;
    function->tick_ms = stream_tick_ms(b->sim->stream->is_exact);
    stage->user_states = arena_new_array(b->arena, struct plan_user_state, 1);
    stage->user_state_count = 1;
    stage->user_states[0] = (struct plan_user_state){
        .transform_id = "pardo", .state_id = "bag", .kind = PLAN_STATE_BAG, .element_coder = b->bytes};
    stage->timer_families = arena_new_array(b->arena, struct plan_timer_family, STREAM_FAMILIES);
    stage->timer_family_count = function->family_count = STREAM_FAMILIES;
    for (unsigned i = 0; i < STREAM_FAMILIES; i++) {
        function->families[i] = (struct family_spec){.is_processing_time = i == STREAM_PROCESSING_FAMILY,
                                                     .is_expiration = i == STREAM_EXPIRATION_FAMILY};
        stage->timer_families[i] = (struct plan_timer_family){
            .transform_id = "pardo",
            .family_id = arena_printf(b->arena, "family%u", i),
            .is_processing_time = i == STREAM_PROCESSING_FAMILY,
            .is_window_expiration = i == STREAM_EXPIRATION_FAMILY,
            .coder = coder_create(b->arena, CODER_TIMER, b->bytes, from->coder->components[1]),
        };
    }
    return add_sink(b, function, from->windowing);
}

static unsigned add_side_map(struct stream_builder *b, unsigned input, unsigned side) {
    struct function *function = add_executable(b, FUNCTION_STREAM_MAP, input, false);
    struct plan_collection *collection = &b->sim->plan.collections[side];
    struct plan_stage *stage = last_stage(b);
    bool is_multimap = rng_chance(b->rng, 50);

    function->sides[0] = (struct side_spec){side, is_multimap, VALUE_KV, sim_window_ms(&b->sim->plan, side)};
    function->side_count = 1;
    stage->side_inputs = arena_new_array(b->arena, struct plan_side_input, 1);
    stage->side_inputs[stage->side_input_count++] = (struct plan_side_input){
        .transform_id = "pardo",
        .local_name = "side0",
        .collection = side,
        .access = is_multimap ? PLAN_ACCESS_MULTIMAP : PLAN_ACCESS_ITERABLE,
        .mapping_fn_urn = "beam:window_mapping_fn:sim",
    };
    collection->side_consumers[collection->side_consumer_count++] = stage->index;
    return add_sink(b, function, b->sim->plan.collections[input].windowing);
}

/* ---- graphs ---- */

static bool is_session(const struct stream_builder *b, unsigned collection) {
    return windowing_of(b, collection)->needs_merge;
}

/* One stage that is more than a loop over elements, behind each of some paths from the sources. */
static void build_exact(struct stream_builder *b) {
    bool has_side = rng_chance(b->rng, 30);
    unsigned outputs = has_side ? 2 : rng_between(b->rng, 1, 2);
    unsigned at[2], first = (unsigned)b->sim->plan.collection_count, windowing;

    add_test_stream(b, outputs, has_side ? 1 : 3);
    for (unsigned i = 0; i < outputs; i++)
        at[i] = rng_chance(b->rng, 40) ? add_map(b, first + i) : first + i;
    if (has_side) {
        windowing = random_windowing(b, true);
        at[1] = add_window(b, at[1], windowing);
        at[0] = add_window(b, at[0], windowing);
        add_side_map(b, at[0], at[1]);
    }
    for (unsigned i = rng_between(b->rng, 1, 3); i > 0; i--) {
        unsigned input = at[rng_below(b->rng, outputs)];

        windowing = random_windowing(b, false);
        if (outputs == 2 && !has_side && rng_chance(b->rng, 40))
            input = add_flatten(b, at[0], at[1]);
        input = add_window(b, input, windowing);
        if (!is_session(b, input) && rng_chance(b->rng, 50))
            add_keyed(b, input);
        if (rng_chance(b->rng, 70))
            add_ungroup(b, add_group(b, input));
    }
}

/* An unbounded collection; newer ones are likelier, so that graphs become deep. */
static unsigned pick(struct stream_builder *b, int type) {
    unsigned count = (unsigned)b->sim->plan.collection_count, best = PLAN_NONE;

    for (unsigned tries = 0; tries < 8; tries++) {
        unsigned c = rng_below(b->rng, count);
        const struct plan_collection *collection = &b->sim->plan.collections[c];

        if (collection->is_bounded || collection->consumer_count + 2 > MAX_CONSUMERS ||
            b->sim->types[c] != (enum value_type)type)
            continue;
        if (best == PLAN_NONE || c > best)
            best = c;
    }
    return best;
}

static void add_random_side_map(struct stream_builder *b) {
    unsigned input = pick(b, VALUE_KV), side = pick(b, VALUE_KV);
    const struct windowing *main_windowing, *side_windowing;

    if (input == PLAN_NONE || side == PLAN_NONE || b->sim->plan.collections[side].side_consumer_count)
        return;
    main_windowing = windowing_of(b, input);
    side_windowing = windowing_of(b, side);
    if (side_windowing->fn == WINDOW_FN_GLOBAL ||
        (side_windowing == main_windowing && side_windowing->fn == WINDOW_FN_FIXED))
        add_side_map(b, input, side);
}

static void add_random_stage(struct stream_builder *b) {
    unsigned input = pick(b, VALUE_KV), grouped = pick(b, VALUE_GROUPED), dice = rng_below(b->rng, 100), second;

    if (grouped != PLAN_NONE && dice < 25)
        add_ungroup(b, grouped);
    else if (input == PLAN_NONE || dice < 35)
        add_random_side_map(b);
    else if (dice < 45)
        add_map(b, input);
    else if (dice < 60)
        add_window(b, input, random_windowing(b, false));
    else if (dice < 80)
        add_group(b, input);
    else if (dice < 90 && !is_session(b, input))
        add_keyed(b, input);
    else if ((second = pick(b, VALUE_KV)) != PLAN_NONE &&
             b->sim->plan.collections[second].windowing == b->sim->plan.collections[input].windowing)
        add_flatten(b, input, rng_chance(b->rng, 20) ? PLAN_NONE : second);
}

static void build_racing(struct stream_builder *b) {
    b->sim->stream->is_endless = rng_chance(b->rng, 25);
    for (unsigned i = rng_between(b->rng, 1, 2); i > 0; i--)
        add_source(b);
    add_window(b, (unsigned)b->sim->plan.collection_count - 1, random_windowing(b, false));
    for (unsigned i = rng_between(b->rng, 1, 8); i > 0; i--)
        add_random_stage(b);
}

static void add_recorders(struct stream_builder *b) {
    size_t count = b->sim->plan.collection_count;

    for (unsigned i = 0; i < count; i++)
        if (!b->sim->plan.collections[i].is_bounded && b->sim->types[i] < VALUE_QUESTION)
            add_executable(b, FUNCTION_RECORD, i, false);
}

static void add_coders(struct stream_builder *b) {
    const struct coder *window = coder_create(b->arena, CODER_INTERVAL_WINDOW, NULL, NULL);
    const struct coder *windows = coder_create(b->arena, CODER_ITERABLE, window, NULL);
    const struct coder *merge = coder_create(b->arena, CODER_KV, window, windows);
    const struct coder *merges = coder_create(b->arena, CODER_ITERABLE, merge, NULL);

    b->values[VALUE_BYTES] = b->bytes;
    b->values[VALUE_KV] = b->kv;
    b->values[VALUE_GROUPED] =
        coder_create(b->arena, CODER_KV, b->bytes, coder_create(b->arena, CODER_ITERABLE, b->bytes, NULL));
    b->values[VALUE_QUESTION] = coder_create(b->arena, CODER_KV, b->bytes, windows);
    b->values[VALUE_ANSWER] =
        coder_create(b->arena, CODER_KV, b->bytes, coder_create(b->arena, CODER_KV, windows, merges));
}

struct sim_plan *stream_plan_create(struct rng *rng) {
    static const struct trigger default_trigger = {.kind = TRIGGER_DEFAULT};
    struct sim_plan *sim = xcalloc(1, sizeof(*sim));
    struct stream_builder b = {.rng = rng, .sim = sim, .arena = &sim->plan.arena};

    sim->plan.stages = arena_new_array(b.arena, struct plan_stage, MAX_STAGES);
    sim->plan.collections = arena_new_array(b.arena, struct plan_collection, MAX_COLLECTIONS);
    sim->plan.windowings = arena_new_array(b.arena, struct windowing, MAX_WINDOWINGS);
    sim->functions = arena_zalloc(b.arena, MAX_STAGES * sizeof(struct function));
    sim->types = arena_new_array(b.arena, enum value_type, MAX_COLLECTIONS);
    sim->stream = arena_zalloc(b.arena, sizeof(*sim->stream));
    sim->stream->is_exact = rng_chance(rng, 50);
    sim->environments = rng_between(rng, 1, SIM_MAX_ENVIRONMENTS);
    b.bytes = coder_create(b.arena, CODER_BYTES, NULL, NULL);
    b.kv = coder_create(b.arena, CODER_KV, b.bytes, b.bytes);
    b.global = coder_create(b.arena, CODER_GLOBAL_WINDOW, NULL, NULL);
    add_coders(&b);
    add_windowing(&b, (struct windowing){.fn = WINDOW_FN_GLOBAL,
                                         .trigger = &default_trigger,
                                         .accumulation = ACCUMULATION_DISCARDING,
                                         .timestamp_combiner = OUTPUT_TIME_END_OF_WINDOW});
    if (sim->stream->is_exact)
        build_exact(&b);
    else
        build_racing(&b);
    add_recorders(&b);
    sim->plan.environment_count = sim->environments;
    sim->plan.environments = arena_new_array(b.arena, struct plan_environment, sim->environments);
    return sim;
}
