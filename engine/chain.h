/* A chain: bytes of whole elements in pages of the job's own account (law 3: a small element never pins a large message).
 *
 * Pages only grow at their end, so that a slice of what is there stays valid while more is added. An element never lies across two
 * pages: state pages that go to an SDK end at element boundaries (PROTOCOL G). Belongs to the engine's thread; the slices handed out
 * may be read by any. */
#ifndef ENGINE_CHAIN_H
#define ENGINE_CHAIN_H

#include "base/slice.h"
#include "base/vec.h"
#include "engine/store.h"

struct chain_page {
    struct block *block;   /* NULL once it is stored: */
    struct extent *extent; /* owned reference */
    size_t used;
};

/* Zero-initialise. */
struct chain {
    VEC(struct chain_page) pages;
    size_t bytes;
    uint64_t count; /* of pieces added: elements, where each is added alone */
};

void chain_add(struct chain *chain, struct account *account, const void *bytes, size_t size);
/* Up to max_pieces slices of about `limit` bytes (at least one page) from page *at on; *at moves on, *ret_more says whether there are more
 * pages. Returns the number of pieces. A page that is stored is read alone: no pieces, and *ret_extent is what to fetch (borrowed; NULL
 * otherwise). */
size_t chain_read(const struct chain *chain, size_t *at, size_t limit, struct slice *pieces, size_t max_pieces,
                  struct extent **ret_extent, bool *ret_more);
void chain_clear(struct chain *chain);
/* For map_clear: a chain on the heap. */
void chain_free(void *chain);

#endif
