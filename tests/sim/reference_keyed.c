/* State and timers of a TIMED stage as arrays: one key after another, its elements, then its timers, then its windows' ends. */
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "keyed.h"
#include "random.h"
#include "reference.h"

struct list_entry {
    int64_t sort_key;
    char value[24];
};

struct map_value {
    char key[24];
    char value[24];
};

/* What a key has in one window. */
struct key_window {
    event_time start, end;
    unsigned places;
    bool has_fired;            /* a timer */
    VEC(struct map_value) map; /* in order of arrival */
    VEC(struct list_entry) list;
};

struct key_state {
    const struct function *function;
    struct slice key;
    VEC(struct key_window *) windows;
    VEC(struct keyed_timer) timers;
    VEC(struct keyed_timer) firing; /* together */
    emit_fn emit;
    void *user;
};

static struct key_window *window_for(struct key_state *key, event_time start, event_time end) {
    struct key_window *window;

    vec_foreach (other, &key->windows)
        if ((*other)->start == start && (*other)->end == end)
            return *other;
    window = xcalloc(1, sizeof(*window));
    window->start = start;
    window->end = end;
    vec_push(&key->windows, window);
    return window;
}

/* ---- state ---- */

static void map_drop(struct key_window *window, const char *map_key) {
    size_t kept = 0;

    vec_foreach (value, &window->map)
        if (map_key && strcmp(value->key, map_key) != 0)
            window->map.items[kept++] = *value;
    window->map.count = kept;
}

static uint64_t read_map(const struct key_window *window, const struct operation *op) {
    uint64_t hash = 0;

    vec_foreach (value, &window->map)
        if (strcmp(value->key, op->text) == 0)
            hash = keyed_add_item(op, hash, cursor_of(value->value, strlen(value->value)));
    return hash;
}

static uint64_t read_map_keys(const struct key_window *window, const struct operation *op) {
    uint64_t hash = 0;

    for (size_t i = 0; i < window->map.count; i++) {
        const char *key = window->map.items[i].key;
        bool is_first = true;

        for (size_t j = 0; j < i; j++)
            is_first &= strcmp(window->map.items[j].key, key) != 0;
        if (is_first)
            hash = keyed_add_item(op, hash, cursor_of(key, strlen(key)));
    }
    return hash;
}

/* Each key with its values, in any order: what timers of one time append has none. */
static uint64_t read_map_entries(const struct key_window *window) {
    uint64_t hash = 0;

    for (size_t i = 0; i < window->map.count; i++) {
        const char *key = window->map.items[i].key;
        uint64_t entry = mix64(hash_bytes(key, strlen(key)));
        bool is_first = true;

        for (size_t j = 0; j < window->map.count; j++) {
            const struct map_value *value = &window->map.items[j];

            if (strcmp(value->key, key) != 0)
                continue;
            is_first &= j >= i;
            entry += mix64(hash_bytes(value->value, strlen(value->value)));
        }
        if (is_first)
            hash += mix64(entry);
    }
    return hash;
}

static void list_add(struct key_window *window, const struct operation *op) {
    struct list_entry entry = {.sort_key = op->start};
    size_t i = window->list.count;

    memcpy(entry.value, op->value, sizeof(entry.value));
    vec_push(&window->list, entry);
    for (; i > 0 && window->list.items[i - 1].sort_key > op->start; i--)
        window->list.items[i] = window->list.items[i - 1];
    window->list.items[i] = entry;
}

static void list_drop(struct key_window *window, int64_t start, int64_t end) {
    size_t kept = 0;

    vec_foreach (entry, &window->list)
        if (entry->sort_key < start || entry->sort_key >= end)
            window->list.items[kept++] = *entry;
    window->list.count = kept;
}

static uint64_t read_list(const struct key_window *window, const struct operation *op) {
    uint64_t hash = 0;

    vec_foreach (entry, &window->list)
        if (entry->sort_key >= op->start && entry->sort_key < op->end)
            hash = keyed_add_item(op, hash, cursor_of(entry->value, strlen(entry->value)));
    return hash;
}

/* ---- timers ---- */

static void drop_timer(struct key_state *key, const struct operation *op, event_time start, event_time end) {
    size_t kept = 0;

    vec_foreach (timer, &key->timers)
        if (timer->family != op->family || strcmp(timer->tag, op->text) != 0 || timer->window_start != start ||
            timer->window_end != end)
            key->timers.items[kept++] = *timer;
    key->timers.count = kept;
}

/* Behind the last time of the window, by what fires there. */
static bool is_set_at_the_end(const struct key_state *key, const struct keyed_timer *timer) {
    event_time last = keyed_last_time(key->function, timer->window_end);

    if (key->function->families[timer->family].is_processing_time || time_add(timer->fire, 0) <= last)
        return false;
    vec_foreach (firing, &key->firing)
        if (!key->function->families[firing->family].is_processing_time &&
            firing->window_start == timer->window_start && firing->window_end == timer->window_end &&
            keyed_due(key->function, firing) >= last)
            return true;
    return false;
}

/* One timer for each window; a set replaces. */
static void write_timer(struct key_state *key, const struct key_window *window, const struct operation *op) {
    for (unsigned i = 0; i < op->windows; i++) {
        int64_t shift = i * key->function->window_ms;
        struct keyed_timer timer = {.family = op->family,
                                    .fire = op->fire,
                                    .hold = window->start + op->generation,
                                    .window_start = window->start + shift,
                                    .window_end = window->end + shift,
                                    .key = key->key};

        drop_timer(key, op, timer.window_start, timer.window_end);
        memcpy(timer.tag, op->text, sizeof(op->text));
        if (op->kind == OP_SET_TIMER && !is_set_at_the_end(key, &timer))
            vec_push(&key->timers, timer);
    }
}

/* ---- elements and firings ---- */

static void run(struct key_state *key, struct key_window *window, const struct element *in,
                const struct operations *ops, unsigned place) {
    uint64_t hash = ops->hash;

    for (unsigned i = 0; i < ops->count; i++) {
        const struct operation *op = &ops->all[i];
        struct map_value value;

        switch (op->kind) {
        case OP_MAP_APPEND:
            memcpy(value.key, op->text, sizeof(value.key));
            memcpy(value.value, op->value, sizeof(value.value));
            vec_push(&window->map, value);
            break;
        case OP_MAP_CLEAR:
            map_drop(window, op->text);
            break;
        case OP_MAP_CLEAR_ALL:
            map_drop(window, NULL);
            break;
        case OP_MAP_GET:
            hash = keyed_add_read(hash, read_map(window, op));
            break;
        case OP_MAP_KEYS:
            hash = keyed_add_read(hash, read_map_keys(window, op));
            break;
        case OP_MAP_ENTRIES:
            hash = keyed_add_read(hash, read_map_entries(window));
            break;
        case OP_LIST_APPEND:
            list_add(window, op);
            break;
        case OP_LIST_CLEAR:
            list_drop(window, op->start, op->end);
            break;
        case OP_LIST_GET:
            hash = keyed_add_read(hash, read_list(window, op));
            break;
        case OP_SET_TIMER:
        case OP_CLEAR_TIMER:
            write_timer(key, window, op);
            break;
        }
    }
    if (ops->has_output)
        function_apply(key->function, in, hash, place, key->emit, key->user);
}

static void fire(struct key_state *key, const struct keyed_timer *timer) {
    struct element in = {.window_start = timer->window_start, .window_end = timer->window_end, .value = key->key};
    struct operations ops;

    struct key_window *window = window_for(key, timer->window_start, timer->window_end);

    keyed_timer_fired(key->function, timer, &ops);
    window->has_fired = true;
    run(key, window, &in, &ops, 0);
}

/* Takes the next out of those pending and fires it: event time before processing time, the earliest first. Timers of one time are all
 * taken before any of them is fired. Only event-time timers before `until` when more is to come. */
static bool fire_next(struct key_state *key, event_time until, bool is_end) {
    const struct function *function = key->function;
    event_time first = INT64_MAX;
    size_t kept = 0;
    bool any, is_event_time = false;

    vec_foreach (timer, &key->timers)
        if (!function->families[timer->family].is_processing_time) {
            first = MIN(first, keyed_due(function, timer));
            is_event_time = true;
        }
    if (!is_end && !(is_event_time && first < until))
        return false;
    vec_foreach (timer, &key->timers) {
        bool is_processing_time = function->families[timer->family].is_processing_time;

        if (is_event_time ? !is_processing_time && keyed_due(function, timer) == first : key->firing.count == 0)
            vec_push(&key->firing, *timer);
        else
            key->timers.items[kept++] = *timer;
    }
    any = key->timers.count > 0;
    key->timers.count = kept;
    vec_foreach (timer, &key->firing)
        fire(key, timer);
    key->firing.count = 0;
    return any;
}

static void expire(struct key_state *key) {
    for (unsigned family = 0; family < key->function->family_count; family++) {
        if (!key->function->families[family].is_expiration)
            continue;
        for (size_t i = 0; i < key->windows.count; i++) {
            const struct key_window *window = key->windows.items[i];
            event_time end = keyed_window_max(window->end);
            struct keyed_timer timer = {.family = family,
                                        .fire = end,
                                        .hold = end,
                                        .window_start = window->start,
                                        .window_end = window->end,
                                        .key = key->key};

            if (window->places || window->has_fired)
                fire(key, &timer);
        }
    }
}

static bool has_key(const struct element *element, struct slice key) {
    struct cursor own = kv_key(element->value);

    return cursor_left(&own) == key.size && memcmp(own.at, key.data, key.size) == 0;
}

static void run_element(struct key_state *key, const struct element *in) {
    struct key_window *window = window_for(key, in->window_start, in->window_end);
    struct operations ops;

    keyed_element(key->function, in, window->places, &ops);
    run(key, window, in, &ops, window->places++);
}

static int compare_times(const void *left, const void *right) {
    const struct element *a = *(const struct element *const *)left, *b = *(const struct element *const *)right;

    if (a->timestamp != b->timestamp)
        return a->timestamp < b->timestamp ? -1 : 1;
    return a < b ? -1 : a > b;
}

static void run_key(struct key_state *key, const struct element_list *input, size_t first, bool *is_taken) {
    VEC(const struct element *) elements = {0};

    for (size_t i = first; i < input->all.count; i++) {
        if (!has_key(&input->all.items[i], key->key))
            continue;
        is_taken[i] = true;
        vec_push(&elements, &input->all.items[i]);
    }
    if (key->function->is_sorted)
        qsort(elements.items, elements.count, sizeof(*elements.items), compare_times);
    vec_foreach (element, &elements) {
        bool is_later = element > elements.items && element[0]->timestamp > element[-1]->timestamp;

        while (key->function->is_sorted && is_later && fire_next(key, element[0]->timestamp, false))
            ;
        run_element(key, *element);
    }
    vec_free(&elements);
    while (fire_next(key, 0, true))
        ;
    expire(key);
}

void reference_keyed(const struct function *function, const struct element_list *input, emit_fn emit, void *user) {
    bool *is_taken = xcalloc(input->all.count + 1, sizeof(*is_taken));

    for (size_t i = 0; i < input->all.count; i++) {
        struct cursor own = kv_key(input->all.items[i].value);
        struct key_state key = {.function = function, .emit = emit, .user = user};

        if (is_taken[i])
            continue;
        key.key = slice_of_static(own.at, cursor_left(&own));
        run_key(&key, input, i, is_taken);
        vec_foreach (window, &key.windows) {
            vec_free(&(*window)->map);
            vec_free(&(*window)->list);
            free(*window);
        }
        vec_free(&key.windows);
        vec_free(&key.timers);
        vec_free(&key.firing);
    }
    free(is_taken);
}
