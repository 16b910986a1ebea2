/* model/: coders, windows, panes, metrics. */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "model/metric.h"
#include "values.h"

/* ---- coders ---- */

static enum coder_result skip(const struct coder *coder, const uint8_t *bytes, size_t size, size_t *ret_used) {
    uint8_t *copy = exact_copy(bytes, size);
    struct cursor at = cursor_of(copy, size);
    enum coder_result result = coder_skip(coder, &at);

    if (result == CODER_OK) {
        HOLDS(at.at >= copy && at.at <= at.end && at.end == copy + size);
        *ret_used = (size_t)(at.at - copy);
    }
    free(copy);
    return result;
}

/* A value's end does not depend on what follows it, and nothing shorter is a value. */
static void check_skip(struct rng *rng, const struct coder *coder, const struct buf *bytes, bool is_good) {
    size_t used = 0, other = 0, shorter;
    enum coder_result result = skip(coder, buf_data(bytes), bytes->size, &used);

    if (is_good)
        HOLDS(result == CODER_OK && used == bytes->size);
    if (result == CODER_OK) {
        HOLDS(used >= coder->min_size && (!coder->fixed_size || used == coder->fixed_size));
        HOLDS(skip(coder, buf_data(bytes), used, &other) == CODER_OK && other == used);
    } else {
        used = bytes->size;
    }
    if (used == 0)
        return;
    shorter = rng_below(rng, used);
    other = skip(coder, buf_data(bytes), shorter, &other);
    HOLDS(other == CODER_SHORT || (result == CODER_BAD && other == CODER_BAD));
}

static void coders(struct rng *rng) {
    struct arena arena = {0};
    struct buf bytes = {0};
    const struct coder *coder = rng_chance(rng, 20)   ? random_windowed_coder(rng, &arena)
                                : rng_chance(rng, 20) ? random_timer_coder(rng, &arena)
                                                      : random_coder(rng, &arena, rng_below(rng, 6));
    bool is_good = rng_chance(rng, 30);

    if (rng_chance(rng, 90))
        add_random_value(rng, coder, &bytes);
    else
        add_random_bytes(rng, &bytes, rng_below(rng, 60)), is_good = false;
    if (!is_good)
        mutate_bytes(rng, &bytes);
    check_skip(rng, coder, &bytes, is_good);
    buf_clear(&bytes);
    arena_clear(&arena);
}

/* ---- windows and panes ---- */

static bool panes_equal(const struct pane *a, const struct pane *b) {
    return a->is_first == b->is_first && a->is_last == b->is_last && a->timing == b->timing && a->index == b->index &&
           a->nonspeculative_index == b->nonspeculative_index;
}

static void check_pane(struct cursor at) {
    struct cursor skipped = at;
    struct pane pane = {0}, again;
    enum coder_result result = pane_decode(&at, &pane);
    struct buf encoded = {0};
    struct cursor encoded_at;

    HOLDS(pane_skip(&skipped) == result);
    if (result != CODER_OK)
        return;
    HOLDS(skipped.at == at.at && at.at <= at.end);
    pane_encode(&encoded, &pane);
    encoded_at = cursor_of(buf_data(&encoded), encoded.size);
    HOLDS(pane_decode(&encoded_at, &again) == CODER_OK && cursor_left(&encoded_at) == 0);
    /* UNKNOWN panes lose their indices, EARLY ones a non-speculative index, which they cannot have. */
    if (pane.timing != PANE_UNKNOWN && (pane.timing != PANE_EARLY || pane.nonspeculative_index == -1))
        HOLDS(panes_equal(&pane, &again));
    buf_clear(&encoded);
}

static void check_interval(struct cursor at) {
    event_time start, end, start_again, end_again;
    struct buf encoded = {0};

    if (interval_window_decode(&at, &start, &end) != CODER_OK)
        return;
    if (end < TIME_MIN || end > TIME_MAX)
        return; /* passed on as it stands; its start is clamped */
    HOLDS(start <= end && start >= TIME_MIN);
    interval_window_encode(&encoded, start, end);
    at = cursor_of(buf_data(&encoded), encoded.size);
    HOLDS(interval_window_decode(&at, &start_again, &end_again) == CODER_OK);
    HOLDS(start == start_again && end == end_again);
    buf_clear(&encoded);
}

static void check_windowed_value(const struct coder *coder, struct cursor at) {
    struct cursor skipped = at, begin = at;
    struct windowed_value value;
    enum coder_result result = windowed_value_read(coder, &at, &value);
    event_time max;

    HOLDS(windowed_value_skip(coder, &skipped) == result);
    if (result != CODER_OK)
        return;
    HOLDS(skipped.at == at.at && at.at <= at.end);
    HOLDS(value.windows.at == begin.at + 12 && value.windows.end == value.pane.at && value.pane.end == value.value.at &&
          value.value.end == at.at);
    check_pane(value.pane);
    for (uint32_t i = 0; i < value.window_count; i++)
        HOLDS(window_max_timestamp(coder->components[1], &value.windows, &max) == CODER_OK);
    HOLDS(cursor_left(&value.windows) == 0);
}

static void windows(struct rng *rng) {
    struct arena arena = {0};
    struct buf bytes = {0};
    const struct coder *coder = random_windowed_coder(rng, &arena);
    struct cursor all;
    uint8_t *copy;

    add_random_value(rng, coder, &bytes);
    if (rng_chance(rng, 80))
        mutate_bytes(rng, &bytes);
    copy = exact_copy(buf_data(&bytes), bytes.size);
    all = cursor_of(copy, bytes.size);
    check_windowed_value(coder, all);
    check_pane(all);
    check_interval(all);
    free(copy);
    buf_clear(&bytes);
    arena_clear(&arena);
}

/* ---- metrics ---- */

static const char *const metric_types[] = {
    "beam:metrics:sum_int64:v1",           "beam:metrics:distribution_int64:v1", "beam:metrics:progress:v1",
    "beam:metrics:latest_int64:v1",        "beam:metrics:set_string:v1",         "beam:metrics:sum_double:v1",
    "beam:metrics:distribution_double:v1", "beam:metrics:latest_double:v1",      "beam:metrics:bounded_trie:v1",
    "beam:metrics:histogram_int64:v1",     "beam:metrics:top_n_int64:v1",        "beam:metrics:top_n_double:v1",
    "beam:metrics:bottom_n_int64:v1",      "beam:metrics:bottom_n_double:v1",    "beam:metrics:unheard_of:v1",
};

/* Something like the payload of one of the types. */
static void add_payload(struct rng *rng, struct buf *out) {
    unsigned count = rng_below(rng, 5);

    switch (rng_below(rng, 5)) {
    case 0: /* numbers */
        for (; count; count--)
            buf_add_varint(out, any_number(rng));
        break;
    case 1: /* an iterable of varints */
    case 2: /* of doubles */
        buf_add_be32(out, count);
        for (bool is_double = rng_chance(rng, 50); count; count--)
            is_double ? buf_add_be64(out, rng_next(rng)) : buf_add_varint(out, any_number(rng));
        break;
    case 3: /* of strings */
        buf_add_be32(out, count);
        for (; count; count--)
            buf_add_prefixed(out, "abcdef", rng_below(rng, 7));
        break;
    default: /* a message: fields 1 to 5 of any type, some in each other */
        for (; count; count--) {
            unsigned type = rng_below(rng, 3);
            struct buf inner = {0};

            buf_add_varint(out, rng_between(rng, 1, 5) << 3 | (type == 2 ? 2 : type));
            if (type == 0)
                buf_add_varint(out, any_number(rng));
            else if (type == 1)
                buf_add_be64(out, rng_next(rng));
            else
                add_payload(rng, &inner), buf_add_prefixed(out, buf_data(&inner), inner.size);
            buf_clear(&inner);
        }
    }
    if (rng_chance(rng, 30))
        mutate_bytes(rng, out);
}

static struct slice exact_payload(struct rng *rng) {
    struct buf payload = {0};
    struct slice exact;

    add_payload(rng, &payload);
    exact = slice_copy(buf_data(&payload), payload.size, NULL);
    buf_clear(&payload);
    return exact;
}

static void metric_merging(struct rng *rng) {
    const char *type = metric_types[rng_below(rng, ARRAY_COUNT(metric_types))];
    struct slice a = exact_payload(rng), b = rng_chance(rng, 20) ? slice_ref(a) : exact_payload(rng), merged = {0};
    struct metric_distribution distribution;
    int64_t number;
    double sum;

    (void)metric_decode_int64(a, &number);
    (void)metric_decode_distribution(a, &distribution);
    (void)metric_decode_progress(a, &sum);
    if (metric_merge(type, a, b, &merged) == 0) {
        struct slice again = {0};

        HOLDS(metric_merge(type, merged, b, &again) == 0);
        slice_unref(&again);
        HOLDS(metric_merge(type, merged, merged, &again) == 0);
        slice_unref(&again);
    } else {
        HOLDS(slice_equal(merged, b));
    }
    slice_unref(&merged);
    slice_unref(&a);
    slice_unref(&b);
}

static void metric_identities(struct rng *rng) {
    static const char *const words[] = {"", "a", "b", "NAME", "NAMESPACE", "PTRANSFORM", "a=b"};
    const char *labels[6][2], *parsed[4][2], *type = NULL;
    size_t count = rng_below(rng, 6), parsed_count = 99;
    struct metric_table table = {0};
    struct metric metric;
    struct buf damaged = {0};

    for (size_t i = 0; i < count; i++)
        for (int side = 0; side < 2; side++)
            labels[i][side] = words[rng_below(rng, ARRAY_COUNT(words))];
    metric.identity = metric_identity(words[rng_below(rng, ARRAY_COUNT(words))],
                                      metric_types[rng_below(rng, ARRAY_COUNT(metric_types))],
                                      (const char *const(*)[2])labels, count);
    metric.payload = exact_payload(rng);
    metric_table_add(&table, &metric);
    metric_table_add(&table, &metric);
    HOLDS(*metric_identity_parse(metric.identity, &type, parsed, ARRAY_COUNT(parsed), &parsed_count) < 0x7f);
    HOLDS(strncmp(type, "beam:metrics:", 13) == 0 && parsed_count == count);
    buf_add(&damaged, metric.identity.data, metric.identity.size);
    mutate_bytes(rng, &damaged);
    slice_unref(&metric.identity);
    metric.identity = slice_copy(buf_data(&damaged), damaged.size, NULL);
    (void)metric_identity_parse(metric.identity, &type, parsed, ARRAY_COUNT(parsed), &parsed_count);
    (void)strlen(type);
    for (size_t i = 0; i < MIN(parsed_count, ARRAY_COUNT(parsed)); i++)
        HOLDS(strlen(parsed[i][0]) + strlen(parsed[i][1]) < metric.identity.size);
    metric_table_add(&table, &metric);
    metric_table_clear(&table);
    slice_unref(&metric.identity);
    slice_unref(&metric.payload);
    buf_clear(&damaged);
}

const struct target model_targets[] = {
    {"coders", NULL, coders},
    {"windows", NULL, windows},
    {"metric_merging", NULL, metric_merging},
    {"metric_identities", NULL, metric_identities},
    {NULL, NULL, NULL},
};
