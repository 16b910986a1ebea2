#include "engine/orderedlist.h"

#include <assert.h>
#include <stdlib.h>

static bool next_entry(struct cursor *at, struct ordered_entry *ret) {
    struct cursor value;
    uint64_t sort_key;

    ret->bytes.at = at->at;
    if (!cursor_varint(at, &sort_key) || !cursor_prefixed(at, &value))
        return false;
    ret->sort_key = (int64_t)sort_key;
    ret->bytes.end = at->at;
    return true;
}

bool ordered_list_is_well_formed(struct slice entries) {
    struct cursor at = cursor_of(entries.data, entries.size);
    struct ordered_entry entry;

    while (cursor_left(&at))
        if (!next_entry(&at, &entry))
            return false;
    return true;
}

void ordered_list_add(struct ordered_list *list, struct slice entries) {
    struct cursor at = cursor_of(entries.data, entries.size);

    vec_push(&list->pieces, entries);
    while (cursor_left(&at)) {
        struct ordered_entry entry = {.place = list->entries.count};
        bool ok = next_entry(&at, &entry);

        assert(ok);
        (void)ok;
        vec_push(&list->entries, entry);
    }
}

void ordered_list_without(const struct ordered_list *list, int64_t start, int64_t end, struct buf *out) {
    vec_foreach (entry, &list->entries)
        if (entry->sort_key < start || entry->sort_key >= end)
            buf_add(out, entry->bytes.at, cursor_left(&entry->bytes));
}

static int compare_entries(const void *left, const void *right) {
    const struct ordered_entry *a = left, *b = right;

    if (a->sort_key != b->sort_key)
        return a->sort_key < b->sort_key ? -1 : 1;
    return a->place < b->place ? -1 : a->place > b->place;
}

void ordered_list_sort(struct ordered_list *list) {
    if (list->entries.count)
        qsort(list->entries.items, list->entries.count, sizeof(*list->entries.items), compare_entries);
}

/* The first entry that is not before the key. */
static size_t lower_bound(const struct ordered_list *list, int64_t sort_key) {
    size_t low = 0, high = list->entries.count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (list->entries.items[middle].sort_key < sort_key)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void ordered_list_read(const struct ordered_list *list, int64_t start, int64_t end, uint64_t *position, size_t limit,
                       struct buf *out, bool *ret_more) {
    size_t first = lower_bound(list, start), behind = lower_bound(list, end);

    behind = MAX(first, behind);
    for (; *position < behind - first && out->size < limit; ++*position) {
        const struct ordered_entry *entry = &list->entries.items[first + *position];

        buf_add(out, entry->bytes.at, cursor_left(&entry->bytes));
    }
    *ret_more = *position < behind - first;
}

void ordered_list_clear(struct ordered_list *list) {
    vec_foreach (piece, &list->pieces)
        slice_unref(piece);
    vec_free(&list->pieces);
    vec_free(&list->entries);
}
