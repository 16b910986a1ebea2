#include "engine/orderedlist.h"

#include <assert.h>
#include <stdlib.h>

#include "base/vec.h"

struct entry {
    int64_t sort_key;
    const uint8_t *begin, *end;
};

static bool next_entry(struct cursor *at, struct entry *ret) {
    struct cursor value;
    uint64_t sort_key;

    ret->begin = at->at;
    if (!cursor_varint(at, &sort_key) || !cursor_prefixed(at, &value))
        return false;
    ret->sort_key = (int64_t)sort_key;
    ret->end = at->at;
    return true;
}

bool ordered_list_is_well_formed(struct slice entries) {
    struct cursor at = cursor_of(entries.data, entries.size);
    struct entry entry;

    while (cursor_left(&at))
        if (!next_entry(&at, &entry))
            return false;
    return true;
}

static int compare_entries(const void *left, const void *right) {
    const struct entry *a = left, *b = right;

    if (a->sort_key != b->sort_key)
        return a->sort_key < b->sort_key ? -1 : 1;
    return a->begin < b->begin ? -1 : a->begin > b->begin; /* all point into one buffer: the order of arrival */
}

void ordered_list_select(struct slice entries, int64_t start, int64_t end, uint64_t *position, size_t limit,
                         struct buf *out, bool *ret_more) {
    struct cursor at = cursor_of(entries.data, entries.size);
    VEC(struct entry) selected = {0};
    struct entry entry;

    while (cursor_left(&at)) {
        bool ok = next_entry(&at, &entry);

        assert(ok);
        (void)ok;
        if (entry.sort_key >= start && entry.sort_key < end)
            vec_push(&selected, entry);
    }
    if (selected.count)
        qsort(selected.items, selected.count, sizeof(entry), compare_entries);
    for (; *position < selected.count && out->size < limit; ++*position) {
        const struct entry *next = &selected.items[*position];

        buf_add(out, next->begin, (size_t)(next->end - next->begin));
    }
    *ret_more = *position < selected.count;
    vec_free(&selected);
}

void ordered_list_without(struct slice entries, int64_t start, int64_t end, struct buf *out) {
    struct cursor at = cursor_of(entries.data, entries.size);
    struct entry entry;

    while (cursor_left(&at)) {
        bool ok = next_entry(&at, &entry);

        assert(ok);
        (void)ok;
        if (entry.sort_key < start || entry.sort_key >= end)
            buf_add(out, entry.begin, (size_t)(entry.end - entry.begin));
    }
}
