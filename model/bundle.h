/* What a bundle says, in plain C: the parts of the Fn API that fnapi/ decodes and the engine understands, so that neither
 * knows the other (beam_fn_api.proto: ProcessBundleResponse, ProcessBundleSplitResponse, StateRequest). */
#ifndef MODEL_BUNDLE_H
#define MODEL_BUNDLE_H

#include "base/arena.h"
#include "model/metric.h"
#include "model/time.h"

/* DelayedBundleApplication: one element for a splittable DoFn's process transform, to be run later. */
struct residual {
    struct slice element; /* a windowed value in the coder of the transform's main input */
    const char *transform_id;
    const char *input_id;
    struct residual_watermark {
        const char *output_id;
        event_time watermark;
    } * watermarks; /* outputs that are absent are unknown */
    size_t watermark_count;
    int64_t delay_ms;  /* 0: as soon as possible */
    bool is_unbounded; /* or the SDK does not say, as Python never does */
};

/* Strings and arrays live in `arena`; residual elements and metrics are references of their own. */
struct bundle_response {
    struct arena arena;
    struct residual *residuals;
    size_t residual_count;
    struct metric *metrics; /* totals of the whole bundle */
    size_t metric_count;
    bool requires_finalization;
};

struct channel_split {
    const char *transform_id; /* may be empty: Java never sets it */
    int64_t last_primary_element;
    int64_t first_residual_element;
};

struct bundle_split {
    struct arena arena;
    struct residual *primaries; /* what stays with the running bundle instead of the element that was split */
    size_t primary_count;
    struct residual *residuals;
    size_t residual_count;
    struct channel_split *channels;
    size_t channel_count;
};

void bundle_response_clear(struct bundle_response *response);
void bundle_split_clear(struct bundle_split *split);

/* StateKey's oneof. */
enum state_kind {
    STATE_RUNNER,
    STATE_ITERABLE_SIDE_INPUT,
    STATE_MULTIMAP_SIDE_INPUT,
    STATE_MULTIMAP_KEYS_SIDE_INPUT,
    STATE_MULTIMAP_KEYS_VALUES_SIDE_INPUT,
    STATE_BAG,
    STATE_MULTIMAP,
    STATE_MULTIMAP_KEYS,
    STATE_MULTIMAP_ENTRIES,
    STATE_ORDERED_LIST,
};

enum state_operation { STATE_GET, STATE_APPEND, STATE_CLEAR };

/* One StateRequest. Strings and slices live in / are owned by the request; state_request_clear() drops them. */
struct state_request {
    struct arena arena;
    enum state_kind kind;
    enum state_operation operation;
    const char *request_id;         /* unique on its stream */
    const char *transform_id;       /* not for STATE_RUNNER */
    const char *state_id;           /* side_input_id or user_state_id */
    struct slice window;            /* encoded window */
    struct slice key;               /* nested encoding; STATE_RUNNER: the token */
    struct slice map_key;           /* STATE_MULTIMAP */
    int64_t range_start, range_end; /* STATE_ORDERED_LIST: [start, end) */
    struct slice continuation;      /* GET: empty for the first page */
    struct slice data;              /* APPEND */
};

void state_request_clear(struct state_request *request);

/* Its answer. */
struct state_response {
    struct slice data[16]; /* laid end to end; GET only */
    size_t data_count;
    struct slice continuation; /* empty: no more */
    char *error;               /* owned; fails the bundle in the SDK */
};

void state_response_clear(struct state_response *response);

#endif
