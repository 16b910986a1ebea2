/* fnapi/: what harnesses say, from protobuf to the plain C of model/bundle.h. */
#include <string.h>

#include "fnapi/internal.h"
#include "message.h"
#include "model/time.h"

/* A message of this type, most often damaged: as it would come from a stream. NULL: it does not unpack. In the arena. */
static const ProtobufCMessage *received(struct rng *rng, const ProtobufCMessageDescriptor *type, struct arena *arena) {
    ProtobufCMessage *message = random_message(rng, type, 1 + rng_below(rng, 5), arena);
    struct buf bytes = {0};

    for (unsigned n = rng_below(rng, 3); n; n--)
        mutate_message(rng, message, arena);
    pack_message(message, &bytes);
    if (rng_chance(rng, 50))
        mutate_bytes(rng, &bytes);
    if (pb_unpack(type, buf_data(&bytes), bytes.size, PB_STRINGS_STRICT, arena, &message, NULL) < 0)
        message = NULL;
    buf_clear(&bytes);
    return message;
}

/* ---- reports ---- */

static void check_residuals(const struct residual *residuals, size_t count) {
    for (size_t i = 0; i < count; i++) {
        HOLDS(residuals[i].transform_id && residuals[i].input_id && residuals[i].delay_ms >= 0);
        for (size_t k = 0; k < residuals[i].watermark_count; k++)
            HOLDS(residuals[i].watermarks[k].watermark >= TIME_MIN && residuals[i].watermarks[k].watermark <= TIME_MAX);
    }
}

static void check_report(struct fn_worker *worker, struct fn_report *report, struct metric_table *table,
                         const Fn__MonitoringInfosMetadataResponse *short_ids) {
    size_t unresolved = report->unresolved_count, known = report->response.metric_count;

    fn_report_resolve(worker, report, short_ids);
    HOLDS(report->unresolved_count == 0);
    HOLDS(report->response.metric_count >= known && report->response.metric_count <= known + unresolved);
    for (size_t i = 0; i < report->response.metric_count; i++) {
        HOLDS(report->response.metrics[i].identity.size > 0);
        metric_table_add(table, &report->response.metrics[i]);
    }
    check_residuals(report->response.residuals, report->response.residual_count);
    fn_report_free(report);
}

/* One harness's answers, whose short ids are remembered from one to the next. */
static void reports(struct rng *rng) {
    struct fn_worker worker = {0};
    struct metric_table table = {0};
    struct arena arena = {0};

    pthread_mutex_init(&worker.lock, NULL);
    for (unsigned n = 1 + rng_below(rng, 4); n; n--) {
        const void *bundle = received(rng, &fn__process_bundle_response__descriptor, &arena);
        const void *progress = received(rng, &fn__process_bundle_progress_response__descriptor, &arena);
        const void *process = received(rng, &fn__harness_monitoring_infos_response__descriptor, &arena);
        const void *short_ids = received(rng, &fn__monitoring_infos_metadata_response__descriptor, &arena);

        if (bundle)
            check_report(&worker, fn_report_of_bundle(&worker, 1, bundle), &table, short_ids);
        if (progress)
            check_report(&worker, fn_report_of_progress(&worker, 1, progress), &table, short_ids);
        if (process)
            check_report(&worker, fn_report_of_process(&worker, process), &table, NULL);
    }
    metric_table_clear(&table);
    map_foreach (entry, &worker.short_ids) {
        struct slice *identity = entry->value;

        slice_unref(identity);
        free(identity);
    }
    map_clear(&worker.short_ids, NULL);
    pthread_mutex_destroy(&worker.lock);
    arena_clear(&arena);
}

/* ---- splits and samples ---- */

static void splits(struct rng *rng) {
    struct arena arena = {0};
    const void *message = received(rng, &fn__process_bundle_split_response__descriptor, &arena);
    struct bundle_split split;

    if (message) {
        fn_read_split(message, NULL, &split);
        check_residuals(split.residuals, split.residual_count);
        check_residuals(split.primaries, split.primary_count);
        bundle_split_clear(&split);
    }
    arena_clear(&arena);
}

static void samples(struct rng *rng) {
    struct arena arena = {0};
    const void *message = received(rng, &fn__instruction_response__descriptor, &arena);
    struct fn_samples *read = message ? fn_samples_read(message) : NULL;

    for (size_t i = 0; read && i < read->count; i++) {
        HOLDS(read->items[i].collection_id && read->items[i].exception);
        HOLDS(read->items[i].time_ms >= TIME_MIN && read->items[i].time_ms <= TIME_MAX);
    }
    fn_samples_free(read);
    arena_clear(&arena);
}

/* ---- state ---- */

static void state_requests(struct rng *rng) {
    struct arena arena = {0};
    const void *message = received(rng, &fn__state_request__descriptor, &arena);
    struct state_request request = {0};

    if (message && !fn_read_state_request(message, NULL, &request)) {
        HOLDS(request.request_id && request.transform_id && request.state_id);
        HOLDS(request.operation <= STATE_CLEAR);
    }
    state_request_clear(&request);
    arena_clear(&arena);
}

const struct target fnapi_targets[] = {
    {"reports", NULL, reports}, {"splits", NULL, splits},
    {"samples", NULL, samples}, {"state_requests", NULL, state_requests},
    {NULL, NULL, NULL},
};
