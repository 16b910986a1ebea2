#include "base/slice.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static void block_free(struct block *block) {
    free(block);
}

void block_init(struct block *block, void (*destroy)(struct block *), uint8_t *data, size_t size,
                struct account *account) {
    atomic_init(&block->refs, 1);
    block->destroy = destroy;
    block->data = data;
    block->size = size;
    block->charged_bytes = size;
    block->account = account ? account_ref(account) : NULL;
    account_charge(account, size);
}

struct block *block_create(size_t size, struct account *account) {
    struct block *block = xmalloc(sizeof(*block) + size);

    block_init(block, block_free, (uint8_t *)(block + 1), size, account);
    return block;
}

void block_unref(struct block *block) {
    struct account *account;

    if (!block || atomic_fetch_sub_explicit(&block->refs, 1, memory_order_acq_rel) != 1)
        return;
    account = block->account;
    account_release(account, block->charged_bytes);
    block->destroy(block);
    account_unref(account);
}

struct slice slice_of_block(struct block *block, size_t offset, size_t size) {
    assert(offset <= block->size && size <= block->size - offset);
    return (struct slice){.block = block, .data = block->data + offset, .size = size};
}

struct slice slice_of_static(const void *bytes, size_t size) {
    return (struct slice){.block = NULL, .data = bytes, .size = size};
}

struct slice slice_of_literal(const char *string) {
    return slice_of_static(string, strlen(string));
}

struct slice slice_copy(const void *bytes, size_t size, struct account *account) {
    struct block *block;

    if (size == 0)
        return SLICE_EMPTY;
    block = block_create(size, account);
    memcpy(block->data, bytes, size);
    return slice_of_block(block, 0, size);
}

struct slice slice_ref(struct slice slice) {
    if (slice.block)
        atomic_fetch_add_explicit(&slice.block->refs, 1, memory_order_relaxed);
    return slice;
}

struct slice slice_sub(struct slice slice, size_t offset, size_t size) {
    assert(offset <= slice.size && size <= slice.size - offset);
    if (size == 0)
        return SLICE_EMPTY;
    slice = slice_ref(slice);
    slice.data += offset;
    slice.size = size;
    return slice;
}

void slice_unref(struct slice *slice) {
    block_unref(slice->block);
    *slice = SLICE_EMPTY;
}

bool slice_equal(struct slice a, struct slice b) {
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

bool slice_equal_string(struct slice slice, const char *string) {
    return slice_equal(slice, slice_of_literal(string));
}
