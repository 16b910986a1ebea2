#include "cli/tls_context.h"

#include <openssl/err.h>

#include "jobserver/tls_use.h"

static int show(SSL_CTX *context, const struct credentials *credentials, struct status *st) {
    ERR_clear_error();
    if (tls_use_certificates(context, credentials->certificate) && tls_use_key(context, credentials->key))
        return 0;
    return status_set(st, STATUS_INVALID_ARGUMENT, "the certificate in %s is not good enough for TLS: %s",
                      credentials->certificate_path, ERR_reason_error_string(ERR_peek_last_error()));
}

int tls_context_create(const struct credentials *credentials, SSL_CTX **ret, struct status *st) {
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());

    if (credentials->certificate && show(context, credentials, st) < 0) {
        SSL_CTX_free(context);
        return -STATUS_INVALID_ARGUMENT;
    }
    X509_STORE_set_flags(SSL_CTX_get_cert_store(context), X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_TRUSTED_FIRST);
    if (credentials->ca)
        tls_use_authorities(context, credentials->ca);
    else
        SSL_CTX_set_default_verify_paths(context);
    SSL_CTX_set_alpn_protos(context, (const unsigned char *)"\x02h2", 3);
    *ret = context;
    return 0;
}
