#include "wire/struct_json.h"

#include "google/protobuf/struct.pb-c.h"
#include "wire/json.h"
#include "wire/pb.h"

typedef Google__Protobuf__Value value_t;
typedef Google__Protobuf__Struct struct_t;

static void add_text(struct buf *out, const char *text) {
    buf_add(out, text, strlen(text));
}

static void add_struct(struct buf *out, const struct_t *fields);

/* PB_MAX_DEPTH bounds how deep it goes. */
static void add_value(struct buf *out, const value_t *value) {
    switch (value ? value->kind_case : GOOGLE__PROTOBUF__VALUE__KIND__NOT_SET) {
    case GOOGLE__PROTOBUF__VALUE__KIND_NUMBER_VALUE:
        json_add_number(out, value->number_value);
        break;
    case GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE:
        json_add_string(out, value->string_value);
        break;
    case GOOGLE__PROTOBUF__VALUE__KIND_BOOL_VALUE:
        add_text(out, value->bool_value ? "true" : "false");
        break;
    case GOOGLE__PROTOBUF__VALUE__KIND_STRUCT_VALUE:
        add_struct(out, value->struct_value);
        break;
    case GOOGLE__PROTOBUF__VALUE__KIND_LIST_VALUE:
        buf_add_u8(out, '[');
        for (size_t i = 0; i < value->list_value->n_values; i++) {
            add_text(out, i ? ", " : "");
            add_value(out, value->list_value->values[i]);
        }
        buf_add_u8(out, ']');
        break;
    default:
        add_text(out, "null");
        break;
    }
}

static void add_struct(struct buf *out, const struct_t *fields) {
    buf_add_u8(out, '{');
    for (size_t i = 0; i < fields->n_fields; i++) {
        add_text(out, i ? ", " : "");
        json_add_string(out, fields->fields[i]->key);
        add_text(out, ": ");
        add_value(out, fields->fields[i]->value);
    }
    buf_add_u8(out, '}');
}

int struct_to_json(struct slice bytes, struct buf *out, struct status *st) {
    struct arena arena = {0};
    struct_t *fields;
    int error =
        PB_UNPACK(Google__Protobuf__Struct, google__protobuf__struct, bytes, PB_STRINGS_STRICT, &arena, &fields, st);

    if (!error)
        add_struct(out, fields);
    arena_clear(&arena);
    return error;
}
