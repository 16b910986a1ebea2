/* Records that can be made fast, anywhere, in any order, and whose grouping can be checked to the last byte without a second copy: the
 * benchmarks' data. Record i of `total` is KV<bytes, bytes>:
 *
 *      key      10 bytes, 'k' and nine digits: the place of i % keys in an order that looks like chance
 *      value    i (8 bytes, little endian) | bytes that look like chance | 'v' ... up to `size` bytes with the key
 *
 * So a key's group has the indices r, r + keys, r + 2 keys, ..., in any order, and each says what bytes come with it. No state; any
 * thread. */
#ifndef HARNESS_RECORDS_H
#define HARNESS_RECORDS_H

#include "base/buf.h"

enum { RECORD_KEY_BYTES = 10, RECORD_MIN_BYTES = RECORD_KEY_BYTES + 8, RECORD_MAX_BYTES = 64 << 10 };

struct record_shape {
    uint64_t total;
    uint64_t keys;           /* at most 10^9 */
    uint32_t size;           /* bytes of key and value */
    uint32_t random_percent; /* of the value's bytes that no compression makes smaller */
};

/* What the groups seen so far add up to. */
struct record_totals {
    uint64_t records, keys, bytes;
    uint64_t index_sum; /* modulo 2^64 */
};

/* NULL, or what is wrong with it. */
const char *record_shape_error(const struct record_shape *shape);
/* Bytes of one encoded KV. */
size_t record_encoded_size(const struct record_shape *shape);
/* Appends record i, encoded. */
void record_write(const struct record_shape *shape, uint64_t i, struct buf *out);
/* `group`: an encoded KV<bytes, iterable<bytes>>. Adds it to the totals; NULL, or what is wrong with it. */
const char *record_check_group(const struct record_shape *shape, struct cursor group, struct record_totals *totals);
/* Of all records. */
struct record_totals record_expected_totals(const struct record_shape *shape);
void record_add_totals(struct record_totals *totals, const struct record_totals *more);
bool record_same_totals(const struct record_totals *a, const struct record_totals *b);

#endif
