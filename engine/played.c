/* TestStreams: when nothing runs, can run or is due, the next event is put into effect (MODEL 11.1). Processing time is then what they say, not
 * the host's; once they are over it jumps to whatever still waits for it (MODEL 7.17, 11.4). */
#include <assert.h>
#include <stdlib.h>

#include "engine/internal.h"
#include "engine/shards.h"
#include "engine/teststream.h"

void played_create(struct engine *engine) {
    engine->streams = xcalloc(engine->plan->stage_count, sizeof(struct test_stream *));
    for (size_t i = 0; i < engine->plan->stage_count; i++)
        if (engine->plan->stages[i].kind == PLAN_TEST_STREAM)
            engine->streams[engine->stream_count++] = test_stream_create(&engine->plan->stages[i]);
}

void played_destroy(struct engine *engine) {
    for (size_t i = 0; i < engine->stream_count; i++)
        test_stream_destroy(engine->streams[i]);
    free(engine->streams);
}

static struct test_stream *stream_of(const struct engine *engine, const struct stage *stage) {
    for (size_t i = 0; i < engine->stream_count; i++)
        if (test_stream_stage(engine->streams[i]) == stage->plan)
            return engine->streams[i];
    return NULL;
}

bool stage_is_playing(const struct engine *engine, const struct stage *stage) {
    const struct test_stream *stream = stream_of(engine, stage);

    return stream && !test_stream_is_over(stream);
}

void played_move_watermarks(struct engine *engine, struct stage *stage) {
    const struct test_stream *stream = stream_of(engine, stage);

    for (unsigned i = 0; i < stage->plan->output_count; i++)
        engine->watermarks[stage->plan->outputs[i]] = test_stream_watermark(stream, i);
}

void played_take(struct engine *engine, struct engine_event *event) {
    struct test_stream *stream = stream_of(engine, &engine->stages[event->stage]);
    struct plan_test_event *next = event->test_event;
    CLEANUP_STATUS struct status st = {0};
    int r = 0;

    assert(stream);
    if (!test_stream_is_open(stream))
        return; /* the job drains */
    if (next) {
        r = test_stream_append(stream, next, &st);
        next->elements = SLICE_EMPTY;
    } else if (event->error) {
        engine_fail(engine, "%s", event->error);
    } else {
        test_stream_close(stream);
    }
    if (r < 0)
        engine_fail(engine, "%s", status_message(&st));
}

static bool has_work(const struct engine *engine, struct stage *stage) {
    return stage->retries.count || stage->queue.count || !backlog_is_empty(&stage->arriving) ||
           shards_have_any_work(engine, stage);
}

static bool is_quiescent(struct engine *engine) {
    if (engine->needs_schedule || engine->running.count || engine->store.fetches.count)
        return false;
    for (size_t i = 0; i < engine->plan->stage_count; i++)
        if (!engine->stages[i].is_done && has_work(engine, &engine->stages[i]))
            return false;
    return true;
}

static void move_clock(struct engine *engine, event_time to) {
    engine->clock_ms = MAX(engine->clock_ms, to);
    engine_time_passed(engine);
}

static void put_into_effect(struct engine *engine, const struct test_stream *stream,
                            const struct plan_test_event *event) {
    const struct plan_stage *stage = test_stream_stage(stream);
    struct run run = {0};

    if (stage->test_stream.endpoint)
        engine_add_action(engine, ENGINE_ACTION_TEST_STREAM_PLAYED)->stage = stage->index;
    switch (event->kind) {
    case PLAN_TEST_ELEMENTS:
        run.bytes = slice_ref(event->elements);
        run.count = event->element_count;
        engine_deliver(engine, stage->outputs[event->output], &run);
        run_clear(&run);
        break;
    case PLAN_TEST_WATERMARK:
        break; /* the stream keeps it */
    case PLAN_TEST_PROCESSING_TIME:
        move_clock(engine, time_add(engine->clock_ms, event->advance_ms));
        break;
    }
}

bool engine_play(struct engine *engine) {
    const struct plan_test_event *event;
    struct test_stream *stream;
    event_time due;

    if (!engine->stream_count || !is_quiescent(engine))
        return false;
    switch (test_streams_next(engine->streams, engine->stream_count, &stream, &event)) {
    case TEST_STREAM_EVENT:
        put_into_effect(engine, stream, event);
        break;
    case TEST_STREAM_ENDS:
        break;
    case TEST_STREAM_WAITS:
        return false;
    case TEST_STREAM_OVER:
        due = engine_next_due(engine);
        if (due == TIME_MAX)
            return false;
        move_clock(engine, due);
        break;
    }
    engine->needs_schedule = true;
    return true;
}
