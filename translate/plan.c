#include "translate/plan.h"

#include <stdlib.h>
#include <string.h>

static int compare_id(const void *id, const void *name) {
    return strcmp(id, ((const struct plan_transform_name *)name)->id);
}

const char *plan_transform_unique_name(const struct plan *plan, const char *transform_id) {
    const struct plan_transform_name *found =
        plan->name_count ? bsearch(transform_id, plan->names, plan->name_count, sizeof(*plan->names), compare_id)
                         : NULL;

    return found ? found->unique_name : transform_id;
}

static int compare_string(const void *id, const void *item) {
    return strcmp(id, *(const char *const *)item);
}

bool plan_made_collection(const struct plan *plan, const char *collection_id) {
    return plan->made_collection_count && bsearch(collection_id, plan->made_collections, plan->made_collection_count,
                                                  sizeof(*plan->made_collections), compare_string);
}

bool plan_is_streaming(const struct plan *plan) {
    for (size_t i = 0; i < plan->stage_count; i++)
        if (!plan->stages[i].is_bounded)
            return true;
    return false;
}

void plan_destroy(struct plan *plan) {
    if (!plan)
        return;
    for (size_t i = 0; i < plan->stage_count; i++) {
        struct plan_stage *stage = &plan->stages[i];

        for (size_t s = 0; s < stage->side_input_count; s++)
            slice_unref(&stage->side_inputs[s].mapping_fn_payload);
        slice_unref(&stage->descriptor);
        for (size_t e = 0; e < stage->test_stream.event_count; e++)
            slice_unref(&stage->test_stream.events[e].elements);
    }
    for (size_t i = 0; i < plan->windowing_count; i++)
        slice_unref(&plan->windowings[i].fn_payload);
    for (size_t i = 0; i < plan->environment_count; i++) {
        slice_unref(&plan->environments[i].proto);
        slice_unref(&plan->environments[i].payload);
    }
    arena_clear(&plan->arena);
    free(plan);
}
