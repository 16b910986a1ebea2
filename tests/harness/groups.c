/* Functions on the records of records.h. Each bundle of check_groups says at its end what its groups add up to; check_totals, behind a
 * GroupByKey of those few elements, holds the sum against what there should be, so that what a retry ran twice counts once. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "functions.h"

static struct record_shape shape_of(const uint64_t *numbers) {
    return (struct record_shape){
        .total = numbers[0], .keys = numbers[1], .size = (uint32_t)numbers[2], .random_percent = (uint32_t)numbers[3]};
}

static int bad_shape(struct bundle *bundle, const struct node *node, const struct record_shape *shape) {
    const char *error = record_shape_error(shape);

    return error ? bundle_fail(bundle, "%s: %s", node->id, error) : 0;
}

int function_fan(struct bundle *bundle, const struct node *node, const struct value *value) {
    for (uint64_t i = 0; i < node->numbers[0]; i++) {
        char text[24];

        bundle->scratch.size = 0;
        buf_add_prefixed(&bundle->scratch, text, (size_t)snprintf(text, sizeof(text), "%" PRIu64, i));
        if (emit_scratch(bundle, node, value) < 0)
            return -1;
    }
    return 0;
}

int function_records(struct bundle *bundle, const struct node *node, const struct value *value) {
    struct record_shape shape = shape_of(node->numbers + 1);
    struct cursor at = value->bytes, text;
    uint64_t shards = node->numbers[0], shard;
    char digits[24];

    if (bad_shape(bundle, node, &shape) < 0)
        return -1;
    if (!cursor_prefixed(&at, &text) || cursor_left(&text) >= sizeof(digits) || shards == 0)
        return bundle_fail(bundle, "%s: the input is no shard's number", node->id);
    snprintf(digits, sizeof(digits), "%.*s", (int)cursor_left(&text), (const char *)text.at);
    shard = strtoull(digits, NULL, 10);
    for (uint64_t i = shard; i < shape.total && !bundle->is_stopped; i += shards) {
        bundle->scratch.size = 0;
        record_write(&shape, i, &bundle->scratch);
        if (emit_scratch(bundle, node, value) < 0)
            return -1;
    }
    return 0;
}

int function_check_groups(struct bundle *bundle, const struct node *node, const struct value *value) {
    struct record_shape shape = shape_of(node->numbers);
    const char *error;

    if (bad_shape(bundle, node, &shape) < 0)
        return -1;
    error = record_check_group(&shape, value->bytes, &bundle->totals);
    if (error)
        return bundle_fail(bundle, "%s: %s", node->id, error);
    return 0;
}

/* KV<"totals", the bundle's totals>. */
int finish_check_groups(struct bundle *bundle, const struct node *node) {
    struct value value = {.header = cursor_of(buf_data(&bundle->last_header), bundle->last_header.size)};

    if (bundle->totals.records == 0)
        return 0;
    bundle->scratch.size = 0;
    buf_add_prefixed(&bundle->scratch, "totals", 6);
    buf_add_prefixed(&bundle->scratch, &bundle->totals, sizeof(bundle->totals));
    return emit_scratch(bundle, node, &value);
}

int function_check_totals(struct bundle *bundle, const struct node *node, const struct value *value) {
    struct record_shape shape = shape_of(node->numbers);
    struct record_totals totals = {0}, one, expected = record_expected_totals(&shape);
    struct cursor at = value->bytes, key, inner;
    uint32_t count;
    char text[200];
    int size;

    if (!cursor_prefixed(&at, &key) || !cursor_be32(&at, &count))
        return bundle_fail(bundle, "%s: not a KV of bytes and an iterable", node->id);
    for (; count > 0; count--) {
        if (!cursor_prefixed(&at, &inner) || cursor_left(&inner) != sizeof(one))
            return bundle_fail(bundle, "%s: not the totals of a bundle", node->id);
        memcpy(&one, inner.at, sizeof(one));
        record_add_totals(&totals, &one);
    }
    size = snprintf(text, sizeof(text), "checked %" PRIu64 " records of %" PRIu64 " bytes under %" PRIu64 " keys",
                    totals.records, totals.bytes, totals.keys);
    if (!record_same_totals(&totals, &expected))
        return bundle_fail(bundle, "%s: %s: not %" PRIu64 " records under %" PRIu64 " keys, or others", node->id, text,
                           expected.records, expected.keys);
    harness_log(bundle->harness, bundle, node, 3, text, (size_t)size);
    return 0;
}
