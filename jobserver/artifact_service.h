/* The artifact services (beam_artifact_api.proto): files of a pipeline, from the client into the store and from there to workers.
 *
 *   staging.c     ArtifactStagingService: the client opens a stream and names the preparation by its token; the server asks for what
 *                 it needs, one request at a time
 *   retrieval.c   ArtifactRetrievalService: workers ask for what their ProvisionInfo listed, and get nothing else
 *
 * After staging, the preparation's environments depend on files in the store and on nothing else.
 *
 * Threads: RPC threads only pass messages on; files are read and written on the pool, each stream's work in a lane of its own, so
 * that the state of a stream needs no lock. */
#ifndef JOBSERVER_ARTIFACT_SERVICE_H
#define JOBSERVER_ARTIFACT_SERVICE_H

#include "base/pool.h"
#include "fnapi/fnapi.h"
#include "jobserver/artifact_store.h"
#include "jobserver/catalogue.h"
#include "rpc/rpc.h"

struct artifact_service;

/* Everything is borrowed and outlives the service. */
struct artifact_service_options {
    struct catalogue *catalogue;
    struct artifact_store *store;
    struct pool *pool;
    struct fn_service *fn_service; /* knows the workers */
    uint64_t max_artifact_bytes;   /* 0: as much as the disk takes */
};

struct artifact_service *artifact_service_create(const struct artifact_service_options *options);
void artifact_service_register(struct artifact_service *service, struct rpc_server *server);
/* After the server was stopped and the pool destroyed. NULL is fine. */
void artifact_service_destroy(struct artifact_service *service);

#endif
