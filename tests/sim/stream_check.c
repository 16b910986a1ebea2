#include "stream_check.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stream_trigger.h"

typedef VEC(char *) text_vec;
typedef VEC(struct stream_element) element_vec;

struct check {
    const struct sim_plan *sim;
    const struct recording *recordings;
    bool was_drained;
    const struct plan_stage *stage;
    const struct function *function;
    text_vec expected;
    char *wrong; /* the first broken rule */
};

static void fail(struct check *check, const char *format, ...) PRINTF_LIKE(2, 3);
static void fail(struct check *check, const char *format, ...) {
    va_list args;
    char *text;

    if (check->wrong)
        return;
    va_start(args, format);
    text = xvasprintf(format, args);
    va_end(args);
    check->wrong = xasprintf("stage %u: %s", check->stage->index, text);
    free(text);
}

/* ---- texts ---- */

static int compare_texts(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void sort_texts(text_vec *texts) {
    if (texts->count)
        qsort(texts->items, texts->count, sizeof(char *), compare_texts);
}

static void free_texts(text_vec *texts) {
    vec_foreach (text, texts)
        free(*text);
    vec_free(texts);
}

static const struct recording *recording_of(const struct check *check, unsigned index) {
    const struct plan_collection *collection = &check->sim->plan.collections[index];

    for (size_t i = 0; i < collection->consumer_count; i++)
        if (check->sim->functions[collection->consumers[i]].kind == FUNCTION_RECORD)
            return &check->recordings[collection->consumers[i]];
    abort();
}

/* Which of the values lie in a comma's distance. */
static text_vec split_values(const char *joined) {
    text_vec values = {0};
    char *copy = xstrdup(joined), *rest = copy, *next;

    while (*joined && (next = strsep(&rest, ",")))
        vec_push(&values, xstrdup(next));
    free(copy);
    return values;
}

/* The first text of sorted `a` that sorted `b` has less often; NULL: none. */
static const char *first_missing(const text_vec *a, const text_vec *b) {
    size_t j = 0;

    for (size_t i = 0; i < a->count; i++, j++) {
        while (j < b->count && strcmp(b->items[j], a->items[i]) < 0)
            j++;
        if (j == b->count || strcmp(b->items[j], a->items[i]) != 0)
            return a->items[i];
    }
    return NULL;
}

/* ---- stateless stages ---- */

static void expect(void *user, const struct stream_element *element, const struct stream_window *windows,
                   unsigned window_count) {
    struct check *check = user;
    struct stream_element out = *element;

    for (unsigned i = 0; i < window_count; i++) {
        out.window_start = windows[i].start;
        out.window_end = windows[i].end;
        vec_push(&check->expected, stream_text(&out));
    }
}

static void compare_output(struct check *check, const struct recording *actual) {
    text_vec seen = {actual->texts.items, actual->texts.count, actual->texts.capacity};
    const char *text;

    bool may_lack = check->was_drained && check->function->kind == FUNCTION_STREAM_SOURCE;

    sort_texts(&check->expected);
    if (!may_lack && (text = first_missing(&check->expected, &seen)))
        fail(check, "\"%s\" is not in its output, or not often enough", text);
    if ((text = first_missing(&seen, &check->expected)))
        fail(check, "\"%s\" is in its output, or too often", text);
}

/* How many positions there may have been, of a source that has no end: behind the last that came. */
static unsigned count_positions(const struct check *check, const struct recording *output) {
    unsigned count = 0;

    if (!check->sim->stream->is_endless)
        return check->function->positions;
    vec_foreach (text, &output->texts) {
        struct stream_element element = stream_parse(*text);
        unsigned position = 0;

        sscanf(element.value, "%*u.%*u.%u", &position);
        count = MAX(count, position + 1);
    }
    return count;
}

static void check_source(struct check *check) {
    unsigned creator = check->sim->plan.collections[check->stage->inputs[0]].producer;
    const struct recording *output = recording_of(check, check->stage->outputs[0]);
    unsigned positions = count_positions(check, output);

    for (unsigned i = 0; i < check->sim->functions[creator].count; i++)
        for (unsigned position = 0; position < positions; position++)
            stream_source_step(check->function, i, position, expect, check);
    compare_output(check, output);
}

static void check_stateless(struct check *check) {
    vec_foreach (text, &recording_of(check, check->stage->inputs[0])->texts) {
        struct stream_element in = stream_parse(*text);

        stream_apply(check->function, &in, NULL, expect, check);
    }
    compare_output(check, recording_of(check, check->stage->outputs[0]));
}

static void check_flatten(struct check *check) {
    for (size_t i = 0; i < check->stage->input_count; i++)
        vec_foreach (text, &recording_of(check, check->stage->inputs[i])->texts)
            vec_push(&check->expected, xstrdup(*text));
    compare_output(check, recording_of(check, check->stage->outputs[0]));
}

/* What was read of a side input depends on the moment. Takes it out, so that what is left is that of a map without one. */
static char *without_side(const char *text) {
    struct stream_element element = stream_parse(text);
    const char *brace = strrchr(element.value, '{');
    char *value, *out;

    if (element.value[0] != 's')
        return xstrdup(text);
    value = xasprintf("m%.*s%s", (int)(brace - element.value - 1), element.value + 1,
                      stream_is_late(element.value) ? "!" : "");
    element.value = value;
    out = stream_text(&element);
    free(value);
    return out;
}

static void check_side_map(struct check *check) {
    struct recording stripped = {0};

    vec_foreach (text, &recording_of(check, check->stage->inputs[0])->texts) {
        struct stream_element in = stream_parse(*text);

        stream_apply(check->function, &in, NULL, expect, check);
    }
    vec_foreach (text, &recording_of(check, check->stage->outputs[0])->texts)
        vec_push(&stripped.texts, without_side(*text));
    recording_sort(&stripped);
    compare_output(check, &stripped);
    vec_foreach (text, &stripped.texts)
        free(*text);
    vec_free(&stripped.texts);
}

/* ---- groupings ---- */

static bool same_place(const struct stream_element *a, const struct stream_element *b, bool merges) {
    return strcmp(a->key, b->key) == 0 &&
           (merges || (a->window_start == b->window_start && a->window_end == b->window_end));
}

static element_vec parse_all(const struct recording *recording) {
    element_vec all = {0};

    vec_foreach (text, &recording->texts)
        vec_push(&all, stream_parse(*text));
    return all;
}

/* Everything of one key and window, of windows that merge: of one key; without what was looked at before. */
static element_vec take_place(const element_vec *from, const struct stream_element *place, bool merges) {
    element_vec taken = {0};

    vec_foreach (element, from)
        if (same_place(element, place, merges))
            vec_push(&taken, *element);
    return taken;
}

static int compare_panes(const void *a, const void *b) {
    const struct stream_element *x = a, *y = b;

    return (x->pane.index > y->pane.index) - (x->pane.index < y->pane.index);
}

static void check_numbers(struct check *check, const struct windowing *windowing, const element_vec *panes) {
    int64_t nonspeculative = -1;
    bool was_last = false;

    for (size_t i = 0; i < panes->count; i++) {
        const struct stream_element *element = &panes->items[i];
        const struct pane *pane = &element->pane, *before = i ? &element[-1].pane : NULL;
        const char *name = element->key;

        if (pane->index != (int64_t)i || pane->is_first != (i == 0))
            fail(check, "key %s, window that ends at %" PRId64 ": pane %zu has the number %" PRId64 "%s", name,
                 element->window_end, i, pane->index, pane->is_first ? " and is the first" : "");
        if (was_last)
            fail(check, "key %s, window that ends at %" PRId64 ": pane %zu comes behind the last", name,
                 element->window_end, i);
        if (before &&
            (before->timing > pane->timing || (before->timing == PANE_ON_TIME && pane->timing == PANE_ON_TIME)))
            fail(check, "key %s, window that ends at %" PRId64 ": pane %zu of timing %d comes behind one of %d", name,
                 element->window_end, i, (int)pane->timing, (int)before->timing);
        if (pane->timing != PANE_EARLY)
            nonspeculative++;
        if (pane->nonspeculative_index != (pane->timing == PANE_EARLY ? -1 : nonspeculative))
            fail(check, "key %s, window that ends at %" PRId64 ": pane %zu has the non-speculative number %" PRId64,
                 name, element->window_end, i, pane->nonspeculative_index);
        if (element->timestamp > stream_window_max(element->window_end))
            fail(check, "key %s: a pane at %" PRId64 ", behind its window that ends at %" PRId64, name,
                 element->timestamp, element->window_end);
        was_last = pane->is_last;
    }
    if (panes->count && windowing->close_always && !was_last)
        fail(check, "key %s, window that ends at %" PRId64 ": no pane is the last", panes->items[0].key,
             panes->items[0].window_end);
}

static text_vec values_of(const element_vec *elements) {
    text_vec values = {0};

    vec_foreach (element, elements)
        vec_push(&values, xstrdup(element->value));
    sort_texts(&values);
    return values;
}

/* All values that the panes hold; of those that accumulate, each must hold what the one before it held. */
static text_vec pane_values(struct check *check, const struct windowing *windowing, const element_vec *panes) {
    bool accumulates = windowing->accumulation == ACCUMULATION_ACCUMULATING && !windowing->needs_merge;
    text_vec all = {0};

    vec_foreach (pane, panes) {
        text_vec values = split_values(pane->value);
        const char *lost;

        sort_texts(&values);
        if (accumulates && (lost = first_missing(&all, &values)))
            fail(check, "key %s, window that ends at %" PRId64 ": \"%s\" is in a pane, and not in the next", pane->key,
                 pane->window_end, lost);
        if (accumulates)
            free_texts(&all);
        vec_foreach (value, &values)
            vec_push(&all, *value);
        vec_free(&values);
    }
    sort_texts(&all);
    return all;
}

static void check_values(struct check *check, const struct windowing *windowing, const element_vec *elements,
                         const element_vec *panes) {
    text_vec in = values_of(elements), out = pane_values(check, windowing, panes);
    const struct stream_element *place = elements->count ? elements->items : panes->items;
    bool may_repeat = windowing->accumulation == ACCUMULATION_ACCUMULATING && windowing->needs_merge;
    bool may_finish = model_trigger_may_finish(windowing->trigger);
    const char *text;

    if (!may_repeat && (text = first_missing(&out, &in)))
        fail(check, "key %s, window that ends at %" PRId64 ": a pane holds \"%s\", which did not come, or too often",
             place->key, place->window_end, text);
    for (size_t i = in.count; i-- > 0;)
        if (stream_is_late(in.items[i]) || may_finish) {
            free(in.items[i]);
            memmove(&in.items[i], &in.items[i + 1], (in.count-- - i - 1) * sizeof(char *));
        }
    if ((text = first_missing(&in, &out)))
        fail(check, "key %s, window that ends at %" PRId64 ": \"%s\" was on time, and is in no pane", place->key,
             place->window_end, text);
    free_texts(&in);
    free_texts(&out);
}

static void check_place(struct check *check, const struct windowing *windowing, const element_vec *in,
                        const element_vec *out, const struct stream_element *place) {
    element_vec elements = take_place(in, place, windowing->needs_merge);
    element_vec panes = take_place(out, place, windowing->needs_merge);

    if (panes.count)
        qsort(panes.items, panes.count, sizeof(*panes.items), compare_panes);
    if (!windowing->needs_merge)
        check_numbers(check, windowing, &panes);
    check_values(check, windowing, &elements, &panes);
    vec_free(&elements);
    vec_free(&panes);
}

static bool was_seen(const element_vec *all, size_t index, bool merges) {
    for (size_t i = 0; i < index; i++)
        if (same_place(&all->items[i], &all->items[index], merges))
            return true;
    return false;
}

static void check_group(struct check *check) {
    const struct plan *plan = &check->sim->plan;
    const struct windowing *windowing = &plan->windowings[plan->collections[check->stage->inputs[0]].windowing];
    element_vec in = parse_all(recording_of(check, check->stage->inputs[0]));
    element_vec out = parse_all(recording_of(check, sim_groups_of(plan, check->stage)));

    for (size_t i = 0; i < in.count; i++)
        if (!was_seen(&in, i, windowing->needs_merge))
            check_place(check, windowing, &in, &out, &in.items[i]);
    for (size_t i = 0; i < out.count; i++)
        if (!was_seen(&out, i, windowing->needs_merge))
            check_place(check, windowing, &in, &out, &out.items[i]);
    vec_free(&in);
    vec_free(&out);
}

/* ---- keyed stages ---- */

struct keyed_count {
    unsigned elements, ends;
    uint64_t places; /* a bit for each of the first 64 */
    text_vec values;
};

static void count_output(struct check *check, const struct stream_element *out, struct keyed_count *count) {
    const char *dot = strchr(out->value, '.');
    unsigned place = (unsigned)strtoul(out->value + 1, NULL, 10);

    if (out->value[0] == 'x') {
        count->ends++;
        if (place != count->elements && count->elements)
            fail(check, "key %s: the window that ends at %" PRId64 " had %u elements, not %u", out->key,
                 out->window_end, count->elements, place);
    }
    if (out->value[0] != 'e')
        return;
    count->elements++;
    if (place < 64 && count->places >> place & 1)
        fail(check, "key %s, window that ends at %" PRId64 ": two elements have the place %u", out->key,
             out->window_end, place);
    if (place < 64)
        count->places |= UINT64_C(1) << place;
    vec_push(&count->values, xstrdup(dot + 1));
}

/* The output is sorted: elements before ends. */
static void check_keyed_place(struct check *check, const element_vec *in, const element_vec *out,
                              const struct stream_element *place) {
    element_vec elements = take_place(in, place, false), outputs = take_place(out, place, false);
    text_vec values = values_of(&elements), on_time = {0};
    struct keyed_count count = {0};
    const char *text;

    for (int ends = 0; ends < 2; ends++)
        vec_foreach (output, &outputs)
            if ((output->value[0] == 'x') == ends)
                count_output(check, output, &count);
    sort_texts(&count.values);
    vec_foreach (value, &values)
        if (!stream_is_late(*value))
            vec_push(&on_time, *value);
    if ((text = first_missing(&count.values, &values)))
        fail(check, "key %s, window that ends at %" PRId64 ": \"%s\" did not come, or not so often", place->key,
             place->window_end, text);
    if ((text = first_missing(&on_time, &count.values)))
        fail(check, "key %s, window that ends at %" PRId64 ": \"%s\" was on time and is lost", place->key,
             place->window_end, text);
    if (count.ends != (count.elements > 0))
        fail(check, "key %s: the window that ends at %" PRId64 " has expired %u times", place->key, place->window_end,
             count.ends);
    vec_free(&on_time);
    free_texts(&values);
    free_texts(&count.values);
    vec_free(&elements);
    vec_free(&outputs);
}

static void check_keyed(struct check *check) {
    element_vec in = parse_all(recording_of(check, check->stage->inputs[0]));
    element_vec out = parse_all(recording_of(check, check->stage->outputs[0]));

    for (size_t i = 0; i < in.count; i++)
        if (!was_seen(&in, i, false))
            check_keyed_place(check, &in, &out, &in.items[i]);
    for (size_t i = 0; i < out.count; i++)
        if (!was_seen(&out, i, false))
            check_keyed_place(check, &in, &out, &out.items[i]);
    vec_free(&in);
    vec_free(&out);
}

/* ---- the plan ---- */

static void check_executable(struct check *check) {
    switch (check->function->kind) {
    case FUNCTION_STREAM_SOURCE:
        check_source(check);
        break;
    case FUNCTION_STREAM_MAP:
        if (check->function->side_count)
            check_side_map(check);
        else
            check_stateless(check);
        break;
    case FUNCTION_STREAM_WINDOW:
    case FUNCTION_STREAM_UNGROUP:
        check_stateless(check);
        break;
    case FUNCTION_STREAM_KEYED:
        check_keyed(check);
        break;
    default:
        break;
    }
}

char *stream_check(const struct sim_plan *sim, const struct recording *recordings, bool was_drained) {
    struct check check = {.sim = sim, .recordings = recordings, .was_drained = was_drained};

    for (size_t i = 0; i < sim->plan.stage_count && !check.wrong; i++) {
        check.stage = &sim->plan.stages[i];
        check.function = &sim->functions[i];
        if (check.stage->kind == PLAN_GROUP_BY_KEY)
            check_group(&check);
        else if (check.stage->kind == PLAN_FLATTEN)
            check_flatten(&check);
        else
            check_executable(&check);
        free_texts(&check.expected);
    }
    return check.wrong;
}
