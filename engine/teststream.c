#include "engine/teststream.h"

#include <assert.h>

#include "base/vec.h"

struct test_stream {
    const struct plan_stage *stage;
    size_t played;                        /* of the plan's events */
    VEC(struct plan_test_event) appended; /* behind the plan's */
    size_t appended_played;               /* those are freed, but the last one */
    event_time *watermarks;               /* by output, as of what is played */
    event_time *appended_watermarks;      /* by output, as of what is appended */
    bool is_open;
    bool is_over;
};

struct test_stream *test_stream_create(const struct plan_stage *stage) {
    struct test_stream *stream = xcalloc(1, sizeof(*stream));

    assert(stage->kind == PLAN_TEST_STREAM);
    stream->stage = stage;
    stream->is_open = stage->test_stream.endpoint != NULL;
    stream->watermarks = xcalloc(stage->output_count + 1, sizeof(*stream->watermarks));
    stream->appended_watermarks = xcalloc(stage->output_count + 1, sizeof(*stream->appended_watermarks));
    for (size_t i = 0; i < stage->output_count; i++)
        stream->watermarks[i] = stream->appended_watermarks[i] = TIME_MIN;
    return stream;
}

struct test_stream *test_stream_destroy(struct test_stream *stream) {
    if (!stream)
        return NULL;
    vec_foreach (event, &stream->appended)
        slice_unref(&event->elements);
    vec_free(&stream->appended);
    free(stream->watermarks);
    free(stream->appended_watermarks);
    free(stream);
    return NULL;
}

const struct plan_stage *test_stream_stage(const struct test_stream *stream) {
    return stream->stage;
}

event_time test_stream_watermark(const struct test_stream *stream, unsigned output) {
    assert(output < stream->stage->output_count);
    return stream->watermarks[output];
}

bool test_stream_is_over(const struct test_stream *stream) {
    return stream->is_over;
}

bool test_stream_is_open(const struct test_stream *stream) {
    return stream->is_open;
}

/* The next event, which counts as played then; NULL: none is there. */
static const struct plan_test_event *take_event(struct test_stream *stream) {
    const struct plan_test_stream *plan = &stream->stage->test_stream;

    if (stream->played < plan->event_count)
        return &plan->events[stream->played++];
    if (stream->appended_played > 0)
        slice_unref(&stream->appended.items[stream->appended_played - 1].elements);
    if (stream->appended_played < stream->appended.count)
        return &stream->appended.items[stream->appended_played++];
    stream->appended.count = stream->appended_played = 0;
    return NULL;
}

static enum test_stream_result end_stream(struct test_stream *stream) {
    if (stream->is_over)
        return TEST_STREAM_OVER;
    if (stream->is_open)
        return TEST_STREAM_WAITS;
    stream->is_over = true;
    for (size_t i = 0; i < stream->stage->output_count; i++)
        stream->watermarks[i] = TIME_MAX;
    return TEST_STREAM_ENDS;
}

enum test_stream_result test_stream_next(struct test_stream *stream, const struct plan_test_event **ret_event) {
    const struct plan_test_event *event = take_event(stream);

    if (!event)
        return end_stream(stream);
    assert(!stream->is_over);
    if (event->kind == PLAN_TEST_WATERMARK) {
        assert(event->watermark >= stream->watermarks[event->output]);
        stream->watermarks[event->output] = event->watermark;
    }
    *ret_event = event;
    return TEST_STREAM_EVENT;
}

enum test_stream_result test_streams_next(struct test_stream *const *streams, size_t count,
                                          struct test_stream **ret_stream, const struct plan_test_event **ret_event) {
    enum test_stream_result all = TEST_STREAM_OVER;

    for (size_t i = 0; i < count; i++) {
        enum test_stream_result result = test_stream_next(streams[i], ret_event);

        if (result == TEST_STREAM_WAITS) {
            all = TEST_STREAM_WAITS;
        } else if (result != TEST_STREAM_OVER) {
            *ret_stream = streams[i];
            return result;
        }
    }
    return all;
}

void test_stream_end(struct test_stream *stream) {
    while (take_event(stream))
        ;
    stream->is_open = false;
}

static int check_appended(const struct test_stream *stream, const struct plan_test_event *event, struct status *st) {
    if (event->kind == PLAN_TEST_PROCESSING_TIME)
        return event->advance_ms >= 0
                   ? 0
                   : status_set(st, STATUS_INVALID_ARGUMENT, "%s: an event sets processing time back, by %lld ms",
                                stream->stage->name, (long long)event->advance_ms);
    if (event->output >= stream->stage->output_count)
        return status_set(st, STATUS_INVALID_ARGUMENT, "%s: an event names an output that is not there",
                          stream->stage->name);
    if (event->kind == PLAN_TEST_WATERMARK && event->watermark < stream->appended_watermarks[event->output])
        return status_set(st, STATUS_INVALID_ARGUMENT, "%s: an event sets the watermark back from %lld to %lld",
                          stream->stage->name, (long long)stream->appended_watermarks[event->output],
                          (long long)event->watermark);
    return 0;
}

int test_stream_append(struct test_stream *stream, const struct plan_test_event *event, struct status *st) {
    struct slice elements = event->elements;
    int r = check_appended(stream, event, st);

    assert(stream->is_open);
    if (r < 0) {
        slice_unref(&elements);
        return r;
    }
    if (event->kind == PLAN_TEST_WATERMARK)
        stream->appended_watermarks[event->output] = event->watermark;
    vec_push(&stream->appended, *event);
    return 0;
}

void test_stream_close(struct test_stream *stream) {
    stream->is_open = false;
}
