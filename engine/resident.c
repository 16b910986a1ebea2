/* Input that is stored, brought into memory while its bundle reads it: the item at the bundle's cursor, and the one behind it. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "engine/internal.h"

void resident_group_is_too_large(struct engine *engine, const struct stage *stage, const struct large_values *large) {
    unsigned producer = engine->plan->collections[stage->plan->source.collection].producer;

    engine_fail(
        engine,
        "%s: the values of one key (of %zu bytes) take %zu bytes, more than limits.max_element allows (%zu bytes), "
        "and %s cannot take them in parts, since its SDK does not say that it reads large groups as state "
        "(beam:coder:state_backed_iterable:v1). Combine the values, spread them over more keys, or raise "
        "limits.max_element",
        engine->plan->stages[producer].name, large->too_large_key_size, large->too_large_size, large->max_bytes,
        stage->plan->name);
}

/* Before all values of a bucket are brought into memory, for a consumer that must have each group as a whole. Fails the job. */
static bool groups_are_small_enough(struct engine *engine, const struct bundle *bundle, const struct input_item *item,
                                    const struct slice *bytes, size_t count) {
    struct group_partition *partition = group_bucket_build(item->bucket, bytes, count, engine->options.account);
    struct large_values large = bundle->large;

    group_merge(partition, item->bucket->merges);
    for (size_t i = 0; i < partition->entry_count && !large.too_large_size; i++)
        if (partition->entries[i].value_bytes > large.max_bytes) {
            large.too_large_size = partition->entries[i].value_bytes;
            large.too_large_key_size = partition->entries[i].key_size;
        }
    group_partition_unref(partition);
    if (large.too_large_size)
        resident_group_is_too_large(engine, bundle->stage, &large);
    return large.too_large_size == 0;
}

/* The bundle's input has come. */
static void input_is_here(struct engine *engine, void *owner, const struct slice *bytes, size_t count) {
    struct bundle *bundle = owner;
    struct input_item *item = &bundle->claim->items.items[bundle->fetched_item];

    bundle->fetch = NULL;
    if (bundle->is_fetched_to_measure) {
        bundle->is_fetched_to_measure = false;
        if (groups_are_small_enough(engine, bundle, item, bytes, count))
            bundle->fetch = resident_fetch(engine, item, true, input_is_here, bundle);
        return;
    }
    resident_fill(engine, item, bytes, count);
    input_item_trim(item, stage_source_coder(engine, bundle->stage));
    bundle_send(engine, bundle);
}

void resident_fill(struct engine *engine, struct input_item *item, const struct slice *bytes, size_t count) {
    if (!item->bucket) {
        assert(count == 1);
        item->run.bytes = slice_ref(bytes[0]);
        return;
    }
    item->partition = group_bucket_build(item->bucket, bytes, count, engine->options.account);
    group_merge(item->partition, item->bucket->merges);
    item->bucket->built_count = item->partition->entry_count;
    if (!item->is_counted)
        item->to = item->partition->entry_count;
    item->is_counted = true;
}

struct fetch *resident_fetch(struct engine *engine, const struct input_item *item, bool with_values, fetch_fn done,
                             void *owner) {
    const struct group_bucket *bucket = item->bucket;
    struct extent **extents;
    struct fetch *fetch;
    size_t count;

    if (!bucket)
        return fetch_start(engine, &item->run.extent, 1, done, owner);
    count = bucket->entries.count + (with_values ? bucket->values.count : 0);
    extents = xcalloc(count, sizeof(struct extent *));
    for (size_t i = 0; i < bucket->entries.count; i++)
        extents[i] = bucket->entries.items[i].extent;
    if (with_values && bucket->values.count)
        memcpy(extents + bucket->entries.count, bucket->values.items, bucket->values.count * sizeof(struct extent *));
    fetch = fetch_start(engine, extents, count, done, owner);
    free(extents);
    return fetch;
}

static void fetch_input(struct engine *engine, struct bundle *bundle, size_t place) {
    struct claim *claim = bundle->claim;
    const struct group_bucket *bucket;
    bool with_values;

    if (bundle->fetch || place >= claim->items.count || !input_item_is_stored(&claim->items.items[place]))
        return;
    bucket = claim->items.items[place].bucket;
    if (bundle->large.threshold_bytes == SIZE_MAX) {
        bundle->is_fetched_to_measure =
            bucket && bundle->large.max_bytes && bucket->value_bytes > bundle->large.max_bytes;
        with_values = bucket && !bundle->is_fetched_to_measure;
    } else {
        with_values =
            bucket && bucket->value_bytes <= MIN(bundle->large.threshold_bytes, engine->options.max_bucket_bytes);
    }
    bundle->fetched_item = place;
    bundle->fetch = resident_fetch(engine, &claim->items.items[place], with_values, input_is_here, bundle);
}

bool resident_input_is_here(struct engine *engine, struct bundle *bundle) {
    struct claim *claim = bundle->claim;
    size_t before = bundle->sent.item;

    claim_settle(claim, &bundle->sent);
    for (size_t i = before; i < bundle->sent.item; i++)
        input_item_evict(&claim->items.items[i]);
    fetch_input(engine, bundle, bundle->sent.item);
    if (bundle->sent.item < claim->items.count && input_item_is_stored(&claim->items.items[bundle->sent.item]))
        return false;
    fetch_input(engine, bundle, bundle->sent.item + 1);
    return true;
}

void resident_claim_was_cut(struct engine *engine, struct bundle *bundle) {
    if (!bundle->fetch || bundle->fetched_item < bundle->claim->items.count)
        return;
    fetch_cancel(engine, bundle->fetch);
    bundle->fetch = NULL;
}

void resident_evict_claim(struct claim *claim) {
    vec_foreach (item, &claim->items)
        input_item_evict(item);
}
