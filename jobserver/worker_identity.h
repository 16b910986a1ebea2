/* What a worker was started with, as bytes: two jobs whose environments have the same identity can be served by the same process, one
 * after the other. In it are
 *
 *   the environment   URN, payload, capabilities, dependencies in their order (role, name and hash of each), resource hints
 *   the choice        how the configuration in force has it run: kind, image, command or address; memory, cores, directory and variables
 *   the endpoint      that the harness was told to connect to
 *   the options       of the pipeline, which harnesses read when they start (log levels, experiments, caches, profiling, the user's own
 *                     through RuntimeValueProvider), less those that name the job or say only how it is submitted: worker_identity.c
 *                     has the list. What a harness sees of these is the first job's. */
#ifndef JOBSERVER_WORKER_IDENTITY_H
#define JOBSERVER_WORKER_IDENTITY_H

#include "base/slice.h"
#include "jobserver/environment.h"
#include "translate/plan.h"

/* `pipeline_options`: a serialized google.protobuf.Struct. Never empty unless one of the two cannot be read; then the worker is like no
 * other. The caller's to unref. */
struct slice worker_identity(const struct plan_environment *environment, const struct environment_choice *choice,
                             struct slice pipeline_options, const char *endpoint);

#endif
