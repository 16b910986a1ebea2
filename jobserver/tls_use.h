/* PEM texts as OpenSSL's contexts take them. Each returns whether it did; if not, ERR_peek_last_error() says why. */
#ifndef JOBSERVER_TLS_USE_H
#define JOBSERVER_TLS_USE_H

#include <openssl/ssl.h>
#include <stdbool.h>

/* The first certificate is the context's own, those behind it lead to its root. */
bool tls_use_certificates(SSL_CTX *context, const char *pem);
bool tls_use_key(SSL_CTX *context, const char *pem);
/* Whoever they are, or whom they vouch for, is trusted. */
bool tls_use_authorities(SSL_CTX *context, const char *pem);

#endif
