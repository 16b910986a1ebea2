#include "engine/inspect.h"

#include <stdlib.h>
#include <string.h>

#include "engine/gate.h"
#include "engine/internal.h"
#include "model/urn.h"

static uint64_t count_waiting(const struct stage *stage) {
    uint64_t count = stage->queue.count + stage->shard_count + backlog_count(&stage->arriving);

    if (stage->gate)
        count += gate_count(stage->gate);
    vec_foreach (claim, &stage->retries)
        count += (*claim)->count;
    return count;
}

static event_time output_watermark(const struct stage *stage) {
    if (stage->is_done)
        return TIME_MAX;
    return stage_is_streaming(stage) ? stage->out_watermark : TIME_MIN;
}

static char *describe(const struct engine *engine, const struct stage *stage) {
    struct buf out = {0};
    char *text;

    stage_describe_work(engine, stage, &out);
    text = xmemdup0(buf_data(&out), out.size);
    buf_clear(&out);
    return text;
}

static void inspect_stage(const struct engine *engine, const struct stage *stage, struct stage_inspection *ret) {
    *ret = (struct stage_inspection){
        .is_done = stage->is_done,
        .has_complete_input = stage_inputs_are_done(engine, stage),
        .bundles_running = stage->running,
        .bundles_waiting = (unsigned)stage->retries.count,
        .bundles_done = stage->counts.bundles_done,
        .bundles_failed = stage->counts.bundles_failed,
        .elements_waiting = count_waiting(stage),
        .elements_in = stage->counts.elements_in,
        .bytes_in = stage->counts.bytes_in,
        .input_watermark = stage->is_done ? TIME_MAX : stage_input_watermark(engine, stage),
        .output_watermark = output_watermark(stage),
        .waits_for = stage->is_done ? NULL : describe(engine, stage),
    };
}

/* Of its input, as the harness said last. */
static uint64_t count_read(const struct bundle *bundle) {
    const struct bundle_response *report = bundle->progress;
    int64_t index;

    for (size_t i = 0; report && i < report->metric_count; i++)
        if (strcmp((const char *)report->metrics[i].identity.data, urn_string(URN_METRIC_DATA_CHANNEL_READ_INDEX)) ==
                0 &&
            metric_decode_int64(report->metrics[i].payload, &index) && index >= 0)
            return MIN((uint64_t)index + 1, bundle->claim->count);
    return 0;
}

static struct bundle_inspection inspect_bundle(const struct bundle *bundle) {
    return (struct bundle_inspection){
        .id = bundle->id,
        .stage = bundle->stage->plan->index,
        .worker = bundle->worker,
        .started_ms = bundle->started_ms,
        .attempt = bundle->claim->runs_lost + bundle->claim->runs_failed + 1,
    };
}

void engine_inspect(const struct engine *engine, struct engine_inspection *ret) {
    *ret = (struct engine_inspection){.stage_count = engine->plan->stage_count, .retries = engine->retry_count};
    ret->stages = xcalloc(ret->stage_count + 1, sizeof(*ret->stages));
    for (size_t i = 0; i < ret->stage_count; i++)
        inspect_stage(engine, &engine->stages[i], &ret->stages[i]);
    ret->bundles = xcalloc(engine->running.count + 1, sizeof(*ret->bundles));
    vec_foreach (place, &engine->running) {
        const struct bundle *bundle = *place;
        struct stage_inspection *stage = &ret->stages[bundle->stage->plan->index];

        stage->elements_running += bundle->claim->count;
        stage->elements_read += count_read(bundle);
        ret->bundles[ret->bundle_count++] = inspect_bundle(bundle);
    }
}

void engine_inspection_clear(struct engine_inspection *inspection) {
    for (size_t i = 0; i < inspection->stage_count; i++)
        free(inspection->stages[i].waits_for);
    free(inspection->stages);
    free(inspection->bundles);
    *inspection = (struct engine_inspection){0};
}
