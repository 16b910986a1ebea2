#include "model/metric.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/vec.h"
#include "model/metric_payload.h"

/* The strings of one set_string metric, together; the Python SDK stops at the same size. */
enum { SET_MAX_BYTES = 1000000 };

/* ---- identity ---- */

static int compare_labels(const void *a, const void *b) {
    const char *const *left = a;
    const char *const *right = b;
    int by_key = strcmp(left[0], right[0]);

    return by_key ? by_key : strcmp(left[1], right[1]);
}

struct slice metric_identity(const char *urn, const char *type, const char *const (*labels)[2], size_t label_count) {
    const char *(*sorted)[2] = xcalloc(label_count + 1, sizeof(*sorted));
    struct buf buf = {0};

    if (label_count)
        memcpy(sorted, labels, label_count * sizeof(*sorted));
    qsort(sorted, label_count, sizeof(*sorted), compare_labels);
    buf_add(&buf, urn, strlen(urn) + 1);
    buf_add(&buf, type, strlen(type) + 1);
    for (size_t i = 0; i < label_count; i++) {
        buf_add(&buf, sorted[i][0], strlen(sorted[i][0]) + 1);
        buf_add(&buf, sorted[i][1], strlen(sorted[i][1]) + 1);
    }
    free(sorted);
    return buf_finish(&buf);
}

/* The next NUL-terminated string, "" behind the end. */
static const char *next_string(struct cursor *c) {
    const char *string = (const char *)c->at;
    const uint8_t *nul = cursor_left(c) ? memchr(c->at, 0, cursor_left(c)) : NULL;

    if (!nul) {
        c->at = c->end;
        return "";
    }
    c->at = nul + 1;
    return string;
}

const char *metric_identity_parse(struct slice identity, const char **ret_type, const char *(*ret_labels)[2],
                                  size_t max_labels, size_t *ret_label_count) {
    struct cursor c = cursor_of(identity.data, identity.size);
    const char *urn = next_string(&c);
    size_t count = 0;

    *ret_type = next_string(&c);
    for (; cursor_left(&c); count++) {
        const char *key = next_string(&c);
        const char *value = next_string(&c);

        if (count < max_labels) {
            ret_labels[count][0] = key;
            ret_labels[count][1] = value;
        }
    }
    *ret_label_count = count;
    return urn;
}

/* ---- single values ---- */

static bool read_double(struct cursor *c, double *ret) {
    uint64_t bits;

    if (!cursor_be64(c, &bits))
        return false;
    memcpy(ret, &bits, sizeof(*ret));
    return true;
}

static void add_double(struct buf *out, double value) {
    uint64_t bits;

    memcpy(&bits, &value, sizeof(bits));
    buf_add_be64(out, bits);
}

static bool read_int64(struct cursor *c, int64_t *ret) {
    uint64_t value;

    if (!cursor_varint(c, &value))
        return false;
    *ret = (int64_t)value;
    return true;
}

static bool merge_sum_int64(struct cursor older, struct cursor newer, struct buf *out) {
    uint64_t a, b;

    if (!cursor_varint(&older, &a) || !cursor_varint(&newer, &b) || cursor_left(&older) || cursor_left(&newer))
        return false;
    buf_add_varint(out, a + b); /* two's complement: counters may be negative */
    return true;
}

static bool merge_sum_double(struct cursor older, struct cursor newer, struct buf *out) {
    double a, b;

    if (!read_double(&older, &a) || !read_double(&newer, &b) || cursor_left(&older) || cursor_left(&newer))
        return false;
    add_double(out, a + b);
    return true;
}

static bool read_distribution_int64(struct cursor *c, struct metric_distribution *ret) {
    return read_int64(c, &ret->count) && read_int64(c, &ret->sum) && read_int64(c, &ret->min) &&
           read_int64(c, &ret->max) && cursor_left(c) == 0;
}

static void add_distribution_int64(struct buf *out, const struct metric_distribution *distribution) {
    buf_add_varint(out, (uint64_t)distribution->count);
    buf_add_varint(out, (uint64_t)distribution->sum);
    buf_add_varint(out, (uint64_t)distribution->min);
    buf_add_varint(out, (uint64_t)distribution->max);
}

static bool merge_distribution_int64(struct cursor older, struct cursor newer, struct buf *out) {
    struct metric_distribution a, b;

    if (!read_distribution_int64(&older, &a) || !read_distribution_int64(&newer, &b))
        return false;
    if (a.count == 0) {
        a = b; /* the minimum and maximum of nothing must not count */
    } else if (b.count != 0) {
        a.count = (int64_t)((uint64_t)a.count + (uint64_t)b.count);
        a.sum = (int64_t)((uint64_t)a.sum + (uint64_t)b.sum);
        a.min = MIN(a.min, b.min);
        a.max = MAX(a.max, b.max);
    }
    add_distribution_int64(out, &a);
    return true;
}

struct distribution_double {
    int64_t count;
    double sum, min, max;
};

static bool read_distribution_double(struct cursor *c, struct distribution_double *ret) {
    return read_int64(c, &ret->count) && read_double(c, &ret->sum) && read_double(c, &ret->min) &&
           read_double(c, &ret->max) && cursor_left(c) == 0;
}

static bool merge_distribution_double(struct cursor older, struct cursor newer, struct buf *out) {
    struct distribution_double a, b;

    if (!read_distribution_double(&older, &a) || !read_distribution_double(&newer, &b))
        return false;
    if (a.count == 0) {
        a = b;
    } else if (b.count != 0) {
        a.count = (int64_t)((uint64_t)a.count + (uint64_t)b.count);
        a.sum += b.sum;
        a.min = MIN(a.min, b.min);
        a.max = MAX(a.max, b.max);
    }
    buf_add_varint(out, (uint64_t)a.count);
    add_double(out, a.sum);
    add_double(out, a.min);
    add_double(out, a.max);
    return true;
}

/* Milliseconds, then the value; the later one wins, the newer report on a tie. */
static bool merge_latest(struct cursor older, struct cursor newer, bool is_double, struct buf *out) {
    struct cursor whole[2] = {older, newer};
    struct cursor at[2] = {older, newer};
    int64_t time[2], value;
    double real;

    for (int i = 0; i < 2; i++) {
        if (!read_int64(&at[i], &time[i]))
            return false;
        if (!(is_double ? read_double(&at[i], &real) : read_int64(&at[i], &value)) || cursor_left(&at[i]))
            return false;
    }
    at[0] = time[0] > time[1] ? whole[0] : whole[1];
    buf_add(out, at[0].at, cursor_left(&at[0]));
    return true;
}

static bool merge_latest_int64(struct cursor older, struct cursor newer, struct buf *out) {
    return merge_latest(older, newer, false, out);
}

static bool merge_latest_double(struct cursor older, struct cursor newer, struct buf *out) {
    return merge_latest(older, newer, true, out);
}

/* ---- iterables ---- */

/* beam:coder:iterable:v1: a big-endian count, or -1 and batches (varint count, elements) up to an empty one. */
struct iterable {
    struct cursor at;
    uint64_t left; /* in this batch */
    bool is_batched;
};

static bool iterable_open(struct iterable *iterable, struct cursor bytes) {
    uint32_t count;

    *iterable = (struct iterable){.at = bytes};
    if (!cursor_be32(&iterable->at, &count))
        return false;
    iterable->is_batched = count == UINT32_MAX;
    if (iterable->is_batched)
        return cursor_varint(&iterable->at, &iterable->left);
    iterable->left = count;
    return count <= INT32_MAX;
}

/* 1: an element comes next, read it from ->at; 0: the end; -1: malformed. */
static int iterable_next(struct iterable *iterable) {
    if (iterable->left == 0)
        return cursor_left(&iterable->at) ? -1 : 0;
    iterable->left--;
    return 1;
}

/* After an element was read. */
static bool iterable_advance(struct iterable *iterable) {
    return iterable->left || !iterable->is_batched || cursor_varint(&iterable->at, &iterable->left);
}

typedef VEC(int64_t) int64_vec;
typedef VEC(double) double_vec;

static bool read_int64s(struct cursor bytes, int64_vec *values) {
    struct iterable iterable;
    int more;

    if (!iterable_open(&iterable, bytes))
        return false;
    while ((more = iterable_next(&iterable)) == 1) {
        int64_t value;

        if (!read_int64(&iterable.at, &value) || !iterable_advance(&iterable))
            return false;
        vec_push(values, value);
    }
    return more == 0;
}

static bool read_doubles(struct cursor bytes, double_vec *values) {
    struct iterable iterable;
    int more;

    if (!iterable_open(&iterable, bytes))
        return false;
    while ((more = iterable_next(&iterable)) == 1) {
        double value;

        if (!read_double(&iterable.at, &value) || !iterable_advance(&iterable))
            return false;
        vec_push(values, value);
    }
    return more == 0;
}

static int compare_int64(const void *a, const void *b) {
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;

    return (left > right) - (left < right);
}

static int compare_double(const void *a, const void *b) {
    double left = *(const double *)a, right = *(const double *)b;

    return (left > right) - (left < right);
}

/* The N of top N is nowhere in the payload: the longer list is taken to be full. */
static bool merge_extremes_int64(struct cursor older, struct cursor newer, bool largest, struct buf *out) {
    int64_vec values = {0};
    size_t older_count, keep;
    bool ok = read_int64s(older, &values);

    older_count = values.count;
    ok = ok && read_int64s(newer, &values);
    if (ok) {
        keep = MAX(older_count, values.count - older_count);
        if (values.count)
            qsort(values.items, values.count, sizeof(*values.items), compare_int64);
        buf_add_be32(out, (uint32_t)keep);
        for (size_t i = 0; i < keep; i++)
            buf_add_varint(out, (uint64_t)values.items[largest ? values.count - 1 - i : i]);
    }
    vec_free(&values);
    return ok;
}

static bool merge_extremes_double(struct cursor older, struct cursor newer, bool largest, struct buf *out) {
    double_vec values = {0};
    size_t older_count, keep;
    bool ok = read_doubles(older, &values);

    older_count = values.count;
    ok = ok && read_doubles(newer, &values);
    if (ok) {
        keep = MAX(older_count, values.count - older_count);
        if (values.count)
            qsort(values.items, values.count, sizeof(*values.items), compare_double);
        buf_add_be32(out, (uint32_t)keep);
        for (size_t i = 0; i < keep; i++)
            add_double(out, values.items[largest ? values.count - 1 - i : i]);
    }
    vec_free(&values);
    return ok;
}

static bool merge_top_n_int64(struct cursor older, struct cursor newer, struct buf *out) {
    return merge_extremes_int64(older, newer, true, out);
}

static bool merge_bottom_n_int64(struct cursor older, struct cursor newer, struct buf *out) {
    return merge_extremes_int64(older, newer, false, out);
}

static bool merge_top_n_double(struct cursor older, struct cursor newer, struct buf *out) {
    return merge_extremes_double(older, newer, true, out);
}

static bool merge_bottom_n_double(struct cursor older, struct cursor newer, struct buf *out) {
    return merge_extremes_double(older, newer, false, out);
}

/* Amounts of work, one for each active element. Over bundles only their sum says something, and it does not grow. */
static bool merge_progress(struct cursor older, struct cursor newer, struct buf *out) {
    double_vec values = {0};
    bool ok = read_doubles(older, &values) && read_doubles(newer, &values);
    double sum = 0;

    if (ok) {
        vec_foreach (value, &values)
            sum += *value;
        buf_add_be32(out, values.count ? 1 : 0);
        if (values.count)
            add_double(out, sum);
    }
    vec_free(&values);
    return ok;
}

static bool union_strings(struct cursor bytes, struct map *seen, struct buf *strings) {
    struct iterable iterable;
    struct cursor string;
    int more;

    if (!iterable_open(&iterable, bytes))
        return false;
    while ((more = iterable_next(&iterable)) == 1) {
        void **slot;

        if (!cursor_prefixed(&iterable.at, &string) || !iterable_advance(&iterable))
            return false;
        if (strings->size + cursor_left(&string) > SET_MAX_BYTES)
            continue;
        slot = map_slot(seen, string.at, cursor_left(&string));
        if (*slot)
            continue;
        *slot = seen;
        buf_add_prefixed(strings, string.at, cursor_left(&string));
    }
    return more == 0;
}

static bool merge_set_string(struct cursor older, struct cursor newer, struct buf *out) {
    struct buf strings = {0};
    struct map seen = {0};
    bool ok = union_strings(older, &seen, &strings) && union_strings(newer, &seen, &strings);

    if (ok) {
        buf_add_be32(out, (uint32_t)seen.count);
        buf_add(out, buf_data(&strings), strings.size);
    }
    map_clear(&seen, NULL);
    buf_clear(&strings);
    return ok;
}

/* ---- by type ---- */

static const struct {
    const char *type;
    metric_merge_fn merge;
} mergers[] = {
    {"beam:metrics:sum_int64:v1", merge_sum_int64},
    {"beam:metrics:distribution_int64:v1", merge_distribution_int64},
    {"beam:metrics:progress:v1", merge_progress},
    {"beam:metrics:latest_int64:v1", merge_latest_int64},
    {"beam:metrics:set_string:v1", merge_set_string},
    {"beam:metrics:sum_double:v1", merge_sum_double},
    {"beam:metrics:distribution_double:v1", merge_distribution_double},
    {"beam:metrics:latest_double:v1", merge_latest_double},
    {"beam:metrics:bounded_trie:v1", metric_merge_bounded_trie},
    {"beam:metrics:histogram_int64:v1", metric_merge_histogram},
    {"beam:metrics:top_n_int64:v1", merge_top_n_int64},
    {"beam:metrics:top_n_double:v1", merge_top_n_double},
    {"beam:metrics:bottom_n_int64:v1", merge_bottom_n_int64},
    {"beam:metrics:bottom_n_double:v1", merge_bottom_n_double},
};

static metric_merge_fn find_merger(const char *type) {
    for (size_t i = 0; i < ARRAY_COUNT(mergers); i++)
        if (strcmp(mergers[i].type, type) == 0)
            return mergers[i].merge;
    return NULL;
}

int metric_merge(const char *type, struct slice older, struct slice newer, struct slice *ret) {
    metric_merge_fn merge = find_merger(type);
    struct buf out = {0};

    if (!merge) {
        *ret = slice_ref(newer);
        return 0;
    }
    if (!merge(cursor_of(older.data, older.size), cursor_of(newer.data, newer.size), &out)) {
        buf_clear(&out);
        *ret = slice_ref(newer);
        return -1;
    }
    *ret = buf_finish(&out);
    return 0;
}

struct slice metric_encode_int64(int64_t value) {
    uint8_t bytes[10];

    return slice_copy(bytes, varint_encode(bytes, (uint64_t)value), NULL);
}

bool metric_decode_int64(struct slice payload, int64_t *ret) {
    struct cursor c = cursor_of(payload.data, payload.size);
    int64_t value;

    if (!read_int64(&c, &value) || cursor_left(&c))
        return false;
    *ret = value;
    return true;
}

bool metric_decode_distribution(struct slice payload, struct metric_distribution *ret) {
    struct cursor c = cursor_of(payload.data, payload.size);
    struct metric_distribution distribution;

    if (!read_distribution_int64(&c, &distribution))
        return false;
    *ret = distribution;
    return true;
}

bool metric_decode_progress(struct slice payload, double *ret_sum) {
    double_vec values = {0};
    bool ok = read_doubles(cursor_of(payload.data, payload.size), &values);
    double sum = 0;

    vec_foreach (value, &values)
        sum += *value;
    vec_free(&values);
    if (ok)
        *ret_sum = sum;
    return ok;
}

static struct slice distribution_since(struct metric_distribution older, struct metric_distribution newer) {
    struct buf out = {0};

    newer.count = (int64_t)((uint64_t)newer.count - (uint64_t)older.count);
    newer.sum = (int64_t)((uint64_t)newer.sum - (uint64_t)older.sum);
    add_distribution_int64(&out, &newer); /* minimum and maximum cannot be taken apart */
    return buf_finish(&out);
}

bool metric_since(const char *type, struct slice older, struct slice newer, struct slice *ret) {
    struct metric_distribution before, after;
    int64_t a, b;

    *ret = SLICE_EMPTY;
    if (slice_equal(older, newer))
        return false;
    if (strcmp(type, "beam:metrics:sum_int64:v1") == 0) {
        if (!metric_decode_int64(older, &a) || !metric_decode_int64(newer, &b))
            return false;
        *ret = metric_encode_int64((int64_t)((uint64_t)b - (uint64_t)a));
    } else if (strcmp(type, "beam:metrics:distribution_int64:v1") == 0) {
        if (!metric_decode_distribution(older, &before) || !metric_decode_distribution(newer, &after) ||
            before.count == after.count)
            return false;
        *ret = distribution_since(before, after);
    } else {
        *ret = slice_ref(newer);
    }
    return true;
}

/* ---- table ---- */

void metric_table_add(struct metric_table *table, const struct metric *metric) {
    struct slice *payload = map_get(&table->by_identity, metric->identity.data, metric->identity.size);
    struct slice merged;
    const char *type;
    size_t label_count;
    int bad;

    metric_identity_parse(metric->identity, &type, NULL, 0, &label_count);
    /* Merging a first report with itself says whether it can be read at all. */
    bad = metric_merge(type, payload ? *payload : metric->payload, metric->payload, &merged);
    if (bad) {
        slice_unref(&merged);
        return;
    }
    if (!payload) {
        slice_unref(&merged);
        payload = xmalloc(sizeof(*payload));
        *payload = slice_copy(metric->payload.data, metric->payload.size, NULL);
        map_set(&table->by_identity, metric->identity.data, metric->identity.size, payload);
        return;
    }
    slice_unref(payload);
    *payload = slice_copy(merged.data, merged.size, NULL); /* it may be the metric's own */
    slice_unref(&merged);
}

void metric_table_merge(struct metric_table *table, const struct metric_table *other) {
    map_foreach (entry, &other->by_identity)
        metric_table_add(table, &(struct metric){.identity = slice_of_static(entry->key, entry->key_size),
                                                 .payload = *(struct slice *)entry->value});
}

size_t metric_table_bytes(const struct metric_table *table) {
    size_t bytes = 0;

    map_foreach (entry, &table->by_identity)
        bytes += sizeof(*entry) + entry->key_size + sizeof(struct slice) + ((struct slice *)entry->value)->size;
    return bytes;
}

static void free_payload(void *pointer) {
    slice_unref(pointer);
    free(pointer);
}

void metric_table_clear(struct metric_table *table) {
    map_clear(&table->by_identity, free_payload);
}
