#include "jobserver/tls_use.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

static bool use_first(SSL_CTX *context, BIO *bio) {
    X509 *certificate = PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL);
    bool is_used = certificate && SSL_CTX_use_certificate(context, certificate) == 1;

    X509_free(certificate);
    return is_used;
}

/* Whether reading ended because there is no more. */
static bool is_at_end(void) {
    unsigned long error = ERR_peek_last_error();
    bool is_end = ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;

    if (is_end)
        ERR_clear_error();
    return is_end;
}

static bool add_to_chain(SSL_CTX *context, X509 *certificate) {
    return SSL_CTX_add1_chain_cert(context, certificate) == 1;
}

static bool add_authority(SSL_CTX *context, X509 *certificate) {
    return X509_STORE_add_cert(SSL_CTX_get_cert_store(context), certificate) == 1;
}

/* All that follow; `use` takes a reference of its own. */
static bool use_rest(SSL_CTX *context, BIO *bio, bool (*use)(SSL_CTX *context, X509 *certificate)) {
    X509 *certificate;
    bool is_used = true;

    while (is_used && (certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
        is_used = use(context, certificate);
        X509_free(certificate);
    }
    return is_used && is_at_end();
}

bool tls_use_certificates(SSL_CTX *context, const char *pem) {
    BIO *bio = BIO_new_mem_buf(pem, -1);
    bool is_used = use_first(context, bio) && use_rest(context, bio, add_to_chain);

    BIO_free(bio);
    return is_used;
}

bool tls_use_key(SSL_CTX *context, const char *pem) {
    BIO *bio = BIO_new_mem_buf(pem, -1);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, (void *)"");
    bool is_used = key && SSL_CTX_use_PrivateKey(context, key) == 1;

    EVP_PKEY_free(key);
    BIO_free(bio);
    return is_used;
}

bool tls_use_authorities(SSL_CTX *context, const char *pem) {
    BIO *bio = BIO_new_mem_buf(pem, -1);
    bool is_used = use_rest(context, bio, add_authority);

    BIO_free(bio);
    return is_used;
}
