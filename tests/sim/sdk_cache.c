/* What a harness keeps of bags, as Python's does (sdk_worker.py, GlobalCachingStateHandler): by worker, cache token and cell over all its
 * bundles, or, without a token, for the bundle. A bag that fits one page is kept whole and follows what the bundle writes; of a longer one
 * the first page is kept, and the token that goes on from there. Whoever reads a bag that is kept asks the engine for nothing: a token that
 * should have moved and did not shows as a bag that is not what it should be. Now and then a bag is forgotten, as the least recently used
 * are. */
#include <stdlib.h>

#include "sdk.h"

struct cached_bag {
    struct buf head;
    struct slice continuation; /* empty: the head is all there is */
};

static void cache_key(const struct sim_bundle *bundle, const struct element *in, struct buf *out) {
    buf_add_be64(out, bundle->worker);
    buf_add_be64(out, bundle->has_state_token ? bundle->shard : UINT64_MAX);
    buf_add_be64(out, bundle->has_state_token ? bundle->state_epoch : bundle->id);
    sdk_cell_key(out, bundle->stage->index, in->window_start, in->window_end, kv_key(in->value));
}

static struct cached_bag *find(const struct sim_bundle *bundle, const struct element *in) {
    struct cached_bag *found;
    struct buf key = {0};

    cache_key(bundle, in, &key);
    found = map_get(&bundle->world->cached_bags, buf_data(&key), key.size);
    buf_clear(&key);
    return found;
}

static void free_cached_bag(void *pointer) {
    struct cached_bag *cached = pointer;

    if (!cached)
        return;
    buf_clear(&cached->head);
    slice_unref(&cached->continuation);
    free(cached);
}

bool sdk_cache_read(struct sim_bundle *bundle, const struct element *in) {
    struct cached_bag *cached = find(bundle, in);

    if (!cached || rng_chance(&bundle->world->rng, 10)) /* it had no room for it any more */
        return false;
    buf_add(&bundle->pages, buf_data(&cached->head), cached->head.size);
    bundle->continuation = slice_ref(cached->continuation);
    bundle->has_bag = cached->continuation.size == 0;
    return true;
}

static void put(struct sim_bundle *bundle, const struct element *in, struct slice head, struct slice continuation) {
    struct cached_bag *cached = xcalloc(1, sizeof(*cached));
    struct buf key = {0};

    buf_add(&cached->head, head.data, head.size);
    cached->continuation = slice_ref(continuation);
    cache_key(bundle, in, &key);
    free_cached_bag(map_set(&bundle->world->cached_bags, buf_data(&key), key.size, cached));
    buf_clear(&key);
}

void sdk_cache_put_page(struct sim_bundle *bundle, const struct element *in) {
    put(bundle, in, slice_of_static(buf_data(&bundle->pages), bundle->pages.size), bundle->continuation);
}

void sdk_cache_append(struct sim_bundle *bundle, const struct element *in, struct slice data) {
    struct cached_bag *cached = find(bundle, in);

    if (cached && cached->continuation.size == 0)
        buf_add(&cached->head, data.data, data.size);
}

void sdk_cache_clear_bag(struct sim_bundle *bundle, const struct element *in) {
    put(bundle, in, SLICE_EMPTY, SLICE_EMPTY);
}

void sdk_cache_clear(struct map *cached_bags) {
    map_clear(cached_bags, free_cached_bag);
}
