#include "model/iterable.h"

struct iterable iterable_begin(struct cursor *at) {
    uint32_t count = 0;

    cursor_be32(at, &count);
    return count == UINT32_MAX ? (struct iterable){.has_batches = true} : (struct iterable){.left = count};
}

int iterable_next(struct iterable *iterable, struct cursor *at) {
    if (iterable->left == 0 && iterable->has_batches) {
        cursor_varint(at, &iterable->left);
        if (iterable->left == UINT64_MAX)
            return -1;
        iterable->has_batches = iterable->left > 0;
    }
    if (iterable->left == 0)
        return 0;
    iterable->left--;
    return 1;
}
