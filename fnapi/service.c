/* Which workers there are, and whose call it is. */
#include "fnapi/internal.h"

#include <assert.h>
#include <stdlib.h>

static const struct rpc_method methods[] = {
    {"/org.apache.beam.model.fn_execution.v1.BeamFnControl/Control", .is_open = true, .streaming = &fn_control_handler},
    {"/org.apache.beam.model.fn_execution.v1.BeamFnControl/GetProcessBundleDescriptor", .is_open = true,
     .unary = fn_descriptor_method},
    {"/org.apache.beam.model.fn_execution.v1.BeamFnData/Data", .is_open = true, .streaming = &fn_data_handler},
    {"/org.apache.beam.model.fn_execution.v1.BeamFnState/State", .is_open = true, .streaming = &fn_state_handler},
    {"/org.apache.beam.model.fn_execution.v1.BeamFnLogging/Logging", .is_open = true, .streaming = &fn_logging_handler},
    {"/org.apache.beam.model.fn_execution.v1.BeamFnWorkerStatus/WorkerStatus", .is_open = true,
     .streaming = &fn_status_handler},
    {"/org.apache.beam.model.fn_execution.v1.ProvisionService/GetProvisionInfo", .is_open = true,
     .unary = fn_provision_method},
};

struct fn_service *fn_service_create(struct rpc_server *server) {
    struct fn_service *service = xcalloc(1, sizeof(*service));

    pthread_mutex_init(&service->lock, NULL);
    rpc_server_register(server, methods, ARRAY_COUNT(methods), service);
    return service;
}

void fn_service_destroy(struct fn_service *service) {
    if (!service)
        return;
    assert(service->workers.count == 0);
    assert(service->descriptors.count == 0);
    map_clear(&service->workers, NULL);
    map_clear(&service->descriptors, NULL);
    pthread_mutex_destroy(&service->lock);
    free(service);
}

static void refuse(struct rpc_stream *rpc, enum status_code code, const char *format, ...) PRINTF_LIKE(3, 4);

static void refuse(struct rpc_stream *rpc, enum status_code code, const char *format, ...) {
    va_list args;
    char *message;

    va_start(args, format);
    message = xvasprintf(format, args);
    va_end(args);
    rpc_stream_finish(rpc, code, message);
    free(message);
}

static const char *const kind_names[] = {[FN_CONTROL] = "Control",
                                         [FN_DATA] = "Data",
                                         [FN_STATE] = "State",
                                         [FN_LOGGING] = "Logging",
                                         [FN_STATUS] = "WorkerStatus"};

/* Why the worker cannot have this stream, or NULL. A second Data or State stream is fine: harnesses that lost one open another, before
 * we may have noticed. A second Control stream is a second harness. */
static const char *objection(const struct fn_worker *worker, enum fn_stream_kind kind) {
    if (kind != FN_CONTROL || (!worker->was_connected && worker->failure.code == STATUS_OK))
        return NULL;
    return worker->control ? "it is connected already" : "its harness was lost before; a worker id serves once";
}

/* Both locks held. */
static struct fn_stream *add_stream(struct fn_worker *worker, struct rpc_stream *rpc, enum fn_stream_kind kind) {
    struct fn_stream *stream = xcalloc(1, sizeof(*stream));

    stream->worker = worker;
    stream->rpc = rpc_stream_ref(rpc);
    stream->kind = kind;
    stream->serial = worker->next_stream++;
    list_append(&worker->streams, &stream->node);
    worker->refs++;
    rpc_stream_set_user(rpc, stream);
    if (kind == FN_CONTROL) {
        worker->control = stream;
        worker->was_connected = true;
    } else if (kind == FN_DATA) {
        worker->data = stream;
        if (worker->is_data_paused || worker->is_host_behind)
            rpc_stream_pause(rpc);
        fn_data_flush(worker);
    } else if (kind == FN_LOGGING) {
        worker->was_logging = true;
    }
    return stream;
}

struct fn_stream *fn_service_attach(struct fn_service *service, struct rpc_stream *rpc, enum fn_stream_kind kind) {
    struct slice id = rpc_stream_metadata(rpc, "worker_id");
    struct fn_stream *stream = NULL;
    const char *why = "the id is not known";
    struct fn_worker *worker;

    rpc_stream_set_user(rpc, NULL);
    if (id.size == 0) {
        refuse(rpc, STATUS_INVALID_ARGUMENT,
               "%s needs the metadata worker_id: the id that the harness was started with", kind_names[kind]);
        return NULL;
    }
    pthread_mutex_lock(&service->lock);
    worker = map_get(&service->workers, id.data, id.size);
    if (worker) {
        fn_lock(worker);
        why = objection(worker, kind);
        if (!why)
            stream = add_stream(worker, rpc, kind);
        fn_unlock(worker);
    }
    pthread_mutex_unlock(&service->lock);
    if (!stream)
        refuse(rpc, worker ? STATUS_ALREADY_EXISTS : STATUS_NOT_FOUND, "%s refused for worker_id \"%.*s\": %s",
               kind_names[kind], (int)MIN(id.size, 100), (const char *)id.data, why);
    return stream;
}
