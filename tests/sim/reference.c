#include "reference.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "merging.h"

struct evaluation {
    const struct sim_plan *sim;
    struct element_list *collections;
    struct recording *recordings;
    const struct plan_stage *stage; /* being worked out */
};

static int compare_texts(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void recording_sort(struct recording *recording) {
    if (recording->texts.count)
        qsort(recording->texts.items, recording->texts.count, sizeof(char *), compare_texts);
}

void recordings_free(struct recording *recordings, size_t count) {
    for (size_t i = 0; i < count; i++) {
        vec_foreach (text, &recordings[i].texts)
            free(*text);
        vec_free(&recordings[i].texts);
    }
    free(recordings);
}

static void add_element(struct evaluation *e, unsigned collection, const struct element *element) {
    struct element copy = *element;

    copy.value = slice_ref(element->value);
    vec_push(&e->collections[collection].all, copy);
}

static void emit(void *user, unsigned sink, const struct element *element, unsigned windows) {
    struct evaluation *e = user;
    unsigned collection = e->stage->outputs[sink];
    int64_t window_ms = sim_window_ms(&e->sim->plan, collection);
    struct element copy = *element;

    for (unsigned i = 0; i < windows; i++, copy.window_start += window_ms, copy.window_end += window_ms)
        add_element(e, collection, &copy);
}

/* ---- side inputs ---- */

static bool same_bytes(struct cursor a, struct slice b) {
    return cursor_left(&a) == b.size && memcmp(a.at, b.data, b.size) == 0;
}

static uint64_t read_side(const struct evaluation *e, const struct function *function, unsigned index,
                          const struct element *in) {
    const struct side_spec *side = &function->sides[index];
    struct slice key = function_side_key(function, index, in);
    event_time window = side_window(side, in);
    uint64_t sum = 0;

    vec_foreach (element, &e->collections[side->collection].all) {
        struct cursor item = cursor_of(element->value.data, element->value.size);

        if (element->window_end != window)
            continue;
        if (side->is_multimap) {
            struct cursor own_key = kv_key(element->value);

            if (!same_bytes(own_key, key))
                continue;
            item.at = own_key.end;
        }
        sum += side_item_hash(side, item);
    }
    slice_unref(&key);
    return sum;
}

/* ---- stages ---- */

static bool same_window(const struct element *a, const struct element *b) {
    return a->window_start == b->window_start && a->window_end == b->window_end;
}

/* How many earlier elements of the same key and window there are. */
static unsigned place_in_key(const struct element_list *input, size_t index) {
    const struct element *element = &input->all.items[index];
    struct cursor key = kv_key(element->value);
    unsigned place = 0;

    for (size_t i = 0; i < index; i++) {
        const struct element *other = &input->all.items[i];
        struct cursor other_key = kv_key(other->value);

        if (same_window(other, element) && cursor_left(&other_key) == cursor_left(&key) &&
            memcmp(other_key.at, key.at, cursor_left(&key)) == 0)
            place++;
    }
    return place;
}

static void run_executable(struct evaluation *e) {
    const struct function *function = &e->sim->functions[e->stage->index];
    const struct element_list *input = &e->collections[e->stage->inputs[0]];

    if (function->kind == FUNCTION_MERGE)
        return; /* asked about a grouping, which is worked out in one piece */
    if (function->kind == FUNCTION_TIMED) {
        reference_keyed(function, input, emit, e);
        return;
    }
    for (size_t i = 0; i < input->all.count; i++) {
        const struct element *in = &input->all.items[i];
        unsigned steps = 1, first = 0;
        uint64_t side_hash = 0;

        if (function->kind == FUNCTION_RECORD) {
            vec_push(&e->recordings[e->stage->index].texts, element_text(function->input, in));
            continue;
        }
        if (function->kind == FUNCTION_SPLIT)
            steps = function_positions(function, in);
        if (function->kind == FUNCTION_STATEFUL)
            first = place_in_key(input, i) % function->limit;
        if (function_reads_sides(function, in))
            for (unsigned side = 0; side < function->side_count; side++)
                side_hash = side_hash * 31 + read_side(e, function, side, in);
        for (unsigned step = 0; step < steps; step++)
            function_apply(function, in, side_hash, first + step, emit, e);
    }
}

static bool has_key_of(const struct element *element, const struct element *other) {
    struct cursor own = kv_key(element->value);

    return same_bytes(kv_key(other->value), slice_of_static(own.at, cursor_left(&own)));
}

static bool windows_merge(bool is_custom, const struct element *a, const struct element *b) {
    if (is_custom)
        return windows_belong_together(a->window_start, b->window_start);
    return a->window_start < b->window_end && b->window_start < a->window_end;
}

/* Windows of a key that merge with another grow together. A function of the SDK's is asked once, about the windows as they were assigned
 * (`original`); sessions grow until nothing changes any more, and those that only touch do not (MODEL 4.6). */
static void merge_windows(struct element_list *input, bool is_custom) {
    size_t count = input->all.count;
    struct element *original = xcalloc(count + 1, sizeof(*original));
    bool any = true;

    if (count)
        memcpy(original, input->all.items, count * sizeof(*original));
    while (any) {
        any = false;
        for (size_t i = 0; i < count; i++)
            for (size_t j = 0; j < count; j++) {
                struct element *a = &input->all.items[i], *b = &input->all.items[j];

                if (same_window(a, b) || !has_key_of(a, b) ||
                    !windows_merge(is_custom, is_custom ? &original[i] : a, is_custom ? &original[j] : b))
                    continue;
                a->window_start = b->window_start = MIN(a->window_start, b->window_start);
                a->window_end = b->window_end = MAX(a->window_end, b->window_end);
                any = true;
            }
    }
    free(original);
}

static event_time group_time(enum timestamp_combiner combiner, event_time a, event_time b, event_time window_end) {
    if (combiner == OUTPUT_TIME_END_OF_WINDOW)
        return window_end == SIM_GLOBAL ? TIME_GLOBAL_WINDOW_END : window_end - 1;
    return combiner == OUTPUT_TIME_EARLIEST ? MIN(a, b) : MAX(a, b);
}

/* Everything with the key and window of element `first`, which is the first of them; marks them as taken. */
static void make_group(struct evaluation *e, const struct windowing *windowing, const struct element_list *input,
                       size_t first, bool *taken) {
    struct element group = input->all.items[first];
    struct cursor key = kv_key(group.value);
    struct buf values = {0}, out = {0};
    uint32_t count = 0;

    for (size_t i = first; i < input->all.count; i++) {
        const struct element *element = &input->all.items[i];
        struct cursor other = kv_key(element->value);

        if (taken[i] || !same_window(element, &group) || cursor_left(&other) != cursor_left(&key) ||
            memcmp(other.at, key.at, cursor_left(&key)) != 0)
            continue;
        taken[i] = true;
        count++;
        group.timestamp =
            group_time(windowing->timestamp_combiner, group.timestamp, element->timestamp, group.window_end);
        buf_add(&values, other.end, element->value.size - cursor_left(&other));
    }
    buf_add(&out, key.at, cursor_left(&key));
    buf_add_be32(&out, count);
    buf_add(&out, buf_data(&values), values.size);
    group.value = buf_finish(&out);
    add_element(e, e->stage->outputs[0], &group);
    slice_unref(&group.value);
    buf_clear(&values);
}

/* Groups the collection into the output of the stage being worked out. */
static void run_grouping(struct evaluation *e, unsigned collection) {
    const struct windowing *windowing = &e->sim->plan.windowings[e->sim->plan.collections[collection].windowing];
    const struct element_list *all = &e->collections[collection];
    struct element_list input = {0};
    bool *taken = xcalloc(all->all.count + 1, sizeof(*taken));

    vec_foreach (element, &all->all)
        vec_push(&input.all, *element); /* borrowed */
    if (windowing->needs_merge)
        merge_windows(&input, windowing->fn == WINDOW_FN_CUSTOM);
    for (size_t i = 0; i < input.all.count; i++)
        if (!taken[i])
            make_group(e, windowing, &input, i, taken);
    free(taken);
    vec_free(&input.all);
}

static void run_stage(struct evaluation *e) {
    struct element impulse = {.timestamp = TIME_MIN, .window_end = SIM_GLOBAL, .value = slice_of_static("\0", 1)};

    switch (e->stage->kind) {
    case PLAN_IMPULSE:
        add_element(e, e->stage->outputs[0], &impulse);
        break;
    case PLAN_FLATTEN:
        for (size_t i = 0; i < e->stage->input_count; i++)
            vec_foreach (element, &e->collections[e->stage->inputs[i]].all)
                add_element(e, e->stage->outputs[0], element);
        break;
    case PLAN_GROUP_BY_KEY:
        if (!e->stage->asks_for_merges)
            run_grouping(e, e->stage->inputs[0]);
        break;
    case PLAN_MERGE_GROUPS:
        run_grouping(e, e->sim->plan.stages[e->stage->grouping].inputs[0]);
        break;
    case PLAN_EXECUTABLE:
        run_executable(e);
        break;
    case PLAN_TEST_STREAM:
        assert(!"not made by plans.c");
    }
}

struct recording *reference_run(const struct sim_plan *sim) {
    struct evaluation e = {.sim = sim};

    e.collections = xcalloc(sim->plan.collection_count, sizeof(*e.collections));
    e.recordings = xcalloc(sim->plan.stage_count, sizeof(*e.recordings));
    for (size_t i = 0; i < sim->plan.stage_count; i++) {
        e.stage = &sim->plan.stages[i];
        run_stage(&e);
    }
    for (size_t i = 0; i < sim->plan.collection_count; i++)
        element_list_clear(&e.collections[i]);
    free(e.collections);
    for (size_t i = 0; i < sim->plan.stage_count; i++)
        recording_sort(&e.recordings[i]);
    return e.recordings;
}
