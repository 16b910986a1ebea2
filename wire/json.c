#include "wire/json.h"

#include <inttypes.h>

static void add_text(struct buf *out, const char *text) {
    buf_add(out, text, strlen(text));
}

/* ---- values ---- */

static void add_base64(struct buf *out, const ProtobufCBinaryData *bytes) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    buf_add_u8(out, '"');
    for (size_t i = 0; i < bytes->len; i += 3) {
        size_t left = MIN(bytes->len - i, (size_t)3);
        uint32_t group = 0;

        for (size_t j = 0; j < 3; j++)
            group = group << 8 | (j < left ? bytes->data[i + j] : 0u);
        for (size_t j = 0; j < 4; j++)
            buf_add_u8(out, j <= left ? (uint8_t)digits[group >> (18 - 6 * j) & 63] : '=');
    }
    buf_add_u8(out, '"');
}

static void add_enum(struct buf *out, const ProtobufCEnumDescriptor *type, int value) {
    const ProtobufCEnumValue *named = protobuf_c_enum_descriptor_get_value(type, value);

    if (named)
        json_add_string(out, named->name);
    else
        buf_printf(out, "%d", value);
}

/* ---- fields ---- */

static size_t size_of(ProtobufCType type) {
    switch (type) {
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return sizeof(uint64_t);
    case PROTOBUF_C_TYPE_BOOL:
        return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    default:
        return sizeof(uint32_t);
    }
}

static void add_submessage(struct buf *out, const ProtobufCMessage *message) {
    if (message)
        json_add_message(out, message);
    else
        add_text(out, "null");
}

static void add_value(struct buf *out, const ProtobufCFieldDescriptor *field, const void *value) {
    switch (field->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        buf_printf(out, "%" PRId32, *(const int32_t *)value);
        break;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        buf_printf(out, "%" PRIu32, *(const uint32_t *)value);
        break;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        buf_printf(out, "%" PRId64, *(const int64_t *)value);
        break;
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        buf_printf(out, "%" PRIu64, *(const uint64_t *)value);
        break;
    case PROTOBUF_C_TYPE_FLOAT:
        json_add_number(out, (double)*(const float *)value);
        break;
    case PROTOBUF_C_TYPE_DOUBLE:
        json_add_number(out, *(const double *)value);
        break;
    case PROTOBUF_C_TYPE_BOOL:
        add_text(out, *(const protobuf_c_boolean *)value ? "true" : "false");
        break;
    case PROTOBUF_C_TYPE_ENUM:
        add_enum(out, field->descriptor, *(const int *)value);
        break;
    case PROTOBUF_C_TYPE_STRING:
        json_add_string(out, *(char *const *)value ? *(char *const *)value : "");
        break;
    case PROTOBUF_C_TYPE_BYTES:
        add_base64(out, value);
        break;
    case PROTOBUF_C_TYPE_MESSAGE:
        add_submessage(out, *(ProtobufCMessage *const *)value);
        break;
    }
}

static void add_repeated(struct buf *out, const ProtobufCFieldDescriptor *field, const char *items, size_t count) {
    buf_add_u8(out, '[');
    for (size_t i = 0; i < count; i++) {
        if (i)
            buf_add_u8(out, ',');
        add_value(out, field, items + i * size_of(field->type));
    }
    buf_add_u8(out, ']');
}

void json_add_message(struct buf *out, const ProtobufCMessage *message) {
    const char *base = (const char *)message;

    buf_add_u8(out, '{');
    for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
        const void *member = base + field->offset;

        if (i)
            buf_add_u8(out, ',');
        json_add_string(out, field->name);
        buf_add_u8(out, ':');
        if (field->label == PROTOBUF_C_LABEL_REPEATED)
            add_repeated(out, field, *(const char *const *)member,
                         *(const size_t *)(const void *)(base + field->quantifier_offset));
        else
            add_value(out, field, member);
    }
    buf_add_u8(out, '}');
}
