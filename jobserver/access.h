/* Who may use the Job API, Inspection and the web page: auth.tokens_file, and TLS (docs/security.md). Any thread, but for the making. */
#ifndef JOBSERVER_ACCESS_H
#define JOBSERVER_ACCESS_H

#include "http/http.h"
#include "jobserver/config.h"
#include "jobserver/tokens.h"
#include "rpc/rpc.h"

struct access;

/* By these tokens; NULL: none are wanted. Of the configuration it takes whether there is TLS. */
struct access *access_create(const struct config *config, struct tokens *tokens);
/* NULL is fine. */
void access_destroy(struct access *access);

/* By these tokens from now on. */
void access_renew(struct access *access, struct tokens *tokens);
/* Guards the server, where tokens or TLS say who may call: with TLS alone, whoever comes over another connection is a worker. Before its start. */
void access_guard(struct access *access, struct rpc_server *server);
/* An http_admit_fn: where tokens are wanted, all but the health checks wants one. */
bool access_admits_http(void *access, const struct http_request *request, const char *authorization);
/* Says in the log that everybody may submit jobs, if that is so beyond this machine. */
void access_warn(struct access *access, const char *endpoint);

#endif
