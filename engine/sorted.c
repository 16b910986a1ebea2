#include "engine/sorted.h"

#include <assert.h>
#include <stdlib.h>

struct sorted_element {
    event_time timestamp;
    struct slice bytes; /* borrowed from the runs */
    uint64_t place;     /* of arrival */
};

struct sorted_key {
    VEC(struct sorted_element) elements;
    size_t next;
    uint64_t round; /* the last one that gave elements of this key */
};

struct sorted_input {
    const struct coder *coder;
    struct backlog loading; /* what is stored is brought in; then all is sorted */
    bool is_sorted;
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

    vec_free(&key->elements);
    free(key);
}

bool sorted_is_pending(const struct key_shard *shard) {
    return shard->queue.count || shard->sorted;
}

bool sorted_has_elements(const struct stage *stage, const struct key_shard *shard) {
    if (!stage->plan->requires_time_sorted_input)
        return shard->queue.count;
    return shard->sorted && shard->sorted->is_sorted;
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

    account_charge(sorted->account, charge);
    sorted->charged += charge;
    vec_push(&sorted->bytes, slice_ref(run->bytes));
    while (cursor_left(&at)) {
        const uint8_t *begin = at.at;
        struct sorted_element element = {.place = sorted->places++};
        struct windowed_value value;
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
        element.timestamp = value.timestamp;
        element.bytes = slice_of_static(begin, (size_t)(at.at - begin));
        vec_push(&((struct sorted_key *)*slot)->elements, element);
    }
}

static void sort_if_complete(struct sorted_input *sorted) {
    if (!backlog_is_empty(&sorted->loading))
        return;
    map_foreach (entry, &sorted->keys) {
        struct sorted_key *key = entry->value;

        qsort(key->elements.items, key->elements.count, sizeof(*key->elements.items), compare_elements);
    }
    sorted->is_sorted = true;
}

static void absorb(struct engine *engine, void *owner, struct input_item *item) {
    (void)engine;
    index_run(owner, &item->run);
    sort_if_complete(owner);
}

/* All of the shard's elements have come: they leave the queue, those that are stored one item after the other. The order in which they came
 * is lost with that, and ties are free. */
static void begin(struct engine *engine, const struct stage *stage, struct key_shard *shard) {
    struct sorted_input *sorted = shard->sorted = xcalloc(1, sizeof(*sorted));
    struct input_item item;

    sorted->coder = stage_source_coder(engine, stage);
    sorted->account = engine->options.account;
    sorted->loading.absorb = absorb;
    sorted->loading.owner = sorted;
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

void sorted_prepare(struct engine *engine, struct stage *stage, unsigned at_once) {
    unsigned count = 0;

    if (!stage->plan->requires_time_sorted_input || !stage->shards || !stage_inputs_are_done(engine, stage))
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
static void take_key(struct sorted_key *key, bool by_time, size_t room, struct buf *out, uint64_t *count) {
    event_time time = next_element(key)->timestamp;

    do {
        const struct sorted_element *element = next_element(key);

        buf_add(out, element->bytes.data, element->bytes.size);
        ++*count;
        key->next++;
    } while (key->next < key->elements.count && (by_time ? next_element(key)->timestamp == time : out->size < room));
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
    struct run run = {0};

    if (!sorted_has_elements(stage, shard))
        return;
    shard->sorted->round++;
    map_foreach (entry, &shard->sorted->keys) {
        struct sorted_key *key = entry->value;
        struct slice bytes = slice_of_static(entry->key, entry->key_size);

        if (out.size >= room)
            break;
        if (by_time && timer_set_earliest_of(&shard->timers, bytes, TIMER_EVENT_TIME) < next_element(key)->timestamp)
            continue;
        take_key(key, by_time, room, &out, &run.count);
        key->round = shard->sorted->round;
    }
    if (run.count == 0) {
        buf_clear(&out);
        return;
    }
    run.bytes = buf_finish(&out);
    claim->bytes += run.bytes.size;
    claim->count += run.count;
    vec_push(&claim->items, ((struct input_item){.run = run}));
}
