/* TLS, on a server's listeners and on a client's channels. One server may listen with it and without at once; which of them a call came in by, it
 * can be asked. */
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

/* PEM texts; any may be NULL. */
struct rpc_client_tls {
    const char *
        ca; /* one of these, or of those between them and the server, signed its certificate; NULL: the system's authorities */
    const char
        *certificate; /* the client's, for servers that ask for one, and those between it and its root; NULL: none */
    const char *key;  /* the certificate's */
    const char *server_name; /* whom the server's certificate is to name; NULL: the target's host */
};

/* As rpc_channel_create(), with TLS: a server that cannot show such a certificate is as one that does not answer, and nothing is sent to it.
 * All texts are copied. */
struct rpc_channel *rpc_channel_create_tls(struct rpc_client *client, const char *target,
                                           const struct rpc_client_tls *tls);

#endif
