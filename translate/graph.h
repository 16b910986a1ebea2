/* The graph that translate/'s passes work on: a pipeline's transforms, PCollections, coders, environments and windowing
 * strategies as plain structures that point at each other.
 *
 * It borrows strings and payloads from the Pipeline proto, so it lives no longer than that; what it makes itself is in its
 * arena. Nodes never move and are never freed one by one: a pass that takes a transform out clears `is_live`. Belongs to
 * one thread. */
#ifndef TRANSLATE_GRAPH_H
#define TRANSLATE_GRAPH_H

#include "base/arena.h"
#include "base/map.h"
#include "base/status.h"
#include "base/vec.h"
#include "beam_runner_api.pb-c.h"
#include "model/coder.h"
#include "model/urn.h"
#include "translate/plan.h"

struct graph_stage;

struct graph_coder {
    unsigned index;
    const char *id;
    const Beam__Coder *proto; /* NULL for one that a pass made */
    const char *urn;
    ProtobufCBinaryData payload;
    struct graph_coder **components;
    size_t component_count;
    int kind;                      /* enum coder_kind, or -1: opaque to the runner */
    unsigned depth;                /* 1 + the deepest component's; 0 while loading */
    struct graph_coder *canonical; /* equal canonical coders encode alike */
    struct graph_coder *wire;      /* memo of graph_wire_coder() */
    struct graph_coder *window;    /* memo of graph_wire_window_coder() */
    const struct coder *model;     /* memo of graph_model_coder(), in the plan's arena */
    unsigned stamp;                /* 1 + the last stage whose descriptor got it */
};

struct graph_environment {
    unsigned index;
    const char *id;
    const Beam__Environment *proto;
    struct graph_environment *merged; /* the one that stands for all its equals, itself too */
    unsigned plan_index;              /* PLAN_NONE while no stage uses it */
};

struct graph_windowing {
    unsigned index;
    const char *id;
    const Beam__WindowingStrategy *proto;
    struct graph_coder *window_coder;
    struct graph_environment *environment; /* NULL when it names none */
    unsigned plan_index;
};

struct graph_collection {
    unsigned index;
    const char *id;
    const char *unique_name;
    struct graph_coder *coder;
    struct graph_windowing *windowing;
    bool is_bounded;
    bool is_made; /* by graph_derive_collection() */
    /* Set by graph_connect(), among live leaves: */
    struct graph_transform *producer; /* NULL: none */
    const char *producer_output;
    VEC(struct graph_transform *) consumers; /* once per input that names it, side inputs too */
    /* The least and greatest graph_transform.order of a leaf of the pipeline that reads it; least > greatest: none. */
    unsigned first_reader, last_reader;
    struct graph_coder *wire; /* memo of graph_collection_wire() */
    bool crosses;             /* a stage boundary, or is a side input */
    unsigned plan_index;
    unsigned stamp;
};

struct graph_port {
    const char *name; /* local */
    struct graph_collection *collection;
    const Beam__SideInput *side; /* NULL: not a side input */
};

enum graph_kind {
    GRAPH_COMPOSITE,
    GRAPH_NOTHING, /* a leaf whose outputs are its inputs */
    GRAPH_SDK,     /* a leaf that runs on a harness */
    GRAPH_IMPULSE,
    GRAPH_GROUP_BY_KEY,
    GRAPH_MERGE_GROUPS, /* made by graph_ask_questions() */
    GRAPH_FLATTEN,
    GRAPH_TEST_STREAM,
};

struct graph_transform {
    unsigned index;
    const char *id;
    const char *unique_name; /* goes into descriptors */
    const char *user_name;   /* unique name of the submitted transform that it is, or that it was made for */
    const char *urn_text;    /* "" when it has no spec */
    enum urn urn;
    ProtobufCBinaryData payload;
    const Beam__PTransform *proto; /* NULL for one that a pass made */
    enum graph_kind kind;
    bool is_live;                          /* a leaf that takes part in execution */
    struct graph_environment *environment; /* NULL when it names none; always a merged one once merged */
    struct graph_port *inputs;
    size_t input_count;
    struct graph_port *outputs;
    size_t output_count;
    struct graph_transform **children;
    size_t child_count;
    /* Place in a walk of the tree; the subtree is [order, order_end). 0, 0: not reachable from the roots. */
    unsigned order, order_end;

    /* Leaves that run on a harness: */
    Beam__ParDoPayload *pardo;             /* ParDo and the steps of a splittable one */
    struct graph_coder *accumulator_coder; /* steps of a combine */
    struct graph_port *main_input;
    bool has_side_inputs;
    bool is_keyed;   /* user state or timers */
    bool needs_root; /* must be fed by the source of its stage */
    bool is_sdf_process;
    /* FLATTEN: came from a reshuffle or redistribute. */
    bool is_reshuffle;
    /* GROUP_BY_KEY: its output are questions about its windows (questions.c). */
    bool asks_for_merges;
    struct graph_transform *grouping;     /* MERGE_GROUPS: whose groups it hands on */
    Beam__TestStreamPayload *test_stream; /* TEST_STREAM: checked; without events where it names an endpoint */
    /* A PROCESS step's TRUNCATE step, and that one's PROCESS step; NULL: none (add_truncations.c). */
    struct graph_transform *truncation, *drains;

    struct graph_stage *stage; /* set by graph_fuse() */
};

/* What will be a plan_stage. */
struct graph_stage {
    unsigned index; /* in graph.stages */
    enum plan_stage_kind kind;
    VEC(struct graph_transform *) transforms; /* in topological order; runner steps have one */
    struct graph_collection *root;            /* EXECUTABLE: what its source gives */
    struct graph_environment *environment;    /* EXECUTABLE */
    VEC(struct graph_stage *) before;         /* producers of its inputs and side inputs */
    unsigned stamp;                           /* of a search */
};

struct graph {
    struct arena arena;
    struct arena *plan_arena; /* where model coders go */
    VEC(struct graph_transform *) transforms;
    VEC(struct graph_collection *) collections;
    VEC(struct graph_coder *) coders;
    VEC(struct graph_windowing *) windowings;
    VEC(struct graph_environment *) environments;
    struct map transform_ids, collection_ids, coder_ids, windowing_ids, environment_ids;
    struct map canonical_coders;
    VEC(struct graph_transform *) roots;
    VEC(struct graph_transform *) order; /* live leaves in topological order, by graph_connect() */
    VEC(struct graph_stage *) stages;    /* by graph_fuse(), in topological order */
    unsigned search_stamp;
};

void graph_finish(struct graph *graph);

/* ---- load.c, load_leaf.c, load_coders.c: validation ---- */

/* Fills a zeroed graph (plan_arena set). After it every id that the pipeline names exists, trees are trees, coders nest within
 * bounds, payloads decode, and every leaf has a kind. */
int graph_load(struct graph *graph, const Beam__Pipeline *pipeline, struct status *st);
/* Coders of further components (`is_further`) that are there already by id are taken to be the same. */
int graph_load_coders(struct graph *graph, const Beam__Components *components, bool is_further, struct status *st);
/* Resolves what loaded coders contain; once, after all are loaded. */
int graph_settle_coders(struct graph *graph, struct status *st);
/* Sets a leaf's kind and what its payload says. */
int graph_load_leaf(struct graph *graph, struct graph_transform *transform, struct status *st);
/* Derives main_input, is_keyed and the like from a leaf's inputs and ParDo payload. */
int graph_set_roles(struct graph_transform *transform, struct status *st);

/* ---- graph.c ---- */

struct graph_collection *graph_find_collection(const struct graph *graph, const char *id);
struct graph_coder *graph_find_coder(const struct graph *graph, const char *id);
/* A live leaf whose id is `base`'s id and `suffix`, made unique; inputs and outputs are for the caller to set. Its user
 * name is `base`'s. */
struct graph_transform *graph_derive_transform(struct graph *graph, const struct graph_transform *base,
                                               const char *suffix, enum graph_kind kind, enum urn urn);
struct graph_collection *graph_derive_collection(struct graph *graph, const struct graph_transform *producer,
                                                 struct graph_coder *coder, struct graph_windowing *windowing,
                                                 bool is_bounded);
/* A step in `environment` that decodes `in` and encodes `out`, which holds the same elements in another coder. */
struct graph_transform *graph_derive_reencoder(struct graph *graph, const struct graph_transform *base,
                                               const char *name, struct graph_environment *environment,
                                               struct graph_collection *in, struct graph_collection *out);
struct graph_port *graph_new_port(struct graph *graph, const char *name, struct graph_collection *collection);
/* Gives `step`, which may be `pardo` itself, the inputs of `pardo` with another main input under the same local name. */
void graph_set_pardo_inputs(struct graph *graph, struct graph_transform *step, const struct graph_transform *pardo,
                            struct graph_collection *main);
/* Takes all that is below a composite out of execution and puts the transforms from index `first` on in its place. */
void graph_replace_children(struct graph *graph, struct graph_transform *composite, size_t first);
/* Sets producers, consumers and the topological order anew. Fails on a collection with two producers or, if it is read, with
 * none, and on a cycle. */
int graph_connect(struct graph *graph, struct status *st);

/* ---- coders.c ---- */

/* The coder with this URN, payload and components: an equal one that is there, or a new one. `payload` is borrowed. */
struct graph_coder *graph_make_coder(struct graph *graph, const char *urn, ProtobufCBinaryData payload,
                                     struct graph_coder *const *components, size_t component_count);
struct graph_coder *graph_make_kv(struct graph *graph, struct graph_coder *key, struct graph_coder *value);
struct graph_coder *graph_make_simple(struct graph *graph, enum coder_kind kind, struct graph_coder *component);
/* Enters a coder whose components have their canonical ones into the table; sets kind and canonical. */
void graph_intern_coder(struct graph *graph, struct graph_coder *coder);
/* The form that the runner can walk: what it does not know is wrapped in length_prefix (MODEL 15.5). */
struct graph_coder *graph_wire_coder(struct graph *graph, struct graph_coder *coder);
/* large_groups.c. Whether groups may come to the stage's source as tokens, and the coder of the source's values (not windowed): the
 * collection's wire coder, or one that says so. */
bool graph_takes_large_groups(struct graph *graph, const struct graph_stage *stage);
struct graph_coder *graph_source_wire(struct graph *graph, const struct graph_stage *stage);
/* A windowed value of `value` in the windows of the collection, on the wire. */
struct graph_coder *graph_windowed(struct graph *graph, struct graph_coder *value,
                                   const struct graph_collection *collection);
/* The same for a window coder: one that is neither global, interval nor custom becomes custom_window<it>, whose
 * encoding starts with the maximum timestamp (MODEL 4.16). */
struct graph_coder *graph_wire_window_coder(struct graph *graph, struct graph_coder *coder);
/* The element coder on the wire of a collection that crosses a boundary. Grouped output is made of the grouped input's
 * parts, so that bytes are regrouped without decoding. Call it in topological order. */
struct graph_coder *graph_collection_wire(struct graph *graph, struct graph_collection *collection);
/* windowed_value<element wire, window wire>. */
struct graph_coder *graph_windowed_wire(struct graph *graph, struct graph_collection *collection);
/* For a wire coder only. */
const struct coder *graph_model_coder(struct graph *graph, struct graph_coder *coder);

/* ---- the passes, in order ---- */

/* Environments that differ only in what Trestle ignores (ids, display data, resource hints, order of lists) become one. */
int graph_merge_environments(struct graph *graph, struct status *st);
/* Reshuffle and redistribute composites become one runner step. */
int graph_fold_reshuffles(struct graph *graph, struct status *st);
/* Combine composites become precombine, group by key, merge accumulators, extract outputs, where that cannot be observed. */
int graph_lift_combines(struct graph *graph, struct status *st);
/* Splittable ParDos become pair, split and process; old reads get an impulse. */
int graph_expand_sdfs(struct graph *graph, struct status *st);
/* Runner steps that nobody reads go. Needs graph_connect(). */
int graph_prune(struct graph *graph, struct status *st);
/* A PCollection becomes unbounded if it is a test stream's or a leaf makes it that has an unbounded (main or side) input. What later passes
 * make is as bounded as what they make it of. Needs graph_connect(). */
int graph_spread_unbounded(struct graph *graph, struct status *st);
/* Splittable DoFns in streams get a step with which they are drained. Needs graph_spread_unbounded(). */
int graph_add_truncations(struct graph *graph, struct status *st);
/* Custom windows that merge are merged by the SDK: their group by key asks it (questions.c). Needs graph_connect(). */
int graph_ask_questions(struct graph *graph, struct status *st);
/* Outputs of a test stream whose elements do not come in the output's coder are re-encoded on a harness. Needs graph_connect(). */
int graph_expand_test_streams(struct graph *graph, struct status *st);
/* Inputs of a flatten whose wire coder differs from its output's are re-encoded on a harness. Needs graph_connect(). */
int graph_unify_flattens(struct graph *graph, struct status *st);
/* Live leaves become stages. Needs graph_connect(). */
int graph_fuse(struct graph *graph, struct status *st);
/* Checks what a stage needs of its coders and fills the plan. */
int graph_assemble(struct graph *graph, struct plan *plan, struct status *st);

/* test_stream.c. Decodes and checks the payload; its outputs count as unbounded from then on. */
int graph_load_test_stream(struct graph *graph, struct graph_transform *transform, struct status *st);
/* The events of a stage whose outputs are set, in the plan's arena. */
int graph_plan_test_stream(struct graph *graph, const struct graph_transform *transform, struct plan_stage *stage,
                           struct status *st);
/* environments.c: whether an environment has the capability. */
bool environment_can(const struct graph_environment *environment, const char *urn);
/* Whether its harness is the Go SDK's. */
bool environment_is_go(const struct graph_environment *environment);

/* windowing.c: a strategy as plain data, in the plan's arena, all but its environment. */
int graph_make_windowing(struct graph *graph, struct graph_windowing *windowing, struct windowing *ret,
                         struct status *st);
/* Whether the runner knows the window fn, so that nobody needs to be asked about its windows. */
bool is_standard_window_fn(enum urn urn);
/* Whether a trigger can tell how many elements it saw, or when (MODEL 10.7). */
bool trigger_observes_elements(const Beam__Trigger *trigger);
/* Whether a pane may have nothing in it (MODEL 5.7, 5.9): it is due although all there was has gone out with earlier ones. */
bool may_fire_empty(const Beam__WindowingStrategy *windowing);

/* descriptor.c: a serialized ProcessBundleDescriptor of an executable stage. */
struct slice graph_stage_descriptor(struct graph *graph, struct graph_stage *stage, struct account *account);
/* The coder of a timer family as it is on the wire; the transform's main input is a KV. */
struct graph_coder *graph_timer_coder(struct graph *graph, const struct graph_transform *transform);

/* Messages say:  transform "Name": ... */
#define graph_fail(transform, st, code, ...)                                                                           \
    (status_set(st, code, __VA_ARGS__), status_prefix(st, "transform \"%s\"", (transform)->user_name), -(code))

#endif
