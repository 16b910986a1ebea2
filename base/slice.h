/* Reference-counted immutable bytes: what crosses modules and threads instead of copies.
 *
 *      struct slice { block, data, size }
 *                        |     |
 *                        v     v
 *      struct block    [ .... bytes ............................. ]   freed with its last slice
 *
 * A slice owns one reference on its block (block NULL: the bytes live for ever, e.g. a string literal).
 * Passing a slice by value hands the reference over unless the callee's comment says "borrowed".
 * Blocks are charged to an account for their whole life. Reference counts are atomic: any thread may hold,
 * reference and drop a slice; the bytes never change once a second owner exists. */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/account.h"

struct block {
    atomic_uint refs;
    struct account *account; /* owned reference, may be NULL */
    size_t charged_bytes;
    void (*destroy)(struct block *block); /* frees the bytes and the block itself */
    uint8_t *data;
    size_t size;
};

struct slice {
    struct block *block;
    const uint8_t *data;
    size_t size;
};

#define CLEANUP_SLICE CLEANUP(slice_unref)
#define SLICE_EMPTY ((struct slice){0})

/* A block of `size` writable bytes with one reference. Fill it, then wrap it with slice_of_block(). */
struct block *block_create(size_t size, struct account *account);
/* For memory that something else allocated: sets refs, account and charge; the caller fills the rest. */
void block_init(struct block *block, void (*destroy)(struct block *), uint8_t *data, size_t size,
                struct account *account);
void block_unref(struct block *block);

/* Takes over the reference. */
struct slice slice_of_block(struct block *block, size_t offset, size_t size);
struct slice slice_of_static(const void *bytes, size_t size);
struct slice slice_of_literal(const char *string);
struct slice slice_copy(const void *bytes, size_t size, struct account *account);
/* A new reference on the same bytes. */
struct slice slice_ref(struct slice slice);
/* A new reference on a part; offset + size must be inside. */
struct slice slice_sub(struct slice slice, size_t offset, size_t size);
/* Drops the reference and empties *slice. */
void slice_unref(struct slice *slice);
bool slice_equal(struct slice a, struct slice b);
bool slice_equal_string(struct slice slice, const char *string);

#endif
