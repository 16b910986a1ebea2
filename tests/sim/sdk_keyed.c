/* A TIMED stage on the fake harness: operations (keyed.h) as state requests and timer records. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "model/window.h"
#include "sdk.h"

/* ---- timers in ---- */

static bool read_timer(const struct sim_bundle *bundle, struct cursor *at, struct keyed_timer *ret) {
    struct cursor inner, tag;
    const uint8_t *begin = at->at;
    uint32_t windows;
    uint64_t fire, hold;
    uint8_t is_clear;

    if (!cursor_prefixed(at, &inner))
        return false;
    ret->key = slice_of_static(begin, (size_t)(at->at - begin));
    if (!cursor_prefixed(at, &tag) || cursor_left(&tag) >= sizeof(ret->tag) || !cursor_be32(at, &windows) ||
        windows != 1)
        return false;
    memcpy(ret->tag, tag.at, cursor_left(&tag));
    ret->window_end = SIM_GLOBAL;
    if (bundle->function->window_ms && interval_window_decode(at, &ret->window_start, &ret->window_end) != CODER_OK)
        return false;
    if (!cursor_u8(at, &is_clear) || is_clear || !cursor_be64(at, &fire) || !cursor_be64(at, &hold))
        return false;
    ret->fire = time_from_wire(fire);
    ret->hold = time_from_wire(hold);
    return pane_skip(at) == CODER_OK;
}

void sdk_bundle_timers(struct sim_bundle *bundle, unsigned family, struct slice bytes, bool is_last) {
    struct cursor at = cursor_of(bytes.data, bytes.size);

    if (family >= bundle->function->family_count || bundle->is_family_ended[family])
        world_violation(bundle->world, "bundle %" PRIu64 ": timers of family %u behind its end", bundle->id, family);
    while (!bundle->world->violation && cursor_left(&at)) {
        struct keyed_timer timer = {.family = family};

        if (!read_timer(bundle, &at, &timer)) {
            world_violation(bundle->world, "bundle %" PRIu64 ": a timer that is none", bundle->id);
            break;
        }
        vec_push(&bundle->timers, timer);
    }
    if (!bundle->world->violation && is_last)
        bundle->is_family_ended[family] = true;
    vec_push(&bundle->timer_bytes, bytes);
}

/* ---- state ---- */

static struct state_request *request_for(struct sim_bundle *bundle, const struct element *in, const char *state,
                                         enum state_kind kind, enum state_operation operation) {
    struct state_request *request = sdk_make_request(bundle, kind, operation, in);

    request->state_id = state;
    return request;
}

static void set_map_key(struct state_request *request, const struct operation *op) {
    struct buf key = {0};

    buf_add_prefixed(&key, op->text, strlen(op->text));
    request->map_key = buf_finish(&key);
}

static void start_read(struct sim_bundle *bundle, const struct element *in, const struct operation *op) {
    struct state_request *request;

    if (op->kind == OP_LIST_GET) {
        request = request_for(bundle, in, "list", STATE_ORDERED_LIST, STATE_GET);
        request->range_start = op->start;
        request->range_end = op->end;
    } else if (op->kind == OP_MAP_GET) {
        request = request_for(bundle, in, "map", STATE_MULTIMAP, STATE_GET);
        set_map_key(request, op);
    } else if (op->kind == OP_MAP_ENTRIES) {
        request = request_for(bundle, in, "map", STATE_MULTIMAP_ENTRIES, STATE_GET);
    } else {
        request = request_for(bundle, in, "map", STATE_MULTIMAP_KEYS, STATE_GET);
    }
    bundle->reads_list = op->kind == OP_LIST_GET;
    bundle->reads_map_entries = op->kind == OP_MAP_ENTRIES;
    sdk_read(bundle, request);
}

static uint64_t hash_list(struct sim_bundle *bundle, const struct operation *op) {
    struct cursor at = cursor_of(buf_data(&bundle->pages), bundle->pages.size), value;
    int64_t last = INT64_MIN;
    uint64_t hash = 0, sort_key;

    while (cursor_left(&at) && cursor_varint(&at, &sort_key) && cursor_prefixed(&at, &value)) {
        if ((int64_t)sort_key < last || (int64_t)sort_key < op->start || (int64_t)sort_key >= op->end)
            world_violation(bundle->world, "bundle %" PRIu64 ": entry %" PRId64 " of a list out of order or range",
                            bundle->id, (int64_t)sort_key);
        last = (int64_t)sort_key;
        hash = keyed_add_item(op, hash, value);
    }
    return hash;
}

static uint64_t hash_values(const struct sim_bundle *bundle, const struct operation *op) {
    struct cursor at = cursor_of(buf_data(&bundle->pages), bundle->pages.size), value;
    uint64_t hash = 0;

    while (cursor_left(&at) && cursor_prefixed(&at, &value))
        hash = keyed_add_item(op, hash, value);
    return hash;
}

static uint64_t hash_entries(const struct sim_bundle *bundle) {
    struct cursor at = cursor_of(buf_data(&bundle->pages), bundle->pages.size), key, value;
    uint64_t hash = 0;
    uint32_t values;

    while (cursor_left(&at) && cursor_prefixed(&at, &key) && cursor_be32(&at, &values)) {
        uint64_t entry = mix64(hash_bytes(key.at, cursor_left(&key)));

        for (; values && cursor_prefixed(&at, &value); values--)
            entry += mix64(hash_bytes(value.at, cursor_left(&value)));
        hash += mix64(entry);
    }
    return hash;
}

static uint64_t hash_read(struct sim_bundle *bundle, const struct operation *op) {
    switch (op->kind) {
    case OP_LIST_GET:
        return hash_list(bundle, op);
    case OP_MAP_ENTRIES:
        return hash_entries(bundle);
    default:
        return hash_values(bundle, op);
    }
}

static void end_read(struct sim_bundle *bundle) {
    bundle->pages.size = 0;
    bundle->has_bag = false;
    bundle->reads_list = bundle->reads_map_entries = false;
}

static void write_state(struct sim_bundle *bundle, const struct element *in, const struct operation *op) {
    struct state_request *request;
    struct buf data = {0};

    switch (op->kind) {
    case OP_MAP_APPEND:
        request = request_for(bundle, in, "map", STATE_MULTIMAP, STATE_APPEND);
        set_map_key(request, op);
        buf_add_prefixed(&data, op->value, strlen(op->value));
        break;
    case OP_MAP_CLEAR:
        request = request_for(bundle, in, "map", STATE_MULTIMAP, STATE_CLEAR);
        set_map_key(request, op);
        break;
    case OP_MAP_CLEAR_ALL:
        request = request_for(bundle, in, "map", STATE_MULTIMAP_KEYS, STATE_CLEAR);
        break;
    case OP_LIST_APPEND:
        request = request_for(bundle, in, "list", STATE_ORDERED_LIST, STATE_APPEND);
        buf_add_varint(&data, (uint64_t)op->start);
        buf_add_prefixed(&data, op->value, strlen(op->value));
        break;
    default:
        request = request_for(bundle, in, "list", STATE_ORDERED_LIST, STATE_CLEAR);
        request->range_start = op->start;
        request->range_end = op->end;
        break;
    }
    request->data = buf_finish(&data);
    sdk_write(bundle, request);
}

/* ---- timers out ---- */

static void write_timer(struct sim_bundle *bundle, const struct element *in, const struct operation *op) {
    const struct function *function = bundle->function;
    struct buf *out = &bundle->out[function->sink_count + op->family];
    struct cursor key = kv_key(in->value);
    struct timer_write write = {.is_clear = op->kind == OP_CLEAR_TIMER};
    struct keyed_timer *timer = &write.timer;

    timer->family = op->family;
    memcpy(timer->tag, op->text, sizeof(op->text));
    if (op->text[0] == 'v') /* another one in every attempt: what a failed bundle set must not be there */
        timer->tag[1] = (char)('0' + rng_below(&bundle->world->rng, 4));
    timer->fire = function->families[op->family].is_processing_time ? bundle->world->now + op->delay_ms : op->fire;
    timer->hold = in->window_start + op->generation;
    buf_add(out, key.at, cursor_left(&key));
    buf_add_prefixed(out, timer->tag, strlen(timer->tag));
    buf_add_be32(out, op->windows);
    for (unsigned i = 0; i < op->windows; i++) {
        timer->window_start = in->window_start + i * function->window_ms;
        timer->window_end = in->window_end + (in->window_end == SIM_GLOBAL ? 0 : i * function->window_ms);
        window_write(out, timer->window_start, timer->window_end, function->window_ms);
        timer->key = slice_copy(key.at, cursor_left(&key), NULL);
        vec_push(&bundle->timer_writes, write);
    }
    buf_add_u8(out, write.is_clear);
    if (write.is_clear)
        return;
    buf_add_be64(out, time_to_wire(timer->fire));
    buf_add_be64(out, time_to_wire(timer->hold));
    buf_add_u8(out, rng_chance(&bundle->world->rng, 50) ? 0x0f : 0x07);
}

/* ---- the work ---- */

/* False while it waits for an answer. */
static bool work_on(struct sim_bundle *bundle, const struct element *in) {
    struct keyed_work *work = &bundle->work;

    for (; work->next < work->ops.count; work->next++) {
        const struct operation *op = &work->ops.all[work->next];

        switch (op->kind) {
        case OP_MAP_GET:
        case OP_MAP_KEYS:
        case OP_MAP_ENTRIES:
        case OP_LIST_GET:
            if (!bundle->has_bag) {
                start_read(bundle, in, op);
                return false;
            }
            work->hash = keyed_add_read(work->hash, hash_read(bundle, op));
            end_read(bundle);
            break;
        case OP_SET_TIMER:
        case OP_CLEAR_TIMER:
            write_timer(bundle, in, op);
            break;
        default:
            write_state(bundle, in, op);
            break;
        }
    }
    if (work->ops.has_output)
        function_apply(bundle->function, in, work->hash, work->place, sdk_emit, bundle);
    *work = (struct keyed_work){0};
    return true;
}

static void begin_work(struct keyed_work *work) {
    work->is_begun = true;
    work->next = 0;
    work->hash = work->ops.hash;
}

/* The bag holds one number: the place of the key's next element in the window. */
static unsigned next_place(struct sim_bundle *bundle, const struct element *in) {
    struct cursor at = cursor_of(buf_data(&bundle->pages), bundle->pages.size), inner;
    struct state_request *append = request_for(bundle, in, "bag", STATE_BAG, STATE_APPEND);
    struct buf number = {0}, data = {0};
    uint64_t place = 0;

    if (cursor_left(&at) &&
        (!cursor_prefixed(&at, &inner) || !cursor_varint(&inner, &place) || cursor_left(&inner) || cursor_left(&at)))
        world_violation(bundle->world, "bundle %" PRIu64 ": the bag holds no single number", bundle->id);
    end_read(bundle);
    buf_add_varint(&number, place + 1);
    buf_add_prefixed(&data, buf_data(&number), number.size);
    buf_clear(&number);
    append->data = buf_finish(&data);
    sdk_write(bundle, request_for(bundle, in, "bag", STATE_BAG, STATE_CLEAR));
    sdk_write(bundle, append);
    return (unsigned)place;
}

bool sdk_keyed_element(struct sim_bundle *bundle, const struct element *in) {
    struct keyed_work *work = &bundle->work;

    if (!work->is_begun && !bundle->has_bag) {
        sdk_read(bundle, request_for(bundle, in, "bag", STATE_BAG, STATE_GET));
        return false;
    }
    if (!work->is_begun) {
        work->place = next_place(bundle, in);
        keyed_element(bundle->function, in, work->place, &work->ops);
        begin_work(work);
    }
    return work_on(bundle, in);
}

/* Nothing may be left of the state of an expired window. True when nothing is being read any more. */
static bool probe_expired(struct sim_bundle *bundle) {
    struct keyed_work *work = &bundle->work;
    const struct element *in;

    if (!work->has_probed && work->probe == 0 && rng_chance(&bundle->world->rng, 40))
        work->probe = (unsigned)(1 + ledger_pick_expired(bundle->world, bundle->stage->index));
    work->has_probed = true;
    if (work->probe == 0)
        return true;
    in = &bundle->world->ledger.expired.items[work->probe - 1].place;
    if (!bundle->has_bag) {
        static const struct operation reads[] = {{.kind = OP_MAP_KEYS},
                                                 {.kind = OP_LIST_GET, .start = INT64_MIN, .end = INT64_MAX},
                                                 {.kind = OP_MAP_GET, .text = "t"}};
        unsigned which = work->probe % 4;

        if (which < ARRAY_COUNT(reads))
            start_read(bundle, in, &reads[which]);
        else
            sdk_read(bundle, request_for(bundle, in, "bag", STATE_BAG, STATE_GET));
        return false;
    }
    if (bundle->pages.size)
        world_violation(bundle->world, "bundle %" PRIu64 ": %zu bytes of state have outlived their window", bundle->id,
                        bundle->pages.size);
    end_read(bundle);
    work->probe = 0;
    return true;
}

bool sdk_keyed_timer(struct sim_bundle *bundle, const struct keyed_timer *timer) {
    struct element in = {.window_start = timer->window_start, .window_end = timer->window_end, .value = timer->key};
    struct keyed_work *work = &bundle->work;

    if (bundle->function->families[timer->family].is_expiration && !probe_expired(bundle))
        return false;
    if (!work->is_begun) {
        keyed_timer_fired(bundle->function, timer, &work->ops);
        begin_work(work);
    }
    return work_on(bundle, &in);
}
