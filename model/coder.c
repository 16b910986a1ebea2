#include "model/coder.h"

#include <assert.h>
#include <string.h>

#include "model/urn.h"
#include "model/window.h"

static const struct coder_type {
    enum urn urn;
    unsigned component_count;
    size_t own_min_size; /* without the components */
    /* Every value is the components' values behind own_min_size bytes. */
    bool adds_up;
} coder_types[] = {
    [CODER_BYTES] = {URN_CODER_BYTES, 0, 1, false},
    [CODER_STRING] = {URN_CODER_STRING_UTF8, 0, 1, false},
    [CODER_VARINT] = {URN_CODER_VARINT, 0, 1, false},
    [CODER_BOOL] = {URN_CODER_BOOL, 0, 1, true},
    [CODER_DOUBLE] = {URN_CODER_DOUBLE, 0, 8, true},
    [CODER_KV] = {URN_CODER_KV, 2, 0, true},
    [CODER_ITERABLE] = {URN_CODER_ITERABLE, 1, 4, false},
    [CODER_STATE_BACKED_ITERABLE] = {URN_CODER_STATE_BACKED_ITERABLE, 1, 4, false},
    [CODER_LENGTH_PREFIX] = {URN_CODER_LENGTH_PREFIX, 1, 1, false},
    [CODER_NULLABLE] = {URN_CODER_NULLABLE, 1, 1, false},
    [CODER_SHARDED_KEY] = {URN_CODER_SHARDED_KEY, 1, 1, false},
    [CODER_GLOBAL_WINDOW] = {URN_CODER_GLOBAL_WINDOW, 0, 0, true},
    [CODER_INTERVAL_WINDOW] = {URN_CODER_INTERVAL_WINDOW, 0, 9, false},
    [CODER_CUSTOM_WINDOW] = {URN_CODER_CUSTOM_WINDOW, 1, 8, true},
    [CODER_TIMER] = {URN_CODER_TIMER, 2, 6, false},
    [CODER_WINDOWED_VALUE] = {URN_CODER_WINDOWED_VALUE, 2, 13, false},
};

int coder_kind_of_urn(const char *urn, unsigned *ret_components) {
    enum urn found = urn_lookup(urn, strlen(urn));

    for (size_t i = 0; found != URN_UNKNOWN && i < ARRAY_COUNT(coder_types); i++) {
        if (coder_types[i].urn == found) {
            *ret_components = coder_types[i].component_count;
            return (int)i;
        }
    }
    return -1;
}

const char *coder_urn(enum coder_kind kind) {
    return urn_string(coder_types[kind].urn);
}

static size_t add_saturating(size_t a, size_t b) {
    size_t sum;

    return __builtin_add_overflow(a, b, &sum) ? SIZE_MAX : sum;
}

/* Coders share components, so that a small description can stand for an astronomic value: sizes saturate, and a coder whose
 * least size saturates never finds its value (CODER_SHORT). */
static void set_sizes(struct coder *coder) {
    const struct coder_type *type = &coder_types[coder->kind];
    bool is_fixed = type->adds_up;

    coder->min_size = type->own_min_size;
    for (unsigned i = 0; type->adds_up && i < coder->component_count; i++) {
        const struct coder *component = coder->components[i];

        coder->min_size = add_saturating(coder->min_size, component->min_size);
        if (component->fixed_size == 0 && component->min_size > 0)
            is_fixed = false;
    }
    if (coder->kind == CODER_WINDOWED_VALUE || coder->kind == CODER_TIMER || coder->kind == CODER_SHARDED_KEY)
        coder->min_size = add_saturating(coder->min_size, coder->components[0]->min_size);
    coder->fixed_size = is_fixed ? coder->min_size : 0;
}

const struct coder *coder_create(struct arena *arena, enum coder_kind kind, const struct coder *first,
                                 const struct coder *second) {
    struct coder *coder = arena_new(arena, struct coder);

    coder->kind = kind;
    coder->component_count = coder_types[kind].component_count;
    assert((first != NULL) == (coder->component_count > 0) && (second != NULL) == (coder->component_count > 1));
    coder->components[0] = first;
    coder->components[1] = second;
    set_sizes(coder);
    return coder;
}

/* ---- skipping ---- */

static inline enum coder_result skip_bytes(struct cursor *at, uint64_t size) {
    if (size > cursor_left(at))
        return size > INT64_MAX ? CODER_BAD : CODER_SHORT;
    at->at += size;
    return CODER_OK;
}

static inline enum coder_result read_varint(struct cursor *at, uint64_t *ret) {
    const uint8_t *start = at->at;

    if (start < at->end && *start < 0x80) {
        *ret = *start;
        at->at = start + 1;
        return CODER_OK;
    }
    if (cursor_varint(at, ret))
        return CODER_OK;
    /* cursor_varint() fails for two reasons: a tenth byte that does not end it is not cured by more bytes. */
    return at->end - start >= 10 ? CODER_BAD : CODER_SHORT;
}

static inline enum coder_result skip_varint(struct cursor *at) {
    uint64_t ignored;

    return read_varint(at, &ignored);
}

static inline enum coder_result skip_prefixed(struct cursor *at) {
    uint64_t size;
    enum coder_result r = read_varint(at, &size);

    return r ? r : skip_bytes(at, size);
}

/* `count` values one behind the other. Does no work that the bytes at hand do not pay for: empty values take no time however
 * many there are, and a count that cannot fit is not begun. */
static enum coder_result skip_many(const struct coder *coder, uint64_t count, struct cursor *at) {
    size_t least;

    if (coder->min_size == 0)
        return CODER_OK;
    if (__builtin_mul_overflow(coder->min_size, count, &least) || least > cursor_left(at))
        return CODER_SHORT;
    if (coder->fixed_size) {
        at->at += least;
        return CODER_OK;
    }
    for (; count > 0; count--) {
        enum coder_result r = coder_skip(coder, at);

        if (r)
            return r;
    }
    return CODER_OK;
}

/* Behind the count of -1: (varint count, values)* and then 0, or -1 and a token in bytes. */
static enum coder_result skip_batches(const struct coder *element, struct cursor *at) {
    for (;;) {
        uint64_t count;
        enum coder_result r = read_varint(at, &count);

        if (r || count == 0)
            return r;
        if (count == UINT64_MAX)
            return skip_prefixed(at);
        if (count > INT64_MAX)
            return CODER_BAD;
        r = skip_many(element, count, at);
        if (r)
            return r;
    }
}

static enum coder_result skip_iterable(const struct coder *element, struct cursor *at) {
    uint32_t count;

    if (!cursor_be32(at, &count))
        return CODER_SHORT;
    if (count <= INT32_MAX)
        return skip_many(element, count, at);
    return count == UINT32_MAX ? skip_batches(element, at) : CODER_BAD;
}

/* Behind the key: tag, windows, clear bit, and unless that is set fire and hold time and a pane. */
static enum coder_result skip_timer_rest(const struct coder *window, struct cursor *at) {
    enum coder_result r = skip_prefixed(at);
    uint32_t window_count;
    uint8_t clear;

    if (r)
        return r;
    if (!cursor_be32(at, &window_count))
        return CODER_SHORT;
    if (window_count > (window->min_size ? (uint32_t)INT32_MAX : 1))
        return CODER_BAD;
    r = skip_many(window, window_count, at);
    if (r)
        return r;
    if (!cursor_u8(at, &clear))
        return CODER_SHORT;
    if (clear)
        return clear == 1 ? CODER_OK : CODER_BAD;
    r = skip_bytes(at, 16);
    return r ? r : pane_skip(at);
}

/* End and span. A span that interval_window_decode() would refuse is refused here: what is skipped once is decoded without a check. */
static enum coder_result skip_interval_window(struct cursor *at) {
    enum coder_result r = skip_bytes(at, 8);
    uint64_t span;

    if (!r)
        r = read_varint(at, &span);
    return r ? r : span > INT64_MAX ? CODER_BAD : CODER_OK;
}

enum coder_result coder_skip(const struct coder *coder, struct cursor *at) {
    enum coder_result r;
    uint8_t byte;

    /* A coder whose value ends with its last component's goes round this loop instead of recursing. */
    for (;;) {
        if (coder->fixed_size)
            return skip_bytes(at, coder->fixed_size);
        switch (coder->kind) {
        case CODER_BYTES:
        case CODER_STRING:
        case CODER_LENGTH_PREFIX:
            return skip_prefixed(at);
        case CODER_VARINT:
            return skip_varint(at);
        case CODER_BOOL:
        case CODER_DOUBLE:
        case CODER_GLOBAL_WINDOW:
            return CODER_OK;
        case CODER_KV:
            if (coder->min_size == 0)
                return CODER_OK;
            if (coder->min_size > cursor_left(at))
                return CODER_SHORT;
            r = coder_skip(coder->components[0], at);
            if (r)
                return r;
            coder = coder->components[1];
            break;
        case CODER_ITERABLE:
        case CODER_STATE_BACKED_ITERABLE:
            return skip_iterable(coder->components[0], at);
        case CODER_NULLABLE:
            if (!cursor_u8(at, &byte))
                return CODER_SHORT;
            if (byte != 1)
                return byte ? CODER_BAD : CODER_OK;
            coder = coder->components[0];
            break;
        case CODER_SHARDED_KEY:
            r = skip_prefixed(at);
            if (r)
                return r;
            coder = coder->components[0];
            break;
        case CODER_INTERVAL_WINDOW:
            return skip_interval_window(at);
        case CODER_CUSTOM_WINDOW:
            r = skip_bytes(at, 8);
            if (r)
                return r;
            coder = coder->components[0];
            break;
        case CODER_TIMER:
            r = coder_skip(coder->components[0], at);
            return r ? r : skip_timer_rest(coder->components[1], at);
        case CODER_WINDOWED_VALUE:
            return windowed_value_skip(coder, at);
        }
    }
}
