/* The mergers of monitoring payloads, by type; private to model/metric*.c.
 *
 * Each reads two payloads and writes their combination behind what `out` holds (MODEL 12.2; the encodings are in metrics.proto,
 * MonitoringInfoTypeUrns). False: one of them is malformed; `out` is then unspecified. */
#ifndef MODEL_METRIC_PAYLOAD_H
#define MODEL_METRIC_PAYLOAD_H

#include "base/buf.h"

typedef bool (*metric_merge_fn)(struct cursor older, struct cursor newer, struct buf *out);

/* Those that are protobuf messages (metric_message.c). */
bool metric_merge_bounded_trie(struct cursor older, struct cursor newer, struct buf *out);
bool metric_merge_histogram(struct cursor older, struct cursor newer, struct buf *out);

#endif
