/* Groups too large for one message: the stages that may get a token in the place of a group's values, and read them as state
 * (beam:coder:state_backed_iterable:v1, beam_runner_api.proto: StandardCoders.Enum.STATE_BACKED_ITERABLE).
 *
 * The coder of the source is what says that a token may come. Java takes one only under that URN; Python as well, with a number as payload;
 * Go's harness lists no coders and takes one in a plain iterable (PROTOCOL I, J). */
#include "translate/graph.h"

static bool knows_coder(const struct graph_environment *environment) {
    return environment_can(environment, urn_string(URN_CODER_STATE_BACKED_ITERABLE));
}

/* Groups reach a stage as they are only when all who read the grouping are stages without keyed state (engine/apply.c); otherwise they are
 * written out in full. */
static bool goes_to_plain_stages(const struct graph_collection *collection) {
    vec_foreach (entry, &collection->consumers) {
        const struct graph_transform *consumer = *entry;

        if (consumer->kind != GRAPH_SDK || !consumer->main_input || consumer->main_input->collection != collection)
            return false;
        vec_foreach (transform, &consumer->stage->transforms)
            if ((*transform)->is_keyed)
                return false;
    }
    return true;
}

bool graph_takes_large_groups(struct graph *graph, const struct graph_stage *stage) {
    struct graph_collection *root = stage->root;
    const struct graph_coder *wire;

    if (!root || !root->producer || root->producer->asks_for_merges || !goes_to_plain_stages(root) ||
        (root->producer->kind != GRAPH_GROUP_BY_KEY && root->producer->kind != GRAPH_MERGE_GROUPS))
        return false;
    wire = graph_collection_wire(graph, root);
    return wire->kind == CODER_KV && wire->components[1]->kind == CODER_ITERABLE &&
           (knows_coder(stage->environment) || environment_is_go(stage->environment));
}

struct graph_coder *graph_source_wire(struct graph *graph, const struct graph_stage *stage) {
    static uint8_t threshold[] = {
        '1'}; /* from how many elements on the SDK would write a token; it never writes one here */
    struct graph_coder *wire = graph_collection_wire(graph, stage->root), *values;

    if (!graph_takes_large_groups(graph, stage) || !knows_coder(stage->environment))
        return wire;
    values = graph_make_coder(graph, coder_urn(CODER_STATE_BACKED_ITERABLE),
                              (ProtobufCBinaryData){.data = threshold, .len = sizeof(threshold)},
                              &wire->components[1]->components[0], 1);
    return graph_make_kv(graph, wire->components[0], values);
}
