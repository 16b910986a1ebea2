#include <inttypes.h>
#include <stdio.h>

#include "plans.h"

static void print_trigger(const struct trigger *trigger) {
    static const char *const names[] = {"default", "always", "never", "count", "after",     "synchronized",
                                        "end",     "all",    "any",   "each",  "orfinally", "repeat"};

    if (!trigger) {
        printf("-");
        return;
    }
    printf("%s", names[trigger->kind]);
    if (trigger->kind == TRIGGER_ELEMENT_COUNT)
        printf(" %" PRId64, trigger->element_count);
    for (size_t i = 0; i < trigger->delay_count; i++)
        if (trigger->delays[i].align)
            printf(" align %" PRId64 "+%" PRId64, trigger->delays[i].period_ms, trigger->delays[i].offset_ms);
        else
            printf(" %" PRId64 " ms", trigger->delays[i].delay_ms);
    for (size_t i = 0; i < trigger->child_count; i++) {
        printf(i ? ", " : "(");
        print_trigger(trigger->children[i]);
    }
    if (trigger->child_count)
        printf(")");
}

static void print_windowing(size_t index, const struct windowing *windowing) {
    static const char *const fns[] = {"global", "fixed", "sliding", "sessions", "custom"};
    static const char *const combiners[] = {"end of window", "latest", "earliest"};

    printf("windowing %zu: %s %" PRId64 " / %" PRId64 " + %" PRId64 ", lateness %" PRId64 ", %s, %s%s%s, ", index,
           fns[windowing->fn], windowing->size_ms, windowing->period_ms, windowing->offset_ms,
           windowing->allowed_lateness_ms,
           windowing->accumulation == ACCUMULATION_DISCARDING ? "discarding" : "accumulating",
           combiners[windowing->timestamp_combiner], windowing->close_always ? ", always closes" : "",
           windowing->on_time_always ? ", always on time" : "");
    print_trigger(windowing->trigger);
    printf("\n");
}

static void print_event(const struct stream_event *event) {
    switch (event->kind) {
    case STREAM_ELEMENTS:
        printf("event: output %u:", event->output);
        for (unsigned i = 0; i < event->element_count; i++)
            printf(" %s=%s @ %" PRId64, event->elements[i].key, event->elements[i].value, event->elements[i].timestamp);
        printf("\n");
        break;
    case STREAM_WATERMARK:
        printf("event: output %u: watermark %" PRId64 "\n", event->output, event->watermark);
        break;
    case STREAM_PROCESSING_TIME:
        printf("event: clock + %" PRId64 "\n", event->advance_ms);
        break;
    }
}

void stream_plan_print(const struct sim_plan *sim) {
    for (size_t i = 0; i < sim->plan.collection_count; i++)
        printf("c%zu has windowing %u\n", i, sim->plan.collections[i].windowing);
    for (size_t i = 0; i < sim->plan.windowing_count; i++)
        print_windowing(i, &sim->plan.windowings[i]);
    for (size_t i = 0; i < sim->stream->event_count; i++)
        print_event(&sim->stream->events[i]);
}
