#include "engine/runs.h"

#include <assert.h>

struct run run_ref(const struct run *run) {
    struct run ref = *run;

    slice_ref(ref.bytes);
    extent_ref(ref.extent);
    return ref;
}

void run_clear(struct run *run) {
    slice_unref(&run->bytes);
    extent_unref(run->extent);
    *run = (struct run){0};
}

/* A windowed value begins with its timestamp. */
static event_time timestamp_at(const uint8_t *element) {
    struct cursor at = cursor_of(element, sizeof(uint64_t));
    uint64_t wire = 0;

    cursor_be64(&at, &wire);
    return time_from_wire(wire);
}

event_time run_least(const struct run *run, const struct coder *coder) {
    struct cursor at = cursor_of(run->bytes.data, run->bytes.size);
    event_time least = TIME_MAX;

    if (run->has_least)
        return run->least_ms;
    assert(!run->extent || run->bytes.block);
    while (cursor_left(&at)) {
        event_time timestamp = timestamp_at(at.at);
        enum coder_result result = coder_skip(coder, &at);

        assert(result == CODER_OK);
        (void)result;
        least = MIN(least, timestamp);
    }
    return least;
}

void run_list_push(struct run_list *list, struct run run) {
    if (run.count == 0) {
        run_clear(&run);
        return;
    }
    list->bytes += run_size(&run);
    list->count += run.count;
    vec_push(&list->runs, run);
}

void run_list_clear(struct run_list *list) {
    vec_foreach (run, &list->runs)
        run_clear(run);
    vec_free(&list->runs);
    *list = (struct run_list){0};
}

void run_split(const struct run *run, const struct coder *coder, uint64_t count, struct run *ret_head,
               struct run *ret_tail) {
    struct cursor at = cursor_of(run->bytes.data, run->bytes.size);
    size_t offset;

    assert(count < run->count && !run->extent);
    for (uint64_t i = 0; i < count; i++) {
        enum coder_result result = coder_skip(coder, &at);

        assert(result == CODER_OK);
        (void)result;
    }
    offset = run->bytes.size - cursor_left(&at);
    *ret_head = *ret_tail = *run;
    ret_head->bytes = slice_sub(run->bytes, 0, offset);
    ret_head->count = count;
    ret_tail->bytes = slice_sub(run->bytes, offset, run->bytes.size - offset);
    ret_tail->count = run->count - count;
}

static int malformed(struct status *st) {
    return status_set(st, STATUS_INVALID_ARGUMENT, "the bytes are not encoded as the PCollection's coder says");
}

static int too_large(const struct run_writer *writer, struct status *st) {
    return status_set(st, STATUS_RESOURCE_EXHAUSTED, "an encoded element is larger than %zu bytes (limits.max_element)",
                      writer->max_element_bytes);
}

static bool is_too_large(const struct run_writer *writer, size_t size) {
    return writer->max_element_bytes && size > writer->max_element_bytes;
}

static bool has_timestamps(const struct run_writer *writer) {
    return writer->coder->kind == CODER_WINDOWED_VALUE;
}

/* Completes the carried element with bytes from the front of `bytes`; *ret_used says how many. The carry may still be incomplete
 * afterwards, then all of `bytes` was used. */
static int complete_carry(struct run_writer *writer, struct slice bytes, size_t *ret_used, struct status *st) {
    size_t used = 0, before = writer->carry.size;

    for (;;) {
        struct cursor at = cursor_of(buf_data(&writer->carry), writer->carry.size);
        enum coder_result result = coder_skip(writer->coder, &at);
        size_t step;

        if (result == CODER_BAD)
            return malformed(st);
        if (result == CODER_OK) {
            size_t size = writer->carry.size - cursor_left(&at);
            struct slice element;
            struct run run = {.count = 1, .has_least = has_timestamps(writer)};

            if (is_too_large(writer, size))
                return too_large(writer, st);
            element = buf_finish(&writer->carry);
            if (run.has_least)
                run.least_ms = timestamp_at(element.data);
            run.bytes = slice_sub(element, 0, size);
            run_list_push(&writer->list, run);
            slice_unref(&element);
            assert(size > before);
            *ret_used = size - before;
            return 0;
        }
        if (is_too_large(writer, writer->carry.size))
            return too_large(writer, st);
        if (used == bytes.size) {
            *ret_used = used;
            return 0;
        }
        step = MIN(bytes.size - used, MAX(writer->carry.size, (size_t)256));
        buf_add(&writer->carry, bytes.data + used, step);
        used += step;
    }
}

int run_writer_add(struct run_writer *writer, struct slice bytes, struct status *st) {
    CLEANUP_SLICE struct slice owned = bytes;
    struct run run = {.least_ms = TIME_MAX, .has_least = has_timestamps(writer)};
    size_t begin = 0, good;
    struct cursor at;

    if (writer->carry.size) {
        int r = complete_carry(writer, bytes, &begin, st);

        if (r < 0 || writer->carry.size)
            return r;
    }
    good = begin;
    at = cursor_of(bytes.data + begin, bytes.size - begin);
    while (cursor_left(&at)) {
        enum coder_result result = coder_skip(writer->coder, &at);

        if (result == CODER_BAD)
            return malformed(st);
        if (result == CODER_SHORT)
            break;
        if (is_too_large(writer, bytes.size - cursor_left(&at) - good))
            return too_large(writer, st);
        if (run.has_least)
            run.least_ms = MIN(run.least_ms, timestamp_at(bytes.data + good));
        good = bytes.size - cursor_left(&at);
        run.count++;
    }
    run.bytes = slice_sub(bytes, begin, good - begin);
    run_list_push(&writer->list, run);
    if (good < bytes.size) {
        writer->carry.account = writer->account;
        buf_add(&writer->carry, bytes.data + good, bytes.size - good);
    }
    return 0;
}

int run_writer_end(struct run_writer *writer, struct status *st) {
    if (writer->carry.size == 0)
        return 0;
    return status_set(st, STATUS_INVALID_ARGUMENT, "the stream ends inside an element: %zu bytes are left over",
                      writer->carry.size);
}

void run_writer_clear(struct run_writer *writer) {
    run_list_clear(&writer->list);
    buf_clear(&writer->carry);
}
