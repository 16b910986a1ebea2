/* A job's metrics, flat and as text for reading. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "jobserver/inspection/internal.h"

enum { MAX_LABELS = 16 };

typedef Trestle__V1__JobMetric metric_t;

/* ---- values ---- */

static char *int64_text(struct slice payload, struct arena *arena) {
    int64_t value;

    return metric_decode_int64(payload, &value) ? arena_printf(arena, "%" PRId64, value) : NULL;
}

static char *distribution_text(struct slice payload, struct arena *arena) {
    struct metric_distribution value;

    if (!metric_decode_distribution(payload, &value))
        return NULL;
    if (value.count == 0)
        return (char *)"count 0";
    return arena_printf(arena, "count %" PRId64 ", sum %" PRId64 ", min %" PRId64 ", max %" PRId64, value.count,
                        value.sum, value.min, value.max);
}

/* A varint of the time, then one of the value. */
static char *latest_int64_text(struct slice payload, struct arena *arena) {
    struct cursor at = cursor_of(payload.data, payload.size);
    uint64_t skipped, value;

    return cursor_varint(&at, &skipped) && cursor_varint(&at, &value) ? arena_printf(arena, "%" PRId64, (int64_t)value)
                                                                      : NULL;
}

/* A count of four bytes, big endian, then strings, each behind its length. */
static char *string_set_text(struct slice payload, struct arena *arena) {
    struct cursor at = cursor_of(payload.data, payload.size), item;
    struct buf out = {0};
    uint32_t count;
    char *text = NULL;

    if (!cursor_be32(&at, &count))
        return NULL;
    for (uint32_t i = 0; i < count && cursor_prefixed(&at, &item); i++) {
        buf_printf(&out, "%s", i ? ", " : "");
        buf_add(&out, item.at, cursor_left(&item));
    }
    text = arena_copy(arena, buf_data(&out), out.size);
    buf_clear(&out);
    return text;
}

static char *progress_text(struct slice payload, struct arena *arena) {
    double sum;

    return metric_decode_progress(payload, &sum) ? arena_printf(arena, "%.6g", sum) : NULL;
}

static const struct {
    const char *urn;
    const char *name;
    char *(*text)(struct slice payload, struct arena *arena);
} types[] = {
    {"beam:metrics:sum_int64:v1", "counter", int64_text},
    {"beam:metrics:distribution_int64:v1", "distribution", distribution_text},
    {"beam:metrics:latest_int64:v1", "gauge", latest_int64_text},
    {"beam:metrics:set_string:v1", "string_set", string_set_text},
    {"beam:metrics:bounded_trie:v1", "bounded_trie", NULL},
    {"beam:metrics:histogram_int64:v1", "histogram", NULL},
    {"beam:metrics:progress:v1", "progress", progress_text},
};

/* What cannot be read is told by its size. */
static char *value_text(const char *type, struct slice payload, struct arena *arena) {
    for (size_t i = 0; i < ARRAY_COUNT(types); i++)
        if (strcmp(types[i].urn, type) == 0 && types[i].text) {
            char *text = types[i].text(payload, arena);

            if (text)
                return text;
        }
    return arena_printf(arena, "%zu bytes", payload.size);
}

static char *type_name(const char *type, struct arena *arena) {
    for (size_t i = 0; i < ARRAY_COUNT(types); i++)
        if (strcmp(types[i].urn, type) == 0)
            return (char *)types[i].name;
    return arena_string(arena, type);
}

/* ---- rows ---- */

static void take_label(metric_t *metric, const char *name, const char *value, struct arena *arena) {
    const struct {
        const char *name;
        char **field;
    } fields[] = {
        {"PTRANSFORM", &metric->transform},
        {"PCOLLECTION", &metric->pcollection},
        {"NAMESPACE", &metric->namespace_},
        {"NAME", &metric->name},
    };

    for (size_t i = 0; i < ARRAY_COUNT(fields); i++)
        if (strcmp(fields[i].name, name) == 0)
            *fields[i].field = arena_string(arena, value);
}

static metric_t *make_row(struct slice identity, struct arena *arena, const char **ret_type) {
    metric_t *metric = arena_new(arena, metric_t);
    const char *labels[MAX_LABELS][2], *urn;
    size_t count;

    trestle__v1__job_metric__init(metric);
    urn = metric_identity_parse(identity, ret_type, labels, MAX_LABELS, &count);
    metric->name = arena_string(arena, urn);
    metric->type = type_name(*ret_type, arena);
    for (size_t i = 0; i < MIN(count, (size_t)MAX_LABELS); i++)
        take_label(metric, labels[i][0], labels[i][1], arena);
    return metric;
}

/* Rows of both tables, by identity. */
static void add_table(const struct metric_table *table, bool is_committed, struct map *rows,
                      Trestle__V1__JobMetricList *list, struct arena *arena) {
    map_foreach (entry, &table->by_identity) {
        struct slice identity = slice_of_static(entry->key, entry->key_size);
        metric_t *row = map_get(rows, entry->key, entry->key_size);
        const char *type;
        char *text;

        metric_identity_parse(identity, &type, NULL, 0, &(size_t){0});
        if (!row) {
            row = list->metrics[list->n_metrics++] = make_row(identity, arena, &type);
            map_set(rows, entry->key, entry->key_size, row);
        }
        text = value_text(type, *(struct slice *)entry->value, arena);
        *(is_committed ? &row->committed : &row->attempted) = text;
    }
}

int inspect_metrics(struct inspection *inspection, const ProtobufCMessage *base, struct arena *arena,
                    ProtobufCMessage **ret, struct status *st) {
    const Trestle__V1__GetMetricsRequest *request = (const Trestle__V1__GetMetricsRequest *)base;
    Trestle__V1__JobMetricList *list = arena_new(arena, Trestle__V1__JobMetricList);
    struct job_metrics *metrics;
    struct map rows = {0};
    struct job *job;
    int r = catalogue_find_job(inspection->options.catalogue, request->job_id, &job, st);

    if (r < 0)
        return r;
    metrics = job_get_metrics(job);
    trestle__v1__job_metric_list__init(list);
    list->metrics =
        ARENA_ARRAY(arena, metric_t, metrics->attempted.by_identity.count + metrics->committed.by_identity.count);
    add_table(&metrics->attempted, false, &rows, list, arena);
    add_table(&metrics->committed, true, &rows, list, arena);
    map_clear(&rows, NULL);
    job_metrics_unref(metrics);
    job_unref(job);
    *ret = &list->base;
    return 0;
}
