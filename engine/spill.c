/* What is stored when memory is short, until as much is on its way out as the host asks for (docs/architecture.md, law 4).
 *
 * First what will not be needed for long: groupings that still collect, the largest partition first. Then the output of running bundles,
 * what waits for the stages (its end first: that is read last), and side inputs. The input of running bundles stays: it is being read. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "engine/internal.h"
#include "engine/viewstore.h"

/* Smaller multimaps stay in memory, where looking keys up is fast. */
enum { MIN_MULTIMAP_EXTENTS = 4 };

/* Events without a search after one that found too little: at first, and at most. */
enum { PAUSE_MIN = 16, PAUSE_MAX = 4096 };

/* Less than this is not worth an extent. */
static size_t min_bytes(const struct engine *engine) {
    return engine->options.extent_bytes / 4;
}

static bool is_enough(const struct engine *engine) {
    return engine->store.storing_bytes >= engine->excess_bytes;
}

/* ---- groupings ---- */

struct victim {
    struct group *group;
    unsigned partition;
};

static void look_at_group(struct group *group, size_t *largest, struct victim *ret) {
    for (unsigned i = 0; group && i < group->partition_count; i++)
        if (group->partitions[i] && group_partition_bytes(group->partitions[i]) > *largest) {
            *largest = group_partition_bytes(group->partitions[i]);
            *ret = (struct victim){group, i};
        }
}

/* Of the stages' groupings and of those that running bundles make. */
static bool largest_partition(struct engine *engine, struct victim *ret) {
    size_t smallest = min_bytes(engine), largest = smallest;

    for (size_t i = 0; i < engine->plan->stage_count; i++)
        look_at_group(engine->stages[i].group, &largest, ret);
    vec_foreach (bundle, &engine->running)
        for (size_t i = 0; i < (*bundle)->stage->plan->sink_count; i++)
            look_at_group((*bundle)->groups[i], &largest, ret);
    vec_foreach (view, &engine->views)
        if ((*view)->store)
            look_at_group((*view)->store->group, &largest, ret);
    return largest > smallest;
}

static void spill_groups(struct engine *engine) {
    struct victim victim = {0};

    while (!is_enough(engine) && largest_partition(engine, &victim))
        group_spill_partition(engine, victim.group, victim.partition, engine->options.extent_bytes);
}

/* ---- runs ---- */

/* Makes one stored run of several in memory, whose bytes are let go. */
static struct run store_runs(struct engine *engine, struct run *runs, size_t count) {
    struct slice *pieces = xcalloc(count, sizeof(*pieces));
    struct run stored = {.least_ms = TIME_MAX, .has_least = true};

    for (size_t i = 0; i < count; i++) {
        pieces[i] = runs[i].bytes;
        stored.count += runs[i].count;
        stored.has_least &= runs[i].has_least;
        stored.least_ms = MIN(stored.least_ms, runs[i].least_ms);
        runs[i] = (struct run){0};
    }
    stored.extent = extent_create(engine, pieces, count);
    free(pieces);
    return stored;
}

static void spill_list(struct engine *engine, struct run_list *list) {
    struct run_list after = {0};
    size_t begin = 0, bytes = 0;

    for (size_t i = 0; i <= list->runs.count; i++) {
        bool ends = i == list->runs.count || list->runs.items[i].extent;

        if (i > begin && (ends || bytes >= engine->options.extent_bytes)) {
            run_list_push(&after, store_runs(engine, list->runs.items + begin, i - begin));
            begin = i;
            bytes = 0;
        }
        if (i == list->runs.count)
            break;
        if (list->runs.items[i].extent) {
            run_list_push(&after, list->runs.items[i]);
            begin = i + 1;
        } else {
            bytes += list->runs.items[i].bytes.size;
        }
    }
    vec_free(&list->runs);
    *list = after;
}

static size_t bytes_in_memory(const struct run_list *list) {
    size_t bytes = 0;

    vec_foreach (run, &list->runs)
        bytes += run->extent ? 0 : run->bytes.size;
    return bytes;
}

static struct run_list *largest_output(const struct engine *engine) {
    struct run_list *largest = NULL;
    size_t bytes = min_bytes(engine);

    vec_foreach (entry, &engine->running) {
        const struct bundle *bundle = *entry;

        for (size_t i = 0; i < bundle->stage->plan->sink_count; i++) {
            struct run_list *list = &bundle->writers[i].list;
            size_t in_memory = bytes_in_memory(list);

            if (in_memory > bytes && !questions_are_answered_by(engine, bundle, i)) {
                largest = list;
                bytes = in_memory;
            }
        }
    }
    return largest;
}

static void spill_outputs(struct engine *engine) {
    struct run_list *list;

    while (!is_enough(engine) && (list = largest_output(engine)))
        spill_list(engine, list);
}

/* ---- what waits ---- */

/* A partition that no other consumer has, as one bucket after the other. */
static void spill_partition_item(struct engine *engine, struct input_queue *queue, struct input_item *item) {
    struct group_bucket *buckets[GROUP_BUCKETS] = {0};
    bool is_first = true;

    queue->count -= input_item_count(item);
    queue->bytes -= input_item_bytes(item);
    group_partition_store(engine, item->partition, buckets, engine->options.extent_bytes);
    *item = (struct input_item){0};
    for (unsigned i = 0; i < GROUP_BUCKETS; i++) {
        if (!buckets[i])
            continue;
        if (is_first) {
            item->bucket = buckets[i];
            queue->count += input_item_count(item);
            queue->bytes += input_item_bytes(item);
        } else {
            struct input_item further = {.bucket = buckets[i]};

            queue->count += input_item_count(&further);
            queue->bytes += input_item_bytes(&further);
            vec_push(&queue->items, further); /* `item` is done with */
        }
        is_first = false;
    }
}

static bool is_plain_run(const struct input_item *item) {
    return !item->partition && !item->bucket && !item->run.extent;
}

/* Makes one item of the runs from `first` to `last`. */
static void spill_run_items(struct engine *engine, struct input_queue *queue, size_t first, size_t last) {
    size_t count = last - first + 1;
    struct run *runs = xcalloc(count, sizeof(*runs));
    event_time least = TIME_MAX;

    for (size_t i = 0; i < count; i++) {
        runs[i] = queue->items.items[first + i].run;
        least = MIN(least, queue->items.items[first + i].least_ms);
    }
    queue->items.items[first] = (struct input_item){.run = store_runs(engine, runs, count), .least_ms = least};
    memmove(queue->items.items + first + 1, queue->items.items + last + 1,
            (queue->items.count - last - 1) * sizeof(*queue->items.items));
    queue->items.count -= count - 1;
    free(runs);
}

static void spill_queue(struct engine *engine, struct input_queue *queue) {
    size_t end = queue->items.count;

    while (end > queue->head && !is_enough(engine)) {
        size_t first = end - 1, bytes = 0;
        struct input_item *item = &queue->items.items[first];

        if (item->partition && !item->bucket && item->partition->refs == 1 && item->from == 0 &&
            item->to == item->partition->entry_count && !item->partition->source_count) {
            spill_partition_item(engine, queue, item);
        } else if (is_plain_run(item)) {
            while (first > queue->head && bytes < engine->options.extent_bytes &&
                   is_plain_run(&queue->items.items[first - 1]))
                bytes += queue->items.items[first--].run.bytes.size;
            bytes += queue->items.items[first].run.bytes.size;
            if (bytes >= min_bytes(engine))
                spill_run_items(engine, queue, first, end - 1);
        }
        end = first;
    }
}

static void spill_queues(struct engine *engine) {
    for (size_t i = engine->plan->stage_count; i-- > 0 && !is_enough(engine);) {
        struct stage *stage = &engine->stages[i];

        if (!stage->shards)
            spill_queue(engine, &stage->queue);
        for (unsigned j = 0; stage->shards && j < engine->options.key_shards; j++)
            spill_queue(engine, &stage->shards[j].queue);
    }
}

/* ---- side inputs ---- */

/* Full pages only: the last one still grows. */
static void spill_chain(struct engine *engine, struct chain *chain) {
    for (size_t i = 0; i + 1 < chain->pages.count && !is_enough(engine); i++) {
        struct chain_page *page = &chain->pages.items[i];
        struct slice bytes;

        if (!page->block || page->used < min_bytes(engine))
            continue;
        bytes = slice_of_block(page->block, 0, page->used);
        page->block = NULL;
        page->extent = extent_create(engine, &bytes, 1);
    }
}

/* Chains of a multimap are mostly too short to be stored each by itself. */
static void spill_multimaps(struct engine *engine) {
    vec_foreach (entry, &engine->views) {
        struct view *view = *entry;

        if (view->access != PLAN_ACCESS_MULTIMAP || view->store || view->is_read || view->is_unused ||
            view->bytes < MIN_MULTIMAP_EXTENTS * engine->options.extent_bytes)
            continue;
        if (is_enough(engine))
            return;
        view_store_create(engine, view);
        spill_groups(engine);
    }
}

static void spill_views(struct engine *engine) {
    spill_multimaps(engine);
    vec_foreach (view, &engine->views) {
        if ((*view)->access == PLAN_ACCESS_MULTIMAP && !(*view)->is_read)
            continue;
        map_foreach (entry, &(*view)->contents)
            spill_chain(engine, entry->value);
    }
}

/* Looking for something to store costs time, so after a search that found too little the next one waits for a larger excess, or for some
 * events: what could not be stored a moment ago (it was not yet taken apart, or a bundle was reading it) often can be later. */
static bool is_worth_a_search(struct engine *engine) {
    struct spill_pause *pause = &engine->spill_pause;

    if (engine->excess_bytes == 0)
        *pause = (struct spill_pause){0};
    if (is_enough(engine))
        return false;
    pause->until_excess = MIN(pause->until_excess, engine->excess_bytes + engine->options.extent_bytes);
    return pause->events == 0 || --pause->events == 0 || engine->excess_bytes >= pause->until_excess;
}

static void note_search(struct engine *engine, bool found) {
    struct spill_pause *pause = &engine->spill_pause;
    unsigned length = found || pause->length == 0 ? PAUSE_MIN : MIN(pause->length * 2, (unsigned)PAUSE_MAX);

    if (is_enough(engine))
        *pause = (struct spill_pause){0};
    else
        *pause = (struct spill_pause){
            .until_excess = engine->excess_bytes + engine->options.extent_bytes, .events = length, .length = length};
}

void engine_spill(struct engine *engine) {
    size_t storing_bytes = engine->store.storing_bytes;

    if (!is_worth_a_search(engine))
        return;
    spill_groups(engine);
    spill_outputs(engine);
    spill_queues(engine);
    spill_views(engine);
    note_search(engine, engine->store.storing_bytes > storing_bytes);
}
