/* The plan of a job: a graph of stages that the engine runs, as a plain C structure without any protobuf.
 *
 *     PCollection A --> [stage 0: executable, env 0] --> B --> [stage 1: group by key] --> C --> [stage 2] ...
 *                                                    \-> D (side input of stage 2)
 *
 * translate/ makes it from a Pipeline; the engine and the host only read it. All of it lives in one arena; it is immutable
 * once made, so any thread may read it. Indices (collection, environment, windowing) point into the plan's arrays;
 * PLAN_NONE means "none". Stages are in topological order: a stage's inputs and side inputs are outputs of earlier ones. */
#ifndef TRANSLATE_PLAN_H
#define TRANSLATE_PLAN_H

#include <limits.h>

#include "base/arena.h"
#include "base/slice.h"
#include "model/coder.h"
#include "model/windowing.h"

#define PLAN_NONE UINT_MAX

/* A PCollection that crosses a stage boundary. */
struct plan_collection {
    const char *id;            /* the pipeline's PCollection id (or a derived one) */
    const char *name;          /* user-visible: unique name of the producing transform and output tag */
    const struct coder *coder; /* CODER_WINDOWED_VALUE, as on the wire */
    const char *coder_id;      /* of that windowed-value coder, in the descriptors of the stages that touch it */
    unsigned windowing;
    bool is_bounded;
    unsigned producer;   /* stage */
    unsigned *consumers; /* stages that have it as (main) input; the same stage twice when it reads it twice */
    size_t consumer_count;
    unsigned *side_consumers; /* stages that read it as side input */
    size_t side_consumer_count;
};

enum plan_stage_kind {
    PLAN_EXECUTABLE,   /* bundles on a harness */
    PLAN_IMPULSE,      /* one empty byte string at TIME_MIN in the global window */
    PLAN_GROUP_BY_KEY, /* KV<K,V> in, KV<K,iterable<V>> out; asks_for_merges: questions about its windows out */
    PLAN_MERGE_GROUPS, /* answers about windows in; out come the groups of `grouping`, in merged windows */
    PLAN_FLATTEN,      /* passes on; also what reshuffle and redistribute become (is_reshuffle) */
    PLAN_TEST_STREAM,
};

enum plan_access { PLAN_ACCESS_ITERABLE, PLAN_ACCESS_MULTIMAP };

struct plan_side_input {
    const char *transform_id;
    const char *local_name; /* the side_input_id of state keys */
    unsigned collection;
    enum plan_access access;
    const char *mapping_fn_urn; /* main window -> side window */
    struct slice mapping_fn_payload;
};

enum plan_state_kind { PLAN_STATE_BAG, PLAN_STATE_MULTIMAP, PLAN_STATE_ORDERED_LIST };

struct plan_user_state {
    const char *transform_id;
    const char *state_id;
    enum plan_state_kind kind;
    const struct coder *element_coder; /* as in pages, of a multimap the values; NULL when not known */
    bool has_one_value;                /* a multimap: never more than one value a key, as in maps and sets */
};

struct plan_timer_family {
    const char *transform_id;
    const char *family_id;
    bool is_processing_time;
    bool is_window_expiration; /* the on_window_expiration family */
    const struct coder *coder; /* CODER_TIMER */
};

/* One end of the Data stream: a source or sink transform of the descriptor. */
struct plan_port {
    const char *transform_id; /* of the runner:source / runner:sink transform */
    const char *local_name;   /* its output (source) or input (sink) name */
    unsigned collection;
    const char *
        coder_id; /* of what crosses here: a windowed value's; the collection's own, but for a source that may get tokens */
    /* Sinks: the transform and output that the SDK's output watermarks name; may be NULL. */
    const char *producer_transform_id;
    const char *producer_output_name;
};

enum plan_test_event_kind { PLAN_TEST_ELEMENTS, PLAN_TEST_WATERMARK, PLAN_TEST_PROCESSING_TIME };

/* One event of a TestStream (TestStreamPayload.Event). */
struct plan_test_event {
    enum plan_test_event_kind kind;
    unsigned output; /* ELEMENTS, WATERMARK: into the stage's outputs */
    /* ELEMENTS: windowed values of the output's coder, one behind the other, in the global window. */
    struct slice elements;
    size_t element_count;
    event_time watermark; /* WATERMARK: never less than the output's last one */
    int64_t advance_ms;   /* PROCESSING_TIME: by how much, from 0 to TIME_MAX */
};

/* What a TestStream does (MODEL 11). Events for outputs that nobody reads are left out. */
struct plan_test_stream {
    struct plan_test_event *events;
    size_t event_count;
    /* Of the TestStreamService that sends the events; there are none here then. NULL: none. */
    const char *endpoint;
    const char *const *tags; /* the stage's outputs in the events that the service sends */
    /* In those events, of times and durations: 1, or 1000 from Python's service, which gives microseconds
     * (apache_beam/testing/test_stream_service.py) though the payload has milliseconds. */
    unsigned service_units_per_ms;
};

struct plan_stage {
    unsigned index;
    enum plan_stage_kind kind;
    const char *name; /* user-visible, e.g. the unique names of its transforms joined */
    unsigned *inputs; /* collections; EXECUTABLE has exactly one, FLATTEN any number, IMPULSE none */
    size_t input_count;
    unsigned *outputs; /* collections; EXECUTABLE: outputs[i] belongs to sinks[i] */
    size_t output_count;
    bool is_bounded; /* all inputs, inner PCollections and outputs are bounded: runs as batch */
    bool is_reshuffle;
    /* GROUP_BY_KEY of custom windows that merge. Its output goes to the stage that runs MERGE_WINDOWS (KV<nonce, iterable<window>> to
     * KV<nonce, KV<iterable<unmerged>, iterable<KV<merged, iterable<consumed>>>>>), and what comes from there to a MERGE_GROUPS. */
    bool asks_for_merges;
    unsigned grouping; /* MERGE_GROUPS only: the GROUP_BY_KEY stage */

    /* EXECUTABLE only */
    unsigned environment;
    struct plan_port source;
    struct plan_port *sinks;
    size_t sink_count;
    struct plan_side_input *side_inputs;
    size_t side_input_count;
    struct plan_user_state *user_states;
    size_t user_state_count;
    struct plan_timer_family *timer_families;
    size_t timer_family_count;
    bool is_keyed; /* has user state or timers: the input is KV, one key is never in two bundles at once */
    bool requires_time_sorted_input;
    bool requires_stable_input;
    bool requires_finalization;
    /* The source is a grouping's output, and a token may stand in the place of a group's values
     * (beam:coder:state_backed_iterable:v1). */
    bool takes_state_backed_iterables;
    const char *process_transform_id; /* of the splittable DoFn's process transform, or NULL */
    const char *process_input_name;   /* its main input's local name */
    /* Draining (MODEL 9.12). A stage that takes in the restrictions of the splittable DoFn `drained_stage` and gives back finite ones, by way of
     * a flatten into that stage's input. Of its own input, which that flatten reads as well, it is given nothing; once the job drains, it is
     * given what `drained_stage` was given and did not finish: its input's coder is the same. */
    bool is_for_drain;
    unsigned drained_stage;  /* PLAN_NONE unless is_for_drain */
    unsigned truncate_stage; /* the stage that is for draining this one; PLAN_NONE: none */
    /* A serialized ProcessBundleDescriptor without id, endpoints, source and sink transforms; fnapi/ appends those (protobuf
     * messages merge by concatenation). */
    struct slice descriptor;

    struct plan_test_stream test_stream; /* TEST_STREAM only */
};

struct plan_environment {
    struct slice proto;   /* a serialized Environment: urn, payload, capabilities, dependencies */
    struct slice payload; /* as in `proto` */
    const char *urn;
    const char *id;
    const char *const *capabilities;
    size_t capability_count;
};

struct plan_transform_name {
    const char *id;
    const char *unique_name;
};

struct plan {
    struct arena arena;
    struct plan_stage *stages;
    size_t stage_count;
    struct plan_collection *collections;
    size_t collection_count;
    struct windowing *windowings;
    size_t windowing_count;
    struct plan_environment *environments;
    size_t environment_count;
    /* Every transform of the submitted pipeline, sorted by id: errors and metrics speak in unique names. */
    struct plan_transform_name *names;
    size_t name_count;
    /* The ids of PCollections that translate/ made up, sorted: nobody outside knows them. */
    const char **made_collections;
    size_t made_collection_count;
};

/* Unique name of a transform id; ids that translate/ made up give the name of the transform they stand for; an unknown id is
 * returned as it is. */
const char *plan_transform_unique_name(const struct plan *plan, const char *transform_id);
/* Whether some stage has no end of its own. */
bool plan_is_streaming(const struct plan *plan);
/* Whether a PCollection is none of the submitted pipeline's, but one that translate/ put in. */
bool plan_made_collection(const struct plan *plan, const char *collection_id);
void plan_destroy(struct plan *plan);

#endif
