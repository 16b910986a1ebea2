#include "engine/input.h"

#include <assert.h>
#include <string.h>

#include "model/window.h"

size_t input_item_bytes(const struct input_item *item) {
    return item->partition ? item->partition->output_bytes : item->run.bytes.size;
}

uint64_t input_item_count(const struct input_item *item) {
    return item->partition ? item->partition->entry_count : item->run.count;
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

/* How many elements of a run to take so that they are about `bytes` and at most `count`. */
static uint64_t elements_for(const struct run *run, size_t bytes, uint64_t count) {
    size_t average = MAX((size_t)1, run->bytes.size / run->count);

    return MAX((uint64_t)1, MIN(count, (uint64_t)(bytes / average)));
}

void claim_take(struct claim *claim, struct input_queue *queue, const struct coder *coder, size_t max_bytes,
                uint64_t max_count) {
    struct input_item item;

    while (claim->bytes < max_bytes && claim->count < max_count && input_queue_pop(queue, &item)) {
        if (!item.partition) {
            uint64_t n = elements_for(&item.run, max_bytes - claim->bytes, max_count - claim->count);

            /* A little more than wanted is better than a crumb left behind. */
            if (n < item.run.count && (n + n / 4 < item.run.count || n + claim->count >= max_count)) {
                struct run head, tail;

                run_split(&item.run, coder, n, &head, &tail);
                slice_unref(&item.run.bytes);
                item.run = head;
                input_queue_unpop(queue, (struct input_item){.run = tail});
            }
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

            buf_reserve(&out, MIN(max_bytes + max_bytes / 8, item->partition->output_bytes));
            group_partition_write(item->partition, &at->offset, max_bytes, &out);
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
