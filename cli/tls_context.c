#include "cli/tls_context.h"

#include <openssl/err.h>
#include <openssl/pem.h>

static int use_key(SSL_CTX *context, const char *pem) {
    BIO *bio = BIO_new_mem_buf(pem, -1);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, (void *)"");
    int is_used = key && SSL_CTX_use_PrivateKey(context, key) == 1;

    EVP_PKEY_free(key);
    BIO_free(bio);
    return is_used;
}

/* The first one is ours, those behind it lead to its root. */
static int use_certificates(SSL_CTX *context, const char *pem) {
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509 *certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    int is_used = certificate && SSL_CTX_use_certificate(context, certificate) == 1;

    X509_free(certificate);
    while (is_used && (certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
        is_used = SSL_CTX_add1_chain_cert(context, certificate) == 1;
        X509_free(certificate);
    }
    BIO_free(bio);
    return is_used;
}

static int show(SSL_CTX *context, const struct credentials *credentials, struct status *st) {
    ERR_clear_error();
    if (use_certificates(context, credentials->certificate) && use_key(context, credentials->key))
        return 0;
    return status_set(st, STATUS_INVALID_ARGUMENT, "the certificate in %s is not good enough for TLS: %s",
                      credentials->certificate_path, ERR_reason_error_string(ERR_peek_last_error()));
}

static void trust(SSL_CTX *context, const char *pem) {
    X509_STORE *store = SSL_CTX_get_cert_store(context);
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509 *certificate;

    while ((certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
        X509_STORE_add_cert(store, certificate);
        X509_free(certificate);
    }
    BIO_free(bio);
}

int tls_context_create(const struct credentials *credentials, SSL_CTX **ret, struct status *st) {
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());

    if (credentials->certificate && show(context, credentials, st) < 0) {
        SSL_CTX_free(context);
        return -STATUS_INVALID_ARGUMENT;
    }
    X509_STORE_set_flags(SSL_CTX_get_cert_store(context), X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_TRUSTED_FIRST);
    if (credentials->ca)
        trust(context, credentials->ca);
    else
        SSL_CTX_set_default_verify_paths(context);
    SSL_CTX_set_alpn_protos(context, (const unsigned char *)"\x02h2", 3);
    *ret = context;
    return 0;
}
