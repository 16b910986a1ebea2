#include "jobserver/inspection/known.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/urn.h"

enum { MAX_LABELS = 8 };

struct known_collection {
    int64_t elements;
    struct metric_distribution sampled_bytes;
};

static const char *label_of(const char *const (*labels)[2], size_t count, const char *name) {
    for (size_t i = 0; i < count && i < MAX_LABELS; i++)
        if (strcmp(labels[i][0], name) == 0)
            return labels[i][1];
    return NULL;
}

static void *slot_of(struct map *map, const char *key, size_t size) {
    void **slot = map_slot(map, key, strlen(key));

    if (!*slot)
        *slot = xcalloc(1, size);
    return *slot;
}

static void take(struct known_metrics *known, struct slice identity, struct slice payload) {
    const char *labels[MAX_LABELS][2], *type, *urn, *collection, *transform;
    size_t count;

    urn = metric_identity_parse(identity, &type, labels, MAX_LABELS, &count);
    collection = label_of(labels, count, "PCOLLECTION");
    transform = label_of(labels, count, "PTRANSFORM");
    if (collection && strcmp(urn, urn_string(URN_METRIC_ELEMENT_COUNT)) == 0) {
        struct known_collection *found = slot_of(&known->collections, collection, sizeof(*found));

        metric_decode_int64(payload, &found->elements);
    } else if (collection && strcmp(urn, urn_string(URN_METRIC_SAMPLED_BYTE_SIZE)) == 0) {
        struct known_collection *found = slot_of(&known->collections, collection, sizeof(*found));

        metric_decode_distribution(payload, &found->sampled_bytes);
    } else if (transform && strcmp(urn, urn_string(URN_METRIC_TOTAL_MSECS)) == 0) {
        metric_decode_int64(payload, slot_of(&known->times, transform, sizeof(int64_t)));
    }
}

void known_metrics_init(struct known_metrics *known, const struct metric_table *table) {
    *known = (struct known_metrics){0};
    map_foreach (entry, &table->by_identity)
        take(known, slice_of_static(entry->key, entry->key_size), *(struct slice *)entry->value);
}

void known_metrics_finish(struct known_metrics *known) {
    map_clear(&known->collections, free);
    map_clear(&known->times, free);
}

uint64_t known_elements(const struct known_metrics *known, const char *collection) {
    const struct known_collection *found = map_get_string(&known->collections, collection);

    return found && found->elements > 0 ? (uint64_t)found->elements : 0;
}

uint64_t known_bytes(const struct known_metrics *known, const char *collection) {
    const struct known_collection *found = map_get_string(&known->collections, collection);

    if (!found || found->sampled_bytes.count <= 0 || found->sampled_bytes.sum < 0 || found->elements < 0)
        return 0;
    return (uint64_t)((double)found->sampled_bytes.sum / (double)found->sampled_bytes.count * (double)found->elements);
}

uint64_t known_time_ms(const struct known_metrics *known, const char *transform) {
    const int64_t *found = map_get_string(&known->times, transform);

    return found && *found > 0 ? (uint64_t)*found : 0;
}
