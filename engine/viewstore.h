/* A multimap side input that is too large for the memory: grouped by window and key, as a grouping is, and stored in its buckets.
 *
 *      elements --> group --(memory is short)--> buckets          while the view is made
 *      first read: what is left in memory goes to the buckets too; from then on nothing changes any more
 *      lookup   --> the key's bucket, read and built --> its values; the last buckets stay for a while
 *      keys, entries: bucket after bucket
 *
 * A page's token stays good for as long as the view is there, since SDKs keep tokens in their caches from one bundle to the next: so a
 * view that was read is not made into this any more. Belongs to the engine's thread. */
#ifndef ENGINE_VIEWSTORE_H
#define ENGINE_VIEWSTORE_H

#include "engine/group.h"
#include "engine/view.h"

struct engine;
struct state_request;

struct built_bucket {
    size_t place;
    size_t bytes;
    struct group_partition *partition; /* owned reference */
};

struct view_store {
    struct group *group;
    bool is_sealed;                  /* all of it is in the buckets */
    VEC(struct built_bucket) recent; /* the last one was used last */
};

/* Moves what is in the maps of a multimap view, all of it in memory, to a store, view->store, where all that comes is added. */
void view_store_create(struct engine *engine, struct view *view);
/* Before the first read. */
void view_store_seal(struct engine *engine, struct view_store *store);
void view_store_free(struct view_store *store);

/* What a read gave. */
enum view_store_result {
    VIEW_STORE_PAGE,      /* in `out` */
    VIEW_STORE_EXTENT,    /* the page is *ret_extent, borrowed */
    VIEW_STORE_BUCKET,    /* bucket *ret_bucket must be brought into memory first: then the read goes on at *position */
    VIEW_STORE_TOO_LARGE, /* an entry, with all its values */
};

struct view_store_read {
    struct slice window, key; /* `key` of a lookup */
    uint64_t position;        /* 0 at first; moves on */
    size_t limit;             /* of a page's bytes, about */
    size_t max_entry;         /* of an entry's, which cannot be cut */
    struct buf *out;
    struct extent *extent;
    size_t bucket;
    bool more;
};

/* Values of a key. */
enum view_store_result view_store_lookup(struct view_store *store, struct view_store_read *read);
/* The window's keys, or, with_values, KV<key, iterable<value>>. Their order is the same each time. */
enum view_store_result view_store_walk(struct view_store *store, bool with_values, struct view_store_read *read);
/* The bytes of the bucket's entries are there: builds it and keeps it, and lets go of others when there are more than max_bytes. */
void view_store_fill(struct view_store *store, size_t bucket, const struct slice *bytes, size_t count,
                     size_t max_bytes);

#endif
