#include "engine/sorted.h"

#include <assert.h>
#include <stdlib.h>

struct sorted_element {
    event_time timestamp;
    struct slice bytes; /* borrowed from the runs; in a stream a copy, on the account */
    uint64_t place;     /* of arrival */
};

struct sorted_key {
    VEC(struct sorted_element) elements;
    size_t next;
    bool is_unsorted; /* from `next` on */
    uint64_t round;   /* the last one that gave elements of this key */
};

struct sorted_input {
    const struct coder *coder;
    struct backlog loading; /* what is stored is brought in; then all is sorted */
    bool is_sorted;
    bool is_streaming;
    event_time limit;        /* the last timestamp that may be given now */
    VEC(struct slice) bytes; /* of the elements */
    struct map keys;         /* key -> struct sorted_key; only those with elements left */
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

/* Whether the key has an element that may be given now. */
static bool has_element(const struct sorted_input *sorted, const struct sorted_key *key) {
    return key->next < key->elements.count && key->elements.items[key->next].timestamp <= sorted->limit;
}

bool sorted_has_elements(const struct stage *stage, const struct key_shard *shard) {
    if (!stage->plan->requires_time_sorted_input)
        return shard->queue.count;
    if (!shard->sorted || !shard->sorted->is_sorted)
        return false;
    map_foreach (entry, &shard->sorted->keys)
        if (has_element(shard->sorted, entry->value))
            return true;
    return false;
}

event_time sorted_hold(const struct key_shard *shard) {
    event_time least = TIME_MAX;

    if (shard->sorted)
        map_foreach (entry, &shard->sorted->keys) {
            const struct sorted_key *key = entry->value;

            if (key->next < key->elements.count)
                least = MIN(least, key->elements.items[key->next].timestamp);
        }
    return least;
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

static void index_run(struct sorted_input *sorted, const struct run *run) {
    struct cursor at = cursor_of(run->bytes.data, run->bytes.size);
    size_t charge = run->count * sizeof(struct sorted_element);

    if (!sorted->is_streaming) {
        account_charge(sorted->account, charge);
        sorted->charged += charge;
        vec_push(&sorted->bytes, slice_ref(run->bytes));
    }
    while (cursor_left(&at)) {
        const uint8_t *begin = at.at;
        struct sorted_element element = {.place = sorted->places++};
        struct windowed_value value;
        struct sorted_key *key;
        struct cursor rest;
        enum coder_result result = windowed_value_read(sorted->coder, &at, &value);
        void **slot;

        assert(result == CODER_OK);
        rest = value.value;
        result = coder_skip(sorted->coder->components[0]->components[0], &rest);
        assert(result == CODER_OK);
        (void)result;
        slot = map_slot(&sorted->keys, value.value.at, (size_t)(rest.at - value.value.at));
        if (!*slot)
            *slot = xcalloc(1, sizeof(struct sorted_key));
        key = *slot;
        element.timestamp = value.timestamp;
        element.bytes = sorted->is_streaming ? slice_copy(begin, (size_t)(at.at - begin), sorted->account)
                                             : slice_of_static(begin, (size_t)(at.at - begin));
        key->is_unsorted |= key->next < key->elements.count && vec_last(&key->elements)->timestamp > element.timestamp;
        vec_push(&key->elements, element);
    }
}

static void sort_if_complete(struct sorted_input *sorted) {
    if (!backlog_is_empty(&sorted->loading))
        return;
    map_foreach (entry, &sorted->keys) {
        struct sorted_key *key = entry->value;

        if (key->is_unsorted)
            qsort(key->elements.items + key->next, key->elements.count - key->next, sizeof(*key->elements.items),
                  compare_elements);
        key->is_unsorted = false;
    }
    sorted->is_sorted = true;
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

/* In a stream. */
static void take_arrived(struct engine *engine, struct stage *stage) {
    event_time watermark = stage->in_watermark;
    event_time limit = watermark == TIME_MAX ? TIME_MAX : time_add(watermark, -stage_allowed_lateness(engine, stage));

    for (unsigned i = 0; i < engine->options.key_shards; i++) {
        struct key_shard *shard = &stage->shards[i];

        if (!shard->sorted && shard->queue.count)
            begin(engine, stage, shard);
        else if (shard->queue.count)
            take_queue(engine, shard);
        if (shard->sorted)
            shard->sorted->limit = limit;
    }
}

void sorted_prepare(struct engine *engine, struct stage *stage, unsigned at_once) {
    unsigned count = 0;

    if (!stage->plan->requires_time_sorted_input || !stage->shards)
        return;
    if (stage_is_streaming(stage))
        take_arrived(engine, stage);
    if (stage_is_streaming(stage) || !stage_inputs_are_done(engine, stage))
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

static const struct sorted_element *next_element(const struct sorted_key *key) {
    return &key->elements.items[key->next];
}

event_time sorted_timer_limit(void *shard, struct slice key) {
    const struct sorted_input *sorted = ((const struct key_shard *)shard)->sorted;
    const struct sorted_key *found = sorted ? map_get(&sorted->keys, key.data, key.size) : NULL;

    if (!found)
        return TIME_MAX;
    if (found->round == sorted->round)
        return TIMER_NOT_NOW;
    return found->next < found->elements.count ? time_add(next_element(found)->timestamp, -1) : TIME_MAX;
}

/* The key's next elements: those of one time, or as many as there is room for. */
static void take_key(const struct sorted_input *sorted, struct sorted_key *key, bool by_time, size_t room,
                     struct buf *out, uint64_t *count) {
    event_time time = next_element(key)->timestamp;

    do {
        struct sorted_element *element = &key->elements.items[key->next++];

        buf_add(out, element->bytes.data, element->bytes.size);
        slice_unref(&element->bytes);
        ++*count;
    } while (has_element(sorted, key) && (by_time ? next_element(key)->timestamp == time : out->size < room));
}

void sorted_drop_finished(struct engine *engine, struct key_shard *shard) {
    if (!shard->sorted)
        return;
    map_foreach (entry, &shard->sorted->keys) {
        struct sorted_key *key = entry->value;

        if (key->next == key->elements.count)
            sorted_key_free(map_remove(&shard->sorted->keys, entry->key, entry->key_size));
    }
    if (!shard->sorted->keys.count)
        sorted_clear(engine, shard);
}

void sorted_take(struct engine *engine, struct stage *stage, struct key_shard *shard, struct claim *claim,
                 size_t max_bytes) {
    bool by_time = has_event_timers(stage->plan);
    size_t room = max_bytes > claim->bytes ? max_bytes - claim->bytes : 1;
    struct buf out = {.account = engine->options.account};
    event_time least = TIME_MAX;
    struct run run = {0};

    if (!sorted_has_elements(stage, shard))
        return;
    shard->sorted->round++;
    map_foreach (entry, &shard->sorted->keys) {
        struct sorted_key *key = entry->value;
        struct slice bytes = slice_of_static(entry->key, entry->key_size);

        if (out.size >= room)
            break;
        if (!has_element(shard->sorted, key))
            continue;
        if (by_time && timer_set_earliest_of(&shard->timers, bytes, TIMER_EVENT_TIME) < next_element(key)->timestamp)
            continue;
        least = MIN(least, next_element(key)->timestamp);
        take_key(shard->sorted, key, by_time, room, &out, &run.count);
        key->round = shard->sorted->round;
    }
    if (run.count == 0) {
        buf_clear(&out);
        return;
    }
    run.bytes = buf_finish(&out);
    claim_add(claim, (struct input_item){.run = run, .least_ms = least});
}
