/* The calls of Beam's Job API that commands make. Errors as connection_call() has them. */
#ifndef CLI_JOB_CLIENT_H
#define CLI_JOB_CLIENT_H

#include "cli/connection.h"
#include "jobserver/job.h"

/* *ret is the job's state after the call. */
int job_client_drain(struct connection *connection, const char *job, enum job_state *ret, struct status *st);
int job_client_cancel(struct connection *connection, const char *job, enum job_state *ret, struct status *st);
/* Until the job's end. *ret_reason is its last ERROR message, or NULL; the caller frees. */
int job_client_wait(struct connection *connection, const char *job, enum job_state *ret, char **ret_reason,
                    struct status *st);

/* Prepares the serialized Pipeline with its options (a serialized Struct), stages its artifacts from this machine's files, and runs it.
 * *ret_job is the job's id; the caller frees. */
int job_client_submit(struct connection *connection, const char *name, struct slice pipeline, struct slice options,
                      char **ret_job, struct status *st);

#endif
