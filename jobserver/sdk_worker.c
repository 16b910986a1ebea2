#include "jobserver/sdk_worker.h"

#include <stdlib.h>
#include <string.h>

#include "jobserver/job_run.h"

struct sdk_worker *sdk_worker_create(char *id, struct slice identity, struct run_worker *owner) {
    struct sdk_worker *worker = xcalloc(1, sizeof(*worker));

    pthread_mutex_init(&worker->lock, NULL);
    worker->id = id;
    worker->name = xmemdup0(id, (size_t)(strrchr(id, '-') - id));
    worker->identity = identity;
    worker->owner = owner;
    return worker;
}

void sdk_worker_free(struct sdk_worker *worker) {
    /* The last callback may not have left the lock yet. */
    sdk_worker_lock(worker);
    sdk_worker_unlock(worker);
    pthread_mutex_destroy(&worker->lock);
    native_environment_unref(worker->native);
    slice_unref(&worker->identity);
    free(worker->id);
    free(worker->name);
    free(worker);
}

struct run_worker *sdk_worker_lock(struct sdk_worker *worker) {
    pthread_mutex_lock(&worker->lock);
    return worker->owner;
}

void sdk_worker_unlock(struct sdk_worker *worker) {
    pthread_mutex_unlock(&worker->lock);
}

void sdk_worker_spoil(struct sdk_worker *worker) {
    sdk_worker_lock(worker);
    worker->is_spoilt = true;
    sdk_worker_unlock(worker);
}

/* What the event says about the worker itself, whoever it is for. Lock held. */
static void take_note(struct sdk_worker *worker, const struct run_event *event) {
    switch (event->type) {
    case RUN_EVENT_CONNECTED:
        worker->is_connected = true;
        break;
    case RUN_EVENT_DISCONNECTED:
    case RUN_EVENT_START_FAILED:
    case RUN_EVENT_HARNESS_GONE:
    case RUN_EVENT_PROCESS_GONE:
        worker->is_lost = true;
        break;
    case RUN_EVENT_ENGINE:
        worker->is_spoilt |= event->engine.type == ENGINE_EVENT_BUNDLE_FAILED;
        if (event->engine.type != ENGINE_EVENT_SENT)
            worker->last_word_ns = monotonic_now_ns();
        break;
    default:
        break;
    }
}

static bool tells_the_end(const struct run_event *event) {
    return event->type == RUN_EVENT_DISCONNECTED || event->type == RUN_EVENT_START_FAILED ||
           event->type == RUN_EVENT_HARNESS_GONE || event->type == RUN_EVENT_PROCESS_GONE;
}

void sdk_worker_post(struct sdk_worker *worker, struct run_event *event) {
    struct run_worker *owner = sdk_worker_lock(worker);

    take_note(worker, event);
    if (owner) {
        event->worker = owner;
        event->engine.worker = owner->number;
        job_run_post(owner->run, event);
        event = NULL;
    } else if (tells_the_end(event)) {
        mailbox_post(worker->shelf, &event->node);
        event = NULL;
    }
    sdk_worker_unlock(worker);
    if (event)
        run_event_free(event);
}
