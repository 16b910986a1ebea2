/* What the files of the artifact service share. */
#ifndef JOBSERVER_ARTIFACT_SERVICE_INTERNAL_H
#define JOBSERVER_ARTIFACT_SERVICE_INTERNAL_H

#include "jobserver/artifact_service.h"

struct artifact_service {
    struct artifact_service_options options;
};

/* Handlers; their context is the service. */
extern const struct rpc_handler artifact_staging_stream;
extern const struct rpc_handler artifact_get_stream;
void artifact_resolve(struct rpc_stream *call, void *context, struct slice request);

#endif
