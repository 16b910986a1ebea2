/* Monitoring values as they travel from bundles to a job's metrics: identity and an encoded payload
 * (metrics.proto, MonitoringInfo). Merging is by type URN on the encoded payloads (MODEL 12). */
#ifndef MODEL_METRIC_H
#define MODEL_METRIC_H

#include "base/map.h"
#include "base/slice.h"

/* `identity` is canonical: urn NUL type NUL, then label-key NUL label-value NUL, sorted by key. */
struct metric {
    struct slice identity;
    struct slice payload;
};

/* Builds an identity; labels need not be sorted. */
struct slice metric_identity(const char *urn, const char *type, const char *const (*labels)[2], size_t label_count);
/* Walks an identity: returns the urn, and fills in type and up to `max_labels` label pairs, all NUL-terminated and pointing into
 * it; *ret_label_count gets how many there are. */
const char *metric_identity_parse(struct slice identity, const char **ret_type, const char *(*ret_labels)[2],
                                  size_t max_labels, size_t *ret_label_count);

/* a (+) b for the type named in the identity. An unknown type keeps `newer`. The result is the caller's. Returns CODER-like 0 or
 * -1 when a payload is malformed (then *ret is a reference on `newer`). */
int metric_merge(const char *type, struct slice older, struct slice newer, struct slice *ret);

/* A table of merged metrics. Zero-initialise. Belongs to one thread. */
struct metric_table {
    struct map by_identity; /* -> struct slice * (payload) */
};

void metric_table_add(struct metric_table *table, const struct metric *metric);
void metric_table_clear(struct metric_table *table);

#endif
