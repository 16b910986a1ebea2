/* WorkerStatus: tells which bundles are in progress, as real harnesses do with their threads. */
#include <stdlib.h>
#include <string.h>

#include "beam_fn_api.pb-c.h"
#include "beam_provision_api.pb-c.h"
#include "harness.h"
#include "wire/pb.h"

#define FN_API "/org.apache.beam.model.fn_execution.v1."

enum { PROVISION_MS = 60000 };

static char *describe(struct harness *harness) {
    char *text = xstrdup("ACTIVE BUNDLES");

    pthread_mutex_lock(&harness->lock);
    map_foreach (entry, &harness->bundles) {
        char *longer = xasprintf("%s\n%s", text, entry->key);

        free(text);
        text = longer;
    }
    pthread_mutex_unlock(&harness->lock);
    return text;
}

static void status_asked(struct rpc_stream *stream, void *user, struct slice message) {
    Fn__WorkerStatusResponse response = FN__WORKER_STATUS_RESPONSE__INIT;
    CLEANUP(freep) char *text = describe(user);
    Fn__WorkerStatusRequest *request;
    struct arena arena = {0};
    struct slice bytes;

    if (PB_UNPACK(Fn__WorkerStatusRequest, fn__worker_status_request, message, PB_STRINGS_STRICT, &arena, &request,
                  NULL) == 0) {
        response.id = request->id;
        response.status_info = text;
        bytes = pb_pack(&response.base, NULL);
        rpc_stream_send(stream, &bytes, 1);
    }
    arena_clear(&arena);
    slice_unref(&message);
}

static struct slice ask_provision(struct harness *harness, struct rpc_client *client, const char *endpoint) {
    Provision__GetProvisionInfoRequest request = PROVISION__GET_PROVISION_INFO_REQUEST__INIT;
    struct rpc_metadata metadata = {"worker_id", harness->id};
    struct rpc_channel *channel = rpc_channel_create(client, endpoint);
    struct slice response = SLICE_EMPTY;

    rpc_channel_call_wait(channel, FN_API "ProvisionService/GetProvisionInfo", &metadata, 1, PROVISION_MS, true,
                          pb_pack(&request.base, NULL), &response, NULL);
    rpc_channel_destroy(channel);
    return response;
}

void harness_open_status(struct harness *harness, struct rpc_client *client, const char *provision_endpoint) {
    static const struct rpc_handler status = {.message = status_asked};
    CLEANUP_SLICE struct slice response = ask_provision(harness, client, provision_endpoint);
    Provision__GetProvisionInfoResponse *message;
    struct arena arena = {0};

    if (PB_UNPACK(Provision__GetProvisionInfoResponse, provision__get_provision_info_response, response,
                  PB_STRINGS_STRICT, &arena, &message, NULL) == 0 &&
        message->info && message->info->status_endpoint) {
        harness->status_channel = rpc_channel_create(client, message->info->status_endpoint->url);
        harness->status =
            harness_open(harness, harness->status_channel, FN_API "BeamFnWorkerStatus/WorkerStatus", &status);
    }
    arena_clear(&arena);
}
