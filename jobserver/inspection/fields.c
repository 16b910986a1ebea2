/* Requests from text: what stands in an URL becomes the fields of a message of the same names. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "jobserver/inspection/internal.h"

static int bad(const ProtobufCFieldDescriptor *field, const char *text, const char *what, struct status *st) {
    return status_set(st, STATUS_INVALID_ARGUMENT, "%s: \"%.80s\" is not %s", field->name, text, what);
}

static int set_number(void *member, const ProtobufCFieldDescriptor *field, const char *text, struct status *st) {
    uint64_t most = field->type == PROTOBUF_C_TYPE_UINT64 ? UINT64_MAX : UINT32_MAX, number;
    char *end;

    errno = 0;
    number = strtoull(text, &end, 10);
    if (errno || end == text || *end || text[strspn(text, "0123456789")] || number > most)
        return bad(field, text, "a whole number", st);
    if (field->type == PROTOBUF_C_TYPE_UINT64)
        *(uint64_t *)member = number;
    else
        *(uint32_t *)member = (uint32_t)number;
    return 0;
}

static int set_bool(protobuf_c_boolean *member, const ProtobufCFieldDescriptor *field, const char *text,
                    struct status *st) {
    bool is_true = strcmp(text, "true") == 0 || strcmp(text, "1") == 0;

    if (!is_true && strcmp(text, "false") != 0 && strcmp(text, "0") != 0)
        return bad(field, text, "true or false", st);
    *member = is_true;
    return 0;
}

/* Strings with commas between them. */
static void set_strings(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field, const char *text,
                        struct arena *arena) {
    char **strings = arena_new_array(arena, char *, strlen(text) + 1);
    size_t count = 0;

    while (*text) {
        size_t length = strcspn(text, ",");

        if (length)
            strings[count++] = arena_copy(arena, text, length);
        text += length + (text[length] != '\0');
    }
    *(size_t *)(void *)((char *)message + field->quantifier_offset) = count;
    *(char ***)(void *)((char *)message + field->offset) = strings;
}

int inspection_set_field(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field, const char *text,
                         struct arena *arena, struct status *st) {
    void *member = (char *)message + field->offset;

    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING:
        if (field->label == PROTOBUF_C_LABEL_REPEATED)
            set_strings(message, field, text, arena);
        else
            *(char **)member = arena_string(arena, text);
        return 0;
    case PROTOBUF_C_TYPE_BOOL:
        return set_bool(member, field, text, st);
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_UINT64:
        return set_number(member, field, text, st);
    default:
        return status_set(st, STATUS_INVALID_ARGUMENT, "%s cannot be told in an URL", field->name);
    }
}
