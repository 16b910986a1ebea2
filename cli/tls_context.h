/* A client's credentials as OpenSSL takes them: to see whether it does before gRPC, which would not say what is wrong, and for a handshake of our own. */
#ifndef CLI_TLS_CONTEXT_H
#define CLI_TLS_CONTEXT_H

#include <openssl/ssl.h>

#include "cli/credentials.h"

/* With what gRPC's channels trust, show and offer. INVALID_ARGUMENT: the certificate or its key will not do; names the file. The caller frees. */
int tls_context_create(const struct credentials *credentials, SSL_CTX **ret, struct status *st);

#endif
