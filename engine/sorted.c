#include "engine/sorted.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "engine/due.h"

struct sorted_element {
    event_time timestamp;
    struct slice bytes; /* borrowed from the runs; in a stream a copy, on the account */
    uint64_t place;     /* of arrival */
};

struct sorted_key {
    struct due_node node; /* of its next element; first, so that it stands for the key */
    VEC(struct sorted_element) elements;
    size_t next;
    bool is_unsorted; /* from `next` on */
    uint64_t round;   /* the last one that gave elements of this key */
    size_t size;
    uint8_t bytes[];
};

struct sorted_input {
    const struct coder *coder;
    struct backlog loading; /* what is stored is brought in; then all is sorted */
    bool is_sorted;
    bool is_streaming;
    event_time limit;                  /* the last timestamp that may be given now */
    VEC(struct slice) bytes;           /* of the elements */
    struct map keys;                   /* key -> struct sorted_key; only those with elements left, and: */
    VEC(struct sorted_key *) finished; /* which gave their last in this round */
    VEC(struct sorted_key *) taken;    /* while elements are taken: keys that are out of by_time */
    struct due_heap by_time;           /* of keys with elements, once they are sorted */
    uint64_t places;
    uint64_t round;
    struct account *account;
    size_t charged; /* for what is known of the elements: as much as small elements take themselves */
};

static bool has_event_timers(const struct plan_stage *plan) {
    for (size_t i = 0; i < plan->timer_family_count; i++)
        if (!plan->timer_families[i].is_processing_time && !plan->timer_families[i].is_window_expiration)
            return true;
    return false;
}

static void sorted_key_free(void *value) {
    struct sorted_key *key = value;

    for (size_t i = key->next; i < key->elements.count; i++)
        slice_unref(&key->elements.items[i].bytes);
    vec_free(&key->elements);
    free(key);
}

bool sorted_is_pending(const struct key_shard *shard) {
    return shard->queue.count || shard->sorted;
}

static const struct sorted_element *next_element(const struct sorted_key *key) {
    return &key->elements.items[key->next];
}

/* Whether the key has an element that may be given now. */
static bool has_element(const struct sorted_input *sorted, const struct sorted_key *key) {
    return key->next < key->elements.count && next_element(key)->timestamp <= sorted->limit;
}

bool sorted_is_loading(const struct key_shard *shard) {
    return shard->sorted && !shard->sorted->is_sorted;
}

bool sorted_has_elements(const struct stage *stage, const struct key_shard *shard) {
    const struct due_node *first;

    if (!stage->plan->requires_time_sorted_input)
        return shard->queue.count;
    if (!shard->sorted || !shard->sorted->is_sorted)
        return false;
    first = due_first(&shard->sorted->by_time);
    return first && first->time <= shard->sorted->limit;
}

event_time sorted_hold(const struct key_shard *shard) {
    struct sorted_input *sorted = shard->sorted;
    const struct due_node *first;
    event_time least;

    if (!sorted)
        return TIME_MAX;
    first = due_first(&sorted->by_time);
    least = backlog_least(&sorted->loading);
    return first ? MIN(least, first->time) : least;
}

void sorted_clear(struct engine *engine, struct key_shard *shard) {
    struct sorted_input *sorted = shard->sorted;

    if (!sorted)
        return;
    backlog_clear(engine, &sorted->loading);
    vec_foreach (bytes, &sorted->bytes)
        slice_unref(bytes);
    vec_free(&sorted->bytes);
    map_clear(&sorted->keys, sorted_key_free);
    due_clear(&sorted->by_time);
    vec_free(&sorted->finished);
    vec_free(&sorted->taken);
    account_release(sorted->account, sorted->charged);
    free(sorted);
    shard->sorted = NULL;
}

/* ---- sorting ---- */

static int compare_elements(const void *left, const void *right) {
    const struct sorted_element *a = left, *b = right;

    if (a->timestamp != b->timestamp)
        return a->timestamp < b->timestamp ? -1 : 1;
    return a->place < b->place ? -1 : a->place > b->place;
}

static struct sorted_key *key_of(struct sorted_input *sorted, const uint8_t *bytes, size_t size) {
    void **slot = map_slot(&sorted->keys, bytes, size);
    struct sorted_key *key = *slot;

    if (key)
        return key;
    *slot = key = xcalloc(1, sizeof(*key) + size);
    key->size = size;
    if (size)
        memcpy(key->bytes, bytes, size);
    return key;
}

static void charge(struct sorted_input *sorted, uint64_t elements) {
    size_t size = elements * sizeof(struct sorted_element);

    account_charge(sorted->account, size);
    sorted->charged += size;
}

static void release(struct sorted_input *sorted, uint64_t elements) {
    size_t size = elements * sizeof(struct sorted_element);

    account_release(sorted->account, size);
    sorted->charged -= size;
}

/* In a stream: most come in order, or nearly. */
static void insert(struct sorted_input *sorted, struct sorted_key *key, struct sorted_element element) {
    struct sorted_element *items;
    size_t at = key->elements.count;

    element.bytes = slice_copy(element.bytes.data, element.bytes.size, sorted->account);
    vec_push(&key->elements, element);
    items = key->elements.items;
    for (; at > key->next && items[at - 1].timestamp > element.timestamp; at--)
        items[at] = items[at - 1];
    items[at] = element;
    due_set(&sorted->by_time, &key->node, next_element(key)->timestamp);
}

static void index_run(struct sorted_input *sorted, const struct run *run) {
    struct cursor at = cursor_of(run->bytes.data, run->bytes.size);

    charge(sorted, run->count);
    if (!sorted->is_streaming)
        vec_push(&sorted->bytes, slice_ref(run->bytes));
    while (cursor_left(&at)) {
        const uint8_t *begin = at.at;
        struct sorted_element element = {.place = sorted->places++};
        struct windowed_value value;
        struct sorted_key *key;
        struct cursor rest;
        enum coder_result result = windowed_value_read(sorted->coder, &at, &value);

        assert(result == CODER_OK);
        rest = value.value;
        result = coder_skip(sorted->coder->components[0]->components[0], &rest);
        assert(result == CODER_OK);
        (void)result;
        key = key_of(sorted, value.value.at, (size_t)(rest.at - value.value.at));
        element.timestamp = value.timestamp;
        element.bytes = slice_of_static(begin, (size_t)(at.at - begin));
        if (sorted->is_streaming) {
            insert(sorted, key, element);
            continue;
        }
        key->is_unsorted |= key->next < key->elements.count && vec_last(&key->elements)->timestamp > element.timestamp;
        vec_push(&key->elements, element);
    }
}

static void sort_if_complete(struct sorted_input *sorted) {
    sorted->is_sorted = backlog_is_empty(&sorted->loading);
    if (!sorted->is_sorted || sorted->is_streaming)
        return;
    map_foreach (entry, &sorted->keys) {
        struct sorted_key *key = entry->value;

        if (key->is_unsorted)
            qsort(key->elements.items + key->next, key->elements.count - key->next, sizeof(*key->elements.items),
                  compare_elements);
        key->is_unsorted = false;
        due_set(&sorted->by_time, &key->node, next_element(key)->timestamp);
    }
}

static void absorb(struct engine *engine, void *owner, struct input_item *item) {
    (void)engine;
    index_run(owner, &item->run);
    sort_if_complete(owner);
}

/* The shard's elements leave the queue, those that are stored one item after the other. The order in which they came is lost with that, and
 * ties are free. */
static void take_queue(struct engine *engine, struct key_shard *shard) {
    struct sorted_input *sorted = shard->sorted;
    struct input_item item;

    while (input_queue_pop(&shard->queue, &item)) {
        assert(!item.partition && !item.bucket); /* elements are routed by key as runs */
        if (item.run.extent) {
            backlog_push(engine, &sorted->loading, item);
        } else {
            index_run(sorted, &item.run);
            input_item_clear(&item);
        }
    }
    sort_if_complete(sorted);
}

static void begin(struct engine *engine, const struct stage *stage, struct key_shard *shard) {
    struct sorted_input *sorted = shard->sorted = xcalloc(1, sizeof(*sorted));

    sorted->coder = stage_source_coder(engine, stage);
    sorted->account = engine->options.account;
    sorted->loading.absorb = absorb;
    sorted->loading.owner = sorted;
    sorted->is_streaming = stage_is_streaming(stage);
    sorted->limit = TIME_MAX;
    take_queue(engine, shard);
}

void sorted_take_arrived(struct engine *engine, struct stage *stage) {
    for (unsigned i = 0; stage->shards && i < engine->options.key_shards; i++) {
        struct key_shard *shard = &stage->shards[i];

        if (!shard->sorted && shard->queue.count)
            begin(engine, stage, shard);
        else if (shard->queue.count)
            take_queue(engine, shard);
    }
}

static void set_limits(const struct engine *engine, struct stage *stage) {
    event_time limit = stage_event_clock(engine, stage);

    for (unsigned i = 0; i < engine->options.key_shards; i++)
        if (stage->shards[i].sorted)
            stage->shards[i].sorted->limit = limit;
}

void sorted_prepare(struct engine *engine, struct stage *stage, unsigned at_once) {
    unsigned count = 0;

    if (!stage->plan->requires_time_sorted_input || !stage->shards)
        return;
    if (stage_is_streaming(stage)) {
        set_limits(engine, stage);
        return;
    }
    if (!stage_inputs_are_done(engine, stage))
        return;
    for (unsigned i = 0; i < engine->options.key_shards; i++)
        count += stage->shards[i].sorted != NULL;
    for (unsigned i = 0; i < engine->options.key_shards && count < at_once; i++) {
        struct key_shard *shard = &stage->shards[i];

        if (shard->sorted || !shard->queue.count)
            continue;
        begin(engine, stage, shard);
        count++;
    }
}

/* ---- taking ---- */

event_time sorted_timer_limit(void *shard, struct slice key) {
    const struct sorted_input *sorted = ((const struct key_shard *)shard)->sorted;
    const struct sorted_key *found = sorted ? map_get(&sorted->keys, key.data, key.size) : NULL;

    if (!found)
        return TIME_MAX;
    if (found->round == sorted->round)
        return TIMER_NOT_NOW;
    return found->next < found->elements.count ? time_add(next_element(found)->timestamp, -1) : TIME_MAX;
}

/* In a stream a key may never be without elements. */
static void drop_given(struct sorted_key *key) {
    if (key->next < key->elements.count / 2)
        return;
    key->elements.count -= key->next;
    memmove(key->elements.items, key->elements.items + key->next, key->elements.count * sizeof(*key->elements.items));
    key->next = 0;
}

/* The key's next elements: those of one time, or as many as there is room for. */
static void take_key(struct sorted_input *sorted, struct sorted_key *key, bool by_time, size_t room, struct buf *out,
                     uint64_t *count) {
    event_time time = next_element(key)->timestamp;
    uint64_t before = *count;

    do {
        struct sorted_element *element = &key->elements.items[key->next++];

        buf_add(out, element->bytes.data, element->bytes.size);
        slice_unref(&element->bytes);
        ++*count;
    } while (has_element(sorted, key) && (by_time ? next_element(key)->timestamp == time : out->size < room));
    key->round = sorted->round;
    if (sorted->is_streaming) {
        release(sorted, *count - before);
        drop_given(key);
    }
}

void sorted_drop_finished(struct engine *engine, struct key_shard *shard) {
    struct sorted_input *sorted = shard->sorted;

    if (!sorted)
        return;
    vec_foreach (key, &sorted->finished)
        sorted_key_free(map_remove(&sorted->keys, (*key)->bytes, (*key)->size));
    sorted->finished.count = 0;
    if (!sorted->keys.count && sorted->is_sorted)
        sorted_clear(engine, shard);
}

/* Each of the keys that is out of the order of time was looked at in this round. */
static void put_back(struct sorted_input *sorted) {
    vec_foreach (key, &sorted->taken)
        if ((*key)->next < (*key)->elements.count)
            due_set(&sorted->by_time, &(*key)->node, next_element(*key)->timestamp);
        else
            vec_push(&sorted->finished, *key);
    sorted->taken.count = 0;
}

void sorted_take(struct engine *engine, struct stage *stage, struct key_shard *shard, struct claim *claim,
                 size_t max_bytes) {
    bool by_time = has_event_timers(stage->plan);
    size_t room = max_bytes > claim->bytes ? max_bytes - claim->bytes : 1;
    struct buf out = {.account = engine->options.account};
    struct sorted_input *sorted = shard->sorted;
    event_time least = TIME_MAX;
    struct run run = {0};

    if (sorted)
        sorted->round++;
    while (sorted_has_elements(stage, shard) && out.size < room) {
        struct sorted_key *key = (struct sorted_key *)due_first(&sorted->by_time);
        event_time time = key->node.time;

        due_remove(&sorted->by_time, &key->node);
        vec_push(&sorted->taken, key);
        if (by_time &&
            timer_set_earliest_of(&shard->timers, slice_of_static(key->bytes, key->size), TIMER_EVENT_TIME) < time)
            continue;
        least = MIN(least, time);
        take_key(sorted, key, by_time, room, &out, &run.count);
    }
    if (sorted)
        put_back(sorted);
    if (run.count == 0) {
        buf_clear(&out);
        return;
    }
    run.bytes = buf_finish(&out);
    claim_add(claim, (struct input_item){.run = run, .least_ms = least});
}
