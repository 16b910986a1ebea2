#include "records.h"

#include <stdlib.h>

#include "base/mem.h"

/* A prime: with any smaller number of keys that it does not divide it makes a permutation. */
#define SCATTER UINT64_C(2654435761)

const char *record_shape_error(const struct record_shape *shape) {
    if (shape->size < RECORD_MIN_BYTES || shape->size > RECORD_MAX_BYTES)
        return "a record has 18 bytes to 64 KiB";
    if (shape->keys == 0 || shape->keys > 1000000000)
        return "there are 1 to 10^9 keys";
    if (shape->random_percent > 100)
        return "at most 100 % of a value are random";
    return NULL;
}

static void write_key(const struct record_shape *shape, uint64_t residue, uint8_t *to) {
    uint64_t number = residue * SCATTER % shape->keys;

    to[0] = 'k';
    for (int i = RECORD_KEY_BYTES - 1; i > 0; i--, number /= 10)
        to[i] = (uint8_t)('0' + number % 10);
}

/* splitmix64's finalizer. */
static uint64_t mix(uint64_t x) {
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static size_t value_size(const struct record_shape *shape) {
    return shape->size - RECORD_KEY_BYTES;
}

/* All of the value; `to` has 8 bytes of room behind it. */
static void write_value(const struct record_shape *shape, uint64_t i, uint8_t *to) {
    size_t size = value_size(shape), end = 8 + (size - 8) * shape->random_percent / 100, at = 8;
    uint64_t word;

    memcpy(to, &i, sizeof(i));
    for (; at < end; at += 8) {
        word = mix(i * UINT64_C(0x9e3779b97f4a7c15) + at);
        memcpy(to + at, &word, sizeof(word));
    }
    memset(to + end, 'v', MAX(size, at) - end);
}

size_t record_encoded_size(const struct record_shape *shape) {
    return varint_size(RECORD_KEY_BYTES) + RECORD_KEY_BYTES + varint_size(value_size(shape)) + value_size(shape);
}

void record_write(const struct record_shape *shape, uint64_t i, struct buf *out) {
    uint8_t *begin = buf_reserve(out, record_encoded_size(shape) + 8), *to = begin;

    to += varint_encode(to, RECORD_KEY_BYTES);
    write_key(shape, i % shape->keys, to);
    to += RECORD_KEY_BYTES;
    to += varint_encode(to, value_size(shape));
    write_value(shape, i, to);
    buf_advance(out, (size_t)(to - begin) + value_size(shape));
}

/* ---- checking ---- */

/* One value of the group that holds the indices congruent to *residue; the first one says what that is. */
static const char *check_value(const struct record_shape *shape, struct cursor key, struct cursor value,
                               uint64_t *residue, uint64_t *index_sum) {
    uint8_t expected[RECORD_MAX_BYTES + 8];
    uint64_t i;

    if (cursor_left(&value) != value_size(shape))
        return "a value has another size than it was made with";
    memcpy(&i, value.at, sizeof(i));
    if (i >= shape->total)
        return "a value that was never made";
    if (*residue == UINT64_MAX) {
        *residue = i % shape->keys;
        write_key(shape, *residue, expected);
        if (memcmp(expected, key.at, RECORD_KEY_BYTES) != 0)
            return "a value under a key that is not its own";
    } else if (i % shape->keys != *residue) {
        return "values of two keys in one group";
    }
    write_value(shape, i, expected);
    if (memcmp(expected, value.at, value_size(shape)) != 0)
        return "a value with other bytes than it was made with";
    *index_sum += i;
    return NULL;
}

/* The count in front of an iterable, or of its next batch; 0: there is none. */
static bool next_batch(struct cursor *at, bool *is_long, bool *is_over, uint64_t *ret) {
    uint32_t fixed;

    if (*is_long)
        return cursor_varint(at, ret);
    if (*is_over) {
        *ret = 0;
        return true;
    }
    if (!cursor_be32(at, &fixed))
        return false;
    *is_over = true;
    *ret = fixed;
    if (fixed == UINT32_MAX) {
        *is_long = true;
        return cursor_varint(at, ret);
    }
    return true;
}

const char *record_check_group(const struct record_shape *shape, struct cursor at, struct record_totals *totals) {
    uint64_t residue = UINT64_MAX, batch, count = 0, index_sum = 0, expected;
    bool is_long = false, is_over = false;
    struct cursor key, value;
    const char *error;

    if (!cursor_prefixed(&at, &key) || cursor_left(&key) != RECORD_KEY_BYTES)
        return "not a key of the records";
    for (;;) {
        if (!next_batch(&at, &is_long, &is_over, &batch))
            return "an iterable that is cut short";
        if (batch == 0)
            break;
        for (count += batch; batch > 0; batch--) {
            if (!cursor_prefixed(&at, &value))
                return "an iterable that is cut short, or one that goes on in the state API";
            error = check_value(shape, key, value, &residue, &index_sum);
            if (error)
                return error;
        }
    }
    if (residue == UINT64_MAX)
        return "a key without values";
    expected = (shape->total - residue + shape->keys - 1) / shape->keys;
    if (count != expected)
        return count < expected ? "a key with too few values" : "a key with too many values";
    if (index_sum !=
        residue * count + (shape->keys * (count - 1)) * (count / 2) + (count % 2 ? shape->keys * ((count - 1) / 2) : 0))
        return "a key with one value twice and another one missing";
    record_add_totals(totals, &(struct record_totals){count, 1, count * shape->size, index_sum});
    return NULL;
}

struct record_totals record_expected_totals(const struct record_shape *shape) {
    uint64_t n = shape->total;

    return (struct record_totals){.records = n,
                                  .keys = MIN(n, shape->keys),
                                  .bytes = n * shape->size,
                                  .index_sum = n % 2 ? n * ((n - 1) / 2) : n / 2 * (n - 1)};
}

void record_add_totals(struct record_totals *totals, const struct record_totals *more) {
    totals->records += more->records;
    totals->keys += more->keys;
    totals->bytes += more->bytes;
    totals->index_sum += more->index_sum;
}

bool record_same_totals(const struct record_totals *a, const struct record_totals *b) {
    return a->records == b->records && a->keys == b->keys && a->bytes == b->bytes && a->index_sum == b->index_sum;
}
