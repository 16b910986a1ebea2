/* What a worker's boot program is told about its job (beam_provision_api.proto, ProvisionInfo): options, dependencies, names, and what the runner can do. Endpoints are
 * added by fnapi/, which knows them. Written field by field, because options and dependencies are there in serialized form. */
#include "beam_provision_api.pb-c.h"
#include "jobserver/job.h"
#include "model/urn.h"
#include "wire/pb.h"

/* Field numbers of ProvisionInfo. */
enum {
    INFO_PIPELINE_OPTIONS = 3,
    INFO_RETRIEVAL_TOKEN = 6,
    INFO_DEPENDENCIES = 11,
    INFO_CAPABILITIES = 12,
    INFO_METADATA = 13
};

static void add_metadata(struct buf *out, const char *key, const char *value) {
    Provision__ProvisionInfo__MetadataEntry entry = PROVISION__PROVISION_INFO__METADATA_ENTRY__INIT;

    entry.key = (char *)key;
    entry.value = (char *)value;
    pb_add_message_field(out, INFO_METADATA, &entry.base);
}

static void add_dependencies(struct buf *out, struct slice environment_bytes) {
    struct arena arena = {0};
    Beam__Environment *environment;

    /* translate/ wrote these bytes: they can be read. */
    if (PB_UNPACK(Beam__Environment, beam__environment, environment_bytes, PB_STRINGS_STRICT, &arena, &environment,
                  NULL) == 0)
        for (size_t i = 0; i < environment->n_dependencies; i++)
            pb_add_message_field(out, INFO_DEPENDENCIES, &environment->dependencies[i]->base);
    arena_clear(&arena);
}

/* What a harness may ask for that not every runner can do (StandardRunnerProtocols). */
static const enum urn capabilities[] = {URN_PROTOCOL_MULTIMAP_KEYS_VALUES_SIDE_INPUT};

const char *job_runner_capabilities(struct arena *arena) {
    const char *text = "";

    for (size_t i = 0; i < ARRAY_COUNT(capabilities); i++)
        text = arena_printf(arena, "%s%s%s", text, i ? " " : "", urn_string(capabilities[i]));
    return text;
}

struct slice job_provision_info(struct job *job, unsigned environment) {
    const struct job_spec *spec = job_specification(job);
    struct buf out = {0};

    pb_add_bytes_field(&out, INFO_PIPELINE_OPTIONS, spec->pipeline_options.data, spec->pipeline_options.size);
    pb_add_string_field(&out, INFO_RETRIEVAL_TOKEN, spec->retrieval_token);
    if (environment < spec->plan->environment_count)
        add_dependencies(&out, spec->plan->environments[environment].proto);
    for (size_t i = 0; i < ARRAY_COUNT(capabilities); i++)
        pb_add_string_field(&out, INFO_CAPABILITIES, urn_string(capabilities[i]));
    add_metadata(&out, "job_id", job_id(job));
    add_metadata(&out, "job_name", spec->name);
    return buf_finish(&out);
}
