/* Elements that a harness keeps as samples (SampleData), where its user has switched that on. */
#include "fnapi/internal.h"

#include <stdlib.h>

static void read_one(struct fn_samples *samples, const char *collection, const Fn__SampledElement *element) {
    struct fn_sample *sample = &samples->items[samples->count++];
    const Fn__SampledElement__Exception *exception = element->exception;

    *sample = (struct fn_sample){
        .collection_id = arena_string(&samples->arena, collection),
        .element = slice_copy(element->element.data, element->element.len, NULL),
        .time_ms = fn_timestamp_ms(element->sample_timestamp),
        .exception = arena_string(&samples->arena, exception ? exception->error : ""),
    };
}

struct fn_samples *fn_samples_read(const Fn__InstructionResponse *response) {
    struct fn_samples *samples = xcalloc(1, sizeof(*samples));
    const Fn__SampleDataResponse *data =
        response->response_case == FN__INSTRUCTION_RESPONSE__RESPONSE_SAMPLE_DATA ? response->sample_data : NULL;
    size_t count = 0;

    if (response->error[0])
        samples->error = arena_string(&samples->arena, response->error);
    if (!data)
        return samples;
    for (size_t i = 0; i < data->n_element_samples; i++)
        count += data->element_samples[i]->value ? data->element_samples[i]->value->n_elements : 0;
    samples->items = arena_new_array(&samples->arena, struct fn_sample, count + 1);
    for (size_t i = 0; i < data->n_element_samples; i++) {
        const Fn__SampleDataResponse__ElementSamplesEntry *entry = data->element_samples[i];

        for (size_t j = 0; entry->value && j < entry->value->n_elements; j++)
            read_one(samples, entry->key, entry->value->elements[j]);
    }
    return samples;
}

void fn_samples_free(struct fn_samples *samples) {
    if (!samples)
        return;
    for (size_t i = 0; i < samples->count; i++)
        slice_unref(&samples->items[i].element);
    arena_clear(&samples->arena);
    free(samples);
}
