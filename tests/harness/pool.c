#include "pool.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "beam_fn_api.pb-c.h"
#include "beam_runner_api.pb-c.h"
#include "harness.h"
#include "wire/pb.h"

struct worker_pool {
    struct rpc_client *client;
    pthread_mutex_t lock;
    struct map harnesses; /* worker id -> struct harness */
};

static void start_worker(struct rpc_stream *call, void *context, struct slice request) {
    struct worker_pool *pool = context;
    Fn__StartWorkerResponse response = FN__START_WORKER_RESPONSE__INIT;
    Fn__StartWorkerRequest *message;
    struct arena arena = {0};

    if (PB_UNPACK(Fn__StartWorkerRequest, fn__start_worker_request, request, PB_STRINGS_STRICT, &arena, &message,
                  NULL) < 0 ||
        !message->control_endpoint || !message->control_endpoint->url[0]) {
        response.error = (char *)"no worker without a control endpoint";
    } else {
        struct harness_options options = {.id = message->worker_id, .control_endpoint = message->control_endpoint->url};

        if (message->logging_endpoint && message->logging_endpoint->url[0])
            options.logging_endpoint = message->logging_endpoint->url;
        pthread_mutex_lock(&pool->lock);
        map_set_string(&pool->harnesses, message->worker_id, harness_start(pool->client, &options));
        pthread_mutex_unlock(&pool->lock);
    }
    rpc_reply(call, pb_pack(&response.base, NULL));
    arena_clear(&arena);
    slice_unref(&request);
}

static void stop_worker(struct rpc_stream *call, void *context, struct slice request) {
    struct worker_pool *pool = context;
    Fn__StopWorkerResponse response = FN__STOP_WORKER_RESPONSE__INIT;
    Fn__StopWorkerRequest *message;
    struct harness *harness = NULL;
    struct arena arena = {0};

    if (PB_UNPACK(Fn__StopWorkerRequest, fn__stop_worker_request, request, PB_STRINGS_STRICT, &arena, &message, NULL) ==
        0) {
        pthread_mutex_lock(&pool->lock);
        harness = map_remove_string(&pool->harnesses, message->worker_id);
        pthread_mutex_unlock(&pool->lock);
    }
    if (harness) {
        harness_stop(harness);
        harness_destroy(harness);
    }
    rpc_reply(call, pb_pack(&response.base, NULL));
    arena_clear(&arena);
    slice_unref(&request);
}

int pool_serve(int port, struct status *st) {
    static const struct rpc_method methods[] = {
        {.path = "/org.apache.beam.model.fn_execution.v1.BeamFnExternalWorkerPool/StartWorker", .unary = start_worker},
        {.path = "/org.apache.beam.model.fn_execution.v1.BeamFnExternalWorkerPool/StopWorker", .unary = stop_worker},
    };
    struct rpc_server_options options = {.threads = 1};
    struct rpc_server *server = rpc_server_create(&options);
    CLEANUP(freep) char *address = xasprintf("127.0.0.1:%d", port);
    struct worker_pool pool = {.client = rpc_client_create(2)};
    char byte;
    int r;

    pthread_mutex_init(&pool.lock, NULL);
    rpc_server_register(server, methods, ARRAY_COUNT(methods), &pool);
    r = rpc_server_listen(server, address, &port, st);
    if (r == 0) {
        rpc_server_start(server);
        printf("%d\n", port);
        fflush(stdout);
        while (read(STDIN_FILENO, &byte, 1) > 0)
            ;
    }
    rpc_server_stop(server, 100);
    rpc_client_destroy(pool.client);
    return r;
}
