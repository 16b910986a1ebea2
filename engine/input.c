#include "engine/input.h"

#include <assert.h>
#include <string.h>

#include "model/window.h"

size_t input_item_bytes(const struct input_item *item) {
    const struct group_partition *partition = item->partition;

    if (item->bucket && item->is_counted)
        return (size_t)((double)item->bucket->bytes * (double)(item->to - item->from) /
                        (double)MAX(item->bucket->built_count, (size_t)1));
    if (item->bucket)
        return item->bucket->bytes;
    if (!partition && item->to)
        return (size_t)((double)run_size(&item->run) * (double)(item->to - item->from) / (double)item->run.count);
    if (!partition)
        return run_size(&item->run);
    return (size_t)((double)partition->output_bytes * (double)(item->to - item->from) / (double)partition->entry_count);
}

uint64_t input_item_count(const struct input_item *item) {
    if (item->bucket && !item->is_counted)
        return item->bucket->records;
    return item->partition || item->bucket || item->to ? item->to - item->from : item->run.count;
}

bool input_item_is_stored(const struct input_item *item) {
    if (item->bucket)
        return !item->partition;
    return item->run.extent && !item->run.bytes.block;
}

void input_item_trim(struct input_item *item, const struct coder *coder) {
    struct cursor at = cursor_of(item->run.bytes.data, item->run.bytes.size);
    size_t begin = 0, end;
    struct slice whole = item->run.bytes;

    if (item->partition || item->bucket || item->to == 0)
        return;
    for (size_t i = 0; i < item->to; i++) {
        enum coder_result result = windowed_value_skip(coder, &at);

        assert(result == CODER_OK);
        (void)result;
        if (i + 1 == item->from)
            begin = whole.size - cursor_left(&at);
    }
    end = whole.size - cursor_left(&at);
    item->run.bytes = slice_sub(whole, begin, end - begin);
    slice_unref(&whole);
}

void input_item_evict(struct input_item *item) {
    if (item->bucket) {
        group_partition_unref(item->partition);
        item->partition = NULL;
    } else if (item->run.extent) {
        slice_unref(&item->run.bytes);
    }
}

struct input_item input_item_ref(const struct input_item *item) {
    struct input_item ref = *item;

    ref.run = run_ref(&item->run);
    if (ref.partition)
        group_partition_ref(ref.partition);
    if (ref.bucket)
        group_bucket_ref(ref.bucket);
    return ref;
}

void input_item_clear(struct input_item *item) {
    run_clear(&item->run);
    group_partition_unref(item->partition);
    group_bucket_unref(item->bucket);
    *item = (struct input_item){0};
}

/* Before the item is put into the queue. */
static void note_least(struct input_queue *queue, const struct input_item *item) {
    if (queue->head == queue->items.count) {
        queue->least_ms = item->least_ms;
        queue->is_least_stale = false;
    } else {
        queue->least_ms = MIN(queue->least_ms, item->least_ms);
    }
}

void input_queue_push(struct input_queue *queue, struct input_item item) {
    if (input_item_count(&item) == 0) {
        input_item_clear(&item);
        return;
    }
    /* A queue that is never empty gives the places of popped items back as it goes. */
    if (queue->head > 32 && queue->head > queue->items.count / 2) {
        queue->items.count -= queue->head;
        memmove(queue->items.items, queue->items.items + queue->head, queue->items.count * sizeof(item));
        queue->head = 0;
    }
    note_least(queue, &item);
    queue->bytes += input_item_bytes(&item);
    queue->count += input_item_count(&item);
    vec_push(&queue->items, item);
}

event_time input_queue_least(struct input_queue *queue) {
    if (queue->head == queue->items.count)
        return TIME_MAX;
    if (queue->is_least_stale) {
        queue->least_ms = TIME_MAX;
        for (size_t i = queue->head; i < queue->items.count; i++)
            queue->least_ms = MIN(queue->least_ms, queue->items.items[i].least_ms);
        queue->is_least_stale = false;
    }
    return queue->least_ms;
}

bool input_queue_pop(struct input_queue *queue, struct input_item *ret) {
    if (queue->head == queue->items.count)
        return false;
    *ret = queue->items.items[queue->head++];
    queue->bytes -= input_item_bytes(ret);
    queue->count -= input_item_count(ret);
    queue->is_least_stale |= ret->least_ms <= queue->least_ms;
    if (queue->head == queue->items.count)
        queue->head = queue->items.count = 0;
    return true;
}

void input_queue_unpop(struct input_queue *queue, struct input_item item) {
    note_least(queue, &item);
    queue->bytes += input_item_bytes(&item);
    queue->count += input_item_count(&item);
    if (queue->head) {
        queue->items.items[--queue->head] = item;
        return;
    }
    vec_push(&queue->items, item);
    memmove(queue->items.items + 1, queue->items.items, (queue->items.count - 1) * sizeof(item));
    queue->items.items[0] = item;
}

void input_queue_clear(struct input_queue *queue) {
    struct input_item item;

    while (input_queue_pop(queue, &item))
        input_item_clear(&item);
    vec_free(&queue->items);
    *queue = (struct input_queue){0};
}

/* How many elements of an item to take so that they are about `bytes` and at most `count`. */
static uint64_t elements_for(const struct input_item *item, size_t bytes, uint64_t count) {
    size_t average = MAX((size_t)1, input_item_bytes(item) / input_item_count(item));

    return MAX((uint64_t)1, MIN(count, (uint64_t)(bytes / average)));
}

/* Keeps the first n elements in *item; the rest becomes *ret_rest. */
static void item_split(struct input_item *item, const struct coder *coder, uint64_t n, struct input_item *ret_rest) {
    struct run head, tail;

    *ret_rest = (struct input_item){.least_ms = item->least_ms};
    if (item->partition || item->bucket) {
        *ret_rest = input_item_ref(item);
        ret_rest->from = item->to = item->from + n;
        if (ret_rest->bucket)
            input_item_evict(ret_rest);
        return;
    }
    if (input_item_is_stored(item)) {
        *ret_rest = input_item_ref(item);
        ret_rest->to = item->from + input_item_count(item);
        ret_rest->from = item->to = item->from + n;
        return;
    }
    extent_unref(item->run.extent);
    item->run.extent = NULL;
    item->run.count = input_item_count(item);
    item->from = item->to = 0;
    run_split(&item->run, coder, n, &head, &tail);
    run_clear(&item->run);
    item->run = head;
    ret_rest->run = tail;
}

struct claim *claim_create(void) {
    struct claim *claim = xcalloc(1, sizeof(*claim));

    claim->least_ms = TIME_MAX;
    return claim;
}

void claim_add(struct claim *claim, struct input_item item) {
    claim->bytes += input_item_bytes(&item);
    claim->count += input_item_count(&item);
    claim->least_ms = MIN(claim->least_ms, item.least_ms);
    vec_push(&claim->items, item);
}

void claim_take(struct claim *claim, struct input_queue *queue, const struct coder *coder, size_t max_bytes,
                uint64_t max_count) {
    struct input_item item, rest;

    while (claim->bytes < max_bytes && claim->count < max_count && input_queue_pop(queue, &item)) {
        uint64_t all = input_item_count(&item);
        uint64_t n = elements_for(&item, max_bytes - claim->bytes, max_count - claim->count);

        /* A little more than wanted is better than a crumb left behind; what is stored is small enough to stay whole. */
        if (!input_item_is_stored(&item) && n < all && (n + n / 4 < all || n + claim->count >= max_count)) {
            item_split(&item, coder, n, &rest);
            input_queue_unpop(queue, rest);
        }
        claim_add(claim, item);
    }
}

static bool is_known(const struct input_item *item) {
    return !item->bucket || item->is_counted;
}

uint64_t claim_known_count(const struct claim *claim, bool *ret_is_all) {
    uint64_t count = 0;
    size_t i;

    for (i = 0; i < claim->items.count && is_known(&claim->items.items[i]); i++)
        count += input_item_count(&claim->items.items[i]);
    *ret_is_all = i == claim->items.count;
    return count;
}

static void give(struct input_queue *queue, struct input_item item) {
    input_item_evict(&item);
    input_queue_push(queue, item);
}

void claim_cut(struct claim *claim, const struct coder *coder, uint64_t count, struct input_queue *rest) {
    size_t kept = 0;
    uint64_t left = count;

    while (kept < claim->items.count && left >= input_item_count(&claim->items.items[kept]))
        left -= input_item_count(&claim->items.items[kept++]);
    if (kept < claim->items.count && left) {
        struct input_item tail;

        assert(is_known(&claim->items.items[kept]));
        item_split(&claim->items.items[kept++], coder, left, &tail);
        give(rest, tail);
    }
    for (size_t i = kept; i < claim->items.count; i++)
        give(rest, claim->items.items[i]);
    claim->items.count = kept;
    claim->bytes = 0;
    claim->count = 0;
    vec_foreach (item, &claim->items) {
        claim->bytes += input_item_bytes(item);
        claim->count += input_item_count(item);
    }
}

void claim_adopt_roots(struct claim *claim) {
    vec_foreach (run, &claim->roots.runs) {
        struct input_item item = {.run = *run};

        item.least_ms = claim->least_ms;
        vec_push(&claim->items, item);
    }
    claim->bytes += claim->roots.bytes;
    claim->count += claim->roots.count;
    vec_free(&claim->roots.runs);
    claim->roots = (struct run_list){0};
}

void claim_free(struct claim *claim) {
    if (!claim)
        return;
    run_list_clear(&claim->roots);
    vec_foreach (item, &claim->items)
        input_item_clear(item);
    vec_free(&claim->items);
    vec_foreach (timer, &claim->timers)
        timer_free(*timer);
    vec_free(&claim->timers);
    vec_free(&claim->shards);
    free(claim);
}

/* About max_bytes of whole elements from `offset` of a run on. */
static struct slice read_run(const struct run *run, size_t offset, const struct coder *coder, size_t max_bytes) {
    struct cursor at = cursor_of(run->bytes.data + offset, run->bytes.size - offset);
    const uint8_t *begin = at.at;

    if (cursor_left(&at) <= max_bytes + max_bytes / 4)
        return slice_sub(run->bytes, offset, cursor_left(&at));
    while ((size_t)(at.at - begin) < max_bytes && cursor_left(&at)) {
        enum coder_result result = windowed_value_skip(coder, &at);

        assert(result == CODER_OK);
        (void)result;
    }
    return slice_sub(run->bytes, offset, (size_t)(at.at - begin));
}

static bool is_read_out(const struct input_item *item, size_t offset) {
    if (item->partition || item->bucket)
        return (item->is_counted || !item->bucket) && item->from + offset >= item->to;
    return !input_item_is_stored(item) && offset >= item->run.bytes.size;
}

void claim_settle(const struct claim *claim, struct claim_cursor *at) {
    while (at->item < claim->items.count && is_read_out(&claim->items.items[at->item], at->offset)) {
        at->item++;
        at->offset = 0;
    }
}

struct slice claim_read(const struct claim *claim, struct claim_cursor *at, const struct coder *coder, size_t max_bytes,
                        struct large_values *large, struct account *account) {
    const struct input_item *item;
    struct buf out = {.account = account};
    struct slice piece;
    size_t entry;

    claim_settle(claim, at);
    if (at->item >= claim->items.count)
        return SLICE_EMPTY;
    item = &claim->items.items[at->item];
    assert(!input_item_is_stored(item));
    if (!item->partition) {
        piece = read_run(&item->run, at->offset, coder, max_bytes);
        at->offset += piece.size;
        return piece;
    }
    entry = item->from + at->offset;
    buf_reserve(&out, MIN(max_bytes + max_bytes / 8, input_item_bytes(item) + 64));
    group_partition_write(item->partition, &entry, item->to, max_bytes, large, &out);
    at->offset = entry - item->from;
    return buf_finish(&out);
}

static uint64_t count_in_run(const struct input_item *item, size_t offset, const struct coder *coder) {
    struct cursor at = cursor_of(item->run.bytes.data, offset);
    uint64_t count = 0;

    if (offset >= item->run.bytes.size)
        return offset ? input_item_count(item) : 0;
    for (; cursor_left(&at); count++) {
        enum coder_result result = windowed_value_skip(coder, &at);

        assert(result == CODER_OK);
        (void)result;
    }
    return count;
}

uint64_t claim_count_read(const struct claim *claim, const struct claim_cursor *at, const struct coder *coder) {
    uint64_t count = 0;

    for (size_t i = 0; i < claim->items.count && i <= at->item; i++) {
        const struct input_item *item = &claim->items.items[i];

        if (i < at->item)
            count += input_item_count(item);
        else
            count += item->partition ? MIN((uint64_t)at->offset, input_item_count(item))
                                     : count_in_run(item, at->offset, coder);
    }
    return count;
}
