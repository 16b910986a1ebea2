/* The services of a job's TestStreams (jobserver/test_stream_source.h), read while the engine has streams to play. */
#include <stdlib.h>

#include "jobserver/job_run.h"
#include "jobserver/test_stream_source.h"

static struct run_event *source_event(enum run_event_type type, unsigned stage) {
    struct run_event *event = run_event_create(type, NULL);

    event->engine.type = ENGINE_EVENT_TEST_STREAM;
    event->engine.stage = stage;
    return event;
}

static void on_event(void *user, unsigned stage, const struct plan_test_event *next) {
    struct run_event *event = source_event(RUN_EVENT_ENGINE, stage);

    event->engine.test_event = xmalloc(sizeof(*next));
    *event->engine.test_event = *next;
    job_run_post(user, event);
}

static void on_ended(void *user, unsigned stage, const struct status *status) {
    struct run_event *event = source_event(RUN_EVENT_SOURCE_ENDED, stage);

    if (status->code)
        event->engine.error = xstrdup(status_message(status));
    job_run_post(user, event);
}

void run_sources_open(struct job_run *run) {
    static const struct test_stream_source_handler handler = {.event = on_event, .ended = on_ended};

    run->sources = xcalloc(run->plan->stage_count + 1, sizeof(*run->sources));
    for (size_t i = 0; i < run->plan->stage_count; i++) {
        const struct plan_stage *stage = &run->plan->stages[i];

        if (stage->kind != PLAN_TEST_STREAM || !stage->test_stream.endpoint)
            continue;
        run->open_sources++;
        run->sources[i] = test_stream_source_open(run->options->client, stage, run->account, &handler, run);
    }
}

void run_source_consumed(struct job_run *run, unsigned stage) {
    if (run->sources[stage])
        test_stream_source_consumed(run->sources[stage]);
}

void run_sources_close(struct job_run *run) {
    for (size_t i = 0; run->sources && i < run->plan->stage_count; i++) {
        if (run->sources[i])
            test_stream_source_close(run->sources[i]);
        run->sources[i] = NULL;
    }
}
