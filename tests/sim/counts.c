#include "counts.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "sdk.h"

#define USER_SUM "beam:metric:user:sum_int64:v1"
#define USER_DISTRIBUTION "beam:metric:user:distribution_int64:v1"
#define ELEMENT_COUNT "beam:metric:element_count:v1"
#define TYPE_SUM "beam:metrics:sum_int64:v1"
#define TYPE_DISTRIBUTION "beam:metrics:distribution_int64:v1"

/* All values of the distribution. */
enum { SAMPLE = 7 };

static struct slice user_identity(const char *urn, const char *type) {
    static const char *const labels[][2] = {{"PTRANSFORM", "pardo"}, {"NAMESPACE", "sim"}, {"NAME", "things"}};

    return metric_identity(urn, type, labels, ARRAY_COUNT(labels));
}

static struct slice count_identity(const struct plan *plan, unsigned collection) {
    const char *const labels[][2] = {{"PCOLLECTION", plan->collections[collection].id}};

    return metric_identity(ELEMENT_COUNT, TYPE_SUM, labels, 1);
}

static struct slice distribution_payload(int64_t count) {
    struct buf out = {0};

    buf_add_varint(&out, (uint64_t)count);
    buf_add_varint(&out, (uint64_t)(count * SAMPLE));
    buf_add_varint(&out, (uint64_t)(count ? SAMPLE : INT64_MAX));
    buf_add_varint(&out, (uint64_t)(count ? SAMPLE : INT64_MIN));
    return buf_finish(&out);
}

/* ---- reports ---- */

static void add(struct bundle_response *response, struct slice identity, struct slice payload) {
    response->metrics[response->metric_count++] = (struct metric){.identity = identity, .payload = payload};
}

void counts_report(struct sim_bundle *bundle, struct bundle_response *ret, bool is_final) {
    const struct plan *plan = &bundle->world->sim->plan;
    struct rng *rng = &bundle->world->rng;

    ret->metrics = arena_new_array(&ret->arena, struct metric, SIM_MAX_SINKS + 3);
    if (rng_chance(rng, 10))
        return; /* as before the first element */
    add(ret, user_identity(USER_SUM, TYPE_SUM), metric_encode_int64((int64_t)rng_below(rng, 2001) - 1000));
    add(ret, user_identity(USER_DISTRIBUTION, TYPE_DISTRIBUTION), distribution_payload(rng_below(rng, 3)));
    /* Harnesses count what they read as well. */
    add(ret, count_identity(plan, bundle->stage->source.collection), metric_encode_int64((int64_t)bundle->next_input));
    for (unsigned i = 0; is_final && i < bundle->function->sink_count; i++)
        if (rng_chance(rng, 70))
            add(ret, count_identity(plan, bundle->stage->sinks[i].collection),
                metric_encode_int64((int64_t)bundle->emitted[i]));
}

void counts_note_report(struct sim_bundle *bundle, const struct engine_event *event) {
    struct metric_distribution distribution = {0};

    if (event->type != ENGINE_EVENT_PROGRESS && event->type != ENGINE_EVENT_BUNDLE_DONE)
        return;
    if (bundle->is_done_delivered || (event->response->metric_count == 0 && event->type == ENGINE_EVENT_PROGRESS))
        return;
    bundle->counted = (struct count){0};
    if (event->response->metric_count == 0)
        return;
    metric_decode_int64(event->response->metrics[0].payload, &bundle->counted.sum);
    metric_decode_distribution(event->response->metrics[1].payload, &distribution);
    bundle->counted.distribution = distribution.count;
}

/* ---- what came of them ---- */

static void add_count(struct count *to, struct count more) {
    to->sum += more.sum;
    to->distribution += more.distribution;
}

static void add_elements(struct map *map, unsigned index, uint64_t count) {
    void **slot = map_slot(map, &index, sizeof(index));

    if (!*slot)
        *slot = xcalloc(1, sizeof(uint64_t));
    *(uint64_t *)*slot += count;
}

static uint64_t elements_of(const struct map *map, unsigned index) {
    const uint64_t *count = map_get(map, &index, sizeof(index));

    return count ? *count : 0;
}

void counts_commit(struct world *world, const struct sim_bundle *bundle) {
    add_count(&world->counts.committed, bundle->counted);
    /* Less what a split gave back. */
    add_elements(&world->counts.given, bundle->stage->index, MIN(bundle->given, bundle->splits.stop));
    for (unsigned i = 0; i < bundle->function->sink_count; i++)
        add_elements(&world->counts.elements, bundle->stage->sinks[i].collection, bundle->emitted[i]);
}

void counts_fail(struct world *world, const struct sim_bundle *bundle) {
    add_count(&world->counts.failed, bundle->counted);
}

/* ---- the rules ---- */

static struct slice find(const struct metric_table *table, struct slice identity) {
    const struct slice *payload = map_get(&table->by_identity, identity.data, identity.size);

    slice_unref(&identity);
    return payload ? *payload : SLICE_EMPTY;
}

static int64_t value_of(const struct metric_table *table, struct slice identity) {
    struct slice payload = find(table, identity);
    int64_t value = 0;

    if (payload.size)
        metric_decode_int64(payload, &value);
    return value;
}

static void check_table(struct world *world, const char *name, const struct metric_table *table,
                        struct count expected) {
    int64_t sum = value_of(table, user_identity(USER_SUM, TYPE_SUM));
    struct slice payload = find(table, user_identity(USER_DISTRIBUTION, TYPE_DISTRIBUTION));
    struct metric_distribution distribution = {0};

    if (sum != expected.sum)
        world_violation(world, "the %s counter is %" PRId64 ", not %" PRId64, name, sum, expected.sum);
    if (payload.size)
        metric_decode_distribution(payload, &distribution);
    if (distribution.count != expected.distribution || distribution.sum != expected.distribution * SAMPLE ||
        (distribution.count && (distribution.min != SAMPLE || distribution.max != SAMPLE)))
        world_violation(world, "the %s distribution is %" PRId64 " values from %" PRId64 " to %" PRId64, name,
                        distribution.count, distribution.min, distribution.max);
}

void counts_check(struct world *world) {
    struct count attempted = world->counts.committed;
    struct metric_table tables[2];

    if (world->end != WORLD_RUNNING)
        return;
    add_count(&attempted, world->counts.failed);
    map_foreach (entry, &world->bundles) {
        const struct sim_bundle *bundle = entry->value;

        if (!bundle->is_finalizing)
            add_count(&attempted, bundle->counted);
    }
    engine_copy_metrics(world->engine, &tables[0], &tables[1]);
    check_table(world, "attempted", &tables[0], attempted);
    check_table(world, "committed", &tables[1], world->counts.committed);
    metric_table_clear(&tables[0]);
    metric_table_clear(&tables[1]);
}

/* What is late never reaches the harness. */
static bool drops_late(const struct world *world, unsigned stage) {
    return world->sim->functions[stage].is_streaming && world->sim->plan.stages[stage].is_keyed;
}

/* Each of an element's windows may wait for the side input alone, and then it is given once for each (MODEL 8.1). */
static bool takes_apart(const struct world *world, unsigned stage) {
    return world->sim->functions[stage].is_streaming && world->sim->functions[stage].side_count > 0;
}

static void check_collection(struct world *world, const struct metric_table *committed, unsigned index) {
    const struct plan *plan = &world->sim->plan;
    const struct plan_collection *collection = &plan->collections[index];
    uint64_t count = (uint64_t)value_of(committed, count_identity(plan, index));

    if (plan->stages[collection->producer].kind == PLAN_EXECUTABLE) {
        if (count != elements_of(&world->counts.elements, index))
            world_violation(world, "%s counts %" PRIu64 " elements, and %" PRIu64 " were written", collection->id,
                            count, elements_of(&world->counts.elements, index));
        return;
    }
    for (size_t i = 0; i < collection->consumer_count; i++) {
        unsigned stage = collection->consumers[i];
        uint64_t given = elements_of(&world->counts.given, stage);

        /* A splittable DoFn's stage is given residuals as well. */
        if (plan->stages[stage].kind == PLAN_EXECUTABLE && !plan->stages[stage].process_transform_id &&
            !drops_late(world, stage) && (takes_apart(world, stage) ? count > given : count != given))
            world_violation(world, "%s counts %" PRIu64 " elements, and stage %u was given %" PRIu64, collection->id,
                            count, stage, given);
    }
}

void counts_check_end(struct world *world) {
    struct count attempted = world->counts.committed;
    struct metric_table tables[2];

    add_count(&attempted, world->counts.failed);
    engine_copy_metrics(world->engine, &tables[0], &tables[1]);
    check_table(world, "last attempted", &tables[0], attempted);
    check_table(world, "last committed", &tables[1], world->counts.committed);
    for (unsigned i = 0; i < world->sim->plan.collection_count; i++)
        check_collection(world, &tables[1], i);
    metric_table_clear(&tables[0]);
    metric_table_clear(&tables[1]);
}

void counts_clear(struct counts *counts) {
    map_clear(&counts->elements, free);
    map_clear(&counts->given, free);
}
