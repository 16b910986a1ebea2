/* The calls of trestle.v1.Inspection (proto/trestle_inspection.proto), answers in the caller's arena. Errors as connection_call() has them. */
#ifndef CLI_INSPECTION_H
#define CLI_INSPECTION_H

#include "base/arena.h"
#include "cli/connection.h"
#include "trestle_inspection.pb-c.h"

int inspection_server(struct connection *connection, struct arena *arena, Trestle__V1__Server **ret, struct status *st);
int inspection_list_jobs(struct connection *connection, const Trestle__V1__ListJobsRequest *request,
                         struct arena *arena, Trestle__V1__ListJobsResponse **ret, struct status *st);
int inspection_job(struct connection *connection, const char *job, struct arena *arena, Trestle__V1__JobDetail **ret,
                   struct status *st);
int inspection_graph(struct connection *connection, const char *job, struct arena *arena, Trestle__V1__Graph **ret,
                     struct status *st);
int inspection_list_messages(struct connection *connection, const Trestle__V1__ListMessagesRequest *request,
                             struct arena *arena, Trestle__V1__ListMessagesResponse **ret, struct status *st);
int inspection_metrics(struct connection *connection, const char *job, struct arena *arena,
                       Trestle__V1__JobMetricList **ret, struct status *st);
/* UNAVAILABLE, DEADLINE_EXCEEDED: it has no answer. */
int inspection_worker_status(struct connection *connection, const char *job, const char *worker, struct arena *arena,
                             Trestle__V1__WorkerStatusText **ret, struct status *st);

#endif
