/* One harness: its lifetime, and what all its streams share. */
#include "fnapi/internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "model/urn.h"

/* Environments of the Go SDK say so (its translate.go, URNBaseVersionGo). */
#define GO_SDK_PREFIX "beam:version:sdk_base:go"

void fn_lock(struct fn_worker *worker) {
    pthread_mutex_lock(&worker->lock);
}

void fn_unlock(struct fn_worker *worker) {
    pthread_mutex_unlock(&worker->lock);
}

struct fn_worker *fn_worker_create(struct fn_service *service, const struct fn_worker_options *options,
                                   const struct fn_worker_handler *handler, void *user) {
    struct fn_worker *worker = xcalloc(1, sizeof(*worker));
    struct fn_worker *namesake;

    assert(options->worker_id && options->worker_id[0] && options->endpoint);
    worker->service = service;
    worker->handler = handler;
    worker->user = user;
    worker->id = xstrdup(options->worker_id);
    worker->endpoint = xstrdup(options->endpoint);
    worker->account = options->account ? account_ref(options->account) : NULL;
    for (size_t i = 0; i < options->capability_count; i++) {
        map_set_string(&worker->capabilities, options->capabilities[i], worker);
        if (strncmp(options->capabilities[i], GO_SDK_PREFIX, strlen(GO_SDK_PREFIX)) == 0)
            worker->is_go = true;
    }
    worker->provision =
        fn_provision_response(options->provision_info, options->endpoint,
                              map_has_string(&worker->capabilities, urn_string(URN_PROTOCOL_WORKER_STATUS)));
    pthread_mutex_init(&worker->lock, NULL);
    worker->refs = 1;
    list_init(&worker->streams);

    pthread_mutex_lock(&service->lock);
    namesake = map_set_string(&service->workers, worker->id, worker);
    pthread_mutex_unlock(&service->lock);
    assert(!namesake);
    return worker;
}

static void free_short_id(void *identity) {
    slice_unref(identity);
    free(identity);
}

void fn_worker_destroy(struct fn_worker *worker) {
    assert(worker->refs == 0);
    assert(list_empty(&worker->streams));
    fn_data_drop_pending(worker, NULL);
    vec_free(&worker->pending);
    map_clear(&worker->bundles, free);
    map_clear(&worker->instructions, fn_instruction_free);
    map_clear(&worker->short_ids, free_short_id);
    map_clear(&worker->capabilities, NULL);
    vec_foreach (descriptor, &worker->descriptors)
        fn_descriptor_free(*descriptor);
    vec_free(&worker->descriptors);
    status_clear(&worker->failure);
    slice_unref(&worker->provision);
    account_unref(worker->account);
    pthread_mutex_destroy(&worker->lock);
    free(worker->id);
    free(worker->endpoint);
    free(worker);
}

/* The last one says goodbye. */
static void worker_unref(struct fn_worker *worker) {
    bool is_last;

    fn_lock(worker);
    is_last = --worker->refs == 0;
    fn_unlock(worker);
    if (is_last && worker->handler->gone)
        worker->handler->gone(worker->user);
}

/* Locked. Ends every stream but Control from our side. */
static void finish_streams(struct fn_worker *worker) {
    list_foreach (node, &worker->streams) {
        struct fn_stream *stream = CONTAINER_OF(node, struct fn_stream, node);

        if (stream->kind == FN_CONTROL)
            continue;
        /* What is still queued is for nobody, and a harness that does not read would keep the stream open. */
        if (rpc_stream_queued_bytes(stream->rpc))
            rpc_stream_cancel(stream->rpc);
        else
            rpc_stream_finish(stream->rpc, STATUS_OK, NULL);
    }
}

/* What is given to the host and waits there: enough to keep it busy, and it fits in a cache. */
enum { MAX_UNREAD_BYTES = 16 << 20, GO_ON_BELOW_BYTES = 8 << 20 };

/* Lock held. */
static void pause_or_resume(struct fn_worker *worker) {
    if (!worker->data)
        return;
    if (worker->is_data_paused || worker->is_host_behind)
        rpc_stream_pause(worker->data->rpc);
    else
        rpc_stream_resume(worker->data->rpc);
}

void fn_worker_pause_data(struct fn_worker *worker, bool is_paused) {
    fn_lock(worker);
    worker->is_data_paused = is_paused;
    pause_or_resume(worker);
    fn_unlock(worker);
}

void fn_worker_given(struct fn_worker *worker, size_t bytes) {
    worker->unread_bytes += bytes;
    if (worker->is_host_behind || worker->unread_bytes <= MAX_UNREAD_BYTES)
        return;
    worker->is_host_behind = true;
    pause_or_resume(worker);
}

void fn_worker_consumed(struct fn_worker *worker, size_t bytes) {
    fn_lock(worker);
    worker->unread_bytes -= MIN(bytes, worker->unread_bytes);
    if (worker->is_host_behind && worker->unread_bytes < GO_ON_BELOW_BYTES) {
        worker->is_host_behind = false;
        pause_or_resume(worker);
    }
    fn_unlock(worker);
}

void fn_worker_end_streams(struct fn_worker *worker) {
    fn_lock(worker);
    finish_streams(worker);
    fn_unlock(worker);
}

void fn_worker_close(struct fn_worker *worker) {
    struct fn_service *service = worker->service;

    pthread_mutex_lock(&service->lock);
    map_remove_string(&service->workers, worker->id);
    fn_lock(worker);
    assert(!worker->is_closing);
    vec_foreach (descriptor, &worker->descriptors)
        map_remove_string(&service->descriptors, (*descriptor)->id);
    worker->is_closing = true;
    fn_data_drop_pending(worker, NULL);
    /* What still comes is dropped; a harness may not end before it has got rid of it. */
    worker->is_data_paused = worker->is_host_behind = false;
    pause_or_resume(worker);
    /* Control goes first: a Java harness that loses Logging before Control dies of it (PROTOCOL D, trap 13). The harness ends the others when
     * it is through; Python's runs its teardown methods behind that. */
    if (worker->control)
        rpc_stream_finish(worker->control->rpc, STATUS_OK, NULL);
    else
        finish_streams(worker);
    fn_unlock(worker);
    pthread_mutex_unlock(&service->lock);
    worker_unref(worker);
}

void fn_stream_detach(struct fn_stream *stream) {
    struct fn_worker *worker = stream->worker;

    fn_lock(worker);
    list_remove(&stream->node);
    if (worker->control == stream)
        worker->control = NULL;
    if (worker->data == stream)
        worker->data = NULL;
    fn_unlock(worker);
    rpc_stream_unref(stream->rpc);
    vec_free(&stream->unsent);
    free(stream);
    worker_unref(worker);
}

void fn_worker_fail(struct fn_worker *worker, enum status_code code, const char *format, ...) {
    va_list args;
    char *text;

    va_start(args, format);
    text = xvasprintf(format, args);
    va_end(args);
    fn_lock(worker);
    if (!worker->is_closing && worker->failure.code == STATUS_OK) {
        status_set(&worker->failure, code, "%s", text);
        if (worker->control)
            rpc_stream_cancel(worker->control->rpc);
    }
    fn_unlock(worker);
    free(text);
}

void fn_worker_lose_stream(struct fn_stream *stream, const char *name) {
    struct fn_worker *worker = stream->worker;
    size_t bundles = 0;

    fn_lock(worker);
    /* A Data stream that another one replaced may end. */
    if (fn_worker_is_live(worker) && (stream->kind != FN_DATA || worker->data == stream))
        bundles = worker->bundles.count;
    fn_unlock(worker);
    if (bundles)
        fn_worker_fail(worker, STATUS_UNAVAILABLE,
                       "the SDK harness went away: its %s stream ended while %zu bundle%s ran on it", name, bundles,
                       bundles == 1 ? "" : "s");
}

bool fn_worker_is_live(const struct fn_worker *worker) {
    return !worker->is_closing && !worker->is_lost && worker->failure.code == STATUS_OK;
}

bool fn_worker_check_live(struct fn_worker *worker) {
    bool is_live;

    fn_lock(worker);
    is_live = fn_worker_is_live(worker);
    fn_unlock(worker);
    return is_live;
}

struct account *fn_worker_account(struct fn_worker *worker) {
    struct account *account;

    fn_lock(worker);
    account = worker->account ? account_ref(worker->account) : NULL;
    fn_unlock(worker);
    return account;
}

struct fn_bundle *fn_worker_bundle(const struct fn_worker *worker, uint64_t number) {
    return map_get(&worker->bundles, &number, sizeof(number));
}

void fn_worker_ignore(struct fn_worker *worker) {
    atomic_fetch_add_explicit(&worker->ignored, 1, memory_order_relaxed);
}

size_t fn_worker_ignored(const struct fn_worker *worker) {
    return atomic_load_explicit(&worker->ignored, memory_order_relaxed);
}

void fn_worker_forget_bundle(struct fn_worker *worker, uint64_t bundle) {
    fn_lock(worker);
    free(map_remove(&worker->bundles, &bundle, sizeof(bundle)));
    fn_data_drop_pending(worker, &bundle);
    fn_unlock(worker);
}

bool fn_worker_has_capability(const struct fn_worker *worker, const char *urn) {
    return map_has_string(&worker->capabilities, urn);
}

/* Locked. */
static bool is_idle(const struct fn_worker *worker) {
    if (!fn_worker_is_live(worker) || worker->bundles.count || worker->pending.count)
        return false;
    map_foreach (entry, &worker->instructions)
        if (((const struct fn_instruction *)entry->value)->kind == FN_FINALIZE)
            return false;
    return true;
}

bool fn_worker_recycle(struct fn_worker *worker, struct account *account) {
    struct account *old = NULL;
    bool idle;

    pthread_mutex_lock(&worker->service->lock);
    fn_lock(worker);
    idle = is_idle(worker);
    if (idle) {
        vec_foreach (descriptor, &worker->descriptors) {
            map_remove_string(&worker->service->descriptors, (*descriptor)->id);
            fn_descriptor_free(*descriptor);
        }
        worker->descriptors.count = 0;
        map_clear(&worker->instructions, fn_instruction_free);
        worker->unread_bytes = 0; /* the host that owes it is no more */
        worker->is_data_paused = worker->is_host_behind = false;
        pause_or_resume(worker);
        old = worker->account;
        worker->account = account ? account_ref(account) : NULL;
    }
    fn_unlock(worker);
    pthread_mutex_unlock(&worker->service->lock);
    account_unref(old);
    return idle;
}

unsigned fn_worker_add_descriptor(struct fn_worker *worker, struct slice descriptor, const struct fn_port *source,
                                  const struct fn_port *sinks, size_t sink_count) {
    struct fn_descriptor *made =
        fn_descriptor_create(worker->endpoint, descriptor, source, sinks, sink_count, worker->is_go);
    unsigned number;

    slice_unref(&descriptor);
    pthread_mutex_lock(&worker->service->lock);
    map_set_string(&worker->service->descriptors, made->id, made);
    fn_lock(worker);
    number = (unsigned)worker->descriptors.count;
    vec_push(&worker->descriptors, made);
    fn_unlock(worker);
    pthread_mutex_unlock(&worker->service->lock);
    return number;
}

void fn_rehome(const struct slice *message, struct account *account) {
    struct block *block = message->block;
    struct account *old;

    if (!account || !block || block->account == account ||
        atomic_load_explicit(&block->refs, memory_order_acquire) != 1)
        return;
    old = block->account;
    account_charge(account, block->charged_bytes);
    account_release(old, block->charged_bytes);
    block->account = account_ref(account);
    account_unref(old);
}
