/* Buckets that would take too much memory to build are cut again before they are handed on.
 *
 *      bucket: extent, extent ... --> some extents, built --> cut by another hash --> part 0: extent ...
 *                                     the next ones                                   part 1: extent ...
 *
 * A few extents at a time are in memory. What they have of one key comes together there, and where that is a good deal of it goes to value
 * extents, so that a key with very many values becomes small to build, however it came: in small pieces, one each time that memory
 * was short. A part that is still too large is cut again, unless cutting has not made it smaller: then it is one key's, in windows that
 * may yet merge, or has values that its consumer must have in line. */
#include <stdlib.h>
#include <string.h>

#include "engine/internal.h"
#include "engine/mergebook.h"

struct large_bucket {
    struct group_bucket *bucket; /* owned reference */
    unsigned level;              /* how often it was cut */
    struct group_bucket *
        *into; /* owned, GROUP_BUCKETS: those of its partition, into which it goes; NULL: into new ones */
};

struct rebucket {
    VEC(struct large_bucket) waiting; /* the last one is next, so that few are there at a time */
    struct large_bucket current;      /* bucket NULL: none */
    size_t was_bytes;                 /* what its parts must be well below to be cut again */
    struct bucket_cut cut;
    struct group_bucket *parts[GROUP_BUCKETS];
    size_t begin, end; /* extents of entries that are under way */
    struct fetch *fetch;
};

/* Consumers that take a group's values as state can do without those that lie in extents of their own. */
static bool wants_values(const struct engine *engine, const struct stage *stage) {
    const struct plan_collection *output = &engine->plan->collections[stage->plan->outputs[0]];
    bool wants = output->side_consumer_count > 0;

    for (size_t i = 0; i < output->consumer_count; i++)
        wants |= !engine->plan->stages[output->consumers[i]].takes_state_backed_iterables ||
                 engine->stages[output->consumers[i]].shards;
    return wants;
}

static size_t size_of(const struct engine *engine, const struct stage *stage, const struct group_bucket *bucket) {
    return group_bucket_build_bytes(bucket, wants_values(engine, stage));
}

bool rebucket_wants(const struct engine *engine, const struct stage *stage, const struct group_bucket *bucket) {
    const struct plan_collection *output = &engine->plan->collections[stage->plan->outputs[0]];

    return output->consumer_count + output->side_consumer_count &&
           size_of(engine, stage, bucket) > engine->options.max_bucket_bytes;
}

bool rebucket_is_idle(const struct stage *stage) {
    return !stage->rebucket;
}

/* What is read at a time: as much again waits to be written. */
static size_t part_bytes(const struct engine *engine) {
    return MAX(engine->options.max_bucket_bytes / 4, (size_t)1);
}

static void part_is_here(struct engine *engine, void *owner, const struct slice *bytes, size_t count);

static void fetch_part(struct engine *engine, struct stage *stage) {
    struct rebucket *work = stage->rebucket;
    const struct group_bucket *bucket = work->current.bucket;
    struct extent **extents;
    size_t bytes = 0;

    work->begin = work->end;
    while (work->end < bucket->entries.count) {
        bytes += bucket->entries.items[work->end].extent->size;
        if (work->end > work->begin && bytes > part_bytes(engine))
            break;
        work->end++;
    }
    extents = xcalloc(work->end - work->begin, sizeof(struct extent *));
    for (size_t i = work->begin; i < work->end; i++)
        extents[i - work->begin] = bucket->entries.items[i].extent;
    work->fetch = fetch_start(engine, extents, work->end - work->begin, part_is_here, stage);
    free(extents);
}

/* Into as many parts as are needed, with some to spare because they differ. */
static void start(struct engine *engine, struct stage *stage) {
    struct rebucket *work = stage->rebucket;
    size_t limit = engine->options.max_bucket_bytes, size;

    work->current = work->waiting.items[--work->waiting.count];
    work->begin = work->end = 0;
    work->cut = (struct bucket_cut){.level = work->current.level + 1, .fan_out = 2};
    if (work->current.into) {
        work->cut.level = 0;
        work->cut.fan_out = GROUP_BUCKETS;
        memcpy(work->parts, work->current.into, sizeof(work->parts));
        free(work->current.into);
        work->current.into = NULL;
        work->was_bytes = SIZE_MAX;
    }
    size = size_of(engine, stage, work->current.bucket);
    if (work->cut.level)
        work->was_bytes = size;
    while (work->cut.fan_out < GROUP_BUCKETS && size / work->cut.fan_out > limit / 2)
        work->cut.fan_out *= 2;
    work->cut.extent_bytes = engine->options.extent_bytes;
    work->cut.inline_bytes = MIN(engine->options.extent_bytes, part_bytes(engine) / 8);
    fetch_part(engine, stage);
}

static void push(struct engine *engine, struct stage *stage, struct large_bucket bucket) {
    if (!stage->rebucket)
        stage->rebucket = xcalloc(1, sizeof(*stage->rebucket));
    vec_push(&stage->rebucket->waiting, bucket);
    if (!stage->rebucket->current.bucket)
        start(engine, stage);
}

void rebucket_push(struct engine *engine, struct stage *stage, struct group_bucket *bucket) {
    push(engine, stage, (struct large_bucket){.bucket = bucket});
}

void rebucket_push_into(struct engine *engine, struct stage *stage, struct group_bucket *bucket,
                        struct group_bucket **into) {
    struct large_bucket large = {.bucket = bucket, .into = xcalloc(GROUP_BUCKETS, sizeof(struct group_bucket *))};

    memcpy(large.into, into, GROUP_BUCKETS * sizeof(struct group_bucket *));
    memset(into, 0, GROUP_BUCKETS * sizeof(struct group_bucket *));
    push(engine, stage, large);
}

static void hand_on(struct engine *engine, struct stage *stage, struct group_bucket *part) {
    struct rebucket *work = stage->rebucket;
    const struct large_bucket *whole = &work->current;
    size_t size = size_of(engine, stage, part);

    part->merges = merge_book_ref(whole->bucket->merges);
    if (rebucket_wants(engine, stage, part) && size < work->was_bytes - work->was_bytes / 4)
        vec_push(&work->waiting, ((struct large_bucket){.bucket = part, .level = work->cut.level}));
    else
        stage_deliver_bucket(engine, stage, part);
}

static void finish(struct engine *engine, struct stage *stage) {
    struct rebucket *work = stage->rebucket;

    for (unsigned i = 0; i < GROUP_BUCKETS; i++) {
        struct group_bucket *part = work->parts[i];

        work->parts[i] = NULL;
        if (part)
            hand_on(engine, stage, part);
    }
    group_bucket_unref(work->current.bucket);
    work->current.bucket = NULL;
    if (work->waiting.count)
        start(engine, stage);
    else
        rebucket_clear(engine, stage);
    engine->needs_schedule = true;
}

static void part_is_here(struct engine *engine, void *owner, const struct slice *bytes, size_t count) {
    struct stage *stage = owner;
    struct rebucket *work = stage->rebucket;

    work->fetch = NULL;
    group_partition_cut(
        engine, group_bucket_build_part(work->current.bucket, work->begin, bytes, count, engine->options.account),
        &work->cut, work->parts);
    if (work->end < work->current.bucket->entries.count)
        fetch_part(engine, stage);
    else
        finish(engine, stage);
}

void rebucket_clear(struct engine *engine, struct stage *stage) {
    struct rebucket *work = stage->rebucket;

    if (!work)
        return;
    fetch_cancel(engine, work->fetch);
    for (unsigned i = 0; i < GROUP_BUCKETS; i++)
        group_bucket_unref(work->parts[i]);
    group_bucket_unref(work->current.bucket);
    vec_foreach (large, &work->waiting) {
        group_bucket_unref(large->bucket);
        for (unsigned i = 0; large->into && i < GROUP_BUCKETS; i++)
            group_bucket_unref(large->into[i]);
        free(large->into);
    }
    vec_free(&work->waiting);
    free(work);
    stage->rebucket = NULL;
}
