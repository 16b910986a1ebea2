/* SDKs often give every expansion service, or every transform with other hints, an environment of its own, although one worker
 * could run them all. Equal ones are merged, so that fusion can cross from one to the other. */
#include <stdlib.h>
#include <string.h>

#include "model/urn.h"
#include "translate/graph.h"
#include "wire/pb.h"

static int compare_strings(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int compare_slices(const void *a, const void *b) {
    const struct slice *x = a, *y = b;
    int r = x->size && y->size ? memcmp(x->data, y->data, MIN(x->size, y->size)) : 0;

    return r ? r : (x->size > y->size) - (x->size < y->size);
}

/* Resource hints that decide how many workers an environment gets and of which size (jobserver/run_sizing.h). Others are ignored, as hints
 * may be. */
static const enum urn sizing_hints[] = {URN_RESOURCE_CPU_COUNT, URN_RESOURCE_MIN_RAM_BYTES,
                                        URN_RESOURCE_MAX_ACTIVE_BUNDLES_PER_WORKER};

static void add_hint(struct buf *key, const Beam__Environment *environment, const char *urn) {
    for (size_t i = 0; i < environment->n_resource_hints; i++) {
        const Beam__Environment__ResourceHintsEntry *hint = environment->resource_hints[i];

        if (strcmp(hint->key, urn) == 0) {
            buf_add_prefixed(key, hint->value.data, hint->value.len);
            return;
        }
    }
    buf_add_prefixed(key, "", 0);
}

bool environment_can(const struct graph_environment *environment, const char *urn) {
    for (size_t i = 0; i < environment->proto->n_capabilities; i++)
        if (strcmp(environment->proto->capabilities[i], urn) == 0)
            return true;
    return false;
}

/* The base image comes behind (its translate.go: URNBaseVersionGo). */
bool environment_is_go(const struct graph_environment *environment) {
    static const char prefix[] = "beam:version:sdk_base:go:";

    for (size_t i = 0; i < environment->proto->n_capabilities; i++)
        if (strncmp(environment->proto->capabilities[i], prefix, sizeof(prefix) - 1) == 0)
            return true;
    return false;
}

/* Everything that decides which worker an environment gets, in a form in which order does not count. */
static struct slice environment_key(const Beam__Environment *environment) {
    char **capabilities = xcalloc(environment->n_capabilities + 1, sizeof(*capabilities));
    struct slice *dependencies = xcalloc(environment->n_dependencies + 1, sizeof(*dependencies));
    struct buf key = {0};

    buf_add_prefixed(&key, environment->urn, strlen(environment->urn));
    buf_add_prefixed(&key, environment->payload.data, environment->payload.len);
    for (size_t i = 0; i < environment->n_capabilities; i++)
        capabilities[i] = environment->capabilities[i];
    qsort(capabilities, environment->n_capabilities, sizeof(*capabilities), compare_strings);
    buf_add_varint(&key, environment->n_capabilities);
    for (size_t i = 0; i < environment->n_capabilities; i++)
        buf_add_prefixed(&key, capabilities[i], strlen(capabilities[i]));
    for (size_t i = 0; i < environment->n_dependencies; i++)
        dependencies[i] = pb_pack(&environment->dependencies[i]->base, NULL);
    qsort(dependencies, environment->n_dependencies, sizeof(*dependencies), compare_slices);
    for (size_t i = 0; i < environment->n_dependencies; i++) {
        buf_add_prefixed(&key, dependencies[i].data, dependencies[i].size);
        slice_unref(&dependencies[i]);
    }
    for (size_t i = 0; i < ARRAY_COUNT(sizing_hints); i++)
        add_hint(&key, environment, urn_string(sizing_hints[i]));
    free(dependencies);
    free(capabilities);
    return buf_finish(&key);
}

int graph_merge_environments(struct graph *graph, struct status *st) {
    struct map by_key = {0};

    (void)st;
    vec_foreach (environment, &graph->environments) {
        CLEANUP_SLICE struct slice key = environment_key((*environment)->proto);
        void **slot = map_slot(&by_key, key.data, key.size);

        if (!*slot)
            *slot = *environment;
        (*environment)->merged = *slot;
    }
    map_clear(&by_key, NULL);
    vec_foreach (transform, &graph->transforms)
        if ((*transform)->environment)
            (*transform)->environment = (*transform)->environment->merged;
    vec_foreach (windowing, &graph->windowings)
        if ((*windowing)->environment)
            (*windowing)->environment = (*windowing)->environment->merged;
    return 0;
}
