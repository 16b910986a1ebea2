/* Buckets: what of a grouping's partition was written out, cut finer by the hash, as extents.
 *
 *      partition --store--> bucket 0: extent, extent ...      a partition is cut into GROUP_BUCKETS by another hash of its keys
 *                           bucket 1: extent ...
 *      bucket    --build--> a partition of that bucket's keys, whose keys and values lie in the extents' bytes
 *      bucket    --cut--->  smaller buckets, when it would take too much memory to build (engine/rebucket.c)
 *
 *      extent of entries:   [ window size | key size | window | key | timestamp | count | values ] ...   integers are varints
 *      values:              0, size, bytes     or, where a key has many:     number of value extents, the first one's place in the bucket
 *
 * Values of one key that take more than an extent go to extents of their own, value boundaries at their ends, so that building a bucket
 * needs memory for the keys and for what is small, never for all values of one key. What an entry has besides them is then an entry of its
 * own, and the one with the extents counts none. Belongs to the engine's thread. */
#ifndef ENGINE_BUCKET_H
#define ENGINE_BUCKET_H

#include "engine/group.h"

enum { GROUP_BUCKETS = 32 };

struct bucket_entries {
    struct extent *extent; /* owned reference */
    uint64_t first_value;  /* what its places of value extents are counted from */
};

struct group_bucket {
    unsigned refs;
    VEC(struct bucket_entries) entries;
    VEC(struct extent *) values;
    size_t bytes;       /* in all extents */
    size_t value_bytes; /* in those of values */
    size_t built_count; /* entries when it was last built and merged, 0: never yet */
    uint64_t records;   /* entries as they were written: at least as many as it will have when built */
    const struct windowing *windowing;
    struct merge_book *merges; /* owned reference: how its windows merge, once the SDK has said so; else NULL */
};

struct group_bucket *group_bucket_create(const struct windowing *windowing);
struct group_bucket *group_bucket_ref(struct group_bucket *bucket);
/* NULL is fine. */
void group_bucket_unref(struct group_bucket *bucket);

/* How a partition becomes buckets. */
struct bucket_cut {
    unsigned level;      /* of a bucket that was cut out of one of level - 1: by a hash of its own */
    unsigned fan_out;    /* into how many: a power of two, at most GROUP_BUCKETS */
    size_t extent_bytes; /* target of an extent */
    size_t inline_bytes; /* an entry's values that take more than this go to extents of their own */
};

/* Writes the partition out into cut->fan_out buckets from *buckets on, made where NULL, and frees it; it must have no other owner. Values that
 * lie in extents already stay there. */
void group_partition_cut(struct engine *engine, struct group_partition *partition, const struct bucket_cut *cut,
                         struct group_bucket **buckets);
/* What a bucket takes of memory when it is built, about. */
size_t group_bucket_build_bytes(const struct group_bucket *bucket, bool with_values);
/* Writes the partition out and frees it (it must have no other owner): into GROUP_BUCKETS buckets from *buckets on, made where NULL. */
void group_partition_store(struct engine *engine, struct group_partition *partition, struct group_bucket **buckets,
                           size_t extent_bytes);
/* Partition `i` of the group, when there is one, into its buckets. */
void group_store_partition(struct engine *engine, struct group *group, unsigned i, size_t extent_bytes);
/* The same; a small one goes to the partition's loose bucket, uncut, if the group allows it. */
void group_spill_partition(struct engine *engine, struct group *group, unsigned i, size_t extent_bytes);
/* Hands over the loose bucket of partition `i`, if there is one, and in it what is in memory. */
struct group_bucket *group_take_loose(struct engine *engine, struct group *group, unsigned i, size_t extent_bytes);
bool group_partition_has_buckets(const struct group *group, unsigned i);
/* The place among the group's buckets of a key of this hash. */
size_t group_bucket_place(const struct group *group, uint64_t key_hash);
/* The bucket as a partition, windows that merge not yet merged; `bytes` are those of all entry extents in order and, behind them, those
 * of all value extents or of none. References are new. */
struct group_partition *group_bucket_build(struct group_bucket *bucket, const struct slice *bytes, size_t count,
                                           struct account *account);
/* The same of `count` entry extents from `first` on, whose bytes are given; values that have extents of their own stay in them. */
struct group_partition *group_bucket_build_part(const struct group_bucket *bucket, size_t first,
                                                const struct slice *bytes, size_t count, struct account *account);

#endif
