/* TLS on a server's listeners. One server may listen with it and without at once; which of them a call came in by, it can be asked. */
#ifndef RPC_TLS_H
#define RPC_TLS_H

#include "rpc/rpc.h"

/* PEM texts. */
struct rpc_tls {
    const char *certificate; /* the server's, and those between it and its root */
    const char *key;
    const char *client_ca; /* NULL: clients need no certificate; else they need one that these signed */
};

/* As rpc_server_listen(), once a server. */
int rpc_server_listen_tls(struct rpc_server *server, const char *address, const struct rpc_tls *tls, int *ret_port,
                          struct status *st);
/* For connections from now on; those that are there stay. Only for a server that listens with TLS; client_ca is NULL if it was. The caller knows
 * that `tls` can be served with: gRPC would go on with what it had, and say so on standard error alone. Any thread. */
void rpc_server_renew_tls(struct rpc_server *server, const struct rpc_tls *tls);
/* Server side, from `opened` on and before `closed`. */
bool rpc_stream_is_tls(const struct rpc_stream *stream);

#endif
