#include "jobserver/artifact_service.h"

#include <stdlib.h>

#include "jobserver/artifact_service_internal.h"

static const struct rpc_method methods[] = {
    {.is_open = true,
     .path = "/org.apache.beam.model.job_management.v1.ArtifactStagingService/ReverseArtifactRetrievalService",
     .streaming = &artifact_staging_stream,
     .begins_with_message = true},
    {.is_open = true,
     .path = "/org.apache.beam.model.job_management.v1.ArtifactRetrievalService/ResolveArtifacts",
     .unary = artifact_resolve},
    {.is_open = true,
     .path = "/org.apache.beam.model.job_management.v1.ArtifactRetrievalService/GetArtifact",
     .streaming = &artifact_get_stream,
     .begins_with_message = true},
};

struct artifact_service *artifact_service_create(const struct artifact_service_options *options) {
    struct artifact_service *service = xcalloc(1, sizeof(*service));

    service->options = *options;
    return service;
}

void artifact_service_register(struct artifact_service *service, struct rpc_server *server) {
    rpc_server_register(server, methods, ARRAY_COUNT(methods), service);
}

void artifact_service_destroy(struct artifact_service *service) {
    free(service);
}
