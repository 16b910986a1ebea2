#include "message.h"

#include <string.h>

#include "base/vec.h"
#include "model/urn.h"
#include "wire/pb.h"

/* protobuf-c's layout: a field is at `offset`; its count, presence or oneof case at `quantifier_offset`. */
static void *member(const ProtobufCMessage *message, unsigned offset) {
    return (char *)(uintptr_t)message + offset;
}

static size_t *count_of(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field) {
    return member(message, field->quantifier_offset);
}

static size_t item_size(const ProtobufCFieldDescriptor *field) {
    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    case PROTOBUF_C_TYPE_BOOL:
        return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return sizeof(uint64_t);
    default:
        return sizeof(uint32_t);
    }
}

static char *random_string(struct rng *rng, struct arena *arena) {
    static const char *const strings[] = {"", "a", "b", "in", "out", "bytes", "global", "env", "t-Start", "\xc3\xa9"};

    if (rng_chance(rng, 30))
        return arena_string(arena, urn_string((enum urn)rng_below(rng, URN_COUNT)));
    return arena_string(arena, strings[rng_below(rng, ARRAY_COUNT(strings))]);
}

/* One value of a field's type at `place`. */
static void set_random(struct rng *rng, const ProtobufCFieldDescriptor *field, void *place, unsigned depth,
                       struct arena *arena) {
    const ProtobufCEnumDescriptor *choices = field->descriptor;
    ProtobufCBinaryData *bytes = place;
    uint64_t number = any_number(rng);
    struct buf random = {0};

    switch (field->type) {
    case PROTOBUF_C_TYPE_MESSAGE:
        *(ProtobufCMessage **)place = random_message(rng, field->descriptor, depth - 1, arena);
        break;
    case PROTOBUF_C_TYPE_STRING:
        *(char **)place = random_string(rng, arena);
        break;
    case PROTOBUF_C_TYPE_BYTES:
        add_random_bytes(rng, &random, rng_below(rng, 20));
        bytes->len = random.size;
        bytes->data = (uint8_t *)arena_copy(arena, buf_data(&random), random.size);
        buf_clear(&random);
        break;
    case PROTOBUF_C_TYPE_BOOL:
        *(protobuf_c_boolean *)place = number & 1;
        break;
    case PROTOBUF_C_TYPE_ENUM:
        if (rng_chance(rng, 80))
            number = (uint64_t)choices->values[rng_below(rng, choices->n_values)].value;
        memcpy(place, &(uint32_t){(uint32_t)number}, sizeof(uint32_t));
        break;
    default:
        memcpy(place, &number, item_size(field));
    }
}

static bool is_oneof(const ProtobufCFieldDescriptor *field) {
    return field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF;
}

/* Room for one more in a repeated field, at its end. */
static void *append(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field, struct arena *arena) {
    size_t size = item_size(field), *count = count_of(message, field);
    void **items = member(message, field->offset);
    char *grown = arena_zalloc(arena, (*count + 1) * size);

    if (*count)
        memcpy(grown, *items, *count * size);
    *items = grown;
    return grown + size * (*count)++;
}

static void fill_field(struct rng *rng, const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
                       unsigned depth, struct arena *arena) {
    if (field->type == PROTOBUF_C_TYPE_MESSAGE && depth == 0)
        return;
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        for (unsigned n = 1 + rng_below(rng, 3); n; n--)
            set_random(rng, field, append(message, field, arena), depth, arena);
        return;
    }
    if (is_oneof(field))
        *(uint32_t *)member(message, field->quantifier_offset) = field->id;
    else if (field->quantifier_offset)
        *(protobuf_c_boolean *)member(message, field->quantifier_offset) = 1;
    if (is_oneof(field)) /* what another case of it left there */
        memset(member(message, field->offset), 0, item_size(field));
    set_random(rng, field, member(message, field->offset), depth, arena);
}

ProtobufCMessage *random_message(struct rng *rng, const ProtobufCMessageDescriptor *type, unsigned depth,
                                 struct arena *arena) {
    ProtobufCMessage *message = arena_zalloc(arena, type->sizeof_message);

    protobuf_c_message_init(type, message);
    for (unsigned i = 0; i < type->n_fields; i++)
        if (rng_chance(rng, type->n_fields > 6 ? 35 : 70))
            fill_field(rng, message, &type->fields[i], depth, arena);
    return message;
}

/* ---- changing ---- */

/* A message's whole tree, flat. */
struct tree {
    VEC(ProtobufCMessage *) messages;
    VEC(char *) strings;
};

static void walk(ProtobufCMessage *message, struct tree *tree);

static void walk_item(const ProtobufCFieldDescriptor *field, void *place, struct tree *tree) {
    if (field->type == PROTOBUF_C_TYPE_MESSAGE && *(ProtobufCMessage **)place)
        walk(*(ProtobufCMessage **)place, tree);
    if (field->type == PROTOBUF_C_TYPE_STRING && *(char **)place && **(char **)place)
        vec_push(&tree->strings, *(char **)place);
}

static void walk(ProtobufCMessage *message, struct tree *tree) {
    const ProtobufCMessageDescriptor *type = message->descriptor;

    vec_push(&tree->messages, message);
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];

        if (field->label == PROTOBUF_C_LABEL_REPEATED) {
            for (size_t n = 0; n < *count_of(message, field); n++)
                walk_item(field, *(char **)member(message, field->offset) + n * item_size(field), tree);
        } else if (!is_oneof(field) || *(uint32_t *)member(message, field->quantifier_offset) == field->id) {
            walk_item(field, member(message, field->offset), tree);
        }
    }
}

static void mutate_binary(struct rng *rng, ProtobufCBinaryData *bytes, struct arena *arena) {
    struct buf damaged = {0};

    if (bytes->len)
        buf_add(&damaged, bytes->data, bytes->len);
    mutate_bytes(rng, &damaged);
    bytes->len = damaged.size;
    bytes->data = (uint8_t *)arena_copy(arena, buf_data(&damaged), damaged.size);
    buf_clear(&damaged);
}

static void mutate_item(struct rng *rng, const ProtobufCFieldDescriptor *field, void *place, const struct tree *tree,
                        struct arena *arena) {
    if (field->type == PROTOBUF_C_TYPE_STRING && tree->strings.count && rng_chance(rng, 80)) {
        *(char **)place = tree->strings.items[rng_below(rng, tree->strings.count)];
        return;
    }
    if (field->type == PROTOBUF_C_TYPE_BYTES && rng_chance(rng, 80)) {
        mutate_binary(rng, place, arena);
        return;
    }
    if (field->type == PROTOBUF_C_TYPE_MESSAGE && rng_chance(rng, 60)) {
        /* The same type from elsewhere. No cycles: the copy goes through its bytes. */
        const ProtobufCMessage *other = tree->messages.items[rng_below(rng, tree->messages.count)];
        ProtobufCMessage *copy = NULL;
        struct buf packed = {0};

        if (other->descriptor != field->descriptor)
            return;
        pack_message(other, &packed);
        if (packed.size < 100000 &&
            pb_unpack(field->descriptor, buf_data(&packed), packed.size, PB_STRINGS_LENIENT, arena, &copy, NULL) == 0)
            *(ProtobufCMessage **)place = copy;
        buf_clear(&packed);
        return;
    }
    set_random(rng, field, place, 2, arena);
}

static void mutate_repeated(struct rng *rng, ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
                            const struct tree *tree, struct arena *arena) {
    size_t size = item_size(field), *count = count_of(message, field);
    char **items = member(message, field->offset);
    size_t a = rng_below(rng, *count), b = rng_below(rng, *count);
    char item[sizeof(ProtobufCBinaryData)];

    if (*count == 0) {
        set_random(rng, field, append(message, field, arena), 2, arena);
        return;
    }
    switch (rng_below(rng, 5)) {
    case 0:
        memmove(*items + a * size, *items + (a + 1) * size, (*count - a - 1) * size);
        --*count;
        break;
    case 1:
        memcpy(item, *items + a * size, size);
        memcpy(*items + a * size, *items + b * size, size);
        memcpy(*items + b * size, item, size);
        break;
    case 2:
        memcpy(item, *items + a * size, size);
        memcpy(append(message, field, arena), item, size);
        break;
    default:
        mutate_item(rng, field, *items + a * size, tree, arena);
    }
}

static void mutate_field(struct rng *rng, ProtobufCMessage *message, const struct tree *tree, struct arena *arena) {
    const ProtobufCMessageDescriptor *type = message->descriptor;
    const ProtobufCFieldDescriptor *field = type->n_fields ? &type->fields[rng_below(rng, type->n_fields)] : NULL;
    void *place;

    if (!field)
        return;
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        mutate_repeated(rng, message, field, tree, arena);
        return;
    }
    place = member(message, field->offset);
    if (is_oneof(field) && *(uint32_t *)member(message, field->quantifier_offset) != field->id) {
        fill_field(rng, message, field, 2, arena);
    } else if (rng_chance(rng, 25)) {
        memset(place, 0, item_size(field));
        if (field->type == PROTOBUF_C_TYPE_STRING)
            *(char **)place = arena_string(arena, "");
        if (field->quantifier_offset)
            memset(member(message, field->quantifier_offset), 0,
                   is_oneof(field) ? sizeof(uint32_t) : sizeof(protobuf_c_boolean));
    } else {
        if (field->quantifier_offset && !is_oneof(field))
            *(protobuf_c_boolean *)member(message, field->quantifier_offset) = 1;
        mutate_item(rng, field, place, tree, arena);
    }
}

void mutate_message(struct rng *rng, ProtobufCMessage *message, struct arena *arena) {
    struct tree tree = {0};

    walk(message, &tree);
    mutate_field(rng, tree.messages.items[rng_below(rng, tree.messages.count)], &tree, arena);
    vec_free(&tree.messages);
    vec_free(&tree.strings);
}

void pack_message(const ProtobufCMessage *message, struct buf *out) {
    pb_pack_into(message, out);
}
