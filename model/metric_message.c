/* The monitoring payloads that are protobuf messages: BoundedTrie and HistogramValue (metrics.proto). They are few and small, and
 * model/ knows no protobuf library: they are read and written by hand here. */
#include "model/metric_payload.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/vec.h"

/* Payloads come from user code: what is beyond this is taken for malformed. SDKs stop at a bound of 100 paths. */
enum { TRIE_DEFAULT_BOUND = 100, TRIE_MAX_DEPTH = 100, TRIE_MAX_NODES = 10000 };

enum { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

/* One field of a message: `bytes` for a length-delimited one, `number` for a varint. */
struct field {
    unsigned number;
    unsigned wire;
    uint64_t value;
    struct cursor bytes;
};

/* 1: *ret is the next field; 0: the end; -1: malformed. */
static int next_field(struct cursor *c, struct field *ret) {
    uint64_t tag;
    bool ok;

    if (cursor_left(c) == 0)
        return 0;
    if (!cursor_varint(c, &tag) || tag > UINT32_MAX || tag >> 3 == 0)
        return -1;
    *ret = (struct field){.number = (unsigned)(tag >> 3), .wire = (unsigned)(tag & 7)};
    switch (ret->wire) {
    case WIRE_VARINT:
        ok = cursor_varint(c, &ret->value);
        break;
    case WIRE_BYTES:
        ok = cursor_prefixed(c, &ret->bytes);
        break;
    case WIRE_FIXED64:
        ok = cursor_skip(c, 8);
        break;
    case WIRE_FIXED32:
        ok = cursor_skip(c, 4);
        break;
    default:
        ok = false;
    }
    return ok ? 1 : -1;
}

static bool is_field(const struct field *field, unsigned number, unsigned wire) {
    return field->number == number && field->wire == wire;
}

/* ---- bounded trie ----
 *
 *   BoundedTrie      bound = 1, root = 2, singleton = 3 (the segments of the only path)
 *   BoundedTrieNode  truncated = 1, children = 2 (map: key = 1, value = 2)
 *
 * A node without children is the end of a path; a truncated one stands for everything below it. */

struct trie_node {
    bool is_truncated;
    size_t size;                 /* paths: 1 for a leaf, the sum over the children otherwise */
    struct trie_child *children; /* sorted by name, without duplicates */
    size_t child_count;
    size_t encoded_size;
};

struct trie_child {
    struct cursor name;
    struct trie_node *node;
};

struct trie {
    struct trie_node *root; /* NULL: no path at all */
    int64_t bound;
};

struct trie_reader {
    struct arena *arena;
    size_t nodes;
};

static int compare_names(struct cursor a, struct cursor b) {
    size_t left = cursor_left(&a), right = cursor_left(&b);
    int order = MIN(left, right) ? memcmp(a.at, b.at, MIN(left, right)) : 0;

    return order ? order : (left > right) - (left < right);
}

static int compare_children(const void *a, const void *b) {
    const struct trie_child *left = a, *right = b;

    return compare_names(left->name, right->name);
}

static void count_paths(struct trie_node *node) {
    node->size = node->child_count ? 0 : 1;
    for (size_t i = 0; i < node->child_count; i++)
        node->size += node->children[i].node->size;
}

static void truncate_node(struct trie_node *node) {
    node->is_truncated = true;
    node->child_count = 0;
    node->size = 1;
}

static struct trie_node *read_node(struct trie_reader *reader, struct cursor bytes, unsigned depth);

static bool read_child(struct trie_reader *reader, struct cursor bytes, unsigned depth, struct trie_child *ret) {
    struct cursor value = cursor_of(bytes.end, 0);
    struct field field;
    int more;

    ret->name = value;
    while ((more = next_field(&bytes, &field)) == 1) {
        if (is_field(&field, 1, WIRE_BYTES))
            ret->name = field.bytes;
        else if (is_field(&field, 2, WIRE_BYTES))
            value = field.bytes;
    }
    if (more < 0)
        return false;
    ret->node = read_node(reader, value, depth + 1);
    return ret->node != NULL;
}

static void sort_children(struct trie_node *node) {
    size_t kept = 0;

    if (node->child_count < 2)
        return;
    qsort(node->children, node->child_count, sizeof(*node->children), compare_children);
    for (size_t i = 1; i < node->child_count; i++)
        if (compare_children(&node->children[kept], &node->children[i]) != 0)
            node->children[++kept] = node->children[i];
    node->child_count = kept + 1;
}

/* NULL: malformed, too deep or too large. */
static struct trie_node *read_node(struct trie_reader *reader, struct cursor bytes, unsigned depth) {
    struct trie_node *node = arena_new(reader->arena, struct trie_node);
    struct cursor scan = bytes;
    struct field field;
    size_t children = 0;
    int more;

    if (depth > TRIE_MAX_DEPTH || ++reader->nodes > TRIE_MAX_NODES)
        return NULL;
    while ((more = next_field(&scan, &field)) == 1) {
        if (is_field(&field, 1, WIRE_VARINT))
            node->is_truncated = field.value != 0;
        else if (is_field(&field, 2, WIRE_BYTES))
            children++;
    }
    if (more < 0)
        return NULL;
    if (!node->is_truncated && children) {
        node->children = arena_new_array(reader->arena, struct trie_child, children);
        while (next_field(&bytes, &field) == 1)
            if (is_field(&field, 2, WIRE_BYTES) &&
                !read_child(reader, field.bytes, depth, &node->children[node->child_count++]))
                return NULL;
        sort_children(node);
    }
    count_paths(node);
    return node;
}

/* A chain of nodes, one for each segment. */
static struct trie_node *make_path(struct arena *arena, const struct cursor *segments, size_t count) {
    struct trie_node *node = arena_new(arena, struct trie_node);

    count_paths(node);
    while (count--) {
        struct trie_node *parent = arena_new(arena, struct trie_node);

        parent->children = arena_new(arena, struct trie_child);
        parent->children[0] = (struct trie_child){.name = segments[count], .node = node};
        parent->child_count = 1;
        count_paths(parent);
        node = parent;
    }
    return node;
}

static bool read_trie(struct arena *arena, struct cursor bytes, struct trie *ret) {
    struct trie_reader reader = {.arena = arena};
    VEC(struct cursor) segments = {0};
    struct field field;
    bool ok = true;
    int more;

    *ret = (struct trie){.bound = TRIE_DEFAULT_BOUND};
    while (ok && (more = next_field(&bytes, &field)) == 1) {
        if (is_field(&field, 1, WIRE_VARINT) && (int32_t)field.value > 0) {
            ret->bound = (int32_t)field.value;
        } else if (is_field(&field, 2, WIRE_BYTES)) {
            ret->root = read_node(&reader, field.bytes, 0);
            ok = ret->root != NULL;
        } else if (is_field(&field, 3, WIRE_BYTES)) {
            vec_push(&segments, field.bytes);
            ok = segments.count <= TRIE_MAX_DEPTH;
        }
    }
    ok = ok && more == 0;
    if (ok && !ret->root && segments.count)
        ret->root = make_path(arena, segments.items, segments.count);
    vec_free(&segments);
    return ok;
}

static void merge_nodes(struct arena *arena, struct trie_node *into, const struct trie_node *other) {
    struct trie_child *merged;
    size_t i = 0, j = 0, n = 0;

    if (into->is_truncated || (other->child_count == 0 && !other->is_truncated))
        return;
    if (other->is_truncated) {
        truncate_node(into);
        return;
    }
    merged = arena_new_array(arena, struct trie_child, into->child_count + other->child_count);
    while (i < into->child_count || j < other->child_count) {
        int order = i == into->child_count    ? 1
                    : j == other->child_count ? -1
                                              : compare_children(&into->children[i], &other->children[j]);

        if (order == 0)
            merge_nodes(arena, into->children[i].node, other->children[j].node);
        merged[n++] = order <= 0 ? into->children[i] : other->children[j];
        i += order <= 0;
        j += order >= 0;
    }
    into->children = merged;
    into->child_count = n;
    count_paths(into);
}

/* Truncates the node above the most paths, as the SDKs do: down the largest children until all below are single. Returns how many
 * paths went away. */
static size_t trim(struct trie_node *node) {
    struct trie_child *largest = node->children;
    size_t gone;

    for (size_t i = 1; i < node->child_count; i++)
        if (node->children[i].node->size > largest->node->size)
            largest = &node->children[i];
    if (node->child_count == 0)
        return 0;
    if (largest->node->size == 1) {
        gone = node->size - 1;
        truncate_node(node);
    } else {
        gone = trim(largest->node);
        node->size -= gone;
    }
    return gone;
}

static size_t bytes_field_size(size_t size) {
    return 1 + varint_size(size) + size;
}

static size_t entry_size(const struct trie_child *child) {
    return bytes_field_size(cursor_left(&child->name)) + bytes_field_size(child->node->encoded_size);
}

static void measure(struct trie_node *node) {
    node->encoded_size = node->is_truncated ? 2 : 0;
    for (size_t i = 0; i < node->child_count; i++) {
        measure(node->children[i].node);
        node->encoded_size += bytes_field_size(entry_size(&node->children[i]));
    }
}

static void add_tag(struct buf *out, unsigned field, unsigned wire) {
    buf_add_varint(out, field << 3 | wire);
}

static void add_node(struct buf *out, unsigned field, const struct trie_node *node) {
    add_tag(out, field, WIRE_BYTES);
    buf_add_varint(out, node->encoded_size);
    if (node->is_truncated) {
        add_tag(out, 1, WIRE_VARINT);
        buf_add_u8(out, 1);
    }
    for (size_t i = 0; i < node->child_count; i++) {
        const struct trie_child *child = &node->children[i];

        add_tag(out, 2, WIRE_BYTES);
        buf_add_varint(out, entry_size(child));
        add_tag(out, 1, WIRE_BYTES);
        buf_add_prefixed(out, child->name.at, cursor_left(&child->name));
        add_node(out, 2, child->node);
    }
}

bool metric_merge_bounded_trie(struct cursor older, struct cursor newer, struct buf *out) {
    struct arena arena = {0};
    struct trie a, b;
    bool ok = read_trie(&arena, older, &a) && read_trie(&arena, newer, &b);

    if (ok && (!a.root || !b.root)) {
        /* The empty one says nothing, not even about the bound. */
        struct cursor only = a.root ? older : newer;

        buf_add(out, only.at, cursor_left(&only));
    } else if (ok) {
        int64_t bound = MIN(a.bound, b.bound);

        merge_nodes(&arena, a.root, b.root);
        while (a.root->size > (size_t)bound)
            trim(a.root);
        measure(a.root);
        add_tag(out, 1, WIRE_VARINT);
        buf_add_varint(out, (uint64_t)bound);
        add_node(out, 2, a.root);
    }
    arena_clear(&arena);
    return ok;
}

/* ---- histogram ----
 *
 *   HistogramValue  count = 1, bucket_options = 2, bucket_counts = 3 (packed or not) */

struct histogram {
    bool has_count;
    uint64_t count;
    bool has_options;
    struct cursor options;
    VEC(uint64_t) buckets;
};

static bool read_packed(struct cursor bytes, struct histogram *ret) {
    uint64_t value;

    while (cursor_left(&bytes)) {
        if (!cursor_varint(&bytes, &value))
            return false;
        vec_push(&ret->buckets, value);
    }
    return true;
}

static bool read_histogram(struct cursor bytes, struct histogram *ret) {
    struct field field;
    int more;

    *ret = (struct histogram){.options = cursor_of(bytes.end, 0)};
    while ((more = next_field(&bytes, &field)) == 1) {
        if (is_field(&field, 1, WIRE_VARINT)) {
            ret->has_count = true;
            ret->count = field.value;
        } else if (is_field(&field, 2, WIRE_BYTES)) {
            ret->has_options = true;
            ret->options = field.bytes;
        } else if (is_field(&field, 3, WIRE_VARINT)) {
            vec_push(&ret->buckets, field.value);
        } else if (is_field(&field, 3, WIRE_BYTES) && !read_packed(field.bytes, ret)) {
            return false;
        }
    }
    return more == 0;
}

static void add_histogram(struct buf *out, const struct histogram *a, const struct histogram *b) {
    const struct histogram *longer = a->buckets.count >= b->buckets.count ? a : b;
    const struct histogram *shorter = longer == a ? b : a;
    struct buf packed = {0};

    if (a->has_count || b->has_count) {
        add_tag(out, 1, WIRE_VARINT);
        buf_add_varint(out, a->count + b->count);
    }
    if (a->has_options) {
        add_tag(out, 2, WIRE_BYTES);
        buf_add_prefixed(out, a->options.at, cursor_left(&a->options));
    }
    for (size_t i = 0; i < longer->buckets.count; i++)
        buf_add_varint(&packed,
                       longer->buckets.items[i] + (i < shorter->buckets.count ? shorter->buckets.items[i] : 0));
    if (packed.size) {
        add_tag(out, 3, WIRE_BYTES);
        buf_add_prefixed(out, buf_data(&packed), packed.size);
    }
    buf_clear(&packed);
}

bool metric_merge_histogram(struct cursor older, struct cursor newer, struct buf *out) {
    struct histogram a = {0}, b = {0};
    bool ok = read_histogram(older, &a) && read_histogram(newer, &b);

    if (ok && a.has_options == b.has_options && compare_names(a.options, b.options) == 0)
        add_histogram(out, &a, &b);
    else if (ok)
        buf_add(out, newer.at, cursor_left(&newer)); /* another layout: nothing to add up */
    vec_free(&a.buckets);
    vec_free(&b.buckets);
    return ok;
}
