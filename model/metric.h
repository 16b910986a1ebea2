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

/* What came after `older`, of which `newer` is a later total: sums and counts less the older ones, everything else as it is now. False, with
 * *ret empty: nothing, or a payload that cannot be read. The result is the caller's. */
bool metric_since(const char *type, struct slice older, struct slice newer, struct slice *ret);

/* Single payloads, for those who show or make them. False, with the out-parameter untouched, when malformed. */
struct metric_distribution {
    int64_t count, sum, min, max; /* without a meaning but count when count is 0 */
};
struct slice metric_encode_int64(int64_t value);                                        /* sum_int64 */
bool metric_decode_int64(struct slice payload, int64_t *ret);                           /* sum_int64 */
bool metric_decode_distribution(struct slice payload, struct metric_distribution *ret); /* distribution_int64 */
bool metric_decode_progress(struct slice payload, double *ret_sum); /* progress: over all active elements */

/* A table of merged metrics. Zero-initialise. Belongs to one thread. */
struct metric_table {
    struct map by_identity; /* -> struct slice * (payload) */
};

/* Copies `metric`: what it is a part of, a whole message, goes before the table does. A payload that cannot be read is dropped: metrics
 * never fail a job. */
void metric_table_add(struct metric_table *table, const struct metric *metric);
/* Adds all of `other`. */
void metric_table_merge(struct metric_table *table, const struct metric_table *other);
/* About how much memory it holds. */
size_t metric_table_bytes(const struct metric_table *table);
void metric_table_clear(struct metric_table *table);

#endif
