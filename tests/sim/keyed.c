#include "keyed.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "random.h"

event_time keyed_window_max(event_time window_end) {
    return window_end == SIM_GLOBAL ? TIME_GLOBAL_WINDOW_END : window_end - 1;
}

event_time keyed_last_time(const struct function *function, event_time window_end) {
    if (window_end == SIM_GLOBAL)
        return INT64_MAX; /* whatever lies behind the end of the global window fires at the end of the input */
    return MIN(time_add(keyed_window_max(window_end), function->allowed_lateness_ms), TIME_GLOBAL_WINDOW_END);
}

event_time keyed_due(const struct function *function, const struct keyed_timer *timer) {
    event_time last = keyed_last_time(function, timer->window_end), fire = time_add(timer->fire, 0);

    return function->families[timer->family].is_processing_time ? fire : MIN(fire, last);
}

uint64_t keyed_add_item(const struct operation *operation, uint64_t hash, struct cursor item) {
    uint64_t h = mix64(hash_bytes(item.at, cursor_left(&item)));

    return operation->is_ordered ? mix64(hash * 31 + h) : hash + h;
}

uint64_t keyed_add_read(uint64_t hash, uint64_t read) {
    return mix64(hash * 31 + read);
}

/* ---- operations ---- */

static struct operation *add(struct operations *ops, enum operation_kind kind) {
    struct operation *op = &ops->all[ops->count];

    if (ops->count == MAX_OPERATIONS)
        abort();
    ops->count++;
    *op = (struct operation){.kind = kind, .windows = 1};
    return op;
}

static void set_text(char *out, size_t size, const char *format, ...) PRINTF_LIKE(3, 4);
static void set_text(char *out, size_t size, const char *format, ...) {
    va_list args;

    va_start(args, format);
    vsnprintf(out, size, format, args);
    va_end(args);
}

#define SET_TEXT(field, ...) set_text((field), sizeof(field), __VA_ARGS__)

/* One of the families of a kind, PLAN_NONE when there is none. */
static int family_of(const struct function *function, bool is_processing_time, uint64_t h) {
    int found = -1;
    unsigned seen = 0;

    for (unsigned i = 0; i < function->family_count; i++) {
        const struct family_spec *family = &function->families[i];

        if (family->is_expiration || family->is_processing_time != is_processing_time)
            continue;
        if (h % ++seen == 0)
            found = (int)i;
    }
    return found;
}

static uint64_t place_hash(const struct function *function, struct slice key, event_time start, event_time end) {
    return mix64(hash_bytes(key.data, key.size) ^ mix64(function->seed ^ (uint64_t)end ^ mix64((uint64_t)start)));
}

/* Around the window, sometimes at its very last time, one behind that, or at times that no window reaches. */
static event_time event_fire(const struct function *function, const struct element *in, uint64_t h) {
    switch (h % 16) {
    case 0:
        return keyed_last_time(function, in->window_end);
    case 1:
        return time_add(keyed_last_time(function, in->window_end), 1);
    case 2:
        return (h >> 8) % 2 ? TIME_MAX : INT64_MAX;
    case 6:
        return (h >> 8) % 4 ? in->window_start : TIME_MIN;
    case 3:
        return keyed_window_max(in->window_end);
    case 4:
        return in->window_start + 50; /* many at one time */
    default:
        return in->window_start - 100 + (event_time)((h >> 8) % 250);
    }
}

static void set_event_timer(const struct function *function, const struct element *in, struct operations *ops,
                            int family, const char *tag, uint64_t h) {
    struct operation *op = add(ops, OP_SET_TIMER);

    op->family = (unsigned)family;
    SET_TEXT(op->text, "%s", tag);
    op->fire = event_fire(function, in, h);
}

static void clear_timer(struct operations *ops, int family, const char *tag) {
    struct operation *op = add(ops, OP_CLEAR_TIMER);

    op->family = (unsigned)family;
    SET_TEXT(op->text, "%s", tag);
}

/* Set, set again, cleared and set in one bundle: the last word holds (MODEL 7.4). */
static void element_event_timer(const struct function *function, const struct element *in, uint64_t h,
                                struct operations *ops) {
    int family = family_of(function, false, h >> 3);
    char tag[24];

    if (family < 0)
        return;
    SET_TEXT(tag, "%c%u", (h >> 5) % 2 ? 'a' : 'b', (unsigned)((h >> 6) % 3));
    switch ((h >> 10) % 8) {
    case 0:
        clear_timer(ops, family, tag);
        break;
    case 1:
        set_event_timer(function, in, ops, family, tag, mix64(h ^ 1));
        set_event_timer(function, in, ops, family, tag, mix64(h ^ 2));
        break;
    case 2:
        set_event_timer(function, in, ops, family, tag, mix64(h ^ 1));
        clear_timer(ops, family, tag);
        break;
    case 3:
        clear_timer(ops, family, tag);
        set_event_timer(function, in, ops, family, tag, mix64(h ^ 1));
        break;
    case 4: /* in this window and in the next; each origin has a tag of its own */
        SET_TEXT(tag, "m%" PRId64 ".%" PRId64, in->window_start, in->window_end);
        if ((h >> 14) % 4)
            set_event_timer(function, in, ops, family, tag, mix64(h ^ 1));
        else
            clear_timer(ops, family, tag);
        ops->all[ops->count - 1].windows = function->window_ms ? 2 : 1;
        break;
    default:
        set_event_timer(function, in, ops, family, tag, mix64(h ^ 1));
    }
}

static void set_processing_timer(struct operations *ops, int family, const char *tag, unsigned generation, uint64_t h) {
    struct operation *op = add(ops, OP_SET_TIMER);

    op->family = (unsigned)family;
    SET_TEXT(op->text, "%s", tag);
    op->generation = generation;
    op->delay_ms = h % 4 == 0 ? 0 : (int64_t)((h >> 4) % 3000) - 100;
}

static void element_processing_timer(const struct function *function, unsigned place, uint64_t h,
                                     struct operations *ops) {
    int family = family_of(function, true, h >> 3);
    char tag[24];

    if (family < 0)
        return;
    SET_TEXT(tag, "v%u", (unsigned)((h >> 6) % 2));
    if (h % 4 == 0) {
        clear_timer(ops, family, tag);
    } else if (h % 4 == 1) {
        set_processing_timer(ops, family, tag, 0, mix64(h ^ 3));
    } else {
        SET_TEXT(tag, "p%u.0", place);
        set_processing_timer(ops, family, tag, 0, mix64(h ^ 4));
    }
}

static void element_state(uint64_t h, struct operations *ops) {
    static const enum operation_kind kinds[] = {OP_MAP_APPEND, OP_MAP_APPEND,    OP_MAP_APPEND,  OP_MAP_CLEAR,
                                                OP_MAP_GET,    OP_MAP_KEYS,      OP_LIST_APPEND, OP_LIST_APPEND,
                                                OP_LIST_GET,   OP_MAP_ENTRIES,   OP_LIST_CLEAR,  OP_LIST_GET,
                                                OP_MAP_KEYS,   OP_MAP_CLEAR_ALL, OP_MAP_APPEND,  OP_LIST_APPEND};
    struct operation *op = add(ops, kinds[h % ARRAY_COUNT(kinds)]);

    SET_TEXT(op->text, "k%u", (unsigned)((h >> 8) % 4));
    SET_TEXT(op->value, "%.*s", (int)((h >> 12) % 20), "abcdefghijklmnopqrstuv");
    op->start = (int64_t)((h >> 16) % ((h >> 32) % 2 ? ELEMENT_KEYS : 4));
    op->end = MIN(op->start + (int64_t)((h >> 33) % 400), (int64_t)ELEMENT_KEYS);
    op->is_ordered = op->kind != OP_MAP_KEYS && op->kind != OP_MAP_ENTRIES;
    if (op->kind == OP_MAP_CLEAR_ALL && (h >> 40) % 2) {
        *op = (struct operation){.kind = OP_MAP_KEYS, .windows = 1};
    }
}

void keyed_element(const struct function *function, const struct element *in, unsigned place, struct operations *ret) {
    struct cursor key = kv_key(in->value);
    struct slice key_bytes = slice_of_static(key.at, cursor_left(&key));
    uint64_t h = mix64(place_hash(function, key_bytes, in->window_start, in->window_end) + place);
    unsigned count = (unsigned)(h % 4);

    *ret = (struct operations){.has_output = true};
    for (unsigned i = 0; i < count; i++) {
        h = mix64(h + i);
        if ((h >> 60) < 8)
            element_state(h, ret);
        else if ((h >> 60) < 13)
            element_event_timer(function, in, h, ret);
        else
            element_processing_timer(function, place * 4 + i, h, ret);
    }
}

/* ---- timers ---- */

static void add_to_list(struct operations *ops, int64_t sort_key, uint64_t h) {
    struct operation *op = add(ops, OP_LIST_APPEND);

    op->start = sort_key;
    SET_TEXT(op->value, "%x", (unsigned)h);
}

static void read_list(struct operations *ops, int64_t start, int64_t end) {
    struct operation *op = add(ops, OP_LIST_GET);

    op->start = start;
    op->end = end;
}

static void read_map(struct operations *ops, const char *key, bool is_ordered) {
    struct operation *op = add(ops, OP_MAP_GET);

    SET_TEXT(op->text, "%s", key);
    op->is_ordered = is_ordered;
}

static void event_timer_fired(const struct function *function, const struct keyed_timer *timer, unsigned generation,
                              uint64_t h, struct operations *ops) {
    struct element in = {.window_start = timer->window_start, .window_end = timer->window_end};
    int64_t since_start = keyed_due(function, timer) - timer->window_start;
    struct operation *op;
    char tag[24];

    if (timer->tag[0] == 'q') {
        add_to_list(ops, -1 - (int64_t)(h % 5), h);
    } else if (timer->tag[0] != 'm') {
        read_list(ops, 0, EVENT_KEYS + since_start);
        add_to_list(ops, EVENT_KEYS + since_start, h);
        read_map(ops, (h >> 4) % 2 ? "k0" : "k1", true);
        op = add(ops, OP_MAP_APPEND);
        SET_TEXT(op->text, "t");
        SET_TEXT(op->value, "%x", (unsigned)h);
    }
    if ((timer->tag[0] == 'a' || timer->tag[0] == 'm') && generation < 3 && (h >> 8) % 2) {
        op = add(ops, OP_SET_TIMER);
        op->family = timer->family;
        SET_TEXT(op->text, "%s", timer->tag);
        op->fire = time_add(timer->fire, (int64_t)((h >> 12) % 60) - 10); /* behind the watermark too (MODEL 7.8) */
        op->generation = generation + 1;
    }
    if (timer->tag[0] == 'a' && (h >> 20) % 2) {
        SET_TEXT(tag, "b%c", timer->tag[1]);
        if ((h >> 21) % 2)
            set_event_timer(function, &in, ops, (int)timer->family, tag, mix64(h ^ 5));
        else
            clear_timer(ops, (int)timer->family, tag);
    }
}

static void processing_timer_fired(const struct function *function, const struct keyed_timer *timer,
                                   unsigned generation, uint64_t h, struct operations *ops) {
    struct element in = {.window_start = timer->window_start, .window_end = timer->window_end};
    int event_family = family_of(function, false, h >> 3);
    unsigned place = (unsigned)strtoul(timer->tag + 1, NULL, 10);
    char tag[24];

    if (timer->tag[0] == 'v') {
        ops->has_output = false;
        if (generation < 3 && h % 2)
            set_processing_timer(ops, (int)timer->family, timer->tag, generation + 1, mix64(h ^ 6));
        return;
    }
    add_to_list(ops, -1 - (int64_t)(h % 5), h);
    if (generation < 2 && (h >> 8) % 2) {
        SET_TEXT(tag, "p%u.%u", place, generation + 1);
        set_processing_timer(ops, (int)timer->family, tag, generation + 1, mix64(h ^ 7));
    }
    if (event_family >= 0 && (h >> 9) % 2) {
        SET_TEXT(tag, "q%u.%u", place, generation);
        set_event_timer(function, &in, ops, event_family, tag, mix64(h ^ 8));
    }
}

/* What it writes and sets must be gone with the window. */
static void window_expired(const struct function *function, const struct keyed_timer *timer, struct operations *ops) {
    struct element in = {.window_start = timer->window_start, .window_end = timer->window_end};
    int family = family_of(function, false, 7);
    struct operation *op;

    add(ops, OP_MAP_KEYS);
    add(ops, OP_MAP_ENTRIES);
    for (unsigned i = 0; i < 4; i++) {
        char key[24];

        SET_TEXT(key, "k%u", i);
        read_map(ops, key, true);
    }
    read_map(ops, "t", false);
    read_list(ops, INT64_MIN, INT64_MAX);
    add_to_list(ops, 3, 3);
    op = add(ops, OP_MAP_APPEND);
    SET_TEXT(op->text, "left");
    if (family >= 0)
        set_event_timer(function, &in, ops, family, "a0", 5);
}

void keyed_timer_fired(const struct function *function, const struct keyed_timer *timer, struct operations *ret) {
    unsigned generation = (unsigned)(timer->hold - timer->window_start);
    uint64_t h = place_hash(function, timer->key, timer->window_start, timer->window_end);
    bool is_processing_time = function->families[timer->family].is_processing_time;

    h = mix64(h ^ hash_bytes(timer->tag, strlen(timer->tag)) ^ timer->family ^
              (is_processing_time ? 0 : mix64((uint64_t)timer->fire)) ^ mix64((uint64_t)timer->hold));
    *ret = (struct operations){.has_output = true, .hash = h};
    if (function->families[timer->family].is_expiration)
        window_expired(function, timer, ret);
    else if (is_processing_time)
        processing_timer_fired(function, timer, generation, h, ret);
    else
        event_timer_fired(function, timer, generation, h, ret);
}
