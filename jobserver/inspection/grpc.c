/* The service trestle.v1.Inspection: the same methods over gRPC, on the port of the Job API. */
#include <stdlib.h>

#include "jobserver/inspection/internal.h"

/* What a method's table entry is called with; lives as long as the inspection. */
struct inspection_call {
    struct inspection *inspection;
    const struct inspection_method *method;
    struct rpc_stream *call;
    struct slice request;
};

static int answer(struct inspection_call *call, struct arena *arena, struct status *st) {
    ProtobufCMessage *request, *response;
    int r = pb_unpack(call->method->request, call->request.data, call->request.size, PB_STRINGS_STRICT, arena, &request,
                      st);

    if (r == 0)
        r = call->method->run(call->inspection, request, arena, &response, st);
    if (r == 0)
        rpc_reply(call->call, pb_pack(response, NULL));
    return r;
}

/* A thread of the pool: methods may wait. */
static void run(void *user) {
    struct inspection_call *call = user;
    CLEANUP_STATUS struct status st = {0};
    struct arena arena = {0};

    if (answer(call, &arena, &st) < 0)
        rpc_fail(call->call, st.code, status_message(&st));
    arena_clear(&arena);
    slice_unref(&call->request);
    free(call);
}

static void start(struct rpc_stream *stream, struct inspection *inspection, const char *name, struct slice request) {
    struct inspection_call *call = xcalloc(1, sizeof(*call));

    *call = (struct inspection_call){
        .inspection = inspection, .method = inspection_find_method(name), .call = stream, .request = request};
    pool_run(inspection->options.pool, run, call);
}

#define HANDLER(name)                                                                                                  \
    static void on_##name(struct rpc_stream *call, void *inspection, struct slice request) {                           \
        start(call, inspection, #name, request);                                                                       \
    }
#define METHOD(name)                                                                                                   \
    { .path = "/trestle.v1.Inspection/" #name, .unary = on_##name }

HANDLER(GetServer)
HANDLER(ListJobs)
HANDLER(GetJob)
HANDLER(GetGraph)
HANDLER(ListMessages)
HANDLER(GetMetrics)
HANDLER(GetWorkerStatus)
HANDLER(SampleElements)

static const struct rpc_method methods[] = {
    METHOD(GetServer),    METHOD(ListJobs),   METHOD(GetJob),          METHOD(GetGraph),
    METHOD(ListMessages), METHOD(GetMetrics), METHOD(GetWorkerStatus), METHOD(SampleElements),
};

void inspection_register(struct inspection *inspection, struct rpc_server *server) {
    rpc_server_register(server, methods, ARRAY_COUNT(methods), inspection);
}
