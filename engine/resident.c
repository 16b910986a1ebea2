/* Input that is stored, brought into memory while its bundle reads it: the item at the bundle's cursor, and the one behind it. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "engine/internal.h"

/* The bundle's input has come. */
static void input_is_here(struct engine *engine, void *owner, const struct slice *bytes, size_t count) {
    struct bundle *bundle = owner;
    struct input_item *item = &bundle->claim->items.items[bundle->fetched_item];

    bundle->fetch = NULL;
    resident_fill(engine, item, bytes, count);
    input_item_trim(item, engine->plan->collections[bundle->stage->plan->source.collection].coder);
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
    with_values =
        bucket && (bundle->large.threshold_bytes == SIZE_MAX ||
                   bucket->value_bytes <= MIN(bundle->large.threshold_bytes, engine->options.max_bucket_bytes));
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
