/* Stored data that the engine itself must read: for a grouping, a view or a keyed stage, which take elements apart; and the groups of a
 * grouping whose output does not go to a bundle as it is. One item of each at a time is in memory. */
#include <assert.h>

#include "engine/internal.h"

uint64_t backlog_count(const struct backlog *backlog) {
    return backlog->queue.count + (backlog->fetch ? input_item_count(&backlog->item) : 0);
}

bool backlog_is_empty(const struct backlog *backlog) {
    return backlog->queue.count == 0 && !backlog->fetch;
}

event_time backlog_least(struct backlog *backlog) {
    event_time least = input_queue_least(&backlog->queue);

    return backlog->fetch ? MIN(least, backlog->item.least_ms) : least;
}

void backlog_clear(struct engine *engine, struct backlog *backlog) {
    fetch_cancel(engine, backlog->fetch);
    input_item_clear(&backlog->item);
    input_queue_clear(&backlog->queue);
    *backlog = (struct backlog){0};
}

static void item_is_here(struct engine *engine, void *owner, const struct slice *bytes, size_t count) {
    struct backlog *backlog = owner;
    struct input_item item = backlog->item;

    backlog->fetch = NULL;
    backlog->item = (struct input_item){0};
    resident_fill(engine, &item, bytes, count);
    backlog->absorb(engine, backlog->owner, &item);
    input_item_clear(&item);
    backlog_work(engine, backlog);
    engine->needs_schedule = true;
}

void backlog_work(struct engine *engine, struct backlog *backlog) {
    struct input_item item;

    if (backlog->fetch || engine->is_over || !input_queue_pop(&backlog->queue, &item))
        return;
    assert(input_item_is_stored(&item));
    backlog->item = item;
    backlog->fetch = resident_fetch(engine, &item, !backlog->wants_keys_only, item_is_here, backlog);
}

void backlog_push(struct engine *engine, struct backlog *backlog, struct input_item item) {
    input_queue_push(&backlog->queue, item);
    backlog_work(engine, backlog);
}
