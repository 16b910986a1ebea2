#include "engine/input.h"

#include <assert.h>
#include <string.h>

#include "model/window.h"

size_t input_item_bytes(const struct input_item *item) {
    const struct group_partition *partition = item->partition;

    if (!partition)
        return item->run.bytes.size;
    return (size_t)((double)partition->output_bytes * (double)(item->to - item->from) / (double)partition->entry_count);
}

uint64_t input_item_count(const struct input_item *item) {
    return item->partition ? item->to - item->from : item->run.count;
}

void input_item_clear(struct input_item *item) {
    slice_unref(&item->run.bytes);
    group_partition_unref(item->partition);
    *item = (struct input_item){0};
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
    queue->bytes += input_item_bytes(&item);
    queue->count += input_item_count(&item);
    vec_push(&queue->items, item);
}

bool input_queue_pop(struct input_queue *queue, struct input_item *ret) {
    if (queue->head == queue->items.count)
        return false;
    *ret = queue->items.items[queue->head++];
    queue->bytes -= input_item_bytes(ret);
    queue->count -= input_item_count(ret);
    if (queue->head == queue->items.count)
        queue->head = queue->items.count = 0;
    return true;
}

void input_queue_unpop(struct input_queue *queue, struct input_item item) {
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

    *ret_rest = (struct input_item){0};
    if (item->partition) {
        *ret_rest = (struct input_item){
            .partition = group_partition_ref(item->partition), .from = item->from + n, .to = item->to};
        item->to = item->from + n;
        return;
    }
    run_split(&item->run, coder, n, &head, &tail);
    slice_unref(&item->run.bytes);
    item->run = head;
    ret_rest->run = tail;
}

void claim_take(struct claim *claim, struct input_queue *queue, const struct coder *coder, size_t max_bytes,
                uint64_t max_count) {
    struct input_item item, rest;

    while (claim->bytes < max_bytes && claim->count < max_count && input_queue_pop(queue, &item)) {
        uint64_t all = input_item_count(&item);
        uint64_t n = elements_for(&item, max_bytes - claim->bytes, max_count - claim->count);

        /* A little more than wanted is better than a crumb left behind. */
        if (n < all && (n + n / 4 < all || n + claim->count >= max_count)) {
            item_split(&item, coder, n, &rest);
            input_queue_unpop(queue, rest);
        }
        claim->bytes += input_item_bytes(&item);
        claim->count += input_item_count(&item);
        vec_push(&claim->items, item);
    }
}

void claim_free(struct claim *claim) {
    if (!claim)
        return;
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

struct slice claim_read(const struct claim *claim, struct claim_cursor *at, const struct coder *coder, size_t max_bytes,
                        struct account *account) {
    while (at->item < claim->items.count) {
        const struct input_item *item = &claim->items.items[at->item];
        struct slice piece = SLICE_EMPTY;

        if (item->partition) {
            struct buf out = {.account = account};
            size_t entry = item->from + at->offset;

            if (entry < item->to)
                buf_reserve(&out, MIN(max_bytes + max_bytes / 8, input_item_bytes(item) + 64));
            group_partition_write(item->partition, &entry, item->to, max_bytes, &out);
            at->offset = entry - item->from;
            piece = buf_finish(&out);
        } else if (at->offset < item->run.bytes.size) {
            piece = read_run(&item->run, at->offset, coder, max_bytes);
            at->offset += piece.size;
        }
        if (piece.size)
            return piece;
        at->item++;
        at->offset = 0;
    }
    return SLICE_EMPTY;
}
