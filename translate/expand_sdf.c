/* A splittable ParDo over elements E with restrictions R becomes (StandardPTransforms.SplittableParDoComponents)
 *
 *      E --> PAIR --> KV<E,R> --> SPLIT --> KV<KV<E,R>,double> --> PROCESS --> its outputs
 *
 * with the same payload and side inputs in all three. PROCESS keeps the ParDo's id, because metrics, residuals and progress
 * speak of it.
 *
 * One with state or timers stays as it is, a keyed ParDo. Beam leaves open what its key would be in PROCESS, where the user's KV lies two
 * KVs deep, and no harness finds it there: Python's and Go's encode the user's key with the key coder of PROCESS's input, KV<E,R>, and fail
 * (bundle_processor.py: _create_pardo_operation; exec/userstate.go: NewUserStateAdapter). Java allows no such DoFn (ParDo.validate). But the
 * two also run a splittable DoFn that nobody expanded, each element with its whole first restriction, and its state is that of the
 * ParDo's own key. What is lost is splitting, little for a DoFn that has one bundle a key, and deferring: Python has no coder for
 * what is deferred there, so the bundle fails. */
#include "translate/graph.h"
#include "translate/translate.h"

static struct graph_collection *add_step(struct graph *graph, const struct graph_transform *pardo, const char *suffix,
                                         enum urn urn, struct graph_collection *in, struct graph_coder *out_coder) {
    struct graph_transform *step = graph_derive_transform(graph, pardo, suffix, GRAPH_SDK, urn);
    struct graph_collection *out = graph_derive_collection(graph, step, out_coder, in->windowing, in->is_bounded);

    graph_set_pardo_inputs(graph, step, pardo, in);
    step->outputs = graph_new_port(graph, "out", out);
    step->output_count = 1;
    step->payload = pardo->payload;
    step->pardo = pardo->pardo;
    step->has_side_inputs = pardo->has_side_inputs;
    return out;
}

static void expand(struct graph *graph, struct graph_transform *pardo) {
    struct graph_collection *in = pardo->main_input->collection;
    struct graph_coder *restriction = graph_find_coder(graph, pardo->pardo->restriction_coder_id);
    struct graph_coder *paired = graph_make_kv(graph, in->coder, restriction);
    struct graph_coder *sized = graph_make_kv(graph, paired, graph_make_simple(graph, CODER_DOUBLE, NULL));

    in = add_step(graph, pardo, "/PairWithRestriction", URN_TRANSFORM_SDF_PAIR_WITH_RESTRICTION, in, paired);
    in = add_step(graph, pardo, "/SplitAndSize", URN_TRANSFORM_SDF_SPLIT_AND_SIZE_RESTRICTIONS, in, sized);
    graph_set_pardo_inputs(graph, pardo, pardo, in);
    pardo->urn = URN_TRANSFORM_SDF_PROCESS_SIZED_ELEMENTS_AND_RESTRICTIONS;
    pardo->urn_text = urn_string(pardo->urn);
    pardo->is_sdf_process = pardo->needs_root = true;
}

/* Whether the SDK says that one element is work without end: what it reads is bounded and what it makes is not. */
static bool is_unbounded_per_element(const struct graph_transform *pardo) {
    bool reads_bounded = true, makes_unbounded = false;

    for (size_t i = 0; i < pardo->input_count; i++)
        reads_bounded &= pardo->inputs[i].collection->is_bounded;
    for (size_t i = 0; i < pardo->output_count; i++)
        makes_unbounded |= !pardo->outputs[i].collection->is_bounded;
    return reads_bounded && makes_unbounded;
}

/* Go drops what such a DoFn defers without a word, and its timers (exec/pardo.go: processMainInput; exec/plan.go: NewPlan). Only bounded outputs
 * show that it defers nothing (graph/edge.go: newDoFnNode). */
static bool loses_data_in_go(const struct graph_transform *pardo) {
    bool is_sure = pardo->output_count > 0 && pardo->pardo->n_timer_family_specs == 0;

    for (size_t i = 0; i < pardo->output_count; i++)
        is_sure &= pardo->outputs[i].collection->is_bounded;
    return !is_sure && environment_is_go(pardo->environment);
}

static int check_in_one_piece(const struct graph_transform *pardo, struct status *st) {
    if (is_unbounded_per_element(pardo))
        return graph_fail(pardo, st, STATUS_UNIMPLEMENTED,
                          "a splittable DoFn with state or timers is run in one piece, which this one, unbounded for "
                          "each element, does not come to the end of");
    if (loses_data_in_go(pardo))
        return graph_fail(pardo, st, STATUS_UNIMPLEMENTED,
                          "the Go SDK runs a splittable DoFn with state only if it has no timers and bounded outputs");
    return 0;
}

/* read:v1 has no input, but a bundle needs one: Python's harness runs it once for each element it gets. */
static int add_impulse(struct graph *graph, struct graph_transform *read, struct status *st) {
    struct graph_transform *impulse =
        graph_derive_transform(graph, read, "/Impulse", GRAPH_IMPULSE, URN_TRANSFORM_IMPULSE);
    struct graph_collection *out;

    if (read->output_count != 1)
        return graph_fail(read, st, STATUS_INVALID_ARGUMENT, "a read has one output, not %zu", read->output_count);
    out = graph_derive_collection(graph, impulse, graph_make_simple(graph, CODER_BYTES, NULL),
                                  read->outputs[0].collection->windowing, true);
    impulse->outputs = graph_new_port(graph, "out", out);
    impulse->output_count = 1;
    read->inputs = graph_new_port(graph, "in", out);
    read->input_count = 1;
    return graph_set_roles(read, st);
}

int graph_expand_sdfs(struct graph *graph, struct status *st) {
    size_t submitted = graph->transforms.count;
    int r = 0;

    for (size_t i = 0; i < submitted && r == 0; i++) {
        struct graph_transform *transform = graph->transforms.items[i];

        if (!transform->is_live)
            continue;
        if (transform->urn == URN_TRANSFORM_PAR_DO && transform->pardo && *transform->pardo->restriction_coder_id) {
            if (transform->is_keyed)
                r = check_in_one_piece(transform, st);
            else
                expand(graph, transform);
        } else if (transform->urn == URN_TRANSFORM_READ && transform->input_count == 0)
            r = add_impulse(graph, transform, st);
    }
    return r;
}
