/* What of a job's data lies outside the engine's memory: extents, each written as a whole and read back as a whole by the host.
 *
 *      extent_create(bytes)    --> ENGINE_ACTION_STORE ... ENGINE_EVENT_STORED: its bytes take no memory any more
 *      fetch_start(extents)    --> ENGINE_ACTION_LOAD ...  ENGINE_EVENT_LOADED: when all of them are there, `done` is called
 *      the last reference goes --> ENGINE_ACTION_DROP
 *
 * Where extents lie, in how many files and how compressed, is the host's business. An extent never changes. Belongs to the engine's
 * thread. */
#ifndef ENGINE_STORE_H
#define ENGINE_STORE_H

#include "base/map.h"
#include "base/slice.h"
#include "base/vec.h"

struct engine;
struct fetch;

struct extent {
    struct engine *engine;
    uint64_t id;
    unsigned refs; /* 0: waits for the end of its writing, to be dropped */
    bool is_stored;
    size_t size; /* bytes */
};

/* Embedded in the engine; zero-initialise. */
struct store {
    uint64_t next_extent;
    uint64_t next_load;
    struct map extents;   /* id -> struct extent */
    size_t storing_bytes; /* handed to the host and not yet written: this memory is about to be free */
    VEC(struct fetch *) fetches;
};

/* Hands the pieces, laid end to end, to the host; takes their references over. One reference is the caller's. */
struct extent *extent_create(struct engine *engine, const struct slice *pieces, size_t count);
struct extent *extent_ref(struct extent *extent);
/* NULL is fine. */
void extent_unref(struct extent *extent);
/* NULL when there is none of this id. Borrowed. */
struct extent *extent_by_id(const struct store *store, uint64_t id);

/* Called once everything is there: `bytes` are those of the extents in order, borrowed; the fetch is freed afterwards. */
typedef void (*fetch_fn)(struct engine *engine, void *owner, const struct slice *bytes, size_t count);

/* Reads the extents, at least one; `done` comes with a later event, never from in here. The extents are kept meanwhile. */
struct fetch *fetch_start(struct engine *engine, struct extent *const *extents, size_t count, fetch_fn done,
                          void *owner);
/* Before `done`: it will not be called. NULL is fine. */
void fetch_cancel(struct engine *engine, struct fetch *fetch);

/* The host's answers. What is not known any more is ignored; takes the slice over. */
void store_stored(struct engine *engine, uint64_t extent);
void store_loaded(struct engine *engine, uint64_t load, struct slice bytes);
/* With the engine, after all owners of extents are gone. */
void store_clear(struct engine *engine);

#endif
