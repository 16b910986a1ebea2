#include "functions.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "model/window.h"
#include "random.h"

void element_list_clear(struct element_list *list) {
    vec_foreach (element, &list->all)
        slice_unref(&element->value);
    vec_free(&list->all);
}

/* ---- values ---- */

struct cursor kv_key(struct slice kv) {
    struct cursor at = cursor_of(kv.data, kv.size), key = at, inner;
    bool good = cursor_prefixed(&at, &inner);

    assert(good);
    key.end = at.at;
    return key;
}

static uint64_t iterable_hash(struct cursor at) {
    uint32_t count;
    struct cursor inner;
    uint64_t sum;
    bool good = cursor_be32(&at, &count);

    assert(good);
    sum = count;
    for (uint32_t i = 0; i < count; i++) {
        good = cursor_prefixed(&at, &inner);
        assert(good);
        sum += mix64(hash_bytes(inner.at, cursor_left(&inner)));
    }
    assert(cursor_left(&at) == 0);
    return mix64(sum);
}

uint64_t value_hash(enum value_type type, struct cursor value) {
    struct cursor key = value, inner;

    if (type == VALUE_ITERABLE)
        return iterable_hash(value);
    if (type != VALUE_GROUPED)
        return hash_bytes(value.at, cursor_left(&value));
    cursor_prefixed(&value, &inner);
    key.end = value.at;
    return mix64(hash_bytes(key.at, cursor_left(&key)) + iterable_hash(value));
}

static int compare_cursors(const void *a, const void *b) {
    const struct cursor *x = a, *y = b;
    size_t size = MIN(cursor_left(x), cursor_left(y));
    int r = size ? memcmp(x->at, y->at, size) : 0;

    return r ? r : (cursor_left(x) > cursor_left(y)) - (cursor_left(x) < cursor_left(y));
}

static void add_hex(struct buf *out, struct cursor bytes) {
    for (const uint8_t *p = bytes.at; p < bytes.end; p++) {
        char text[8];

        buf_add(out, text, (size_t)snprintf(text, sizeof(text), *p >= 0x21 && *p < 0x7f ? "%c" : "<%02x>", *p));
    }
}

static void add_sorted_iterable(struct buf *out, struct cursor at) {
    VEC(struct cursor) values = {0};
    struct cursor inner;
    uint32_t count = 0;

    cursor_be32(&at, &count);
    for (uint32_t i = 0; i < count && cursor_prefixed(&at, &inner); i++)
        vec_push(&values, inner);
    if (values.count)
        qsort(values.items, values.count, sizeof(*values.items), compare_cursors);
    vec_foreach (value, &values) {
        buf_add_u8(out, ',');
        add_hex(out, *value);
    }
    vec_free(&values);
}

char *element_text(enum value_type type, const struct element *element) {
    struct cursor value = cursor_of(element->value.data, element->value.size), inner;
    struct buf out = {0};
    char head[100];
    char *text;

    buf_add(&out, head,
            (size_t)snprintf(head, sizeof(head), "w%" PRId64 "-%" PRId64 " t%" PRId64 " ", element->window_start,
                             element->window_end, element->timestamp));
    if (type == VALUE_GROUPED) {
        cursor_prefixed(&value, &inner);
        add_hex(&out, inner);
        add_sorted_iterable(&out, value);
    } else {
        add_hex(&out, value);
    }
    text = xmemdup0(buf_data(&out), out.size);
    buf_clear(&out);
    return text;
}

/* ---- windows ---- */

event_time window_of(event_time timestamp, int64_t window_ms) {
    int64_t rest;

    if (window_ms == 0)
        return SIM_GLOBAL;
    rest = timestamp % window_ms;
    return timestamp - (rest < 0 ? rest + window_ms : rest) + window_ms;
}

void window_write(struct buf *out, event_time window_start, event_time window_end, int64_t window_ms) {
    if (window_ms)
        interval_window_encode(out, window_start, window_end);
}

void element_write(struct buf *out, const struct element *element, unsigned windows, int64_t window_ms, uint8_t pane) {
    buf_add_be64(out, time_to_wire(element->timestamp));
    buf_add_be32(out, windows);
    for (unsigned i = 0; i < windows; i++)
        window_write(out, element->window_start + i * window_ms, window_ms ? element->window_end + i * window_ms : 0,
                     window_ms);
    buf_add_u8(out, pane);
    if (pane >> 4)
        buf_add_varint(out, 300);
    buf_add(out, element->value.data, element->value.size);
}

/* ---- functions ---- */

static uint64_t element_hash(const struct function *function, const struct element *in) {
    uint64_t h = value_hash(function->input, cursor_of(in->value.data, in->value.size));

    return mix64(h ^ mix64(function->seed ^ (uint64_t)in->window_end ^ mix64((uint64_t)in->window_start)) ^
                 (uint64_t)in->timestamp * 31);
}

bool function_reads_sides(const struct function *function, const struct element *in) {
    return function->side_count && element_hash(function, in) % 4 == 0;
}

struct slice function_side_key(const struct function *function, unsigned side, const struct element *in) {
    struct buf out = {0};
    char key[16];
    int size = snprintf(key, sizeof(key), "k%u", (unsigned)((element_hash(function, in) >> (8 + side)) % 6));

    buf_add_prefixed(&out, key, (size_t)size);
    return buf_finish(&out);
}

unsigned function_positions(const struct function *function, const struct element *in) {
    return (unsigned)(element_hash(function, in) % (function->positions + 1));
}

uint64_t side_item_hash(const struct side_spec *side, struct cursor item) {
    enum value_type type = side->type;

    if (side->is_multimap)
        type = type == VALUE_GROUPED ? VALUE_ITERABLE : VALUE_BYTES;
    return mix64(value_hash(type, item) ^ 0x51de);
}

event_time side_window(const struct side_spec *side, const struct element *in) {
    return side->window_ms ? in->window_end : SIM_GLOBAL;
}

/* A value whose bytes, key and length follow from the hash. */
static struct slice make_value(const struct sink_spec *sink, uint64_t h) {
    struct buf out = {0};
    uint8_t bytes[64];
    size_t size = h % 16 == 0 ? sink->value_max : (h >> 8) % MIN(sink->value_max + 1, 24u);
    char key[16];

    if (sink->type == VALUE_KV)
        buf_add_prefixed(&out, key, (size_t)snprintf(key, sizeof(key), "k%u", (unsigned)((h >> 20) % sink->keys)));
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)('a' + mix64(h + i) % 26);
    buf_add_varint(&out, size);
    for (size_t done = 0; done < size; done += MIN(size - done, sizeof(bytes)))
        buf_add(&out, bytes, MIN(size - done, sizeof(bytes)));
    return buf_finish(&out);
}

static void emit_one(const struct function *function, const struct element *in, unsigned i, uint64_t h, emit_fn emit,
                     void *user) {
    const struct sink_spec *sink = &function->sinks[i];
    struct element out = *in;

    out.value = make_value(sink, h);
    if (!sink->keeps_window) {
        out.timestamp = (event_time)(h % 1000) - 100;
        out.window_end = window_of(out.timestamp, sink->window_ms);
        out.window_start = sink->window_ms ? out.window_end - sink->window_ms : 0;
    }
    if (!sink->keeps_window &&
        sink->is_session) { /* of two lengths, so that they end in another order than they begin */
        out.window_start = out.timestamp - (event_time)((h >> 40) % 30);
        out.window_end = out.window_start + sink->window_ms * (1 + (int64_t)((h >> 48) % 2));
    }
    emit(user, i, &out, sink->two_windows && sink->window_ms ? 2 : 1);
    slice_unref(&out.value);
}

void function_apply(const struct function *function, const struct element *in, uint64_t side_hash, unsigned step,
                    emit_fn emit, void *user) {
    struct element base = *in;
    uint64_t h;

    if (function->kind == FUNCTION_STATEFUL || function->kind == FUNCTION_TIMED) {
        /* Which element of the key comes at which place is the engine's choice: only key, window and place count. */
        struct cursor key = kv_key(in->value);

        h = mix64(hash_bytes(key.at, cursor_left(&key)) ^
                  mix64(function->seed ^ (uint64_t)in->window_end ^ mix64((uint64_t)in->window_start)));
        base.timestamp = in->window_end == SIM_GLOBAL ? 7 : in->window_end - 1;
    } else {
        h = element_hash(function, in);
    }
    h = mix64(h ^ side_hash ^ mix64(step));
    for (unsigned i = 0; i < function->sink_count; i++) {
        unsigned count =
            function->kind == FUNCTION_CREATE ? function->count : (unsigned)((h >> i) % (function->sinks[i].fan + 1));

        for (unsigned j = 0; j < count; j++)
            emit_one(function, &base, i, mix64(h + i * 1000003 + j), emit, user);
    }
}
