/* Responses of the harness, from protobuf to the plain C of model/bundle.h.
 *
 * Metrics come twice: as whole MonitoringInfos, and as payloads by short id. Both hold the same totals, so they are never added up:
 * the whole ones count where there are any. Short ids are resolved once and remembered for the harness's life. */
#include "fnapi/internal.h"

#include <stdlib.h>
#include <string.h>

#include "google/protobuf/duration.pb-c.h"
#include "google/protobuf/timestamp.pb-c.h"
#include "model/time.h"

enum { MAX_LABELS = 32 };

/* ---- time ---- */

static int64_t clamp_ms(int64_t seconds, int32_t nanos, int64_t least, int64_t most) {
    int64_t ms;

    if (__builtin_mul_overflow(seconds, 1000, &ms) || __builtin_add_overflow(ms, nanos / 1000000, &ms))
        return seconds < 0 ? least : most;
    return ms < least ? least : ms > most ? most : ms;
}

int64_t fn_timestamp_ms(const Google__Protobuf__Timestamp *timestamp) {
    return timestamp ? clamp_ms(timestamp->seconds, timestamp->nanos, TIME_MIN, TIME_MAX) : 0;
}

static int64_t duration_ms(const Google__Protobuf__Duration *duration) {
    return duration ? clamp_ms(duration->seconds, duration->nanos, 0, TIME_MAX) : 0;
}

/* ---- residuals ---- */

static void read_application(const Fn__BundleApplication *message, struct arena *arena, struct account *account,
                             struct residual *ret) {
    *ret = (struct residual){
        .element = slice_copy(message->element.data, message->element.len, account),
        .transform_id = arena_string(arena, message->transform_id),
        .input_id = arena_string(arena, message->input_id),
        .is_unbounded = message->is_bounded != BEAM__IS_BOUNDED__ENUM__BOUNDED,
    };
    ret->watermarks = arena_alloc(arena, (message->n_output_watermarks + 1) * sizeof(*ret->watermarks));
    for (size_t i = 0; i < message->n_output_watermarks; i++) {
        const Fn__BundleApplication__OutputWatermarksEntry *entry = message->output_watermarks[i];

        if (!entry->value)
            continue; /* unknown, like an absent one */
        ret->watermarks[ret->watermark_count++] = (struct residual_watermark){
            .output_id = arena_string(arena, entry->key), .watermark = fn_timestamp_ms(entry->value)};
    }
}

static struct residual *read_residuals(Fn__DelayedBundleApplication *const *messages, size_t count, struct arena *arena,
                                       struct account *account, size_t *ret_count) {
    struct residual *residuals = count ? arena_new_array(arena, struct residual, count) : NULL;
    size_t n = 0;

    for (size_t i = 0; i < count; i++) {
        if (!messages[i]->application)
            continue;
        read_application(messages[i]->application, arena, account, &residuals[n]);
        residuals[n++].delay_ms = duration_ms(messages[i]->requested_time_delay);
    }
    *ret_count = n;
    return residuals;
}

void fn_read_split(const Fn__ProcessBundleSplitResponse *message, struct account *account, struct bundle_split *ret) {
    *ret = (struct bundle_split){0};
    if (!message)
        return;
    ret->primaries = arena_new_array(&ret->arena, struct residual, message->n_primary_roots + 1);
    for (size_t i = 0; i < message->n_primary_roots; i++)
        read_application(message->primary_roots[i], &ret->arena, account, &ret->primaries[ret->primary_count++]);
    ret->residuals =
        read_residuals(message->residual_roots, message->n_residual_roots, &ret->arena, account, &ret->residual_count);
    ret->channels = arena_new_array(&ret->arena, struct channel_split, message->n_channel_splits + 1);
    for (size_t i = 0; i < message->n_channel_splits; i++)
        ret->channels[ret->channel_count++] = (struct channel_split){
            .transform_id = arena_string(&ret->arena, message->channel_splits[i]->transform_id),
            .last_primary_element = message->channel_splits[i]->last_primary_element,
            .first_residual_element = message->channel_splits[i]->first_residual_element,
        };
}

/* ---- metrics ---- */

static struct slice identity_of(const Beam__MonitoringInfo *info) {
    const char *labels[MAX_LABELS][2];
    size_t count = MIN(info->n_labels, MAX_LABELS);

    for (size_t i = 0; i < count; i++) {
        labels[i][0] = info->labels[i]->key;
        labels[i][1] = info->labels[i]->value;
        /* The TypeScript SDK's name for it (PROTOCOL E). */
        if (strcmp(labels[i][0], "TRANSFORM") == 0)
            labels[i][0] = "PTRANSFORM";
    }
    return metric_identity(info->urn, info->type, (const char *const(*)[2])labels, count);
}

/* The TypeScript SDK writes a distribution as an iterable of four: four numbers cannot begin like this and go on. */
static struct slice payload_of(const char *type, ProtobufCBinaryData bytes) {
    static const uint8_t header[] = {0, 0, 0, 4};
    size_t skip = 0;

    if (bytes.len >= 2 * sizeof(header) && memcmp(bytes.data, header, sizeof(header)) == 0 &&
        strcmp(type, "beam:metrics:distribution_int64:v1") == 0)
        skip = sizeof(header);
    /* On nobody's account: small, and kept by the job for as long as it runs. */
    return slice_copy(bytes.data + skip, bytes.len - skip, NULL);
}

static struct fn_report *report_create(uint64_t bundle, Beam__MonitoringInfo *const *infos, size_t info_count,
                                       size_t short_count) {
    struct fn_report *report = xcalloc(1, sizeof(*report));
    struct bundle_response *response = &report->response;

    report->bundle = bundle;
    response->metrics = arena_new_array(&response->arena, struct metric, MAX(info_count, short_count) + 1);
    for (size_t i = 0; i < info_count; i++)
        response->metrics[response->metric_count++] = (struct metric){
            .identity = identity_of(infos[i]), .payload = payload_of(infos[i]->type, infos[i]->payload)};
    if (info_count == 0)
        report->unresolved = arena_new_array(&response->arena, struct fn_short_value, short_count + 1);
    return report;
}

/* One entry of monitoring_data; only called when there are no whole MonitoringInfos. */
static void add_short(struct fn_worker *worker, struct fn_report *report, const char *short_id,
                      ProtobufCBinaryData payload) {
    struct bundle_response *response = &report->response;
    const struct slice *identity = map_get_string(&worker->short_ids, short_id);
    struct slice bytes = slice_copy(payload.data, payload.len, NULL);

    if (!identity)
        report->unresolved[report->unresolved_count++] =
            (struct fn_short_value){.short_id = arena_string(&response->arena, short_id), .payload = bytes};
    else if (identity->size)
        response->metrics[response->metric_count++] =
            (struct metric){.identity = slice_ref(*identity), .payload = bytes};
    else
        slice_unref(&bytes); /* asked before, and not even the harness knew */
}

struct fn_report *fn_report_of_bundle(struct fn_worker *worker, uint64_t bundle,
                                      const Fn__ProcessBundleResponse *message) {
    struct fn_report *report =
        report_create(bundle, message->monitoring_infos, message->n_monitoring_infos, message->n_monitoring_data);
    struct bundle_response *response = &report->response;
    struct account *account = fn_worker_account(worker);

    if (message->n_monitoring_infos == 0)
        for (size_t i = 0; i < message->n_monitoring_data; i++)
            add_short(worker, report, message->monitoring_data[i]->key, message->monitoring_data[i]->value);
    response->residuals = read_residuals(message->residual_roots, message->n_residual_roots, &response->arena, account,
                                         &response->residual_count);
    account_unref(account);
    response->requires_finalization = message->requires_finalization;
    return report;
}

struct fn_report *fn_report_of_progress(struct fn_worker *worker, uint64_t bundle,
                                        const Fn__ProcessBundleProgressResponse *message) {
    struct fn_report *report =
        report_create(bundle, message->monitoring_infos, message->n_monitoring_infos, message->n_monitoring_data);

    report->is_progress = true;
    if (message->n_monitoring_infos == 0)
        for (size_t i = 0; i < message->n_monitoring_data; i++)
            add_short(worker, report, message->monitoring_data[i]->key, message->monitoring_data[i]->value);
    return report;
}

struct fn_report *fn_report_of_process(struct fn_worker *worker, const Fn__HarnessMonitoringInfosResponse *message) {
    struct fn_report *report = report_create(0, NULL, 0, message->n_monitoring_data);

    report->is_of_process = true;
    for (size_t i = 0; i < message->n_monitoring_data; i++)
        add_short(worker, report, message->monitoring_data[i]->key, message->monitoring_data[i]->value);
    return report;
}

/* An empty identity: not to be asked again. */
static void learn(struct fn_worker *worker, const char *short_id, struct slice identity) {
    void **slot = map_slot(&worker->short_ids, short_id, strlen(short_id));
    struct slice *known = *slot;

    if (!known)
        *slot = known = xcalloc(1, sizeof(*known));
    slice_unref(known);
    *known = identity;
}

void fn_report_resolve(struct fn_worker *worker, struct fn_report *report,
                       const Fn__MonitoringInfosMetadataResponse *message) {
    struct bundle_response *response = &report->response;

    for (size_t i = 0; message && i < message->n_monitoring_info; i++)
        if (message->monitoring_info[i]->value)
            learn(worker, message->monitoring_info[i]->key, identity_of(message->monitoring_info[i]->value));
    for (size_t i = 0; i < report->unresolved_count; i++) {
        struct fn_short_value *value = &report->unresolved[i];
        const struct slice *identity = map_get_string(&worker->short_ids, value->short_id);

        if (identity && identity->size)
            response->metrics[response->metric_count++] =
                (struct metric){.identity = slice_ref(*identity), .payload = value->payload};
        else
            slice_unref(&value->payload);
        if (!identity)
            learn(worker, value->short_id, SLICE_EMPTY);
    }
    report->unresolved_count = 0;
}

void fn_report_free(struct fn_report *report) {
    if (!report)
        return;
    for (size_t i = 0; i < report->unresolved_count; i++)
        slice_unref(&report->unresolved[i].payload);
    bundle_response_clear(&report->response);
    free(report);
}
