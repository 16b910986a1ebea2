#include <assert.h>
#include <grpc/support/alloc.h>
#include <stdlib.h>
#include <string.h>

#include "rpc/internal.h"

/* Below this a copy is cheaper than a reference, which takes an allocation and atomic operations of its own. */
#define COPY_SEND_BELOW_BYTES 256
/* Peers take 8 KiB of headers by default; this leaves room for the others. Measured as sent, percent-encoded. */
#define STATUS_TEXT_MAX_BYTES 7000

static void drop_block(void *user) {
    RPC_TAKEN_FROM_GRPC(user);
    block_unref(user);
}

/* The reference moves into gRPC's slice; gRPC drops it on any thread. */
static grpc_slice wrap_piece(struct slice piece) {
    if (!piece.block)
        return grpc_slice_from_static_buffer(piece.data, piece.size);
    RPC_GIVEN_TO_GRPC(piece.block);
    return grpc_slice_new_with_user_data((void *)(uintptr_t)piece.data, piece.size, drop_block, piece.block);
}

/* Copies small pieces, as many as follow one another, into one slice. Returns how many. */
static size_t copy_small(const struct slice *pieces, size_t count, grpc_slice *ret_slice) {
    size_t size = 0, taken = 0;
    uint8_t *out;

    while (taken < count && pieces[taken].size < COPY_SEND_BELOW_BYTES)
        size += pieces[taken++].size;
    *ret_slice = grpc_slice_malloc(size);
    out = GRPC_SLICE_START_PTR(*ret_slice);
    for (size_t i = 0; i < taken; i++) {
        struct slice piece = pieces[i];

        if (piece.size > 0)
            memcpy(out, piece.data, piece.size);
        out += piece.size;
        slice_unref(&piece);
    }
    return taken;
}

struct rpc_message *rpc_message_create(const struct slice *pieces, size_t count) {
    struct rpc_message *message = xmalloc(sizeof(*message) + count * sizeof(message->slices[0]));

    message->next = NULL;
    message->size_bytes = 0;
    message->slice_count = 0;
    for (size_t i = 0; i < count; i++)
        message->size_bytes += pieces[i].size;
    for (size_t i = 0; i < count;) {
        grpc_slice *slice = &message->slices[message->slice_count++];

        if (pieces[i].size < COPY_SEND_BELOW_BYTES)
            i += copy_small(pieces + i, count - i, slice);
        else
            *slice = wrap_piece(pieces[i++]);
    }
    return message;
}

void rpc_message_free_all(struct rpc_message *first) {
    while (first) {
        struct rpc_message *next = first->next;

        for (size_t i = 0; i < first->slice_count; i++)
            grpc_slice_unref(first->slices[i]);
        free(first);
        first = next;
    }
}

static struct slice join_received(const grpc_slice_buffer *buffer, struct account *account) {
    struct block *block;
    uint8_t *out;

    if (buffer->length == 0)
        return SLICE_EMPTY;
    block = block_create(buffer->length, account);
    out = block->data;
    for (size_t i = 0; i < buffer->count; i++) {
        memcpy(out, GRPC_SLICE_START_PTR(buffer->slices[i]), GRPC_SLICE_LENGTH(buffer->slices[i]));
        out += GRPC_SLICE_LENGTH(buffer->slices[i]);
    }
    return slice_of_block(block, 0, block->size);
}

struct slice rpc_message_receive(grpc_byte_buffer *buffer, struct account *account) {
    struct slice message = join_received(&buffer->data.raw.slice_buffer, account);

    grpc_byte_buffer_destroy(buffer);
    return message;
}

bool rpc_message_is_compressed(const grpc_byte_buffer *buffer) {
    return buffer->data.raw.compression != GRPC_COMPRESS_NONE;
}

static struct slice copy_to(uint8_t **out, grpc_slice from) {
    struct slice to = slice_of_static(*out, GRPC_SLICE_LENGTH(from));

    memcpy(*out, GRPC_SLICE_START_PTR(from), to.size);
    *out += to.size;
    return to;
}

struct rpc_metadata_copy rpc_metadata_copy(const grpc_metadata_array *array, const grpc_slice *authority) {
    struct rpc_metadata_copy copy = {.count = array->count + (authority ? 1 : 0)};
    size_t size = copy.count * sizeof(copy.entries[0]);
    uint8_t *out;

    if (copy.count == 0)
        return copy;
    for (size_t i = 0; i < array->count; i++)
        size += GRPC_SLICE_LENGTH(array->metadata[i].key) + GRPC_SLICE_LENGTH(array->metadata[i].value);
    copy.entries = xmalloc(size + (authority ? GRPC_SLICE_LENGTH(*authority) : 0));
    out = (uint8_t *)(copy.entries + copy.count);
    for (size_t i = 0; i < array->count; i++) {
        copy.entries[i].key = copy_to(&out, array->metadata[i].key);
        copy.entries[i].value = copy_to(&out, array->metadata[i].value);
    }
    if (authority) {
        copy.entries[array->count].key = slice_of_static(":authority", strlen(":authority"));
        copy.entries[array->count].value = copy_to(&out, *authority);
    }
    return copy;
}

static bool is_legal(grpc_slice key, grpc_slice value) {
    return grpc_header_key_is_legal(key) && (grpc_is_binary_header(key) || grpc_header_nonbin_value_is_legal(value));
}

grpc_metadata *rpc_metadata_to_grpc(const struct rpc_metadata *metadata, size_t count, struct status *st) {
    grpc_metadata *array = xcalloc(count ? count : 1, sizeof(*array));

    for (size_t i = 0; i < count; i++) {
        array[i].key = grpc_slice_from_copied_string(metadata[i].key);
        array[i].value = grpc_slice_from_copied_string(metadata[i].value);
        if (!is_legal(array[i].key, array[i].value)) {
            status_set(st, STATUS_INVALID_ARGUMENT,
                       "metadata \"%s\" cannot be sent: it holds characters that a header may not", metadata[i].key);
            rpc_metadata_free(array, i + 1);
            return NULL;
        }
    }
    return array;
}

void rpc_metadata_free(grpc_metadata *metadata, size_t count) {
    if (!metadata)
        return;
    for (size_t i = 0; i < count; i++) {
        grpc_slice_unref(metadata[i].key);
        grpc_slice_unref(metadata[i].value);
    }
    free(metadata);
}

grpc_slice rpc_status_text(const char *message) {
    static const char tail[] = " [...]";
    size_t size = 0, encoded = 0;
    grpc_slice text;

    for (; message[size]; size++) {
        encoded += message[size] >= ' ' && message[size] <= '~' && message[size] != '%' ? 1 : 3;
        if (encoded > STATUS_TEXT_MAX_BYTES)
            break;
    }
    if (!message[size])
        return grpc_slice_from_copied_buffer(message, size);
    /* Not in the middle of a UTF-8 character. */
    while (size > 0 && ((uint8_t)message[size] & 0xc0) == 0x80)
        size--;
    text = grpc_slice_malloc(size + strlen(tail));
    memcpy(GRPC_SLICE_START_PTR(text), message, size);
    memcpy(GRPC_SLICE_START_PTR(text) + size, tail, strlen(tail));
    return text;
}

void rpc_status_receive(struct status *st, grpc_status_code code, grpc_slice details) {
    bool is_known = code >= GRPC_STATUS_OK && code <= GRPC_STATUS_UNAUTHENTICATED;
    enum status_code ours = is_known ? (enum status_code)code : STATUS_UNKNOWN;

    if (ours == STATUS_OK)
        return;
    if (GRPC_SLICE_LENGTH(details) == 0)
        status_set(st, ours, "%s", status_code_name(ours));
    else
        status_set(st, ours, "%.*s", (int)MIN(GRPC_SLICE_LENGTH(details), (size_t)INT32_MAX),
                   (const char *)GRPC_SLICE_START_PTR(details));
}
