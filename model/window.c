#include "model/window.h"

#include <assert.h>

/* The high half of a pane's first byte: how many varints follow (PaneInfo's encodings). */
enum { PANE_ONE_BYTE = 0, PANE_INDEX = 1, PANE_BOTH_INDICES = 2 };

/* Behind the first byte: nothing, index, index and non-speculative index; the rest of the table is illegal. */
static const uint8_t pane_varints[16] = {0,    1,    2,    0xff, 0xff, 0xff, 0xff, 0xff,
                                         0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

static enum coder_result read_varint(struct cursor *at, uint64_t *ret) {
    const uint8_t *start = at->at;

    if (cursor_varint(at, ret))
        return CODER_OK;
    return at->end - start >= 10 ? CODER_BAD : CODER_SHORT;
}

/* ---- panes (MODEL 2.4 - 2.6) ---- */

void pane_encode(struct buf *out, const struct pane *pane) {
    unsigned form;

    if ((pane->index == 0 && pane->nonspeculative_index == 0) || pane->timing == PANE_UNKNOWN)
        form = PANE_ONE_BYTE;
    else if (pane->index == pane->nonspeculative_index || pane->timing == PANE_EARLY)
        form = PANE_INDEX;
    else
        form = PANE_BOTH_INDICES;
    buf_add_u8(out, (uint8_t)(pane->is_first | pane->is_last << 1 | (unsigned)pane->timing << 2 | form << 4));
    if (form != PANE_ONE_BYTE)
        buf_add_varint(out, (uint64_t)pane->index);
    if (form == PANE_BOTH_INDICES)
        buf_add_varint(out, (uint64_t)pane->nonspeculative_index);
}

enum coder_result pane_decode(struct cursor *at, struct pane *ret_pane) {
    enum coder_result r = CODER_OK;
    uint64_t index = 0, nonspeculative = 0;
    enum pane_timing timing;
    uint8_t first;

    if (!cursor_u8(at, &first))
        return CODER_SHORT;
    timing = (enum pane_timing)(first >> 2 & 3);
    switch (first >> 4) {
    case PANE_ONE_BYTE:
        /* Java writes the first EARLY pane like this; an EARLY pane has no non-speculative index. */
        nonspeculative = timing == PANE_EARLY ? UINT64_MAX : 0;
        break;
    case PANE_INDEX:
        r = read_varint(at, &index);
        nonspeculative = timing == PANE_EARLY ? UINT64_MAX : index;
        break;
    case PANE_BOTH_INDICES:
        r = read_varint(at, &index);
        if (!r)
            r = read_varint(at, &nonspeculative);
        break;
    default:
        r = CODER_BAD;
    }
    if (r)
        return r;
    *ret_pane = (struct pane){
        .is_first = first & 1,
        .is_last = first >> 1 & 1,
        .timing = timing,
        .index = (int64_t)index,
        .nonspeculative_index = (int64_t)nonspeculative,
    };
    return CODER_OK;
}

enum coder_result pane_skip(struct cursor *at) {
    enum coder_result r = CODER_OK;
    uint64_t ignored;
    unsigned varints;
    uint8_t first;

    if (!cursor_u8(at, &first))
        return CODER_SHORT;
    varints = pane_varints[first >> 4];
    if (varints > 2)
        return CODER_BAD;
    for (; varints > 0 && !r; varints--)
        r = read_varint(at, &ignored);
    return r;
}

/* ---- windows ---- */

void interval_window_encode(struct buf *out, event_time start, event_time end) {
    buf_add_be64(out, time_to_wire(end));
    buf_add_varint(out, (uint64_t)end - (uint64_t)start);
}

enum coder_result interval_window_decode(struct cursor *at, event_time *ret_start, event_time *ret_end) {
    uint64_t end, span;
    enum coder_result r;

    if (!cursor_be64(at, &end))
        return CODER_SHORT;
    r = read_varint(at, &span);
    if (r)
        return r;
    if (span > INT64_MAX)
        return CODER_BAD;
    *ret_end = time_from_wire(end);
    *ret_start = time_add(*ret_end, -(int64_t)span);
    return CODER_OK;
}

enum coder_result window_max_timestamp(const struct coder *window_coder, struct cursor *at, event_time *ret) {
    event_time start, end;
    enum coder_result r;
    uint64_t wire;

    switch (window_coder->kind) {
    case CODER_GLOBAL_WINDOW:
        *ret = TIME_GLOBAL_WINDOW_END;
        return CODER_OK;
    case CODER_INTERVAL_WINDOW:
        r = interval_window_decode(at, &start, &end);
        if (!r)
            *ret = time_add(end, -1);
        return r;
    case CODER_CUSTOM_WINDOW:
        if (!cursor_be64(at, &wire))
            return CODER_SHORT;
        r = coder_skip(window_coder->components[0], at);
        if (!r)
            *ret = time_from_wire(wire);
        return r;
    default:
        return CODER_BAD;
    }
}

/* ---- windowed values ---- */

/* Behind the window count. Of windows that take no bytes there is only one; a larger count would be work that no bytes pay for. */
static inline enum coder_result skip_windows(const struct coder *window, uint32_t count, struct cursor *at) {
    if (window->min_size == 0)
        return count <= 1 ? CODER_OK : CODER_BAD;
    for (; count > 0; count--) {
        enum coder_result r = coder_skip(window, at);

        if (r)
            return r;
    }
    return CODER_OK;
}

enum coder_result windowed_value_read(const struct coder *coder, struct cursor *at, struct windowed_value *ret) {
    struct windowed_value value = {0};
    enum coder_result r;
    uint64_t timestamp;

    assert(coder->kind == CODER_WINDOWED_VALUE);
    if (!cursor_be64(at, &timestamp) || !cursor_be32(at, &value.window_count))
        return CODER_SHORT;
    if (value.window_count > INT32_MAX)
        return CODER_BAD;
    value.timestamp = time_from_wire(timestamp);
    value.windows.at = at->at;
    r = skip_windows(coder->components[1], value.window_count, at);
    if (r)
        return r;
    value.windows.end = value.pane.at = at->at;
    r = pane_skip(at);
    if (r)
        return r;
    value.pane.end = value.value.at = at->at;
    r = coder_skip(coder->components[0], at);
    if (r)
        return r;
    value.value.end = at->at;
    *ret = value;
    return CODER_OK;
}

enum coder_result windowed_value_skip(const struct coder *coder, struct cursor *at) {
    const struct coder *window = coder->components[1];
    enum coder_result r;
    uint32_t count;

    if (!cursor_skip(at, 8) || !cursor_be32(at, &count))
        return CODER_SHORT;
    if (count > INT32_MAX)
        return CODER_BAD;
    r = skip_windows(window, count, at);
    if (r)
        return r;
    if (at->at < at->end && *at->at < 0x10)
        at->at++;
    else if ((r = pane_skip(at)))
        return r;
    return coder_skip(coder->components[0], at);
}

void windowed_value_write(struct buf *out, const struct windowed_value *value) {
    buf_add_be64(out, time_to_wire(value->timestamp));
    buf_add_be32(out, value->window_count);
    buf_add(out, value->windows.at, cursor_left(&value->windows));
    buf_add(out, value->pane.at, cursor_left(&value->pane));
    buf_add(out, value->value.at, cursor_left(&value->value));
}

void windowed_value_write_header(struct buf *out, event_time timestamp, const void *window, size_t window_size,
                                 const struct pane *pane) {
    buf_add_be64(out, time_to_wire(timestamp));
    buf_add_be32(out, 1);
    buf_add(out, window, window_size);
    pane_encode(out, pane);
}
