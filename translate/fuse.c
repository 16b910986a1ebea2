/* Greedy fusion: leaves are placed in topological order, each into the stage of what feeds it if that is allowed, else into one
 * that reads the same PCollection, else into a stage of its own.
 *
 * When a leaf is placed, what it feeds has not been, so joining a stage S closes a circle only through the leaf's side inputs:
 * a producer of one that is in S or behind it. That is the only search; all else is constant work a leaf. */
#include <string.h>

#include "translate/graph.h"

/* ---- placing ---- */

/* Stages that take in further readers of their root, by (PCollection, environment). */
struct fusion {
    struct graph *graph;
    struct map siblings;
    VEC(struct graph_stage *) stack; /* of a search */
};

struct sibling_key {
    unsigned collection;
    unsigned environment;
};

static const enum plan_stage_kind stage_kinds[] = {
    [GRAPH_SDK] = PLAN_EXECUTABLE,
    [GRAPH_IMPULSE] = PLAN_IMPULSE,
    [GRAPH_GROUP_BY_KEY] = PLAN_GROUP_BY_KEY,
    [GRAPH_MERGE_GROUPS] = PLAN_MERGE_GROUPS,
    [GRAPH_FLATTEN] = PLAN_FLATTEN,
    [GRAPH_TEST_STREAM] = PLAN_TEST_STREAM,
};

static struct graph_stage *add_stage(struct fusion *fusion, struct graph_transform *transform) {
    struct graph_stage *stage = arena_new(&fusion->graph->arena, struct graph_stage);

    stage->kind = stage_kinds[transform->kind];
    stage->index = (unsigned)fusion->graph->stages.count;
    stage->environment = transform->environment;
    vec_push(&fusion->graph->stages, stage);
    if (transform->kind == GRAPH_SDK) {
        stage->root = transform->main_input->collection;
        vec_push(&stage->before, stage->root->producer->stage);
    } else {
        for (size_t i = 0; i < transform->input_count; i++)
            vec_push(&stage->before, transform->inputs[i].collection->producer->stage);
    }
    return stage;
}

static void join_stage(struct graph_stage *stage, struct graph_transform *transform) {
    transform->stage = stage;
    vec_push(&stage->transforms, transform);
    for (size_t i = 0; i < transform->input_count; i++)
        if (transform->inputs[i].side)
            vec_push(&stage->before, transform->inputs[i].collection->producer->stage);
}

/* Whether `from` is `target` or comes after it. */
static bool is_behind(struct fusion *fusion, struct graph_stage *from, const struct graph_stage *target) {
    bool found = false;

    fusion->stack.count = 0;
    vec_push(&fusion->stack, from);
    while (fusion->stack.count > 0 && !found) {
        struct graph_stage *stage = fusion->stack.items[--fusion->stack.count];

        if (stage->stamp == fusion->graph->search_stamp)
            continue;
        stage->stamp = fusion->graph->search_stamp;
        found = stage == target;
        for (size_t i = 0; i < stage->before.count; i++)
            if (stage->before.items[i]->stamp != fusion->graph->search_stamp)
                vec_push(&fusion->stack, stage->before.items[i]);
    }
    return found;
}

static bool closes_a_circle(struct fusion *fusion, const struct graph_transform *transform,
                            const struct graph_stage *stage) {
    fusion->graph->search_stamp++;
    for (size_t i = 0; i < transform->input_count; i++)
        if (transform->inputs[i].side && is_behind(fusion, transform->inputs[i].collection->producer->stage, stage))
            return true;
    return false;
}

/* Elements that wait for a side input would hold up the whole stage, which in a stream is for ever. */
static bool waits_in_a_stream(const struct graph_transform *transform) {
    for (size_t i = 0; i < transform->input_count && transform->has_side_inputs; i++)
        if (!transform->inputs[i].collection->is_bounded)
            return true;
    return false;
}

static void place_sdk_leaf(struct fusion *fusion, struct graph_transform *transform) {
    const struct graph_collection *in = transform->main_input->collection;
    struct graph_transform *producer = in->producer;
    struct sibling_key key = {in->index, transform->environment->index};
    bool fusible = !transform->needs_root && !waits_in_a_stream(transform);
    struct graph_stage *stage;

    if (fusible && producer->kind == GRAPH_SDK && producer->environment == transform->environment &&
        !closes_a_circle(fusion, transform, producer->stage)) {
        join_stage(producer->stage, transform);
        return;
    }
    stage = fusible ? map_get(&fusion->siblings, &key, sizeof(key)) : NULL;
    if (!stage || closes_a_circle(fusion, transform, stage)) {
        stage = add_stage(fusion, transform);
        if (fusible)
            map_set(&fusion->siblings, &key, sizeof(key), stage);
    }
    join_stage(stage, transform);
}

/* ---- order ---- */

/* Stages were made in the order of their first leaf, but a later leaf may have brought a side input along. */
static void sort_stages(struct graph *graph) {
    size_t count = graph->stages.count;
    struct graph_stage **sorted = xcalloc(count + 1, sizeof(struct graph_stage *));
    unsigned *waiting = xcalloc(count + 1, sizeof(*waiting));
    unsigned *first = xcalloc(count + 2, sizeof(*first)); /* of a stage's successors in `after` */
    struct graph_stage **after;
    size_t edges = 0, ready = 0;

    vec_foreach (stage, &graph->stages) {
        waiting[(*stage)->index] = (unsigned)(*stage)->before.count;
        edges += (*stage)->before.count;
        vec_foreach (before, &(*stage)->before)
            first[(*before)->index + 1]++;
    }
    for (size_t i = 0; i < count; i++)
        first[i + 1] += first[i];
    after = xcalloc(edges + 1, sizeof(struct graph_stage *));
    vec_foreach (stage, &graph->stages) {
        if ((*stage)->before.count == 0)
            sorted[ready++] = *stage;
        vec_foreach (before, &(*stage)->before)
            after[first[(*before)->index]++] = *stage;
    }
    /* Filling `after` moved each stage's `first` to its end, which is where the next one starts. */
    for (size_t i = 0; i < ready; i++)
        for (unsigned a = sorted[i]->index ? first[sorted[i]->index - 1] : 0; a < first[sorted[i]->index]; a++)
            if (--waiting[after[a]->index] == 0)
                sorted[ready++] = after[a];
    for (size_t i = 0; i < ready; i++) {
        graph->stages.items[i] = sorted[i];
        sorted[i]->index = (unsigned)i;
    }
    graph->stages.count = ready;
    free(after);
    free(first);
    free(waiting);
    free(sorted);
}

int graph_fuse(struct graph *graph, struct status *st) {
    struct fusion fusion = {.graph = graph};

    (void)st;
    vec_foreach (item, &graph->order) {
        struct graph_transform *transform = *item;

        if (transform->kind == GRAPH_SDK)
            place_sdk_leaf(&fusion, transform);
        else
            join_stage(add_stage(&fusion, transform), transform);
    }
    vec_free(&fusion.stack);
    map_clear(&fusion.siblings, NULL);
    sort_stages(graph);
    return 0;
}
