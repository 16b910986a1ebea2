/* A client of a running daemon's Job API, for commands about one job.
 *
 * Calls block. Errors are for whoever typed the command: that nobody answers at the address names it and says what to do; what the daemon
 * refuses is in its own words. After rpc_init(). One thread. */
#ifndef CLI_JOB_CLIENT_H
#define CLI_JOB_CLIENT_H

#include "base/status.h"
#include "jobserver/job.h"

struct job_client;

/* `endpoint` is HOST:PORT, [IPv6]:PORT or unix:PATH; nothing is connected before the first call. INVALID_ARGUMENT: it is none of these. */
int job_client_create(const char *endpoint, struct job_client **ret, struct status *st);
/* NULL is fine. */
void job_client_destroy(struct job_client *client);

/* *ret is the job's state after the call. */
int job_client_drain(struct job_client *client, const char *job, enum job_state *ret, struct status *st);
int job_client_cancel(struct job_client *client, const char *job, enum job_state *ret, struct status *st);
/* Until the job's end. *ret_reason is its last ERROR message, or NULL; the caller frees. */
int job_client_wait(struct job_client *client, const char *job, enum job_state *ret, char **ret_reason,
                    struct status *st);

#endif
