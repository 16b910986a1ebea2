/* Functions of streaming plans (stream.h) on the fake harness: state requests, timer records, and values on the wire. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sdk.h"
#include "stream.h"

static void add_kv(struct buf *out, const char *key, const char *value) {
    buf_add_prefixed(out, key, strlen(key));
    buf_add_prefixed(out, value, strlen(value));
}

static void emit(void *user, const struct stream_element *element, const struct stream_window *windows,
                 unsigned window_count) {
    struct sim_bundle *bundle = user;
    int64_t window_ms = bundle->function->sinks[0].window_ms;
    struct buf *out = &bundle->out[0];

    buf_add_be64(out, time_to_wire(element->timestamp));
    buf_add_be32(out, window_count);
    for (unsigned i = 0; i < window_count; i++)
        window_write(out, windows[i].start, windows[i].end, window_ms);
    pane_encode(out, &element->pane);
    add_kv(out, element->key, element->value);
    bundle->emitted[0]++;
}

/* ---- sources ---- */

static void create(struct sim_bundle *bundle) {
    struct stream_window window = {0, SIM_GLOBAL};

    for (unsigned i = 0; i < bundle->function->count; i++) {
        struct stream_element out = {.value = "", .timestamp = TIME_MIN, .pane = PANE_NO_FIRING};

        snprintf(out.key, sizeof(out.key), "r%u", i);
        emit(bundle, &out, &window, 1);
    }
}

unsigned stream_sdk_restriction(const struct element *in) {
    struct cursor at = cursor_of(in->value.data, in->value.size), key = {0};
    char text[8] = {0};

    cursor_prefixed(&at, &key);
    memcpy(text, key.at, MIN(cursor_left(&key), sizeof(text) - 1));
    return (unsigned)strtoul(text + 1, NULL, 10);
}

void stream_sdk_step(struct sim_bundle *bundle, const struct element *in, unsigned position) {
    struct stream_step step = {stream_sdk_restriction(in), position};

    vec_push(&bundle->steps, step);
    stream_source_step(bundle->function, step.restriction, position, emit, bundle);
}

void stream_sdk_set_watermark(const struct sim_bundle *bundle, const struct element *in, unsigned position,
                              struct residual *residual, struct arena *arena) {
    residual->watermarks = arena_zalloc(arena, sizeof(*residual->watermarks));
    residual->watermarks[0] = (struct residual_watermark){
        .output_id = "out",
        .watermark = stream_source_watermark(bundle->function, stream_sdk_restriction(in), position)};
    residual->watermark_count = 1;
}

/* ---- keyed stages ---- */

static void write_timer(struct sim_bundle *bundle, const struct element *in, const struct stream_timer_op *op) {
    const struct function *function = bundle->function;
    struct buf *out = &bundle->out[function->sink_count + op->family];
    struct cursor key = kv_key(in->value);
    struct timer_write write = {.is_clear = op->is_clear};
    struct keyed_timer *timer = &write.timer;

    timer->family = op->family;
    memcpy(timer->tag, op->tag, sizeof(op->tag));
    timer->fire = function->families[op->family].is_processing_time ? bundle->world->now + op->delay_ms : op->fire;
    timer->hold = op->hold;
    timer->window_start = in->window_start;
    timer->window_end = in->window_end;
    timer->key = slice_copy(key.at, cursor_left(&key), NULL);
    vec_push(&bundle->timer_writes, write);
    buf_add(out, key.at, cursor_left(&key));
    buf_add_prefixed(out, timer->tag, strlen(timer->tag));
    buf_add_be32(out, 1);
    window_write(out, in->window_start, in->window_end, function->window_ms);
    buf_add_u8(out, write.is_clear);
    if (write.is_clear)
        return;
    buf_add_be64(out, time_to_wire(timer->fire));
    buf_add_be64(out, time_to_wire(timer->hold));
    buf_add_u8(out, 0x0f);
}

static void write_timers(struct sim_bundle *bundle, const struct element *in, const struct stream_work *work) {
    for (unsigned i = 0; i < work->count; i++)
        write_timer(bundle, in, &work->ops[i]);
}

/* How many elements the bag holds, which was read; it is checked. */
static unsigned count_bag(struct sim_bundle *bundle, struct buf *cell_key, const struct element *in,
                          bool *ret_is_late) {
    struct cursor at = cursor_of(buf_data(&bundle->pages), bundle->pages.size), inner;
    unsigned count = 0;

    sdk_cell_key(cell_key, bundle->stage->index, in->window_start, in->window_end, kv_key(in->value));
    sdk_check_bag(bundle, cell_key);
    *ret_is_late = true;
    for (; cursor_left(&at) && cursor_prefixed(&at, &inner); count++)
        *ret_is_late &= cursor_left(&inner) && inner.end[-1] == '!';
    bundle->pages.size = 0;
    bundle->has_bag = false;
    return count;
}

static bool read_bag(struct sim_bundle *bundle, const struct element *in) {
    if (bundle->has_bag)
        return true;
    bundle->side = bundle->function->side_count;
    sdk_read(bundle, sdk_make_request(bundle, STATE_BAG, STATE_GET, in));
    return false;
}

static bool run_keyed(struct sim_bundle *bundle, const struct element *in) {
    struct stream_element element;
    struct state_request *append;
    struct stream_work work;
    struct buf cell_key = {0}, item = {0};
    struct cell *cell;
    unsigned count;
    bool is_late;
    char *value;

    if (!read_bag(bundle, in))
        return false;
    count = count_bag(bundle, &cell_key, in, &is_late);
    element = stream_decode(VALUE_KV, in, &value);
    stream_keyed_element(bundle->function, &element, count, &work, emit, bundle);
    write_timers(bundle, in, &work);
    buf_add_prefixed(&item, value, strlen(value));
    cell = sdk_own_cell(bundle, &cell_key);
    buf_add(&cell->bytes, buf_data(&item), item.size);
    append = sdk_make_request(bundle, STATE_BAG, STATE_APPEND, in);
    append->data = buf_finish(&item);
    sdk_write(bundle, append);
    buf_clear(&cell_key);
    free(value);
    return true;
}

/* The engine clears the state of a window when it has expired, without a word. */
static void forget_bag(struct sim_bundle *bundle, const struct buf *cell_key) {
    struct cell *cell = sdk_own_cell(bundle, cell_key);

    cell->is_cleared = true;
    cell->bytes.size = 0;
}

bool stream_sdk_timer(struct sim_bundle *bundle, const struct keyed_timer *timer) {
    struct element in = {.window_start = timer->window_start, .window_end = timer->window_end, .value = timer->key};
    struct cursor at = cursor_of(timer->key.data, timer->key.size), key = {0};
    struct stream_work work;
    struct buf cell_key = {0};
    unsigned count;
    bool is_late;
    char *text;

    if (!read_bag(bundle, &in))
        return false;
    count = count_bag(bundle, &cell_key, &in, &is_late);
    if (timer->family == STREAM_EXPIRATION_FAMILY)
        forget_bag(bundle, &cell_key);
    cursor_prefixed(&at, &key);
    text = xmemdup0(key.at, cursor_left(&key));
    stream_keyed_timer(bundle->function, timer, text, count, is_late, &work, emit, bundle);
    write_timers(bundle, &in, &work);
    buf_clear(&cell_key);
    free(text);
    return true;
}

/* ---- elements ---- */

static void run_stateless(struct sim_bundle *bundle, const struct element *in) {
    const struct function *function = bundle->function;
    struct stream_element element;
    char side[32], *value;

    snprintf(side, sizeof(side), "%" PRIx64, bundle->side_hash);
    element = stream_decode(function->input, in, &value);
    stream_apply(function, &element, function_reads_sides(function, in) ? side : NULL, emit, bundle);
    free(value);
}

bool stream_sdk_element(struct sim_bundle *bundle, const struct element *in) {
    if (bundle->function->kind == FUNCTION_STREAM_KEYED)
        return run_keyed(bundle, in);
    if (bundle->function->kind == FUNCTION_STREAM_CREATE)
        create(bundle);
    else
        run_stateless(bundle, in);
    return true;
}
