/* What Trestle tells of itself (proto/trestle_inspection.proto): the server, its jobs, their graphs, workers, messages and metrics.
 *
 *      gRPC:  trestle.v1.Inspection (grpc.c) --.
 *                                              +--> one table of methods (inspection.c) --> catalogue, jobs, host
 *      HTTP:  /api/v1/... (web.c) -------------'
 *
 *   server.c    the daemon and what it has to give
 *   jobs.c      lists and details          digest.c   what a job's history says in short
 *   messages.c  pages of a job's messages
 *   graph.c     fused stages               known.c    the system's metrics, by what they are about
 *   metrics.c   all metrics, as text       workers.c  what workers are asked for
 *   exposition.c  /metrics, and whether the daemon is ready
 *   web.c       routes: JSON, and the page's files
 *   fields.c    request messages filled from the text of an URL
 *
 * A method runs on a thread that may wait a moment. Nothing is kept up to date for the case that somebody looks: what is asked for is worked
 * out then. Any thread may call. */
#ifndef JOBSERVER_INSPECTION_INSPECTION_H
#define JOBSERVER_INSPECTION_INSPECTION_H

#include "base/account.h"
#include "base/pool.h"
#include "http/http.h"
#include "jobserver/catalogue.h"
#include "jobserver/live_config.h"
#include "rpc/rpc.h"

struct host;
struct inspection;

/* Of the pool: some may wait for workers that do not answer. */
enum { INSPECTION_THREADS = 8 };

/* Everything is borrowed and outlives the inspection; strings are copied. */
struct inspection_options {
    struct catalogue *catalogue;
    struct host *host;
    struct live_config *config;
    struct account *memory; /* of all jobs */
    struct account *disk;   /* the same, for scratch data */
    struct pool *pool;      /* of INSPECTION_THREADS, where gRPC's calls are answered */
    const char *state_directory;
    const char *endpoint; /* of the Job API, as clients dial it */
};

struct inspection *inspection_create(const struct inspection_options *options);
/* When nobody calls any more. NULL is fine. */
void inspection_destroy(struct inspection *inspection);

/* Before rpc_server_start(). */
void inspection_register(struct inspection *inspection, struct rpc_server *server);
/* An http_handler_fn; the context is the inspection. */
void inspection_serve_http(void *context, const struct http_request *request, struct http_response *ret_response);
/* Whether the answer tells nothing of jobs, so that a load balancer may have it without a token: the health checks. */
bool inspection_is_for_everyone(const struct http_request *request);

#endif
