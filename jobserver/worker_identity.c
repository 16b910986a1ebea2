#include "jobserver/worker_identity.h"

#include <stdlib.h>
#include <string.h>

#include "beam_runner_api.pb-c.h"
#include "google/protobuf/struct.pb-c.h"
#include "jobserver/pipeline_options.h"
#include "wire/pb.h"

typedef Google__Protobuf__Value value_t;
typedef Google__Protobuf__Struct struct_t;
typedef Google__Protobuf__Struct__FieldsEntry field_t;

/* Names without "beam:option:" and ":v1". */
static const char *const ignored_options[] = {
    /* which job it is: Java's application name is the job's unless said otherwise; it numbers its options objects, and shows all options once
     * more as display data */
    "job_name",
    "app_name",
    "options_id",
    "display_data",
    /* how it is submitted and waited for */
    "job_endpoint",
    "job_port",
    "job_server_timeout",
    "artifact_endpoint",
    "artifact_port",
    "expansion_port",
    "no_wait_until_finish",
    "wait_until_finish_duration",
    /* which workers it gets: the environment itself is in the identity */
    "environment_type",
    "environment_config",
    "environment_options",
    "environment_cache_millis",
    "sdk_worker_parallelism",
};
static const char own_prefix[] = "trestle_";

static bool is_ignored(const char *key) {
    const char *name;
    size_t size;

    pipeline_options_short_name(key, &name, &size);
    if (size >= sizeof(own_prefix) - 1 && memcmp(name, own_prefix, sizeof(own_prefix) - 1) == 0)
        return true;
    for (size_t i = 0; i < ARRAY_COUNT(ignored_options); i++)
        if (strlen(ignored_options[i]) == size && memcmp(ignored_options[i], name, size) == 0)
            return true;
    return false;
}

/* Options may lie one or two levels down (pipeline_options.h). */
static bool holds_options(const char *key) {
    return strcmp(key, "options") == 0 || strcmp(key, "beam:option:go_options:v1") == 0;
}

/* ---- a Struct in one form, whatever the order of its fields ---- */

static int compare_fields(const void *a, const void *b) {
    const field_t *const *x = a, *const *y = b;

    return strcmp((*x)->key, (*y)->key);
}

static void add_struct(struct buf *out, const struct_t *fields, bool is_options);

static void add_value(struct buf *out, const value_t *value, bool is_options) {
    buf_add_u8(out, (uint8_t)(value ? value->kind_case : GOOGLE__PROTOBUF__VALUE__KIND__NOT_SET));
    if (!value)
        return;
    switch (value->kind_case) {
    case GOOGLE__PROTOBUF__VALUE__KIND_NUMBER_VALUE:
        buf_add(out, &value->number_value, sizeof(value->number_value));
        break;
    case GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE:
        buf_add_prefixed(out, value->string_value, strlen(value->string_value));
        break;
    case GOOGLE__PROTOBUF__VALUE__KIND_BOOL_VALUE:
        buf_add_u8(out, value->bool_value ? 1 : 0);
        break;
    case GOOGLE__PROTOBUF__VALUE__KIND_STRUCT_VALUE:
        add_struct(out, value->struct_value, is_options);
        break;
    case GOOGLE__PROTOBUF__VALUE__KIND_LIST_VALUE:
        buf_add_varint(out, value->list_value->n_values);
        for (size_t i = 0; i < value->list_value->n_values; i++)
            add_value(out, value->list_value->values[i], false);
        break;
    default:
        break;
    }
}

static void add_struct(struct buf *out, const struct_t *fields, bool is_options) {
    const field_t **sorted = xcalloc(fields->n_fields + 1, sizeof(field_t *));
    size_t count = 0;

    for (size_t i = 0; i < fields->n_fields; i++)
        if (!is_options || !is_ignored(fields->fields[i]->key))
            sorted[count++] = fields->fields[i];
    qsort(sorted, count, sizeof(field_t *), compare_fields);
    buf_add_varint(out, count);
    for (size_t i = 0; i < count; i++) {
        buf_add_prefixed(out, sorted[i]->key, strlen(sorted[i]->key));
        add_value(out, sorted[i]->value, is_options && holds_options(sorted[i]->key));
    }
    free(sorted);
}

/* ---- the environment ---- */

static int compare_hints(const void *a, const void *b) {
    const Beam__Environment__ResourceHintsEntry *const *x = a, *const *y = b;

    return strcmp((*x)->key, (*y)->key);
}

static void add_environment(struct buf *out, const Beam__Environment *environment) {
    buf_add_prefixed(out, environment->urn, strlen(environment->urn));
    buf_add_prefixed(out, environment->payload.data, environment->payload.len);
    buf_add_varint(out, environment->n_capabilities);
    for (size_t i = 0; i < environment->n_capabilities; i++)
        buf_add_prefixed(out, environment->capabilities[i], strlen(environment->capabilities[i]));
    buf_add_varint(out, environment->n_dependencies);
    for (size_t i = 0; i < environment->n_dependencies; i++) {
        CLEANUP_SLICE struct slice bytes = pb_pack(&environment->dependencies[i]->base, NULL);

        buf_add_prefixed(out, bytes.data, bytes.size);
    }
    if (environment->n_resource_hints)
        qsort(environment->resource_hints, environment->n_resource_hints, sizeof(environment->resource_hints[0]),
              compare_hints);
    buf_add_varint(out, environment->n_resource_hints);
    for (size_t i = 0; i < environment->n_resource_hints; i++) {
        const Beam__Environment__ResourceHintsEntry *hint = environment->resource_hints[i];

        buf_add_prefixed(out, hint->key, strlen(hint->key));
        buf_add_prefixed(out, hint->value.data, hint->value.len);
    }
}

static void add_text(struct buf *out, const char *text) {
    buf_add_prefixed(out, text ? text : "", text ? strlen(text) : 0);
}

static void add_choice(struct buf *out, const struct environment_choice *choice) {
    const struct config_settings *settings = &choice->settings;

    add_text(out, choice->urn);
    buf_add_prefixed(out, choice->payload.data, choice->payload.size);
    add_text(out, choice->native_image);
    buf_add_varint(out, settings->memory_bytes);
    buf_add_varint(out, settings->milli_cpus);
    add_text(out, settings->working_directory);
    for (char *const *variable = settings->variables; variable && *variable; variable++)
        add_text(out, *variable);
    add_text(out, NULL); /* no variable is empty: the end of them */
}

struct slice worker_identity(const struct plan_environment *environment, const struct environment_choice *choice,
                             struct slice pipeline_options, const char *endpoint) {
    struct buf out = {0};
    struct arena arena = {0};
    Beam__Environment *message;
    struct_t *options;

    if (PB_UNPACK(Beam__Environment, beam__environment, environment->proto, PB_STRINGS_STRICT, &arena, &message,
                  NULL) == 0 &&
        PB_UNPACK(Google__Protobuf__Struct, google__protobuf__struct, pipeline_options, PB_STRINGS_STRICT, &arena,
                  &options, NULL) == 0) {
        buf_add_prefixed(&out, endpoint, strlen(endpoint));
        add_environment(&out, message);
        add_choice(&out, choice);
        add_struct(&out, options, true);
    }
    arena_clear(&arena);
    return buf_finish(&out);
}
