#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "wire/elements.h"

enum { FLUSH_BYTES = 1 << 20 };

void bundle_free(struct bundle *bundle) {
    if (!bundle)
        return;
    for (size_t i = bundle->next_input; i < bundle->input.count; i++)
        slice_unref(&bundle->input.items[i]);
    vec_free(&bundle->input);
    for (size_t i = 0; bundle->outputs && i < bundle->program->sink_count; i++)
        buf_clear(&bundle->outputs[i]);
    free(bundle->outputs);
    buf_clear(&bundle->scratch);
    buf_clear(&bundle->last_header);
    free(bundle->instruction);
    free(bundle->descriptor);
    free(bundle->late_split);
    free(bundle->error);
    free(bundle);
}

int bundle_fail(struct bundle *bundle, const char *format, ...) {
    va_list args;

    free(bundle->error);
    va_start(args, format);
    bundle->error = xvasprintf(format, args);
    va_end(args);
    return -1;
}

/* ---- output ---- */

static void send_piece(struct bundle *bundle, const struct node *sink, struct slice bytes, bool is_last) {
    struct slice pieces[2] = {elements_header(bundle->instruction, sink->id, NULL, bytes.size, is_last), bytes};

    harness_send_data(bundle->harness, pieces, bytes.size ? 2 : 1);
}

static void flush(struct bundle *bundle, const struct node *sink) {
    struct slice all = buf_finish(&bundle->outputs[sink->sink]);
    size_t half = all.size / 2;

    if (all.size == 0)
        return;
    if (bundle->in_pieces && half) {
        /* Cut at a place that is inside an element whenever there is only one. */
        send_piece(bundle, sink, slice_sub(all, 0, half), false);
        send_piece(bundle, sink, slice_sub(all, half, all.size - half), false);
        slice_unref(&all);
    } else {
        send_piece(bundle, sink, all, false);
    }
}

int sink_process(struct bundle *bundle, const struct node *node, const struct value *value) {
    struct buf *out = &bundle->outputs[node->sink];
    size_t header = cursor_left(&value->header), size = cursor_left(&value->bytes);
    uint8_t *to;

    if (out->size && out->size + header + size > FLUSH_BYTES)
        flush(bundle, node);
    to = buf_reserve(out, out->size ? header + size : MAX(header + size, (size_t)FLUSH_BYTES));
    memcpy(to, value->header.at, header);
    memcpy(to + header, value->bytes.at, size);
    buf_advance(out, header + size);
    return 0;
}

/* ---- input ---- */

/* The next piece of input; false at the end of it. */
static bool next_input(struct bundle *bundle, struct slice *ret) {
    struct harness *harness = bundle->harness;
    bool found;

    pthread_mutex_lock(&harness->lock);
    while (bundle->next_input == bundle->input.count && !bundle->is_input_ended && !harness->is_over)
        pthread_cond_wait(&harness->changed, &harness->lock);
    found = bundle->next_input < bundle->input.count;
    if (found)
        *ret = bundle->input.items[bundle->next_input++];
    if (bundle->next_input == bundle->input.count)
        bundle->next_input = bundle->input.count = 0;
    pthread_mutex_unlock(&harness->lock);
    return found;
}

static int process_piece(struct bundle *bundle, struct slice piece) {
    const struct node *source = bundle->program->source;
    struct cursor at = cursor_of(piece.data, piece.size);

    while (cursor_left(&at) && !bundle->is_stopped && bundle_take(bundle)) {
        const uint8_t *begin = at.at;
        struct windowed_value wv;
        struct value value;

        if (windowed_value_read(source->coder, &at, &wv) != CODER_OK)
            return bundle_fail(bundle, "the input of %s is not what its coder says, or does not end at an element",
                               source->id);
        value.header = (struct cursor){begin, wv.value.at};
        value.window = wv.windows;
        value.bytes = wv.value;
        if (node_emit(bundle, source, &value) < 0)
            return -1;
        if (!cursor_left(&at)) {
            bundle->last_header.size = 0;
            buf_add(&bundle->last_header, value.header.at, cursor_left(&value.header));
        }
    }
    return 0;
}

/* In no order: what one function emits here, no other one may have a finish for. */
static int finish_functions(struct bundle *bundle) {
    for (size_t i = 0; bundle->last_header.size && i < bundle->program->node_count; i++) {
        const struct node *node = &bundle->program->nodes[i];

        if (node->finish && node->finish(bundle, node) < 0)
            return -1;
    }
    return 0;
}

static int process_all(struct bundle *bundle) {
    struct slice piece;
    int r = 0;

    while (r == 0 && !bundle->is_stopped && next_input(bundle, &piece)) {
        r = process_piece(bundle, piece);
        slice_unref(&piece);
    }
    return r == 0 && !bundle->is_stopped ? finish_functions(bundle) : r;
}

/* ---- the end ---- */

static void send_ends(struct bundle *bundle) {
    for (size_t i = 0; i < bundle->program->sink_count && !bundle->without_data; i++) {
        const struct node *sink = bundle->program->sinks[i];

        flush(bundle, sink);
        for (int times = bundle->without_end ? 0 : bundle->twice_end ? 2 : 1; times > 0; times--)
            send_piece(bundle, sink, SLICE_EMPTY, true);
    }
}

static void finish(struct bundle *bundle) {
    struct harness *harness = bundle->harness;

    if (!bundle->error)
        send_ends(bundle);
    if (!bundle->without_response)
        harness_respond(harness, bundle->instruction, bundle->error);
    if (bundle->twice_response)
        harness_respond(harness, bundle->instruction, bundle->error);
    bundle_answer_late_split(bundle);
}

void *bundle_main(void *argument) {
    struct bundle *bundle = argument;
    struct harness *harness = bundle->harness;
    CLEANUP_STATUS struct status st = {0};

    bundle->program = harness_program(harness, bundle->descriptor, &st);
    if (!bundle->program) {
        harness_respond(harness, bundle->instruction, status_message(&st));
    } else {
        bundle->outputs = xcalloc(bundle->program->sink_count + 1, sizeof(*bundle->outputs));
        process_all(bundle);
        finish(bundle);
    }
    pthread_mutex_lock(&harness->lock);
    map_remove_string(&harness->bundles, bundle->instruction);
    map_set_string(&harness->finished, bundle->instruction, harness);
    bundle_free(bundle);
    harness->running--;
    pthread_cond_broadcast(&harness->changed);
    pthread_mutex_unlock(&harness->lock);
    return NULL;
}
