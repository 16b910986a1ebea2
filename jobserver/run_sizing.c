#include "jobserver/run_sizing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "beam_runner_api.pb-c.h"
#include "jobserver/machine.h"
#include "model/urn.h"
#include "wire/pb.h"

enum { MAX_WORKERS = 1024, MAX_STREAM_SLOTS = 16 };

static const char environment_workers[] = "trestle_environment_workers";

/* ---- what an environment says of itself ---- */

struct hints {
    uint64_t cpu_count, min_ram_bytes, max_active_bundles; /* 0: not said */
};

/* Decimal digits, as all SDKs encode them. */
static uint64_t read_number(ProtobufCBinaryData text) {
    uint64_t number = 0;

    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] < '0' || text.data[i] > '9' || __builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, (uint64_t)(text.data[i] - '0'), &number))
            return 0;
    return number;
}

static struct hints read_hints(const struct plan_environment *environment) {
    struct hints hints = {0};
    const struct {
        enum urn urn;
        uint64_t *value;
    } known[] = {{URN_RESOURCE_CPU_COUNT, &hints.cpu_count},
                 {URN_RESOURCE_MIN_RAM_BYTES, &hints.min_ram_bytes},
                 {URN_RESOURCE_MAX_ACTIVE_BUNDLES_PER_WORKER, &hints.max_active_bundles}};
    Beam__Environment *message;
    struct arena arena = {0};

    if (PB_UNPACK(Beam__Environment, beam__environment, environment->proto, PB_STRINGS_STRICT, &arena, &message,
                  NULL) == 0)
        for (size_t i = 0; i < message->n_resource_hints; i++)
            for (size_t j = 0; j < ARRAY_COUNT(known); j++)
                if (strcmp(message->resource_hints[i]->key, urn_string(known[j].urn)) == 0)
                    *known[j].value = read_number(message->resource_hints[i]->value);
    arena_clear(&arena);
    return hints;
}

static bool has_capability(const struct plan_environment *environment, const char *urn) {
    for (size_t i = 0; i < environment->capability_count; i++)
        if (strcmp(environment->capabilities[i], urn) == 0)
            return true;
    return false;
}

/* "python" for one whose SDK says "beam:version:sdk_base:apache/beam_python3.11_sdk:2.77.0", "go" for "beam:version:sdk_base:go:2.77.0". */
static bool is_of_sdk(const struct plan_environment *environment, const char *name, size_t size) {
    static const char base[] = "beam:version:sdk_base:", image[] = "apache/beam_";

    for (size_t i = 0; i < environment->capability_count; i++) {
        const char *at = environment->capabilities[i];

        if (strncmp(at, base, sizeof(base) - 1) != 0)
            continue;
        at += sizeof(base) - 1;
        if (strncmp(at, image, sizeof(image) - 1) == 0)
            at += sizeof(image) - 1;
        if (strncmp(at, name, size) == 0)
            return true;
    }
    return false;
}

/* ---- trestle_environment_workers: NAME=COUNT ---- */

/* 0: it makes no sense. */
static unsigned read_override(const char *item, size_t *ret_name_size) {
    const char *equals = strrchr(item, '=');
    unsigned long count;
    char *end;

    if (!equals || equals == item || equals[1] < '0' || equals[1] > '9')
        return 0;
    errno = 0;
    count = strtoul(equals + 1, &end, 10);
    *ret_name_size = (size_t)(equals - item);
    return errno || *end || count > MAX_WORKERS ? 0 : (unsigned)count;
}

int run_sizing_check_environments(const struct pipeline_options *options, struct status *st) {
    size_t count, name_size;
    const char *const *items = pipeline_options_list(options, environment_workers, &count);

    for (size_t i = 0; i < count; i++)
        if (read_override(items[i], &name_size) == 0)
            return status_set(st, STATUS_INVALID_ARGUMENT,
                              "pipeline option %s: \"%.200s\" is not NAME=COUNT, like python=4 (1 to %d)",
                              environment_workers, items[i], MAX_WORKERS);
    return 0;
}

/* The environment's own id goes before its SDK. */
static unsigned find_override(const struct pipeline_options *options, const struct plan_environment *environment) {
    size_t count = 0, size;
    const char *const *items = options ? pipeline_options_list(options, environment_workers, &count) : NULL;
    unsigned of_sdk = 0;

    for (size_t i = 0; i < count; i++) {
        unsigned workers = read_override(items[i], &size);

        if (workers && strlen(environment->id) == size && strncmp(items[i], environment->id, size) == 0)
            return workers;
        if (workers && is_of_sdk(environment, items[i], size))
            of_sdk = workers;
    }
    return of_sdk;
}

/* ---- the sum of it ---- */

struct run_sizing run_sizing_of_machine(void) {
    return (struct run_sizing){.cores = machine_cores(), .memory_bytes = machine_memory_bytes()};
}

void run_sizing_read_options(struct run_sizing *sizing, const struct pipeline_options *options) {
    int64_t workers = 0, slots = 0;

    pipeline_options_int(options, "sdk_worker_parallelism", &workers, NULL);
    if (workers <= 1 || workers > MAX_WORKERS)
        workers = 0;
    pipeline_options_int(options, "trestle_workers", &workers, NULL);
    pipeline_options_int(options, "trestle_slots", &slots, NULL);
    sizing->wanted_workers = (unsigned)workers;
    sizing->wanted_slots = (unsigned)slots;
    sizing->options = options;
}

static unsigned first_of(unsigned a, unsigned b, unsigned c, unsigned otherwise) {
    return a ? a : b ? b : c ? c : otherwise;
}

/* In a stream every bundle that waits holds up others, if it has the only slot. */
static unsigned slots_for_stages(const struct plan *plan, const struct plan_environment *environment, unsigned slots) {
    unsigned sources = 0;
    bool is_streaming = false;

    for (size_t i = 0; plan && i < plan->stage_count; i++) {
        const struct plan_stage *stage = &plan->stages[i];

        if (stage->kind != PLAN_EXECUTABLE || stage->is_bounded ||
            &plan->environments[stage->environment] != environment)
            continue;
        is_streaming = true;
        sources += stage->process_transform_id != NULL;
    }
    return is_streaming ? MIN(MAX(slots, 2u) + sources, MAX(slots, (unsigned)MAX_STREAM_SLOTS)) : slots;
}

struct run_size run_sizing_plan(const struct run_sizing *sizing, const struct plan_environment *environment) {
    bool is_multi_core = has_capability(environment, urn_string(URN_PROTOCOL_MULTI_CORE_BUNDLE_PROCESSING));
    bool is_ours = strcmp(environment->urn, urn_string(URN_ENV_EXTERNAL)) != 0;
    struct hints hints = read_hints(environment);
    unsigned cores = hints.cpu_count ? (unsigned)MAX(sizing->cores / hints.cpu_count, UINT64_C(1)) : sizing->cores;
    struct run_size size = {.need_bytes = hints.min_ram_bytes};
    uint64_t room = hints.min_ram_bytes && is_ours ? sizing->memory_bytes / hints.min_ram_bytes : UINT64_MAX;

    size.workers = first_of(find_override(sizing->options, environment), sizing->wanted_workers,
                            sizing->configured_workers, is_ours && !is_multi_core ? cores : 1);
    size.lacks_memory = room == 0;
    size.workers = (unsigned)MIN((uint64_t)size.workers, MAX(room, UINT64_C(1)));
    size.slots = first_of(
        sizing->wanted_slots, sizing->configured_slots, 0,
        slots_for_stages(sizing->plan, environment, is_multi_core ? (cores + size.workers - 1) / size.workers : 1));
    if (hints.max_active_bundles)
        size.slots = (unsigned)MIN((uint64_t)size.slots, hints.max_active_bundles);
    return size;
}
