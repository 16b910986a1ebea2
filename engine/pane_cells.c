#include "engine/pane_cells.h"

#include <assert.h>
#include <string.h>

#include "base/map.h"

enum { TABLE_MIN = 64, CHUNK_MIN = 48, CHUNK_MAX = 16 << 10 };

/* ---- keys of cells, where windows merge ---- */

static bool should_shrink(size_t count, size_t size) {
    return size > TABLE_MIN && count * 8 < size;
}

static void resize_keys(struct pane_group *group, size_t size) {
    struct pane_key **table = xcalloc(size, sizeof(*table));

    for (size_t i = 0; i < group->keys_size; i++)
        for (struct pane_key *key = group->keys[i], *next; key; key = next) {
            next = key->next;
            key->next = table[key->hash & (size - 1)];
            table[key->hash & (size - 1)] = key;
        }
    account_charge(group->account, size * sizeof(*table));
    account_release(group->account, group->keys_size * sizeof(*table));
    free(group->keys);
    group->keys = table;
    group->keys_size = size;
}

struct pane_key *pane_key_of(struct pane_group *group, uint64_t hash, struct cursor bytes) {
    size_t size = cursor_left(&bytes);
    struct pane_key *key, **bucket;

    if (group->key_count == group->keys_size)
        resize_keys(group, MAX((size_t)TABLE_MIN, group->keys_size * 2));
    bucket = &group->keys[hash & (group->keys_size - 1)];
    for (key = *bucket; key; key = key->next)
        if (key->hash == hash && key->size == size && (size == 0 || memcmp(key->bytes, bytes.at, size) == 0))
            return key;
    key = xmalloc(sizeof(*key) + size);
    *key = (struct pane_key){.next = *bucket, .hash = hash, .size = (uint32_t)size};
    list_init(&key->cells);
    if (size)
        memcpy(key->bytes, bytes.at, size);
    account_charge(group->account, sizeof(*key) + size);
    *bucket = key;
    group->key_count++;
    return key;
}

static void key_free(struct pane_group *group, struct pane_key *key) {
    struct pane_key **place = &group->keys[key->hash & (group->keys_size - 1)];

    while (*place != key)
        place = &(*place)->next;
    *place = key->next;
    group->key_count--;
    account_release(group->account, sizeof(*key) + key->size);
    free(key);
    if (should_shrink(group->key_count, group->keys_size))
        resize_keys(group, group->keys_size / 4);
}

void pane_key_unref(struct pane_group *group, struct pane_key *key) {
    if (--key->cell_count == 0)
        key_free(group, key);
}

/* ---- cells ---- */

static void resize_table(struct pane_group *group, size_t size) {
    struct pane_cell **table = xcalloc(size, sizeof(*table));

    for (size_t i = 0; i < group->table_size; i++)
        for (struct pane_cell *cell = group->table[i], *next; cell; cell = next) {
            next = cell->next;
            cell->next = table[cell->hash & (size - 1)];
            table[cell->hash & (size - 1)] = cell;
        }
    account_charge(group->account, size * sizeof(*table));
    account_release(group->account, group->table_size * sizeof(*table));
    free(group->table);
    group->table = table;
    group->table_size = size;
}

static bool cell_is(const struct pane_cell *cell, uint64_t hash, struct cursor key, struct cursor window) {
    return cell->hash == hash && cell->key_size == cursor_left(&key) && cell->window_size == cursor_left(&window) &&
           (cell->key_size == 0 || memcmp(cell->key, key.at, cell->key_size) == 0) &&
           (cell->window_size == 0 || memcmp(cell->window, window.at, cell->window_size) == 0);
}

static size_t cell_size(const struct pane_group *group, size_t key_size, size_t window_size) {
    return sizeof(struct pane_cell) + group->trigger->words * sizeof(int64_t) + window_size +
           (group->is_merging ? 0 : key_size);
}

size_t pane_cell_bytes(const struct pane_group *group, const struct pane_cell *cell) {
    return cell_size(group, cell->key_size, cell->window_size);
}

static struct pane_cell *make_cell(struct pane_group *group, uint64_t hash, uint64_t key_hash, struct cursor key,
                                   struct cursor window, event_time window_end) {
    size_t size = cell_size(group, cursor_left(&key), cursor_left(&window));
    struct pane_cell *cell = xmalloc(size);
    uint8_t *bytes = (uint8_t *)(cell->trigger + group->trigger->words);

    *cell = (struct pane_cell){
        .hash = hash,
        .number = group->next_number++,
        .window = bytes,
        .key_size = (uint32_t)cursor_left(&key),
        .window_size = (uint32_t)cursor_left(&window),
        .window_end = window_end,
        .element_hold = NO_HOLD,
        .extra_hold = NO_HOLD,
        .held = NO_HOLD,
        .state = CELL_NEW,
    };
    trigger_start(group->trigger, cell->trigger);
    if (cell->window_size)
        memcpy(bytes, window.at, cell->window_size);
    list_init(&cell->node);
    if (group->is_merging) {
        cell->of_key = pane_key_of(group, key_hash, key);
        cell->key = cell->of_key->bytes;
        cell->of_key->cell_count++;
        list_append(&cell->of_key->cells, &cell->node);
    } else {
        cell->key = bytes + cell->window_size;
        if (cell->key_size)
            memcpy(bytes + cell->window_size, key.at, cell->key_size);
    }
    account_charge(group->account, size);
    return cell;
}

void pane_cells_init(struct pane_group *group) {
    resize_table(group, TABLE_MIN);
}

struct pane_cell *pane_cell_of(struct pane_group *group, uint64_t key_hash, uint64_t hash, struct cursor key,
                               struct cursor window, event_time window_end) {
    struct pane_cell *cell, **bucket;

    if (group->cell_count == group->table_size)
        resize_table(group, group->table_size * 2);
    bucket = pane_cell_bucket(group, hash);
    for (cell = *bucket; cell; cell = cell->next)
        if (cell_is(cell, hash, key, window))
            return cell;
    cell = make_cell(group, hash, key_hash, key, window, window_end);
    cell->next = *bucket;
    *bucket = cell;
    group->cell_count++;
    return cell;
}

void pane_cell_set_state(struct pane_group *group, struct pane_cell *cell, enum cell_state state) {
    group->open_count += (state == CELL_OPEN) - (cell->state == CELL_OPEN);
    cell->state = state;
}

void pane_cell_remove(struct pane_group *group, struct pane_cell *cell) {
    struct pane_cell **place = pane_cell_bucket(group, cell->hash);

    while (*place != cell)
        place = &(*place)->next;
    *place = cell->next;
    group->cell_count--;
    if (should_shrink(group->cell_count, group->table_size))
        resize_table(group, group->table_size / 4);
    for (int i = 0; i < PANE_TIMERS; i++)
        pane_timer_set(group, (enum pane_timer)i, cell, TIME_MAX);
    cell->element_hold = cell->extra_hold = NO_HOLD;
    pane_cell_hold(group, cell);
    pane_values_clear(&cell->values, group->account);
    list_remove(&cell->node);
}

void pane_cell_free(struct pane_group *group, struct pane_cell *cell) {
    struct pane_key *key = cell->of_key;

    account_release(group->account, pane_cell_bytes(group, cell));
    free(cell);
    if (key)
        pane_key_unref(group, key);
}

/* ---- values ---- */

void pane_values_add(struct pane_values *values, struct account *account, struct cursor value) {
    size_t size = cursor_left(&value);
    struct group_chunk *chunk = values->last;

    if (!chunk || chunk->capacity - chunk->size < size) {
        size_t capacity = chunk ? MIN((size_t)chunk->capacity * 2, (size_t)CHUNK_MAX) : 0;

        capacity = MAX(MAX(capacity, size), (size_t)CHUNK_MIN - sizeof(*chunk));
        chunk = xmalloc(sizeof(*chunk) + capacity);
        *chunk = (struct group_chunk){.capacity = (uint32_t)capacity};
        account_charge(account, sizeof(*chunk) + capacity);
        if (values->last)
            values->last->next = chunk;
        else
            values->first = chunk;
        values->last = chunk;
    }
    if (size)
        memcpy(chunk->bytes + chunk->size, value.at, size);
    chunk->size += (uint32_t)size;
    values->bytes += size;
    values->count++;
}

void pane_values_join(struct pane_values *into, struct pane_values *from) {
    if (!from->first)
        return;
    if (into->last)
        into->last->next = from->first;
    else
        into->first = from->first;
    into->last = from->last;
    into->count += from->count;
    into->bytes += from->bytes;
    *from = (struct pane_values){0};
}

void pane_values_clear(struct pane_values *values, struct account *account) {
    for (struct group_chunk *chunk = values->first, *next; chunk; chunk = next) {
        next = chunk->next;
        account_release(account, sizeof(*chunk) + chunk->capacity);
        free(chunk);
    }
    *values = (struct pane_values){0};
}

/* ---- timers ---- */

static bool is_before(const struct pane_timer_entry *a, const struct pane_timer_entry *b) {
    return a->time != b->time ? a->time < b->time : a->number < b->number;
}

static void place_entry(pane_timer_heap *heap, enum pane_timer which, size_t at, struct pane_timer_entry entry) {
    heap->items[at] = entry;
    entry.cell->timer_places[which] = at + 1;
}

/* Puts `entry` where it belongs, beginning at the free place `at`. */
static void settle(pane_timer_heap *heap, enum pane_timer which, size_t at, struct pane_timer_entry entry) {
    size_t child;

    for (; at > 0 && is_before(&entry, &heap->items[(at - 1) / 2]); at = (at - 1) / 2)
        place_entry(heap, which, at, heap->items[(at - 1) / 2]);
    while ((child = 2 * at + 1) < heap->count) {
        if (child + 1 < heap->count && is_before(&heap->items[child + 1], &heap->items[child]))
            child++;
        if (!is_before(&heap->items[child], &entry))
            break;
        place_entry(heap, which, at, heap->items[child]);
        at = child;
    }
    place_entry(heap, which, at, entry);
}

static void push_entry(struct pane_group *group, enum pane_timer which, struct pane_timer_entry entry) {
    pane_timer_heap *heap = &group->timers[which];
    size_t capacity = heap->capacity;

    vec_push(heap, entry);
    account_charge(group->account, (heap->capacity - capacity) * sizeof(entry));
    settle(heap, which, heap->count - 1, entry);
}

static void remove_entry(pane_timer_heap *heap, enum pane_timer which, size_t at) {
    struct pane_timer_entry last = heap->items[--heap->count];

    heap->items[at].cell->timer_places[which] = 0;
    if (at < heap->count)
        settle(heap, which, at, last);
}

void pane_timer_set(struct pane_group *group, enum pane_timer which, struct pane_cell *cell, event_time time) {
    pane_timer_heap *heap = &group->timers[which];
    struct pane_timer_entry entry = {time, cell->number, cell};
    size_t place = cell->timer_places[which];

    if (!place) {
        if (time != TIME_MAX)
            push_entry(group, which, entry);
    } else if (time == TIME_MAX) {
        remove_entry(heap, which, place - 1);
    } else if (time != heap->items[place - 1].time) {
        settle(heap, which, place - 1, entry);
    }
}

event_time pane_gc_time(const struct windowing *windowing, event_time window_end) {
    return MIN(time_add(window_end, windowing->allowed_lateness_ms), TIME_GLOBAL_WINDOW_END);
}

void pane_await_end(struct pane_group *group, struct pane_cell *cell, const struct pane_clock *clock) {
    event_time gc = pane_gc_time(group->windowing, cell->window_end);

    if (!cell->timer_places[PANE_EVENT_TIMER])
        pane_timer_set(group, PANE_EVENT_TIMER, cell,
                       cell->window_end >= clock->input_watermark ? MIN(cell->window_end, gc) : gc);
}

void pane_await_processing_time(struct pane_group *group, struct pane_cell *cell, const struct pane_clock *clock) {
    struct trigger_clock trigger_clock = {cell->window_end, clock->input_watermark, clock->processing_time};
    event_time next = TIME_MAX;

    if (cell->state == CELL_OPEN)
        next = trigger_next_time(group->trigger, cell->trigger, &trigger_clock);
    pane_timer_set(group, PANE_PROCESSING_TIMER, cell, next);
}

/* ---- holds ---- */

void pane_cell_hold(struct pane_group *group, struct pane_cell *cell) {
    event_time hold = MIN(cell->element_hold, cell->extra_hold);

    if (hold == cell->held)
        return;
    if (cell->held != NO_HOLD)
        holds_remove(&group->holds, cell->held);
    if (hold != NO_HOLD)
        holds_add(&group->holds, hold);
    cell->held = hold;
}

bool pane_add_element_hold(const struct pane_group *group, struct pane_cell *cell, event_time timestamp,
                           const struct pane_clock *clock) {
    event_time hold = group_combine_timestamps(group->windowing, timestamp, timestamp, cell->window_end);

    if (hold < clock->output_watermark || cell->window_end < clock->input_watermark)
        return false;
    if (cell->element_hold != NO_HOLD)
        hold = group_combine_timestamps(group->windowing, cell->element_hold, hold, cell->window_end);
    cell->element_hold = hold;
    return true;
}

void pane_add_gc_hold(const struct pane_group *group, struct pane_cell *cell, const struct pane_clock *clock) {
    event_time gc = pane_gc_time(group->windowing, cell->window_end);

    if (gc >= clock->input_watermark)
        cell->extra_hold = MIN(cell->extra_hold, MIN(gc, TIME_MAX - 1));
}
