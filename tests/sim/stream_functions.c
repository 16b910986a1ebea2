#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "stream.h"

/* ---- values ---- */

static int compare_texts(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static char *join_sorted(struct cursor at) {
    VEC(char *) values = {0};
    struct cursor inner;
    struct buf out = {0};
    uint32_t count = 0;
    char *text;

    cursor_be32(&at, &count);
    while (count-- && cursor_prefixed(&at, &inner))
        vec_push(&values, xmemdup0(inner.at, cursor_left(&inner)));
    if (values.count)
        qsort(values.items, values.count, sizeof(char *), compare_texts);
    vec_foreach (value, &values) {
        if (out.size)
            buf_add_u8(&out, ',');
        buf_add(&out, *value, strlen(*value));
        free(*value);
    }
    vec_free(&values);
    text = xmemdup0(buf_data(&out), out.size);
    buf_clear(&out);
    return text;
}

struct stream_element stream_decode(enum value_type type, const struct element *in, char **ret_text) {
    struct cursor at = cursor_of(in->value.data, in->value.size), key = {0}, value = {0};
    struct stream_element out = {
        .timestamp = in->timestamp, .window_start = in->window_start, .window_end = in->window_end, .pane = in->pane};

    cursor_prefixed(&at, &key);
    memcpy(out.key, key.at, MIN(cursor_left(&key), sizeof(out.key) - 1));
    if (type == VALUE_GROUPED) {
        *ret_text = join_sorted(at);
    } else {
        cursor_prefixed(&at, &value);
        *ret_text = xmemdup0(value.at, cursor_left(&value));
    }
    out.value = *ret_text;
    return out;
}

char *stream_text(const struct stream_element *element) {
    const struct pane *pane = &element->pane;

    return xasprintf("%s %" PRId64 " %" PRId64 " %" PRId64 " %d %d %d %" PRId64 " %" PRId64 " %s", element->key,
                     element->window_start, element->window_end, element->timestamp, pane->is_first, pane->is_last,
                     (int)pane->timing, pane->index, pane->nonspeculative_index, element->value);
}

struct stream_element stream_parse(const char *text) {
    struct stream_element out = {0};
    int is_first = 0, is_last = 0, timing = 0, size = 0;

    if (sscanf(text, "%15s %" SCNd64 " %" SCNd64 " %" SCNd64 " %d %d %d %" SCNd64 " %" SCNd64 "%n", out.key,
               &out.window_start, &out.window_end, &out.timestamp, &is_first, &is_last, &timing, &out.pane.index,
               &out.pane.nonspeculative_index, &size) != 9)
        abort();
    out.pane.is_first = is_first;
    out.pane.is_last = is_last;
    out.pane.timing = (enum pane_timing)timing;
    out.value = text + size + 1;
    return out;
}

bool stream_is_late(const char *value) {
    size_t size = strlen(value);

    return size && value[size - 1] == '!';
}

event_time stream_window_max(event_time window_end) {
    return window_end == SIM_GLOBAL ? TIME_GLOBAL_WINDOW_END : window_end - 1;
}

event_time stream_expiry(const struct windowing *windowing, event_time window_end) {
    return MIN(time_add(stream_window_max(window_end), windowing->allowed_lateness_ms), TIME_GLOBAL_WINDOW_END);
}

static uint64_t text_hash(uint64_t seed, const char *text) {
    return mix64(seed ^ hash_bytes(text, strlen(text)));
}

/* ---- stages without state ---- */

static int64_t floor_mod(int64_t a, int64_t b) {
    return (a % b + b) % b;
}

/* No window reaches beyond the end of the global one (MODEL 4.5). */
static struct stream_window clip(event_time start, event_time end) {
    return (struct stream_window){start, MIN(end, TIME_GLOBAL_WINDOW_END + 1)};
}

unsigned stream_assign(const struct windowing *windowing, event_time timestamp, struct stream_window *ret) {
    int64_t step = windowing->fn == WINDOW_FN_SLIDING ? windowing->period_ms : windowing->size_ms;
    event_time start;
    unsigned count = 0;

    switch (windowing->fn) {
    case WINDOW_FN_GLOBAL:
        ret[0] = (struct stream_window){0, SIM_GLOBAL};
        return 1;
    case WINDOW_FN_SESSIONS:
    case WINDOW_FN_CUSTOM: /* sessions that the SDK merges */
        ret[0] = clip(timestamp, timestamp + windowing->size_ms);
        return 1;
    default:
        start = timestamp - floor_mod(timestamp - windowing->offset_ms, step);
        for (; start > timestamp - windowing->size_ms && count < STREAM_MAX_WINDOWS; start -= step)
            ret[count++] = clip(start, start + windowing->size_ms);
        return count;
    }
}

static void emit_in_own_window(const struct stream_element *in, const char *value, stream_emit_fn emit, void *user) {
    struct stream_window window = {in->window_start, in->window_end};
    struct stream_element out = *in;

    out.value = value;
    emit(user, &out, &window, 1);
}

static void apply_map(const struct function *function, const struct stream_element *in, const char *side,
                      stream_emit_fn emit, void *user) {
    bool is_late = stream_is_late(in->value);
    char *value;

    if (text_hash(function->seed, in->value) % 4 == 0)
        return;
    value = side ? xasprintf("s%.*s{%" PRIx64 "}%s", (int)(strlen(in->value) - is_late), in->value, text_hash(7, side),
                             is_late ? "!" : "")
                 : xasprintf("m%s", in->value);
    emit_in_own_window(in, value, emit, user);
    free(value);
}

/* A pane that is not late was promised to come in time. */
static void apply_ungroup(const struct stream_element *in, stream_emit_fn emit, void *user) {
    char *values = xstrdup(in->value), *rest = values, *next;

    while (*values && (next = strsep(&rest, ","))) {
        char *value;

        if (stream_is_late(next))
            next[strlen(next) - 1] = 0;
        value = xasprintf("u%s%s", next, in->pane.timing == PANE_LATE ? "!" : "");
        emit_in_own_window(in, value, emit, user);
        free(value);
    }
    free(values);
}

void stream_apply(const struct function *function, const struct stream_element *in, const char *side,
                  stream_emit_fn emit, void *user) {
    struct stream_window windows[STREAM_MAX_WINDOWS];
    unsigned count;

    switch (function->kind) {
    case FUNCTION_STREAM_WINDOW:
        count = stream_assign(function->windowing, in->timestamp, windows);
        if (count)
            emit(user, in, windows, count);
        break;
    case FUNCTION_STREAM_MAP:
        apply_map(function, in, side, emit, user);
        break;
    case FUNCTION_STREAM_UNGROUP:
        apply_ungroup(in, emit, user);
        break;
    default:
        abort();
    }
}

/* ---- sources ---- */

static uint64_t step_hash(const struct function *function, unsigned restriction, unsigned position) {
    return mix64(function->seed ^ mix64(restriction) ^ mix64(position + 1000));
}

event_time stream_source_watermark(const struct function *function, unsigned restriction, unsigned position) {
    event_time at = -100;

    for (unsigned i = 0; i < position; i++) {
        uint64_t h = step_hash(function, restriction, i);

        at += h % 3 ? (event_time)((h >> 8) % 40) : (event_time)(h % 5 ? 0 : (h >> 8) % 400);
    }
    return at;
}

void stream_source_step(const struct function *function, unsigned restriction, unsigned position, stream_emit_fn emit,
                        void *user) {
    event_time watermark = stream_source_watermark(function, restriction, position);
    uint64_t h = step_hash(function, restriction, position);
    struct stream_window window = {0, SIM_GLOBAL};

    for (unsigned i = 0; i < (h >> 20) % 3; i++) {
        uint64_t own = mix64(h + i);
        bool is_late = own % 6 == 0;
        struct stream_element out = {.window_end = SIM_GLOBAL, .pane = PANE_NO_FIRING};
        char value[64];

        out.timestamp =
            is_late ? watermark - 1 - (event_time)((own >> 8) % 200) : watermark + (event_time)((own >> 8) % 150);
        snprintf(out.key, sizeof(out.key), "k%u", (unsigned)((own >> 30) % 4));
        snprintf(value, sizeof(value), "%u.%u.%u.%u%s", (unsigned)(function->seed % 100), restriction, position, i,
                 is_late ? "!" : "");
        out.value = value;
        emit(user, &out, &window, 1);
    }
}

int64_t stream_source_delay(const struct function *function, unsigned restriction, unsigned position) {
    uint64_t h = mix64(step_hash(function, restriction, position));

    return h % 3 == 0 ? 0 : (int64_t)((h >> 8) % (h % 3 == 1 ? 50 : 3000));
}

/* ---- keyed stages ---- */

/* Elements set "a" and "p", the timer "p1" sets itself and the event-time timer "b1", and so on: no two that are due at one time set the same
 * third one, so that their order does not show. */
static struct stream_timer_op *add_op(struct stream_work *work, unsigned family, char kind, uint64_t h, bool is_late) {
    struct stream_timer_op *op = &work->ops[work->count++];

    *op = (struct stream_timer_op){.family = family};
    snprintf(op->tag, sizeof(op->tag), "%c%u%s", kind, (unsigned)(h % 3), is_late ? "!" : "");
    return op;
}

/* Somewhere in or around the window. */
static event_time fire_time(const struct stream_element *in, uint64_t h) {
    if (in->window_end == SIM_GLOBAL)
        return in->timestamp - 20 + (event_time)(h % 300);
    return in->window_start - 20 + (event_time)(h % (uint64_t)(in->window_end - in->window_start + 60));
}

static void set_event_timer(struct stream_work *work, const struct stream_element *in, uint64_t h, char kind,
                            unsigned digit, bool is_late) {
    struct stream_timer_op *op = add_op(work, STREAM_EVENT_FAMILY, kind, digit, is_late);

    op->fire = fire_time(in, h >> 8);
    op->hold = h >> 63 ? in->timestamp : MAX(in->timestamp, op->fire);
}

/* In whole ticks and a half, so that a test stream's clock, which moves by whole ones, is never just there. */
static void set_processing_timer(struct stream_work *work, const struct function *function, event_time hold, uint64_t h,
                                 char kind, unsigned digit, bool is_late) {
    struct stream_timer_op *op = add_op(work, STREAM_PROCESSING_FAMILY, kind, digit, is_late);

    op->delay_ms = function->tick_ms / 2 + function->tick_ms * (int64_t)((h >> 8) % 4);
    op->hold = hold;
}

/* What fires puts out at its hold, and behind the end of the global window there are no windows to assign (MODEL 4.5). To set it earlier would
 * let a timer set itself again for ever. */
static void drop_timers_behind_the_end(struct stream_work *work) {
    unsigned kept = 0;

    for (unsigned i = 0; i < work->count; i++)
        if (work->ops[i].hold <= TIME_GLOBAL_WINDOW_END)
            work->ops[kept++] = work->ops[i];
    work->count = kept;
}

void stream_keyed_element(const struct function *function, const struct stream_element *in, unsigned bag_count,
                          struct stream_work *ret, stream_emit_fn emit, void *user) {
    uint64_t h = text_hash(function->seed ^ (uint64_t)in->window_start, in->value);
    bool is_late = stream_is_late(in->value);
    char *value = xasprintf("e%u.%s", bag_count, in->value);

    *ret = (struct stream_work){0};
    emit_in_own_window(in, value, emit, user);
    free(value);
    switch (h % 8) {
    case 0:
    case 1:
        set_processing_timer(ret, function, in->timestamp, h >> 4, 'p', (unsigned)(h % 3), is_late);
        break;
    case 2:
        add_op(ret, STREAM_EVENT_FAMILY, 'a', h >> 4, is_late)->is_clear = true;
        break;
    case 3:
        set_event_timer(ret, in, mix64(h), 'a', (unsigned)((h >> 4) % 3), is_late);
        set_event_timer(ret, in, mix64(h + 1), 'a', (unsigned)((h >> 6) % 3), is_late);
        break;
    case 4:
        add_op(ret, STREAM_PROCESSING_FAMILY, 'p', h >> 4, is_late)->is_clear = true;
        break;
    case 5:
        break;
    default:
        set_event_timer(ret, in, mix64(h), 'a', (unsigned)((h >> 4) % 3), is_late);
    }
    drop_timers_behind_the_end(ret);
}

/* What it sets never promises more than the timer itself did. A timer that sets itself again has another hold than before, on which its further
 * fate depends, so that this ends. */
static void timer_sets(const struct function *function, const struct keyed_timer *timer, struct stream_element *in,
                       uint64_t h, bool is_late, struct stream_work *ret) {
    unsigned digit = (unsigned)(timer->tag[1] - '0');
    char kind = timer->tag[0];

    in->timestamp = timer->hold;
    if (timer->family == STREAM_EVENT_FAMILY && h % 4 == 0) {
        struct stream_timer_op *op = add_op(ret, STREAM_EVENT_FAMILY, kind, digit, is_late);

        op->fire = timer->fire + 1 + (event_time)((h >> 8) % 50);
        op->hold = MAX(timer->hold, op->fire);
    } else if (kind == 'a' && h % 4 == 1) {
        set_processing_timer(ret, function, timer->hold, h >> 4, 'q', digit, is_late);
    } else if (timer->family == STREAM_PROCESSING_FAMILY && h % 4 == 0) {
        set_processing_timer(ret, function, timer->hold + 1, h >> 4, kind, digit, is_late);
    } else if (timer->family == STREAM_PROCESSING_FAMILY && h % 4 == 1) {
        set_event_timer(ret, in, mix64(h), kind == 'p' ? 'b' : 'c', digit, is_late);
    }
}

/* Its output is then later than its window, and while that waits somewhere it does not hold the watermark back for it. */
static bool is_behind_its_window(const struct function *function, const struct keyed_timer *timer) {
    struct windowing windowing = {.allowed_lateness_ms = function->allowed_lateness_ms};

    return timer->hold > stream_expiry(&windowing, timer->window_end);
}

void stream_keyed_timer(const struct function *function, const struct keyed_timer *timer, const char *key,
                        unsigned bag_count, bool is_late, struct stream_work *ret, stream_emit_fn emit, void *user) {
    bool is_expiration = timer->family == STREAM_EXPIRATION_FAMILY;
    bool is_event = timer->family == STREAM_EVENT_FAMILY;
    struct stream_element in = {.timestamp = timer->hold,
                                .window_start = timer->window_start,
                                .window_end = timer->window_end,
                                .pane = PANE_NO_FIRING};
    char *value;

    *ret = (struct stream_work){0};
    snprintf(in.key, sizeof(in.key), "%s", key);
    if (!is_expiration)
        is_late = stream_is_late(timer->tag) || is_behind_its_window(function, timer);
    /* Where the clock of the harness stands is none of the model's. */
    value = is_expiration ? xasprintf("x%u%s", bag_count, is_late ? "!" : "")
                          : xasprintf("t%.2s@%" PRId64 ".%u%s", timer->tag, is_event ? timer->fire : 0, bag_count,
                                      is_late ? "!" : "");
    emit_in_own_window(&in, value, emit, user);
    if (!is_expiration)
        timer_sets(function, timer, &in,
                   text_hash(function->seed ^ (uint64_t)(timer->window_start + timer->hold), value), is_late, ret);
    drop_timers_behind_the_end(ret);
    free(value);
}
