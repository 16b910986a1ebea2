#include "jobserver/inspection/graph.h"

#include <stdlib.h>
#include <string.h>

#include "beam_fn_api.pb-c.h"
#include "jobserver/inspection/known.h"
#include "jobserver/inspection/sdk_name.h"
#include "model/urn.h"
#include "wire/pb.h"

typedef Trestle__V1__Graph graph_t;
typedef Trestle__V1__Stage stage_t;
typedef Trestle__V1__Transform transform_t;
typedef Trestle__V1__Edge edge_t;

struct graph_maker {
    const struct plan *plan;
    const struct engine_inspection *engine; /* NULL: not known */
    struct known_metrics metrics;
    struct map timed; /* unique name -> the last transform_t that has it, which shows its time */
    double *progress; /* of stages */
    struct arena *arena;
    graph_t *graph;
};

/* ---- progress ---- */

/* Of a stage that has taken in all there was and still works on it. */
static const double NEARLY_DONE = 0.99;

/* Of what has come to the stage. */
static double share_done(const struct stage_inspection *stage) {
    uint64_t all = stage->elements_in + stage->elements_running + stage->elements_waiting;

    if (stage->is_done)
        return 1;
    return all ? MIN((double)(stage->elements_in + stage->elements_read) / (double)all, NEARLY_DONE) : 0;
}

/* Stages are in topological order, so that those in front are known. */
static double stage_progress(const struct plan *plan, const struct engine_inspection *engine, const double *progress,
                             size_t i) {
    const struct plan_stage *stage = &plan->stages[i];
    double front = 0;

    if (engine->stages[i].is_done || stage->input_count == 0)
        return share_done(&engine->stages[i]);
    for (size_t j = 0; j < stage->input_count; j++)
        front += progress[plan->collections[stage->inputs[j]].producer];
    front /= (double)stage->input_count;
    return stage->kind == PLAN_EXECUTABLE ? front * share_done(&engine->stages[i]) : front;
}

static void fill_progress(const struct plan *plan, const struct engine_inspection *engine, double *progress) {
    for (size_t i = 0; i < plan->stage_count; i++)
        progress[i] = plan->stages[i].is_bounded ? stage_progress(plan, engine, progress, i) : -1;
}

double inspection_progress(const struct plan *plan, const struct engine_inspection *engine) {
    double *progress = xcalloc(plan->stage_count + 1, sizeof(*progress)), sum = 0;
    size_t count = 0;

    fill_progress(plan, engine, progress);
    for (size_t i = 0; i < plan->stage_count && sum >= 0; i++) {
        if (progress[i] < 0) {
            sum = -1;
        } else if (plan->stages[i].kind == PLAN_EXECUTABLE) {
            sum += progress[i];
            count++;
        }
    }
    free(progress);
    return sum < 0 ? -1 : count ? sum / (double)count : 1;
}

/* ---- transforms ---- */

static uint64_t count_of(const struct graph_maker *maker, const char *collection) {
    return known_elements(&maker->metrics, collection);
}

static void fill_counts(const struct graph_maker *maker, const Beam__PTransform *from, transform_t *to) {
    for (size_t i = 0; i < from->n_inputs; i++)
        to->elements_in += count_of(maker, from->inputs[i]->value);
    for (size_t i = 0; i < from->n_outputs; i++) {
        to->elements_out += count_of(maker, from->outputs[i]->value);
        to->bytes_out += known_bytes(&maker->metrics, from->outputs[i]->value);
    }
}

static transform_t *add_transform(struct graph_maker *maker, stage_t *stage, const char *id) {
    transform_t *transform = arena_new(maker->arena, transform_t);

    trestle__v1__transform__init(transform);
    transform->id = arena_string(maker->arena, id);
    transform->name = arena_string(maker->arena, plan_transform_unique_name(maker->plan, transform->id));
    stage->transforms[stage->n_transforms++] = transform;
    map_set_string(&maker->timed, transform->name, transform);
    return transform;
}

/* The descriptor that harnesses get says what is fused. */
static void add_fused(struct graph_maker *maker, const struct plan_stage *plan, stage_t *stage) {
    Fn__ProcessBundleDescriptor *descriptor;

    if (PB_UNPACK(Fn__ProcessBundleDescriptor, fn__process_bundle_descriptor, plan->descriptor, PB_STRINGS_LENIENT,
                  maker->arena, &descriptor, NULL) < 0)
        return;
    stage->transforms = arena_new_array(maker->arena, transform_t *, descriptor->n_transforms + 1);
    for (size_t i = 0; i < descriptor->n_transforms; i++) {
        const Beam__PTransform *from = descriptor->transforms[i]->value;
        transform_t *transform;

        if (!from)
            continue;
        transform = add_transform(maker, stage, descriptor->transforms[i]->key);
        transform->urn = from->spec ? from->spec->urn : (char *)"";
        fill_counts(maker, from, transform);
    }
}

static const struct {
    const char *name;
    enum urn urn;
} kinds[] = {
    [PLAN_EXECUTABLE] = {"executable", URN_UNKNOWN},
    [PLAN_IMPULSE] = {"impulse", URN_TRANSFORM_IMPULSE},
    [PLAN_GROUP_BY_KEY] = {"group_by_key", URN_TRANSFORM_GROUP_BY_KEY},
    [PLAN_MERGE_GROUPS] = {"merge_groups", URN_UNKNOWN},
    [PLAN_FLATTEN] = {"flatten", URN_TRANSFORM_FLATTEN},
    [PLAN_TEST_STREAM] = {"test_stream", URN_TRANSFORM_TEST_STREAM},
};

/* What the runner does itself is one transform, of the stage's name. */
static void add_own(struct graph_maker *maker, const struct plan_stage *plan, stage_t *stage) {
    transform_t *transform;

    stage->transforms = arena_new_array(maker->arena, transform_t *, 1);
    transform = add_transform(maker, stage, plan->name);
    if (kinds[plan->kind].urn != URN_UNKNOWN)
        transform->urn = (char *)urn_string(kinds[plan->kind].urn);
    for (size_t i = 0; i < plan->input_count; i++)
        transform->elements_in += count_of(maker, maker->plan->collections[plan->inputs[i]].id);
    for (size_t i = 0; i < plan->output_count; i++) {
        transform->elements_out += count_of(maker, maker->plan->collections[plan->outputs[i]].id);
        transform->bytes_out += known_bytes(&maker->metrics, maker->plan->collections[plan->outputs[i]].id);
    }
}

/* ---- stages ---- */

static char *watermark_text(struct arena *arena, event_time time) {
    char text[TIME_TEXT_SIZE];

    if (time <= TIME_MIN)
        return (char *)"start";
    if (time >= TIME_GLOBAL_WINDOW_END)
        return (char *)"end";
    return arena_string(arena, time_describe(time, text));
}

static const char *state_of(const struct stage_inspection *now) {
    if (now->is_done)
        return "done";
    return now->bundles_running || now->bundles_done || now->bundles_failed ? "running" : "waiting";
}

static void fill_now(const struct graph_maker *maker, const struct stage_inspection *now, stage_t *stage) {
    stage->state = (char *)state_of(now);
    stage->bundles_running = now->bundles_running;
    stage->bundles_done = now->bundles_done;
    stage->bundles_failed = now->bundles_failed;
    stage->elements_waiting = now->elements_waiting;
    stage->elements_in = now->elements_in + now->elements_read;
    stage->bytes_in = now->bytes_in;
    stage->input_watermark = watermark_text(maker->arena, now->input_watermark);
    stage->output_watermark = watermark_text(maker->arena, now->output_watermark);
    stage->waits_for = now->waits_for ? arena_string(maker->arena, now->waits_for) : (char *)"";
    stage->progress = maker->progress[stage->index];
}

static void add_stage(struct graph_maker *maker, const struct plan_stage *plan) {
    stage_t *stage = arena_new(maker->arena, stage_t);

    trestle__v1__stage__init(stage);
    stage->index = plan->index;
    stage->name = arena_string(maker->arena, plan->name);
    stage->kind = (char *)(plan->is_reshuffle ? "reshuffle" : kinds[plan->kind].name);
    stage->is_streaming = !plan->is_bounded;
    stage->state = (char *)"waiting";
    stage->progress = -1;
    if (plan->kind == PLAN_EXECUTABLE) {
        stage->environment = arena_string(maker->arena, maker->plan->environments[plan->environment].id);
        add_fused(maker, plan, stage);
    } else {
        add_own(maker, plan, stage);
    }
    if (maker->engine)
        fill_now(maker, &maker->engine->stages[plan->index], stage);
    maker->graph->stages[maker->graph->n_stages++] = stage;
}

static void fill_times(struct graph_maker *maker) {
    map_foreach (entry, &maker->timed)
        ((transform_t *)entry->value)->time_ms = known_time_ms(&maker->metrics, entry->key);
}

/* ---- edges ---- */

static void add_edge(struct graph_maker *maker, unsigned to, unsigned collection_index, bool is_side_input) {
    const struct plan_collection *collection = &maker->plan->collections[collection_index];
    edge_t *edge = arena_new(maker->arena, edge_t);

    trestle__v1__edge__init(edge);
    edge->from_stage = collection->producer;
    edge->to_stage = to;
    edge->pcollection = arena_string(maker->arena, collection->id);
    edge->pcollection_name = arena_string(maker->arena, collection->name);
    edge->elements = count_of(maker, collection->id);
    edge->bytes = known_bytes(&maker->metrics, collection->id);
    edge->is_side_input = is_side_input;
    maker->graph->edges[maker->graph->n_edges++] = edge;
}

static void add_edges(struct graph_maker *maker) {
    size_t count = 0;

    for (size_t i = 0; i < maker->plan->stage_count; i++)
        count += maker->plan->stages[i].input_count + maker->plan->stages[i].side_input_count;
    maker->graph->edges = arena_new_array(maker->arena, edge_t *, count + 1);
    for (size_t i = 0; i < maker->plan->stage_count; i++) {
        const struct plan_stage *stage = &maker->plan->stages[i];

        for (size_t j = 0; j < stage->input_count; j++)
            add_edge(maker, stage->index, stage->inputs[j], false);
        for (size_t j = 0; j < stage->side_input_count; j++)
            add_edge(maker, stage->index, stage->side_inputs[j].collection, true);
    }
}

/* ---- the whole ---- */

graph_t *inspection_make_graph(const struct plan *plan, const struct run_snapshot *snapshot,
                               const struct job_metrics *metrics, struct arena *arena) {
    struct graph_maker maker = {.plan = plan, .engine = snapshot ? &snapshot->engine : NULL, .arena = arena};

    known_metrics_init(&maker.metrics, &metrics->attempted);
    maker.progress = arena_new_array(arena, double, plan->stage_count + 1);
    if (maker.engine)
        fill_progress(plan, maker.engine, maker.progress);
    maker.graph = arena_new(arena, graph_t);
    trestle__v1__graph__init(maker.graph);
    maker.graph->stages = arena_new_array(arena, stage_t *, plan->stage_count + 1);
    for (size_t i = 0; i < plan->stage_count; i++)
        add_stage(&maker, &plan->stages[i]);
    fill_times(&maker);
    add_edges(&maker);
    maker.graph->sdk = sdk_names(plan, arena);
    if (snapshot) {
        maker.graph->retries = (uint32_t)snapshot->engine.retries;
        maker.graph->peak_memory_bytes = snapshot->peak_memory_bytes;
    }
    map_clear(&maker.timed, NULL);
    known_metrics_finish(&maker.metrics);
    return maker.graph;
}

struct slice inspection_pack_graph(const struct plan *plan, const struct run_snapshot *snapshot,
                                   const struct job_metrics *metrics) {
    struct arena arena = {0};
    struct slice packed = PB_PACK(inspection_make_graph(plan, snapshot, metrics, &arena), NULL);

    arena_clear(&arena);
    return packed;
}
