/* A view: a PCollection materialised as side input, by window and, for multimaps, by key
 * (beam_fn_api.proto: StateKey.IterableSideInput, MultimapSideInput, MultimapKeysSideInput).
 *
 * One view serves every stage that reads the PCollection with the same access. Belongs to the engine's thread. */
#ifndef ENGINE_VIEW_H
#define ENGINE_VIEW_H

#include "base/map.h"
#include "engine/chain.h"
#include "engine/runs.h"
#include "translate/plan.h"

struct backlog;
struct live_view;
struct view_store;

struct view {
    unsigned collection;
    enum plan_access access;
    const struct coder *coder; /* windowed value */
    struct account *account;
    struct map contents; /* window [and key] -> struct chain: elements, or values of the key */
    struct map keys;     /* window -> struct chain: the distinct keys of a multimap */
    struct view_store
        *store;   /* owned; instead of the maps, once there was no memory for them (engine/viewstore.h); else NULL */
    size_t bytes; /* in the maps, about */
    size_t charged_bytes;    /* of those: what the maps themselves take */
    bool is_read;            /* somebody has read of it */
    bool is_unused;          /* nobody will read it any more */
    struct backlog *backlog; /* the engine's: elements that are stored and not yet in here */
    struct live_view *live;  /* owned; of an unbounded PCollection, and then there is nothing in the maps; else NULL */
    event_time watermark;    /* of `live`: it has all elements before this time but late ones */
};

/* Whether a multimap can be made of elements of this coder: they are KVs. */
bool view_coder_fits(const struct coder *windowed, enum plan_access access);
/* Borrows the run, which is in memory. The bytes were checked when they arrived. */
void view_add(struct view *view, const struct run *run);
/* One element, in one encoded window. */
void view_add_element(struct view *view, struct cursor window, struct cursor value);
/* NULL: nothing there, an empty view. */
const struct chain *view_elements(const struct view *view, struct slice window, struct slice key);
const struct chain *view_keys(const struct view *view, struct slice window);
/* entries.c: writes KV<key, iterable<value>> for the keys of the window from *position (0 at first) on, about `limit` bytes of them but at
 * least one; *position moves on. Negative when the next entry, which cannot be cut, is larger than max_entry bytes or is not in
 * memory. A multimap's only. */
int view_read_entries(const struct view *view, struct slice window, uint64_t *position, size_t limit, size_t max_entry,
                      struct buf *out, bool *ret_more);
void view_clear(struct view *view);

/* Bytes of a composite map key: each part with its length in front. */
void key_add_part(struct buf *key, const void *bytes, size_t size);

#endif
