#include "cli/inspection.h"

#include "wire/pb.h"

#define PATH(method) "/trestle.v1.Inspection/" method

static int call(struct connection *connection, const char *path, const ProtobufCMessage *request,
                const ProtobufCMessageDescriptor *type, struct arena *arena, ProtobufCMessage **ret,
                struct status *st) {
    CLEANUP_SLICE struct slice response = SLICE_EMPTY;
    int r = connection_call(connection, path, pb_pack(request, NULL), &response, st);

    if (r < 0)
        return r;
    r = pb_unpack(type, response.data, response.size, PB_STRINGS_LENIENT, arena, ret, st);
    return r < 0 ? status_prefix(st, "the answer of the server at %s", connection_endpoint(connection)) : 0;
}

/* The typed form: its answer's type is checked against the descriptor's. */
#define CALL(method, request, type, symbol, ret)                                                                       \
    call(connection, PATH(method), &(request)->base, &symbol##__descriptor, arena,                                     \
         (ProtobufCMessage **)(1 ? (ret) : (type **)0), st)

int inspection_server(struct connection *connection, struct arena *arena, Trestle__V1__Server **ret,
                      struct status *st) {
    Trestle__V1__GetServerRequest request = TRESTLE__V1__GET_SERVER_REQUEST__INIT;

    return CALL("GetServer", &request, Trestle__V1__Server, trestle__v1__server, ret);
}

int inspection_list_jobs(struct connection *connection, const Trestle__V1__ListJobsRequest *request,
                         struct arena *arena, Trestle__V1__ListJobsResponse **ret, struct status *st) {
    return CALL("ListJobs", request, Trestle__V1__ListJobsResponse, trestle__v1__list_jobs_response, ret);
}

int inspection_job(struct connection *connection, const char *job, struct arena *arena, Trestle__V1__JobDetail **ret,
                   struct status *st) {
    Trestle__V1__GetJobRequest request = TRESTLE__V1__GET_JOB_REQUEST__INIT;

    request.job_id = (char *)job; /* protobuf-c's structs know no const */
    return CALL("GetJob", &request, Trestle__V1__JobDetail, trestle__v1__job_detail, ret);
}

int inspection_graph(struct connection *connection, const char *job, struct arena *arena, Trestle__V1__Graph **ret,
                     struct status *st) {
    Trestle__V1__GetGraphRequest request = TRESTLE__V1__GET_GRAPH_REQUEST__INIT;

    request.job_id = (char *)job;
    return CALL("GetGraph", &request, Trestle__V1__Graph, trestle__v1__graph, ret);
}

int inspection_list_messages(struct connection *connection, const Trestle__V1__ListMessagesRequest *request,
                             struct arena *arena, Trestle__V1__ListMessagesResponse **ret, struct status *st) {
    return CALL("ListMessages", request, Trestle__V1__ListMessagesResponse, trestle__v1__list_messages_response, ret);
}

int inspection_metrics(struct connection *connection, const char *job, struct arena *arena,
                       Trestle__V1__JobMetricList **ret, struct status *st) {
    Trestle__V1__GetMetricsRequest request = TRESTLE__V1__GET_METRICS_REQUEST__INIT;

    request.job_id = (char *)job;
    return CALL("GetMetrics", &request, Trestle__V1__JobMetricList, trestle__v1__job_metric_list, ret);
}

int inspection_worker_status(struct connection *connection, const char *job, const char *worker, struct arena *arena,
                             Trestle__V1__WorkerStatusText **ret, struct status *st) {
    Trestle__V1__GetWorkerStatusRequest request = TRESTLE__V1__GET_WORKER_STATUS_REQUEST__INIT;

    request.job_id = (char *)job;
    request.worker_id = (char *)worker;
    return CALL("GetWorkerStatus", &request, Trestle__V1__WorkerStatusText, trestle__v1__worker_status_text, ret);
}
