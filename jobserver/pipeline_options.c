#include "jobserver/pipeline_options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/vec.h"
#include "google/protobuf/struct.pb-c.h"
#include "jobserver/run_sizing.h"
#include "wire/pb.h"

typedef Google__Protobuf__Value value_t;

struct string_list {
    const char **items;
    size_t count;
};

struct pipeline_options {
    struct arena arena;
    struct map values; /* short name -> value_t */
    struct map lists;  /* short name -> struct string_list */
};

static const char prefix[] = "beam:option:", suffix[] = ":v1";

void pipeline_options_short_name(const char *key, const char **ret_name, size_t *ret_size) {
    size_t size = strlen(key), fixed = sizeof(prefix) + sizeof(suffix) - 2;

    if (size > fixed && strncmp(key, prefix, sizeof(prefix) - 1) == 0 &&
        strcmp(key + size - (sizeof(suffix) - 1), suffix) == 0) {
        key += sizeof(prefix) - 1;
        size -= fixed;
    }
    *ret_name = key;
    *ret_size = size;
}

/* ------------------------------------------------------------------ making */

static const Google__Protobuf__Struct *struct_of(const value_t *value) {
    return value && value->kind_case == GOOGLE__PROTOBUF__VALUE__KIND_STRUCT_VALUE ? value->struct_value : NULL;
}

/* The struct in a field of a struct; NULL when there is none. */
static const Google__Protobuf__Struct *field_of(const Google__Protobuf__Struct *fields, const char *key) {
    for (size_t i = 0; fields && i < fields->n_fields; i++)
        if (strcmp(fields->fields[i]->key, key) == 0)
            return struct_of(fields->fields[i]->value);
    return NULL;
}

static const char *string_of(const value_t *value) {
    return value && value->kind_case == GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE ? value->string_value : NULL;
}

static bool is_null(const value_t *value) {
    return !value || value->kind_case == GOOGLE__PROTOBUF__VALUE__KIND__NOT_SET ||
           value->kind_case == GOOGLE__PROTOBUF__VALUE__KIND_NULL_VALUE;
}

static void add_list_item(struct pipeline_options *options, struct string_list *list, size_t *capacity,
                          const char *text, size_t size) {
    if (size == 0)
        return;
    if (list->count == *capacity) {
        const char **items = arena_new_array(&options->arena, const char *, *capacity * 2 + 4);

        if (list->count)
            memcpy(items, list->items, list->count * sizeof(items[0]));
        list->items = items;
        *capacity = *capacity * 2 + 4;
    }
    list->items[list->count++] = arena_copy(&options->arena, text, size);
}

/* Lists are cut up once, here, so that reading needs no memory. */
static void add_list(struct pipeline_options *options, const char *name, size_t name_size, const value_t *value) {
    struct string_list *list = arena_new(&options->arena, struct string_list);
    const char *text = string_of(value);
    size_t capacity = 0;

    if (text) {
        for (;; text++) {
            size_t size = strcspn(text, ",");

            add_list_item(options, list, &capacity, text, size);
            text += size;
            if (!*text)
                break;
        }
    } else if (value->kind_case == GOOGLE__PROTOBUF__VALUE__KIND_LIST_VALUE && value->list_value) {
        for (size_t i = 0; i < value->list_value->n_values; i++) {
            const char *item = string_of(value->list_value->values[i]);

            if (item)
                add_list_item(options, list, &capacity, item, strlen(item));
        }
    } else {
        return;
    }
    map_set(&options->lists, name, name_size, list);
}

/* Adds what is not there yet. */
static void add_struct(struct pipeline_options *options, const Google__Protobuf__Struct *fields) {
    for (size_t i = 0; fields && i < fields->n_fields; i++) {
        value_t *value = fields->fields[i]->value;
        const char *name;
        size_t size;
        void **slot;

        if (is_null(value))
            continue;
        pipeline_options_short_name(fields->fields[i]->key, &name, &size);
        slot = map_slot(&options->values, name, size);
        if (*slot)
            continue;
        *slot = value;
        add_list(options, name, size, value);
    }
}

static const value_t *find(const struct pipeline_options *options, const char *name) {
    return map_get_string(&options->values, name);
}

int pipeline_options_create(struct slice bytes, struct pipeline_options **ret, struct status *st) {
    struct pipeline_options *options = xcalloc(1, sizeof(*options));
    const Google__Protobuf__Struct *go;
    Google__Protobuf__Struct *top;
    int r;

    r = PB_UNPACK(Google__Protobuf__Struct, google__protobuf__struct, bytes, PB_STRINGS_STRICT, &options->arena, &top,
                  st);
    if (r < 0) {
        pipeline_options_destroy(options);
        return r;
    }
    add_struct(options, top);
    add_struct(options, field_of(top, "options"));
    go = field_of(top, "beam:option:go_options:v1");
    add_struct(options, field_of(go, "options"));
    add_struct(options, go);
    *ret = options;
    return 0;
}

void pipeline_options_destroy(struct pipeline_options *options) {
    if (!options)
        return;
    map_clear(&options->values, NULL);
    map_clear(&options->lists, NULL);
    arena_clear(&options->arena);
    free(options);
}

/* ------------------------------------------------------------------ reading */

bool pipeline_options_has(const struct pipeline_options *options, const char *name) {
    return find(options, name) != NULL;
}

const char *pipeline_options_string(const struct pipeline_options *options, const char *name, const char *otherwise) {
    const char *text = string_of(find(options, name));

    return text ? text : otherwise;
}

int pipeline_options_int(const struct pipeline_options *options, const char *name, int64_t *ret, struct status *st) {
    const value_t *value = find(options, name);
    const char *text = string_of(value);

    if (!value)
        return 0;
    if (text && *text) {
        char *end;
        long long number;

        errno = 0;
        number = strtoll(text, &end, 10);
        if (errno == 0 && !*end) {
            *ret = number;
            return 0;
        }
    } else if (value->kind_case == GOOGLE__PROTOBUF__VALUE__KIND_NUMBER_VALUE) {
        double number = value->number_value;

        /* beyond 2^53 a double is no longer every whole number */
        if (number >= -9007199254740992.0 && number <= 9007199254740992.0 && number == (double)(int64_t)number) {
            *ret = (int64_t)number;
            return 0;
        }
    }
    return status_set(st, STATUS_INVALID_ARGUMENT, "pipeline option %s: \"%s\" is not a whole number", name,
                      text ? text : "(its value)");
}

int pipeline_options_bool(const struct pipeline_options *options, const char *name, bool *ret, struct status *st) {
    const value_t *value = find(options, name);
    const char *text = string_of(value);

    if (!value)
        return 0;
    if (value->kind_case == GOOGLE__PROTOBUF__VALUE__KIND_BOOL_VALUE) {
        *ret = value->bool_value;
        return 0;
    }
    if (text && (strcasecmp(text, "true") == 0 || strcasecmp(text, "false") == 0)) {
        *ret = strcasecmp(text, "true") == 0;
        return 0;
    }
    return status_set(st, STATUS_INVALID_ARGUMENT, "pipeline option %s: \"%s\" is neither true nor false", name,
                      text ? text : "(its value)");
}

const char *const *pipeline_options_list(const struct pipeline_options *options, const char *name, size_t *ret_count) {
    const struct string_list *list = map_get_string(&options->lists, name);

    *ret_count = list ? list->count : 0;
    return list ? (const char *const *)list->items : NULL;
}

const char *pipeline_options_experiment(const struct pipeline_options *options, const char *name) {
    size_t count, size = strlen(name);
    const char *const *items = pipeline_options_list(options, "experiments", &count);

    while (count-- > 0) {
        if (strncmp(items[count], name, size) != 0)
            continue;
        if (items[count][size] == '=')
            return items[count] + size + 1;
        if (items[count][size] == '\0')
            return "";
    }
    return NULL;
}

/* ------------------------------------------------------------------ Trestle's own */

static const struct pipeline_option own_options[] = {
    {"trestle_workers", PIPELINE_OPTION_INT,
     "How many SDK worker processes an environment gets. 0, the default: what the server's configuration says.", 0,
     1024},
    {"trestle_slots", PIPELINE_OPTION_INT,
     "How many bundles one SDK worker works on at once. 0, the default: what the server's configuration says.", 0,
     1024},
    {"trestle_environment_workers", PIPELINE_OPTION_STRING,
     "How many SDK worker processes single environments get, instead of trestle_workers: NAME=COUNT,..., where NAME is "
     "an "
     "environment's id or its SDK (python, java, go).",
     0, 0},
    {"trestle_bundle_attempts", PIPELINE_OPTION_INT,
     "How often a bundle is tried when user code fails in it. 0, the default: what the server's configuration says.", 0,
     100},
    {"trestle_priority", PIPELINE_OPTION_INT,
     "Where jobs wait for their turn, those of higher priority go first. 0, the default: as they come.", -1000, 1000},
};

const struct pipeline_option *pipeline_options_own(size_t *ret_count) {
    *ret_count = ARRAY_COUNT(own_options);
    return own_options;
}

int pipeline_options_check(const struct pipeline_options *options, struct status *st) {
    for (size_t i = 0; i < ARRAY_COUNT(own_options); i++) {
        const struct pipeline_option *own = &own_options[i];
        int64_t number = own->minimum;
        bool flag;
        int r = own->type == PIPELINE_OPTION_INT    ? pipeline_options_int(options, own->name, &number, st)
                : own->type == PIPELINE_OPTION_BOOL ? pipeline_options_bool(options, own->name, &flag, st)
                                                    : 0;

        if (r < 0)
            return r;
        if (own->type == PIPELINE_OPTION_INT && (number < own->minimum || number > own->maximum))
            return status_set(st, STATUS_INVALID_ARGUMENT, "pipeline option %s: %lld is not between %lld and %lld",
                              own->name, (long long)number, (long long)own->minimum, (long long)own->maximum);
    }
    return run_sizing_check_environments(options, st);
}
