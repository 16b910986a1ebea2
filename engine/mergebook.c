#include "engine/mergebook.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "model/iterable.h"
#include "model/window.h"

struct merge_question {
    uint64_t hash;
    const uint8_t *windows; /* end to end, in the order of compare_windows() */
    size_t size;
    uint32_t count;
    uint32_t result_count;
    struct merge_result *results; /* NULL: not answered yet */
    uint32_t *targets;            /* one per window: its place in results */
    uint64_t seen_in;             /* the bundle whose answer was checked last */
};

struct merge_book {
    unsigned refs; /* the grouping, and its groups that are stored; of a stream, keys that wait */
    const struct coder *window;
    const struct coder *answer; /* windowed */
    struct arena arena;
    uint64_t first;           /* the number of the first question */
    struct merge_book *older; /* owned reference, or NULL: those with lesser numbers */
    VEC(struct merge_question) questions;
    uint32_t *index; /* 1 + place in questions */
    size_t index_size;
    size_t charged; /* for questions and index */
};

static const struct coder *answer_coder(struct arena *arena, const struct coder *window) {
    const struct coder *windows = coder_create(arena, CODER_ITERABLE, window, NULL);
    const struct coder *merge = coder_create(arena, CODER_KV, window, windows);
    const struct coder *merges = coder_create(arena, CODER_ITERABLE, merge, NULL);
    const struct coder *places = coder_create(arena, CODER_KV, windows, merges);
    const struct coder *nonce = coder_create(arena, CODER_BYTES, NULL, NULL);

    return coder_create(arena, CODER_WINDOWED_VALUE, coder_create(arena, CODER_KV, nonce, places),
                        coder_create(arena, CODER_GLOBAL_WINDOW, NULL, NULL));
}

struct merge_book *merge_book_create(const struct coder *window, struct account *account) {
    struct merge_book *book = xcalloc(1, sizeof(*book));

    book->refs = 1;
    book->window = window;
    book->arena.account = account;
    book->answer = answer_coder(&book->arena, window);
    return book;
}

struct merge_book *merge_book_ref(struct merge_book *book) {
    if (book)
        book->refs++;
    return book;
}

void merge_book_unref(struct merge_book *book) {
    if (!book || --book->refs)
        return;
    merge_book_unref(book->older);
    account_release(book->arena.account, book->charged);
    vec_free(&book->questions);
    free(book->index);
    arena_clear(&book->arena);
    free(book);
}

/* ---- the windows of keys ---- */

int compare_windows(const void *a, size_t a_size, const void *b, size_t b_size) {
    size_t common = MIN(a_size, b_size);
    int order = common ? memcmp(a, b, common) : 0;

    return order ? order : (a_size > b_size) - (a_size < b_size);
}

static int compare_entries(const void *left, const void *right) {
    const struct group_entry *a = *(struct group_entry *const *)left, *b = *(struct group_entry *const *)right;
    int order = compare_windows(a->key, a->key_size, b->key, b->key_size);

    return order ? order
                 : compare_windows(a->key - a->window_size, a->window_size, b->key - b->window_size, b->window_size);
}

/* By key, then window: an order that does not depend on when elements came. */
static struct group_entry **sort_entries(const struct group_partition *partition) {
    struct group_entry **sorted = xcalloc(partition->entry_count + 1, sizeof(struct group_entry *));

    for (size_t i = 0; i < partition->entry_count; i++)
        sorted[i] = &partition->entries[i];
    qsort(sorted, partition->entry_count, sizeof(struct group_entry *), compare_entries);
    return sorted;
}

/* Where the entries of the key at `first` end; `set` gets its windows. */
static size_t key_end(struct group_entry *const *sorted, size_t first, size_t count, struct buf *set) {
    const struct group_entry *key = sorted[first];
    size_t i = first;

    set->size = 0;
    for (; i < count && compare_windows(key->key, key->key_size, sorted[i]->key, sorted[i]->key_size) == 0; i++)
        buf_add(set, sorted[i]->key - sorted[i]->window_size, sorted[i]->window_size);
    return i;
}

/* ---- questions ---- */

static void book_grow(struct merge_book *book) {
    size_t capacity;

    free(book->index);
    book->index_size = MAX((size_t)64, book->index_size * 2);
    book->index = xcalloc(book->index_size, sizeof(*book->index));
    for (size_t i = 0; i < book->questions.count; i++) {
        size_t at = book->questions.items[i].hash & (book->index_size - 1);

        while (book->index[at])
            at = (at + 1) & (book->index_size - 1);
        book->index[at] = (uint32_t)(i + 1);
    }
    /* The table is at most half full. */
    capacity = book->index_size * (sizeof(*book->index) + sizeof(struct merge_question) / 2);
    account_charge(book->arena.account, capacity - book->charged);
    book->charged = capacity;
}

/* Where the question is in the table, or belongs. */
static uint32_t *book_slot(const struct merge_book *book, uint64_t hash, const void *windows, size_t size) {
    size_t at = hash & (book->index_size - 1);

    for (; book->index[at]; at = (at + 1) & (book->index_size - 1)) {
        const struct merge_question *question = &book->questions.items[book->index[at] - 1];

        if (question->hash == hash && compare_windows(question->windows, question->size, windows, size) == 0)
            break;
    }
    return &book->index[at];
}

uint64_t merge_book_ask_about(struct merge_book *book, const struct buf *set, uint32_t count) {
    uint64_t hash = hash_bytes(buf_data(set), set->size);
    struct merge_question question = {.hash = hash, .size = set->size, .count = count};
    uint8_t *copy;
    uint32_t *slot;

    if (book->questions.count * 2 >= book->index_size)
        book_grow(book);
    slot = book_slot(book, hash, buf_data(set), set->size);
    if (*slot)
        return book->first + *slot - 1;
    copy = arena_alloc(&book->arena, set->size + 1);
    if (set->size)
        memcpy(copy, buf_data(set), set->size);
    question.windows = copy;
    vec_push(&book->questions, question);
    *slot = (uint32_t)book->questions.count;
    return book->first + *slot - 1;
}

void merge_book_ask(struct merge_book *book, const struct group_partition *partition) {
    struct group_entry **sorted = sort_entries(partition);
    struct buf set = {0};

    for (size_t i = 0, end; i < partition->entry_count; i = end) {
        end = key_end(sorted, i, partition->entry_count, &set);
        merge_book_ask_about(book, &set, (uint32_t)(end - i));
    }
    buf_clear(&set);
    free(sorted);
}

uint64_t merge_book_write(const struct merge_book *book, size_t *at, size_t target_bytes, struct buf *out) {
    size_t begin = out->size;
    uint64_t count = 0;

    for (; *at < book->questions.count && (count == 0 || out->size - begin < target_bytes); ++*at, count++) {
        const struct merge_question *question = &book->questions.items[*at];

        windowed_value_write_header(out, TIME_MIN, NULL, 0, &PANE_NO_FIRING);
        buf_add_varint(out, sizeof(uint64_t));
        buf_add_be64(out, book->first + *at);
        buf_add_be32(out, question->count);
        buf_add(out, question->windows, question->size);
    }
    return count;
}

/* ---- answers ---- */

enum { UNPLACED = UINT32_MAX };

static const char not_asked_about[] = "one that is none of them; is the encoding of windows deterministic?";

/* A window that windows went into. `into` is its own place, or that of one that consumed it in turn. */
struct place {
    struct cursor window;
    uint32_t into;
};

/* An answer while it is read. Everything points into the question or the answer. */
struct reading {
    const struct merge_book *book;
    struct merge_question *question;
    struct cursor *asked; /* the question's windows */
    uint32_t *targets;    /* of each: its place in results */
    VEC(struct place) results;
    struct map by_window; /* -> 1 + place in results of the last one with these bytes */
    struct status *st;
};

static int fail(struct reading *reading, const char *what) {
    return status_set(reading->st, STATUS_INVALID_ARGUMENT,
                      "the SDK was asked which of %u windows merge, and answered with %s",
                      (unsigned)reading->question->count, what);
}

static struct cursor read_window(const struct reading *reading, struct cursor *at) {
    struct cursor window = *at;
    enum coder_result result = coder_skip(reading->book->window, at);

    assert(result == CODER_OK);
    window.end = at->at;
    return window;
}

/* 1 + place, or 0. */
static uint32_t find_result(const struct reading *reading, struct cursor window) {
    return (uint32_t)(uintptr_t)map_get(&reading->by_window, window.at, cursor_left(&window));
}

/* The result with these bytes, made when there is none that still stands. */
static uint32_t place_result(struct reading *reading, struct cursor window) {
    uint32_t found = find_result(reading, window), place = (uint32_t)reading->results.count;
    struct place made = {window, place};

    if (found && reading->results.items[found - 1].into == found - 1)
        return found - 1;
    vec_push(&reading->results, made);
    map_set(&reading->by_window, window.at, cursor_left(&window), (void *)(uintptr_t)(place + 1));
    return place;
}

/* Where the windows of a result are in the end. */
static uint32_t final_place(struct reading *reading, uint32_t place) {
    struct place *results = reading->results.items;

    while (results[place].into != place)
        place = results[place].into = results[results[place].into].into;
    return place;
}

/* The window's place in the question, or UNPLACED. */
static uint32_t find_asked(const struct reading *reading, struct cursor window) {
    uint32_t low = 0, high = reading->question->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        struct cursor asked = reading->asked[middle];
        int order = compare_windows(asked.at, cursor_left(&asked), window.at, cursor_left(&window));

        if (order == 0)
            return middle;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return UNPLACED;
}

/* An original goes to the result; what is itself a result of this answer (Java reports each step of a merge in several) takes with it what
 * it consumed. */
static int consume(struct reading *reading, struct cursor window, uint32_t result) {
    uint32_t asked = find_asked(reading, window), found;

    if (asked != UNPLACED && reading->targets[asked] == UNPLACED) {
        reading->targets[asked] = result;
        return 0;
    }
    found = find_result(reading, window);
    if (!found)
        return fail(reading, asked == UNPLACED ? not_asked_about : "one of them in two places");
    if (reading->results.items[found - 1].into == found - 1)
        reading->results.items[found - 1].into = result;
    return 0;
}

static int read_unmerged(struct reading *reading, struct cursor *at) {
    struct iterable windows = iterable_begin(at);
    int more;

    while ((more = iterable_next(&windows, at)) > 0) {
        struct cursor window = read_window(reading, at);
        uint32_t asked = find_asked(reading, window);

        if (asked == UNPLACED || reading->targets[asked] != UNPLACED)
            return fail(reading, asked == UNPLACED ? not_asked_about : "one of them in two places");
        reading->targets[asked] = place_result(reading, window);
    }
    return more < 0 ? fail(reading, "an iterable that goes on elsewhere") : 0;
}

static int read_merged(struct reading *reading, struct cursor *at) {
    struct iterable merged = iterable_begin(at), consumed;
    int more, r = 0;
    size_t most;

    while (r == 0 && (more = iterable_next(&merged, at)) > 0) {
        uint32_t result = place_result(reading, read_window(reading, at));

        consumed = iterable_begin(at);
        /* Windows without any bytes can be many at no cost. */
        most = reading->question->count + reading->results.count;
        while (r == 0 && (more = iterable_next(&consumed, at)) > 0)
            r = most-- ? consume(reading, read_window(reading, at), result)
                       : fail(reading, "one of them in two places");
        if (more < 0)
            break;
    }
    return r == 0 && more < 0 ? fail(reading, "an iterable that goes on elsewhere") : r;
}

static void reading_begin(struct reading *reading) {
    const struct merge_question *question = reading->question;
    struct cursor at = cursor_of(question->windows, question->size);

    reading->asked = xcalloc(question->count, sizeof(*reading->asked));
    reading->targets = xcalloc(question->count, sizeof(*reading->targets));
    for (uint32_t i = 0; i < question->count; i++) {
        reading->asked[i] = read_window(reading, &at);
        reading->targets[i] = UNPLACED;
    }
}

static void reading_end(struct reading *reading) {
    free(reading->asked);
    free(reading->targets);
    vec_free(&reading->results);
    map_clear(&reading->by_window, NULL);
}

/* Reads what is behind the nonce. */
static int read_places(struct reading *reading, struct cursor at) {
    int r = read_unmerged(reading, &at);

    if (r == 0)
        r = read_merged(reading, &at);
    for (uint32_t i = 0; r == 0 && i < reading->question->count; i++) {
        if (reading->targets[i] == UNPLACED)
            return fail(reading, "one of them in no place");
        reading->targets[i] = final_place(reading, reading->targets[i]);
    }
    for (uint32_t i = 0; r == 0 && i < reading->question->count; i++) {
        uint32_t found = find_result(reading, reading->asked[i]);

        if (found && reading->results.items[found - 1].into == found - 1 && reading->targets[i] != found - 1)
            return fail(reading, "one of them both as what others became and as what became another");
    }
    return r;
}

/* Finds the question that an answer is to, and *book, where it is; *at moves behind the nonce. */
static struct merge_question *find_question(struct merge_book **book, struct cursor *at) {
    struct cursor nonce;
    uint64_t number;

    if (!cursor_prefixed(at, &nonce) || cursor_left(&nonce) != sizeof(number) || !cursor_be64(&nonce, &number))
        return NULL;
    while (*book && number < (*book)->first)
        *book = (*book)->older;
    if (!*book || number - (*book)->first >= (*book)->questions.count)
        return NULL;
    return &(*book)->questions.items[number - (*book)->first];
}

static int check_answer(struct merge_book *book, struct cursor value, uint64_t bundle, struct status *st) {
    struct reading reading = {.question = find_question(&book, &value), .st = st};
    int r;

    reading.book = book;
    if (!reading.question)
        return status_set(st, STATUS_INVALID_ARGUMENT,
                          "the SDK answered a question about merging windows that it was not asked");
    if (reading.question->results || reading.question->seen_in == bundle)
        return fail(&reading, "two answers");
    reading.question->seen_in = bundle;
    reading_begin(&reading);
    r = read_places(&reading, value);
    reading_end(&reading);
    return r;
}

int merge_book_check(struct merge_book *book, const struct run_list *answers, uint64_t asked, uint64_t bundle,
                     struct status *st) {
    if (answers->count != asked)
        return status_set(st, STATUS_INVALID_ARGUMENT,
                          "the SDK was asked %llu questions about merging windows, and gave %llu answers",
                          (unsigned long long)asked, (unsigned long long)answers->count);
    vec_foreach (run, &answers->runs) {
        struct cursor at = cursor_of(run->bytes.data, run->bytes.size);

        while (cursor_left(&at)) {
            struct windowed_value element;
            enum coder_result result = windowed_value_read(book->answer, &at, &element);
            int r;

            assert(result == CODER_OK);
            (void)result;
            r = check_answer(book, element.value, bundle, st);
            if (r < 0)
                return r;
        }
    }
    return 0;
}

/* Results that were consumed in turn are kept as well, and never used. */
static void keep(struct merge_book *book, const struct reading *reading) {
    struct merge_question *question = reading->question;

    question->result_count = (uint32_t)reading->results.count;
    question->results = arena_new_array(&book->arena, struct merge_result, reading->results.count + 1);
    for (size_t i = 0; i < reading->results.count; i++) {
        struct cursor window = reading->results.items[i].window, at = window;
        struct merge_result *result = &question->results[i];
        enum coder_result r = window_max_timestamp(book->window, &at, &result->max_timestamp);

        assert(r == CODER_OK);
        (void)r;
        result->size = cursor_left(&window);
        result->window = (uint8_t *)arena_copy(&book->arena, window.at, result->size);
    }
    question->targets = arena_alloc(&book->arena, question->count * sizeof(*question->targets));
    memcpy(question->targets, reading->targets, question->count * sizeof(*question->targets));
}

static void take_answer(struct merge_book *book, struct cursor value) {
    struct reading reading = {.question = find_question(&book, &value)};
    int r;

    reading.book = book;
    reading_begin(&reading);
    r = read_places(&reading, value);
    assert(r == 0);
    (void)r;
    keep(book, &reading);
    reading_end(&reading);
}

void merge_book_answer(struct merge_book *book, const struct run *answers) {
    struct cursor at = cursor_of(answers->bytes.data, answers->bytes.size);

    while (cursor_left(&at)) {
        struct windowed_value element;
        enum coder_result result = windowed_value_read(book->answer, &at, &element);

        assert(result == CODER_OK);
        (void)result;
        take_answer(book, element.value);
    }
}

/* ---- of a stream ---- */

bool merge_book_find_answer(const struct merge_book *book, uint64_t number, struct merge_answer *ret) {
    const struct merge_question *question = &book->questions.items[number - book->first];

    assert(number >= book->first && number - book->first < book->questions.count);
    if (!question->results)
        return false;
    *ret = (struct merge_answer){.count = question->count,
                                 .places = question->targets,
                                 .result_count = question->result_count,
                                 .results = question->results};
    return true;
}

size_t merge_book_question_count(const struct merge_book *book) {
    return book->questions.count;
}

struct merge_book *merge_book_renew(struct merge_book *book) {
    struct merge_book *next = merge_book_create(book->window, book->arena.account);

    next->first = book->first + book->questions.count;
    next->older = book;
    return next;
}

void merge_book_forget_older(struct merge_book *book) {
    struct merge_book **place = &book->older, *older;

    while ((older = *place)) {
        if (older->refs > 1) {
            place = &older->older;
            continue;
        }
        *place = older->older;
        older->older = NULL;
        merge_book_unref(older);
    }
}

/* ---- of what is complete ---- */

/* The key's entries [first, end) become as many as there are results; returns behind the last one written. */
static struct group_entry *merge_key(const struct merge_question *question, struct group_partition *partition,
                                     struct group_entry *const *entries, struct group_entry *out) {
    struct group_entry **of_result = xcalloc(question->result_count, sizeof(*of_result));

    for (uint32_t i = 0; i < question->count; i++) {
        uint32_t target = question->targets[i];
        const struct merge_result *result = &question->results[target];

        if (of_result[target]) {
            group_entry_absorb(partition->windowing, of_result[target], entries[i]);
            continue;
        }
        of_result[target] = out;
        *out = *entries[i];
        group_entry_set_window(partition, out++, result->window, result->size, result->max_timestamp);
    }
    free(of_result);
    return out;
}

void merge_book_apply(const struct merge_book *book, struct group_partition *partition) {
    struct group_entry **sorted = sort_entries(partition);
    struct group_entry *merged = xcalloc(partition->entry_count, sizeof(*merged)), *out = merged;
    struct buf set = {0};

    for (size_t i = 0, end; i < partition->entry_count; i = end) {
        const struct merge_question *question;
        uint32_t place;

        end = key_end(sorted, i, partition->entry_count, &set);
        place = *book_slot(book, hash_bytes(buf_data(&set), set.size), buf_data(&set), set.size);
        assert(place > 0);
        question = &book->questions.items[place - 1];
        assert(question->results && question->count == end - i);
        out = merge_key(question, partition, sorted + i, out);
    }
    partition->entry_count = (size_t)(out - merged);
    memcpy(partition->entries, merged, partition->entry_count * sizeof(*merged));
    buf_clear(&set);
    free(merged);
    free(sorted);
}
