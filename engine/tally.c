#include "engine/tally.h"

#include <stdlib.h>
#include <string.h>

#define ELEMENT_COUNT "beam:metric:element_count:v1"
#define SAMPLED_BYTE_SIZE "beam:metric:sampled_byte_size:v1"
#define USER_SUM_INT64 "beam:metric:user:sum_int64:v1"
#define TYPE_SUM_INT64 "beam:metrics:sum_int64:v1"
#define TYPE_PROGRESS "beam:metrics:progress:v1"

enum { MAX_LABELS = 32 };

/* What becomes of one metric of one stage. */
struct tally_name {
    struct slice identity; /* empty: dropped */
    bool is_transient;     /* says something only while the bundle runs */
    unsigned count_of;     /* the stage's output whose elements it counts; PLAN_NONE: none */
};

/* ---- names ---- */

static bool is_port(const struct plan_stage *stage, const char *transform_id) {
    bool found = stage->source.transform_id && strcmp(stage->source.transform_id, transform_id) == 0;

    for (size_t i = 0; i < stage->sink_count && !found; i++)
        found = stage->sinks[i].transform_id && strcmp(stage->sinks[i].transform_id, transform_id) == 0;
    return found;
}

/* Plans made by hand may leave ids out. */
static bool has_id(const struct plan *plan, unsigned collection, const char *id) {
    return plan->collections[collection].id && strcmp(plan->collections[collection].id, id) == 0;
}

/* Among those whose harness decodes what it reads. */
static bool is_first_reader(const struct plan *plan, const struct plan_stage *stage) {
    const struct plan_collection *input = &plan->collections[stage->source.collection];
    size_t i = 0;

    while (i < input->consumer_count && plan->stages[input->consumers[i]].kind != PLAN_EXECUTABLE)
        i++;
    return i < input->consumer_count && input->consumers[i] == stage->index;
}

/* Whether a metric of the PCollection that the stage reads is another one's to tell. */
static bool is_told_elsewhere(const struct plan *plan, const struct plan_stage *stage, const char *urn) {
    const struct plan_collection *input = &plan->collections[stage->source.collection];

    if (strcmp(urn, ELEMENT_COUNT) == 0)
        return true;
    if (strcmp(urn, SAMPLED_BYTE_SIZE) != 0)
        return false;
    return plan->stages[input->producer].kind == PLAN_EXECUTABLE || !is_first_reader(plan, stage);
}

static unsigned sink_of(const struct plan *plan, const struct plan_stage *stage, const char *collection_id) {
    for (unsigned i = 0; i < stage->sink_count; i++)
        if (has_id(plan, stage->sinks[i].collection, collection_id))
            return i;
    return PLAN_NONE;
}

static struct tally_name *resolve(const struct plan *plan, const struct plan_stage *stage, struct slice identity) {
    struct tally_name *name = xcalloc(1, sizeof(*name));
    const char *labels[MAX_LABELS][2], *type, *urn;
    size_t count;

    urn = metric_identity_parse(identity, &type, labels, MAX_LABELS, &count);
    count = MIN(count, (size_t)MAX_LABELS);
    name->is_transient = strcmp(type, TYPE_PROGRESS) == 0;
    name->count_of = PLAN_NONE;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(labels[i][0], "PTRANSFORM") == 0) {
            if (is_port(stage, labels[i][1]))
                return name;
            labels[i][1] = plan_transform_unique_name(plan, labels[i][1]);
        } else if (strcmp(labels[i][0], "PCOLLECTION") == 0) {
            if (strcmp(urn, ELEMENT_COUNT) == 0)
                name->count_of = sink_of(plan, stage, labels[i][1]);
            if (plan_made_collection(plan, labels[i][1]) ||
                (has_id(plan, stage->source.collection, labels[i][1]) && is_told_elsewhere(plan, stage, urn)))
                return name;
        }
    }
    name->identity = metric_identity(urn, type, (const char *const(*)[2])labels, count);
    return name;
}

/* A bundle reports the same identities as the last one of its stage: each is worked out once. */
static const struct tally_name *find_name(struct tally *tally, unsigned stage, struct slice identity) {
    struct tally_name *name;

    tally->scratch.size = 0;
    buf_add_varint(&tally->scratch, stage);
    buf_add(&tally->scratch, identity.data, identity.size);
    name = map_get(&tally->names, buf_data(&tally->scratch), tally->scratch.size);
    if (!name) {
        name = resolve(tally->plan, &tally->plan->stages[stage], identity);
        map_set(&tally->names, buf_data(&tally->scratch), tally->scratch.size, name);
    }
    return name;
}

static void free_name(void *pointer) {
    struct tally_name *name = pointer;

    slice_unref(&name->identity);
    free(name);
}

/* ---- reports ---- */

static void add(struct metric_table *table, const struct tally_name *name, struct slice payload) {
    if (name->identity.size)
        metric_table_add(table, &(struct metric){.identity = name->identity, .payload = payload});
}

void tally_commit(struct tally *tally, const struct bundle_commit *commit) {
    const struct plan_stage *stage = &tally->plan->stages[commit->stage];
    bool *is_counted = xcalloc(commit->output_count + 1, sizeof(*is_counted));

    vec_foreach (metric, &commit->metrics) {
        const struct tally_name *name = find_name(tally, commit->stage, metric->identity);

        if (name->count_of < commit->output_count)
            is_counted[name->count_of] = true;
        if (!name->is_transient)
            add(&tally->committed, name, metric->payload);
    }
    for (size_t i = 0; i < commit->output_count; i++)
        if (!is_counted[i])
            tally_elements(tally, stage->sinks[i].collection, commit->written ? commit->written[i] : 0);
    free(is_counted);
}

void tally_fail(struct tally *tally, unsigned stage, const struct bundle_response *last) {
    for (size_t i = 0; last && i < last->metric_count; i++) {
        const struct tally_name *name = find_name(tally, stage, last->metrics[i].identity);

        if (!name->is_transient)
            add(&tally->failed, name, last->metrics[i].payload);
    }
}

void tally_add_running(struct tally *tally, unsigned stage, const struct bundle_response *last,
                       struct metric_table *attempted) {
    for (size_t i = 0; last && i < last->metric_count; i++)
        add(attempted, find_name(tally, stage, last->metrics[i].identity), last->metrics[i].payload);
}

void tally_elements(struct tally *tally, unsigned collection, uint64_t count) {
    tally->collections[collection].elements += count;
}

void tally_claim(struct tally *tally, unsigned stage, const struct claim *claim) {
    unsigned collection = tally->plan->stages[stage].source.collection;

    if (!is_first_reader(tally->plan, &tally->plan->stages[stage]))
        return;
    vec_foreach (item, &claim->items)
        if (item->partition || item->bucket)
            tally_elements(tally, collection, input_item_count(item));
}

/* ---- what was dropped ---- */

void tally_dropped(struct tally *tally, unsigned stage, struct tally_dropped dropped) {
    tally->dropped[stage] = dropped;
}

/* Groupings have a step of their own; of a bundle stage it is the one with state or timers that drops. */
static const char *dropping_step(const struct plan *plan, const struct plan_stage *stage) {
    if (stage->user_state_count)
        return plan_transform_unique_name(plan, stage->user_states[0].transform_id);
    if (stage->timer_family_count)
        return plan_transform_unique_name(plan, stage->timer_families[0].transform_id);
    return stage->name;
}

static void copy_counter(const char *step, const char *space, const char *name, uint64_t count,
                         struct metric_table *to) {
    const char *const labels[][2] = {{"PTRANSFORM", step}, {"NAMESPACE", space}, {"NAME", name}};
    struct metric metric;

    if (count == 0)
        return;
    metric.identity = metric_identity(USER_SUM_INT64, TYPE_SUM_INT64, labels, ARRAY_COUNT(labels));
    metric.payload = metric_encode_int64((int64_t)count);
    metric_table_add(to, &metric);
    slice_unref(&metric.identity);
    slice_unref(&metric.payload);
}

/* Namespaces and names are those of Beam's runners-core-java: the classes that count there. */
static void copy_dropped(const struct tally *tally, struct metric_table *to) {
    for (size_t i = 0; i < tally->plan->stage_count; i++) {
        const struct plan_stage *stage = &tally->plan->stages[i];
        const struct tally_dropped *dropped = &tally->dropped[i];
        const char *step = dropping_step(tally->plan, stage);

        if (stage->kind == PLAN_EXECUTABLE) {
            copy_counter(step, "org.apache.beam.runners.core.StatefulDoFnRunner", "StatefulParDoDropped", dropped->late,
                         to);
        } else {
            copy_counter(step, "org.apache.beam.runners.core.ReduceFnRunner", "DroppedDueToLateness", dropped->late,
                         to);
            copy_counter(step, "org.apache.beam.runners.core.ReduceFnRunner", "DroppedDueToClosedWindow",
                         dropped->closed, to);
        }
    }
}

/* ---- the whole ---- */

void tally_init(struct tally *tally, const struct plan *plan) {
    *tally = (struct tally){.plan = plan};
    tally->dropped = xcalloc(plan->stage_count + 1, sizeof(*tally->dropped));
    tally->collections = xcalloc(plan->collection_count, sizeof(*tally->collections));
    for (size_t i = 0; i < plan->collection_count; i++) {
        const char *id = plan->collections[i].id;
        const char *const labels[][2] = {{"PCOLLECTION", id}};

        if (id && !plan_made_collection(plan, id))
            tally->collections[i].identity = metric_identity(ELEMENT_COUNT, TYPE_SUM_INT64, labels, 1);
    }
}

void tally_finish(struct tally *tally) {
    for (size_t i = 0; tally->collections && i < tally->plan->collection_count; i++)
        slice_unref(&tally->collections[i].identity);
    free(tally->collections);
    free(tally->dropped);
    map_clear(&tally->names, free_name);
    buf_clear(&tally->scratch);
    metric_table_clear(&tally->committed);
    metric_table_clear(&tally->failed);
    *tally = (struct tally){0};
}

static void copy_elements(const struct tally *tally, struct metric_table *to) {
    for (size_t i = 0; i < tally->plan->collection_count; i++) {
        const struct tally_collection *collection = &tally->collections[i];
        struct metric metric = {.identity = collection->identity};

        if (collection->elements == 0 || collection->identity.size == 0)
            continue;
        metric.payload = metric_encode_int64((int64_t)collection->elements);
        metric_table_add(to, &metric);
        slice_unref(&metric.payload);
    }
}

void tally_copy(const struct tally *tally, struct metric_table *ret_attempted, struct metric_table *ret_committed) {
    *ret_attempted = *ret_committed = (struct metric_table){0};
    metric_table_merge(ret_committed, &tally->committed);
    copy_elements(tally, ret_committed);
    copy_dropped(tally, ret_committed);
    metric_table_merge(ret_attempted, ret_committed);
    metric_table_merge(ret_attempted, &tally->failed);
}
