#include "values.h"

#include "base/arena.h"

static const struct coder *leaf(struct arena *arena, enum coder_kind kind) {
    return coder_create(arena, kind, NULL, NULL);
}

const struct coder *random_window_coder(struct rng *rng, struct arena *arena) {
    switch (rng_below(rng, 4)) {
    case 0:
        return leaf(arena, CODER_GLOBAL_WINDOW);
    case 1:
        return coder_create(arena, CODER_CUSTOM_WINDOW, random_coder(rng, arena, 1), NULL);
    default:
        return leaf(arena, CODER_INTERVAL_WINDOW);
    }
}

const struct coder *random_coder(struct rng *rng, struct arena *arena, unsigned depth) {
    static const enum coder_kind leaves[] = {CODER_BYTES,  CODER_STRING,        CODER_VARINT,         CODER_BOOL,
                                             CODER_DOUBLE, CODER_GLOBAL_WINDOW, CODER_INTERVAL_WINDOW};
    static const enum coder_kind wrappers[] = {
        CODER_ITERABLE, CODER_STATE_BACKED_ITERABLE, CODER_LENGTH_PREFIX,
        CODER_NULLABLE, CODER_SHARDED_KEY,           CODER_CUSTOM_WINDOW,
    };
    const struct coder *first;

    if (depth == 0 || rng_chance(rng, 20))
        return leaf(arena, leaves[rng_below(rng, ARRAY_COUNT(leaves))]);
    first = random_coder(rng, arena, depth - 1);
    if (rng_chance(rng, 40))
        return coder_create(arena, CODER_KV, first, random_coder(rng, arena, depth - 1));
    return coder_create(arena, wrappers[rng_below(rng, ARRAY_COUNT(wrappers))], first, NULL);
}

const struct coder *random_windowed_coder(struct rng *rng, struct arena *arena) {
    const struct coder *value = random_coder(rng, arena, rng_below(rng, 4));

    return coder_create(arena, CODER_WINDOWED_VALUE, value, random_window_coder(rng, arena));
}

const struct coder *random_timer_coder(struct rng *rng, struct arena *arena) {
    const struct coder *key = random_coder(rng, arena, rng_below(rng, 3));

    return coder_create(arena, CODER_TIMER, key, random_window_coder(rng, arena));
}

struct pane random_pane(struct rng *rng) {
    return (struct pane){
        .is_first = rng_chance(rng, 50),
        .is_last = rng_chance(rng, 50),
        .timing = (enum pane_timing)rng_below(rng, 4),
        .index = (int64_t)any_number(rng),
        .nonspeculative_index = (int64_t)any_number(rng),
    };
}

static void add_prefixed_bytes(struct rng *rng, struct buf *out) {
    struct buf bytes = {0};

    add_random_bytes(rng, &bytes, rng_chance(rng, 5) ? 200 + rng_below(rng, 200) : rng_below(rng, 12));
    buf_add_prefixed(out, buf_data(&bytes), bytes.size);
    buf_clear(&bytes);
}

static void add_values(struct rng *rng, const struct coder *coder, unsigned count, struct buf *out) {
    for (; count; count--)
        add_random_value(rng, coder, out);
}

static void add_iterable(struct rng *rng, const struct coder *element, struct buf *out) {
    unsigned count = rng_below(rng, 5);

    if (rng_chance(rng, 60)) {
        buf_add_be32(out, count);
        add_values(rng, element, count, out);
        return;
    }
    buf_add_be32(out, UINT32_MAX);
    for (unsigned batches = rng_below(rng, 3); batches; batches--) {
        count = 1 + rng_below(rng, 3);
        buf_add_varint(out, count);
        add_values(rng, element, count, out);
    }
    if (rng_chance(rng, 50)) {
        buf_add_varint(out, UINT64_MAX);
        add_prefixed_bytes(rng, out);
    } else {
        buf_add_varint(out, 0);
    }
}

static event_time random_time(struct rng *rng) {
    return rng_chance(rng, 70) ? (event_time)rng_below(rng, 1000000) : (event_time)any_number(rng);
}

static void add_pane(struct rng *rng, struct buf *out) {
    struct pane pane = rng_chance(rng, 60) ? PANE_NO_FIRING : random_pane(rng);

    pane_encode(out, &pane);
}

static void add_windows(struct rng *rng, const struct coder *window, struct buf *out) {
    /* Of windows that take no bytes there is at most one. */
    unsigned count = rng_chance(rng, 80) ? 1 : rng_below(rng, window->min_size ? 4 : 2);

    buf_add_be32(out, count);
    add_values(rng, window, count, out);
}

static void add_timer(struct rng *rng, const struct coder *coder, struct buf *out) {
    bool is_clear = rng_chance(rng, 30);

    add_random_value(rng, coder->components[0], out);
    add_prefixed_bytes(rng, out);
    add_windows(rng, coder->components[1], out);
    buf_add_u8(out, is_clear);
    if (is_clear)
        return;
    buf_add_be64(out, time_to_wire(random_time(rng)));
    buf_add_be64(out, time_to_wire(random_time(rng)));
    add_pane(rng, out);
}

void add_random_value(struct rng *rng, const struct coder *coder, struct buf *out) {
    event_time start;

    switch (coder->kind) {
    case CODER_BYTES:
    case CODER_STRING:
    case CODER_LENGTH_PREFIX:
        add_prefixed_bytes(rng, out);
        break;
    case CODER_VARINT:
        buf_add_varint(out, any_number(rng));
        break;
    case CODER_BOOL:
        buf_add_u8(out, (uint8_t)rng_below(rng, 2));
        break;
    case CODER_DOUBLE:
        buf_add_be64(out, rng_next(rng));
        break;
    case CODER_KV:
        add_random_value(rng, coder->components[0], out);
        add_random_value(rng, coder->components[1], out);
        break;
    case CODER_ITERABLE:
    case CODER_STATE_BACKED_ITERABLE:
        add_iterable(rng, coder->components[0], out);
        break;
    case CODER_NULLABLE:
        buf_add_u8(out, (uint8_t)rng_below(rng, 2));
        if (buf_data(out)[out->size - 1])
            add_random_value(rng, coder->components[0], out);
        break;
    case CODER_SHARDED_KEY:
        add_prefixed_bytes(rng, out);
        add_random_value(rng, coder->components[0], out);
        break;
    case CODER_GLOBAL_WINDOW:
        break;
    case CODER_INTERVAL_WINDOW:
        start = (event_time)rng_below(rng, 1000000);
        interval_window_encode(out, start, start + rng_below(rng, 100000));
        break;
    case CODER_CUSTOM_WINDOW:
        buf_add_be64(out, time_to_wire(random_time(rng)));
        add_random_value(rng, coder->components[0], out);
        break;
    case CODER_TIMER:
        add_timer(rng, coder, out);
        break;
    case CODER_WINDOWED_VALUE:
        buf_add_be64(out, time_to_wire(random_time(rng)));
        add_windows(rng, coder->components[1], out);
        add_pane(rng, out);
        add_random_value(rng, coder->components[0], out);
        break;
    }
}
