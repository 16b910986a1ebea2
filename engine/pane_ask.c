/* Windows of a pane_group that a function of the user's merges (MODEL 4.14): which become one only the SDK can say.
 *
 *      elements --> parked by key --> the key's windows: a question --> answer --> windows are merged, then the elements added
 *
 * A key has one question at a time; what comes meanwhile is parked for its next one. Until it is answered the key's cells stay as they are,
 * since they are what was asked about: what time makes due is put off. Parked elements hold the stage's watermark. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "engine/mergebook.h"
#include "engine/pane_cells.h"

enum { MAX_REMEMBERED = 1024 }; /* questions in a book, before the next one is begun */

/* An element in one window; its bytes are the window's, then the value's. */
struct parked {
    struct pane_cell *cell; /* once it is asked about */
    event_time timestamp, window_end;
    size_t offset;
    uint32_t window_size, value_size;
};

struct parked_batch {
    VEC(struct parked) items;
    struct buf bytes;
    event_time least; /* timestamp */
};

/* A key that has parked elements. */
struct pane_wait {
    struct list node; /* in group->unasked, asking or answered */
    struct pane_key *key;
    struct parked_batch next, asked;
    struct merge_book *book; /* with a question: owned reference, and its number there: */
    uint64_t question;
    VEC(struct pane_cell *) cells; /* asked about, in the question's order */
};

/* ---- parking ---- */

static void batch_init(struct parked_batch *batch, struct account *account) {
    *batch = (struct parked_batch){.bytes = {.account = account}, .least = TIME_MAX};
}

static void batch_clear(struct pane_group *group, struct parked_batch *batch) {
    if (batch->items.count)
        holds_remove(&group->parked, batch->least);
    account_release(group->account, batch->items.capacity * sizeof(*batch->items.items));
    vec_free(&batch->items);
    buf_clear(&batch->bytes);
    batch_init(batch, group->account);
}

static void batch_add(struct pane_group *group, struct parked_batch *batch, struct parked item, struct cursor window,
                      struct cursor value) {
    size_t capacity = batch->items.capacity;
    event_time least = MIN(batch->least, item.timestamp);

    if (least != batch->least && batch->items.count)
        holds_remove(&group->parked, batch->least);
    if (least != batch->least || !batch->items.count)
        holds_add(&group->parked, least);
    batch->least = least;
    item.offset = batch->bytes.size;
    item.window_size = (uint32_t)cursor_left(&window);
    item.value_size = (uint32_t)cursor_left(&value);
    buf_add(&batch->bytes, window.at, item.window_size);
    buf_add(&batch->bytes, value.at, item.value_size);
    vec_push(&batch->items, item);
    account_charge(group->account, (batch->items.capacity - capacity) * sizeof(item));
}

static struct pane_wait *wait_of(struct pane_group *group, struct pane_key *key) {
    struct pane_wait *wait = key->wait;

    if (wait)
        return wait;
    wait = xcalloc(1, sizeof(*wait));
    wait->key = key;
    batch_init(&wait->next, group->account);
    batch_init(&wait->asked, group->account);
    key->cell_count++;
    key->wait = wait;
    group->wait_count++;
    list_append(&group->unasked, &wait->node);
    account_charge(group->account, sizeof(*wait));
    return wait;
}

static void wait_free(struct pane_group *group, struct pane_wait *wait) {
    struct pane_key *key = wait->key;

    batch_clear(group, &wait->next);
    batch_clear(group, &wait->asked);
    merge_book_unref(wait->book);
    vec_free(&wait->cells);
    account_release(group->account, sizeof(*wait));
    free(wait);
    key->wait = NULL;
    group->wait_count--;
    pane_key_unref(group, key);
}

void pane_park(struct pane_group *group, uint64_t key_hash, struct cursor key, struct cursor window,
               event_time window_end, event_time timestamp, struct cursor value) {
    struct pane_wait *wait = wait_of(group, pane_key_of(group, key_hash, key));

    batch_add(group, &wait->next, (struct parked){.timestamp = timestamp, .window_end = window_end}, window, value);
}

bool pane_cell_is_asked_about(const struct pane_cell *cell) {
    return cell->of_key && cell->of_key->wait && cell->of_key->wait->book;
}

/* ---- asking ---- */

static struct cursor window_of(const struct parked_batch *batch, const struct parked *item) {
    return cursor_of(buf_data(&batch->bytes) + item->offset, item->window_size);
}

static struct cursor value_of(const struct parked_batch *batch, const struct parked *item) {
    return cursor_of(buf_data(&batch->bytes) + item->offset + item->window_size, item->value_size);
}

static int compare_cells(const void *left, const void *right) {
    const struct pane_cell *a = *(struct pane_cell *const *)left, *b = *(struct pane_cell *const *)right;

    return compare_windows(a->window, a->window_size, b->window, b->window_size);
}

/* The windows that are open, and those that the batch's elements name. */
static void collect_cells(struct pane_group *group, struct pane_wait *wait, struct buf *set) {
    struct pane_key *key = wait->key;

    group->batch++;
    vec_foreach (item, &wait->asked.items) {
        struct cursor window = window_of(&wait->asked, item);

        item->cell = pane_cell_of(group, key->hash, group_hash(key->hash, window), cursor_of(key->bytes, key->size),
                                  window, item->window_end);
        item->cell->batch = group->batch;
    }
    wait->cells.count = 0;
    list_foreach (node, &key->cells) {
        struct pane_cell *cell = CONTAINER_OF(node, struct pane_cell, node);

        if (cell->state == CELL_OPEN || cell->batch == group->batch)
            vec_push(&wait->cells, cell);
    }
    qsort(wait->cells.items, wait->cells.count, sizeof(struct pane_cell *), compare_cells);
    set->size = 0;
    vec_foreach (cell, &wait->cells)
        buf_add(set, (*cell)->window, (*cell)->window_size);
}

static void ask(struct pane_group *group, struct pane_wait *wait, struct buf *set) {
    struct merge_answer answer;

    batch_clear(group, &wait->asked);
    wait->asked = wait->next;
    batch_init(&wait->next, group->account);
    collect_cells(group, wait, set);
    wait->question = merge_book_ask_about(group->merges, set, (uint32_t)wait->cells.count);
    wait->book = merge_book_ref(group->merges);
    list_append(merge_book_find_answer(wait->book, wait->question, &answer) ? &group->answered : &group->asking,
                &wait->node);
}

void pane_ask(struct pane_group *group) {
    struct buf set = {0};
    struct list *node;

    while ((node = list_pop(&group->unasked)))
        ask(group, CONTAINER_OF(node, struct pane_wait, node), &set);
    buf_clear(&set);
}

uint64_t pane_group_write_questions(struct pane_group *group, size_t target_bytes, struct buf *out) {
    uint64_t count = merge_book_write(group->merges, &group->written, target_bytes, out);

    if (count == 0 && merge_book_question_count(group->merges) >= MAX_REMEMBERED) {
        group->merges = merge_book_renew(group->merges);
        group->written = 0;
    }
    return count;
}

struct merge_book *pane_group_merges(struct pane_group *group) {
    return group->merges;
}

/* ---- answers ---- */

void pane_take_answers(struct pane_group *group, const struct run *answers) {
    struct list waiting, *node;
    struct merge_answer answer;

    merge_book_answer(group->merges, answers);
    list_init(&waiting);
    while ((node = list_pop(&group->asking))) {
        struct pane_wait *wait = CONTAINER_OF(node, struct pane_wait, node);

        list_append(merge_book_find_answer(wait->book, wait->question, &answer) ? &group->answered : &waiting, node);
    }
    while ((node = list_pop(&waiting)))
        list_append(&group->asking, node);
}

static bool is_window(const struct pane_cell *cell, const struct merge_result *result) {
    return compare_windows(cell->window, cell->window_size, result->window, result->size) == 0;
}

/* `sources` have become the result. */
static void merge_one(struct pane_group *group, struct pane_key *key, const struct merge_result *result,
                      struct pane_cell *const *sources, size_t count, const struct pane_clock *clock) {
    if (count == 0 || (count == 1 && is_window(sources[0], result)))
        return;
    pane_merge_into(group, key, cursor_of(result->window, result->size), sources, count, clock);
    pane_merge_result(sources[0])->is_put_off = true; /* its end may have passed */
}

static void merge_cells(struct pane_group *group, const struct pane_wait *wait, const struct merge_answer *answer,
                        const struct pane_clock *clock) {
    struct pane_cell **sources = xcalloc(answer->count, sizeof(struct pane_cell *)); /* by place */
    size_t *ends = xcalloc(answer->result_count + 1, sizeof(*ends)), begin = 0;

    assert(answer->count == wait->cells.count);
    for (uint32_t i = 0; i < answer->count; i++)
        ends[answer->places[i] + 1]++;
    for (uint32_t i = 0; i < answer->result_count; i++)
        ends[i + 1] += ends[i];
    for (uint32_t i = 0; i < answer->count; i++)
        sources[ends[answer->places[i]]++] = wait->cells.items[i];
    for (uint32_t i = 0; i < answer->result_count; begin = ends[i++])
        merge_one(group, wait->key, &answer->results[i], sources + begin, ends[i] - begin, clock);
    free(ends);
    free(sources);
}

static void place(struct pane_group *group, struct pane_wait *wait, const struct pane_clock *clock) {
    struct merge_answer answer;
    bool is_answered = merge_book_find_answer(wait->book, wait->question, &answer);

    assert(is_answered);
    (void)is_answered;
    merge_cells(group, wait, &answer, clock);
    vec_foreach (item, &wait->asked.items)
        pane_cell_add(group, pane_merge_result(item->cell), item->timestamp, value_of(&wait->asked, item), clock);
    batch_clear(group, &wait->asked);
    merge_book_unref(wait->book);
    wait->book = NULL;
    vec_push(&group->touched_keys, wait->key);
}

bool pane_place_answered(struct pane_group *group, const struct pane_clock *clock) {
    list_foreach (node, &group->answered)
        place(group, CONTAINER_OF(node, struct pane_wait, node), clock);
    return !list_empty(&group->answered);
}

/* What was put off is looked at by the next pane_group_advance(). */
static void wake_cells(struct pane_group *group, const struct pane_key *key, const struct pane_clock *clock) {
    list_foreach (node, &key->cells) {
        struct pane_cell *cell = CONTAINER_OF(node, struct pane_cell, node);
        event_time gc = pane_gc_time(group->windowing, cell->window_end);

        if (!cell->is_put_off)
            continue;
        cell->is_put_off = false;
        pane_timer_set(group, PANE_EVENT_TIMER, cell, MIN(cell->window_end, gc));
        if (cell->state == CELL_OPEN)
            pane_timer_set(group, PANE_PROCESSING_TIMER, cell, clock->processing_time);
    }
}

void pane_ask_again(struct pane_group *group, const struct pane_clock *clock) {
    struct list *node;

    while ((node = list_pop(&group->answered))) {
        struct pane_wait *wait = CONTAINER_OF(node, struct pane_wait, node);

        wake_cells(group, wait->key, clock);
        if (wait->next.items.count)
            list_append(&group->unasked, &wait->node);
        else
            wait_free(group, wait);
    }
    merge_book_forget_older(group->merges);
    pane_ask(group);
}

bool pane_group_is_waiting(const struct pane_group *group) {
    return group->wait_count > 0;
}

event_time pane_group_parked_least(const struct pane_group *group) {
    return holds_min(&group->parked);
}

/* ---- the group's part ---- */

void pane_ask_init(struct pane_group *group) {
    list_init(&group->unasked);
    list_init(&group->asking);
    list_init(&group->answered);
    group->parked.account = group->account;
    if (group->is_merging && group->windowing->fn != WINDOW_FN_SESSIONS)
        group->merges = merge_book_create(group->input->components[1], group->account);
}

void pane_ask_finish(struct pane_group *group) {
    struct list *node;

    assert(list_empty(&group->answered) && list_empty(&group->unasked));
    while ((node = list_pop(&group->asking)))
        wait_free(group, CONTAINER_OF(node, struct pane_wait, node));
    holds_clear(&group->parked);
    merge_book_unref(group->merges);
}
