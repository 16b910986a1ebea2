#include "jobserver/test_stream_source.h"

#include <pthread.h>
#include <stdlib.h>

#include "translate/test_stream_event.h"

#define EVENTS_PATH "/org.apache.beam.model.interactive.v1.TestStreamService/Events"

struct test_stream_source {
    const struct plan_stage *stage;
    struct account *account;
    const struct test_stream_source_handler *handler;
    void *user;
    struct rpc_channel *channel;
    struct rpc_stream *stream;
    struct status failed; /* RPC thread only: a bad event, which ended the call */
    pthread_mutex_t lock; /* for what follows */
    unsigned ahead;       /* told, not consumed */
    unsigned owners;      /* the caller, the stream's callbacks */
};

static void drop_owner(struct test_stream_source *source) {
    bool is_last;

    pthread_mutex_lock(&source->lock);
    is_last = --source->owners == 0;
    pthread_mutex_unlock(&source->lock);
    if (!is_last)
        return;
    rpc_stream_unref(source->stream);
    rpc_channel_destroy(source->channel);
    pthread_mutex_destroy(&source->lock);
    status_clear(&source->failed);
    free(source);
}

static void on_message(struct rpc_stream *stream, void *user, struct slice message) {
    struct test_stream_source *source = user;
    struct plan_test_event event;
    int r = source->failed.code
                ? -1
                : test_stream_read_event(source->stage, message, source->account, &event, &source->failed);

    slice_unref(&message);
    if (r < 0) {
        rpc_stream_cancel(stream);
        return;
    }
    /* Under the lock, so that a resume that belongs behind this pause does not come before it. */
    pthread_mutex_lock(&source->lock);
    if (++source->ahead == TEST_STREAM_SOURCE_MAX_AHEAD)
        rpc_stream_pause(stream);
    pthread_mutex_unlock(&source->lock);
    source->handler->event(source->user, source->stage->index, &event);
}

static void on_closed(struct rpc_stream *stream, void *user, const struct status *status) {
    struct test_stream_source *source = user;
    CLEANUP_STATUS struct status told = {0};

    (void)stream;
    if (source->failed.code)
        status = &source->failed;
    if (status->code) {
        status_set(&told, status->code, "%s", status_message(status));
        status_prefix(&told, "%s: the test stream service at %s", source->stage->name,
                      source->stage->test_stream.endpoint);
    }
    source->handler->ended(source->user, source->stage->index, &told);
    drop_owner(source);
}

struct test_stream_source *test_stream_source_open(struct rpc_client *client, const struct plan_stage *stage,
                                                   struct account *account,
                                                   const struct test_stream_source_handler *handler, void *user) {
    static const struct rpc_handler stream_handler = {.message = on_message, .closed = on_closed};
    struct test_stream_source *source = xcalloc(1, sizeof(*source));
    struct slice request = test_stream_events_request(stage);

    source->stage = stage;
    source->account = account;
    source->handler = handler;
    source->user = user;
    source->owners = 2;
    pthread_mutex_init(&source->lock, NULL);
    source->channel = rpc_channel_create(client, stage->test_stream.endpoint);
    source->stream = rpc_channel_open(source->channel, EVENTS_PATH, NULL, 0, 0, false, &stream_handler, source);
    rpc_stream_send(source->stream, &request, 1);
    rpc_stream_finish(source->stream, STATUS_OK, NULL);
    return source;
}

void test_stream_source_consumed(struct test_stream_source *source) {
    pthread_mutex_lock(&source->lock);
    if (source->ahead-- == TEST_STREAM_SOURCE_MAX_AHEAD)
        rpc_stream_resume(source->stream);
    pthread_mutex_unlock(&source->lock);
}

void test_stream_source_close(struct test_stream_source *source) {
    rpc_stream_cancel(source->stream);
    drop_owner(source);
}
