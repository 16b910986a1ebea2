#include "model/bundle.h"

#include <stdlib.h>

static void residuals_clear(struct residual *residuals, size_t count) {
    for (size_t i = 0; i < count; i++)
        slice_unref(&residuals[i].element);
}

void bundle_response_clear(struct bundle_response *response) {
    if (!response)
        return;
    residuals_clear(response->residuals, response->residual_count);
    for (size_t i = 0; i < response->metric_count; i++) {
        slice_unref(&response->metrics[i].identity);
        slice_unref(&response->metrics[i].payload);
    }
    arena_clear(&response->arena);
    *response = (struct bundle_response){0};
}

void bundle_split_clear(struct bundle_split *split) {
    if (!split)
        return;
    residuals_clear(split->primaries, split->primary_count);
    residuals_clear(split->residuals, split->residual_count);
    arena_clear(&split->arena);
    *split = (struct bundle_split){0};
}

void state_request_clear(struct state_request *request) {
    if (!request)
        return;
    slice_unref(&request->window);
    slice_unref(&request->key);
    slice_unref(&request->map_key);
    slice_unref(&request->continuation);
    slice_unref(&request->data);
    arena_clear(&request->arena);
    *request = (struct state_request){0};
}

void state_response_clear(struct state_response *response) {
    if (!response)
        return;
    for (size_t i = 0; i < response->data_count; i++)
        slice_unref(&response->data[i]);
    slice_unref(&response->continuation);
    free(response->error);
    *response = (struct state_response){0};
}
