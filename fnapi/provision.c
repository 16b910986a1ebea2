/* GetProvisionInfo: what a container's boot program asks before it starts the harness. */
#include "fnapi/internal.h"

/* ProvisionInfo's endpoints (beam_provision_api.proto). */
enum { INFO_STATUS = 7, INFO_LOGGING = 8, INFO_ARTIFACT = 9, INFO_CONTROL = 10 };
enum { RESPONSE_INFO = 1 };

static void add_endpoint(struct buf *out, unsigned field, const char *url) {
    Beam__ApiServiceDescriptor descriptor = BEAM__API_SERVICE_DESCRIPTOR__INIT;

    descriptor.url = (char *)url;
    pb_add_message_field(out, field, &descriptor.base);
}

struct slice fn_provision_response(struct slice info, const char *endpoint, bool has_status) {
    struct buf whole = {0}, response = {0};

    /* Messages merge by concatenation. */
    buf_add(&whole, info.data, info.size);
    add_endpoint(&whole, INFO_LOGGING, endpoint);
    add_endpoint(&whole, INFO_ARTIFACT, endpoint);
    add_endpoint(&whole, INFO_CONTROL, endpoint);
    if (has_status)
        add_endpoint(&whole, INFO_STATUS, endpoint);
    pb_add_bytes_field(&response, RESPONSE_INFO, buf_data(&whole), whole.size);
    buf_clear(&whole);
    return buf_finish(&response);
}

struct slice fn_service_provision(struct fn_service *service, struct slice worker_id) {
    struct slice response = SLICE_EMPTY;
    const struct fn_worker *worker;

    pthread_mutex_lock(&service->lock);
    worker = map_get(&service->workers, worker_id.data, worker_id.size);
    if (worker)
        response = slice_ref(worker->provision);
    pthread_mutex_unlock(&service->lock);
    return response;
}

void fn_provision_method(struct rpc_stream *call, void *context, struct slice request) {
    struct slice id = rpc_stream_metadata(call, "worker_id");
    struct slice response;

    slice_unref(&request);
    if (id.size == 0) {
        rpc_fail(call, STATUS_INVALID_ARGUMENT, "GetProvisionInfo needs the metadata worker_id");
        return;
    }
    response = fn_service_provision(context, id);
    if (response.size)
        rpc_reply(call, response);
    else
        rpc_fail(call, STATUS_NOT_FOUND, "GetProvisionInfo: the worker_id is not known");
}
