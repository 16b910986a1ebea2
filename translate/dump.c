#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "translate/translate.h"

static const char *const stage_kind_names[] = {
    [PLAN_EXECUTABLE] = "executable",     [PLAN_IMPULSE] = "impulse", [PLAN_GROUP_BY_KEY] = "group_by_key",
    [PLAN_MERGE_GROUPS] = "merge_groups", [PLAN_FLATTEN] = "flatten", [PLAN_TEST_STREAM] = "test_stream",
};

static const char *const state_kind_names[] = {
    [PLAN_STATE_BAG] = "bag",
    [PLAN_STATE_MULTIMAP] = "multimap",
    [PLAN_STATE_ORDERED_LIST] = "ordered_list",
};

static PRINTF_LIKE(2, 3) void add(struct buf *out, const char *format, ...) {
    va_list args;
    char *text;

    va_start(args, format);
    text = xvasprintf(format, args);
    va_end(args);
    buf_add(out, text, strlen(text));
    free(text);
}

/* Like kv<bytes,iterable<varint>>. */
static void add_coder(struct buf *out, const struct coder *coder) {
    static const char prefix[] = "beam:coder:";
    const char *urn = coder_urn(coder->kind) + sizeof(prefix) - 1;

    add(out, "%.*s", (int)strcspn(urn, ":"), urn);
    for (unsigned i = 0; i < coder->component_count && coder->kind != CODER_LENGTH_PREFIX; i++) {
        add(out, "%s", i ? "," : "<");
        add_coder(out, coder->components[i]);
    }
    if (coder->component_count && coder->kind != CODER_LENGTH_PREFIX)
        add(out, ">");
}

static void add_collection(struct buf *out, const struct plan *plan, const char *what, unsigned index) {
    const struct plan_collection *collection = &plan->collections[index];

    add(out, "  %s %u %s%s ", what, index, collection->name, collection->is_bounded ? "" : " unbounded");
    add_coder(out, collection->coder->components[0]);
    add(out, " in ");
    add_coder(out, collection->coder->components[1]);
    add(out, "\n");
}

static void add_test_stream(struct buf *out, const struct plan_test_stream *test_stream) {
    if (test_stream->endpoint)
        add(out, "  events from %s\n", test_stream->endpoint);
    for (size_t i = 0; i < test_stream->event_count; i++) {
        const struct plan_test_event *event = &test_stream->events[i];

        if (event->kind == PLAN_TEST_ELEMENTS)
            add(out, "  event: %zu elements to output %u\n", event->element_count, event->output);
        else if (event->kind == PLAN_TEST_WATERMARK)
            add(out, "  event: watermark %lld of output %u\n", (long long)event->watermark, event->output);
        else
            add(out, "  event: processing time + %lld\n", (long long)event->advance_ms);
    }
}

static void add_stage(struct buf *out, const struct plan *plan, const struct plan_stage *stage) {
    add(out, "stage %u %s%s%s%s", stage->index, stage_kind_names[stage->kind], stage->is_reshuffle ? " reshuffle" : "",
        stage->is_bounded ? "" : " unbounded", stage->is_keyed ? " keyed" : "");
    if (stage->kind == PLAN_EXECUTABLE)
        add(out, " env %u", stage->environment);
    add(out, ": %s\n", stage->name);
    for (size_t i = 0; i < stage->input_count; i++)
        add_collection(out, plan, "in", stage->inputs[i]);
    for (size_t i = 0; i < stage->side_input_count; i++)
        add_collection(out, plan,
                       stage->side_inputs[i].access == PLAN_ACCESS_MULTIMAP ? "side multimap" : "side iterable",
                       stage->side_inputs[i].collection);
    for (size_t i = 0; i < stage->output_count; i++)
        add_collection(out, plan, "out", stage->outputs[i]);
    for (size_t i = 0; i < stage->user_state_count; i++) {
        add(out, "  state %s %s ", state_kind_names[stage->user_states[i].kind], stage->user_states[i].state_id);
        if (stage->user_states[i].element_coder)
            add_coder(out, stage->user_states[i].element_coder);
        add(out, "\n");
    }
    for (size_t i = 0; i < stage->timer_family_count; i++) {
        const struct plan_timer_family *family = &stage->timer_families[i];

        add(out, "  timer %s %s%s ", family->family_id, family->is_processing_time ? "processing_time" : "event_time",
            family->is_window_expiration ? " window_expiration" : "");
        add_coder(out, family->coder);
        add(out, "\n");
    }
    add_test_stream(out, &stage->test_stream);
    if (stage->process_transform_id)
        add(out, "  splittable %s\n", stage->process_transform_id);
    if (stage->truncate_stage != PLAN_NONE)
        add(out, "  drained by stage %u\n", stage->truncate_stage);
    if (stage->is_for_drain)
        add(out, "  drains stage %u\n", stage->drained_stage);
    if (stage->requires_time_sorted_input || stage->requires_stable_input || stage->requires_finalization)
        add(out, "  requires%s%s%s\n", stage->requires_time_sorted_input ? " time_sorted_input" : "",
            stage->requires_stable_input ? " stable_input" : "", stage->requires_finalization ? " finalization" : "");
}

void plan_dump(const struct plan *plan, struct buf *out) {
    for (size_t i = 0; i < plan->environment_count; i++)
        add(out, "environment %zu %s %s\n", i, plan->environments[i].id, plan->environments[i].urn);
    for (size_t i = 0; i < plan->stage_count; i++)
        add_stage(out, plan, &plan->stages[i]);
}
