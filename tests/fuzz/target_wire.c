/* wire/: the elements scanner and the safe unpacking. */
#include <stdlib.h>
#include <string.h>

#include "beam_fn_api.pb-c.h"
#include "beam_runner_api.pb-c.h"
#include "message.h"
#include "wire/elements.h"
#include "wire/pb.h"

/* What unpacks packs, and what was packed unpacks to the same. */
static void check_unpacked(const ProtobufCMessageDescriptor *type, const ProtobufCMessage *message,
                           struct arena *arena) {
    struct slice once = pb_pack(message, NULL), twice;
    ProtobufCMessage *again = NULL;

    HOLDS(pb_unpack(type, once.data, once.size, PB_STRINGS_STRICT, arena, &again, NULL) == 0);
    twice = pb_pack(again, NULL);
    HOLDS(slice_equal(once, twice));
    slice_unref(&once);
    slice_unref(&twice);
}

static void unpack(const ProtobufCMessageDescriptor *type, const uint8_t *bytes, size_t size) {
    for (enum pb_strings strings = PB_STRINGS_STRICT; strings <= PB_STRINGS_LENIENT; strings++) {
        CLEANUP_STATUS struct status st = {0};
        ProtobufCMessage *message = NULL;
        struct arena arena = {0};

        if (pb_unpack(type, bytes, size, strings, &arena, &message, &st) == 0)
            check_unpacked(type, message, &arena);
        else
            HOLDS(st.code == STATUS_INVALID_ARGUMENT && strstr(status_message(&st), "malformed") && !message);
        arena_clear(&arena);
    }
}

static void fuzz_unpack(struct rng *rng, const ProtobufCMessageDescriptor *type) {
    struct arena arena = {0};
    struct buf bytes = {0};
    uint8_t *copy;

    pack_message(random_message(rng, type, 1 + rng_below(rng, 4), &arena), &bytes);
    if (rng_chance(rng, 90))
        mutate_bytes(rng, &bytes);
    copy = exact_copy(buf_data(&bytes), bytes.size);
    unpack(type, copy, bytes.size);
    free(copy);
    buf_clear(&bytes);
    arena_clear(&arena);
}

static void unpack_pipeline(struct rng *rng) {
    fuzz_unpack(rng, &beam__pipeline__descriptor);
}

static void unpack_instruction(struct rng *rng) {
    fuzz_unpack(rng, &fn__instruction_response__descriptor);
}

static void unpack_state(struct rng *rng) {
    fuzz_unpack(rng, &fn__state_request__descriptor);
}

static void unpack_elements(struct rng *rng) {
    fuzz_unpack(rng, &fn__elements__descriptor);
}

/* ---- the scanner, held to protobuf-c ---- */

static bool is_inside(const struct cursor *part, const uint8_t *bytes, size_t size) {
    return part->at <= part->end && part->at >= bytes && part->end <= bytes + size;
}

static bool is_string(const struct cursor *part, const char *string) {
    return cursor_left(part) == strlen(string) && memcmp(part->at, string, strlen(string)) == 0;
}

static bool is_binary(const struct cursor *part, const ProtobufCBinaryData *bytes) {
    return cursor_left(part) == bytes->len && (!bytes->len || memcmp(part->at, bytes->data, bytes->len) == 0);
}

/* protobuf-c takes a bool of any wire type, where the scanner sees a field that it does not know. */
static bool is_flag(bool scanned, protobuf_c_boolean unpacked) {
    return scanned ? unpacked : true;
}

static void check_part(const struct elements_part *part, const Fn__Elements *message, size_t data, size_t timers) {
    if (part->is_timers) {
        const Fn__Elements__Timers *expected;

        HOLDS(timers < message->n_timers);
        expected = message->timers[timers];
        HOLDS(is_string(&part->instruction_id, expected->instruction_id));
        HOLDS(is_string(&part->transform_id, expected->transform_id));
        HOLDS(is_string(&part->timer_family_id, expected->timer_family_id));
        HOLDS(is_binary(&part->bytes, &expected->timers) && is_flag(part->is_last, expected->is_last));
    } else {
        const Fn__Elements__Data *expected;

        HOLDS(data < message->n_data);
        expected = message->data[data];
        HOLDS(is_string(&part->instruction_id, expected->instruction_id));
        HOLDS(is_string(&part->transform_id, expected->transform_id));
        HOLDS(is_binary(&part->bytes, &expected->data) && is_flag(part->is_last, expected->is_last));
    }
}

static void scan(const uint8_t *bytes, size_t size) {
    struct elements_scanner scanner = elements_scan(slice_of_static(bytes, size));
    Fn__Elements *message = NULL;
    struct elements_part part;
    size_t data = 0, timers = 0;
    struct arena arena = {0};
    int r;

    if (pb_unpack(&fn__elements__descriptor, bytes, size, PB_STRINGS_STRICT, &arena,
                  (ProtobufCMessage **)(void *)&message, NULL) < 0)
        message = NULL;
    while ((r = elements_next(&scanner, &part)) == 1) {
        HOLDS(is_inside(&part.instruction_id, bytes, size) && is_inside(&part.transform_id, bytes, size));
        HOLDS(is_inside(&part.timer_family_id, bytes, size) && is_inside(&part.bytes, bytes, size));
        if (message)
            check_part(&part, message, data, timers);
        *(part.is_timers ? &timers : &data) += 1;
    }
    if (message)
        HOLDS(r == 0 && data == message->n_data && timers == message->n_timers);
    arena_clear(&arena);
}

static void add_header_made_by_hand(struct rng *rng, struct buf *out) {
    struct slice header;
    struct buf data = {0};

    add_random_bytes(rng, &data, rng_below(rng, 200));
    header = elements_header("1", "transform", rng_chance(rng, 50) ? "family" : NULL, data.size, rng_chance(rng, 50));
    buf_add(out, header.data, header.size);
    if (data.size)
        buf_add(out, buf_data(&data), data.size);
    slice_unref(&header);
    buf_clear(&data);
}

static void elements(struct rng *rng) {
    struct arena arena = {0};
    struct buf bytes = {0};
    uint8_t *copy;

    if (rng_chance(rng, 50))
        pack_message(random_message(rng, &fn__elements__descriptor, 2, &arena), &bytes);
    for (unsigned n = rng_below(rng, 3); n; n--)
        add_header_made_by_hand(rng, &bytes);
    if (rng_chance(rng, 80))
        mutate_bytes(rng, &bytes);
    copy = exact_copy(buf_data(&bytes), bytes.size);
    scan(copy, bytes.size);
    free(copy);
    buf_clear(&bytes);
    arena_clear(&arena);
}

const struct target wire_targets[] = {
    {"elements", NULL, elements},
    {"unpack_pipeline", NULL, unpack_pipeline},
    {"unpack_instruction", NULL, unpack_instruction},
    {"unpack_state", NULL, unpack_state},
    {"unpack_elements", NULL, unpack_elements},
    {NULL, NULL, NULL},
};
