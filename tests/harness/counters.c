#include "counters.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"

/* Short ids: "p", and "c" with the step's id behind it. */
#define PROCESS_ID "p"

/* ---- counting ---- */

/* Counts one and, at a bundle's first, holds the bundle until the runner has asked often enough how it goes. */
int count_elements(struct bundle *bundle, const struct node *node, const struct value *value) {
    struct harness *harness = bundle->harness;
    unsigned asks = (unsigned)node->numbers[0];
    bool is_first;

    pthread_mutex_lock(&harness->lock);
    is_first = bundle->counted++ == 0;
    bundle->counter_id = node->id;
    harness->counted++;
    while (is_first && bundle->asked < MIN(asks, 1u) && !harness->is_over)
        pthread_cond_wait(&harness->changed, &harness->lock);
    pthread_mutex_unlock(&harness->lock);
    if (is_first && asks)
        harness_log(harness, bundle, node, 3, "asked", strlen("asked"));
    pthread_mutex_lock(&harness->lock);
    while (is_first && bundle->asked < asks && !harness->is_over)
        pthread_cond_wait(&harness->changed, &harness->lock);
    pthread_mutex_unlock(&harness->lock);
    return node_emit(bundle, node, value);
}

int count_and_fail(struct bundle *bundle, const struct node *node, const struct value *value) {
    if (count_elements(bundle, node, value) < 0)
        return -1;
    return bundle_fail(bundle, "counted and failed [while running '%s']", node->name);
}

/* ---- reports ---- */

static ProtobufCBinaryData number(struct arena *arena, uint64_t value) {
    uint8_t bytes[10];
    size_t size = varint_encode(bytes, value);

    return (ProtobufCBinaryData){.len = size, .data = (uint8_t *)arena_copy(arena, bytes, size)};
}

/* The short id and the count; false when the bundle has no counter. */
static bool read_counter(struct harness *harness, const char *instruction, bool is_asked, struct arena *arena,
                         char **ret_id, uint64_t *ret_count) {
    struct bundle *bundle;
    bool has_counter;

    pthread_mutex_lock(&harness->lock);
    bundle = map_get_string(&harness->bundles, instruction);
    has_counter = bundle && bundle->counter_id;
    if (has_counter) {
        *ret_id = arena_printf(arena, "c%s", bundle->counter_id);
        *ret_count = bundle->counted;
    }
    if (bundle && is_asked) {
        bundle->asked++;
        pthread_cond_broadcast(&harness->changed);
    }
    pthread_mutex_unlock(&harness->lock);
    return has_counter;
}

#define ONE_ENTRY(arena, ret, type, init, id, count)                                                                   \
    do {                                                                                                               \
        type *entry = arena_alloc((arena), sizeof(*entry));                                                            \
                                                                                                                       \
        *entry = (type)init;                                                                                           \
        entry->key = (id);                                                                                             \
        entry->value = number((arena), (count));                                                                       \
        (ret)->monitoring_data = arena_alloc((arena), sizeof(*(ret)->monitoring_data));                                \
        (ret)->monitoring_data[0] = entry;                                                                             \
        (ret)->n_monitoring_data = 1;                                                                                  \
    } while (0)

void counters_of_bundle(struct harness *harness, const char *instruction, struct arena *arena,
                        Fn__ProcessBundleResponse *ret) {
    uint64_t count;
    char *id;

    if (read_counter(harness, instruction, false, arena, &id, &count))
        ONE_ENTRY(arena, ret, Fn__ProcessBundleResponse__MonitoringDataEntry,
                  FN__PROCESS_BUNDLE_RESPONSE__MONITORING_DATA_ENTRY__INIT, id, count);
}

void counters_progress(struct harness *harness, const char *instruction, struct arena *arena,
                       Fn__ProcessBundleProgressResponse *ret) {
    uint64_t count;
    char *id;

    if (read_counter(harness, instruction, true, arena, &id, &count))
        ONE_ENTRY(arena, ret, Fn__ProcessBundleProgressResponse__MonitoringDataEntry,
                  FN__PROCESS_BUNDLE_PROGRESS_RESPONSE__MONITORING_DATA_ENTRY__INIT, id, count);
}

void counters_of_process(struct harness *harness, struct arena *arena, Fn__HarnessMonitoringInfosResponse *ret) {
    uint64_t count;

    pthread_mutex_lock(&harness->lock);
    count = harness->counted;
    pthread_mutex_unlock(&harness->lock);
    ONE_ENTRY(arena, ret, Fn__HarnessMonitoringInfosResponse__MonitoringDataEntry,
              FN__HARNESS_MONITORING_INFOS_RESPONSE__MONITORING_DATA_ENTRY__INIT, (char *)PROCESS_ID, count);
}

/* ---- what the ids mean ---- */

static void add_label(struct arena *arena, Beam__MonitoringInfo *info, const char *key, const char *value) {
    Beam__MonitoringInfo__LabelsEntry *label = arena_alloc(arena, sizeof(*label));

    *label = (Beam__MonitoringInfo__LabelsEntry)BEAM__MONITORING_INFO__LABELS_ENTRY__INIT;
    label->key = (char *)key;
    label->value = (char *)value;
    info->labels[info->n_labels++] = label;
}

static Beam__MonitoringInfo *explain(struct arena *arena, const char *id) {
    Beam__MonitoringInfo *info = arena_alloc(arena, sizeof(*info));

    *info = (Beam__MonitoringInfo)BEAM__MONITORING_INFO__INIT;
    info->type = (char *)"beam:metrics:sum_int64:v1";
    info->labels = arena_alloc(arena, 3 * sizeof(*info->labels));
    if (strcmp(id, PROCESS_ID) == 0) {
        info->urn = (char *)PROCESS_COUNTER_URN;
    } else {
        info->urn = (char *)COUNTER_URN;
        add_label(arena, info, "PTRANSFORM", id + 1);
        add_label(arena, info, "NAMESPACE", "test");
        add_label(arena, info, "NAME", "elements");
    }
    return info;
}

void counters_explain(const Fn__MonitoringInfosMetadataRequest *request, struct arena *arena,
                      Fn__MonitoringInfosMetadataResponse *ret) {
    ret->monitoring_info = arena_alloc(arena, (request->n_monitoring_info_id + 1) * sizeof(*ret->monitoring_info));
    for (size_t i = 0; i < request->n_monitoring_info_id; i++) {
        Fn__MonitoringInfosMetadataResponse__MonitoringInfoEntry *entry = arena_alloc(arena, sizeof(*entry));

        *entry = (Fn__MonitoringInfosMetadataResponse__MonitoringInfoEntry)
            FN__MONITORING_INFOS_METADATA_RESPONSE__MONITORING_INFO_ENTRY__INIT;
        entry->key = request->monitoring_info_id[i];
        entry->value = explain(arena, request->monitoring_info_id[i]);
        ret->monitoring_info[ret->n_monitoring_info++] = entry;
    }
}
