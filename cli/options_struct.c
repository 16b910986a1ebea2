#include "cli/options_struct.h"

#include <jansson.h>
#include <string.h>

#include "base/arena.h"
#include "google/protobuf/struct.pb-c.h"
#include "wire/pb.h"

typedef Google__Protobuf__Value value_t;
typedef Google__Protobuf__Struct struct_t;

/* ------------------------------------------------------------------ JSON to protobuf; jansson bounds how deep it goes */

static value_t *make_value(json_t *json, struct arena *arena);

static struct_t *make_struct(json_t *object, struct arena *arena) {
    struct_t *fields = arena_new(arena, struct_t);
    const char *name;
    json_t *value;

    google__protobuf__struct__init(fields);
    fields->fields = arena_new_array(arena, Google__Protobuf__Struct__FieldsEntry *, json_object_size(object));
    json_object_foreach(object, name, value) {
        Google__Protobuf__Struct__FieldsEntry *entry = arena_new(arena, Google__Protobuf__Struct__FieldsEntry);

        google__protobuf__struct__fields_entry__init(entry);
        entry->key = arena_string(arena, name);
        entry->value = make_value(value, arena);
        fields->fields[fields->n_fields++] = entry;
    }
    return fields;
}

static Google__Protobuf__ListValue *make_list(json_t *array, struct arena *arena) {
    Google__Protobuf__ListValue *list = arena_new(arena, Google__Protobuf__ListValue);

    google__protobuf__list_value__init(list);
    list->values = arena_new_array(arena, value_t *, json_array_size(array));
    for (size_t i = 0; i < json_array_size(array); i++)
        list->values[list->n_values++] = make_value(json_array_get(array, i), arena);
    return list;
}

static value_t *make_value(json_t *json, struct arena *arena) {
    value_t *value = arena_new(arena, value_t);

    google__protobuf__value__init(value);
    switch (json_typeof(json)) {
    case JSON_OBJECT:
        value->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_STRUCT_VALUE;
        value->struct_value = make_struct(json, arena);
        break;
    case JSON_ARRAY:
        value->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_LIST_VALUE;
        value->list_value = make_list(json, arena);
        break;
    case JSON_STRING:
        value->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE;
        value->string_value = arena_string(arena, json_string_value(json));
        break;
    case JSON_INTEGER:
    case JSON_REAL:
        value->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_NUMBER_VALUE;
        value->number_value = json_number_value(json);
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        value->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_BOOL_VALUE;
        value->bool_value = json_is_true(json);
        break;
    case JSON_NULL:
        value->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_NULL_VALUE;
        break;
    }
    return value;
}

/* ------------------------------------------------------------------ words to JSON */

static json_t *parse_scalar(const char *text) {
    json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);

    if (json_is_number(value) || json_is_boolean(value) || json_is_null(value))
        return value;
    json_decref(value);
    return json_string(text);
}

/* NAME=VALUE, the value of an option that is given again replacing the one before. */
static int add_option(json_t *object, const char *option, struct status *st) {
    const char *equals = strchr(option, '=');
    CLEANUP(freep) char *name = xmemdup0(option, equals ? (size_t)(equals - option) : strlen(option));
    CLEANUP(freep) char *full = strchr(name, ':') ? xstrdup(name) : xasprintf("beam:option:%s:v1", name);

    if (!equals || !name[0])
        return status_set(st, STATUS_INVALID_ARGUMENT, "--option: \"%s\" is not NAME=VALUE", option);
    if (json_object_set_new(object, full, parse_scalar(equals + 1)) < 0)
        return status_set(st, STATUS_INVALID_ARGUMENT, "--option: %s is not UTF-8", name);
    return 0;
}

static int load_object(const char *path, json_t **ret, struct status *st) {
    json_error_t error;
    json_t *object = json_load_file(path, JSON_REJECT_DUPLICATES, &error);

    if (!object)
        return status_set(st, STATUS_INVALID_ARGUMENT, "--options-json: %s:%d: %s", path, error.line, error.text);
    if (!json_is_object(object)) {
        json_decref(object);
        return status_set(st, STATUS_INVALID_ARGUMENT, "--options-json: %s holds no JSON object", path);
    }
    *ret = object;
    return 0;
}

int options_to_struct(const char *json_path, const char *const *options, size_t count, struct slice *ret,
                      struct status *st) {
    json_t *object = NULL;
    struct arena arena = {0};
    int r = 0;

    if (json_path)
        r = load_object(json_path, &object, st);
    else
        object = json_object();
    for (size_t i = 0; i < count && r == 0; i++)
        r = add_option(object, options[i], st);
    if (r == 0)
        *ret = PB_PACK(make_struct(object, &arena), NULL);
    json_decref(object);
    arena_clear(&arena);
    return r;
}
